"""Requests as frames on /ws-fapi/v1."""

from __future__ import annotations

from typing import Any

import pytest
from tests.adapters.simulator.binance.trading import BTC, Trader, fault, say, sign, venue_with

from tercel.adapters.simulator.binance.sessions import StreamSession
from tercel.adapters.simulator.binance.settings import credentials_of
from tercel.adapters.simulator.binance.ws_api import METHODS
from tercel.adapters.simulator.faults import Fault, FaultCode


class Desk:
    """A trader with a stream of requests."""

    def __init__(self, *faults: Fault) -> None:
        self.trader = Trader(venue_with(*faults))
        self.session: StreamSession = self.trader.listen("/ws-fapi/v1")
        self.asked = 0

    def ask(self, method: str, *, is_signed: bool = True, **values: Any) -> Any:
        """The answer to a request; a list of none where there is none."""
        self.asked += 1
        params = {"apiKey": credentials_of(1).key, **values}
        if is_signed:
            params["timestamp"] = self.trader.now_ms
            text = "&".join(f"{name}={text_of(params[name])}" for name in sorted(params))
            params["signature"] = sign(text)
        say(self.session, self.trader.now_ms, id=self.asked, method=method, params=params)
        answers = self.trader.heard(self.session)
        return answers[0] if answers else None


def text_of(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


@pytest.fixture
def desk() -> Desk:
    return Desk()


LIMIT: dict[str, Any] = {
    "symbol": BTC, "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.01",
    "price": 39_000,
}  # fmt: skip


def test_an_order_is_placed_changed_asked_for_and_cancelled(desk: Desk) -> None:
    placed = desk.ask("order.place", **LIMIT, newClientOrderId="a", reduceOnly=False)
    assert (placed["id"], placed["status"]) == (1, 200)
    assert placed["result"]["status"] == "NEW"
    assert {limit["rateLimitType"] for limit in placed["rateLimits"]} == {
        "REQUEST_WEIGHT", "ORDERS",
    }  # fmt: skip
    changed = desk.ask("order.modify", symbol=BTC, side="BUY", origClientOrderId="a",
                       quantity="0.02", price="39100")  # fmt: skip
    assert changed["result"]["origQty"] == "0.020"
    assert desk.ask("order.status", symbol=BTC, origClientOrderId="a")["result"]["price"] == (
        "39100.0"
    )
    gone = desk.ask("order.cancel", symbol=BTC, origClientOrderId="a", returnRateLimits=False)
    assert gone["result"]["status"] == "CANCELED"
    assert "rateLimits" not in gone


def test_stops_and_the_account(desk: Desk) -> None:
    desk.trader.order()
    stop = desk.ask("algoOrder.place", algoType="CONDITIONAL", symbol=BTC, side="SELL",
                    type="STOP_MARKET", quantity="0.01", triggerPrice=39_000, clientAlgoId="s",
                    reduceOnly=True)  # fmt: skip
    assert stop["result"]["algoStatus"] == "NEW"
    assert desk.ask("algoOrder.cancel", clientAlgoId="s")["result"]["code"] == "200"
    assert desk.ask("v2/account.position")["result"][0]["positionAmt"] == "0.010"
    assert desk.ask("v2/account.balance")["result"][0]["asset"] == "USDT"
    key = desk.ask("userDataStream.start", is_signed=False)["result"]["listenKey"]
    assert desk.ask("userDataStream.ping", is_signed=False)["result"] == {"listenKey": key}
    assert desk.ask("userDataStream.stop", is_signed=False, listenKey=key)["result"] == {}


def test_refusals(desk: Desk) -> None:
    unsigned = desk.ask("order.place", is_signed=False, **LIMIT)
    assert (unsigned["status"], unsigned["error"]["code"]) == (400, -1102)
    assert desk.ask("order.cancel", symbol=BTC, orderId=1)["error"]["code"] == -2011
    assert desk.ask("order.place", **LIMIT, stopLoss=1)["error"]["code"] == -1104
    assert desk.ask("session.logon")["error"]["code"] == -1130
    desk.session.receive("{", desk.trader.now_ms)
    assert desk.trader.heard(desk.session)[0]["error"]["code"] == -1135


def test_an_answer_that_is_lost_leaves_the_order(desk: Desk) -> None:
    desk = Desk(fault(FaultCode.O1))
    assert desk.ask("order.place", **LIMIT) is None
    assert desk.session.is_closed
    assert len(desk.trader.ask("GET openOrders")) == 1


@pytest.mark.parametrize("method", METHODS)
def test_every_method_wants_a_key(desk: Desk, method: str) -> None:
    say(desk.session, desk.trader.now_ms, id="x", method=method, params={})
    (answer,) = desk.trader.heard(desk.session)
    assert (answer["id"], answer["error"]["code"]) == ("x", -2014)
