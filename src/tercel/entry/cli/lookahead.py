"""`tercel lookahead`: prove that a strategy never looks at bars to come."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tercel.entry.cli import terminal

EPILOG = """Examples:

tercel lookahead three_r BTCUSDT --venue binance-spot

tercel lookahead ./my_idea.py BTCUSDT --venue synthetic --bars 5000
"""


def lookahead(
    strategy: Annotated[str, typer.Argument(help="A strategy's name, or the path of your own.")],
    symbol: Annotated[str, typer.Argument(help="Symbol whose bars it is proved on.")],
    venue: Annotated[str | None, typer.Option(help="Where the lake has it for several.")] = None,
    timeframe: Annotated[str | None, typer.Option(help="Default: the shortest there is.")] = None,
    bars: Annotated[int, typer.Option(min=10, help="Bars; each is a position to prove.")] = 3000,
    start: Annotated[str | None, typer.Option("--from", help="First bar, UTC.")] = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", help="NAME=VALUE: a strategy parameter.")
    ] = None,
    lake: Annotated[Path | None, typer.Option(help="Folder of the lake.")] = None,
) -> None:
    """Cut off and bend the history at every bar, and prove that no earlier signal changes.

    Also proves that the batch loop of a backtest and the step of live trading give the same
    signals. Exit code 1 when they do not.
    """
    from tercel import bootstrap
    from tercel.app.lookahead import check_lookahead
    from tercel.app.series_choice import choose
    from tercel.app.strategies import load_strategy
    from tercel.domain.times import format_time, parse_time

    everything = bootstrap.load_everything(None, overrides or ())
    settings = everything.settings.with_lake(lake)
    store = bootstrap.open_lake(settings)
    loaded = load_strategy(strategy)
    key = choose(store.keys(), symbol, venue, timeframe)
    start_ms = parse_time(start, name="--from") if start else store.info(key).first_time
    series = store.read(key, start_ms, start_ms + bars * key.bar_ms)
    chosen = {**settings.strategy(loaded.name).params, **everything.strategy_overrides}
    values = loaded.values(chosen, key.bar_ms)
    terminal.say_if_cold()
    with terminal.progress_bar() as progress:
        report = check_lookahead(loaded, series.bars, key.bar_ms, values, progress)
    screen = terminal.console()
    if report.first_leak is not None:
        screen.print(
            f"{loaded.name} LOOKS AHEAD: the signal of {format_time(report.first_leak)} changes "
            "with bars that come after it",
            soft_wrap=True,
        )
    if report.first_difference is not None:
        screen.print(
            f"{loaded.name}: batch loop and step disagree at "
            f"{format_time(report.first_difference)}: live would not trade what was backtested",
            soft_wrap=True,
        )
    if not report.is_clean:
        raise typer.Exit(1)
    if not report.signals:
        screen.print(
            "no entry signal in this stretch, so it proves little: choose another with --from, or "
            "more with --bars",
            soft_wrap=True,
        )
    screen.print(
        f"{loaded.name}: no look-ahead at any of {report.bars:,} bars of {key} "
        f"({report.signals:,} entry signals); the batch loop equals the step",
        soft_wrap=True,
    )
