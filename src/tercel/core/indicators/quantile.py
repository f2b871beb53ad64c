"""Rolling quantiles: a window that is also kept sorted; several quantiles are read from one push.

Formula: linear interpolation between the two nearest values at rank (n - 1) * q, as numpy's default
(method 7 of Hyndman and Fan, "Sample Quantiles in Statistical Packages", 1996), equal to it to the
last bit.

A push replaces the value that leaves by the one that enters. It looks for neither: one branch-free
pass over the sorted values tells from a value and its neighbour what belongs there, and the
compiler makes vector instructions of it. Binary search and moving only what lies between the two
places reads like less work, but its loops end unpredictably: measured on one core (random values),
118 ns a push against 40 ns for length 240, and 48 ns against 17 ns for length 20. Reading a
quantile takes 2 ns.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tercel.core.indicators.window import window_dtype, window_push
from tercel.core.jit import kernel, rec


def quantile_dtype(capacity: int) -> np.dtype[np.record]:
    """Room for any length up to `capacity`."""
    return rec(
        ("length", "i8"),  # of the last push, for `quantile_at`
        ("held", "i8"),  # finite values held
        ("window", window_dtype(capacity)),
        ("ranked", "f8", (capacity,)),  # [:size] the finite values, ascending
    )


def warmup(length: int) -> int:
    """NaN bars before the first value."""
    return length - 1


@kernel
def _replace(ranked: Any, size: int, old: float, new: float) -> None:
    """Replace one `old` by `new` in the first `size` values, keeping them ascending.

    Upwards (2 leaves 1 2 4 7, and 5 enters): values below `old` stay; each other one becomes the
    value to its right, but not more than `new` and not less than itself: 1 4 5 7. Downwards is the
    mirror image.
    """
    if new >= old:
        for i in range(size - 1):
            value = ranked[i]
            right = ranked[i + 1]
            moved = right if right < new else new
            moved = moved if moved > value else value
            ranked[i] = value if value < old else moved
        if ranked[size - 1] < new:
            ranked[size - 1] = new
    else:
        left = -math.inf
        for i in range(size):
            value = ranked[i]
            moved = left if left > new else new
            moved = moved if moved < value else value
            ranked[i] = value if value > old else moved
            left = value


@kernel
def quantile_push(s: Any, x: float, length: int) -> None:
    """Add `x` and drop the oldest value.

    Infinity stands for "no value": it enters where nothing leaves, and leaves where nothing enters.
    """
    dropped = window_push(s.window, x, length)
    s.length = length
    size = s.held
    old = dropped
    if math.isnan(dropped):
        old = math.inf
        s.ranked[size] = math.inf
        size += 1
    new = x if math.isfinite(x) else math.inf
    _replace(s.ranked, size, old, new)
    s.held = size if new < math.inf else size - 1


@kernel
def quantile_at(s: Any, q: float) -> float:
    """The `q` quantile (0 to 1) of the window; NaN until it is full and while it holds a NaN."""
    size = s.held
    if size == 0 or size != s.length or not (0.0 <= q <= 1.0):
        return math.nan
    rank: float = (size - 1) * q
    below = int(rank)
    low: float = s.ranked[below]
    if below + 1 >= size:
        return low
    high: float = s.ranked[below + 1]
    fraction = rank - below
    # Counting from the nearer end keeps the result exact at both (numpy does the same).
    if fraction < 0.5:
        return low + (high - low) * fraction
    return high - (high - low) * (1.0 - fraction)


@kernel
def quantile_step(s: Any, x: float, length: int, q: float) -> float:
    """Push `x` and read one quantile."""
    quantile_push(s, x, length)
    return quantile_at(s, q)
