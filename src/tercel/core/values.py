"""What a stream is worth to its account, and the sums that the account keeps over all of them.

Its worth is its unrealised profit and its exposure: they make the equity of every minute. What it
ties up, only a signal asks for: exposure; the value at work, which a waiting entry may still come
to cost; margin, for both at the stream's leverage; and open risk, which is lost from here if the
stop is hit (nothing once the stop is beyond the mark, the whole initial risk while a stop that was
hit still waits for volume), and what a waiting entry would risk.

`take_stock` sums everything up afresh; until then `rebook` moves the sums by what one stream
changed.
"""

from __future__ import annotations

from typing import Any

from tercel.core.codes import OrderStatus, Slot
from tercel.core.jit import kernel
from tercel.core.records import Records

NOTHING = (0.0, 0.0, 0.0, 0.0)
"""What a stream ties up that is flat and waits for nothing."""


@kernel
def worth_of(stream: Any) -> tuple[float, float]:
    """(unrealised profit, exposure) of a stream at its last mark, quote; zeros when flat.

    The loop of `kernel.run` adds these up itself: handing an array of streams to a function counts
    references, at every bar.
    """
    position = stream.position
    value = position.mark_price * position.quantity
    return position.side * (value - position.entry_price * position.quantity), value


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
def tied_up(stream: Any) -> tuple[float, float, float, float]:
    """(exposure, value at work, margin, open risk) of a stream at its last mark, quote."""
    position = stream.position
    exposure = working = risk_quote = 0.0
    if position.quantity > 0.0:
        exposure = position.mark_price * position.quantity
        risk_quote = open_risk(stream)
    entry = stream.orders[Slot.ENTRY]
    if entry.status != OrderStatus.EMPTY:
        working = entry.placed_price * entry.quantity
        risk_quote += entry.quantity * position.stop_distance
    leverage = stream.sizing.leverage_max
    margin = (exposure + working) / leverage if leverage > 0.0 else 0.0
    return exposure, working, margin, risk_quote


@kernel
def rebook(account: Any, before: Any, after: Any) -> None:
    """Move the account's sums by what a stream changed; equity waits for the next mark."""
    account.exposure_quote += after[0] - before[0]
    account.working_quote += after[1] - before[1]
    account.margin_quote += after[2] - before[2]
    account.heat_quote += after[3] - before[3]


@kernel
def take_stock(account: Any, streams: Records) -> None:
    """Sum up afresh what all streams tie up."""
    account.exposure_quote = account.working_quote = 0.0
    account.margin_quote = account.heat_quote = 0.0
    for k in range(len(streams)):
        rebook(account, NOTHING, tied_up(streams[k]))
