"""The loop on virtual time: hours at once, in the same order every time."""

from __future__ import annotations

import asyncio

import pytest

from tercel.adapters.simulator.mounts.virtual_loop import (
    DeadlockError,
    LoopClock,
    VirtualLoop,
    run_virtually,
)

EPOCH_MS = 1_700_000_000_000


def test_time_jumps_from_timer_to_timer() -> None:
    async def work(clock: LoopClock) -> list[int]:
        seen = [clock.now_ms()]
        for seconds in (3_600, 0.001, 86_400):
            await clock.sleep(seconds)
            seen.append(clock.now_ms())
        return seen

    assert run_virtually(work, epoch_ms=EPOCH_MS) == [
        EPOCH_MS, EPOCH_MS + 3_600_000, EPOCH_MS + 3_600_001, EPOCH_MS + 90_000_001,
    ]  # fmt: skip


def test_timers_of_one_moment_fire_in_the_order_they_were_set() -> None:
    async def work(clock: LoopClock) -> list[int]:
        fired: list[int] = []
        loop = asyncio.get_running_loop()
        for number in range(200):
            loop.call_at(5.0, fired.append, number)
        loop.call_at(4.0, fired.append, -1)
        await clock.sleep(6)
        return fired

    assert run_virtually(work) == [-1, *range(200)]


def test_a_cancelled_timer_does_not_fire() -> None:
    async def work(clock: LoopClock) -> list[int]:
        fired: list[int] = []
        timer = asyncio.get_running_loop().call_later(1, fired.append, 1)
        timer.cancel()
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(clock.sleep(10), 2)
        assert clock.now_ms() == EPOCH_MS + 2_000
        return fired

    assert run_virtually(work, epoch_ms=EPOCH_MS) == []


def test_waiting_for_what_never_comes_is_an_error() -> None:
    async def work(clock: LoopClock) -> None:
        await asyncio.get_running_loop().create_future()

    with pytest.raises(DeadlockError):
        run_virtually(work)


def test_work_for_threads_is_done_at_once() -> None:
    async def work(clock: LoopClock) -> int:
        loop = asyncio.get_running_loop()
        with pytest.raises(ValueError, match="no"):
            await loop.run_in_executor(None, int, "no")
        return await loop.run_in_executor(None, int, "42")

    assert run_virtually(work) == 42


def test_a_closed_loop_takes_no_timers() -> None:
    loop = VirtualLoop()
    loop.close()
    with pytest.raises(RuntimeError, match="closed"):
        loop.call_at(1.0, print)
