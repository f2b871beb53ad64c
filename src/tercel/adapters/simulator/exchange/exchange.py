"""The simulated exchange: one account, its orders and positions, against a market it is told.

Nothing here reads a clock or draws at random: every call that changes something takes `now_ms`,
and the seed only makes up client ids. A refusal is an `ExchangeError` with Binance's number, and
nothing has changed then. What did change is an event, in order, in `take_events`.

This class only hands calls on: `engine.py` has the life of an order, `matching.py` what the market
fills, `conditionals.py` what waits for a price, `account.py` the wallet, `margin.py` and
`liquidation.py` what must back it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

from tercel.adapters.simulator.exchange.conditionals import Conditionals
from tercel.adapters.simulator.exchange.engine import Engine
from tercel.adapters.simulator.exchange.errors import refusal
from tercel.adapters.simulator.exchange.events import Event
from tercel.adapters.simulator.exchange.funding import settle, transfer
from tercel.adapters.simulator.exchange.history import within
from tercel.adapters.simulator.exchange.liquidation import Liquidator
from tercel.adapters.simulator.exchange.margin import balance_row, position_row
from tercel.adapters.simulator.exchange.matching import match_book, match_trade, watched_prices
from tercel.adapters.simulator.exchange.orders import WorkingOrder
from tercel.adapters.simulator.exchange.quotes import Level
from tercel.adapters.simulator.exchange.records import (
    CONDITIONAL_TYPES,
    AlgoRow,
    BalanceRow,
    ExchangeRules,
    IncomeKind,
    IncomeRow,
    Instrument,
    LeverageRow,
    NewOrder,
    OrderRef,
    OrderRow,
    OrderStatus,
    OrderType,
    PositionRow,
    Totals,
    TradeRow,
    Window,
    WorkingType,
)
from tercel.adapters.simulator.exchange.state import new_state
from tercel.adapters.simulator.exchange.switches import Switches

EVERYTHING = Window()
"""The latest rows of a history."""


class Exchange:
    """One account on one venue. Prices and quantities are Decimals on the instrument's grid."""

    def __init__(self, rules: ExchangeRules, *, balance_quote: Decimal, seed: int) -> None:
        self._state = new_state(rules, balance_quote, seed)
        self._engine = Engine(self._state)
        self._conditionals = Conditionals(self._state, self._engine)
        self._liquidator = Liquidator(self._state, self._engine)
        self._switches = Switches(self._state, self._conditionals.store)

    # --- orders ---

    def place(self, order: NewOrder, now_ms: int) -> OrderRow:
        """Take a LIMIT or MARKET order; what crosses the book is filled at once.

        Raises ExchangeError: filters, -2019, -2022, -4116, -4120 (conditional types),
        -4131, -5021, -5022.
        """
        if order.kind in CONDITIONAL_TYPES:
            raise refusal(-4120)
        self._refuse_used_id(order)
        placed = self._engine.admit(order, now_ms)
        self._engine.launch(placed, now_ms)
        return placed.row()

    def place_conditional(self, order: NewOrder, now_ms: int) -> AlgoRow:
        """Take a conditional order. No margin is checked before it triggers.

        Raises ExchangeError: filters, -2021, -4045, -4116, -4130, -4137, -4138, -4509.
        """
        return self._conditionals.place(order, now_ms).row()

    def amend(
        self, symbol: str, ref: OrderRef, quantity: Decimal, price: Decimal, now_ms: int
    ) -> OrderRow:
        """Change a resting limit order; it keeps its id. Raises ExchangeError: -2013, -5027, as
        `place`.
        """
        found = self._resting(symbol, ref, -2013)
        self._engine.amend(found, quantity, price, now_ms)
        return found.row()

    def cancel(self, symbol: str, ref: OrderRef, now_ms: int) -> OrderRow:
        """Cancel a resting order. Raises ExchangeError -2011 where none rests."""
        found = self._resting(symbol, ref, -2011)
        self._engine.end(found, OrderStatus.CANCELED, now_ms)
        return found.row()

    def cancel_all(self, symbol: str, now_ms: int) -> list[OrderRow]:
        """Cancel the symbol's resting orders, not its conditional ones."""
        self._state.instrument(symbol)
        found = self._state.orders.resting(symbol)
        for order in found:
            self._engine.end(order, OrderStatus.CANCELED, now_ms)
        return [order.row() for order in found]

    def cancel_conditional(self, ref: OrderRef, now_ms: int) -> AlgoRow:
        """Cancel a waiting conditional order. Raises ExchangeError -2011, or -4117 while it is
        being triggered.
        """
        return self._conditionals.cancel(ref, now_ms).row()

    def cancel_all_conditional(self, symbol: str, now_ms: int) -> list[AlgoRow]:
        """Cancel the symbol's waiting conditional orders."""
        self._state.instrument(symbol)
        return [algo.row() for algo in self._conditionals.cancel_all(symbol, now_ms)]

    # --- settings of the account ---

    def set_leverage(self, symbol: str, leverage: int, now_ms: int) -> LeverageRow:
        """Raises ExchangeError: -4028, -2027, -2028, -4161."""
        return self._switches.set_leverage(symbol, leverage, now_ms)

    def set_margin_type(self, symbol: str, is_isolated: bool, now_ms: int) -> None:
        """Raises ExchangeError: -4046 (no change), -4047, -4048."""
        self._switches.set_margin_type(symbol, is_isolated, now_ms)

    def set_dual_side(self, is_dual: bool) -> None:
        """Hedge mode is off and stays off. Raises ExchangeError: -4059 (no change), -4067, -4068,
        -4084.
        """
        self._switches.set_dual_side(is_dual)

    # --- questions ---

    def instrument(self, symbol: str) -> Instrument:
        """Its rules as they are now. Raises ExchangeError -1121."""
        return self._state.instrument(symbol)

    def instruments(self) -> list[Instrument]:
        """Every symbol's rules."""
        return list(self._state.instruments.values())

    def order(self, symbol: str, ref: OrderRef) -> OrderRow:
        """Raises ExchangeError -2013."""
        self._state.instrument(symbol)
        found = self._state.orders.find(symbol, ref)
        if found is None:
            raise refusal(-2013)
        return found.row()

    def open_orders(self, symbol: str | None = None) -> list[OrderRow]:
        """Resting orders, oldest first."""
        orders = self._state.orders
        found = orders.all_resting() if symbol is None else orders.resting(symbol)
        return [order.row() for order in found]

    def orders(self, symbol: str, window: Window = EVERYTHING) -> list[OrderRow]:
        """Orders that rest or have ended."""
        self._state.instrument(symbol)
        newest = self._state.orders.of_symbol(symbol)
        found = within(newest, window, lambda order: (order.created_ms, order.order_id))
        return [order.row() for order in found]

    def conditional(self, ref: OrderRef) -> AlgoRow:
        """Raises ExchangeError -2013."""
        return self._conditionals.find(ref).row()

    def open_conditionals(self, symbol: str | None = None) -> list[AlgoRow]:
        """Waiting conditional orders, oldest first."""
        store = self._conditionals.store
        found = store.all_waiting() if symbol is None else store.waiting(symbol)
        return [algo.row() for algo in found]

    def conditionals(self, symbol: str, window: Window = EVERYTHING) -> list[AlgoRow]:
        """Conditional orders, whatever became of them."""
        self._state.instrument(symbol)
        newest = self._conditionals.store.of_symbol(symbol)
        found = within(newest, window, lambda algo: (algo.created_ms, algo.algo_id))
        return [algo.row() for algo in found]

    def trades(
        self, symbol: str, window: Window = EVERYTHING, order_id: int | None = None
    ) -> list[TradeRow]:
        """The account's fills."""
        self._state.instrument(symbol)
        rows = (
            trade
            for trade in reversed(self._state.account.trades)
            if trade.symbol == symbol and order_id in (None, trade.order_id)
        )
        return within(rows, window, lambda row: (row.time_ms, row.trade_id))

    def income(
        self, window: Window = EVERYTHING, symbol: str | None = None, kind: IncomeKind | None = None
    ) -> list[IncomeRow]:
        """What changed the wallet."""
        rows = (
            row
            for row in reversed(self._state.account.incomes)
            if symbol in (None, row.symbol) and kind in (None, row.kind)
        )
        return within(rows, window, lambda row: (row.time_ms, row.income_id))

    def positions(self, symbol: str | None = None) -> list[PositionRow]:
        """A row for every symbol, flat or not."""
        account = self._state.account
        wanted = account.positions if symbol is None else [self._state.instrument(symbol).symbol]
        return [position_row(self._state, account.positions[name]) for name in wanted]

    def balances(self) -> list[BalanceRow]:
        """One row: the account has one asset."""
        return [balance_row(self._state)]

    def totals(self) -> Totals:
        """Sums that the wallet is made of."""
        return self._state.account.totals()

    # --- the market ---

    def on_book(
        self, symbol: str, bids: Sequence[Level], asks: Sequence[Level], now_ms: int
    ) -> None:
        """The book as it is now, best first: market orders walk it, crossed limits are filled."""
        self._state.quotes[symbol].set_book(bids, asks)
        match_book(self._state, self._engine, symbol, now_ms)

    def on_trade(self, symbol: str, price: Decimal, quantity: Decimal, now_ms: int) -> None:
        """A trade of others: CONTRACT_PRICE triggers; limits fill when it went through them."""
        self._state.quotes[symbol].last = price
        match_trade(self._state, self._engine, symbol, (price, quantity), now_ms)
        self._conditionals.on_price(symbol, price, WorkingType.CONTRACT_PRICE, now_ms)

    def on_touch(self, symbol: str, bid: Decimal, ask: Decimal, now_ms: int) -> None:
        """The market may have traded at its `bid` and at its `ask`, though no trade is told:
        triggers of CONTRACT_PRICE fire there, stops that sell at the bid, those that buy at the
        ask. The last price goes no farther than into the spread. Resting limits are not filled:
        that takes a book that crosses them, or a trade that is known.
        """
        quotes = self._state.quotes[symbol]
        middle = (bid + ask) / 2
        quotes.last = middle if quotes.last is None else min(max(quotes.last, bid), ask)
        for price in (bid, ask):
            self._conditionals.on_price(symbol, price, WorkingType.CONTRACT_PRICE, now_ms)

    def on_mark(self, symbol: str, mark_price: Decimal, now_ms: int) -> None:
        """A mark price: MARK_PRICE triggers, unrealised profit, liquidation."""
        self._state.quotes[symbol].mark = mark_price
        self._conditionals.on_price(symbol, mark_price, WorkingType.MARK_PRICE, now_ms)
        self._liquidator.check(symbol, now_ms)

    def on_price(self, symbol: str, price: Decimal, now_ms: int) -> None:
        """A book one tick wide without bottom, a trade and a mark at `price`, in one cheap call."""
        state = self._state
        state.quotes[symbol].set_price(price, state.instruments[symbol].tick_size)
        match_book(state, self._engine, symbol, now_ms)
        if self._conditionals.store.has_waiting(symbol):
            self._conditionals.on_price(symbol, price, WorkingType.CONTRACT_PRICE, now_ms)
            self._conditionals.on_price(symbol, price, WorkingType.MARK_PRICE, now_ms)
        self._liquidator.check(symbol, now_ms)

    def watched_prices(self, symbol: str) -> list[Decimal]:
        """Where something waits: walking through these prices one by one misses nothing."""
        state = self._state
        resting = state.orders.resting(symbol)
        waiting = self._conditionals.store.waiting(symbol)
        return watched_prices(resting, waiting, state.instruments[symbol].tick_size)

    def settle_funding(self, symbol: str, rate: Decimal, now_ms: int) -> None:
        """Longs pay `rate` x notional at the mark price, shorts receive it."""
        settle(self._state, symbol, rate, now_ms)
        self._liquidator.check(symbol, now_ms)

    # --- what faults do to the account from outside ---

    def liquidate(self, symbol: str, now_ms: int, fraction: Decimal = Decimal(1)) -> None:
        """The venue takes over that part of the position now, at the mark price."""
        self._liquidator.liquidate(symbol, fraction, now_ms)

    def adl(self, symbol: str, now_ms: int, fraction: Decimal = Decimal(1)) -> None:
        """Auto-deleveraging closes that part of the position, at the mark price, without a fee."""
        self._liquidator.adl(symbol, fraction, now_ms)

    def outside_fill(self, symbol: str, side: int, quantity: Decimal, now_ms: int) -> OrderRow:
        """A market order by hand from elsewhere, with a client id that nobody here has chosen."""
        client_id = self._state.ids.client("web_")
        order = NewOrder(symbol, side, OrderType.MARKET, quantity, client_id=client_id)
        return self.place(order, now_ms)

    def transfer(self, amount_quote: Decimal, now_ms: int) -> None:
        """A deposit, or a withdrawal where negative. Raises ExchangeError -2018."""
        transfer(self._state, amount_quote, now_ms)

    def margin_call(self, symbol: str, now_ms: int) -> None:
        """Warn of the symbol's position, whatever its margin."""
        self._liquidator.call(self._state.account.positions[symbol], now_ms)

    def hold_triggers(self, symbol: str, is_held: bool, now_ms: int) -> None:
        """While held, conditional orders that trigger stay TRIGGERING; letting go places them."""
        self._conditionals.hold(symbol, is_held, now_ms)

    def change_instrument(self, instrument: Instrument) -> None:
        """New rules or status of a symbol; resting orders stay."""
        self._state.instrument(instrument.symbol)
        self._state.instruments[instrument.symbol] = instrument

    def change_fees(self, maker_fee_rate: Decimal, taker_fee_rate: Decimal) -> None:
        """New fee rates, from the next fill on."""
        self._state.rules = replace(
            self._state.rules, maker_fee_rate=maker_fee_rate, taker_fee_rate=taker_fee_rate
        )

    def take_events(self) -> list[Event]:
        """What happened since the last call, in order."""
        return self._state.log.take()

    # --- inside ---

    def _resting(self, symbol: str, ref: OrderRef, code: int) -> WorkingOrder:
        self._state.instrument(symbol)
        found = self._state.orders.find(symbol, ref)
        if found is None or not found.is_open:
            raise refusal(code)
        return found

    def _refuse_used_id(self, order: NewOrder) -> None:
        """An id that a conditional order has is taken too: its order in the engine will have it."""
        if order.client_id and self._conditionals.store.find(order.client_id) is not None:
            raise refusal(-4116)
