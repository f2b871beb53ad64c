"""Resting orders against what the market says: filled by a book that crosses them, by trades that
go through them, and by trades at their price once the queue before them is gone.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from tercel.adapters.simulator.exchange.algos import Conditional
from tercel.adapters.simulator.exchange.amounts import step_above, step_below
from tercel.adapters.simulator.exchange.engine import Engine
from tercel.adapters.simulator.exchange.orders import WorkingOrder
from tercel.adapters.simulator.exchange.quotes import Level, Quotes
from tercel.adapters.simulator.exchange.records import ZERO
from tercel.adapters.simulator.exchange.state import State


def by_priority(orders: Sequence[WorkingOrder]) -> list[WorkingOrder]:
    """Better prices first, then older orders."""
    if len(orders) == 1:
        return [orders[0]]
    return sorted(orders, key=lambda order: (-order.side * order.price, order.order_id))


def match_book(state: State, engine: Engine, symbol: str, now_ms: int) -> None:
    """Fill resting orders that the new book crosses, at their own price, as far as it offers."""
    resting = state.orders.resting(symbol)
    if not resting:
        return
    quotes = state.quotes[symbol]
    for order in by_priority(resting):
        if not order.is_open:
            continue
        if quotes.crosses(order.side, order.price):
            offered = quotes.matches(order.side, order.remaining, order.price)
            quotes.consume(order.side, offered)
            quantity = sum((size for _, size in offered), ZERO)
            engine.fill(order, order.price, quantity, now_ms, is_maker=True)
        else:
            _requeue(order, quotes)


def match_trade(state: State, engine: Engine, symbol: str, trade: Level, now_ms: int) -> None:
    """Fill what a trade of others at `trade` (price, quantity) goes through, or reaches."""
    price, quantity = trade
    resting = state.orders.resting(symbol)
    if not resting:
        return
    for order in by_priority(resting):
        distance = (price - order.price) * order.side
        if distance < ZERO:
            engine.fill(order, order.price, order.remaining, now_ms, is_maker=True)
        elif distance == ZERO and order.queue_ahead is not None:
            passed = min(order.queue_ahead, quantity)
            order.queue_ahead -= passed
            quantity -= passed
            filled = min(quantity, order.remaining)
            if filled > ZERO:
                engine.fill(order, order.price, filled, now_ms, is_maker=True)
                quantity -= filled


def _requeue(order: WorkingOrder, quotes: Quotes) -> None:
    """A queue is never longer than what rests at the price; an unknown one is seen for the first
    time.
    """
    shown = quotes.size_at(order.side, order.price)
    if shown is None:
        return
    if order.queue_ahead is None or shown < order.queue_ahead:
        order.queue_ahead = shown


def watched_prices(
    orders: Sequence[WorkingOrder], algos: Sequence[Conditional], tick: Decimal
) -> list[Decimal]:
    """For each resting order the first price that goes through it; for each conditional one the
    first price on the grid that fires it.
    """
    watched = [order.price - order.side * tick for order in orders]
    for algo in algos:
        trigger = algo.trigger_price
        if trigger is not None:
            on_grid = step_below if algo.fires_below else step_above
            watched.append(on_grid(trigger, tick))
    return watched
