"""Import files of bars and context into the lake: `tercel data import PATH...`.

1. Find the files, in folders recursively. What holds no bars is tried as context (funding rates,
   open interest ...); what holds neither is listed with the reason.
2. Group them by series, so that each month is written once however many files it comes from.
3. Read and validate file by file. A bad file is listed and costs nothing but itself.
4. Merge bars in batches of whole months, oldest first, then each series of context. A stop at any
   moment leaves whole files behind, and running the import again goes on from there, since merging
   is idempotent.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tercel.app.context_quality import check_context
from tercel.app.ports import (
    BarReader,
    BarStore,
    Clock,
    ContextReader,
    ContextStore,
    MergeReport,
    NotBarsError,
    NotContextError,
    OtherMarketError,
    Progress,
    SourceHints,
)
from tercel.app.quality import check_bars
from tercel.core.records import Records
from tercel.domain.bars import Gap, SeriesKey
from tercel.domain.context import ContextKey, ContextSeries
from tercel.domain.errors import DataError, LakeBusyError, UserError

BATCH_BARS_MAX = 300_000
"""Bars of one series held before they are merged: 31 MB."""
CHECKSUM_ENDING = ".CHECKSUM"


@dataclass(frozen=True, slots=True)
class ImportPorts:
    """What reads the files, and where their content goes."""

    bar_reader: BarReader
    bars: BarStore
    context_reader: ContextReader
    context: ContextStore


@dataclass(frozen=True, slots=True)
class FileRemark:
    """A file and, in one line, why it was passed over or failed."""

    path: Path
    reason: str


@dataclass(frozen=True, slots=True)
class SeriesImport:
    """What the import did to one series. Times are open times in milliseconds UTC."""

    key: SeriesKey
    files: int
    report: MergeReport
    first_time: int
    last_time: int
    gaps: tuple[Gap, ...]
    """Gaps of the whole series in the store, after the import."""


@dataclass(frozen=True, slots=True)
class ContextImport:
    """What the import did to one series of context. Times: when values became known, ms UTC."""

    key: ContextKey
    files: int
    report: MergeReport
    """In values."""
    first_time: int
    last_time: int


@dataclass(frozen=True, slots=True)
class ImportSummary:
    """What became of every file found."""

    series: tuple[SeriesImport, ...]
    context: tuple[ContextImport, ...]
    skipped: tuple[FileRemark, ...]
    failed: tuple[FileRemark, ...]
    notes: tuple[FileRemark, ...]
    """What was decided while reading a file, such as the rows left out."""

    @property
    def report(self) -> MergeReport:
        """All bars together."""
        return sum((one.report for one in self.series), MergeReport())

    @property
    def context_report(self) -> MergeReport:
        """All context together, in values."""
        return sum((one.report for one in self.context), MergeReport())

    @property
    def exit_code(self) -> int:
        """0, or 2 when a file failed or nothing was there to import."""
        return 2 if self.failed or not (self.series or self.context) else 0


@dataclass(slots=True)
class _Tally:
    """What has been imported of one series so far."""

    report: MergeReport = field(default_factory=MergeReport)
    files: set[Path] = field(default_factory=set)
    first_time: int = 0
    last_time: int = 0

    def add(self, paths: Iterable[Path], span: tuple[int, int], report: MergeReport) -> None:
        first, last = span
        self.first_time = min(self.first_time, first) if self.files else first
        self.last_time = max(self.last_time, last) if self.files else last
        self.files.update(paths)
        self.report += report


class _Import:
    """One run: where what was read waits to be merged, and what became of it."""

    def __init__(self, ports: ImportPorts, clock: Clock, hints: SourceHints) -> None:
        self._reader = ports.bar_reader
        self._store = ports.bars
        self._context_reader = ports.context_reader
        self._context_store = ports.context
        self._now_ms = clock.now_ms()
        self._hints = hints
        self._waiting: dict[SeriesKey, list[tuple[Path, Records]]] = {}
        self._tallies: dict[SeriesKey, _Tally] = {}
        self._context_waiting: dict[ContextKey, list[tuple[Path, ContextSeries]]] = {}
        self._context_tallies: dict[ContextKey, _Tally] = {}
        self.skipped: list[FileRemark] = []
        self.failed: list[FileRemark] = []
        self.notes: list[FileRemark] = []

    def group(self, files: Iterable[Path]) -> list[tuple[SeriesKey | None, list[Path]]]:
        """Files by series, in the order of names; those whose rows tell the series come last."""
        groups: dict[SeriesKey | None, list[Path]] = {}
        for path in files:
            try:
                groups.setdefault(self._reader.key_of(path, self._hints), []).append(path)
            except (NotBarsError, DataError) as problem:
                self.take_context(path, problem)
        return sorted(groups.items(), key=lambda group: (group[0] is None, str(group[0])))

    def take(self, path: Path) -> None:
        """Read and validate one file; its bars wait for their batch."""
        try:
            found = self._reader.read(path, self._hints)
            for key, bars in found.parts:
                check_bars(bars, key.bar_ms, source=str(path), now_ms=self._now_ms)
        except NotBarsError as reason:
            self.take_context(path, reason)
            return
        except DataError as error:
            self.failed.append(FileRemark(path, str(error)))
            return
        self.notes.extend(FileRemark(path, note) for note in found.notes)
        for key, bars in found.parts:
            self._wait(key, path, bars)

    def take_context(self, path: Path, problem: NotBarsError | DataError) -> None:
        """Read and validate a file of which no bars can be had because of `problem`."""
        try:
            found = self._context_reader.read(path, self._hints)
            for series in found.parts:
                check_context(series, origin=str(path))
        except OtherMarketError as reason:
            self.skipped.append(FileRemark(path, str(reason)))
            return
        except NotContextError as reason:
            if isinstance(problem, NotBarsError):
                self.skipped.append(FileRemark(path, str(problem)))
            elif str(reason):
                self.skipped.append(FileRemark(path, str(reason)))
            else:
                self.failed.append(FileRemark(path, str(problem)))
            return
        except UserError as error:
            self.failed.append(FileRemark(path, str(error)))
            return
        self.notes.extend(FileRemark(path, note) for note in found.notes)
        for series in found.parts:
            waiting = self._context_waiting.setdefault(series.key, [])
            if waiting and series.time[0] <= waiting[-1][1].time[-1]:
                self._flush_context(series.key)  # The store decides what overlaps.
                waiting = self._context_waiting.setdefault(series.key, [])
            waiting.append((path, series))

    def _flush_context(self, key: ContextKey) -> None:
        """Merge what waits for `key`."""
        waiting = self._context_waiting.pop(key, [])
        if not waiting:
            return
        paths = [path for path, _ in waiting]
        time = np.concatenate([part.time for _, part in waiting])
        value = np.concatenate([part.value for _, part in waiting])
        try:
            series = ContextSeries(key, time, value)
            report = self._context_store.merge(series, origin=_name_of(paths))
        except (DataError, LakeBusyError) as error:
            self.failed.extend(FileRemark(path, str(error)) for path in paths)
            return
        span = (int(time[0]), int(time[-1]))
        self._context_tallies.setdefault(key, _Tally()).add(paths, span, report)

    def _wait(self, key: SeriesKey, path: Path, bars: Records) -> None:
        waiting = self._waiting.setdefault(key, [])
        if waiting and bars["open_time"][0] <= waiting[-1][1]["open_time"][-1]:
            self.flush(key)  # Not after the others: the store decides what overlaps.
            waiting = self._waiting.setdefault(key, [])
        waiting.append((path, bars))
        if sum(len(part) for _, part in waiting) < BATCH_BARS_MAX:
            return
        # The last month may go on in the next file: it waits, so that it is written once.
        cut = _month_start(int(bars["open_time"][-1]))
        self._waiting[key] = [(path, part[part["open_time"] < cut]) for path, part in waiting]
        self.flush(key)
        self._waiting[key] = [
            (path, late) for path, part in waiting if len(late := part[part["open_time"] >= cut])
        ]

    def flush(self, key: SeriesKey) -> None:
        """Merge what waits for `key`."""
        waiting = [(path, bars) for path, bars in self._waiting.pop(key, []) if len(bars)]
        if not waiting:
            return
        paths = [path for path, _ in waiting]
        bars = waiting[0][1] if len(waiting) == 1 else np.concatenate([part for _, part in waiting])
        try:
            report = self._store.merge(key, bars, source=_name_of(paths))
        except (DataError, LakeBusyError) as error:
            self.failed.extend(FileRemark(path, str(error)) for path in paths)
            return
        span = (int(bars["open_time"][0]), int(bars["open_time"][-1]))
        self._tallies.setdefault(key, _Tally()).add(paths, span, report)

    def flush_all(self) -> None:
        """Merge everything that waits."""
        for key in list(self._waiting):
            self.flush(key)

    def flush_context(self) -> None:
        """Merge all context that waits."""
        for key in list(self._context_waiting):
            self._flush_context(key)

    def summary(self) -> ImportSummary:
        """What has become of everything taken so far."""
        series = [
            SeriesImport(
                key,
                len(tally.files),
                tally.report,
                tally.first_time,
                tally.last_time,
                self._store.gaps(key),
            )
            for key, tally in self._tallies.items()
        ]
        series.sort(key=lambda one: (one.key.venue, one.key.symbol, one.key.bar_ms))
        context = [
            ContextImport(key, len(tally.files), tally.report, tally.first_time, tally.last_time)
            for key, tally in sorted(self._context_tallies.items())
        ]
        return ImportSummary(
            tuple(series),
            tuple(context),
            tuple(self.skipped),
            tuple(self.failed),
            tuple(self.notes),
        )


def import_paths(
    paths: Sequence[Path],
    ports: ImportPorts,
    clock: Clock,
    progress: Progress,
    hints: SourceHints,
) -> ImportSummary:
    """Import every file of bars or context among `paths`.

    Raises UserError for a path that does not exist, StorageError when the disk refuses; what was
    merged until then stays. Everything else that goes wrong with a file is in the summary.
    """
    run = _Import(ports, clock, hints)
    files, run.skipped = find_files(paths)
    progress.start("import", float(len(files)))
    groups = run.group(files)
    progress.advance(float(len(files) - sum(len(group) for _, group in groups)))
    for key, group in groups:
        for path in group:
            progress.advance(0.0, f"{key or path.name}")
            run.take(path)
            if key is None:
                run.flush_all()
            progress.advance(1.0)
        run.flush_all()
    run.flush_context()
    return run.summary()


def find_files(paths: Sequence[Path]) -> tuple[list[Path], list[FileRemark]]:
    """Every file among `paths`, once, folders recursively and in the order of names.

    A CHECKSUM file belongs to the file beside it; one that stands alone is the second result.
    """
    found: dict[Path, None] = {}
    for path in paths:
        if path.is_dir():
            found.update((file, None) for file in sorted(path.rglob("*")) if file.is_file())
        elif path.exists():
            found[path] = None
        else:
            raise UserError(f"{path}: no such file or folder")
    files = [path for path in found if not path.name.endswith(CHECKSUM_ENDING)]
    alone = [
        FileRemark(path, "a checksum without its file")
        for path in found
        if path.name.endswith(CHECKSUM_ENDING)
        and not path.with_name(path.name.removesuffix(CHECKSUM_ENDING)).exists()
    ]
    return files, alone


def _month_start(time_ms: int) -> int:
    """The first millisecond of the month (UTC) that `time_ms` is in."""
    return int(np.datetime64(time_ms, "ms").astype("M8[M]").astype("M8[ms]").astype(np.int64))


def _name_of(paths: Sequence[Path]) -> str:
    if len(paths) == 1:
        return str(paths[0])
    return f"{paths[0]} and {len(paths) - 1} more"
