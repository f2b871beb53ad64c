"""Trade crosses that are given with each bar: the averages are not Tercel's to compute here.

Shaped like any strategy file, except that what stands in the place of the context is a CROSS
record: whether this bar's close crossed up (enter long) or down (leave). Stop 0.5 % of the close,
target 2R.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tercel.core.codes import Side
from tercel.core.jit import kernel, rec
from tercel.core.parameters import Param, parameters
from tercel.core.plan import TradePlan
from tercel.core.signal import enter, no_signal

PARAMS = parameters(Param("stop_fraction", 0.005, 0.0001, 0.5, "of price", "stop distance"))
REASONS = ("quiet", "long", "crossed_down")
QUIET, LONG, CROSSED_DOWN = range(len(REASONS))
PLAN = TradePlan(legs=((2.0, 1.0),))
CROSS = rec(("up", "?"), ("down", "?"))


def state_dtype(params: Any) -> np.dtype[np.record]:  # noqa: ARG001 (one signature for all)
    """Nothing to remember but how many bars there were."""
    return rec(("bars", "i8"))


@kernel
def step(state: Any, bar: Any, cross: Any, params: Any, signal: Any) -> None:
    """One closed bar and its cross in, one SIGNAL out."""
    state.bars += 1
    no_signal(signal, QUIET)
    if cross.up:
        enter(signal, Side.LONG, params.stop_fraction * bar.close, LONG)
    elif cross.down:
        signal.exit_long = True
        signal.reason = CROSSED_DOWN


@kernel
def signals(state: Any, bars: Any, crosses: Any, params: Any, out: Any) -> None:
    """`step` over a chunk of bars."""
    for i in range(len(bars)):
        step(state, bars[i], crosses[i], params, out[i])
