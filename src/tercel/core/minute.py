"""One minute of `kernel.run`, one call at a time: for whoever fills orders from elsewhere.

A session books fills as they come (`book`); what the account is worth after one that came between
two minutes is taken at once (`value`). Then for the bars of a minute:

1. `begin_minute` of the kernel, unless a fill of the minute came first;
2. `settle`: the market is watched, every stream marked, then the account;
3. `decide` for each stream in its order; what it asks for may be filled before the next decides;
4. `end`: the account is marked, where anything met the market.

The order, and each function below it, is that of `run`: with the fills of `matching` the outcome
is the same to the bit.

What is called at every bar takes arrays and numbers of rows: from Python a record as an argument
costs 7 us (ACCOUNT) to 12 us (STREAM), an array of them 0.4. `accounts` is ACCOUNT, one row.
"""

from __future__ import annotations

import math
from typing import Any

from tercel.core import breakers, kernel, manage
from tercel.core.codes import OrderKind, OrderStatus, Refusal, Side, Slot
from tercel.core.jit import kernel as compiled
from tercel.core.ledger import drop_entry
from tercel.core.market import market_step
from tercel.core.records import Records, Tape
from tercel.core.values import rebook, take_stock, tied_up, worth_of


@compiled
def settle(
    accounts: Records,
    streams: Records,
    markets: Records,
    minute: Records,
    asked: Records,
    awake: Any,
) -> int:
    """Pass one: what the bars of a minute did, without fills; the Refusal that stopped the account.

    `minute` is MINUTE, one row a series; `asked` SIGNAL, one a stream. `awake` (streams,) comes in
    as True where a stream has changed since the last minute (a fill, a cancel), and leaves as True
    where it has to decide.
    """
    account, time = accounts[0], 0
    for series in range(len(minute)):
        if minute[series].present:
            time = minute[series].bar.open_time
    stirred = kernel.begin_minute(account, time)
    unrealised = exposure = 0.0
    for k in range(len(streams)):
        stream, here = streams[k], minute[streams[k].series]
        if here.present:
            if account.watches and stream.leads:
                market_step(markets[stream.series], here.bar, stream.bar_ms)
            awake[k] = awake[k] or not kernel.is_quiet(stream, asked[k])
            if awake[k]:
                stirred = True
                kernel.settle_bar(account, stream, here.bar, here.context)
        elif awake[k]:
            stirred = True
            awake[k] = False
        worth = worth_of(stream)
        unrealised += worth[0]
        exposure += worth[1]
    if not stirred:
        return Refusal.NONE
    refusal = kernel.settle_marks(account, unrealised, exposure, time + streams[0].bar_ms)
    if refusal != Refusal.NONE:
        kernel.drop_entries(account, streams, refusal)
    return refusal


@compiled
def decide(
    accounts: Records, streams: Records, markets: Records, k: int, minute: Records, asked: Records
) -> bool:
    """Pass two of stream `k`: manage, then answer the signal; whether a market order now waits."""
    account, stream, signal = accounts[0], streams[k], asked[k]
    here = minute[stream.series]
    side = kernel.side_asked(stream, signal)
    if side != Side.NONE:
        kernel.look_around(account, streams, markets, stream, here.context, side)
    kernel.on_bar(account, stream, here.bar, signal)
    return kernel.asks_market(stream)


@compiled
def end(accounts: Records, streams: Records, time: int, met_market: bool) -> None:
    """Every stream has decided: the account is marked, or only knows what is tied up."""
    if met_market:
        kernel.mark(accounts[0], streams, time)
    else:
        take_stock(accounts[0], streams)


@compiled
def book(
    accounts: Records, streams: Records, k: int, settled: int, moment: int, tape: Tape
) -> None:
    """Book the first FILL of the tape for stream `k`, in the minute that it counts in.

    Its time is the close of that minute; `moment` is when it was filled, ms. Its row goes on the
    tape as any other: the counts begin at nothing. `settled` is the close of the last bars there
    were, ms. Where those of the minute before are still on their way, no hour begins: it is
    measured from their marks, and waits for `settle`.
    """
    stream, fill = streams[k], tape.fills[0]
    opens = stream.position.entry_quantity == 0.0
    begins = fill.time - stream.bar_ms
    if begins != settled + stream.bar_ms:
        kernel.begin_minute(accounts[0], begins)
    tape.counts[:] = 0
    kernel.on_fill(accounts[0], stream, fill, tape)
    if opens:
        stream.position.filled_time = moment


@compiled
def value(accounts: Records, streams: Records) -> None:
    """What the account is worth after a fill between two minutes: an hour and a day that begin with
    the next one are measured from it. Breakers look at the next close.
    """
    unrealised = 0.0
    for k in range(len(streams)):
        unrealised += worth_of(streams[k])[0]
    accounts[0].equity_quote = accounts[0].cash_quote + unrealised


@compiled
def trigger(stream: Any, slot: int) -> None:
    """The venue has triggered a stop: from now on it takes whatever the market offers."""
    if stream.orders[slot].status == OrderStatus.RESTING:
        stream.orders[slot].status = OrderStatus.TRIGGERED
        manage.end_entry(stream)


@compiled
def book_funding(account: Any, stream: Any, payment: float) -> None:
    """A settlement that the venue has booked for the position of `stream`."""
    stream.position.funding_quote += payment
    account.funding_quote += payment
    account.cash_quote += payment


@compiled
def withdraw_entry(account: Any, stream: Any, refusal: int) -> None:
    """What is left of an entry is over at the venue, or must be."""
    drop_entry(account, stream, refusal)


@compiled
def reprice_entry(account: Any, stream: Any, price: float, reposts: int) -> None:
    """An entry that waits is to rest at `price` from now on; it was re-posted `reposts` times."""
    order = stream.orders[Slot.ENTRY]
    if order.status != OrderStatus.RESTING:
        return
    before = tied_up(stream)
    order.price = price
    order.placed_price = price
    order.reposts = reposts
    rebook(account, before, tied_up(stream))


@compiled
def take_entry(account: Any, stream: Any, price: float) -> None:
    """What is left of an entry that waits takes the market, which asks `price` for it."""
    order = stream.orders[Slot.ENTRY]
    if order.status != OrderStatus.RESTING:
        return
    before = tied_up(stream)
    order.status = OrderStatus.TRIGGERED
    order.kind = OrderKind.MARKET
    order.price = math.nan
    order.placed_price = price
    rebook(account, before, tied_up(stream))


@compiled
def ask_close(stream: Any, reason: int) -> None:
    """The whole position is to be closed at market, unless that is asked already."""
    if stream.position.quantity > 0.0 and stream.orders[Slot.CLOSE].status == OrderStatus.EMPTY:
        manage.close(stream, reason)


@compiled
def readmit(account: Any, stream: Any, plan: Any, side: int, quantity: float) -> None:
    """An entry that was given up has filled after all: the stream takes `quantity` of it back.

    `plan` is ENTRY_PLAN. Fills of it are booked next, and protected like any other.
    """
    position = stream.position
    if position.quantity == 0.0:
        position.side = side
        position.stop_distance = plan.stop_distance
        position.target_distance = plan.target_distance
        position.score = plan.score
        position.reason = plan.reason
        breakers.note_entry(account, stream, side, plan.time)
    order = stream.orders[Slot.ENTRY]
    before = tied_up(stream)
    order.status = OrderStatus.TRIGGERED
    order.kind = OrderKind.MARKET
    order.side = side
    order.quantity = quantity
    order.placed_time = plan.time
    order.placed_price = plan.price
    rebook(account, before, tied_up(stream))
