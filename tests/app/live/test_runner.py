"""The runner on a clock that a test moves by hand: what is touched in which order, what ends it."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

import numpy as np
import pytest
from tests.app.live.scenes import (
    FEE_RATE,
    FOR_EVER,
    MINUTE,
    QUIET,
    START,
    Cast,
    Script,
    ScriptedVenue,
    bar_of,
    live_rules,
    refused,
    settings,
)
from tests.desk import Ask

from tercel.adapters.clock import VirtualClock
from tercel.app.live.alerts import AlertCode
from tercel.app.live.bar_collector import BarCollector
from tercel.app.live.context_keeper import ContextKeeper
from tercel.app.live.health import FeedHealth
from tercel.app.live.runner import Runner, stamped
from tercel.app.live.session import Session, SessionMemory
from tercel.app.live.surroundings import Surroundings
from tercel.app.live.venue_clock import VenueClock
from tercel.app.ports import FeedBar, FeedQuote
from tercel.app.signals import unknown_context
from tercel.core.codes import OrderKind, Side, Slot
from tercel.core.plan import TradePlan
from tercel.core.records import CONTEXT, Records
from tercel.domain.commands import (
    Alert,
    CancelOrder,
    Command,
    EndSession,
    PlaceOrder,
    QueryOrder,
    ReadVenue,
)
from tercel.domain.errors import DataError, LeaseLostError, StorageError, UserError, VenueError
from tercel.domain.events import (
    Answer,
    BarsClosed,
    Decide,
    Event,
    FeedNews,
    Filled,
    FundingPaid,
    JournalNews,
    MinuteEnded,
    Operation,
    OrderUpdate,
    Placed,
    TimerFired,
    VenueRead,
)
from tercel.domain.journal import (
    AlertRow,
    EvaluationRow,
    InputRow,
    IntentRow,
    JournalRow,
    RefusalRow,
    SessionEndRow,
    SessionRow,
)
from tercel.domain.lease import LeaseHolder
from tercel.domain.orders import OrderPhase, OrderRequest, VenueFill, VenueSnapshot
from tercel.domain.session_state import SessionState, StateRead
from tercel.domain.venue_instrument import VenueInstrument

FIRST = SessionRow("s1", START, "live", "scripted", "told0", "BTCUSDT", "1m", "{}", b"")
T = TypeVar("T")
YIELDS = 60
"""Turns of the loop after which nothing that waits for no time is left to do."""
YIELDS_BETWEEN = 8
"""After each that waited for time: enough for whoever was woken."""
_loop = VirtualClock(slept_seconds_max=1.0)


async def yield_once() -> None:
    """Let other tasks run."""
    await _loop.sleep(0.0)


class HandClock:
    """A clock that moves when a test says so."""

    def __init__(self, now_ms: int) -> None:
        self._now_ms = now_ms
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []
        self._number = 0

    def now_ms(self) -> int:
        return self._now_ms

    async def sleep(self, seconds: float) -> None:
        self._number += 1
        turn = asyncio.get_running_loop().create_future()
        due = self._now_ms + round(seconds * 1000)
        heapq.heappush(self._waiting, (due, self._number, turn))
        await turn

    async def move(self, ms: int) -> None:
        """Time passes; whoever waited goes on, in order."""
        end = self._now_ms + ms
        while self._waiting and self._waiting[0][0] <= end:
            due, _, turn = heapq.heappop(self._waiting)
            self._now_ms = max(self._now_ms, due)
            if not turn.done():
                turn.set_result(None)
            for _ in range(YIELDS_BETWEEN):
                await yield_once()
        self._now_ms = end
        for _ in range(YIELDS):
            await yield_once()


class MemoryStore:
    """ports.StateStore in memory."""

    def __init__(self, touched: list[str]) -> None:
        self._touched = touched
        self.states: list[SessionState] = []
        self.is_down = False
        self.is_taken = False
        """Another session has the place."""
        self.refused = 0
        self.gate: asyncio.Future[None] | None = None
        """A write waits for it, and fails as it does."""

    async def read_full_snapshot(self) -> StateRead:
        self._touched.append("read the state")
        return StateRead(self.states[-1] if self.states else SessionState())

    async def write(self, state: SessionState) -> None:
        await yield_once()
        if self.is_down:
            raise StorageError("the state store is gone")
        if self.is_taken:
            self.refused += 1
            raise LeaseLostError("session s2 has it")
        if self.gate is not None:
            await self.gate
        self._touched.append("state")
        self.states.append(state)

    async def close(self) -> None:
        """Nothing is open."""


class MemoryJournal:
    """ports.Journal in memory."""

    def __init__(self, touched: list[str]) -> None:
        self._touched = touched
        self.rows: list[JournalRow] = []
        self.is_down = False

    async def write(self, rows: Sequence[JournalRow]) -> None:
        await yield_once()
        if self.is_down:
            raise StorageError("the disk is full")
        self._touched.append("journal")
        self.rows.extend(rows)

    async def read(
        self, table: str, session_id: str | None = None, *, limit: int | None = None
    ) -> tuple[JournalRow, ...]:
        return tuple(self.rows)

    async def close(self) -> None:
        """Nothing is open."""


class Stream(Generic[T]):
    """Items that a test puts in, until it is closed; an exception is raised to whoever reads."""

    def __init__(self) -> None:
        self._items: asyncio.Queue[T | Exception | None] = asyncio.Queue()

    def put(self, item: T | Exception | None) -> None:
        self._items.put_nowait(item)

    async def read(self) -> AsyncIterator[T]:
        while (item := await self._items.get()) is not None:
            if isinstance(item, Exception):
                raise item
            yield item


class FakeVenue:
    """ports.Venue around a ScriptedVenue."""

    name = "scripted"

    def __init__(self, desk: ScriptedVenue, touched: list[str], now: Callable[[], int]) -> None:
        self.desk = desk
        self._touched = touched
        self._now = now
        self.stream = Stream[Event]()
        self.ahead_ms = 0
        self.on_place: Callable[[OrderRequest], None] = lambda _: None
        self.failure: Exception | None = None
        """Raised by a placement."""
        self.closed = 0

    async def connect(self) -> None:
        self._touched.append("connect")

    async def open(self) -> None:
        self._touched.append("open the venue")

    def on_clock_error(self, tell: Callable[[], None]) -> None:
        """Its clock is never wrong."""

    async def place(self, request: OrderRequest) -> Answer:
        self._touched.append(f"place {request.slot.name.lower()}")
        self.on_place(request)
        if self.failure is not None:
            raise self.failure
        return await self._answer(PlaceOrder(request))

    async def cancel(self, client_id: str, symbol: str, *, is_conditional: bool) -> Answer:
        self._touched.append("cancel")
        return await self._answer(CancelOrder(client_id, symbol, is_conditional))

    async def query(self, client_id: str, symbol: str, *, is_conditional: bool) -> Answer:
        self._touched.append("query")
        return await self._answer(QueryOrder(client_id, symbol, is_conditional))

    async def _answer(self, command: Command) -> Answer:
        await yield_once()
        event = self.desk.take(command, self._now())
        self.flush()
        if event is None:
            await asyncio.get_running_loop().create_future()  # nobody will ever answer
        answer: Answer = event.answer  # type: ignore[union-attr]
        return answer

    async def read(self, symbols: Sequence[str], since_ms: int) -> VenueSnapshot:
        self._touched.append("read the venue")
        await yield_once()
        event = self.desk.take(ReadVenue(tuple(symbols), since_ms), self._now())
        assert isinstance(event, VenueRead)
        if event.snapshot is None:
            raise VenueError(event.trouble)
        return event.snapshot

    async def time_ms(self) -> int:
        self._touched.append("venue time")
        return self._now() + self.ahead_ms

    def news(self) -> AsyncIterator[Event]:
        return self.stream.read()

    def flush(self) -> None:
        """What the venue has to tell goes into the user stream."""
        while self.desk.news:
            self.stream.put(replace(self.desk.news.popleft(), time_ms=0))

    async def close(self) -> None:
        self._touched.append("close the venue")
        self.closed += 1


class FakeFeed:
    """ports.MarketFeed that a test feeds."""

    def __init__(self, touched: list[str]) -> None:
        self._touched = touched
        self.stream = Stream[FeedBar | FeedQuote | FeedNews]()

    async def instruments(self, symbols: Sequence[str]) -> Mapping[str, VenueInstrument]:
        return {}

    def watch_beside(self, symbol: str) -> None:
        self._touched.append(f"watch {symbol} beside")

    async def open(self, symbols: Sequence[str], timeframe: str) -> None:
        self._touched.append(f"open the feed {','.join(symbols)} {timeframe}")

    def items(self) -> AsyncIterator[FeedBar | FeedQuote | FeedNews]:
        self._touched.append("streams")
        return self.stream.read()

    async def history(self, symbol: str, timeframe: str, start_ms: int, end_ms: int) -> Records:
        raise AssertionError("the runner asks `history` of its surroundings")

    async def close(self) -> None:
        self._touched.append("close the feed")


@dataclass
class Stage:
    """A runner, everything around it, and what happened."""

    touched: list[str]
    clock: HandClock
    venue: FakeVenue
    feed: FakeFeed
    store: MemoryStore
    journal: MemoryJournal
    script: Script
    runner: Runner
    told: list[Command | Event]
    task: asyncio.Task[int] | None = None
    minute: int = START

    async def begin(self) -> Stage:
        """Run until the streams are read."""
        self.task = asyncio.create_task(self.runner.run((FIRST,)))
        await self.clock.move(0)
        return self

    async def bar(self, close: float = 100.0, ask: Ask | None = None, late_ms: int = 50) -> None:
        """Quotes and the closed bar of the next minute arrive `late_ms` after its close."""
        if ask is not None:
            self.script.asks[0, self.minute] = ask
        end = self.minute + MINUTE
        while self.clock.now_ms() < end + late_ms:
            self.quote(close)
            await self.clock.move(min(8_000, end + late_ms - self.clock.now_ms()))
        self.quote(close)
        now = self.clock.now_ms()
        self.feed.stream.put(FeedBar("BTCUSDT", bar_of(self.minute, close), now))
        self.minute = end
        await self.clock.move(0)

    def quote(self, price: float) -> None:
        """Best bid and ask around `price`, now."""
        now = self.clock.now_ms()
        self.feed.stream.put(FeedQuote("BTCUSDT", price - 0.01, price + 0.01, 5.0, 5.0, now, now))

    def rows(self, kind: type[Any]) -> list[Any]:
        """Journal rows of a kind, as stored."""
        return [row for row in self.journal.rows if isinstance(row, kind)]

    def alerts(self) -> list[str]:
        """Codes of what was told."""
        return [each.code for each in self.told if isinstance(each, Alert)]

    async def stop(self) -> int:
        """SIGTERM; the exit code."""
        self.runner.submit(Operation.STOP, "signal")
        return await self.end()

    async def end(self) -> int:
        """Time passes until the runner has ended; its exit code."""
        assert self.task is not None
        for _ in range(200):
            if self.task.done():
                break
            await self.clock.move(250)
        return self.task.result()


class KillNote:
    """A KILL file that lies there from the look on at which `files` says so, until it is taken."""

    def __init__(self, files: Iterator[bool]) -> None:
        self._files = files
        self._lies = False
        self.taken = 0

    def is_there(self) -> bool:
        self._lies = self._lies or next(self._files, False)
        return self._lies

    def take(self) -> bool:
        self._lies, was = False, self._lies
        self.taken += 1
        return was


def stage(
    cast: Cast | None = None,
    desk: ScriptedVenue | None = None,
    state: SessionState | None = None,
    history: Sequence[BarsClosed] = (),
    kill_file: Iterable[bool] = (),
    keeper: Callable[[HandClock, list[str]], ContextKeeper] | None = None,
    **rules: Any,
) -> Stage:
    """A runner over fakes; nothing runs yet."""
    touched: list[str] = []
    clock = HandClock(START)
    script = Script()
    plan = (cast or Cast()).session_plan(script)
    made = Session(plan, live_rules(**rules), SessionMemory(state or SessionState(), "s1"))
    venue = FakeVenue(desk or ScriptedVenue(), touched, clock.now_ms)
    feed, store, journal = FakeFeed(touched), MemoryStore(touched), MemoryJournal(touched)
    every = settings()
    health = FeedHealth(
        plan.symbols, plan.bar_ms, every.health, every.session.fresh_ms_max, clock.now_ms()
    )
    known = np.zeros(1, CONTEXT)
    known[:] = unknown_context()

    async def before() -> list[BarsClosed]:
        touched.append("history")
        return list(history)

    files = iter(kill_file)
    told: list[Command | Event] = []
    around = Surroundings(
        venue=venue,
        feed=feed,
        state=store,
        journal=journal,
        clock=VenueClock(clock, venue.time_ms, 30.0),
        health=health,
        collector=BarCollector(plan.symbols, 1_500, lambda *_: known, health.view),
        history=before,
        context=None if keeper is None else keeper(clock, touched),
        kill_file=KillNote(files),
    )
    runner = Runner(made, around, told.append)
    return Stage(touched, clock, venue, feed, store, journal, script, runner, told)


def once(names: Sequence[str]) -> list[str]:
    """The names without repetition, in the order of their first."""
    return list(dict.fromkeys(names))


# --- the start ------------------------------------------------------------------------------------


async def test_the_order_of_a_start() -> None:
    """spec/live.md, Start-up: state, venue clock, recovery, history, streams, in this order.

    The state is read before the session is made; the gate is asked between the two
    (test_session_gate.py); the journal has the session's row before the venue is contacted.
    """
    scene = stage()
    await scene.store.read_full_snapshot()
    await scene.begin()
    starts = [name for name in once(scene.touched) if name != "state"]
    assert starts == [
        "read the state",
        "journal",
        "connect",
        "venue time",
        "open the venue",
        "read the venue",
        "history",
        "open the feed BTCUSDT 1m",
        "streams",
    ]
    assert scene.rows(SessionRow) == [FIRST]
    assert await scene.stop() == 0
    assert scene.touched[-2:] == ["close the feed", "close the venue"]


async def test_a_journal_that_cannot_be_written_refuses_the_start() -> None:
    """Later it would only block entries, for ever: at the start somebody is there to be told."""
    scene = stage()
    scene.journal.is_down = True
    with pytest.raises(StorageError):
        await scene.runner.run((FIRST,))
    assert [name for name in scene.touched if not name.startswith(("journal", "close"))] == []


async def test_a_start_that_the_venue_refuses_has_an_end_in_the_journal() -> None:
    """Else it would look as if somebody had killed it."""
    scene = stage()

    async def refuses() -> None:
        raise VenueError("the venue does not take the key")

    scene.runner._around.venue.open = refuses  # type: ignore[method-assign]
    with pytest.raises(VenueError):
        await scene.runner.run((FIRST,))
    [end] = scene.rows(SessionEndRow)
    assert (end.exit_code, end.why) == (1, "did not start: the venue does not take the key")


async def test_but_not_where_a_position_has_to_be_looked_after() -> None:
    """Its stop is gone, and the disk is full: the position is closed without a journal."""
    before = await stage().begin()
    await before.bar(ask=Ask())
    await before.stop()
    desk, state = before.venue.desk, before.store.states[-1]
    [stop] = desk.resting(Slot.STOP)
    desk.lose(stop.request.client_id, tells=False)
    scene = stage(desk=desk, state=state)
    scene.journal.is_down = True
    await scene.begin()
    await scene.clock.move(3_000)
    assert desk.positions["BTCUSDT"][0] == 0.0
    assert {AlertCode.JOURNAL_DOWN, AlertCode.UNPROTECTED_POSITION_ON_STARTUP} <= {*scene.alerts()}
    scene.journal.is_down = False
    await scene.clock.move(3_000)
    assert scene.rows(type(FIRST)) == [FIRST], "what was to be written is written once"
    await scene.stop()


async def test_nothing_is_decided_before_state_and_venue_agree() -> None:
    """The venue cannot be read: the session asks again, and neither history nor streams begin."""
    scene = stage()
    scene.venue.desk.script("read", refused(), times=3)
    await scene.begin()
    assert "history" not in scene.touched
    await scene.clock.move(2_000)
    assert scene.touched.count("read the venue") == 4
    assert "streams" in scene.touched
    assert AlertCode.VENUE_UNREADABLE in scene.alerts()
    await scene.stop()


async def test_a_position_nobody_knows_refuses_to_start() -> None:
    """Exit 1 with the reason; no feed was opened, and the journal says why."""
    desk = ScriptedVenue()
    desk.positions["BTCUSDT"] = (2.0, 100.0)
    scene = await stage(desk=desk).begin()
    assert await scene.end() == 1
    assert "history" not in scene.touched
    [row] = scene.rows(SessionEndRow)
    assert row.exit_code == 1
    assert "BTCUSDT: the venue holds 2 at 100" in row.why
    assert [order for order in scene.touched if order.startswith("place")] == []


async def test_history_is_seen_and_not_traded() -> None:
    """Bars of before the start go through the same steps, and nobody acts on them."""
    scene = stage()
    for k in (3, 2, 1):
        scene.script.asks[0, START - k * MINUTE] = Ask()
    contexts = np.zeros(1, CONTEXT)
    contexts[:] = unknown_context()
    past = [
        BarsClosed(START, (0,), bar_of(START - k * MINUTE, 100.0), contexts, is_late=True)
        for k in (3, 2, 1)
    ]
    scene.runner._around = replace(scene.runner._around, history=_given(past))
    await scene.begin()
    assert scene.script.seen == [(0, START - k * MINUTE) for k in (3, 2, 1)]
    assert scene.rows(EvaluationRow) == []
    kinds = [row.kind for row in scene.rows(InputRow)]
    assert kinds.count("BarsClosed") == 3, "they decide what comes, so they are journaled"
    assert not any(name.startswith("place") for name in scene.touched)
    await scene.stop()


def _given(events: list[BarsClosed]) -> Any:
    async def history() -> list[BarsClosed]:
        return events

    return history


async def test_a_strategy_that_fails_on_history_ends_the_session() -> None:
    """It is not forgotten because nobody acts on those bars: exit 1, no feed."""
    contexts = np.zeros(1, CONTEXT)
    contexts[:] = unknown_context()
    past = [BarsClosed(START, (0,), bar_of(START - MINUTE, 100.0), contexts, is_late=True)]
    scene = stage(history=past)
    scene.script.failing.add(0)
    await scene.begin()
    assert await scene.end() == 1
    assert AlertCode.STRATEGY_FAILED in scene.alerts()
    assert "streams" not in scene.touched


# --- journal first --------------------------------------------------------------------------------


async def test_journal_and_state_are_durable_before_an_order_leaves() -> None:
    """Whatever is placed is in the stored journal as an intent, and in the stored state."""
    scene = stage()
    checked: list[Slot] = []

    def look(request: OrderRequest) -> None:
        intents = [row.client_id for row in scene.rows(IntentRow) if row.action == "place"]
        assert request.client_id in intents
        kept = [order.request.client_id for order in scene.store.states[-1].orders]
        assert request.client_id in kept
        checked.append(request.slot)

    scene.venue.on_place = look
    await scene.begin()
    await scene.bar(ask=Ask())
    assert checked == [Slot.ENTRY, Slot.STOP, Slot.TARGET_1]
    await scene.bar(ask=Ask(side=Side.NONE, exit_long=True))
    assert checked[3:] == [Slot.CLOSE]
    assert await scene.stop() == 0


async def test_an_entry_is_on_its_way_before_the_rest_of_its_close_is_worked_on() -> None:
    """Quiet evaluations, the shadow's account and the question after positions come behind it."""
    scene = stage()
    told_before: list[int] = []

    def look(request: OrderRequest) -> None:
        if request.slot is Slot.ENTRY:
            told_before.append(sum(isinstance(each, MinuteEnded) for each in scene.told))

    scene.venue.on_place = look
    await scene.begin()
    await scene.bar()
    await scene.bar(ask=Ask())
    assert told_before == [1], "of the bar before alone"
    assert sum(isinstance(each, MinuteEnded) for each in scene.told) == 2
    assert await scene.stop() == 0


async def test_inputs_are_journaled_once_and_without_a_gap() -> None:
    """Numbers from 1 on, in their order, whatever was written beside the loop."""
    scene = await stage().begin()
    for _ in range(3):
        await scene.bar(ask=Ask())
    await scene.stop()
    numbers = [row.number for row in scene.rows(InputRow)]
    assert numbers == list(range(1, len(numbers) + 1))


@pytest.mark.parametrize("broken", ["journal", "store"])
async def test_a_store_that_fails_blocks_entries_but_not_exits(broken: str) -> None:
    """JOURNAL_DOWN: no entry, exits go on. JOURNAL_UP: entries again, no row is lost or twice."""
    scene = await stage().begin()
    await scene.bar(ask=Ask())
    assert scene.venue.desk.positions["BTCUSDT"][0] == 1.0
    store: Any = getattr(scene, broken)
    store.is_down = True
    await scene.bar(ask=Ask(side=Side.NONE, exit_long=True))
    assert scene.venue.desk.positions["BTCUSDT"][0] == 0.0, "the exit was carried out"
    await scene.bar(ask=Ask())
    assert scene.venue.desk.positions["BTCUSDT"][0] == 0.0
    assert scene.alerts().count(AlertCode.JOURNAL_DOWN) == 1
    assert AlertCode.JOURNAL_UP not in scene.alerts()
    store.is_down = False
    await scene.clock.move(1_000)
    assert scene.alerts().count(AlertCode.JOURNAL_UP) == 1
    await scene.bar(ask=Ask())
    assert scene.venue.desk.positions["BTCUSDT"][0] == 1.0
    await scene.stop()
    numbers = [row.number for row in scene.rows(InputRow)]
    assert numbers == list(range(1, len(numbers) + 1))


async def test_the_entry_on_whose_intent_the_journal_fails_is_not_sent() -> None:
    """The first write that fails is that of the entry's own intent: it stays here."""
    scene = await stage().begin()
    await scene.bar()
    scene.journal.is_down = True
    await scene.bar(ask=Ask())
    assert not any(name.startswith("place") for name in scene.touched)
    assert AlertCode.JOURNAL_DOWN in scene.alerts()
    scene.journal.is_down = False
    await scene.clock.move(1_000)
    await scene.stop()


async def test_an_older_state_never_overwrites_a_newer_one() -> None:
    """A slow write of PAUSE fails after RESUME has made a newer state: that one is what is kept."""
    scene = await stage().begin()
    await scene.clock.move(200)
    gate = scene.store.gate = asyncio.get_running_loop().create_future()
    await scene.runner.submit(Operation.PAUSE, "test")
    await scene.clock.move(200)
    first = len(scene.store.states)
    await scene.runner.submit(Operation.RESUME, "test")
    scene.store.gate = None
    gate.set_exception(StorageError("the state store is locked"))
    await scene.clock.move(1_000)
    assert scene.store.states[first:]
    assert not any(state.is_paused for state in scene.store.states[first:])
    assert scene.alerts().count(AlertCode.JOURNAL_UP) == 1
    await scene.stop()


# --- what comes in --------------------------------------------------------------------------------


async def test_times_are_the_venue_s() -> None:
    """The venue is 5 s ahead: events, state and journal are dated by its clock."""
    scene = stage()
    scene.venue.ahead_ms = 5_000
    await scene.begin()
    await scene.runner.submit(Operation.PAUSE, "test")
    await scene.clock.move(200)
    [asked] = [row for row in scene.rows(InputRow) if row.kind == "OperatorAsked"]
    assert asked.time_ms == START + 5_000
    assert scene.store.states[-1].saved_ms >= START + 5_000
    assert {row.time_ms - START for row in scene.rows(AlertRow)} == {5_000}
    await scene.stop()


def test_news_is_stamped_when_it_is_taken_up() -> None:
    """The adapter's events carry no time of ours; answers and timers have theirs already."""
    fill = VenueFill("1", "a", "v", "BTCUSDT", 1, 100.0, 1.0, FEE_RATE, False, 7)
    for event in (
        OrderUpdate(0, "a", "v", OrderPhase.ACKED, 0.0),
        Filled(0, fill),
        FundingPaid(0, "BTCUSDT", 1.0),
        FeedNews(0, "user", is_up=True),
    ):
        assert stamped(event, 42) == replace(event, time_ms=42)
    assert stamped(TimerFired(3), 42) == TimerFired(3)


async def test_a_bar_that_comes_late_is_seen_and_not_traded() -> None:
    """Later than `fresh_ms_max`: WEBSOCKET_STALE; the next one on time is traded."""
    scene = await stage().begin()
    await scene.bar(ask=Ask(), late_ms=4_000)
    assert AlertCode.WEBSOCKET_STALE in scene.alerts()
    assert "place entry" not in scene.touched
    assert (0, START) in scene.script.seen
    await scene.bar()
    await scene.bar(ask=Ask())
    assert "place entry" in scene.touched
    await scene.stop()


async def test_feed_trouble_blocks_entries() -> None:
    """The market stream goes down and comes back: told, and no entry until it has recovered."""
    scene = await stage().begin()
    await scene.bar()
    scene.feed.stream.put(FeedNews(0, "market", is_up=False, detail="reset"))
    await scene.clock.move(0)
    await scene.bar(ask=Ask())
    assert "place entry" not in scene.touched
    scene.feed.stream.put(FeedNews(0, "market", is_up=True))
    await scene.clock.move(0)
    await scene.bar()
    await scene.bar(ask=Ask())
    assert "place entry" in scene.touched
    assert {AlertCode.FEED_DOWN, AlertCode.FEED_UP} <= set(scene.alerts())
    await scene.stop()


async def test_a_user_stream_that_is_down_is_polled() -> None:
    """Fills that nobody told are found by reading the venue."""
    scene = await stage().begin()
    await scene.bar(ask=Ask())
    scene.venue.stream.put(FeedNews(0, "user", is_up=False, detail="gone"))
    await scene.clock.move(0)
    desk = scene.venue.desk
    desk.tells = False
    [stop] = desk.resting(Slot.STOP)
    desk.fill(stop.request.client_id, 90.0, now=scene.clock.now_ms())
    await scene.clock.move(6_000)
    assert scene.runner.session.parts.desk.is_flat()
    assert scene.alerts().count(AlertCode.EVALUATION_RESUMED) == 1
    await scene.stop()


# --- ends -----------------------------------------------------------------------------------------


async def test_sigterm_leaves_protection_resting_and_exits_0() -> None:
    """Position, stop and target stay as they are; the state knows them; the journal is closed."""
    scene = await stage().begin()
    await scene.bar(ask=Ask())
    desk = scene.venue.desk
    assert await scene.stop() == 0
    assert {order.request.slot for order in desk.resting()} == {Slot.STOP, Slot.TARGET_1}
    assert desk.positions["BTCUSDT"][0] == 1.0
    assert len(scene.store.states[-1].active_position) == 1
    [row] = scene.rows(SessionEndRow)
    assert (row.exit_code, row.why) == (0, "asked by signal")
    assert scene.venue.closed == 1


async def test_sigterm_withdraws_a_resting_entry() -> None:
    """A limit entry does not stay behind."""
    scene = await stage(Cast(plan=TradePlan(entry="limit", entry_wait_bars=5))).begin()
    await scene.bar(ask=Ask())
    desk = scene.venue.desk
    [entry] = desk.resting(Slot.ENTRY)
    assert entry.request.kind == OrderKind.LIMIT
    assert await scene.stop() == 0
    assert desk.resting() == []


async def test_sigterm_waits_until_a_filled_entry_is_protected() -> None:
    """The fill and the signal come together: stop and target rest before the session ends."""
    scene = await stage().begin()
    asked: list[OrderRequest] = []

    def stop_at_entry(request: OrderRequest) -> None:
        asked.append(request)
        if request.slot is Slot.ENTRY:
            scene.runner.submit(Operation.STOP, "signal")

    scene.venue.on_place = stop_at_entry
    await scene.bar(ask=Ask())
    assert await scene.end() == 0
    desk = scene.venue.desk
    assert desk.positions["BTCUSDT"][0] == 1.0
    assert {order.request.slot for order in desk.resting()} == {Slot.STOP, Slot.TARGET_1}


async def test_sigterm_is_over_in_time_whatever_the_venue_does() -> None:
    """Nobody answers the entry any more: the session ends within `stop_ms_max` all the same."""
    scene = await stage().begin()
    scene.venue.desk.script("place", None, times=FOR_EVER)
    scene.venue.desk.script("query", None, times=FOR_EVER)
    await scene.bar(ask=Ask())
    begun = scene.clock.now_ms()
    assert await scene.stop() == 0
    assert scene.clock.now_ms() - begun <= settings().session.stop_ms_max


@pytest.mark.parametrize("error", [VenueError("the stream broke"), ValueError("a bug")])
@pytest.mark.parametrize("where", ["news", "feed", "place"])
async def test_a_failing_task_ends_the_session_with_exit_1(where: str, error: Exception) -> None:
    """Whatever raises where nothing should: the session ends, and its last row says why."""
    scene = await stage().begin()
    if where == "news":
        scene.venue.stream.put(error)
    elif where == "feed":
        scene.feed.stream.put(error)
    else:
        scene.venue.failure = error
        await scene.bar(ask=Ask())
    assert await scene.end() == 1
    [row] = scene.rows(SessionEndRow)
    assert row.exit_code == 1
    assert str(error) in row.why
    assert scene.venue.closed == 1


async def test_the_kill_file_kills_and_the_session_goes_on() -> None:
    """Cancelled, flattened, verified by reading the venue, latched."""
    scene = await stage(kill_file=[False] * 250 + [True]).begin()
    await scene.bar(ask=Ask())
    assert scene.venue.desk.positions["BTCUSDT"][0] == 1.0
    await scene.bar()
    assert scene.venue.desk.positions["BTCUSDT"][0] == 0.0
    await scene.clock.move(3_000)
    assert scene.venue.desk.resting() == []
    assert AlertCode.KILL_VERIFIED in scene.alerts()
    assert scene.store.states[-1].kill_latched == "asked by the KILL file"
    await scene.bar(ask=Ask())
    assert scene.touched.count("place entry") == 1
    assert await scene.stop() == 0


async def test_submit_is_done_once_it_was_handled() -> None:
    """Whoever asked may read the session's flags right after."""
    scene = await stage().begin()
    seen = []
    for operation in (Operation.PAUSE, Operation.RESUME):
        await scene.runner.submit(operation, "cli")
        seen.append(scene.runner.session.parts.flags.is_paused)
    assert seen == [True, False]
    await scene.stop()


async def test_a_queue_that_grows_blocks_entries() -> None:
    """More waits than `queue_max`: the queue is a feed that is down, until it is worked off."""
    scene = await stage(queue_max=100).begin()
    for _ in range(300):
        scene.runner._put(TimerFired(scene.clock.now_ms()))
    await scene.clock.move(0)
    for _ in range(10):
        await scene.clock.move(0)
    told = [each for each in scene.told if isinstance(each, Alert) and "queue" in each.text]
    assert [each.code for each in told] == [AlertCode.FEED_DOWN, AlertCode.FEED_UP]
    await scene.stop()


async def test_the_view_sees_what_was_handled() -> None:
    """`told` gets events in their order, and alerts."""
    scene = await stage().begin()
    await scene.bar(ask=Ask())
    kinds = {type(each) for each in scene.told}
    assert {BarsClosed, Placed, Filled, Alert, VenueRead} <= kinds
    assert JournalNews not in kinds
    assert EndSession not in kinds
    await scene.stop()


# --- the right to keep the state ------------------------------------------------------------------


class Lease:
    """StateLease; `failing` is raised by a renewal."""

    def __init__(self) -> None:
        self.renewed = self.released = 0
        self.failing: Exception | None = None

    async def claim(self, holder: LeaseHolder) -> None:
        """It was."""

    async def renew(self) -> None:
        if self.failing is not None:
            raise self.failing
        self.renewed += 1

    async def release(self) -> None:
        self.released += 1


def leased() -> tuple[Stage, Lease]:
    scene, lease = stage(), Lease()
    scene.runner._around = replace(scene.runner._around, lease=lease)
    return scene, lease


async def test_the_right_to_keep_the_state_is_renewed_and_given_back() -> None:
    scene, lease = leased()
    await scene.begin()
    before = lease.renewed
    for _ in range(4):
        await scene.clock.move(3_000)
    assert (before, lease.renewed) == (1, 5)
    lease.failing = StorageError("the server does not answer")
    await scene.clock.move(6_000)
    lease.failing = None
    await scene.clock.move(3_000)
    assert lease.renewed == 6
    assert await scene.stop() == 0
    assert lease.released == 1


async def test_a_session_whose_state_another_one_has_taken_ends_in_order() -> None:
    scene, lease = leased()
    await scene.begin()
    lease.failing = UserError("session s2 has it")
    await scene.clock.move(3_000)
    assert await scene.end() == 1
    [row] = scene.rows(SessionEndRow)
    assert "session s2 has it" in row.why


async def test_a_session_that_lost_its_lease_writes_no_state_any_more() -> None:
    scene, lease = leased()
    await scene.begin()
    await scene.bar()
    await scene.clock.move(1_000)
    kept = len(scene.store.states)
    lease.failing = LeaseLostError("session s2 has it")
    await scene.clock.move(3_000)
    assert await scene.end() == 1
    assert len(scene.store.states) == kept, "not even the last one"
    [end] = scene.rows(SessionEndRow)
    assert (end.exit_code, end.why) == (1, "session s2 has it"), "its journal goes on to the end"


async def test_a_write_that_finds_the_state_taken_ends_the_session_with_its_stop_resting() -> None:
    """The lease is looked at every few seconds, a write comes at any moment."""
    scene = stage()
    await scene.begin()
    await scene.bar(ask=Ask())
    await scene.clock.move(1_000)
    resting = dict(scene.venue.desk.orders)
    assert resting, "a position with its stop"
    kept = len(scene.store.states)
    scene.store.is_taken = True
    await scene.bar(ask=Ask())
    assert await scene.end() == 1
    assert (len(scene.store.states), scene.store.refused) == (kept, 1)
    assert scene.venue.desk.orders == resting
    [end] = scene.rows(SessionEndRow)
    assert (end.exit_code, end.why) == (1, "session s2 has it")


async def test_a_last_write_that_finds_the_state_taken_is_the_exit_code() -> None:
    scene = await stage().begin()
    scene.runner.submit(Operation.STOP, "signal")
    scene.store.is_taken = True
    assert await scene.end() == 1
    [end] = scene.rows(SessionEndRow)
    assert (end.exit_code, end.why) == (1, "session s2 has it")


# --- what must not leave a position to itself -----------------------------------------------------


def minute_of(count: int, open_time: int, now_ms: int) -> BarsClosed:
    """A closed bar of each of `count` symbols."""
    contexts = np.zeros(count, CONTEXT)
    contexts[:] = unknown_context()
    bars = np.concatenate([bar_of(open_time, 100.0)] * count)
    return BarsClosed(now_ms, tuple(range(count)), bars, contexts, (QUIET,) * count)


MANY = 6


async def many() -> Stage:
    """Six symbols, of which each enters at the first bar; it has not come yet."""
    cast = Cast(tuple(f"S{k}USDT" for k in range(MANY)), tuple(range(MANY)))
    scene = await stage(cast).begin()
    for k in range(MANY):
        scene.script.asks[k, START] = Ask()
    await scene.clock.move(MINUTE + 100)
    return scene


async def test_a_fill_between_two_decisions_has_its_stop_before_the_next_entry() -> None:
    """Six symbols enter at one close: none waits for its stop until the last has decided."""
    scene = await many()
    placed: list[tuple[int, Slot]] = []
    scene.venue.on_place = lambda request: placed.append((request.stream, request.slot))
    scene.runner._put(minute_of(MANY, START, scene.clock.now_ms()))
    await scene.clock.move(0)
    await scene.clock.move(0)
    stops = [placed.index((k, Slot.STOP)) for k in range(MANY)]
    assert stops[0] < placed.index((3, Slot.ENTRY))
    assert stops == sorted(stops)
    assert await scene.stop() == 0


async def test_the_next_bars_wait_for_the_end_of_a_close() -> None:
    """Whatever is late: each stream decides on the bar that it was asked about."""
    scene = await many()
    for minute in (START, START + MINUTE):
        scene.runner._put(minute_of(MANY, minute, scene.clock.now_ms()))
    for _ in range(4):
        await scene.clock.move(0)
    shown = [each for each in scene.told if isinstance(each, BarsClosed | Decide | MinuteEnded)]
    kinds = [type(each).__name__ for each in shown]
    first_end = kinds.index("MinuteEnded")
    assert kinds.count("BarsClosed") == 2
    assert kinds[:first_end].count("BarsClosed") == 1
    assert kinds[:first_end].count("Decide") == MANY
    assert await scene.stop() == 0


async def test_a_kill_between_two_decisions_is_obeyed_by_the_rest_of_them() -> None:
    """Objections are those of the decision's moment, not of the bar's."""
    scene = await many()
    entered: list[int] = []

    def place(request: OrderRequest) -> None:
        if request.slot is Slot.ENTRY:
            entered.append(request.stream)
        if len(entered) == 2:
            scene.runner.submit(Operation.KILL, "test")

    scene.venue.on_place = place
    scene.runner._put(minute_of(MANY, START, scene.clock.now_ms()))
    await scene.clock.move(5_000)
    assert len(entered) < MANY
    assert {row.refusal for row in scene.rows(RefusalRow)} == {"killed"}
    assert not any(quantity for quantity, _ in scene.venue.desk.positions.values())
    assert AlertCode.KILL_VERIFIED in scene.alerts()
    assert await scene.stop() == 0


async def test_a_store_that_hangs_holds_stops_back_once_and_not_for_each_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The first entry is stored, then nothing any more: its stop leaves, no other entry does."""
    scene = await many()
    placed: list[tuple[int, Slot]] = []
    waited: list[float] = []
    wait = asyncio.wait

    async def counted(tasks: Any, **limits: float) -> Any:
        waited.append(limits["timeout"])
        return await wait(tasks, timeout=0.0 if scene.store.gate else limits["timeout"])

    def place(request: OrderRequest) -> None:
        placed.append((request.stream, request.slot))
        scene.store.gate = scene.store.gate or asyncio.get_running_loop().create_future()

    monkeypatch.setattr("tercel.app.live.storing.asyncio.wait", counted)
    scene.venue.on_place = place
    scene.runner._put(minute_of(MANY, START, scene.clock.now_ms()))
    for _ in range(4):
        await scene.clock.move(0)
    assert (0, Slot.STOP) in placed
    assert [k for k, slot in placed if slot is Slot.ENTRY] == [0]
    assert len(waited) == 2, "the entry that was stored, and the first write that hung"
    assert scene.store.gate is not None
    scene.store.gate.set_result(None)
    scene.store.gate = None
    assert await scene.stop() == 0


@pytest.mark.parametrize(
    "error", [DataError("the state is damaged"), TypeError("cannot be encoded")], ids=repr
)
async def test_whatever_a_store_fails_with_the_position_gets_its_stop(error: Exception) -> None:
    """The entry has filled, and the file is damaged: the stop leaves, entries are blocked."""
    scene = stage()

    async def broken(state: SessionState) -> None:
        raise error

    def place(request: OrderRequest) -> None:
        if request.slot is Slot.ENTRY:
            scene.store.write = broken  # type: ignore[method-assign]

    scene.venue.on_place = place
    await scene.begin()
    await scene.bar(ask=Ask())
    assert Slot.STOP in [each.request.slot for each in scene.venue.desk.resting()]
    [told] = [e for e in scene.told if isinstance(e, Alert) and e.code == AlertCode.JOURNAL_DOWN]
    assert str(error) in told.text
    await scene.bar(ask=Ask(side=Side.NONE, exit_long=True))
    await scene.bar(ask=Ask())
    assert scene.touched.count("place entry") == 1
    assert await scene.stop() == 1, "the last state is not kept"


async def test_a_session_that_fails_on_an_event_protects_before_it_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The accounts beside fail while the entry is on its way: the fill is booked, the stop rests,
    then it ends.
    """
    scene = await stage().begin()
    await scene.bar()

    def fails(*_: Any) -> None:
        raise ZeroDivisionError("shadow")

    monkeypatch.setattr(scene.runner.session.beside, "trade", fails)
    await scene.bar(ask=Ask())
    assert await scene.end() == 1
    assert scene.venue.desk.positions["BTCUSDT"][0] == 1.0
    assert Slot.STOP in [each.request.slot for each in scene.venue.desk.resting()]
    assert scene.store.states[-1].active_position, "the next start knows of it"
    [end] = scene.rows(SessionEndRow)
    assert (end.exit_code, end.why) == (1, "ZeroDivisionError: shadow")


async def test_a_session_that_fails_on_every_event_ends_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scene = await stage().begin()

    def fails(_: Event) -> list[Command]:
        raise ZeroDivisionError("all of it")

    monkeypatch.setattr(scene.runner.session, "handle", fails)
    assert await scene.end() == 1


async def test_a_view_that_fails_changes_nothing() -> None:
    scene = stage()

    def blind(_: Command | Event) -> None:
        raise ZeroDivisionError("no such column")

    scene.runner._told = blind
    await scene.begin()
    await scene.bar(ask=Ask())
    assert Slot.STOP in [each.request.slot for each in scene.venue.desk.resting()]
    assert await scene.stop() == 0


async def test_a_store_that_hangs_does_not_keep_a_session_from_ending() -> None:
    """SIGTERM: within `stop_ms_max`, and the exit code says that the end is not kept."""
    scene = await stage(stop_ms_max=100).begin()
    await scene.bar()
    scene.store.gate = asyncio.get_running_loop().create_future()
    scene.runner.submit(Operation.STOP, "signal")
    await scene.clock.move(200)
    assert scene.task is not None
    assert await scene.task == 1
    assert scene.touched[-2:] == ["close the feed", "close the venue"]


async def test_a_connection_that_does_not_close_does_not_keep_a_session_from_ending(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scene = await stage(stop_ms_max=100).begin()

    async def hangs() -> None:
        await asyncio.get_running_loop().create_future()

    monkeypatch.setattr(scene.feed, "close", hangs)
    scene.runner.submit(Operation.STOP, "signal")
    await scene.clock.move(200)
    assert scene.task is not None
    assert await scene.task == 0
    assert scene.touched[-1] == "close the venue"


async def test_a_kill_file_beside_a_latched_switch_kills_once_more() -> None:
    """Something may have come to be held since; the file is taken when the latch is kept."""
    scene = await stage(kill_file=[True, *[False] * 30, True]).begin()
    await scene.clock.move(3_000)
    note: Any = scene.runner._around.kill_file
    assert (note.taken, scene.alerts().count(AlertCode.KILL_SWITCH)) == (1, 1)
    await scene.clock.move(10_000)
    assert (note.taken, scene.alerts().count(AlertCode.KILL_SWITCH)) == (2, 2)
    assert scene.alerts().count(AlertCode.KILL_VERIFIED) == 2
    assert await scene.stop() == 0


@pytest.mark.parametrize("times", [1, 1_000])
async def test_a_fill_that_cannot_be_booked_is_read_again_and_closed(
    times: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody knows how much of it was: the session ends flat, with the venue asked."""
    scene = await stage().begin()
    recorder = scene.runner.session.parts.recorder
    fill, tries = recorder.fill, list[int]()

    def fails(*told: Any) -> None:
        tries.append(1)
        if len(tries) <= times:
            raise ValueError("boom")
        fill(*told)

    monkeypatch.setattr(recorder, "fill", fails)
    await scene.bar(ask=Ask())
    assert await scene.end() == 1
    assert scene.venue.desk.positions["BTCUSDT"][0] == 0.0
    assert scene.venue.desk.resting() == []


async def test_what_was_asked_for_before_the_session_failed_is_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What follows each event fails, from the entry on: its stop leaves all the same."""
    scene = stage()

    def fails() -> None:
        raise ValueError("boom")

    def place(request: OrderRequest) -> None:
        if request.slot is Slot.ENTRY:
            monkeypatch.setattr(scene.runner.session.operator, "go_on", fails)

    scene.venue.on_place = place
    await scene.begin()
    await scene.bar(ask=Ask())
    assert await scene.end() == 1
    assert Slot.STOP in [each.request.slot for each in scene.venue.desk.resting()]


async def test_a_store_that_hangs_at_the_start_does_not_keep_a_kill_waiting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = await stage().begin()
    await before.bar(ask=Ask())
    await before.clock.move(1_000)
    await before.stop()
    monkeypatch.setattr("tercel.app.live.storing.STORE_SECONDS_MAX", 0.001)
    scene = stage(desk=before.venue.desk, state=before.store.states[-1], stop_ms_max=100)
    scene.store.gate = asyncio.get_running_loop().create_future()
    await scene.begin()
    for _ in range(3):
        await asyncio.wait({asyncio.ensure_future(scene.clock.move(1_000))})
    scene.runner.submit(Operation.KILL, "cli")
    for _ in range(20):
        await scene.clock.move(1_000)
    assert scene.venue.desk.positions["BTCUSDT"][0] == 0.0
    scene.runner.submit(Operation.STOP, "signal")
    await scene.clock.move(200)
    assert scene.task is not None
    assert await scene.task == 1


@pytest.mark.parametrize("how", ["rearmed while it lay there", "removed by hand"])
async def test_a_kill_file_that_was_not_taken_does_not_hide_the_next_one(how: str) -> None:
    scene = stage(kill_file=[True])
    note: Any = scene.runner._around.kill_file
    await scene.begin()
    if how == "removed by hand":
        await scene.clock.move(250)
        note._lies = False
    else:
        scene.store.is_down = True
    await scene.clock.move(3_000)
    assert scene.runner.session.parts.flags.kill_latched
    await scene.runner.submit(Operation.REARM, "cli")
    scene.store.is_down = False
    await scene.clock.move(3_000)
    await scene.runner.submit(Operation.AUTOMATION_ON, "cli")
    before = scene.alerts().count(AlertCode.KILL_SWITCH)
    note._lies = True
    await scene.clock.move(3_000)
    assert scene.alerts().count(AlertCode.KILL_SWITCH) == before + 1
    assert await scene.stop() == 0
