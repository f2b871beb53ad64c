"""What the use-cases need from outside, as Protocols. Each adapter of one passes its contract
suite.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TypeVar

from tercel.core.records import Records
from tercel.domain.bars import BarSeries, Gap, SeriesKey
from tercel.domain.context import ContextKey, ContextSeries
from tercel.domain.events import Answer, Event, FeedNews
from tercel.domain.journal import JournalRow
from tercel.domain.orders import OrderRequest, VenueSnapshot
from tercel.domain.session_state import SessionState, StateRead
from tercel.domain.trading_settings import InstrumentSettings
from tercel.domain.trials import TrialRecord


class Clock(Protocol):
    """The one source of time."""

    def now_ms(self) -> int:
        """Milliseconds UTC."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return once `seconds` have passed on this clock."""
        ...


class Progress(Protocol):
    """Where long work says how far it is. Closing it is the caller's business."""

    def start(self, title: str, total: float | None) -> None:
        """Begin a bar of `total` units (None: unknown)."""
        ...

    def advance(self, amount: float = 1.0, note: str = "") -> None:
        """`amount` more units are done."""
        ...


class SilentProgress:
    """Progress for tests and scripts: says nothing."""

    def start(self, title: str, total: float | None) -> None:
        """Ignore."""

    def advance(self, amount: float = 1.0, note: str = "") -> None:
        """Ignore."""


@dataclass(frozen=True, slots=True)
class MergeReport:
    """What a merge into the lake did, in bars."""

    added: int = 0
    filled: int = 0
    """Bars of which unknown columns became known."""
    unchanged: int = 0
    replaced: int = 0
    """Running bars that a final bar replaced."""
    conflicts: int = 0
    """Bars whose known values differ from the new ones; the stored ones are kept."""
    first_conflict: str = ""
    """The first of them in words: time, column, stored and offered value."""

    def __add__(self, other: MergeReport) -> MergeReport:
        return MergeReport(
            self.added + other.added,
            self.filled + other.filled,
            self.unchanged + other.unchanged,
            self.replaced + other.replaced,
            self.conflicts + other.conflicts,
            self.first_conflict or other.first_conflict,
        )


@dataclass(frozen=True, slots=True)
class SeriesInfo:
    """What the lake holds of one series."""

    key: SeriesKey
    bars: int
    first_time: int
    """Open time of the first bar, ms UTC."""
    last_time: int
    """Open time of the last bar, ms UTC."""
    bytes: int
    known: dict[str, float]
    """Share of bars in which each column is known, 0..1."""


class BarStore(Protocol):
    """The lake of closed bars."""

    def keys(self) -> list[SeriesKey]:
        """Every series, sorted."""
        ...

    def info(self, key: SeriesKey) -> SeriesInfo:
        """What there is of `key`. Raises DataError when there is nothing."""
        ...

    def read(
        self, key: SeriesKey, start_ms: int | None = None, end_ms: int | None = None
    ) -> BarSeries:
        """Bars with start <= open_time < end, and the gaps among them. Raises DataError when there
        are none.
        """
        ...

    def merge(self, key: SeriesKey, bars: Records, *, source: str) -> MergeReport:
        """Validate and merge `bars` (BAR records) idempotently. Raises DataError on a bad row:
        nothing is written.
        """
        ...

    def gaps(self, key: SeriesKey) -> tuple[Gap, ...]:
        """Every gap between the first and the last bar."""
        ...


class BarLake(BarStore, Protocol):
    """A BarStore in files: can be appended to live, and looked through for damage."""

    def append(self, key: SeriesKey, bars: Records) -> MergeReport:
        """Add newly closed bars in one small durable write. Raises as `merge` does."""
        ...

    def writing(self, key: SeriesKey) -> AbstractContextManager[None]:
        """Keep the right to write `key` for as long as the context lasts. Raises LakeBusyError."""
        ...

    def verify(self, key: SeriesKey) -> tuple[str, ...]:
        """Each unreadable or rule-breaking file of `key`, in one line each."""
        ...


class BarSource(Protocol):
    """Somewhere bars can be downloaded from: a bulk archive, a venue's REST interface."""

    name: str

    def fetch(self, key: SeriesKey, start_ms: int, end_ms: int) -> AsyncGenerator[Records, None]:
        """Closed bars of the range in pieces, oldest first. Raises VenueError.

        Asking for the next piece says that the one before it is safely stored.
        """
        ...

    async def close(self) -> None:
        """Release connections. A source may be closed twice."""
        ...


class BarArchive(BarSource, Protocol):
    """A source made of files of whole months and days."""

    def absent(self, key: SeriesKey) -> tuple[Gap, ...]:
        """Spans of which the archive is known to hold nothing: asking again would be in vain."""
        ...


class NotBarsError(Exception):
    """A file that holds no bars, or not those asked for: passed over, with the reason."""


@dataclass(frozen=True, slots=True)
class SourceHints:
    """What the user says about files whose path and columns do not tell."""

    venue: str | None = None
    symbol: str | None = None
    timeframe: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    """Our column name (`time` for `open_time`) -> the name in the file."""


@dataclass(frozen=True, slots=True)
class FileBars:
    """The bars of one file; most hold one series, a file of delivery contracts holds several."""

    parts: tuple[tuple[SeriesKey, Records], ...]
    notes: tuple[str, ...] = ()
    """What was decided while reading, for the user: the unit of the times, rows left out."""


class BarReader(Protocol):
    """Reads bar files of other makers: archives of a venue, CSV, Parquet."""

    def key_of(self, path: Path, hints: SourceHints) -> SeriesKey | None:
        """The series `path` belongs to, from its name and `hints` alone; None: its rows tell.

        Raises NotBarsError, and DataError where nothing tells.
        """
        ...

    def read(self, path: Path, hints: SourceHints) -> FileBars:
        """The bars of `path`, not validated. Raises NotBarsError; DataError for a damaged file."""
        ...


@dataclass(frozen=True, slots=True)
class ContextInfo:
    """What the lake holds of one series of context."""

    key: ContextKey
    rows: int
    first_time: int
    """When its first value became known, ms UTC."""
    last_time: int
    spacing_ms: int
    """The usual time between two rows."""
    bytes: int


class ContextStore(Protocol):
    """Funding rates, open interest and other context: what was known about a market, and when."""

    def keys(self) -> list[ContextKey]:
        """Every series, sorted."""
        ...

    def info(self, key: ContextKey) -> ContextInfo:
        """What there is of `key`. Raises DataError when there is nothing, or it is damaged."""
        ...

    def read(
        self, key: ContextKey, start_ms: int | None = None, end_ms: int | None = None
    ) -> ContextSeries:
        """Rows with start <= time < end, none where there are none.

        Raises DataError when there is no such series, or it is damaged.
        """
        ...

    def merge(self, series: ContextSeries, *, origin: str) -> MergeReport:
        """Validate and merge `series` idempotently; a stored value that differs is kept.

        `origin` says in errors where the rows came from. Raises DataError on a bad row: nothing is
        written.
        """
        ...


class ContextSource(Protocol):
    """What a venue publishes beside its bars, asked over the network."""

    kinds: tuple[str, ...]
    """Those of CONTEXT_KINDS that it publishes."""

    async def read(self, kind: str, symbol: str, since_ms: int) -> ContextSeries:
        """Rows that became known at `since_ms` or later, and those that count from a moment to
        come. Raises VenueError.
        """
        ...

    async def close(self) -> None:
        """Release connections. May be called twice."""
        ...


class NotContextError(Exception):
    """A file that holds none of the kinds of context. Its text says why it can hold no bars either,
    and is empty where it may.
    """


class OtherMarketError(NotContextError):
    """A file of context of another venue or symbol than the one asked for."""


@dataclass(frozen=True, slots=True)
class FileContext:
    """The context of one file: a series, or several where it counts several things."""

    parts: tuple[ContextSeries, ...]
    notes: tuple[str, ...] = ()
    """What was decided while reading, for the user: when a value counts as known, rows left out."""


class ContextReader(Protocol):
    """Reads context files of other makers: archives of a venue, tables of data vendors."""

    def read(self, path: Path, hints: SourceHints) -> FileContext:
        """The context in `path`, not validated. Raises NotContextError; DataError for damage."""
        ...


_Shared = TypeVar("_Shared")
_Item = TypeVar("_Item")
_Done = TypeVar("_Done")


class Workers(Protocol):
    """Who carries out many independent pieces of work: threads of this machine, or a cluster."""

    def map(
        self,
        open_work: Callable[[_Shared], Callable[[_Item], _Done]],
        shared: _Shared,
        items: Sequence[_Item],
    ) -> Iterator[_Done]:
        """The result for each of `items`, in their order, whoever is done first.

        `open_work(shared)` is called once in each worker and returns the function that is called
        for each item there, so that buffers belong to one worker. It is a function that another
        process can import; `shared` and the items are plain data. The first error of a worker is
        raised here, and nothing is left running.
        """
        ...


class TrialLog(Protocol):
    """What is finished of a long sweep, kept so that the same command can go on after a stop."""

    def finished(self) -> Mapping[int, bytes]:
        """What was saved, by number. Raises StorageError, LakeBusyError."""
        ...

    def save(self, number: int, data: bytes) -> None:
        """Keep the result of `number`, whole or not at all. Raises StorageError."""
        ...

    def discard(self) -> None:
        """All is done: nothing of it is needed any more."""
        ...


class ResearchLedger(Protocol):
    """Every trial that was ever run. It is only ever added to: nothing can be taken back."""

    def append(self, trials: Sequence[TrialRecord]) -> None:
        """Add `trials` in one durable write. Raises StorageError, DataError; then none is added.

        Trials that are there already are added again: that they were repeated is kept too.
        """
        ...

    def read(self, strategy: str, symbol: str) -> tuple[TrialRecord, ...]:
        """All trials of that strategy name and symbol, oldest first, repeated ones repeatedly.

        Raises DataError when the ledger is damaged or of another version, StorageError when it
        cannot be read.
        """
        ...

    def notices(self) -> tuple[str, ...]:
        """What had to be repaired or passed over since it was opened, a line each."""
        ...


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

    async def instruments(self, symbols: Sequence[str]) -> Mapping[str, InstrumentSettings]:
        """The venue's own trading rules by symbol. Raises VenueError, UserError."""
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
