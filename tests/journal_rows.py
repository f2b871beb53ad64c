"""Rows of a journal, one of each kind, made from the types of their fields."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import Any, get_args, get_type_hints

from tercel.domain.journal import TABLES, IntentRow, JournalRow, OrderRow, SignalRow

VALUES: dict[type, Callable[[int], Any]] = {
    int: lambda number: 1_700_000_000_000 + number,
    float: lambda number: 0.1 + 0.2 + number,
    str: lambda number: f"text {number} \N{EM DASH} 'é'",
    bytes: lambda number: bytes(range(256)) + str(number).encode(),
    bool: lambda number: bool(number % 2),
}


def row(kind: type[JournalRow], number: int = 1, session: str = "s1", **given: Any) -> JournalRow:
    """A row in which every field has a value; every other one None where it may be."""
    hints = get_type_hints(kind)
    made: dict[str, Any] = {}
    for field in fields(kind):
        optional = get_args(hints[field.name])
        of = optional[0] if optional else hints[field.name]
        made[field.name] = None if optional and number % 2 else VALUES[of](number)
    make: Callable[..., JournalRow] = kind
    return make(**{**made, "session_id": session, **given})


def rows(number: int, session: str = "s1") -> list[JournalRow]:
    """One row of each table."""
    return [row(kind, number, session) for kind in TABLES.values()]


def step(number: int, session: str = "s1") -> list[JournalRow]:
    """What a session adds at once when it acts: a signal, an intent, an order."""
    client_id = f"t-{session}-0-0-{number}"
    return [
        SignalRow(session, number, 0, 1, 100.0, 1.0, None, 70.0, "cross"),
        IntentRow(session, number, client_id, "place", 0, "entry", "BTCUSDT", 1, "market", 0.1,
                  None, None, False, "signal"),
        OrderRow(session, number, client_id, "", "planned", 0.0, 0, "", None),
    ]  # fmt: skip
