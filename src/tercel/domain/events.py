"""What reaches a session from outside, one event at a time: bars, news of orders, answers, timers,
operators.

Every event carries `time_ms`, the moment it was taken up in venue time. A session's journal keeps
them all: the same events through a fresh session make the same decisions.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from tercel.core.records import Records
from tercel.domain.orders import OrderPhase, VenueFill, VenueSnapshot


@dataclass(frozen=True, slots=True)
class MarketView:
    """What the feed knows of one series when its bar closes."""

    bid: float = float("nan")
    ask: float = float("nan")
    late_ms: int = 0
    """How long after its close the bar arrived."""
    trouble: str = ""
    """Why no entry may be made on it now (stale, gap, clock skew ...); empty: healthy."""


@dataclass(frozen=True, slots=True, eq=False)
class BarsClosed:
    """The bars of one moment, of every series that has one."""

    time_ms: int
    series: tuple[int, ...]
    """Rows of the session's series, ascending."""
    bars: Records
    """BAR, one for each of `series`."""
    contexts: Records
    """CONTEXT, one for each of `series`."""
    views: tuple[MarketView, ...] = ()
    """One for each of `series`; empty: nothing is known (a replay)."""
    is_late: bool = False
    """Handed in after a later bar was decided on: strategies see it, nobody acts on it."""

    @property
    def open_time(self) -> int:
        """When the bars opened; they all share it, ms UTC."""
        return int(self.bars["open_time"][0])


class Outcome(StrEnum):
    """How a venue answered a write."""

    DONE = "done"
    REFUSED = "refused"
    """Certainly not carried out."""
    AMBIGUOUS = "ambiguous"
    """Carried out or not: nobody knows until the venue is asked."""


class Fault(StrEnum):
    """What a refusal means to us, whatever the venue calls it."""

    NONE = ""
    WOULD_TRIGGER = "would_trigger"
    """A stop whose price is already reached."""
    WOULD_CROSS = "would_cross"
    """A post-only order that would take."""
    NOT_FOUND = "not_found"
    """No such order (any more): filled, cancelled or never there."""
    REDUCE_ONLY = "reduce_only"
    """Nothing to reduce: the position is flat or other orders use it up."""
    MARGIN = "margin"
    DUPLICATE = "duplicate"
    """That client id was used: an earlier attempt did arrive."""
    FILTER = "filter"
    """Tick, lot, minimum or price band."""
    BUSY = "busy"
    """Rate limit or overload; surely not carried out."""
    CLOCK = "clock"
    """Our time is off."""
    DENIED = "denied"
    """Key, permission, region."""
    TRIGGERING = "triggering"
    """The conditional order is being triggered at this moment."""
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Answer:
    """A venue's answer to a write or an order query."""

    outcome: Outcome
    venue_id: str = ""
    phase: OrderPhase | None = None
    """Of the order, where the answer tells."""
    filled_quantity: float = 0.0
    fault: Fault = Fault.NONE
    code: int = 0
    """The venue's own number; 0: none."""
    text: str = ""
    """The venue's own words."""
    quantity: float = 0.0
    """What the order is for at the venue, base: less than was asked for where that is more than one
    order may have. 0: it does not say."""
    is_triggered: bool = False
    """A conditional order whose price was reached, as far as the venue says."""


@dataclass(frozen=True, slots=True)
class Placed:
    """The answer to PlaceOrder."""

    time_ms: int
    client_id: str
    answer: Answer


@dataclass(frozen=True, slots=True)
class CancelAnswered:
    """The answer to CancelOrder."""

    time_ms: int
    client_id: str
    answer: Answer


@dataclass(frozen=True, slots=True)
class OrderFound:
    """The answer to QueryOrder: REFUSED with NOT_FOUND where the venue has no such order."""

    time_ms: int
    client_id: str
    answer: Answer


@dataclass(frozen=True, slots=True)
class OrderUpdate:
    """The user stream tells of an order."""

    time_ms: int
    client_id: str
    venue_id: str
    phase: OrderPhase
    filled_quantity: float
    """Base, in all."""
    is_triggered: bool = False
    """A conditional order whose price was reached: the venue is at it, or its engine order takes
    what it can get.
    """
    venue_time_ms: int = 0


@dataclass(frozen=True, slots=True)
class Filled:
    """A trade of ours."""

    time_ms: int
    fill: VenueFill


@dataclass(frozen=True, slots=True)
class FundingPaid:
    """A funding settlement."""

    time_ms: int
    symbol: str
    amount_quote: float
    """Received (+) or paid (-)."""
    stream: int = -1
    """Whose position it was for, where the filler knows (a simulation); -1: by symbol."""


@dataclass(frozen=True, slots=True)
class VenueRead:
    """The answer to ReadVenue; None: it could not be read, `trouble` says why."""

    time_ms: int
    snapshot: VenueSnapshot | None
    trouble: str = ""
    asked_ms: int = 0
    """When it was asked: an answer may come after the question was given up and asked again; 0: it
    is the answer that is waited for.
    """


@dataclass(frozen=True, slots=True)
class FeedNews:
    """A stream of the venue went down or came back: user stream, market stream, REST."""

    time_ms: int
    stream: str
    """user, market or rest."""
    is_up: bool
    detail: str = ""


@dataclass(frozen=True, slots=True)
class JournalNews:
    """The journal cannot be written, or can again."""

    time_ms: int
    is_up: bool
    detail: str = ""


class Operation(StrEnum):
    """What an operator can ask of a running session."""

    PAUSE = "pause"
    """No new entries; exits go on."""
    RESUME = "resume"
    """Entries again; a daily pause is lifted too, a kill switch is not."""
    AUTOMATION_ON = "automation_on"
    AUTOMATION_OFF = "automation_off"
    KILL = "kill"
    """Cancel everything, flatten, verify, latch."""
    REARM = "rearm"
    """Unlatch the kill switch."""
    STOP = "stop"
    """End the session: entries withdrawn, protection left resting."""
    FLATTEN = "flatten"
    """Close every position now; `reason` of the end of a replay."""


@dataclass(frozen=True, slots=True)
class OperatorAsked:
    """A command of the operator: CLI, KILL file, signal, later Telegram and dashboard."""

    time_ms: int
    operation: Operation
    origin: str = ""
    """Who or what asked: cli, signal, file ..."""


@dataclass(frozen=True, slots=True)
class Quote:
    """The best bid and ask of a symbol, from a feed that can be trusted."""

    symbol: str
    bid: float
    ask: float


@dataclass(frozen=True, slots=True)
class TimerFired:
    """Time has passed: deadlines are looked at."""

    time_ms: int
    quotes: tuple[Quote, ...] = ()
    """Of symbols in which an entry is chased or a position is held; none where the feed cannot be
    trusted.
    """


@dataclass(frozen=True, slots=True)
class Decide:
    """A stream's turn to decide on the bars just settled: the session asks itself."""

    time_ms: int
    stream: int


@dataclass(frozen=True, slots=True)
class MinuteEnded:
    """Every stream has decided: the session asks itself to take stock."""

    time_ms: int


Event = (
    BarsClosed
    | Placed
    | CancelAnswered
    | OrderFound
    | OrderUpdate
    | Filled
    | FundingPaid
    | VenueRead
    | FeedNews
    | JournalNews
    | OperatorAsked
    | TimerFired
    | Decide
    | MinuteEnded
)
