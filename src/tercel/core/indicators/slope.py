"""Slope of the least-squares line through the last `length` values, per bar.

Formula: sum((i - mean i) * x[i]) / sum((i - mean i)^2), where the lower sum is n * (n^2 - 1) / 12.
The values are taken from the oldest one, so that a constant has slope 0 exactly.
Oracle: TA-Lib's LINEARREG_SLOPE.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tercel.core.indicators.window import window_dtype, window_push, window_ready
from tercel.core.jit import kernel, rec


def slope_dtype(capacity: int) -> np.dtype[np.record]:
    """Room for any length up to `capacity`."""
    return rec(("window", window_dtype(capacity)), ("value", "f8"))


def warmup(length: int) -> int:
    """NaN bars before the first value."""
    return length - 1


@kernel
def slope_step(s: Any, x: float, length: int) -> float:
    """Advance by one value; NaN while one in the window is not finite, or if the length is 1."""
    window_push(s.window, x, length)
    if length < 2 or not window_ready(s.window, length):
        s.value = math.nan
        return math.nan
    at = s.window.head
    oldest = s.window.values[at]
    centre = (length - 1) / 2.0
    total = 0.0
    for i in range(length):
        total += (i - centre) * (s.window.values[at] - oldest)
        at = at + 1 if at + 1 < length else 0
    n = float(length)
    s.value = total * 12.0 / (n * (n * n - 1.0))
    value: float = s.value
    return value
