"""What a session asks of the world: writes and questions to the venue, rows for the journal,
alerts, a state to keep.

A session carries nothing out itself. Whoever runs it (`app/live/runner.py` live, the replay and the
fault runs in virtual time) carries commands out in their order and hands the answers back as
events. The order matters: what is journaled and saved comes before what is sent.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeGuard

from tercel.core.codes import Slot
from tercel.domain.journal import JournalRow
from tercel.domain.orders import OrderRequest
from tercel.domain.session_state import SessionState, StateSnapshot


@dataclass(frozen=True, slots=True)
class PlaceOrder:
    """Send an order; answered by `Placed`."""

    request: OrderRequest


@dataclass(frozen=True, slots=True)
class CancelOrder:
    """Cancel one order; answered by `CancelAnswered`."""

    client_id: str
    symbol: str
    is_conditional: bool


@dataclass(frozen=True, slots=True)
class QueryOrder:
    """Ask the venue about one order of ours; answered by `OrderFound`."""

    client_id: str
    symbol: str
    is_conditional: bool


@dataclass(frozen=True, slots=True)
class ReadVenue:
    """Read positions, open orders, fills since `since_ms` and the balance; answered by
    `VenueRead`.
    """

    symbols: tuple[str, ...]
    since_ms: int
    asked_ms: int = 0
    """When it was asked; goes back with the answer."""


@dataclass(frozen=True, slots=True)
class CancelForeign:
    """Cancel an order that the session does not know: an orphan of an earlier one."""

    client_id: str
    venue_id: str
    symbol: str
    is_conditional: bool


class Level(StrEnum):
    """How loud an alert is."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


@dataclass(frozen=True, slots=True)
class Alert:
    """Something a person should know, by a fixed code."""

    level: Level
    code: str
    """UPPER_CASE, from app/live/alerts.py."""
    text: str
    stream: int = -1


@dataclass(frozen=True, slots=True)
class WriteJournal:
    """Rows for the journal; they are durable before any later command is carried out."""

    rows: tuple[JournalRow, ...]


@dataclass(frozen=True, slots=True)
class SaveState:
    """Keep this state; it is durable before any later command is carried out.

    Most states are superseded before anybody writes them: the record is made on demand.
    """

    snapshot: StateSnapshot

    @property
    def state(self) -> SessionState:
        """The state as it was when this was asked for."""
        return self.snapshot.state()


@dataclass(frozen=True, slots=True)
class EndSession:
    """Nothing is left to do: the runner may stop."""

    exit_code: int
    why: str


Command = (
    PlaceOrder
    | CancelOrder
    | QueryOrder
    | ReadVenue
    | CancelForeign
    | Alert
    | WriteJournal
    | SaveState
    | EndSession
)


def enters(command: Command) -> TypeGuard[PlaceOrder]:
    """Whether it sends an entry."""
    return isinstance(command, PlaceOrder) and command.request.slot is Slot.ENTRY
