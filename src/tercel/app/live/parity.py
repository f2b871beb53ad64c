"""A session decided again from its journal: the same inputs through a fresh session.

1. the session is made as its row says: plan, rules, state, image;
2. every journaled input is handed to it, in order; what it asks itself must be what the journal has
   next;
3. every row that it writes must be the journaled one, field by field: the first that is not is
   told.

The same decisions mean the same image at each step: what differs afterwards only follows from it,
so that nothing after the first difference is compared.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field, fields, replace
from typing import Any

from tercel.app.live.plan import SessionPlan
from tercel.app.live.session import Session
from tercel.app.live.session_row import journals_quiet_evaluations, session_from_row
from tercel.app.live.wire import decode_event
from tercel.app.ports import Journal, Progress, SilentProgress
from tercel.domain.commands import WriteJournal
from tercel.domain.errors import DataError, UserError
from tercel.domain.events import Decide, Event, MinuteEnded
from tercel.domain.journal import (
    TABLES,
    EvaluationRow,
    InputRow,
    JournalRow,
    SessionEndRow,
    SessionRow,
)

LAST = "last"
"""Instead of a session's id: the one that began last."""

COMPARED = (
    "input",
    "evaluation",
    "signal",
    "refusal",
    "intent",
    "order",
    "fill",
    "trade",
    "position",
    "equity",
    "breaker",
)
"""Tables that a session decides alone; feeds, scores and alerts tell of the outside too."""

KNOWN_SESSIONS = 8
"""How many ids an error names."""


@dataclass(frozen=True, slots=True, eq=False)
class SessionRecord:
    """What the journal has of one session."""

    row: SessionRow
    tables: dict[str, tuple[JournalRow, ...]]
    """Rows of each of COMPARED, in the order in which they were added."""
    end: SessionEndRow | None
    """None: it still runs, or was killed."""

    @property
    def inputs(self) -> tuple[InputRow, ...]:
        """Every event as it was handed in."""
        return tuple(row for row in self.tables["input"] if isinstance(row, InputRow))


async def read_session(journal: Journal, session_id: str) -> SessionRecord:
    """Everything of a session, or of the `last` one. Raises UserError where there is none such."""
    sessions = [row for row in await journal.read("session") if isinstance(row, SessionRow)]
    found = [row for row in sessions if session_id in (LAST, row.session_id)]
    if not found:
        known = ", ".join(row.session_id for row in sessions[-KNOWN_SESSIONS:]) or "none yet"
        raise UserError(f"no session {session_id!r} in the journal; the latest: {known}")
    row = found[-1]
    tables = {name: await journal.read(name, row.session_id) for name in COMPARED}
    ends = await journal.read("session_end", row.session_id)
    end = next((each for each in ends if isinstance(each, SessionEndRow)), None)
    return SessionRecord(row, tables, end)


@dataclass(frozen=True, slots=True)
class Difference:
    """Where the journal and the second time part."""

    number: int
    """Of the input, from 1."""
    kind: str
    """Of the input."""
    table: str
    what: str

    def __str__(self) -> str:
        return f"input {self.number} ({self.kind}), {self.table}: {self.what}"


@dataclass(frozen=True, slots=True)
class DecisionParity:
    """What came of deciding again."""

    session_id: str
    inputs: int
    compared: dict[str, int]
    """Equal rows by table."""
    difference: Difference | None
    """The first one; None: there is none."""
    unwritten: int = 0
    """Rows of the last input that a session which was killed did not write any more."""

    @property
    def is_equal(self) -> bool:
        """Whether every decision was the same."""
        return self.difference is None


class _DifferenceError(Exception):
    """The first difference, on its way out."""

    def __init__(self, table: str, what: str) -> None:
        super().__init__(what)
        self.table = table
        self.what = what


@dataclass(slots=True, eq=False)
class _Check:
    """The journaled rows that are still to be met."""

    journaled: dict[str, deque[JournalRow]]
    may_be_cut: bool
    """Whether the rows of the last input may be missing."""
    every_evaluation: bool
    met: dict[str, int] = field(default_factory=dict)
    unwritten: int = 0

    def meet(self, rows: Iterator[JournalRow], *, is_last: bool) -> None:
        """Each of `rows` must be the next one of its table. Raises _DifferenceError."""
        for row in rows:
            if isinstance(row, EvaluationRow) and not self.every_evaluation and row.side == 0:
                continue
            table = _TABLE_OF[type(row)]
            if table not in self.journaled:
                continue
            there = self.journaled[table]
            if there:
                _compare(table, there.popleft(), row)
                self.met[table] = self.met.get(table, 0) + 1
            elif is_last and self.may_be_cut:
                self.unwritten += 1
            else:
                raise _DifferenceError(table, f"decided again, not journaled: {_told(row)}")

    @staticmethod
    def at(row: InputRow, place: int) -> None:
        """Inputs have no gap. Raises _DifferenceError."""
        if row.number != place:
            raise _DifferenceError("input", f"input {place} is not in the journal")

    def finish(self) -> None:
        """Nothing may be left. Raises _DifferenceError."""
        for table, there in self.journaled.items():
            if there:
                told = f"journaled, not decided again: {_told(there[0])}"
                raise _DifferenceError(table, f"{told} (and {len(there) - 1:,} more)")


_TABLE_OF = {kind: name for name, kind in TABLES.items()}


def decide_again(
    record: SessionRecord, plan: SessionPlan | None = None, progress: Progress | None = None
) -> DecisionParity:
    """Hand the journaled inputs to a fresh session, and compare what it writes.

    `plan` None: as the row says. Raises DataError where the journal cannot be read, UserError where
    a strategy is gone.
    """
    progress = progress or SilentProgress()
    session = session_from_row(record.row, plan)
    inputs = record.inputs
    check = _Check(
        {name: deque(rows) for name, rows in record.tables.items()},
        may_be_cut=record.end is None,
        every_evaluation=journals_quiet_evaluations(record.row),
    )
    difference = None
    progress.start("deciding again", len(inputs))
    number, kind = 0, "the end"
    try:
        for place, row in enumerate(inputs, start=1):
            number, kind = row.number, row.kind
            check.at(row, place)
            rows = _rows_of(session, decode_event(row.kind, row.payload))
            check.meet(rows, is_last=place == len(inputs))
            progress.advance()
        kind = "the last"
        check.finish()
    except _DifferenceError as error:
        difference = Difference(number, kind, error.table, error.what)
    return DecisionParity(
        record.row.session_id, len(inputs), check.met, difference, check.unwritten
    )


def _rows_of(session: Session, event: Event) -> Iterator[JournalRow]:
    """What the session writes about `event`. Raises _DifferenceError where it asks itself something
    else.
    """
    if isinstance(event, Decide | MinuteEnded):
        turn = session.next_turn()
        # At the end of a replay the minute is ended once more, by whoever plays it.
        same = turn is not None and replace(turn, time_ms=event.time_ms) == event
        if not same and not (turn is None and isinstance(event, MinuteEnded)):
            raise _DifferenceError("input", f"the session asks itself {turn}, journaled: {event}")
    for command in session.handle(event):
        if isinstance(command, WriteJournal):
            yield from command.rows


def _compare(table: str, journaled: JournalRow, decided: JournalRow) -> None:
    """Raise _DifferenceError where a field differs; NaN equals NaN."""
    if journaled == decided:
        return
    different = [
        f"{each.name} {_shown(here)}, decided again {_shown(there)}"
        for each in fields(journaled)
        for here, there in [(getattr(journaled, each.name), getattr(decided, each.name))]
        if here != there and not (here != here and there != there)
    ]
    if different:
        raise _DifferenceError(table, f"journaled {'; '.join(different)} ({_told(journaled)})")


def _told(row: JournalRow) -> str:
    """A row in one line: what tells it from others."""
    names = ("time_ms", "stream", "symbol", "client_id", "side", "slot", "decision", "kind")
    parts = [f"{name} {getattr(row, name)}" for name in names if hasattr(row, name)]
    return ", ".join(parts) or type(row).__name__


def _shown(value: Any) -> str:
    if isinstance(value, bytes):
        return f"{len(value)} bytes"
    return repr(value)


def check_readable(record: SessionRecord) -> None:
    """Raise DataError where a session has nothing to decide."""
    if not record.inputs:
        raise DataError(f"session {record.row.session_id}: the journal has no input of it")
