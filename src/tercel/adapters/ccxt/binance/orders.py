"""Orders to Binance and back: what is sent for each kind, and how its rows read.

Two universes: `/order` for what the matching engine takes at once, `/algoOrder` for what waits for
a trigger. Each answers only for its own, so every call here knows which one it means.
"""

from __future__ import annotations

from decimal import Decimal

from tercel.adapters.ccxt.calls import Call, Json
from tercel.adapters.ccxt.precision import VenueRules, plain
from tercel.app.live.governor import Priority
from tercel.core.codes import OrderKind, Slot
from tercel.domain.events import Answer, Outcome
from tercel.domain.orders import OrderPhase, OrderRequest, OrderSnapshot

SIDES = {1: "BUY", -1: "SELL"}
PHASES = {
    "NEW": OrderPhase.ACKED,
    "PARTIALLY_FILLED": OrderPhase.PARTLY_FILLED,
    "FILLED": OrderPhase.FILLED,
    "CANCELED": OrderPhase.CANCELLED,
    "REJECTED": OrderPhase.REJECTED,
    "EXPIRED": OrderPhase.EXPIRED,
    "EXPIRED_IN_MATCH": OrderPhase.EXPIRED,
    "NEW_INSURANCE": OrderPhase.ACKED,
    "NEW_ADL": OrderPhase.ACKED,
}
ALGO_PHASES = {
    "NEW": OrderPhase.ACKED,
    "TRIGGERING": OrderPhase.ACKED,
    "TRIGGERED": OrderPhase.ACKED,
    "CANCELED": OrderPhase.CANCELLED,
    "REJECTED": OrderPhase.REJECTED,
    "EXPIRED": OrderPhase.EXPIRED,
}
"""FINISHED is told by what its engine order filled: `algo_phase`."""
FIRED = frozenset({"TRIGGERING", "TRIGGERED", "FINISHED"})
"""States of a conditional order whose price was reached, filled or not: a venue has kept one
TRIGGERING for ever.
"""
FORCED = (
    ("adl_autoclose", "adl"),
    ("settlement_autoclose-", "settlement"),
    ("autoclose-", "liquidation"),
)
"""Beginnings of the client ids that the venue gives to orders of its own."""
KINDS = {
    "MARKET": OrderKind.MARKET,
    "LIMIT": OrderKind.LIMIT,
    "LIQUIDATION": OrderKind.MARKET,
}


def place(request: OrderRequest, rules: VenueRules) -> Call | str:
    """The call that sends `request`, or why it cannot be sent at all."""
    quantity = _quantity(request, rules)
    if isinstance(quantity, str):
        return quantity
    params: dict[str, str | int] = {
        "symbol": request.symbol,
        "side": SIDES[request.side],
        "quantity": plain(quantity),
    }
    if request.reduce_only:
        params["reduceOnly"] = "true"
    is_entry = request.slot == Slot.ENTRY
    if request.is_conditional:
        if request.trigger_price is None:
            return "a stop without a trigger price"
        trigger = rules.trigger_price(request.trigger_price, request.side)
        params |= {
            "algoType": "CONDITIONAL",
            "type": "STOP_MARKET",
            "triggerPrice": plain(trigger),
            "workingType": "CONTRACT_PRICE",
            "clientAlgoId": request.client_id,
        }
        method = "fapiPrivatePostAlgoOrder"
    else:
        params |= {"newClientOrderId": request.client_id, "newOrderRespType": "RESULT"}
        if request.kind is OrderKind.MARKET:
            params["type"] = "MARKET"
        elif request.price is None:
            return "a limit order without a price"
        else:
            price = rules.limit_price(request.price, request.side)
            is_maker = request.kind is OrderKind.POST_ONLY
            params |= {
                "type": "LIMIT",
                "timeInForce": "GTX" if is_maker else "GTC",
                "price": plain(price),
            }
        method = "fapiPrivatePostOrder"
    return Call(
        "place",
        method,
        params,
        weight=0,
        priority=_priority(request),
        is_write=True,
        may_be_late=not is_entry,
    )


def _priority(request: OrderRequest) -> Priority:
    """How an order queues: a position that is to be closed waits for no stop."""
    if request.slot == Slot.ENTRY:
        return Priority.ORDER
    return Priority.EXIT if request.kind is OrderKind.MARKET else Priority.URGENT


def _quantity(request: OrderRequest, rules: VenueRules) -> Decimal | str:
    """How much is sent, or why nothing is.

    An entry that one order could not close at market is not made. What makes a position smaller is
    cut to the largest that one order may have: the answer tells, and the session sends the rest.
    """
    quantity = rules.quantity(request.quantity, request.kind)
    if quantity <= 0 or quantity < rules.quantity_min:
        return (
            f"{request.quantity!r} {request.symbol} is {plain(quantity)} in whole lots; "
            f"the venue takes {plain(rules.quantity_min)} or more"
        )
    objection = rules.largest.objection(request, quantity)
    return objection or rules.part(quantity, request.kind)


def cancel(client_id: str, symbol: str, *, is_conditional: bool) -> Call:
    """The call that cancels one order by our id."""
    if is_conditional:
        method, params = "fapiPrivateDeleteAlgoOrder", {"clientAlgoId": client_id}
    else:
        method = "fapiPrivateDeleteOrder"
        params = {"symbol": symbol, "origClientOrderId": client_id}
    return Call("cancel", method, params, priority=Priority.URGENT, is_write=True)


def query(client_id: str, symbol: str, *, is_conditional: bool) -> Call:
    """The call that asks for one order by our id."""
    if is_conditional:
        params: dict[str, str | int] = {"clientAlgoId": client_id}
        return Call("query", "fapiPrivateGetAlgoOrder", params, priority=Priority.ORDER)
    params = {"symbol": symbol, "origClientOrderId": client_id}
    return Call("query", "fapiPrivateGetOrder", params, priority=Priority.ORDER)


def query_by_number(order_id: str, symbol: str) -> Call:
    """The call that asks for one engine order by the venue's id."""
    params: dict[str, str | int] = {"symbol": symbol, "orderId": order_id}
    return Call("query", "fapiPrivateGetOrder", params, priority=Priority.ORDER)


def answer(row: Json, *, is_conditional: bool) -> Answer:
    """DONE, with what a row of /order or /algoOrder tells.

    The answer to a cancelled conditional order has no status at all: `{"algoId", "clientAlgoId",
    "code": "200", "msg": "success"}`; it then counts as cancelled only by the caller's knowledge.
    Raises KeyError, ValueError, TypeError on anything else.
    """
    if is_conditional:
        filled = number(row.get("actualQty"))
        status = row.get("algoStatus")
        quantity = number(row.get("quantity"))
        phase = None if status is None else algo_phase(status, filled, quantity)
        return Answer(
            Outcome.DONE,
            str(row["algoId"]),
            phase,
            filled,
            quantity=quantity,
            is_triggered=status in FIRED,
        )
    phase, filled = PHASES.get(str(row["status"])), number(row.get("executedQty"))
    quantity = number(row.get("origQty"))
    return Answer(Outcome.DONE, str(row["orderId"]), phase, filled, quantity=quantity)


def engine_order_id(row: Json) -> str:
    """Id of the engine order of a conditional order that was triggered; empty: none yet."""
    said = str(row.get("actualOrderId") or "")
    return said if said.isdecimal() and int(said) > 0 else ""


def algo_phase(status: str, filled: float, quantity: float) -> OrderPhase | None:
    """Phase of a conditional order. FINISHED is filled, or cancelled in the engine with what it
    had.
    """
    if status != "FINISHED":
        return ALGO_PHASES.get(status)
    is_whole = filled > 0 and filled >= quantity * (1 - 1e-9)
    return OrderPhase.FILLED if is_whole else OrderPhase.CANCELLED


def snapshot(row: Json) -> OrderSnapshot:
    """A row of /openOrders."""
    phase = PHASES.get(str(row["status"])) or OrderPhase.ACKED
    kind = KINDS.get(str(row["type"]), OrderKind.STOP)
    if row.get("timeInForce") == "GTX":
        kind = OrderKind.POST_ONLY
    return OrderSnapshot(
        client_id=str(row["clientOrderId"]),
        venue_id=str(row["orderId"]),
        symbol=str(row["symbol"]),
        side=1 if row["side"] == "BUY" else -1,
        kind=kind,
        phase=phase,
        quantity=number(row["origQty"]),
        filled_quantity=number(row["executedQty"]),
        price=number(row["price"]) or None,
        trigger_price=number(row.get("stopPrice")) or None,
        reduce_only=bool(row["reduceOnly"]),
        is_conditional=False,
        time_ms=int(row["updateTime"]),
    )


def algo_snapshot(row: Json) -> OrderSnapshot:
    """A row of /openAlgoOrders. A close-position order has no quantity of its own: 0."""
    filled = number(row.get("actualQty"))
    quantity = number(row.get("quantity"))
    return OrderSnapshot(
        client_id=str(row["clientAlgoId"]),
        venue_id=str(row["algoId"]),
        symbol=str(row["symbol"]),
        side=1 if row["side"] == "BUY" else -1,
        kind=OrderKind.STOP,
        phase=algo_phase(str(row["algoStatus"]), filled, quantity) or OrderPhase.ACKED,
        quantity=quantity,
        filled_quantity=filled,
        price=number(row.get("price")) or None,
        trigger_price=number(row.get("triggerPrice")) or None,
        reduce_only=bool(row.get("reduceOnly")) or bool(row.get("closePosition")),
        is_conditional=True,
        time_ms=int(row["updateTime"]),
        is_triggered=row["algoStatus"] in FIRED,
    )


def forced_kind(client_id: str) -> str:
    """trade, or what kind of forced one an order of the venue's own makes."""
    return next((kind for start, kind in FORCED if client_id.startswith(start)), "trade")


def number(value: object) -> float:
    """A figure sent as text; absent, null and "" are 0. Raises ValueError on other text."""
    if value is None or value == "":
        return 0.0
    return float(str(value))
