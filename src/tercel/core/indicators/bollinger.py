"""Bollinger bands: a mean with a band of some standard deviations around it, and the squeeze.

Formula: middle = sma(length); upper, lower = middle +- width * std, the std of the population
(ddof = 0); bandwidth = (upper - lower) / middle; squeeze: the bandwidth is at its lowest of the
last `squeeze_length`. Source: J. Bollinger, "Bollinger on Bollinger Bands" (2001). Oracle:
TA-Lib's BBANDS.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tercel.core.indicators.minmax import extreme_dtype, rolling_min_step
from tercel.core.indicators.std import std_ddof_step, std_dtype
from tercel.core.jit import kernel, rec


def bollinger_dtype(capacity: int, squeeze_capacity: int) -> np.dtype[np.record]:
    """Room for lengths up to `capacity` and squeeze lengths up to `squeeze_capacity`."""
    return rec(
        ("deviation", std_dtype(capacity)),
        ("narrowest", extreme_dtype(squeeze_capacity)),
        ("middle", "f8"),
        ("upper", "f8"),
        ("lower", "f8"),
        ("bandwidth", "f8"),  # fraction of the middle
        ("squeezed", "?"),
    )


def warmup(length: int) -> int:
    """NaN bars before the first bands; a squeeze takes `squeeze_length` - 1 more."""
    return length - 1


@kernel
def bollinger_step(s: Any, x: float, length: int, width: float, squeeze_length: int) -> float:
    """Advance by one value; fields `middle`, `upper`, `lower`, `bandwidth`, `squeezed`.

    Returns the middle. NaN (and no squeeze) while the window holds a value that is not finite.
    """
    reach = width * std_ddof_step(s.deviation, x, length, 0)
    s.middle = s.deviation.average
    s.upper = s.middle + reach
    s.lower = s.middle - reach
    s.bandwidth = (s.upper - s.lower) / s.middle if s.middle != 0.0 else math.nan
    s.squeezed = s.bandwidth <= rolling_min_step(s.narrowest, s.bandwidth, squeeze_length)
    middle: float = s.middle
    return middle
