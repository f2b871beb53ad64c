"""Z-score: how many standard deviations a value is away from the mean of its window.

Formula: (x - mean) / std, both over the last `length` values, this one included; std with ddof = 1.
NaN where the window is constant (0 / 0).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tercel.core.indicators.std import std_dtype, std_step
from tercel.core.jit import kernel, rec


def zscore_dtype(capacity: int) -> np.dtype[np.record]:
    """Room for any length up to `capacity`."""
    return rec(("deviation", std_dtype(capacity)), ("value", "f8"))


def warmup(length: int) -> int:
    """NaN bars before the first value."""
    return length - 1


@kernel
def zscore_step(s: Any, x: float, length: int) -> float:
    """Advance by one value; `s.deviation` holds the mean (`average`) and the std (`value`)."""
    spread = std_step(s.deviation, x, length)
    s.value = (x - s.deviation.average) / spread if spread > 0.0 else math.nan
    value: float = s.value
    return value
