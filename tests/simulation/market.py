"""Prices that never end: a seeded walk that comes home, four prices a minute, and its bars."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

import numpy as np

from tercel.core.records import BAR, Records

MINUTE_MS = 60_000
OFFSETS_MS = (1_000, 17_000, 38_000, 59_000)
"""When in a minute its prices come."""
CHUNK = 720
"""Minutes made at a time."""
HOMESICK = 0.0004
"""Share of the way home that each price goes, so that no walk leaves the venue's price bands."""


@dataclass(frozen=True, slots=True)
class Walk:
    """What a symbol's prices do."""

    symbol: str
    home: float
    """Quote per base."""
    tick: Decimal
    step: float = 0.0004
    """Standard deviation of the logarithm from one price to the next."""


class Market:
    """The prices of one symbol, minute by minute."""

    def __init__(self, walk: Walk, start_ms: int, seed: int) -> None:
        self.walk = walk
        self._next_ms = start_ms
        self._draw = np.random.default_rng([seed, len(walk.symbol), ord(walk.symbol[0])])
        self._level = 0.0
        self._at = CHUNK
        self._ticks: list[list[int]] = []
        self._bars: Records = np.zeros(0, BAR)

    def minute(self) -> tuple[list[Decimal], Records]:
        """The next minute: its prices, and its bar (BAR, one row)."""
        if self._at == CHUNK:
            self._make()
        at, tick = self._at, self.walk.tick
        self._at += 1
        return [tick * each for each in self._ticks[at]], self._bars[at : at + 1]

    def _make(self) -> None:
        steps = self._draw.normal(0.0, self.walk.step, CHUNK * len(OFFSETS_MS))
        levels, level = np.empty(len(steps)), self._level
        for place, step in enumerate(steps.tolist()):
            level += step - HOMESICK * level
            levels[place] = level
        self._level = level
        tick = float(self.walk.tick)
        ticks = np.rint(self.walk.home * np.exp(levels) / tick).astype(np.int64)
        ticks = ticks.reshape(CHUNK, len(OFFSETS_MS))
        bars = np.zeros(CHUNK, BAR)
        for name in BAR.names or ():
            if BAR[name] == np.float64:
                bars[name] = np.nan
        bars["open_time"] = self._next_ms + MINUTE_MS * np.arange(CHUNK)
        decimals = max(0, -int(self.walk.tick.normalize().as_tuple().exponent))
        prices = np.round(ticks * tick, decimals)
        bars["open"], bars["close"] = prices[:, 0], prices[:, -1]
        bars["high"], bars["low"] = prices.max(axis=1), prices.min(axis=1)
        bars["volume"] = 1000.0
        self._next_ms += MINUTE_MS * CHUNK
        self._ticks, self._bars, self._at = ticks.tolist(), bars, 0
