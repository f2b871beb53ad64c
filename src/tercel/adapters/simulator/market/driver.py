"""Bars of one or several symbols, walked as one stream of ticks in order of time.

Use: `MarketDriver(series, instruments, shape, seed).ticks()`. A mount that paces waits until a
tick's `time_ms`; one that does not takes the next at once. The same input gives the same ticks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from tercel.adapters.simulator.exchange.records import Instrument
from tercel.adapters.simulator.market.ticks import MarketTick
from tercel.core.records import Records


@dataclass(frozen=True, slots=True)
class MarketShape:
    """What a market looks like between the four prices of a bar."""

    bar_ms: int = 60_000
    trades_per_bar: int = 12
    """At least 4: open, high, low and close are each touched."""
    book_levels: int = 20
    spread_ticks: int = 1
    level_quote: float = 50_000.0
    """Notional of a level where the bars do not know sizes, quote."""
    mark_lag: float = 0.1
    """Share of the way to the last trade that the mark price goes with each trade, 0..1."""
    funding_rate: float = 0.0001
    """Per settlement."""
    funding_interval_ms: int = 28_800_000
    """0: no funding."""


class MarketDriver:
    """A market made of bars."""

    def __init__(
        self,
        series: Mapping[str, Records],
        instruments: Sequence[Instrument],
        shape: MarketShape,
        seed: int,
    ) -> None:
        raise NotImplementedError

    def ticks(self, start_ms: int | None = None) -> Iterator[MarketTick]:
        """Every tick from the bar that opens at `start_ms` on, in order of time."""
        raise NotImplementedError
