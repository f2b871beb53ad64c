"""The simulated venue: one bar against a stream's order table. Every fill goes through
`ledger.on_fill`.

`match_bar` plays what happened inside a bar to the orders that were resting before it;
`match_close` lets market orders, asked for at the bar's close, meet that close. What is assumed
about the order of events inside a bar (codes.IntrabarMode) is decided in `match_exits` and nowhere
else.
"""

from __future__ import annotations

import math
from typing import Any

from tercel.core import fills, manage
from tercel.core.codes import (
    EntryTiming,
    IntrabarMode,
    OrderKind,
    OrderStatus,
    Refusal,
    Side,
    Slot,
)
from tercel.core.jit import kernel
from tercel.core.ledger import drop_entry, next_settlement, on_fill
from tercel.core.records import Tape


@kernel
def take(account: Any, stream: Any, bar: Any, slot: int, price: float, tape: Tape) -> None:
    """A market order in `slot` meets `price`."""
    fill = tape.fills[tape.counts[1]]
    if fills.take(stream, bar, slot, price, fill):
        on_fill(account, stream, fill, tape)


@kernel
def match_stop(account: Any, stream: Any, bar: Any, slot: int, tape: Tape) -> None:
    """A resting (trailing) stop: once reached it takes what it can get, in later bars too."""
    order = stream.orders[slot]
    if order.status != OrderStatus.RESTING:
        return
    price = fills.stop_price(order, bar)
    if math.isnan(price):
        return
    order.status = OrderStatus.TRIGGERED
    manage.end_entry(stream)
    take(account, stream, bar, slot, price, tape)


@kernel
def match_moved_stop(
    account: Any, stream: Any, bar: Any, before: float, came_back: bool, tape: Tape
) -> None:
    """The stop again, where a target has just moved it from `before`: it fills at its own price.

    Where the bar opened says nothing of it. `came_back` says that the whole bar may still follow
    the target; else only its close is sure to.
    """
    order = stream.orders[Slot.STOP]
    if order.status != OrderStatus.RESTING or order.price == before:
        return
    last = bar.low if order.side == Side.SHORT else bar.high
    if not came_back:
        last = bar.close
    if (order.price - last) * order.side > 0.0:
        return
    order.status = OrderStatus.TRIGGERED
    manage.end_entry(stream)
    take(account, stream, bar, Slot.STOP, order.price, tape)


@kernel
def match_targets(account: Any, stream: Any, bar: Any, tape: Tape) -> None:
    """The resting targets, nearest first."""
    for leg in range(stream.plan.leg_count):
        slot = fills.target_slot(leg)
        order = stream.orders[slot]
        if order.status == OrderStatus.RESTING:
            price = fills.limit_price(stream, order, bar)
            fill = tape.fills[tape.counts[1]]
            if not math.isnan(price) and fills.make(stream, bar, slot, price, fill):
                on_fill(account, stream, fill, tape)


@kernel
def match_exits(account: Any, stream: Any, bar: Any, tape: Tape) -> None:
    """Stop, targets and trailing stop against one bar, in the order the fill rules assume.

    A target may move the stop. Whether price comes back to it in the same bar is assumed in the
    same spirit: always (STOP_FIRST), as the path goes (OHLC_PATH), only when it closes there.
    """
    mode = stream.rules.intrabar
    before = stream.orders[Slot.STOP].price
    if mode == IntrabarMode.STOP_FIRST:
        match_stop(account, stream, bar, Slot.STOP, tape)
        match_targets(account, stream, bar, tape)
        match_moved_stop(account, stream, bar, before, True, tape)
        match_stop(account, stream, bar, Slot.TRAIL, tape)
        return
    # A rising bar is taken to have visited its low first: bad for a long, good for a short.
    rising = bar.close >= bar.open
    adverse_first = rising == (stream.position.side == Side.LONG)
    if mode == IntrabarMode.OHLC_PATH and adverse_first:
        match_stop(account, stream, bar, Slot.TRAIL, tape)
        match_stop(account, stream, bar, Slot.STOP, tape)
        match_targets(account, stream, bar, tape)
        match_moved_stop(account, stream, bar, before, False, tape)
        return
    match_targets(account, stream, bar, tape)
    match_stop(account, stream, bar, Slot.TRAIL, tape)
    if stream.orders[Slot.STOP].price == before:
        match_stop(account, stream, bar, Slot.STOP, tape)
    else:
        match_moved_stop(account, stream, bar, before, mode == IntrabarMode.OHLC_PATH, tape)


@kernel
def match_entry(account: Any, stream: Any, bar: Any, tape: Tape) -> None:
    """A working entry: a market one takes the open and drops the rest, a limit one waits."""
    order = stream.orders[Slot.ENTRY]
    if order.status == OrderStatus.TRIGGERED:
        take(account, stream, bar, Slot.ENTRY, bar.open, tape)
        drop_entry(account, stream, Refusal.NO_LIQUIDITY)
        return
    price = fills.limit_price(stream, order, bar)
    fill = tape.fills[tape.counts[1]]
    if not math.isnan(price) and fills.make(stream, bar, Slot.ENTRY, price, fill):
        on_fill(account, stream, fill, tape)
        # Whether the high came before or after this fill is unknown: only the stop may follow it in
        # this bar, unless the user asked for optimism.
        if stream.rules.intrabar != IntrabarMode.OPTIMISTIC:
            match_stop(account, stream, bar, Slot.STOP, tape)
            stream.watch_low, stream.watch_high = -math.inf, math.inf


@kernel
def match_bar(account: Any, stream: Any, bar: Any, tape: Tape) -> None:
    """What `bar` filled of the orders that were resting before it closed."""
    fills.begin_bar(stream, bar)
    orders = stream.orders
    entered = False
    if orders[Slot.ENTRY].status != OrderStatus.EMPTY:
        entered = orders[Slot.ENTRY].kind != OrderKind.MARKET
        match_entry(account, stream, bar, tape)
        # What was entered inside this bar is held at a settlement at its end.
        settlement = next_settlement(stream, bar.open_time)
        stream.funding_time = min(stream.funding_time, settlement)
    position = stream.position
    if position.quantity == 0.0:
        return
    # Left over from earlier bars: market orders that found too little volume.
    for slot in (Slot.CLOSE, Slot.STOP, Slot.TRAIL):
        if position.quantity > 0.0 and orders[slot].status == OrderStatus.TRIGGERED:
            take(account, stream, bar, slot, bar.open, tape)
    if position.quantity == 0.0:
        return
    if bar.low <= stream.watch_low or bar.high >= stream.watch_high:
        match_exits(account, stream, bar, tape)
    elif entered and position.quantity > 0.0:
        manage.rewatch(stream)


@kernel
def match_close(account: Any, stream: Any, bar: Any, tape: Tape) -> None:
    """Market orders asked for at this close meet it."""
    if stream.rules.entry_timing != EntryTiming.CLOSE:
        return
    fills.begin_bar(stream, bar)
    if stream.orders[Slot.CLOSE].status == OrderStatus.TRIGGERED:
        take(account, stream, bar, Slot.CLOSE, bar.close, tape)
    if stream.orders[Slot.ENTRY].status == OrderStatus.TRIGGERED:
        take(account, stream, bar, Slot.ENTRY, bar.close, tape)
        drop_entry(account, stream, Refusal.NO_LIQUIDITY)
        stream.position.mark_price = bar.close


@kernel
def may_fill(stream: Any, bar: Any) -> bool:
    """Whether this bar can fill anything that was resting: the quiet bars of a run stop here."""
    if stream.orders[Slot.ENTRY].status != OrderStatus.EMPTY:
        return True
    if not stream.position.quantity > 0.0:
        return False
    return (
        bar.low <= stream.watch_low
        or bar.high >= stream.watch_high
        or stream.orders[Slot.CLOSE].status == OrderStatus.TRIGGERED
        or stream.orders[Slot.STOP].status == OrderStatus.TRIGGERED
        or stream.orders[Slot.TRAIL].status == OrderStatus.TRIGGERED
    )


@kernel
def asks_market(stream: Any) -> bool:
    """Whether a market order waits for a price."""
    return (
        stream.orders[Slot.CLOSE].status == OrderStatus.TRIGGERED
        or stream.orders[Slot.ENTRY].status == OrderStatus.TRIGGERED
    )
