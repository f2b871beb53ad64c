"""What the parts of a session share: its records, orders, rules, flags, and what it asks for."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tercel.app.live.alerts import AlertCode
from tercel.app.live.desk import Desk
from tercel.app.live.plan import SessionPlan
from tercel.app.live.recorder import Recorder
from tercel.app.live.working import NO_PLAN, WorkingOrder, WorkingOrders
from tercel.core.codes import Slot
from tercel.domain.commands import (
    Alert,
    CancelOrder,
    Command,
    Level,
    PlaceOrder,
    QueryOrder,
    ReadVenue,
)
from tercel.domain.live_settings import ExecutionSettings, SessionSettings
from tercel.domain.orders import OrderPhase, OrderRequest, VenueFill


@dataclass(frozen=True, slots=True)
class BesideRules:
    """The accounts beside the real one."""

    ghost_fee_rate: float
    shadow: bool
    alert_r: float
    """Difference of a trade's net result that is told, R."""


@dataclass(frozen=True, slots=True)
class SessionRules:
    """Settings of a session, and what its composition decides."""

    session: SessionSettings
    execution: ExecutionSettings
    beside: BesideRules
    venue: str
    """Name of the venue, for people."""
    mode: str
    """Name of the composition, for people: nothing in the session depends on it."""
    is_exact: bool = False
    """Orders are moved for any difference, as a backtest does; else from a tick or half a lot."""
    reads_venue: bool = True
    """The venue has a truth of its own: it is read at the start, and at each bar of a position."""
    nets_positions: bool = True
    """The venue keeps one position a symbol: two streams cannot hold the same one."""
    every_evaluation: bool = True
    """Evaluations without a signal are journaled too."""
    automation_at_start: bool | None = None
    """None: as the state says."""


@dataclass(slots=True, eq=False)
class Flags:
    """What decides whether entries are made."""

    automation: bool = False
    is_paused: bool = False
    is_stopping: bool = False
    journal_is_up: bool = True
    is_overloaded: bool = False
    """More events wait than can be taken in time."""
    kill_latched: str = ""
    """Why the operator's kill switch is latched; empty: armed."""
    mismatched: set[str] = field(default_factory=set)
    """Symbols in which the venue holds something else than the session."""


@dataclass(slots=True, eq=False)
class SessionParts:
    """Shared by session, execution, guard and recovery; only the session is called from outside."""

    plan: SessionPlan
    rules: SessionRules
    desk: Desk
    orders: WorkingOrders
    recorder: Recorder
    flags: Flags = field(default_factory=Flags)
    now: int = 0
    """Time of the event being handled, venue time, ms."""
    changed: bool = False
    """Whether anything that a restart needs has changed since the state was last kept."""
    asked: list[Command] = field(default_factory=list)
    """Commands of the event being handled."""
    venue_asked_ms: int = 0
    """When the venue was last asked to be read; 0: the answer has come."""
    wants_read: bool = False
    """It has to be read once more: what is asked may have looked too early."""
    doubted_ms: int = 0
    """Since when something failed here, so that only the venue knows what is held; 0: nothing."""
    undecided: set[int] = field(default_factory=set)
    """Streams whose decision of the present close is still to come."""
    unreadable_ms: int = 0
    """When it was last told that the venue cannot be read; 0: it can."""
    venue_read_ms: int = 0
    """When the last answer came."""
    seen: dict[str, int] = field(default_factory=dict)
    """Fills that are booked: `symbol:trade id` and when they were, oldest first."""
    booked_ms: dict[str, int] = field(default_factory=dict)
    """When a fill was last booked, by symbol."""
    since_ms: int = 0
    """Fills before this moment are booked and no longer remembered."""
    _seen_since: tuple[int, tuple[str, ...]] | None = None
    """The last answer of `seen_since`, and to what, while no fill has come."""

    def symbol_of(self, k: int) -> str:
        """The symbol that stream `k` trades."""
        return self.plan.streams[k].label.symbol

    def stream(self, k: int) -> Any:
        """The STREAM record of `k`."""
        return self.desk.rows[k]

    def lot_of(self, k: int) -> float:
        """Lot size of stream `k`, base."""
        return self.desk.lots[k]

    @property
    def is_at_rest(self) -> bool:
        """Whether nothing is held, and no order of ours may rest or fill."""
        return self.desk.is_flat() and not self.orders.live()

    def protected(self, k: int) -> float:
        """What stops of stream `k` protect that rest and stay, base."""
        return sum(
            order.left
            for order in self.orders.of(k, Slot.STOP)
            if order.rests and order.cancel_ms == 0
        )

    def is_protected(self, k: int) -> bool:
        """Whether stops of the position's size rest."""
        quantity = self.desk.held.item(k)
        return self.protected(k) >= quantity - 0.5 * self.lot_of(k) - 1e-12 * quantity

    def alert(self, level: Level, code: AlertCode, text: str, k: int = -1) -> None:
        """Tell a person."""
        made = Alert(level, code.value, text, k)
        self.recorder.alert(self.now, made)
        self.asked.append(made)

    def place(self, order: WorkingOrder) -> None:
        """Send an order."""
        self.recorder.intent(self.now, "place", order.request)
        order.sent_ms = self.now
        self.changed = True
        self.asked.append(PlaceOrder(order.request))

    def cancel(self, order: WorkingOrder) -> None:
        """Cancel an order that rests."""
        request = order.request
        self.recorder.intent(self.now, "cancel", request)
        order.cancel_ms = self.now
        self.asked.append(CancelOrder(request.client_id, request.symbol, request.is_conditional))

    def query(self, order: WorkingOrder) -> None:
        """Ask the venue about an order."""
        request = order.request
        order.asked_ms = self.now
        self.asked.append(QueryOrder(request.client_id, request.symbol, request.is_conditional))

    def ask_about(self, order: WorkingOrder) -> None:
        """The same, unless a question is under way: while nothing is answered each one more would
        only wait, and a reading behind all of them. One that is lost silences no order for ever.
        """
        is_lost = self.now - order.asked_ms > self.rules.session.silent_ms_max
        if is_lost or not order.is_asked_about:
            self.query(order)

    def read_venue(self, *, again: bool = False) -> None:
        """Ask for everything the venue knows, unless that is asked already; with `again` once more
        after it, since it may have looked too early.
        """
        if self.venue_asked_ms:
            self.wants_read = self.wants_read or again
        else:
            self.venue_asked_ms = self.now
            self.asked.append(ReadVenue(self.plan.symbols, self.since_ms, self.now))

    def fills_were_read(self, asked_ms: int) -> None:
        """A reading that was asked at `asked_ms` has told every fill until then, but for late ones.

        Nothing else moves that moment on: a fill that the stream told says nothing of those that
        it did not tell before.
        """
        self.since_ms = max(asked_ms - LATE_FILLS_MS, self.since_ms)

    def remember_fills(self, keys: tuple[str, ...], since_ms: int) -> None:
        """Fills that an earlier run has booked, all of them since `since_ms`.

        When each was is not kept: they are remembered as long as the latest of them could be.
        """
        self.since_ms = since_ms
        self._seen_since = None
        for key in keys:
            self.seen[key] = since_ms + LATE_FILLS_MS

    def seen_since(self, since_ms: int) -> tuple[str, ...]:
        """Booked fills of `since_ms` and later, oldest first."""
        if self._seen_since is None or self._seen_since[0] != since_ms:
            found = []
            for key, time in reversed(self.seen.items()):
                if time < since_ms - LATE_FILLS_MS:
                    break  # remembered as they came: those before it are older still
                if time >= since_ms:
                    found.append(key)
            self._seen_since = since_ms, tuple(reversed(found))
        return self._seen_since[1]

    def pass_over(self, fills: tuple[VenueFill, ...]) -> None:
        """Fills of before the first start: the wallet that the ledger begins with has them."""
        for fill in fills:
            self.note_fill(fill.key, fill.time_ms)

    def note_fill(self, key: str, time: int) -> bool:
        """Whether the fill `key` is new; it is remembered."""
        if key in self.seen:
            return False
        self.seen[key] = time
        self._seen_since = None
        if len(self.seen) > self.rules.session.seen_fills_max:
            oldest = next(iter(self.seen))
            self.since_ms = max(self.seen.pop(oldest) + 1, self.since_ms)  # else booked again
        return True

    def forget_fill(self, key: str) -> None:
        """It could not be booked: whoever tells it next is heard."""
        self.seen.pop(key, None)
        self._seen_since = None

    def new_order(self, request: OrderRequest, plan: tuple[float, ...] = ()) -> WorkingOrder:
        """A planned order, in the book and ready to be sent."""
        order = WorkingOrder(
            request, OrderPhase.PLANNED, left=request.quantity, plan=plan or NO_PLAN
        )
        if request.reduce_only and request.stream < len(self.desk.rows):
            order.trade_ms = self.desk.filled_times.item(request.stream)
        self.orders.add(order)
        order.move(OrderPhase.SENT)
        return order


LATE_FILLS_MS = 120_000
"""How late a fill may be told after a later one, ms."""
SLOTS = (
    Slot.STOP,
    Slot.CLOSE,
    Slot.ENTRY,
    Slot.TRAIL,
    Slot.TARGET_1,
    Slot.TARGET_2,
    Slot.TARGET_3,
    Slot.TARGET_4,
)
"""In which order the slots of a stream are looked after: protection first."""
