"""What a market looks like between the four prices of a bar."""

from __future__ import annotations

from dataclasses import dataclass

from tercel.adapters.simulator.market.path import CORNERS
from tercel.domain.errors import ConfigError
from tercel.domain.settings import Settings
from tercel.domain.times import HOUR_MS

TICKS_PER_TRADE = 3
"""Book, trade, mark: so many milliseconds belong to a trade."""
JITTER = 0.8
"""Share of its part of the bar that a trade's time is drawn from."""


@dataclass(frozen=True, slots=True)
class MarketShape:
    """How a bar is walked. Raises ConfigError where its trades do not fit into it."""

    bar_ms: int = 60_000
    trades_per_bar: int = 60
    """At least 4: open, high, low and close are each touched."""
    book_levels: int = 20
    spread_ticks: int = 1
    """Where the bars do not know the spread."""
    level_quote: float = 50_000.0
    """Notional of the best level where the bars do not know its size, quote."""
    mark_lag: float = 0.1
    """Share of the way to the last trade that the mark price goes with each trade, 0..1."""
    funding_rate: float = 0.0001
    """Per settlement, where the history does not know it."""
    funding_interval_ms: int = 28_800_000
    """0: no funding."""

    def __post_init__(self) -> None:
        apart = self.bar_ms * (1 - JITTER) / (self.trades_per_bar + 1)
        if self.trades_per_bar < CORNERS or apart < TICKS_PER_TRADE:
            raise ConfigError(
                f"simulator.trades_per_bar: expected at least {CORNERS}, and fewer than fit into "
                f"{self.bar_ms} ms, got {self.trades_per_bar}"
            )


def market_shape(settings: Settings, bar_ms: int) -> MarketShape:
    """The shape that settings ask for. Raises ConfigError."""
    own = settings.simulator
    costs = settings.cost_profile(own.costs)
    return MarketShape(
        bar_ms=bar_ms,
        trades_per_bar=own.trades_per_bar,
        book_levels=own.book_levels,
        spread_ticks=own.spread_ticks,
        level_quote=own.level_quote,
        mark_lag=own.mark_lag,
        funding_rate=costs.funding_rate,
        funding_interval_ms=costs.funding_interval_hours * HOUR_MS,
    )
