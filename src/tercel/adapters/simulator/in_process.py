"""The simulated exchange behind the session's own records: no protocol, no bytes.

`InProcessExchange` speaks in our requests, answers and events, synchronously and on whatever time
the caller gives: fault runs drive it in virtual time. `InProcessVenue` is `ports.Venue` around it,
for paper sessions: live quotes and bars are its market, its fills are simulated.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Callable, Sequence
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Decimal

from tercel.adapters.simulator.exchange.amounts import decimal_of
from tercel.adapters.simulator.exchange.errors import ExchangeError
from tercel.adapters.simulator.exchange.events import (
    AccountChanged,
    AccountReason,
    AlgoChanged,
    Execution,
    OrderChanged,
)
from tercel.adapters.simulator.exchange.exchange import Exchange
from tercel.adapters.simulator.exchange.records import (
    ZERO,
    AlgoRow,
    AlgoStatus,
    NewOrder,
    OrderRow,
    OrderStatus,
    OrderType,
    PositionRow,
    TimeInForce,
    TradeRow,
    Window,
)
from tercel.app.ports import FeedBar, FeedQuote
from tercel.core.codes import OrderKind, Slot
from tercel.domain.binance_numbers import FAULTS
from tercel.domain.events import (
    Answer,
    Event,
    Fault,
    FeedNews,
    Filled,
    FundingPaid,
    OrderUpdate,
    Outcome,
)
from tercel.domain.orders import (
    OrderPhase,
    OrderRequest,
    OrderSnapshot,
    PositionSnapshot,
    VenueFill,
    VenueSnapshot,
)
from tercel.domain.venue_instrument import LargestOrder

_PHASES: dict[OrderStatus, OrderPhase] = {
    OrderStatus.NEW: OrderPhase.ACKED,
    OrderStatus.PARTIALLY_FILLED: OrderPhase.PARTLY_FILLED,
    OrderStatus.FILLED: OrderPhase.FILLED,
    OrderStatus.CANCELED: OrderPhase.CANCELLED,
    OrderStatus.REJECTED: OrderPhase.REJECTED,
    OrderStatus.EXPIRED: OrderPhase.EXPIRED,
    OrderStatus.EXPIRED_IN_MATCH: OrderPhase.EXPIRED,
}
_ALGO_PHASES: dict[AlgoStatus, OrderPhase] = {
    AlgoStatus.NEW: OrderPhase.ACKED,
    AlgoStatus.TRIGGERING: OrderPhase.ACKED,
    AlgoStatus.TRIGGERED: OrderPhase.ACKED,
    AlgoStatus.CANCELED: OrderPhase.CANCELLED,
    AlgoStatus.REJECTED: OrderPhase.REJECTED,
    AlgoStatus.EXPIRED: OrderPhase.EXPIRED,
}
_KINDS: dict[OrderType, OrderKind] = {
    OrderType.MARKET: OrderKind.MARKET,
    OrderType.LIMIT: OrderKind.LIMIT,
}


def answer_of(error: ExchangeError) -> Answer:
    """A refusal, in our words."""
    fault = FAULTS.get(error.code, Fault.OTHER)
    return Answer(Outcome.REFUSED, fault=fault, code=error.code, text=error.message)


def algo_phase(row: AlgoRow) -> OrderPhase:
    """Where a conditional order is; FINISHED tells by what its engine order filled."""
    if row.status is not AlgoStatus.FINISHED:
        return _ALGO_PHASES[row.status]
    return OrderPhase.FILLED if row.actual_quantity >= row.quantity else OrderPhase.CANCELLED


class InProcessExchange:
    """An Exchange in the words of a session."""

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange

    # --- requests --------------------------------------------------------------------------------

    def new_order(self, request: OrderRequest) -> NewOrder | str:
        """The request with its numbers on the grid of its symbol, or why it is none: an entry that
        one order could not close.

        A trigger is rounded towards the market, so that a stop is never farther away than asked;
        quantities are rounded to the nearest lot: the core has cut them already. What reduces is
        cut to the largest order, as at a venue's boundary.
        """
        instrument = self.exchange.instrument(request.symbol)
        largest = LargestOrder(instrument.quantity_max, instrument.market_quantity_max)
        lots = decimal_of(request.quantity) / instrument.lot_size
        quantity = lots.to_integral_value(ROUND_HALF_EVEN) * instrument.lot_size
        if objection := largest.objection(request, quantity):
            return objection
        if request.slot != Slot.ENTRY:
            quantity = largest.part(quantity, request.kind, instrument.lot_size)
        kind, time_in_force = OrderType.MARKET, TimeInForce.GTC
        if request.kind in (OrderKind.LIMIT, OrderKind.POST_ONLY):
            kind = OrderType.LIMIT
        if request.kind == OrderKind.POST_ONLY:
            time_in_force = TimeInForce.GTX
        if request.kind == OrderKind.STOP:
            kind = OrderType.STOP_MARKET
        towards = ROUND_CEILING if request.side < 0 else ROUND_FLOOR
        return NewOrder(
            symbol=request.symbol,
            side=request.side,
            kind=kind,
            quantity=quantity,
            price=_on_grid(request.price, instrument.tick_size, ROUND_HALF_EVEN),
            trigger_price=_on_grid(request.trigger_price, instrument.tick_size, towards),
            time_in_force=time_in_force,
            reduce_only=request.reduce_only,
            client_id=request.client_id,
        )

    def place(self, request: OrderRequest, now_ms: int) -> Answer:
        """Send an order."""
        try:
            order = self.new_order(request)
            if isinstance(order, str):
                return Answer(Outcome.REFUSED, fault=Fault.FILTER, text=order)
            if request.is_conditional:
                return _told_algo(self.exchange.place_conditional(order, now_ms))
            made = self.exchange.place(order, now_ms)
        except ExchangeError as error:
            return answer_of(error)
        return _told_order(made)

    def cancel(self, client_id: str, symbol: str, now_ms: int, *, is_conditional: bool) -> Answer:
        """Cancel an order by our id."""
        try:
            if is_conditional:
                row = self.exchange.cancel_conditional(client_id, now_ms)
                return _told_algo(row)
            made = self.exchange.cancel(symbol, client_id, now_ms)
        except ExchangeError as error:
            return answer_of(error)
        return _told_order(made)

    def query(self, client_id: str, symbol: str, *, is_conditional: bool) -> Answer:
        """What the exchange knows of an order of ours."""
        try:
            if is_conditional:
                row = self.exchange.conditional(client_id)
                return _told_algo(row)
            made = self.exchange.order(symbol, client_id)
        except ExchangeError as error:
            return answer_of(error)
        return _told_order(made)

    def read(self, symbols: Sequence[str], since_ms: int, now_ms: int) -> VenueSnapshot:
        """Everything the exchange knows of our account."""
        exchange = self.exchange
        balance = exchange.balances()[0]
        positions, orders, fills = [], [], []
        for symbol in symbols:
            positions += [_position_snapshot(row) for row in exchange.positions(symbol)]
            orders += [_order_snapshot(row) for row in exchange.open_orders(symbol)]
            orders += [_algo_snapshot(row) for row in exchange.open_conditionals(symbol)]
            window = Window(start_ms=since_ms, limit=1_000_000)
            fills += [self.fill_of(row) for row in exchange.trades(symbol, window)]
        return VenueSnapshot(
            time_ms=now_ms,
            wallet_quote=float(balance.wallet_quote),
            available_quote=float(balance.available_quote),
            positions=tuple(each for each in positions if each.quantity != 0.0),
            orders=tuple(orders),
            fills=tuple(sorted(fills, key=lambda each: (each.time_ms, int(each.trade_id)))),
        )

    # --- news ------------------------------------------------------------------------------------

    def take_news(self) -> list[Event]:
        """What happened on the account since the last call; `time_ms` is that of the exchange."""
        made: list[Event] = []
        for event in self.exchange.take_events():
            if isinstance(event, OrderChanged):
                made += self._order_news(event)
            elif isinstance(event, AlgoChanged):
                row = event.algo
                made.append(
                    OrderUpdate(
                        event.time_ms,
                        row.client_id,
                        str(row.algo_id),
                        algo_phase(row),
                        float(row.actual_quantity),
                        is_triggered=row.status is AlgoStatus.TRIGGERED,
                        venue_time_ms=event.time_ms,
                    )
                )
            elif isinstance(event, AccountChanged) and event.reason is AccountReason.FUNDING_FEE:
                amount = sum((each.change_quote for each in event.balances), ZERO)
                made.append(FundingPaid(event.time_ms, event.symbol, float(amount)))
        return made

    def _order_news(self, event: OrderChanged) -> list[Event]:
        row, made = event.order, list[Event]()
        if event.trade is not None:
            forced = event.execution is Execution.CALCULATED or row.kind is OrderType.LIQUIDATION
            fill = self.fill_of(event.trade, kind="liquidation" if forced else "trade")
            made.append(Filled(event.time_ms, fill))
        if row.kind is not OrderType.LIQUIDATION:
            made.append(
                OrderUpdate(
                    event.time_ms,
                    row.client_id,
                    str(row.order_id),
                    _PHASES[row.status],
                    float(row.filled_quantity),
                    venue_time_ms=event.time_ms,
                )
            )
        return made

    @staticmethod
    def fill_of(row: TradeRow, kind: str = "trade") -> VenueFill:
        """A trade in our words. Forced trades are known by the venue's own order id."""
        forced = row.client_id.startswith(("autoclose-", "adl_autoclose"))
        return VenueFill(
            trade_id=str(row.trade_id),
            client_id=row.client_id,
            venue_order_id=str(row.order_id),
            symbol=row.symbol,
            side=row.side,
            price=float(row.price),
            quantity=float(row.quantity),
            fee_quote=float(row.fee_quote),
            is_maker=row.is_maker,
            time_ms=row.time_ms,
            kind="liquidation" if forced else kind,
        )


def _on_grid(value: float | None, step: Decimal, rounding: str) -> Decimal:
    if value is None or not math.isfinite(value):
        return ZERO
    return (decimal_of(value) / step).to_integral_value(rounding) * step


def _told_order(row: OrderRow) -> Answer:
    filled, quantity = float(row.filled_quantity), float(row.quantity)
    phase = _PHASES[row.status]
    return Answer(Outcome.DONE, str(row.order_id), phase, filled, quantity=quantity)


def _told_algo(row: AlgoRow) -> Answer:
    filled, quantity = float(row.actual_quantity), float(row.quantity)
    return Answer(Outcome.DONE, str(row.algo_id), algo_phase(row), filled, quantity=quantity)


def _position_snapshot(row: PositionRow) -> PositionSnapshot:
    return PositionSnapshot(
        row.symbol,
        float(row.quantity),
        float(row.entry_price),
        float(row.mark_price),
        float(row.liquidation_price),
        float(row.unrealised_quote),
    )


def _order_snapshot(row: OrderRow) -> OrderSnapshot:
    return OrderSnapshot(
        client_id=row.client_id,
        venue_id=str(row.order_id),
        symbol=row.symbol,
        side=row.side,
        kind=_KINDS.get(row.kind, OrderKind.LIMIT),
        phase=_PHASES[row.status],
        quantity=float(row.quantity),
        filled_quantity=float(row.filled_quantity),
        price=float(row.price),
        trigger_price=None,
        reduce_only=row.reduce_only,
        is_conditional=False,
        time_ms=row.updated_ms,
    )


def _algo_snapshot(row: AlgoRow) -> OrderSnapshot:
    return OrderSnapshot(
        client_id=row.client_id,
        venue_id=str(row.algo_id),
        symbol=row.symbol,
        side=row.side,
        kind=OrderKind.STOP,
        phase=algo_phase(row),
        quantity=float(row.quantity),
        filled_quantity=float(row.actual_quantity),
        price=None,
        trigger_price=float(row.trigger_price),
        reduce_only=row.reduce_only,
        is_conditional=True,
        time_ms=row.updated_ms,
    )


class InProcessVenue:
    """ports.Venue around an exchange in this process; `now_ms` tells venue time."""

    def __init__(self, exchange: Exchange, now_ms: Callable[[], int], name: str) -> None:
        self.name = name
        self._world = InProcessExchange(exchange)
        self._symbols = frozenset(each.symbol for each in exchange.instruments())
        self._now_ms = now_ms
        self._news: asyncio.Queue[Event | None] = asyncio.Queue()
        self._is_closed = False

    async def connect(self) -> None:
        """There is nothing to connect to."""

    async def open(self) -> None:
        """The account is there already."""
        self._news.put_nowait(FeedNews(0, "user", is_up=True, detail="simulated exchange"))

    async def place(self, request: OrderRequest) -> Answer:
        """Send one order."""
        answer = self._world.place(request, self._now_ms())
        self._tell()
        return answer

    async def cancel(self, client_id: str, symbol: str, *, is_conditional: bool) -> Answer:
        """Cancel one order by our id."""
        answer = self._world.cancel(
            client_id, symbol, self._now_ms(), is_conditional=is_conditional
        )
        self._tell()
        return answer

    async def query(self, client_id: str, symbol: str, *, is_conditional: bool) -> Answer:
        """What the exchange knows of one order of ours."""
        return self._world.query(client_id, symbol, is_conditional=is_conditional)

    async def read(self, symbols: Sequence[str], since_ms: int) -> VenueSnapshot:
        """Positions, open orders of both kinds, fills since, balance."""
        return self._world.read(symbols, since_ms, self._now_ms())

    async def time_ms(self) -> int:
        """The exchange has the session's clock."""
        return self._now_ms()

    def on_clock_error(self, tell: Callable[[], None]) -> None:
        """There is one clock."""

    async def news(self) -> AsyncIterator[Event]:
        """News of our orders, fills and funding as they come; ends with `close`."""
        while (event := await self._news.get()) is not None:
            yield event

    async def close(self) -> None:
        """Nobody listens any more."""
        if not self._is_closed:
            self._is_closed = True
            self._news.put_nowait(None)

    def see(self, item: FeedBar | FeedQuote) -> None:
        """The market moved. A quote is the book; stops that sell trigger at its bid, those that buy
        at its ask, and its middle is the mark price. A closed bar's close is a trade. A limit fills
        where the book crosses it or the close went through it; within a bar nothing else is known.
        What is seen of a symbol that is not traded here moves nothing.
        """
        if item.symbol not in self._symbols:
            return
        exchange, now = self._world.exchange, self._now_ms()
        if isinstance(item, FeedQuote):
            bid, ask = decimal_of(item.bid), decimal_of(item.ask)
            if bid < ask:
                exchange.on_book(
                    item.symbol,
                    [(bid, decimal_of(item.bid_size))],
                    [(ask, decimal_of(item.ask_size))],
                    now,
                )
                exchange.on_touch(item.symbol, bid, ask, now)
                exchange.on_mark(item.symbol, (bid + ask) / 2, now)
        else:
            price = decimal_of(float(item.bar["close"][0]))
            exchange.on_trade(item.symbol, price, decimal_of(float(item.bar["volume"][0])), now)
        self._tell()

    def _tell(self) -> None:
        for event in self._world.take_news():
            self._news.put_nowait(event)
