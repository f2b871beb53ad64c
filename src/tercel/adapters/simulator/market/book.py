"""The book around a price: the best bid or ask stands at it, deeper levels are drawn."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

import numpy as np

from tercel.adapters.simulator.exchange.amounts import (
    decimal_of,
    step_above,
    step_below,
    whole_steps,
)
from tercel.adapters.simulator.exchange.quotes import Level
from tercel.adapters.simulator.exchange.records import BUY, Instrument

DEPTH_GROWTH = 0.1
"""Each level holds so much more than the one before, on average, of the best level's size."""
Sides = tuple[tuple[Level, ...], tuple[Level, ...]]


class BookMaker:
    """Books of one bar."""

    def __init__(self, bar: Any, rules: Instrument, levels: int, draws: np.random.Generator):
        self._rules = rules
        self._levels = levels
        self._draws = draws
        self._sizes = (float(bar["bid_size"]), float(bar["ask_size"]))
        self._spread_bps = float(bar["spread_bps"])

    def spread(self, price: Decimal, ticks: int) -> Decimal:
        """Ask less bid: as the bar knows it, at least one tick; else `ticks`."""
        tick = self._rules.tick_size
        if math.isnan(self._spread_bps):
            return ticks * tick
        return max(1, round(self._spread_bps * 1e-4 * float(price / tick))) * tick

    def around(self, price: Decimal, side: int, spread: Decimal, level_quote: float) -> Sides:
        """Bids and asks. A taker that buys (`side` +1) finds the best ask at `price`, one that
        sells the best bid; a price off the grid has the next worse level on it.
        """
        tick = self._rules.tick_size
        if side == BUY:
            ask = step_above(price, tick)
            bid = ask - spread
        else:
            bid = step_below(price, tick)
            ask = bid + spread
        usual = whole_steps(decimal_of(level_quote) / price, self._rules.lot_size)
        return (
            self._ladder(max(bid, tick), -tick, self._sizes[0], usual),
            self._ladder(max(ask, 2 * tick), tick, self._sizes[1], usual),
        )

    def _ladder(
        self, best: Decimal, step: Decimal, size: float, usual: Decimal
    ) -> tuple[Level, ...]:
        lot = self._rules.lot_size
        lots = int((usual if math.isnan(size) else decimal_of(size)) / lot)
        drawn = self._draws.uniform(0.5, 1.5, self._levels)
        found = []
        for place, factor in enumerate(drawn.tolist()):
            price = best + place * step
            if price <= 0:
                break
            grown = 1.0 if place == 0 else factor * (1.0 + DEPTH_GROWTH * place)
            found.append((price, max(1, int(lots * grown)) * lot))
        return tuple(found)
