"""`tercel arena`: every strategy on the same bars, each alone on its account, ranked."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tercel.entry.cli import options, terminal

if TYPE_CHECKING:
    from tercel.app.arena import Arena
    from tercel.app.strategies import Strategy
    from tercel.domain.arena_settings import RankBy

EPILOG = """Examples:

tercel arena BTCUSDT ETHUSDT SOLUSDT --venue binance-spot --from 2024-01-01 --to 2024-06-24

tercel arena BTCUSDT --strategies three_r,swing,./my_idea.py --rank sharpe

tercel arena BTCUSDT --set allocator.rebalance_days=1 --set allocator.cap_fraction=0.3
"""


def arena(
    symbols: Annotated[list[str], typer.Argument(help="Symbols, as the lake has them.")],
    strategies: Annotated[
        str | None,
        typer.Option(help="Names, or paths of your own, with commas. Default: every built-in one."),
    ] = None,
    rank: Annotated[
        str | None,
        typer.Option(help="What decides the order: net, profit_factor, drawdown or sharpe."),
    ] = None,
    venue: options.Venue = None,
    timeframe: options.Timeframe = None,
    start: options.Start = None,
    end: options.End = None,
    overrides: options.Overrides = None,
    config: options.Config = None,
    cash: Annotated[float | None, typer.Option(help="Cash each strategy begins with.")] = None,
    costs: options.Costs = None,
    workers: Annotated[
        int | None, typer.Option(min=0, help="Threads; 0: one for each core.")
    ] = None,
    runs: options.Runs = None,
    lake: options.Lake = None,
    report: Annotated[
        bool, typer.Option(help="Write the run folder (arena.json, equity, arena.html).")
    ] = True,
) -> None:
    """Trade every strategy on the same bars with the same capital, each alone, and rank them.

    Beside the ranking an allocator that moves capital towards strategies with evidence is tested
    against equal weights. Results do not depend on the number of threads.
    """
    from tercel import bootstrap
    from tercel.app.arena import run_arena
    from tercel.app.prepare import RunRequest
    from tercel.entry.cli.desk import counting, moment, open_desk, say_repairs, with_cash

    every = with_cash(overrides, cash)
    chosen, decides = _chosen(strategies), _rank(rank)
    terminal.say_if_cold()
    with terminal.progress_bar() as progress:
        desk, parameters = open_desk(config, every, lake, progress)
        desk = counting(desk)
        request = RunRequest(
            strategies=chosen,
            symbols=tuple(dict.fromkeys(symbol.upper() for symbol in symbols)),
            venue=venue,
            timeframe=timeframe,
            start_ms=moment(start, "--from", whole_day=False),
            end_ms=moment(end, "--to", whole_day=True),
            overrides=parameters,
            costs=costs,
        )
        threads = desk.settings.arena.workers if workers is None else workers
        crew = bootstrap.workers(desk.settings, count=threads)
        found = run_arena(desk, request, crew, decides)
    say_repairs(desk)
    _show(found, runs or desk.settings.runs.folder, write=report)


def _chosen(names: str | None) -> tuple[Strategy, ...]:
    """The strategies of `--strategies`. Raises UserError."""
    from tercel.app.arena import default_strategies
    from tercel.app.strategies import load_strategy
    from tercel.domain.errors import UserError

    if names is None:
        return default_strategies()
    wanted = list(dict.fromkeys(name.strip() for name in names.split(",") if name.strip()))
    if not wanted:
        raise UserError("--strategies names none; write --strategies three_r,swing")
    return tuple(load_strategy(name) for name in wanted)


def _rank(name: str | None) -> RankBy | None:
    """`--rank`, checked. Raises UserError."""
    from typing import get_args

    from tercel.domain.arena_settings import RankBy
    from tercel.domain.errors import UserError

    known: tuple[RankBy, ...] = get_args(RankBy)
    if name is None:
        return None
    for each in known:
        if name == each:
            return each
    raise UserError(f"--rank {name}: expected {', '.join(known)}")


def _show(found: Arena, folder: Path, *, write: bool) -> None:
    """Print the ranking, then write the run folder and say where it is."""
    from tercel.app.runs import folder_name
    from tercel.entry.cli.arena_summary import print_arena
    from tercel.entry.cli.desk import free_folder
    from tercel.entry.cli.summary import print_paths

    screen = terminal.console()
    print_arena(screen, found)
    if write:
        from tercel.adapters.report import write_arena

        stem = folder_name(["arena"], found.symbols, found.record.created_time)
        written = write_arena(free_folder(folder / stem), found)
        print_paths(
            screen,
            {"page": written.page, "figures": written.arena, "equity": written.equity},
        )
