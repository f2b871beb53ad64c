"""What a stream is worth to its account, as five sums that the account keeps over all of them.

(unrealised profit, exposure, value at work, margin, open risk), all in quote currency. At work is
what a waiting entry may still come to cost. Margin is what exposure and value at work tie up at the
stream's leverage. Open risk is what would be lost from here if the stop were hit (0 once the stop
is beyond the mark; the whole initial risk while a stop that was hit still waits for volume), and
what a waiting entry would risk.

`kernel.mark` sums them up afresh; between two marks `rebook` moves the sums by what one stream
changed.
"""

from __future__ import annotations

from typing import Any

from tercel.core.codes import OrderStatus, Slot
from tercel.core.jit import kernel

NOTHING = (0.0, 0.0, 0.0, 0.0, 0.0)
"""The values of a stream that is flat and waits for nothing."""


@kernel
def open_risk(stream: Any) -> float:
    """What the position of a stream would lose from its mark if its stop were hit now."""
    position = stream.position
    stop = stream.orders[Slot.STOP]
    distance = position.side * (position.mark_price - stop.price)
    if stop.status == OrderStatus.TRIGGERED:
        distance = position.stop_distance
    return max(distance, 0.0) * position.quantity


@kernel
def value_of(stream: Any) -> tuple[float, float, float, float, float]:
    """The values of a stream at its last mark."""
    position = stream.position
    unrealised = exposure = working = risk_quote = 0.0
    if position.quantity > 0.0:
        exposure = position.mark_price * position.quantity
        unrealised = position.side * (exposure - position.entry_price * position.quantity)
        risk_quote = open_risk(stream)
    entry = stream.orders[Slot.ENTRY]
    if entry.status != OrderStatus.EMPTY:
        working = entry.placed_price * entry.quantity
        risk_quote += entry.quantity * position.stop_distance
    leverage = stream.sizing.leverage_max
    margin = (exposure + working) / leverage if leverage > 0.0 else 0.0
    return unrealised, exposure, working, margin, risk_quote


@kernel
def plus(one: Any, other: Any) -> tuple[float, float, float, float, float]:
    """The values of two streams together."""
    return (
        one[0] + other[0],
        one[1] + other[1],
        one[2] + other[2],
        one[3] + other[3],
        one[4] + other[4],
    )


@kernel
def rebook(account: Any, before: Any, after: Any) -> None:
    """Move the account's sums by what a stream changed; equity waits for the next mark."""
    account.exposure_quote += after[1] - before[1]
    account.working_quote += after[2] - before[2]
    account.margin_quote += after[3] - before[3]
    account.heat_quote += after[4] - before[4]
