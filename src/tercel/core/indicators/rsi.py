"""Relative strength index: the share of upward movement in all movement, 0 to 100.

Formula: 100 * up / (up + down), Wilder's moving averages of the rises and of the falls of the
close. Source: Wilder (1978). As TA-Lib's RSI, except for a price that has not moved at all: NaN
here (0 / 0), where TA-Lib says 0, which would read as "oversold".
"""

from __future__ import annotations

import math
from typing import Any

from tercel.core.indicators.rma import RMA, rma_step
from tercel.core.jit import kernel, rec

RSI = rec(("count", "i8"), ("close", "f8"), ("up", RMA), ("down", RMA), ("value", "f8"))


def warmup(length: int) -> int:
    """NaN bars before the first value: the first bar has no change."""
    return length


@kernel
def rsi_step(s: Any, close: float, length: int) -> float:
    """Advance by one close; one that is not finite is skipped (NaN is returned)."""
    if not math.isfinite(close):
        return math.nan
    s.count += 1
    change = close - s.close
    s.close = close
    s.value = math.nan
    if s.count == 1:
        return math.nan
    up = rma_step(s.up, change if change > 0.0 else 0.0, length)
    down = rma_step(s.down, -change if change < 0.0 else 0.0, length)
    movement = up + down
    if movement > 0.0:
        s.value = 100.0 * (up / movement)
    value: float = s.value
    return value
