"""Liquidation zones: trade towards the price at which many leveraged positions would be closed.

Where they are is estimated from open interest. Each rise of it at price p is as many new longs as
new shorts; a share of them at each leverage L has its liquidation at p (1 - 1/L + m), longs, and at
p (1 + 1/L - m), shorts, m being the maintenance margin. Those levels are kept in a histogram:
- bins of `bin_bps` of log price, BINS of them, half of them below the price and half above. It
  follows the price from bin to bin; what falls out of it is forgotten;
- what lies below the price are longs, above it shorts: a bin that price has touched since the close
  before is emptied, its positions are gone;
- mass halves every `half_life_hours`. Instead of shrinking all bins, new mass grows: only shares of
  the total are compared.

A zone is the nearest run of adjacent bins, `zone_bps` wide in all, that holds more than
`zone_share` of the whole histogram. It is in reach when its far end is within `zone_buffer_pct` of
the close. On the close at which it comes within reach: short towards longs below, long towards
shorts above; of two, towards the nearer. While it stays in reach there is no second signal.

Stop `stop_pct` of the close. Target: the mean price of the zone's mass.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tercel.core.codes import Side
from tercel.core.jit import kernel, rec
from tercel.core.parameters import Param, parameters
from tercel.core.plan import TradePlan
from tercel.core.signal import enter, no_signal

BINS = 1024
"""Bins of the histogram: 10 bps each, they reach from 0.6 to 1.67 times the price."""
HOUR_MS = 3_600_000
RESCALE_HALF_LIVES = 64.0
"""After so many half-lives the growth of new mass begins again at 1."""
FORGOTTEN_HALF_LIVES = 2000
"""What is this old counts nothing: 2 to its negative power is zero."""
RECOUNT_SHARE = 0.5
"""The running total is summed anew when it has fallen to this share of its peak."""

PARAMS = parameters(
    Param("leverage_low", 10.0, 1.5, 200.0, "x", "leverage of the most careful positions"),
    Param("leverage_mid", 25.0, 1.5, 200.0, "x", "leverage of those in between"),
    Param("leverage_high", 50.0, 1.5, 200.0, "x", "leverage of the boldest positions"),
    Param("weight_low", 0.5, 0.0, 1.0, "of a rise", "share opened at leverage_low"),
    Param("weight_mid", 0.3, 0.0, 1.0, "of a rise", "share opened at leverage_mid"),
    Param("weight_high", 0.2, 0.0, 1.0, "of a rise", "share opened at leverage_high"),
    Param("maintenance_rate", 0.004, 0.0, 0.1, "of notional", "maintenance margin"),
    Param("half_life_hours", 24.0, 0.1, 10_000.0, "hours", "until half of a mass is forgotten"),
    Param("warm_up_hours", 24.0, 0.0, 10_000.0, "hours", "of open interest before zones count"),
    Param("bin_bps", 10.0, 1.0, 50.0, "bps", "width of a bin, log price"),
    Param("zone_bps", 100.0, 1.0, 500.0, "bps", "width of a zone, rounded to whole bins"),
    Param("zone_share", 0.10, 0.0, 1.0, "of the total", "a zone holds more than this"),
    Param("zone_buffer_pct", 1.5, 0.05, 20.0, "% of price", "a zone is in reach this far away"),
    Param("stop_pct", 0.4, 0.01, 20.0, "% of price", "stop distance from the entry"),
)

REASONS = (
    "missing_open_interest",
    "long",
    "short",
    "warming_up",
    "no_zone_in_reach",
    "zone_already_in_reach",
    "missing_price",
)
(
    MISSING_OPEN_INTEREST,
    LONG,
    SHORT,
    WARMING_UP,
    NO_ZONE_IN_REACH,
    ZONE_ALREADY_IN_REACH,
    MISSING_PRICE,
) = range(len(REASONS))

NEEDS = ("open_interest",)

PLAN = TradePlan(legs=((1.0, 1.0),))

SEEN = rec(  # what the last decision looked at
    ("open_interest", "f8"),  # as its source counts it
    ("below_price", "f8"),  # zone of longs in reach; NaN: none
    ("below_share", "f8"),  # of the whole histogram
    ("above_price", "f8"),  # the same of shorts
    ("above_share", "f8"),
)


def state_dtype(params: Any) -> np.dtype[np.record]:  # noqa: ARG001 (one signature for all)
    """The histogram as a ring: bin number modulo BINS."""
    return rec(
        ("bars", "i8"),
        ("center", "i8"),  # bin of the last close: bins center - BINS / 2 to center + BINS / 2 - 1
        ("last_close", "f8"),
        ("last_open_interest", "f8"),  # last known
        ("first_known_time", "i8"),  # close at which open interest was first known; 0: not yet
        ("grown_from", "f8"),  # time at which new mass counts once, ms
        ("total", "f8"),  # of all bins, grown
        ("total_peak", "f8"),  # since the bins were last summed
        ("below_before", "?"),  # a zone was in reach at the close before
        ("above_before", "?"),
        ("bins", "f8", (BINS,)),  # grown mass
        ("seen", SEEN),
    )


def check(params: Any) -> str:
    """What is impossible about `params`; empty when nothing is."""
    if not params.weight_low + params.weight_mid + params.weight_high > 0.0:
        return "at least one weight must be above 0"
    reach = BINS / 2 * params.bin_bps / 10_000.0
    for name in ("leverage_low", "leverage_mid", "leverage_high"):
        margin = 1.0 / params[name] - params.maintenance_rate
        if not margin > 0.0 or math.log1p(margin) <= 2.0 * params.bin_bps / 10_000.0:
            return (
                f"{name} {params[name]:g} leaves {margin:.2%} between entry and liquidation: "
                "less than two bins; lower it, maintenance_rate or bin_bps"
            )
        if -math.log1p(-margin) >= reach:
            return (
                f"{name} {params[name]:g} is liquidated {margin:.0%} away, "
                f"{BINS} bins reach {-math.expm1(-reach):.0%}; raise it or bin_bps"
            )
    return ""


@kernel
def bin_of(price: float, params: Any) -> int:
    """The number of the bin that `price` is in: whole widths of log price."""
    return math.floor(math.log(price) / (params.bin_bps / 10_000.0))


@kernel
def empty_bins(state: Any, first: int, end: int) -> None:
    """Empty bins `first` to `end` - 1; at most BINS of them, for a ring has no more."""
    for k in range(first, min(end, first + BINS)):
        mass = state.bins[k % BINS]
        if mass > 0.0:
            state.bins[k % BINS] = 0.0
            state.total -= mass


@kernel
def recount(state: Any) -> None:
    """Sum the bins: what a running total has lost to rounding grows with what was taken from it."""
    total = 0.0
    for k in range(BINS):
        total += state.bins[k]
    state.total = total
    state.total_peak = total


@kernel
def follow(state: Any, bar: Any, params: Any) -> None:
    """Empty what price has touched since the close before, and move the ring to the new close."""
    half = BINS // 2
    center = bin_of(bar.close, params)
    if state.bars == 0:
        state.center = center
    else:
        first = bin_of(min(bar.low, state.last_close), params)
        last = bin_of(max(bar.high, state.last_close), params)
        empty_bins(state, max(first, state.center - half), min(last + 1, state.center + half))
        if center > state.center:  # the lowest bins fall out, and are the highest from now on
            empty_bins(state, state.center - half, center - half)
        elif center < state.center:
            empty_bins(state, center + half, state.center + half)
        state.center = center
    state.bars += 1
    state.last_close = bar.close
    if state.total < RECOUNT_SHARE * state.total_peak:
        recount(state)


@kernel
def growth(state: Any, now: int, params: Any) -> float:
    """What a mass of 1 counts if it is added now; starts anew at 1 now and then."""
    half_life_ms = params.half_life_hours * HOUR_MS
    passed = (now - state.grown_from) / half_life_ms
    if passed >= RESCALE_HALF_LIVES:
        whole = int(passed)
        shrink = math.ldexp(1.0, -min(whole, FORGOTTEN_HALF_LIVES))
        for k in range(BINS):
            state.bins[k] *= shrink
        recount(state)
        state.grown_from += whole * half_life_ms
        passed = (now - state.grown_from) / half_life_ms
    return 2.0**passed


@kernel
def add_level(state: Any, price: float, mass: float, params: Any) -> None:
    """Add `mass` to the bin of `price`; a level beyond the histogram is left out."""
    k = bin_of(price, params)
    half = BINS // 2
    if state.center - half <= k < state.center + half:
        state.bins[k % BINS] += mass
        state.total += mass


@kernel
def add_rise(state: Any, price: float, mass: float, params: Any) -> None:
    """The levels of a rise of open interest at `price`: longs below it, shorts above it."""
    low = 1.0 / params.leverage_low - params.maintenance_rate
    mid = 1.0 / params.leverage_mid - params.maintenance_rate
    high = 1.0 / params.leverage_high - params.maintenance_rate
    for side in (-1.0, 1.0):
        add_level(state, price * (1.0 + side * low), mass * params.weight_low, params)
        add_level(state, price * (1.0 + side * mid), mass * params.weight_mid, params)
        add_level(state, price * (1.0 + side * high), mass * params.weight_high, params)
    state.total_peak = max(state.total_peak, state.total)


@kernel
def note_open_interest(state: Any, bar: Any, context: Any, params: Any) -> None:
    """Turn a rise since the last known open interest into levels."""
    now = bar.open_time + params.bar_ms
    known = context.open_interest
    if not math.isfinite(known):
        return
    if state.first_known_time == 0:
        state.first_known_time = now
        state.grown_from = float(now)
    elif known > state.last_open_interest:
        rise = known - state.last_open_interest
        add_rise(state, bar.close, rise * growth(state, now, params), params)
    state.last_open_interest = known


@kernel
def find_zone(state: Any, close: float, direction: int, params: Any) -> tuple[float, float]:
    """(mean price, share of the total) of the nearest zone below (-1) or above (1) the close whose
    far end is in reach; NaN, 0 when there is none.
    """
    width = params.bin_bps / 10_000.0
    run = max(1, int(params.zone_bps / params.bin_bps + 0.5))
    limit = bin_of(close * (1.0 + direction * params.zone_buffer_pct / 100.0), params)
    far = min(abs(limit - state.center), BINS // 2 - 1)
    needed = params.zone_share * state.total
    held = 0.0
    for step_out in range(1, far + 1):
        entering = state.bins[(state.center + direction * step_out) % BINS]
        held += entering
        if step_out > run:
            held -= state.bins[(state.center + direction * (step_out - run)) % BINS]
        if not (entering > 0.0 and held > needed):
            continue
        mass, moment = 0.0, 0.0
        for back in range(min(run, step_out)):
            here = state.bins[(state.center + direction * (step_out - back)) % BINS]
            mass += here
            moment += here * (step_out - back)
        middle = state.center + direction * (moment / mass) + 0.5
        return math.exp(width * middle), mass / state.total
    return math.nan, 0.0


@kernel
def decide(state: Any, bar: Any, params: Any) -> int:
    """The reason code of this bar, zones in `state.seen`: LONG, SHORT, or why not."""
    seen = state.seen
    if not math.isfinite(seen.open_interest):
        return MISSING_OPEN_INTEREST
    seen.below_price, seen.below_share = find_zone(state, bar.close, -1, params)
    seen.above_price, seen.above_share = find_zone(state, bar.close, 1, params)
    is_below = seen.below_share > 0.0
    is_above = seen.above_share > 0.0
    new_below = is_below and not state.below_before
    new_above = is_above and not state.above_before
    state.below_before = is_below
    state.above_before = is_above
    now = bar.open_time + params.bar_ms
    if now - state.first_known_time < params.warm_up_hours * HOUR_MS:
        return WARMING_UP
    if not (is_below or is_above):
        return NO_ZONE_IN_REACH
    fall = bar.close - seen.below_price if is_below else math.inf
    rise = seen.above_price - bar.close if is_above else math.inf
    if fall < rise:
        return SHORT if new_below else ZONE_ALREADY_IN_REACH
    return LONG if new_above else ZONE_ALREADY_IN_REACH


@kernel
def step(state: Any, bar: Any, context: Any, params: Any, signal: Any) -> None:
    """One closed bar in, one SIGNAL out."""
    prices_known = math.isfinite(bar.high + bar.low + bar.close)
    if not (prices_known and bar.low > 0.0 and bar.close > 0.0):
        no_signal(signal, MISSING_PRICE)
        return
    state.seen.open_interest = context.open_interest
    follow(state, bar, params)
    note_open_interest(state, bar, context, params)
    reason = decide(state, bar, params)
    no_signal(signal, reason)
    if reason == LONG:
        enter(signal, Side.LONG, params.stop_pct / 100.0 * bar.close, reason)
        signal.target_distance = state.seen.above_price - bar.close
    elif reason == SHORT:
        enter(signal, Side.SHORT, params.stop_pct / 100.0 * bar.close, reason)
        signal.target_distance = bar.close - state.seen.below_price


@kernel
def signals(state: Any, bars: Any, contexts: Any, params: Any, out: Any) -> None:
    """`step` over a chunk of bars. `contexts` has one row per bar, or a single one that does not
    change.
    """
    last = len(contexts) - 1
    for i in range(len(bars)):
        step(state, bars[i], contexts[min(i, last)], params, out[i])
