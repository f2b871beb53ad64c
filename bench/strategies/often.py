"""Enter at every second bar and leave at the next one: many entries in little time.

A user's file like any other; the latency of a session is measured with it (`bench/live.py`).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tercel.strategy import Param, Side, TradePlan, enter, kernel, no_signal, parameters, rec

PARAMS = parameters(Param("every", 2, 1, 100, "bars", "bars between two signals"))
REASONS = ("waiting", "turn")
PLAN = TradePlan(legs=((20.0, 1.0),), hold_minutes_max=1)


def state_dtype(params: Any) -> np.dtype[np.record]:  # noqa: ARG001 (one signature for all)
    """How many bars there were."""
    return rec(("bars", "i8"))


@kernel
def step(state: Any, bar: Any, context: Any, params: Any, signal: Any) -> None:  # noqa: ARG001
    """One closed bar in, one SIGNAL out: a long at each turn, its stop 2 % away."""
    no_signal(signal, 0)
    state.bars += 1
    if state.bars % params.every == 0:
        enter(signal, Side.LONG, bar.close * 0.02, 1)


@kernel
def signals(state: Any, bars: Any, contexts: Any, params: Any, out: Any) -> None:
    """`step` over a chunk of bars."""
    last = len(contexts) - 1
    for i in range(len(bars)):
        step(state, bars[i], contexts[min(i, last)], params, out[i])
