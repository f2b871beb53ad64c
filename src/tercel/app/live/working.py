"""The orders of a session: what was asked for, where each is in its life, and what should rest.

The order table of a stream (`STREAM.orders`) says what should rest; `difference` compares it with
what does. It is asked after every event, so that whatever went wrong is put right by the next one:
nothing here remembers what it was about to do.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from tercel.core.codes import OrderKind, OrderStatus, Slot
from tercel.core.records import ORDER
from tercel.domain.orders import ClientId, OrderPhase, OrderRequest, follows, parse_client_id
from tercel.domain.session_state import SavedOrder

STRAY_STREAM = 999
"""Stream number of an order that works for none: it closes what no stream knows of, or is of one
that is not traded any more.
"""
OVER_KEPT = 2_000
"""Orders that are over and remembered, for fills that are told late."""
KINDS = tuple(OrderKind)
ORDER_FIELDS = (ORDER.names or ()).index("reason") + 1
"""The first fields of an ORDER: status, kind, side, price, quantity, reason."""
OVER = frozenset(phase for phase in OrderPhase if phase.is_over)
RESTING = (OrderPhase.ACKED, OrderPhase.PARTLY_FILLED)
"""Phases in which the venue has said that an order rests."""
OrderFields = tuple[OrderRequest, OrderPhase, float, str, int, tuple[float, ...]]
"""The fields of a SavedOrder, in their order."""
NO_PLAN = (math.nan, math.nan, math.nan, 0.0, 0.0, 0.0)


@dataclass(slots=True, eq=False)
class WorkingOrder:
    """One order from its request to its end."""

    request: OrderRequest
    phase: OrderPhase
    venue_id: str = ""
    left: float = 0.0
    """Base that no booked fill has taken."""
    told_filled: float = 0.0
    """Base that the venue says is filled; more than what is booked while fills are on their way."""
    sent_ms: int = 0
    asked_ms: int = 0
    """When the venue was last asked about it."""
    found_ms: int = 0
    """When a question about it was last answered."""
    read_ms: int = 0
    """When the venue was last read because of it."""
    unknown_ms: int = 0
    """Since when nobody knows whether it is there; 0: known."""
    cancel_ms: int = 0
    """When its cancel was sent; 0: not."""
    acked_ms: int = 0
    triggered_ms: int = 0
    """When the venue first said that it was triggered; 0: it has not."""
    beyond_ms: int = 0
    """Since when price is known to be beyond its trigger; 0: it is not."""
    over_ms: int = 0
    """When it was known to be over; 0: it is not."""
    missed: int = 0
    """Readings since it was over that agreed with us, while fills of it were still waited for."""
    plan: tuple[float, ...] = NO_PLAN
    """Of an entry, fields of ENTRY_PLAN."""
    trade_ms: int = 0
    """Of an exit: when the trade that it belongs to was entered; 0: not known (after a restart)."""
    is_cut: bool = False
    """Whether the venue has it for less than was asked: one order takes no more."""

    @property
    def booked(self) -> float:
        """Base that booked fills took."""
        return self.request.quantity - self.left

    @property
    def is_unsettled(self) -> bool:
        """Whether the venue has told of more than the fills that are booked."""
        quantity = self.request.quantity
        return self.told_filled - (quantity - self.left) > 1e-9 * quantity

    @property
    def is_live(self) -> bool:
        """Whether it may rest at the venue as far as anybody knows, or fills of it are to come."""
        return self.phase not in OVER or self.is_unsettled

    @property
    def is_asked_about(self) -> bool:
        """Whether a question about it waits for its answer."""
        return self.asked_ms > self.found_ms

    @property
    def rests(self) -> bool:
        """Whether the venue has said that it rests."""
        return self.phase in RESTING

    def cut(self, quantity: float) -> None:
        """The venue has it for no more than `quantity`."""
        self.is_cut = True
        self.left = max(quantity - self.booked, 0.0)
        self.request = replace(self.request, quantity=quantity)

    def move(self, news: OrderPhase) -> bool:
        """Take `news`; whether it changed anything."""
        if not follows(self.phase, news):
            return False
        self.phase = news
        if news is not OrderPhase.UNKNOWN:
            self.unknown_ms = 0
        return True

    def fields(self) -> OrderFields:
        """As it is kept."""
        return (self.request, self.phase, self.booked, self.venue_id, self.sent_ms, self.plan)


class WorkingOrders:
    """Every order of a session by its client id."""

    def __init__(self, session: str, number: int = 0) -> None:
        self.session = session
        self.number = number
        """Of the last client id given out."""
        self._all: dict[str, WorkingOrder] = {}
        self._slots: dict[tuple[int, Slot], list[WorkingOrder]] = {}

    def next_id(self, stream: int, slot: Slot) -> str:
        """A client id that was never used."""
        self.number += 1
        return str(ClientId(self.session, stream, slot, self.number))

    def add(self, order: WorkingOrder) -> None:
        """A new order, or one that was kept."""
        request = order.request
        self._all[request.client_id] = order
        self._slots.setdefault((request.stream, request.slot), []).append(order)
        if len(self._all) > 2 * OVER_KEPT:
            self._forget()

    def restore(self, saved: SavedOrder, stream: int) -> WorkingOrder:
        """An order of an earlier run, of which nobody knows how it stands; it works for `stream`
        now.
        """
        order = WorkingOrder(
            replace(saved.request, stream=stream),
            OrderPhase.UNKNOWN,  # one that is over waits for fills: the venue tells how many
            saved.venue_id,
            left=saved.request.quantity - saved.filled_quantity,
            sent_ms=saved.sent_ms,
            plan=saved.plan or NO_PLAN,
        )
        self.add(order)
        parsed = parse_client_id(saved.request.client_id)
        if parsed is not None and parsed.session == self.session:
            self.number = max(self.number, parsed.number)
        return order

    def find(self, client_id: str) -> WorkingOrder | None:
        """The order of that id; None: not ours, or long forgotten."""
        return self._all.get(client_id)

    def has(self, stream: int, slot: Slot) -> bool:
        """Whether anything of a slot may still be live: quicker than to look."""
        return (stream, slot) in self._slots

    def of(self, stream: int, slot: Slot) -> list[WorkingOrder]:
        """Live orders of a slot, oldest first."""
        there = self._slots.get((stream, slot))
        if there is None:
            return []
        live = [order for order in there if order.is_live]
        if len(live) != len(there):
            self._keep(stream, slot, live)
        return live

    def live(self) -> list[WorkingOrder]:
        """Every order that may rest at the venue: slot by slot, oldest first."""
        found: list[WorkingOrder] = []
        is_clean = True
        for there in self._slots.values():
            for order in there:
                if order.is_live:
                    found.append(order)
                else:
                    is_clean = False
        if not is_clean:
            for stream, slot in list(self._slots):
                self.of(stream, slot)
        return found

    def _keep(self, stream: int, slot: Slot, live: list[WorkingOrder]) -> None:
        """Nothing but `live` is left in a slot."""
        if live:
            self._slots[stream, slot] = live
        else:
            del self._slots[stream, slot]

    def unsettled(self) -> list[WorkingOrder]:
        """Orders whose fills are not all booked yet."""
        return [order for order in self.live() if order.is_unsettled]

    def _forget(self) -> None:
        """Drop the oldest orders that are over."""
        over = [key for key, order in self._all.items() if not order.is_live]
        for key in over[: max(len(over) - OVER_KEPT, 0)]:
            del self._all[key]


class Wanted(NamedTuple):
    """What should rest in a slot."""

    kind: OrderKind
    side: int
    quantity: float
    price: float
    """Limit or trigger price; NaN for market."""
    reason: int


def wanted_in(order: tuple[Any, ...], slot: Slot) -> Wanted | None:
    """What `order`, the fields of an ORDER, asks for in `slot`; None: nothing.

    A stop that has triggered is left as it is: its quantity is what the venue still works on. A
    trailing stop whose share a thin market has already taken off through the stop asks for nothing.
    """
    status, number, side, price, quantity, reason = order[:ORDER_FIELDS]
    if status == OrderStatus.EMPTY or not quantity > 0.0:
        return None
    kind = KINDS[number]
    if status == OrderStatus.TRIGGERED and slot in (Slot.STOP, Slot.TRAIL):
        kind = OrderKind.STOP
    return Wanted(kind, side, quantity, math.nan if kind is OrderKind.MARKET else price, reason)


def fits(order: WorkingOrder, wanted: Wanted, price_slack: float, quantity_slack: float) -> bool:
    """Whether `order` is what is wanted, but for less than the slacks (price units and base), or
    as much of it as the venue takes in one order.
    """
    request, lacking = order.request, wanted.quantity - order.left
    if request.kind != wanted.kind or request.side != wanted.side:
        return False
    if abs(lacking) > quantity_slack and not (order.is_cut and lacking > 0.0):
        return False
    if wanted.kind == OrderKind.MARKET:
        return True
    price = request.trigger_price if request.is_conditional else request.price
    return price is not None and (price == wanted.price or abs(price - wanted.price) < price_slack)


def request_for(
    wanted: Wanted, *, client_id: str, symbol: str, stream: int, slot: Slot
) -> OrderRequest:
    """The order that asks for it."""
    conditional = wanted.kind == OrderKind.STOP
    priced = wanted.kind in (OrderKind.LIMIT, OrderKind.POST_ONLY)
    return OrderRequest(
        client_id=client_id,
        symbol=symbol,
        side=wanted.side,
        kind=wanted.kind,
        quantity=wanted.quantity,
        price=wanted.price if priced else None,
        trigger_price=wanted.price if conditional else None,
        reduce_only=slot is not Slot.ENTRY,
        stream=stream,
        slot=slot,
        reason=wanted.reason,
    )
