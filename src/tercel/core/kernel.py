"""The one order of calls, and the one writer of trading state. Backtest, sweep, paper and live all
come here.

For each closed bar of a stream (one strategy on one symbol):

1. `match_bar`: what the bar filled of the orders that were resting, each through `on_fill`;
2. `on_bar`: funding, management of the open trade, then the signal: risk approves or refuses;
3. `match_close`: market orders just asked for meet the bar's close (or, by setting, the next open);
4. once every stream of that minute is through: `mark` the account.

In a simulation (`run`) steps 1 and 3 are played from bars. A live session calls `on_bar` and
`on_fill` itself,
and the venue does the rest: the order table of the stream says what should rest there.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tercel.core import fills, manage, risk
from tercel.core.codes import (
    EntryTiming,
    ExitReason,
    IntrabarMode,
    OrderKind,
    OrderStatus,
    Refusal,
    Side,
    Slot,
)
from tercel.core.jit import kernel
from tercel.core.records import Feed, Records, Tape

DAY_MS = 86_400_000
NEVER = 2**62
"""A time after all others, ms: no bar is left."""


@kernel
def refuse(stream: Any, refusal: int) -> None:
    """Count a signal that did not become a position."""
    stream.refusals[refusal] += 1


# --- fills ----------------------------------------------------------------------------------------


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
        position.best_price = fill.price
        position.worst_price = fill.price
        position.mark_price = fill.price
        stream.funding_time = next_settlement(stream, fill.time)
    position.entry_price = (position.entry_price * before + fill.price * fill.quantity) / total
    position.entry_quantity = total
    position.quantity += fill.quantity
    account.exposure_quote += fill.price * fill.quantity
    manage.protect(stream)


@kernel
def book_exit(account: Any, stream: Any, fill: Any, tape: Tape) -> None:
    """An exit fill: profit is realised; the last one closes the trade."""
    position = stream.position
    profit = position.side * (fill.price - position.entry_price) * fill.quantity
    position.gross_quote += profit
    account.gross_quote += profit
    account.cash_quote += profit
    account.exposure_quote -= fill.price * fill.quantity
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
    if position.quantity <= 0.5 * stream.instrument.lot_size or position.quantity <= 0.0:
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
    trade.score = position.score
    trade.legs_filled = position.legs_filled
    trade.reason = position.reason
    trade.exit_reason = position.exit_reason


@kernel
def close_trade(account: Any, stream: Any, time: int, tape: Tape) -> None:
    """The position is flat: record the trade and forget its orders."""
    write_trade(stream, time, tape.trades[tape.counts[2]])
    tape.counts[2] += 1
    account.open_positions -= 1
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
    booked as
    slippage, so that start + gross - fees - slippage + funding = cash holds after every fill.
    """
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
    if order.quantity <= 0.5 * stream.instrument.lot_size or order.quantity <= 0.0:
        order.quantity = 0.0
        order.status = OrderStatus.EMPTY
    tape.counts[1] += 1
    if fill.slot == Slot.ENTRY:
        book_entry(account, stream, fill)
    else:
        book_exit(account, stream, fill, tape)


# --- the simulated venue: one bar against the order table -----------------------------------------


@kernel
def take(account: Any, stream: Any, bar: Any, slot: int, price: float, tape: Tape) -> None:
    """A market order in `slot` meets `price`."""
    fill = tape.fills[tape.counts[1]]
    if fills.take(stream, bar, slot, price, fill):
        on_fill(account, stream, fill, tape)


@kernel
def match_stop(account: Any, stream: Any, bar: Any, slot: int, moved: bool, tape: Tape) -> None:
    """A resting stop (or trailing stop): once reached it takes whatever it can get, in later bars
    too.

    `moved`: it came to its price inside this bar, so that where the bar opened says nothing.
    """
    order = stream.orders[slot]
    if order.status != OrderStatus.RESTING:
        return
    price = fills.stop_price(order, bar)
    if math.isnan(price):
        return
    if moved:
        price = order.price
    order.status = OrderStatus.TRIGGERED
    manage.end_entry(stream)
    take(account, stream, bar, slot, price, tape)


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
    """Stop, targets and trailing stop against one bar, in the order the fill rules assume."""
    mode = stream.rules.intrabar
    if mode == IntrabarMode.STOP_FIRST:
        match_stop(account, stream, bar, Slot.STOP, False, tape)
        match_targets(account, stream, bar, tape)
        match_stop(account, stream, bar, Slot.TRAIL, False, tape)
        return
    # A rising bar is taken to have visited its low first: bad for a long, good for a short.
    rising = bar.close >= bar.open
    adverse_first = rising == (stream.position.side == Side.LONG)
    if mode == IntrabarMode.OHLC_PATH and adverse_first:
        match_stop(account, stream, bar, Slot.TRAIL, False, tape)
        match_stop(account, stream, bar, Slot.STOP, False, tape)
        match_targets(account, stream, bar, tape)
    else:
        before = stream.orders[Slot.STOP].price
        match_targets(account, stream, bar, tape)
        match_stop(account, stream, bar, Slot.TRAIL, False, tape)
        moved = stream.orders[Slot.STOP].price != before
        match_stop(account, stream, bar, Slot.STOP, moved, tape)


@kernel
def drop_entry(account: Any, stream: Any) -> None:
    """Give up what is left of an entry. Nothing filled: the signal is counted as refused."""
    order = stream.orders[Slot.ENTRY]
    if order.status == OrderStatus.EMPTY:
        return
    manage.end_entry(stream)
    if stream.position.quantity == 0.0:
        account.open_positions -= 1
        refuse(stream, Refusal.NO_LIQUIDITY)
        forget(stream)


@kernel
def match_entry(account: Any, stream: Any, bar: Any, tape: Tape) -> None:
    """A working entry: a market one takes the open and drops the rest; a limit one waits for its
    price.
    """
    order = stream.orders[Slot.ENTRY]
    if order.status == OrderStatus.TRIGGERED:
        take(account, stream, bar, Slot.ENTRY, bar.open, tape)
        drop_entry(account, stream)
        return
    price = fills.limit_price(stream, order, bar)
    fill = tape.fills[tape.counts[1]]
    if not math.isnan(price) and fills.make(stream, bar, Slot.ENTRY, price, fill):
        on_fill(account, stream, fill, tape)
        # Whether the high came before or after this fill is unknown: only the stop may follow it in
        # this bar,
        # unless the user asked for optimism.
        if stream.rules.intrabar != IntrabarMode.OPTIMISTIC:
            match_stop(account, stream, bar, Slot.STOP, False, tape)
            stream.watch_low, stream.watch_high = -math.inf, math.inf


@kernel
def match_bar(account: Any, stream: Any, bar: Any, tape: Tape) -> None:
    """What `bar` filled of the orders that were resting before it closed."""
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
    if stream.orders[Slot.CLOSE].status == OrderStatus.TRIGGERED:
        take(account, stream, bar, Slot.CLOSE, bar.close, tape)
    if stream.orders[Slot.ENTRY].status == OrderStatus.TRIGGERED:
        take(account, stream, bar, Slot.ENTRY, bar.close, tape)
        drop_entry(account, stream)


# --- decisions ------------------------------------------------------------------------------------


@kernel
def settle_funding(account: Any, stream: Any, time: int, context: Any) -> None:
    """Every settlement up to `time`: an open position pays or receives."""
    rate = context.funding_rate
    if math.isnan(rate):
        rate = stream.costs.funding_rate
    while time >= stream.funding_time:
        payment = fills.funding_payment(stream.position, rate)
        stream.position.funding_quote += payment
        account.funding_quote += payment
        account.cash_quote += payment
        stream.funding_time += stream.costs.funding_interval_ms


@kernel
def enter(account: Any, stream: Any, bar: Any, signal: Any, quantity: float) -> None:
    """An approved signal becomes a working entry."""
    position = stream.position
    position.side = signal.side
    position.stop_distance = signal.stop_distance
    position.target_distance = signal.target_distance
    position.score = signal.score
    position.reason = signal.reason
    fills.order_market(stream, Slot.ENTRY, signal.side, quantity, ExitReason.NONE)
    order = stream.orders[Slot.ENTRY]
    order.placed_time = bar.open_time + stream.bar_ms
    order.reposts = 0
    if stream.plan.entry_kind != OrderKind.MARKET:
        order.kind = stream.plan.entry_kind
        order.status = OrderStatus.RESTING
        order.price = bar.close
    account.open_positions += 1


@kernel
def on_bar(account: Any, stream: Any, bar: Any, context: Any, signal: Any) -> None:
    """Decide at a closed bar: settle, manage, then consider the signal. The answer is in the order
    table.

    One signature for batch and live: `account` ACCOUNT, `stream` STREAM, `bar` BAR, `context`
    CONTEXT,
    `signal` SIGNAL records.
    """
    if bar.open_time >= account.day_end:
        account.day_end = (bar.open_time // DAY_MS + 1) * DAY_MS
        account.day_start_equity = account.equity_quote
    position = stream.position
    if position.quantity > 0.0:
        time = bar.open_time + stream.bar_ms
        position.mark_price = bar.close
        if stream.costs.funding_interval_ms > 0 and time >= stream.funding_time:
            settle_funding(account, stream, time, context)
        manage.at_close(stream, bar, signal)
        if account.exhausted and stream.orders[Slot.CLOSE].status == OrderStatus.EMPTY:
            manage.close(stream, ExitReason.EQUITY_EXHAUSTED)
    if (
        stream.orders[Slot.ENTRY].status == OrderStatus.RESTING
        and stream.orders[Slot.ENTRY].placed_time <= bar.open_time
        and not manage.rest_entry(stream, bar)
    ):
        drop_entry(account, stream)
    if signal.side != Side.NONE:
        stream.signals += 1
        refusal, quantity = risk.approve(account, stream, bar, signal)
        if refusal == Refusal.NONE:
            enter(account, stream, bar, signal, quantity)
        else:
            refuse(stream, refusal)


@kernel
def mark(account: Any, streams: Records) -> None:
    """Equity and exposure at the streams' last marks.

    At zero equity it is over: working entries are dropped now, positions closed by the next
    `on_bar` of each stream.
    """
    unrealised = 0.0
    exposure = 0.0
    if account.open_positions > 0:
        for k in range(len(streams)):
            position = streams[k].position
            if position.quantity > 0.0:
                value = position.mark_price * position.quantity
                exposure += value
                unrealised += position.side * (value - position.entry_price * position.quantity)
    equity = account.cash_quote + unrealised
    account.equity_quote = equity
    account.exposure_quote = exposure
    if equity > account.peak_equity:
        account.peak_equity = equity
    elif equity < account.peak_equity * (1.0 - account.drawdown_max):
        account.drawdown_max = 1.0 - equity / account.peak_equity
    if equity <= 0.0 and not account.exhausted:
        account.exhausted = True
        for k in range(len(streams)):
            drop_entry(account, streams[k])


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


@kernel
def earliest(bars: Records, lengths: Any, cursors: Any) -> int:
    """Open time of the next bar among the streams; NEVER when all are through."""
    time = NEVER
    for k in range(len(cursors)):
        if cursors[k] < lengths[k]:
            time = min(time, bars[k, cursors[k]].open_time)
    return time


@kernel
def write_equity(account: Any, row: Any, time: int) -> None:
    """One row of the equity curve."""
    row.time = time
    row.equity = account.equity_quote
    row.exposure = account.exposure_quote


@kernel
def run(account: Any, streams: Records, feed: Feed, tape: Tape) -> None:
    """Trade a chunk of bars and signals of every stream on one account, in time order.

    Streams of the same minute act in their own order, then the account is marked once. State stays
    in
    `account` and `streams`; `tape` receives equity rows, fills and finished trades.
    """
    bars, contexts, signals, lengths = feed.bars, feed.contexts, feed.signals, feed.lengths
    equity = tape.equity
    cursors = np.zeros(len(streams), np.int64)
    last_context = contexts.shape[1] - 1
    rows = 0
    time = earliest(bars, lengths, cursors)
    while time != NEVER:
        following = NEVER
        for k in range(len(streams)):
            i = cursors[k]
            if i < lengths[k] and bars[k, i].open_time == time:
                bar = bars[k, i]
                stream = streams[k]
                busy = may_fill(stream, bar)
                if busy:
                    fills.begin_bar(stream, bar)
                    match_bar(account, stream, bar, tape)
                on_bar(account, stream, bar, contexts[k, min(i, last_context)], signals[k, i])
                if asks_market(stream):
                    if not busy:
                        fills.begin_bar(stream, bar)
                    match_close(account, stream, bar, tape)
                i += 1
                cursors[k] = i
            if i < lengths[k]:
                following = min(following, bars[k, i].open_time)
        mark(account, streams)
        write_equity(account, equity[rows], time + streams[0].bar_ms)
        rows += 1
        time = following
    tape.counts[0] = rows


@kernel
def finish(account: Any, streams: Records, last_bars: Records, tape: Tape) -> None:
    """The data ends: whatever is open is closed at its last price, working entries are dropped.

    Runs without a volume cap: a backtest that could not leave would report a position as a result.
    """
    for k in range(len(streams)):
        stream = streams[k]
        drop_entry(account, stream)
        if stream.position.quantity > 0.0:
            bar = last_bars[k]
            manage.close(stream, ExitReason.END_OF_DATA)
            stream.volume_left = math.inf
            take(account, stream, bar, Slot.CLOSE, bar.close, tape)
    mark(account, streams)
