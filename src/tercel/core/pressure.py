"""Who presses: resting sizes at the touch, or who took liquidity, as two comparable sizes.

Four sources, chosen by the parameter `pressure`: auto (the book where it is known, else taker
flow), book, taker, and bar, an estimate from where the close lies in the bar. Only `bar` invents
something, so it is never chosen by `auto` and reports mark it as an estimate.
"""

from __future__ import annotations

import math
from typing import Any

from tercel.core.jit import kernel
from tercel.core.parameters import Param

AUTO, BOOK, TAKER, BAR_ESTIMATE = range(4)
PRESSURE_CHOICES = ("auto", "book", "taker", "bar")


def pressure_param(default: str = "auto") -> Param:
    """The parameter every strategy that needs pressure declares."""
    return Param(
        "pressure",
        default,
        choices=PRESSURE_CHOICES,
        meaning="what buying and selling pressure is read from (bar: an estimate)",
    )


@kernel
def pressure_sizes(bar: Any, source: int) -> tuple[float, float]:
    """(bid size, ask size): resting sizes, or taker bought and taker sold. NaN, NaN when unknown.

    `bar`: delta = volume * (2 close - high - low) / (high - low); a bar without range has delta 0.
    """
    if (source in (AUTO, BOOK)) and not math.isnan(bar.bid_size + bar.ask_size):
        return bar.bid_size, bar.ask_size
    if (source in (AUTO, TAKER)) and not math.isnan(bar.taker_buy_volume):
        return bar.taker_buy_volume, bar.volume - bar.taker_buy_volume
    if source == BAR_ESTIMATE:
        span = bar.high - bar.low
        delta = 0.0
        if span > 0.0:
            delta = bar.volume * (2.0 * bar.close - bar.high - bar.low) / span
        return 0.5 * (bar.volume + delta), 0.5 * (bar.volume - delta)
    return math.nan, math.nan
