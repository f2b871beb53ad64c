"""A table of any maker as BAR records: find the columns, read the times, make numbers of text."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from tercel.app.ports import NotBarsError
from tercel.core.records import BAR, Records
from tercel.domain.bars import BAR_COLUMNS
from tercel.domain.errors import DataError, UserError
from tercel.domain.times import parse_time

if TYPE_CHECKING:
    import polars as pl

REQUIRED = ("open_time", "open", "high", "low", "close", "volume")
ARCHIVE_COLUMNS = (
    *REQUIRED,
    "close_time",
    "quote_volume",
    "count",
    "taker_buy_volume",
    "taker_buy_quote_volume",
    "ignore",
)
"""The twelve columns of a Binance kline archive, in the order of a file without header line."""

_ALIASES = {
    "open_time": "timestamp time date datetime ts unix start",
    "volume": "volume_base base_volume vol",
    "quote_volume": "quote_asset_volume quote_vol turnover amount",
    "count": "trades number_of_trades num_trades trade_count",
    "taker_buy_volume": "taker_buy_base_asset_volume taker_buy_base_volume taker_buy_base",
    "taker_buy_quote_volume": "taker_buy_quote_asset_volume taker_buy_quote",
}
_OURS = {alias: name for name, aliases in _ALIASES.items() for alias in aliases.split()}
_UNITS = ((10**11, "seconds", 0), (10**14, "milliseconds", 1), (10**17, "microseconds", 1000))
"""A time below this number is in this unit, and so many of it are a millisecond (seconds: 0).

1e11 seconds is the year 5138 and 1e11 milliseconds is 1973; the same holds for each next bound.
"""


def find_columns(
    path: Path, frame: pl.DataFrame, *, named: bool, mapping: Mapping[str, str]
) -> dict[str, str]:
    """Our column name -> the table's, for every column of a bar that it has.

    `mapping` comes first, then equal names, then common other names. Raises NotBarsError when the
    table has no bars, UserError when `mapping` names a column that is not there.
    """
    found: dict[str, str] = {}
    if named:
        for name in frame.columns:
            plain = re.sub(r"\W+", "_", name.strip().lower())
            ours = plain if plain in BAR_COLUMNS else _OURS.get(plain)
            if ours:
                found.setdefault(ours, name)
    elif frame.width == len(ARCHIVE_COLUMNS):
        found = dict(zip(ARCHIVE_COLUMNS, frame.columns, strict=True))
    elif frame.width == len(REQUIRED):
        found = dict(zip(REQUIRED, frame.columns, strict=True))
    for ours, theirs in mapping.items():
        name = "open_time" if ours == "time" else ours
        if name not in BAR_COLUMNS:
            raise UserError(
                f"--map: no column {ours!r}; it is one of time, {', '.join(BAR_COLUMNS)}"
            )
        if theirs not in frame.columns:
            raise UserError(
                f"{path}: --map: has no column {theirs!r}; it has {_list(frame.columns)}"
            )
        found[name] = theirs
    missing = [name for name in REQUIRED if name not in found]
    if missing:
        raise NotBarsError(
            f"no column for {', '.join(missing)} among {_list(frame.columns)}; "
            f"if it holds bars, name them with --map {missing[0].removeprefix('open_')}=COLUMN"
        )
    return {name: found[name] for name in BAR_COLUMNS if name in found}


def to_records(path: Path, frame: pl.DataFrame, columns: Mapping[str, str]) -> tuple[Records, str]:
    """BAR records of the table's rows in their order, and the unit of the times (DataError)."""
    bars = np.empty(frame.height, BAR)
    times, unit = read_times(path, frame[columns["open_time"]])
    bars["open_time"] = times
    for name in BAR_COLUMNS[1:]:
        bars[name] = read_numbers(path, name, frame[columns[name]]) if name in columns else np.nan
    return bars, unit


def read_times(path: Path, column: pl.Series) -> tuple[npt.NDArray[np.int64], str]:
    """Open times in milliseconds, and what they were written in."""
    import polars as pl

    if column.null_count():
        row = int(column.is_null().arg_max() or 0)
        raise DataError(f"{path}: row {row + 1}: the time is missing")
    if column.dtype.is_temporal():
        if column.dtype not in (pl.Datetime, pl.Date):
            raise DataError(f"{path}: {column.name} is {column.dtype}, not a date and time")
        column = column.cast(pl.Datetime("us", getattr(column.dtype, "time_zone", None)))
        micros = column.to_physical().to_numpy()
        return micros // 1000, "dates"
    if column.dtype == pl.String and not _is_number(column[0]):
        return np.array(
            [
                parse_time(text, name=f"{path}: row {row}: time")
                for row, text in enumerate(column, start=1)
            ],
            np.int64,
        ), "ISO dates"
    exact = None if column.dtype.is_float() else column.cast(pl.Int64, strict=False)
    if exact is None or exact.null_count():
        return _scale(path, read_numbers(path, "time", column))
    return _scale(path, exact.to_numpy())


def _scale(
    path: Path, numbers: npt.NDArray[np.int64] | npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.int64], str]:
    """Milliseconds of times in a unit told by the size of the first one, and that unit.

    A fraction of a millisecond is an error: rounding would make a bar of what is none.
    """
    first = abs(float(numbers[0]))
    unit, per_ms = next(
        ((unit, per_ms) for below, unit, per_ms in _UNITS if first < below),
        ("nanoseconds", 1_000_000),
    )
    if per_ms == 0:
        return np.round(numbers * 1000).astype(np.int64), unit
    astray = numbers % per_ms != 0
    if astray.any():
        row = int(astray.argmax())
        raise DataError(f"{path}: row {row + 1}: time {numbers[row]} is not a whole millisecond")
    return (numbers // per_ms).astype(np.int64), unit


def read_numbers(path: Path, name: str, column: pl.Series) -> npt.NDArray[np.float64]:
    """Floats, NaN where the cell is empty. Raises DataError for a cell that is no number."""
    import polars as pl

    numbers = column.cast(pl.Float64, strict=False)
    if numbers.null_count() > column.null_count():
        row = int((numbers.is_null() & column.is_not_null()).arg_max() or 0)
        raise DataError(f"{path}: row {row + 1}: {name} {column[row]!r} is not a number")
    values: npt.NDArray[np.float64] = numbers.to_numpy()
    return values


def _is_number(text: str) -> bool:
    return re.fullmatch(r"\s*[-+]?\d+(\.\d*)?([eE][-+]?\d+)?\s*", text) is not None


def _list(columns: list[str]) -> str:
    return ", ".join(columns[:15]) + (", ..." if len(columns) > 15 else "")
