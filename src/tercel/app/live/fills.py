"""Whose a fill is, whoever tells it: booked once, for the order that it belongs to.

One that belongs to no order the session counts on is somebody else's, or one of ours whose order
was lost: then what it opened is closed at once, for nothing protects it.
"""

from __future__ import annotations

from tercel.app.live.alerts import AlertCode
from tercel.app.live.execution import Execution
from tercel.app.live.parts import SessionParts
from tercel.app.live.working import STRAY_STREAM, WorkingOrder
from tercel.core.codes import ExitReason, OrderKind, Slot
from tercel.domain.commands import Level
from tercel.domain.orders import OrderPhase, OrderRequest, VenueFill, parse_client_id


class Fills:
    """Takes fills from the user stream and from readings."""

    def __init__(self, parts: SessionParts, execution: Execution) -> None:
        self._parts = parts
        self._execution = execution
        self.is_start = True
        """Until a reading of the start was judged: what nobody knows is left alone."""
        self._failed: set[str] = set()
        """Fills whose booking failed once."""

    def take(self, fill: VenueFill) -> None:
        """Book a fill once, whoever tells it."""
        parts, key = self._parts, fill.key
        if not parts.note_fill(key, fill.time_ms):
            return
        parts.changed = True
        parts.booked_ms[fill.symbol] = parts.now
        try:
            self._book(key, fill)
        except Exception:
            parts.forget_fill(key)
            self._failed.add(key)
            raise

    def _book(self, key: str, fill: VenueFill) -> None:
        parts, symbols = self._parts, self._parts.plan.symbols
        order = self._order_of(fill)
        is_lost = order is None and parse_client_id(fill.client_id) is not None
        is_lost = is_lost or (order is not None and _enters_for_nobody(order))
        # At a start an unknown position is a reason not to begin: nothing is touched.
        if key in self._failed or (is_lost and not self.is_start and fill.symbol in symbols):
            self._take_off(fill, order)
        elif order is not None:
            self._execution.book(order, fill)
        elif fill.symbol not in symbols:
            return
        elif not fill.client_id and self._may_be_ours(fill):
            parts.forget_fill(key)  # whose it is comes with the answer to a question
            parts.wants_read = True
        else:
            self._execution.booking.outside(fill)

    def _order_of(self, fill: VenueFill) -> WorkingOrder | None:
        """Our order that traded; venues number orders and trades by symbol."""
        order = self._parts.orders.find(fill.client_id)
        if order is not None:
            return order if order.request.symbol == fill.symbol else None
        for each in self._parts.orders.live():
            is_it = each.venue_id and each.venue_id == fill.venue_order_id
            if is_it and each.request.symbol == fill.symbol:
                return each
        return None

    def _may_be_ours(self, fill: VenueFill) -> bool:
        """Whether an order of ours that nobody knows of may have traded there."""
        return any(
            order.phase in (OrderPhase.SENT, OrderPhase.UNKNOWN)
            and (order.request.symbol, order.request.side) == (fill.symbol, fill.side)
            for order in self._parts.orders.live()
        )

    def _take_off(self, fill: VenueFill, order: WorkingOrder | None) -> None:
        """A fill of ours that cannot be booked: the order is of a state that is lost or of a stream
        that is gone, or booking it has failed before. What it opened is closed at market; what it
        closed is closed here, too.
        """
        parsed = parse_client_id(fill.client_id)
        if parsed is None or parsed.slot is not Slot.ENTRY:
            self._execution.booking.outside(fill)
            return
        if order is not None and _enters_for_nobody(order):
            self._execution.book(order, fill)
        else:
            self._execution.booking.book_stray(fill)
        self.close_stray(fill.symbol, fill.side * fill.quantity, ExitReason.UNPROTECTED)
        self._parts.alert(
            Level.CRITICAL,
            AlertCode.FOREIGN_FILL,
            f"{fill.symbol}: an entry of ours that the session does not count on has filled "
            f"{fill.quantity:g} at {fill.price:g}; closing at market",
        )

    def close_stray(self, symbol: str, difference: float, reason: ExitReason) -> None:
        """Close at market what no stream knows of, base, longs positive."""
        parts = self._parts
        request = OrderRequest(
            parts.orders.next_id(STRAY_STREAM, Slot.CLOSE),
            symbol,
            -1 if difference > 0.0 else 1,
            OrderKind.MARKET,
            abs(difference),
            reduce_only=True,
            stream=STRAY_STREAM,
            slot=Slot.CLOSE,
            reason=int(reason),
        )
        parts.place(parts.new_order(request))


def _enters_for_nobody(order: WorkingOrder) -> bool:
    return order.request.stream == STRAY_STREAM and order.request.slot is Slot.ENTRY
