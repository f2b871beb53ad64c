"""Fair value gaps: prices that a fast move skipped, and what happens when price comes back to them.

A rising gap lies between the high of two bars ago and the low of this one, when the low is above
that high; a falling gap is the mirror image. Gaps stay open until price has traded through to their
far side, at most `OPEN_GAPS_MAX` on each side: the oldest makes room for a new one.

A bar that comes into an open gap further than any before it, without filling it, is the signal: 1
into a rising gap (it supports from below), -1 into a falling one. What it has traded through is no
longer part of the gap. A bar that fills a gap at once, or comes into gaps of both sides, says
nothing.

Confidence is as in `patterns.py`: NaN while unknown, 0 for none, else 40 + 20 * (a + b + c), with

- a: height of the gap over the mean range of the `length` bars before it arose, at most 1;
- b: share of the gap that was still open before this bar came;
- c: where the bar closed: 0 at the far side of the gap, 1 at the near side or back outside.

Of several gaps entered by one bar, the one with the highest confidence counts. Source: the "fair
value gap" of M. J. Huddleston's lectures (ICT, 2010s); the confidence is this project's own.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tercel.core.indicators.patterns import pattern_confidence, share
from tercel.core.indicators.sma import sma_dtype, sma_step
from tercel.core.jit import kernel, rec

OPEN_GAPS_MAX = 8
"""Open gaps kept on each side."""

OPEN_GAPS = rec(  # one side; prices are negated for falling gaps, so that both are rising ones
    ("held", "i8"),  # how many are open, the oldest first
    ("near", "f8", (OPEN_GAPS_MAX,)),  # price of the side that price comes back to
    ("far", "f8", (OPEN_GAPS_MAX,)),  # price at which the gap is filled
    ("edge", "f8", (OPEN_GAPS_MAX,)),  # how far price has come back into it; `near` at first
    ("size_share", "f8", (OPEN_GAPS_MAX,)),  # a: 0..1
)


def fair_value_gap_dtype(capacity: int) -> np.dtype[np.record]:
    """Room for any `length` up to `capacity`."""
    return rec(
        ("rising", OPEN_GAPS),
        ("falling", OPEN_GAPS),
        ("reach", sma_dtype(capacity)),  # of high - low
        ("bars", "i8"),  # bars taken
        ("in_a_row", "i8"),  # of them, since the last one that was unknown
        ("last_high", "f8"),
        ("last_low", "f8"),
        ("second_last_high", "f8"),
        ("second_last_low", "f8"),
        ("detected", "i8"),  # 1 long, -1 short, 0 none
        ("confidence", "f8"),  # 0..100; NaN while unknown
    )


def warmup(length: int) -> int:
    """NaN bars before the first confidence; gaps are looked for from then on."""
    return length


@kernel
def _visit_gaps(g: Any, low: float, close: float) -> float:
    """Let one bar trade into the open gaps of one side; drop those that it fills.

    Returns the highest confidence of the gaps it came into, 0 for none.
    """
    kept = 0
    best = 0.0
    for i in range(g.held):
        near = g.near[i]
        far = g.far[i]
        edge = g.edge[i]
        size_share = g.size_share[i]
        if low <= far:
            continue
        if low < edge:
            confidence = pattern_confidence(
                size_share, share(edge - far, near - far), share(close - far, near - far)
            )
            best = max(best, confidence)
            edge = low
        g.near[kept] = near
        g.far[kept] = far
        g.edge[kept] = edge
        g.size_share[kept] = size_share
        kept += 1
    g.held = kept
    return best


@kernel
def _keep_gap(g: Any, near: float, far: float, size_share: float) -> None:
    """Add a new gap to one side; the oldest makes room."""
    if g.held == OPEN_GAPS_MAX:
        for i in range(1, OPEN_GAPS_MAX):
            g.near[i - 1] = g.near[i]
            g.far[i - 1] = g.far[i]
            g.edge[i - 1] = g.edge[i]
            g.size_share[i - 1] = g.size_share[i]
        g.held -= 1
    at = g.held
    g.near[at] = near
    g.far[at] = far
    g.edge[at] = near
    g.size_share[at] = size_share
    g.held += 1


@kernel
def _keep_new_gap(s: Any, bar: Any, average_range: float, size_min: float) -> None:
    """Keep the gap that ends with this bar, if there is one and it is large enough."""
    if s.in_a_row < 2 or math.isnan(average_range):
        return
    rising = bar.low - s.second_last_high
    falling = s.second_last_low - bar.high
    if rising > 0.0 and rising >= size_min * average_range:
        _keep_gap(s.rising, bar.low, s.second_last_high, share(rising, average_range))
    elif falling > 0.0 and falling >= size_min * average_range:
        _keep_gap(s.falling, -bar.high, -s.second_last_low, share(falling, average_range))


@kernel
def fair_value_gap_step(s: Any, bar: Any, length: int, size_min: float) -> int:
    """Advance by one bar: 1 where price came back into a rising gap, -1 into a falling one, else 0.

    Fields `detected`, `confidence`, `rising.held` and `falling.held`. `size_min`: gaps smaller than
    so many mean ranges of the `length` (20) bars before are ignored; 0 keeps all. A bar with a
    price that is not finite is skipped, and no gap is seen across it.
    """
    s.detected = 0
    s.confidence = math.nan
    if not math.isfinite(bar.high + bar.low + bar.close):
        s.in_a_row = 0
        return 0
    average_range = s.reach.value if s.bars > 0 else math.nan
    sma_step(s.reach, bar.high - bar.low, length)
    long = _visit_gaps(s.rising, bar.low, bar.close)
    short = _visit_gaps(s.falling, -bar.high, -bar.close)
    _keep_new_gap(s, bar, average_range, size_min)
    s.bars += 1
    s.in_a_row += 1
    s.second_last_high = s.last_high
    s.second_last_low = s.last_low
    s.last_high = bar.high
    s.last_low = bar.low
    if math.isnan(average_range):
        return 0
    s.confidence = 0.0
    if (long > 0.0) == (short > 0.0):
        return 0
    direction = 1 if long > 0.0 else -1
    s.detected = direction
    s.confidence = max(long, short)
    return direction
