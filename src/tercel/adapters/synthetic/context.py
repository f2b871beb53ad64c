"""Funding and open interest that follow the trend, from bars already closed at their time."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from tercel.adapters.synthetic.bars import generate
from tercel.adapters.synthetic.draws import Floats, draw
from tercel.adapters.synthetic.edge import close_returns
from tercel.adapters.synthetic.forces import keep_of
from tercel.adapters.synthetic.paths import smooth_noise
from tercel.app.synthesise import VENUE, SyntheticMarket
from tercel.domain.context import ContextKey, ContextSeries
from tercel.domain.times import HOUR_MS, MINUTE_MS

FUNDING_INTERVAL_MS = 8 * HOUR_MS
FUNDING_BASE_RATE = 0.0001
FUNDING_PER_TREND = 0.006
"""A market 3 % above its trend line pays 0.018 % more per settlement."""
FUNDING_NOISE_RATE = 0.00004
FUNDING_RATE_MAX = 0.003
TREND_MINUTES = 2880.0
"""Memory of the trend that funding and open interest follow."""
SOURCE = "generated"
"""Source of both series in the lake."""
INTEREST_INTERVAL_MS = 5 * MINUTE_MS
INTEREST_MINUTES_OF_VOLUME = 1500.0
INTEREST_PER_TREND = 1.5
INTEREST_NOISE = 0.12
LIQUIDATION_SHARE = 1.5
"""Log open interest lost per unit of an hour's fall beyond one per cent."""


@dataclass(frozen=True, slots=True)
class MarketContext:
    """Two series, each known from its time on."""

    funding_time: npt.NDArray[np.int64]
    """Settlements: 00, 08 and 16 h UTC, ms."""
    funding_rate: Floats
    """Fraction per settlement."""
    interest_time: npt.NDArray[np.int64]
    """Every five minutes, ms UTC."""
    open_interest: Floats
    """Base."""


def generate_context(market: SyntheticMarket) -> MarketContext:
    """Funding and open interest of the market, from its start (excluded) to its end (included)."""
    bars = generate(replace(market, missing_per_day=0.0))
    returns = close_returns(bars)
    keep = keep_of(TREND_MINUTES)
    trend = smooth_noise(returns, keep) / np.sqrt(1.0 - keep * keep)
    noise = draw(market, f"{market.symbol} context", 2, 0).normal

    settled = _closed(market, FUNDING_INTERVAL_MS)
    rate = FUNDING_BASE_RATE + FUNDING_PER_TREND * trend[settled]
    rate += FUNDING_NOISE_RATE * noise[0][settled]
    rate = np.round(np.clip(rate, -FUNDING_RATE_MAX, FUNDING_RATE_MAX), 8)

    path = np.cumsum(returns)
    hour = path - np.concatenate((np.zeros(60), path[:-60]))
    lost = LIQUIDATION_SHARE * smooth_noise(np.maximum(-hour - 0.01, 0.0), keep_of(240.0))
    level = INTEREST_PER_TREND * trend - lost
    level += INTEREST_NOISE * smooth_noise(noise[1], keep_of(TREND_MINUTES))
    seen = _closed(market, INTEREST_INTERVAL_MS)
    base = INTEREST_MINUTES_OF_VOLUME * market.quote_volume_minute / market.start_price
    interest = np.round(base * np.exp(np.clip(level[seen], -2.0, 2.0)), market.quantity_decimals)
    opened = bars["open_time"]
    return MarketContext(opened[settled] + MINUTE_MS, rate, opened[seen] + MINUTE_MS, interest)


def context_series(market: SyntheticMarket) -> tuple[ContextSeries, ...]:
    """Funding and open interest of the market as the lake keeps them, under its own venue."""
    made = generate_context(market)
    rows = {
        "funding_rate": (made.funding_time, made.funding_rate),
        "open_interest": (made.interest_time, made.open_interest),
    }
    return tuple(
        ContextSeries(ContextKey(kind, VENUE, market.symbol, SOURCE), time, value)
        for kind, (time, value) in rows.items()
    )


def _closed(market: SyntheticMarket, interval_ms: int) -> npt.NDArray[np.int64]:
    """Numbers of the bars that close at the multiples of `interval_ms`."""
    step = interval_ms // MINUTE_MS
    return np.arange(step - 1, (market.end_ms - market.start_ms) // MINUTE_MS, step, dtype=np.int64)
