"""Orders in the engine: each one's state, and where to find it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from tercel.adapters.simulator.exchange.amounts import in_units
from tercel.adapters.simulator.exchange.records import (
    OPEN_STATUSES,
    ZERO,
    NewOrder,
    OrderRef,
    OrderRow,
    OrderStatus,
    OrderType,
)

ENGINE_TYPES = {
    OrderType.STOP: OrderType.LIMIT,
    OrderType.TAKE_PROFIT: OrderType.LIMIT,
    OrderType.STOP_MARKET: OrderType.MARKET,
    OrderType.TAKE_PROFIT_MARKET: OrderType.MARKET,
    OrderType.TRAILING_STOP_MARKET: OrderType.MARKET,
}
"""What a conditional order becomes when it triggers."""


@dataclass(slots=True, eq=False)
class WorkingOrder:
    """An order that the engine took. Only the engine writes it."""

    order_id: int
    client_id: str
    request: NewOrder
    kind: OrderType
    quantity: Decimal
    price: Decimal
    created_ms: int
    updated_ms: int
    algo_id: int | None = None
    status: OrderStatus = OrderStatus.NEW
    filled: Decimal = ZERO
    filled_quote: Decimal = ZERO
    queue_ahead: Decimal | None = None
    """What rests before it at its price; None: not known, so that a touch does not fill it."""
    reason: str = ""

    @property
    def symbol(self) -> str:
        """Where it trades."""
        return self.request.symbol

    @property
    def side(self) -> int:
        """+1 buys, -1 sells."""
        return self.request.side

    @property
    def remaining(self) -> Decimal:
        """Still to fill, base."""
        return self.quantity - self.filled

    @property
    def is_open(self) -> bool:
        """Whether it can still be filled."""
        return self.status in OPEN_STATUSES

    @property
    def only_reduces(self) -> bool:
        """Whether it may never make a position larger."""
        return self.request.reduce_only or self.request.close_position

    def row(self) -> OrderRow:
        """What it looks like now."""
        request = self.request
        average = in_units(self.filled_quote / self.filled) if self.filled else ZERO
        return OrderRow(
            order_id=self.order_id,
            client_id=self.client_id,
            symbol=request.symbol,
            side=request.side,
            kind=self.kind,
            original_kind=request.kind,
            quantity=self.quantity,
            price=self.price,
            trigger_price=request.trigger_price,
            filled_quantity=self.filled,
            filled_quote=self.filled_quote,
            average_price=average,
            status=self.status,
            time_in_force=request.time_in_force,
            reduce_only=self.only_reduces,
            close_position=request.close_position,
            working_type=request.working_type,
            price_protect=request.price_protect,
            created_ms=self.created_ms,
            updated_ms=self.updated_ms,
            algo_id=self.algo_id,
            reason=self.reason,
        )


class OrderStore:
    """Every order by symbol and id, and by client id; the resting ones by symbol, oldest first."""

    def __init__(self, history_max: int) -> None:
        self._history_max = history_max
        self._by_id: dict[tuple[str, int], WorkingOrder] = {}
        self._by_client: dict[str, WorkingOrder] = {}
        self._open: dict[str, dict[int, WorkingOrder]] = {}
        self._ended: deque[WorkingOrder] = deque()

    def add(self, order: WorkingOrder) -> None:
        """A new order, resting for now."""
        self._by_id[order.symbol, order.order_id] = order
        self._by_client[order.client_id] = order
        self._open.setdefault(order.symbol, {})[order.order_id] = order

    def end(self, order: WorkingOrder) -> None:
        """It rests no more; the oldest ended ones are forgotten."""
        if self._open[order.symbol].pop(order.order_id, None) is None:
            return
        self._ended.append(order)
        if len(self._ended) > self._history_max:
            oldest = self._ended.popleft()
            del self._by_id[oldest.symbol, oldest.order_id]
            if self._by_client.get(oldest.client_id) is oldest:
                del self._by_client[oldest.client_id]

    def find(self, symbol: str, ref: OrderRef) -> WorkingOrder | None:
        """The order of `symbol` with that id or client id."""
        if isinstance(ref, int):
            return self._by_id.get((symbol, ref))
        found = self._by_client.get(ref)
        return found if found is not None and found.symbol == symbol else None

    def knows_client(self, client_id: str) -> bool:
        """Whether that client id was used."""
        return client_id in self._by_client

    def resting(self, symbol: str) -> list[WorkingOrder]:
        """The symbol's resting orders, oldest first: a copy."""
        found = self._open.get(symbol)
        return list(found.values()) if found else []

    def all_resting(self) -> list[WorkingOrder]:
        """Resting orders of every symbol, oldest first."""
        found = [order for orders in self._open.values() for order in orders.values()]
        return sorted(found, key=lambda order: (order.created_ms, order.order_id))

    def of_symbol(self, symbol: str) -> Iterator[WorkingOrder]:
        """Every remembered order of the symbol, newest first."""
        return (order for order in reversed(self._by_id.values()) if order.symbol == symbol)
