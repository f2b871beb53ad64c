"""Run folders and files of trades read back.

stats.json: {"schema": 1, "streams": [{"strategy": "three_r", "symbol": "BTCUSDT", ...}],
"verdict": {"headline": ...}, "statistics": {every field of Statistics, NaN as null}, "warnings":
[...]}. trades.parquet: the fields of TRADE and the columns `strategy` and `symbol`. A file of
trades of one's own (Parquet or CSV) has the columns of `saved_run.SAVED_FIELDS`; `strategy` and
`symbol` may be left out.
"""

from __future__ import annotations

import json
import math
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from tercel.adapters.report.documents import SCHEMA
from tercel.adapters.report.run_folder import paths_of
from tercel.app.saved_run import SAVED_FIELDS, SAVED_TRADE, SavedRun, SavedTrades
from tercel.app.statistics import MonthReturn, Statistics, TradeGroup
from tercel.domain.errors import DataError, UserError

SUFFIXES = (".parquet", ".csv")


def read_run(folder: Path) -> SavedRun:
    """The run in `folder`. Raises UserError where there is none, DataError where it is damaged."""
    paths = paths_of(folder)
    if not paths.stats.is_file() or not paths.trades.is_file():
        raise UserError(
            f"{folder}: not a run folder (no stats.json with trades.parquet); name one that "
            "`tercel backtest` wrote"
        )
    try:
        stored = json.loads(paths.stats.read_text(encoding="utf-8"))
        if stored["schema"] != SCHEMA:
            raise DataError(
                f"{paths.stats}: its format is {stored['schema']}, and {SCHEMA} is read here; run "
                "the backtest again"
            )
        statistics = _statistics(stored["statistics"])
        verdict, warnings = stored["verdict"]["headline"], tuple(stored["warnings"])
        streams = stored["streams"]
        strategies = frozenset(str(stream["strategy"]) for stream in streams)
        symbols = frozenset(str(stream["symbol"]) for stream in streams)
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{paths.stats}: damaged or of another version ({type(error).__name__}: {error}); run "
            "the backtest again"
        ) from None
    trades = read_trades(paths.trades)
    return SavedRun(
        SavedTrades(trades.trades, strategies, symbols), statistics, str(verdict), warnings
    )


def read_trades(path: Path) -> SavedTrades:
    """Trades of a Parquet or CSV file, by exit time. Raises UserError, DataError."""
    if path.suffix not in SUFFIXES or not path.is_file():
        raise UserError(f"{path}: no run folder and no .parquet or .csv file of trades")
    try:
        frame = pl.read_csv(path) if path.suffix == ".csv" else pl.read_parquet(path)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise DataError(f"{path}: cannot be read: {str(error).splitlines()[0]}") from None
    missing = [name for name in SAVED_FIELDS if name not in frame.columns]
    if missing:
        raise DataError(
            f"{path}: no column {', '.join(missing)}; a file of trades has the columns "
            f"{', '.join(SAVED_FIELDS)} (times in ms UTC)"
        )
    trades = np.zeros(frame.height, SAVED_TRADE)
    for name in SAVED_FIELDS:
        column = frame[name]
        whole = name.endswith("_time")
        if not (column.dtype.is_integer() if whole else column.dtype.is_numeric()) or (
            column.null_count() and frame.height
        ):
            what = "whole milliseconds UTC" if whole else "numbers"
            raise DataError(f"{path}: column {name} must be {what} in every row")
        trades[name] = column.to_numpy()
    order = np.argsort(trades["exit_time"], kind="stable")
    return SavedTrades(trades[order], _names(frame, "strategy"), _names(frame, "symbol"))


def _names(frame: pl.DataFrame, column: str) -> frozenset[str]:
    if column not in frame.columns:
        return frozenset()
    return frozenset(str(value) for value in frame[column].unique() if value is not None)


def _statistics(stored: dict[str, Any]) -> Statistics:
    """Statistics of their JSON. Raises KeyError, TypeError where a figure is missing."""
    values: dict[str, Any] = {}
    for each in fields(Statistics):
        value = stored[each.name]
        if each.name == "monthly":
            values[each.name] = tuple(MonthReturn(**_numbers(row)) for row in value)
        elif each.name.startswith("by_"):
            values[each.name] = tuple(TradeGroup(**_numbers(row)) for row in value)
        else:
            values[each.name] = math.nan if value is None else value
    return Statistics(**values)


def _numbers(row: dict[str, Any]) -> dict[str, Any]:
    return {name: math.nan if value is None else value for name, value in row.items()}
