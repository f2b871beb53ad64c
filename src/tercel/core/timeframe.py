"""Small bars into larger ones (1m into 5m, 15m, 1h), aligned to UTC, known once closed.

A state holds two larger bars: `running`, the one being built, and `done`, the last one that closed.
`resample_step` takes one small bar and says whether it closed a larger one:

1. A small bar of a *later* larger bar: the running one lacks its end (a gap in the data), and is
   closed before this bar is folded in. It could not have been closed earlier: its end might yet
   have come.
2. The small bar is folded into the running larger bar.
3. A small bar that ends where its larger bar ends closes it.

At most one larger bar closes in a step. Should both 1 and 3 apply (after a gap the first bar to
arrive is the last one of a larger bar), then 1 is told now, and 3 with the next small bar: later,
never lost.

Told by 1, or one bar late, it is old news: what is left of an hour that broke off at noon may be
told at four. Averages and filters take it in; an entry or an exit needs `is_fresh`, that the larger
bar ended with this very small one.

A first larger bar of which the beginning was not seen is not told. One with a gap inside is;
`done.bar_count` says of how many small bars it was made. Small bars that do not come after the
last one are ignored. A NaN (an unknown volume) makes the larger bar's field NaN.
"""

from __future__ import annotations

import math
from typing import Any

from tercel.core.jit import kernel, rec

LARGER_BAR = rec(
    ("open_time", "i8"),
    ("open", "f8"),
    ("high", "f8"),
    ("low", "f8"),
    ("close", "f8"),
    ("volume", "f8"),
    ("quote_volume", "f8"),
    ("taker_buy_volume", "f8"),
    ("bar_count", "i8"),  # small bars folded in; 0: none
)

RESAMPLE = rec(
    ("seen", "i8"),  # small bars taken so far
    ("last_open_time", "i8"),
    ("partial", "?"),  # the running bar's beginning was not seen
    ("running", LARGER_BAR),
    ("done", LARGER_BAR),
)


def warmup(bar_ms: int, target_ms: int) -> int:
    """Small bars, from a UTC-aligned start, before the first larger bar closes."""
    return target_ms // bar_ms - 1


@kernel
def _begin(running: Any, bar: Any, open_time: int) -> None:
    """The first small bar of a larger one."""
    running.open_time = open_time
    running.open = bar.open
    running.high = bar.high
    running.low = bar.low
    running.close = bar.close
    running.volume = bar.volume
    running.quote_volume = bar.quote_volume
    running.taker_buy_volume = bar.taker_buy_volume
    running.bar_count = 1


@kernel
def _fold(running: Any, bar: Any) -> None:
    """A further small bar of the same larger one; a NaN, once in, stays in."""
    if bar.high > running.high or math.isnan(bar.high):
        running.high = bar.high
    if bar.low < running.low or math.isnan(bar.low):
        running.low = bar.low
    running.close = bar.close
    running.volume += bar.volume
    running.quote_volume += bar.quote_volume
    running.taker_buy_volume += bar.taker_buy_volume
    running.bar_count += 1


@kernel
def _close(state: Any) -> bool:
    """Move the running bar into `done`, unless its beginning was missed; True when moved."""
    running = state.running
    done = state.done
    told = not state.partial
    if told:
        done.open_time = running.open_time
        done.open = running.open
        done.high = running.high
        done.low = running.low
        done.close = running.close
        done.volume = running.volume
        done.quote_volume = running.quote_volume
        done.taker_buy_volume = running.taker_buy_volume
        done.bar_count = running.bar_count
    running.bar_count = 0
    state.partial = False
    return told


@kernel
def resample_step(state: Any, bar: Any, bar_ms: int, target_ms: int) -> bool:
    """Take one bar of `bar_ms`; True when it closed one of `target_ms`, now in `state.done`."""
    if bar_ms < 1 or target_ms < bar_ms or target_ms % bar_ms != 0:
        raise ValueError("target_ms must be a multiple of bar_ms")
    open_time = bar.open_time
    if state.seen > 0 and open_time <= state.last_open_time:
        return False
    running = state.running
    larger_open_time = open_time // target_ms * target_ms
    closed = False
    if running.bar_count > 0 and running.open_time != larger_open_time:
        closed = _close(state)
    if running.bar_count > 0:
        _fold(running, bar)
    else:
        _begin(running, bar, larger_open_time)
        state.partial = state.seen == 0 and open_time != larger_open_time
    state.seen += 1
    state.last_open_time = open_time
    if not closed and open_time + bar_ms >= larger_open_time + target_ms:
        closed = _close(state)
    return closed


@kernel
def is_fresh(done: Any, bar: Any, bar_ms: int, target_ms: int) -> bool:
    """Whether the larger bar `done` (LARGER_BAR, of `target_ms`) ended with `bar` (of `bar_ms`).

    Ask it where `resample_step` was true, before a decision: without it a strategy trades on an
    interrupted bar at the first price after the gap, whenever that is.
    """
    return bool(bar.open_time + bar_ms == done.open_time + target_ms)
