"""The floor: the same trades from a bare numba loop over plain arrays, written for one question.

No account, no orders, no partial fills: the price of an engine is what it takes above this.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from bench.market import Crosses
from bench.trades import FEE_RATE, STOP_FRACTION, TARGET_FRACTION, Trades, trades_of_rows
from tercel.core.records import Records


@numba.njit(cache=False, nogil=True)
def trade_bare(prices: Any, entries: Any, exits: Any, rows: Any, equity: Any) -> int:
    """Trade fixed signals into `rows` (entry bar, exit bar, entry price, exit price); how many.

    `prices` is open, high, low, close, each an array; `equity` is filled with the marked profit.
    """
    opens, highs, lows, closes = prices
    count = 0
    realised = 0.0
    entry_bar = -1
    entry = stop = target = 0.0
    for i in range(len(closes)):
        if entry_bar >= 0:
            price = 0.0
            if lows[i] <= stop:
                price = min(opens[i], stop)
            elif highs[i] >= target:
                price = max(opens[i], target)
            elif exits[i]:
                price = closes[i]
            if price > 0.0:
                rows[count, 0], rows[count, 1] = entry_bar, i
                rows[count, 2], rows[count, 3] = entry, price
                realised += price - entry - (price + entry) * FEE_RATE
                count += 1
                entry_bar = -1
        if entry_bar < 0 and entries[i]:
            entry_bar, entry = i, closes[i]
            stop = entry - STOP_FRACTION * entry
            target = entry + TARGET_FRACTION * entry
        equity[i] = realised
        if entry_bar >= 0:
            equity[i] += closes[i] - entry - entry * FEE_RATE
    if entry_bar >= 0:
        rows[count, 0], rows[count, 1] = entry_bar, len(closes) - 1
        rows[count, 2], rows[count, 3] = entry, closes[-1]
        count += 1
    return count


class Floor:
    """Buffers of the bare loop, and one call."""

    def __init__(self, bars: Records, crosses: Crosses) -> None:
        self._prices = tuple(
            np.ascontiguousarray(bars[name]) for name in ("open", "high", "low", "close")
        )
        self._crosses = crosses
        self._rows = np.empty((int(crosses.entries.sum()) + 1, 4))
        self._equity = np.empty(len(bars))

    def run(self) -> int:
        """Trade everything; how many trades."""
        count: int = trade_bare(
            self._prices, self._crosses.entries, self._crosses.exits, self._rows, self._equity
        )
        return count

    def trades(self) -> Trades:
        """The trades of a run."""
        rows = self._rows[: self.run()]
        return trades_of_rows(rows, FEE_RATE)
