"""Momentum breakout: a close beyond the last 20 bars, on volume, with the trend.

Decided when a bar of `decide_minutes` (5) closes. Long, when all of these hold (short is the mirror
image), the first that does not being named:
1. `no_breakout`: the close is above the highest high of the `breakout_len` bars before this one;
2. `volume_low`: volume is above `volume_mult` times its mean of `volume_len` bars, this one
included;
3. `no_trend`: ADX is above `adx_min`;
4. `direction_against`: +DI is above -DI;
5. `trend_against`: the trend of larger bars agrees: EMA20 above EMA50 with ADX above 20 (the same
meaning of "bullish" as in `vwap_rsi`).

Stop 1 ATR, target 2 ATR. Out, of either side, once ADX is below `adx_exit`: the momentum is gone.
The exit is asked for at every close with such an ADX, not at the first one alone: an entry needs
ADX above `adx_min`, so that the first close that matters to a position is the one at which ADX
fell, and one missed (a restart, an entry that filled late) is made up for at the next.

A decision bar that a gap in the data cut short, told when the next bar came, moves the averages but
neither enters nor leaves: `stale_bar`.

Source 4, its strategy 4.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tercel.core.codes import Side
from tercel.core.indicators.adx import ADX, adx_step
from tercel.core.indicators.atr import ATR, atr_step
from tercel.core.indicators.donchian import donchian_dtype, donchian_step
from tercel.core.indicators.sma import sma_dtype, sma_step
from tercel.core.indicators.window import capacity_for
from tercel.core.jit import kernel, rec
from tercel.core.parameters import Param, parameters
from tercel.core.plan import TradePlan
from tercel.core.signal import enter, no_signal
from tercel.core.timeframe import RESAMPLE, is_fresh, resample_step
from tercel.core.trend import (
    TREND,
    minutes_problem,
    trend_known,
    trend_params,
    trend_side,
    trend_step,
)

PARAMS = parameters(
    Param("decide_minutes", 5, 1, 1440, "minutes", "length of the bars it decides on"),
    Param("breakout_len", 20, 2, 1000, "bars", "earlier bars whose extreme has to be broken"),
    Param("volume_len", 20, 2, 1000, "bars", "bars in the mean volume, this one included"),
    Param("volume_mult", 2.0, 0.0, 20.0, "x mean", "volume needed against its mean"),
    Param("adx_len", 14, 2, 200, "bars", "ADX and DI length"),
    Param("adx_min", 25.0, 0.0, 100.0, "ADX", "momentum needed for an entry"),
    Param("adx_exit", 20.0, 0.0, 100.0, "ADX", "below it the momentum is gone: out"),
    Param("atr_len", 14, 2, 500, "bars", "ATR length (Wilder)"),
    Param("stop_atr", 1.0, 0.1, 20.0, "ATR", "stop distance from the entry"),
    Param("target_atr", 2.0, 0.1, 50.0, "ATR", "target distance from the entry"),
    *trend_params(),
)

REASONS = (
    "between_closes",
    "warming_up",
    "long",
    "short",
    "missing_volume",
    "no_breakout",
    "volume_low",
    "no_trend",
    "direction_against",
    "trend_against",
    "stale_bar",
)
(
    BETWEEN_CLOSES,
    WARMING_UP,
    LONG,
    SHORT,
    MISSING_VOLUME,
    NO_BREAKOUT,
    VOLUME_LOW,
    NO_TREND,
    DIRECTION_AGAINST,
    TREND_AGAINST,
    STALE_BAR,
) = range(len(REASONS))

NEEDS = ("volume",)

PLAN = TradePlan(legs=((2.0, 1.0),))

SEEN = rec(  # what the last decision looked at
    ("upper", "f8"),  # price, of the channel before this bar
    ("lower", "f8"),
    ("volume_ratio", "f8"),  # volume over its mean; NaN where the mean is 0 or unknown
    ("adx", "f8"),
    ("plus_di", "f8"),
    ("minus_di", "f8"),
    ("atr", "f8"),  # price
    ("trend_side", "f8"),  # of the larger bars: -1, 0, 1
)


def state_dtype(params: Any) -> np.dtype[np.record]:
    """Room for the windows that `params` asks for."""
    return rec(
        ("closes", "i8"),  # decision bars seen
        ("decision", RESAMPLE),
        ("channel", donchian_dtype(capacity_for(params.breakout_len))),
        ("volume", sma_dtype(capacity_for(params.volume_len))),
        ("adx", ADX),
        ("atr", ATR),
        ("trend", TREND),
        ("seen", SEEN),
    )


def check(params: Any) -> str:
    """What is impossible about `params`; empty when nothing is."""
    if params.adx_exit > params.adx_min:
        return (
            f"adx_exit must be at most adx_min, {params.adx_min:g}: an entry would be left at "
            f"once; got {params.adx_exit:g}"
        )
    return minutes_problem(
        "decide_minutes", params.decide_minutes, params.bar_ms
    ) or minutes_problem("trend_minutes", params.trend_minutes, params.bar_ms)


@kernel
def read_market(state: Any, params: Any) -> None:
    """Advance every indicator by the decision bar that has just closed, into `state.seen`."""
    bar = state.decision.done
    seen = state.seen
    state.closes += 1
    donchian_step(state.channel, bar.high, bar.low, params.breakout_len)
    seen.upper = state.channel.upper
    seen.lower = state.channel.lower
    average = sma_step(state.volume, bar.volume, params.volume_len)
    seen.volume_ratio = bar.volume / average if average > 0.0 else math.nan
    seen.adx = adx_step(state.adx, bar.high, bar.low, bar.close, params.adx_len)
    seen.plus_di = state.adx.plus_di
    seen.minus_di = state.adx.minus_di
    seen.atr = atr_step(state.atr, bar.high, bar.low, bar.close, params.atr_len)
    seen.trend_side = trend_side(state.trend, params)


@kernel
def decide(state: Any, params: Any) -> int:
    """The reason code of a closed decision bar: LONG, SHORT, or the first gate that was shut."""
    bar = state.decision.done
    seen = state.seen
    warm = state.closes >= params.volume_len and trend_known(state.trend)
    if not warm or math.isnan(seen.upper + seen.lower + seen.adx + seen.atr):
        return WARMING_UP
    if not math.isfinite(state.volume.value):
        return MISSING_VOLUME
    if bar.close > seen.upper:
        side = 1.0
    elif bar.close < seen.lower:
        side = -1.0
    else:
        return NO_BREAKOUT
    if not bar.volume > params.volume_mult * state.volume.value:
        return VOLUME_LOW
    if not seen.adx > params.adx_min:
        return NO_TREND
    if not (seen.plus_di - seen.minus_di) * side > 0.0:
        return DIRECTION_AGAINST
    if not seen.trend_side * side > 0.0:
        return TREND_AGAINST
    return LONG if side > 0.0 else SHORT


@kernel
def step(state: Any, bar: Any, context: Any, params: Any, signal: Any) -> None:  # noqa: ARG001
    """One closed bar in, one SIGNAL out."""
    trend_step(state.trend, bar, params)
    decide_ms = params.decide_minutes * 60_000
    reason = BETWEEN_CLOSES
    gone = False
    if resample_step(state.decision, bar, params.bar_ms, decide_ms):
        read_market(state, params)
        reason = STALE_BAR
        if is_fresh(state.decision.done, bar, params.bar_ms, decide_ms):
            reason = decide(state, params)
            gone = state.seen.adx < params.adx_exit
    no_signal(signal, reason)
    signal.atr = state.seen.atr
    signal.exit_long = gone
    signal.exit_short = gone
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
