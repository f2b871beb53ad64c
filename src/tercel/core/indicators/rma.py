"""Wilder's moving average: each new value counts for 1 / length (as an EMA of 2 * length - 1).

Formula: rma = (rma * (length - 1) + x) / length; the first value is the mean of the first `length`.
Source: J. W. Wilder, "New Concepts in Technical Trading Systems" (1978).
"""

from __future__ import annotations

import math
from typing import Any

from tercel.core.jit import kernel, rec

RMA = rec(("count", "i8"), ("total", "f8"), ("value", "f8"))


def warmup(length: int) -> int:
    """NaN bars before the first value."""
    return length - 1


@kernel
def rma_step(s: Any, x: float, length: int) -> float:
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
        s.value = (s.value * (length - 1) + x) / length
    value: float = s.value
    return value
