"""Four-layer futures bot: sells a rally that turns in a downtrend; buys a dip in an uptrend when
volume confirms as well.

At the close of each bar, gates in the source's strict order; the first one shut is the reason, and
nothing after it is looked at (its fields of `seen` are NaN then). The source's first gate, one
position at a time, is the kernel's.
2. `trend_neutral`: on bars of `trend_minutes`, EMA50 and EMA200. Close below both and EMA50 below
EMA200: trend -1, a short may follow. Above both and EMA50 above: +1, a long. The EMAs are those of
the last larger bar that has closed, the close is the present one.
3. Reversion: the z-score of the close was above `zscore_min` on this bar or one of the
`zscore_memory` before it, and the last `streak_len` closes are each lower than the one before: -1;
mirrored: +1; else 0. (`zscore_memory=0` is the source's text, in which both are asked of one bar.)
4. Volume: the cumulative delta is a line that starts at 0 before the last `cvd_len` bars and goes
by each bar's delta (bought less sold). At its end it is lower than `divergence_len` bars before,
while the close is higher than at that time: -1; the reverse: +1; else 0. Its change is then what
was bought less sold in those bars, as the close's is theirs: with deltas +9 +9 +9 +9 +9 -1 -1 +2 -1
-1 the line ends at 43, five bars before it was at 45, and a higher close is a divergence. (Sums
over 10 bars, now and five bars ago, would differ by the volume of 10 to 14 bars ago as well.)
Pressure unknown in one of the `cvd_len` bars: `missing_pressure`.
5. `asymmetry_gate_failed`: a short needs trend -1 and one of the others -1; a long all three +1.
6. `extended_move`: the last pivot high (strictly above `pivot_wing` bars on each side, and known
only that many bars later) is among the last `pivot_window` bars, and the close is more than
`extended_atr` ATR below it: too late for a short. A long: the pivot low. No pivot: no objection.
7. `spread_guard`: the spread is above `spread_bps_max`. Unknown: no objection.
8. External scores, each -1, 0 or +1, and 0 where unknown: see `external_scores`.
9. `composite_weak`: the sum of all scores is above `composite_short_max` (short) or below
`composite_long_min` (long).

Stop 1.5 ATR, target 3 ATR, at most 90 minutes. The default `pressure` is taker: a cumulative delta
is one of volume. (`auto` prefers the book, and a sum over bars of which some have a book and some
have not would mix two things.)

Open interest is compared with what it was `oi_minutes` ago, in bars of the data, and the close with
the close of that bar. Sources publish it in steps: the score is 0 once the last step is further
back than that, so `oi_minutes` should be no shorter than a step.

Source 5.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tercel.core.codes import Side
from tercel.core.indicators.atr import ATR, atr_step
from tercel.core.indicators.cvd import cvd_dtype, cvd_step
from tercel.core.indicators.ema import EMA, ema_step
from tercel.core.indicators.pivots import pivots_dtype, pivots_step
from tercel.core.indicators.window import capacity_for, window_dtype, window_push
from tercel.core.indicators.zscore import zscore_dtype, zscore_step
from tercel.core.jit import kernel, rec
from tercel.core.parameters import Param, parameters
from tercel.core.plan import TradePlan
from tercel.core.pressure import pressure_param, pressure_sizes
from tercel.core.signal import enter, no_signal
from tercel.core.timeframe import RESAMPLE, resample_step
from tercel.core.trend import minutes_problem

PARAMS = parameters(
    Param("trend_minutes", 15, 1, 1440, "minutes", "length of the bars of the trend"),
    Param("trend_fast_len", 50, 2, 500, "bars", "fast EMA of the trend"),
    Param("trend_slow_len", 200, 3, 1000, "bars", "slow EMA of the trend"),
    Param("zscore_len", 20, 3, 1000, "bars", "window of the z-score of the close"),
    Param("zscore_min", 1.8, 0.0, 10.0, "deviations", "stretch that a reversion starts from"),
    Param("zscore_memory", 5, 0, 100, "bars", "how long ago the stretch may be (0: this bar)"),
    Param("streak_len", 3, 1, 20, "closes", "successive closes back that a reversion needs"),
    Param("cvd_len", 10, 1, 500, "bars", "bars in the cumulative volume delta"),
    Param("divergence_len", 5, 1, 500, "bars", "price and delta are compared over them"),
    Param("pivot_wing", 2, 1, 20, "bars", "neighbours on each side that a pivot beats"),
    Param("pivot_window", 20, 1, 500, "bars", "a pivot counts while it is among the last of them"),
    Param("extended_atr", 1.5, 0.0, 20.0, "ATR", "further from the pivot the move is extended"),
    Param("spread_bps_max", 8.0, 0.0, 1000.0, "bps", "a wider spread suppresses the signal"),
    Param("funding_rate_max", 0.0005, 0.0, 0.1, "of notional", "funding beyond it is crowded"),
    Param("oi_minutes", 15, 1, 1440, "minutes", "open interest is compared over them"),
    Param("long_short_high", 1.8, 0.0, 100.0, "ratio", "longs per short above it: -1"),
    Param("long_short_low", 0.6, 0.0, 100.0, "ratio", "longs per short below it: +1"),
    Param("fear_below", 25.0, 0.0, 100.0, "index", "Fear & Greed below it: +1"),
    Param("greed_above", 75.0, 0.0, 100.0, "index", "Fear & Greed above it: -1"),
    Param("netflow_max", 1000.0, 0.0, 1e9, "base a day", "flow into exchanges above it: -1"),
    Param("composite_short_max", -2, -8, 0, "points", "a short needs the sum at it or below"),
    Param("composite_long_min", 3, 0, 8, "points", "a long needs the sum at it or above"),
    Param("atr_len", 14, 2, 500, "bars", "ATR length (Wilder)"),
    Param("stop_atr", 1.5, 0.1, 20.0, "ATR", "stop distance from the entry"),
    Param("target_atr", 3.0, 0.1, 50.0, "ATR", "target distance from the entry"),
    pressure_param("taker"),
)

REASONS = (
    "warming_up",
    "long",
    "short",
    "trend_neutral",
    "missing_pressure",
    "asymmetry_gate_failed",
    "extended_move",
    "spread_guard",
    "composite_weak",
)
(
    WARMING_UP,
    LONG,
    SHORT,
    TREND_NEUTRAL,
    MISSING_PRESSURE,
    ASYMMETRY_GATE_FAILED,
    EXTENDED_MOVE,
    SPREAD_GUARD,
    COMPOSITE_WEAK,
) = range(len(REASONS))

NEEDS = ("pressure",)
USES = (
    "spread_bps",
    "funding_rate",
    "open_interest",
    "long_short_ratio",
    "fear_greed",
    "exchange_netflow",
)

PLAN = TradePlan(legs=((2.0, 1.0),), hold_minutes_max=90.0)

SEEN = rec(  # what the last evaluation looked at; NaN: a gate before it was shut, or unknown
    ("fast", "f8"),  # price: EMAs of the larger bars
    ("slow", "f8"),
    ("atr", "f8"),  # price
    ("zscore", "f8"),
    ("trend_score", "f8"),
    ("reversion_score", "f8"),
    ("volume_score", "f8"),
    ("pivot_price", "f8"),
    ("spread_bps", "f8"),
    ("funding_score", "f8"),
    ("open_interest_score", "f8"),
    ("long_short_score", "f8"),
    ("fear_greed_score", "f8"),
    ("netflow_score", "f8"),
    ("composite", "f8"),
)


def oi_bars(params: Any) -> int:
    """Bars in `oi_minutes`, at least one."""
    return max(1, int(params.oi_minutes * 60_000 // params.bar_ms))


def state_dtype(params: Any) -> np.dtype[np.record]:
    """Room for the windows that `params` asks for."""
    divergence, interest = capacity_for(params.divergence_len), capacity_for(oi_bars(params))
    return rec(
        ("bars", "i8"),
        ("previous_close", "f8"),
        ("falls", "i8"),  # successive lower closes
        ("rises", "i8"),
        ("stretched_up_bar", "i8"),  # number of the last bar with a z-score above; 0: none yet
        ("stretched_down_bar", "i8"),
        ("larger", RESAMPLE),
        ("fast", EMA),
        ("slow", EMA),
        ("zscore", zscore_dtype(capacity_for(params.zscore_len))),
        ("delta", cvd_dtype(capacity_for(params.cvd_len))),  # the line, from its start to its end
        ("recent_delta", cvd_dtype(divergence)),  # the line, over its last divergence_len bars
        ("closes", window_dtype(divergence)),
        ("delta_change", "f8"),  # over divergence_len bars; NaN: one of cvd_len bars is unknown
        ("close_change", "f8"),
        ("pivots", pivots_dtype(capacity_for(2 * params.pivot_wing + 1))),
        ("atr", ATR),
        ("interest", window_dtype(interest)),
        ("interest_closes", window_dtype(interest)),
        ("interest_change", "f8"),  # over oi_minutes
        ("interest_close_change", "f8"),
        ("seen", SEEN),
    )


def check(params: Any) -> str:
    """What is impossible about `params`; empty when nothing is."""
    if params.divergence_len > params.cvd_len:
        return (
            f"divergence_len must be at most cvd_len, {params.cvd_len}: the delta is known in "
            f"those bars alone; got {params.divergence_len}"
        )
    return minutes_problem("trend_minutes", params.trend_minutes, params.bar_ms) or minutes_problem(
        "oi_minutes", params.oi_minutes, params.bar_ms
    )


@kernel
def forget(seen: Any) -> None:
    """Nothing has been looked at yet: every score of the last bar goes."""
    seen.trend_score = math.nan
    seen.reversion_score = math.nan
    seen.volume_score = math.nan
    seen.pivot_price = math.nan
    seen.spread_bps = math.nan
    seen.funding_score = math.nan
    seen.open_interest_score = math.nan
    seen.long_short_score = math.nan
    seen.fear_greed_score = math.nan
    seen.netflow_score = math.nan
    seen.composite = math.nan


@kernel
def read_prices(state: Any, bar: Any, params: Any) -> None:
    """Advance what is made of prices: trend, z-score, streaks, pivots, ATR."""
    seen = state.seen
    if resample_step(state.larger, bar, params.bar_ms, params.trend_minutes * 60_000):
        close = state.larger.done.close
        seen.fast = ema_step(state.fast, close, params.trend_fast_len)
        seen.slow = ema_step(state.slow, close, params.trend_slow_len)
    seen.atr = atr_step(state.atr, bar.high, bar.low, bar.close, params.atr_len)
    pivots_step(state.pivots, bar.high, bar.low, params.pivot_wing, params.pivot_wing)
    state.bars += 1
    seen.zscore = zscore_step(state.zscore, bar.close, params.zscore_len)
    if seen.zscore > params.zscore_min:
        state.stretched_up_bar = state.bars
    if seen.zscore < -params.zscore_min:
        state.stretched_down_bar = state.bars
    change = bar.close - state.previous_close if state.bars > 1 else math.nan
    state.falls = state.falls + 1 if change < 0.0 else 0
    state.rises = state.rises + 1 if change > 0.0 else 0
    state.previous_close = bar.close


@kernel
def read_volume(state: Any, bar: Any, context: Any, params: Any) -> None:
    """Advance the volume delta and open interest, and what both and the close changed by."""
    bought, sold = pressure_sizes(bar, params.pressure)
    line = cvd_step(state.delta, bought + sold, bought, params.cvd_len)
    change = cvd_step(state.recent_delta, bought + sold, bought, params.divergence_len)
    state.delta_change = math.nan if math.isnan(line) else change
    earlier = window_push(state.closes, bar.close, params.divergence_len)
    state.close_change = bar.close - earlier
    bars = max(1, params.oi_minutes * 60_000 // params.bar_ms)
    interest = context.open_interest
    state.interest_change = interest - window_push(state.interest, interest, bars)
    earlier = window_push(state.interest_closes, bar.close, bars)
    state.interest_close_change = bar.close - earlier


@kernel
def trend_score(seen: Any, close: float) -> float:
    """-1, 0 or +1: which side of both EMAs the close is on, and they of each other."""
    if close < seen.fast and close < seen.slow and seen.fast < seen.slow:
        return -1.0
    if close > seen.fast and close > seen.slow and seen.fast > seen.slow:
        return 1.0
    return 0.0


@kernel
def is_recent(state: Any, bar_number: int, params: Any) -> bool:
    """Whether a bar (0: there was none) is this one or one of the `zscore_memory` before it."""
    return bool(bar_number > 0 and state.bars - bar_number <= params.zscore_memory)


@kernel
def reversion_score(state: Any, params: Any) -> float:
    """-1, 0 or +1: a stretch upwards that falls back, none, a stretch downwards that rises."""
    if state.falls >= params.streak_len and is_recent(state, state.stretched_up_bar, params):
        return -1.0
    if state.rises >= params.streak_len and is_recent(state, state.stretched_down_bar, params):
        return 1.0
    return 0.0


@kernel
def volume_score(state: Any) -> float:
    """-1, 0 or +1: price up on a falling delta, no divergence, price down on a rising one."""
    if state.close_change > 0.0 and state.delta_change < 0.0:
        return -1.0
    if state.close_change < 0.0 and state.delta_change > 0.0:
        return 1.0
    return 0.0


@kernel
def is_extended(state: Any, close: float, side: float, params: Any) -> bool:
    """Whether the move on `side` has already left its pivot too far behind."""
    pivots = state.pivots
    price = pivots.high_price if side < 0.0 else pivots.low_price
    age = pivots.high_age_bars if side < 0.0 else pivots.low_age_bars
    if age < 0 or age >= params.pivot_window:
        return False
    state.seen.pivot_price = price
    return bool((close - price) * side > params.extended_atr * state.seen.atr)


@kernel
def outside(value: float, low: float, high: float) -> float:
    """-1 above `high`, +1 below `low`, else 0; 0 for an unknown value."""
    if value > high:
        return -1.0
    return 1.0 if value < low else 0.0


@kernel
def open_interest_score(state: Any, side: float) -> float:
    """`side` where open interest rose and price went that way; 0 otherwise, and where unknown.

    The source gives +1 "for longs" and -1 "for shorts": it confirms a trade and never objects.
    """
    rose = state.interest_change > 0.0
    return side if rose and state.interest_close_change * side > 0.0 else 0.0


@kernel
def external_scores(state: Any, context: Any, side: float, params: Any) -> float:
    """The sum of the five external scores, each kept in `state.seen`.

    High funding, many longs per short, greed and coins flowing into exchanges are -1 each, their
    opposites +1, whatever the side; open interest is of the side alone.
    """
    seen = state.seen
    rate = params.funding_rate_max
    flow = params.netflow_max
    seen.funding_score = outside(context.funding_rate, -rate, rate)
    seen.open_interest_score = open_interest_score(state, side)
    seen.long_short_score = outside(
        context.long_short_ratio, params.long_short_low, params.long_short_high
    )
    seen.fear_greed_score = outside(context.fear_greed, params.fear_below, params.greed_above)
    seen.netflow_score = outside(context.exchange_netflow, -flow, flow)
    total: float = (
        seen.funding_score
        + seen.open_interest_score
        + seen.long_short_score
        + seen.fear_greed_score
        + seen.netflow_score
    )
    return total


@kernel
def is_warm(state: Any, params: Any) -> bool:
    """Whether every window is full."""
    longest = max(params.zscore_len, params.cvd_len, params.divergence_len + 1)
    return bool(
        state.fast.count >= params.trend_fast_len
        and state.slow.count >= params.trend_slow_len
        and state.bars >= longest
        and not math.isnan(state.seen.atr)
    )


@kernel
def confluence(state: Any, close: float, params: Any) -> int:
    """Gates 2 to 5: LONG, SHORT, or the first of them that was shut."""
    seen = state.seen
    seen.trend_score = trend_score(seen, close)
    if seen.trend_score == 0.0:
        return TREND_NEUTRAL
    seen.reversion_score = reversion_score(state, params)
    if math.isnan(state.delta_change):
        return MISSING_PRESSURE
    seen.volume_score = volume_score(state)
    if seen.trend_score < 0.0:
        is_short = seen.reversion_score < 0.0 or seen.volume_score < 0.0
        return SHORT if is_short else ASYMMETRY_GATE_FAILED
    is_long = seen.reversion_score > 0.0 and seen.volume_score > 0.0
    return LONG if is_long else ASYMMETRY_GATE_FAILED


@kernel
def decide(state: Any, bar: Any, context: Any, params: Any) -> int:
    """The reason code of this bar: LONG, SHORT, or the first gate that was shut."""
    seen = state.seen
    if not is_warm(state, params):
        return WARMING_UP
    direction = confluence(state, bar.close, params)
    if direction != LONG and direction != SHORT:
        return direction
    side = 1.0 if direction == LONG else -1.0
    if is_extended(state, bar.close, side, params):
        return EXTENDED_MOVE
    seen.spread_bps = bar.spread_bps
    if bar.spread_bps > params.spread_bps_max:
        return SPREAD_GUARD
    own = seen.trend_score + seen.reversion_score + seen.volume_score
    seen.composite = own + external_scores(state, context, side, params)
    if side < 0.0:
        return SHORT if seen.composite <= params.composite_short_max else COMPOSITE_WEAK
    return LONG if seen.composite >= params.composite_long_min else COMPOSITE_WEAK


@kernel
def step(state: Any, bar: Any, context: Any, params: Any, signal: Any) -> None:
    """One closed bar in, one SIGNAL out. The composite is no score of 0 to 100: it decides, and
    is kept in `seen`.
    """
    forget(state.seen)
    read_prices(state, bar, params)
    read_volume(state, bar, context, params)
    reason = decide(state, bar, context, params)
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
