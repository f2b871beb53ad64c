"""The run folder: everything about one run, written whole or not at all.

1. every file is made in memory;
2. they are written into a temporary folder beside the run folder, and flushed to the disk;
3. the temporary folder is renamed. A full disk leaves nothing behind.
"""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tercel.adapters.report import charts, documents, tables
from tercel.adapters.report.drawing import drawing, to_png
from tercel.adapters.report.page import comparison_page, equity_curves, page, title_of
from tercel.adapters.report.palette import LIGHT
from tercel.app import wording
from tercel.app.report import NamedRun, Report
from tercel.app.report_series import drawdown_curve
from tercel.domain.errors import StorageError, UserError


@dataclass(frozen=True, slots=True)
class RunPaths:
    """Where the files of a run are."""

    folder: Path
    stats: Path
    trades: Path
    equity: Path
    fills: Path
    equity_picture: Path
    report: Path
    run: Path


class FolderTakenError(UserError):
    """Somebody else has made the folder a moment ago."""


def paths_of(folder: Path) -> RunPaths:
    """The names of a run folder's files."""
    return RunPaths(
        folder=folder,
        stats=folder / "stats.json",
        trades=folder / "trades.parquet",
        equity=folder / "equity.parquet",
        fills=folder / "fills.parquet",
        equity_picture=folder / "equity.png",
        report=folder / "report.html",
        run=folder / "run.json",
    )


def write_run(folder: Path, report: Report) -> RunPaths:
    """Write `report` as a new run folder, atomically.

    Raises UserError when `folder` already holds something, and StorageError when it cannot be
    written; then there is no folder.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder}: already exists; name another folder or remove it first")
    found = paths_of(folder)
    result = report.result
    contents = {
        found.stats.name: documents.stats_json(report),
        found.trades.name: tables.trades_parquet(result),
        found.equity.name: tables.equity_parquet(result),
        found.fills.name: tables.fills_parquet(result),
        found.equity_picture.name: equity_picture(report),
        found.report.name: page(report).encode(),
        found.run.name: documents.run_json(report.record),
    }
    write_whole(folder, contents)
    return found


def write_comparison(path: Path, runs: Sequence[NamedRun], title: str = "") -> Path:
    """Write the page that shows `runs` side by side, atomically. Raises StorageError."""
    html = comparison_page(runs, title or "Runs side by side").encode()
    write_file(path, html, "the comparison")
    return path


def write_file(path: Path, data: bytes, what: str) -> None:
    """Write one file whole or not at all; one that is there is replaced. Raises StorageError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".tmp", delete=False) as file:
            temporary = Path(file.name)
        try:
            _write(temporary, data)
            temporary.chmod(0o644)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise StorageError(f"{path}: cannot write {what}: {error.strerror}") from error


def equity_picture(report: Report) -> bytes:
    """The equity chart as PNG, on white, with the result in its title."""
    result, net = report.result, report.statistics
    said = (
        f"{title_of(result)}:  {wording.percent(net.net_fraction)} net,  "
        f"{wording.percent(net.gross_fraction)} before costs,  drawdown "
        f"{wording.percent(net.drawdown_depth)}"
    )
    with drawing():
        figure = charts.equity(equity_curves(report), drawdown_curve(result), LIGHT, said)
        return to_png(figure, LIGHT["paper"], report.look.plot_dpi)


def write_whole(folder: Path, contents: Mapping[str, bytes]) -> None:
    """All files into a temporary folder beside `folder`, then one rename."""
    temporary: Path | None = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
        temporary.chmod(0o755)
        for name, data in contents.items():
            _write(temporary / name, data)
        temporary.replace(folder)
    except OSError as error:
        if folder.is_dir() and error.errno in (errno.ENOTEMPTY, errno.EEXIST):
            raise FolderTakenError(f"{folder}: already exists; name another folder") from error
        raise StorageError(f"{folder}: cannot write the run folder: {error.strerror}") from error
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)


def _write(path: Path, data: bytes) -> None:
    """Write and flush to the disk, so that a full disk is noticed before the rename."""
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
