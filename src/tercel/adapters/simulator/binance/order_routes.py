"""Requests that place, change, cancel and look up orders; plain ones and conditional ones."""

from __future__ import annotations

import json
from collections.abc import Callable

from tercel.adapters.simulator.binance.account_rendering import (
    acknowledged_json,
    algo_json,
    order_json,
    queried_algo_json,
    queried_order_json,
    side_text,
    without_fills,
)
from tercel.adapters.simulator.binance.account_routes import window
from tercel.adapters.simulator.binance.new_orders import (
    ALGO_NAMES,
    ORDER_NAMES,
    algo_ref,
    conditional_order,
    matched_price,
    not_required,
    order_ref,
    plain_order,
)
from tercel.adapters.simulator.binance.parameters import Given, check, missing
from tercel.adapters.simulator.binance.routes import Handler, Route, each_or, signed
from tercel.adapters.simulator.binance.state import VenueState
from tercel.adapters.simulator.binance.wire import Json, RefusalError
from tercel.adapters.simulator.exchange.errors import ExchangeError, refusal
from tercel.adapters.simulator.exchange.records import OrderRow, Window
from tercel.adapters.simulator.faults import FaultCode, Where

BATCH_MAX = 5
_REF_NAMES = "orderId origClientOrderId"
_AMEND_NAMES = ("symbol side", f"{_REF_NAMES} quantity price priceMatch")
ALL_CANCELLED = {
    "code": 200,
    "msg": "The operation of cancel all open order is done.",
}


def new_order(venue: VenueState, given: Given) -> Json:
    """POST /fapi/v1/order."""
    row = venue.exchange.place(plain_order(venue, given), venue.now_ms)
    made = _order(venue, row)
    if given.text("newOrderRespType", "ACK") == "ACK":
        made = acknowledged_json(made)
    if venue.overlay.is_reply_without_fills or not venue.dialect.order_reply_has_fills:
        made = without_fills(made)
    return made


def amend_order(venue: VenueState, given: Given) -> Json:
    """PUT /fapi/v1/order: quantity and price of a resting limit order."""
    ref = order_ref(given)
    row = _known(venue, venue.exchange.order(given.symbol, ref))
    if side_text(row.side) != given.text("side"):
        raise RefusalError(-1117, "Invalid side.")
    if not given.has("quantity"):
        raise missing("quantity")
    price = given.decimal("price")
    if given.text("priceMatch", "NONE") != "NONE":
        if given.has("price"):
            raise not_required("price")
        price = matched_price(venue, given.symbol, given.text("side"), given.text("priceMatch"))
    elif not given.has("price"):
        raise missing("price")
    quantity = given.decimal("quantity")
    amended = venue.exchange.amend(given.symbol, ref, quantity, price, venue.now_ms)
    return _order(venue, amended)


def cancel_order(venue: VenueState, given: Given) -> Json:
    """DELETE /fapi/v1/order."""
    return _order(venue, venue.exchange.cancel(given.symbol, order_ref(given), venue.now_ms))


def _cancel_all(venue: VenueState, given: Given) -> Json:
    venue.exchange.cancel_all(given.symbol, venue.now_ms)
    return ALL_CANCELLED


def _countdown(venue: VenueState, given: Given) -> Json:
    """The client's dead man's switch: all orders of the symbol are cancelled when it runs out."""
    length_ms = given.whole("countdownTime")
    if length_ms:
        venue.overlay.countdowns[given.symbol] = venue.now_ms + length_ms
    else:
        venue.overlay.countdowns.pop(given.symbol, None)
    return {"symbol": given.symbol, "countdownTime": str(length_ms)}


def query_order(venue: VenueState, given: Given) -> Json:
    """GET /fapi/v1/order."""
    row = _known(venue, venue.exchange.order(given.symbol, order_ref(given)))
    return queried_order_json(venue.exchange.instrument(row.symbol), venue.shown(row))


def _open_order(venue: VenueState, given: Given) -> Json:
    row = _known(venue, venue.exchange.order(given.symbol, order_ref(given)))
    if not row.is_open:
        raise refusal(-2013)
    return queried_order_json(venue.exchange.instrument(row.symbol), row)


def _open_orders(venue: VenueState, given: Given) -> Json:
    return [
        queried_order_json(venue.exchange.instrument(row.symbol), row)
        for row in venue.exchange.open_orders(given.symbol or None)
        if not venue.is_hidden(row)
    ]


def _all_orders(venue: VenueState, given: Given) -> Json:
    instrument = venue.exchange.instrument(given.symbol)
    return [
        queried_order_json(instrument, venue.shown(row))
        for row in venue.exchange.orders(given.symbol, window(given, 500, "orderId"))
        if not venue.is_hidden(row)
    ]


def _order(venue: VenueState, row: OrderRow) -> Json:
    return order_json(venue.exchange.instrument(row.symbol), venue.shown(row))


def _known(venue: VenueState, row: OrderRow) -> OrderRow:
    """Raises ExchangeError -2013 for an order that queries do not know yet."""
    if venue.is_hidden(row):
        raise refusal(-2013)
    return row


# --- several at once ---


def _batch(venue: VenueState, given: Given) -> Json:
    where = Where("POST /fapi/v1/batchOrders")
    fault = venue.watch.due(FaultCode.O20, where, venue.now_ms)
    refused = round(fault.figure("position")) if fault else 0
    return _each(venue, given, ORDER_NAMES, new_order, refused)


def _amend_batch(venue: VenueState, given: Given) -> Json:
    return _each(venue, given, _AMEND_NAMES, amend_order, 0)


def _each(
    venue: VenueState, given: Given, names: tuple[str, str], handle: Handler, refused: int
) -> Json:
    """The answers to each of a list of orders; the one at place `refused` (from 1) fails."""
    required, optional = (tuple(each.split()) for each in names)

    def answer(place: int, entry: Json) -> Json:
        if place == refused:
            raise RefusalError(-1000, "An unknown error occurred while processing the request.")
        if not isinstance(entry, dict):
            raise missing("batchOrders")
        values = {str(name): _text(value) for name, value in entry.items()}
        return handle(venue, check(values, required, optional, venue.symbols))

    answers: list[Json] = []
    for place, entry in enumerate(_list(given.text("batchOrders")), 1):
        try:
            answers.append(answer(place, entry))
        except (RefusalError, ExchangeError) as error:
            answers.append({"code": error.code, "msg": error.message})
    return answers


def _cancel_batch(venue: VenueState, given: Given) -> Json:
    refs: list[int | str]
    if given.has("orderIdList"):
        refs = [int(each) for each in _list(given.text("orderIdList"))]
    else:
        refs = [str(each) for each in _list(given.text("origClientOrderIdList"))]
    answers: list[Json] = []
    for ref in refs:
        try:
            answers.append(_order(venue, venue.exchange.cancel(given.symbol, ref, venue.now_ms)))
        except ExchangeError as error:
            answers.append({"code": error.code, "msg": error.message})
    return answers


def _list(text: str) -> list[Json]:
    """A JSON list of one to five entries. Raises RefusalError."""
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, list):
        raise missing("batchOrders")
    if not 1 <= len(found) <= BATCH_MAX:
        raise RefusalError(-4082, "Invalid number of batch place orders.")
    return found


def _text(value: Json) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


# --- conditional orders ---


def new_algo_order(venue: VenueState, given: Given) -> Json:
    """POST /fapi/v1/algoOrder."""
    row = venue.exchange.place_conditional(conditional_order(given), venue.now_ms)
    return algo_json(venue.exchange.instrument(row.symbol), row)


def cancel_algo_order(venue: VenueState, given: Given) -> Json:
    """DELETE /fapi/v1/algoOrder."""
    row = venue.exchange.cancel_conditional(algo_ref(given), venue.now_ms)
    done = {"code": "200", "msg": "success"}
    return {"algoId": row.algo_id, "clientAlgoId": row.client_id, **done}


def _cancel_all_algo(venue: VenueState, given: Given) -> Json:
    venue.exchange.cancel_all_conditional(given.symbol, venue.now_ms)
    return ALL_CANCELLED


def _algo_order(venue: VenueState, given: Given) -> Json:
    row = venue.exchange.conditional(algo_ref(given))
    return queried_algo_json(venue.exchange.instrument(row.symbol), row)


def _open_algo_orders(venue: VenueState, given: Given) -> Json:
    return [
        queried_algo_json(venue.exchange.instrument(row.symbol), row)
        for row in venue.exchange.open_conditionals(given.symbol or None)
        if given.whole("algoId", row.algo_id) == row.algo_id
    ]


def _all_algo_orders(venue: VenueState, given: Given) -> Json:
    instrument = venue.exchange.instrument(given.symbol)
    asked = window(given, 500, "algoId")
    page = max(given.whole("page", 1), 1)
    whole = Window(asked.start_ms, asked.end_ms, asked.from_id, asked.limit * page)
    rows = venue.exchange.conditionals(given.symbol, whole)
    return [queried_algo_json(instrument, row) for row in rows[(page - 1) * asked.limit :]]


def _by(path: str, method: str, handle: Handler, *names: str, weight: int = 1) -> Route:
    return signed(f"{method} /fapi/v1/{path}", handle, *names, weight=weight)


_Weight = Callable[[Given], int]
_PER_SYMBOL: _Weight = each_or(1, 40)
_RANGE = "startTime endTime limit"
ORDER_ROUTES: tuple[Route, ...] = (
    signed("POST /fapi/v1/order", new_order, *ORDER_NAMES, weight=0, orders=1),
    signed("PUT /fapi/v1/order", amend_order, *_AMEND_NAMES, weight=1, orders=1),
    _by("order", "DELETE", cancel_order, "symbol", _REF_NAMES),
    _by("order", "GET", query_order, "symbol", _REF_NAMES),
    _by("openOrder", "GET", _open_order, "symbol", _REF_NAMES),
    signed("GET /fapi/v1/openOrders", _open_orders, "", "symbol", weight=_PER_SYMBOL),
    _by("allOrders", "GET", _all_orders, "symbol", f"orderId {_RANGE}", weight=5),
    _by("allOpenOrders", "DELETE", _cancel_all, "symbol"),
    _by("countdownCancelAll", "POST", _countdown, "symbol countdownTime", weight=10),
    signed("POST /fapi/v1/batchOrders", _batch, "batchOrders", weight=5, orders=BATCH_MAX),
    signed("PUT /fapi/v1/batchOrders", _amend_batch, "batchOrders", weight=5, orders=BATCH_MAX),
    _by("batchOrders", "DELETE", _cancel_batch, "symbol", "orderIdList origClientOrderIdList"),
    signed("POST /fapi/v1/algoOrder", new_algo_order, *ALGO_NAMES, weight=0, orders=1),
    _by("algoOrder", "DELETE", cancel_algo_order, "", "symbol algoId clientAlgoId clientalgoid"),
    _by("algoOrder", "GET", _algo_order, "", "symbol algoId clientAlgoId"),
    signed(
        "GET /fapi/v1/openAlgoOrders", _open_algo_orders, "", "algoType symbol algoId",
        weight=_PER_SYMBOL,
    ),
    _by("allAlgoOrders", "GET", _all_algo_orders, "symbol", f"algoId page {_RANGE}", weight=5),
    _by("algoOpenOrders", "DELETE", _cancel_all_algo, "symbol"),
)  # fmt: skip
