"""Volume-weighted average price: of one bar, of the UTC day so far, of the last `length` bars.

Formula: sum(quote volume) / sum(base volume): the exact mean price of all trades, not the usual
estimate from (high + low + close) / 3. NaN where nothing was traded or the volume is unknown.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tercel.core.indicators.window import rolling_sum_dtype, rolling_sum_step
from tercel.core.jit import kernel, rec

DAY_MS = 86_400_000

SESSION_VWAP = rec(("day", "i8"), ("quote_volume", "f8"), ("volume", "f8"), ("value", "f8"))

WARMUP = 0
"""Of the bar's and the session's VWAP; for the rolling one see `warmup`."""


def rolling_vwap_dtype(capacity: int) -> np.dtype[np.record]:
    """Room for any length up to `capacity`."""
    return rec(
        ("quote_volume", rolling_sum_dtype(capacity)),
        ("volume", rolling_sum_dtype(capacity)),
        ("value", "f8"),
    )


def warmup(length: int) -> int:
    """NaN bars before the first value of the rolling VWAP."""
    return length - 1


@kernel
def bar_vwap(quote_volume: float, volume: float) -> float:
    """The mean price of the bar's trades; NaN when the volume is 0 or unknown."""
    if volume > 0.0 and math.isfinite(volume) and math.isfinite(quote_volume):
        return quote_volume / volume
    return math.nan


@kernel
def session_vwap_step(s: Any, open_time: int, quote_volume: float, volume: float) -> float:
    """Advance by one bar; starts anew at each UTC midnight (`open_time` in ms).

    A bar of unknown volume is skipped (NaN is returned).
    """
    day = open_time // DAY_MS
    if day != s.day:
        s.day = day
        s.quote_volume = 0.0
        s.volume = 0.0
    if not (math.isfinite(quote_volume) and math.isfinite(volume)):
        return math.nan
    s.quote_volume += quote_volume
    s.volume += volume
    s.value = bar_vwap(s.quote_volume, s.volume)
    value: float = s.value
    return value


@kernel
def rolling_vwap_step(s: Any, quote_volume: float, volume: float, length: int) -> float:
    """Advance by one bar; NaN while the window holds an unknown volume, or no volume at all."""
    total_quote = rolling_sum_step(s.quote_volume, quote_volume, length)
    s.value = bar_vwap(total_quote, rolling_sum_step(s.volume, volume, length))
    value: float = s.value
    return value
