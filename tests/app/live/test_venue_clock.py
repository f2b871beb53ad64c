"""Venue time: its offset, and what happens when the venue does not tell it."""

from __future__ import annotations

from collections import deque

import pytest

from tercel.adapters.clock import VirtualClock
from tercel.app.live.venue_clock import VenueClock
from tercel.domain.errors import VenueError

LOCAL_MS = 1_700_000_000_000


class Teller:
    """A venue whose clock runs `ahead_ms` before ours and takes `slow_seconds` to answer."""

    def __init__(self, clock: VirtualClock) -> None:
        self.clock = clock
        self.ahead_ms = 0
        self.slow_seconds = 0.0
        self.slows: deque[float] = deque()
        self.is_down = False
        self.asked = 0

    async def time_ms(self) -> int:
        self.asked += 1
        slow = self.slows.popleft() if self.slows else self.slow_seconds
        await self.clock.sleep(slow / 2)
        if self.is_down:
            raise VenueError("nobody answers")
        told = self.clock.now_ms() + self.ahead_ms
        await self.clock.sleep(slow / 2)
        return told


class Bench:
    def __init__(self) -> None:
        self.local = VirtualClock(LOCAL_MS)
        self.teller = Teller(self.local)
        self.warnings: list[str] = []
        self.clock = VenueClock(
            self.local, self.teller.time_ms, 30.0, lambda code, _: self.warnings.append(code)
        )


@pytest.fixture
def bench() -> Bench:
    return Bench()


async def test_now_is_local_time_plus_the_offset(bench: Bench) -> None:
    bench.teller.ahead_ms = -4321
    assert await bench.clock.start()
    assert bench.clock.offset_ms == -4321
    assert bench.clock.now_ms() == bench.local.now_ms() - 4321
    assert bench.warnings == []


async def test_half_of_the_round_trip_is_taken_off(bench: Bench) -> None:
    bench.teller.ahead_ms = 1000
    bench.teller.slow_seconds = 0.1
    await bench.clock.start()
    assert bench.clock.offset_ms == 1000


async def test_if_the_startup_fetch_fails_local_time_is_used_with_a_warning(bench: Bench) -> None:
    bench.teller.is_down = True
    assert not await bench.clock.start()
    assert bench.clock.now_ms() == bench.local.now_ms()
    assert bench.warnings == ["BINANCE_TIME_SYNC_UNAVAILABLE_USING_LOCAL"]


async def test_if_a_refresh_fails_the_old_offset_stays_with_a_warning(bench: Bench) -> None:
    bench.teller.ahead_ms = 777
    await bench.clock.start()
    bench.teller.is_down = True
    assert not await bench.clock.refresh()
    assert bench.clock.offset_ms == 777
    assert bench.warnings == ["BINANCE_TIME_SYNC_FAILED"]


async def test_the_offset_is_refreshed_every_30_minutes(bench: Bench) -> None:
    await bench.clock.start()
    asked = bench.teller.asked
    bench.teller.ahead_ms = 50

    class OverError(Exception):
        """Two hours have passed."""

    ends_ms = bench.local.now_ms() + 2 * 3_600_000 + 1
    sleep = bench.local.sleep

    async def bounded(seconds: float) -> None:
        if bench.local.now_ms() + seconds * 1000 > ends_ms:
            raise OverError
        await sleep(seconds)

    bench.local.sleep = bounded  # type: ignore[method-assign]
    with pytest.raises(OverError):
        await bench.clock.keep()
    assert bench.teller.asked - asked == 4
    assert bench.clock.offset_ms == 50


async def test_the_quickest_of_a_few_answers_counts(bench: Bench) -> None:
    """Two slow answers, then a quick one: the quick one is the most exact."""
    bench.teller.ahead_ms = 10
    bench.teller.slows.extend([1.5, 0.8, 0.02])
    await bench.clock.start()
    assert bench.teller.asked == 3
    assert bench.clock.offset_ms == 10


async def test_an_answer_that_takes_too_long_counts_as_none(bench: Bench) -> None:
    bench.teller.ahead_ms = 60_000
    bench.teller.slow_seconds = 5.0
    assert not await bench.clock.start()
    assert bench.clock.offset_ms == 0


async def test_a_request_refused_for_its_time_refreshes_at_once_and_once(bench: Bench) -> None:
    await bench.clock.start()
    asked = bench.teller.asked
    bench.teller.ahead_ms = 5000
    bench.clock.nudge()
    bench.clock.nudge()
    for _ in range(20):
        await bench.local.sleep(0.001)
    assert bench.teller.asked - asked == 1
    assert bench.clock.offset_ms == 5000


@pytest.mark.parametrize(("speed", "told"), [(60.0, "60 times"), (0.1, "0.1 times"), (1.2, "")])
async def test_a_clock_that_runs_at_another_speed_is_told_once(speed: float, told: str) -> None:
    """A simulated exchange in fast motion, and a session that was not told so."""
    bench, texts = Bench(), list[str]()
    bench.clock._warn = lambda _, text: texts.append(text)
    await bench.clock.start()
    for _ in range(4):
        await bench.local.sleep(2.0)
        bench.teller.ahead_ms += round(2_000 * (speed - 1.0))
        await bench.clock.refresh()
    assert len(texts) == bool(told)
    assert all(told in text and "--speed" in text for text in texts)


async def test_a_clock_that_steps_does_not_run_at_another_speed(bench: Bench) -> None:
    await bench.clock.start()
    for step_ms in (0, 3_600_000, 0, 0):
        await bench.local.sleep(2.0)
        bench.teller.ahead_ms += step_ms
        await bench.clock.refresh()
        await bench.clock.refresh()  # at once: too soon to say anything
    assert bench.warnings == []
