"""The venue takes positions over: by margin, and where a fault says so."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from tests.adapters.simulator.exchange.trader import BTC, ETH, RULES, Trader, words

from tercel.adapters.simulator.exchange.events import Execution, OrderChanged
from tercel.adapters.simulator.exchange.records import (
    BUY,
    SELL,
    IncomeKind,
    OrderStatus,
    OrderType,
)

D = Decimal


@pytest.fixture
def trader() -> Trader:
    """1,000 at 20x, the price is 100, no fees of trades."""
    return Trader(replace(RULES, maker_fee_rate=D(0), taker_fee_rate=D(0))).price(100)


def calculated(trader: Trader) -> list[OrderChanged]:
    """The takeovers since the last call."""
    return [
        event
        for event in trader.exchange.take_events()
        if isinstance(event, OrderChanged) and event.execution is Execution.CALCULATED
    ]


def test_a_position_without_margin_is_taken_over(trader: Trader) -> None:
    """40 from 100.1 with 1,000: maintenance is down to 1 % of what it is worth at 75.9."""
    trader.buy(40)
    assert trader.position().liquidation_price == D("75.9")
    trader.price("76.1")
    assert trader.position().quantity == 40
    trader.news()
    trader.price("75.8")
    assert trader.position().quantity == 0
    assert trader.news() == [
        "order NEW NEW",
        "order CALCULATED FILLED",
        "account ORDER",
        "account INSURANCE_CLEAR",
    ]
    takeover = trader.events[-3]
    assert isinstance(takeover, OrderChanged)
    assert takeover.order.client_id.startswith("autoclose-")
    assert takeover.order.kind is OrderType.LIQUIDATION
    # Its fee is 1.25 %, but no more than is left: 1,000 - 40 x 24.3.
    assert trader.exchange.income(kind=IncomeKind.INSURANCE_CLEAR)[0].amount_quote == -28
    assert trader.wallet == 0


@pytest.mark.parametrize(("side", "gap"), [(BUY, 50), (SELL, 150)])
def test_nobody_loses_more_than_he_has(trader: Trader, side: int, gap: int) -> None:
    """The mark jumps far beyond bankruptcy: the position is closed there."""
    trader.order(side, 40, None)
    trader.price(gap)
    assert trader.position().quantity == 0
    assert 0 <= trader.wallet < D("4.1")


def test_orders_are_cancelled_first(trader: Trader) -> None:
    trader.buy(40)
    resting, stop = trader.sell(1, 105, reduce_only=True), trader.stop(SELL, 40, 50)
    trader.price(75)
    assert trader.state(resting.order_id).status is OrderStatus.CANCELED
    assert trader.state(resting.order_id).reason == "liquidation"
    # The conditional order stays, an orphan.
    assert trader.algo(stop.algo_id).is_open


def test_a_large_position_is_reduced_bracket_by_bracket(trader: Trader) -> None:
    """190 at 96.7 ask for 384 of maintenance and 354 are left: down to 5,000, which asks for 50."""
    trader.buy(190)
    trader.price("96.7")
    takeovers = calculated(trader)
    assert len(takeovers) == 1
    assert trader.position().quantity == D("51.706")
    assert takeovers[0].order.filled_quantity == 190 - trader.position().quantity


def test_an_isolated_position_takes_no_more_than_its_margin(trader: Trader) -> None:
    trader.exchange.set_margin_type(BTC, True, trader.tick())
    trader.buy(10)
    kept = trader.exchange.balances()[0].cross_wallet_quote
    trader.price(80)
    assert trader.position().quantity == 0
    assert kept <= trader.wallet <= kept + 1


def test_an_isolated_position_leaves_the_orders_of_others(trader: Trader) -> None:
    trader.price(100, symbol=ETH)
    trader.exchange.set_margin_type(BTC, True, trader.tick())
    trader.buy(10)
    other = trader.buy(1, 99, symbol=ETH)
    trader.price(80)
    assert trader.exchange.order(ETH, other.order_id).is_open


def test_in_cross_margin_the_worst_goes_first(trader: Trader) -> None:
    trader.price(100, symbol=ETH)
    trader.buy(30)
    trader.buy(20, symbol=ETH)
    trader.exchange.take_events()
    trader.price(68)
    takeovers = calculated(trader)
    assert takeovers[0].order.symbol == BTC
    assert trader.position().quantity == 0
    assert trader.wallet >= 0


def test_a_margin_call_comes_once(trader: Trader) -> None:
    trader.buy(40)
    trader.news()
    trader.price(77)
    assert trader.news() == []
    trader.price("76.05")
    assert trader.news() == ["margin call BTCUSDT"]
    trader.price(76)
    assert trader.news() == []
    trader.price(80, 76)
    assert trader.news() == ["margin call BTCUSDT"]


def test_liquidation_by_hand(trader: Trader) -> None:
    trader.buy(10)
    trader.exchange.liquidate(BTC, trader.tick(), D("0.25"))
    assert trader.position().quantity == D("7.5")
    trader.exchange.liquidate(BTC, trader.tick())
    assert trader.position().quantity == 0
    # 1.25 % of 1,000 in all, and the tick that buying cost.
    assert trader.wallet == 1000 - D("12.5") - 1
    trader.news()
    trader.exchange.liquidate(BTC, trader.tick())
    trader.exchange.adl(BTC, trader.tick())
    assert trader.news() == []


def test_a_part_is_whole_lots_and_at_least_one(trader: Trader) -> None:
    trader.buy(1)
    trader.exchange.liquidate(BTC, trader.tick(), D("0.0000001"))
    assert trader.position().quantity == D("0.999")


def test_deleveraging_closes_at_the_mark_without_a_fee() -> None:
    trader = Trader().price(100)
    trader.sell(10)
    target = trader.buy(5, 90, reduce_only=True)
    trader.price(95)
    before = trader.wallet
    trader.exchange.adl(BTC, trader.tick())
    row = trader.exchange.orders(BTC)[-1]
    assert row.client_id == "adl_autoclose"
    assert (row.average_price, row.filled_quantity) == (D(95), D(10))
    assert trader.wallet - before == 50
    assert trader.state(target.order_id).status is OrderStatus.EXPIRED


def test_a_margin_call_by_hand(trader: Trader) -> None:
    trader.buy(1)
    trader.exchange.margin_call(BTC, trader.tick())
    assert words(trader.exchange.take_events()[-1]) == "margin call BTCUSDT"
