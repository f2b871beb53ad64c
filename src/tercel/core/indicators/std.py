"""Rolling standard deviation, of the sample (ddof = 1, as pandas) unless told otherwise.

Formula: sqrt(sum((x - mean)^2) / (length - ddof)).

Two passes over the window at each bar, taken from an arbitrary value of it: prices near 1e5 that
differ by 1e-5 lose no digits, and a constant gives exactly 0. (Running sums of x and x^2 would
leave no digit at all there.) The cost grows with the length: about 10 ns a bar for 5 values, 380 ns
for 240.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tercel.core.indicators.window import window_dtype, window_push, window_ready
from tercel.core.jit import kernel, rec


def std_dtype(capacity: int) -> np.dtype[np.record]:
    """Room for any length up to `capacity`."""
    return rec(("window", window_dtype(capacity)), ("average", "f8"), ("value", "f8"))


def warmup(length: int) -> int:
    """NaN bars before the first value."""
    return length - 1


@kernel
def std_ddof_step(s: Any, x: float, length: int, ddof: int) -> float:
    """Advance by one value; NaN while one in the window is not finite, or if length <= ddof.

    `s.average` is the mean of the same window.
    """
    window_push(s.window, x, length)
    s.average = math.nan
    s.value = math.nan
    if not window_ready(s.window, length):
        return math.nan
    values = s.window.values
    origin = values[0]
    total = 0.0
    for i in range(length):
        total += values[i] - origin
    shift = total / length
    s.average = origin + shift
    if length <= ddof:
        return math.nan
    squares = 0.0
    for i in range(length):
        distance = values[i] - origin - shift
        squares += distance * distance
    s.value = math.sqrt(squares / (length - ddof))
    value: float = s.value
    return value


@kernel
def std_step(s: Any, x: float, length: int) -> float:
    """The sample standard deviation (ddof = 1) of the last `length` values."""
    return std_ddof_step(s, x, length, 1)
