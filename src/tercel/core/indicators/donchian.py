"""Donchian channel: the highest high and the lowest low of the `length` bars *before* this one.

The present bar is left out so that it can break the channel. Source: R. Donchian's four-week rule.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tercel.core.indicators.minmax import extreme_dtype, rolling_max_step, rolling_min_step
from tercel.core.jit import kernel, rec


def donchian_dtype(capacity: int) -> np.dtype[np.record]:
    """Room for any length up to `capacity`."""
    return rec(
        ("count", "i8"),
        ("high", extreme_dtype(capacity)),
        ("low", extreme_dtype(capacity)),
        ("next_upper", "f8"),  # with the present bar: the channel that the next bar sees
        ("next_lower", "f8"),
        ("upper", "f8"),
        ("lower", "f8"),
        ("middle", "f8"),
    )


def warmup(length: int) -> int:
    """NaN bars before the first value."""
    return length


@kernel
def donchian_step(s: Any, high: float, low: float, length: int) -> float:
    """Advance by one bar; fields `upper`, `lower`, `middle`; returns the middle."""
    if s.count == 0:
        s.next_upper = np.nan
        s.next_lower = np.nan
    s.count += 1
    s.upper = s.next_upper
    s.lower = s.next_lower
    s.middle = (s.upper + s.lower) / 2.0
    s.next_upper = rolling_max_step(s.high, high, length)
    s.next_lower = rolling_min_step(s.low, low, length)
    middle: float = s.middle
    return middle
