"""The simulated exchange: one account, its orders and positions, against a market it is told.

Nothing here reads a clock or draws at random: every call that changes something takes `now_ms`, and
the seed only makes up client ids. A refusal is an `ExchangeError` with Binance's number; nothing has
changed then. What did change is an event, in order, in `take_events`.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from tercel.adapters.simulator.exchange.events import Event
from tercel.adapters.simulator.exchange.records import (
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
    PositionRow,
    Totals,
    TradeRow,
    Window,
)

Level = tuple[Decimal, Decimal]
"""A price and the quantity that rests there."""


class Exchange:
    """One account on one venue. Prices and quantities are Decimals on the instrument's grid."""

    def __init__(self, rules: ExchangeRules, *, balance_quote: Decimal, seed: int) -> None:
        raise NotImplementedError

    # --- orders ---

    def place(self, order: NewOrder, now_ms: int) -> OrderRow:
        """Take a LIMIT or MARKET order; what crosses the book is filled at once.

        Raises ExchangeError: filters, margin, -2022, -4116, -4120 (conditional types), -5021, -5022.
        """
        raise NotImplementedError

    def place_conditional(self, order: NewOrder, now_ms: int) -> AlgoRow:
        """Take a conditional order. No margin is checked before it triggers.

        Raises ExchangeError: filters, -2021, -4045, -4116, -4130, -4137, -4138, -4509.
        """
        raise NotImplementedError

    def amend(
        self, symbol: str, ref: OrderRef, quantity: Decimal, price: Decimal, now_ms: int
    ) -> OrderRow:
        """Change a resting limit order; it keeps its id. Raises ExchangeError: -2013, -5027, as
        `place`.
        """
        raise NotImplementedError

    def cancel(self, symbol: str, ref: OrderRef, now_ms: int) -> OrderRow:
        """Cancel a resting order. Raises ExchangeError -2011 where none rests."""
        raise NotImplementedError

    def cancel_all(self, symbol: str, now_ms: int) -> list[OrderRow]:
        """Cancel the symbol's resting orders, not its conditional ones."""
        raise NotImplementedError

    def cancel_conditional(self, ref: OrderRef, now_ms: int) -> AlgoRow:
        """Cancel a waiting conditional order. Raises ExchangeError -2011, or -4117 while it is
        being triggered.
        """
        raise NotImplementedError

    def cancel_all_conditional(self, symbol: str, now_ms: int) -> list[AlgoRow]:
        """Cancel the symbol's waiting conditional orders."""
        raise NotImplementedError

    # --- settings of the account ---

    def set_leverage(self, symbol: str, leverage: int, now_ms: int) -> LeverageRow:
        """Raises ExchangeError: -4028, -2027, -2028, -4161."""
        raise NotImplementedError

    def set_margin_type(self, symbol: str, is_isolated: bool, now_ms: int) -> None:
        """Raises ExchangeError: -4046 (no change), -4047, -4048."""
        raise NotImplementedError

    def set_dual_side(self, is_dual: bool, now_ms: int) -> None:
        """Hedge mode is off and stays off. Raises ExchangeError: -4059 (no change), -4067, -4068,
        -4084.
        """
        raise NotImplementedError

    # --- questions ---

    def instrument(self, symbol: str) -> Instrument:
        """Its rules as they are now. Raises ExchangeError -1121."""
        raise NotImplementedError

    def instruments(self) -> list[Instrument]:
        """Every symbol's rules."""
        raise NotImplementedError

    def order(self, symbol: str, ref: OrderRef) -> OrderRow:
        """Raises ExchangeError -2013."""
        raise NotImplementedError

    def open_orders(self, symbol: str | None = None) -> list[OrderRow]:
        """Resting orders, oldest first."""
        raise NotImplementedError

    def orders(self, symbol: str, window: Window = Window()) -> list[OrderRow]:
        """Orders that rest or have ended."""
        raise NotImplementedError

    def conditional(self, ref: OrderRef) -> AlgoRow:
        """Raises ExchangeError -2013."""
        raise NotImplementedError

    def open_conditionals(self, symbol: str | None = None) -> list[AlgoRow]:
        """Waiting conditional orders, oldest first."""
        raise NotImplementedError

    def conditionals(self, symbol: str, window: Window = Window()) -> list[AlgoRow]:
        """Conditional orders, whatever became of them."""
        raise NotImplementedError

    def trades(
        self, symbol: str, window: Window = Window(), order_id: int | None = None
    ) -> list[TradeRow]:
        """The account's fills."""
        raise NotImplementedError

    def income(
        self, window: Window = Window(), symbol: str | None = None, kind: IncomeKind | None = None
    ) -> list[IncomeRow]:
        """What changed the wallet."""
        raise NotImplementedError

    def positions(self, symbol: str | None = None) -> list[PositionRow]:
        """A row for every symbol, flat or not."""
        raise NotImplementedError

    def balances(self) -> list[BalanceRow]:
        """One row: the account has one asset."""
        raise NotImplementedError

    def totals(self) -> Totals:
        """Sums that the wallet is made of."""
        raise NotImplementedError

    # --- the market ---

    def on_book(
        self, symbol: str, bids: Sequence[Level], asks: Sequence[Level], now_ms: int
    ) -> None:
        """The book as it is now, best first: market orders walk it, crossed limits are filled."""
        raise NotImplementedError

    def on_trade(self, symbol: str, price: Decimal, quantity: Decimal, now_ms: int) -> None:
        """A trade of others: CONTRACT_PRICE triggers; limits fill when it went through them."""
        raise NotImplementedError

    def on_mark(self, symbol: str, mark_price: Decimal, now_ms: int) -> None:
        """A mark price: MARK_PRICE triggers, unrealised profit, liquidation."""
        raise NotImplementedError

    def on_price(self, symbol: str, price: Decimal, now_ms: int) -> None:
        """Book one tick wide around `price` and without bottom, mark and trade in one cheap call."""
        raise NotImplementedError

    def settle_funding(self, symbol: str, rate: Decimal, now_ms: int) -> None:
        """Longs pay `rate` x notional at the mark price, shorts receive it."""
        raise NotImplementedError

    # --- what faults do to the account from outside ---

    def liquidate(self, symbol: str, now_ms: int, fraction: Decimal = Decimal(1)) -> None:
        """The venue takes over that part of the position now, at the mark price."""
        raise NotImplementedError

    def adl(self, symbol: str, now_ms: int, fraction: Decimal = Decimal(1)) -> None:
        """Auto-deleveraging closes that part of the position, at the mark price, without a fee."""
        raise NotImplementedError

    def outside_fill(self, symbol: str, side: int, quantity: Decimal, now_ms: int) -> OrderRow:
        """A market order by hand from elsewhere, with a client id that nobody here has chosen."""
        raise NotImplementedError

    def transfer(self, amount_quote: Decimal, now_ms: int) -> None:
        """A deposit, or a withdrawal where negative. Raises ExchangeError -2018."""
        raise NotImplementedError

    def margin_call(self, symbol: str, now_ms: int) -> None:
        """Warn of the symbol's position, whatever its margin."""
        raise NotImplementedError

    def hold_triggers(self, symbol: str, is_held: bool, now_ms: int) -> None:
        """While held, conditional orders that trigger stay TRIGGERING; letting go places them."""
        raise NotImplementedError

    def change_instrument(self, instrument: Instrument, now_ms: int) -> None:
        """New rules or status of a symbol; resting orders stay."""
        raise NotImplementedError

    def change_fees(self, maker_fee_rate: Decimal, taker_fee_rate: Decimal) -> None:
        """New fee rates, from the next fill on."""
        raise NotImplementedError

    def take_events(self) -> list[Event]:
        """What happened since the last call, in order."""
        raise NotImplementedError
