"""What somebody else holds in our symbols: trades by hand, or of another program.

Whoever opened it will close it. Without keeping count, the trade that closes it would be taken for
one that closes our own position, and what is left of ours would rest without protection.
"""

from __future__ import annotations

from tercel.domain.orders import VenueFill


class Foreign:
    """Quantities by symbol, base, longs positive. The venue nets them with ours."""

    def __init__(self) -> None:
        self._held: dict[str, float] = {}

    def held(self, symbol: str) -> float:
        """What somebody else holds in `symbol`."""
        return self._held.get(symbol, 0.0)

    def note(self, symbol: str, quantity: float) -> None:
        """The venue was read: so much there is not ours."""
        self._held[symbol] = quantity

    def close(self, fill: VenueFill) -> float:
        """Take a trade of somebody else off what is his; the rest of it, base."""
        held = self.held(fill.symbol)
        if held * fill.side >= 0.0:
            return fill.quantity
        part = min(abs(held), fill.quantity)
        self._held[fill.symbol] = held + fill.side * part
        return fill.quantity - part

    def open(self, fill: VenueFill, quantity: float) -> None:
        """`quantity` of a trade of somebody else closed nothing: it is his position now."""
        self._held[fill.symbol] = self.held(fill.symbol) + fill.side * quantity
