"""Orders over the protocol: what is taken, what is refused and how, what the answers hold."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.adapters.simulator.binance.trading import BTC, Trader, venue_with

from tercel.adapters.simulator.binance.settings import Dialect


@pytest.fixture
def trader() -> Trader:
    """Bid 40,000, ask 40,000.1."""
    return Trader()


def test_a_market_order_is_filled_and_told_with_the_vendors_types(trader: Trader) -> None:
    told = trader.order(newClientOrderId="entry-1")
    assert trader.headers["X-MBX-ORDER-COUNT-10S"] == "1"
    assert isinstance(told["orderId"], int)
    assert {name: told[name] for name in ("clientOrderId", "status", "executedQty", "origQty",
        "cumQty", "cumQuote", "price", "side", "positionSide", "type", "origType", "reduceOnly",
        "closePosition", "timeInForce", "workingType")} == {
        "clientOrderId": "entry-1", "status": "FILLED", "executedQty": "0.010",
        "origQty": "0.010", "cumQty": "0.010", "cumQuote": "400.001", "price": "0.0",
        "side": "BUY", "positionSide": "BOTH", "type": "MARKET", "origType": "MARKET",
        "reduceOnly": False, "closePosition": False, "timeInForce": "GTC",
        "workingType": "CONTRACT_PRICE",
    }  # fmt: skip
    assert float(told["avgPrice"]) == 40_000.1
    (fill,) = trader.ask("GET userTrades", symbol=BTC)
    assert fill["orderId"] == told["orderId"]
    assert (fill["price"], fill["qty"], fill["commission"], fill["commissionAsset"]) == (
        "40000.1", "0.010", "0.20000050", "USDT",
    )  # fmt: skip
    assert (fill["maker"], fill["buyer"], fill["side"]) == (False, True, "BUY")
    (position,) = trader.ask("GET /fapi/v3/positionRisk")
    assert (position["positionAmt"], position["entryPrice"]) == ("0.010", "40000.1")
    assert len(trader.ask("GET /fapi/v2/positionRisk")) == 2
    commission = trader.ask("GET income", incomeType="COMMISSION")
    assert [row["income"] for row in commission] == ["-0.20000050"]


def test_an_acknowledgement_says_nothing_of_the_fill(trader: Trader) -> None:
    told = trader.order(newOrderRespType="ACK")
    assert (told["status"], told["executedQty"]) == ("NEW", "0")


def test_the_dialect_without_fills() -> None:
    trader = Trader(venue_with(dialect=Dialect(order_reply_has_fills=False)))
    told = trader.order()
    assert told["status"] == "FILLED"
    assert not {"avgPrice", "cumQuote"} & set(told)
    asked = trader.ask("GET order", symbol=BTC, orderId=told["orderId"])
    assert float(asked["avgPrice"]) == 40_000.1


@pytest.mark.parametrize(
    ("values", "code"),
    [
        ({"side": "buy"}, -1117),
        ({"type": "LIMITED"}, -1116),
        ({"price": "39000", "timeInForce": "GTX1"}, -1115),
        ({"timeInForce": "GTC"}, -1106),
        ({"type": "LIMIT", "price": "39000", "timeInForce": None}, -1102),
        ({"type": "LIMIT", "timeInForce": "GTC"}, -1102),
        ({"quantity": "-1"}, -1100),
        ({"quantity": "0.0001"}, -1111),
        ({"quantity": "0.001"}, -4164),
        ({"price": "39000.05"}, -1111),
        ({"price": "50000"}, -4016),
        ({"price": "40001", "timeInForce": "GTX"}, -5022),
        ({"reduceOnly": "true"}, -2022),
        ({"quantity": "100"}, -2019),
        ({"positionSide": "LONG"}, -4061),
        ({"stopPrice": "39000"}, -1106),
        ({"type": "STOP_MARKET", "stopPrice": "39000"}, -4120),
        ({"newClientOrderId": "x" * 37}, -4015),
        ({"newClientOrderId": "with space"}, -1100),
        ({"goodTillDate": "1"}, -1106),
        ({"stopLoss": "39000"}, -1104),
    ],
)
def test_orders_that_are_refused(trader: Trader, values: dict[str, Any], code: int) -> None:
    assert trader.order(**values)["code"] == code, trader.last
    assert trader.status == 400
    assert trader.ask("GET openOrders") == []


def test_a_client_id_is_used_once(trader: Trader) -> None:
    assert "code" not in trader.order(price="39000", newClientOrderId="a")
    assert trader.order(price="39000", newClientOrderId="a")["code"] == -4116


def test_a_resting_order_is_found_changed_and_cancelled(trader: Trader) -> None:
    made = trader.order(price="39000", newClientOrderId="a")
    assert made["status"] == "NEW"
    by_client = trader.ask("GET order", symbol=BTC, origClientOrderId="a")
    by_number = trader.ask("GET order", symbol=BTC, orderId=made["orderId"])
    assert by_client == by_number == trader.ask("GET openOrder", symbol=BTC, origClientOrderId="a")
    assert by_client["time"] == trader.now_ms
    changed = trader.ask("PUT order", symbol=BTC, side="BUY", origClientOrderId="a",
                         quantity="0.02", price="39100")  # fmt: skip
    assert (changed["origQty"], changed["price"]) == ("0.020", "39100.0")
    assert trader.ask("PUT order", symbol=BTC, side="SELL", origClientOrderId="a", quantity="0.02",
                      price="39100")["code"] == -1117  # fmt: skip
    assert trader.ask("DELETE order", symbol=BTC, origClientOrderId="a")["status"] == "CANCELED"
    assert trader.ask("DELETE order", symbol=BTC, origClientOrderId="a")["code"] == -2011
    assert trader.ask("GET order", symbol=BTC, orderId=1)["code"] == -2013
    assert [row["status"] for row in trader.ask("GET allOrders", symbol=BTC)] == ["CANCELED"]


def test_a_price_from_the_book(trader: Trader) -> None:
    queued = trader.order(type="LIMIT", timeInForce="GTC", priceMatch="QUEUE_5")
    assert queued["price"] == "39999.6"
    taken = trader.order(type="LIMIT", timeInForce="GTC", priceMatch="OPPONENT")
    assert (taken["price"], taken["status"]) == ("40000.1", "FILLED")


def test_batches_succeed_order_by_order(trader: Trader) -> None:
    limit = {"symbol": BTC, "side": "BUY", "type": "LIMIT", "timeInForce": "GTC",
             "quantity": "0.01", "price": "39000"}  # fmt: skip
    orders = [limit, {**limit, "side": "NO"}, {**limit, "reduceOnly": True}]
    answers = trader.ask("POST batchOrders", batchOrders=json.dumps(orders))
    assert [each.get("code") for each in answers] == [None, -1117, -2022]
    ids = json.dumps([answers[0]["orderId"], 5])
    gone = trader.ask("DELETE batchOrders", symbol=BTC, orderIdList=ids)
    assert [each.get("status", each.get("code")) for each in gone] == ["CANCELED", -2011]


def test_the_dead_mans_switch(trader: Trader) -> None:
    trader.order(price="39000")
    trader.ask("POST countdownCancelAll", symbol=BTC, countdownTime=1000)
    assert len(trader.wait(900).ask("GET openOrders")) == 1
    assert trader.wait(200).ask("GET openOrders") == []


# --- conditional orders ---


def test_stops_live_in_a_world_of_their_own(trader: Trader) -> None:
    trader.order()
    made = trader.stop("39000", clientAlgoId="sl-1")
    assert (made["algoStatus"], made["triggerPrice"], made["clientAlgoId"]) == (
        "NEW", "39000.0", "sl-1",
    )  # fmt: skip
    assert (made["reduceOnly"], made["orderType"], made["algoType"]) == (
        True, "STOP_MARKET", "CONDITIONAL",
    )  # fmt: skip
    assert trader.ask("GET openOrders") == []
    (waiting,) = trader.ask("GET openAlgoOrders")
    assert (waiting["algoId"], waiting["actualOrderId"]) == (made["algoId"], "")
    assert trader.ask("GET order", symbol=BTC, origClientOrderId="sl-1")["code"] == -2013
    assert trader.ask("DELETE order", symbol=BTC, origClientOrderId="sl-1")["code"] == -2011
    trader.ask("DELETE allOpenOrders", symbol=BTC)
    assert len(trader.ask("GET openAlgoOrders", symbol=BTC)) == 1
    gone = trader.ask("DELETE algoOrder", clientAlgoId="sl-1")
    assert gone == {
        "algoId": made["algoId"], "clientAlgoId": "sl-1", "code": "200", "msg": "success",
    }  # fmt: skip
    assert trader.ask("DELETE algoOrder", clientAlgoId="sl-1")["code"] == -2011
    assert trader.ask("GET algoOrder", clientAlgoId="sl-1")["algoStatus"] == "CANCELED"


def test_a_stop_that_fires_becomes_an_order(trader: Trader) -> None:
    trader.order()
    trader.stop("39000", clientAlgoId="sl-1")
    trader.price(38_990)
    told = trader.ask("GET algoOrder", clientAlgoId="sl-1")
    assert (told["algoStatus"], told["actualQty"]) == ("FINISHED", "0.010")
    order = trader.ask("GET order", symbol=BTC, orderId=told["actualOrderId"])
    assert (order["clientOrderId"], order["status"], order["type"]) == (
        "sl-1", "FILLED", "MARKET",
    )  # fmt: skip
    fills = trader.ask("GET userTrades", symbol=BTC, orderId=told["actualOrderId"])
    assert sum(float(fill["qty"]) for fill in fills) == 0.01
    assert trader.ask("GET /fapi/v3/positionRisk") == []


@pytest.mark.parametrize(
    ("values", "code"),
    [
        ({"triggerPrice": "41000"}, -2021),
        ({"type": "LIMIT"}, -1116),
        ({"type": "STOP"}, -1102),
        ({"price": "39000"}, -1106),
        ({"closePosition": "true"}, -4137),
        ({"closePosition": "true", "quantity": None}, -1106),
        ({"type": "TRAILING_STOP_MARKET"}, -1102),
        ({"triggerPrice": "39000.05"}, -1111),
        ({"positionSide": "SHORT"}, -4061),
        ({"stopPrice": "39000"}, -1104),
    ],
)
def test_conditional_orders_that_are_refused(
    trader: Trader, values: dict[str, Any], code: int
) -> None:
    trader.order()
    full = {"trigger": "39000", **values}
    full["trigger"] = full.pop("triggerPrice", "39000")
    assert trader.stop(**full)["code"] == code, trader.last


def test_a_stop_for_the_whole_position(trader: Trader) -> None:
    trader.order()
    made = trader.stop("39000", quantity=None, reduceOnly=None, closePosition="true")
    assert (made["closePosition"], made["quantity"]) == (True, "0.000")
    trader.price(38_990)
    assert trader.ask("GET /fapi/v3/positionRisk") == []


def test_all_stops_of_a_symbol_are_cancelled(trader: Trader) -> None:
    trader.order()
    trader.stop("39000")
    trader.stop("38000")
    assert trader.ask("DELETE algoOpenOrders", symbol=BTC)["code"] == 200
    assert trader.ask("GET openAlgoOrders") == []
    told = trader.ask("GET allAlgoOrders", symbol=BTC)
    assert {row["algoStatus"] for row in told} == {"CANCELED"}


# --- the account ---


def test_settings_of_the_account(trader: Trader) -> None:
    assert trader.ask("POST leverage", symbol=BTC, leverage=10)["leverage"] == 10
    assert trader.ask("POST marginType", symbol=BTC, marginType="CROSSED")["code"] == -4046
    assert trader.ask("POST marginType", symbol=BTC, marginType="ISOLATED")["code"] == 200
    assert trader.ask("POST positionSide/dual", dualSidePosition="false")["code"] == -4059
    config = {row["symbol"]: row for row in trader.ask("GET symbolConfig")}
    assert (config[BTC]["leverage"], config[BTC]["marginType"]) == (10, "ISOLATED")
    assert trader.ask("POST leverage", symbol=BTC, leverage=126)["code"] == -4028
    (tiers,) = trader.ask("GET leverageBracket", symbol=BTC)
    assert tiers["brackets"][0]["initialLeverage"] >= 100
    assert [each["bracket"] for each in tiers["brackets"]] == list(
        range(1, len(tiers["brackets"]) + 1)
    )


def test_margin_is_taken_from_what_is_available(trader: Trader) -> None:
    trader.ask("POST leverage", symbol=BTC, leverage=10)
    trader.order(quantity="0.1")
    account = trader.ask("GET /fapi/v3/account")
    assert float(account["totalInitialMargin"]) == pytest.approx(400.0)
    (asset,) = account["assets"]
    assert float(asset["availableBalance"]) == pytest.approx(10_000 - 400 - 2.0 - 0.01, abs=0.02)
    (balance,) = trader.ask("GET /fapi/v3/balance")
    assert balance["availableBalance"] == asset["availableBalance"]
