"""A symbol's rules as its venue tells them: settings know the same but for the largest order."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from tercel.core.codes import OrderKind, Slot
from tercel.domain.orders import OrderRequest
from tercel.domain.trading_settings import InstrumentSettings


@dataclass(frozen=True, slots=True)
class LargestOrder:
    """The most that a venue takes in one order of a symbol, base; None: it tells no limit."""

    quantity_max: Decimal | None = None
    market_quantity_max: Decimal | None = None
    """Of one that takes the market, a stop too."""

    @property
    def closable_max(self) -> Decimal | None:
        """The largest position that one order can close at market; None: any."""
        told = [each for each in (self.quantity_max, self.market_quantity_max) if each is not None]
        return min(told, default=None)

    def part(self, quantity: Decimal, kind: OrderKind, lot_size: Decimal) -> Decimal:
        """As much of `quantity` as one order may have, in whole lots."""
        most = self.closable_max if takes_market(kind) else self.quantity_max
        if most is None or quantity <= most:
            return quantity
        return most // lot_size * lot_size

    def objection(self, request: OrderRequest, quantity: Decimal) -> str:
        """Why `quantity` is not sent for `request`; empty: it may be.

        An entry that one order could not close at market is not made. What makes a position smaller
        is never refused: it goes in parts.
        """
        most = self.closable_max
        if request.slot != Slot.ENTRY or most is None or quantity <= most:
            return ""
        return (
            f"{quantity.normalize():f} {request.symbol} is more than one order may close at "
            f"market; the venue takes {most.normalize():f} at most"
        )


NO_LIMIT = LargestOrder()


@dataclass(frozen=True, slots=True)
class VenueInstrument:
    """What a venue tells of one symbol."""

    rules: InstrumentSettings
    largest: LargestOrder = NO_LIMIT


def takes_market(kind: OrderKind) -> bool:
    """Whether an order of that kind takes the market when it is its turn."""
    return kind in (OrderKind.MARKET, OrderKind.STOP)
