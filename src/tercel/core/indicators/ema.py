"""Exponential moving average: each new value counts for 2 / (length + 1), the past for the rest.

Formula: ema += (x - ema) * 2 / (length + 1); the first value is the mean of the first `length`
inputs. Source: R. G. Brown, "Statistical Forecasting for Inventory Control" (1959); seeded as
TA-Lib's EMA.
"""

from __future__ import annotations

import math
from typing import Any

from tercel.core.jit import kernel, rec

EMA = rec(("count", "i8"), ("total", "f8"), ("value", "f8"))


def warmup(length: int) -> int:
    """NaN bars before the first value."""
    return length - 1


@kernel
def ema_step(s: Any, x: float, length: int) -> float:
    """Advance by one value; a value that is not finite is skipped (NaN is returned)."""
    if not math.isfinite(x):
        return math.nan
    s.count += 1
    if s.count < length:
        s.total += x
        return math.nan
    if s.count == length:
        s.value = (s.total + x) / length
    else:
        s.value += (x - s.value) * (2.0 / (length + 1.0))
    value: float = s.value
    return value
