"""`tercel backtest`: trade strategies over bars of the lake, print the verdict, write the run
folder.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tercel.entry.cli import terminal

if TYPE_CHECKING:
    from tercel.app.prepare import RunRequest
    from tercel.app.report import Report
    from tercel.app.runs import Desk

DAY_TEXT_LENGTH = len("2024-06-25")

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
    venue: Annotated[
        str | None, typer.Option(help="Needed where the lake has the symbol for several venues.")
    ] = None,
    timeframe: Annotated[
        str | None, typer.Option(help="1m 5m 15m 30m 1h ...; default: the shortest there is.")
    ] = None,
    start: Annotated[
        str | None, typer.Option("--from", help="First bar, UTC: 2023-07-01 or 2023-07-01T12:00.")
    ] = None,
    end: Annotated[
        str | None,
        typer.Option(
            "--to", help="Until, UTC: a date means to the end of that day, a time before it."
        ),
    ] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", help="NAME=VALUE: a strategy parameter, or a setting by its path."),
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="A YAML file of settings for this run.")
    ] = None,
    cash: Annotated[float | None, typer.Option(help="Cash at the start, quote.")] = None,
    costs: Annotated[
        str | None,
        typer.Option(help="Cost profile for every stream: binance_usdm, source1, free ..."),
    ] = None,
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
    runs: Annotated[Path | None, typer.Option(help="Folder the run folder goes into.")] = None,
    lake: Annotated[Path | None, typer.Option(help="Folder of the lake.")] = None,
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

    every = [*(overrides or [])]
    if cash is not None:
        every.append(f"runs.start_quote={cash!r}")
    terminal.say_if_cold()
    with terminal.progress_bar() as progress:
        desk, parameters = _desk(config, every, lake, progress)
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
            start_ms=_moment(start or chosen.start, "--from", whole_day=False),
            end_ms=_moment(end or chosen.end, "--to", whole_day=True),
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


def _desk(
    config: Path | None, overrides: list[str], lake: Path | None, progress: terminal.Bar
) -> tuple[Desk, dict[str, object]]:
    """Settings, lake and clock; and the strategy parameters among the overrides."""
    from tercel import bootstrap
    from tercel.app.runs import Desk

    loaded = bootstrap.load_everything(config, overrides)
    settings = loaded.settings.with_lake(lake)
    desk = Desk(
        store=bootstrap.open_lake(settings),
        contexts=bootstrap.open_context(settings),
        settings=settings,
        clock=bootstrap.system_clock(),
        progress=progress,
        command_line=shlex.join(["tercel", *sys.argv[1:]]),
    )
    return desk, dict(loaded.strategy_overrides)


def counting(desk: Desk) -> Desk:
    """The desk with the research ledger open: what is run there is counted."""
    from tercel import bootstrap

    return replace(desk, ledger=bootstrap.open_ledger(desk.settings))


def say_repairs(desk: Desk) -> None:
    """What the research ledger had to repair, a line each."""
    for line in desk.ledger.notices() if desk.ledger is not None else ():
        terminal.problem(f"notice: {line}")


def _moment(text: str | None, name: str, *, whole_day: bool) -> int | None:
    """Milliseconds of an option; a bare date given as an end includes that day."""
    from tercel.domain.times import DAY_MS, parse_time

    if text is None:
        return None
    moment = parse_time(text, name=name)
    is_date = len(text.strip()) == DAY_TEXT_LENGTH
    return moment + DAY_MS if whole_day and is_date else moment


def _show(report: Report, folder: Path, request: RunRequest, *, write: bool) -> None:
    """Print the summary, then write the run folder and say where it is: drawing takes seconds."""
    from tercel.app.runs import folder_name
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
                written = write_run(_free(target), report)
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


def _free(folder: Path) -> Path:
    """`folder`, or with -2, -3 ... when two runs began in the same second."""
    candidate, number = folder, 1
    while candidate.exists():
        number += 1
        candidate = folder.with_name(f"{folder.name}-{number}")
    return candidate
