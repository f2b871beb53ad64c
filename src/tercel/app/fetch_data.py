"""Download bars into the store: only what is missing, archives first, REST for the rest.

In order, for each series:
1. what is missing in the range, after what the store holds (`missing_bars`);
2. which files of the archive could hold it (`plan`): whole months, days of the unfinished month;
   a month not published yet is asked for again day by day;
3. every file is merged into the store as it arrives, oldest first;
4. what is still missing is asked for over REST, page by page.

A kill at any moment loses at most the pieces in flight: the next run begins with step 1 again.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace

from tercel.app.ports import BarArchive, BarSource, BarStore, Clock, MergeReport, Progress
from tercel.app.tasks import end_tasks
from tercel.core.records import Records
from tercel.domain.bars import Gap, SeriesKey
from tercel.domain.errors import DataError, TercelError, UserError
from tercel.domain.fetch_policy import closed_before
from tercel.domain.periods import Period, day_of, month_of, span, subtract
from tercel.domain.times import DAY_MS, format_time

SERIES_SIDE_BY_SIDE = 4
FILES_AHEAD = 4
"""Archive files of one series on their way while an earlier one is merged."""
DAYS_INSTEAD_OF_MONTH_MAX = 7
"""Up to so many missing days of a month are fetched as days: a month is 30 times the bytes."""


NOTHING_MERGED = MergeReport()


@dataclass(frozen=True, slots=True)
class BarSources:
    """Where the bars of one venue come from; either may be missing, or switched off."""

    archive: BarArchive | None = None
    rest: BarSource | None = None

    def names(self) -> str:
        """`binance archive and binance-usdm REST`."""
        used = [source.name for source in (self.archive, self.rest) if source is not None]
        return " and ".join(used) or "no source"

    async def close(self) -> None:
        """Close both."""
        for source in (self.archive, self.rest):
            if source is not None:
                await source.close()


@dataclass(frozen=True, slots=True)
class FetchPlan:
    """What a fetch will ask for: files of the archive, then spans over REST."""

    files: tuple[Period, ...]
    tail: tuple[Gap, ...]
    """Spans that no file of the plan covers."""


@dataclass(frozen=True, slots=True)
class FetchReport:
    """What became of one series. Times are ms UTC, counts are bars."""

    key: SeriesKey
    start_ms: int
    end_ms: int
    """End of the range (exclusive), cut to the newest closed bar."""
    from_archive: MergeReport = NOTHING_MERGED
    from_rest: MergeReport = NOTHING_MERGED
    unpublished: tuple[str, ...] = ()
    """Files asked for that the archive did not have, such as `2024-03-05`."""
    gaps: tuple[Gap, ...] = ()
    """What is still missing in the range."""

    @property
    def merged(self) -> MergeReport:
        """Both sources together."""
        return self.from_archive + self.from_rest


@dataclass(frozen=True, slots=True)
class FetchOutcome:
    """Reports of the series that could be fetched, and what stopped the others."""

    reports: tuple[FetchReport, ...]
    errors: tuple[UserError, ...] = ()


def missing_bars(store: BarStore, key: SeriesKey, start_ms: int, end_ms: int) -> tuple[Gap, ...]:
    """Spans of `[start_ms, end_ms)` that the store does not hold, in time order."""
    wanted = [span(start_ms, end_ms, key.bar_ms)] if start_ms < end_ms else []
    if not wanted or key not in store.keys():  # noqa: SIM118 (a method of the port, not a dict's)
        return tuple(wanted)
    info = store.info(key)
    stored = [span(info.first_time, info.last_time + key.bar_ms, key.bar_ms)]
    held = subtract(stored, store.gaps(key), key.bar_ms)
    return subtract(wanted, held, key.bar_ms)


def plan(
    key: SeriesKey,
    missing: Sequence[Gap],
    *,
    now_ms: int,
    absent: Iterable[Gap] = (),
    asked: Iterable[Period] = (),
) -> FetchPlan:
    """Files and REST spans for the `missing` bars of `key`.

    `absent` spans are known not to be in the archive. Files of `asked` were asked for in this run
    and left something missing: such a month is split into its days, such a day is left to REST.
    """
    wanted = subtract(missing, absent, key.bar_ms)
    done = set(asked)
    days: dict[Period, list[Period]] = {}
    for one in wanted:
        for start in range(day_of(one.start).start_ms, one.end, DAY_MS):
            touched = days.setdefault(month_of(start), [])
            if not touched or touched[-1].start_ms != start:
                touched.append(day_of(start))
    files: list[Period] = []
    for month, touched in days.items():
        many = len(touched) > DAYS_INSTEAD_OF_MONTH_MAX
        if many and month.end_ms <= now_ms and month not in done:
            files.append(month)
        else:
            files += [day for day in touched if day.end_ms <= now_ms and day not in done]
    covered = [span(file.start_ms, file.end_ms, key.bar_ms) for file in files]
    return FetchPlan(tuple(files), subtract(missing, covered, key.bar_ms))


@dataclass(slots=True)
class Fetcher:
    """Fetches series from `sources` into `store`; `saved` may be read at any moment."""

    store: BarStore
    sources: BarSources
    clock: Clock
    progress: Progress
    saved: dict[SeriesKey, FetchReport] = field(default_factory=dict)

    async def fetch_many(
        self, keys: Sequence[SeriesKey], start_ms: int, end_ms: int
    ) -> FetchOutcome:
        """Fetch several series side by side.

        A series that fails by itself (an unknown symbol, a damaged file) is an error of the
        outcome; the others go on. What would stop the others too (an unreachable venue, a full
        disk, a busy lake) is raised at once, with what was saved.
        """
        total = sum(
            gap.bars
            for key in keys
            for gap in missing_bars(self.store, key, *self._clipped(key, start_ms, end_ms))
        )
        self.progress.start(", ".join(key.symbol for key in keys), float(total))
        slots = asyncio.Semaphore(SERIES_SIDE_BY_SIDE)

        async def one(key: SeriesKey) -> FetchReport | UserError:
            async with slots:
                try:
                    return await self.fetch_series(key, start_ms, end_ms)
                except UserError as error:
                    return error

        tasks = [asyncio.create_task(one(key)) for key in keys]
        try:
            results = await asyncio.gather(*tasks)
        except TercelError as error:
            raise type(error)(f"{error} ({self.describe_saved()})") from None
        finally:
            await end_tasks(tasks)
        return FetchOutcome(
            tuple(result for result in results if isinstance(result, FetchReport)),
            tuple(result for result in results if isinstance(result, UserError)),
        )

    async def fetch_series(self, key: SeriesKey, start_ms: int, end_ms: int) -> FetchReport:
        """Fetch what is missing of `key` in `[start_ms, end_ms)`.

        Raises UserError (empty range, unknown symbol), VenueError (unreachable), DataError (a
        damaged file, or nothing at all found), StorageError, LakeBusyError. What was merged stays.
        """
        start_ms, end_ms = self._clipped(key, start_ms, end_ms)
        self.saved[key] = FetchReport(key, start_ms, end_ms)
        tail = missing_bars(self.store, key, start_ms, end_ms)
        if self.sources.archive is not None:
            tail = await self._fetch_files(key, self.sources.archive)
        if self.sources.rest is not None:
            for gap in tail:
                async with aclosing(self.sources.rest.fetch(key, gap.start, gap.end)) as pages:
                    async for bars in pages:
                        self._merge(key, bars, self.sources.rest, "over REST")
        left = missing_bars(self.store, key, start_ms, end_ms)
        self.progress.advance(float(sum(gap.bars for gap in left)), f"{key.symbol} done")
        self.saved[key] = replace(self.saved[key], gaps=left)
        if left and key not in self.store.keys():  # noqa: SIM118
            raise DataError(self._nothing_found(key))
        return self.saved[key]

    def describe_saved(self) -> str:
        """What this run has stored so far, in words for the user."""
        kept = [
            f"{report.key.symbol} {report.merged.added:,} bars"
            for report in self.saved.values()
            if report.merged.added
        ]
        if not kept:
            return "nothing was saved; running the same command again starts afresh"
        return f"saved: {', '.join(kept)}; running the same command again resumes there"

    async def _fetch_files(self, key: SeriesKey, archive: BarArchive) -> tuple[Gap, ...]:
        """Merge every file that may hold missing bars; returns what is left to REST."""
        report = self.saved[key]
        asked: set[Period] = set()
        while True:  # each file is asked for once: months, then the days of unpublished months
            steps = plan(
                key,
                missing_bars(self.store, key, report.start_ms, report.end_ms),
                now_ms=self.clock.now_ms(),
                absent=archive.absent(key),
                asked=asked,
            )
            if not steps.files:
                return steps.tail
            asked.update(steps.files)
            await self._merge_files(key, archive, steps.files)

    async def _merge_files(
        self, key: SeriesKey, archive: BarArchive, files: Sequence[Period]
    ) -> None:
        """Merge `files` in order, a few of them on their way at once."""
        upcoming = deque(files)
        streams: deque[_FileStream] = deque()
        try:
            while upcoming or streams:
                while upcoming and len(streams) < FILES_AHEAD:
                    streams.append(self._begin(key, archive, upcoming.popleft()))
                stream = streams[0]
                bars = await stream.first
                if bars is None:
                    self._note_unpublished(key, stream.file)
                while bars is not None:
                    self._merge(key, bars, archive, stream.file.label)
                    bars = await anext(stream.pieces, None)
                streams.popleft()
        finally:
            await end_tasks([stream.first for stream in streams])
            for stream in streams:
                await stream.pieces.aclose()

    def _begin(self, key: SeriesKey, archive: BarArchive, file: Period) -> _FileStream:
        pieces = archive.fetch(key, file.start_ms, file.end_ms)

        async def first() -> Records | None:
            return await anext(pieces, None)

        return _FileStream(file, pieces, asyncio.create_task(first()))

    def _merge(self, key: SeriesKey, bars: Records, source: BarSource, note: str) -> None:
        report = self.saved[key]
        times = bars["open_time"]
        wanted = bars[(times >= report.start_ms) & (times < report.end_ms)]
        if not len(wanted):
            return
        merged = self.store.merge(key, wanted, source=source.name)
        if source is self.sources.archive:
            self.saved[key] = replace(report, from_archive=report.from_archive + merged)
        else:
            self.saved[key] = replace(report, from_rest=report.from_rest + merged)
        self.progress.advance(float(merged.added), f"{key.symbol} {note}".strip())

    def _note_unpublished(self, key: SeriesKey, file: Period) -> None:
        report = self.saved[key]
        self.saved[key] = replace(report, unpublished=(*report.unpublished, file.label))

    def _clipped(self, key: SeriesKey, start_ms: int, end_ms: int) -> tuple[int, int]:
        """The range on whole bars and without the future. Raises UserError when nothing is left."""
        bar_ms = key.bar_ms
        start = -(-start_ms // bar_ms) * bar_ms
        end = min(-(-end_ms // bar_ms) * bar_ms, closed_before(self.clock.now_ms(), bar_ms))
        if start >= end:
            raise UserError(
                f"{key}: no closed bar between {format_time(start_ms)} and {format_time(end_ms)} "
                f"(UTC); the time is {format_time(self.clock.now_ms())}"
            )
        return start, end

    def _nothing_found(self, key: SeriesKey) -> str:
        report = self.saved[key]
        return (
            f"{key}: no bars between {format_time(report.start_ms)} and "
            f"{format_time(report.end_ms)} (UTC) from {self.sources.names()}; "
            f"check the symbol (as the venue writes it: BTCUSDT), the venue and the dates"
        )


@dataclass(frozen=True, slots=True)
class _FileStream:
    """One file on its way: its pieces, the first of them being awaited already."""

    file: Period
    pieces: AsyncGenerator[Records, None]
    first: asyncio.Task[Records | None]
