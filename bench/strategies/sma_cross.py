"""Long while the 20-bar average of closes is above the 60-bar one, from cross to cross.

An ordinary user's file: `tercel backtest bench/strategies/sma_cross.py BTCUSDT`. Stop 0.5 % of the
close, target 2R.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tercel.core.codes import Side
from tercel.core.indicators.sma import sma_dtype, sma_step
from tercel.core.indicators.window import capacity_for
from tercel.core.jit import kernel, rec
from tercel.core.parameters import Param, parameters
from tercel.core.plan import TradePlan
from tercel.core.signal import enter, no_signal

PARAMS = parameters(
    Param("fast_len", 20, 2, 500, "bars", "length of the fast average"),
    Param("slow_len", 60, 3, 1000, "bars", "length of the slow average"),
    Param("stop_fraction", 0.005, 0.0001, 0.5, "of price", "stop distance"),
)
REASONS = ("quiet", "long", "crossed_down")
QUIET, LONG, CROSSED_DOWN = range(len(REASONS))
PLAN = TradePlan(legs=((2.0, 1.0),))


def state_dtype(params: Any) -> np.dtype[np.record]:
    """Two averages, and the sign of their difference at the bar before."""
    return rec(
        ("fast", sma_dtype(capacity_for(params.fast_len))),
        ("slow", sma_dtype(capacity_for(params.slow_len))),
        ("bars", "i8"),
        ("difference", "f8"),
    )


@kernel
def step(state: Any, bar: Any, context: Any, params: Any, signal: Any) -> None:  # noqa: ARG001 (one signature for all)
    """One closed bar in, one SIGNAL out."""
    before = state.difference
    fast = sma_step(state.fast, bar.close, params.fast_len)
    state.difference = fast - sma_step(state.slow, bar.close, params.slow_len)
    state.bars += 1
    no_signal(signal, QUIET)
    if state.bars <= params.slow_len:
        return
    if state.difference > 0.0 and before <= 0.0:
        enter(signal, Side.LONG, params.stop_fraction * bar.close, LONG)
    elif state.difference < 0.0 and before >= 0.0:
        signal.exit_long = True
        signal.reason = CROSSED_DOWN


@kernel
def signals(state: Any, bars: Any, contexts: Any, params: Any, out: Any) -> None:
    """`step` over a chunk of bars."""
    last = len(contexts) - 1
    for i in range(len(bars)):
        step(state, bars[i], contexts[min(i, last)], params, out[i])
