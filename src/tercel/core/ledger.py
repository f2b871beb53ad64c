"""Booking fills: the only way a position changes, simulated or real.

`on_fill` is the seam between deciding and trading. A fill from the simulated venue and one from a
real one are the same record and end in the same lines: the position opens, grows, shrinks or
closes, its orders follow (`manage`), and the account's cash moves. A finished trade goes to the
tape.
"""

from __future__ import annotations

from typing import Any

from tercel.core import breakers, manage
from tercel.core.codes import ExitReason, OrderStatus, Side, Slot
from tercel.core.jit import kernel
from tercel.core.margin import liquidation_price
from tercel.core.records import Tape
from tercel.core.values import rebook, tied_up

NEVER = 2**62
"""A time after all others, ms."""


@kernel
def refuse(stream: Any, refusal: int) -> None:
    """Count a signal that did not become a position."""
    stream.refusals[refusal] += 1


@kernel
def next_settlement(stream: Any, time: int) -> int:
    """The first funding settlement after `time`; NEVER where there is no funding."""
    interval = stream.costs.funding_interval_ms
    return (time // interval + 1) * interval if interval > 0 else NEVER


@kernel
def book_entry(account: Any, stream: Any, fill: Any) -> None:
    """An entry fill: the position opens or grows, and is protected at once."""
    position = stream.position
    before = position.entry_quantity
    total = before + fill.quantity
    if before == 0.0:
        position.entry_time = fill.time
        position.filled_time = fill.time
        position.best_price = fill.price
        position.worst_price = fill.price
        position.mark_price = fill.price
        stream.funding_time = next_settlement(stream, fill.time)
    position.entry_price = (position.entry_price * before + fill.price * fill.quantity) / total
    position.entry_quantity = total
    position.quantity += fill.quantity
    position.liquidation_price = liquidation_price(
        account, stream, position.side, position.quantity, position.entry_price
    )
    manage.protect(stream)


@kernel
def book_exit(account: Any, stream: Any, fill: Any, tape: Tape) -> None:
    """An exit fill: profit is realised; the last one closes the trade."""
    position = stream.position
    profit = position.side * (fill.price - position.entry_price) * fill.quantity
    position.gross_quote += profit
    account.gross_quote += profit
    account.cash_quote += profit
    position.quantity -= fill.quantity
    position.exit_quantity += fill.quantity
    position.exit_notional += fill.price * fill.quantity
    position.exit_reason = fill.reason
    manage.note_price(position, fill.reference_price)
    if fill.slot == Slot.TRAIL:
        position.trail_done += fill.quantity
    if fill.slot >= Slot.TARGET_1:
        leg = fill.slot - Slot.TARGET_1
        position.leg_done[leg] += fill.quantity
        if stream.orders[fill.slot].status == OrderStatus.EMPTY:
            position.legs_filled = max(position.legs_filled, leg + 1)
    if manage.is_dust(stream, position.quantity):
        close_trade(account, stream, fill.time, tape)
    else:
        manage.after_exit(stream)


@kernel
def write_trade(stream: Any, time: int, trade: Any) -> None:
    """The finished trade as a record."""
    position = stream.position
    risk_distance = position.stop_distance
    trade.stream = stream.number
    trade.side = position.side
    trade.entry_time = position.entry_time
    trade.exit_time = time
    trade.quantity = position.entry_quantity
    trade.entry_price = position.entry_price
    trade.exit_price = position.exit_notional / position.exit_quantity
    trade.stop_distance = risk_distance
    trade.gross_quote = position.gross_quote
    trade.fee_quote = position.fee_quote
    trade.slippage_quote = position.slippage_quote
    trade.funding_quote = position.funding_quote
    trade.net_quote = (
        position.gross_quote - position.fee_quote - position.slippage_quote + position.funding_quote
    )
    trade.risk_quote = position.entry_quantity * risk_distance
    favourable = (position.best_price - position.entry_price) * position.side
    adverse = (position.worst_price - position.entry_price) * position.side
    trade.favourable_r = favourable / risk_distance
    trade.adverse_r = adverse / risk_distance
    trade.liquidation_fraction = (
        abs(position.entry_price - position.liquidation_price) / position.entry_price
    )
    trade.score = position.score
    trade.legs_filled = position.legs_filled
    trade.reason = position.reason
    trade.exit_reason = position.exit_reason


@kernel
def close_trade(account: Any, stream: Any, time: int, tape: Tape) -> None:
    """The position is flat: record the trade and forget its orders."""
    trade = tape.trades[tape.counts[2]]
    write_trade(stream, time, trade)
    tape.counts[2] += 1
    breakers.note_flat(account, stream)
    breakers.note_trade(account, stream, trade)
    forget(stream)


@kernel
def forget(stream: Any) -> None:
    """Back to flat: no orders, an empty position."""
    position = stream.position
    position.side = Side.NONE
    position.quantity = 0.0
    position.entry_quantity = 0.0
    position.entry_price = 0.0
    position.legs_filled = 0
    position.leg_done[:] = 0.0
    position.trail_done = 0.0
    position.exit_quantity = 0.0
    position.exit_notional = 0.0
    position.exit_reason = ExitReason.NONE
    position.gross_quote = 0.0
    position.fee_quote = 0.0
    position.slippage_quote = 0.0
    position.funding_quote = 0.0
    manage.clear(stream)


@kernel
def on_fill(account: Any, stream: Any, fill: Any, tape: Tape) -> None:
    """Book one fill: the only way a position changes. `fill` comes from the simulated or the real
    venue.

    Gross profit is counted at reference prices: what slippage took is added back to gross and
    booked as slippage, so that start + gross - fees - slippage + funding = cash holds after every
    fill.
    """
    before = tied_up(stream)
    position = stream.position
    order = stream.orders[fill.slot]
    slippage_quote = abs(fill.price - fill.reference_price) * fill.quantity
    position.fee_quote += fill.fee_quote
    position.slippage_quote += slippage_quote
    position.gross_quote += slippage_quote
    account.fee_quote += fill.fee_quote
    account.slippage_quote += slippage_quote
    account.gross_quote += slippage_quote
    account.cash_quote -= fill.fee_quote
    order.quantity -= fill.quantity
    if manage.is_dust(stream, order.quantity):
        order.quantity = 0.0
        order.status = OrderStatus.EMPTY
    tape.counts[1] += 1
    if fill.slot == Slot.ENTRY:
        book_entry(account, stream, fill)
    else:
        book_exit(account, stream, fill, tape)
    rebook(account, before, tied_up(stream))


@kernel
def drop_entry(account: Any, stream: Any, refusal: int) -> None:
    """Give up what is left of an entry. Nothing filled: the signal is counted as refused."""
    order = stream.orders[Slot.ENTRY]
    if order.status == OrderStatus.EMPTY:
        return
    before = tied_up(stream)
    manage.end_entry(stream)
    if stream.position.quantity == 0.0:
        breakers.note_flat(account, stream)
        breakers.uncount_entry(account.pace_state, order.placed_time)
        breakers.uncount_entry(stream.pace_state, order.placed_time)
        refuse(stream, refusal)
        forget(stream)
    rebook(account, before, tied_up(stream))
