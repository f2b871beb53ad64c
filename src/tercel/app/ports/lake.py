"""Bars and context: where they are kept, and where they come from."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from tercel.core.records import Records
from tercel.domain.bars import BarSeries, Gap, SeriesKey
from tercel.domain.context import ContextKey, ContextSeries


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
