"""`tercel journal ...`: what sessions wrote down while they ran."""

from __future__ import annotations

import asyncio
import json
import math
from base64 import b64encode
from dataclasses import asdict, fields
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tercel.entry.cli import options as shared
from tercel.entry.cli import terminal

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tercel.app.ports import Journal
    from tercel.domain.journal import JournalRow

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
    Kind.SIGNALS: "time_ms stream side price stop_distance target_distance score reason",
    Kind.REFUSALS: "time_ms stream side refusal",
    Kind.EVALUATIONS: "time_ms strategy symbol side score decision refusal reason",
    Kind.INTENTS: "time_ms client_id action symbol side kind quantity price trigger_price reason",
    Kind.ORDERS: "time_ms client_id phase filled_quantity venue_id code text round_trip_ms",
    Kind.FILLS: "time_ms desk symbol side price quantity fee_quote is_maker kind client_id",
    Kind.POSITIONS: "time_ms symbol side quantity entry_price mark_price stop_price "
    "unrealised_quote",
    Kind.EQUITY: "time_ms desk equity_quote cash_quote exposure_quote",
    Kind.BREAKERS: "time_ms breaker action",
    Kind.FEEDS: "time_ms stream is_up detail",
    Kind.SCORES: "time_ms name value",
    Kind.ALERTS: "time_ms level code text stream",
}
"""What a table shows; --json has every field."""
TIMES = frozenset({"time_ms", "entry_time", "exit_time", "end_ms"})
WITHOUT_SYMBOL = "they do not name a symbol; leave --symbol out, or ask for evaluations or trades"
FIRST_LOOK = 16
"""Where rows are picked by their symbol, so many times the wanted number is read at first."""


def journal(
    kind: Annotated[Kind, typer.Argument(help="What to show.", show_default=False)],
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
    be read while a session writes it.
    """
    from tercel import bootstrap
    from tercel.bootstrap.live import session_folder, with_folder

    settings = with_folder(bootstrap.load_settings(config, overrides or ()), folder)
    opened = bootstrap.open_journal(settings.journal.url, session_folder(settings), create=False)
    found = asyncio.run(_read(opened, kind, session, symbol, last or None))
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
    opened: Journal, kind: Kind, session: str | None, symbol: str | None, last: int | None
) -> list[dict[str, Any]]:
    """The rows asked for as values by field. Raises UserError for a session that there is not."""
    from tercel.domain.errors import UserError

    try:
        if symbol is None:
            rows: Sequence[JournalRow] = await opened.read(kind.table, session, limit=last)
        else:
            rows = await _of_symbol(opened, kind, session, symbol, last)
        found = [asdict(row) for row in rows]
        if session is not None and not found:
            sessions = [each.session_id for each in await opened.read("session")]
            if session not in sessions:
                known = ", ".join(sessions[-8:]) or "none yet"
                raise UserError(f"no session {session!r} in the journal; the latest: {known}")
        if kind is Kind.SESSIONS:
            ends = {each.session_id: asdict(each) for each in await opened.read("session_end")}
            for row in found:
                end = ends.get(row["session_id"], {})
                row["end_ms"] = end.get("time_ms")
                row["exit_code"] = end.get("exit_code")
                row["why"] = end.get("why", "")
    finally:
        await opened.close()
    return found


async def _of_symbol(
    opened: Journal, kind: Kind, session: str | None, symbol: str, last: int | None
) -> Sequence[JournalRow]:
    """The latest rows of a symbol; an order has that of its intent."""
    from tercel.domain.errors import UserError
    from tercel.domain.journal import TABLES

    key, wanted = "symbol", {symbol}
    if kind is Kind.ORDERS:
        key = "client_id"
        intents = await opened.read("intent", session)
        wanted = {_value(row, key) for row in intents if _value(row, "symbol") == symbol}
    elif "symbol" not in {field.name for field in fields(TABLES[kind.table])}:
        raise UserError(f"{kind} --symbol {symbol}: {WITHOUT_SYMBOL}")
    look = None if last is None else last * FIRST_LOOK
    while True:
        rows = await opened.read(kind.table, session, limit=look)
        picked = [row for row in rows if _value(row, key) in wanted]
        if last is None or look is None:
            return picked
        if len(picked) >= last or len(rows) < look:
            return picked[-last:]
        look *= FIRST_LOOK


def _value(row: JournalRow, name: str) -> str:
    return str(getattr(row, name))


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


def _show(kind: Kind, rows: Iterable[dict[str, Any]], *, with_session: bool) -> None:
    from rich.markup import escape

    names = COLUMNS[kind].split()
    if with_session and "session_id" not in names:
        names.insert(0, "session_id")
    cells = [[_cell(kind, name, row[name]) for name in names] for row in rows]
    heads = {name: _head(name) for name in names}
    numeric = tuple(
        heads[name]
        for place, name in enumerate(names)
        if all(_is_number(row[place]) for row in cells)
    )
    made = terminal.table(*heads.values(), numeric=numeric)
    for row in cells:
        made.add_row(*map(escape, row))
    terminal.console().print(made)


def _head(name: str) -> str:
    words = {"session_id": "Session", "time_ms": "Time UTC", "end_ms": "Ended UTC",
             "exit_time": "Exit UTC"}  # fmt: skip
    return words.get(name) or name.replace("_", " ").capitalize()


def _cell(kind: Kind, name: str, value: Any) -> str:
    from tercel.domain.times import to_datetime

    if value is None:
        return ""
    if name in TIMES:
        return f"{to_datetime(value):%Y-%m-%d %H:%M:%S}.{value % 1000:03d}"
    if name == "side":
        pair = ("buy", "sell") if kind in (Kind.INTENTS, Kind.FILLS) else ("long", "short")
        return pair[value < 0] if value else ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.10g}"
    return str(value)


def _is_number(cell: str) -> bool:
    try:
        float(cell or 0)
    except ValueError:
        return False
    return True
