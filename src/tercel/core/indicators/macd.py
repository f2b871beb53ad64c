"""Moving average convergence / divergence: a fast EMA minus a slow one, and an EMA of that.

Formula: macd = ema(fast) - ema(slow); signal = ema(macd, signal); histogram = macd - signal.
Source: G. Appel (1979). Seeded as TA-Lib's MACD: the fast EMA starts late, so that its first
value, too, is the mean of the values up to the bar of the slow one's first; all three appear
together.
"""

from __future__ import annotations

import math
from typing import Any

from tercel.core.indicators.ema import EMA, ema_step
from tercel.core.jit import kernel, rec

MACD = rec(
    ("count", "i8"),
    ("fast", EMA),
    ("slow", EMA),
    ("average", EMA),
    ("macd", "f8"),
    ("signal", "f8"),
    ("histogram", "f8"),
)


def warmup(fast_length: int, slow_length: int, signal_length: int) -> int:
    """NaN bars before the first values."""
    return max(fast_length, slow_length) + signal_length - 2


@kernel
def macd_step(s: Any, x: float, fast_length: int, slow_length: int, signal_length: int) -> float:
    """Advance by one value; fields `macd`, `signal`, `histogram`; returns the macd.

    A value that is not finite is skipped (NaN is returned).
    """
    if not math.isfinite(x):
        return math.nan
    short = min(fast_length, slow_length)
    long = max(fast_length, slow_length)
    s.count += 1
    s.macd = math.nan
    s.signal = math.nan
    s.histogram = math.nan
    slow = ema_step(s.slow, x, long)
    if s.count <= long - short:
        return math.nan
    difference = ema_step(s.fast, x, short) - slow
    signal = ema_step(s.average, difference, signal_length)
    if math.isnan(signal):
        return math.nan
    s.macd = difference
    s.signal = signal
    s.histogram = difference - signal
    return difference
