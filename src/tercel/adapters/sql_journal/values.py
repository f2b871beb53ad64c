"""Rows as dataclasses, and as the values that a database takes.

A NaN that is a field's value is kept as NaN where the database can, and as NULL in SQLite; both
come back as NaN. Where the field may be None, NaN is None. A text with characters that a database
refuses (NUL, half of a pair) is kept with others in their place: what a venue says in an error must
never make the journal unwritable.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from tercel.adapters.sql_journal.schema import kinds_of
from tercel.domain.journal import JournalRow

NUL_SHOWN = "\N{SYMBOL FOR NULL}"


def _text(value: str) -> str:
    shown = str(value).replace("\0", NUL_SHOWN)
    return shown if shown.isascii() else shown.encode("utf-8", "replace").decode("utf-8")


_EXACT: dict[type, Callable[[Any], Any]] = {
    int: operator.index,
    float: float,
    str: _text,
    bytes: bytes,
    bool: bool,
}
"""numpy's scalars as Python's own: SQLite would keep them as bytes."""


def _optional(exact: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def converted(value: Any) -> Any:
        if value is None or (isinstance(value, float) and math.isnan(value)):
            return None
        return exact(value)

    return converted


def _nan_for_null(value: float | None) -> float:
    return math.nan if value is None else value


_WRITERS = {
    kind: {
        name: _optional(_EXACT[of]) if is_optional else _EXACT[of]
        for name, (of, is_optional) in fields.items()
    }
    for kind, fields in kinds_of.items()
}
_READERS = {
    kind: [
        _nan_for_null if of is float and not is_optional else None
        for of, is_optional in fields.values()
    ]
    for kind, fields in kinds_of.items()
}


def values_of(rows: Sequence[JournalRow]) -> list[tuple[Any, ...]]:
    """Rows of one kind as values in the order of the fields."""
    writers = _WRITERS[type(rows[0])].items()
    return [tuple([convert(getattr(row, name)) for name, convert in writers]) for row in rows]


def rows_of(kind: type[JournalRow], found: Iterable[Sequence[Any]]) -> tuple[JournalRow, ...]:
    """Values in the order of the fields as rows."""
    readers = _READERS[kind]
    make: Callable[..., JournalRow] = kind
    return tuple(
        make(*(read(v) if read else v for read, v in zip(readers, values, strict=True)))
        for values in found
    )
