"""Rolling minimum and maximum, in constant time on average.

Each is a queue of candidates: a new value removes those that it beats from the back (they can
never be the extreme again), the front is the extreme, and leaves when it is `length` bars old.
Source: D. Lemire, "Streaming maximum-minimum filter using no more than three comparisons per
element" (2006).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tercel.core.jit import kernel, rec


def extreme_dtype(capacity: int) -> np.dtype[np.record]:
    """One queue: for `rolling_max_step` or `rolling_min_step`, any length up to `capacity`."""
    return rec(
        ("bar", "i8"),  # number of the present bar, 1 for the first
        ("last_bad", "i8"),  # number of the last bar whose value was not finite; 0: none
        ("front", "i8"),
        ("queued", "i8"),
        ("values", "f8", (capacity,)),
        ("bars", "i8", (capacity,)),
    )


def minmax_dtype(capacity: int) -> np.dtype[np.record]:
    """Room for any length up to `capacity`."""
    return rec(
        ("low", extreme_dtype(capacity)),
        ("high", extreme_dtype(capacity)),
        ("minimum", "f8"),
        ("maximum", "f8"),
    )


def warmup(length: int) -> int:
    """NaN bars before the first value."""
    return length - 1


@kernel
def rolling_max_step(s: Any, x: float, length: int) -> float:
    """The largest of the last `length` values; NaN while one of them is not finite."""
    capacity = s.values.shape[0]
    if length < 1 or length > capacity:
        raise ValueError("window length must be between 1 and the capacity of its dtype")
    s.bar += 1
    front = s.front
    size = s.queued
    if size > 0 and s.bars[front] <= s.bar - length:
        front = front + 1 if front + 1 < capacity else 0
        size -= 1
    if math.isfinite(x):
        back = front + size
        back = back if back < capacity else back - capacity
        last = back - 1 if back > 0 else capacity - 1
        while size > 0 and s.values[last] <= x:
            size -= 1
            back = last
            last = back - 1 if back > 0 else capacity - 1
        s.values[back] = x
        s.bars[back] = s.bar
        size += 1
    else:
        s.last_bad = s.bar
    s.front = front
    s.queued = size
    # Bars are numbered from 1 and `last_bad` starts at 0, so this is also the warm-up.
    if s.bar - s.last_bad < length:
        return math.nan
    value: float = s.values[front]
    return value


@kernel
def rolling_min_step(s: Any, x: float, length: int) -> float:
    """The smallest of the last `length` values; NaN while one of them is not finite."""
    return -rolling_max_step(s, -x, length)


@kernel
def minmax_step(s: Any, x: float, length: int) -> float:
    """Advance both; fields `minimum` and `maximum`; returns the maximum."""
    s.minimum = rolling_min_step(s.low, x, length)
    s.maximum = rolling_max_step(s.high, x, length)
    value: float = s.maximum
    return value
