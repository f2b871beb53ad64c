"""`tercel backtest`: trade strategies over bars of the lake, print the verdict, write the run
folder.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tercel.entry.cli import options, terminal

if TYPE_CHECKING:
    from tercel.app.prepare import RunRequest
    from tercel.app.report import Report

EPILOG = """Examples:

tercel backtest three_r BTCUSDT --venue binance-spot --from 2023-07-01 --to 2024-06-25

tercel backtest three_r BTCUSDT --set ema_len=25 --set fills.intrabar=ohlc_path

tercel backtest ./my_idea.py BTCUSDT ETHUSDT --cash 50000

tercel backtest three_r BTCUSDT --compare

tercel backtest three_r BTCUSDT --fills all

tercel backtest --config config/runs/arena.yaml
"""


def backtest(
    strategy: Annotated[
        str | None,
        typer.Argument(
            help="A strategy's name, or the path of your own file; several with commas. "
            "Default: run.strategies of --config."
        ),
    ] = None,
    symbols: Annotated[
        list[str] | None,
        typer.Argument(help="Symbols, as the lake has them. Default: run.symbols of --config."),
    ] = None,
    venue: options.Venue = None,
    timeframe: options.Timeframe = None,
    start: options.Start = None,
    end: options.End = None,
    overrides: options.Overrides = None,
    config: options.Config = None,
    cash: options.Cash = None,
    costs: options.Costs = None,
    fills: Annotated[
        str | None,
        typer.Option(
            help="What came first in a bar: pessimistic, neutral, optimistic; all: side by side."
        ),
    ] = None,
    compare: Annotated[
        bool,
        typer.Option(help="Each strategy alone, side by side with swing and buy-and-hold."),
    ] = False,
    runs: options.Runs = None,
    lake: options.Lake = None,
    report: Annotated[
        bool, typer.Option(help="Write the run folder (stats, trades, plots, report.html).")
    ] = True,
) -> None:
    """Trade strategies over bars of the lake on one account, and report honestly what happened.

    Prints a summary, then writes a run folder: stats.json, trades, fills and equity as Parquet,
    equity.png, report.html and run.json. The same input gives the same bytes.
    """
    from tercel.app import runs as runs_app
    from tercel.app.prepare import RunRequest
    from tercel.app.strategies import load_strategy
    from tercel.entry.cli.desk import counting, moment, open_desk, say_repairs, with_cash

    every = with_cash(overrides, cash)
    terminal.say_if_cold()
    with terminal.progress_bar() as progress:
        desk, parameters = open_desk(config, every, lake, progress)
        desk = counting(desk)
        chosen = desk.settings.run
        names = [*dict.fromkeys(strategy.split(","))] if strategy else [*chosen.strategies]
        _check_choice(names, symbols or chosen.symbols, fills)
        if compare:
            names = list(dict.fromkeys([*names, *desk.settings.report.compare_with]))
        request = RunRequest(
            strategies=tuple(load_strategy(name) for name in names if name),
            symbols=tuple(dict.fromkeys(each.upper() for each in symbols or chosen.symbols)),
            venue=venue or chosen.venue,
            timeframe=timeframe or chosen.timeframe,
            start_ms=moment(start or chosen.start, "--from", whole_day=False),
            end_ms=moment(end or chosen.end, "--to", whole_day=True),
            overrides=parameters,
            costs=costs,
            fills=fills or chosen.fills,
        )
        if compare:
            reports, columns = runs_app.compare_runs(desk, request)
        else:
            reports, columns = [runs_app.run_backtest(desk, request)], []
    say_repairs(desk)
    folder = runs or desk.settings.runs.folder
    for made in reports:
        _show(made, folder, request, write=report)
    if columns:
        from tercel.adapters.report import write_comparison
        from tercel.entry.cli.summary import print_comparison

        print_comparison(terminal.console(), columns)
        if report:
            stem = runs_app.folder_name([*names, "compared"], request.symbols, desk.clock.now_ms())
            path = write_comparison(folder / f"{stem}.html", columns)
            terminal.console().print(f"comparison: {path}", soft_wrap=True, markup=False)


def _check_choice(names: Sequence[str], symbols: Sequence[str], fills: str | None) -> None:
    """Raise UserError where nothing says what to trade, or `--fills` is no such mode."""
    from tercel.app.prepare import FILL_MODES
    from tercel.domain.errors import UserError

    if not names or not symbols:
        raise UserError(
            "say what to trade: `tercel backtest STRATEGY SYMBOL...`, or a --config file with "
            "run.strategies and run.symbols (such as config/runs/arena.yaml)"
        )
    if fills is not None and fills not in (*FILL_MODES, "all"):
        raise UserError(f"--fills {fills}: expected {', '.join(FILL_MODES)} or all")


def _show(report: Report, folder: Path, request: RunRequest, *, write: bool) -> None:
    """Print the summary, then write the run folder and say where it is: drawing takes seconds."""
    from tercel.app.runs import folder_name
    from tercel.entry.cli.desk import free_folder
    from tercel.entry.cli.summary import print_fills, print_paths, print_summary

    screen = terminal.console()
    benchmark = [(run.name, run.statistics) for run in report.benchmarks]
    print_summary(screen, report.result, report.statistics, report.verdict, benchmark)
    if report.fills:
        print_fills(screen, report)
    if write:
        from tercel.adapters.report import write_run
        from tercel.adapters.report.run_folder import FolderTakenError

        names = list(dict.fromkeys(label.strategy for label in report.result.labels))
        target = folder / folder_name(names, request.symbols, report.record.created_time)
        written = None
        while written is None:
            try:
                written = write_run(free_folder(target), report)
            except FolderTakenError:  # by a run that began in the same second
                continue
        print_paths(
            screen,
            {
                "report": written.report,
                "equity": written.equity_picture,
                "stats": written.stats,
            },
        )
