"""Which of our client ids an engine order belongs to.

Binance's trades carry the engine's order id alone, and the engine order of a triggered stop has
another one than the stop. Orders are numbered per symbol: the same number may be an order in each.
What was seen together is remembered, the latest few thousand.
"""

from __future__ import annotations

from collections import OrderedDict

from tercel.domain.orders import parse_client_id

REMEMBERED_MAX = 10_000

Numbered = tuple[str, str]
"""(symbol, engine order id)."""


class OrderNames:
    """Symbol and engine order id -> client id."""

    def __init__(self) -> None:
        self._names: OrderedDict[Numbered, str] = OrderedDict()
        self._stops: OrderedDict[Numbered, str] = OrderedDict()

    def learn(self, symbol: str, order_id: str, client_id: str) -> None:
        """An order and its client id were told together."""
        _keep(self._names, (symbol, order_id), client_id)

    def learn_stop(self, symbol: str, engine_order_id: str, client_id: str) -> None:
        """The stop `client_id` was triggered and became that engine order; this outranks a client
        id of the engine order that is none of ours.
        """
        _keep(self._stops, (symbol, engine_order_id), client_id)

    def give_up(self, symbol: str, order_id: str) -> None:
        """Nobody can tell whose order that is any more: it stays without a name."""
        _put(self._names, (symbol, order_id), "")

    def is_settled(self, symbol: str, order_id: str) -> bool:
        """Whether its client id is known, or was given up."""
        number = symbol, order_id
        return number in self._names or number in self._stops

    def of(self, symbol: str, order_id: str, told: str = "") -> str:
        """Client id of an engine order; `told` is what its row says. Empty: unknown.

        Nobody but us gives an order one of our ids, so that one that is told is the order's own.
        """
        number = symbol, order_id
        own = told or self._names.get(number, "")
        if parse_client_id(own) is not None:
            return own
        return self._stops.get(number) or own


def _keep(names: OrderedDict[Numbered, str], number: Numbered, client_id: str) -> None:
    if number[1] and client_id:
        _put(names, number, client_id)


def _put(names: OrderedDict[Numbered, str], number: Numbered, client_id: str) -> None:
    names[number] = client_id
    names.move_to_end(number)
    if len(names) > REMEMBERED_MAX:
        names.popitem(last=False)
