"""A scenario: candles in, exits out, for a long as written and for a short in the mirror.

Every scenario enters at 100 with a stop distance of 10 (1 R), so that 90 is the stop, 120 is 2R and
130 is 3R. The first candle is the one whose close gives the signal.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.desk import Ask, Outcome, asked, candles, mirrored, stream, trade

from tercel.core.codes import Side
from tercel.core.plan import TradePlan

Exit = tuple[int, str, float, float]
"""Candle number, reason, price, quantity."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """One caption, one candle table, and what must come of it."""

    caption: str
    table: str
    exits: tuple[Exit, ...] = ()
    plan: TradePlan = field(default_factory=TradePlan)
    settings: Mapping[str, float] = field(default_factory=dict)
    asks: Mapping[int, Ask] = field(default_factory=lambda: {0: Ask()})
    entries: tuple[tuple[int, float, float], ...] = ((0, 100.0, 1.0),)
    refused: Mapping[str, int] = field(default_factory=dict)

    def play(self, side: int) -> Outcome:
        """Trade the candles as written (long) or upside down (short)."""
        bars = candles(self.table)
        asks = dict(self.asks)
        if side == Side.SHORT:
            bars = mirrored(bars)
            asks = {at: ask.mirror for at, ask in asks.items()}
        return trade(stream(self.plan, **self.settings), bars, asked(len(bars), asks))

    def check(self, side: int) -> None:
        """Play it, and compare entries, exits and refusals."""
        outcome = self.play(side)

        def seen(price: float) -> float:
            return price if side == Side.LONG else round(200.0 - price, 9)

        assert outcome.entries == [(n, seen(price), q) for n, price, q in self.entries]
        assert outcome.exits == [(n, why, seen(price), q) for n, why, price, q in self.exits]
        assert outcome.refusals() == dict(self.refused)
