"""What differs between venues once orders are sent: the seam that another venue fills."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from tercel.adapters.ccxt.calls import Call, CallFailedError, Json
from tercel.adapters.ccxt.fees import FeePrices
from tercel.adapters.ccxt.link import Link, RestDialect
from tercel.adapters.ccxt.made_for import made_for
from tercel.adapters.ccxt.precision import VenueRules
from tercel.adapters.ccxt.stream import Stream
from tercel.app.ports import Clock
from tercel.domain.events import Answer, Event
from tercel.domain.live_settings import VenueSettings
from tercel.domain.orders import OrderRequest, VenueSnapshot


class AccountSide(Protocol):
    """One venue's account: what is remembered of it while it is open."""

    user_stream: Stream

    async def set_up(self, symbols: Sequence[str]) -> None:
        """The key's permissions, position mode, margin mode, leverage. Raises TercelError."""
        ...

    async def read(self, symbols: Sequence[str], since_ms: int, now_ms: int) -> VenueSnapshot:
        """The account's picture. Raises VenueError."""
        ...

    def parse(self, frame: Json) -> list[Event]:
        """Events of a frame of the user stream."""
        ...

    async def keep(self) -> None:
        """Whatever the user stream needs to stay alive; runs until cancelled."""
        ...

    async def funding(self, since_ms: int) -> list[tuple[str, str, float]]:
        """(transaction id, symbol, amount) of funding since. Raises VenueError."""
        ...

    def note(self, symbol: str) -> None:
        """Something happened in `symbol`: its fills are looked for."""
        ...

    def doubt(self) -> None:
        """Something may have gone unheard: fills of every symbol are looked for."""
        ...

    def hear(self, *, is_up: bool) -> None:
        """The user stream came or went; while it is down fills are looked for without it."""
        ...

    def learn(self, symbol: str, order_id: str, client_id: str) -> None:
        """An order's two ids were told together."""
        ...

    def learn_stop(self, symbol: str, engine_order_id: str, client_id: str) -> None:
        """The stop `client_id` became that engine order, also where that tells an id that is none
        of ours.
        """
        ...


class VenueDialect(RestDialect, Protocol):
    """How one venue takes orders and tells of them."""

    quote: str
    """Coin of wallet and prices."""
    fee_coins: Mapping[str, str]
    """Other coins that fees are paid in, and the symbol that prices each."""

    def account(
        self, link: Link, clock: Clock, settings: VenueSettings, prices: FeePrices
    ) -> AccountSide:
        """The account behind `link`."""
        ...

    async def rules(self, link: Link, symbols: Sequence[str]) -> dict[str, VenueRules]:
        """Rules of the symbols. Raises UserError, VenueError."""
        ...

    async def time_ms(self, link: Link) -> int:
        """The venue's clock. Raises VenueError."""
        ...

    async def price(self, link: Link, symbol: str) -> float:
        """The last price of `symbol`. Raises VenueError."""
        ...

    def place(self, request: OrderRequest, rules: VenueRules) -> Call | str:
        """The call that sends an order, or why it cannot be sent."""
        ...

    def cancel(self, client_id: str, symbol: str, *, is_conditional: bool) -> Call:
        """The call that cancels one order."""
        ...

    def query(self, client_id: str, symbol: str, *, is_conditional: bool) -> Call:
        """The call that asks for one order."""
        ...

    def engine_order(self, row: Json) -> str:
        """Number of the order that a conditional order became, by its row; empty: it has not been
        triggered, or its row tells all.
        """
        ...

    def query_engine(self, engine_id: str, symbol: str) -> Call:
        """The call that asks for such an order."""
        ...

    def answer(self, row: Json, *, is_conditional: bool) -> Answer:
        """What a row of an order says. Raises KeyError, TypeError, ValueError on nonsense."""
        ...

    def refused_write(self, error: CallFailedError) -> Answer:
        """What a failed write came to."""
        ...

    def refused_query(self, error: CallFailedError) -> Answer:
        """What a failed question came to."""
        ...


def live_dialect(venue: str) -> VenueDialect:
    """The dialect of `venue`. Raises UserError where orders cannot be sent yet."""
    from tercel.adapters.ccxt.binance.dialect import BinanceDialect

    return made_for(venue, {"binance-usdm": BinanceDialect}, "orders cannot be sent to {}")
