"""`tercel data fetch`: download bars into the lake."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Annotated

import typer

from tercel.domain.errors import InterruptedWorkError, UserError
from tercel.domain.times import format_time, parse_time
from tercel.entry.cli import options, terminal

if TYPE_CHECKING:
    from tercel.app.fetch_data import Fetcher, FetchOutcome, FetchReport
    from tercel.domain.bars import SeriesKey

UNPUBLISHED_SHOWN_MAX = 6
_SYMBOL = re.compile(r"[A-Z0-9][A-Z0-9_]{1,39}")


def fetch(
    symbols: Annotated[
        list[str], typer.Argument(help="Symbols as the venue writes them: BTCUSDT ETHUSDT.")
    ],
    since: Annotated[str, typer.Option(help="First bar (UTC): 2025-01-01 or 2025-01-01T13:30.")],
    until: Annotated[
        str | None, typer.Option(help="End (UTC), exclusive. Default: the newest closed bar.")
    ] = None,
    venue: Annotated[
        str, typer.Option(help="binance-usdm, binance-spot, bybit-linear or bitget-usdtm.")
    ] = "binance-usdm",
    timeframe: Annotated[str, typer.Option(help="1m, 3m, 5m, 15m, 30m, 1h, 4h or 1d.")] = "1m",
    lake: options.Lake = None,
    archive_url: Annotated[
        str | None, typer.Option(help="Another address of the bulk archive, such as a mirror.")
    ] = None,
    rest_url: Annotated[
        str | None, typer.Option(help="Another address of the REST interface.")
    ] = None,
    no_rest: Annotated[bool, typer.Option("--no-rest", help="Archives only.")] = False,
    no_archive: Annotated[bool, typer.Option("--no-archive", help="REST only.")] = False,
) -> None:
    """Download bars into the lake: bulk archives where there are any, REST for the newest days.

    Only what the lake does not hold yet is downloaded, every file is checked against its published
    SHA-256, and every piece is stored as it arrives: after Ctrl-C, or a crash, the same command
    goes on where it stopped.

    Examples:

    tercel data fetch BTCUSDT --since 2025-01-01

    tercel data fetch BTCUSDT ETHUSDT SOLUSDT --since 2024-01-01 --until 2025-01-01 --no-rest

    tercel data fetch BTCUSDT --venue bybit-linear --since 2025-06-01 --timeframe 15m
    """
    from tercel import bootstrap
    from tercel.app.fetch_data import Fetcher
    from tercel.domain.fetch_policy import SourceChoice

    clock = bootstrap.system_clock()
    keys = _keys(symbols, venue, timeframe)
    start_ms = parse_time(since, name="--since")
    end_ms = clock.now_ms() if until is None else parse_time(until, name="--until")
    choice = SourceChoice(archive_url, rest_url, not no_archive, not no_rest)
    settings = bootstrap.load_settings().with_lake(lake)
    bootstrap.start_logs(settings)
    sources = bootstrap.bar_sources(settings, venue, clock, choice)
    if sources.archive is None and sources.rest is None:
        raise UserError(
            f"nothing to download {venue} from: it has no bulk archive"
            if no_rest and not no_archive
            else "nothing to download from: leave out --no-archive or --no-rest"
        )
    if sources.rest is None and not no_rest:
        terminal.problem(
            "note: without ccxt (`make venues`) only the archive is asked; it ends a day or two ago"
        )
    with terminal.progress_bar() as progress:
        fetcher = Fetcher(bootstrap.open_lake(settings), sources, clock, progress)
        outcome = download(fetcher, keys, start_ms, end_ms)
    _show(outcome)


def download(fetcher: Fetcher, keys: list[SeriesKey], start_ms: int, end_ms: int) -> FetchOutcome:
    """Fetch and close the sources. Ctrl-C is one line that says what is stored."""

    async def work() -> FetchOutcome:
        try:
            return await fetcher.fetch_many(keys, start_ms, end_ms)
        finally:
            await fetcher.sources.close()

    try:
        return asyncio.run(work())
    except KeyboardInterrupt:
        raise InterruptedWorkError(f"stopped; {fetcher.describe_saved()}") from None


def _keys(symbols: list[str], venue: str, timeframe: str) -> list[SeriesKey]:
    from tercel.domain.bars import TIMEFRAME_MS, VENUES, SeriesKey

    downloadable = [name for name in VENUES if name != "synthetic"]
    if venue not in downloadable:
        raise UserError(f"--venue {venue}: not one of {', '.join(downloadable)}")
    if timeframe not in TIMEFRAME_MS:
        raise UserError(f"--timeframe {timeframe}: not one of {', '.join(TIMEFRAME_MS)}")
    upper = list(dict.fromkeys(symbol.upper() for symbol in symbols))
    for symbol in upper:
        if not _SYMBOL.fullmatch(symbol):
            raise UserError(f"{symbol!r} is not a symbol; write it as the venue does: BTCUSDT")
    return [SeriesKey(venue, symbol, timeframe) for symbol in upper]


def _show(outcome: FetchOutcome) -> None:
    """The table of what was added; then the series that failed, as one error."""
    numbers = ("bars added", "from archive", "over REST", "still missing")
    table = terminal.table("series", *numbers, "range (UTC)", numeric=numbers)
    for report in outcome.reports:
        table.add_row(
            str(report.key),
            f"{report.merged.added:,}",
            f"{report.from_archive.added:,}",
            f"{report.from_rest.added:,}",
            f"{sum(gap.bars for gap in report.gaps):,}",
            f"{format_time(report.start_ms)} to {format_time(report.end_ms)}",
        )
    screen = terminal.console()
    if outcome.reports:
        screen.print(table)
    for report in outcome.reports:
        for line in _remarks(report):
            screen.print(line, markup=False)
    if outcome.errors:
        raise UserError("; ".join(str(error) for error in outcome.errors))


def _remarks(report: FetchReport) -> list[str]:
    """What the table cannot say: the first gap, files not published, values that differ."""
    lines = []
    if report.gaps:
        first = report.gaps[0]
        lines.append(
            f"{report.key}: {len(report.gaps)} gaps left, the first from "
            f"{format_time(first.start)} to {format_time(first.end)} ({first.bars:,} bars)"
        )
    if report.unpublished:
        shown = ", ".join(report.unpublished[:UNPUBLISHED_SHOWN_MAX])
        more = len(report.unpublished) - UNPUBLISHED_SHOWN_MAX
        lines.append(
            f"{report.key}: not in the archive: {shown}{f' and {more} more' if more > 0 else ''}"
        )
    if report.merged.conflicts:
        lines.append(
            f"{report.key}: {report.merged.conflicts:,} bars differ from those stored, which were "
            f"kept; the first: {report.merged.first_conflict}"
        )
    return lines
