"""The run folder of an arena: written whole or not at all, the same bytes for the same input.

arena.json        every figure, the ranking, the correlations, the allocator, as plain data
equity.parquet    `time` and `at`, and the equity of each strategy and of buy-and-hold by its name
arena.html        the page
run.json          how it was run
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from tercel.adapters.report import documents, tables
from tercel.adapters.report.arena_page import arena_page
from tercel.adapters.report.run_folder import write_whole
from tercel.app.allocator_walk import AllocatorWalk
from tercel.app.arena import Arena, Contestant
from tercel.app.benchmark import BUY_AND_HOLD
from tercel.app.equity_path import closing_values
from tercel.domain.errors import UserError

SCHEMA = 1
"""Raised when a key of arena.json or a column changes its meaning or goes."""


@dataclass(frozen=True, slots=True)
class ArenaPaths:
    """Where the files of an arena are."""

    folder: Path
    arena: Path
    equity: Path
    page: Path
    run: Path


def arena_paths(folder: Path) -> ArenaPaths:
    """The names of the files."""
    return ArenaPaths(
        folder=folder,
        arena=folder / "arena.json",
        equity=folder / "equity.parquet",
        page=folder / "arena.html",
        run=folder / "run.json",
    )


def write_arena(folder: Path, arena: Arena) -> ArenaPaths:
    """Write `arena` as a new run folder, atomically. Raises UserError, StorageError."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder}: already exists; name another folder or remove it first")
    found = arena_paths(folder)
    contents = {
        found.arena.name: arena_json(arena),
        found.equity.name: equity_parquet(arena),
        found.page.name: arena_page(arena).encode(),
        found.run.name: documents.run_json(arena.record),
    }
    write_whole(folder, contents)
    return found


def arena_json(arena: Arena) -> bytes:
    """Every figure: no time of day, no machine, no path."""
    return documents.to_json(
        {
            "schema": SCHEMA,
            "rank": arena.rank,
            "symbols": arena.symbols,
            "ranking": [
                _contestant(place, each) for place, each in enumerate(arena.contestants, start=1)
            ],
            "benchmarks": {other.name: other.statistics for other in arena.benchmarks},
            "correlations": {"names": arena.daily.names, "values": arena.correlations.tolist()},
            "allocator": _walk(arena.walk),
            "warnings": arena.warnings,
        }
    )


def _contestant(place: int, contestant: Contestant) -> dict[str, Any]:
    report = contestant.report
    return {
        "place": place,
        "strategy": contestant.name,
        "headline": contestant.headline,
        "missing_inputs": contestant.missing,
        "deflated_sharpe_probability": contestant.deflated,
        "verdict": report.verdict,
        "statistics": report.statistics,
        "streams": report.result.labels,
        "refusals": report.result.refusals,
        "halts": report.result.halts,
    }


def _walk(walk: AllocatorWalk) -> dict[str, Any]:
    return {
        "code": walk.code,
        "headline": walk.headline,
        "sentences": walk.sentences,
        "difference_a_year": walk.difference,
        "day_ends": [] if walk.day_ends is None else walk.day_ends.tolist(),
        "paths": [
            {
                "name": path.name,
                "net_fraction": path.net_fraction,
                "sharpe": path.sharpe,
                "drawdown": path.drawdown,
                "invested_mean": path.invested_mean,
                "turnover": path.turnover.tolist(),
                "daily_returns": path.returns.tolist(),
            }
            for path in walk.paths
        ],
        "rebalances": [
            {
                "time": each.time,
                "cash_fraction": each.cash_fraction,
                "stakes": dict(zip(walk.names, each.stakes, strict=True)),
            }
            for each in walk.rebalances
        ],
    }


def equity_parquet(arena: Arena) -> bytes:
    """A row a bar close: the equity of every account, and of buy-and-hold."""
    accounts = {each.name: each.report.result for each in arena.contestants}
    accounts[BUY_AND_HOLD] = arena.benchmarks[0].result
    stamps = [np.ascontiguousarray(result.equity["time"]) for result in accounts.values()]
    times = stamps[0]
    if not all(np.array_equal(times, other) for other in stamps[1:]):
        times = np.unique(np.concatenate(stamps))
    columns = {"time": pl.Series(times), "at": pl.Series(times).cast(pl.Datetime("ms", "UTC"))}
    for (name, result), own in zip(accounts.items(), stamps, strict=True):
        values = np.ascontiguousarray(result.equity["equity"])
        columns[name] = pl.Series(closing_values(own, values, times, result.start_quote))
    return tables.to_parquet(columns)
