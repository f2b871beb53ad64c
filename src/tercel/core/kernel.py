"""The one order of calls. Backtest, sweep, paper and live all come here.

For each closed bar of a stream (one strategy on one symbol):

0. `begin_minute`: a new hour or day begins with the equity there is;
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

from tercel.core import breakers, fills, manage, risk
from tercel.core.codes import ExitReason, OrderKind, OrderStatus, Refusal, Side, Slot
from tercel.core.jit import kernel
from tercel.core.ledger import NEVER, drop_entry, on_fill, refuse
from tercel.core.market import market_step, survey
from tercel.core.matching import asks_market, match_bar, match_close, may_fill, take
from tercel.core.records import Feed, Records, Tape
from tercel.core.values import NOTHING, rebook, take_stock, tied_up, worth_of

__all__ = [
    "asks_market",
    "begin_minute",
    "finish",
    "look_around",
    "mark",
    "match_bar",
    "match_close",
    "may_fill",
    "on_bar",
    "on_fill",
    "run",
    "settle_bar",
    "side_asked",
]


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
    order.reposts = 0
    if stream.plan.entry_kind != OrderKind.MARKET:
        order.kind = stream.plan.entry_kind
        order.status = OrderStatus.RESTING
        order.price = bar.close
    breakers.note_entry(account, stream, signal.side, order.placed_time)
    rebook(account, NOTHING, tied_up(stream))


@kernel
def begin_minute(account: Any, time: int) -> bool:
    """Before anything of the bars that open at `time`: whether a new hour began with it."""
    if time < account.hour_end:
        return False
    breakers.roll(account, time)
    return True


@kernel
def settle_bar(account: Any, stream: Any, bar: Any, context: Any) -> None:
    """What the close of a bar brings by itself: a new mark, funding."""
    if stream.position.quantity > 0.0:
        time = bar.open_time + stream.bar_ms
        stream.position.mark_price = bar.close
        if stream.costs.funding_interval_ms > 0 and time >= stream.funding_time:
            settle_funding(account, stream, time, context)


@kernel
def on_waiting_entry(account: Any, stream: Any, bar: Any) -> None:
    """An entry that was asked for before: a breaker that stopped trading since withdraws it, and a
    limit is kept, chased or given up.
    """
    order = stream.orders[Slot.ENTRY]
    if order.placed_time > bar.open_time:
        return
    refusal = breakers.stopped(account, stream, bar.open_time + stream.bar_ms)
    if refusal != Refusal.NONE:
        drop_entry(account, stream, refusal)
    elif order.status == OrderStatus.RESTING and not manage.rest_entry(stream, bar):
        drop_entry(account, stream, Refusal.NO_LIQUIDITY)


@kernel
def on_bar(account: Any, stream: Any, bar: Any, signal: Any) -> None:
    """Decide at a closed bar, once it is settled and the account marked: manage, then the signal.

    The answer is in the stream's order table. One signature for batch and live: `account` ACCOUNT,
    `stream` STREAM, `bar` BAR, `signal` SIGNAL records.
    """
    if stream.position.quantity > 0.0:
        manage.at_close(stream, bar, signal)
        if stream.orders[Slot.CLOSE].status == OrderStatus.EMPTY:
            if account.exhausted:
                manage.close(stream, ExitReason.EQUITY_EXHAUSTED)
            elif breakers.must_close(account):
                manage.close(stream, ExitReason.KILL_SWITCH)
    if stream.orders[Slot.ENTRY].status != OrderStatus.EMPTY:
        on_waiting_entry(account, stream, bar)
    if signal.side != Side.NONE:
        stream.signals += 1
        refusal, quantity = risk.approve(account, stream, bar, signal)
        if refusal == Refusal.NONE:
            enter(account, stream, bar, signal, quantity)
        else:
            refuse(stream, refusal)


@kernel
def settle_marks(account: Any, unrealised: float, exposure: float, time: int) -> int:
    """The account at the sum of its streams' worth; the Refusal that has just stopped it, else
    NONE.
    """
    equity = account.cash_quote + unrealised
    account.equity_quote = equity
    account.exposure_quote = exposure
    if equity > account.peak_equity:
        account.peak_equity = equity
    elif equity < account.peak_equity * (1.0 - account.drawdown_max):
        account.drawdown_max = 1.0 - equity / account.peak_equity
    if not equity > 0.0 and not account.exhausted:
        account.exhausted = True
        return Refusal.EQUITY_EXHAUSTED
    if breakers.judge_account(account, time):
        return account.halted
    return Refusal.NONE


@kernel
def drop_entries(account: Any, streams: Records, refusal: int) -> None:
    """The account is stopped: working entries go now, positions (if they must) with the next
    `on_bar`.
    """
    for k in range(len(streams)):
        drop_entry(account, streams[k], refusal)


@kernel
def mark(account: Any, streams: Records, time: int) -> None:
    """Equity and everything the streams tie up, at their last marks, at `time`."""
    take_stock(account, streams)
    unrealised = exposure = 0.0
    for k in range(len(streams)):
        worth = worth_of(streams[k])
        unrealised += worth[0]
        exposure += worth[1]
    refusal = settle_marks(account, unrealised, exposure, time)
    if refusal != Refusal.NONE:
        drop_entries(account, streams, refusal)


@kernel
def is_quiet(stream: Any, signal: Any) -> bool:
    """Whether a bar changes nothing: flat, nothing at work, nothing asked."""
    return (
        signal.side == Side.NONE
        and stream.position.quantity == 0.0
        and stream.orders[Slot.ENTRY].status == OrderStatus.EMPTY
    )


@kernel
def earliest(streams: Records, bars: Records, lengths: Any, cursors: Any) -> int:
    """Open time of the next bar among the streams; NEVER when all are through."""
    time = NEVER
    for k in range(len(cursors)):
        series = streams[k].series
        if cursors[k] < lengths[series]:
            time = min(time, bars[series, cursors[k]].open_time)
    return time


@kernel
def write_equity(account: Any, row: Any, time: int) -> None:
    """One row of the equity curve."""
    row.time = time
    row.equity = account.equity_quote
    row.exposure = account.exposure_quote


@kernel
def side_asked(stream: Any, signal: Any) -> int:
    """The side that a signal asks for, or that an entry waits for; NONE where neither does."""
    if signal.side != Side.NONE or stream.orders[Slot.ENTRY].status == OrderStatus.EMPTY:
        return signal.side + 0
    return stream.position.side + 0


@kernel
def look_around(
    account: Any, streams: Records, markets: Records, stream: Any, context: Any, side: int
) -> None:
    """Before a signal on `side` of `stream` is answered: what all streams tie up, the market."""
    take_stock(account, streams)
    survey(account, stream, markets, context, side)


@kernel
def run(account: Any, streams: Records, markets: Records, feed: Feed, tape: Tape) -> None:
    """Trade a chunk of bars and signals of every stream on one account, in time order.

    Each minute has two passes: every stream settles what the bar did to it, and the account is
    marked; then every stream decides, in its own order, knowing all of that.
    """
    bars, contexts, signals, lengths = feed.bars, feed.contexts, feed.signals, feed.lengths
    cursors = np.zeros(len(streams), np.int64)
    awake = np.zeros(len(streams), np.bool_)
    last_context = contexts.shape[1] - 1
    bar_ms, equity, rows = streams[0].bar_ms, tape.equity, tape.counts[0]
    time = earliest(streams, bars, lengths, cursors)
    while time != NEVER:
        following = NEVER
        unrealised = exposure = 0.0
        stirred = begin_minute(account, time)
        for k in range(len(streams)):
            stream, series, i = streams[k], streams[k].series, cursors[k]
            awake[k] = False
            if i < lengths[series] and bars[series, i].open_time == time:
                bar = bars[series, i]
                if account.watches and stream.leads:
                    market_step(markets[series], bar, bar_ms)
                if not is_quiet(stream, signals[k, i]):
                    awake[k] = stirred = True
                    if may_fill(stream, bar):
                        match_bar(account, stream, bar, tape)
                    settle_bar(account, stream, bar, contexts[series, min(i, last_context)])
                i += 1
                cursors[k] = i
            if i < lengths[series]:
                following = min(following, bars[series, i].open_time)
            worth = worth_of(stream)
            unrealised += worth[0]
            exposure += worth[1]
        if stirred:
            refusal = settle_marks(account, unrealised, exposure, time + bar_ms)
            if refusal != Refusal.NONE:
                drop_entries(account, streams, refusal)
            filled = False
            for k in range(len(streams)):
                if awake[k]:
                    stream, series, i = streams[k], streams[k].series, cursors[k] - 1
                    bar, signal = bars[series, i], signals[k, i]
                    side = side_asked(stream, signal)
                    if side != Side.NONE:
                        context = contexts[series, min(i, last_context)]
                        look_around(account, streams, markets, stream, context, side)
                    on_bar(account, stream, bar, signal)
                    if asks_market(stream):
                        match_close(account, stream, bar, tape)
                        filled = True
            if filled:
                mark(account, streams, time + bar_ms)
        write_equity(account, equity[rows], time + bar_ms)
        rows += 1
        time = following
    tape.counts[0] = rows
    take_stock(account, streams)


@kernel
def finish(account: Any, streams: Records, last_bars: Records, tape: Tape) -> None:
    """The data ends: whatever is open is closed at its last price, working entries are dropped.

    `last_bars` has one BAR per stream. Runs without a volume cap: a backtest that could not leave
    would report a position as a result.
    """
    time = last_bars[0].open_time + streams[0].bar_ms
    for k in range(len(streams)):
        stream = streams[k]
        bar = last_bars[k]
        time = max(time, bar.open_time + stream.bar_ms)
        drop_entry(account, stream, Refusal.NO_LIQUIDITY)
        if stream.position.quantity > 0.0:
            manage.close(stream, ExitReason.END_OF_DATA)
            stream.volume_left = math.inf
            take(account, stream, bar, Slot.CLOSE, bar.close, tape)
    mark(account, streams, time)
