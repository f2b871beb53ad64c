"""Step 5 of a start, and what follows it: external scores of the venue are fetched, grow old and
are told.
"""

from __future__ import annotations

import asyncio
import errno
import math
from collections.abc import Awaitable, Callable

import pytest
from tests.app.live.journals import record_of
from tests.app.live.published import KINDS, Kept, kept, key_of
from tests.app.live.scenes import MINUTE, START, Cast, Script, bar_of, live_rules, settings
from tests.app.live.test_runner import MemoryStore, once, stage
from tests.context_fakes import MemoryContextStore, rows

from tercel.adapters.simulator.mounts.virtual_loop import LoopClock, run_virtually
from tercel.app.live.alerts import AlertCode
from tercel.app.live.bar_collector import BarCollector
from tercel.app.live.context_keeper import CALLS_AT_ONCE, ScoredState
from tercel.app.live.keeping import moment_of
from tercel.app.live.known_context import KnownContext
from tercel.app.live.parity import decide_again
from tercel.app.live.plan import SessionPlan
from tercel.app.live.prepare_live import live_plan
from tercel.app.live.session import Session, SessionMemory
from tercel.app.live.session_row import session_row
from tercel.app.live.wire import decode_event
from tercel.app.ports import FeedBar, MergeReport
from tercel.app.prepare import RunRequest
from tercel.app.strategies import load_strategy
from tercel.domain.commands import Level, WriteJournal
from tercel.domain.context import ContextKey, ContextSeries
from tercel.domain.errors import LakeBusyError, UserError
from tercel.domain.events import BarsClosed, Event, TimerFired, VenueRead
from tercel.domain.journal import AlertRow, EvaluationRow, InputRow, JournalRow, ScoreRow
from tercel.domain.orders import VenueSnapshot
from tercel.domain.session_state import CachedScore, SessionState
from tercel.domain.times import HOUR_MS

AGES = settings().context
REFRESH = settings().context_refresh


def virtually(test: Callable[[LoopClock], Awaitable[None]]) -> None:
    """Run `test` on virtual time that begins at START; an executor works at once there."""

    async def main(clock: LoopClock) -> None:
        await test(clock)

    run_virtually(main, epoch_ms=START)


async def running(it: Kept, clock: LoopClock, seconds: float) -> None:
    """The keeper keeps for so long."""
    task = asyncio.create_task(it.keeper.keep())
    await clock.sleep(seconds)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def test_external_scores_are_force_refreshed_at_the_start_whatever_their_age() -> None:
    """ "Force-refresh external scores whatever their age": after recovery, before history, though
    the lake has a row of this very minute and the state one that was fetched a second ago.
    """

    async def starts(_: LoopClock) -> None:
        seen: list[Kept] = []

        def keeper(clock: object, touched: list[str]) -> Kept:
            fresh = rows(key_of("open_interest"), [START], [1.0])
            it = kept(clock, fresh)  # type: ignore[arg-type]
            for number, kind in enumerate(KINDS):
                it.publisher.publish(kind, {START: 0.001 + number, START - HOUR_MS: 0.002})
            read = it.publisher.read

            async def noted(kind: str, symbol: str, since_ms: int) -> ContextSeries:
                touched.append("fetch scores")
                return await read(kind, symbol, since_ms)

            it.publisher.read = noted  # type: ignore[method-assign]
            seen.append(it)
            return it

        old = SessionState(oi_cache=CachedScore(5.0, START - 1_000), automation_enabled=True)
        scene = stage(state=old, keeper=lambda c, t: keeper(c, t).keeper)
        await scene.begin()
        await scene.clock.move(1)
        [it] = seen
        order = once(scene.touched)
        places = [order.index(n) for n in ("read the venue", "fetch scores", "history", "streams")]
        assert places == sorted(places)
        reach = {kind: 10 * MINUTE + AGES.age_ms_max(kind) + HOUR_MS for kind in KINDS}
        assert sorted(it.publisher.asked) == sorted(
            (kind, "BTCUSDT", START - reach[kind]) for kind in KINDS
        )
        assert it.value("funding_rate", START) == 0.001
        assert it.value("long_short_ratio", START) == 2.001
        assert {row.name: row.value for row in scene.rows(ScoreRow)} == {
            "funding_rate BTCUSDT": 0.001,
            "open_interest BTCUSDT": 1.001,
            "long_short_ratio BTCUSDT": 2.001,
        }
        assert await scene.stop() == 0

    virtually(starts)


def test_a_start_without_an_answer_goes_on() -> None:
    """Nobody can be asked: told once for each kind, and the session begins."""

    async def starts(_: LoopClock) -> None:
        def keeper(clock: object) -> Kept:
            it = kept(clock)  # type: ignore[arg-type]
            it.publisher.failing = set(KINDS)
            return it

        scene = stage(keeper=lambda clock, _touched: keeper(clock).keeper)
        await scene.begin()
        await scene.clock.move(1)
        assert "streams" in scene.touched
        found = [row for row in scene.rows(AlertRow) if row.code == AlertCode.CONTEXT_UNREADABLE]
        assert [row.level for row in found] == [Level.WARNING] * 3
        assert await scene.stop() == 0

    virtually(starts)


def test_a_source_that_hangs_holds_a_start_up_for_a_bounded_time() -> None:
    async def starts(clock: LoopClock) -> None:
        it = kept(clock)
        it.publisher.slow = (clock, 3_600.0)
        await it.start()
        assert clock.now_ms() == START + REFRESH.start_seconds_max * 1000
        assert it.alerts() == [AlertCode.CONTEXT_UNREADABLE] * 3
        assert "no answer within 20 s" in str(it.told[0])

    virtually(starts)


@pytest.mark.parametrize("kind", KINDS)
def test_a_score_that_is_too_old_is_unknown_and_never_a_guess(kind: str) -> None:
    async def ages(clock: LoopClock) -> None:
        it = kept(clock)
        it.publisher.publish(kind, {START: 0.05})
        await it.start()
        age_ms = AGES.age_ms_max(kind)
        it.publisher.failing = {kind}
        await running(it, clock, age_ms / 1000 - 60)
        assert it.value(kind, START + age_ms - MINUTE) == 0.05
        assert math.isnan(it.value(kind, START + age_ms))

    virtually(ages)


def test_a_refresh_that_fails_keeps_what_is_known_and_is_told_once() -> None:
    async def fails(clock: LoopClock) -> None:
        it = kept(clock)
        it.publisher.publish("funding_rate", {START: 1e-4})
        await it.start()
        assert it.alerts() == []
        it.publisher.failing = {"funding_rate"}
        await running(it, clock, 600.0)
        assert it.alerts() == [AlertCode.CONTEXT_UNREADABLE]
        said = "funding_rate: BTCUSDT: no route to the venue. What is known counts until it is 9 h"
        assert said in str(it.told[-1])
        assert it.value("funding_rate", START + 10 * MINUTE) == 1e-4
        it.publisher.failing = set()
        await running(it, clock, 600.0)
        assert it.alerts() == [AlertCode.CONTEXT_UNREADABLE, AlertCode.CONTEXT_READABLE]

    virtually(fails)


def test_each_kind_is_fetched_in_its_own_interval_and_only_what_is_new() -> None:
    async def refreshes(clock: LoopClock) -> None:
        it = kept(clock)
        it.publisher.publish("open_interest", {START: 1.0})
        await it.start()
        it.publisher.asked.clear()
        it.publisher.publish("open_interest", {START + 5 * MINUTE: 2.0})
        await running(it, clock, 601.0)
        asked = [kind for kind, _, _ in it.publisher.asked]
        assert {kind: asked.count(kind) for kind in KINDS} == {
            "funding_rate": 10,
            "open_interest": 5,
            "long_short_ratio": 5,
        }
        since = [since for kind, _, since in it.publisher.asked if kind == "open_interest"]
        assert since == [START + 1, *[START + 5 * MINUTE + 1] * 4]
        assert it.value("open_interest", START + 3 * MINUTE) == 1.0
        assert it.value("open_interest", START + 4 * MINUTE) == 2.0
        assert it.scores() == [("open_interest BTCUSDT", 1.0), ("open_interest BTCUSDT", 2.0)]

    virtually(refreshes)


def test_one_symbol_that_fails_keeps_no_other_from_being_fetched() -> None:
    async def starts(clock: LoopClock) -> None:
        it = kept(clock, symbols=("BTCUSDT", "ETHUSDT"))
        it.publisher.publish("funding_rate", {START: 2e-4}, "ETHUSDT")
        it.publisher.failing = {"BTCUSDT"}
        await it.start()
        assert it.value("funding_rate", START, "ETHUSDT") == 2e-4
        assert math.isnan(it.value("funding_rate", START))
        assert it.alerts() == [AlertCode.CONTEXT_UNREADABLE] * 3

    virtually(starts)


def test_where_nobody_is_answered_the_rest_is_not_asked() -> None:
    async def starts(clock: LoopClock) -> None:
        symbols = tuple(f"S{number}USDT" for number in range(3 * CALLS_AT_ONCE))
        it = kept(clock, symbols=symbols)
        it.publisher.failing = set(KINDS)
        await it.start()
        assert len(it.publisher.asked) == len(KINDS) * CALLS_AT_ONCE
        assert f"and {len(symbols) - 3} more" in str(it.told[0])

    virtually(starts)


def test_nonsense_of_a_venue_is_not_taken_up() -> None:
    """A funding rate of 40 % is an error of somebody's, as in a file."""

    async def starts(clock: LoopClock) -> None:
        it = kept(clock)
        it.publisher.publish("funding_rate", {START: 0.4})
        await it.start()
        assert it.alerts() == [AlertCode.CONTEXT_UNREADABLE]
        assert math.isnan(it.value("funding_rate", START))

    virtually(starts)


# --- lake and state -------------------------------------------------------------------------------


def test_what_was_fetched_is_in_the_lake_for_a_backtest_after_it() -> None:
    async def keeps(clock: LoopClock) -> None:
        it = kept(clock)
        it.publisher.publish("funding_rate", {START: 1e-4})
        await it.start()
        assert it.lake.keys() == []
        await running(it, clock, 1.0)
        key = key_of("funding_rate")
        assert it.lake.kept == {key: {START: 1e-4}}
        it.publisher.publish("funding_rate", {START + HOUR_MS: 2e-4})
        await running(it, clock, 3_700.0)
        await it.keeper.close()
        assert it.lake.kept == {key: {START: 1e-4, START + HOUR_MS: 2e-4}}
        assert it.publisher.closed == 1

    virtually(keeps)


def test_what_a_simulated_exchange_told_never_gets_into_the_lake() -> None:
    async def keeps(clock: LoopClock) -> None:
        it = kept(clock, writes_lake=False)
        it.publisher.publish("funding_rate", {START: 1e-4})
        await it.start()
        await running(it, clock, 10.0)
        await it.keeper.close()
        assert it.lake.keys() == []

    virtually(keeps)


class BusyLake(MemoryContextStore):
    """Somebody else writes there."""

    is_busy = True
    merges = 0

    def merge(self, series: ContextSeries, *, origin: str) -> MergeReport:
        self.merges += 1
        if self.is_busy:
            raise LakeBusyError("process 7 is writing here")
        return super().merge(series, origin=origin)


def test_a_lake_that_is_busy_is_tried_again() -> None:
    async def keeps(clock: LoopClock) -> None:
        it = kept(clock)
        busy = BusyLake()
        it.keeper._lake = busy
        it.publisher.publish("funding_rate", {START: 1e-4})
        await it.start()
        await running(it, clock, 10.0)
        assert (busy.merges, busy.keys()) == (1, [])
        busy.is_busy = False
        await it.keeper.close()
        assert busy.kept == {key_of("funding_rate"): {START: 1e-4}}

    virtually(keeps)


class FailingLake(BusyLake):
    """Its disk fails, and there is a file in it that nobody can read."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0

    def keys(self) -> list[ContextKey]:
        self.asked += 1
        if self.asked % 2:
            raise OSError(errno.EIO, "input/output error")
        return [key_of("funding_rate")]

    def read(
        self, key: ContextKey, start_ms: int | None = None, end_ms: int | None = None
    ) -> ContextSeries:
        raise UserError(f"{key} cannot be kept")

    def merge(self, series: ContextSeries, *, origin: str) -> MergeReport:
        self.merges += 1
        raise OSError(errno.EIO, "input/output error")


def test_a_lake_that_fails_ends_no_session_and_is_asked_again() -> None:
    async def keeps(clock: LoopClock) -> None:
        it = kept(clock)
        it.keeper._lake = failing = FailingLake()
        it.publisher.publish("funding_rate", {START: 1e-4})
        await it.start()
        keeping = asyncio.create_task(it.keeper.keep())
        await clock.sleep(2 * REFRESH.lake_minutes * 60 + 1)
        assert not keeping.done()
        assert (failing.asked, failing.merges) == (3, 3)
        assert it.value("funding_rate", START) == 1e-4
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)
        await it.keeper.close()

    virtually(keeps)


@pytest.mark.parametrize("error", [UserError("no such kind"), OSError(errno.EMFILE, "no files")])
def test_whatever_a_venue_causes_is_told_and_ends_no_session(error: Exception) -> None:
    async def keeps(clock: LoopClock) -> None:
        it = kept(clock)

        async def fails(_kind: str, _symbol: str, _since_ms: int) -> ContextSeries:
            raise error

        await it.start()
        reads, it.publisher.read = it.publisher.read, fails  # type: ignore[method-assign,assignment]
        keeping = asyncio.create_task(it.keeper.keep())
        await clock.sleep(600.0)
        assert not keeping.done()
        assert it.alerts() == [AlertCode.CONTEXT_UNREADABLE] * 3
        it.publisher.read = reads  # type: ignore[method-assign]
        await clock.sleep(600.0)
        assert it.alerts()[3:] == [AlertCode.CONTEXT_READABLE] * 3
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)

    virtually(keeps)


def test_what_is_imported_meanwhile_is_taken_in() -> None:
    async def keeps(clock: LoopClock) -> None:
        it = kept(clock)
        await it.start()
        it.lake.merge(rows(key_of("open_interest"), [START], [3.0]), origin="test")
        assert math.isnan(it.value("open_interest", START))
        await running(it, clock, REFRESH.lake_minutes * 60 + 1)
        assert it.value("open_interest", START + 61 * MINUTE) == 3.0

    virtually(keeps)


def test_the_state_keeps_the_newest_scores_with_the_time_they_were_fetched() -> None:
    """ "funding_rate_cache, oi_cache, ls_ratio_cache": value and timestamp, of the first symbol."""

    async def keeps(clock: LoopClock) -> None:
        it = kept(clock, symbols=("BTCUSDT", "ETHUSDT"))
        store = MemoryStore([])
        state = ScoredState(store, it.keeper)
        await state.write(SessionState())
        assert store.states[-1].oi_cache is None
        for number, kind in enumerate(KINDS):
            it.publisher.publish(kind, {START - HOUR_MS: 0.01 * (number + 1)})
            it.publisher.publish(kind, {START: 0.09}, "ETHUSDT")
        await it.start()
        await state.write(SessionState(account_balance=5.0))
        found = (await state.read_full_snapshot()).state
        assert found.account_balance == 5.0
        assert found.funding_rate_cache == CachedScore(0.01, START)
        assert found.oi_cache == CachedScore(0.02, START)
        assert found.ls_ratio_cache == CachedScore(0.03, START)
        await state.close()

    virtually(keeps)


def test_scores_that_were_kept_stay_until_newer_ones_were_fetched() -> None:
    """A session goes on from a state that has scores, and writes it before it has fetched any."""

    async def keeps(clock: LoopClock) -> None:
        it = kept(clock)
        store = MemoryStore([])
        state = ScoredState(store, it.keeper)
        old = [CachedScore(float(number), START - HOUR_MS) for number in range(3)]
        begun = SessionState(
            funding_rate_cache=old[0], oi_cache=old[1], ls_ratio_cache=old[2], session_id="s0"
        )
        plan = Cast().session_plan(Script())
        session = Session(plan, live_rules(mode="paper"), SessionMemory(begun, "s1"))
        await state.write(session.snapshot.state())
        found = store.states[-1]
        assert [found.funding_rate_cache, found.oi_cache, found.ls_ratio_cache] == old
        await state.write(moment_of(session).state())  # after any event
        assert store.states[-1].oi_cache == old[1]
        it.publisher.publish("open_interest", {START: 7.0})
        await it.start()
        await state.write(moment_of(session).state())
        found = store.states[-1]
        assert [found.funding_rate_cache, found.ls_ratio_cache] == [old[0], old[2]]
        assert found.oi_cache == CachedScore(7.0, START)

    virtually(keeps)


# --- what was decided on --------------------------------------------------------------------------


def decided(beside: KnownContext, plan: SessionPlan) -> list[JournalRow]:
    """Rows of a session of `plan` over two hours of bars, shown what `beside` knows."""
    session = Session(plan, live_rules(mode="paper"), SessionMemory(SessionState(), "s1"))
    wrote: list[JournalRow] = [session_row(session, settings(), START)]

    def hand(event: Event) -> None:
        turn: Event | None = event
        while turn is not None:
            for command in session.handle(turn):
                if isinstance(command, WriteJournal):
                    wrote.extend(command.rows)
            turn = session.next_turn()

    hand(TimerFired(START))
    hand(VenueRead(START, VenueSnapshot(START, 10_000.0, 10_000.0, (), (), ())))
    collector = BarCollector(plan.symbols, 1_500, beside)
    for minute in range(120):
        opened = START + minute * MINUTE
        item = FeedBar("BTCUSDT", bar_of(opened, 100.0 + minute % 7), opened + MINUTE)
        beside.see(item)
        for event in collector.add(item, opened + MINUTE):
            hand(event)
    return wrote


def test_a_session_is_decided_again_with_the_context_that_it_had() -> None:
    """Every bar is journaled with its context: `tercel parity` asks nobody what was known when."""
    request = RunRequest((load_strategy("funding"),), ("BTCUSDT",), "binance-usdm", "1m")
    plan = live_plan(settings(), request, {})
    beside = KnownContext(plan, settings().context)
    beside.note_venue(rows(key_of("funding_rate"), [START, START + HOUR_MS], [2e-3, -1e-3]), 0)
    wrote = decided(beside, plan)
    bars = [
        event
        for row in wrote
        if isinstance(row, InputRow)
        for event in (decode_event(row.kind, row.payload),)
        if isinstance(event, BarsClosed)
    ]
    rates = [float(event.contexts[0]["funding_rate"]) for event in bars]
    assert rates == [2e-3] * 59 + [-1e-3] * 61
    found = decide_again(record_of(wrote), plan)
    assert found.is_equal, found.difference
    assert found.compared["evaluation"] == 120
    blind = decided(KnownContext(plan, settings().context), plan)
    evaluations = [
        [row for row in each if isinstance(row, EvaluationRow)] for each in (wrote, blind)
    ]
    assert [row.reason for row in evaluations[0]] != [row.reason for row in evaluations[1]]
