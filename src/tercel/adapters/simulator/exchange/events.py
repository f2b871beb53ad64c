"""What happened on the account, in order. A protocol renders these as its user stream."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from tercel.adapters.simulator.exchange.records import AlgoRow, OrderRow, PositionRow, TradeRow


class Execution(StrEnum):
    """What just happened to an order; CALCULATED: the venue took (part of) a position over."""

    NEW = "NEW"
    TRADE = "TRADE"
    CANCELED = "CANCELED"
    EXPIRED = "EXPIRED"
    CALCULATED = "CALCULATED"
    AMENDMENT = "AMENDMENT"


class AccountReason(StrEnum):
    """Why balances or positions changed."""

    ORDER = "ORDER"
    FUNDING_FEE = "FUNDING_FEE"
    DEPOSIT = "DEPOSIT"
    WITHDRAW = "WITHDRAW"
    INSURANCE_CLEAR = "INSURANCE_CLEAR"
    MARGIN_TYPE_CHANGE = "MARGIN_TYPE_CHANGE"


@dataclass(frozen=True, slots=True)
class BalanceChange:
    """A wallet after a change."""

    asset: str
    wallet_quote: Decimal
    cross_wallet_quote: Decimal
    change_quote: Decimal
    """Without realised profit and fees, as the venue counts it: funding and transfers."""


@dataclass(frozen=True, slots=True)
class OrderChanged:
    """An order was accepted, filled, cancelled, expired or amended. `order` is the state after it,
    and `trade` the fill of a TRADE or CALCULATED.
    """

    time_ms: int
    order: OrderRow
    execution: Execution
    trade: TradeRow | None = None


@dataclass(frozen=True, slots=True)
class AlgoChanged:
    """A conditional order went on to another state, or its trailing stop became active."""

    time_ms: int
    algo: AlgoRow


@dataclass(frozen=True, slots=True)
class AccountChanged:
    """Balances and positions after a change. In cross margin a funding fee names no position."""

    time_ms: int
    reason: AccountReason
    balances: tuple[BalanceChange, ...]
    positions: tuple[PositionRow, ...]
    symbol: str = ""
    """Of a funding fee."""


@dataclass(frozen=True, slots=True)
class MarginCall:
    """Positions are close to liquidation."""

    time_ms: int
    cross_wallet_quote: Decimal
    positions: tuple[PositionRow, ...]


@dataclass(frozen=True, slots=True)
class ConfigChanged:
    """A symbol's leverage was changed."""

    time_ms: int
    symbol: str
    leverage: int


Event = OrderChanged | AlgoChanged | AccountChanged | MarginCall | ConfigChanged
