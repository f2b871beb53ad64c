"""Rolling median: the 0.5 quantile of the last `length` values (see `quantile.py`)."""

from __future__ import annotations

from typing import Any

import numpy as np

from tercel.core.indicators.quantile import quantile_at, quantile_dtype, quantile_push
from tercel.core.jit import kernel


def median_dtype(capacity: int) -> np.dtype[np.record]:
    """Room for any length up to `capacity`."""
    return quantile_dtype(capacity)


def warmup(length: int) -> int:
    """NaN bars before the first value."""
    return length - 1


@kernel
def median_step(s: Any, x: float, length: int) -> float:
    """Advance by one value; NaN while the window holds one that is not finite."""
    quantile_push(s, x, length)
    return quantile_at(s, 0.5)
