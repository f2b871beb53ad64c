"""Rolling correlation of two series (Pearson), -1 to 1.

Formula: sum((x - mean x)(y - mean y)) / sqrt(sum((x - mean x)^2) * sum((y - mean y)^2)), in two
passes. NaN where one of the two is constant (0 / 0). Oracle: TA-Lib's CORREL, which says 0 there.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tercel.core.indicators.std import std_ddof_step, std_dtype
from tercel.core.jit import kernel, rec


def correlation_dtype(capacity: int) -> np.dtype[np.record]:
    """Room for any length up to `capacity`."""
    return rec(("x", std_dtype(capacity)), ("y", std_dtype(capacity)), ("value", "f8"))


def warmup(length: int) -> int:
    """NaN bars before the first value."""
    return length - 1


@kernel
def correlation_step(s: Any, x: float, y: float, length: int) -> float:
    """Advance by one pair; NaN while the window holds a value that is not finite."""
    x_std = std_ddof_step(s.x, x, length, 0)
    y_std = std_ddof_step(s.y, y, length, 0)
    s.value = math.nan
    if x_std > 0.0 and y_std > 0.0:
        xs = s.x.window.values
        ys = s.y.window.values
        # Each deviation is made 1 first: the products of tiny ones would vanish.
        total = 0.0
        for i in range(length):
            total += ((xs[i] - s.x.average) / x_std) * ((ys[i] - s.y.average) / y_std)
        s.value = min(1.0, max(-1.0, total / length))
    value: float = s.value
    return value
