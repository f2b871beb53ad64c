"""Sessions over replays whose journal is kept, as `tercel parity` reads it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from tests.parity.live_cases import rules, settings

from tercel.adapters.simulator.bars import BarExchange
from tercel.app.backtest import AccountSpec, StreamSpec
from tercel.app.live.parity import COMPARED, SessionRecord
from tercel.app.live.plan import SessionPlan, plan_of
from tercel.app.live.replay import Replay, series_of, stream_settings
from tercel.app.live.session import Session, SessionMemory
from tercel.app.live.session_row import session_row
from tercel.app.prepare import PreparedRun
from tercel.domain.commands import Command, SaveState, WriteJournal
from tercel.domain.events import BarsClosed, MarketView
from tercel.domain.journal import TABLES, JournalRow, SessionEndRow, SessionRow
from tercel.domain.session_state import SessionState

MOMENT = 1_700_000_000_000


@dataclass(slots=True)
class Kept:
    """The journal of a session and the last state that it kept."""

    rows: list[JournalRow] = field(default_factory=list)
    state: SessionState = field(default_factory=SessionState)

    def take(self, command: Command) -> None:
        """One command of the session."""
        if isinstance(command, WriteJournal):
            self.rows.extend(command.rows)
        elif isinstance(command, SaveState):
            self.state = command.state


class Watched(Replay):
    """A replay in which the feed has something to say at some bars."""

    views: Mapping[int, MarketView] = {}
    """By the number of the minute."""
    late: frozenset[int] = frozenset()
    """Minutes whose bars are only shown."""
    minute = -1

    def play(self, event: BarsClosed) -> None:
        """One moment, with what the feed says of it."""
        self.minute += 1
        view = self.views.get(self.minute)
        if view is not None:
            event = replace(event, views=(view,) * len(event.series))
        if self.minute in self.late:
            self.deliver(replace(event, is_late=True))
            return
        super().play(event)


@dataclass(slots=True)
class Played:
    """A session that was played, what it wrote, and what it was to trade."""

    replay: Watched
    kept: Kept
    first: SessionRow

    @property
    def plan(self) -> SessionPlan:
        """What it traded."""
        return self.replay.session.parts.plan

    def record(self, *, ended: bool = True) -> SessionRecord:
        """As the journal has it."""
        return record_of([self.first, *self.kept.rows], ended=ended)


def record_of(rows: Sequence[JournalRow], *, ended: bool = True) -> SessionRecord:
    """Rows of one session by table."""
    [first] = [row for row in rows if isinstance(row, SessionRow)]
    tables = {
        name: tuple(row for row in rows if isinstance(row, TABLES[name])) for name in COMPARED
    }
    end = SessionEndRow(first.session_id, MOMENT, 0, "the end of the data") if ended else None
    return SessionRecord(first, tables, end)


def played(
    specs: Sequence[StreamSpec],
    account: AccountSpec,
    *,
    at: Callable[[Watched, int], None] | None = None,
    views: Mapping[int, MarketView] | None = None,
    late: Sequence[int] = (),
    state: SessionState | None = None,
    **given: Any,
) -> Played:
    """Play every bar; `at` is called after each minute with its number."""
    prepared = PreparedRun(tuple(specs), account, (), {})
    plan = plan_of(prepared)
    kept = Kept()
    memory = SessionMemory(state or SessionState(), "s1")
    session = Session(plan, rules(**given), memory)
    first = session_row(session, settings(), MOMENT)
    exchange = BarExchange(stream_settings(plan))
    replay = Watched(session, exchange, series_of(prepared), told=kept.take)
    replay.views, replay.late = views or {}, frozenset(late)
    for _ in replay.minutes():
        if at is not None:
            at(replay, replay.minute)
    if replay.ended is None:
        replay.finish()
    return Played(replay, kept, first)
