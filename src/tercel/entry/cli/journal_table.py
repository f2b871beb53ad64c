"""Rows of a journal as a table that fits its terminal.

Where it is wide enough, every column is shown, times with their date. Where it is not, in this
order: empty columns go, what is the same in every row is said once, above the table, and times and
amounts get shorter; then columns go, the least needed first. Those that tell whose a row is (its
session, desk, strategy, symbol) part the table and are said above each part; others are left out,
and named below. Texts wrap.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from tercel.domain.times import to_datetime
from tercel.entry.cli import terminal

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

TIMES = frozenset({"time_ms", "entry_time", "exit_time", "end_ms"})
TEXTS = frozenset({"text", "detail", "why", "strategies", "symbols", "action"})
"""Columns that may wrap."""
SAID_ONCE = frozenset(
    {"session_id", "mode", "venue", "strategies", "symbols", "timeframe", "strategy", "symbol",
     "desk", "kind"}
)  # fmt: skip
"""Columns that may be said above the table where every row has the same."""
PARTING = frozenset({"session_id", "desk", "strategy", "symbol"})
"""Columns that tell whose a row is: where they have no room, they part the table."""
TEXT_WIDTH_MIN = 24
"""A text that wraps keeps so much room."""
GAP, NARROW_GAP = 3, 2
"""Between two columns."""
NO_STREAM = -1
HEADS = {"session_id": "Session", "time_ms": "Time UTC", "end_ms": "Ended UTC",
         "exit_time": "Exit UTC"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be shown of each row."""

    names: tuple[str, ...]
    """Columns, in their order."""
    spare: tuple[str, ...]
    """Those that can go, the first one first."""
    sides: tuple[str, str]
    """What +1 and -1 are called."""


@dataclass(frozen=True, slots=True)
class _Look:
    """One way of showing them."""

    names: tuple[str, ...]
    is_short: bool = False
    has_date: bool = True
    has_ms: bool = True
    said: str = ""
    """What is said above."""
    parted_by: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()

    def without(self, name: str) -> _Look:
        """The same without a column."""
        names = tuple(each for each in self.names if each != name)
        # A client id has its session in it.
        if name in PARTING and not (name == "session_id" and "client_id" in names):
            return replace(self, names=names, parted_by=(*self.parted_by, name))
        return replace(self, names=names, left_out=(*self.left_out, name))


@dataclass(frozen=True, slots=True)
class _Column:
    name: str
    head: str
    cells: tuple[str, ...]

    def width(self, *, folds_head: bool) -> int:
        """What it needs; a long text less than all, since it wraps."""
        longest = max((len(cell) for cell in self.cells), default=0)
        if self.name in TEXTS:
            longest = min(longest, TEXT_WIDTH_MIN)
        words = self.head.split() if folds_head else [self.head]
        return max(longest, *(len(word) for word in words))


def show_rows(console: Console, wanted: Wanted, rows: Sequence[dict[str, Any]]) -> None:
    """Print `rows`, by the first look that fits the console; if none does, by the last."""
    for look in _looks(wanted, rows):
        columns = _columns(look, wanted, rows)
        short = look.is_short
        if _needs(columns, is_short=short, folds_heads=short) <= console.width:
            break
    if look.said:
        console.print(look.said, style="dim", markup=False, highlight=False)
    for heading, places in _parts(look, rows).items():
        if heading:
            console.print(heading, style="bold", markup=False, highlight=False)
        console.print(_table(columns, places, console.width, is_short=short))
    if look.left_out:
        names = ", ".join(_head(name).lower() for name in look.left_out)
        console.print(
            f"left out at this width: {names}; a wider terminal or --json has them",
            style="dim",
            markup=False,
            highlight=False,
        )


def _looks(wanted: Wanted, rows: Sequence[dict[str, Any]]) -> Iterator[_Look]:
    yield _Look(wanted.names)
    same = [name for name in wanted.names if name in SAID_ONCE and len(rows) > 1]
    same = [name for name in same if len({str(row[name]) for row in rows}) == 1]
    days = {_day(row[name]) for row in rows for name in wanted.names if name in TIMES and row[name]}
    said = [f"{_head(name).lower()} {rows[0][name]}" for name in same if rows[0][name]]
    said += [f"{day} UTC" for day in days if len(days) == 1]
    empty = [name for name in wanted.names if not any(_has_value(name, row) for row in rows)]
    look = _Look(
        tuple(name for name in wanted.names if name not in {*same, *empty}),
        is_short=True,
        has_date=len(days) != 1,
        said=", ".join(said),
    )
    yield look
    look = replace(look, has_ms=False)
    yield look
    for name in wanted.spare:
        if name in look.names:
            look = look.without(name)
            yield look


def _parts(look: _Look, rows: Sequence[dict[str, Any]]) -> dict[str, list[int]]:
    """Places of the rows of each part by its heading, parts in the order in which they begin."""
    found: dict[str, list[int]] = {}
    for place, row in enumerate(rows):
        heading = ", ".join(f"{_head(name).lower()} {row[name] or '-'}" for name in look.parted_by)
        found.setdefault(heading, []).append(place)
    return found


def _has_value(name: str, row: dict[str, Any]) -> bool:
    """Whether there is anything to see: a code of 0 is none."""
    value = row[name]
    return value not in ("", None) and not (name == "code" and value == 0)


def _columns(look: _Look, wanted: Wanted, rows: Sequence[dict[str, Any]]) -> list[_Column]:
    return [
        _Column(
            name,
            _head(name),
            tuple(_cell(name, row[name], look, wanted.sides) for row in rows),
        )
        for name in look.names
    ]


def _needs(columns: Sequence[_Column], *, is_short: bool, folds_heads: bool) -> int:
    """Columns of the terminal; the edge is one of them."""
    gap = NARROW_GAP if is_short else GAP
    return 1 + sum(column.width(folds_head=folds_heads) + gap for column in columns)


def _table(
    columns: Sequence[_Column], places: Sequence[int], width: int, *, is_short: bool
) -> Table:
    """The rows at `places`; the columns of all parts stand below each other."""
    from rich.markup import escape

    numeric = tuple(
        column.head for column in columns if all(_is_number(cell) for cell in column.cells)
    )
    made = terminal.table(*(column.head for column in columns), numeric=numeric)
    if is_short:
        made.padding = (0, NARROW_GAP - 1, 0, 0)
        folds = _needs(columns, is_short=True, folds_heads=False) > width
        for shown, column in zip(made.columns, columns, strict=True):
            if column.name not in TEXTS:
                shown.width = column.width(folds_head=folds)
    for place in places:
        made.add_row(*(escape(column.cells[place]) for column in columns))
    return made


def _head(name: str) -> str:
    return HEADS.get(name) or name.replace("_", " ").capitalize()


def _day(time_ms: int) -> str:
    return f"{to_datetime(time_ms):%Y-%m-%d}"


def _cell(name: str, value: Any, look: _Look, sides: tuple[str, str]) -> str:
    if value is None or (name == "stream" and value == NO_STREAM):
        return ""
    if name in TIMES:
        return _time(value, look)
    if name == "side":
        return sides[value < 0] if value else ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return _number(name, value, is_short=look.is_short)
    return str(value)


def _time(time_ms: int, look: _Look) -> str:
    moment = to_datetime(time_ms)
    day = (
        "" if not look.has_date else f"{moment:%m-%d} " if look.is_short else f"{moment:%Y-%m-%d} "
    )
    return f"{day}{moment:%H:%M:%S}" + (f".{time_ms % 1000:03d}" if look.has_ms else "")


def _number(name: str, value: float, *, is_short: bool) -> str:
    if math.isnan(value):
        return ""
    if is_short and name.endswith("_quote"):
        return f"{value:.4f}" if name == "fee_quote" else f"{value:.2f}"
    return f"{value:.7g}" if is_short else f"{value:.10g}"


def _is_number(cell: str) -> bool:
    try:
        float(cell or 0)
    except ValueError:
        return False
    return True
