"""What a strategy says to a table of candles, for a long as written and for a short in the mirror.

A row is `open high low close volume taker`: the last is the volume bought by takers, half of the
volume where it is left out; the quote volume is the volume at the candle's middle. Candles are one
minute long, from 2024-01-01 00:00 UTC.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from tests.desk import candles, rows

from tercel.app.signals import quiet_signals, unknown_context
from tercel.app.strategies import load_strategy
from tercel.core.codes import Side
from tercel.core.jit import new
from tercel.core.records import Records

MINUTE_MS = 60_000
Table = str | Sequence[Sequence[float]]


@dataclass(frozen=True, slots=True)
class Said:
    """Everything that was said, and the state that is left."""

    reasons: tuple[str, ...]
    signals: Records
    state: Any

    @property
    def seen(self) -> Any:
        """What the last bar's evaluation looked at."""
        return self.state["seen"]

    @property
    def entry(self) -> tuple[int, float, float]:
        """(side, stop distance, target distance) of the last bar."""
        last = self.signals[-1]
        return int(last["side"]), float(last["stop_distance"]), float(last["target_distance"])

    def exits(self, side: int) -> list[int]:
        """Numbers of the bars that ask to leave a position of `side`."""
        name = "exit_long" if side == Side.LONG else "exit_short"
        return [int(i) for i in np.flatnonzero(self.signals[name])]


def table_of(*parts: Table) -> list[list[float]]:
    """The rows of several tables, one after another."""
    found: list[list[float]] = []
    for part in parts:
        found += rows(part) if isinstance(part, str) else [list(row) for row in part]
    return found


def steady(count: int, start: float, by: float, volume: float = 10.0) -> list[list[float]]:
    """`count` candles that each close `by` further, with wicks of 1 on both sides."""
    return [
        [start + i * by, max(start + i * by, start + i * by + by) + 1.0,
         min(start + i * by, start + i * by + by) - 1.0, start + i * by + by, volume]
        for i in range(count)
    ]  # fmt: skip


def see_saw(count: int, middle: float = 100.0, volume: float = 10.0) -> list[list[float]]:
    """Candles around `middle` that reach half a point lower and half a point higher by turns.

    Up and down movement are alike, so that ADX is low: 14.3 in the long run for a length of 4.
    """
    low = [middle, middle + 1.0, middle - 1.5, middle - 0.1, volume]
    high = [middle, middle + 1.5, middle - 1.0, middle + 0.1, volume]
    return [high if i % 2 else low for i in range(count)]


def bars_of(table: Table, side: int) -> Records:
    """The candles as written (long) or upside down around 100 (short)."""
    given = rows(table) if isinstance(table, str) else table
    bars = candles(given)
    bars["taker_buy_volume"] = bars["volume"] / 2.0
    for bar, row in zip(bars, given, strict=True):
        if len(row) > 5:
            bar["taker_buy_volume"] = row[5]
    if side == Side.SHORT:
        for name in ("open", "close"):
            bars[name] = 200.0 - bars[name]
        bars["high"], bars["low"] = 200.0 - bars["low"], 200.0 - bars["high"]
        bars["taker_buy_volume"] = bars["volume"] - bars["taker_buy_volume"]
    bars["quote_volume"] = bars["volume"] * (bars["high"] + bars["low"]) / 2.0
    return bars


def ask(
    name: str, bars: Records, values: Mapping[str, object], context: Mapping[str, Any] | None = None
) -> Said:
    """The strategy over the bars. `context` gives fields for all bars: a number, or one a bar."""
    strategy = load_strategy(name)
    bar_ms = int(bars["open_time"][1] - bars["open_time"][0])
    params = strategy.parameters.record(strategy.values(values, bar_ms), bar_ms)
    contexts = np.repeat(unknown_context(), len(bars))
    for field, known in (context or {}).items():
        contexts[field] = known
    out = quiet_signals(len(bars))
    state: Any = new(strategy.state_dtype(params))
    strategy.signals(state, bars, contexts, params, out)
    return Said(tuple(strategy.reasons[reason] for reason in out["reason"]), out, state)
