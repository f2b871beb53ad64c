"""`tercel run`: one session for replay, paper and live."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tercel.domain.errors import InterruptedWorkError, UserError
from tercel.domain.times import format_time
from tercel.entry.cli import options, terminal
from tercel.entry.cli.desk import moment, open_desk, with_cash
from tercel.entry.cli.live_run import LiveAsked, trade_live

if TYPE_CHECKING:
    from tercel.app.live.rehearsal import Rehearsed
    from tercel.app.prepare import RunRequest
    from tercel.app.runs import Desk
    from tercel.domain.journal import TradeRow

MODES = ("paper", "live")
LIVE_VENUE = "binance-usdm"
SPEED_MAX = 1_000_000.0


def run(
    mode: Annotated[
        str, typer.Option(help="paper: live data, simulated fills; live: real orders.")
    ] = "paper",
    replay: Annotated[
        bool, typer.Option("--replay", help="Bars of the lake instead of live data; no network.")
    ] = False,
    strategy: Annotated[
        str, typer.Option(help="Strategies, by name or path, parted by commas.")
    ] = "three_r",
    symbols: Annotated[str, typer.Option(help="Symbols, parted by commas.")] = "BTCUSDT",
    venue: options.Venue = None,
    timeframe: options.Timeframe = None,
    start: options.Start = None,
    end: options.End = None,
    speed: Annotated[
        float | None,
        typer.Option(
            help="Of a replay: minutes in a minute (default: as fast as it goes); of a session on "
            "a simulated exchange: the --speed that it was started with."
        ),
    ] = None,
    venue_url: Annotated[
        str | None,
        typer.Option(help="The venue's protocol at another address: http://127.0.0.1:9101."),
    ] = None,
    automation: Annotated[
        bool | None,
        typer.Option(
            "--automation/--no-automation",
            help="Trade signals, or only watch them (ghost); default: as the state says.",
        ),
    ] = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Do not go on from the kept state.")
    ] = False,
    folder: Annotated[
        Path | None, typer.Option(help="Folder of the session: state, journal, control socket.")
    ] = None,
    journal: Annotated[
        bool, typer.Option("--journal/--no-journal", help="Of a replay: keep its journal.")
    ] = True,
    overrides: options.Overrides = None,
    config: options.Config = None,
    cash: options.Cash = None,
    costs: options.Costs = None,
    lake: options.Lake = None,
) -> None:
    """Run a session: replay, paper or live, the same code as the backtest.

    A replay plays closed bars of the lake through the session and its order handling, prints each
    trade, and compares them with the backtest. Paper trades live public data on a simulated
    exchange, without keys. Live needs keys (TERCEL_BINANCE_API_KEY, TERCEL_BINANCE_API_SECRET), a
    promotion (tercel validate) and LIVE_TRADING_CONFIRMED=true.

    Exit codes: 0 ended in order (a replay: equal to the backtest), 1 not, 2 a mistake in the call.

    Examples:

    tercel run --replay --strategy three_r --symbols BTCUSDT --venue synthetic

    tercel run --mode paper --strategy three_r --symbols BTCUSDT,ETHUSDT

    tercel run --mode live --venue-url http://127.0.0.1:9101 --automation

    Paper and live need the extra that `make live` installs. Automation is off until it is switched
    on, by --automation or by `tercel automation on` from a second terminal.
    """
    if mode not in MODES:
        raise UserError(f"--mode {mode}: not one of {', '.join(MODES)}")
    if speed is not None and not 0.0 < speed <= SPEED_MAX:
        raise UserError(f"--speed {speed:g}: use more than 0, and at most {SPEED_MAX:g}")
    if mode == "live" and replay:
        raise UserError("a replay sends no order anywhere: leave --mode live out")
    if venue_url is not None and replay:
        raise UserError("a replay plays bars of the lake: leave --venue-url out, or --replay")
    asked = _Asked(strategy, symbols, venue, timeframe, start, end, costs)
    terminal.say_if_cold()
    every = with_cash(overrides, cash)
    if replay:
        with terminal.progress_bar() as progress:
            desk, parameters = open_desk(config, every, lake, progress)
            desk = _in_folder(desk, folder)
            request = asked.request(parameters)
            try:
                found = asyncio.run(_replay(desk, request, speed or 0.0, keeps=journal))
            except KeyboardInterrupt:
                if journal:
                    raise
                raise InterruptedWorkError("interrupted: --no-journal keeps nothing") from None
        _show(found)
        return
    asked.check_live(speed, venue_url)
    from tercel.bootstrap.live import nothing_collected

    with nothing_collected():
        from tercel.app.ports import SilentProgress

        desk, parameters = open_desk(config, every, lake, SilentProgress())
        desk = _in_folder(desk, folder)
        request = asked.request(parameters, venue=venue or LIVE_VENUE)
    wanted = LiveAsked(mode, venue_url, automation, is_fresh=fresh, speed=speed or 1.0)
    code = asyncio.run(trade_live(desk, request, wanted))
    if code:
        raise typer.Exit(code)


@dataclass(frozen=True, slots=True)
class _Asked:
    """What of the command line says what is traded."""

    strategy: str
    symbols: str
    venue: str | None
    timeframe: str | None
    start: str | None
    end: str | None
    costs: str | None

    def check_live(self, speed: float | None, venue_url: str | None) -> None:
        """Raise UserError for options that only a replay has."""
        if speed is not None and venue_url is None:
            raise UserError(
                "--speed is for a replay, or for a simulated exchange: add --replay or --venue-url"
            )
        for name, value in (("--from", self.start), ("--to", self.end)):
            if value is not None:
                raise UserError(f"{name} is for a replay: add --replay, or leave it out")

    def request(self, parameters: dict[str, object], venue: str | None = None) -> RunRequest:
        """As the use-cases take it. Raises UserError."""
        from tercel.app.prepare import RunRequest
        from tercel.app.strategies import load_strategy

        names = [name.strip() for name in self.strategy.split(",") if name.strip()]
        symbols = [name.strip().upper() for name in self.symbols.split(",") if name.strip()]
        if not names or not symbols:
            raise UserError("name at least one --strategy and one of --symbols")
        return RunRequest(
            strategies=tuple(load_strategy(name) for name in dict.fromkeys(names)),
            symbols=tuple(dict.fromkeys(symbols)),
            venue=venue or self.venue,
            timeframe=self.timeframe,
            start_ms=moment(self.start, "--from", whole_day=False),
            end_ms=moment(self.end, "--to", whole_day=True),
            overrides=parameters,
            costs=self.costs,
        )


def _in_folder(desk: Desk, folder: Path | None) -> Desk:
    from tercel.bootstrap.live import with_folder

    return replace(desk, settings=with_folder(desk.settings, folder))


async def _replay(desk: Desk, request: RunRequest, speed: float, *, keeps: bool) -> Rehearsed:
    """Play the bars of the request, and trade them in a backtest."""
    from tercel.adapters.control import replay_folder
    from tercel.app.live.rehearsal import Pace, Rehearsal
    from tercel.app.live.session_row import session_row
    from tercel.app.prepare import prepare
    from tercel.bootstrap.live import open_stores, replay_session, session_folder, session_id

    prepared = prepare(desk.store, desk.settings, request, desk.contexts)
    folder = session_folder(desk.settings)
    state, journal = open_stores(desk.settings, folder)
    console = terminal.console()

    def tell(trade: TradeRow) -> None:
        console.print(trade_line(trade), soft_wrap=True, markup=False, highlight=False)

    rehearsal = Rehearsal(
        prepared, journal if keeps else None, Pace(desk.clock, speed), on_trade=tell
    )
    number = session_id(desk.clock.now_ms())
    replay = replay_session(desk.settings, prepared, number, rehearsal.told)
    held = ExitStack()
    try:
        if keeps and not desk.settings.journal.url:
            held.enter_context(replay_folder(folder))
        # Dated as all else that a replay journals: by its bars.
        begins_ms = min(int(spec.series.bars["open_time"][0]) for spec in prepared.specs)
        first = session_row(replay.session, desk.settings, begins_ms)
        played = await rehearsal.play(replay, first, desk.progress)
        if keeps:
            console.print(
                f"session {number}: `tercel journal trades {number}`, `tercel parity {number}`",
                soft_wrap=True,
                markup=False,
                highlight=False,
            )
        return played
    finally:
        await journal.close()
        await state.close()
        held.close()


def trade_line(trade: TradeRow) -> str:
    """One finished trade, in one line."""
    side = "long" if trade.side > 0 else "short"
    risk = trade.risk_quote
    in_r = f"{trade.net_quote / risk:+.2f} R" if risk > 0.0 else ""
    return (
        f"{format_time(trade.exit_time)}  {trade.symbol} {trade.strategy} {side:<5} "
        f"{trade.entry_price:g} -> {trade.exit_price:g}  {trade.exit_reason:<9} "
        f"net {trade.net_quote:+,.2f} ({in_r}, gross {trade.gross_quote:+,.2f})"
    )


def _show(found: Rehearsed) -> None:
    """Whether the session did what the backtest did."""
    console = terminal.console()
    net = float(found.trades["net_quote"].sum()) if len(found.trades) else 0.0
    console.print(
        f"{found.minutes:,} bars, {len(found.trades):,} trades, net {net:+,.2f} in quote currency",
        highlight=False,
    )
    if found.ended_early:
        raise UserError(f"the session ended before the data did: {found.ended_early}")
    if found.is_equal:
        told = "the same trades as a backtest of these bars, to the last bit"
        console.print(told, highlight=False)
        return
    console.print(f"not the trades of a backtest: {found.first_difference()}", highlight=False)
    raise typer.Exit(1)
