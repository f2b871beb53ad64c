"""Trades, fills and equity as Parquet bytes: raw columns, and beside them what people read.

Times stay whole milliseconds (`entry_time`) and become UTC timestamps too (`entry_at`); codes
become their names (`long`, `target_1`). The same records give the same bytes.
"""

from __future__ import annotations

import io
from enum import IntEnum

import numpy as np
import polars as pl

from tercel.app.trade_groups import entry_reason_names
from tercel.core.codes import ExitReason, Side, Slot
from tercel.core.records import Records
from tercel.domain.results import BacktestResult


def _named(values: Records, codes: type[IntEnum]) -> pl.Series:
    """Codes as lower-case names."""
    names = {int(code): code.name.lower() for code in codes}
    return pl.Series([names.get(int(value), str(int(value))) for value in values], dtype=pl.String)


def _moment(values: Records) -> pl.Series:
    """ms UTC as timestamps."""
    whole = pl.Series(np.ascontiguousarray(values, np.int64))
    return whole.cast(pl.Datetime("ms", "UTC"))


def _raw(records: Records) -> dict[str, pl.Series]:
    """Every field of the records, by name."""
    names = records.dtype.names or ()
    return {name: pl.Series(np.ascontiguousarray(records[name])) for name in names}


def _labels(result: BacktestResult, streams: Records) -> dict[str, pl.Series]:
    """Strategy and symbol of each row."""
    strategies = [label.strategy for label in result.labels]
    symbols = [label.symbol for label in result.labels]

    def pick(names: list[str]) -> pl.Series:
        found = [names[s] if 0 <= s < len(names) else "" for s in map(int, streams)]
        return pl.Series(found, dtype=pl.String)

    return {"strategy": pick(strategies), "symbol": pick(symbols)}


def to_parquet(columns: dict[str, pl.Series]) -> bytes:
    """The columns as a Parquet file; the same ones give the same bytes."""
    frame = pl.DataFrame([series.alias(name) for name, series in columns.items()])
    buffer = io.BytesIO()
    frame.write_parquet(buffer, compression="zstd", compression_level=3, statistics=False)
    return buffer.getvalue()


def trades_parquet(result: BacktestResult, **more: pl.Series) -> bytes:
    """One row a trade; `more` columns come last."""
    trades = result.trades
    reasons = pl.Series([], dtype=pl.String)
    if len(trades):
        labels, names = entry_reason_names(result)
        reasons = pl.Series([names[label] for label in labels], dtype=pl.String)
    return to_parquet(
        {
            **_labels(result, trades["stream"]),
            **_raw(trades),
            "side": _named(trades["side"], Side),
            "reason": reasons,
            "exit_reason": _named(trades["exit_reason"], ExitReason),
            "entry_at": _moment(trades["entry_time"]),
            "exit_at": _moment(trades["exit_time"]),
            **more,
        }
    )


def fills_parquet(result: BacktestResult) -> bytes:
    """One row a fill."""
    fills = result.fills
    return to_parquet(
        {
            **_labels(result, fills["stream"]),
            **_raw(fills),
            "slot": _named(fills["slot"], Slot),
            "side": _named(fills["side"], Side),
            "reason": _named(fills["reason"], ExitReason),
            "at": _moment(fills["time"]),
        }
    )


def equity_parquet(result: BacktestResult) -> bytes:
    """One row a bar close."""
    return to_parquet({**_raw(result.equity), "at": _moment(result.equity["time"])})
