"""Orders as the session and a venue speak of them: what is asked for, its life, and what a venue
knows of it.

Prices and quantities are as the core asked for them (floats, quote per base and base); a venue
adapter rounds them to tick and lot once, in Decimal, when it sends them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from tercel.core.codes import OrderKind, Slot


class OrderPhase(StrEnum):
    """Where an order is in its life."""

    PLANNED = "planned"
    """Journaled, not sent yet."""
    SENT = "sent"
    """On its way; no answer yet."""
    UNKNOWN = "unknown"
    """The answer was lost: it may rest at the venue or not. Only a query tells."""
    ACKED = "acked"
    """The venue has it."""
    PARTLY_FILLED = "partly_filled"
    FILLED = "filled"
    CANCELLED = "cancelled"
    REJECTED = "rejected"
    """The venue refused it, or never had it."""
    EXPIRED = "expired"
    """The venue gave it up: post-only that would cross, a market order without a counterpart."""

    @property
    def is_over(self) -> bool:
        """Whether nothing can rest at the venue any more (fills may still be told late)."""
        return self in _OVER


_OVER = frozenset(
    {OrderPhase.FILLED, OrderPhase.CANCELLED, OrderPhase.REJECTED, OrderPhase.EXPIRED}
)

TRANSITIONS: dict[OrderPhase, frozenset[OrderPhase]] = {
    OrderPhase.PLANNED: frozenset({OrderPhase.SENT, OrderPhase.REJECTED}),
    OrderPhase.SENT: frozenset(
        {
            OrderPhase.UNKNOWN,
            OrderPhase.ACKED,
            OrderPhase.PARTLY_FILLED,
            *_OVER,
        }
    ),
    OrderPhase.UNKNOWN: frozenset({OrderPhase.ACKED, OrderPhase.PARTLY_FILLED, *_OVER}),
    OrderPhase.ACKED: frozenset({OrderPhase.PARTLY_FILLED, *_OVER}),
    OrderPhase.PARTLY_FILLED: frozenset(_OVER),
    OrderPhase.FILLED: frozenset(),
    OrderPhase.CANCELLED: frozenset({OrderPhase.FILLED}),
    OrderPhase.REJECTED: frozenset({OrderPhase.ACKED, OrderPhase.PARTLY_FILLED, *_OVER}),
    OrderPhase.EXPIRED: frozenset({OrderPhase.FILLED}),
}
"""What may follow what. Late and repeated news that is not here changes nothing.

A cancelled order may turn out filled (the cancel lost the race); one that was taken for refused
may turn up (a query can be answered before the venue knows its own order).
"""


def follows(now: OrderPhase, news: OrderPhase) -> bool:
    """Whether `news` of an order in phase `now` moves it."""
    return news is not now and news in TRANSITIONS[now]


@dataclass(frozen=True, slots=True)
class OrderRequest:
    """One order that the session wants at the venue."""

    client_id: str
    """Chosen by us, the same after a restart; at most 36 characters of A-Z a-z 0-9 - _ ."""
    symbol: str
    side: int
    """+1 buys, -1 sells."""
    kind: OrderKind
    """MARKET, LIMIT, POST_ONLY, or STOP: a conditional market order."""
    quantity: float
    """Base."""
    price: float | None = None
    """Limit price, quote per base."""
    trigger_price: float | None = None
    """Of a STOP."""
    reduce_only: bool = False
    stream: int = 0
    """Which stream it works for; with `slot` it is also in `client_id`."""
    slot: Slot = Slot.ENTRY
    reason: int = 0
    """codes.ExitReason of an exit."""

    @property
    def is_conditional(self) -> bool:
        """Whether it waits for a trigger: Binance keeps such orders apart from all others."""
        return self.kind == OrderKind.STOP


@dataclass(frozen=True, slots=True)
class OrderSnapshot:
    """What a venue says of one order."""

    client_id: str
    venue_id: str
    symbol: str
    side: int
    kind: OrderKind
    phase: OrderPhase
    quantity: float
    """Asked for, base."""
    filled_quantity: float
    """Base; of a conditional order what its engine order filled, where the venue tells."""
    price: float | None
    trigger_price: float | None
    reduce_only: bool
    is_conditional: bool
    time_ms: int
    """Of the last change, venue time."""
    is_triggered: bool = False
    """A conditional one whose price was reached, and that is still open."""


@dataclass(frozen=True, slots=True)
class VenueFill:
    """One trade of ours, as the venue tells it. Fills come from these alone, never from orders."""

    trade_id: str
    """Unique within the symbol."""
    client_id: str
    """Empty where the venue does not tell it: then `venue_order_id` does."""
    venue_order_id: str
    symbol: str
    side: int
    price: float
    quantity: float
    """Base."""
    fee_quote: float
    """Paid (+) or received (-), in quote; a fee in another coin is converted by the adapter."""
    is_maker: bool
    time_ms: int
    """Venue time."""
    reference_price: float | None = None
    """What it would have been without slippage, where the filler knows (a simulation)."""
    kind: str = "trade"
    """trade, liquidation, adl or settlement."""

    @property
    def key(self) -> str:
        """`symbol:trade id`: unique within the account."""
        return f"{self.symbol}:{self.trade_id}"


@dataclass(frozen=True, slots=True)
class PositionSnapshot:
    """What a venue says of one position (one-way mode)."""

    symbol: str
    quantity: float
    """Base, signed: longs positive."""
    entry_price: float
    mark_price: float
    liquidation_price: float
    """0: nowhere."""
    unrealised_quote: float


@dataclass(frozen=True, slots=True)
class VenueSnapshot:
    """Everything a venue knows of our account, read over REST as one picture.

    The parts are read one after the other: what happened in between arrives again as events.
    """

    time_ms: int
    wallet_quote: float
    """Balance without unrealised profit."""
    available_quote: float
    positions: tuple[PositionSnapshot, ...]
    """Of the asked symbols; flat ones left out."""
    orders: tuple[OrderSnapshot, ...]
    """Open ones, conditional orders included."""
    fills: tuple[VenueFill, ...]
    """Since the asked moment, oldest first."""


CLIENT_ID_MAX = 36
"""Characters: Binance's limit, the smallest of the three venues."""


@dataclass(frozen=True, slots=True)
class ClientId:
    """The parts of an order id of ours: `t-<session>-<stream>-<slot>-<number>`.

    It tells a restart, and a person in the venue's web page, what the order is for. `number`
    counts the orders of the session: no two are alike.
    """

    session: str
    stream: int
    slot: Slot
    number: int

    def __str__(self) -> str:
        return f"t-{self.session}-{self.stream}-{int(self.slot)}-{self.number}"


def parse_client_id(text: str) -> ClientId | None:
    """The parts of `text`; None where it is not one of ours."""
    parts = text.split("-")
    if len(parts) != 5 or parts[0] != "t":
        return None
    _, session, stream, slot, number = parts
    if not (stream.isdigit() and slot.isdigit() and number.isdigit()):
        return None
    if int(slot) not in {int(each) for each in Slot}:
        return None
    return ClientId(session, int(stream), Slot(int(slot)), int(number))
