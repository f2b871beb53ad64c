"""An open trade: which orders should rest for it, and how they move as the bars close.

The order table of a stream is the plan made concrete: a stop for the whole position, up to four
targets, a trailing stop for its own share. Events change it:

- `protect` after an entry fill: stop and targets at their distances from the mean entry price;
- `after_exit` after an exit fill: the stop shrinks with the position, and moves after the agreed
legs;
- `at_close` at every closed bar: the trailing stop follows, time and signal exits are called.

Every change ends with `rewatch`, which notes the prices between which no resting order can fill, so
that a quiet bar costs two comparisons.
"""

from __future__ import annotations

import math
from typing import Any

from tercel.core.codes import (
    LEGS_MAX,
    ExitReason,
    IntrabarMode,
    OrderKind,
    OrderStatus,
    Side,
    Slot,
)
from tercel.core.fills import floor_to_lot, order_market, target_reason, target_slot
from tercel.core.jit import kernel


@kernel
def is_dust(stream: Any, quantity: float) -> bool:
    """Whether `quantity` is nothing: less than half a lot is what rounding left."""
    return quantity <= 0.0 or quantity <= 0.5 * stream.instrument.lot_size


@kernel
def leg_distance(stream: Any, leg: int) -> float:
    """Distance of a target from the entry in price units: the signal's own for the first leg, else
    R multiples.
    """
    position = stream.position
    if leg == 0 and position.target_distance > 0.0:
        return position.target_distance
    return stream.plan.leg_r[leg] * position.stop_distance


@kernel
def rewatch(stream: Any) -> None:
    """Note the highest price below and the lowest price above the market at which a resting exit
    could fill.
    """
    position = stream.position
    orders = stream.orders
    adverse = orders[Slot.STOP].price
    if orders[Slot.TRAIL].status == OrderStatus.RESTING:
        trail = orders[Slot.TRAIL].price
        adverse = max(adverse, trail) if position.side == Side.LONG else min(adverse, trail)
    favourable = position.side * math.inf
    for leg in range(stream.plan.leg_count):
        order = orders[target_slot(leg)]
        if order.status == OrderStatus.RESTING:
            if position.side == Side.LONG:
                favourable = min(favourable, order.price)
            else:
                favourable = max(favourable, order.price)
    if position.side == Side.LONG:
        stream.watch_low, stream.watch_high = adverse, favourable
    else:
        stream.watch_low, stream.watch_high = favourable, adverse


@kernel
def clear(stream: Any) -> None:
    """Forget every order of the stream: it is flat."""
    for slot in range(len(stream.orders)):
        stream.orders[slot].status = OrderStatus.EMPTY
        stream.orders[slot].quantity = 0.0


@kernel
def place_targets(stream: Any) -> None:
    """Targets for what each leg still has to take off; shares are rounded down to lots.

    The last leg takes what rounding left, unless a trailing leg does. 0.005 in legs of 50 % and 25
    % with a lot of 0.001: 0.002, 0.001, and 0.002 for the trailing stop.
    """
    plan = stream.plan
    position = stream.position
    planned = 0.0
    for leg in range(plan.leg_count):
        share = floor_to_lot(
            plan.leg_fraction[leg] * position.entry_quantity, stream.instrument.lot_size
        )
        if leg == plan.leg_count - 1 and not plan.trail_fraction > 0.0:
            share = position.entry_quantity - planned
        planned += share
        order = stream.orders[target_slot(leg)]
        order.quantity = share - position.leg_done[leg]
        order.status = OrderStatus.RESTING
        if is_dust(stream, order.quantity):
            order.status = OrderStatus.EMPTY
            order.quantity = 0.0
        order.kind = OrderKind.LIMIT
        order.side = -position.side
        order.price = position.entry_price + position.side * leg_distance(stream, leg)
        order.reason = target_reason(leg)


@kernel
def protect(stream: Any) -> None:
    """After an entry fill: a stop for the whole position and the targets, from the mean entry
    price.
    """
    position = stream.position
    stop = stream.orders[Slot.STOP]
    stop.status = OrderStatus.RESTING
    stop.kind = OrderKind.STOP
    stop.side = -position.side
    stop.price = position.entry_price - position.side * position.stop_distance
    stop.quantity = position.quantity
    stop.reason = ExitReason.STOP
    place_targets(stream)
    rewatch(stream)


@kernel
def end_entry(stream: Any) -> None:
    """What is left of an entry is given up as soon as the trade begins to be left: a position that
    grew again would need its stop back where it was.
    """
    order = stream.orders[Slot.ENTRY]
    order.status = OrderStatus.EMPTY
    order.quantity = 0.0


@kernel
def note_price(position: Any, price: float) -> None:
    """The trade has seen `price`: its extremes."""
    if position.side == Side.LONG:
        position.best_price = max(position.best_price, price)
        position.worst_price = min(position.worst_price, price)
    else:
        position.best_price = min(position.best_price, price)
        position.worst_price = max(position.worst_price, price)


@kernel
def note_bar(stream: Any, bar: Any) -> None:
    """The trade has seen `bar`: its extremes.

    In the bar that filled a limit entry the favourable one may have come before the fill (price
    fell to the limit from there), so that only the close counts, unless the user asked for
    optimism.
    """
    position = stream.position
    adverse, favourable = bar.low, bar.high
    if position.side == Side.SHORT:
        adverse, favourable = bar.high, bar.low
    if (
        position.entry_time == bar.open_time + stream.bar_ms
        and stream.plan.entry_kind != OrderKind.MARKET
        and stream.rules.intrabar != IntrabarMode.OPTIMISTIC
    ):
        favourable = bar.close
    note_price(position, favourable)
    note_price(position, adverse)


@kernel
def tighten_stop(stream: Any, price: float) -> None:
    """Move the stop to `price` if that is closer to the market than where it is. A stop never
    loosens.
    """
    stop = stream.orders[Slot.STOP]
    if (price - stop.price) * stream.position.side > 0.0:
        stop.price = price


@kernel
def after_exit(stream: Any) -> None:
    """After an exit fill that left something open: resize the stops, and move the stop as legs
    complete.
    """
    plan = stream.plan
    position = stream.position
    orders = stream.orders
    orders[Slot.STOP].quantity = position.quantity
    orders[Slot.CLOSE].quantity = min(orders[Slot.CLOSE].quantity, position.quantity)
    orders[Slot.TRAIL].quantity = min(orders[Slot.TRAIL].quantity, position.quantity)
    end_entry(stream)
    legs = position.legs_filled
    if plan.breakeven_after_leg > 0 and legs >= plan.breakeven_after_leg:
        tighten_stop(stream, position.entry_price)
    if plan.stop_follows_legs and legs >= 2:
        distance = leg_distance(stream, legs - 2)
        tighten_stop(stream, position.entry_price + position.side * distance)
    rewatch(stream)


@kernel
def trail(stream: Any, atr: float) -> None:
    """Raise (or arm) the trailing stop of its own share behind the best price so far."""
    plan = stream.plan
    position = stream.position
    order = stream.orders[Slot.TRAIL]
    favourable = (position.best_price - position.entry_price) * position.side
    if order.status == OrderStatus.EMPTY and favourable < plan.trail_arm_r * position.stop_distance:
        return
    distance = plan.trail_offset_r * position.stop_distance
    if plan.trail_offset_atr > 0.0:
        distance = plan.trail_offset_atr * atr
    price = position.best_price - position.side * distance
    if order.status == OrderStatus.EMPTY:
        if not math.isfinite(price):
            return
        order.status = OrderStatus.RESTING
        order.kind = OrderKind.STOP
        order.side = -position.side
        order.price = price
        order.reason = ExitReason.TRAIL
    elif order.status == OrderStatus.RESTING and (price - order.price) * position.side > 0.0:
        order.price = price
    targets = 0.0
    for leg in range(LEGS_MAX):
        targets += stream.orders[target_slot(leg)].quantity
    order.quantity = position.quantity - targets


@kernel
def at_close(stream: Any, bar: Any, signal: Any) -> None:
    """At a closed bar of an open trade: extremes, trailing stop, then time and signal exits.

    Nothing where the trade began after the bar: at a venue it may, while the bar is on its way.
    """
    plan = stream.plan
    position = stream.position
    if position.filled_time > bar.open_time + stream.bar_ms:
        return
    note_bar(stream, bar)
    trailed = position.trail_done > 0.0 and stream.orders[Slot.TRAIL].status == OrderStatus.EMPTY
    if plan.trail_fraction > 0.0 and not trailed:
        trail(stream, signal.atr)
        rewatch(stream)
    if stream.orders[Slot.CLOSE].status != OrderStatus.EMPTY:
        return
    held_ms = bar.open_time + stream.bar_ms - position.entry_time
    if (position.side == Side.LONG and signal.exit_long) or (
        position.side == Side.SHORT and signal.exit_short
    ):
        close(stream, ExitReason.SIGNAL)
    elif plan.hold_ms_max > 0 and held_ms >= plan.hold_ms_max:
        close(stream, ExitReason.TIME)


@kernel
def close(stream: Any, reason: int) -> None:
    """Ask for the whole position to be closed at market."""
    position = stream.position
    end_entry(stream)
    order_market(stream, Slot.CLOSE, -position.side, position.quantity, reason)


@kernel
def rest_entry(stream: Any, bar: Any) -> bool:
    """At a closed bar of a resting limit entry: wait, re-post at the close, or give up (False)."""
    plan = stream.plan
    order = stream.orders[Slot.ENTRY]
    order.wait_bars += 1
    if order.wait_bars < plan.entry_wait_bars:
        return True
    if order.reposts >= plan.chase_max:
        return False
    order.reposts += 1
    order.wait_bars = 0
    order.price = bar.close
    return True
