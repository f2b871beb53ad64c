"""The last `length` values in a ring, and their sum.

`window_dtype` / `window_push` keep the values themselves, for indicators that look at all of them
(standard deviation, slope, quantiles). `rolling_sum_dtype` / `rolling_sum_step` keep a sum in
constant time.

Both hold numbers that are not finite as NaN, and recover as soon as those have left the window: the
first counts them (`bad`), the second never subtracts: nothing can stay behind in a running total.

The ring wraps at `length`, not at its capacity: any length from 1 to the capacity fits one dtype,
and the slot that is written next holds the oldest value. A state must be given the same length
each time.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tercel.core.jit import kernel, rec


def capacity_for(length: int) -> int:
    """The smallest power of two >= `length` (240: 256): a grid over lengths has few dtypes."""
    if length < 1:
        raise ValueError(f"a window needs at least one value, not {length}")
    return 1 << (int(length) - 1).bit_length()


def window_dtype(capacity: int) -> np.dtype[np.record]:
    """Room for any length up to `capacity`."""
    return rec(
        ("count", "i8"),  # values held, up to the length
        ("head", "i8"),  # where the next value goes; the oldest value once the window is full
        ("bad", "i8"),  # values held that are not finite
        ("values", "f8", (capacity,)),
    )


@kernel
def window_push(w: Any, x: float, length: int) -> float:
    """Add `x` and drop the oldest value; return the dropped one (NaN while there is none)."""
    if length < 1 or length > w.values.shape[0]:
        raise ValueError("window length must be between 1 and the capacity of its dtype")
    head = w.head
    dropped = math.nan
    if w.count == length:
        dropped = w.values[head]
        if math.isnan(dropped):
            w.bad -= 1
    else:
        w.count += 1
    if math.isfinite(x):
        w.values[head] = x
    else:
        w.values[head] = math.nan
        w.bad += 1
    w.head = head + 1 if head + 1 < length else 0
    return dropped


@kernel
def window_ready(w: Any, length: int) -> bool:
    """True when the window is full and holds only finite values."""
    return bool(w.count == length and w.bad == 0)


def rolling_sum_dtype(capacity: int) -> np.dtype[np.record]:
    """Room for any length up to `capacity`."""
    return rec(
        ("head", "i8"),  # values in the present block
        ("full", "i8"),  # 1 once a block has been completed
        ("fresh", "f8"),  # sum of the present block
        ("values", "f8", (capacity,)),  # [:head] the present block, [head:] tail sums of the last
    )


@kernel
def rolling_sum_step(s: Any, x: float, length: int) -> float:
    """Sum of the last `length` values, in constant time on average and without any subtraction.

    The stream is cut into blocks of `length`. A window is then the tail of the last block and the
    head of the present one. When a block is complete, its values are replaced by the sums of its
    tails, so that each later window is one addition. With length 3, after 1 2 3 | 4: the tail sums
    are 6 5 3, the 4 has overwritten the first of them, and the window 2 3 4 is 5 + 4.

    Hence no drift over millions of bars, an exact 0 for a window of zeros, and a NaN leaves with
    its bar.
    """
    if length < 1 or length > s.values.shape[0]:
        raise ValueError("window length must be between 1 and the capacity of its dtype")
    value = x if math.isfinite(x) else math.nan
    head = s.head
    s.values[head] = value
    s.fresh += value
    head += 1
    if head < length:
        s.head = head
        return s.values[head] + s.fresh if s.full else math.nan
    total: float = s.fresh
    tail = 0.0
    for i in range(length - 1, -1, -1):
        tail += s.values[i]
        s.values[i] = tail
    s.head = 0
    s.full = 1
    s.fresh = 0.0
    return total
