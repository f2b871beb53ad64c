"""The state of the market in two codes: which way it goes, and how much it moves.

Trend (`regime_step`): RANGING while ADX is below `adx_min`, else TRENDING_UP or TRENDING_DOWN by
the larger of +DI and -DI. Confidence, 0 to 100, is the distance from the threshold:

- ranging: 100 * (adx_min - adx) / adx_min, so 100 at an ADX of 0 and 0 at the threshold;
- trending: 100 * (adx - adx_min) / adx_min, at most 100 (an ADX of twice the threshold), and not
  more than 100 * dx / adx_min, where dx = 100 * |+DI - -DI| / (+DI + -DI) is how far the leading
  side is ahead: with both sides level, the direction is a coin's.

With `adx_min` = 20: an ADX of 15 is RANGING at 25; 30 with +DI 30 and -DI 10 (dx 50) is TRENDING_UP
at 50; 30 with +DI 21 and -DI 19 (dx 5) is TRENDING_UP at 25.

Volatility (`volatility_step`): ATR / close, the share of price that a bar covers, against its own
last `window_length` values (the present one among them): QUIET strictly below their
`quiet_quantile`, VOLATILE strictly above their `volatile_quantile`, else NORMAL. With p the share
of the other values that are smaller (`rank.percent_rank` / 100), confidence is

- quiet: 100 * (quiet_quantile - p) / quiet_quantile;
- volatile: 100 * (p - volatile_quantile) / (1 - volatile_quantile);
- normal: 100 * the distance of p to the nearer quantile / half the distance of the quantiles.

Source: Wilder (1978) for ADX and ATR; the threshold of 20 is the one usual with ADX(14).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tercel.core.codes import Regime, VolatilityState
from tercel.core.indicators.adx import ADX, adx_step
from tercel.core.indicators.adx import warmup as adx_warmup
from tercel.core.indicators.atr import ATR, atr_step
from tercel.core.indicators.atr import warmup as atr_warmup
from tercel.core.indicators.rank import (
    is_above_quantile,
    is_below_quantile,
    percent_rank,
    rank_dtype,
    rank_push,
    rank_ready,
)
from tercel.core.jit import kernel, rec

REGIME = rec(
    ("movement", ADX),
    ("value", "i8"),  # codes.Regime
    ("confidence", "f8"),  # 0..100; NaN while UNKNOWN
)


def volatility_dtype(capacity: int) -> np.dtype[np.record]:
    """Room for any `window_length` up to `capacity`."""
    return rec(
        ("atr", ATR),
        ("window", rank_dtype(capacity)),
        ("value", "i8"),  # codes.VolatilityState
        ("confidence", "f8"),  # 0..100; NaN while UNKNOWN
        ("range_fraction", "f8"),  # ATR / close
    )


def warmup(length: int) -> int:
    """UNKNOWN bars before the first regime."""
    return adx_warmup(length)


def volatility_warmup(length: int, window_length: int) -> int:
    """UNKNOWN bars before the first volatility state."""
    return atr_warmup(length) + window_length - 1


@kernel
def _regime(s: Any, adx: float, adx_min: float) -> tuple[int, float]:
    """(code, confidence) of the present `adx` and the DI in `s`; see the head of this file."""
    if math.isnan(adx):
        return Regime.UNKNOWN, math.nan
    if adx < adx_min:
        return Regime.RANGING, 100.0 * ((adx_min - adx) / adx_min)
    lead = s.plus_di - s.minus_di
    if lead == 0.0:
        return Regime.RANGING, 0.0
    dx = 100.0 * (abs(lead) / (s.plus_di + s.minus_di))
    confidence = min(100.0, 100.0 * (min(adx - adx_min, dx) / adx_min))
    if lead > 0.0:
        return Regime.TRENDING_UP, confidence
    return Regime.TRENDING_DOWN, confidence


@kernel
def regime_step(s: Any, bar: Any, length: int, adx_min: float) -> int:
    """Advance by one bar; fields `value` and `confidence`; returns the code of the regime.

    `length` is ADX's (14), `adx_min` > 0 the ADX from which there is a trend (20), else ValueError.
    Where neither side leads there is no trend, whatever the ADX: RANGING, confidence 0. A bar with
    a price that is not finite is skipped: UNKNOWN for that bar.
    """
    if not adx_min > 0.0:
        raise ValueError("adx_min must be above 0")
    adx = adx_step(s.movement, bar.high, bar.low, bar.close, length)
    s.value, s.confidence = _regime(s.movement, adx, adx_min)
    value: int = s.value
    return value


@kernel
def _volatility(
    window: Any, x: float, length: int, quiet: float, volatile: float
) -> tuple[int, float]:
    """(code, confidence) of `x`, the newest value of `window`; see the head of this file."""
    if not rank_ready(window, length):
        return VolatilityState.UNKNOWN, math.nan
    p = 0.01 * percent_rank(window, x, length)
    if is_below_quantile(window, x, length, quiet):
        return VolatilityState.QUIET, 100.0 * ((quiet - p) / quiet)
    if is_above_quantile(window, x, length, volatile):
        return VolatilityState.VOLATILE, 100.0 * ((p - volatile) / (1.0 - volatile))
    distance = max(0.0, min(p - quiet, volatile - p))
    return VolatilityState.NORMAL, 200.0 * (distance / (volatile - quiet))


@kernel
def volatility_step(
    s: Any,
    bar: Any,
    length: int,
    window_length: int,
    quiet_quantile: float,
    volatile_quantile: float,
) -> int:
    """Advance by one bar; fields `value`, `confidence`, `range_fraction`; returns the state's code.

    `length` is ATR's (14); `window_length` >= 2 bars (240) are looked back at; the quantiles (0.3
    and 0.7) must satisfy 0 <= quiet < volatile <= 1; else ValueError. A bar whose prices are not
    finite or whose close is not above 0 is skipped: UNKNOWN for that bar.
    """
    if window_length < 2:
        raise ValueError("window_length must be at least 2")
    if not (0.0 <= quiet_quantile < volatile_quantile <= 1.0):
        raise ValueError("quantiles must satisfy 0 <= quiet_quantile < volatile_quantile <= 1")
    s.value = VolatilityState.UNKNOWN
    s.confidence = math.nan
    s.range_fraction = math.nan
    if bar.close > 0.0:
        s.range_fraction = atr_step(s.atr, bar.high, bar.low, bar.close, length) / bar.close
    if math.isfinite(s.range_fraction):
        rank_push(s.window, s.range_fraction, window_length)
        s.value, s.confidence = _volatility(
            s.window, s.range_fraction, window_length, quiet_quantile, volatile_quantile
        )
    value: int = s.value
    return value
