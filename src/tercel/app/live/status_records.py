"""What an operator is told of a running session, record by record, and its way through JSON.

Unknown numbers are None, never NaN: the JSON is plain. Times are ms UTC, shares of 1 are called
fractions, money is in quote.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Generic, TypeVar

from tercel.app.live.latency import Latency
from tercel.domain.errors import DataError

_Kind = TypeVar("_Kind")


def plain_quantity(quantity: float) -> float:
    """`quantity` without what adding up fills leaves behind its last digit: 0.6030000000000001 is
    0.603. Twelve digits are more than any lot has.
    """
    return float(f"{quantity:.12g}")


@dataclass(frozen=True, slots=True)
class AccountStatus:
    """The money: what was realised, and what is open at the last marks."""

    start_quote: float
    cash_quote: float
    """Realised, fees and funding included."""
    equity_quote: float
    """Cash and open positions at their marks."""
    gross_quote: float
    """Realised, before slippage, fees and funding."""
    fee_quote: float
    slippage_quote: float
    funding_quote: float
    """Received (+) or paid (-)."""
    realised_quote: float
    """Gross - fees - slippage + funding."""
    unrealised_quote: float
    net_quote: float
    """Equity now less that of the start: realised and unrealised, and so closed and open trades."""
    closed_net_quote: float
    """What finished trades made after their costs."""
    open_net_quote: float
    """What open positions have made so far after the costs so far: closing them costs more."""
    day_net_quote: float | None
    """Equity now less that at the beginning of the UTC day; None: no bar of it was seen yet."""
    day_entries: int
    """Positions opened in the UTC day."""
    drawdown_fraction_max: float
    exposure_quote: float
    margin_quote: float
    heat_quote: float
    """Lost if every stop were hit now."""
    trades: int
    wins: int


@dataclass(frozen=True, slots=True)
class BreakerStatus:
    """One counter of a breaker that is on."""

    name: str
    """As in the table of breakers."""
    of: str
    """account, or the stream's strategy and symbol."""
    stands_at: float | None
    """None: not known yet."""
    limit: float
    unit: str
    """fraction or count."""
    is_reached: bool


@dataclass(frozen=True, slots=True)
class CoolDownStatus:
    """A pause that a breaker has begun and that ends by itself."""

    name: str
    of: str
    until_ms: int


@dataclass(frozen=True, slots=True)
class BreakersStatus:
    """Whether the account is stopped, and how near everything else is."""

    halted: str
    """Refusal that stopped the account; empty: it trades."""
    halted_ms: int
    counters: tuple[BreakerStatus, ...]
    cool_downs: tuple[CoolDownStatus, ...]


@dataclass(frozen=True, slots=True)
class PositionStatus:
    """An open position."""

    strategy: str
    symbol: str
    direction: str
    """long or short."""
    quantity: float
    """Base, open now."""
    tick_size: float
    """The venue gets stop and targets rounded to it."""
    entry_time_ms: int
    entry_price: float
    mark_price: float
    stop_price: float | None
    """Where it should rest, as the core wants it; None: there is none yet."""
    stop_rests: bool
    """Whether the venue has said that it does."""
    target_prices: tuple[float, ...]
    """Nearest first."""
    trail_price: float | None
    r_now: float | None
    """What is open, in units of the first stop distance."""
    unrealised_quote: float
    gross_quote: float
    """The trade so far: what legs made and what is open, before any cost."""
    net_quote: float
    """The same after fees, slippage and funding, and after the fee of closing the rest now."""
    liquidation_price: float | None
    liquidation_fraction: float | None
    """Distance to it, of the mark price."""


@dataclass(frozen=True, slots=True)
class OrderStatusNow:
    """An order that may rest at the venue."""

    client_id: str
    symbol: str
    strategy: str
    """Empty: it works for no stream that is known."""
    slot: str
    side: str
    """buy or sell."""
    kind: str
    phase: str
    quantity: float
    left: float
    """Base that no booked fill has taken."""
    tick_size: float
    """The venue gets prices rounded to it; 0: not known."""
    price: float | None
    trigger_price: float | None
    is_reduce_only: bool
    sent_ms: int


@dataclass(frozen=True, slots=True)
class FeedStatus:
    """What is known of one symbol's market, and whether entries are made on it."""

    symbol: str
    price: float | None
    """Close of the last bar."""
    bar_close_ms: int
    """0: no bar yet."""
    bid: float | None
    ask: float | None
    trouble: str
    """Empty: healthy."""


@dataclass(frozen=True, slots=True)
class OutageStatus:
    """Something outside the session that does not work now."""

    what: str
    """venue (nothing gets through), reading (positions and orders), user, market or journal."""
    since_ms: int
    trouble: str
    """In the words of whoever met it."""


@dataclass(frozen=True, slots=True)
class BesideStatus:
    """An account beside the real one: ghost or shadow."""

    net_quote: float
    trades: int
    win_rate: float | None
    """0..1; None: not kept."""


@dataclass(frozen=True, slots=True)
class DecisionStatus:
    """A strategy looked at a bar, and what came of it."""

    number: int
    """Grows by one with each; a gap: some were not kept."""
    time_ms: int
    strategy: str
    symbol: str
    side: str
    """long, short or none."""
    reason: str
    """The strategy's own word."""
    score: float | None
    decision: str
    """entered, refused, none or suspended."""
    refusal: str


@dataclass(frozen=True, slots=True)
class TradeStatus:
    """A finished trade."""

    number: int
    time_ms: int
    strategy: str
    symbol: str
    direction: str
    quantity: float
    entry_price: float
    exit_price: float
    gross_quote: float
    net_quote: float
    net_r: float | None
    exit_reason: str


@dataclass(frozen=True, slots=True)
class AlertStatus:
    """What a person was told."""

    number: int
    time_ms: int
    level: str
    code: str
    text: str


@dataclass(frozen=True, slots=True)
class RefusalCount:
    """How often a reason kept a signal from becoming a position."""

    refusal: str
    count: int


@dataclass(frozen=True, slots=True)
class SessionStatus:
    """One picture of a running session."""

    session_id: str
    mode: str
    venue: str
    strategies: tuple[str, ...]
    symbols: tuple[str, ...]
    timeframe: str
    started_ms: int
    now_ms: int
    """Both on the venue's clock, which runs faster than ours on a fast simulated exchange."""
    up_ms: int
    """How long the session has run, on our own clock."""
    is_ready: bool
    """Whether venue and state agree: before, nothing is decided."""
    automation: bool
    is_paused: bool
    is_stopping: bool
    journal_is_up: bool
    kill_latched: str
    """Why the kill switch is latched; empty: armed."""
    kill_verified: bool
    """Latched, and the venue was asked: nothing is open."""
    blocked: tuple[str, ...]
    """Why no entry is made in any symbol now, as refusals; empty: entries are made."""
    mismatched: tuple[str, ...]
    """Symbols in which the venue holds something else than the session."""
    outages: tuple[OutageStatus, ...]
    """What does not work now, the worst first."""
    read_again_ms: int
    """While positions and orders cannot be read it is tried again so often."""
    account: AccountStatus
    breakers: BreakersStatus
    positions: tuple[PositionStatus, ...]
    orders: tuple[OrderStatusNow, ...]
    feeds: tuple[FeedStatus, ...]
    ghost: BesideStatus
    shadow: BesideStatus | None
    """None: off."""
    evaluations: tuple[DecisionStatus, ...]
    """The latest of each stream."""
    decisions: tuple[DecisionStatus, ...]
    """The latest that had a side, oldest first."""
    refusals: tuple[RefusalCount, ...]
    """Since the account began, most frequent first."""
    trades: tuple[TradeStatus, ...]
    """The latest, oldest first."""
    alerts: tuple[AlertStatus, ...]
    """The latest, oldest first."""
    latencies: tuple[Latency, ...]


@dataclass(frozen=True, slots=True)
class KeptPosition:
    """An open position as the state store has it."""

    symbol: str
    strategy: str
    direction: str
    quantity: float
    tick_size: float
    """0: not known."""
    entry_time_ms: int
    entry_price: float
    stop_price: float | None
    target_price: float | None
    stop_order_id: str
    """Empty: no stop was known to rest."""


@dataclass(frozen=True, slots=True)
class KeptStatus:
    """What the state store kept last: nobody is there who could say more."""

    session_id: str
    mode: str
    saved_ms: int
    automation: bool | None
    """None: nobody ever set it; it counts as off."""
    is_paused: bool
    kill_latched: str
    balance_quote: float
    net_24h_quote: float
    trades_today: int
    trades_date: str
    losses_in_a_row: int
    cool_down_until_ms: int
    ghost: BesideStatus
    shadow: BesideStatus
    positions: tuple[KeptPosition, ...]
    orders: int
    """Orders that may rest at the venue."""


class Codec(Generic[_Kind]):
    """A dataclass as one line of JSON, and back."""

    def __init__(self, kind: type[_Kind]) -> None:
        self._kind = kind

    @cached_property
    def _adapter(self) -> Any:
        from pydantic import TypeAdapter

        return TypeAdapter(self._kind)

    def encode(self, value: _Kind) -> bytes:
        """One line without its end."""
        made: bytes = self._adapter.dump_json(value)
        return made

    def decode(self, line: bytes) -> _Kind:
        """Raises DataError that says what is wrong with the first wrong field."""
        from pydantic import ValidationError

        try:
            found: _Kind = self._adapter.validate_json(line)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(map(str, first["loc"]))
            raise DataError(f"{f'{where}: ' if where else ''}{first['msg']}") from None
        return found
