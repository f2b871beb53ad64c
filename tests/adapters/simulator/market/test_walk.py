"""The cheap walk through a bar: four prices, and whoever waits between them."""

from __future__ import annotations

from decimal import Decimal

import pytest
from tests.adapters.simulator.exchange.trader import BTC, Trader

from tercel.adapters.simulator.exchange.records import BUY, SELL, OrderStatus
from tercel.adapters.simulator.market.path import BarPrices
from tercel.adapters.simulator.market.walk import walk_bar

D = Decimal


def bar(opened: int, high: int, low: int, close: int) -> BarPrices:
    """A bar of whole prices."""
    return BarPrices(D(opened), D(high), D(low), D(close))


@pytest.fixture
def trader() -> Trader:
    """Long 1 at 100.1."""
    trader = Trader().price(100)
    trader.buy(1)
    return trader


def test_a_stop_fills_at_its_trigger_inside_a_bar(trader: Trader) -> None:
    trader.stop(SELL, 1, 95, client_id="s")
    walk_bar(trader.exchange, BTC, bar(100, 101, 90, 91), 60_000)
    assert trader.fills("s") == [("95", "1")]


def test_a_gap_fills_at_the_open(trader: Trader) -> None:
    trader.stop(SELL, 1, 95, client_id="s")
    walk_bar(trader.exchange, BTC, bar(92, 101, 90, 91), 60_000)
    assert trader.fills("s") == [("92", "1")]


def test_a_falling_bar_visits_its_target_first_a_rising_one_its_stop(trader: Trader) -> None:
    for prices, gained in ((bar(100, 106, 94, 99), True), (bar(100, 106, 94, 101), False)):
        each = Trader().price(100)
        each.buy(1)
        each.stop(SELL, 1, 95)
        each.sell(1, 105, reduce_only=True)
        walk_bar(each.exchange, BTC, prices, 60_000)
        assert each.position().quantity == 0
        assert (each.wallet > 1000) == gained


def test_limits_fill_when_gone_through_not_when_touched(trader: Trader) -> None:
    touched, through = trader.buy(1, 98), trader.buy(1, "98.1")
    walk_bar(trader.exchange, BTC, bar(100, 101, 98, 99), 60_000)
    assert trader.state(touched.order_id).is_open
    assert trader.state(through.order_id).status is OrderStatus.FILLED
    assert trader.fills(through.order_id) == [("98.1", "1")]


def test_times_grow_and_stay_inside_the_bar(trader: Trader) -> None:
    for price in ("98", "97", "96"):
        trader.buy(1, price)
    trader.stop(BUY, 1, 103, reduce_only=False)
    walk_bar(trader.exchange, BTC, bar(100, 105, 95, 102), 120_000)
    times = [row.time_ms for row in trader.exchange.trades(BTC)][1:]
    assert len(times) == 4
    assert times == sorted(set(times))
    assert times[0] >= 120_000
    assert times[-1] < 180_000


def test_nothing_waits_and_nothing_happens(trader: Trader) -> None:
    trader.news()
    walk_bar(trader.exchange, BTC, bar(100, 105, 95, 102), 60_000)
    assert trader.news() == []
    assert trader.position().mark_price == 102
