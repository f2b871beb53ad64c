"""Whatever a trader and the market do: the books balance, and each change is told.

A run is a list of small steps drawn by hypothesis: orders of every kind, cancels, prices, books,
trades, funding, transfers, takeovers. After each step everything is checked.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.adapters.simulator.exchange.trader import BTC, INSTRUMENT, RULES, START, Trader

from tercel.adapters.simulator.exchange.errors import ExchangeError
from tercel.adapters.simulator.exchange.events import (
    AccountChanged,
    AlgoChanged,
    Event,
    OrderChanged,
)
from tercel.adapters.simulator.exchange.records import (
    BUY,
    OPEN_STATUSES,
    SELL,
    ZERO,
    AlgoRow,
    NewOrder,
    OrderRow,
    OrderType,
    TimeInForce,
    TradeRow,
    Window,
    WorkingType,
)

D = Decimal
RUNS = settings(max_examples=40, deadline=None)
EVERY = Window(limit=10**9)

GTC, GTX = TimeInForce.GTC, TimeInForce.GTX

side = st.sampled_from([BUY, SELL])
lots = st.integers(60, 60_000).map(lambda n: n * INSTRUMENT.lot_size)
price = st.integers(970, 1030).map(lambda n: n * INSTRUMENT.tick_size)
far_price = st.integers(400, 2500).map(lambda n: n * INSTRUMENT.tick_size)
rate = st.integers(-50, 50).map(lambda n: n * D("0.0001"))
fraction = st.integers(1, 100).map(lambda n: n * D("0.01"))
ladder = st.lists(st.tuples(st.integers(0, 30), lots), min_size=1, max_size=4)

engine_orders = st.builds(
    NewOrder,
    symbol=st.just(BTC),
    side=side,
    kind=st.just(OrderType.LIMIT),
    quantity=lots,
    price=price,
    time_in_force=st.sampled_from([GTC, GTC, GTC, TimeInForce.IOC, TimeInForce.FOK, GTX]),
    reduce_only=st.booleans(),
) | st.builds(
    NewOrder,
    symbol=st.just(BTC),
    side=side,
    kind=st.just(OrderType.MARKET),
    quantity=lots,
    reduce_only=st.booleans(),
)
stops = st.builds(
    NewOrder,
    symbol=st.just(BTC),
    side=side,
    kind=st.sampled_from([OrderType.STOP_MARKET, OrderType.TAKE_PROFIT_MARKET]),
    quantity=lots,
    trigger_price=price,
    reduce_only=st.booleans(),
    working_type=st.sampled_from(list(WorkingType)),
)
other_stops = (
    st.builds(
        NewOrder,
        symbol=st.just(BTC),
        side=side,
        kind=st.sampled_from([OrderType.STOP_MARKET, OrderType.TAKE_PROFIT_MARKET]),
        trigger_price=price,
        close_position=st.just(True),
    )
    | st.builds(
        NewOrder,
        symbol=st.just(BTC),
        side=side,
        kind=st.sampled_from([OrderType.STOP, OrderType.TAKE_PROFIT]),
        quantity=lots,
        price=price,
        trigger_price=price,
        reduce_only=st.booleans(),
    )
    | st.builds(
        NewOrder,
        symbol=st.just(BTC),
        side=side,
        kind=st.just(OrderType.TRAILING_STOP_MARKET),
        quantity=lots,
        callback_rate=st.integers(1, 20).map(lambda n: n * D("0.1")),
        reduce_only=st.booleans(),
    )
)
step = st.one_of(
    *[st.tuples(st.just("place"), engine_orders)] * 4,
    *[st.tuples(st.just("wait"), stops | other_stops)] * 2,
    *[st.tuples(st.just("price"), price)] * 4,
    st.tuples(st.just("price"), far_price),
    st.tuples(st.just("book"), st.tuples(price, ladder, ladder)),
    st.tuples(st.just("trade"), st.tuples(price, lots)),
    st.tuples(st.just("mark"), price),
    st.tuples(st.just("amend"), st.tuples(st.integers(0, 5), lots, price)),
    st.tuples(st.just("cancel"), st.integers(0, 5)),
    st.tuples(st.just("funding"), rate),
    st.tuples(st.just("transfer"), st.integers(-500, 500).map(D)),
    st.tuples(st.just("liquidate"), fraction),
    st.tuples(st.just("adl"), fraction),
    st.tuples(st.just("hold"), st.booleans()),
)
runs = st.lists(step, min_size=12, max_size=40)


@dataclass
class Books:
    """What somebody knows who hears events alone."""

    position: Decimal = ZERO
    wallet: Decimal = START
    orders: dict[int, OrderRow] = field(default_factory=dict)
    algos: dict[int, AlgoRow] = field(default_factory=dict)
    trades: list[TradeRow] = field(default_factory=list)

    def hear(self, event: Event) -> None:
        """Book an event."""
        if isinstance(event, OrderChanged):
            before = self.orders.get(event.order.order_id)
            assert before is None or before.status in OPEN_STATUSES
            assert before is None or before.filled_quantity <= event.order.filled_quantity
            self.orders[event.order.order_id] = event.order
            if event.trade is not None:
                self.trade(event.trade, event.order)
        elif isinstance(event, AlgoChanged):
            self.algos[event.algo.algo_id] = event.algo
        elif isinstance(event, AccountChanged):
            for balance in event.balances:
                self.wallet = balance.wallet_quote
            for row in event.positions:
                assert row.quantity == self.position

    def trade(self, trade: TradeRow, order: OrderRow) -> None:
        """A fill: within its order, and never a larger position where it may only reduce."""
        assert trade.quantity > ZERO
        assert order.filled_quantity <= order.quantity
        after = self.position + trade.side * trade.quantity
        if order.reduce_only:
            assert abs(after) < abs(self.position)
            assert after * self.position >= 0
        if order.kind is OrderType.LIMIT:
            assert (trade.price - order.price) * order.side <= 0
        self.position = after
        self.trades.append(trade)


def do(trader: Trader, step: tuple[str, Any]) -> None:
    """One step; what the exchange refuses has to leave no trace."""
    verb, what = step
    exchange, now = trader.exchange, trader.tick()
    calls: dict[str, Callable[[], object]] = {
        "place": lambda: exchange.place(what, now),
        "wait": lambda: exchange.place_conditional(what, now),
        "price": lambda: exchange.on_price(BTC, what, now),
        "book": lambda: exchange.on_book(BTC, *book_of(*what), now),
        "trade": lambda: exchange.on_trade(BTC, what[0], what[1], now),
        "mark": lambda: exchange.on_mark(BTC, what, now),
        "amend": lambda: amend(trader, *what),
        "cancel": lambda: cancel(trader, what),
        "funding": lambda: exchange.settle_funding(BTC, what, now),
        "transfer": lambda: exchange.transfer(what, now),
        "liquidate": lambda: exchange.liquidate(BTC, now, what),
        "adl": lambda: exchange.adl(BTC, now, what),
        "hold": lambda: exchange.hold_triggers(BTC, what, now),
    }
    try:
        calls[verb]()
    except ExchangeError:
        assert exchange.take_events() == []


def book_of(
    middle: Decimal, below: list[tuple[int, Decimal]], above: list[tuple[int, Decimal]]
) -> tuple[list[tuple[Decimal, Decimal]], list[tuple[Decimal, Decimal]]]:
    """Bids below `middle` and asks above it, best first, each price once."""
    tick = INSTRUMENT.tick_size
    bids = {middle - (1 + n) * tick: size for n, size in below}
    asks = {middle + n * tick: size for n, size in above}
    return sorted(bids.items(), reverse=True), sorted(asks.items())


def amend(trader: Trader, which: int, quantity: Decimal, price: Decimal) -> None:
    """Change one of the resting orders, if there is one."""
    resting = trader.exchange.open_orders()
    if resting:
        row = resting[which % len(resting)]
        trader.exchange.amend(BTC, row.order_id, quantity, price, trader.now_ms)


def cancel(trader: Trader, which: int) -> None:
    """Cancel one of the orders that rest or wait, if there is one."""
    refs = [row.order_id for row in trader.exchange.open_orders()]
    waiting = [row.algo_id for row in trader.exchange.open_conditionals()]
    if refs:
        trader.exchange.cancel(BTC, refs[which % len(refs)], trader.now_ms)
    elif waiting:
        trader.exchange.cancel_conditional(waiting[which % len(waiting)], trader.now_ms)


def check(trader: Trader, books: Books) -> None:
    """Everything that has to hold after any step."""
    exchange = trader.exchange
    totals, balance, row = exchange.totals(), exchange.balances()[0], exchange.positions(BTC)[0]
    assert balance.wallet_quote == (
        totals.start_quote
        + totals.transfers_quote
        + totals.realised_quote
        - totals.fees_quote
        + totals.funding_quote
        - totals.liquidation_fees_quote
    )
    assert balance.wallet_quote == books.wallet
    assert START + sum(r.amount_quote for r in exchange.income(EVERY)) == books.wallet
    assert row.quantity == books.position
    trades = exchange.trades(BTC, EVERY)
    assert trades == books.trades
    assert row.quantity == sum(trade.side * trade.quantity for trade in trades)
    cash = -sum(trade.side * trade.quote for trade in trades)
    worth = cash + row.quantity * row.mark_price
    assert abs(worth - totals.realised_quote - row.unrealised_quote) < D("0.0001")
    assert exchange.orders(BTC, EVERY) == list(books.orders.values())
    assert [r.algo_id for r in exchange.conditionals(BTC, EVERY)] == list(books.algos)
    for algo in exchange.conditionals(BTC, EVERY):
        assert books.algos[algo.algo_id].status is algo.status
    for order in books.orders.values():
        if order.kind is OrderType.LIMIT:
            assert order.price % INSTRUMENT.tick_size == 0
            assert order.quantity % INSTRUMENT.lot_size == 0
    assert balance.available_quote >= 0


@RUNS
@given(runs, st.booleans())
def test_the_books_balance_after_every_step(
    steps: list[tuple[str, Any]], is_isolated: bool
) -> None:
    trader, books = Trader().price(100), Books()
    if is_isolated:
        trader.exchange.set_margin_type(BTC, True, trader.tick())
        trader.exchange.take_events()
    for each in steps:
        do(trader, each)
        for event in trader.exchange.take_events():
            books.hear(event)
        check(trader, books)


@RUNS
@given(runs, st.integers(0, 9))
def test_the_same_steps_make_the_same_events(steps: list[tuple[str, Any]], seed: int) -> None:
    told = []
    for _ in range(2):
        trader = Trader(seed=seed).price(100)
        events: list[Event] = []
        for each in steps:
            do(trader, each)
            events += trader.exchange.take_events()
        told.append(events)
    assert told[0] == told[1]


@RUNS
@given(
    side=side,
    quantity=lots,
    prices=st.lists(st.integers(300, 2500).map(lambda n: n * D("0.1")), min_size=1, max_size=20),
    is_isolated=st.booleans(),
)
def test_liquidation_comes_before_bankruptcy(
    side: int, quantity: Decimal, prices: list[Decimal], is_isolated: bool
) -> None:
    """However far the mark jumps, a position never leaves a debt, and one that is held is backed by
    its maintenance margin.
    """
    trader = Trader().price(100)
    if is_isolated:
        trader.exchange.set_margin_type(BTC, True, trader.tick())
    try:
        trader.order(side, str(quantity), None)
    except ExchangeError:
        return
    for each in prices:
        trader.price(str(each))
        balance = trader.exchange.balances()[0]
        assert balance.wallet_quote >= 0
        row = trader.position()
        if row.quantity:
            backing = row.isolated_margin_quote if is_isolated else balance.margin_balance_quote
            assert backing > row.maintenance_margin_quote


def test_steps_reach_what_they_are_meant_to() -> None:
    """The drawn runs would prove nothing if every order in them were refused."""
    trader, books = Trader(RULES).price(100), Books()
    market = NewOrder(BTC, BUY, OrderType.MARKET, D(2))
    for each in [
        ("place", market),
        ("wait", NewOrder(BTC, SELL, OrderType.STOP_MARKET, D(1), trigger_price=D(95))),
        ("book", (D(94), [(0, D(5))], [(0, D(5))])),
        ("trade", (D(94), D(1))),
        ("funding", D("0.001")),
        ("liquidate", D(1)),
    ]:
        do(trader, each)
        for event in trader.exchange.take_events():
            books.hear(event)
        check(trader, books)
    assert len(books.trades) == 3
    assert books.position == 0
