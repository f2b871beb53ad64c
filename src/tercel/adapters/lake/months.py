"""Months: how the bars of a series are cut into files. A month is its number since January 1970."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import numpy as np

from tercel.core.records import Records

_NAME = re.compile(r"(\d{4})-(0[1-9]|1[0-2])\.parquet")


def month_start(month: int) -> int:
    """Its first millisecond, UTC."""
    return int(np.datetime64(month, "M").astype("M8[ms]").astype(np.int64))


def month_bars(month: int, bar_ms: int) -> int:
    """How many bars it has room for."""
    return (month_start(month + 1) - month_start(month)) // bar_ms


def file_name(month: int) -> str:
    """`2024-06.parquet`."""
    return f"{np.datetime64(month, 'M')}.parquet"


def month_files(folder: Path) -> dict[int, Path]:
    """The months that `folder` has a file of, oldest first."""
    found = {}
    for path in folder.glob("*.parquet"):
        if match := _NAME.fullmatch(path.name):
            found[(int(match[1]) - 1970) * 12 + int(match[2]) - 1] = path
    return dict(sorted(found.items()))


def split_months(bars: Records) -> dict[int, Records]:
    """Bars in time order as views, one a month."""
    if not len(bars):
        return {}
    numbers = bars["open_time"].astype("M8[ms]").astype("M8[M]").astype(np.int64)
    cuts = [0, *(np.flatnonzero(np.diff(numbers)) + 1).tolist(), len(bars)]
    return {int(numbers[start]): bars[start:end] for start, end in pairwise(cuts)}
