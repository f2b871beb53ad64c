"""Rate limits: headers, 429, the ban, and the number of orders."""

from __future__ import annotations

import pytest
from tests.adapters.simulator.binance.trading import BTC, Trader

DAY_WEIGHT = 40
"""Of ticker/24hr without a symbol."""


@pytest.fixture
def trader() -> Trader:
    return Trader()


def test_weight_is_told_and_begins_anew_each_minute(trader: Trader) -> None:
    trader.ask("GET openOrders")
    trader.ask("GET depth", symbol=BTC, limit=1000)
    assert trader.headers["X-MBX-USED-WEIGHT-1M"] == str(40 + 20)
    trader.now_ms += 60_000
    trader.ask("GET time")
    assert trader.headers["X-MBX-USED-WEIGHT-1M"] == "1"


def test_too_much_weight_is_429_then_a_ban(trader: Trader) -> None:
    for _ in range(2_400 // DAY_WEIGHT):
        trader.ask("GET ticker/24hr")
        assert trader.status == 200
    answer = trader.ask("GET ticker/24hr")
    assert (trader.status, answer["code"]) == (429, -1003)
    assert trader.headers["Retry-After"] == "60"
    while trader.status == 429:
        answer = trader.ask("GET time")
    assert (trader.status, answer["code"]) == (418, -1003)
    until_ms = int(answer["msg"].split("until ")[1].split(".")[0])
    assert until_ms == trader.now_ms + 120_000
    assert trader.headers["Retry-After"] == "120"
    trader.now_ms = until_ms - 1
    trader.ask("GET time")
    assert trader.status == 418
    trader.now_ms = until_ms
    trader.ask("GET time")
    assert trader.status == 200
    assert trader.venue.facade.state.ledger.refused_requests >= 3


def test_the_second_ban_is_longer(trader: Trader) -> None:
    lengths = []
    for _ in range(2):
        while trader.status != 418 if trader.last else True:
            trader.ask("GET ticker/24hr")
        lengths.append(trader.venue.facade.state.ledger.banned_until_ms - trader.now_ms)
        trader.now_ms += lengths[-1]
        trader.ask("GET time")
    assert lengths == [120_000, 240_000]


def test_new_orders_are_counted(trader: Trader) -> None:
    for _ in range(300):
        trader.order(price="39000", quantity="0.003")
    answer = trader.order(price="39000", quantity="0.003")
    assert (trader.status, answer["code"]) == (429, -1015)
    assert trader.headers["X-MBX-ORDER-COUNT-10S"] == "301"
    trader.now_ms += 10_000
    assert trader.order(price="39000", quantity="0.003").get("code") in (None, -2025)
    assert trader.headers["X-MBX-ORDER-COUNT-10S"] == "1"
    assert trader.headers["X-MBX-ORDER-COUNT-1M"] == "302"
