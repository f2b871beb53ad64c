"""Rows of a journal as values by field, with what other rows tell of them.

A signal, a refusal and an order have a number where people want a symbol and a strategy: the
session's own row says what its streams are. A session that wrote no end may still run: the one that
answers in the folder says which it is.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

from tercel.domain.errors import TercelError, UserError
from tercel.domain.journal import TABLES, IntentRow, JournalRow, RefusalRow, SessionRow, SignalRow
from tercel.domain.orders import parse_client_id

if TYPE_CHECKING:
    from pathlib import Path

    from tercel.app.ports import Journal

Label = tuple[str, str]
"""Symbol and strategy; each empty where it is not known."""

NUMBERED = ("signal", "refusal", "order")
"""Tables whose rows are told apart by a number of their stream."""
WITHOUT_SYMBOL = "they do not name a symbol; leave --symbol out, or ask for evaluations or trades"
FIRST_LOOK = 16
"""Where rows are picked by their symbol, so many times the wanted number is read at first."""
REPLAY = "replay"
"""The mode of a session that nobody can ask."""
ANSWER_SECONDS_MAX = 2.0
"""A session that does not say so soon which it is, is not waited for."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Which rows are wanted."""

    table: str
    called: str
    """The table as people call it."""
    session: str | None
    """None: of every session."""
    symbol: str | None
    last: int | None
    """None: all."""


async def read_rows(opened: Journal, asked: Asked) -> list[dict[str, Any]]:
    """The rows asked for, oldest first. Raises UserError for a session that there is not."""
    labels = StreamLabels(opened)
    if asked.symbol is None:
        rows: Sequence[JournalRow] = await opened.read(asked.table, asked.session, limit=asked.last)
    else:
        rows = await _of_symbol(opened, asked, labels)
    if asked.session is not None and not rows:
        sessions = [_text(each, "session_id") for each in await opened.read("session")]
        if asked.session not in sessions:
            known = ", ".join(sessions[-8:]) or "none yet"
            raise UserError(f"no session {asked.session!r} in the journal; the latest: {known}")
    found = [asdict(row) for row in rows]
    if asked.table in NUMBERED:
        for row, values in zip(rows, found, strict=True):
            values["symbol"], values["strategy"] = await labels.of(row)
    return found


async def _of_symbol(opened: Journal, asked: Asked, labels: StreamLabels) -> Sequence[JournalRow]:
    """The latest rows of a symbol."""
    has_symbol = "symbol" in {field.name for field in fields(TABLES[asked.table])}
    if not has_symbol and asked.table not in NUMBERED:
        raise UserError(f"{asked.called} --symbol {asked.symbol}: {WITHOUT_SYMBOL}")
    look = None if asked.last is None else asked.last * FIRST_LOOK
    while True:
        rows = await opened.read(asked.table, asked.session, limit=look)
        symbols = [
            _text(row, "symbol") if has_symbol else (await labels.of(row))[0] for row in rows
        ]
        picked = [row for row, symbol in zip(rows, symbols, strict=True) if symbol == asked.symbol]
        if asked.last is None or look is None:
            return picked
        if len(picked) >= asked.last or len(rows) < look:
            return picked[-asked.last :]
        look *= FIRST_LOOK


def _text(row: JournalRow, name: str) -> str:
    return str(getattr(row, name))


class StreamLabels:
    """What the streams of sessions are; each session's row is read once."""

    def __init__(self, opened: Journal) -> None:
        self._opened = opened
        self._streams: dict[str, list[Label]] = {}
        self._sent: dict[str, dict[str, str]] = {}
        """Symbols by client id, for orders that work for no stream."""

    async def of(self, row: JournalRow) -> Label:
        """The symbol and strategy of a signal, a refusal or an order."""
        if isinstance(row, SignalRow | RefusalRow):
            return await self._stream(row.session_id, row.stream)
        client_id = _text(row, "client_id")
        # An order may be of an earlier session, whose streams count then.
        parsed = parse_client_id(client_id)
        label = ("", "") if parsed is None else await self._stream(parsed.session, parsed.stream)
        return label if label[0] else (await self._symbol_sent(row.session_id, client_id), "")

    async def _stream(self, session: str, number: int) -> Label:
        if session not in self._streams:
            rows = await self._opened.read("session", session)
            self._streams[session] = [
                label
                for row in rows[:1]
                if isinstance(row, SessionRow)
                for label in _labels(row.configuration)
            ]
        known = self._streams[session]
        return known[number] if 0 <= number < len(known) else ("", "")

    async def _symbol_sent(self, session: str, client_id: str) -> str:
        if session not in self._sent:
            self._sent[session] = {
                row.client_id: row.symbol
                for row in await self._opened.read("intent", session)
                if isinstance(row, IntentRow)
            }
        return self._sent[session].get(client_id, "")


def _labels(configuration: str) -> list[Label]:
    """As `app/live/session_row.py` writes them; none where they cannot be read."""
    try:
        labels = [each["label"] for each in json.loads(configuration)["streams"]]
        return [(str(each["symbol"]), str(each["strategy"])) for each in labels]
    except (ValueError, KeyError, TypeError):
        return []


# --- sessions -------------------------------------------------------------------------------------


async def add_ends(
    opened: Journal, rows: Sequence[dict[str, Any]], folder: Path, *, is_shared: bool
) -> None:
    """When and why each session ended; what is known of one that wrote no end.

    `is_shared`: sessions of other folders may write the same journal.
    """
    ends = {_text(each, "session_id"): asdict(each) for each in await opened.read("session_end")}
    has_open = any(row["session_id"] not in ends for row in rows)
    running = await _running(folder) if has_open else ""
    for row in rows:
        end = ends.get(row["session_id"])
        row["end_ms"] = end["time_ms"] if end else None
        row["exit_code"] = end["exit_code"] if end else None
        row["is_running"] = _is_running(row, running, is_shared=is_shared) if end is None else False
        row["why"] = end["why"] if end else _without_end(row, running)


async def _running(folder: Path) -> str | None:
    """The id of the session that runs in `folder`; empty: none does; None: one does not say."""
    from tercel.adapters.control import ControlClient, NoSessionError
    from tercel.app.live.control import STATUS, Request

    try:
        reply = await ControlClient(folder, ANSWER_SECONDS_MAX).ask(Request(STATUS, "cli"))
    except NoSessionError:
        return ""
    except TercelError:
        return None
    return reply.status.session_id if reply.status else None


def _is_running(row: dict[str, Any], running: str | None, *, is_shared: bool) -> bool | None:
    """None: it cannot be told from here."""
    if running == row["session_id"]:
        return True
    return None if running is None or is_shared or row["mode"] == REPLAY else False


def _without_end(row: dict[str, Any], running: str | None) -> str:
    if row["is_running"] is not None:
        return "running" if row["is_running"] else "killed: wrote no end"
    if row["mode"] == REPLAY:
        return "still plays, or stopped"
    return "killed, or runs and does not answer" if running is None else "killed, or runs elsewhere"
