"""One bar file: BAR records to Parquet bytes and back, and the summary in its footer.

Unknown is NULL in the file and NaN in the record; `count` is a whole number in the file and a
float in the record. The footer carries a summary (bars, first and last time, how often each column
is known, gaps), so that listing a lake of years reads no bars.
"""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tercel.app.quality import find_gaps
from tercel.core.records import BAR, Records
from tercel.domain.bars import BAR_COLUMNS, Gap
from tercel.domain.errors import DataError

if TYPE_CHECKING:
    import polars as pl

SUMMARY_KEY = "tercel.summary"
SUMMARY_VERSION = 1
ZSTD_LEVEL = 3
FILL_ROWS = 4096
"""Rows copied at once into the records: 4096 bars of 104 bytes stay in the processor's cache."""


@dataclass(frozen=True, slots=True)
class Summary:
    """What one file holds."""

    bars: int
    first_time: int
    last_time: int
    known: dict[str, int]
    """Bars in which each column is known."""
    gaps: tuple[Gap, ...]


def summarise(bars: Records, bar_ms: int) -> Summary:
    """The summary of bars, of which there is at least one."""
    times = bars["open_time"]
    known = {name: int((~np.isnan(bars[name])).sum()) for name in BAR_COLUMNS[1:]}
    known["open_time"] = len(bars)
    return Summary(len(bars), int(times[0]), int(times[-1]), known, find_gaps(times, bar_ms))


def encode(bars: Records, bar_ms: int) -> memoryview:
    """The bytes of a bar file (zstd Parquet)."""
    buffer = io.BytesIO()
    summary = summarise(bars, bar_ms)
    footer = {
        "version": SUMMARY_VERSION,
        "bars": summary.bars,
        "first_time": summary.first_time,
        "last_time": summary.last_time,
        "known": summary.known,
        "gaps": [[gap.start, gap.end, gap.bars] for gap in summary.gaps],
    }
    to_frame(bars).write_parquet(
        buffer,
        compression="zstd",
        compression_level=ZSTD_LEVEL,
        metadata={SUMMARY_KEY: json.dumps(footer)},
    )
    return buffer.getbuffer()


def to_frame(bars: Records) -> pl.DataFrame:
    """BAR records as a table in the order and types of a bar file."""
    import polars as pl

    columns = []
    for name in BAR_COLUMNS:
        series = pl.Series(name, np.ascontiguousarray(bars[name]), nan_to_null=True)
        columns.append(series.cast(pl.Int64) if name == "count" else series)
    return pl.DataFrame(columns)


def read_into(
    path: Path, out: Records, start_ms: int | None = None, end_ms: int | None = None
) -> int:
    """Fill `out` with the bars of `path` with start <= open_time < end; return how many.

    Raises DataError for a damaged file, and for one with more bars than `out` has room for (the
    caller makes room for every bar its month can have, so the file repeats some).
    """
    frame = _read_frame(path)
    times = frame["open_time"]
    if times.null_count():
        raise damaged(path, "open_time is NULL in it")
    start = 0 if start_ms is None else int(times.search_sorted(start_ms, side="left"))
    end = frame.height if end_ms is None else int(times.search_sorted(end_ms, side="left"))
    count = max(0, end - start)
    if count > len(out):
        raise damaged(path, "it holds more bars than its month has")
    frame = frame.slice(start, count)
    columns = [
        None if column.null_count() == count else column.to_numpy()
        for column in frame.get_columns()
    ]
    for row in range(0, count, FILL_ROWS):
        rows = slice(row, min(row + FILL_ROWS, count))
        block = out[rows]
        for name, values in zip(BAR_COLUMNS, columns, strict=True):
            block[name] = np.nan if values is None else values[rows]
    return count


def read_file(path: Path) -> Records:
    """Every bar of `path`. Raises DataError."""
    out = np.empty(read_length(path), BAR)
    return out[: read_into(path, out)]


def read_length(path: Path) -> int:
    """Bars in `path`, from its footer."""
    import polars as pl

    with _reading(path):
        return int(pl.scan_parquet(path, glob=False).select(pl.len()).collect().item())


def read_summary(path: Path, bar_ms: int) -> Summary:
    """The summary in the footer; computed where another writer left none. Raises DataError."""
    import polars as pl

    with _reading(path):
        text = pl.read_parquet_metadata(path).get(SUMMARY_KEY)
    if text is not None:
        footer = json.loads(text)
        if footer["version"] == SUMMARY_VERSION:
            gaps = tuple(Gap(start, end, bars) for start, end, bars in footer["gaps"])
            first, last = footer["first_time"], footer["last_time"]
            return Summary(footer["bars"], first, last, footer["known"], gaps)
    bars = read_file(path)
    if not len(bars):
        raise damaged(path, "there is no bar in it")
    return summarise(bars, bar_ms)


def _read_frame(path: Path) -> pl.DataFrame:
    """The columns of a bar file in their order and types."""
    import polars as pl

    with _reading(path):
        frame = pl.read_parquet(
            path, glob=False, hive_partitioning=False, use_statistics=False, parallel="columns"
        )
    missing = [name for name in BAR_COLUMNS if name not in frame.columns]
    if missing:
        raise damaged(path, f"it has no column {', '.join(missing)}")
    wanted = {
        name: pl.Int64 if name in ("open_time", "count") else pl.Float64 for name in BAR_COLUMNS
    }
    for name, dtype in wanted.items():
        if frame.schema[name] not in (dtype, pl.Null):
            raise damaged(path, f"column {name} is {frame.schema[name]}, not {dtype}")
    return frame.select(BAR_COLUMNS)


class _reading:  # noqa: N801 (reads as the statement it is: with _reading(path))
    """Turns what a damaged or missing file makes polars raise into DataError."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        import polars as pl

        # A panic of the reader is a BaseException; it means the same here.
        if isinstance(error, (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError)):
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise damaged(self._path, reason) from error


def damaged(path: Path, reason: str) -> DataError:
    """The error of a file that cannot be used."""
    return DataError(
        f"{path}: damaged ({reason}); delete this file and import or fetch its month again"
    )
