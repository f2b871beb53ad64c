"""`tercel venue`: the simulated exchange on this machine, for any client of the real one."""

from __future__ import annotations

import asyncio
import math
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tercel.domain.errors import UserError
from tercel.entry.cli import options, terminal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tercel.adapters.simulator.binance.assembly import Venue, VenueOrder
    from tercel.adapters.simulator.faults import FaultPlan, Strike
    from tercel.adapters.simulator.market.ticks import BarTick
    from tercel.adapters.simulator.mounts.serving import Place, Served
    from tercel.core.records import Records
    from tercel.domain.settings import InstrumentSettings, Settings

PROTOCOLS = ("binance",)
NOT_BUILT = ("bybit", "bitget")
BINANCE = "binance-usdm"
DATA = ("lake", "synthetic")
DATES = ("now", "data")
HISTORY_DAYS = 30
SYNTHETIC_DAYS = 8
SPEED_MAX = 10_000.0
PORT_MAX = 65_535
NOTIONAL_MIN_QUOTE = 5
"""Of a symbol whose rules the settings do not list."""


def venue(
    protocol: Annotated[
        str, typer.Option(help="Whose protocol is spoken: binance (USD-M futures).")
    ] = "binance",
    data: Annotated[str, typer.Option(help="lake or synthetic.")] = "synthetic",
    symbols: Annotated[str, typer.Option(help="Symbols, parted by commas.")] = "BTCUSDT",
    lake_venue: Annotated[
        str, typer.Option("--venue", help="Whose bars of the lake are played.")
    ] = "binance-usdm",
    start: Annotated[
        str | None,
        typer.Option(
            "--from",
            help="First minute played, UTC; default: a day into the data. A synthetic market has "
            "one with --dates data alone.",
        ),
    ] = None,
    dates: Annotated[
        str,
        typer.Option(
            help="now: the market begins this minute; data: it keeps its dates, and clients must "
            "follow the venue's clock."
        ),
    ] = "now",
    speed: Annotated[float, typer.Option(help="Minutes of the market in a minute.")] = 1.0,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; 0: a free one.")] = 9101,
    allow_remote: Annotated[
        bool, typer.Option("--allow-remote", help="Listen where other machines can reach it.")
    ] = False,
    faults: Annotated[
        Path | None,
        typer.Option(
            help="A YAML file that says what goes wrong, and when. Its times, such as delay_ms, "
            "are venue's time: with --speed 30, 40000 ms are over in 1.3 s."
        ),
    ] = None,
    seed: Annotated[
        int, typer.Option(help="Decides the market inside the bars, the ids and the keys.")
    ] = 1,
    lake: options.Lake = None,
    config: options.SettingsFile = None,
    settings: options.OneSetting = None,
) -> None:
    """Run a simulated exchange on this machine that speaks a venue's own protocol.

    Any client of the venue can trade on it: only addresses and keys change, and both are printed.
    The market plays bars of the lake, or a synthetic one; the account is pretended, its rules are
    the venue's. Ctrl-C ends it.

    Examples:

    tercel venue

    tercel venue --data lake --symbols BTCUSDT,ETHUSDT --from 2024-06-01 --speed 10

    tercel venue --faults plan.yaml --seed 7 --port 9200
    """
    from tercel import bootstrap
    from tercel.adapters.simulator.binance.played import read_played
    from tercel.adapters.simulator.mounts.serving import Place
    from tercel.adapters.simulator.mounts.sockets import check_host

    _check(protocol, data, dates, speed)
    if start is not None and (data, dates) == ("synthetic", "now"):
        raise UserError(
            f"--from {start}: a synthetic market that begins now has no other dates; add "
            "--dates data, or play bars that you have with --data lake"
        )
    if not 0 <= port <= PORT_MAX:
        raise UserError(f"--port {port}: use 0 to {PORT_MAX}")
    place = Place(check_host(host, may_be_public=allow_remote), port, speed)
    names = _names(symbols)
    plan = read_played(faults, names) if faults is not None else None
    own = bootstrap.load_settings(config, settings or ()).with_lake(lake)
    series = (
        _from_lake(own, lake_venue, names, start)
        if data == "lake"
        else _synthetic(own, names, seed, start)
    )
    order = replace(_order(own, series, seed, plan), speed=speed)
    _serve(own, order, place, is_redated=dates == "now")


def _check(protocol: str, data: str, dates: str, speed: float) -> None:
    """Raise UserError for a choice there is not."""
    if protocol in NOT_BUILT:
        raise UserError(f"--protocol {protocol} is not built yet; there is {PROTOCOLS[0]}")
    for name, value, known in (
        ("protocol", protocol, PROTOCOLS),
        ("data", data, DATA),
        ("dates", dates, DATES),
    ):
        if value not in known:
            raise UserError(f"--{name} {value}: not one of {', '.join(known)}")
    if not 0 < speed <= SPEED_MAX or not math.isfinite(speed):
        raise UserError(f"--speed {speed:g}: use more than 0, and at most {SPEED_MAX:g}")


def _names(symbols: str) -> list[str]:
    names = list(dict.fromkeys(name.strip().upper() for name in symbols.split(",") if name.strip()))
    if not names:
        raise UserError("--symbols: name at least one, such as BTCUSDT")
    return names


def _from_lake(
    settings: Settings, venue: str, names: Sequence[str], start: str | None
) -> tuple[int, Mapping[str, Records]]:
    """The first minute and the bars, up to a month before it included. Raises UserError."""
    from tercel import bootstrap
    from tercel.app.series_choice import matching
    from tercel.domain.bars import VENUES, SeriesKey
    from tercel.domain.times import DAY_MS, parse_time

    if venue not in VENUES:
        raise UserError(f"--venue {venue}: not one of {', '.join(VENUES)}")
    store = bootstrap.open_lake(settings)
    there = store.keys()
    for name in names:
        matching(there, name, venue, SeriesKey(venue, name).timeframe)  # says what there is instead
    keys = [SeriesKey(venue, name) for name in names]
    first_ms = max(store.info(key).first_time for key in keys)
    start_ms = first_ms + DAY_MS if start is None else parse_time(start, name="--from")
    since_ms = start_ms - HISTORY_DAYS * DAY_MS
    return start_ms, {key.symbol: store.read(key, since_ms).bars for key in keys}


def _synthetic(
    settings: Settings, names: Sequence[str], seed: int, start: str | None
) -> tuple[int, Mapping[str, Records]]:
    """The first minute and the bars of a synthetic market that begins a day before it."""
    from tercel.adapters.synthetic import generate
    from tercel.app.synthesise import market_named
    from tercel.domain.times import DAY_MS, parse_time

    own = settings.synthetic
    default_ms = parse_time(own.start) + DAY_MS
    start_ms = default_ms if start is None else parse_time(start, name="--from")
    begin_ms = start_ms - start_ms % DAY_MS - DAY_MS
    markets = [
        market_named(name, seed=seed, start_ms=begin_ms, days=SYNTHETIC_DAYS, edge=own.edge)
        for name in names
    ]
    return start_ms, {market.symbol: generate(market) for market in markets}


def _order(
    settings: Settings,
    series: tuple[int, Mapping[str, Records]],
    seed: int,
    plan: FaultPlan | None,
) -> VenueOrder:
    """What is to be built; rules that the settings do not list are read off the bars."""
    from tercel.adapters.simulator.binance.assembly import VenueOrder
    from tercel.adapters.simulator.faults import FaultPlan

    start_ms, bars = series
    rules_of = "binance-usdm"
    inferred = {
        symbol: _inferred(each)
        for symbol, each in bars.items()
        if settings.instrument(rules_of, symbol) is None
    }
    return VenueOrder(
        series=bars,
        start_ms=start_ms,
        seed=seed,
        instruments_venue=rules_of,
        inferred=inferred,
        plan=plan or FaultPlan((), seed),
    )


def _inferred(bars: Records) -> InstrumentSettings:
    from decimal import Decimal

    from tercel.app.instruments import infer_instrument
    from tercel.domain.settings import InstrumentSettings

    found = infer_instrument(bars)
    lot = Decimal(f"{found.lot_size:.8f}")
    return InstrumentSettings(
        tick_size=Decimal(f"{found.tick_size:.8f}"),
        lot_size=lot,
        quantity_min=lot,
        notional_min_quote=Decimal(NOTIONAL_MIN_QUOTE),
    )


def _serve(settings: Settings, order: VenueOrder, place: Place, *, is_redated: bool) -> None:
    """Build the venue and keep it up until it ends; say what it did."""
    from tercel import bootstrap
    from tercel.adapters.simulator.binance.assembly import MINUTE_MS, build_venue, redated
    from tercel.adapters.simulator.mounts.serving import serve_until_stopped
    from tercel.domain.times import to_datetime

    clock = bootstrap.system_clock()
    if is_redated:
        now_ms = clock.now_ms()
        order = redated(order, now_ms - now_ms % MINUTE_MS)
    made = build_venue(settings, order)
    screen = terminal.console()
    with terminal.progress_bar() as progress:
        progress.start("market", (made.end_ms - made.start_ms) / MINUTE_MS)
        shares = 1.0 / len(order.series)

        def on_bar(served: Served, tick: BarTick) -> None:
            note = f"{tick.symbol} {tick.close}, {served.server.requests:,} requests"
            progress.advance(shares, note)

        def on_strike(strike: Strike) -> None:
            line = f"{to_datetime(strike.time_ms):%H:%M:%S} {strike}"
            screen.print(line, markup=False, soft_wrap=True)

        made.facade.state.watch.on_strike = on_strike

        def on_start(served: Served) -> None:
            for line in _welcome(served, made, order):
                screen.print(line, markup=False, soft_wrap=True)

        is_over = asyncio.run(serve_until_stopped(made, place, clock, on_start, on_bar))
    why = "the bars have run out" if is_over else "stopped"
    for line in _farewell(made, why):
        screen.print(line, markup=False, soft_wrap=True)


def _welcome(served: Served, venue: Venue, order: VenueOrder) -> list[str]:
    """Where it is, and what opens it."""
    from tercel.adapters.ccxt.keys import VARIABLES
    from tercel.domain.times import format_time

    keys = venue.settings.credentials
    lines = [
        f"simulated exchange, Binance USD-M protocol: {', '.join(order.series)}",
        f"REST          http://{served.address}/fapi/v1",
        f"streams       ws://{served.address}/public/ws, /market/ws, /private/ws",
        f"requests      ws://{served.address}/ws-fapi/v1",
        f"API key       {keys.key}",
        f"API secret    {keys.secret}",
        f"for Tercel    {' and '.join(VARIABLES[BINANCE])}, in the environment or in .env",
        f"venue's time  {format_time(served.clock.now_ms())} UTC, bars until "
        f"{format_time(venue.end_ms)}",
    ]
    if order.plan.faults:
        lines += str(order.plan).splitlines()
    return [*lines, "Ctrl-C ends it"]


def _farewell(venue: Venue, why: str) -> list[str]:
    """What the account has become, and which faults struck."""
    state = venue.facade.state
    (row,) = state.exchange.balances()
    lines = [f"{why}; wallet {row.wallet_quote:.2f} {row.asset}"]
    if state.watch.plan.faults:
        struck = ", ".join(f"{code} {count}" for code, count in sorted(state.watch.hits.items()))
        lines.append(f"faults that struck: {struck or 'none'}")
        planned = sorted({fault.what for fault in state.watch.plan.faults} - set(state.watch.hits))
        if planned:
            lines.append(f"never: {', '.join(planned)}")
    return lines
