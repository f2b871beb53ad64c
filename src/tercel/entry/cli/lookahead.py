"""`tercel lookahead`: prove that a strategy never looks at bars to come."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from tercel.entry.cli import options, terminal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from tercel.app.context import ContextRows
    from tercel.app.lookahead import LookaheadReport
    from tercel.app.strategies import Strategy
    from tercel.domain.bars import BarSeries, SeriesKey

EPILOG = """Examples:

tercel lookahead three_r BTCUSDT --venue binance-spot

tercel lookahead --all BTCUSDT --venue binance-spot

tercel lookahead ./my_idea.py BTCUSDT --venue synthetic --bars 5000
"""


def lookahead(
    strategy: Annotated[
        str | None,
        typer.Argument(help="A strategy's name, or the path of your own; with --all the symbol."),
    ] = None,
    symbol: Annotated[str | None, typer.Argument(help="Symbol whose bars it is proved on.")] = None,
    every: Annotated[
        bool, typer.Option("--all", help="Every built-in strategy and filter, on the same bars.")
    ] = False,
    venue: options.Venue = None,
    timeframe: options.Timeframe = None,
    bars: Annotated[int, typer.Option(min=10, help="Bars; each is a position to prove.")] = 3000,
    start: options.Start = None,
    overrides: options.Overrides = None,
    lake: options.Lake = None,
) -> None:
    """Cut off and bend the history at every bar, and prove that no earlier signal changes.

    What the lake knows beside the bars (funding, open interest ...) is cut off and bent with them.
    Also proves that the batch loop of a backtest and the step of live trading give the same
    signals. Exit code 1 when they do not, for any strategy.
    """
    from tercel import bootstrap
    from tercel.app.context import context_rows
    from tercel.app.lookahead import check_lookahead
    from tercel.app.prepare import RunRequest, own_overrides
    from tercel.app.series_choice import choose
    from tercel.app.strategies import built_in_names, load_strategy
    from tercel.domain.times import parse_time

    names, symbol = _asked(strategy, symbol, every=every)
    everything = bootstrap.load_everything(None, overrides or ())
    settings = everything.settings.with_lake(lake)
    store = bootstrap.open_lake(settings)
    key = choose(store.keys(), symbol or _only_symbol(store.keys()), venue, timeframe)
    loaded = tuple(load_strategy(name) for name in names or built_in_names())
    start_ms = parse_time(start, name="--from") if start else store.info(key).first_time
    series = store.read(key, start_ms, start_ms + bars * key.bar_ms)
    beside = context_rows(bootstrap.open_context(settings), store, series, settings.context)
    contexts = beside.rows if len(beside.rows) == len(series.bars) else None
    request = RunRequest(loaded, (key.symbol,), overrides=everything.strategy_overrides)
    values = [
        each.values(
            {**settings.strategy(each.name).params, **own_overrides(each, request)}, key.bar_ms
        )
        for each in loaded
    ]
    terminal.say_if_cold()
    with terminal.progress_bar() as progress:
        reports = [
            check_lookahead(each, series.bars, key.bar_ms, chosen, progress, contexts)
            for each, chosen in zip(loaded, values, strict=True)
        ]
    screen = terminal.console()
    if every:
        _show_all(screen, loaded, reports, series, beside)
    else:
        _show(screen, reports[0], series, beside)
    if not all(report.is_clean for report in reports):
        raise typer.Exit(1)


def _asked(
    strategy: str | None, symbol: str | None, *, every: bool
) -> tuple[list[str], str | None]:
    """The strategies named (none: all of them) and the symbol. Raises UserError."""
    from tercel.domain.errors import UserError

    if every and symbol is not None:
        raise UserError(
            f"--all proves every built-in strategy: leave out {strategy!r}, or leave out --all"
        )
    if every:
        return [], strategy
    if strategy is None or symbol is None:
        raise UserError(
            "name a strategy and a symbol (tercel lookahead three_r BTCUSDT), or use --all "
            "(tercel lookahead --all BTCUSDT)"
        )
    return [strategy], symbol


def _only_symbol(keys: Sequence[SeriesKey]) -> str:
    """The one symbol of the lake. Raises UserError when there are several, or none."""
    from tercel.domain.errors import UserError

    symbols = sorted({key.symbol for key in keys})
    if len(symbols) != 1:
        there = f"the lake has {', '.join(symbols)}" if symbols else "the lake is empty"
        raise UserError(f"name the symbol whose bars it is proved on; {there}")
    return symbols[0]


def _failures(report: LookaheadReport) -> list[str]:
    """A sentence for each thing that is wrong."""
    from tercel.domain.times import format_time

    found = []
    if report.first_leak is not None:
        found.append(
            f"{report.strategy} LOOKS AHEAD: the signal of {format_time(report.first_leak)} "
            "changes with bars that come after it"
        )
    if report.first_difference is not None:
        found.append(
            f"{report.strategy}: batch loop and step disagree at "
            f"{format_time(report.first_difference)}: live would not trade what was backtested"
        )
    return found


def _known(beside: ContextRows) -> str:
    return f"known beside the bars: {', '.join(sorted(beside.joined)) or 'nothing'}"


def _show(screen: Console, report: LookaheadReport, series: BarSeries, beside: ContextRows) -> None:
    """What was found of one strategy."""
    for line in _failures(report):
        screen.print(line, soft_wrap=True)
    if not report.is_clean:
        return
    if not report.signals:
        screen.print(
            "no entry signal in this stretch, so it proves little: choose another with --from, or "
            "more with --bars",
            soft_wrap=True,
        )
    screen.print(
        f"{report.strategy}: no look-ahead at any of {report.bars:,} bars of {series.key} "
        f"({report.signals:,} entry signals; {_known(beside)}); the batch loop equals the step",
        soft_wrap=True,
    )


def _show_all(
    screen: Console,
    strategies: Sequence[Strategy],
    reports: Sequence[LookaheadReport],
    series: BarSeries,
    beside: ContextRows,
) -> None:
    """One line for each strategy."""
    screen.print(f"{len(series.bars):,} bars of {series.key}; {_known(beside)}", soft_wrap=True)
    clean = 0
    for strategy, report in zip(strategies, reports, strict=True):
        failures = _failures(report)
        clean += not failures
        for line in failures:
            screen.print(line, soft_wrap=True, style="red")
        if failures:
            continue
        if strategy.is_filter:
            said = "a filter: its scores were compared"
        elif report.signals:
            said = f"{report.signals:,} entry signals"
        else:
            said = "no entry signal in this stretch, so it proves little"
        screen.print(f"{report.strategy}: no look-ahead ({said})", soft_wrap=True)
    screen.print(
        f"{clean} of {len(reports)} strategies look at nothing that comes later", soft_wrap=True
    )
