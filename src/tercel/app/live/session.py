"""The session: one writer, one event at a time, no I/O.

`handle(event)` moves the trading state and returns what is to be done, in order: rows for the
journal and the state to keep first, then orders and questions for the venue. `next_turn` gives the
events that a session asks itself (each stream's decision at a close); whoever drives it hands them
back, and between two of them whatever came meanwhile, but for the next bars.

Nothing here knows whether it is a replay, paper or live: those differ in who feeds the events and
who carries out the commands.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from tercel.app.live.alerts import AlertCode
from tercel.app.live.desk import Desk, MinuteBoard
from tercel.app.live.entries import Entries
from tercel.app.live.execution import Execution
from tercel.app.live.ghost import Beside
from tercel.app.live.guard import Guard
from tercel.app.live.hearing import Hearing
from tercel.app.live.keeping import (
    frame_of,
    image_of,
    is_readable,
    moment_of,
    restore_books,
    restore_orders,
)
from tercel.app.live.objections import KNOWN_NOTHING, Objections
from tercel.app.live.operator import Operator, entries_told, kill_halt, positions_told
from tercel.app.live.parts import LATE_FILLS_MS, SessionParts, SessionRules
from tercel.app.live.plan import SessionPlan
from tercel.app.live.recorder import Recorder
from tercel.app.live.recovery import Recovery
from tercel.app.live.signals import SignalMaker
from tercel.app.live.suspensions import Suspensions
from tercel.app.live.watchdog import Watchdog
from tercel.app.live.working import WorkingOrders
from tercel.app.record_bytes import copy_records
from tercel.core.codes import Refusal, Slot
from tercel.core.market import market_step
from tercel.domain.commands import (
    Command,
    EndSession,
    Level,
    SaveState,
    WriteJournal,
    enters,
)
from tercel.domain.errors import StrategyError
from tercel.domain.events import (
    BarsClosed,
    CancelAnswered,
    Decide,
    Event,
    FeedNews,
    Filled,
    FundingPaid,
    JournalNews,
    MarketView,
    MinuteEnded,
    OperatorAsked,
    OrderFound,
    OrderUpdate,
    Placed,
    TimerFired,
    VenueRead,
)
from tercel.domain.session_state import SessionState, StateSnapshot

TOLD_AGAIN_MS = 60_000
"""What goes on is told again after so long."""
WHOLE_STREAMS = ("user", "market", "rest", "queue")
"""Streams whose loss is told to a person."""
WATCHES = (
    "the state does not say whether automation is on: it is off, signals are only watched; "
    "`tercel automation on` (or --automation at the start) trades them"
)
FORGOTTEN = (
    "the kept state is of another version: a stop of the account by a breaker, what losses are "
    "measured from, pauses of single strategies and symbols, and records of trades begin anew, "
    "with the wallet as capital; no entries until `tercel resume`"
)


@dataclass(slots=True)
class SessionMemory:
    """What a session begins with."""

    state: SessionState
    session_id: str


Turn = Decide | MinuteEnded
"""What a session asks itself."""


class Session:
    """See the module's docstring."""

    def __init__(self, plan: SessionPlan, rules: SessionRules, memory: SessionMemory) -> None:
        state = memory.state
        desk = Desk(plan)
        recorder = Recorder(plan, memory.session_id, every_evaluation=rules.every_evaluation)
        orders = WorkingOrders(memory.session_id, state.order_number)
        self.parts = SessionParts(plan, rules, desk, orders, recorder)
        self.frame = frame_of(state, plan, rules.mode, memory.session_id)
        self.snapshot: StateSnapshot = self.frame
        """What was kept last."""
        self.session_id = memory.session_id
        self.execution = Execution(self.parts)
        self.guard = Guard(self.parts, self.execution)
        self.watchdog = Watchdog(self.parts, self.execution)
        self.hearing = Hearing(self.parts)
        self.objections = Objections(self.parts)
        self.entries = Entries(self.parts, self.execution, self.objections)
        self.recovery = Recovery(self.parts, self.execution)
        self.beside = Beside(self.parts)
        self.operator = Operator(self.parts, self.execution, self.recovery, self.beside)
        self.suspensions = Suspensions(self.parts)
        self.maker = SignalMaker(plan)
        self.is_ready = not rules.reads_venue
        """Whether venue and state agree: before, bars are watched and nothing is decided."""
        self._board = MinuteBoard(len(plan.series))
        self._asked = self.maker.signals.copy()
        self._let_through = self._asked.copy()
        """Signals of the present close with the session's objections, before any stream decided."""
        self._present: tuple[int, ...] = ()
        """Series that have a bar at the close whose decisions are being made."""
        self._views: dict[int, MarketView] = {}
        """What the feed knew of each series at the bars just settled."""
        self._turns: deque[Turn] = deque()
        self._close_time = 0
        self._arrived_ms = 0
        """When the bars of the present close came."""
        self._has_account = is_readable(state.kernel) or not rules.reads_venue
        """Whether the account's capital is known: kept, configured, or read from the venue."""
        self._greetings: list[tuple[Level, AlertCode, str]] = []
        """What is told with the first event."""
        self._handlers: dict[type[Any], Callable[[Any], None]] = {
            BarsClosed: self._on_bars,
            Decide: self._on_decide,
            MinuteEnded: self._on_minute_end,
            Placed: lambda e: self.execution.on_placed(e.client_id, e.answer),
            CancelAnswered: lambda e: self.execution.on_cancelled(e.client_id, e.answer),
            OrderFound: lambda e: self.execution.on_found(e.client_id, e.answer),
            OrderUpdate: self.execution.on_update,
            Filled: lambda e: self.recovery.fills.take(e.fill),
            FundingPaid: self.operator.book_funding,
            VenueRead: self._on_venue_read,
            FeedNews: self._on_feed,
            JournalNews: self._on_journal,
            OperatorAsked: self.operator.on_asked,
            TimerFired: self._on_timer,
        }
        self._restore(state)

    # --- from outside ----------------------------------------------------------------------------

    def handle(self, event: Event) -> list[Command]:
        """Take one event; what is to be done, in order."""
        parts = self.parts
        parts.now = max(event.time_ms, parts.now)
        if parts.since_ms == 0:
            # What happened before a first start is nobody's.
            parts.since_ms = max(self.kept.saved_ms - LATE_FILLS_MS, 0) or event.time_ms
        while self._greetings:
            parts.alert(*self._greetings.pop(0))
        self.hearing.hear(event)
        self._handlers[type(event)](event)
        self.operator.go_on()
        self.suspensions.tell()
        self.beside.compare(self.execution.booking.trades)
        self.execution.booking.trades.clear()
        asked, parts.asked = parts.asked, []
        if isinstance(event, TimerFired) and not asked and not parts.changed:
            return []
        parts.recorder.input(event)
        return [*self._to_keep(), *asked]

    def _to_keep(self) -> list[Command]:
        """Rows, and the state where it has changed."""
        made: list[Command] = [WriteJournal(self.parts.recorder.take())]
        if self.parts.changed:
            self.parts.changed = False
            self.snapshot = moment_of(self)
            made.append(SaveState(self.snapshot))
        return made

    def salvage(self) -> list[Command]:
        """After `handle` has failed: what it had asked for before, but for entries, which is still
        to be done. From now on only the venue knows what is held: it is asked, and nothing more is
        decided of the present close.
        """
        parts = self.parts
        self._turns.clear()
        parts.undecided.clear()
        parts.doubted_ms = parts.doubted_ms or parts.now
        parts.changed = True
        if parts.rules.reads_venue:
            parts.read_venue(again=True)
        asked, parts.asked = parts.asked, []
        return [*self._to_keep(), *(each for each in asked if not enters(each))]

    @property
    def kept(self) -> SessionState:
        """The state that was kept last."""
        return self.snapshot.state()

    @property
    def has_business(self) -> bool:
        """Whether a position is held, or an order of ours may rest or fill."""
        return not self.parts.is_at_rest

    def next_turn(self) -> Turn | None:
        """What the session asks itself next; None: nothing, the next event may come."""
        return self._turns.popleft() if self._turns else None

    def waiting_symbols(self) -> tuple[str, ...]:
        """Symbols whose quotes the next timer should bring."""
        wanted = (*self.entries.waiting_symbols(), *self.watchdog.waiting_symbols())
        return tuple(dict.fromkeys(wanted))

    def image(self) -> bytes:
        """Everything that decides, exact to the bit: with the same inputs it decides the same."""
        return image_of(self)

    # --- bars ------------------------------------------------------------------------------------

    def _on_bars(self, event: BarsClosed) -> None:
        parts = self.parts
        board = self._board.show(event)
        try:
            signals = self.maker.step(board)
        except StrategyError as error:
            self._fail(error)
            return
        if event.is_late or not self.is_ready:
            self._watch(board)
            return
        self.execution.release_holds()
        self._close_time = event.open_time + parts.plan.bar_ms
        copy_records(self._asked, signals)
        self._views = dict(zip(event.series, event.views, strict=True)) if event.views else {}
        self.watchdog.see_bars(self._close_time, self._board.closes, event.series, self._views)
        self.objections.veto(self._asked, self._views)
        self.entries.withdraw(self._views)
        self.beside.begin_minute()
        copy_records(self._let_through, self._asked)
        stopped = parts.desk.settle(board, self._asked)
        if stopped != Refusal.NONE:
            self.operator.on_halt(stopped)
        awake = [k for k, decides in enumerate(parts.desk.awake.tolist()) if decides]
        self._turns.extend(Decide(event.time_ms, k) for k in awake)
        self._turns.append(MinuteEnded(event.time_ms))
        parts.undecided.update(awake)
        self._arrived_ms = parts.now
        self._present = event.series
        # Entries are looked after as their streams decide; what protects a position waits for none.
        held = parts.desk.held.tolist()
        self.execution.sync_busy(but=[k for k in awake if not held[k] > 0.0])

    def _watch(self, board: Any) -> None:
        """Bars nobody acts on still belong to what the account watches of the market."""
        desk = self.parts.desk
        for k in range(len(desk.rows)):
            stream = desk.rows[k]
            here = board[int(stream.series)]
            if desk.account.watches and stream.leads and here.present:
                market_step(desk.markets[int(stream.series)], here.bar, int(stream.bar_ms))

    def _on_decide(self, event: Decide) -> None:
        parts, desk, k = self.parts, self.parts.desk, event.stream
        parts.undecided.discard(k)
        signal = self._asked[k]
        # As plain numbers: numpy compares its own with an enum at ten times the cost.
        side, veto = int(signal["side"]), int(signal["veto"])
        asks = side != 0 and veto == 0
        view = self._views.get(parts.plan.streams[k].series, KNOWN_NOTHING)
        if (waited_ms := parts.now - self._arrived_ms) > 0:
            view = replace(view, late_ms=view.late_ms + waited_ms)
        if asks and desk.left_times[k] > self._close_time:
            # It left while this bar was on its way: at this close a backtest is in it.
            signal["veto"] = int(Refusal.POSITION_OPEN)
        elif asks and (refusal := self.objections.against(k, view)) != Refusal.NONE:
            # Not as at the bar: other streams have decided since, and news may have come between.
            signal["veto"] = int(refusal)
        elif asks:
            self.entries.choose(k, view, float(signal["score"]))
        entry_before = desk.statuses.item(k, Slot.ENTRY)
        refused_before = desk.refusals[k].tolist()
        held = desk.held.item(k) > 0.0
        desk.decide(k, self._board.rows, self._asked)
        if asks:
            self.entries.post(k, view)
        counts = zip(refused_before, desk.refusals[k].tolist(), strict=True)
        refused = (code for code, (before, now) in enumerate(counts) if now != before)
        refusal = Refusal(next(refused, Refusal.NONE))
        entered = entry_before == 0 and desk.statuses.item(k, Slot.ENTRY) != 0
        decision = "entered" if entered else "refused" if refusal else "none"
        if held and decision == "none":
            decision = "suspended"
        self._note_evaluation(k, decision, refusal)
        if side != 0 or entered:
            parts.changed = True
        self.execution.sync(k)

    def _follow_up(self) -> None:
        """What no order of a close waits for: the evaluations of streams that asked for nothing and
        have nothing at work, and the accounts beside.
        """
        parts, present = self.parts, set(self._present)
        if not present:
            return  # at the end of its data a replay ends a minute that had its end
        self._present = ()
        streams, awake = parts.plan.streams, parts.desk.awake.tolist()
        quiet = [k for k, row in enumerate(streams) if not awake[k] and row.series in present]
        parts.recorder.quiet_evaluations(self._close_time, quiet, self.maker)
        mids = {
            series: 0.5 * (view.bid + view.ask)
            for series, view in self._views.items()
            if view.bid > 0.0
        }
        self.beside.trade(self._board.rows, self.maker.signals, self._let_through, mids)

    def _note_evaluation(self, k: int, decision: str, refusal: Refusal) -> None:
        parts, signal = self.parts, self.maker.signals[k]
        recorder = parts.recorder
        told = refusal.name.lower() if refusal else ""
        recorder.evaluation(k, self._close_time, self.maker, (decision, told))
        side = int(signal["side"])
        if side == 0:
            return
        price = self._board.closes.item(parts.plan.streams[k].series)
        recorder.signal(k, self._close_time, price, signal)
        if refusal:
            recorder.refusal(k, self._close_time, side, refusal)

    def _on_minute_end(self, _: MinuteEnded) -> None:
        parts = self.parts
        stopped = parts.desk.end_minute(self._close_time)
        if stopped != Refusal.NONE:
            self.operator.on_halt(stopped)
        self._follow_up()
        parts.recorder.account(self._close_time, "main", parts.desk.account)
        parts.recorder.positions(self._close_time, parts.desk.streams)
        self.beside.record(self._close_time)
        if any(parts.desk.awake.tolist()):
            parts.changed = True  # the account was marked
        if not parts.desk.is_flat():
            parts.changed = True
            if parts.rules.reads_venue:
                parts.read_venue()

    def _fail(self, error: StrategyError) -> None:
        """A strategy cannot be trusted any more: no entries, protection stays, the session ends."""
        parts = self.parts
        parts.alert(Level.CRITICAL, AlertCode.STRATEGY_FAILED, str(error))
        self.operator.stop("a strategy failed", exit_code=1)

    # --- the rest --------------------------------------------------------------------------------

    def _on_venue_read(self, event: VenueRead) -> None:
        parts = self.parts
        asked_ms = event.asked_ms or parts.venue_asked_ms
        if asked_ms == parts.venue_asked_ms:
            parts.venue_asked_ms = 0
        parts.venue_read_ms = parts.now
        if event.snapshot is None:
            parts.wants_read = self.is_ready  # by the next timer that finds it due
            if parts.now - parts.unreadable_ms >= TOLD_AGAIN_MS:
                parts.unreadable_ms = parts.now
                parts.alert(Level.WARNING, AlertCode.VENUE_UNREADABLE, event.trouble)
            return
        parts.unreadable_ms = 0
        if asked_ms >= parts.doubted_ms:
            parts.doubted_ms = 0
        is_start = not self.is_ready
        if not self._has_account:
            self._has_account = True
            self._open_account(event.snapshot.wallet_quote)
            if not parts.orders.live():
                # Else they may be of an entry that was kept: booked, it is protected.
                parts.pass_over(event.snapshot.fills)
        if not is_start:
            self.hearing.compare(event.snapshot.fills)
        is_met = self.recovery.reconcile(event.snapshot, asked_ms=asked_ms, is_start=is_start)
        self.watchdog.see_orders(event.snapshot.orders)
        if not self.hearing.is_down:
            # While it is down some symbols are read in turn only.
            parts.fills_were_read(asked_ms)
        parts.changed = True
        if not is_met:
            return
        if is_start and parts.flags.kill_latched:
            self.operator.see_kill_through()
        self.operator.on_snapshot(event.snapshot, asked_ms)
        if not is_start:
            return
        if self.recovery.refusal:
            parts.asked.append(EndSession(1, self.recovery.refusal))
            return
        self.is_ready = True
        self.entries.adopt()
        self.execution.sync_all()
        held = positions_told(parts)
        told = (
            f"wallet {event.snapshot.wallet_quote:,.2f}, "
            f"{len(event.snapshot.positions)} positions, {len(event.snapshot.orders)} orders",
            f"goes on with {held}" if held else "",
            entries_told(parts),
        )
        parts.alert(Level.INFO, AlertCode.SESSION_STARTED, "; ".join(filter(None, told)))

    def _open_account(self, wallet_quote: float) -> None:
        """The first start: the venue's wallet is what there is."""
        account = self.parts.desk.account
        for name in ("start_quote", "cash_quote", "equity_quote", "peak_equity"):
            account[name] = wallet_quote
        account.day_start_equity = wallet_quote
        self.beside.open_accounts(wallet_quote)

    def _on_feed(self, event: FeedNews) -> None:
        parts = self.parts
        parts.recorder.feed(parts.now, event.stream, event.detail, is_up=event.is_up)
        if event.stream not in WHOLE_STREAMS:
            return  # one symbol's feed comes and goes; whatever it blocks says so itself
        code = AlertCode.FEED_UP if event.is_up else AlertCode.FEED_DOWN
        level = Level.INFO if event.is_up else Level.WARNING
        parts.alert(level, code, f"{event.stream} stream {event.detail}".strip())
        if event.stream == "queue":
            parts.flags.is_overloaded = not event.is_up
        if event.stream == "user" and parts.rules.reads_venue:
            # While it is down the venue is polled: what happened meanwhile is not told again.
            self.hearing.come(is_up=event.is_up)
            parts.read_venue(again=True)

    def _on_journal(self, event: JournalNews) -> None:
        self.parts.flags.journal_is_up = event.is_up
        code = AlertCode.JOURNAL_UP if event.is_up else AlertCode.JOURNAL_DOWN
        level = Level.INFO if event.is_up else Level.CRITICAL
        self.parts.alert(level, code, event.detail or "entries are blocked")

    def _on_timer(self, event: TimerFired) -> None:
        parts = self.parts
        session = parts.rules.session
        if parts.venue_asked_ms and parts.now - parts.venue_asked_ms > session.silent_ms_max:
            # Its answer is not coming any more.
            parts.venue_asked_ms = 0
            parts.read_venue()
        if not self.is_ready:
            parts.read_venue()
            return
        self.hearing.look()
        rested_ms = parts.now - parts.venue_read_ms
        is_due = (parts.wants_read or parts.doubted_ms) and rested_ms >= session.query_ms
        if (is_due or self.hearing.wants_reading()) and not parts.venue_asked_ms:
            parts.wants_read = False
            parts.read_venue()
        self.guard.look()
        self.watchdog.look(event.quotes)
        self.entries.chase(event.quotes)

    def _restore(self, state: SessionState) -> None:
        """What an earlier run kept."""
        parts, flags = self.parts, self.parts.flags
        restore_books(self, state)
        if state.kernel is not None:
            self.beside.restore(state)
        restore_orders(self, state)
        parts.remember_fills(state.seen_fills, state.fills_since_ms)
        flags.is_paused = state.is_paused
        if state.kernel is not None and not is_readable(state.kernel):
            flags.is_paused = True
            self._greetings.append((Level.CRITICAL, AlertCode.PAUSED, FORGOTTEN))
        flags.kill_latched = state.kill_latched
        at_start = parts.rules.automation_at_start
        if state.automation_enabled is None and at_start is None:
            self._greetings.append((Level.WARNING, AlertCode.AUTOMATION_DEFAULTED_OFF, WATCHES))
        flags.automation = bool(state.automation_enabled) if at_start is None else at_start
        if state.kill_latched or kill_halt(parts):
            flags.automation = False  # once it is armed again, somebody has to switch it on
        self.suspensions.restore()
