"""Prices and quantities on a venue's grid: the one place where floats become Decimals.

How each is rounded, and why:

- quantities go down to whole lots, with the slack of the core (`core.fills.LOT_TOLERANCE`): the
  float 0.29999999999999993 of a whole position of 0.3 stays 0.3 and leaves no dust behind;
- limit prices go to the side that never pays more or asks less than wanted: buys down, sells up;
- trigger prices go towards the market: the stop of a long (a sell) up, that of a short (a buy)
  down, so that no stop ends up further away than asked.

Float noise is not a reason to move by a tick: 99.30000000000001 on a grid of 0.1 is 99.3.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Decimal

from tercel.core.codes import OrderKind
from tercel.core.fills import LOT_TOLERANCE
from tercel.domain.venue_instrument import NO_LIMIT, LargestOrder, takes_market

TICK_TOLERANCE = Decimal("1e-6")
"""Ticks by which a price may be off its grid and still count as on it."""


@dataclass(frozen=True, slots=True)
class VenueRules:
    """A venue's rules for one symbol, exact."""

    symbol: str
    tick_size: Decimal
    lot_size: Decimal
    market_lot_size: Decimal
    """Of orders that take the market; a multiple of the other or equal to it."""
    quantity_min: Decimal
    notional_min: Decimal
    """Quote; orders that only reduce are free of it."""
    is_trading: bool
    largest: LargestOrder = NO_LIMIT

    def quantity(self, wanted: float, kind: OrderKind) -> Decimal:
        """`wanted` in whole lots, rounded down; may be 0."""
        lot = self._lot(kind)
        slack = Decimal(1) + Decimal(repr(LOT_TOLERANCE))
        lots = (exact(wanted) / lot * slack).to_integral_value(ROUND_FLOOR)
        return lots * lot

    def part(self, quantity: Decimal, kind: OrderKind) -> Decimal:
        """As much of `quantity` as one order may have, in whole lots."""
        return self.largest.part(quantity, kind, self._lot(kind))

    def _lot(self, kind: OrderKind) -> Decimal:
        takes = takes_market(kind)
        return max(self.lot_size, self.market_lot_size) if takes else self.lot_size

    def limit_price(self, wanted: float, side: int) -> Decimal:
        """`wanted` on the grid, never worse for us."""
        return self._on_grid(wanted, up=side < 0)

    def trigger_price(self, wanted: float, side: int) -> Decimal:
        """`wanted` on the grid, never further from the market. `side` is the order's, not the
        position's.
        """
        return self._on_grid(wanted, up=side < 0)

    def _on_grid(self, wanted: float, *, up: bool) -> Decimal:
        ticks = exact(wanted) / self.tick_size
        nearest = ticks.to_integral_value(ROUND_HALF_EVEN)
        if abs(ticks - nearest) > TICK_TOLERANCE:
            nearest = ticks.to_integral_value(ROUND_CEILING if up else ROUND_FLOOR)
        return nearest * self.tick_size


def exact(value: float) -> Decimal:
    """The shortest decimal that reads back as `value`: 0.1 is 0.1."""
    return Decimal(repr(float(value)))


def plain(value: Decimal) -> str:
    """`0.00001` and `12000`, never `1E-5` or `1.2E+4`."""
    return format(value.normalize(), "f")
