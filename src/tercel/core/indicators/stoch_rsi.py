"""Stochastic RSI: where the RSI stands between its lowest and highest of late, 0 to 100.

Formula: k = 100 * (rsi - lowest) / (highest - lowest) over `stoch_length` bars; d = sma(k,
d_length). Source: T. Chande and S. Kroll, "The New Technical Trader" (1994). Oracle: TA-Lib's
STOCHRSI. Where the RSI has not moved at all, k is NaN (0 / 0; TA-Lib says 0, even at a steady RSI
of 100).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tercel.core.indicators.minmax import minmax_dtype, minmax_step
from tercel.core.indicators.rsi import RSI, rsi_step
from tercel.core.indicators.sma import sma_dtype, sma_step
from tercel.core.jit import kernel, rec

RSI_NOISE = 1e-9
"""While price stands still the RSI differs between bars by rounding, about 1e-14: no movement."""


def stoch_rsi_dtype(capacity: int) -> np.dtype[np.record]:
    """Room for a `stoch_length` and a `d_length` up to `capacity`."""
    return rec(
        ("rsi", RSI),
        ("bounds", minmax_dtype(capacity)),
        ("average", sma_dtype(capacity)),
        ("k", "f8"),
        ("d", "f8"),
    )


def warmup(rsi_length: int, stoch_length: int) -> int:
    """NaN bars before the first `k`; `d` comes `d_length` - 1 bars later."""
    return rsi_length + stoch_length - 1


@kernel
def stoch_rsi_step(
    s: Any, close: float, rsi_length: int, stoch_length: int, d_length: int
) -> float:
    """Advance by one close; fields `k` and `d`; returns k.

    A close that is not finite is skipped (NaN is returned).
    """
    if not math.isfinite(close):
        return math.nan
    strength = rsi_step(s.rsi, close, rsi_length)
    highest = minmax_step(s.bounds, strength, stoch_length)
    lowest = s.bounds.minimum
    s.k = math.nan
    if highest - lowest > RSI_NOISE:
        s.k = 100.0 * (strength - lowest) / (highest - lowest)
    s.d = sma_step(s.average, s.k, d_length)
    k: float = s.k
    return k
