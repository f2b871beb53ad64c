"""The trend of larger bars, as a filter: two EMAs say which way, ADX says whether there is one.

Bullish while the fast EMA is above the slow one and ADX is above a minimum, bearish while it is
below and ADX is above that minimum, neither otherwise. Known once a larger bar has closed, and the
same for every small bar until the next one closes. A larger bar that a gap in the data cut short
counts too, from the first bar after the gap on: a filter says how things stand, it decides nothing.
"""

from __future__ import annotations

import math
from typing import Any

from tercel.core.indicators.adx import ADX, adx_step
from tercel.core.indicators.ema import EMA, ema_step
from tercel.core.jit import kernel, rec
from tercel.core.parameters import Param
from tercel.core.timeframe import RESAMPLE, resample_step

TREND = rec(
    ("bars", RESAMPLE),
    ("fast_average", EMA),
    ("slow_average", EMA),
    ("strength", ADX),
    ("closes", "i8"),  # larger bars seen
    ("fast", "f8"),  # price, at the last close of a larger bar
    ("slow", "f8"),
    ("adx", "f8"),
)


def trend_params() -> tuple[Param, ...]:
    """The parameters that every strategy with this filter declares."""
    return (
        Param("trend_minutes", 15, 1, 1440, "minutes", "length of the bars of the trend filter"),
        Param("trend_fast_len", 20, 2, 500, "bars", "fast EMA of the trend filter"),
        Param("trend_slow_len", 50, 3, 1000, "bars", "slow EMA of the trend filter"),
        Param("trend_adx_len", 14, 2, 200, "bars", "ADX length of the trend filter"),
        Param("trend_adx_min", 20.0, 0.0, 100.0, "ADX", "below it the larger bars have no trend"),
    )


def minutes_problem(name: str, minutes: int, bar_ms: int) -> str:
    """Why bars of `minutes` cannot be made of bars of `bar_ms`, in words; empty where they can."""
    if minutes * 60_000 % bar_ms == 0:
        return ""
    return (
        f"{name} must be a multiple of the bars' length, {bar_ms / 60_000:g} minutes; got {minutes}"
    )


@kernel
def trend_step(state: Any, bar: Any, params: Any) -> bool:
    """Take one bar of `params.bar_ms`; True when it closed a larger one. State: TREND."""
    if not resample_step(state.bars, bar, params.bar_ms, params.trend_minutes * 60_000):
        return False
    done = state.bars.done
    state.closes += 1
    state.fast = ema_step(state.fast_average, done.close, params.trend_fast_len)
    state.slow = ema_step(state.slow_average, done.close, params.trend_slow_len)
    state.adx = adx_step(state.strength, done.high, done.low, done.close, params.trend_adx_len)
    return True


@kernel
def trend_known(state: Any) -> bool:
    """Whether enough larger bars have closed."""
    return bool(state.closes > 0 and not math.isnan(state.fast + state.slow + state.adx))


@kernel
def trend_side(state: Any, params: Any) -> int:
    """1 bullish, -1 bearish, 0 neither or unknown."""
    if not trend_known(state) or not state.adx > params.trend_adx_min:
        return 0
    if state.fast > state.slow:
        return 1
    return -1 if state.fast < state.slow else 0
