"""`tercel data synth`: make a synthetic market and keep it in the lake, under `synthetic` only."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tercel.entry.cli import options, terminal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tercel.app.synthesise import SynthesisReport, SyntheticMarket
    from tercel.domain.settings import SyntheticSettings


def synth(
    symbols: Annotated[
        list[str] | None, typer.Argument(help="Symbols to make; default: those of the settings.")
    ] = None,
    days: Annotated[int | None, typer.Option(help="Length in days.")] = None,
    seed: Annotated[
        int | None, typer.Option(help="The same seed makes the same market, bit for bit.")
    ] = None,
    start: Annotated[str | None, typer.Option(help="First day, UTC: 2024-01-01.")] = None,
    edge: Annotated[
        float | None,
        typer.Option(
            help="Drift planted after a pressure signal, in standard deviations of the 15 minutes "
            "it is spread over, -1 to 1; 0 plants nothing."
        ),
    ] = None,
    lake: options.Lake = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Remove a different synthetic market of that name.")
    ] = False,
) -> None:
    """Make a synthetic market: 1m bars, funding and open interest from a seed, kept under the venue
    `synthetic`.

    Not real prices. The same command twice has nothing to do; more days lengthen what is there;
    another seed under the same name is refused unless --replace is given.

    Examples:

    tercel data synth

    tercel data synth BTCUSDT ETHUSDT --days 90 --seed 7

    tercel data synth EDGEUSDT --edge 0.2 --start 2024-01-01

    tercel data synth BTCUSDT --seed 8 --replace
    """
    from tercel import bootstrap
    from tercel.adapters.synthetic import MarketFiles, context_series, generate
    from tercel.app.synthesise import keep_context, synthesise

    settings = bootstrap.load_settings().with_lake(lake)
    markets = wanted_markets(settings.synthetic, symbols, (days, seed, start, edge))
    memory = MarketFiles(settings.data.lake)
    with terminal.progress_bar() as progress:
        reports = synthesise(
            markets,
            generate,
            bootstrap.open_lake(settings),
            memory,
            replace=replace,
            progress=progress,
        )
        progress.advance(0.0, "funding and open interest")
        symbols = [market.symbol for market in markets]
        values = keep_context(symbols, context_series, bootstrap.open_context(settings), memory)
    _show(reports, values, settings.data.lake)


def wanted_markets(
    defaults: SyntheticSettings,
    symbols: Sequence[str] | None,
    options: tuple[int | None, int | None, str | None, float | None],
) -> list[SyntheticMarket]:
    """The markets asked for; `options` are days, seed, start and edge, None meaning the setting."""
    from tercel.app.synthesise import market_named
    from tercel.domain.times import parse_time

    days, seed, start, edge = options
    start_ms = parse_time(defaults.start if start is None else start, name="--start")
    return [
        market_named(
            symbol.upper(),
            seed=defaults.seed if seed is None else seed,
            start_ms=start_ms,
            days=defaults.days if days is None else days,
            edge=defaults.edge if edge is None else edge,
        )
        for symbol in symbols or defaults.symbols
    ]


def _show(reports: Sequence[SynthesisReport], values: int, lake: Path) -> None:
    """One line per symbol, under a title that says what this is."""
    from tercel.domain.times import format_date

    shown = terminal.table(
        "symbol", "from", "to", "days", "seed", "edge", "bars added", "outcome",
        title="synthetic market: not real prices",
        numeric=("days", "seed", "edge", "bars added"),
    )  # fmt: skip
    for report in reports:
        market = report.market
        shown.add_row(
            market.symbol,
            format_date(market.start_ms),
            format_date(market.end_ms - 1),
            f"{market.days}",
            f"{market.seed}",
            f"{market.edge:g}",
            f"{report.bars_added:,}",
            "nothing to do" if report.outcome == "unchanged" else report.outcome,
        )
    screen = terminal.console()
    screen.print(shown)
    if values:
        screen.print(f"with {values:,} values of funding and open interest")
    screen.print(f"kept in {lake / 'synthetic'}, venue synthetic", soft_wrap=True)
