"""`tercel overfit`: how far the result of a run can be believed after all that was tried."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tercel.app.overfit_verdict import OverfitCode, judge_overfit
from tercel.entry.cli import options, terminal

if TYPE_CHECKING:
    from rich.console import Console

    from tercel.app.overfit_report import OverfitReport

EPILOG = """Examples:

tercel overfit

tercel overfit runs/20240625-133000-walk-three_r-BTCUSDT --permutations 10000

tercel overfit --blocks 10 --seed 7
"""

STYLES: dict[OverfitCode, str] = {
    OverfitCode.NO_PROFIT: "bold",
    OverfitCode.LUCK_OF_MANY_TRIALS: "bold yellow",
    OverfitCode.OVERFITTED: "bold red",
    OverfitCode.DOUBTFUL: "bold yellow",
    OverfitCode.SURVIVES: "bold green",
}


def overfit(
    run: Annotated[
        Path | None,
        typer.Argument(help="A run folder of backtest or walk; default: the newest one."),
    ] = None,
    permutations: Annotated[
        int | None, typer.Option(help="Random placements of the trades in time.")
    ] = None,
    blocks: Annotated[
        int | None, typer.Option(help="Blocks of the probability of overfitting, even.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of everything drawn.")] = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", help="NAME=VALUE: a setting by its path.")
    ] = None,
    config: options.Config = None,
    runs: Annotated[Path | None, typer.Option(help="Folder with the run folders.")] = None,
    lake: options.Lake = None,
) -> None:
    """Test a finished run: is it more than the luck of the best of many trials?

    Deflated Sharpe ratio by every trial in the research ledger, intervals of Sharpe ratio and
    drawdown, the same trades at other times; for a walk-forward also the probability of backtest
    overfitting and paths of cross-validation. Writes overfit.json and overfit.html into the run
    folder.
    """
    from tercel import bootstrap
    from tercel.adapters.report import newest_run, read_tried_run, write_overfit
    from tercel.app.overfit_run import examine_run
    from tercel.entry.cli.summary import print_paths

    chosen = {"permutations": permutations, "blocks": blocks, "seed": seed}
    every = [
        *(overrides or []),
        *(f"overfit.{name}={value}" for name, value in chosen.items() if value is not None),
    ]
    settings = bootstrap.load_settings(config, every).with_lake(lake)
    parent = runs or settings.runs.folder
    folder = newest_run(parent) if run is None else run
    if run is not None and not run.exists() and (parent / run).is_dir():
        folder = parent / run
    ledger = bootstrap.open_ledger(settings)
    found = examine_run(
        read_tried_run(folder), settings.overfit, bootstrap.open_lake(settings), ledger
    )
    for line in ledger.notices():
        terminal.problem(f"notice: {line}")
    screen = terminal.console()
    print_overfit(screen, found, str(folder))
    written = write_overfit(folder, found)
    print_paths(screen, {"overfitting": written.page, "figures": written.figures})


def print_overfit(console: Console, found: OverfitReport, where: str) -> None:
    """The verdict, then a line for each test."""
    from tercel.app.overfit_table import overfit_rows

    verdict = judge_overfit(found)
    console.print()
    console.print(f"{found.run.name}: {where}", markup=False, style="dim", soft_wrap=True)
    console.print(verdict.headline, style=STYLES[verdict.code], markup=False)
    console.print(" ".join(verdict.sentences), markup=False)
    made = terminal.table("Test", "Found", "Meaning", numeric=("Found",))
    for row in overfit_rows(found):
        made.add_row(*row)
    console.print(made)
