"""Is an order well-formed by its instrument's rules? Raises the refusal that the venue would.

In order: symbol status, side and client id, what belongs to the type, quantity, price, trigger,
notional. Margin and positions are not looked at here.
"""

from __future__ import annotations

import re
from decimal import Decimal

from tercel.adapters.simulator.exchange.amounts import is_on_grid
from tercel.adapters.simulator.exchange.errors import refusal
from tercel.adapters.simulator.exchange.records import (
    BUY,
    CONDITIONAL_TYPES,
    SELL,
    ZERO,
    Instrument,
    NewOrder,
    OrderType,
    SymbolStatus,
    TimeInForce,
    decimals_of,
)

CLIENT_ID_LENGTH_MAX = 36
CLIENT_ID = re.compile(r"^[.A-Z:/a-z0-9_-]*$")
CALLBACK_RATE_MIN, CALLBACK_RATE_MAX = Decimal("0.1"), Decimal(10)
"""Percent."""
PRICED_TYPES = frozenset({OrderType.LIMIT, OrderType.STOP, OrderType.TAKE_PROFIT})
CLOSING_TYPES = frozenset({OrderType.STOP_MARKET, OrderType.TAKE_PROFIT_MARKET})
"""What may close a whole position."""


def check_order(order: NewOrder, rules: Instrument, reference: Decimal | None) -> None:
    """Refuse what breaks a rule; `reference` is the mark price, None where it is not known yet."""
    check_status(order, rules)
    _check_words(order)
    if order.close_position:
        _check_closing(order)
    else:
        check_quantity(order.kind, order.quantity, rules)
    if order.kind in PRICED_TYPES:
        check_price(order.price, rules)
        if order.kind is OrderType.LIMIT and reference is not None:
            check_band(order.side, order.price, rules, reference)
    elif order.price != ZERO:
        raise refusal(-1106, "price")
    if order.kind in CONDITIONAL_TYPES:
        _check_trigger(order, rules)
    elif order.trigger_price != ZERO:
        raise refusal(-1106, "triggerPrice")
    if not (order.reduce_only or order.close_position):
        price = order.price or order.trigger_price or reference
        if price is not None:
            check_notional(order.quantity, price, rules)


def check_status(order: NewOrder, rules: Instrument) -> None:
    """Raises ExchangeError: -4141 (closed), -4140 (only what reduces, or nothing yet)."""
    if rules.status is SymbolStatus.CLOSE:
        raise refusal(-4141)
    reduces = order.reduce_only or order.close_position
    if rules.status is SymbolStatus.PENDING_TRADING or (
        rules.status is SymbolStatus.SETTLING and not reduces
    ):
        raise refusal(-4140)


def _check_words(order: NewOrder) -> None:
    if order.side not in (BUY, SELL):
        raise refusal(-1117)
    if len(order.client_id) > CLIENT_ID_LENGTH_MAX:
        raise refusal(-4015)
    if not CLIENT_ID.match(order.client_id):
        raise refusal(-1100, "newClientOrderId")
    if order.kind is OrderType.LIQUIDATION:
        raise refusal(-1116)
    if order.time_in_force is TimeInForce.GTE_GTC and order.kind not in CONDITIONAL_TYPES:
        raise refusal(-1115)


def _check_closing(order: NewOrder) -> None:
    if order.kind not in CLOSING_TYPES:
        raise refusal(-1106, "closePosition")
    if order.quantity != ZERO:
        raise refusal(-4137)
    if order.reduce_only:
        raise refusal(-1106, "reduceOnly")


def check_quantity(kind: OrderType, quantity: Decimal, rules: Instrument) -> None:
    """LOT_SIZE and MARKET_LOT_SIZE. Raises ExchangeError: -4003, -1111, -4023, -4004, -4005."""
    if quantity <= ZERO:
        raise refusal(-4003)
    _check_grid(quantity, rules.lot_size, -4023)
    if quantity < rules.quantity_min:
        raise refusal(-4004)
    takes = kind not in PRICED_TYPES
    if quantity > (rules.market_quantity_max if takes else rules.quantity_max):
        raise refusal(-4005)


def check_price(price: Decimal, rules: Instrument) -> None:
    """PRICE_FILTER. Raises ExchangeError: -4001, -1111, -4014, -4013, -4002."""
    if price <= ZERO:
        raise refusal(-4001)
    _check_grid(price, rules.tick_size, -4014)
    if price < rules.price_min:
        raise refusal(-4013)
    if price > rules.price_max:
        raise refusal(-4002)


def check_band(side: int, price: Decimal, rules: Instrument, mark: Decimal) -> None:
    """PERCENT_PRICE of a limit. Raises ExchangeError: -4016 (too high), -4024 (too low)."""
    highest, lowest = mark * rules.percent_price_up, mark * rules.percent_price_down
    if side == BUY and price > highest:
        raise refusal(-4016, highest.quantize(rules.tick_size))
    if side == SELL and price < lowest:
        raise refusal(-4024, lowest.quantize(rules.tick_size))


def check_notional(quantity: Decimal, price: Decimal, rules: Instrument) -> None:
    """MIN_NOTIONAL. Raises ExchangeError -4164."""
    if quantity * price < rules.notional_min_quote:
        raise refusal(-4164, rules.notional_min_quote)


def _check_trigger(order: NewOrder, rules: Instrument) -> None:
    if order.kind is OrderType.TRAILING_STOP_MARKET:
        if not CALLBACK_RATE_MIN <= order.callback_rate <= CALLBACK_RATE_MAX:
            raise refusal(-2007)
        if not is_on_grid(order.callback_rate, CALLBACK_RATE_MIN):
            raise refusal(-2007)
        if order.trigger_price != ZERO:
            raise refusal(-1106, "triggerPrice")
        if order.activation_price != ZERO:
            check_price(order.activation_price, rules)
        return
    if order.trigger_price <= ZERO:
        raise refusal(-4006)
    _check_grid(order.trigger_price, rules.tick_size, -4014)
    if order.callback_rate != ZERO or order.activation_price != ZERO:
        raise refusal(-1106, "callbackRate")


def _check_grid(value: Decimal, step: Decimal, code: int) -> None:
    """More digits than the grid has are a matter of precision; the rest are steps missed."""
    if not value.is_finite():
        raise refusal(-1111)
    if not is_on_grid(value, step):
        raise refusal(-1111 if decimals_of(value) > decimals_of(step) else code)
