"""The lake: closed bars, a Parquet file a month: `<venue>/<SYMBOL>/<timeframe>/<YYYY-MM>.parquet`.

Beside the months, `current.parquet` takes the bars that a live session appends one by one; reading
merges it, and the month absorbs it when bars are merged into that month, when the month is over,
or when it has grown to CURRENT_BARS_MAX.

Crash safety: every file is replaced whole. A month is written before its bars leave
`current.parquet`, so after a crash in between a bar is in both, which reading and merging resolve.
Readers take no lock; they read `current.parquet` before the months, for the same reason.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from tercel.adapters.lake import files, parquet
from tercel.adapters.lake.merging import merge_bars, run_ends
from tercel.adapters.lake.months import (
    file_name,
    month_bars,
    month_files,
    month_start,
    split_months,
)
from tercel.app.ports import MergeReport, SeriesInfo
from tercel.app.quality import check_bars, find_gaps
from tercel.core.records import BAR, Records
from tercel.domain.bars import BAR_COLUMNS, TIMEFRAME_MS, VENUES, BarSeries, Gap, SeriesKey
from tercel.domain.errors import DataError, UserError
from tercel.domain.times import format_time

CURRENT_NAME = "current.parquet"
CURRENT_BARS_MAX = 1440
"""A day of minutes: an append rewrites no more than this."""


class LakeBarStore:
    """ports.BarStore over a folder. Nothing is created before the first write."""

    def __init__(self, root: Path) -> None:
        self._root = Path(root)
        self._held: set[Path] = set()

    # ---- reading

    def keys(self) -> list[SeriesKey]:
        """Every series, sorted by venue, symbol and length of the bar."""
        found = [
            SeriesKey(venue, folder.parent.name, folder.name)
            for venue in VENUES
            for folder in self._root.glob(f"{venue}/*/*")
            if folder.name in TIMEFRAME_MS and next(folder.glob("*.parquet"), None)
        ]
        return sorted(found, key=lambda key: (key.venue, key.symbol, key.bar_ms))

    def info(self, key: SeriesKey) -> SeriesInfo:
        """Bars, range, size and known shares of `key`. Raises DataError."""
        folder = self._folder(key)
        parts = self._summaries(key)
        bars = sum(part.bars for part in parts)
        return SeriesInfo(
            key,
            bars,
            parts[0].first_time,
            parts[-1].last_time,
            sum(path.stat().st_size for path in folder.glob("*.parquet")),
            {name: sum(part.known[name] for part in parts) / bars for name in BAR_COLUMNS},
        )

    def gaps(self, key: SeriesKey) -> tuple[Gap, ...]:
        """Every gap between the first and the last bar. Raises DataError."""
        found: list[Gap] = []
        before: int | None = None
        for part in self._summaries(key):
            if before is not None and part.first_time - before != key.bar_ms:
                start = before + key.bar_ms
                missing = (part.first_time - start) // key.bar_ms
                found.append(Gap(start, part.first_time, missing))
            found.extend(part.gaps)
            before = part.last_time
        return tuple(found)

    def read(
        self, key: SeriesKey, start_ms: int | None = None, end_ms: int | None = None
    ) -> BarSeries:
        """Bars with start <= open_time < end, their gaps and their hash. Raises DataError."""
        folder = self._folder(key)
        current = self._read_current(folder)
        months = [
            month
            for month in _months_with_bars(folder, current)
            if (end_ms is None or month_start(month) < end_ms)
            and (start_ms is None or month_start(month + 1) > start_ms)
        ]
        # Room for every bar the months can have; pages that stay unused are never touched.
        out = np.empty(sum(month_bars(month, key.bar_ms) for month in months), BAR)
        digest = hashlib.sha256()
        count = 0
        # Hashing releases the interpreter, so it runs beside the reading of the next month.
        with ThreadPoolExecutor(max_workers=1, thread_name_prefix="lake-hash") as hasher:
            jobs = []
            for month in months:
                part = out[count : count + month_bars(month, key.bar_ms)]
                filled = self._fill_month(key, month, current, part, (start_ms, end_ms))
                jobs.append(hasher.submit(digest.update, part[:filled].data.cast("B")))
                count += filled
            for job in jobs:
                job.result()
        if not count:
            raise self._nothing(key, start_ms, end_ms)
        bars = out[:count]
        return BarSeries(key, bars, find_gaps(bars["open_time"], key.bar_ms), digest.hexdigest())

    def verify(self, key: SeriesKey) -> tuple[str, ...]:
        """Each unreadable or rule-breaking file of `key`, in one line each."""
        folder = self._folder(key)
        problems = []
        for month in [None, *month_files(folder)]:
            name = CURRENT_NAME if month is None else file_name(month)
            try:
                bars = self._read_current(folder) if month is None else self._read_month(key, month)
                check_bars(bars, key.bar_ms, source=str(folder / name))
            except DataError as error:
                problems.append(str(error))
        return tuple(problems)

    # ---- writing

    @contextmanager
    def writing(self, key: SeriesKey) -> Iterator[None]:
        """Keep the right to write `key` over many appends and merges. Raises LakeBusyError.

        A live session holds this, so that a second one is refused at once and not at its first bar.
        """
        folder = self._folder(key)
        files.make_folder(folder)
        with files.folder_lock(folder):
            self._held.add(folder)
            try:
                yield
            finally:
                self._held.discard(folder)

    def merge(self, key: SeriesKey, bars: Records, *, source: str) -> MergeReport:
        """Validate `bars` and merge them; only months whose content changes are rewritten.

        Raises DataError on a bad row or a damaged stored month (then nothing is written),
        LakeBusyError when another process is writing the series, StorageError when the disk
        refuses.
        """
        if not len(bars):
            return MergeReport()
        check_bars(bars, key.bar_ms, source=source)
        with self._lock(key):
            return self._merge(key, bars, self._read_current(self._folder(key)), source)

    def append(self, key: SeriesKey, bars: Records) -> MergeReport:
        """Add newly closed bars in one small write; bars within the stored months are merged."""
        if not len(bars):
            return MergeReport()
        source = f"live bars of {key}"
        check_bars(bars, key.bar_ms, source=source)
        folder = self._folder(key)
        with self._lock(key):
            current = self._read_current(folder)
            months = month_files(folder)
            if months:
                newest = parquet.read_summary(months[max(months)], key.bar_ms).last_time
                if int(bars["open_time"][0]) <= newest:
                    return self._merge(key, bars, current, source)
            grown, report = _merge_month(key, current, bars)
            touched = split_months(grown)
            if len(grown) > CURRENT_BARS_MAX or len(touched) > 1:
                self._merge(key, grown, current, source)
            elif grown is not current:
                files.write_whole(folder / CURRENT_NAME, parquet.encode(grown, key.bar_ms))
            return report

    def _merge(self, key: SeriesKey, bars: Records, current: Records, source: str) -> MergeReport:
        """Under the lock: compute every month, then write them, then shorten `current.parquet`."""
        folder = self._folder(key)
        offered = split_months(bars)
        fresh = split_months(current)
        existing = month_files(folder)
        none = bars[:0]
        report = MergeReport()
        writes: list[tuple[Path, Records]] = []
        for month, part in offered.items():
            stored = self._read_month(key, month)
            later = month + 1 in existing or month + 1 in fresh
            base, absorbed = _merge_month(key, stored, fresh.get(month, none), stored_goes_on=later)
            merged, done = _merge_month(
                key, base, part, stored_goes_on=later, offered_goes_on=month + 1 in offered
            )
            if done.filled or done.replaced:
                check_bars(merged, key.bar_ms, source=f"{source} merged into {key}")
            if merged is not stored:
                writes.append((folder / file_name(month), merged))
            # Its own bars are no news to the caller, but a bar that the month denies is lost here.
            report += done
            report += MergeReport(
                conflicts=absorbed.conflicts, first_conflict=absorbed.first_conflict
            )
        for path, merged in writes:
            files.write_whole(path, parquet.encode(merged, key.bar_ms))
        self._shorten_current(key, current, set(offered))
        return report

    def _shorten_current(self, key: SeriesKey, current: Records, absorbed: set[int]) -> None:
        """Take the bars that months have absorbed out of `current.parquet`."""
        kept = [part for month, part in split_months(current).items() if month not in absorbed]
        if sum(map(len, kept)) == len(current):
            return
        path = self._folder(key) / CURRENT_NAME
        if kept:
            files.write_whole(path, parquet.encode(np.concatenate(kept), key.bar_ms))
            return
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise files.storage_error(path, error) from error

    # ---- inside

    def _folder(self, key: SeriesKey) -> Path:
        """Where `key` is kept. Raises UserError for what cannot be a folder's name."""
        if key.venue not in VENUES:
            raise UserError(f"unknown venue {key.venue!r}; it is one of {', '.join(VENUES)}")
        if key.timeframe not in TIMEFRAME_MS:
            known = ", ".join(TIMEFRAME_MS)
            raise UserError(f"unknown timeframe {key.timeframe!r}; it is one of {known}")
        if not re.fullmatch(r"\w[\w.-]*", key.symbol):
            raise UserError(f"{key.symbol!r} is not a symbol; write it as in BTCUSDT")
        return self._root / key.venue / key.symbol / key.timeframe

    @contextmanager
    def _lock(self, key: SeriesKey) -> Iterator[None]:
        """The right to write `key`, unless `writing` holds it already."""
        if self._folder(key) in self._held:
            yield
        else:
            with self.writing(key):
                yield

    def _read_current(self, folder: Path) -> Records:
        path = folder / CURRENT_NAME
        try:
            return parquet.read_file(path) if path.exists() else np.empty(0, BAR)
        except DataError:
            if path.exists():
                raise
            return np.empty(0, BAR)  # Absorbed by another process between the two looks.

    def _read_month(self, key: SeriesKey, month: int) -> Records:
        """Every bar of a month's file; none where there is no file."""
        path = self._folder(key) / file_name(month)
        if not path.exists():
            return np.empty(0, BAR)
        out = np.empty(month_bars(month, key.bar_ms), BAR)
        bars = out[: parquet.read_into(path, out)]
        _check_times(path, bars, month, key.bar_ms)
        return bars

    def _fill_month(
        self,
        key: SeriesKey,
        month: int,
        current: Records,
        out: Records,
        wanted: tuple[int | None, int | None],
    ) -> int:
        """Fill `out` with the wanted bars of one month, `current` merged in; return how many."""
        path = self._folder(key) / file_name(month)
        fresh = split_months(current).get(month)
        start, end = wanted
        if fresh is None:
            count = parquet.read_into(path, out, start, end)
            _check_times(path, out[:count], month, key.bar_ms)
            return count
        bars, _ = _merge_month(key, self._read_month(key, month), fresh)
        times = bars["open_time"]
        first = 0 if start is None else int(np.searchsorted(times, start))
        last = len(bars) if end is None else int(np.searchsorted(times, end))
        count = max(0, last - first)
        out[:count] = bars[first : first + count]
        return count

    def _summaries(self, key: SeriesKey) -> list[parquet.Summary]:
        """One summary a month, oldest first. Raises DataError when there is none."""
        folder = self._folder(key)
        current = self._read_current(folder)
        fresh = split_months(current)
        parts = []
        for month in _months_with_bars(folder, current):
            if month in fresh:
                out = np.empty(month_bars(month, key.bar_ms), BAR)
                count = self._fill_month(key, month, current, out, (None, None))
                parts.append(parquet.summarise(out[:count], key.bar_ms))
            else:
                parts.append(parquet.read_summary(folder / file_name(month), key.bar_ms))
        if not parts:
            raise self._nothing(key, None, None)
        return parts

    def _nothing(self, key: SeriesKey, start_ms: int | None, end_ms: int | None) -> DataError:
        if not any(self._folder(key).glob("*.parquet")):
            return DataError(
                f"the lake in {self._root} has no bars of {key}; get them with "
                f"`tercel data fetch {key.symbol}` or `tercel data import PATH`"
            )
        info = self.info(key)
        since = "the beginning" if start_ms is None else format_time(start_ms)
        until = "the end" if end_ms is None else format_time(end_ms)
        return DataError(
            f"no bars of {key} from {since} to {until}; "
            f"the lake has {format_time(info.first_time)} to {format_time(info.last_time)}"
        )


def _months_with_bars(folder: Path, current: Records) -> list[int]:
    """Months that have a file or bars in `current.parquet`, oldest first."""
    return sorted({*month_files(folder), *split_months(current)})


def _merge_month(
    key: SeriesKey,
    stored: Records,
    offered: Records,
    *,
    stored_goes_on: bool = False,
    offered_goes_on: bool = False,
) -> tuple[Records, MergeReport]:
    """`merge_bars` for bars of one month; `*_goes_on` says that the next month has bars too."""
    newest = stored if len(stored) else offered
    month = max(split_months(newest), default=0)
    after = month_start(month + 1)
    return merge_bars(
        stored,
        offered,
        stored_ends=run_ends(stored["open_time"], key.bar_ms, after if stored_goes_on else None),
        offered_ends=run_ends(offered["open_time"], key.bar_ms, after if offered_goes_on else None),
    )


def _check_times(path: Path, bars: Records, month: int, bar_ms: int) -> None:
    """Raise DataError unless the bars are in order, on the timeframe, and of this month."""
    times = bars["open_time"]
    if not len(times):
        return
    if not (np.diff(times) > 0).all() or (times % bar_ms != 0).any():
        raise parquet.damaged(path, "its times are not in order or not on the timeframe")
    if times[0] < month_start(month) or times[-1] >= month_start(month + 1):
        raise parquet.damaged(path, "it has bars of another month")
