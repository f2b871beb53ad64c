"""The market of one symbol as the exchange was last told: book, last trade, mark price.

Our own orders are not in this book. What our takers eat is gone until the next book arrives.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from tercel.adapters.simulator.exchange.records import BUY, ZERO

Level = tuple[Decimal, Decimal]
"""A price and the quantity that rests there."""

BOTTOMLESS = Decimal(10) ** 12
"""Quantity of a level that nobody empties."""


class Quotes:
    """Book, last and mark price of one symbol."""

    __slots__ = ("_fell", "asks", "bids", "last", "mark")

    def __init__(self) -> None:
        self.bids: list[Level] = []
        self.asks: list[Level] = []
        self.last: Decimal | None = None
        self.mark: Decimal | None = None
        self._fell = True

    @property
    def reference(self) -> Decimal | None:
        """The mark price, or the last one where there is no mark yet; None before any price."""
        return self.last if self.mark is None else self.mark

    def set_book(self, bids: Sequence[Level], asks: Sequence[Level]) -> None:
        """Replace the book."""
        self.bids, self.asks = list(bids), list(asks)

    def set_price(self, price: Decimal, tick: Decimal) -> None:
        """A book one tick wide without bottom. The last trade was at the bid if price fell, so that
        a price that only touches a limit does not cross it.
        """
        before = self.last
        if before is not None and price != before:
            self._fell = price < before
        bid = price if self._fell else price - tick
        self.bids = [(bid, BOTTOMLESS)]
        self.asks = [(bid + tick, BOTTOMLESS)]
        self.last = self.mark = price

    def opposite(self, side: int) -> list[Level]:
        """The levels that an order of `side` would take from, best first."""
        return self.asks if side == BUY else self.bids

    def crosses(self, side: int, price: Decimal) -> bool:
        """Whether a limit order of `side` at `price` would be filled at once."""
        levels = self.opposite(side)
        if not levels:
            return False
        return price >= levels[0][0] if side == BUY else price <= levels[0][0]

    def matches(self, side: int, quantity: Decimal, worst: Decimal | None) -> list[Level]:
        """What an order of `side` gets, level by level, no worse than `worst` (None: any price)."""
        found: list[Level] = []
        for price, offered in self.opposite(side):
            if quantity <= ZERO or (worst is not None and (price - worst) * side > ZERO):
                break
            taken = min(quantity, offered)
            found.append((price, taken))
            quantity -= taken
        return found

    def consume(self, side: int, taken: Sequence[Level]) -> None:
        """Take what was matched out of the book."""
        levels = self.opposite(side)
        for price, quantity in taken:
            offered = levels[0][1] - quantity
            if offered > ZERO:
                levels[0] = (price, offered)
            else:
                levels.pop(0)

    def size_at(self, side: int, price: Decimal) -> Decimal | None:
        """What rests at `price` on the side of an order of `side`: 0 where the price is better than
        the whole book or between its levels, None where it is beyond what is known.
        """
        levels = self.bids if side == BUY else self.asks
        for level, size in levels:
            if level == price:
                return size
            if (level - price) * side < ZERO:
                return ZERO
        return None
