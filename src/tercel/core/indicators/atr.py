"""Average true range: Wilder's moving average of how far price went in a bar, gaps included.

Formula: true range = max(high, previous close) - min(low, previous close), from the second bar on;
atr = (atr * (length - 1) + range) / length, the first value being a mean. Source: Wilder (1978).
"""

from __future__ import annotations

import math
from typing import Any

from tercel.core.indicators.rma import RMA, rma_step
from tercel.core.jit import kernel, rec

ATR = rec(("count", "i8"), ("close", "f8"), ("average", RMA), ("value", "f8"))


def warmup(length: int) -> int:
    """NaN bars before the first value: the first bar has no previous close."""
    return length


@kernel
def true_range(high: float, low: float, previous_close: float) -> float:
    """The distance that price covered since the previous close."""
    reach = high - low
    up = abs(high - previous_close)
    down = abs(low - previous_close)
    reach = up if up > reach else reach
    return down if down > reach else reach


@kernel
def atr_step(s: Any, high: float, low: float, close: float, length: int) -> float:
    """Advance by one bar; a bar with a price that is not finite is skipped (NaN is returned)."""
    if not (math.isfinite(high) and math.isfinite(low) and math.isfinite(close)):
        return math.nan
    s.count += 1
    previous_close = s.close
    s.close = close
    if s.count == 1:
        s.value = math.nan
        return math.nan
    s.value = rma_step(s.average, true_range(high, low, previous_close), length)
    value: float = s.value
    return value
