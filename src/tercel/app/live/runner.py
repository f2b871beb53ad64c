"""Runs a session live: one queue in, commands out.

In the order of a start: venue clock, the venue itself, recovery (the session asks to read it and
says whether it can begin), external scores afresh, history into the same steps, then the streams
and the loop. The state was read before any of it.

The loop takes one event at a time. What the session asks for is carried out in its order: rows and
state are durable before an order leaves (`storing.py` says how long an exit waits for them); orders
leave side by side, and their answers come back as events. Between the decisions of one close
whatever came meanwhile is handled, since a fill must not wait for its stop until the last of forty
streams has decided; only the next bars wait for the end of the close.

An event that the session fails on ends it in order, as a task that fails does: no entries, and what
is open is protected first.
"""

from __future__ import annotations

import asyncio
import gc
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import structlog

from tercel.app.live.latency import Latencies
from tercel.app.live.lease import LeasedState
from tercel.app.live.sending import Request, Sending
from tercel.app.live.session import Session
from tercel.app.live.storing import Storing
from tercel.app.live.surroundings import Surroundings
from tercel.app.ports import (
    FeedQuote,
)
from tercel.app.tasks import end_tasks
from tercel.domain.commands import (
    Alert,
    CancelOrder,
    Command,
    EndSession,
    Level,
    PlaceOrder,
    SaveState,
    WriteJournal,
    enters,
)
from tercel.domain.errors import StorageError, TercelError, words_of
from tercel.domain.events import (
    Answer,
    BarsClosed,
    Event,
    Fault,
    FeedNews,
    Filled,
    FundingPaid,
    JournalNews,
    Operation,
    OperatorAsked,
    OrderUpdate,
    Outcome,
    Placed,
    TimerFired,
)
from tercel.domain.journal import JournalRow, SessionEndRow

log = structlog.get_logger(__name__)

TURNS_TO_THE_WIRE = 3
"""Turns of the loop that go to what was just sent before the session goes on. Two bring an order
through ccxt and aiohttp onto a connection that is open; too few cost time and nothing else."""
STORING_SHARE = 0.3
"""Of `session.stop_ms_max`: an end waits so long for its last state, and for its last rows."""
CLOSING_SHARE = 0.2
"""Of `session.stop_ms_max`: an end waits so long for connections to close."""
Told = Callable[[Command | Event], None]
_Made = TypeVar("_Made")


@dataclass(frozen=True, slots=True, eq=False)
class _History:
    """The bars before the first live one have come."""

    events: list[BarsClosed]


class Runner:
    """Keeps a session running until it ends."""

    def __init__(self, session: Session, around: Surroundings, told: Told | None = None) -> None:
        """`told` sees alerts, and events once they were handled: for a view."""
        self.session = session
        self.latencies = Latencies()
        self._around = around
        self._told = told
        self._queue: asyncio.Queue[Event | _History] = asyncio.Queue()
        self._queue_max = session.parts.rules.session.queue_max
        self._later: deque[BarsClosed | _History] = deque()
        """Bars that came while the decisions of others were made."""
        self._tasks: set[asyncio.Task[Any]] = set()
        self._end: EndSession | None = None
        self._queue_is_full = False
        self._failure = ""
        """What a task of ours, or an event, failed with; empty: nothing did."""
        self._view_failure = ""
        """What the view last failed with."""
        self._leased = LeasedState(lambda why: self._fail(why, "another session has its state"))
        self._storing = Storing(
            (around.journal, around.state), self._leased, self.latencies, self._note_storing
        )
        self._sending = Sending(around.venue, self.latencies, self._now, self._put, self._spawn)
        self._killing: asyncio.Future[None] | None = None
        """Done once the KILL file that lies there was obeyed."""
        self._waiters: dict[int, asyncio.Future[None]] = {}

    # --- from outside ----------------------------------------------------------------------------

    def submit(self, operation: Operation, origin: str) -> asyncio.Future[None]:
        """Ask an operation of the session; done once it was handled."""
        event = OperatorAsked(self._around.clock.now_ms(), operation, origin)
        done = asyncio.get_running_loop().create_future()
        self._waiters[id(event)] = done
        self._put(event)
        return done

    async def run(self, first_rows: tuple[JournalRow, ...]) -> int:
        """Start, run and end; the exit code. Raises TercelError where it cannot start."""
        around = self._around
        try:
            if around.lease is not None:
                self._spawn(self._leased.keep(around.lease, around.clock))
            await self._open_journal(list(first_rows))
            await self._connect()
            self._spawn(self._read_news())
            await self._recover()
            if self._end is None:
                self._spawn(self._load())
                self._spawn(self._storing.keep(around.clock))
            while self._end is None:
                await self._meet(await self._next())
            return await self._finish()
        finally:
            await end_tasks(self._tasks)
            await self._close()

    async def _open_journal(self, first_rows: list[JournalRow]) -> None:
        """A journal that cannot be written refuses a start, since it would block every entry.

        Not where something of ours may be open: that is looked after without a journal, as it is
        while a session runs. Raises StorageError.
        """
        try:
            await self._around.journal.write(first_rows)
        except StorageError:
            if not self.session.has_business:
                raise
            await self._storing.first(first_rows)

    async def _connect(self) -> None:
        """Venue and clock. Raises TercelError, which the journal has then: nobody killed it."""
        try:
            await self._around.venue.connect()
            await self._around.clock.start()
            await self._around.venue.open()
        except TercelError as error:
            why = f"did not start: {error}"
            row = SessionEndRow(self.session.session_id, self._now(), 1, why)
            await self._storing.first([row])
            raise

    async def _recover(self) -> None:
        """Until venue and state agree, or the session says why it cannot begin."""
        self._put(TimerFired(self._around.clock.now_ms()))
        self._spawn(self._tick())
        while not self.session.is_ready and self._end is None:
            await self._meet(await self._next())

    async def _load(self) -> None:
        """External scores and history, beside the loop: what happens meanwhile is handled."""
        if self._around.context is not None:
            await self._around.context.start(self._note)
        self._queue.put_nowait(_History(await self._around.history()))

    async def _next(self) -> Event | _History:
        return self._later.popleft() if self._later else await self._queue.get()

    async def _meet(self, item: Event | _History) -> None:
        if isinstance(item, _History):
            await self._begin(item.events)
        else:
            await self._take(item)

    async def _begin(self, history: list[BarsClosed]) -> None:
        """History into the same steps, then the streams."""
        around = self._around
        for event in history:
            await self._carry_out(self._handled(event))
        await self._storing.in_time(self._spawn)
        if self._end is not None:
            return
        # What is there now stays: the collector need not look through it again in every pause.
        gc.collect()
        gc.freeze()
        plan = self.session.parts.plan
        await around.feed.open(plan.symbols, plan.series[0].timeframe)
        self._spawn(self._read_feed())
        self._spawn(around.clock.keep())
        if around.context is not None:
            self._spawn(around.context.keep())

    async def _finish(self) -> int:
        end = self._end
        seconds = STORING_SHARE * self._stop_seconds_max
        # First: it may show that the state is another session's by now.
        is_kept = await self._storing.last(self.session.snapshot, seconds)
        code, why = (end.exit_code, end.why) if end else (0, "")
        if failure := self._failure or self._leased.lost:
            code, why = 1, failure
        row = SessionEndRow(self.session.session_id, self._now(), code, why)
        is_kept = await self._storing.last_rows([row], seconds) and is_kept
        if not is_kept:
            log.critical("end_not_stored", detail="journal or state does not have the end")
        return code if is_kept else code or 1

    async def _close(self) -> None:
        """Release every connection, as far as they let themselves be released in time."""
        around = self._around
        closing: list[Callable[[], Awaitable[None]]] = [around.feed.close, around.venue.close]
        if around.lease is not None:
            closing.append(around.lease.release)
        if around.closing is not None:
            closing.append(around.closing)
        seconds = CLOSING_SHARE * self._stop_seconds_max / len(closing)
        for close in closing:
            try:
                async with asyncio.timeout(seconds):
                    await close()
            except TimeoutError:
                log.warning("not_closed", what=close.__qualname__, seconds=seconds)

    @property
    def _stop_seconds_max(self) -> float:
        return self.session.parts.rules.session.stop_ms_max / 1000.0

    # --- the loop --------------------------------------------------------------------------------

    async def _take(self, event: Event) -> None:
        """One event, and whatever the session asks itself after it."""
        await self._hand(event)
        while self._end is None and (turn := self.session.next_turn()) is not None:
            # As of now, not of the bar: much may have been waited for since.
            await self._hand(replace(turn, time_ms=self._now()))
            await self._catch_up()

    async def _catch_up(self) -> None:
        """What came while a decision was carried out, but for bars: they wait for its close."""
        for _ in range(self._queue.qsize()):
            if self._end is not None:
                return
            item = self._queue.get_nowait()
            if isinstance(item, BarsClosed | _History):
                self._later.append(item)
            else:
                await self._hand(item)

    async def _hand(self, event: Event) -> None:
        """One event, carried out and told."""
        await self._carry_out(self._handled(event))
        self._tell(event)
        done = self._waiters.pop(id(event), None)
        if done is not None and not done.done():
            done.set_result(None)
        self._watch_queue()

    def _handled(self, event: Event) -> list[Command]:
        """What the session asks for, also where it fails."""
        try:
            return self.session.handle(event)
        except Exception as error:
            self._fail_of(error, "an event that failed")
        try:
            return self.session.salvage()
        except Exception as error:
            self._fail_of(error, "what was left of an event that failed")
            return []

    async def _carry_out(self, commands: list[Command]) -> None:
        sends = [each for each in commands if not isinstance(each, WriteJournal | SaveState)]
        self._storing.add(commands)
        for command in commands:
            if isinstance(command, WriteJournal):
                self._tell(command)
        writes = [each for each in sends if isinstance(each, PlaceOrder | CancelOrder)]
        is_stored = await self._storing.in_time(self._spawn) if writes else True
        for command in sends:
            self._send(command, is_stored=is_stored)
        if writes:
            for _ in range(TURNS_TO_THE_WIRE):
                await asyncio.sleep(0)  # noqa: TID251 (no time passes)

    def _send(self, command: Command, *, is_stored: bool) -> None:
        """Let one command go; its answer comes as an event."""
        if not is_stored and enters(command):
            refused = Answer(
                Outcome.REFUSED, fault=Fault.OTHER, text="journal or state are not kept in time"
            )
            self._put(Placed(self._now(), command.request.client_id, refused))
        elif isinstance(command, Request):
            self._sending.send(command)
        elif isinstance(command, Alert):
            log_at = {Level.INFO: log.info, Level.WARNING: log.warning}
            log_at.get(command.level, log.critical)(command.code, detail=command.text)
            self._tell(command)
        elif isinstance(command, EndSession):
            self._end = command

    # --- what comes in ---------------------------------------------------------------------------

    async def _read_news(self) -> None:
        async for news in self._around.venue.news():
            self._put(stamped(news, self._now()))

    async def _read_feed(self) -> None:
        around = self._around
        async for item in around.feed.items():
            now = self._now()
            if isinstance(item, FeedNews):
                around.health.on_news(item, now)
                self._put(stamped(item, now))
                continue
            for tap in around.taps:
                tap(item)
            if isinstance(item, FeedQuote):
                around.health.on_quote(item)
                continue
            around.health.on_bar(item)
            for event in around.collector.add(item, now):
                self._put(event)

    async def _tick(self) -> None:
        """Deadlines, bars that waited long enough, feed health, the KILL file."""
        around = self._around
        seconds = self.session.parts.rules.session.timer_ms / 1000.0
        while True:
            await around.clock.sleep(seconds)
            now = self._now()
            for event in around.collector.due(now):
                self._put(event)
            self._look_for_kill_file()
            if self.session.is_ready:
                for change in around.health.changes(now):
                    name = f"market {change.symbol}"
                    tell = log.info if change.is_up else log.warning
                    tell(
                        "market_is_up" if change.is_up else "market_is_down",
                        symbol=change.symbol,
                        reason=change.detail,
                    )
                    self._put(FeedNews(now, name, change.is_up, change.detail))
            waiting = self.session.waiting_symbols()
            self._put(TimerFired(now, around.health.quotes(waiting, now)))

    def _look_for_kill_file(self) -> None:
        """Obey the KILL file; it stays until the latch is kept, so that no crash loses it."""
        file = self._around.kill_file
        if file is None or not file.is_there():
            self._killing = None
        elif self._killing is None:
            self._killing = self.submit(Operation.KILL, "the KILL file")
        elif self._killing.done():
            is_kept = self._storing.has_state and bool(self.session.kept.kill_latched)
            if is_kept or not self.session.parts.flags.kill_latched:  # rearmed meanwhile
                file.take()
                self._killing = None

    def _put(self, event: Event) -> None:
        self._queue.put_nowait(event)

    def _watch_queue(self) -> None:
        """A queue that grows without end is a session that cannot keep up: no entries."""
        is_full = self._queue.qsize() + len(self._later) > self._queue_max
        if is_full != self._queue_is_full:
            self._queue_is_full = is_full
            detail = f"{self._queue.qsize()} events wait"
            self._put(FeedNews(self._now(), "queue", not is_full, detail))

    def _now(self) -> int:
        return self._around.clock.now_ms()

    def _note(self, rows: tuple[JournalRow, ...]) -> None:
        """Rows that tell of the outside and that no decision made: journaled and shown."""
        written = WriteJournal(rows)
        self._storing.add([written])
        self._tell(written)

    def _note_storing(self, works: bool, why: str) -> None:
        self._put(JournalNews(self._now(), works, why))

    def _tell(self, what: Command | Event) -> None:
        """For a view; one that fails costs nobody his stop, and says so once."""
        if self._told is None:
            return
        try:
            self._told(what)
        except Exception as error:
            text = f"{type(error).__name__}: {error}"
            if text != self._view_failure:
                self._view_failure = text
                log.exception("view_failed", error=text)

    def _spawn(self, work: Coroutine[Any, Any, _Made]) -> asyncio.Task[_Made]:
        """A task of its own; one that fails ends the session, with its error in the log."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._settle)
        return task

    def _settle(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if task.cancelled():
            return
        error = task.exception()
        if error is not None:
            self._fail_of(error, "a task that failed")

    def _fail_of(self, error: BaseException, origin: str) -> None:
        text = words_of(error)
        told = None if self._failure else error
        log.critical("session_failed", what=origin, error=text, exc_info=told)
        self._fail(text, origin)

    def _fail(self, why: str, origin: str) -> None:
        """End in order, as any other end: what was sent is waited for, protection stays."""
        if self._failure or self._end is not None:
            return
        self._failure = why
        self._put(OperatorAsked(self._now(), Operation.STOP, origin))
        self._spawn(self._end_at_last(why))

    async def _end_at_last(self, why: str) -> None:
        """An end that does not come by itself."""
        await self._around.clock.sleep(self._stop_seconds_max)
        self._end = self._end or EndSession(1, why)
        self._put(TimerFired(self._now()))


def stamped(event: Event, now: int) -> Event:
    """`event` with the moment at which it was taken up."""
    if isinstance(event, OrderUpdate | Filled | FundingPaid | FeedNews):
        return replace(event, time_ms=now)
    return event
