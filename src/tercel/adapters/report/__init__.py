"""Run folders and report pages. Heavy libraries are imported when the first one is written."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tercel.app.report import NamedRun, Report

if TYPE_CHECKING:
    from tercel.adapters.report.arena_folder import ArenaPaths
    from tercel.adapters.report.overfit_page import OverfitPaths
    from tercel.adapters.report.run_folder import RunPaths
    from tercel.adapters.report.walk_folder import WalkPaths
    from tercel.adapters.report.walk_page import Section
    from tercel.app.arena import Arena
    from tercel.app.overfit_report import OverfitReport, TriedRun
    from tercel.app.walkforward import Walk

__all__ = [
    "compare",
    "newest_run",
    "overfit_sections",
    "read_tried_run",
    "write_arena",
    "write_comparison",
    "write_overfit",
    "write_run",
    "write_walk",
]


def write_run(folder: Path, report: Report) -> RunPaths:
    """Write `report` as a new run folder, whole or not at all. Raises UserError or StorageError."""
    from tercel.adapters.report import run_folder

    return run_folder.write_run(folder, report)


def compare(runs: Sequence[NamedRun], title: str = "Runs side by side") -> str:
    """One self-contained HTML page with the runs side by side."""
    from tercel.adapters.report.page import comparison_page

    return comparison_page(runs, title)


def write_comparison(path: Path, runs: Sequence[NamedRun], title: str = "") -> Path:
    """Write that page, atomically. Raises StorageError."""
    from tercel.adapters.report import run_folder

    return run_folder.write_comparison(path, runs, title)


def write_walk(folder: Path, walk: Walk, sections: Sequence[Section] = ()) -> WalkPaths:
    """Write the run folder of a walk-forward, whole or not at all; `sections` go into its page.

    Raises UserError or StorageError.
    """
    from tercel.adapters.report import walk_folder

    return walk_folder.write_walk(folder, walk, sections)


def newest_run(folder: Path) -> Path:
    """The newest run folder in `folder`. Raises UserError."""
    from tercel.adapters.report import tried_run

    return tried_run.newest_run(folder)


def read_tried_run(folder: Path) -> TriedRun:
    """A run folder read back for the tests against overfitting. Raises UserError or DataError."""
    from tercel.adapters.report import tried_run

    return tried_run.read_tried_run(folder)


def write_overfit(folder: Path, found: OverfitReport) -> OverfitPaths:
    """overfit.html and overfit.json into a run folder. Raises StorageError."""
    from tercel.adapters.report import overfit_page

    return overfit_page.write_overfit(folder, found)


def overfit_sections(found: OverfitReport | str) -> list[Section]:
    """The tests against overfitting as sections of another page, or why there are none."""
    from tercel.adapters.report import overfit_page

    return overfit_page.overfit_sections(found)


def write_arena(folder: Path, arena: Arena) -> ArenaPaths:
    """Write the run folder of an arena, whole or not at all. Raises UserError, StorageError."""
    from tercel.adapters.report import arena_folder

    return arena_folder.write_arena(folder, arena)
