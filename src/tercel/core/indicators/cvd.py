"""Cumulative volume delta: what takers bought minus what takers sold, over the last `length` bars.

Formula: sum(2 * taker_buy_volume - volume), in base units (takers sold volume - taker_buy_volume).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tercel.core.indicators.window import rolling_sum_dtype, rolling_sum_step
from tercel.core.jit import kernel, rec


def cvd_dtype(capacity: int) -> np.dtype[np.record]:
    """Room for any length up to `capacity`."""
    return rec(("total", rolling_sum_dtype(capacity)), ("delta", "f8"), ("value", "f8"))


def warmup(length: int) -> int:
    """NaN bars before the first value."""
    return length - 1


@kernel
def cvd_step(s: Any, volume: float, taker_buy_volume: float, length: int) -> float:
    """Advance by one bar (`s.delta` is its own); NaN while the window holds an unknown volume."""
    s.delta = math.nan
    if math.isfinite(volume) and math.isfinite(taker_buy_volume):
        s.delta = 2.0 * taker_buy_volume - volume
    s.value = rolling_sum_step(s.total, s.delta, length)
    value: float = s.value
    return value
