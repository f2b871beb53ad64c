"""Simple moving average: the mean of the last `length` values, in constant time.

Formula: sum(x) / length, the sum without drift (see `window.rolling_sum_step`).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tercel.core.indicators.window import rolling_sum_dtype, rolling_sum_step
from tercel.core.jit import kernel, rec


def sma_dtype(capacity: int) -> np.dtype[np.record]:
    """Room for any length up to `capacity`."""
    return rec(("total", rolling_sum_dtype(capacity)), ("value", "f8"))


def warmup(length: int) -> int:
    """NaN bars before the first value."""
    return length - 1


@kernel
def sma_step(s: Any, x: float, length: int) -> float:
    """Advance by one value; NaN while the window holds one that is not finite."""
    s.value = rolling_sum_step(s.total, x, length) / length
    value: float = s.value
    return value
