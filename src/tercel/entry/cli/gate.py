"""`tercel gate`: the go-live thresholds, measured against required."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tercel.entry.cli import options, terminal

if TYPE_CHECKING:
    from tercel.app.gate import Gate
    from tercel.app.statistics import Statistics
    from tercel.app.trial_count import TrialCount
    from tercel.core.records import Records
    from tercel.domain.settings import Settings

EPILOG = """Examples:

tercel gate three_r BTCUSDT --venue binance-spot --from 2023-07-01

tercel gate three_r BTCUSDT --preset honest --trials 243

tercel gate --run runs/20240625-133000-three_r-BTCUSDT --preset source1
"""


def gate(
    strategy: Annotated[
        str | None,
        typer.Argument(help="A strategy's name, or the path of your own; several with commas."),
    ] = None,
    symbols: Annotated[
        list[str] | None, typer.Argument(help="Symbols, as the lake has them.")
    ] = None,
    preset: Annotated[
        str | None, typer.Option(help="source2, source1, honest, or one of your own.")
    ] = None,
    trials: Annotated[
        int | None,
        typer.Option(min=1, help="Trials to deflate for, instead of the research ledger's count."),
    ] = None,
    run: Annotated[
        Path | None, typer.Option(help="Judge this run folder instead of trading.")
    ] = None,
    venue: options.Venue = None,
    timeframe: options.Timeframe = None,
    start: options.Start = None,
    end: options.End = None,
    overrides: options.Overrides = None,
    config: options.Config = None,
    cash: options.Cash = None,
    costs: options.Costs = None,
    lake: options.Lake = None,
) -> None:
    """Trade strategies, or read a finished run, and hold its figures against go-live thresholds.

    Exit code 0 when every threshold of the preset is met, 1 when one is missed.
    """
    from tercel.app.gate import check_gate, measure, so_many, thresholds_of
    from tercel.app.prepare import RunRequest
    from tercel.app.runs import run_backtest
    from tercel.app.strategies import load_strategy
    from tercel.domain.errors import UserError
    from tercel.entry.cli.desk import counting, moment, open_desk, say_repairs, with_cash

    every = with_cash(overrides, cash)
    if run is not None:
        traded = (symbols, venue, timeframe, start, end, costs, cash)
        if any(traded):
            raise UserError(
                "--run judges a finished run as it is: leave out symbols, --venue, --timeframe, "
                "--from, --to, --costs and --cash"
            )
        judged = _saved(run, strategy, every, config)
    else:
        if strategy is None or not symbols:
            raise UserError(
                "name a strategy and a symbol (tercel gate three_r BTCUSDT), or a run folder "
                "(tercel gate --run runs/...)"
            )
        terminal.say_if_cold()
        with terminal.progress_bar() as progress:
            desk, parameters = open_desk(config, every, lake, progress)
            thresholds_of(desk.settings.gate, preset)  # a misspelt name is told before the work
            desk = counting(desk)
            report = run_backtest(
                desk,
                RunRequest(
                    strategies=tuple(
                        load_strategy(name)
                        for name in dict.fromkeys(name for name in strategy.split(",") if name)
                    ),
                    symbols=tuple(dict.fromkeys(symbol.upper() for symbol in symbols)),
                    venue=venue,
                    timeframe=timeframe,
                    start_ms=moment(start, "--from", whole_day=False),
                    end_ms=moment(end, "--to", whole_day=True),
                    overrides=parameters,
                    costs=costs,
                ),
            )
        say_repairs(desk)
        labels = report.result.labels
        judged = _Judged(
            settings=desk.settings,
            what=", ".join(str(label) for label in labels),
            streams=tuple((label.strategy, label.symbol) for label in labels),
            statistics=report.statistics,
            trades=report.result.trades,
            warnings=report.result.warnings,
        )
    name, thresholds = thresholds_of(judged.settings.gate, preset)
    tried = _in_ledger(judged) if trials is None else so_many(trials)
    found = check_gate(measure(judged.statistics, judged.trades, tried), name, thresholds)
    whence = "the research ledger knows of" if trials is None else "--trials says"
    _show(judged, found, f"{tried.trials:,} trial{'' if tried.trials == 1 else 's'}, as {whence}")
    if not found.passed:
        raise typer.Exit(1)


@dataclass(frozen=True, slots=True, eq=False)
class _Judged:
    """What is held against the thresholds, and where it came from."""

    settings: Settings
    what: str
    streams: tuple[tuple[str, str], ...]
    """Strategy and symbol of each."""
    statistics: Statistics
    trades: Records
    warnings: tuple[str, ...]


def _saved(
    folder: Path, strategy: str | None, overrides: list[str], config: Path | None
) -> _Judged:
    """A finished run. Raises UserError when it is of another strategy than the one named."""
    from tercel import bootstrap
    from tercel.adapters.report.saved import read_run
    from tercel.domain.errors import UserError

    loaded = bootstrap.load_everything(config, overrides)
    if loaded.strategy_overrides:
        name = next(iter(loaded.strategy_overrides))
        raise UserError(f"--run judges a finished run as it is: {name} cannot be set any more")
    saved = read_run(folder)
    named = {Path(name).stem for name in (strategy or "").split(",") if name}
    if named and named != saved.trades.strategies:
        raise UserError(
            f"{folder} is a run of {', '.join(sorted(saved.trades.strategies))}, not of {strategy}"
        )
    what = f"{', '.join(sorted(saved.trades.strategies))} from {folder}"
    return _Judged(
        settings=loaded.settings,
        what=what,
        streams=tuple(product(saved.trades.strategies, saved.trades.symbols)),
        statistics=saved.statistics,
        trades=saved.trades.trades,
        warnings=saved.warnings,
    )


def _in_ledger(judged: _Judged) -> TrialCount:
    """What the research ledger counts of the same strategy on the same data."""
    from tercel import bootstrap
    from tercel.app.trial_count import TriedData, most_tried

    span = (judged.statistics.start_time, judged.statistics.end_time)
    asked = [TriedData(strategy, symbol, *span) for strategy, symbol in judged.streams]
    return most_tried(bootstrap.open_ledger(judged.settings), asked)


def _show(judged: _Judged, found: Gate, counted: str) -> None:
    """Print the table, what must be known about it, and the outcome."""
    from tercel.domain.times import format_time

    screen = terminal.console()
    figures = judged.statistics
    period = f"{format_time(figures.start_time)} to {format_time(figures.end_time)} UTC"
    screen.print(f"{judged.what}, {period}", style="dim", markup=False)
    made = terminal.table(
        "Figure", "Measured", "Required", "", title=f"Gate {found.preset}", numeric=("Required",)
    )
    for row in found.rows:
        outcome = "[green]pass[/]" if row.passed else "[red]FAIL[/]"
        made.add_row(row.title, row.measured, row.required, outcome)
    screen.print(made)
    for warning in judged.warnings:
        screen.print(f"Warning: {warning}", style="yellow", markup=False)
    if any(row.figure == "deflated_sharpe" for row in found.rows):
        screen.print(f"The Sharpe ratio is deflated for {counted}.", markup=False)
    if found.passed:
        screen.print(f"PASSED: all {len(found.rows)} thresholds of {found.preset}", style="green")
    else:
        screen.print(
            f"NOT PASSED: {found.missed} of {len(found.rows)} thresholds of {found.preset} missed",
            style="red",
        )
