"""Average directional index: how strongly price trends (0 to 100), and which way.

Formula: +DM is the rise of the high where it exceeds the fall of the low (else 0), -DM the mirror
image; both and the true range are summed by Wilder's rule (sum - sum / length + x); +DI and -DI
are 100 * DM / range; dx = 100 * |+DI - -DI| / (+DI + -DI); adx is Wilder's moving average of dx.
Source: Wilder (1978); seeded as TA-Lib's ADX, PLUS_DI and MINUS_DI, and equal to them.
"""

from __future__ import annotations

import math
from typing import Any

from tercel.core.indicators.atr import true_range
from tercel.core.indicators.rma import RMA, rma_step
from tercel.core.jit import kernel, rec

ADX = rec(
    ("count", "i8"),
    ("high", "f8"),
    ("low", "f8"),
    ("close", "f8"),
    ("plus_movement", "f8"),
    ("minus_movement", "f8"),
    ("range", "f8"),
    ("average", RMA),
    ("dx", "f8"),
    ("plus_di", "f8"),
    ("minus_di", "f8"),
    ("adx", "f8"),
)


def warmup(length: int) -> int:
    """NaN bars before the first `adx`; `plus_di` and `minus_di` come after `length` bars."""
    return 2 * length - 1


@kernel
def _sum_movements(s: Any, high: float, low: float, length: int) -> None:
    """Wilder's sums of both movements and of the range; plain for the first `length` - 1 bars."""
    rise = high - s.high
    fall = s.low - low
    if s.count > length:
        s.plus_movement -= s.plus_movement / length
        s.minus_movement -= s.minus_movement / length
        s.range -= s.range / length
    if rise > fall and rise > 0.0:
        s.plus_movement += rise
    elif fall > rise and fall > 0.0:
        s.minus_movement += fall
    s.range += true_range(high, low, s.close)


@kernel
def adx_step(s: Any, high: float, low: float, close: float, length: int) -> float:
    """Advance by one bar; fields `adx`, `plus_di`, `minus_di`; returns the adx.

    A bar with a price that is not finite is skipped (NaN is returned). Where price has not moved at
    all, both DI are 0 and the adx keeps its value, as in TA-Lib.
    """
    if not (math.isfinite(high) and math.isfinite(low) and math.isfinite(close)):
        return math.nan
    s.count += 1
    if s.count > 1:
        _sum_movements(s, high, low, length)
    s.high = high
    s.low = low
    s.close = close
    if s.count <= length:
        s.plus_di = math.nan
        s.minus_di = math.nan
        s.adx = math.nan
        return math.nan
    s.plus_di = 0.0
    s.minus_di = 0.0
    if s.range > 0.0:
        s.plus_di = 100.0 * (s.plus_movement / s.range)
        s.minus_di = 100.0 * (s.minus_movement / s.range)
    total = s.plus_di + s.minus_di
    if total > 0.0:
        s.dx = 100.0 * (abs(s.minus_di - s.plus_di) / total)
        s.adx = rma_step(s.average, s.dx, length)
    value: float = s.adx
    return value
