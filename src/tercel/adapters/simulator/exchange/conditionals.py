"""The service of conditional orders: placed, watched, triggered, handed to the engine.

NEW -> TRIGGERING -> TRIGGERED (an order of the engine, with the same client id) -> FINISHED once
that order has ended. At the trigger the engine checks margin and position for the first time: what
it refuses is REJECTED, a closing order without a position EXPIRED.
"""

from __future__ import annotations

from decimal import Decimal

from tercel.adapters.simulator.exchange.algos import AlgoStore, Conditional
from tercel.adapters.simulator.exchange.engine import Engine
from tercel.adapters.simulator.exchange.errors import ExchangeError, refusal
from tercel.adapters.simulator.exchange.events import AlgoChanged
from tercel.adapters.simulator.exchange.filters import check_order
from tercel.adapters.simulator.exchange.orders import WorkingOrder
from tercel.adapters.simulator.exchange.records import (
    CONDITIONAL_TYPES,
    ZERO,
    AlgoStatus,
    NewOrder,
    OrderRef,
    WorkingType,
)
from tercel.adapters.simulator.exchange.state import State


class Conditionals:
    """Conditional orders over an engine."""

    def __init__(self, state: State, engine: Engine) -> None:
        self._state = state
        self._engine = engine
        self._held: set[str] = set()
        self.store = AlgoStore(state.rules.history_max)
        engine.on_order = self._engine_order_changed
        engine.on_flat = self._position_closed

    def place(self, request: NewOrder, now_ms: int) -> Conditional:
        """Take a conditional order. Raises ExchangeError; nothing has changed then."""
        state = self._state
        rules = state.instrument(request.symbol)
        if request.kind not in CONDITIONAL_TYPES:
            raise refusal(-1116)
        check_order(request, rules, state.quotes[request.symbol].reference)
        self._check_client_id(request.client_id)
        if request.close_position:
            self._check_closing(request)
        if self.store.waiting_count() >= state.rules.conditional_orders_max:
            raise refusal(-4045)
        algo = Conditional(0, request.client_id, request, now_ms, now_ms)
        price = self._price_of(algo)
        if algo.is_trailing:
            algo.is_activated = request.activation_price == ZERO
            if price is not None and not algo.is_activated and algo.follow(price):
                raise refusal(-2021)
            if price is not None and algo.is_activated:
                algo.follow(price)
        elif price is not None and algo.fires_at(price):
            raise refusal(-2021)
        algo.algo_id = state.ids.algo()
        algo.client_id = request.client_id or state.ids.client()
        self.store.add(algo)
        self._tell(algo, now_ms)
        return algo

    def find(self, ref: OrderRef) -> Conditional:
        """Raises ExchangeError -2013."""
        found = self.store.find(ref)
        if found is None:
            raise refusal(-2013)
        return found

    def cancel(self, ref: OrderRef, now_ms: int) -> Conditional:
        """Raises ExchangeError: -2011 where none waits, -4117 while it is being triggered."""
        found = self.store.find(ref)
        if found is not None and found.status is AlgoStatus.TRIGGERING:
            raise refusal(-4117)
        if found is None or found.status is not AlgoStatus.NEW:
            raise refusal(-2011)
        self._end(found, AlgoStatus.CANCELED, now_ms)
        return found

    def cancel_all(self, symbol: str, now_ms: int) -> list[Conditional]:
        """Cancel those of the symbol that wait; one that is being triggered stays."""
        found = [a for a in self.store.waiting(symbol) if a.status is AlgoStatus.NEW]
        for algo in found:
            self._end(algo, AlgoStatus.CANCELED, now_ms)
        return found

    def hold(self, symbol: str, is_held: bool, now_ms: int) -> None:
        """Keep what triggers TRIGGERING, or let go what was kept."""
        if is_held:
            self._held.add(symbol)
            return
        self._held.discard(symbol)
        for algo in self.store.waiting(symbol):
            if algo.status is AlgoStatus.TRIGGERING:
                self._launch(algo, now_ms)

    def on_price(self, symbol: str, price: Decimal, source: WorkingType, now_ms: int) -> None:
        """The last or the mark price moved: follow, and fire what it reaches."""
        for algo in self.store.waiting(symbol):
            if algo.request.working_type is not source or algo.status is not AlgoStatus.NEW:
                continue
            if algo.is_trailing and algo.follow(price):
                algo.updated_ms = now_ms
                self._tell(algo, now_ms)
            if algo.fires_at(price):
                self._trigger(algo, now_ms)

    # --- inside ---

    def _check_client_id(self, client_id: str) -> None:
        known = self.store.find(client_id) is not None
        if client_id and (known or self._state.orders.knows_client(client_id)):
            raise refusal(-4116)

    def _check_closing(self, request: NewOrder) -> None:
        position = self._state.account.positions[request.symbol]
        if not position.quantity:
            raise refusal(-4509)
        fires_below = Conditional(0, "", request, 0, 0).fires_below
        for other in self.store.waiting(request.symbol):
            same = other.request.side == request.side and other.fires_below == fires_below
            if other.request.close_position and same:
                raise refusal(-4130)

    def _price_of(self, algo: Conditional) -> Decimal | None:
        quotes = self._state.quotes[algo.symbol]
        is_mark = algo.request.working_type is WorkingType.MARK_PRICE
        return quotes.mark if is_mark else quotes.last

    def _trigger(self, algo: Conditional, now_ms: int) -> None:
        if algo.request.price_protect and self._is_torn(algo.symbol):
            self._end(algo, AlgoStatus.EXPIRED, now_ms, "price protection")
            return
        algo.status = AlgoStatus.TRIGGERING
        algo.triggered_ms = algo.updated_ms = now_ms
        self._tell(algo, now_ms)
        if algo.symbol not in self._held:
            self._launch(algo, now_ms)

    def _is_torn(self, symbol: str) -> bool:
        """Whether mark and last price are too far apart for a protected trigger."""
        quotes = self._state.quotes[symbol]
        if quotes.mark is None or quotes.last is None:
            return False
        rate = self._state.instruments[symbol].trigger_protect_rate
        return abs(quotes.mark - quotes.last) > rate * quotes.mark

    def _launch(self, algo: Conditional, now_ms: int) -> None:
        position = self._state.account.positions[algo.symbol]
        if algo.request.close_position and not position.reducible(algo.request.side):
            self._end(algo, AlgoStatus.EXPIRED, now_ms, "no position to close")
            return
        try:
            order = self._engine.admit(algo.request, now_ms, algo.algo_id)
        except ExchangeError as error:
            self._end(algo, AlgoStatus.REJECTED, now_ms, error.message)
            return
        order.client_id = algo.client_id
        algo.engine_order = order
        self._end(algo, AlgoStatus.TRIGGERED, now_ms)
        self._engine.launch(order, now_ms)

    def _engine_order_changed(self, order: WorkingOrder, now_ms: int) -> None:
        """The order of a triggered one has ended, filled or not: it is finished."""
        if order.algo_id is None or order.is_open:
            return
        algo = self.store.find(order.algo_id)
        if algo is not None and algo.status is AlgoStatus.TRIGGERED:
            algo.status = AlgoStatus.FINISHED
            algo.updated_ms = now_ms
            self._tell(algo, now_ms)

    def _position_closed(self, symbol: str, now_ms: int) -> None:
        """Orders that close the position go with it; those that only reduce stay, as orphans."""
        position = self._state.account.positions[symbol]
        for algo in self.store.waiting(symbol):
            closes = algo.request.close_position and algo.status is AlgoStatus.NEW
            if closes and not position.reducible(algo.request.side):
                self._end(algo, AlgoStatus.EXPIRED, now_ms, "no position to close")

    def _end(self, algo: Conditional, status: AlgoStatus, now_ms: int, reason: str = "") -> None:
        algo.status = status
        algo.reason = reason
        algo.updated_ms = now_ms
        self.store.leave(algo)
        self._tell(algo, now_ms)

    def _tell(self, algo: Conditional, now_ms: int) -> None:
        self._state.log.emit(AlgoChanged(now_ms, algo.row()))
