"""From the parameters of a request to the order that the exchange takes."""

from __future__ import annotations

from decimal import Decimal

from tercel.adapters.simulator.binance.parameters import Given, missing
from tercel.adapters.simulator.binance.state import VenueState
from tercel.adapters.simulator.binance.wire import RefusalError
from tercel.adapters.simulator.exchange.errors import refusal
from tercel.adapters.simulator.exchange.records import (
    BUY,
    CONDITIONAL_TYPES,
    SELL,
    NewOrder,
    OrderRef,
    OrderType,
    TimeInForce,
    WorkingType,
)

ORDER_NAMES = (
    "symbol side type",
    "positionSide timeInForce quantity reduceOnly price newClientOrderId newOrderRespType "
    "priceMatch selfTradePreventionMode goodTillDate stopPrice closePosition activationPrice "
    "callbackRate workingType priceProtect",
)
"""Required and optional parameters of a new order."""

ALGO_NAMES = (
    "algoType symbol side type",
    "positionSide timeInForce quantity price triggerPrice workingType priceMatch closePosition "
    "priceProtect reduceOnly activatePrice callbackRate clientAlgoId newOrderRespType "
    "selfTradePreventionMode goodTillDate",
)
"""Required and optional parameters of a new conditional order."""

_PLAIN_NEEDS = {
    OrderType.LIMIT: ("timeInForce", "quantity", "price"),
    OrderType.MARKET: ("quantity",),
}
_CONDITIONAL_NEEDS = {
    OrderType.STOP: ("quantity", "price", "triggerPrice"),
    OrderType.TAKE_PROFIT: ("quantity", "price", "triggerPrice"),
    OrderType.STOP_MARKET: ("triggerPrice",),
    OrderType.TAKE_PROFIT_MARKET: ("triggerPrice",),
    OrderType.TRAILING_STOP_MARKET: ("quantity", "callbackRate"),
}
_ONLY_CONDITIONAL = ("stopPrice", "closePosition", "activationPrice", "callbackRate", "workingType")


def plain_order(venue: VenueState, given: Given) -> NewOrder:
    """The order of POST /fapi/v1/order. Raises RefusalError and ExchangeError."""
    kind = OrderType(given.text("type"))
    _check_position_side(given)
    if kind in CONDITIONAL_TYPES:
        raise refusal(-4120)
    for name in _ONLY_CONDITIONAL:
        if given.has(name) and given.text(name).lower() != "false":
            raise not_required(name)
    matched = given.text("priceMatch", "NONE")
    for name in _PLAIN_NEEDS[kind]:
        if not given.has(name) and not (name == "price" and matched != "NONE"):
            raise missing(name)
    if kind is OrderType.MARKET:
        for name in ("price", "timeInForce"):
            if given.has(name):
                raise not_required(name)
    price = given.decimal("price")
    if matched != "NONE":
        if given.has("price"):
            raise not_required("price")
        price = matched_price(venue, given.symbol, given.text("side"), matched)
    return NewOrder(
        given.symbol,
        BUY if given.text("side") == "BUY" else SELL,
        kind,
        quantity=given.decimal("quantity"),
        price=price,
        time_in_force=TimeInForce(given.text("timeInForce", "GTC")),
        reduce_only=given.flag("reduceOnly"),
        client_id=given.text("newClientOrderId"),
    )


def conditional_order(given: Given) -> NewOrder:
    """The order of POST /fapi/v1/algoOrder. Raises RefusalError."""
    kind = OrderType(given.text("type"))
    _check_position_side(given)
    if kind not in CONDITIONAL_TYPES:
        raise RefusalError(-1116, "Invalid orderType.")
    for name in _CONDITIONAL_NEEDS[kind]:
        if not given.has(name):
            raise missing(name)
    closes = given.flag("closePosition")
    if closes and kind not in (OrderType.STOP_MARKET, OrderType.TAKE_PROFIT_MARKET):
        raise not_required("closePosition")
    if closes and given.has("quantity"):
        raise refusal(-4137)
    if closes and given.has("reduceOnly"):
        raise not_required("reduceOnly")
    if not closes and not given.has("quantity"):
        raise missing("quantity")
    if kind is OrderType.TRAILING_STOP_MARKET and given.has("triggerPrice"):
        raise not_required("triggerPrice")
    if kind not in (OrderType.STOP, OrderType.TAKE_PROFIT) and given.has("price"):
        raise not_required("price")
    if given.text("priceMatch", "NONE") != "NONE":
        raise not_required("priceMatch")
    return NewOrder(
        given.symbol,
        BUY if given.text("side") == "BUY" else SELL,
        kind,
        quantity=given.decimal("quantity"),
        price=given.decimal("price"),
        trigger_price=given.decimal("triggerPrice"),
        time_in_force=TimeInForce(given.text("timeInForce", "GTC")),
        reduce_only=given.flag("reduceOnly"),
        close_position=closes,
        client_id=given.text("clientAlgoId"),
        working_type=WorkingType(given.text("workingType", "CONTRACT_PRICE")),
        callback_rate=given.decimal("callbackRate"),
        activation_price=given.decimal("activatePrice"),
        price_protect=given.flag("priceProtect"),
    )


def order_ref(given: Given) -> OrderRef:
    """Which order is meant: its id, or the client's own. Raises RefusalError."""
    if given.has("orderId"):
        return given.whole("orderId")
    if given.has("origClientOrderId"):
        return given.text("origClientOrderId")
    raise RefusalError(
        -1102, "Param 'origClientOrderId' or 'orderId' must be sent, but both were empty/null!"
    )


def algo_ref(given: Given) -> OrderRef:
    """Which conditional order is meant. Raises RefusalError."""
    if given.has("algoId"):
        return given.whole("algoId")
    for name in ("clientAlgoId", "clientalgoid"):
        if given.has(name):
            return given.text(name)
    raise RefusalError(
        -1102, "Param 'algoId' or 'clientAlgoId' must be sent, but both were empty/null!"
    )


def matched_price(venue: VenueState, symbol: str, side: str, matched: str) -> Decimal:
    """The price that `priceMatch` chooses from the book. Raises RefusalError."""
    name, _, depth = matched.partition("_")
    bids, asks = venue.tape.levels(symbol)
    takes_bids = (side == "BUY") == (name == "QUEUE")
    levels = bids if takes_bids else asks
    at = int(depth or 1) - 1
    if at >= len(levels):
        raise RefusalError(-4131, "The counterparty's best price does not meet the PERCENT_PRICE.")
    return levels[at][0]


def not_required(name: str) -> RefusalError:
    """A parameter that does not go with the order's type."""
    return RefusalError(-1106, f"Parameter '{name}' sent when not required.")


def _check_position_side(given: Given) -> None:
    """One-way mode only. `goodTillDate` belongs to an order that is not built (GTD)."""
    if given.text("positionSide", "BOTH") != "BOTH":
        raise refusal(-4061)
    if given.has("goodTillDate"):
        raise not_required("goodTillDate")
