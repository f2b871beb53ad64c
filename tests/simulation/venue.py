"""The simulated exchange behind the words of a session: what an adapter of a real venue does with
requests, answers and frames, without any of its I/O.

Rounding is the real adapter's (`adapters/ccxt/precision.py`), as are the meanings of the venue's
numbers and of the states of a conditional order.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from tercel.adapters.ccxt.binance.orders import FIRED, PHASES, algo_phase, forced_kind
from tercel.adapters.ccxt.precision import VenueRules
from tercel.adapters.simulator.exchange.errors import ExchangeError
from tercel.adapters.simulator.exchange.events import (
    AccountChanged,
    AccountReason,
    AlgoChanged,
    Execution,
    OrderChanged,
)
from tercel.adapters.simulator.exchange.events import Event as ExchangeEvent
from tercel.adapters.simulator.exchange.exchange import Exchange
from tercel.adapters.simulator.exchange.records import (
    AlgoRow,
    NewOrder,
    OrderRow,
    OrderType,
    TimeInForce,
    TradeRow,
    Window,
)
from tercel.core.codes import OrderKind
from tercel.domain.binance_numbers import FAULTS
from tercel.domain.events import Answer, Event, Fault, Filled, FundingPaid, OrderUpdate, Outcome
from tercel.domain.orders import (
    OrderPhase,
    OrderRequest,
    OrderSnapshot,
    PositionSnapshot,
    VenueFill,
)

EVERY_TRADE = 1_000_000
News = tuple[str, Event]
"""A channel of the user stream (order, algo or account), and what it tells. `time_ms` is 0."""


class SimulatedVenue:
    """Requests carried out at once; whoever drives it decides when they arrive."""

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange
        self.hidden: dict[str, int] = {}
        """Client ids that queries do not know before that moment."""
        self._told: dict[int, VenueFill] = {}
        """Fills by trade id: each reading tells those of the last minutes again."""

    def rules(self, symbol: str) -> VenueRules:
        """The grid of a symbol, as it is now."""
        listed = self.exchange.instrument(symbol)
        return VenueRules(
            symbol,
            listed.tick_size,
            listed.lot_size,
            listed.lot_size,
            listed.quantity_min,
            listed.notional_min_quote,
            is_trading=True,
        )

    # --- requests ----------------------------------------------------------------------------

    def place(self, request: OrderRequest, now_ms: int) -> Answer:
        """Send an order."""
        rules = self.rules(request.symbol)
        quantity = rules.quantity(request.quantity, request.kind)
        if quantity < rules.quantity_min:
            return Answer(Outcome.REFUSED, fault=Fault.FILTER, text="less than the minimum")
        order = NewOrder(
            symbol=request.symbol,
            side=request.side,
            kind=OrderType.MARKET,
            quantity=quantity,
            reduce_only=request.reduce_only,
            client_id=request.client_id,
        )
        try:
            if request.is_conditional:
                trigger = rules.trigger_price(request.trigger_price or 0.0, request.side)
                algo = self.exchange.place_conditional(_stop(order, trigger), now_ms)
                return self._told_algo(algo)
            if request.kind != OrderKind.MARKET:
                price = rules.limit_price(request.price or 0.0, request.side)
                order = _limit(order, price, is_maker=request.kind == OrderKind.POST_ONLY)
            return _told(self.exchange.place(order, now_ms))
        except ExchangeError as error:
            return refused(error)

    def cancel(self, client_id: str, symbol: str, *, is_conditional: bool, now_ms: int) -> Answer:
        """Cancel an order."""
        try:
            if is_conditional:
                algo = self.exchange.cancel_conditional(client_id, now_ms)
                return Answer(Outcome.DONE, str(algo.algo_id), OrderPhase.CANCELLED)
            return _told(self.exchange.cancel(symbol, client_id, now_ms))
        except ExchangeError as error:
            return refused(error)

    def query(self, client_id: str, symbol: str, *, is_conditional: bool, now_ms: int) -> Answer:
        """Ask about an order; a stop that was triggered is told by its engine order."""
        if self.hidden.get(client_id, 0) > now_ms:
            return Answer(Outcome.REFUSED, fault=Fault.NOT_FOUND, code=-2013, text="not yet")
        try:
            if is_conditional:
                return self._told_algo(self.exchange.conditional(client_id))
            return _told(self.exchange.order(symbol, client_id))
        except ExchangeError as error:
            return refused(error)

    def _told_algo(self, row: AlgoRow) -> Answer:
        status, filled = row.status.value, float(row.actual_quantity)
        phase = algo_phase(status, filled, float(row.quantity))
        is_fired = status in FIRED
        answer = Answer(Outcome.DONE, str(row.algo_id), phase, filled, is_triggered=is_fired)
        if row.actual_order_id is None:
            return answer
        engine = _told(self.exchange.order(row.symbol, row.actual_order_id))
        return replace(answer, phase=engine.phase, filled_quantity=engine.filled_quantity)

    # --- the parts of a reading --------------------------------------------------------------

    def open_orders(self, symbols: tuple[str, ...], now_ms: int) -> tuple[OrderSnapshot, ...]:
        """Resting orders of both kinds."""
        found: list[OrderSnapshot] = []
        for symbol in symbols:
            found += [_resting(row) for row in self.exchange.open_orders(symbol)]
            found += [_waiting(row) for row in self.exchange.open_conditionals(symbol)]
        return tuple(each for each in found if self.hidden.get(each.client_id, 0) <= now_ms)

    def positions(self, symbols: tuple[str, ...]) -> tuple[PositionSnapshot, ...]:
        """Positions that are not flat."""
        rows = [row for symbol in symbols for row in self.exchange.positions(symbol)]
        return tuple(
            PositionSnapshot(
                symbol=row.symbol,
                quantity=float(row.quantity),
                entry_price=float(row.entry_price),
                mark_price=float(row.mark_price),
                liquidation_price=float(row.liquidation_price),
                unrealised_quote=float(row.unrealised_quote),
            )
            for row in rows
            if row.quantity
        )

    def fills(self, symbols: tuple[str, ...], since_ms: int) -> tuple[VenueFill, ...]:
        """Our trades since, oldest first."""
        window = Window(start_ms=since_ms, limit=EVERY_TRADE)
        rows = [row for symbol in symbols for row in self.exchange.trades(symbol, window)]
        told = {row.trade_id: self._told.get(row.trade_id) or _fill(row) for row in rows}
        self._told = told
        return tuple(told[trade_id] for trade_id in sorted(told))

    # --- the user stream ---------------------------------------------------------------------

    def news(self) -> list[News]:
        """What the exchange has to tell since the last call."""
        return [told for event in self.exchange.take_events() for told in _news(event)]


def refused(error: ExchangeError) -> Answer:
    """What a number of the venue means."""
    return Answer(
        Outcome.REFUSED,
        fault=FAULTS.get(error.code, Fault.OTHER),
        code=error.code,
        text=error.message,
    )


def _stop(order: NewOrder, trigger: Decimal) -> NewOrder:
    return NewOrder(
        symbol=order.symbol,
        side=order.side,
        kind=OrderType.STOP_MARKET,
        quantity=order.quantity,
        trigger_price=trigger,
        reduce_only=order.reduce_only,
        client_id=order.client_id,
    )


def _limit(order: NewOrder, price: Decimal, *, is_maker: bool) -> NewOrder:
    return NewOrder(
        symbol=order.symbol,
        side=order.side,
        kind=OrderType.LIMIT,
        quantity=order.quantity,
        price=price,
        time_in_force=TimeInForce.GTX if is_maker else TimeInForce.GTC,
        reduce_only=order.reduce_only,
        client_id=order.client_id,
    )


def _told(row: OrderRow) -> Answer:
    phase = PHASES[row.status.value]
    return Answer(Outcome.DONE, str(row.order_id), phase, float(row.filled_quantity))


def _resting(row: OrderRow) -> OrderSnapshot:
    is_maker = row.time_in_force is TimeInForce.GTX
    return OrderSnapshot(
        client_id=row.client_id,
        venue_id=str(row.order_id),
        symbol=row.symbol,
        side=row.side,
        kind=OrderKind.POST_ONLY if is_maker else OrderKind.LIMIT,
        phase=PHASES[row.status.value],
        quantity=float(row.quantity),
        filled_quantity=float(row.filled_quantity),
        price=float(row.price),
        trigger_price=None,
        reduce_only=row.reduce_only,
        is_conditional=False,
        time_ms=row.updated_ms,
    )


def _waiting(row: AlgoRow) -> OrderSnapshot:
    return OrderSnapshot(
        client_id=row.client_id,
        venue_id=str(row.algo_id),
        symbol=row.symbol,
        side=row.side,
        kind=OrderKind.STOP,
        phase=OrderPhase.ACKED,
        quantity=float(row.quantity),
        filled_quantity=0.0,
        price=None,
        trigger_price=float(row.trigger_price),
        reduce_only=row.reduce_only,
        is_conditional=True,
        time_ms=row.updated_ms,
        is_triggered=row.status.value in FIRED,
    )


def _fill(row: TradeRow) -> VenueFill:
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
        kind=forced_kind(row.client_id),
    )


def _news(event: ExchangeEvent) -> list[News]:
    if isinstance(event, OrderChanged):
        row = event.order
        told: list[News] = []
        if event.trade is not None and event.execution in (Execution.TRADE, Execution.CALCULATED):
            told.append(("order", Filled(0, _fill(event.trade))))
        update = OrderUpdate(
            time_ms=0,
            client_id=row.client_id,
            venue_id=str(row.order_id),
            phase=PHASES[row.status.value],
            filled_quantity=float(row.filled_quantity),
            venue_time_ms=event.time_ms,
        )
        return [*told, ("order", update)]
    if isinstance(event, AlgoChanged):
        algo = event.algo
        filled = float(algo.actual_quantity)
        phase = algo_phase(algo.status.value, filled, float(algo.quantity))
        if phase is None:
            return []
        update = OrderUpdate(
            time_ms=0,
            client_id=algo.client_id,
            venue_id=str(algo.algo_id),
            phase=phase,
            filled_quantity=filled,
            is_triggered=algo.status.value in FIRED,
            venue_time_ms=event.time_ms,
        )
        return [("algo", update)]
    if isinstance(event, AccountChanged) and event.reason is AccountReason.FUNDING_FEE:
        paid = sum((float(each.change_quote) for each in event.balances), 0.0)
        return [("account", FundingPaid(0, event.symbol, paid))]
    return []
