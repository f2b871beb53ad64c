"""All that a façade holds between two calls. Handlers of requests are functions of it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from decimal import Decimal

from tercel.adapters.simulator.binance.limits import RateLedger
from tercel.adapters.simulator.binance.listen_keys import ListenKeys
from tercel.adapters.simulator.binance.settings import Dialect, FacadeSettings
from tercel.adapters.simulator.binance.tape import Tape
from tercel.adapters.simulator.exchange.exchange import Exchange
from tercel.adapters.simulator.exchange.records import OrderRow, OrderStatus
from tercel.adapters.simulator.faults import FaultWatch

Numbered = tuple[str, int]
"""An order: (symbol, number)."""


@dataclass(slots=True)
class Overlay:
    """What faults have changed about the venue, and until when (ms UTC; 0: not at all)."""

    clock_skew_ms: int = 0
    clock_skew_until_ms: int = 0
    maintenance_until_ms: int = 0
    is_cancel_only: bool = False
    hidden_symbols: dict[str, int] = field(default_factory=dict)
    """Missing from exchangeInfo until then."""
    brackets_max: dict[str, int] = field(default_factory=dict)
    """The most leverage that leverageBracket tells."""
    hidden_orders: dict[Numbered, int] = field(default_factory=dict)
    """Orders that queries do not know until then."""
    expired_in_match: set[Numbered] = field(default_factory=set)
    """Orders that self-trade prevention ended."""
    late_orders: dict[Numbered, int] = field(default_factory=dict)
    """How much later the stream tells of an order, in ms."""
    countdowns: dict[str, int] = field(default_factory=dict)
    """When all orders of a symbol are cancelled: the client's own dead man's switch."""
    stale_account: dict[str, object] = field(default_factory=dict)
    """Account replies as they were, by path, while balances are stale."""
    stale_account_until_ms: int = 0
    old_books: dict[str, object] = field(default_factory=dict)
    """A depth snapshot taken earlier, by symbol."""
    is_multi_assets: bool = False
    is_reply_without_fills: bool = False
    """Whether the reply that is being made lacks the fill price."""
    used_weight_told: int = 0
    """What the header says instead of the truth, while it is more."""


@dataclass(slots=True)
class VenueState:
    """The venue: its exchange, its market, its keys, its faults, and the time of this call."""

    exchange: Exchange
    tape: Tape
    settings: FacadeSettings
    watch: FaultWatch
    ledger: RateLedger
    keys: ListenKeys
    dialect: Dialect
    maker_fee_rate: Decimal
    taker_fee_rate: Decimal
    symbols: tuple[str, ...]
    opened_ms: int
    """When the account was opened: at the start of the simulation."""
    overlay: Overlay = field(default_factory=Overlay)
    now_ms: int = 0

    @property
    def told_ms(self) -> int:
        """The venue's clock as it tells it: faults put it wrong."""
        skew = self.overlay
        if skew.clock_skew_until_ms and self.now_ms >= skew.clock_skew_until_ms:
            skew.clock_skew_ms = skew.clock_skew_until_ms = 0
        return self.now_ms + skew.clock_skew_ms

    def shown(self, order: OrderRow) -> OrderRow:
        """The order as the venue tells of it."""
        if (order.symbol, order.order_id) not in self.overlay.expired_in_match or order.is_open:
            return order
        return replace(order, status=OrderStatus.EXPIRED_IN_MATCH)

    def is_hidden(self, order: OrderRow) -> bool:
        """Whether queries do not know the order yet."""
        return self.overlay.hidden_orders.get((order.symbol, order.order_id), 0) > self.now_ms
