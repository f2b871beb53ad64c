"""A session: its venue, its market data, and what it keeps."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from tercel.core.records import Records
from tercel.domain.events import Answer, Event, FeedNews
from tercel.domain.journal import JournalRow
from tercel.domain.lease import LeaseHolder
from tercel.domain.orders import OrderRequest, VenueSnapshot
from tercel.domain.session_state import SessionState, StateRead
from tercel.domain.venue_instrument import VenueInstrument


class Venue(Protocol):
    """Where orders go: a real venue, or the simulated one.

    A write never raises for what the venue says: the answer tells whether it was carried out,
    refused, or whether nobody knows. It is never sent twice by the adapter.
    """

    name: str

    async def connect(self) -> None:
        """Make the client: enough for `time_ms`, which comes first. Raises VenueError."""
        ...

    async def open(self) -> None:
        """Instruments, leverage, margin and position mode as wanted. Raises VenueError."""
        ...

    async def place(self, request: OrderRequest) -> Answer:
        """Send one order, its price and quantity rounded to tick and lot here and only here."""
        ...

    async def cancel(self, client_id: str, symbol: str, *, is_conditional: bool) -> Answer:
        """Cancel one order by our id."""
        ...

    async def query(self, client_id: str, symbol: str, *, is_conditional: bool) -> Answer:
        """What the venue knows of one order of ours; REFUSED with NOT_FOUND: none."""
        ...

    async def read(self, symbols: Sequence[str], since_ms: int) -> VenueSnapshot:
        """Positions, open orders of both kinds, fills since, balance. Raises VenueError."""
        ...

    async def time_ms(self) -> int:
        """The venue's clock, ms UTC. Raises VenueError."""
        ...

    def on_clock_error(self, tell: Callable[[], None]) -> None:
        """Call `tell` whenever the venue refuses a request for its time."""
        ...

    def news(self) -> AsyncIterator[Event]:
        """News of our orders, fills and funding as they come, and of the stream that brings them
        (FeedNews). Their `time_ms` is 0: whoever takes them up sets it. Ends with `close`.
        """
        ...

    async def close(self) -> None:
        """Release connections; nothing that rests at the venue is touched. May be called twice."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class FeedBar:
    """A closed bar as a feed delivers it."""

    symbol: str
    bar: Records
    """One BAR."""
    received_ms: int
    """When it arrived, our clock."""
    is_final: bool = True


@dataclass(frozen=True, slots=True)
class FeedQuote:
    """The best bid and ask as a feed delivers them."""

    symbol: str
    bid: float
    ask: float
    bid_size: float
    ask_size: float
    time_ms: int
    """Venue time."""
    received_ms: int
    """Our clock."""


class MarketFeed(Protocol):
    """Live market data of the session's symbols."""

    async def instruments(self, symbols: Sequence[str]) -> Mapping[str, VenueInstrument]:
        """The venue's own trading rules by symbol. Raises VenueError, UserError."""
        ...

    def watch_beside(self, symbol: str) -> None:
        """Bring the bars of `symbol` too once it is open, and no quotes: nobody trades it."""
        ...

    async def open(self, symbols: Sequence[str], timeframe: str) -> None:
        """Connect and subscribe. Raises VenueError."""
        ...

    def items(self) -> AsyncIterator[FeedBar | FeedQuote | FeedNews]:
        """What comes in, in the order in which it comes. Reconnects by itself and says so."""
        ...

    async def history(self, symbol: str, timeframe: str, start_ms: int, end_ms: int) -> Records:
        """Closed BAR rows of the range over REST, oldest first. Raises VenueError."""
        ...

    async def close(self) -> None:
        """Release connections. May be called twice."""
        ...


class StateStore(Protocol):
    """What must survive a restart: one consistent state under one namespace."""

    async def read_full_snapshot(self) -> StateRead:
        """Every key. What was never written has its default and is named in `missing`.

        Raises StorageError when the store cannot be reached, DataError when it holds nonsense.
        """
        ...

    async def write(self, state: SessionState) -> None:
        """Keep `state`, whole or not at all, durable then. Raises StorageError, LeaseLostError."""
        ...

    async def close(self) -> None:
        """Release connections. May be called twice."""
        ...


class StateLease(Protocol):
    """The right to keep a session's state in one place: one running session has it."""

    async def claim(self, holder: LeaseHolder) -> None:
        """Take it. Raises UserError where another running session has it, StorageError.

        It ends by itself a few seconds after its last renewal. One that the same folder had, or a
        process of this machine that is gone, is taken over at once, where machines can be told
        apart for certain.
        """
        ...

    async def renew(self) -> None:
        """Keep it. Raises StorageError where that cannot be said, LeaseLostError where another
        session has it, or has had it meanwhile.
        """
        ...

    async def release(self) -> None:
        """Give it back. May be called twice."""
        ...


class Journal(Protocol):
    """Everything that happened, only ever added to."""

    async def write(self, rows: Sequence[JournalRow]) -> None:
        """Add `rows` in one transaction, durable when this returns. Raises StorageError."""
        ...

    async def read(
        self, table: str, session_id: str | None = None, *, limit: int | None = None
    ) -> tuple[JournalRow, ...]:
        """Rows of a table in the order they were added; with `limit` the latest ones.

        `session_id` None: of every session. Raises StorageError, DataError.
        """
        ...

    async def close(self) -> None:
        """Release connections. May be called twice."""
        ...
