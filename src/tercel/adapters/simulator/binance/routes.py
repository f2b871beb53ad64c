"""What a request can ask: method, path, parameters, weight, and the function that answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from tercel.adapters.simulator.binance.parameters import Given
from tercel.adapters.simulator.binance.state import VenueState
from tercel.adapters.simulator.binance.wire import Json

Handler = Callable[[VenueState, Given], Json]
Weight = int | Callable[[Given], int]


class Security(Enum):
    """What a request must show."""

    NONE = "none"
    KEY = "key"
    """The key in the header, and no signature."""
    SIGNED = "signed"


@dataclass(frozen=True, slots=True)
class Route:
    """One request. `required` and `optional` are names of parameters, parted by spaces."""

    method: str
    path: str
    handle: Handler
    security: Security
    required: str = ""
    optional: str = ""
    weight: Weight = 1
    orders: int = 0
    """New orders it counts as."""

    @property
    def endpoint(self) -> str:
        """`POST /fapi/v1/order`."""
        return f"{self.method} {self.path}"

    def names(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Required and optional parameters, those of the signature included."""
        required, optional = tuple(self.required.split()), tuple(self.optional.split())
        if self.security is Security.SIGNED:
            required = (*required, "timestamp", "signature")
            optional = (*optional, "recvWindow")
        return required, optional


def public(path: str, handle: Handler, *names: str, weight: Weight = 1) -> Route:
    """A GET that anyone may ask; `names` are its required and its optional parameters."""
    required, optional = (*names, "", "")[:2]
    return Route("GET", path, handle, Security.NONE, required, optional, weight)


def signed(
    endpoint: str, handle: Handler, *names: str, weight: Weight = 1, orders: int = 0
) -> Route:
    """A signed request, named as `POST /fapi/v1/order`."""
    method, path = endpoint.split()
    required, optional = (*names, "", "")[:2]
    return Route(method, path, handle, Security.SIGNED, required, optional, weight, orders)


def each_or(one: int, every: int) -> Callable[[Given], int]:
    """A weight that depends on whether a symbol is named."""
    return lambda given: one if given.has("symbol") else every
