"""Requests are checked as strictly as the venue does it, and more strictly where in doubt."""

from __future__ import annotations

from typing import Any

import pytest
from tests.adapters.simulator.binance.trading import BTC, ETH, START_MS, Trader, sign, venue_with

from tercel.adapters.simulator.binance.facade import ROUTES
from tercel.adapters.simulator.binance.routes import Security
from tercel.adapters.simulator.binance.settings import Credentials


@pytest.fixture
def trader() -> Trader:
    return Trader()


def test_what_was_signed_is_what_counts(trader: Trader) -> None:
    text = f"symbol={BTC}&timestamp={trader.now_ms}"
    assert trader.send("GET", "/fapi/v3/positionRisk", f"{text}&signature={sign(text)}") == []
    changed = text.replace(BTC, ETH)
    answer = trader.send("GET", "/fapi/v3/positionRisk", f"{changed}&signature={sign(text)}")
    assert (trader.status, answer["code"]) == (400, -1022)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("timestamp={now}", -1102),
        ("signature=0", -1102),
        ("timestamp={old}&signature=0", -1021),
        ("timestamp={ahead}&signature=0", -1021),
        ("timestamp={now}&recvWindow=60001&signature=0", -1131),
    ],
    ids=["unsigned", "no time", "too old", "from the future", "window too wide"],
)
def test_a_request_must_say_who_and_when(trader: Trader, text: str, code: int) -> None:
    moments = {"now": START_MS, "old": START_MS - 5_001, "ahead": START_MS + 1_000}
    assert trader.send("GET", "/fapi/v3/account", text.format(**moments))["code"] == code


def test_the_window_ends_where_the_venue_says(trader: Trader) -> None:
    for sent_ms, is_right in ((START_MS - 5_000, True), (START_MS + 999, True)):
        text = f"timestamp={sent_ms}"
        answer = trader.send("GET", "/fapi/v3/account", f"{text}&signature={sign(text)}")
        assert ("assets" in answer) is is_right


def test_where_the_venue_runs_fast_the_clients_clock_is_good_enough(trader: Trader) -> None:
    trader.venue.facade.other_clock = lambda: START_MS - 600_000
    text = f"timestamp={START_MS - 600_000}"
    assert "assets" in trader.send("GET", "/fapi/v3/account", f"{text}&signature={sign(text)}")


def test_keys(trader: Trader) -> None:
    assert trader.send("POST", "/fapi/v1/listenKey", "", key="short")["code"] == -2014
    assert trader.send("POST", "/fapi/v1/listenKey", "", key="0" * 64)["code"] == -2015
    assert trader.status == 401


@pytest.mark.parametrize(
    ("endpoint", "values", "code"),
    [
        ("GET time", {"pair": BTC}, -1104),
        ("GET klines", {"symbol": "NOUSDT", "interval": "1m"}, -1121),
        ("GET klines", {"symbol": BTC}, -1102),
        ("GET klines", {"symbol": BTC, "interval": "7m"}, -1120),
        ("GET klines", {"symbol": BTC, "interval": "1m", "limit": 1501}, -1130),
        ("GET klines", {"symbol": BTC, "interval": "1m", "limit": "many"}, -1100),
        ("GET depth", {"symbol": BTC, "limit": 7}, -4021),
        ("GET ticker/24hr", {"symbol": ""}, -1105),
        ("GET order", {"symbol": BTC}, -1102),
        ("POST marginType", {"symbol": BTC, "marginType": "cross"}, -1130),
        ("POST positionSide/dual", {"dualSidePosition": "yes"}, -1130),
    ],
)
def test_parameters_are_read_strictly(
    trader: Trader, endpoint: str, values: dict[str, Any], code: int
) -> None:
    assert trader.ask(endpoint, **values)["code"] == code
    assert trader.status == 400


def test_the_same_name_twice_and_a_body_where_none_belongs(trader: Trader) -> None:
    assert trader.send("GET", "/fapi/v1/depth", f"symbol={BTC}&symbol={ETH}")["code"] == -1101
    reply = trader.venue.facade.handle_request("GET", "/fapi/v1/time", "", {}, b"a=1", START_MS)
    assert reply.json()["code"] == -1101


def test_paths_and_methods_there_are_not(trader: Trader) -> None:
    trader.ask("GET /fapi/v1/orderz")
    assert trader.status == 404
    trader.ask("DELETE /fapi/v1/klines")
    assert trader.status == 405


@pytest.mark.parametrize("route", ROUTES.values(), ids=lambda route: route.endpoint)
def test_every_request_that_needs_no_order_is_answered(trader: Trader, route: Any) -> None:
    """With its mandatory parameters alone; and refused without a signature where it needs one."""
    values = {
        "symbol": BTC, "pair": BTC, "interval": "5m", "period": "5m", "contractType": "PERPETUAL",
        "leverage": 7, "marginType": "ISOLATED", "dualSidePosition": "true",
        "multiAssetsMargin": "true", "countdownTime": 0, "batchOrders": "[]", "side": "BUY",
        "type": "LIMIT", "algoType": "CONDITIONAL",
    }  # fmt: skip
    given = {name: values[name] for name in route.required.split()}
    answer = trader.ask(route.endpoint, **given)
    named = {
        "POST /fapi/v1/positionSide/dual": -4084, "POST /fapi/v1/multiAssetsMargin": -4084,
        "PUT /fapi/v1/listenKey": -1125, "POST /fapi/v1/batchOrders": -4082,
        "PUT /fapi/v1/batchOrders": -4082, "DELETE /fapi/v1/batchOrders": -1102,
        "POST /fapi/v1/algoOrder": -1116,
    }  # fmt: skip
    by_order = route.path in ("/fapi/v1/order", "/fapi/v1/openOrder", "/fapi/v1/algoOrder")
    if route.endpoint in named or by_order:
        assert answer["code"] == named.get(route.endpoint, -1102)
    else:
        assert trader.status == 200, answer
        assert trader.headers["X-MBX-USED-WEIGHT-1M"].isdigit()
    if route.security is Security.SIGNED:
        assert trader.send(route.method, route.path, "")["code"] == -1102


def test_klines_hold_the_running_minute_and_longer_ones_are_sums(trader: Trader) -> None:
    trader.wait(30_000).price(40_050.5)
    minutes = trader.ask("GET klines", symbol=BTC, interval="1m", limit=3)
    assert [row[0] for row in minutes] == [START_MS - 120_000, START_MS - 60_000, START_MS]
    assert minutes[-1][1:6] == ["40000.0", "40050.5", "40000.0", "40050.5", "1.000"]
    assert minutes[0][5:12] == [
        "20.000", START_MS - 60_001, "800000.00000000", 100, "10.000", "400000.00000000", "0",
    ]  # fmt: skip
    fives = trader.ask("GET klines", symbol=BTC, interval="5m", limit=2)
    assert fives[0][5] == "100.000"
    assert fives[0][6] == fives[0][0] + 299_999
    since = trader.ask("GET klines", symbol=BTC, interval="1m", startTime=START_MS - 600_000,
                       endTime=START_MS - 300_000)  # fmt: skip
    assert [row[0] for row in since] == [START_MS - 60_000 * m for m in range(10, 4, -1)]


def test_rules_say_what_a_client_needs(trader: Trader) -> None:
    told = trader.ask("GET exchangeInfo")
    (one,) = [each for each in told["symbols"] if each["symbol"] == BTC]
    filters = {each["filterType"]: each for each in one["filters"]}
    assert (one["contractType"], one["status"]) == ("PERPETUAL", "TRADING")
    assert one["deliveryDate"] == 4_133_404_800_000
    assert filters["PRICE_FILTER"]["tickSize"] == "0.1"
    assert filters["MIN_NOTIONAL"]["notional"] == "100"
    assert len([kind for kind in one["orderTypes"] if kind not in ("LIMIT", "MARKET")]) == 5


def test_whether_the_key_may_withdraw_is_told() -> None:
    trader = Trader()
    endpoint = "GET /sapi/v1/account/apiRestrictions"
    assert trader.ask(endpoint)["enableWithdrawals"] is False
    own = trader.venue.facade.state
    keys = own.settings.credentials
    own.settings = type(own.settings)(Credentials(keys.key, keys.secret, can_withdraw=True))
    assert trader.ask(endpoint)["enableWithdrawals"] is True
    assert keys.secret not in repr(own.settings)


def test_listen_keys_live_an_hour_and_are_one(trader: Trader) -> None:
    key = trader.ask("POST listenKey")["listenKey"]
    trader.now_ms += 3_000_000
    assert trader.ask("POST listenKey")["listenKey"] == key
    trader.now_ms += 3_000_000
    assert trader.ask("PUT listenKey") == {"listenKey": key}
    trader.now_ms += 3_600_001
    assert trader.ask("PUT listenKey")["code"] == -1125
    assert trader.ask("POST listenKey")["listenKey"] != key
    assert trader.ask("DELETE listenKey") == {}
    assert trader.ask("PUT listenKey")["code"] == -1125


def test_no_two_venues_share_what_they_know() -> None:
    one, other = Trader(venue_with()), Trader(venue_with())
    one.order()
    assert other.ask("GET userTrades", symbol=BTC) == []
