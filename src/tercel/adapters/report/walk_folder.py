"""The run folder of a walk-forward: written whole or not at all, the same bytes for the same input.

walk.json            everything, as plain data
trials.parquet       a row for each combination and fold: its values and what it did on each window
returns.parquet      daily returns of each combination in one run over all the data: `day_end`, then
                     a column `trial_N` for each
oos_equity.parquet   the chained tests, a row a bar close
oos_trades.parquet   their trades, with the fold of each
report.html, run.json
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from tercel.adapters.report import documents, tables
from tercel.adapters.report.run_folder import write_whole
from tercel.adapters.report.walk_page import Section, walk_page
from tercel.app.folds import Part
from tercel.app.walkforward import FoldOutcome, Walk
from tercel.domain.errors import UserError

SCHEMA = 1
"""Raised when a key of walk.json or a column changes its meaning or goes."""


@dataclass(frozen=True, slots=True)
class WalkPaths:
    """Where the files of a walk-forward are."""

    folder: Path
    walk: Path
    trials: Path
    returns: Path
    equity: Path
    trades: Path
    report: Path
    run: Path


def walk_paths(folder: Path) -> WalkPaths:
    """The names of the files."""
    return WalkPaths(
        folder=folder,
        walk=folder / "walk.json",
        trials=folder / "trials.parquet",
        returns=folder / "returns.parquet",
        equity=folder / "oos_equity.parquet",
        trades=folder / "oos_trades.parquet",
        report=folder / "report.html",
        run=folder / "run.json",
    )


def write_walk(folder: Path, walk: Walk, sections: Sequence[Section] = ()) -> WalkPaths:
    """Write `walk` as a new run folder, atomically. Raises UserError, StorageError."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder}: already exists; name another folder or remove it first")
    found = walk_paths(folder)
    folds = pl.Series(np.asarray(walk.chain.trade_folds, np.int64))
    contents = {
        found.walk.name: walk_json(walk),
        found.trials.name: trials_parquet(walk),
        found.returns.name: returns_parquet(walk),
        found.equity.name: tables.equity_parquet(walk.chain.result),
        found.trades.name: tables.trades_parquet(walk.chain.result, fold=folds),
        found.report.name: walk_page(walk, sections).encode(),
        found.run.name: documents.run_json(walk.record),
    }
    write_whole(folder, contents)
    return found


def walk_json(walk: Walk) -> bytes:
    """Every figure: no time of day, no machine, no path."""
    plan = walk.plan
    result = walk.chain.result
    return documents.to_json(
        {
            "schema": SCHEMA,
            "stream": plan.job.spec.label,
            "grid": {
                "name": plan.grid.name,
                "combinations": plan.grid.size,
                "values": {axis.name: axis.values for axis in plan.grid.axes},
            },
            "settings": plan.settings.model_dump(mode="json"),
            "fingerprint": plan.fingerprint,
            "verdict": walk.verdict,
            "statistics": walk.statistics,
            "buy_and_hold": walk.held.statistics,
            "folds": [_fold(each) for each in walk.folds],
            "levels": walk.chain.levels,
            "refusals": result.refusals,
            "warnings": walk.warnings,
        }
    )


def _fold(outcome: FoldOutcome) -> dict[str, Any]:
    fold, choice = outcome.fold, outcome.choice
    return {
        "number": fold.number,
        "train": fold.train,
        "validate": fold.validate,
        "test": fold.test,
        "chosen": choice.chosen.number if choice.chosen else None,
        "values": outcome.values,
        "why_none": choice.why_none,
        "ranked": choice.ranked,
        "independent_trials": choice.trials,
        "candidates": choice.candidates,
        "on_train": outcome.train,
        "on_validation": outcome.validation,
        "on_test": outcome.test,
        "test_drawdown": outcome.test_drawdown,
        "buy_and_hold": outcome.held_fraction,
        "test_best": outcome.test_best,
        "test_median": outcome.test_median,
    }


def trials_parquet(walk: Walk) -> bytes:
    """A row for each combination and fold."""
    count, folds = len(walk.figures), len(walk.folds)
    columns = {
        "trial": pl.Series(np.repeat(np.arange(count), folds)),
        "fold": pl.Series(np.tile(np.arange(folds), count)),
    }
    for axis in walk.plan.grid.axes:
        values = [choice[axis.name] for choice in walk.plan.choices]
        columns[axis.name] = pl.Series([value for value in values for _ in range(folds)])
    chosen = [each.choice.chosen.number if each.choice.chosen else -1 for each in walk.folds]
    columns["chosen"] = columns["trial"] == pl.Series(chosen * count)
    for part in Part:
        found = walk.by_part(part)
        for name in found.dtype.names or ():
            column = pl.Series(np.ascontiguousarray(found[name]).ravel())
            columns[f"{part.name.lower()}_{name}"] = column
    return tables.to_parquet(columns)


def returns_parquet(walk: Walk) -> bytes:
    """The (T, N) matrix of daily returns; `day_end` is where each closes, UTC."""
    sweep = walk.sweep
    columns = {"day_end": pl.Series(sweep.day_ends).cast(pl.Datetime("ms", "UTC"))}
    for number in range(sweep.returns.shape[1]):
        columns[f"trial_{number}"] = pl.Series(np.ascontiguousarray(sweep.returns[:, number]))
    return tables.to_parquet(columns)
