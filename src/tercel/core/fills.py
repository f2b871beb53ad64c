"""How a bar fills an order: prices, slippage, fees, partial quantities, funding. Nothing here
changes a position.

A fill function looks at one order slot and one bar and either writes a FILL record (True) or leaves
it alone (False). `kernel.on_fill` books it. Reference prices:

- market orders: the price they meet (the bar's open or close), worse by slippage;
- stops: the trigger price, or the open where the bar opens beyond it (a gap), worse by slippage;
- limits: their own price, no slippage, maker fee; only when price trades *through* them, or with
  `limit_fill_probability` when it merely touches.
"""

from __future__ import annotations

import math
from typing import Any

from tercel.core.codes import ExitReason, OrderStatus, Side, SlippageModel, Slot
from tercel.core.jit import kernel

LOT_TOLERANCE = 1e-9
"""Relative slack when counting lots: 0.3 / 0.1 is 2.9999999999999996 lots, and means three."""


@kernel
def floor_to_lot(quantity: float, lot_size: float) -> float:
    """`quantity` rounded down to whole lots; a lot size of zero means any quantity."""
    if not lot_size > 0.0:
        return quantity
    return math.floor(quantity / lot_size * (1.0 + LOT_TOLERANCE)) * lot_size


@kernel
def mix(x: int) -> int:
    """Scramble 32 bits (Mueller's integer hash: two rounds of xor-shift and multiply).

    The multiplier has 27 bits, so that no product leaves 63 bits: the same result compiled and in
    plain Python.
    """
    x &= 0xFFFFFFFF
    x = (((x >> 16) ^ x) * 0x45D9F3B) & 0xFFFFFFFF
    x = (((x >> 16) ^ x) * 0x45D9F3B) & 0xFFFFFFFF
    return (x >> 16) ^ x


@kernel
def draw(seed: int, time: int, number: int) -> float:
    """A uniform draw in [0, 1) that depends on nothing but its arguments: the same in any order, on
    any thread.
    """
    x = mix(seed)
    x = mix(x ^ (time >> 32))
    x = mix(x ^ time)
    x = mix(x ^ number)
    return x / 4294967296.0


@kernel
def impact(costs: Any, bar: Any, side: int, price: float, quantity: float) -> float:
    """DEPTH: half the spread, plus a square-root impact for what exceeds the best level. Price
    units.

    An order as large as the bar's whole volume moves price by `impact_bps`; a quarter of it by half
    of that (the square-root law: Almgren et al. 2005). Bars whose book is unknown have no answer:
    NaN.
    """
    best_size = bar.ask_size if side == Side.LONG else bar.bid_size
    half_spread = price * bar.spread_bps * 0.5e-4
    excess = quantity - best_size
    if not excess > 0.0:
        return half_spread + 0.0 * best_size
    if not bar.volume > 0.0:
        return half_spread + price * costs.impact_bps * 1e-4
    return half_spread + price * costs.impact_bps * 1e-4 * math.sqrt(excess / bar.volume)


@kernel
def slippage(stream: Any, bar: Any, order: Any, price: float, quantity: float) -> float:
    """How much worse than `price` a taker of `quantity` fills, in price units, >= 0."""
    costs = stream.costs
    if costs.slippage_model == SlippageModel.TICKS:
        # Ticks are whole: uniform(1, 3) is 1, 2 or 3 with equal chance.
        span = costs.slippage_ticks_max - costs.slippage_ticks_min + 1
        number = stream.number * 64 + order.reason
        ticks = costs.slippage_ticks_min + int(draw(costs.seed, bar.open_time, number) * span)
        return ticks * stream.instrument.tick_size
    if costs.slippage_model == SlippageModel.BPS:
        return price * costs.slippage_bps * 1e-4
    if costs.slippage_model == SlippageModel.DEPTH:
        return impact(costs, bar, order.side, price, quantity)
    return 0.0


@kernel
def begin_bar(stream: Any, bar: Any) -> None:
    """Reset the volume that this bar still offers to the stream's orders, once a bar."""
    time = bar.open_time + stream.bar_ms
    if stream.volume_time == time:
        return
    stream.volume_time = time
    share = stream.rules.participation_max
    offered = share * bar.volume
    stream.volume_left = offered if share > 0.0 and offered >= 0.0 else math.inf


@kernel
def available(stream: Any, order: Any) -> float:
    """How much of `order` this bar's volume can still fill, in whole lots."""
    if order.quantity <= stream.volume_left:
        return order.quantity
    return floor_to_lot(stream.volume_left, stream.instrument.lot_size)


@kernel
def write_fill(stream: Any, bar: Any, slot: int, price: float, quantity: float, fill: Any) -> None:
    """The fields every fill shares; `price` is both the price paid and the reference, without a fee
    yet.
    """
    order = stream.orders[slot]
    stream.volume_left -= quantity
    fill.stream = stream.number
    fill.slot = slot
    fill.time = bar.open_time + stream.bar_ms
    fill.side = order.side
    fill.quantity = quantity
    fill.price = price
    fill.reference_price = price
    fill.reason = order.reason
    fill.fee_quote = 0.0
    fill.is_maker = False


@kernel
def take(stream: Any, bar: Any, slot: int, price: float, fill: Any) -> bool:
    """Fill a market order (or a triggered stop) as taker at `price`, worse by slippage."""
    order = stream.orders[slot]
    quantity = available(stream, order)
    if not quantity > 0.0:
        return False
    write_fill(stream, bar, slot, price, quantity, fill)
    fill.price = price + order.side * slippage(stream, bar, order, price, quantity)
    fill.fee_quote = fill.price * quantity * stream.costs.taker_fee_rate
    return True


@kernel
def make(stream: Any, bar: Any, slot: int, price: float, fill: Any) -> bool:
    """Fill a resting limit order as maker at `price`."""
    quantity = available(stream, stream.orders[slot])
    if not quantity > 0.0:
        return False
    write_fill(stream, bar, slot, price, quantity, fill)
    fill.fee_quote = price * quantity * stream.costs.maker_fee_rate
    fill.is_maker = True
    return True


@kernel
def stop_price(order: Any, bar: Any) -> float:
    """Where a resting stop fills in this bar before slippage; NaN when it is not reached.

    A sell stop at 99 in a bar that opens at 98 fills at 98: the gap belongs to the trader.
    """
    if order.side == Side.SHORT:
        if bar.open <= order.price:
            return bar.open
        return order.price if bar.low <= order.price else math.nan
    if bar.open >= order.price:
        return bar.open
    return order.price if bar.high >= order.price else math.nan


@kernel
def limit_price(stream: Any, order: Any, bar: Any) -> float:
    """Where a resting limit fills in this bar; NaN when it does not.

    With a tick of 0.1 and `limit_through_ticks` 1, a buy at 100.0 fills when the low is 99.9 or
    less. A low of exactly 100.0 only touches it: somebody was filled there, and we may have been
    behind him in the queue.
    """
    rules = stream.rules
    through = rules.limit_through_ticks * stream.instrument.tick_size * (1.0 - LOT_TOLERANCE)
    # How far price went beyond the limit, in its favour. A buy profits from lower prices.
    beyond = order.price - bar.low if order.side == Side.LONG else bar.high - order.price
    if beyond < 0.0:
        return math.nan
    if beyond < through:
        number = 32 + stream.number * 64 + order.reason
        if draw(stream.costs.seed, bar.open_time, number) >= rules.limit_fill_probability:
            return math.nan
    if rules.limit_gap_at_open and (order.price - bar.open) * order.side > 0.0:
        return bar.open
    return order.price


@kernel
def order_market(stream: Any, slot: int, side: int, quantity: float, reason: int) -> None:
    """Put a market order into `slot`: it takes the next price it meets."""
    order = stream.orders[slot]
    order.status = OrderStatus.TRIGGERED
    order.kind = 0
    order.side = side
    order.price = math.nan
    order.quantity = quantity
    order.reason = reason
    order.wait_bars = 0


@kernel
def funding_payment(position: Any, rate: float) -> float:
    """What the position receives (+) or pays (-) at one settlement: longs pay shorts while the rate
    is positive.
    """
    return -position.side * position.quantity * position.mark_price * rate


@kernel
def target_reason(leg: int) -> int:
    """The exit reason of leg 0..3."""
    return ExitReason.TARGET_1 + leg


@kernel
def target_slot(leg: int) -> int:
    """The order slot of leg 0..3."""
    return Slot.TARGET_1 + leg
