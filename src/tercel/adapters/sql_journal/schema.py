"""The tables of the journal, made from the dataclasses of domain/journal.py.

`order` is the table `journal_order`: none of the names is a word of SQL, and the tables may stand
beside those of others. Beside the fields each has `row`, which counts up and tells the order in
which rows were added. `migrations/` makes the same tables; a test compares the two.
"""

from __future__ import annotations

from dataclasses import fields
from types import NoneType
from typing import Any, get_args, get_type_hints

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
)
from sqlalchemy.types import TypeEngine

from tercel.domain.journal import TABLES, JournalRow

PREFIX = "journal_"
"""Every table begins with it; other tables of the database are none of ours."""
VERSION_TABLE = f"{PREFIX}version"
"""Which migration the tables are at."""
KEY = "row"
ASKED_BY_ORDER = "client_id"
"""Tables with this column also have an index on it: what became of an order."""

_TYPES: dict[type, type[TypeEngine[Any]]] = {
    int: BigInteger,
    float: Double,
    str: Text,
    bytes: LargeBinary,
    bool: Boolean,
}

metadata = MetaData()
"""What the migrations have to end up with."""


def _kinds(row: type[JournalRow]) -> dict[str, tuple[type, bool]]:
    hints = get_type_hints(row)
    found = {}
    for field in fields(row):
        inner = [kind for kind in get_args(hints[field.name]) if kind is not NoneType]
        found[field.name] = (inner[0], True) if inner else (hints[field.name], False)
    return found


kinds_of = {row: _kinds(row) for row in TABLES.values()}
"""Of each kind of row: the type of each field, and whether it may be None."""


def _column(name: str, kind: type, is_optional: bool) -> Column[Any]:
    # A float may be NaN, which SQLite keeps as NULL.
    return Column(name, _TYPES[kind](), nullable=is_optional or kind is float)


def _table(name: str, row: type[JournalRow]) -> Table:
    """The table of one kind of row, known to `metadata`."""
    full = PREFIX + name
    indexed = [KEY, *(column for column in kinds_of[row] if column == ASKED_BY_ORDER)]
    return Table(
        full,
        metadata,
        # SQLite counts up only in a column whose type is INTEGER, which has 64 bits there too.
        Column(KEY, BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
        *(_column(column, *kind) for column, kind in kinds_of[row].items()),
        *(Index(f"ix_{full}_{column}", "session_id", column) for column in indexed),
        sqlite_autoincrement=True,
    )


tables: dict[type[JournalRow], Table] = {row: _table(name, row) for name, row in TABLES.items()}
"""The table of each kind of row."""
