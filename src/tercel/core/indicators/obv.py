"""On-balance volume: volume is added when the close rises and taken off when it falls.

Formula: obv += volume * sign(close - previous close); the first bar's volume is the start.
Source: J. Granville, "New Key to Stock Market Profits" (1963). As TA-Lib's OBV.
"""

from __future__ import annotations

import math
from typing import Any

from tercel.core.jit import kernel, rec

OBV = rec(("count", "i8"), ("close", "f8"), ("value", "f8"))

WARMUP = 0


@kernel
def obv_step(s: Any, close: float, volume: float) -> float:
    """Advance by one bar; one whose close or volume is not finite is skipped (NaN is returned)."""
    if not (math.isfinite(close) and math.isfinite(volume)):
        return math.nan
    s.count += 1
    if s.count == 1 or close > s.close:
        s.value += volume
    elif close < s.close:
        s.value -= volume
    s.close = close
    value: float = s.value
    return value
