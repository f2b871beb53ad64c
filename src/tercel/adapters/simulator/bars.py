"""The simulated exchange of replays: it fills orders from closed bars, to the bit as `kernel.run`.

It knows orders, not trades: what a session places and cancels is all that rests here. Prices,
slippage, fees and volume are those of `core.fills`, in the order of `core.matching`; after each
fill the session may move its orders before the next one is looked for. Settings (costs, fill rules,
instrument) are those of the stream that an order works for.

Orders are kept as they were asked, without rounding: a backtest does not round either.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from tercel.core import fills
from tercel.core.codes import (
    EntryTiming,
    IntrabarMode,
    OrderKind,
    OrderStatus,
    Side,
    Slot,
)
from tercel.core.jit import new
from tercel.core.ledger import NEVER, next_settlement
from tercel.core.manage import is_dust
from tercel.core.records import FILL, STREAM, Records
from tercel.domain.events import (
    Answer,
    Event,
    Fault,
    Filled,
    FundingPaid,
    OrderUpdate,
    Outcome,
)
from tercel.domain.orders import OrderPhase, OrderRequest, VenueFill


@dataclass(slots=True)
class _Resting:
    """An order that the exchange has."""

    request: OrderRequest
    number: int
    left: float
    """Still to fill, base."""
    is_triggered: bool = False
    filled: float = 0.0


@dataclass(slots=True)
class _Book:
    """The orders and the position of one stream."""

    record: Any
    """STREAM: settings, and an order table to price fills with."""
    orders: dict[Slot, list[_Resting]] = field(default_factory=dict)
    quantity: float = 0.0
    side: int = 0
    entry_time: int = 0

    def resting(self, slot: Slot) -> _Resting | None:
        """The order that counts in `slot`: the newest."""
        there = self.orders.get(slot)
        return there[-1] if there else None


class BarExchange:
    """Orders of every stream against closed bars. Pure: time comes with the bars."""

    def __init__(self, settings: Records) -> None:
        """`settings` are STREAM records with costs, rules, instrument and bar_ms filled in."""
        self._books = []
        for number in range(len(settings)):
            record = new(STREAM)
            for name in ("bar_ms", "plan", "instrument", "costs", "rules"):
                record[name] = settings[number][name]
            record.number = number
            record.funding_time = NEVER
            self._books.append(_Book(record))
        self._fill = new(FILL)
        self._numbers = 0
        self._trades = 0
        self._stream_of: dict[str, tuple[int, Slot]] = {}

    # --- what a client asks ------------------------------------------------------------------

    def place(self, request: OrderRequest) -> Answer:
        """Take an order; a market order waits for the next price that is offered.

        A stop that takes the place of one that was triggered is triggered too: it is the same one,
        resized while it waits for volume.
        """
        self._numbers += 1
        book = self._books[request.stream]
        there = book.orders.setdefault(request.slot, [])
        order = _Resting(request, self._numbers, request.quantity)
        order.is_triggered = request.kind == OrderKind.MARKET or (
            request.is_conditional and any(each.is_triggered for each in there)
        )
        there.append(order)
        self._stream_of[request.client_id] = (request.stream, request.slot)
        return Answer(Outcome.DONE, str(self._numbers), OrderPhase.ACKED)

    def cancel(self, client_id: str) -> Answer:
        """Take an order away; REFUSED with NOT_FOUND where it is not there (any more)."""
        found = self._find(client_id)
        if found is None:
            return Answer(Outcome.REFUSED, fault=Fault.NOT_FOUND, text="no such order")
        book, slot, order = found
        book.orders[slot].remove(order)
        return Answer(
            Outcome.DONE, str(order.number), OrderPhase.CANCELLED, filled_quantity=order.filled
        )

    def query(self, client_id: str) -> Answer:
        """What is known of an order that rests."""
        found = self._find(client_id)
        if found is None:
            return Answer(Outcome.REFUSED, fault=Fault.NOT_FOUND, text="no such order")
        order = found[2]
        phase = OrderPhase.PARTLY_FILLED if order.filled > 0.0 else OrderPhase.ACKED
        return Answer(Outcome.DONE, str(order.number), phase, filled_quantity=order.filled)

    def _find(self, client_id: str) -> tuple[_Book, Slot, _Resting] | None:
        where = self._stream_of.get(client_id)
        if where is None:
            return None
        book = self._books[where[0]]
        for order in book.orders.get(where[1], ()):
            if order.request.client_id == client_id:
                return book, where[1], order
        return None

    # --- what the market does ----------------------------------------------------------------

    def on_bar(self, stream: int, bar: Any, context: Any) -> Iterator[Event]:
        """What `bar` fills of the orders of `stream`, then the settlement that falls on its close.

        A generator: orders may be placed and cancelled between two events.
        """
        book = self._books[stream]
        if not book.quantity > 0.0 and not any(book.orders.values()):
            return
        fills.begin_bar(book.record, bar)
        yield from self._match(book, bar)
        yield from self._settle(book, bar, context)

    def at_close(self, stream: int, bar: Any) -> Iterator[Event]:
        """Market orders placed at this close meet it; what is left of an entry is given up."""
        book = self._books[stream]
        if book.record.rules.entry_timing != EntryTiming.CLOSE:
            return
        fills.begin_bar(book.record, bar)
        close = book.resting(Slot.CLOSE)
        if close is not None and close.is_triggered:
            yield from self._take(book, bar, Slot.CLOSE, bar.close)
        entry = book.resting(Slot.ENTRY)
        if entry is not None and entry.is_triggered:
            yield from self._take(book, bar, Slot.ENTRY, bar.close)
            yield from self._expire(book, bar, Slot.ENTRY)

    def finish(self, stream: int, bar: Any) -> Iterator[Event]:
        """The end of the data: a closing order finds its counterpart at the last price."""
        book = self._books[stream]
        book.record.volume_left = math.inf
        close = book.resting(Slot.CLOSE)
        if close is not None and close.is_triggered:
            yield from self._take(book, bar, Slot.CLOSE, bar.close)

    def _match(self, book: _Book, bar: Any) -> Iterator[Event]:
        entry = book.resting(Slot.ENTRY)
        followed = False
        if entry is not None:
            before = book.quantity
            yield from self._match_entry(book, bar, entry)
            grew = book.quantity > before and entry.request.kind != OrderKind.MARKET
            if grew and book.record.rules.intrabar != IntrabarMode.OPTIMISTIC:
                # Whether the high came before or after this fill is unknown: the stop alone may
                # follow it in this bar.
                yield from self._match_stop(book, bar, Slot.STOP)
                followed = True
            settlement = next_settlement(book.record, bar.open_time)
            book.record.funding_time = min(int(book.record.funding_time), settlement)
        for slot in (Slot.CLOSE, Slot.STOP, Slot.TRAIL):
            order = book.resting(slot)
            if book.quantity > 0.0 and order is not None and order.is_triggered:
                yield from self._take(book, bar, slot, bar.open)
        if book.quantity > 0.0 and not followed:
            yield from self._match_exits(book, bar)

    def _match_entry(self, book: _Book, bar: Any, entry: _Resting) -> Iterator[Event]:
        if entry.is_triggered:
            yield from self._take(book, bar, Slot.ENTRY, bar.open)
            yield from self._expire(book, bar, Slot.ENTRY)
        else:
            yield from self._make(book, bar, Slot.ENTRY)

    def _match_exits(self, book: _Book, bar: Any) -> Iterator[Event]:
        """As `matching.match_exits`: stop, targets and trail in the order the rules assume."""
        mode = book.record.rules.intrabar
        before = self._stop_price(book)
        if mode == IntrabarMode.STOP_FIRST:
            yield from self._match_stop(book, bar, Slot.STOP)
            yield from self._match_targets(book, bar)
            yield from self._match_moved_stop(book, bar, before, came_back=True)
            yield from self._match_stop(book, bar, Slot.TRAIL)
            return
        rising = bar.close >= bar.open
        adverse_first = rising == (book.side == Side.LONG)
        if mode == IntrabarMode.OHLC_PATH and adverse_first:
            yield from self._match_stop(book, bar, Slot.TRAIL)
            yield from self._match_stop(book, bar, Slot.STOP)
            yield from self._match_targets(book, bar)
            yield from self._match_moved_stop(book, bar, before, came_back=False)
            return
        yield from self._match_targets(book, bar)
        yield from self._match_stop(book, bar, Slot.TRAIL)
        if self._stop_price(book) == before:
            yield from self._match_stop(book, bar, Slot.STOP)
        else:
            came_back = mode == IntrabarMode.OHLC_PATH
            yield from self._match_moved_stop(book, bar, before, came_back=came_back)

    def _stop_price(self, book: _Book) -> float:
        order = book.resting(Slot.STOP)
        return math.nan if order is None else float(order.request.trigger_price or math.nan)

    def _match_stop(self, book: _Book, bar: Any, slot: Slot) -> Iterator[Event]:
        order = book.resting(slot)
        if order is None or order.is_triggered or not book.quantity > 0.0:
            return
        price = fills.stop_price(self._load(book, slot, order), bar)
        if math.isnan(price):
            return
        yield from self._trigger(book, bar, order)
        yield from self._take(book, bar, slot, price)

    def _match_moved_stop(
        self, book: _Book, bar: Any, before: float, *, came_back: bool
    ) -> Iterator[Event]:
        """The stop again, where a target has just moved it: it fills at its own price."""
        order = book.resting(Slot.STOP)
        if order is None or order.is_triggered or not book.quantity > 0.0:
            return
        price = float(order.request.trigger_price or math.nan)
        if price == before:
            return
        side = order.request.side
        last = bar.low if side == Side.SHORT else bar.high
        if not came_back:
            last = bar.close
        if (price - last) * side > 0.0:
            return
        yield from self._trigger(book, bar, order)
        yield from self._take(book, bar, Slot.STOP, price)

    def _match_targets(self, book: _Book, bar: Any) -> Iterator[Event]:
        for leg in range(int(book.record.plan.leg_count)):
            slot = Slot(fills.target_slot(leg))
            if book.quantity > 0.0 and book.resting(slot) is not None:
                yield from self._make(book, bar, slot)

    # --- fills -------------------------------------------------------------------------------

    def _load(self, book: _Book, slot: Slot, order: _Resting) -> Any:
        """The ORDER record of `slot`, as `core.fills` reads it."""
        request = order.request
        made = book.record.orders[slot]
        price = request.trigger_price if request.is_conditional else request.price
        made.status = OrderStatus.TRIGGERED if order.is_triggered else OrderStatus.RESTING
        made.kind = request.kind
        made.side = request.side
        made.price = math.nan if price is None else price
        made.quantity = order.left
        made.reason = request.reason
        return made

    def _take(self, book: _Book, bar: Any, slot: Slot, price: float) -> Iterator[Event]:
        order = book.resting(slot)
        if order is None:
            return
        self._load(book, slot, order)
        if fills.take(book.record, bar, slot, price, self._fill):
            yield from self._book_fill(book, slot, order)

    def _make(self, book: _Book, bar: Any, slot: Slot) -> Iterator[Event]:
        order = book.resting(slot)
        if order is None:
            return
        price = fills.limit_price(book.record, self._load(book, slot, order), bar)
        if not math.isnan(price) and fills.make(book.record, bar, slot, price, self._fill):
            yield from self._book_fill(book, slot, order)

    def _book_fill(self, book: _Book, slot: Slot, order: _Resting) -> Iterator[Event]:
        """The position moves, the order shrinks, the client is told."""
        fill = self._fill
        quantity, time = float(fill.quantity), int(fill.time)
        if slot == Slot.ENTRY:
            if book.quantity == 0.0:
                book.side = order.request.side
                book.entry_time = time
                book.record.funding_time = next_settlement(book.record, time)
            book.quantity += quantity
        else:
            book.quantity -= quantity
            if is_dust(book.record, book.quantity):
                book.quantity = 0.0
        order.left -= quantity
        order.filled += quantity
        if is_dust(book.record, order.left):
            book.orders[slot].remove(order)
        self._trades += 1
        yield Filled(
            time,
            VenueFill(
                trade_id=str(self._trades),
                client_id=order.request.client_id,
                venue_order_id=str(order.number),
                symbol=order.request.symbol,
                side=order.request.side,
                price=float(fill.price),
                quantity=quantity,
                fee_quote=float(fill.fee_quote),
                is_maker=bool(fill.is_maker),
                time_ms=time,
                reference_price=float(fill.reference_price),
            ),
        )

    def _trigger(self, book: _Book, bar: Any, order: _Resting) -> Iterator[Event]:
        order.is_triggered = True
        yield self._update(book, bar, order, OrderPhase.ACKED, is_triggered=True)

    def _expire(self, book: _Book, bar: Any, slot: Slot) -> Iterator[Event]:
        """What a market entry did not find is not waited for."""
        order = book.resting(slot)
        if order is not None:
            book.orders[slot].remove(order)
            yield self._update(book, bar, order, OrderPhase.EXPIRED, is_triggered=False)

    def _update(
        self, book: _Book, bar: Any, order: _Resting, phase: OrderPhase, *, is_triggered: bool
    ) -> OrderUpdate:
        time = int(bar.open_time) + int(book.record.bar_ms)
        return OrderUpdate(
            time,
            order.request.client_id,
            str(order.number),
            phase,
            order.filled,
            is_triggered=is_triggered,
            venue_time_ms=time,
        )

    def _settle(self, book: _Book, bar: Any, context: Any) -> Iterator[Event]:
        """Funding settlements up to the close of `bar`, on what is held then."""
        record = book.record
        interval = int(record.costs.funding_interval_ms)
        time = int(bar.open_time) + int(record.bar_ms)
        if not book.quantity > 0.0 or interval == 0:
            return
        rate = context.funding_rate
        if math.isnan(rate):
            rate = record.costs.funding_rate
        position = record.position
        position.side, position.quantity, position.mark_price = book.side, book.quantity, bar.close
        while time >= record.funding_time:
            payment = float(fills.funding_payment(position, rate))
            record.funding_time += interval
            yield FundingPaid(time, "", payment, stream=int(record.number))
