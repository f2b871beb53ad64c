"""Weighted moving average: the newest value counts `length` times, the oldest once.

Formula: sum((i + 1) * x[i]) / (length * (length + 1) / 2), i = 0 the oldest. Oracle: TA-Lib's WMA.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tercel.core.indicators.window import window_dtype, window_push, window_ready
from tercel.core.jit import kernel, rec


def wma_dtype(capacity: int) -> np.dtype[np.record]:
    """Room for any length up to `capacity`."""
    return rec(("window", window_dtype(capacity)), ("value", "f8"))


def warmup(length: int) -> int:
    """NaN bars before the first value."""
    return length - 1


@kernel
def wma_step(s: Any, x: float, length: int) -> float:
    """Advance by one value; NaN while the window holds one that is not finite."""
    window_push(s.window, x, length)
    if not window_ready(s.window, length):
        s.value = math.nan
        return math.nan
    at = s.window.head
    total = 0.0
    for weight in range(1, length + 1):
        total += weight * s.window.values[at]
        at = at + 1 if at + 1 < length else 0
    s.value = total / (length * (length + 1) / 2)
    value: float = s.value
    return value
