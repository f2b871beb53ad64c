"""`tercel walk`: walk-forward of a grid of parameters, honestly reported."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tercel.entry.cli import options, terminal

if TYPE_CHECKING:
    from tercel.app.runs import Desk
    from tercel.app.walkforward import Walk, WalkPlan

EPILOG = """Examples:

tercel walk three_r BTCUSDT --venue binance-spot --grid source1

tercel walk three_r BTCUSDT --grid "ema_len=15,20,25; range_pct=0.25:0.35:0.05"

tercel walk swing BTCUSDT --grid small --set walk.train_hours=1600 --set walk.scheme=anchored

tercel walk three_r BTCUSDT --ray auto
"""


def walk(
    strategy: options.Strategy,
    symbol: options.Symbol,
    grid: Annotated[
        str | None,
        typer.Option(help='A grid\'s name, or written out: "a=1,2,3; b=0.25:0.35:0.05".'),
    ] = None,
    venue: options.Venue = None,
    timeframe: options.Timeframe = None,
    start: options.Start = None,
    end: options.End = None,
    overrides: options.Overrides = None,
    config: options.Config = None,
    cash: Annotated[float | None, typer.Option(help="Cash each window begins with, quote.")] = None,
    costs: options.Costs = None,
    workers: Annotated[
        int | None, typer.Option(min=0, help="Threads or Ray workers; 0: one for each core.")
    ] = None,
    ray: Annotated[
        str | None, typer.Option(help="Work on a Ray cluster: auto, or HOST:PORT.")
    ] = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Start over instead of going on after a stop.")
    ] = False,
    runs: options.Runs = None,
    lake: options.Lake = None,
    report: Annotated[
        bool, typer.Option(help="Write the run folder (walk.json, trials, returns, report.html).")
    ] = True,
) -> None:
    """Choose parameters on the past, report them on what followed, move on, and again.

    On each fold every combination of the grid is traded on train; the best are ranked by deflated
    Sharpe ratio on validation; the one chosen is reported on test. Tests are chained into one
    out-of-sample curve. Ctrl-C leaves what is finished: the same command goes on.
    """
    from tercel import bootstrap
    from tercel.app.prepare import RunRequest
    from tercel.app.strategies import load_strategy
    from tercel.app.walkforward import plan_walk, run_walk
    from tercel.domain.errors import InterruptedWorkError
    from tercel.entry.cli.desk import counting, moment, open_desk, say_repairs, with_cash

    every = with_cash(overrides, cash)
    terminal.say_if_cold()
    with ExitStack() as opened:
        with terminal.progress_bar() as progress:
            desk, parameters = open_desk(config, every, lake, progress)
            desk = counting(desk)
            request = RunRequest(
                strategies=(load_strategy(strategy),),
                symbols=(symbol.upper(),),
                venue=venue,
                timeframe=timeframe,
                start_ms=moment(start, "--from", whole_day=False),
                end_ms=moment(end, "--to", whole_day=True),
                overrides=parameters,
                costs=costs,
            )
            plan = plan_walk(desk, request, grid or "")
            folder = runs or desk.settings.runs.folder
            crew = bootstrap.workers(desk.settings, count=workers, ray=ray)
            log = opened.enter_context(bootstrap.trial_log(folder, plan.fingerprint, fresh=fresh))
            try:
                found = run_walk(desk, plan, crew, log)
            except KeyboardInterrupt:
                raise InterruptedWorkError(_kept(plan, len(log.finished()))) from None
        say_repairs(desk)
        _show(desk, found, folder, write=report)
        log.discard()


def _kept(plan: WalkPlan, finished: int) -> str:
    return (
        f"interrupted: {finished:,} of {plan.grid.size:,} combinations are kept; the same command "
        "goes on from there, --fresh starts over"
    )


def _show(desk: Desk, found: Walk, folder: Path, *, write: bool) -> None:
    """Print the summary, then write the run folder and say where it is."""
    from tercel.app.runs import folder_name
    from tercel.entry.cli.desk import free_folder
    from tercel.entry.cli.summary import print_paths
    from tercel.entry.cli.walk_summary import print_walk

    screen = terminal.console()
    print_walk(screen, found)
    if write:
        from tercel.adapters.report import overfit_sections, write_walk
        from tercel.app.overfit_run import examine_walk

        sections = overfit_sections(examine_walk(desk, found))
        label = found.plan.job.spec.label
        stem = folder_name(["walk", label.strategy], [label.symbol], found.record.created_time)
        written = write_walk(free_folder(folder / stem), found, sections)
        print_paths(
            screen,
            {"report": written.report, "walk": written.walk, "trials": written.trials},
        )
