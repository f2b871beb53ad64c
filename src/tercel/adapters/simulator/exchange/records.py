"""What goes into the simulated exchange and what comes out, but for its events (`events.py`).

Every amount is a Decimal: prices are quote per base, `quantity` is base, `_quote` is quote
currency, `_rate` is a fraction of one (0.0005 is 0.05 %), `_ms` is milliseconds UTC. Buying is side
+1, selling -1, and a short position has a negative quantity.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

ZERO = Decimal(0)
BUY = 1
SELL = -1

OrderRef = int | str
"""How a caller names an order: the venue's number (int), or the client's own id (str)."""


class OrderType(StrEnum):
    """How an order asks to be filled. All but LIMIT and MARKET wait for a price first."""

    LIMIT = "LIMIT"
    MARKET = "MARKET"
    STOP = "STOP"
    STOP_MARKET = "STOP_MARKET"
    TAKE_PROFIT = "TAKE_PROFIT"
    TAKE_PROFIT_MARKET = "TAKE_PROFIT_MARKET"
    TRAILING_STOP_MARKET = "TRAILING_STOP_MARKET"
    LIQUIDATION = "LIQUIDATION"
    """The venue's own order that takes a position over."""


CONDITIONAL_TYPES = frozenset(
    {
        OrderType.STOP,
        OrderType.STOP_MARKET,
        OrderType.TAKE_PROFIT,
        OrderType.TAKE_PROFIT_MARKET,
        OrderType.TRAILING_STOP_MARKET,
    }
)
"""Types that only the service of conditional orders takes."""


class TimeInForce(StrEnum):
    """How long an order may rest. GTX is post-only; GTE_GTC goes with its position."""

    GTC = "GTC"
    IOC = "IOC"
    FOK = "FOK"
    GTX = "GTX"
    GTE_GTC = "GTE_GTC"


class WorkingType(StrEnum):
    """Which price a conditional order waits for."""

    CONTRACT_PRICE = "CONTRACT_PRICE"
    MARK_PRICE = "MARK_PRICE"


class OrderStatus(StrEnum):
    """Life of an order in the engine."""

    NEW = "NEW"
    PARTIALLY_FILLED = "PARTIALLY_FILLED"
    FILLED = "FILLED"
    CANCELED = "CANCELED"
    REJECTED = "REJECTED"
    EXPIRED = "EXPIRED"
    EXPIRED_IN_MATCH = "EXPIRED_IN_MATCH"


OPEN_STATUSES = frozenset({OrderStatus.NEW, OrderStatus.PARTIALLY_FILLED})


class AlgoStatus(StrEnum):
    """Life of a conditional order: FINISHED once its engine order has ended, filled or not."""

    NEW = "NEW"
    TRIGGERING = "TRIGGERING"
    TRIGGERED = "TRIGGERED"
    FINISHED = "FINISHED"
    CANCELED = "CANCELED"
    REJECTED = "REJECTED"
    EXPIRED = "EXPIRED"


OPEN_ALGO_STATUSES = frozenset({AlgoStatus.NEW, AlgoStatus.TRIGGERING})


class IncomeKind(StrEnum):
    """Why the wallet changed."""

    TRANSFER = "TRANSFER"
    REALIZED_PNL = "REALIZED_PNL"
    COMMISSION = "COMMISSION"
    FUNDING_FEE = "FUNDING_FEE"
    INSURANCE_CLEAR = "INSURANCE_CLEAR"
    """The fee of a liquidation."""


class SymbolStatus(StrEnum):
    """Whether a symbol can be traded; SETTLING allows orders that reduce, and cancels."""

    TRADING = "TRADING"
    PENDING_TRADING = "PENDING_TRADING"
    SETTLING = "SETTLING"
    CLOSE = "CLOSE"


@dataclass(frozen=True, slots=True)
class Bracket:
    """One tier: what a position of this notional may be leveraged to, and what must back it."""

    number: int
    leverage_max: int
    notional_floor_quote: Decimal
    notional_cap_quote: Decimal
    maintenance_rate: Decimal
    maintenance_amount_quote: Decimal
    """Taken off `notional x rate`: what the tiers below ask less (the venue's `cum`)."""


@dataclass(frozen=True, slots=True)
class Instrument:
    """A symbol's rules. Filters of the venue, exact."""

    symbol: str
    base: str
    quote: str
    tick_size: Decimal
    lot_size: Decimal
    quantity_min: Decimal
    quantity_max: Decimal
    market_quantity_max: Decimal
    notional_min_quote: Decimal
    brackets: tuple[Bracket, ...]
    price_min: Decimal
    price_max: Decimal
    percent_price_up: Decimal = Decimal("1.05")
    """A buy limit may be at most this multiple of the mark price."""
    percent_price_down: Decimal = Decimal("0.95")
    """A sell limit must be at least this multiple of the mark price."""
    trigger_protect_rate: Decimal = Decimal("0.05")
    """A protected trigger is void while mark and last price are further apart."""
    liquidation_fee_rate: Decimal = Decimal("0.0125")
    orders_max: int = 200
    """Resting orders in this symbol."""
    status: SymbolStatus = SymbolStatus.TRADING

    @property
    def price_decimals(self) -> int:
        """Decimals of a price on the grid."""
        return decimals_of(self.tick_size)

    @property
    def quantity_decimals(self) -> int:
        """Decimals of a quantity on the grid."""
        return decimals_of(self.lot_size)


@dataclass(frozen=True, slots=True)
class ExchangeRules:
    """What an exchange is made with."""

    instruments: tuple[Instrument, ...]
    maker_fee_rate: Decimal
    taker_fee_rate: Decimal
    funding_interval_ms: int = 28_800_000
    leverage_initial: int = 20
    conditional_orders_max: int = 200
    """Waiting conditional orders of the whole account."""
    history_max: int = 100_000
    """Ended orders, ended conditional orders, trades and income rows kept, of each."""
    margin_call_ratio: Decimal = Decimal("0.8")
    """Maintenance margin over margin balance from which the venue warns."""


@dataclass(frozen=True, slots=True)
class NewOrder:
    """An order as its sender asks for it. `client_id` empty: the venue makes one up.

    `quantity` is 0 with `close_position`; `price` counts for LIMIT, STOP and TAKE_PROFIT, the
    trigger for conditional types; `callback_rate` is in percent, as the venue has it (1 is 1 %).
    """

    symbol: str
    side: int
    kind: OrderType
    quantity: Decimal = ZERO
    price: Decimal = ZERO
    trigger_price: Decimal = ZERO
    time_in_force: TimeInForce = TimeInForce.GTC
    reduce_only: bool = False
    close_position: bool = False
    client_id: str = ""
    working_type: WorkingType = WorkingType.CONTRACT_PRICE
    callback_rate: Decimal = ZERO
    activation_price: Decimal = ZERO
    """0: a trailing stop follows from now on."""
    price_protect: bool = False


@dataclass(frozen=True, slots=True)
class OrderRow:
    """An order in the engine as it is now."""

    order_id: int
    client_id: str
    symbol: str
    side: int
    kind: OrderType
    original_kind: OrderType
    """The conditional type it came from, else `kind`."""
    quantity: Decimal
    price: Decimal
    """0 for market orders."""
    trigger_price: Decimal
    filled_quantity: Decimal
    filled_quote: Decimal
    average_price: Decimal
    """0 before the first fill."""
    status: OrderStatus
    time_in_force: TimeInForce
    reduce_only: bool
    close_position: bool
    working_type: WorkingType
    price_protect: bool
    created_ms: int
    updated_ms: int
    algo_id: int | None = None
    """The conditional order that placed it."""
    reason: str = ""
    """Why it ended unfilled, where the venue ended it."""

    @property
    def is_open(self) -> bool:
        """Whether it can still be filled."""
        return self.status in OPEN_STATUSES


@dataclass(frozen=True, slots=True)
class AlgoRow:
    """A conditional order as it is now. The `actual_` fields tell of its engine order."""

    algo_id: int
    client_id: str
    symbol: str
    side: int
    kind: OrderType
    quantity: Decimal
    """0 with `close_position`."""
    price: Decimal
    trigger_price: Decimal
    time_in_force: TimeInForce
    reduce_only: bool
    close_position: bool
    working_type: WorkingType
    price_protect: bool
    callback_rate: Decimal
    activation_price: Decimal
    is_activated: bool
    """Whether a trailing stop follows already; True for the other types."""
    status: AlgoStatus
    created_ms: int
    updated_ms: int
    triggered_ms: int = 0
    """0: not yet."""
    actual_order_id: int | None = None
    actual_price: Decimal = ZERO
    """Average price of what was filled."""
    actual_quantity: Decimal = ZERO
    """What was filled."""
    actual_kind: OrderType | None = None
    reason: str = ""
    """Why it was rejected or expired."""

    @property
    def is_open(self) -> bool:
        """Whether it still waits."""
        return self.status in OPEN_ALGO_STATUSES


@dataclass(frozen=True, slots=True)
class TradeRow:
    """One fill of one order."""

    trade_id: int
    order_id: int
    client_id: str
    symbol: str
    side: int
    price: Decimal
    quantity: Decimal
    quote: Decimal
    fee_quote: Decimal
    """Positive: paid."""
    fee_asset: str
    realised_quote: Decimal
    """Before fees."""
    is_maker: bool
    time_ms: int


@dataclass(frozen=True, slots=True)
class IncomeRow:
    """One change of the wallet; the wallet is the sum of all of them."""

    income_id: int
    symbol: str
    kind: IncomeKind
    amount_quote: Decimal
    asset: str
    time_ms: int
    trade_id: int | None = None


@dataclass(frozen=True, slots=True)
class PositionRow:
    """One symbol's position and settings, marked; also there while it is flat."""

    symbol: str
    quantity: Decimal
    entry_price: Decimal
    break_even_price: Decimal
    mark_price: Decimal
    unrealised_quote: Decimal
    liquidation_price: Decimal
    """0: there is none."""
    notional_quote: Decimal
    """Signed, at the mark price."""
    leverage: int
    is_isolated: bool
    isolated_wallet_quote: Decimal
    isolated_margin_quote: Decimal
    """Isolated wallet and unrealised profit; 0 in cross margin."""
    initial_margin_quote: Decimal
    """Of the position and the symbol's open orders together."""
    position_margin_quote: Decimal
    open_order_margin_quote: Decimal
    maintenance_margin_quote: Decimal
    notional_max_quote: Decimal
    """What brackets allow at this leverage."""
    bid_notional_quote: Decimal
    ask_notional_quote: Decimal
    """Resting buys and sells that may open."""
    accumulated_realised_quote: Decimal
    adl_quantile: int
    updated_ms: int


@dataclass(frozen=True, slots=True)
class BalanceRow:
    """The account in its one asset, marked."""

    asset: str
    wallet_quote: Decimal
    cross_wallet_quote: Decimal
    unrealised_quote: Decimal
    cross_unrealised_quote: Decimal
    margin_balance_quote: Decimal
    initial_margin_quote: Decimal
    position_margin_quote: Decimal
    open_order_margin_quote: Decimal
    maintenance_margin_quote: Decimal
    available_quote: Decimal
    updated_ms: int


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums since the exchange was made: `wallet = start + transfers + realised - fees + funding -
    liquidation_fees`, to the last digit.
    """

    start_quote: Decimal
    transfers_quote: Decimal
    realised_quote: Decimal
    fees_quote: Decimal
    funding_quote: Decimal
    liquidation_fees_quote: Decimal


@dataclass(frozen=True, slots=True)
class LeverageRow:
    """The answer to a change of leverage."""

    symbol: str
    leverage: int
    notional_max_quote: Decimal


@dataclass(frozen=True, slots=True)
class Window:
    """Which rows of a history are asked for: by time (both ends included) or from an id on.

    With neither a start nor an id the latest `limit` rows come, else the first ones; always oldest
    first.
    """

    start_ms: int | None = None
    end_ms: int | None = None
    from_id: int | None = None
    limit: int = 500


def decimals_of(step: Decimal) -> int:
    """Digits after the point that a grid of `step` needs: 0.10 needs 1."""
    exponent = step.normalize().as_tuple().exponent
    return max(0, -int(exponent))
