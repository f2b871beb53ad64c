"""VWAP and RSI mean reversion: buys a fall below the day's mean price while the market has no
trend.

Decided when a bar of `decide_minutes` (5, or 1) closes. Long, when all of these hold (short is the
mirror image), the first that does not being named:
1. `regime_trending`: the market ranges, ADX is below `adx_max`;
2. `rsi_neutral`: RSI is below `rsi_low` (a short: above `rsi_high`);
3. `vwap_not_reached`: the low touches or crosses the rolling VWAP less `vwap_band_pct`;
4. `volume_low`: volume is above `volume_mult` times its mean of `volume_len` bars, this one
included;
5. `trend_against`: the larger bars are not bearish (EMA20 below EMA50 with ADX above 20).

Stop `stop_pct`, target `target_pct` of the close. Two exits:
- the mean is reached: out of a long once RSI is at 50 (`rsi_exit`) or above, of a short at or below
it. The source asks for "RSI crosses 50 in profit". A pure function of market data does not know a
position's profit, and is not told: the exit is asked for whether in profit or not. It seldom makes
a difference: for RSI to come back from 25 to 50, the rises since must outweigh what its average
still remembers of the falls.
- the regime turns: out of either side once ADX is at `adx_max` or above.
Both are asked for at every close where they hold, not at the first one alone. An entry needs the
opposite of both, so that the first close that matters to a position is the one of the cross, and
one missed (a restart, an entry that filled late) is made up for at the next.

A decision bar that a gap in the data cut short, told when the next bar came, moves the averages but
neither enters nor leaves: `stale_bar`.

The VWAP of the last `vwap_minutes` is the exact one, quote volume over volume. Where bars come
without quote volume there is no signal (`missing_vwap`), unless `vwap_from=typical` allows the
usual estimate, (high + low + close) / 3 weighed by volume: an estimate is asked for, never slipped
in.

Source 4, its strategy 1.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tercel.core.codes import Side
from tercel.core.indicators.adx import ADX, adx_step
from tercel.core.indicators.rsi import RSI, rsi_step
from tercel.core.indicators.sma import sma_dtype, sma_step
from tercel.core.indicators.vwap import rolling_vwap_dtype, rolling_vwap_step
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

QUOTE_VOLUME, TYPICAL = range(2)

PARAMS = parameters(
    Param("decide_minutes", 5, 1, 60, "minutes", "length of the bars it decides on"),
    Param("vwap_minutes", 1440, 5, 10_080, "minutes", "memory of the rolling VWAP"),
    Param(
        "vwap_from",
        "quote_volume",
        choices=("quote_volume", "typical"),
        meaning="what the VWAP is made of (typical: an estimate, where quote volume is unknown)",
    ),
    Param("vwap_band_pct", 0.1, 0.0, 10.0, "% of VWAP", "how far from VWAP price has to be"),
    Param("rsi_len", 14, 2, 200, "bars", "RSI length (Wilder)"),
    Param("rsi_low", 25.0, 0.0, 50.0, "RSI", "a long needs RSI below it"),
    Param("rsi_high", 75.0, 50.0, 100.0, "RSI", "a short needs RSI above it"),
    Param("rsi_exit", 50.0, 0.0, 100.0, "RSI", "the mean: where a trade is over"),
    Param("volume_len", 20, 2, 1000, "bars", "bars in the mean volume, this one included"),
    Param("volume_mult", 1.5, 0.0, 20.0, "x mean", "volume needed against its mean"),
    Param("adx_len", 14, 2, 200, "bars", "ADX length"),
    Param("adx_max", 20.0, 0.0, 100.0, "ADX", "from it on the market trends: no entry, and out"),
    Param("stop_pct", 0.3, 0.01, 20.0, "% of price", "stop distance from the entry"),
    Param("target_pct", 0.6, 0.01, 50.0, "% of price", "target distance from the entry"),
    *trend_params(),
)

REASONS = (
    "between_closes",
    "warming_up",
    "long",
    "short",
    "missing_volume",
    "missing_vwap",
    "regime_trending",
    "rsi_neutral",
    "vwap_not_reached",
    "volume_low",
    "trend_against",
    "stale_bar",
)
(
    BETWEEN_CLOSES,
    WARMING_UP,
    LONG,
    SHORT,
    MISSING_VOLUME,
    MISSING_VWAP,
    REGIME_TRENDING,
    RSI_NEUTRAL,
    VWAP_NOT_REACHED,
    VOLUME_LOW,
    TREND_AGAINST,
    STALE_BAR,
) = range(len(REASONS))

NEEDS = ("volume", "quote_volume")

PLAN = TradePlan(legs=((2.0, 1.0),))

SEEN = rec(  # what the last decision looked at
    ("rsi", "f8"),
    ("adx", "f8"),
    ("vwap", "f8"),  # price
    ("band", "f8"),  # price that the low (of a long) or the high had to reach; NaN: not looked at
    ("volume_ratio", "f8"),  # volume over its mean; NaN where the mean is 0 or unknown
    ("trend_side", "f8"),  # of the larger bars: -1, 0, 1
)


def state_dtype(params: Any) -> np.dtype[np.record]:
    """Room for the windows that `params` asks for."""
    return rec(
        ("closes", "i8"),  # decision bars seen
        ("decision", RESAMPLE),
        ("vwap", rolling_vwap_dtype(capacity_for(params.vwap_minutes // params.decide_minutes))),
        ("rsi", RSI),
        ("volume", sma_dtype(capacity_for(params.volume_len))),
        ("adx", ADX),
        ("trend", TREND),
        ("seen", SEEN),
    )


def check(params: Any) -> str:
    """What is impossible about `params`; empty when nothing is."""
    if params.vwap_minutes % params.decide_minutes:
        return (
            f"vwap_minutes must be a multiple of decide_minutes, {params.decide_minutes}; "
            f"got {params.vwap_minutes}"
        )
    if not params.rsi_low <= params.rsi_exit <= params.rsi_high:
        return (
            f"rsi_exit must be between rsi_low, {params.rsi_low:g}, and rsi_high, "
            f"{params.rsi_high:g}: an entry would be left at once; got {params.rsi_exit:g}"
        )
    return minutes_problem(
        "decide_minutes", params.decide_minutes, params.bar_ms
    ) or minutes_problem("trend_minutes", params.trend_minutes, params.bar_ms)


@kernel
def vwap_length(params: Any) -> int:
    """Decision bars in the rolling VWAP."""
    length: int = params.vwap_minutes // params.decide_minutes
    return length


@kernel
def read_market(state: Any, params: Any) -> None:
    """Advance every indicator by the decision bar that has just closed, into `state.seen`."""
    bar = state.decision.done
    seen = state.seen
    state.closes += 1
    seen.rsi = rsi_step(state.rsi, bar.close, params.rsi_len)
    seen.adx = adx_step(state.adx, bar.high, bar.low, bar.close, params.adx_len)
    paid = bar.quote_volume
    if params.vwap_from == TYPICAL:
        paid = (bar.high + bar.low + bar.close) / 3.0 * bar.volume
    seen.vwap = rolling_vwap_step(state.vwap, paid, bar.volume, vwap_length(params))
    seen.band = math.nan
    average = sma_step(state.volume, bar.volume, params.volume_len)
    seen.volume_ratio = bar.volume / average if average > 0.0 else math.nan
    seen.trend_side = trend_side(state.trend, params)


@kernel
def decide(state: Any, params: Any) -> int:
    """The reason code of a closed decision bar: LONG, SHORT, or the first gate that was shut."""
    bar = state.decision.done
    seen = state.seen
    longest = max(vwap_length(params), params.volume_len, params.rsi_len + 1)
    if state.closes < longest or math.isnan(seen.adx) or not trend_known(state.trend):
        return WARMING_UP
    if not math.isfinite(state.volume.value):
        return MISSING_VOLUME
    if math.isnan(seen.vwap):
        return MISSING_VWAP
    if not seen.adx < params.adx_max:
        return REGIME_TRENDING
    if seen.rsi < params.rsi_low:
        side = 1.0
    elif seen.rsi > params.rsi_high:
        side = -1.0
    else:
        return RSI_NEUTRAL
    seen.band = seen.vwap * (1.0 - side * params.vwap_band_pct / 100.0)
    reached = bar.low if side > 0.0 else bar.high
    if not (seen.band - reached) * side >= 0.0:
        return VWAP_NOT_REACHED
    if not bar.volume > params.volume_mult * state.volume.value:
        return VOLUME_LOW
    if seen.trend_side * side < 0.0:
        return TREND_AGAINST
    return LONG if side > 0.0 else SHORT


@kernel
def ask_exits(state: Any, params: Any, signal: Any) -> None:
    """Out where the mean is reached, and where the market trends."""
    seen = state.seen
    trending = seen.adx >= params.adx_max
    signal.exit_long = trending or seen.rsi >= params.rsi_exit
    signal.exit_short = trending or seen.rsi <= params.rsi_exit


@kernel
def step(state: Any, bar: Any, context: Any, params: Any, signal: Any) -> None:  # noqa: ARG001
    """One closed bar in, one SIGNAL out."""
    trend_step(state.trend, bar, params)
    decide_ms = params.decide_minutes * 60_000
    if not resample_step(state.decision, bar, params.bar_ms, decide_ms):
        no_signal(signal, BETWEEN_CLOSES)
        return
    read_market(state, params)
    if not is_fresh(state.decision.done, bar, params.bar_ms, decide_ms):
        no_signal(signal, STALE_BAR)
        return
    reason = decide(state, params)
    no_signal(signal, reason)
    ask_exits(state, params, signal)
    if reason in (LONG, SHORT):
        close = state.decision.done.close
        side = Side.LONG if reason == LONG else Side.SHORT
        enter(signal, side, params.stop_pct / 100.0 * close, reason)
        signal.target_distance = params.target_pct / 100.0 * close


@kernel
def signals(state: Any, bars: Any, contexts: Any, params: Any, out: Any) -> None:
    """`step` over a chunk of bars. `contexts` has one row per bar, or a single one that does not
    change.
    """
    last = len(contexts) - 1
    for i in range(len(bars)):
        step(state, bars[i], contexts[min(i, last)], params, out[i])
