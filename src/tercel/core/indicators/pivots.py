"""Pivot highs and lows: a high strictly above `left` highs before and `right` after.

A pivot is known only `right` bars after it happened: its age is `right` when it first appears. Also
called swing points or fractals; B. Williams' fractal ("Trading Chaos", 1995) is left = right = 2.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tercel.core.indicators.window import window_dtype, window_push
from tercel.core.jit import kernel, rec


def pivots_dtype(capacity: int) -> np.dtype[np.record]:
    """Room for any `left` + 1 + `right` up to `capacity`."""
    return rec(
        ("highs", window_dtype(capacity)),
        ("lows", window_dtype(capacity)),  # negated: a pivot low is a pivot high of these
        ("known_high", "?"),
        ("known_low", "?"),
        ("high_price", "f8"),  # of the last pivot high; NaN before the first
        ("low_price", "f8"),
        ("high_age_bars", "i8"),  # bars since it happened; -1 before the first
        ("low_age_bars", "i8"),
    )


def warmup(left: int, right: int) -> int:
    """NaN bars, at the least, before the first pivot can be known."""
    return left + right


@kernel
def _is_peak(w: Any, left: int, length: int) -> bool:
    """True when the value at `left`, counted from the oldest, is strictly above all others.

    A NaN is neither a peak nor beaten by one.
    """
    if w.count < length:
        return False
    middle = w.head + left
    middle = middle if middle < length else middle - length
    candidate = w.values[middle]
    for i in range(length):
        if i != middle and not (w.values[i] < candidate):
            return False
    return math.isfinite(candidate)


@kernel
def pivots_step(s: Any, high: float, low: float, left: int, right: int) -> float:
    """Advance by one bar; fields `high_price`, `high_age_bars`, `low_price`, `low_age_bars`.

    Returns the price of the last pivot high.
    """
    length = left + 1 + right
    window_push(s.highs, high, length)
    window_push(s.lows, -low, length)
    at = s.highs.head + left
    at = at if at < length else at - length
    if _is_peak(s.highs, left, length):
        s.known_high = True
        s.high_price = s.highs.values[at]
        s.high_age_bars = right
    elif s.known_high:
        s.high_age_bars += 1
    else:
        s.high_price = math.nan
        s.high_age_bars = -1
    if _is_peak(s.lows, left, length):
        s.known_low = True
        s.low_price = -s.lows.values[at]
        s.low_age_bars = right
    elif s.known_low:
        s.low_age_bars += 1
    else:
        s.low_price = math.nan
        s.low_age_bars = -1
    price: float = s.high_price
    return price
