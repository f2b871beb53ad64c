"""Archive files of Binance klines into bars: a zip holding one CSV of twelve columns.

Sample, one minute of BTCUSDT (files of futures begin with a header line, files of spot do not;
times are milliseconds, in spot files since 2025 microseconds)::

    open_time     1717200000000       bar open
    open          67577.90            quote per base
    high          67619.80
    low           67561.10
    close         67610.40
    volume        141.893             base
    close_time    1717200059999       ignored: open_time says it all
    quote_volume  9590012.11          quote
    count         2841                trades
    taker_buy_volume        83.310    base bought by takers
    taker_buy_quote_volume  5630420.2 quote
    ignore        0
"""

from __future__ import annotations

import io
import zipfile
import zlib

import numpy as np
import polars as pl

from tercel.core.records import BAR, Records
from tercel.domain.errors import DataError

CSV_BYTES_MAX = 1 << 28
"""256 MiB unpacked; a month of 1m klines is about 5 MiB."""
MICROSECONDS_FROM = 100_000_000_000_000
"""Times from here on are microseconds: as milliseconds this would be the year 5138."""

COLUMNS = (
    "open_time",
    "open",
    "high",
    "low",
    "close",
    "volume",
    "close_time",
    "quote_volume",
    "count",
    "taker_buy_volume",
    "taker_buy_quote_volume",
    "ignore",
)
_TAKEN = tuple(name for name in COLUMNS if name not in {"close_time", "ignore"})
_SCHEMA = {name: pl.Int64() if name == "open_time" else pl.Float64() for name in COLUMNS}
_NEVER_KNOWN = ("bid_size", "ask_size", "spread_bps")


def unzip_klines(content: bytes, name: str) -> bytes:
    """The one CSV inside the zip `name`. Raises DataError when damaged, empty or absurdly big."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = [member for member in archive.infolist() if not member.is_dir()]
            if len(members) != 1:
                raise DataError(f"{name}: expected one CSV inside, got {len(members)} files")
            if members[0].file_size > CSV_BYTES_MAX:
                raise DataError(
                    f"{name}: {members[0].filename} unpacks to {members[0].file_size:,} bytes, "
                    f"more than {CSV_BYTES_MAX:,}"
                )
            return archive.read(members[0])
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise DataError(f"{name}: not a readable zip file: {error}") from None


def parse_klines(csv: bytes, name: str) -> Records:
    """BAR records of a kline CSV, in file order; columns it does not have are NaN.

    Raises DataError that names file and row when a cell is not a number or a line is cut short. The
    rules of a good bar (order, low <= open, ...) are the store's to check.
    """
    text = csv.lstrip(b"\xef\xbb\xbf \t\r\n")
    header_lines = 0 if text[:1].isdigit() else 1
    try:
        frame = pl.read_csv(
            text,
            has_header=False,
            skip_lines=header_lines,
            schema=_SCHEMA,
            raise_if_empty=False,
        )
    except pl.exceptions.PolarsError as error:
        raise DataError(f"{name}: {_first_line(error)}") from None
    frame = frame.select(_TAKEN)
    _refuse_blanks(frame, name, header_lines)
    times = frame["open_time"].to_numpy()
    bars = np.zeros(frame.height, dtype=BAR)
    bars["open_time"] = np.where(times >= MICROSECONDS_FROM, times // 1000, times)
    for column in _TAKEN[1:]:
        bars[column] = frame[column].to_numpy()
    for column in _NEVER_KNOWN:
        bars[column] = np.nan
    return bars


def _refuse_blanks(frame: pl.DataFrame, name: str, header_lines: int) -> None:
    for column in frame.columns:
        blank = frame[column].is_null()
        if column != "open_time":
            blank |= frame[column].is_nan().fill_null(value=True)
        if blank.any():
            row = int(blank.arg_true()[0]) + 1 + header_lines
            raise DataError(f"{name}: row {row}: {column} is missing or no number")


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]
