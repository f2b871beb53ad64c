"""1h baseline: the EMA 20 / EMA 50 cross while ADX(14) is above 20. A yardstick, beside
buy-and-hold.

Decided when an hour closes: long when EMA20 crosses above EMA50, short when it crosses below,
either only while ADX says that price trends. Stop 2 ATR(14), target 4 ATR (2R, one leg).

An hour that a gap in the data cut short, told when the next bar came, moves the averages but is
not traded on: `stale_bar`. A cross in it is passed over.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tercel.core.codes import Side
from tercel.core.indicators.adx import ADX, adx_step
from tercel.core.indicators.atr import ATR, atr_step
from tercel.core.indicators.ema import EMA, ema_step
from tercel.core.jit import kernel, rec
from tercel.core.parameters import Param, parameters
from tercel.core.plan import TradePlan
from tercel.core.signal import enter, no_signal
from tercel.core.timeframe import RESAMPLE, is_fresh, resample_step

PARAMS = parameters(
    Param("fast_len", 20, 2, 500, "bars", "fast EMA of the larger bars"),
    Param("slow_len", 50, 3, 1000, "bars", "slow EMA of the larger bars"),
    Param("adx_len", 14, 2, 200, "bars", "ADX length"),
    Param("adx_min", 20.0, 0.0, 100.0, "ADX", "below it there is no trend to trade"),
    Param("atr_len", 14, 2, 500, "bars", "ATR length"),
    Param("stop_atr", 2.0, 0.1, 20.0, "ATR", "stop distance from the entry"),
    Param("target_atr", 4.0, 0.1, 50.0, "ATR", "target distance from the entry"),
    Param("decide_minutes", 60, 1, 1440, "minutes", "length of the bars it decides on"),
)

REASONS = ("between_closes", "warming_up", "long", "short", "no_cross", "no_trend", "stale_bar")
BETWEEN_CLOSES, WARMING_UP, LONG, SHORT, NO_CROSS, NO_TREND, STALE_BAR = range(len(REASONS))

PLAN = TradePlan(legs=((2.0, 1.0),))

SEEN = rec(("fast", "f8"), ("slow", "f8"), ("adx", "f8"), ("atr", "f8"))  # prices, but for adx


def state_dtype(params: Any) -> np.dtype[np.record]:  # noqa: ARG001 (one signature for all)
    """Nothing here has a window."""
    return rec(
        ("hour", RESAMPLE),
        ("fast", EMA),
        ("slow", EMA),
        ("adx", ADX),
        ("atr", ATR),
        ("spread_before", "f8"),  # fast - slow at the close before
        ("closes", "i8"),
        ("seen", SEEN),
    )


def check(params: Any) -> str:
    """What is impossible about `params`; empty when nothing is."""
    if params.decide_minutes * 60_000 % params.bar_ms:
        return (
            f"decide_minutes must be a multiple of the bars' length, {params.bar_ms // 60_000} "
            f"minutes; got {params.decide_minutes}"
        )
    return ""


@kernel
def decide(state: Any, params: Any) -> int:
    """Advance the averages by a closed larger bar; the reason code it has if it closed on time."""
    bar = state.hour.done
    seen = state.seen
    seen.fast = ema_step(state.fast, bar.close, params.fast_len)
    seen.slow = ema_step(state.slow, bar.close, params.slow_len)
    seen.adx = adx_step(state.adx, bar.high, bar.low, bar.close, params.adx_len)
    seen.atr = atr_step(state.atr, bar.high, bar.low, bar.close, params.atr_len)
    before = state.spread_before if state.closes > 0 else math.nan
    spread = seen.fast - seen.slow
    state.spread_before = spread
    state.closes += 1
    if math.isnan(before + spread + seen.adx + seen.atr):
        return WARMING_UP
    crossed_up = before <= 0.0 and spread > 0.0
    crossed_down = before >= 0.0 and spread < 0.0
    if not (crossed_up or crossed_down):
        return NO_CROSS
    if not seen.adx > params.adx_min:
        return NO_TREND
    return LONG if crossed_up else SHORT


@kernel
def step(state: Any, bar: Any, context: Any, params: Any, signal: Any) -> None:  # noqa: ARG001
    """One closed bar in, one SIGNAL out."""
    decide_ms = params.decide_minutes * 60_000
    reason = BETWEEN_CLOSES
    if resample_step(state.hour, bar, params.bar_ms, decide_ms):
        reason = decide(state, params)
        if not is_fresh(state.hour.done, bar, params.bar_ms, decide_ms):
            reason = STALE_BAR
    no_signal(signal, reason)
    signal.atr = state.seen.atr
    if reason in (LONG, SHORT):
        side = Side.LONG if reason == LONG else Side.SHORT
        enter(signal, side, params.stop_atr * state.seen.atr, reason)
        signal.target_distance = params.target_atr * state.seen.atr


@kernel
def signals(state: Any, bars: Any, contexts: Any, params: Any, out: Any) -> None:
    """`step` over a chunk of bars. `contexts` has one row per bar, or a single one that does not
    change.
    """
    last = len(contexts) - 1
    for i in range(len(bars)):
        step(state, bars[i], contexts[min(i, last)], params, out[i])
