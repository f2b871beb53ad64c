"""What a session must not forget: everything that a restart reads before it talks to any venue.

The names are those of the one namespace in every store (`tercel:<name>`); those that the fifth
source lists are all here, beside what recovery needs.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Protocol

from tercel.domain.orders import OrderPhase, OrderRequest


@dataclass(frozen=True, slots=True)
class CachedScore:
    """A value of an outside feed and when it was fetched."""

    value: float
    timestamp: int
    """ms UTC, venue time."""


@dataclass(frozen=True, slots=True)
class ActivePosition:
    """An open position, readable by people and dashboards."""

    symbol: str
    strategy: str
    direction: str
    """long or short."""
    entry_price: float
    stop_price: float
    target_price: float
    """The next target; NaN: none."""
    position_size: float
    """Base."""
    entry_time_utc: int
    """ms UTC, venue time."""
    stop_order_id: str
    """Client id of the resting stop; empty: none rests."""
    target_order_id: str


@dataclass(frozen=True, slots=True)
class SavedOrder:
    """A working order as it is kept."""

    request: OrderRequest
    phase: OrderPhase
    filled_quantity: float
    venue_id: str
    sent_ms: int
    plan: tuple[float, ...] = ()
    """Of an entry: stop distance, target distance, score, reason, approval time."""


@dataclass(frozen=True, slots=True)
class KernelImage:
    """The records of the core as bytes, exact to the bit."""

    fingerprint: str
    """Of the record layouts; bytes of another layout are never read."""
    labels: tuple[str, ...]
    """`strategy venue symbol timeframe` of each stream."""
    account: bytes
    streams: bytes
    markets: bytes


@dataclass(frozen=True, slots=True)
class SessionState:
    """One consistent state; every field is one key of the store."""

    automation_enabled: bool | None = None
    """None: never set; it then counts as off."""
    mode: str = ""
    """replay, paper or live, as it was composed."""
    active_position: tuple[ActivePosition, ...] = ()
    account_balance: float = 0.0
    """Quote."""
    rolling_24h_pnl: float = 0.0
    """Quote."""
    daily_trade_count: int = 0
    daily_trade_date: str = ""
    """YYYY-MM-DD, venue time."""
    consecutive_losses: int = 0
    cooldown_until: int = 0
    """ms UTC; 0: none."""
    funding_rate_cache: CachedScore | None = None
    oi_cache: CachedScore | None = None
    ls_ratio_cache: CachedScore | None = None
    fear_greed_cache: CachedScore | None = None
    onchain_flow_cache: CachedScore | None = None
    backtest_validated: bool = False
    backtest_validated_config_hash: str = ""
    ghost_pnl: float = 0.0
    """Quote."""
    ghost_trade_count: int = 0
    ghost_win_rate: float = 0.0
    """0..1."""
    shadow_pnl: float = 0.0
    """Quote: what the simulator made of the same signals."""
    shadow_trade_count: int = 0
    is_paused: bool = False
    kill_latched: str = ""
    """Why the kill switch is latched; empty: armed."""
    session_id: str = ""
    order_number: int = 0
    """Of the last client id given out."""
    orders: tuple[SavedOrder, ...] = ()
    """Those that are not over."""
    seen_fills: tuple[str, ...] = ()
    """`symbol:trade id` of the latest fills, so that none is booked twice."""
    fills_since_ms: int = 0
    """Fills before this moment are all booked, venue time."""
    kernel: KernelImage | None = None
    saved_ms: int = 0
    """When it was taken, venue time."""

    @property
    def symbols(self) -> tuple[str, ...]:
        """Those in which there was a position or an order, or has just been a fill, sorted."""
        found = {each.symbol for each in self.active_position}
        found.update(each.request.symbol for each in self.orders)
        found.update(key.partition(":")[0] for key in self.seen_fills)
        return tuple(sorted(found))

    def without_position(self) -> SessionState:
        """The same with no position and no orders: counters and latches alone."""
        return replace(self, active_position=(), orders=(), kernel=None)


class StateSnapshot(Protocol):
    """A state as it was at one moment, made into a record once somebody asks for it."""

    def state(self) -> SessionState:
        """The same record whenever it is asked for, whatever has happened since."""
        ...


@dataclass(frozen=True, slots=True)
class StateRead:
    """A full snapshot, and what was missing or unreadable in the store."""

    state: SessionState
    missing: tuple[str, ...] = field(default_factory=tuple)
    """Names that the store did not have."""
    notices: tuple[str, ...] = ()
    """What a person should know of the store, a line each."""
