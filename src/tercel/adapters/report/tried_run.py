"""Run folders read back for the tests against overfitting: of `tercel backtest`, `tercel walk`.

stats.json or walk.json tells what was traded and when, run.json the hash of the bars;
equity.parquet (of a walk: oos_equity.parquet) gives the daily returns, trades.parquet
(oos_trades.parquet) the entries, returns.parquet the daily returns of every combination.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from tercel.adapters.report import documents
from tercel.adapters.report.run_folder import paths_of
from tercel.adapters.report.walk_folder import SCHEMA as WALK_SCHEMA
from tercel.adapters.report.walk_folder import walk_paths
from tercel.app import equity_path
from tercel.app.overfit_report import EntryTimes, TriedRun
from tercel.core.records import EQUITY, Records
from tercel.domain.errors import DataError, UserError
from tercel.domain.results import StreamLabel

SIDES = {"long": 1, "short": -1}


def newest_run(folder: Path) -> Path:
    """The newest run folder in `folder`: names begin with the time. Raises UserError."""
    found = [each for each in folder.iterdir() if is_run(each)] if folder.is_dir() else []
    if not found:
        raise UserError(
            f"{folder}: no run folder there; make one with `tercel backtest` or `tercel walk`, or "
            "name one"
        )
    return max(found, key=lambda each: each.name)


def is_run(folder: Path) -> bool:
    """Whether it looks like a run folder."""
    return walk_paths(folder).walk.is_file() or paths_of(folder).stats.is_file()


def read_tried_run(folder: Path) -> TriedRun:
    """The run in `folder`. Raises UserError when it is none or too old, DataError when damaged."""
    if not is_run(folder):
        raise UserError(
            f"{folder}: not a run folder: neither stats.json of `tercel backtest` nor walk.json of "
            "`tercel walk` is there"
        )
    walked = walk_paths(folder).walk.is_file()
    return _whole(folder, _read_walk if walked else _read_backtest)


def _whole(folder: Path, read: Callable[[Path], TriedRun]) -> TriedRun:
    """What `read` makes of the folder; whatever is missing or misshapen is said in one line."""
    try:
        return read(folder)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, OSError) as error:
        what = f"{type(error).__name__}: {error}"
    except pl.exceptions.PolarsError as error:
        what = str(error).splitlines()[0]
    raise DataError(f"{folder}: a file of the run is missing or damaged ({what}); run it again")


def _read_backtest(folder: Path) -> TriedRun:
    paths = paths_of(folder)
    told = _document(paths.stats, documents.SCHEMA)
    figures = told["statistics"]
    start, end = int(figures["start_time"]), int(figures["end_time"])
    return TriedRun(
        kind="backtest",
        streams=tuple(StreamLabel(**each) for each in told["streams"]),
        data_start=start,
        data_end=end,
        data_hash=_data_hash(paths.run),
        test_start=start,
        test_end=end,
        returns=_returns(paths.equity, figures),
        trades=_trades(paths.trades),
    )


def _read_walk(folder: Path) -> TriedRun:
    paths = walk_paths(folder)
    told = _document(paths.walk, WALK_SCHEMA)
    figures = told["statistics"]
    every = pl.read_parquet(paths.returns)
    names = [name for name in every.columns if name.startswith("trial_")]
    combinations = every.select(names).to_numpy().astype(np.float64)
    if combinations.shape[1] != int(told["grid"]["combinations"]):
        raise ValueError("returns.parquet and walk.json differ in their combinations")
    return TriedRun(
        kind="walk",
        streams=(StreamLabel(**told["stream"]),),
        data_start=int(told["folds"][0]["train"]["start_ms"]),
        data_end=int(every["day_end"].cast(pl.Int64)[-1]),
        data_hash=_data_hash(paths.run),
        test_start=int(figures["start_time"]),
        test_end=int(figures["end_time"]),
        returns=_returns(paths.equity, figures),
        trades=_trades(paths.trades),
        combinations=combinations,
    )


def _document(path: Path, schema: int) -> dict[str, Any]:
    """The JSON at `path`. Raises UserError for another version."""
    told: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    if told["schema"] != schema:
        raise UserError(
            f"{path}: is of version {told['schema']}, and this Tercel reads version {schema}; make "
            "the run again, or use the Tercel that wrote it"
        )
    return told


def _data_hash(path: Path) -> str:
    record = _document(path, documents.SCHEMA)
    return str(record["configuration"]["streams"][0]["data"])


def _returns(path: Path, figures: dict[str, Any]) -> equity_path.Floats:
    """Daily returns of the equity at `path`, as statistics have them."""
    frame = pl.read_parquet(path, columns=["time", "equity"])
    equity: Records = np.zeros(frame.height, EQUITY)
    equity["time"], equity["equity"] = frame["time"].to_numpy(), frame["equity"].to_numpy()
    found = equity_path.daily_returns(
        equity, float(figures["start_quote"]), int(figures["start_time"]), int(figures["end_time"])
    )
    if not np.isfinite(found).all() or len(found) != int(figures["daily_returns"]):
        raise ValueError(f"{path.name} does not fit the figures of the run")
    return found


def _trades(path: Path) -> EntryTimes:
    frame = pl.read_parquet(path, columns=["entry_time", "exit_time", "side"])
    return EntryTimes(
        entries=frame["entry_time"].to_numpy().astype(np.int64),
        exits=frame["exit_time"].to_numpy().astype(np.int64),
        sides=np.array([SIDES[side] for side in frame["side"]], np.int64),
    )
