"""The one market every measurement trades, and the fixed signals every system is given.

The market: the first 400,000 one-minute bars of BTCUSDT on Binance spot from 2023-07-01. The
signals: enter long where the 20-bar average of closes crosses above the 60-bar average, leave where
it crosses below. They are computed once, saved, and read by every system, so that no difference in
indicators can hide in the comparison.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from tercel.core.records import BAR, Records

BAR_COUNT = 400_000
FAST_BARS = 20
SLOW_BARS = 60
CENTS = 100.0
FIRST_MONTH = "2023-07"
SERIES = Path("klines/binance-spot/BTCUSDT/1m")
PEER_COLUMNS = ("open", "high", "low", "close", "volume")

Flags = npt.NDArray[np.bool_]


class Crosses(NamedTuple):
    """Where to enter and where to leave, one flag a bar."""

    entries: Flags
    exits: Flags


class NoDataError(Exception):
    """The real bars are not on this machine."""


def data_root() -> Path:
    """The folder of real bars: TERCEL_TEST_DATA, else ../shared/data. Raises NoDataError."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    root = Path(os.environ.get("TERCEL_TEST_DATA", beside))
    if not (root / SERIES / f"{FIRST_MONTH}.parquet").is_file():
        raise NoDataError(
            f"no real bars in {root / SERIES}: set TERCEL_TEST_DATA to the folder of real data"
        )
    return root


def month_files(root: Path) -> list[Path]:
    """The monthly files from FIRST_MONTH on, oldest first."""
    return [path for path in sorted((root / SERIES).glob("*.parquet")) if path.stem >= FIRST_MONTH]


def load_bars(root: Path, count: int = BAR_COUNT) -> Records:
    """The first `count` bars as BAR records, columns the files lack as NaN. Raises NoDataError."""
    bars = np.empty(count, BAR)
    filled = 0
    for path in month_files(root):
        frame = pl.read_parquet(path).head(count - filled)
        rows = bars[filled : filled + frame.height]
        for name in BAR.names or ():
            rows[name] = frame[name].to_numpy() if name in frame.columns else np.nan
        filled += frame.height
        if filled == count:
            return bars
    raise NoDataError(f"{root / SERIES} has {filled:,} bars from {FIRST_MONTH} on, not {count:,}")


def rolling_cents(close: npt.NDArray[np.float64], length: int) -> npt.NDArray[np.int64]:
    """Sums of `length` closes in whole cents; row i is the sum that ends at i + length - 1."""
    cents = np.rint(close * CENTS).astype(np.int64)
    sums = np.concatenate([np.zeros(1, np.int64), np.cumsum(cents)])
    rolling: npt.NDArray[np.int64] = sums[length:] - sums[:-length]
    return rolling


def find_crosses(close: npt.NDArray[np.float64]) -> Crosses:
    """Crosses of the two averages of `close`, a price in cents.

    Sums of whole cents are exact: whether two averages are equal depends on nobody's rounding. With
    20 and 60 bars, `sum20 / 20 > sum60 / 60` is `3 * sum20 > sum60`.
    """
    entries = np.zeros(len(close), np.bool_)
    exits = np.zeros(len(close), np.bool_)
    fast = rolling_cents(close, FAST_BARS)[SLOW_BARS - FAST_BARS :] * SLOW_BARS
    slow = rolling_cents(close, SLOW_BARS) * FAST_BARS
    difference = np.sign(fast - slow)
    entries[SLOW_BARS:] = (difference[1:] > 0) & (difference[:-1] <= 0)
    exits[SLOW_BARS:] = (difference[1:] < 0) & (difference[:-1] >= 0)
    return Crosses(entries, exits)


def save_for_peers(folder: Path, bars: Records, crosses: Crosses) -> Path:
    """One .npz of plain columns that the peers' scripts load; its path."""
    path = folder / "market.npz"
    columns: dict[str, Any] = {
        name: np.ascontiguousarray(bars[name]) for name in ("open_time", *PEER_COLUMNS)
    }
    np.savez(path, **columns, entries=crosses.entries, exits=crosses.exits)
    return path
