"""`tercel journal ...`: what sessions wrote down while they ran."""

from __future__ import annotations

import asyncio
import json
import math
from base64 import b64encode
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tercel.entry.cli import options as shared
from tercel.entry.cli import terminal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tercel.app.ports import Journal
    from tercel.domain.settings import Settings
    from tercel.entry.cli.journal_rows import Asked

EPILOG = """Examples:

tercel journal sessions

tercel journal trades

tercel journal orders s1a2b3 --symbol BTCUSDT --last 50

tercel journal alerts --json
"""


class Kind(StrEnum):
    """What can be shown, in the plural that people say."""

    SESSIONS = "sessions"
    TRADES = "trades"
    SIGNALS = "signals"
    REFUSALS = "refusals"
    EVALUATIONS = "evaluations"
    INTENTS = "intents"
    ORDERS = "orders"
    FILLS = "fills"
    POSITIONS = "positions"
    EQUITY = "equity"
    BREAKERS = "breakers"
    FEEDS = "feeds"
    SCORES = "scores"
    ALERTS = "alerts"

    @property
    def table(self) -> str:
        """The name of the journal's table."""
        return "equity" if self is Kind.EQUITY else str(self).removesuffix("s")


COLUMNS: dict[Kind, str] = {
    Kind.SESSIONS: "session_id time_ms mode venue strategies symbols timeframe end_ms why",
    Kind.TRADES: "exit_time desk strategy symbol side quantity entry_price exit_price net_quote "
    "exit_reason",
    Kind.SIGNALS: "time_ms symbol strategy side price stop_distance target_distance score reason",
    Kind.REFUSALS: "time_ms symbol strategy side refusal",
    Kind.EVALUATIONS: "time_ms strategy symbol side score decision refusal reason",
    Kind.INTENTS: "time_ms client_id action symbol side kind quantity price trigger_price reason",
    Kind.ORDERS: "time_ms client_id symbol strategy phase filled_quantity venue_id code text "
    "round_trip_ms",
    Kind.FILLS: "time_ms desk symbol side price quantity fee_quote is_maker kind client_id",
    Kind.POSITIONS: "time_ms symbol side quantity entry_price mark_price stop_price "
    "unrealised_quote",
    Kind.EQUITY: "time_ms desk equity_quote cash_quote exposure_quote",
    Kind.BREAKERS: "time_ms breaker action",
    Kind.FEEDS: "time_ms stream is_up detail",
    Kind.SCORES: "time_ms name value",
    Kind.ALERTS: "time_ms level code text",
}
"""What a table shows; --json has every field."""
SPARE: dict[Kind, str] = {
    Kind.SESSIONS: "timeframe venue end_ms strategies",
    Kind.TRADES: "desk session_id quantity strategy",
    Kind.SIGNALS: "score target_distance strategy",
    Kind.EVALUATIONS: "score strategy",
    Kind.INTENTS: "session_id reason kind symbol",
    Kind.ORDERS: "session_id venue_id code round_trip_ms strategy symbol",
    Kind.FILLS: "kind client_id is_maker desk",
    Kind.POSITIONS: "mark_price",
    Kind.EQUITY: "exposure_quote desk",
    Kind.ALERTS: "level",
}
"""What of it goes where a terminal is narrow, the first one first; the session last of all."""


def journal(
    kind: Annotated[
        Kind,
        typer.Argument(
            metavar="KIND", help=f"What to show: {', '.join(Kind)}.", show_default=False
        ),
    ],
    session: Annotated[
        str | None, typer.Argument(help="One session, by its id; default: every one.")
    ] = None,
    last: Annotated[int, typer.Option(min=0, help="The latest so many rows; 0: all.")] = 20,
    symbol: Annotated[str | None, typer.Option(help="Rows of this symbol alone.")] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Every field, one JSON object a line.")
    ] = False,
    folder: shared.SessionFolder = None,
    overrides: shared.OneSetting = None,
    config: shared.SettingsFile = None,
) -> None:
    """Show what sessions wrote into the journal: oldest first, times in UTC.

    The journal is the one of the settings (`journal.url`, else a file in `session.folder`), and may
    be read while a session writes it. On a terminal too narrow for every column the rows are parted
    by desk, session and strategy, and what has no room even then is named in a line.
    """
    from tercel import bootstrap
    from tercel.bootstrap.live import session_folder, with_folder
    from tercel.entry.cli.journal_rows import Asked

    settings = with_folder(bootstrap.load_settings(config, overrides or ()), folder)
    opened = bootstrap.open_journal(settings.journal.url, session_folder(settings), create=False)
    asked = Asked(kind.table, str(kind), session, symbol, last or None)
    found = asyncio.run(_read(opened, kind, asked, settings))
    if as_json:
        for row in found:
            typer.echo(json.dumps(_plain(row), ensure_ascii=False, allow_nan=False))
        return
    if not found:
        of = f" of session {session}" if session else ""
        on = f" on {symbol}" if symbol else ""
        terminal.console().print(f"no {kind}{of}{on} yet", style="dim", markup=False)
        return
    _show(kind, found, with_session=session is None)


async def _read(
    opened: Journal, kind: Kind, asked: Asked, settings: Settings
) -> list[dict[str, Any]]:
    """The rows asked for as values by field. Raises UserError for a session that there is not."""
    from tercel.bootstrap.live import session_folder
    from tercel.entry.cli.journal_rows import add_ends, read_rows

    try:
        found = await read_rows(opened, asked)
        if kind is Kind.SESSIONS:
            folder, is_shared = session_folder(settings), bool(settings.journal.url)
            await add_ends(opened, found, folder, is_shared=is_shared)
    finally:
        await opened.close()
    return found


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    """What JSON has: bytes as base64, no NaN and no infinity."""
    return {
        name: b64encode(value).decode("ascii")
        if isinstance(value, bytes)
        else None
        if isinstance(value, float) and not math.isfinite(value)
        else value
        for name, value in row.items()
    }


def _show(kind: Kind, rows: Sequence[dict[str, Any]], *, with_session: bool) -> None:
    from tercel.entry.cli.journal_table import Wanted, show_rows

    names = COLUMNS[kind].split()
    spare = SPARE.get(kind, "").split()
    if with_session and "session_id" not in names:
        names.insert(0, "session_id")
        if "session_id" not in spare:
            spare.append("session_id")
    sides = ("buy", "sell") if kind in (Kind.INTENTS, Kind.FILLS) else ("long", "short")
    show_rows(terminal.console(), Wanted(tuple(names), tuple(spare), sides), rows)
