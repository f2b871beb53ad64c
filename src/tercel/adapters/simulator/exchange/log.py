"""Events in order, and the numbers that count up."""

from __future__ import annotations

import hashlib

from tercel.adapters.simulator.exchange.events import Event

FIRST_ORDER_ID = 1_000_001
FIRST_ALGO_ID = 2_000_000_001
"""Far from the orders' numbers, so that one taken for the other is noticed."""
CLIENT_ID_LENGTH = 22


class EventLog:
    """What happened and nobody has taken yet."""

    def __init__(self) -> None:
        self._events: list[Event] = []

    def emit(self, event: Event) -> None:
        """Add `event`."""
        self._events.append(event)

    def take(self) -> list[Event]:
        """Everything since the last call, in order."""
        taken, self._events = self._events, []
        return taken


class Ids:
    """The venue's numbers, each one above the last, and client ids for who sends none. Orders are
    numbered per symbol, as Binance does: two of them may have one number.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._orders: dict[str, int] = {}
        self._algo = FIRST_ALGO_ID
        self._trade = 1
        self._income = 1
        self._client = 0

    def order(self, symbol: str) -> int:
        """The next order's in `symbol`."""
        number = self._orders.get(symbol, FIRST_ORDER_ID)
        self._orders[symbol] = number + 1
        return number

    def algo(self) -> int:
        """The next conditional order's."""
        self._algo += 1
        return self._algo - 1

    def trade(self) -> int:
        """The next trade's."""
        self._trade += 1
        return self._trade - 1

    def income(self) -> int:
        """The next income row's."""
        self._income += 1
        return self._income - 1

    def client(self, prefix: str = "") -> str:
        """A client id that looks drawn and follows from the seed."""
        self._client += 1
        text = f"{self._seed}:{self._client}".encode()
        return prefix + hashlib.blake2b(text).hexdigest()[: CLIENT_ID_LENGTH - len(prefix)]
