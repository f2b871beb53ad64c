"""The rate governor on virtual time: who waits, who goes first, and who is told."""

from __future__ import annotations

import asyncio

import pytest
from structlog.testing import capture_logs

from tercel.adapters.clock import VirtualClock
from tercel.adapters.simulator.mounts.virtual_loop import LoopClock, run_virtually
from tercel.app.live.governor import (
    ENTRIES,
    PRIVATE,
    PUBLIC,
    STATISTICS,
    UNHURRIED,
    Governor,
    Priority,
    TooLateError,
)
from tercel.app.ports import Clock
from tercel.domain.live_settings import GovernorSettings
from tercel.domain.times import MINUTE_MS

START_MS = 1_700_000_040_000
"""A full minute."""


def governor(clock: Clock, calls_max: int = 10, fraction: float = 1.0) -> Governor:
    return Governor(
        GovernorSettings(
            calls_max=calls_max,
            window_seconds=10.0,
            weight_fraction_max=fraction,
            entry_wait_ms_max=3_000,
        ),
        clock,
    )


async def test_token_bucket_logs_warning_with_caller_function_name_on_every_throttle() -> None:
    """Ten calls in ten seconds leave at once; the eleventh and the twelfth wait and are named."""
    clock = VirtualClock(START_MS)
    turns = governor(clock)
    with capture_logs() as logs:
        for _ in range(10):
            await turns.turn("fetch_balance", priority=Priority.ORDER)
        assert (clock.now_ms(), logs) == (START_MS, [])
        await turns.turn("cancel_order", priority=Priority.ORDER)
        await turns.turn("create_order", priority=Priority.ORDER)
    throttles = [(each["log_level"], each["caller"]) for each in logs]
    assert throttles == [("warning", "cancel_order"), ("warning", "create_order")]
    assert clock.now_ms() - START_MS == 2000
    assert turns.throttled == 2


async def test_no_window_of_ten_seconds_after_the_first_sees_more_than_the_limit() -> None:
    clock = VirtualClock(START_MS)
    turns = governor(clock)
    left: list[int] = []
    for _ in range(60):
        await turns.turn("place", priority=Priority.ORDER)
        left.append(clock.now_ms())
    steady = left[10:]
    assert max(sum(0 <= other - one < 10_000 for other in steady) for one in steady) <= 10


async def test_calls_queue_and_none_is_dropped() -> None:
    clock = VirtualClock(START_MS)
    turns = governor(clock, calls_max=2)
    done: list[int] = []

    async def call(number: int) -> None:
        await turns.turn(f"call {number}", priority=Priority.ORDER)
        done.append(number)

    await asyncio.gather(*(call(number) for number in range(50)))
    assert done == list(range(50))
    assert turns.waiting == 0


async def test_closes_go_first_then_cancels_and_protective_orders() -> None:
    """A close waits for no stop: it takes off what the stop would protect."""
    clock = VirtualClock(START_MS)
    turns = governor(clock, calls_max=1)
    order: list[str] = []

    async def call(name: str, priority: Priority) -> None:
        await turns.turn(name, priority=priority)
        order.append(name)

    await call("first", Priority.ORDER)
    await asyncio.gather(
        call("read", Priority.READ),
        call("entry", Priority.ORDER),
        call("stop", Priority.URGENT),
        call("cancel", Priority.URGENT),
        call("close", Priority.EXIT),
    )
    assert order == ["first", "close", "stop", "cancel", "entry", "read"]


async def test_reads_leave_tokens_to_orders() -> None:
    """Of ten tokens reads take seven: a stop that is needed now does not wait for a report."""
    clock = VirtualClock(START_MS)
    turns = governor(clock)
    reads = [asyncio.create_task(turns.turn("read")) for _ in range(8)]
    await asyncio.sleep(0)  # noqa: TID251 (lets the tasks begin)
    assert sum(task.done() for task in reads) == 7
    await turns.turn("place", priority=Priority.URGENT)
    assert clock.now_ms() == START_MS
    await asyncio.gather(*reads)


def test_a_read_waits_for_a_few_questions_at_most_and_entries_and_stops_go_before_it() -> None:
    """Questions without end wait in twenty rows at once; each call of a reading gets its turn
    after three of them. What is in a hurry waits for no reading.
    """

    async def main(clock: LoopClock) -> tuple[list[str], int]:
        turns = governor(clock)
        left: list[str] = []

        async def ask() -> None:
            while True:
                await turns.turn("query", priority=Priority.ORDER)
                left.append("query")

        async def read(calls: int) -> None:
            for _ in range(calls):
                await turns.turn("read")
                left.append("read")

        rows = [asyncio.create_task(ask()) for _ in range(20)]
        await clock.sleep(60.0)
        left.clear()
        await asyncio.wait_for(read(5), 300)
        read_ms = clock.now_ms() - START_MS - 60_000
        reading = asyncio.create_task(turns.turn("read"))
        await clock.sleep(0.5)
        await turns.turn("place", priority=Priority.ORDER, may_be_late=False)
        await turns.turn("stop", priority=Priority.URGENT)
        assert not reading.done()
        await reading
        for row in rows:
            row.cancel()
        await turns.close()
        return left, read_ms

    left, read_ms = run_virtually(main, epoch_ms=START_MS)
    first = left.index("read")
    assert first <= 3
    assert left[first : first + 17] == ["read", *(["query"] * 3 + ["read"]) * 4]
    assert read_ms <= 5 * 4_000


def test_a_read_that_the_weight_keeps_lets_questions_pass() -> None:
    """It is heavy and waits for the next minute: they are light and need not."""

    async def main(clock: LoopClock) -> tuple[int, int]:
        turns = governor(clock, fraction=0.5)
        for _ in range(9):
            await turns.turn("query", priority=Priority.ORDER)
        turns.note_weight(1150)
        reading = asyncio.create_task(turns.turn("read", weight=100))
        for _ in range(5):
            await turns.turn("query", priority=Priority.ORDER)
        asked_ms = clock.now_ms() - START_MS
        await reading
        return asked_ms, clock.now_ms() - START_MS

    assert run_virtually(main, epoch_ms=START_MS) == (4_000, MINUTE_MS)


async def test_nothing_leaves_during_a_ban_not_even_a_cancel() -> None:
    clock = VirtualClock(START_MS)
    turns = governor(clock)
    turns.hold(120.0)
    assert turns.held_ms() == 120_000
    await turns.turn("cancel", priority=Priority.URGENT)
    assert clock.now_ms() - START_MS >= 120_000
    assert turns.held_ms() == 0


async def test_a_shorter_hold_does_not_end_a_longer_one() -> None:
    clock = VirtualClock(START_MS)
    turns = governor(clock)
    turns.hold(120.0)
    turns.hold(1.0)
    assert turns.held_ms() == 120_000


async def test_a_hold_of_one_category_keeps_nobody_else() -> None:
    """A pool of requests of their own is exhausted: orders have nothing to do with it."""
    clock = VirtualClock(START_MS)
    turns = governor(clock)
    turns.hold(50.0, STATISTICS)
    assert [turns.held_ms(each) for each in (None, PRIVATE, PUBLIC)] == [0, 0, 0]
    assert turns.held_ms(STATISTICS) == 50_000
    await turns.turn("place", priority=Priority.ORDER)
    await turns.turn("history", category=PUBLIC)
    assert clock.now_ms() == START_MS
    await turns.turn("funding_rate", category=STATISTICS)
    assert clock.now_ms() - START_MS == 50_000


async def test_a_hold_of_entries_keeps_nothing_else() -> None:
    clock = VirtualClock(START_MS)
    turns = governor(clock)
    turns.hold(2.0, ENTRIES)
    for priority in Priority:
        await turns.turn("other", priority=priority)
    assert clock.now_ms() == START_MS
    await turns.turn("place", priority=Priority.ORDER, may_be_late=False)
    assert clock.now_ms() - START_MS == 2_000


async def test_a_hold_of_those_who_can_wait_keeps_nothing_that_protects_or_closes() -> None:
    clock = VirtualClock(START_MS)
    turns = governor(clock)
    turns.hold(50.0, UNHURRIED)
    await turns.turn("close", priority=Priority.EXIT, may_be_held=False)
    await turns.turn("stop", priority=Priority.URGENT, may_be_held=False)
    assert clock.now_ms() == START_MS
    with pytest.raises(TooLateError):
        await turns.turn("place", priority=Priority.ORDER, may_be_late=False, may_be_held=False)
    assert clock.now_ms() == START_MS
    await turns.turn("read")
    assert clock.now_ms() - START_MS == 50_000


def test_who_is_not_held_goes_past_those_who_are() -> None:
    async def main(clock: LoopClock) -> tuple[int, ...]:
        turns = governor(clock, calls_max=1)
        turns.hold(30.0, UNHURRIED)
        turns.hold(5.0)

        async def call(priority: Priority) -> int:
            await turns.turn("call", category=PUBLIC, priority=priority)
            return clock.now_ms() - START_MS

        return tuple(await asyncio.gather(call(Priority.READ), call(Priority.URGENT)))

    assert run_virtually(main, epoch_ms=START_MS) == (30_000, 5_000)


async def test_a_ban_of_the_address_keeps_every_category() -> None:
    clock = VirtualClock(START_MS)
    turns = governor(clock)
    turns.hold(5.0, STATISTICS)
    turns.hold(120.0)
    assert {turns.held_ms(each) for each in (None, PRIVATE, PUBLIC, STATISTICS)} == {120_000}
    await turns.turn("funding_rate", category=STATISTICS)
    assert clock.now_ms() - START_MS == 120_000


async def test_the_venues_own_weight_is_kept_within_its_share() -> None:
    """2400 a minute, of which 0.5 may be used: at 1195 a call of 40 waits for the next minute, one
    that protects or closes does not.
    """
    clock = VirtualClock(START_MS + 1000)
    turns = governor(clock, fraction=0.5)
    turns.note_weight(1195)
    await turns.turn("stop", priority=Priority.URGENT, weight=1)
    await turns.turn("close", priority=Priority.EXIT, weight=5)
    assert clock.now_ms() == START_MS + 1000
    await turns.turn("read", weight=40)
    assert clock.now_ms() >= START_MS + MINUTE_MS


async def test_public_calls_have_no_bucket_but_obey_bans() -> None:
    clock = VirtualClock(START_MS)
    turns = governor(clock, calls_max=1)
    for _ in range(20):
        await turns.turn("history", category=PUBLIC)
    assert clock.now_ms() == START_MS
    turns.hold(5.0)
    await turns.turn("history", category=PUBLIC)
    assert clock.now_ms() >= START_MS + 5000


async def test_a_newcomer_does_not_take_the_token_of_one_who_waits() -> None:
    """The token came back while the one who waits still slept: it is his all the same."""

    class Held(VirtualClock):
        """Time passes when the test says so, and sleepers wake later."""

        wake = asyncio.Event()
        passed_ms = 0

        def now_ms(self) -> int:
            return START_MS + self.passed_ms

        async def sleep(self, seconds: float) -> None:
            await self.wake.wait()
            await asyncio.sleep(0)  # noqa: TID251 (others get their turn)

    clock = Held()
    turns = governor(clock, calls_max=1)
    await turns.turn("first", priority=Priority.ORDER)
    order: list[str] = []

    async def call(name: str) -> None:
        await turns.turn(name, priority=Priority.ORDER)
        order.append(name)

    waiting = [asyncio.create_task(call("waits"))]
    for _ in range(5):
        await asyncio.sleep(0)  # noqa: TID251 (until he who lets others go sleeps)
    clock.passed_ms = 10_000
    waiting.append(asyncio.create_task(call("newcomer")))
    await asyncio.sleep(0)  # noqa: TID251
    assert order == []
    clock.wake.set()
    await asyncio.wait_for(waiting[0], 10)
    assert order == ["waits"]
    clock.passed_ms = 20_000
    await asyncio.wait_for(waiting[1], 10)
    await turns.close()


async def test_a_caller_that_gives_up_takes_nobodys_turn() -> None:
    clock = VirtualClock(START_MS)
    turns = governor(clock, calls_max=1)
    await turns.turn("first", priority=Priority.ORDER)
    gone = asyncio.create_task(turns.turn("gone", priority=Priority.ORDER))
    await asyncio.sleep(0)  # noqa: TID251 (lets the task begin)
    gone.cancel()
    await turns.turn("second", priority=Priority.ORDER)
    assert clock.now_ms() - START_MS == 10_000


async def test_a_clock_that_steps_back_gives_no_tokens() -> None:
    class Stepping(VirtualClock):
        step_ms = 0

        def now_ms(self) -> int:
            return super().now_ms() + self.step_ms

    clock = Stepping(START_MS)
    turns = governor(clock, calls_max=1)
    await turns.turn("first", priority=Priority.ORDER)
    clock.step_ms = -3_600_000
    begun_ms = clock.now_ms()
    await turns.turn("second", priority=Priority.ORDER)
    assert clock.now_ms() - begun_ms == 10_000


async def test_closing_lets_nobody_wait_for_ever() -> None:
    clock = VirtualClock(START_MS)
    turns = governor(clock)
    turns.hold(1e6)
    waiting = asyncio.create_task(turns.turn("read"))
    await asyncio.sleep(0)  # noqa: TID251 (lets the task begin)
    await turns.close()
    await asyncio.gather(waiting, return_exceptions=True)
    assert waiting.cancelled()


def test_an_entry_that_waited_too_long_is_refused_then_and_takes_no_token() -> None:
    async def main(clock: LoopClock) -> tuple[int, ...]:
        turns = governor(clock, calls_max=2)  # a token in five seconds
        for _ in range(2):
            await turns.turn("place", priority=Priority.ORDER)

        async def entry() -> int:
            with pytest.raises(TooLateError, match="3000 ms"):
                await turns.turn("place", priority=Priority.ORDER, may_be_late=False)
            return clock.now_ms() - START_MS

        async def other(name: str, priority: Priority) -> int:
            await turns.turn(name, priority=priority)
            return clock.now_ms() - START_MS

        found = await asyncio.gather(
            entry(), other("query", Priority.ORDER), entry(), other("stop", Priority.URGENT)
        )
        return *found, turns.waiting

    assert run_virtually(main, epoch_ms=START_MS) == (3_000, 10_000, 3_000, 5_000, 0)


async def test_an_entry_whose_turn_comes_in_time_leaves() -> None:
    clock = VirtualClock(START_MS)
    turns = governor(clock, calls_max=10)
    for _ in range(12):
        await turns.turn("place", priority=Priority.ORDER, may_be_late=False)
    assert clock.now_ms() - START_MS == 2_000


def test_an_entry_that_a_hold_keeps_is_refused_in_time_and_not_at_its_end() -> None:
    async def main(clock: LoopClock) -> int:
        turns = governor(clock)
        turns.hold(120.0)
        with pytest.raises(TooLateError):
            await turns.turn("place", priority=Priority.ORDER, may_be_late=False)
        return clock.now_ms() - START_MS

    assert run_virtually(main, epoch_ms=START_MS) == 3_000


async def test_whoever_may_be_late_waits_for_ever() -> None:
    clock = VirtualClock(START_MS)
    turns = governor(clock)
    turns.hold(3_600.0)
    await turns.turn("cancel", priority=Priority.URGENT)
    assert clock.now_ms() - START_MS == 3_600_000


def test_an_order_that_waits_is_refused_as_soon_as_a_hold_begins() -> None:
    """It would leave ten minutes late; what only asks waits. A moment is no reason to refuse."""

    async def main(clock: LoopClock) -> list[str]:
        turns = governor(clock, calls_max=1)
        await turns.turn("first", priority=Priority.ORDER)
        told: list[str] = []

        async def call(name: str, priority: Priority, *, may_be_held: bool) -> None:
            said = "left"
            try:
                await turns.turn(name, priority=priority, may_be_held=may_be_held)
            except TooLateError:
                said = "refused"
            told.append(f"{name} {said} {(clock.now_ms() - START_MS) / 1000:g}")

        calls = [
            asyncio.create_task(call("stop", Priority.URGENT, may_be_held=False)),
            asyncio.create_task(call("close", Priority.EXIT, may_be_held=False)),
            asyncio.create_task(call("query", Priority.ORDER, may_be_held=True)),
        ]
        await clock.sleep(1.0)
        turns.hold(0.4)
        await clock.sleep(10.0)
        turns.hold(600.0)
        await clock.sleep(1.0)
        calls.append(asyncio.create_task(call("later", Priority.URGENT, may_be_held=False)))
        await asyncio.gather(*calls)
        return told

    assert run_virtually(main, epoch_ms=START_MS) == [
        "close left 10",
        "stop refused 11",
        "later refused 12",
        "query left 611",
    ]


def test_an_order_that_got_its_turn_as_a_hold_began_is_refused() -> None:
    async def main(clock: LoopClock) -> list[str]:
        turns = governor(clock)
        turns.hold(0.4)
        told: list[str] = []

        async def call(name: str) -> None:
            try:
                await turns.turn(name, priority=Priority.URGENT, may_be_held=False)
            except TooLateError:
                told.append(f"{name} refused {clock.now_ms() - START_MS}")
            else:
                turns.hold(60.0)
                told.append(f"{name} left {clock.now_ms() - START_MS}")

        await asyncio.gather(call("first"), call("second"))
        return told

    assert run_virtually(main, epoch_ms=START_MS) == ["first left 400", "second refused 400"]


def test_a_hold_that_is_heard_between_a_turn_and_its_call_keeps_the_call() -> None:
    """Three have got their turn in one moment; the first hears that all have to wait."""

    async def main(clock: LoopClock) -> list[int]:
        turns = governor(clock)
        turns.hold(10.0)
        left: list[int] = []

        async def call() -> None:
            await turns.turn("cancel", priority=Priority.URGENT)
            if not left:
                turns.hold(60.0)
            left.append(clock.now_ms() - START_MS)

        await asyncio.gather(call(), call(), call())
        return left

    assert run_virtually(main, epoch_ms=START_MS) == [10_000, 70_000, 70_000]
