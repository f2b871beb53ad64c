"""The life of an order: checked, accepted, filled, rested, ended.

`admit` makes every check and changes nothing; `launch` announces the order, lets it take what the
book offers and rests what is left. A refusal therefore leaves no trace.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from tercel.adapters.simulator.exchange.account import Fill
from tercel.adapters.simulator.exchange.errors import refusal
from tercel.adapters.simulator.exchange.events import (
    AccountChanged,
    AccountReason,
    BalanceChange,
    Execution,
    OrderChanged,
)
from tercel.adapters.simulator.exchange.filters import check_order, check_status
from tercel.adapters.simulator.exchange.margin import (
    balance_row,
    exposure,
    notional_max_of,
    position_row,
    symbol_margin,
)
from tercel.adapters.simulator.exchange.orders import ENGINE_TYPES, WorkingOrder
from tercel.adapters.simulator.exchange.records import (
    BUY,
    ZERO,
    Instrument,
    NewOrder,
    OrderStatus,
    OrderType,
    TimeInForce,
)
from tercel.adapters.simulator.exchange.state import State

EXECUTION_OF_END = {
    OrderStatus.CANCELED: Execution.CANCELED,
    OrderStatus.EXPIRED: Execution.EXPIRED,
    OrderStatus.EXPIRED_IN_MATCH: Execution.EXPIRED,
}
Listener = Callable[[WorkingOrder, int], None]


class Engine:
    """Orders against the market. `on_order` hears of every fill and end, `on_flat` of a position
    that was closed or turned round.
    """

    def __init__(self, state: State) -> None:
        self._state = state
        self.on_order: Listener = _ignore
        self.on_flat: Callable[[str, int], None] = _ignore_flat

    # --- in ---

    def admit(self, request: NewOrder, now_ms: int, algo_id: int | None = None) -> WorkingOrder:
        """The order that `request` would become. Raises ExchangeError; nothing has changed."""
        state = self._state
        rules = state.instrument(request.symbol)
        quotes = state.quotes[request.symbol]
        kind = ENGINE_TYPES.get(request.kind, request.kind)
        check_status(request, rules)
        if algo_id is None:
            check_order(request, rules, quotes.reference)
            if request.client_id and state.orders.knows_client(request.client_id):
                raise refusal(-4116)
        quantity = self._allowed_quantity(request, kind)
        self._check_time_in_force(request, kind, quantity)
        worst = self._worst_price(request, kind, rules)
        if kind is OrderType.MARKET and not quotes.matches(request.side, quantity, worst):
            raise refusal(-4131)
        if not (request.reduce_only or request.close_position):
            resting = len(state.orders.resting(request.symbol))
            if kind is OrderType.LIMIT and resting >= rules.orders_max:
                raise refusal(-2025)
            price = request.price if kind is OrderType.LIMIT else self._taker_price(request)
            self._check_margin(request, quantity, price)
        return WorkingOrder(
            order_id=state.ids.order(request.symbol),
            client_id=request.client_id or state.ids.client(),
            request=request,
            kind=kind,
            quantity=quantity,
            price=request.price if kind is OrderType.LIMIT else ZERO,
            created_ms=now_ms,
            updated_ms=now_ms,
            algo_id=algo_id,
        )

    def launch(self, order: WorkingOrder, now_ms: int) -> None:
        """Announce it, fill what can be filled, rest or expire what is left."""
        self._state.orders.add(order)
        self._tell(order, Execution.NEW, now_ms)
        self.take(order, now_ms)

    def take(self, order: WorkingOrder, now_ms: int) -> None:
        """Let an accepted order take what the book offers; what is left rests or expires."""
        state = self._state
        quotes = state.quotes[order.symbol]
        rules = state.instruments[order.symbol]
        is_market = order.kind is OrderType.MARKET
        worst = self._worst_price(order.request, order.kind, rules)
        found = quotes.matches(order.side, order.remaining, order.price or worst)
        quotes.consume(order.side, found)
        is_whole = sum((size for _, size in found), ZERO) >= order.remaining
        reach = order.price if order.price and not is_whole else found[-1][0]
        self._expire_own(order, reach, now_ms)
        for price, quantity in found:
            self.fill(order, price, quantity, now_ms)
        if not order.is_open:
            return
        if is_market or order.request.time_in_force is TimeInForce.IOC:
            self.end(order, OrderStatus.EXPIRED, now_ms, "no more liquidity")
            return
        order.queue_ahead = quotes.size_at(order.side, order.price)

    # --- while it works ---

    def fill(
        self,
        order: WorkingOrder,
        price: Decimal,
        quantity: Decimal,
        now_ms: int,
        is_maker: bool = False,
    ) -> None:
        """Fill (part of) an open order. One that only reduces gets no more than there is."""
        state = self._state
        if order.only_reduces:
            position = state.account.positions[order.symbol]
            quantity = min(quantity, position.reducible(order.side))
        quantity = min(quantity, order.remaining)
        if quantity <= ZERO or not order.is_open:
            return
        rates = state.rules
        rate = rates.maker_fee_rate if is_maker else rates.taker_fee_rate
        self._book(order, Fill(price, quantity, rate, is_maker), Execution.TRADE, now_ms)

    def fill_by_venue(self, order: WorkingOrder, fill: Fill, now_ms: int) -> None:
        """The venue's own order takes (part of) a position over."""
        self._book(order, fill, Execution.CALCULATED, now_ms)

    def _book(self, order: WorkingOrder, fill: Fill, execution: Execution, now_ms: int) -> None:
        state = self._state
        position = state.account.positions[order.symbol]
        was_side = position.side
        trade = state.account.book(order, fill, now_ms)
        order.filled += fill.quantity
        order.filled_quote += trade.quote
        order.updated_ms = now_ms
        is_done = order.remaining <= ZERO
        order.status = OrderStatus.FILLED if is_done else OrderStatus.PARTIALLY_FILLED
        if is_done:
            state.orders.end(order)
        state.log.emit(OrderChanged(now_ms, order.row(), execution, trade))
        self.tell_account(order.symbol, now_ms)
        self.on_order(order, now_ms)
        if was_side and position.side != was_side:
            self._position_closed(order.symbol, now_ms)

    def end(self, order: WorkingOrder, status: OrderStatus, now_ms: int, reason: str = "") -> None:
        """Cancel or expire an open order."""
        order.status = status
        order.reason = reason
        order.updated_ms = now_ms
        self._state.orders.end(order)
        self._tell(order, EXECUTION_OF_END[status], now_ms)
        self.on_order(order, now_ms)

    def amend(self, order: WorkingOrder, quantity: Decimal, price: Decimal, now_ms: int) -> None:
        """Change a resting order after all checks; it loses its place. Raises ExchangeError."""
        if quantity == order.quantity and price == order.price:
            raise refusal(-5027)
        state = self._state
        request = order.request
        changed = NewOrder(
            symbol=request.symbol,
            side=request.side,
            kind=OrderType.LIMIT,
            quantity=quantity,
            price=price,
            time_in_force=request.time_in_force,
            reduce_only=order.only_reduces,
        )
        check_order(changed, state.instruments[order.symbol], state.quotes[order.symbol].reference)
        if quantity <= order.filled:
            self.end(order, OrderStatus.CANCELED, now_ms)
            return
        self._check_time_in_force(changed, OrderType.LIMIT, quantity - order.filled)
        if order.only_reduces:
            self._check_reducible(changed, quantity - order.filled, besides=order)
        else:
            self._check_margin(changed, quantity - order.filled, price, besides=order)
        order.quantity, order.price = quantity, price
        order.updated_ms = now_ms
        self._tell(order, Execution.AMENDMENT, now_ms)
        self.take(order, now_ms)

    def tell_account(
        self, symbol: str, now_ms: int, reason: AccountReason = AccountReason.ORDER
    ) -> None:
        """Say what wallet and position are now."""
        state = self._state
        account = state.account
        balance = BalanceChange(
            account.asset, account.wallet_quote, account.cross_wallet_quote, ZERO
        )
        position = position_row(state, account.positions[symbol])
        state.log.emit(AccountChanged(now_ms, reason, (balance,), (position,)))

    # --- checks ---

    def _allowed_quantity(self, request: NewOrder, kind: OrderType) -> Decimal:
        """What the order may be at most. A market order that only reduces is cut to the position; a
        resting one has to leave room for the others that reduce it.
        """
        if not (request.reduce_only or request.close_position):
            return request.quantity
        position = self._state.account.positions[request.symbol]
        reducible = position.reducible(request.side)
        if reducible <= ZERO:
            raise refusal(-2022)
        if request.close_position:
            return reducible
        if kind is OrderType.MARKET:
            return min(request.quantity, reducible)
        self._check_reducible(request, request.quantity)
        return request.quantity

    def _check_reducible(
        self, request: NewOrder, quantity: Decimal, besides: WorkingOrder | None = None
    ) -> None:
        position = self._state.account.positions[request.symbol]
        room = position.reducible(request.side)
        for other in self._state.orders.resting(request.symbol):
            if other is not besides and other.only_reduces and other.side == request.side:
                room -= other.remaining
        if quantity > room:
            raise refusal(-2022)

    def _check_time_in_force(self, request: NewOrder, kind: OrderType, quantity: Decimal) -> None:
        if kind is not OrderType.LIMIT:
            return
        quotes = self._state.quotes[request.symbol]
        if request.time_in_force is TimeInForce.GTX and (
            quotes.crosses(request.side, request.price) or self._own_within(request)
        ):
            raise refusal(-5022)
        if request.time_in_force is TimeInForce.FOK:
            found = quotes.matches(request.side, quantity, request.price)
            if sum((size for _, size in found), ZERO) < quantity:
                raise refusal(-5021)

    def _worst_price(self, request: NewOrder, kind: OrderType, rules: Instrument) -> Decimal | None:
        """A limit order's own price; a market order stays within the band around the mark."""
        if kind is OrderType.LIMIT:
            return request.price
        mark = self._state.quotes[request.symbol].reference
        if mark is None:
            return None
        return mark * (rules.percent_price_up if request.side == BUY else rules.percent_price_down)

    def _taker_price(self, request: NewOrder) -> Decimal:
        """What a market order is valued at before it is filled: the best price against it."""
        levels = self._state.quotes[request.symbol].opposite(request.side)
        return levels[0][0]

    def _check_margin(
        self,
        request: NewOrder,
        quantity: Decimal,
        price: Decimal,
        besides: WorkingOrder | None = None,
    ) -> None:
        """-2027: brackets do not allow the position; -2019: the account cannot back it."""
        state = self._state
        position = state.account.positions[request.symbol]
        margin = symbol_margin(state, position)
        bids, asks = margin.bids, margin.asks
        if besides is not None:
            own = besides.remaining * besides.price
            bids, asks = (bids - own, asks) if besides.side == BUY else (bids, asks - own)
        before = exposure(margin.notional, bids, asks)
        added = quantity * price
        after = (
            exposure(margin.notional, bids + added, asks)
            if request.side == BUY
            else exposure(margin.notional, bids, asks + added)
        )
        if after <= before:
            return
        rules = state.instruments[request.symbol]
        if after > notional_max_of(rules, position.leverage):
            raise refusal(-2027)
        mark = state.quotes[request.symbol].reference
        loss = ZERO if mark is None else max(ZERO, (price - mark) * request.side * quantity)
        held = exposure(margin.notional, margin.bids, margin.asks)
        needed = (after - held) / position.leverage + loss
        if needed > balance_row(state).available_quote:
            raise refusal(-2019)

    # --- consequences ---

    def _expire_own(self, taker: WorkingOrder, worst: Decimal, now_ms: int) -> None:
        """Our own resting orders that the taker would meet expire: nobody trades with himself."""
        for order in self._state.orders.resting(taker.symbol):
            if order.side == -taker.side and (order.price - worst) * taker.side <= ZERO:
                self.end(order, OrderStatus.EXPIRED_IN_MATCH, now_ms, "self-trade prevention")

    def _own_within(self, request: NewOrder) -> bool:
        """Whether an order of our own rests where `request` would meet it."""
        return any(
            other.side == -request.side and (other.price - request.price) * request.side <= ZERO
            for other in self._state.orders.resting(request.symbol)
        )

    def _position_closed(self, symbol: str, now_ms: int) -> None:
        """What only reduces has nothing left to reduce."""
        position = self._state.account.positions[symbol]
        for order in self._state.orders.resting(symbol):
            if order.is_open and order.only_reduces and not position.reducible(order.side):
                self.end(order, OrderStatus.EXPIRED, now_ms, "nothing left to reduce")
        self.on_flat(symbol, now_ms)

    def _tell(self, order: WorkingOrder, execution: Execution, now_ms: int) -> None:
        self._state.log.emit(OrderChanged(now_ms, order.row(), execution))


def _ignore(order: WorkingOrder, now_ms: int) -> None:
    """Until somebody listens."""


def _ignore_flat(symbol: str, now_ms: int) -> None:
    """Until somebody listens."""
