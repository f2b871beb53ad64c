"""What differs between venues in what they publish beside bars: the seam that another fills."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from tercel.adapters.ccxt.calls import Call, Json
from tercel.adapters.ccxt.link import RestDialect
from tercel.adapters.ccxt.made_for import made_for
from tercel.domain.context import Times, Values


class ContextDialect(RestDialect, Protocol):
    """How one venue is asked for funding, open interest and the like, and how it answers."""

    @property
    def sources(self) -> Mapping[str, str]:
        """Kind of context -> the source that its series is kept under."""
        ...

    def pages(self, kind: str, symbol: str, since_ms: int, now_ms: int) -> list[Call]:
        """The calls for what became known at `since_ms` or later, oldest first, each of which can
        be answered in full.
        """
        ...

    def rows(self, kind: str, answer: Json) -> tuple[Times, Values]:
        """When the values of an answer become known, ms UTC, and the values, in its own order.

        Raises KeyError, TypeError, ValueError, OverflowError on nonsense.
        """
        ...


def context_dialect(venue: str) -> ContextDialect:
    """The dialect of `venue`. Raises UserError where it cannot be asked yet."""
    from tercel.adapters.ccxt.binance.context import BinanceContextDialect

    made = {"binance-usdm": BinanceContextDialect}
    return made_for(venue, made, "what {} publishes cannot be read")
