"""The rows of a session's journal, one dataclass for each table. It is only ever added to.

`input` keeps every event as it was handed to the session: with the image of `session` it is enough
to decide everything again (`tercel parity`). The other tables are for people, reports and alerts.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SessionRow:
    """A session begins."""

    session_id: str
    time_ms: int
    """By the venue's clock, of a replay by its bars, as all times of a journal."""
    mode: str
    venue: str
    strategies: str
    """Names, comma-separated."""
    symbols: str
    timeframe: str
    configuration: str
    """JSON: settings (redacted), parameters, code hashes, versions."""
    image: bytes
    """What the session began with, as `app/live/image.py` writes it."""


@dataclass(frozen=True, slots=True)
class SessionEndRow:
    """A session ended, in order; a killed one has no such row."""

    session_id: str
    time_ms: int
    exit_code: int
    why: str


@dataclass(frozen=True, slots=True)
class InputRow:
    """One event, as it was handed in."""

    session_id: str
    number: int
    """From 1, without a gap."""
    time_ms: int
    kind: str
    """Class name of the event."""
    payload: bytes
    """The event, as `app/live/wire.py` writes it."""


@dataclass(frozen=True, slots=True)
class EvaluationRow:
    """A strategy looked at a closed bar."""

    session_id: str
    time_ms: int
    """Close of the bar."""
    stream: int
    strategy: str
    symbol: str
    side: int
    reason: str
    """The strategy's own word."""
    score: float | None
    decision: str
    """entered, refused, none, suspended, ghost or late."""
    refusal: str
    view: str
    """JSON: the values that the strategy looked at."""
    digest: str
    """Of the SIGNAL record's bytes."""


@dataclass(frozen=True, slots=True)
class SignalRow:
    """A signal with a side."""

    session_id: str
    time_ms: int
    stream: int
    side: int
    price: float
    """Close of the bar."""
    stop_distance: float
    target_distance: float | None
    score: float | None
    reason: str


@dataclass(frozen=True, slots=True)
class RefusalRow:
    """A signal that became no order, and why."""

    session_id: str
    time_ms: int
    stream: int
    side: int
    refusal: str


@dataclass(frozen=True, slots=True)
class IntentRow:
    """What will be sent; written before it is."""

    session_id: str
    time_ms: int
    client_id: str
    action: str
    """place or cancel."""
    stream: int
    slot: str
    symbol: str
    side: int
    kind: str
    quantity: float
    price: float | None
    trigger_price: float | None
    reduce_only: bool
    reason: str


@dataclass(frozen=True, slots=True)
class OrderRow:
    """An order moved."""

    session_id: str
    time_ms: int
    client_id: str
    venue_id: str
    phase: str
    filled_quantity: float
    code: int
    """The venue's number; 0: none."""
    text: str
    round_trip_ms: float | None
    """From sending to the answer, where this row is an answer."""


@dataclass(frozen=True, slots=True)
class FillRow:
    """A trade of ours at the venue, booked."""

    session_id: str
    time_ms: int
    trade_id: str
    client_id: str
    stream: int
    slot: str
    symbol: str
    side: int
    price: float
    reference_price: float
    quantity: float
    fee_quote: float
    is_maker: bool
    kind: str
    desk: str
    """main, ghost or shadow."""


@dataclass(frozen=True, slots=True)
class TradeRow:
    """A finished trade."""

    session_id: str
    desk: str
    stream: int
    strategy: str
    symbol: str
    side: int
    entry_time: int
    """When its first fill was; on a simulated desk the close it counts in, as in `record`."""
    exit_time: int
    """When its last fill was."""
    quantity: float
    entry_price: float
    exit_price: float
    gross_quote: float
    fee_quote: float
    slippage_quote: float
    funding_quote: float
    net_quote: float
    risk_quote: float
    exit_reason: str
    record: bytes
    """The TRADE record: its times are the closes that entry and exit count in."""


@dataclass(frozen=True, slots=True)
class PositionRow:
    """An open position at a bar's close."""

    session_id: str
    time_ms: int
    stream: int
    symbol: str
    side: int
    quantity: float
    entry_price: float
    mark_price: float
    stop_price: float
    unrealised_quote: float


@dataclass(frozen=True, slots=True)
class EquityRow:
    """The account at a bar's close."""

    session_id: str
    time_ms: int
    desk: str
    equity_quote: float
    cash_quote: float
    exposure_quote: float


@dataclass(frozen=True, slots=True)
class BreakerRow:
    """A breaker stopped the account, or let it go on, or began a pause that ends by itself."""

    session_id: str
    time_ms: int
    breaker: str
    action: str
    """halted, resumed, or `cools down OF until TIME` (UTC)."""


@dataclass(frozen=True, slots=True)
class FeedRow:
    """A feed became unhealthy, or healthy again."""

    session_id: str
    time_ms: int
    stream: str
    is_up: bool
    detail: str


@dataclass(frozen=True, slots=True)
class ScoreRow:
    """An outside score was fetched."""

    session_id: str
    time_ms: int
    name: str
    value: float


@dataclass(frozen=True, slots=True)
class AlertRow:
    """What a person was told."""

    session_id: str
    time_ms: int
    level: str
    code: str
    text: str
    stream: int


JournalRow = (
    SessionRow
    | SessionEndRow
    | InputRow
    | EvaluationRow
    | SignalRow
    | RefusalRow
    | IntentRow
    | OrderRow
    | FillRow
    | TradeRow
    | PositionRow
    | EquityRow
    | BreakerRow
    | FeedRow
    | ScoreRow
    | AlertRow
)

TABLES: dict[str, type[JournalRow]] = {
    "session": SessionRow,
    "session_end": SessionEndRow,
    "input": InputRow,
    "evaluation": EvaluationRow,
    "signal": SignalRow,
    "refusal": RefusalRow,
    "intent": IntentRow,
    "order": OrderRow,
    "fill": FillRow,
    "trade": TradeRow,
    "position": PositionRow,
    "equity": EquityRow,
    "breaker": BreakerRow,
    "feed": FeedRow,
    "score": ScoreRow,
    "alert": AlertRow,
}
"""Every table by name."""
