"""Where the newest value of a window stands: below or above a quantile of the window it belongs to.

The same answer as comparing with `quantile_at` (numpy's linear interpolation), without sorting: how
many values are smaller, and how many not larger, decides it. Counting is one pass that the compiler
turns into vector instructions, and it is only paid on the bars that ask. `quantile.py` sorts at
every bar instead: right when the quantile itself is wanted, or wanted often.

Why counts suffice: the quantile lies between the sorted values number k = floor((n - 1) q) and k +
1. The newest
value x is one of the n, so it is below the quantile exactly when the value number k is above x, or
equals x while number k + 1 does not.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tercel.core.indicators.window import window_dtype, window_push, window_ready
from tercel.core.jit import kernel


def rank_dtype(capacity: int) -> np.dtype[np.record]:
    """Room for any length up to `capacity`."""
    return window_dtype(capacity)


def warmup(length: int) -> int:
    """Bars before the first answer."""
    return length - 1


@kernel
def rank_push(s: Any, x: float, length: int) -> None:
    """Add `x` and drop the oldest value."""
    window_push(s, x, length)


@kernel
def rank_ready(s: Any, length: int) -> bool:
    """True when the window is full and holds only finite values."""
    return window_ready(s, length)


@kernel
def count_below(s: Any, x: float, length: int) -> int:
    """How many values of the window are smaller than `x`."""
    count = 0
    values = s.values
    for i in range(length):
        count += values[i] < x
    return count


@kernel
def count_not_larger(s: Any, x: float, length: int) -> int:
    """How many values of the window are not larger than `x`."""
    count = 0
    values = s.values
    for i in range(length):
        count += values[i] <= x
    return count


@kernel
def is_below_quantile(s: Any, x: float, length: int, q: float) -> bool:
    """Whether `x`, the newest of a ready window, is strictly below its `q` quantile (0..1)."""
    rank = (length - 1) * q
    k = int(rank)
    not_larger = count_not_larger(s, x, length)
    return not_larger <= k or (not_larger == k + 1 and rank > k)


@kernel
def is_above_quantile(s: Any, x: float, length: int, q: float) -> bool:
    """Whether `x`, the newest of a ready window, is strictly above its `q` quantile (0..1)."""
    return count_below(s, x, length) > int((length - 1) * q)


@kernel
def percent_rank(s: Any, x: float, length: int) -> float:
    """Share of the other values of the window that are smaller than `x`, 0 to 100; NaN while it is
    not ready.
    """
    if length < 2 or not window_ready(s, length):
        return math.nan
    return 100.0 * count_below(s, x, length) / (length - 1)
