"""Which of our client ids an engine order belongs to.

Binance's trades carry the engine's order id alone, and the engine order of a triggered stop has
another one than the stop. What was seen together is remembered, the latest few thousand.
"""

from __future__ import annotations

from collections import OrderedDict

REMEMBERED_MAX = 10_000


class OrderNames:
    """Engine order id -> client id."""

    def __init__(self) -> None:
        self._names: OrderedDict[str, str] = OrderedDict()
        self._stops: OrderedDict[str, str] = OrderedDict()

    def learn(self, order_id: str, client_id: str) -> None:
        """An order and its client id were told together."""
        _keep(self._names, order_id, client_id)

    def learn_stop(self, engine_order_id: str, client_id: str) -> None:
        """The stop `client_id` was triggered and became that engine order; this outranks whatever
        client id the engine order has itself.
        """
        _keep(self._stops, engine_order_id, client_id)

    def of(self, order_id: str, told: str = "") -> str:
        """Client id of an engine order; `told` is what its row says. Empty: unknown."""
        return self._stops.get(order_id) or told or self._names.get(order_id, "")


def _keep(names: OrderedDict[str, str], order_id: str, client_id: str) -> None:
    if order_id and client_id:
        names[order_id] = client_id
        names.move_to_end(order_id)
        if len(names) > REMEMBERED_MAX:
            names.popitem(last=False)
