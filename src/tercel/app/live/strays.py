"""Orders that work for no stream of the session: of one that is not traded any more, or the kill
switch's own.

Those of a stream that is gone are cancelled. What they fill all the same is nobody's trade: where
the symbol is traded, it is closed (`fills.py`); in any other symbol nothing is read, and a person
is told.
"""

from __future__ import annotations

from collections.abc import Iterable

from tercel.app.live.alerts import AlertCode
from tercel.app.live.parts import SessionParts
from tercel.app.live.working import WorkingOrder
from tercel.core.codes import Slot
from tercel.domain.commands import Level


class Strays:
    """What becomes of them."""

    def __init__(self, parts: SessionParts) -> None:
        self._parts = parts

    def has_to_go(self, order: WorkingOrder, naked: Iterable[int]) -> bool:
        """Whether a stray is to be cancelled. `naked` are streams without a stop of their
        position's size: until one rests, an order that reduces may be all that protects it.
        """
        request = order.request
        if request.slot is Slot.CLOSE:
            return False
        is_needed = any(self._parts.symbol_of(k) == request.symbol for k in naked)
        return not (request.reduce_only and is_needed)

    def end(self, order: WorkingOrder) -> None:
        """A stray is over. Where its symbol is not traded, nobody reads its fills or waits for
        them.
        """
        if order.request.symbol not in self._parts.plan.symbols:
            self.tell_filled(order, order.told_filled - order.booked)
            order.told_filled = order.booked

    def tell_filled(self, order: WorkingOrder, quantity: float) -> None:
        """An entry of a stream that is gone has filled."""
        parts, request = self._parts, order.request
        is_read = request.symbol in parts.plan.symbols
        if is_read or request.slot is not Slot.ENTRY or not quantity > 0.0:
            return
        parts.alert(
            Level.CRITICAL,
            AlertCode.UNKNOWN_POSITION,
            f"{request.symbol}: {quantity:g} of {request.client_id} have filled, an entry of a "
            "stream that is not traded any more; nothing protects them: close them at the venue",
        )
