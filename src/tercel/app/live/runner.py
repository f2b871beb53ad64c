"""Runs a session live: one queue in, commands out.

In the order of a start: venue clock, the venue itself, recovery (the session asks to read it and
says whether it can begin), external scores afresh, history into the same steps, then the streams
and the loop. The state was read before any of it.

The loop takes one event at a time. What the session asks for is carried out in its order: rows and
state are durable before an order leaves; orders leave side by side, and their answers come back as
events. Rows that no order waits for are written in batches beside the loop.
"""

from __future__ import annotations

import asyncio
import gc
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import structlog

from tercel.app.live.latency import Latencies
from tercel.app.live.lease import LeasedState
from tercel.app.live.session import Session
from tercel.app.live.surroundings import Surroundings
from tercel.app.ports import (
    FeedQuote,
)
from tercel.core.codes import Slot
from tercel.domain.commands import (
    Alert,
    CancelForeign,
    CancelOrder,
    Command,
    EndSession,
    Level,
    PlaceOrder,
    QueryOrder,
    ReadVenue,
    SaveState,
    WriteJournal,
)
from tercel.domain.errors import StorageError, TercelError, VenueError
from tercel.domain.events import (
    Answer,
    BarsClosed,
    CancelAnswered,
    Event,
    Fault,
    FeedNews,
    Filled,
    FundingPaid,
    JournalNews,
    Operation,
    OperatorAsked,
    OrderFound,
    OrderUpdate,
    Outcome,
    Placed,
    TimerFired,
    VenueRead,
)
from tercel.domain.journal import JournalRow, SessionEndRow
from tercel.domain.session_state import StateSnapshot

log = structlog.get_logger(__name__)

ROWS_AT_ONCE = 2_000
"""Journal rows of one transaction while nobody waits for them."""
FLUSH_SECONDS = 0.1
"""Rows that no order waits for are written this often."""
STORE_SECONDS_MAX = 0.5
"""An exit waits so long for journal and state, then it leaves without them; an entry never does."""
TURNS_TO_THE_WIRE = 3
"""Turns of the loop that go to what was just sent before the session goes on. Two bring an order
through ccxt and aiohttp onto a connection that is open; too few cost time and nothing else."""
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
        self._rows: deque[JournalRow] = deque()
        self._state: StateSnapshot | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._storing = asyncio.Lock()
        self._journal_is_up = True
        self._end: EndSession | None = None
        self._queue_is_full = False
        self._failure = ""
        """What a task of ours failed with; empty: none did."""
        self._leased = LeasedState(lambda why: self._fail(why, "another session has its state"))
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
                self._spawn(self._flush())
            while self._end is None:
                await self._meet(await self._queue.get())
            return await self._finish()
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            await around.feed.close()
            await around.venue.close()
            if around.lease is not None:
                await around.lease.release()
            if around.closing is not None:
                await around.closing()

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
            await self._store(first_rows, None)

    async def _connect(self) -> None:
        """Venue and clock. Raises TercelError, which the journal has then: nobody killed it."""
        try:
            await self._around.venue.connect()
            await self._around.clock.start()
            await self._around.venue.open()
        except TercelError as error:
            why = f"did not start: {error}"
            row = SessionEndRow(self.session.session_id, self._now(), 1, why)
            await self._store([row], None)
            raise

    async def _recover(self) -> None:
        """Until venue and state agree, or the session says why it cannot begin."""
        self._put(TimerFired(self._around.clock.now_ms()))
        self._spawn(self._tick())
        while not self.session.is_ready and self._end is None:
            await self._meet(await self._queue.get())

    async def _load(self) -> None:
        """External scores and history, beside the loop: what happens meanwhile is handled."""
        if self._around.context is not None:
            await self._around.context.start(self._note)
        self._queue.put_nowait(_History(await self._around.history()))

    async def _meet(self, item: Event | _History) -> None:
        if isinstance(item, _History):
            await self._begin(item.events)
        else:
            await self._take(item)

    async def _begin(self, history: list[BarsClosed]) -> None:
        """History into the same steps, then the streams."""
        around = self._around
        for event in history:
            await self._carry_out(self.session.handle(event))
        await self._store_all()
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
        # First: it may show that the state is another session's by now.
        await self._store([], self.session.snapshot)
        code, why = (end.exit_code, end.why) if end else (0, "")
        if failure := self._failure or self._leased.lost:
            code, why = 1, failure
        now = self._around.clock.now_ms()
        rows = [*self._rows, SessionEndRow(self.session.session_id, now, code, why)]
        self._rows.clear()
        await self._store(rows, None)
        return code

    # --- the loop --------------------------------------------------------------------------------

    async def _take(self, event: Event) -> None:
        """One event, and whatever the session asks itself after it."""
        turn: Event | None = event
        while turn is not None:
            commands = self.session.handle(turn)
            await self._carry_out(commands)
            self._tell(turn)
            turn = self.session.next_turn()
        done = self._waiters.pop(id(event), None)
        if done is not None and not done.done():
            done.set_result(None)
        self._watch_queue()

    async def _carry_out(self, commands: list[Command]) -> None:
        sends = [each for each in commands if not isinstance(each, WriteJournal | SaveState)]
        for command in commands:
            if isinstance(command, WriteJournal):
                self._rows.extend(command.rows)
                self._tell(command)
            elif isinstance(command, SaveState):
                self._state = command.snapshot
        writes = [each for each in sends if isinstance(each, PlaceOrder | CancelOrder)]
        is_stored = await self._store_in_time() if writes else True
        for command in sends:
            self._send(command, is_stored=is_stored)
        if writes:
            for _ in range(TURNS_TO_THE_WIRE):
                await asyncio.sleep(0)  # noqa: TID251 (no time passes)

    def _send(self, command: Command, *, is_stored: bool) -> None:
        """Let one command go; its answer comes as an event."""
        if isinstance(command, PlaceOrder):
            if not is_stored and command.request.slot is Slot.ENTRY:
                refused = Answer(
                    Outcome.REFUSED, fault=Fault.OTHER, text="journal or state is down"
                )
                self._put(Placed(self._now(), command.request.client_id, refused))
                return
            self._spawn(self._place(command))
        elif isinstance(command, CancelOrder):
            self._spawn(self._cancel(command))
        elif isinstance(command, QueryOrder):
            self._spawn(self._query(command))
        elif isinstance(command, ReadVenue):
            self._spawn(self._read(command))
        elif isinstance(command, CancelForeign):
            self._spawn(self._cancel_foreign(command))
        elif isinstance(command, Alert):
            log_at = {Level.INFO: log.info, Level.WARNING: log.warning}
            log_at.get(command.level, log.critical)(command.code, detail=command.text)
            self._tell(command)
        elif isinstance(command, EndSession):
            self._end = command

    async def _place(self, command: PlaceOrder) -> None:
        request = command.request
        with self.latencies.measure("order to answer"):
            answer = await self._around.venue.place(request)
        self._put(Placed(self._now(), request.client_id, answer))

    async def _cancel(self, command: CancelOrder) -> None:
        answer = await self._around.venue.cancel(
            command.client_id, command.symbol, is_conditional=command.is_conditional
        )
        self._put(CancelAnswered(self._now(), command.client_id, answer))

    async def _query(self, command: QueryOrder) -> None:
        answer = await self._around.venue.query(
            command.client_id, command.symbol, is_conditional=command.is_conditional
        )
        self._put(OrderFound(self._now(), command.client_id, answer))

    async def _cancel_foreign(self, command: CancelForeign) -> None:
        answer = await self._around.venue.cancel(
            command.client_id, command.symbol, is_conditional=command.is_conditional
        )
        if answer.outcome is not Outcome.DONE:
            log.warning("orphan_not_cancelled", order=command.client_id, answer=answer.text)

    async def _read(self, command: ReadVenue) -> None:
        try:
            snapshot = await self._around.venue.read(command.symbols, command.since_ms)
        except VenueError as error:
            self._put(VenueRead(self._now(), None, str(error)))
        else:
            self._put(VenueRead(self._now(), snapshot))

    # --- storing ---------------------------------------------------------------------------------

    async def _store_in_time(self) -> bool:
        """`_store_all`, but not for ever: a stop that waits for a slow store protects nobody."""
        storing = self._spawn(self._store_all())
        await asyncio.wait({storing}, timeout=STORE_SECONDS_MAX)
        return storing.result() if storing.done() and not storing.cancelled() else False

    async def _store_all(self) -> bool:
        """Everything that waits to be stored; whether it is durable now."""
        async with self._storing:
            rows, state = list(self._rows), self._state
            self._rows.clear()
            self._state = None
            return await self._store(rows, state)

    async def _store(self, rows: list[JournalRow], state: StateSnapshot | None) -> bool:
        """Journal and state side by side; a failure blocks entries until it works again."""
        if not rows and state is None:
            return self._journal_is_up
        with self.latencies.measure("journal and state"):
            # The state first: it takes longer to prepare, and the journal's thread would wait for
            # the interpreter meanwhile.
            troubles = await asyncio.gather(
                self._leased.write(self._around.state, state),
                self._write_rows(rows),
                return_exceptions=True,
            )
        for trouble in troubles:
            if isinstance(trouble, BaseException) and not isinstance(trouble, StorageError):
                raise trouble
        # What is written stays written: a row that came twice would be a lie.
        self._rows.extendleft(reversed(rows))
        if troubles[0] is not None:
            self._state = self._state or state  # a newer one may have come meanwhile
        failed = [str(trouble) for trouble in troubles if trouble is not None]
        if self._journal_is_up == bool(failed):
            self._journal_is_up = not failed
            self._put(JournalNews(self._now(), not failed, "; ".join(failed)))
        return not failed

    async def _write_rows(self, rows: list[JournalRow]) -> None:
        """Write `rows`, and take away from them what is written."""
        while rows:
            await self._around.journal.write(rows[:ROWS_AT_ONCE])
            del rows[:ROWS_AT_ONCE]

    async def _flush(self) -> None:
        """Rows and states that no order waits for."""
        while True:
            await self._around.clock.sleep(FLUSH_SECONDS)
            await self._store_all()

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
            self._look_for_kill_file(now)
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

    def _look_for_kill_file(self, now: int) -> None:
        """Obey the KILL file; it stays until the latch is kept, so that no crash loses it."""
        file = self._around.kill_file
        if file is None or not file.is_there():
            return
        is_stored = self._state is None and not self._storing.locked()
        if is_stored and self.session.kept.kill_latched:
            file.take()
        elif not self.session.parts.flags.kill_latched:
            self._put(OperatorAsked(now, Operation.KILL, "the KILL file"))

    def _put(self, event: Event) -> None:
        self._queue.put_nowait(event)

    def _watch_queue(self) -> None:
        """A queue that grows without end is a session that cannot keep up: no entries."""
        is_full = self._queue.qsize() > self._queue_max
        if is_full != self._queue_is_full:
            self._queue_is_full = is_full
            detail = f"{self._queue.qsize()} events wait"
            self._put(FeedNews(self._now(), "queue", not is_full, detail))

    def _now(self) -> int:
        return self._around.clock.now_ms()

    def _note(self, rows: tuple[JournalRow, ...]) -> None:
        """Rows that tell of the outside and that no decision made: journaled and shown."""
        self._rows.extend(rows)
        self._tell(WriteJournal(rows))

    def _tell(self, what: Command | Event) -> None:
        if self._told is not None:
            self._told(what)

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
        if error is None:
            return
        text = str(error) if isinstance(error, TercelError) else f"{type(error).__name__}: {error}"
        log.critical("task_failed", error=text, exc_info=error)
        self._fail(text, "a task that failed")

    def _fail(self, why: str, origin: str) -> None:
        """End in order, as any other end: what was sent is waited for, protection stays."""
        if self._failure or self._end is not None:
            return
        self._failure = why
        self._put(OperatorAsked(self._now(), Operation.STOP, origin))
        self._spawn(self._end_at_last(why))

    async def _end_at_last(self, why: str) -> None:
        """An end that does not come by itself."""
        await self._around.clock.sleep(self.session.parts.rules.session.stop_ms_max / 1000.0)
        self._end = self._end or EndSession(1, why)
        self._put(TimerFired(self._now()))


def stamped(event: Event, now: int) -> Event:
    """`event` with the moment at which it was taken up."""
    if isinstance(event, OrderUpdate | Filled | FundingPaid | FeedNews):
        return replace(event, time_ms=now)
    return event
