"""The one order of calls. Backtest, sweep, paper and live all come here.

For each closed bar of a stream (one strategy on one symbol):

1. `match_bar`: what the bar filled of the orders that were resting, each through `on_fill`;
2. `on_bar`: funding, management of the open trade, then the signal: risk approves or refuses;
3. `match_close`: market orders just asked for meet the bar's close (or, by setting, the next open);
4. once every stream of that minute is through: `mark` the account.

In a simulation (`run`) steps 1 and 3 are played from bars (`matching`). A live session calls
`on_bar` and `on_fill` itself, and the venue does the rest: the order table of the stream says what
should rest there.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tercel.core import fills, manage, risk
from tercel.core.codes import ExitReason, OrderKind, OrderStatus, Refusal, Side, Slot
from tercel.core.jit import kernel
from tercel.core.ledger import NEVER, drop_entry, on_fill, refuse
from tercel.core.matching import asks_market, match_bar, match_close, may_fill, take
from tercel.core.records import Feed, Records, Tape

__all__ = [
    "asks_market",
    "finish",
    "mark",
    "match_bar",
    "match_close",
    "may_fill",
    "on_bar",
    "on_fill",
    "run",
    "settle_bar",
]

DAY_MS = 86_400_000


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
    order.placed_price = bar.close
    account.working_quote += quantity * bar.close
    order.reposts = 0
    if stream.plan.entry_kind != OrderKind.MARKET:
        order.kind = stream.plan.entry_kind
        order.status = OrderStatus.RESTING
        order.price = bar.close
    account.open_positions += 1


@kernel
def settle_bar(account: Any, stream: Any, bar: Any, context: Any) -> None:
    """What the close of a bar brings by itself: a new day, a new mark, funding."""
    if bar.open_time >= account.day_end:
        account.day_end = (bar.open_time // DAY_MS + 1) * DAY_MS
        account.day_start_equity = account.equity_quote
    if stream.position.quantity > 0.0:
        time = bar.open_time + stream.bar_ms
        stream.position.mark_price = bar.close
        if stream.costs.funding_interval_ms > 0 and time >= stream.funding_time:
            settle_funding(account, stream, time, context)


@kernel
def on_bar(account: Any, stream: Any, bar: Any, signal: Any) -> None:
    """Decide at a closed bar, once it is settled and the account marked: manage, then the signal.

    The answer is in the stream's order table. One signature for batch and live: `account` ACCOUNT,
    `stream` STREAM, `bar` BAR, `signal` SIGNAL records.
    """
    if stream.position.quantity > 0.0:
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
def open_value(position: Any) -> tuple[float, float]:
    """(unrealised profit, exposure) of a position at its last mark; zeros when flat."""
    value = position.mark_price * position.quantity
    return position.side * (value - position.entry_price * position.quantity), value


@kernel
def settle_marks(account: Any, unrealised: float, exposure: float) -> bool:
    """The account at the sum of its positions' last marks; True once equity reached zero."""
    equity = account.cash_quote + unrealised
    account.equity_quote = equity
    account.exposure_quote = exposure
    if equity > account.peak_equity:
        account.peak_equity = equity
    elif equity < account.peak_equity * (1.0 - account.drawdown_max):
        account.drawdown_max = 1.0 - equity / account.peak_equity
    if equity > 0.0 or account.exhausted:
        return False
    account.exhausted = True
    return True


@kernel
def drop_entries(account: Any, streams: Records) -> None:
    """At zero equity it is over: working entries go now, positions with the next `on_bar`."""
    for k in range(len(streams)):
        drop_entry(account, streams[k])


@kernel
def working_value(order: Any) -> float:
    """What a working entry may still come to cost; 0 when there is none."""
    if order.status == OrderStatus.EMPTY:
        return 0.0
    value: float = order.placed_price * order.quantity
    return value


@kernel
def mark(account: Any, streams: Records) -> None:
    """Equity, exposure and working entries at the streams' last marks."""
    unrealised = 0.0
    exposure = 0.0
    working = 0.0
    for k in range(len(streams)):
        own_unrealised, own_exposure = open_value(streams[k].position)
        unrealised += own_unrealised
        exposure += own_exposure
        working += working_value(streams[k].orders[Slot.ENTRY])
    account.working_quote = working
    if settle_marks(account, unrealised, exposure):
        drop_entries(account, streams)


@kernel
def is_quiet(account: Any, stream: Any, bar: Any, signal: Any) -> bool:
    """Whether this bar changes nothing: flat, nothing at work, nothing asked, and no new day."""
    return (
        signal.side == Side.NONE
        and stream.position.quantity == 0.0
        and stream.orders[Slot.ENTRY].status == OrderStatus.EMPTY
        and bar.open_time < account.day_end
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

    Each minute has two passes. First every stream settles what the bar did to it, and the account
    is marked; then every stream decides, in its own order, knowing all of that. State stays in
    `account` and `streams`; `tape` receives equity rows, fills and finished trades.
    """
    bars, contexts, signals, lengths = feed.bars, feed.contexts, feed.signals, feed.lengths
    equity = tape.equity
    cursors = np.zeros(len(streams), np.int64)
    awake = np.zeros(len(streams), np.bool_)
    last_context = contexts.shape[1] - 1
    rows = tape.counts[0]
    time = earliest(bars, lengths, cursors)
    while time != NEVER:
        following = NEVER
        unrealised = exposure = working = 0.0
        stirred = False
        for k in range(len(streams)):
            stream = streams[k]
            i = cursors[k]
            awake[k] = False
            if i < lengths[k] and bars[k, i].open_time == time:
                bar = bars[k, i]
                if not is_quiet(account, stream, bar, signals[k, i]):
                    awake[k] = True
                    stirred = True
                    if may_fill(stream, bar):
                        match_bar(account, stream, bar, tape)
                    settle_bar(account, stream, bar, contexts[k, min(i, last_context)])
                i += 1
                cursors[k] = i
            if i < lengths[k]:
                following = min(following, bars[k, i].open_time)
            # As `mark` does; handing it the array would count references at every bar.
            if stream.position.quantity > 0.0:
                own_unrealised, own_exposure = open_value(stream.position)
                unrealised += own_unrealised
                exposure += own_exposure
            working += working_value(stream.orders[Slot.ENTRY])
        if stirred:
            account.working_quote = working
            if settle_marks(account, unrealised, exposure):
                drop_entries(account, streams)
            filled = False
            for k in range(len(streams)):
                if awake[k]:
                    bar = bars[k, cursors[k] - 1]
                    on_bar(account, streams[k], bar, signals[k, cursors[k] - 1])
                    if asks_market(streams[k]):
                        match_close(account, streams[k], bar, tape)
                        filled = True
            if filled:
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
