"""Streams: who may listen to what, what is told, and when."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from tests.adapters.simulator.binance.trading import (
    BTC,
    START_MS,
    Trader,
    names,
    say,
    venue_with,
)

from tercel.adapters.simulator.binance.settings import Dialect
from tercel.adapters.simulator.binance.wire import FrameKind, RefusalError


@pytest.fixture
def trader() -> Trader:
    return Trader()


# --- connecting ---


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/public/ws", "btcusdt@kline_1m"),
        ("/market/ws", "btcusdt@depth@100ms"),
        ("/market/ws", "btcusdt@nothing"),
        ("/market/ws", "dogeusdt@kline_1m"),
        ("/market/ws", "btcusdt@kline_7m"),
        ("/market/ws", "BTCUSDT@kline_1m"),
        ("/public/ws", "btcusdt@depth7"),
    ],
)
def test_a_stream_on_the_wrong_path_or_unknown_is_an_error(
    trader: Trader, path: str, name: str
) -> None:
    session = trader.listen(path)
    say(session, trader.now_ms, method="SUBSCRIBE", params=[name], id=7)
    (answer,) = trader.heard(session)
    assert (answer["id"], answer["error"]["code"]) == (7, 2)
    assert not session.streams


@pytest.mark.parametrize(
    "path", ["/ws", "/stream", "/ws/btcusdt@trade", "/public", "/public/wsx", "/private/x", "/"]
)
def test_paths_that_open_nothing(trader: Trader, path: str) -> None:
    with pytest.raises(RefusalError) as refused:
        trader.listen(path)
    assert refused.value.status == 404


@pytest.mark.parametrize("path", ["/private/ws", "/private/ws/0000"])
def test_no_user_stream_without_a_living_key(trader: Trader, path: str) -> None:
    with pytest.raises(RefusalError, match="listenKey"):
        trader.listen(path)


def test_the_name_in_the_path_and_combined_streams(trader: Trader) -> None:
    single = trader.listen("/public/ws/btcusdt@bookTicker")
    combined = trader.listen("/public/stream", "streams=btcusdt@bookTicker/ethusdt@bookTicker")
    numbered = trader.listen("/public/ws/3")
    trader.price(40_010)
    assert names(trader.heard(single)) == ["bookTicker"]
    (wrapped,) = trader.heard(combined)
    assert wrapped["stream"] == "btcusdt@bookTicker"
    assert wrapped["data"]["s"] == BTC
    assert trader.heard(numbered) == []


def test_before_the_paths_were_split(trader: Trader) -> None:
    old = Trader(venue_with(dialect=Dialect(unrouted_streams=True, has_merged_fields=False)))
    session = old.subscribe("/ws", "btcusdt@kline_1m", "btcusdt@bookTicker")
    key = old.ask("POST listenKey")["listenKey"]
    user = old.listen(f"/ws/{key}")
    old.price(40_010).wait(300).order()
    assert set(names(old.heard(session))) == {"kline", "bookTicker"}
    assert "ORDER_TRADE_UPDATE" in names(old.heard(user))


def test_subscriptions_are_listed_and_taken_back(trader: Trader) -> None:
    session = trader.subscribe("/market/ws", "btcusdt@aggTrade", "btcusdt@kline_1m")
    say(session, trader.now_ms, method="LIST_SUBSCRIPTIONS", id="a")
    assert trader.heard(session) == [
        {"result": ["btcusdt@aggTrade", "btcusdt@kline_1m"], "id": "a"}
    ]
    say(session, trader.now_ms, method="UNSUBSCRIBE", params=["btcusdt@aggTrade"], id=2)
    trader.price(40_010).wait(300)
    assert names(trader.heard(session)[1:]) == ["kline"]


@pytest.mark.parametrize("text", ["{", "[]", '{"id": 1}', '{"method": "SUBSCRIBE"}'])
def test_frames_that_cannot_be_read(trader: Trader, text: str) -> None:
    session = trader.listen("/market/ws")
    session.receive(text, trader.now_ms)
    (answer,) = trader.heard(session)
    assert "error" in answer


def test_too_many_frames_end_the_connection(trader: Trader) -> None:
    session = trader.listen("/market/ws")
    for number in range(11):
        say(session, trader.now_ms, method="LIST_SUBSCRIPTIONS", id=number)
    last = session.take(trader.now_ms)[-1]
    assert (last.kind, last.close_code) == (FrameKind.CLOSE, 1008)


def test_pings_and_the_day(trader: Trader) -> None:
    quiet, awake = trader.listen("/market/ws"), trader.listen("/market/ws")
    trader.wait(181_000)
    (ping,) = quiet.take(trader.now_ms)
    assert ping.kind is FrameKind.PING
    awake.receive_pong(trader.now_ms)
    trader.now_ms += 420_000
    trader.wait(100)
    assert quiet.take(trader.now_ms)[-1].close_code == 1008
    assert not awake.is_closed
    quiet.receive_ping("x", trader.now_ms)
    awake.receive_ping("x", trader.now_ms)
    assert FrameKind.PONG in {frame.kind for frame in awake.take(trader.now_ms)}


def test_a_connection_lasts_a_day() -> None:
    trader = Trader()
    session = trader.listen("/market/ws")
    trader.now_ms += 86_400_000
    trader.wait(100)
    assert session.is_closed


# --- the market ---


def test_klines_run_and_close(trader: Trader) -> None:
    session = trader.subscribe("/market/ws", "btcusdt@kline_1m", "btcusdt@kline_5m")
    trader.wait(1_000).price(40_020).wait(300)
    running = trader.heard(session)
    assert {event["k"]["x"] for event in running} == {False}
    assert running[-1]["k"]["c"] == "40020.0"
    trader.close_minute()
    (final,) = [event for event in trader.heard(session) if event["k"]["x"]]
    kline = final["k"]
    assert (kline["i"], kline["t"], kline["T"]) == ("1m", START_MS, START_MS + 59_999)
    assert (kline["c"], kline["v"], kline["n"], kline["V"]) == ("40020.0", "5.000", 9, "1.000")
    for _ in range(4):
        trader.close_minute()
    finals = [event["k"]["i"] for event in trader.heard(session) if event["k"]["x"]]
    assert finals.count("5m") == 1
    assert finals[-1] == "5m" or finals[-2:] == ["5m", "1m"]


def test_depth_events_join_each_other_and_the_snapshot(trader: Trader) -> None:
    session = trader.subscribe("/public/ws", "btcusdt@depth@100ms")
    snapshot = trader.ask("GET depth", symbol=BTC, limit=1000)
    book = {"b": dict(snapshot["bids"]), "a": dict(snapshot["asks"])}
    events: list[Any] = []
    for step in range(5):
        trader.price(40_000 + step).wait(200)
        events += trader.heard(session)
    assert events[0]["U"] <= snapshot["lastUpdateId"] + 1 <= events[0]["u"]
    for before, event in pairwise(events):
        assert event["pu"] == before["u"]
    for event in events:
        for side in ("a", "b"):
            for price, quantity in event[side]:
                book[side][price] = quantity
    now = trader.ask("GET depth", symbol=BTC, limit=1000)
    for side, name in (("b", "bids"), ("a", "asks")):
        left = {price: size for price, size in book[side].items() if float(size)}
        assert left == dict(now[name])


def test_each_feed_in_its_form(trader: Trader) -> None:
    market = trader.subscribe(
        "/market/ws", "btcusdt@aggTrade", "btcusdt@markPrice@1s", "btcusdt@miniTicker",
        "btcusdt@ticker", "btcusdt_perpetual@continuousKline_1m", "!miniTicker@arr",
    )  # fmt: skip
    public = trader.subscribe(
        "/public/ws", "btcusdt@trade", "btcusdt@bookTicker", "btcusdt@depth5@100ms"
    )
    trader.wait(2_500).price(40_030, side=-1).wait(2_000)
    told = trader.heard(market)
    lists = [event for event in told if isinstance(event, list)]
    assert {each["s"] for each in lists[0]} == {BTC, "ETHUSDT"}
    told = [event for event in told if isinstance(event, dict)]
    assert set(names(told)) == {
        "aggTrade", "markPriceUpdate", "24hrMiniTicker", "24hrTicker", "continuous_kline",
    }  # fmt: skip
    (trade,) = [event for event in told if event["e"] == "aggTrade"]
    assert (trade["p"], trade["q"], trade["m"]) == ("40030.0", "0.500", True)
    mark = [event for event in told if event["e"] == "markPriceUpdate"][-1]
    assert (float(mark["p"]), mark["T"]) == (40_030.0, START_MS + 28_800_000)
    public_told = trader.heard(public)
    assert set(names(public_told)) == {"trade", "bookTicker", "depthUpdate"}
    top = [event for event in public_told if event["e"] == "depthUpdate"][-1]
    assert len(top["b"]) == len(top["a"]) == 5


# --- the account ---


def test_a_trade_is_told_from_order_to_balance(trader: Trader) -> None:
    user = trader.account()
    made = trader.order(newClientOrderId="entry-1")
    told = trader.heard(user)
    assert sorted(set(names(told))) == ["ACCOUNT_UPDATE", "ORDER_TRADE_UPDATE", "TRADE_LITE"]
    new, filled = (event["o"] for event in told if event["e"] == "ORDER_TRADE_UPDATE")
    assert (new["x"], new["X"]) == ("NEW", "NEW")
    assert (filled["x"], filled["X"], filled["z"], filled["L"], filled["i"], filled["c"]) == (
        "TRADE", "FILLED", "0.010", "40000.1", made["orderId"], "entry-1",
    )  # fmt: skip
    assert isinstance(filled["t"], int)
    assert (filled["n"], filled["N"], filled["m"]) == ("0.20000050", "USDT", False)
    (change,) = [event["a"] for event in told if event["e"] == "ACCOUNT_UPDATE"]
    assert change["m"] == "ORDER"
    assert change["P"][0]["pa"] == "0.010"
    assert change["B"][0]["wb"] == "9999.79999950"


def test_a_stop_is_told_in_both_worlds(trader: Trader) -> None:
    trader.order()
    user = trader.account()
    trader.stop("39000", clientAlgoId="sl-1")
    trader.price(38_990)
    told = trader.heard(user)
    states = [event["o"]["X"] for event in told if event["e"] == "ALGO_UPDATE"]
    assert states[0] == "NEW"
    assert states[-1] == "FINISHED"
    assert "TRIGGERED" in states
    ours = {event["o"]["c"] for event in told if event["e"] == "ORDER_TRADE_UPDATE"}
    assert ours == {"sl-1"}
    finished = [event["o"] for event in told if event["e"] == "ALGO_UPDATE"][-1]
    assert finished["ai"].isdigit()
    assert finished["aq"] == "0.010"


def test_settings_liquidation_and_margin_calls_are_told(trader: Trader) -> None:
    user = trader.account()
    trader.ask("POST leverage", symbol=BTC, leverage=100)
    public = trader.subscribe("/market/ws", "btcusdt@forceOrder")
    trader.order(quantity="2")
    trader.price(35_190).price(35_100)
    told = trader.heard(user)
    assert "ACCOUNT_CONFIG_UPDATE" in names(told)
    assert "MARGIN_CALL" in names(told)
    taken = [event["o"] for event in told if event["e"] == "ORDER_TRADE_UPDATE"][-1]
    assert taken["x"] == "CALCULATED"
    assert taken["c"].startswith("autoclose-")
    assert names(trader.heard(public))[-1] == "forceOrder"
    assert trader.ask("GET forceOrders")[0]["symbol"] == BTC


def test_only_the_events_asked_for(trader: Trader) -> None:
    key = trader.ask("POST listenKey")["listenKey"]
    user = trader.listen("/private/ws", f"listenKey={key}&events=ORDER_TRADE_UPDATE")
    trader.order()
    assert set(names(trader.heard(user))) == {"ORDER_TRADE_UPDATE"}


def test_keys_by_subscription_come_wrapped(trader: Trader) -> None:
    key = trader.ask("POST listenKey")["listenKey"]
    user = trader.subscribe("/private/stream", key)
    trader.order()
    assert {event["stream"] for event in trader.heard(user)} == {key}
    say(user, trader.now_ms, method="SUBSCRIBE", params=["no key"], id=3)
    assert "error" in trader.heard(user)[0]


def test_a_key_expires_with_a_word_and_in_silence(trader: Trader) -> None:
    user = trader.account()
    trader.now_ms += 3_600_000
    user.receive_pong(trader.now_ms)
    trader.wait(100).order()
    assert names([e for e in trader.heard(user) if "e" in e]) == ["listenKeyExpired"]
    assert not user.is_closed


def test_whoever_reconnects_uses_the_same_key(trader: Trader) -> None:
    user = trader.account()
    trader.venue.facade.disconnect(user)
    again = trader.account()
    trader.order()
    assert trader.heard(user) == []
    assert "ORDER_TRADE_UPDATE" in names(trader.heard(again))
