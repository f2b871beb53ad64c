"""Goes with the pressed side of the book, and holds for as long as the planted edge lasts.

The simplest strategy that trades the pressure signal of the synthetic market. With `coin` it enters
at the same bars, but a toss of the clock says on which side: what is left is luck.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tercel.strategy import Param, Side, TradePlan, enter, kernel, no_signal, parameters, rec

PARAMS = parameters(
    Param("ratio", 1.8, 1.1, 5.0, "", "how much larger the pressed side of the book is"),
    Param("coin", 0, 0, 1, "", "1: the side is a toss, the same for every market"),
    Param("stop_fraction", 0.02, 0.001, 0.5, "of price", "stop distance, seldom reached"),
)
REASONS = ("none", "long", "short")
PLAN = TradePlan(legs=((10.0, 1.0),), hold_minutes_max=16.0)


def state_dtype(params: Any) -> np.dtype[np.record]:
    """It remembers nothing."""
    return rec(("bars", "i8"))


@kernel
def tossed(minute: int) -> bool:
    """Heads or tails for each span of 16 minutes, from nothing but the clock."""
    span = minute // 16
    return (span * 7919 % 10007) * 31 % 101 % 2 == 0


@kernel
def step(state: Any, bar: Any, context: Any, params: Any, signal: Any) -> None:
    """One closed bar in, one SIGNAL out."""
    no_signal(signal, 0)
    if math.isnan(bar.bid_size + bar.ask_size):
        return
    long = bar.bid_size >= params.ratio * bar.ask_size
    short = bar.ask_size >= params.ratio * bar.bid_size
    if params.coin and (long or short):
        long = tossed(bar.open_time // 60_000)
        short = not long
    if long:
        enter(signal, Side.LONG, params.stop_fraction * bar.close, 1)
        signal.exit_short = True
    elif short:
        enter(signal, Side.SHORT, params.stop_fraction * bar.close, 2)
        signal.exit_long = True


@kernel
def signals(state: Any, bars: Any, contexts: Any, params: Any, out: Any) -> None:
    """`step` over a chunk of bars."""
    last = len(contexts) - 1
    for i in range(len(bars)):
        step(state, bars[i], contexts[min(i, last)], params, out[i])
