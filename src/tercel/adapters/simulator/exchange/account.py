"""Wallet, positions, trades and income of the account. Numbers only: no orders, no market.

A position keeps its exact cost, not a rounded entry price, so that what a sequence of trades
realises until it is flat is the sum of its cash flows. Buy 0.3 for 10.01 in all and sell 0.1 at 34:
cost out 10.01 / 3 = 3.33666667, realised 3.4 - 3.33666667 = 0.06333333, cost left 6.67333333.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from decimal import Decimal

from tercel.adapters.simulator.exchange.amounts import in_units
from tercel.adapters.simulator.exchange.log import Ids
from tercel.adapters.simulator.exchange.orders import WorkingOrder
from tercel.adapters.simulator.exchange.records import (
    ZERO,
    IncomeKind,
    IncomeRow,
    Totals,
    TradeRow,
)


@dataclass(frozen=True, slots=True)
class Fill:
    """What an order got, and what the fee on it is."""

    price: Decimal
    quantity: Decimal
    fee_rate: Decimal
    is_maker: bool


@dataclass(slots=True)
class Position:
    """One symbol, one-way mode: short is negative."""

    symbol: str
    leverage: int
    is_isolated: bool = False
    quantity: Decimal = ZERO
    cost_quote: Decimal = ZERO
    """What the open quantity was bought for; negative while short."""
    isolated_wallet_quote: Decimal = ZERO
    realised_quote: Decimal = ZERO
    """Since the account was made, before fees."""
    open_result_quote: Decimal = ZERO
    """Realised less fees since the position was opened: moves its break-even price."""
    updated_ms: int = 0

    @property
    def side(self) -> int:
        """+1 long, -1 short, 0 flat."""
        return (self.quantity > ZERO) - (self.quantity < ZERO)

    @property
    def entry_price(self) -> Decimal:
        """Average price of the open quantity; 0 while flat."""
        return in_units(self.cost_quote / self.quantity) if self.quantity else ZERO

    @property
    def break_even_price(self) -> Decimal:
        """Where closing would give back what was realised and paid; 0 while flat."""
        if not self.quantity:
            return ZERO
        return in_units((self.cost_quote - self.open_result_quote) / self.quantity)

    def unrealised(self, mark: Decimal) -> Decimal:
        """Profit if it were closed at `mark`, quote."""
        return in_units(self.quantity * mark - self.cost_quote) if self.quantity else ZERO

    def reducible(self, side: int) -> Decimal:
        """How much an order of `side` can take off it."""
        return abs(self.quantity) if self.side == -side else ZERO

    def trade(self, side: int, quantity: Decimal, price: Decimal) -> Decimal:
        """Apply a trade; returns what it realised, in wallet units."""
        closing = min(quantity, self.reducible(side))
        realised = self._close(closing, price) if closing else ZERO
        opening = quantity - closing
        if opening:
            self.quantity += side * opening
            self.cost_quote += side * opening * price
            if self.is_isolated:
                self.isolated_wallet_quote += in_units(opening * price / self.leverage)
        return realised

    def _close(self, quantity: Decimal, price: Decimal) -> Decimal:
        before = self.quantity
        side = self.side
        is_whole = quantity == abs(before)
        cost = self.cost_quote
        if not is_whole:
            cost = in_units(cost * quantity / abs(before))
        released = self.isolated_wallet_quote
        if not is_whole:
            released = in_units(released * quantity / abs(before))
        self.quantity -= side * quantity
        self.cost_quote -= cost
        self.isolated_wallet_quote -= released
        realised = in_units(side * quantity * price - cost)
        self.realised_quote += realised
        return realised


class Account:
    """One wallet in one asset, and a position for each symbol."""

    def __init__(self, balance_quote: Decimal, asset: str, ids: Ids, history_max: int) -> None:
        self.asset = asset
        self.wallet_quote = balance_quote
        self.positions: dict[str, Position] = {}
        self.trades: deque[TradeRow] = deque(maxlen=history_max)
        self.incomes: deque[IncomeRow] = deque(maxlen=history_max)
        self.updated_ms = 0
        self._start_quote = balance_quote
        self._sums = dict.fromkeys(IncomeKind, ZERO)
        self._ids = ids

    @property
    def cross_wallet_quote(self) -> Decimal:
        """The wallet without what isolated positions hold."""
        held = sum((p.isolated_wallet_quote for p in self.positions.values()), ZERO)
        return self.wallet_quote - held

    def open_positions(self) -> list[Position]:
        """Those that are not flat."""
        return [position for position in self.positions.values() if position.quantity]

    def pay(
        self,
        kind: IncomeKind,
        amount_quote: Decimal,
        symbol: str,
        now_ms: int,
        trade_id: int | None = None,
    ) -> None:
        """Add `amount_quote` (negative: take it) to the wallet and write it down."""
        if not amount_quote:
            return
        self.wallet_quote += amount_quote
        self._sums[kind] += amount_quote
        self.updated_ms = now_ms
        self.incomes.append(
            IncomeRow(self._ids.income(), symbol, kind, amount_quote, self.asset, now_ms, trade_id)
        )

    def book(self, order: WorkingOrder, fill: Fill, now_ms: int) -> TradeRow:
        """A fill of `order`: position, realised profit and fee. Returns the trade."""
        position = self.positions[order.symbol]
        was_side = position.side
        quote = fill.quantity * fill.price
        fee = in_units(quote * fill.fee_rate)
        realised = position.trade(order.side, fill.quantity, fill.price)
        if was_side == position.side:
            position.open_result_quote += realised - fee
        else:
            position.open_result_quote = -fee if position.quantity else ZERO
        position.updated_ms = now_ms
        trade_id = self._ids.trade()
        self.pay(IncomeKind.REALIZED_PNL, realised, order.symbol, now_ms, trade_id)
        self.pay(IncomeKind.COMMISSION, -fee, order.symbol, now_ms, trade_id)
        trade = TradeRow(
            trade_id=trade_id,
            order_id=order.order_id,
            client_id=order.client_id,
            symbol=order.symbol,
            side=order.side,
            price=fill.price,
            quantity=fill.quantity,
            quote=quote,
            fee_quote=fee,
            fee_asset=self.asset,
            realised_quote=realised,
            is_maker=fill.is_maker,
            time_ms=now_ms,
        )
        self.trades.append(trade)
        return trade

    def totals(self) -> Totals:
        """What the wallet is the sum of."""
        sums = self._sums
        return Totals(
            start_quote=self._start_quote,
            transfers_quote=sums[IncomeKind.TRANSFER],
            realised_quote=sums[IncomeKind.REALIZED_PNL],
            fees_quote=-sums[IncomeKind.COMMISSION],
            funding_quote=sums[IncomeKind.FUNDING_FEE],
            liquidation_fees_quote=-sums[IncomeKind.INSURANCE_CLEAR],
        )
