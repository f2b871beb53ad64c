"""Extreme funding: take the side that is paid, shortly after the settlement that showed it.

Long when the last published funding rate is below -`extreme_rate` (shorts pay: too many of them),
short when it is above +`extreme_rate`. In order, at the close of a bar:
1. the rate is known, and extreme;
2. the settlement that published it is known: `context.funding_time`, to the minute (venues stamp it
   some milliseconds late). A context without that time shows a settlement by a change of the rate
   from one bar to the next: that bar's close counts as the settlement. The same rate twice running
   is then one settlement, and a rate that was there from the first bar on has none;
3. it has not been entered on before: once per settlement;
4. the first bar to close `delay_minutes` or more after it has come, and not later than
   `late_minutes_max` beyond that bar's length: where bars are missing, the moment is missed.

Stop `stop_pct` of the close, target `target_pct`. A long is left once the rate is back at
-`neutral_rate` or above, a short at +`neutral_rate` or below, and either after 8 hours.
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

MINUTE_MS = 60_000

PARAMS = parameters(
    Param("extreme_rate", 0.0003, 0.0, 0.05, "per settlement", "a rate beyond it is extreme"),
    Param("neutral_rate", 0.0001, 0.0, 0.05, "per settlement", "a rate within it ends the trade"),
    Param("delay_minutes", 5, 0, 240, "minutes", "from the settlement to the entry"),
    Param("late_minutes_max", 2, 0, 60, "minutes", "a bar that closes later than this is too late"),
    Param("stop_pct", 0.6, 0.01, 20.0, "% of price", "stop distance from the entry"),
    Param("target_pct", 0.8, 0.01, 50.0, "% of price", "target distance from the entry"),
)

REASONS = (
    "missing_funding_rate",
    "long",
    "short",
    "rate_normal",
    "settlement_unknown",
    "already_entered",
    "waiting_after_settlement",
    "too_late",
    "missing_price",
)
(
    MISSING_FUNDING_RATE,
    LONG,
    SHORT,
    RATE_NORMAL,
    SETTLEMENT_UNKNOWN,
    ALREADY_ENTERED,
    WAITING_AFTER_SETTLEMENT,
    TOO_LATE,
    MISSING_PRICE,
) = range(len(REASONS))

NEEDS = ("funding_rate",)

PLAN = TradePlan(legs=((4.0 / 3.0, 1.0),), hold_minutes_max=480.0)

SEEN = rec(  # what the last decision looked at
    ("funding_rate", "f8"),
    ("settlement_time", "i8"),  # that published it, or the close that first showed it; 0: unknown
    ("waited_ms", "i8"),  # since then
)


def state_dtype(params: Any) -> np.dtype[np.record]:  # noqa: ARG001 (one signature for all)
    """The settlement that counts, and the one that was entered on."""
    return rec(
        ("bars", "i8"),
        ("last_time", "i8"),  # close of the bar before
        ("last_rate", "f8"),  # known then
        ("settlement_time", "i8"),  # of the present rate; 0: unknown
        ("entered_time", "i8"),  # settlement of the last entry
        ("seen", SEEN),
    )


def check(params: Any) -> str:
    """What is impossible about `params`; empty when nothing is."""
    if params.neutral_rate >= params.extreme_rate:
        return (
            f"neutral_rate must be below extreme_rate, {params.extreme_rate:g}; "
            f"got {params.neutral_rate:g}"
        )
    return ""


@kernel
def note_settlement(state: Any, context: Any, now: int, tolerance_ms: int) -> None:
    """Keep the settlement that published the present rate, 0 where it is not known.

    Without its time in the context, a rate that differs from the one of the bar before was
    published in between, if that bar is not more than `tolerance_ms` ago.
    """
    rate = context.funding_rate
    if math.isnan(rate):
        state.settlement_time = 0
    elif context.funding_time > 0:
        state.settlement_time = context.funding_time // MINUTE_MS * MINUTE_MS
    elif state.bars == 0 or math.isnan(state.last_rate):
        state.settlement_time = 0
    elif rate != state.last_rate:
        state.settlement_time = now if now - state.last_time <= tolerance_ms else 0
    state.bars += 1
    state.last_rate = rate
    state.last_time = now


@kernel
def decide(state: Any, bar: Any, params: Any, tolerance_ms: int) -> int:
    """The reason code of this bar: LONG, SHORT, or the first gate that was shut."""
    seen = state.seen
    rate = seen.funding_rate
    if math.isnan(rate):
        return MISSING_FUNDING_RATE
    if not abs(rate) > params.extreme_rate:
        return RATE_NORMAL
    if state.settlement_time == 0:
        return SETTLEMENT_UNKNOWN
    if state.settlement_time == state.entered_time:
        return ALREADY_ENTERED
    late_ms = seen.waited_ms - params.delay_minutes * MINUTE_MS
    if late_ms < 0:
        return WAITING_AFTER_SETTLEMENT
    if late_ms >= tolerance_ms:
        return TOO_LATE
    if not (math.isfinite(bar.close) and bar.close > 0.0):
        return MISSING_PRICE
    return LONG if rate < 0.0 else SHORT


@kernel
def step(state: Any, bar: Any, context: Any, params: Any, signal: Any) -> None:
    """One closed bar in, one SIGNAL out."""
    now = bar.open_time + params.bar_ms
    tolerance_ms = params.bar_ms + params.late_minutes_max * MINUTE_MS
    note_settlement(state, context, now, tolerance_ms)
    seen = state.seen
    seen.funding_rate = context.funding_rate
    seen.settlement_time = state.settlement_time
    seen.waited_ms = now - state.settlement_time if state.settlement_time > 0 else 0
    reason = decide(state, bar, params, tolerance_ms)
    no_signal(signal, reason)
    if reason in (LONG, SHORT):
        side = Side.LONG if reason == LONG else Side.SHORT
        enter(signal, side, params.stop_pct / 100.0 * bar.close, reason)
        signal.target_distance = params.target_pct / 100.0 * bar.close
        state.entered_time = state.settlement_time
    signal.exit_long = context.funding_rate >= -params.neutral_rate  # false while it is unknown
    signal.exit_short = context.funding_rate <= params.neutral_rate


@kernel
def signals(state: Any, bars: Any, contexts: Any, params: Any, out: Any) -> None:
    """`step` over a chunk of bars. `contexts` has one row per bar, or a single one that does not
    change.
    """
    last = len(contexts) - 1
    for i in range(len(bars)):
        step(state, bars[i], contexts[min(i, last)], params, out[i])
