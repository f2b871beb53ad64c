"""Requests as frames on /ws-fapi/v1: {"id", "method", "params"} in, {"id", "status", ...} out.

The methods are the requests of the other routes under other names; what is signed here is the list
of all parameters in the order of their names, the key among them.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tercel.adapters.simulator.binance.account_routes import (
    account,
    account_v2,
    balance,
    end_listen_key,
    keep_listen_key,
    new_listen_key,
    position_risk,
    position_risk_v2,
)
from tercel.adapters.simulator.binance.order_routes import ORDER_ROUTES
from tercel.adapters.simulator.binance.request_faults import strike
from tercel.adapters.simulator.binance.routes import Route, Security, signed
from tercel.adapters.simulator.binance.sessions import CLOSE_ABNORMAL, StreamSession
from tercel.adapters.simulator.binance.signing import check_key, check_signed_values, check_time
from tercel.adapters.simulator.binance.wire import Breakage, Json, RefusalError
from tercel.adapters.simulator.exchange.errors import ExchangeError
from tercel.adapters.simulator.faults import Where

if TYPE_CHECKING:
    from tercel.adapters.simulator.binance.facade import BinanceFacade


def _order_route(endpoint: str) -> Route:
    return next(route for route in ORDER_ROUTES if route.endpoint == endpoint)


METHODS: dict[str, Route] = {
    "order.place": _order_route("POST /fapi/v1/order"),
    "order.modify": _order_route("PUT /fapi/v1/order"),
    "order.cancel": _order_route("DELETE /fapi/v1/order"),
    "order.status": _order_route("GET /fapi/v1/order"),
    "algoOrder.place": _order_route("POST /fapi/v1/algoOrder"),
    "algoOrder.cancel": _order_route("DELETE /fapi/v1/algoOrder"),
    "account.balance": signed("GET /fapi/v2/balance", balance, weight=5),
    "v2/account.balance": signed("GET /fapi/v3/balance", balance, weight=5),
    "account.status": signed("GET /fapi/v2/account", account_v2, weight=5),
    "v2/account.status": signed("GET /fapi/v3/account", account, weight=5),
    "account.position": signed("GET /fapi/v2/positionRisk", position_risk_v2, "", "symbol"),
    "v2/account.position": signed("GET /fapi/v3/positionRisk", position_risk, "", "symbol"),
    "userDataStream.start": Route("POST", "/fapi/v1/listenKey", new_listen_key, Security.KEY),
    "userDataStream.ping": Route(
        "PUT", "/fapi/v1/listenKey", keep_listen_key, Security.KEY, "", "listenKey"
    ),
    "userDataStream.stop": Route(
        "DELETE", "/fapi/v1/listenKey", end_listen_key, Security.KEY, "", "listenKey"
    ),
}
"""By name. What is not here is answered as unknown."""


_OF_THE_FRAME = ("apiKey", "returnRateLimits")
"""Parameters of the frame rather than of the request in it."""


class RequestStream:
    """Answers the frames of all connections to /ws-fapi/v1."""

    def __init__(self, facade: BinanceFacade) -> None:
        self._facade = facade

    def receive(self, session: StreamSession, text: str, now_ms: int) -> None:
        """One frame of the client."""
        venue = self._facade.state
        venue.now_ms = max(venue.now_ms, now_ms)
        asked: Json = {}
        late_ms = 0
        try:
            asked = _read(text)
            answer, late_ms = self._answer(session, asked)
        except (RefusalError, ExchangeError) as error:
            status = error.status if isinstance(error, RefusalError) else 400
            told = {"code": error.code, "msg": error.message}
            answer = {"id": asked.get("id"), "status": status, "error": told}
        if answer is not None:
            if _text(asked.get("params", {}).get("returnRateLimits", True)) == "true":
                answer = {**answer, "rateLimits": self._limits()}
            session.send(answer, now_ms, delay_ms=late_ms)

    def _answer(self, session: StreamSession, asked: Json) -> tuple[Json | None, int]:
        """The answer, and how much later it is to come; None: it is lost."""
        venue = self._facade.state
        route = METHODS.get(asked["method"])
        if route is None:
            raise RefusalError(-1130, f"Method {asked['method']!r} is not built, or unknown.")
        values = {name: _text(value) for name, value in asked.get("params", {}).items()}
        here = Where(route.endpoint, str(session.kind), values.get("symbol", ""))
        effect = strike(venue, here, values)
        answer: Json = {}
        late_ms = 0
        if effect.is_processed:
            try:
                result, late_ms = self._perform(route, values, here)
                answer = {"id": asked["id"], "status": 200, "result": result}
            except (RefusalError, ExchangeError) as error:
                status = error.status if isinstance(error, RefusalError) else 400
                told = {"code": error.code, "msg": error.message}
                answer = {"id": asked["id"], "status": status, "error": told}
        if effect.breakage is Breakage.RESET:
            session.close(CLOSE_ABNORMAL, venue.now_ms)
            return None, 0
        if effect.answer is not None:
            is_html = effect.answer.body.startswith(b"<")
            told = {"code": -1000, "msg": "Bad gateway"} if is_html else effect.answer.json()
            answer = {"id": asked["id"], "status": effect.answer.status, "error": told}
        return answer, late_ms + effect.delay_ms

    def _perform(self, route: Route, values: dict[str, str], here: Where) -> tuple[Json, int]:
        venue = self._facade.state
        venue.ledger.charge(self._facade.weight_of(route, values), venue.now_ms)
        credentials = venue.settings.credentials
        check_key(values.get("apiKey", ""), credentials)
        if route.security is Security.SIGNED:
            check_time(values, venue.settings.limits, venue.told_ms, self._facade.other_clock)
            check_signed_values(values, credentials.secret)
        rest = {name: value for name, value in values.items() if name not in _OF_THE_FRAME}
        return self._facade.perform(route, rest, here)

    def _limits(self) -> Json:
        ledger, limits = self._facade.state.ledger, self._facade.state.settings.limits
        return [
            {
                "rateLimitType": kind,
                "interval": interval,
                "intervalNum": number,
                "limit": limit,
                "count": count,
            }
            for kind, interval, number, limit, count in (
                ("REQUEST_WEIGHT", "MINUTE", 1, limits.weight_minute_max, ledger.weight_used),
                ("ORDERS", "SECOND", 10, limits.orders_ten_seconds_max, ledger.orders_ten_seconds),
                ("ORDERS", "MINUTE", 1, limits.orders_minute_max, ledger.orders_minute),
            )
        ]


def _read(text: str) -> Json:
    """The object in a frame. Raises RefusalError."""
    try:
        asked = json.loads(text)
    except ValueError:
        raise RefusalError(-1135, "Invalid JSON.") from None
    if not isinstance(asked, dict) or not isinstance(asked.get("method"), str):
        raise RefusalError(-1102, "Mandatory parameter 'method' was not sent.")
    if not isinstance(asked.get("id"), int | str) or isinstance(asked.get("id"), bool):
        raise RefusalError(-1102, "Mandatory parameter 'id' was not sent.")
    if not isinstance(asked.get("params", {}), dict):
        raise RefusalError(-1102, "Mandatory parameter 'params' was malformed.")
    return asked


def _text(value: Json) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
