"""`tercel data`: import, list, info, check, repair, export. (fetch and synth live elsewhere.)"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tercel.domain.errors import InterruptedWorkError
from tercel.entry.cli import options, terminal
from tercel.entry.cli.data_context import (
    check_context_of,
    show_context_check,
    show_context_list,
    wanted_keys,
)
from tercel.entry.cli.data_tables import say, show_check, show_import
from tercel.entry.cli.fetch import download, fetch
from tercel.entry.cli.synth import synth

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tercel.app.ports import BarLake
    from tercel.domain.bars import SeriesKey
    from tercel.domain.settings import Settings

app = typer.Typer(
    no_args_is_help=True,
    help="The data lake: get bars in, see what is there, check, repair and export it.",
)

VenueOption = Annotated[
    str | None,
    typer.Option(help="binance-usdm, binance-spot, bybit-linear, bitget-usdtm or synthetic."),
]
TimeframeOption = Annotated[
    str | None, typer.Option(help="Length of a bar: 1m 3m 5m 15m 30m 1h 4h 1d.")
]
SymbolArgument = Annotated[str, typer.Argument(help="Symbol as the lake has it: BTCUSDT.")]


def _open(lake: Path | None) -> tuple[Settings, BarLake]:
    """The settings, and the lake they name unless `lake` names another."""
    from tercel import bootstrap

    settings = bootstrap.load_settings().with_lake(lake)
    return settings, bootstrap.open_lake(settings)


@app.command(
    "import",
    epilog="""Examples:

tercel data import ./klines

tercel data import ~/Downloads/BTCUSDT-1m-2024-*.zip --venue binance-usdm

tercel data import ~/Downloads/BTCUSDT-fundingRate-2024-*.zip --venue binance-usdm

tercel data import prices.csv --venue bybit-linear --symbol ETHUSDT --timeframe 5m
--map time=Date,volume=Vol""",
)
def import_bars(
    paths: Annotated[
        list[Path], typer.Argument(help="Files or folders (read recursively): .zip .csv .parquet.")
    ],
    venue: VenueOption = None,
    symbol: Annotated[
        str | None, typer.Option(help="Symbol of files whose path does not tell.")
    ] = None,
    timeframe: TimeframeOption = None,
    column_map: Annotated[
        list[str] | None,
        typer.Option("--map", help="Columns of another maker: time=Date,open=o,volume=Vol."),
    ] = None,
    lake: options.Lake = None,
) -> None:
    """Import bars, funding rates, open interest and other context: Binance archives, CSV, Parquet,
    whole folders.

    Running it again adds only what is new. A file that cannot be used is listed and does not stop
    the others; the exit code is 2 then. Where --venue, --symbol or --timeframe differ from what a
    path says, that file is passed over.
    """
    from tercel import bootstrap
    from tercel.adapters.importers import BarFileReader, ContextFileReader
    from tercel.app.import_data import ImportPorts, import_paths
    from tercel.app.ports import SourceHints

    hints = SourceHints(
        venue, symbol.upper() if symbol else None, timeframe, parse_map(column_map or [])
    )
    settings, store = _open(lake)
    clock = bootstrap.system_clock()
    context = ContextFileReader(clock), bootstrap.open_context(settings)
    ports = ImportPorts(BarFileReader(), store, *context)
    try:
        with terminal.progress_bar() as progress:
            summary = import_paths(paths, ports, clock, progress, hints)
    except KeyboardInterrupt:
        raise InterruptedWorkError(
            "stopped; every month already written stays, nothing is half-written; "
            "running the same command again continues"
        ) from None
    show_import(summary)
    if summary.exit_code:
        raise typer.Exit(summary.exit_code)


def parse_map(pairs: Iterable[str]) -> dict[str, str]:
    """`time=Date,open=o` as a mapping of our names to theirs. Raises UserError."""
    from tercel.domain.errors import UserError

    mapping = {}
    for pair in ",".join(pairs).split(","):
        if not pair.strip():
            continue
        ours, equals, theirs = pair.partition("=")
        if not (equals and ours.strip() and theirs.strip()):
            raise UserError(f"--map {pair.strip()!r}: write OURS=THEIRS, such as time=Date,open=o")
        mapping[ours.strip()] = theirs.strip()
    return mapping


@app.command("list", epilog="Example: tercel data list --venue binance-usdm")
def list_series(venue: VenueOption = None, lake: options.Lake = None) -> None:
    """What the lake holds, one line a series."""
    from tercel import bootstrap
    from tercel.domain.context import CONTEXT_VENUES
    from tercel.domain.errors import DataError, UserError
    from tercel.domain.times import format_time

    if venue not in (None, *CONTEXT_VENUES):
        raise UserError(f"--venue {venue}: not one of {', '.join(CONTEXT_VENUES)}")
    settings, store = _open(lake)
    keys = [key for key in store.keys() if venue in (None, key.venue)]  # noqa: SIM118
    context = bootstrap.open_context(settings)
    context_keys = wanted_keys(context, None, venue, None)
    if not (keys or context_keys):
        say(
            f"no bars in {settings.data.lake}; get some with "
            "`tercel data fetch BTCUSDT --since 2025-01-01` or `tercel data import PATH`"
        )
        return
    numbers = ("bars", "gaps", "taker known", "book known")
    table = terminal.table(
        "venue", "symbol", "timeframe", *numbers, "from (UTC)", "to (UTC)", numeric=numbers
    )
    for key in keys:
        names = (key.venue, key.symbol, key.timeframe)
        try:
            info = store.info(key)
            gaps = store.gaps(key)
        except DataError:
            table.add_row(*names, "damaged", "", "", "", f"see `tercel data check {key.symbol}`")
            continue
        table.add_row(
            *names,
            f"{info.bars:,}",
            f"{len(gaps):,}",
            f"{info.known['taker_buy_volume']:.0%}",
            f"{info.known['bid_size']:.0%}",
            format_time(info.first_time),
            format_time(info.last_time),
        )
    if keys:
        terminal.console().print(table)
    show_context_list(context, context_keys)


@app.command("info", epilog="Example: tercel data info BTCUSDT --venue binance-spot")
def show_info(
    symbol: SymbolArgument,
    venue: VenueOption = None,
    timeframe: TimeframeOption = None,
    lake: options.Lake = None,
) -> None:
    """Range, gaps, size and known columns of every series of a symbol."""
    from tercel.app.series_choice import matching
    from tercel.domain.times import format_time

    _, store = _open(lake)
    for key in matching(store.keys(), symbol, venue, timeframe):
        info = store.info(key)
        gaps = store.gaps(key)
        missing = sum(gap.bars for gap in gaps)
        table = terminal.table("", "", title=str(key))
        table.add_row(
            "range (UTC)", f"{format_time(info.first_time)} to {format_time(info.last_time)}"
        )
        table.add_row("bars", f"{info.bars:,}")
        table.add_row("gaps", f"{len(gaps):,} ({missing:,} bars missing)")
        table.add_row("size", f"{info.bytes / 1e6:,.1f} MB")
        for name, share in info.known.items():
            table.add_row(f"{name} known", f"{share:.1%}")
        terminal.console().print(table)


@app.command("check", epilog="Example: tercel data check BTCUSDT")
def check(
    symbol: Annotated[
        str | None, typer.Argument(help="Symbol as the lake has it; default: every one.")
    ] = None,
    venue: VenueOption = None,
    timeframe: TimeframeOption = None,
    lake: options.Lake = None,
) -> None:
    """Look for damaged files, gaps, bars without a trade, unusual moves and implausible context.

    Naming a symbol lists each finding. The exit code is 1 when a file is damaged.
    """
    from tercel import bootstrap
    from tercel.app.quality import OutlierRule, assess
    from tercel.app.series_choice import matching

    settings, store = _open(lake)
    data = settings.data
    rule = OutlierRule(
        data.outlier_window_bars, data.outlier_move_ratio_min, data.outlier_move_fraction_min
    )
    context = bootstrap.open_context(settings)
    context_keys = wanted_keys(context, symbol, venue, timeframe)
    there = store.keys()
    if symbol and not (context_keys and all(key.symbol != symbol.upper() for key in there)):
        there = matching(there, symbol, venue, timeframe)
    keys = [
        key
        for key in there
        if venue in (None, key.venue)
        and timeframe in (None, key.timeframe)
        and (symbol is None or key.symbol == symbol.upper())
    ]
    damaged: dict[SeriesKey, tuple[str, ...]] = {}
    reports = []
    with terminal.progress_bar() as progress:
        progress.start("check", float(len(keys)))
        for key in keys:
            progress.advance(0.0, str(key))
            if problems := store.verify(key):
                damaged[key] = problems
            else:
                reports.append(assess(store.read(key), rule))
            progress.advance(1.0)
    show_check(reports, detailed=symbol is not None)
    context_reports, context_damaged = check_context_of(context, context_keys)
    show_context_check(context_reports, detailed=symbol is not None)
    problems_found = [problem for found in damaged.values() for problem in found] + context_damaged
    for problem in problems_found:
        terminal.problem(problem)
    good = len(reports) + len(context_reports)
    whole = f"{good} of {len(keys) + len(context_keys)} series are whole"
    if problems_found:
        files = len(problems_found)
        say(f"{whole}; {files} damaged files: delete each one and import or fetch its month again")
        raise typer.Exit(1)
    say(f"{whole}; no damaged file")


@app.command("repair", epilog="Example: tercel data repair BTCUSDT --venue binance-usdm")
def repair(
    symbol: SymbolArgument,
    venue: VenueOption = None,
    timeframe: TimeframeOption = None,
    lake: options.Lake = None,
) -> None:
    """Download just the gaps of a series."""
    from tercel import bootstrap
    from tercel.app.fetch_data import Fetcher
    from tercel.app.series_choice import choose
    from tercel.domain.errors import UserError
    from tercel.domain.fetch_policy import SourceChoice

    settings, store = _open(lake)
    key = choose(store.keys(), symbol, venue, timeframe)
    if key.venue == "synthetic":
        raise UserError(f"{key} is made, not downloaded; its gaps belong to it")
    gaps = store.gaps(key)
    missing = sum(gap.bars for gap in gaps)
    if not gaps:
        say(f"{key}: no gap to repair")
        return
    clock = bootstrap.system_clock()
    bootstrap.start_logs(settings)
    sources = bootstrap.bar_sources(settings, key.venue, clock, SourceChoice())
    with terminal.progress_bar() as progress:
        fetcher = Fetcher(store, sources, clock, progress)
        outcome = download(fetcher, [key], gaps[0].start, gaps[-1].end)
    if outcome.errors:
        raise outcome.errors[0]
    left = sum(gap.bars for gap in store.gaps(key))
    why = f"; {left:,} are not to be had (the venue was down, or deleted them)" if left else ""
    say(f"{key}: {missing - left:,} of {missing:,} missing bars downloaded{why}")


@app.command(
    "export",
    epilog="Example: tercel data export BTCUSDT --venue binance-spot --to btc.csv "
    "--since 2024-01-01 --until 2024-02-01",
)
def export(
    symbol: SymbolArgument,
    to: Annotated[Path, typer.Option(help="File to write: its ending, .csv or .parquet, counts.")],
    since: Annotated[str | None, typer.Option(help="First bar (UTC): 2025-01-01.")] = None,
    until: Annotated[str | None, typer.Option(help="End (UTC), exclusive.")] = None,
    venue: VenueOption = None,
    timeframe: TimeframeOption = None,
    replace: Annotated[bool, typer.Option("--replace", help="Overwrite an existing file.")] = False,
    lake: options.Lake = None,
) -> None:
    """Write the bars of a series to one CSV or Parquet file."""
    from tercel.adapters.lake import write_table
    from tercel.app.series_choice import choose
    from tercel.domain.errors import UserError
    from tercel.domain.times import parse_time

    if to.exists() and not replace:
        raise UserError(f"{to}: already there; add --replace to overwrite it")
    _, store = _open(lake)
    key = choose(store.keys(), symbol, venue, timeframe)
    series = store.read(
        key,
        parse_time(since, name="--since") if since else None,
        parse_time(until, name="--until") if until else None,
    )
    write_table(series.bars, to)
    remark = f"; it has {len(series.gaps):,} gaps" if series.gaps else ""
    say(f"{len(series.bars):,} bars of {key} written to {to}{remark}")


app.command("fetch")(fetch)
app.command("synth")(synth)
