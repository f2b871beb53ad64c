"""1-minute 3R scalper: trade with the micro-trend when volatility and volume agree and pressure
confirms.

Long, at the close of a bar, when all of these hold (short is the mirror image in high volatility):
1. micro-trend: the EMA of (close - open) / open is above zero, and volatility is below the 0.6
quantile of its
   last 20 bars (else the trend counts as zero);
2. volatility (standard deviation of 5 close-to-close returns) is low: under percentile 100 -
`percentile_thr` of
   its own last `vol_window` bars (a short needs it high: above `percentile_thr`);
3. volume is above `volume_mult` times its 20-bar median, on this bar and on the one before;
4. the close is above the bar's VWAP (quote volume / volume);
5. bids outweigh asks by `bid_ask_ratio`;
6. it does not chase: the close is at most `range_pct` of the previous bar's range above the
previous high.

Stop 1.5 ATR(14). Half is taken off at 2R, a quarter at 3R, a quarter trails 0.5R behind the best
price once price has been 1R in favour. A missing input never counts in favour of a trade: `reason`
names it.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tercel.core.codes import Side
from tercel.core.indicators.atr import ATR, atr_step
from tercel.core.indicators.ema import EMA, ema_step
from tercel.core.indicators.median import median_dtype, median_step
from tercel.core.indicators.rank import (
    is_above_quantile,
    is_below_quantile,
    rank_dtype,
    rank_push,
    rank_ready,
)
from tercel.core.indicators.std import std_dtype, std_step
from tercel.core.indicators.vwap import bar_vwap
from tercel.core.indicators.window import capacity_for
from tercel.core.jit import kernel, rec
from tercel.core.parameters import Param, parameters
from tercel.core.plan import TradePlan
from tercel.core.pressure import pressure_param, pressure_sizes
from tercel.core.signal import enter, no_signal

NEAR, FAR = range(2)

PARAMS = parameters(
    Param("ema_len", 20, 2, 500, "bars", "EMA length of the micro-trend"),
    Param("percentile_thr", 60, 50, 99, "percentile", "volatility above it is high"),
    Param("bid_ask_ratio", 1.8, 1.0, 10.0, "ratio", "pressure needed on the trade's side"),
    Param("range_pct", 0.30, 0.0, 5.0, "of range", "how far past the previous extreme is chasing"),
    Param("volume_mult", 1.2, 0.0, 10.0, "x median", "volume needed against its 20-bar median"),
    Param("vol_window", 240, 30, 5000, "bars", "memory of the volatility percentiles"),
    Param("vol_len", 5, 2, 200, "bars", "returns in the standard deviation"),
    Param("trend_vol_len", 20, 5, 1000, "bars", "memory of the quantile that mutes the trend"),
    Param("trend_vol_quantile", 0.6, 0.0, 1.0, "quantile", "above it the trend counts as zero"),
    Param("volume_len", 20, 3, 1000, "bars", "bars in the volume median"),
    Param("atr_len", 14, 2, 500, "bars", "ATR length (Wilder)"),
    Param("stop_atr", 1.5, 0.1, 20.0, "ATR", "stop distance from the entry"),
    Param(
        "anti_chase_from",
        "near",
        choices=("near", "far"),
        meaning="previous extreme that chasing is measured from (far: source 1's text)",
    ),
    pressure_param(),
)

REASONS = (
    "warming_up",
    "long",
    "short",
    "trend_neutral",
    "volatility_mismatch",
    "volume_gate",
    "missing_vwap",
    "vwap_side",
    "missing_pressure",
    "pressure_weak",
    "chasing",
)
(
    WARMING_UP,
    LONG,
    SHORT,
    TREND_NEUTRAL,
    VOLATILITY_MISMATCH,
    VOLUME_GATE,
    MISSING_VWAP,
    VWAP_SIDE,
    MISSING_PRESSURE,
    PRESSURE_WEAK,
    CHASING,
) = range(len(REASONS))

NEEDS = ("quote_volume", "pressure")

PLAN = TradePlan(
    legs=((2.0, 0.50), (3.0, 0.25)), trail_fraction=0.25, trail_arm_r=1.0, trail_offset_r=0.5
)

SEEN = rec(  # what the last decision looked at
    ("trend", "f8"),  # fraction per bar
    ("volatility", "f8"),  # standard deviation of returns, fraction
    ("bid_size", "f8"),
    ("ask_size", "f8"),
    ("vwap", "f8"),
    ("chase_limit", "f8"),  # price
    ("atr", "f8"),  # price
)


def state_dtype(params: Any) -> np.dtype[np.record]:
    """Room for the windows that `params` asks for."""
    return rec(
        ("bars", "i8"),
        ("previous_close", "f8"),
        ("previous_high", "f8"),
        ("previous_low", "f8"),
        ("busy_before", "?"),  # the volume gate on the bar before
        ("trend", EMA),
        ("volatility", std_dtype(capacity_for(params.vol_len))),
        ("recent", rank_dtype(capacity_for(params.trend_vol_len))),
        ("ranked", rank_dtype(capacity_for(params.vol_window))),
        ("volume", median_dtype(capacity_for(params.volume_len))),
        ("atr", ATR),
        ("seen", SEEN),
    )


@kernel
def read_market(state: Any, bar: Any, params: Any) -> bool:
    """Advance every indicator by one bar into `state.seen`; True when the volume gate is open on
    two bars.
    """
    seen = state.seen
    change = math.nan
    if state.bars > 0:
        change = (bar.close - state.previous_close) / state.previous_close
    seen.volatility = std_step(state.volatility, change, params.vol_len)
    rank_push(state.recent, seen.volatility, params.trend_vol_len)
    rank_push(state.ranked, seen.volatility, params.vol_window)
    seen.trend = ema_step(state.trend, (bar.close - bar.open) / bar.open, params.ema_len)
    seen.atr = atr_step(state.atr, bar.high, bar.low, bar.close, params.atr_len)
    median = median_step(state.volume, bar.volume, params.volume_len)
    busy = bar.volume > params.volume_mult * median
    confirmed = busy and state.busy_before
    state.busy_before = busy
    return confirmed


@kernel
def regime(state: Any, params: Any) -> int:
    """LONG or SHORT when trend and volatility agree, else the reason why not."""
    seen = state.seen
    volatility = seen.volatility
    warm = rank_ready(state.ranked, params.vol_window) and rank_ready(
        state.recent, params.trend_vol_len
    )
    if not warm or math.isnan(seen.trend + seen.atr):
        return WARMING_UP
    if not is_below_quantile(
        state.recent, volatility, params.trend_vol_len, params.trend_vol_quantile
    ):
        return TREND_NEUTRAL
    high = params.percentile_thr / 100.0
    if seen.trend > 0.0:
        is_low = is_below_quantile(state.ranked, volatility, params.vol_window, 1.0 - high)
        return LONG if is_low else VOLATILITY_MISMATCH
    if not seen.trend < 0.0:
        return TREND_NEUTRAL
    is_high = is_above_quantile(state.ranked, volatility, params.vol_window, high)
    return SHORT if is_high else VOLATILITY_MISMATCH


@kernel
def confirm(state: Any, bar: Any, params: Any, side: int) -> int:
    """LONG or SHORT when VWAP, pressure and the chase limit let an entry on `side` through, else
    why not.
    """
    seen = state.seen
    seen.vwap = bar_vwap(bar.quote_volume, bar.volume)
    if math.isnan(seen.vwap):
        return MISSING_VWAP
    if not (bar.close - seen.vwap) * side > 0.0:
        return VWAP_SIDE
    seen.bid_size, seen.ask_size = pressure_sizes(bar, params.pressure)
    if math.isnan(seen.bid_size + seen.ask_size):
        return MISSING_PRESSURE
    with_us = seen.bid_size if side == Side.LONG else seen.ask_size
    against = seen.ask_size if side == Side.LONG else seen.bid_size
    if not with_us > against * params.bid_ask_ratio:
        return PRESSURE_WEAK
    near = state.previous_high if side == Side.LONG else state.previous_low
    far = state.previous_low if side == Side.LONG else state.previous_high
    origin = near if params.anti_chase_from == NEAR else far
    reach = params.range_pct * (state.previous_high - state.previous_low)
    seen.chase_limit = origin + side * reach
    if not (seen.chase_limit - bar.close) * side >= 0.0:
        return CHASING
    return LONG if side == Side.LONG else SHORT


@kernel
def decide(state: Any, bar: Any, params: Any, volume_ok: bool) -> int:
    """The reason code of this bar: LONG, SHORT, or the first gate that was shut.

    The gates are all required, so that their order changes only which one is named: the cheapest
    comes first.
    """
    if not volume_ok:
        return VOLUME_GATE
    direction = regime(state, params)
    if direction != LONG and direction != SHORT:
        return direction
    return confirm(state, bar, params, 1 if direction == LONG else -1)


@kernel
def step(state: Any, bar: Any, context: Any, params: Any, signal: Any) -> None:  # noqa: ARG001 (one signature for all)
    """One closed bar in, one SIGNAL out."""
    volume_ok = read_market(state, bar, params)
    reason = decide(state, bar, params, volume_ok)
    no_signal(signal, reason)
    signal.atr = state.seen.atr
    if reason == LONG:
        enter(signal, Side.LONG, params.stop_atr * state.seen.atr, reason)
    elif reason == SHORT:
        enter(signal, Side.SHORT, params.stop_atr * state.seen.atr, reason)
    state.bars += 1
    state.previous_close = bar.close
    state.previous_high = bar.high
    state.previous_low = bar.low


@kernel
def signals(state: Any, bars: Any, contexts: Any, params: Any, out: Any) -> None:
    """`step` over a chunk of bars. `contexts` has one row per bar, or a single one that does not
    change.
    """
    last = len(contexts) - 1
    for i in range(len(bars)):
        step(state, bars[i], contexts[min(i, last)], params, out[i])
