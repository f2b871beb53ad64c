"""Conditional orders: each one's state, when it fires, and where to find it.

A stop that sells fires at or below its trigger, one that buys at or above; a take-profit the other
way round. A trailing stop follows the best price since it became active and fires `callback_rate`
percent away from it: sell, activated at 110, best 120, 1 %: fires at 118.8.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from tercel.adapters.simulator.exchange.amounts import in_units
from tercel.adapters.simulator.exchange.orders import WorkingOrder
from tercel.adapters.simulator.exchange.records import (
    SELL,
    ZERO,
    AlgoRow,
    AlgoStatus,
    NewOrder,
    OrderRef,
    OrderType,
)

STOPS = frozenset({OrderType.STOP, OrderType.STOP_MARKET})
PERCENT = Decimal(100)


@dataclass(slots=True, eq=False)
class Conditional:
    """A conditional order. Only `conditionals.py` writes it."""

    algo_id: int
    client_id: str
    request: NewOrder
    created_ms: int
    updated_ms: int
    status: AlgoStatus = AlgoStatus.NEW
    is_activated: bool = True
    best: Decimal | None = None
    """Best price since a trailing stop became active."""
    triggered_ms: int = 0
    engine_order: WorkingOrder | None = None
    reason: str = ""

    @property
    def symbol(self) -> str:
        """Where it trades."""
        return self.request.symbol

    @property
    def is_trailing(self) -> bool:
        """Whether its trigger moves."""
        return self.request.kind is OrderType.TRAILING_STOP_MARKET

    @property
    def fires_below(self) -> bool:
        """Whether a falling price fires it."""
        if self.is_trailing:
            return self.request.side == SELL
        return (self.request.kind in STOPS) == (self.request.side == SELL)

    @property
    def trigger_price(self) -> Decimal | None:
        """Where it fires as things are; None while a trailing stop is not active."""
        if not self.is_trailing:
            return self.request.trigger_price
        if self.best is None:
            return None
        gap = self.request.callback_rate / PERCENT
        return self.best * (1 - gap if self.request.side == SELL else 1 + gap)

    def fires_at(self, price: Decimal) -> bool:
        """Whether `price` fires it, as things are."""
        trigger = self.trigger_price
        if trigger is None:
            return False
        return price <= trigger if self.fires_below else price >= trigger

    def follow(self, price: Decimal) -> bool:
        """A trailing stop sees `price`; True where that made it active."""
        side = self.request.side
        became = False
        if not self.is_activated:
            # A sell waits for a price at least as high as its activation price.
            if (price - self.request.activation_price) * side > ZERO:
                return False
            self.is_activated = became = True
        if self.best is None or (price - self.best) * side < ZERO:
            self.best = price
        return became

    def row(self) -> AlgoRow:
        """What it looks like now."""
        request, placed = self.request, self.engine_order
        filled = placed.filled if placed else ZERO
        return AlgoRow(
            algo_id=self.algo_id,
            client_id=self.client_id,
            symbol=request.symbol,
            side=request.side,
            kind=request.kind,
            quantity=request.quantity,
            price=request.price,
            trigger_price=request.trigger_price,
            time_in_force=request.time_in_force,
            reduce_only=request.reduce_only,
            close_position=request.close_position,
            working_type=request.working_type,
            price_protect=request.price_protect,
            callback_rate=request.callback_rate,
            activation_price=request.activation_price,
            is_activated=self.is_activated,
            status=self.status,
            created_ms=self.created_ms,
            updated_ms=self.updated_ms,
            triggered_ms=self.triggered_ms,
            actual_order_id=placed.order_id if placed else None,
            actual_price=in_units(placed.filled_quote / filled) if placed and filled else ZERO,
            actual_quantity=filled,
            actual_kind=placed.kind if placed else None,
            reason=self.reason,
        )


class AlgoStore:
    """Every conditional order by id and client id; the waiting ones by symbol, oldest first."""

    def __init__(self, history_max: int) -> None:
        self._history_max = history_max
        self._by_id: dict[int, Conditional] = {}
        self._by_client: dict[str, Conditional] = {}
        self._waiting: dict[str, dict[int, Conditional]] = {}
        self._left: deque[Conditional] = deque()

    def add(self, algo: Conditional) -> None:
        """A new one, waiting."""
        self._by_id[algo.algo_id] = algo
        self._by_client[algo.client_id] = algo
        self._waiting.setdefault(algo.symbol, {})[algo.algo_id] = algo

    def leave(self, algo: Conditional) -> None:
        """It waits no more; the oldest such are forgotten."""
        if self._waiting[algo.symbol].pop(algo.algo_id, None) is None:
            return
        self._left.append(algo)
        if len(self._left) > self._history_max:
            oldest = self._left.popleft()
            del self._by_id[oldest.algo_id]
            if self._by_client.get(oldest.client_id) is oldest:
                del self._by_client[oldest.client_id]

    def find(self, ref: OrderRef) -> Conditional | None:
        """The one with that id or client id."""
        return self._by_id.get(ref) if isinstance(ref, int) else self._by_client.get(ref)

    def has_waiting(self, symbol: str) -> bool:
        """Whether anything of the symbol waits."""
        return bool(self._waiting.get(symbol))

    def waiting(self, symbol: str) -> list[Conditional]:
        """The symbol's waiting ones, oldest first: a copy."""
        found = self._waiting.get(symbol)
        return list(found.values()) if found else []

    def all_waiting(self) -> list[Conditional]:
        """Waiting ones of every symbol, oldest first."""
        found = [algo for algos in self._waiting.values() for algo in algos.values()]
        return sorted(found, key=lambda algo: algo.algo_id)

    def waiting_count(self) -> int:
        """How many wait, in all symbols."""
        return sum(len(algos) for algos in self._waiting.values())

    def of_symbol(self, symbol: str) -> Iterator[Conditional]:
        """Every remembered one of the symbol, newest first."""
        return (algo for algo in reversed(self._by_id.values()) if algo.symbol == symbol)
