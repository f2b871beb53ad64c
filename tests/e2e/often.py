"""Enter at every second bar, long and short in turn: a session that is never idle for long.

The stop is `stop_fraction` of the price away, the first target as far, the second twice as far;
what is left after a minute is closed.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tercel.strategy import Param, Side, TradePlan, enter, kernel, no_signal, parameters, rec

PARAMS = parameters(
    Param("every", 2, 1, 100, "bars", "bars between two signals"),
    Param("stop_fraction", 0.02, 0.0001, 0.5, "of price", "stop distance"),
)
REASONS = ("waiting", "turn")
PLAN = TradePlan(legs=((1.0, 0.5), (2.0, 0.5)), hold_minutes_max=1)


def state_dtype(params: Any) -> np.dtype[np.record]:
    """How many bars there were."""
    return rec(("bars", "i8"))


@kernel
def step(state: Any, bar: Any, context: Any, params: Any, signal: Any) -> None:
    """One closed bar in, one SIGNAL out."""
    no_signal(signal, 0)
    state.bars += 1
    if state.bars % params.every == 0:
        side = Side.LONG if (state.bars // params.every) % 2 == 0 else Side.SHORT
        enter(signal, side, bar.close * params.stop_fraction, 1)


@kernel
def signals(state: Any, bars: Any, contexts: Any, params: Any, out: Any) -> None:
    """`step` over a chunk of bars."""
    last = len(contexts) - 1
    for i in range(len(bars)):
        step(state, bars[i], contexts[min(i, last)], params, out[i])
