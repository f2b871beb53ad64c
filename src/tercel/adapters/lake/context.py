"""Context in the lake: one Parquet file a series, `<venue>/<SYMBOL>/<kind>/<source>.parquet`.

Two columns: `time` (int64, the moment the value became known, ms UTC) and `value` (float64). Files
are replaced whole under the lock of their folder, as those of bars are.
"""

from __future__ import annotations

import io
import re
from pathlib import Path

import numpy as np

from tercel.adapters.lake import files
from tercel.adapters.lake.merging import EQUAL_TOLERANCE
from tercel.app.context_quality import check_context, check_key
from tercel.app.ports import ContextInfo, MergeReport
from tercel.domain.context import CONTEXT_KINDS, CONTEXT_VENUES, ContextKey, ContextSeries
from tercel.domain.errors import DataError, UserError
from tercel.domain.times import format_time

ENDING = ".parquet"
ZSTD_LEVEL = 3


class LakeContextStore:
    """ports.ContextStore over the lake's folder. Nothing is created before the first write."""

    def __init__(self, root: Path) -> None:
        self._root = Path(root)

    def keys(self) -> list[ContextKey]:
        """Every series, sorted by kind, venue, symbol and source."""
        return sorted(
            ContextKey(kind, venue, folder.name, path.name.removesuffix(ENDING))
            for venue in CONTEXT_VENUES
            for folder in self._root.glob(f"{venue}/*/")
            for kind in CONTEXT_KINDS
            for path in (folder / kind).glob(f"*{ENDING}")
            if not path.name.startswith(".")
        )

    def info(self, key: ContextKey) -> ContextInfo:
        """Rows, range, spacing and size of `key`. Raises DataError."""
        series = self._read(key)
        return ContextInfo(
            key,
            len(series),
            int(series.time[0]),
            int(series.time[-1]),
            series.spacing_ms,
            self._path(key).stat().st_size,
        )

    def read(
        self, key: ContextKey, start_ms: int | None = None, end_ms: int | None = None
    ) -> ContextSeries:
        """Rows with start <= time < end. Raises DataError."""
        series = self._read(key)
        time = series.time
        start = 0 if start_ms is None else int(np.searchsorted(time, start_ms))
        end = len(time) if end_ms is None else int(np.searchsorted(time, end_ms))
        if (start, end) == (0, len(time)):
            return series
        return ContextSeries(key, time[start:end], series.value[start:end])

    def merge(self, series: ContextSeries, *, origin: str) -> MergeReport:
        """Validate and merge. Raises DataError, LakeBusyError, StorageError; UserError for a key
        that cannot be.
        """
        path = self._path(series.key)
        if not len(series):
            return MergeReport()
        check_context(series, origin=origin)
        files.make_folder(path.parent)
        with files.folder_lock(path.parent):
            stored = self._read(series.key) if path.exists() else None
            merged, report = merge_rows(stored, series)
            if report.added:
                files.write_whole(path, _encode(merged))
        return report

    # ---- inside

    def _path(self, key: ContextKey) -> Path:
        """Where `key` is kept. Raises UserError for what cannot be the name of a file."""
        check_key(key)
        for name in (key.symbol, key.source):
            if not re.fullmatch(r"\w[\w.-]*", name):
                raise UserError(f"{name!r} in {key} cannot be kept: use letters, digits, - and _")
        return self._root / key.venue / key.symbol / key.kind / f"{key.source}{ENDING}"

    def _read(self, key: ContextKey) -> ContextSeries:
        """The whole file of `key`; its rows obey every rule."""
        import polars as pl

        path = self._path(key)
        if not path.exists():
            raise DataError(
                f"the lake in {self._root} has no {key}; get it with `tercel data import PATH`"
            )
        try:
            frame = pl.read_parquet(path, glob=False, hive_partitioning=False)
        except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
            # A panic of the reader is a BaseException; it means the same here.
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise _damaged(path, reason) from error
        if dict(frame.schema) != {"time": pl.Int64, "value": pl.Float64}:
            raise _damaged(path, "its columns are not time (int64) and value (float64)")
        if not frame.height or any(column.null_count() for column in frame):
            raise _damaged(path, "it has no row, or one without a value")
        series = ContextSeries(key, frame["time"].to_numpy(), frame["value"].to_numpy())
        try:
            check_context(series, origin=path.name)
        except DataError as error:
            raise _damaged(path, str(error)) from error
        return series


def merge_rows(
    stored: ContextSeries | None, offered: ContextSeries
) -> tuple[ContextSeries, MergeReport]:
    """`stored` with the rows of `offered` that it has not, both in order; `stored` if none.

    A stored value that differs stays, and the first of them is reported in words.
    """
    if stored is None:
        return offered, MergeReport(added=len(offered))
    place = np.searchsorted(stored.time, offered.time)
    meets = place < len(stored)
    meets[meets] = stored.time[place[meets]] == offered.time[meets]
    old, new = stored.value[place[meets]], offered.value[meets]
    apart = np.abs(old - new) > EQUAL_TOLERANCE * np.maximum(np.abs(old), np.abs(new))
    added = int((~meets).sum())
    words = ""
    if apart.any():
        row = int(apart.argmax())
        when = format_time(int(offered.time[meets][row]))
        words = f"{when}: stored {old[row]:.12g}, offered {new[row]:.12g}"
    conflicts = int(apart.sum())
    report = MergeReport(
        added=added,
        unchanged=len(old) - conflicts,
        conflicts=conflicts,
        first_conflict=words,
    )
    if not added:
        return stored, report
    time = np.concatenate((stored.time, offered.time[~meets]))
    value = np.concatenate((stored.value, offered.value[~meets]))
    order = np.argsort(time, kind="stable")
    return ContextSeries(stored.key, time[order], value[order]), report


def _encode(series: ContextSeries) -> memoryview:
    """The bytes of a file of context."""
    import polars as pl

    buffer = io.BytesIO()
    frame = pl.DataFrame(
        {
            "time": np.ascontiguousarray(series.time, np.int64),
            "value": np.ascontiguousarray(series.value, np.float64),
        }
    )
    frame.write_parquet(buffer, compression="zstd", compression_level=ZSTD_LEVEL)
    return buffer.getbuffer()


def _damaged(path: Path, reason: str) -> DataError:
    return DataError(f"{path}: damaged ({reason}); delete this file and import it again")
