"""Stops, take-profits and trailing stops: when they fire, and what becomes of them."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from tests.adapters.simulator.exchange.trader import BTC, ETH, RULES, Trader, refused

from tercel.adapters.simulator.exchange.records import (
    BUY,
    SELL,
    AlgoStatus,
    OrderStatus,
    OrderType,
    WorkingType,
)

D = Decimal
STOP, TAKE = OrderType.STOP_MARKET, OrderType.TAKE_PROFIT_MARKET
TRAIL = OrderType.TRAILING_STOP_MARKET


@pytest.fixture
def trader() -> Trader:
    """Long 1 from 100.1, the price is 100, nothing to hear."""
    trader = Trader().price(100)
    trader.buy(1)
    trader.news()
    return trader


def test_the_life_of_a_stop(trader: Trader) -> None:
    row = trader.stop(SELL, 1, 95, client_id="stop")
    assert row.status is AlgoStatus.NEW
    trader.price("95.1", "94.8")
    assert trader.news() == [
        "algo NEW",
        "algo TRIGGERING",
        "algo TRIGGERED",
        "order NEW NEW",
        "order TRADE FILLED",
        "account ORDER",
        "algo FINISHED",
    ]
    done = trader.algo("stop")
    placed = trader.state("stop")
    assert placed.order_id == done.actual_order_id != done.algo_id
    assert placed.algo_id == done.algo_id
    assert (placed.kind, placed.original_kind) == (OrderType.MARKET, STOP)
    assert (done.actual_quantity, done.actual_price) == (D(1), D("94.8"))
    assert done.triggered_ms == trader.now_ms
    assert trader.fills("stop") == [("94.8", "1")]
    assert trader.position().quantity == 0


def test_the_engine_order_keeps_a_made_up_client_id_too(trader: Trader) -> None:
    row = trader.stop(SELL, 1, 95)
    trader.price(94)
    placed = trader.algo(row.algo_id).actual_order_id
    assert placed is not None
    assert trader.state(placed).client_id == row.client_id


@pytest.mark.parametrize(
    ("side", "kind", "trigger", "quiet", "fires"),
    [
        (SELL, STOP, 95, "95.1", 95),
        (BUY, STOP, 105, "104.9", 105),
        (SELL, TAKE, 105, "104.9", 105),
        (BUY, TAKE, 95, "95.1", 95),
    ],
)
def test_which_way_each_type_fires(
    side: int, kind: OrderType, trigger: int, quiet: str, fires: int
) -> None:
    trader = Trader().price(100)
    row = trader.wait(side, kind, trigger, quantity=1)
    trader.price(quiet)
    assert trader.algo(row.algo_id).is_open
    trader.price(fires)
    assert trader.algo(row.algo_id).status is AlgoStatus.FINISHED
    assert trader.position().quantity == side


@pytest.mark.parametrize(
    ("side", "kind", "trigger"),
    [(SELL, STOP, 100), (BUY, STOP, 100), (SELL, TAKE, 99), (BUY, TAKE, 101)],
)
def test_what_would_fire_at_once_is_refused(side: int, kind: OrderType, trigger: int) -> None:
    trader = Trader().price(100)
    with refused(-2021):
        trader.wait(side, kind, trigger, quantity=1)


def test_each_waits_for_its_own_price(trader: Trader) -> None:
    by_mark = trader.stop(SELL, 1, 95, working_type=WorkingType.MARK_PRICE)
    by_last = trader.stop(SELL, 1, 90)
    trader.trade(94)
    assert trader.algo(by_mark.algo_id).is_open
    trader.mark(89)
    assert not trader.algo(by_mark.algo_id).is_open
    assert trader.algo(by_last.algo_id).is_open


def test_a_stop_limit_becomes_a_limit_that_may_rest(trader: Trader) -> None:
    row = trader.wait(SELL, OrderType.STOP, 95, quantity=1, price=96, reduce_only=True)
    trader.price(95)
    placed = trader.algo(row.algo_id)
    assert (placed.status, placed.actual_quantity) == (AlgoStatus.TRIGGERED, D(0))
    number = placed.actual_order_id
    assert number is not None
    assert (trader.state(number).kind, trader.state(number).price) == (OrderType.LIMIT, D(96))
    trader.price("96.1")
    assert trader.algo(row.algo_id).status is AlgoStatus.FINISHED


def test_finished_does_not_mean_filled(trader: Trader) -> None:
    """Its engine order is cancelled: finished, and nothing was filled."""
    row = trader.wait(SELL, OrderType.STOP, 95, quantity=1, price=97, client_id="a")
    trader.price(95)
    trader.cancel("a")
    done = trader.algo(row.algo_id)
    assert (done.status, done.actual_quantity) == (AlgoStatus.FINISHED, D(0))
    assert trader.position().quantity == 1


def test_no_margin_is_asked_for_before_the_trigger() -> None:
    trader = Trader().price(100)
    row = trader.wait(BUY, STOP, 101, quantity=190)
    trader.exchange.set_leverage(BTC, 5, trader.tick())
    trader.price(101)
    done = trader.algo(row.algo_id)
    assert done.status is AlgoStatus.REJECTED
    assert done.reason == "Margin is insufficient."
    assert done.actual_order_id is None
    assert trader.news()[-2:] == ["algo TRIGGERING", "algo REJECTED"]


def test_of_two_stops_the_second_finds_nothing_to_reduce(trader: Trader) -> None:
    first, second = trader.stop(SELL, 1, 95), trader.stop(SELL, 1, 95)
    trader.price(94)
    assert trader.algo(first.algo_id).status is AlgoStatus.FINISHED
    assert trader.algo(second.algo_id).status is AlgoStatus.REJECTED
    assert trader.algo(second.algo_id).reason == "ReduceOnly Order is rejected."
    assert trader.position().quantity == 0


def test_a_reducing_stop_survives_its_position_as_an_orphan(trader: Trader) -> None:
    row = trader.stop(SELL, 1, 95)
    trader.sell(1, reduce_only=True)
    assert trader.algo(row.algo_id).is_open


def test_an_orphan_that_does_not_only_reduce_opens_a_position(trader: Trader) -> None:
    trader.stop(SELL, 1, 95, reduce_only=False)
    trader.sell(1)
    trader.price(94)
    assert trader.position().quantity == -1


def test_a_stop_larger_than_the_position_is_cut_to_it(trader: Trader) -> None:
    row = trader.stop(SELL, 1, 95, client_id="s")
    trader.sell("0.6", reduce_only=True)
    trader.price(94)
    assert trader.algo(row.algo_id).status is AlgoStatus.FINISHED
    assert trader.state("s").quantity == D("0.4")
    assert trader.position().quantity == 0


def test_a_closing_stop_takes_all_there_is(trader: Trader) -> None:
    row = trader.wait(SELL, STOP, 95, close_position=True, client_id="close")
    trader.buy("0.5")
    trader.price(94)
    assert trader.position().quantity == 0
    assert trader.algo(row.algo_id).actual_quantity == D("1.5")
    assert trader.state("close").close_position
    assert trader.state("close").reduce_only


def test_a_closing_stop_goes_with_its_position(trader: Trader) -> None:
    row = trader.wait(SELL, STOP, 95, close_position=True)
    trader.sell(1)
    assert trader.algo(row.algo_id).status is AlgoStatus.EXPIRED
    with refused(-4509):
        trader.wait(SELL, STOP, 95, close_position=True)


def test_one_closing_order_in_each_direction(trader: Trader) -> None:
    trader.wait(SELL, STOP, 95, close_position=True)
    trader.wait(SELL, TAKE, 105, close_position=True)
    with refused(-4130):
        trader.wait(SELL, STOP, 94, close_position=True)


def test_a_trailing_stop_follows_the_best_price(trader: Trader) -> None:
    """Best 104, 1 %: fires at 102.96."""
    row = trader.wait(SELL, TRAIL, quantity=1, callback_rate=1, reduce_only=True)
    trader.price(104, 103)
    assert trader.algo(row.algo_id).is_open
    trader.price("102.9")
    assert trader.algo(row.algo_id).actual_price == D("102.9")


def test_a_trailing_stop_that_buys() -> None:
    trader = Trader().price(100)
    trader.wait(BUY, TRAIL, quantity=1, callback_rate=1)
    trader.price(98, "98.9")
    assert trader.position().quantity == 0
    trader.price(99)
    assert trader.position().quantity == 1


def test_a_trailing_stop_waits_for_its_activation_price(trader: Trader) -> None:
    row = trader.wait(SELL, TRAIL, quantity=1, callback_rate=1, activation_price=103)
    assert not row.is_activated
    trader.price(99, 97, "102.9")
    assert not trader.algo(row.algo_id).is_activated
    trader.news()
    trader.price(103)
    assert trader.news() == ["algo NEW"]
    assert trader.algo(row.algo_id).is_activated
    trader.price("101.9")
    assert trader.algo(row.algo_id).status is AlgoStatus.FINISHED


def test_an_activation_price_behind_the_market_is_refused(trader: Trader) -> None:
    with refused(-2021):
        trader.wait(SELL, TRAIL, quantity=1, callback_rate=1, activation_price=99)


def test_a_protected_stop_is_void_while_mark_and_last_are_apart(trader: Trader) -> None:
    row = trader.stop(SELL, 1, 95, price_protect=True)
    trader.trade(94)
    assert trader.algo(row.algo_id).status is AlgoStatus.EXPIRED
    row = trader.stop(SELL, 1, 93, price_protect=True)
    trader.mark(96).trade(93)
    assert trader.algo(row.algo_id).status is AlgoStatus.FINISHED


def test_cancelling(trader: Trader) -> None:
    row = trader.stop(SELL, 1, 95, client_id="s")
    cancel = trader.exchange.cancel_conditional
    assert cancel("s", trader.tick()).status is AlgoStatus.CANCELED
    for ref in ("s", row.algo_id, 5):
        with refused(-2011):
            cancel(ref, trader.tick())
    trader.price(94)
    assert trader.position().quantity == 1
    with refused(-2013):
        trader.exchange.conditional("never")


def test_cancelling_all_of_a_symbol(trader: Trader) -> None:
    trader.price(50, symbol=ETH)
    for trigger in (95, 94):
        trader.stop(SELL, 1, trigger)
    other = trader.wait(SELL, STOP, 49, quantity=1, symbol=ETH)
    assert len(trader.exchange.cancel_all_conditional(BTC, trader.tick())) == 2
    assert [row.algo_id for row in trader.exchange.open_conditionals()] == [other.algo_id]
    assert len(trader.exchange.conditionals(BTC)) == 2


def test_a_stop_may_be_stuck_in_its_trigger(trader: Trader) -> None:
    row = trader.stop(SELL, 1, 95)
    trader.exchange.hold_triggers(BTC, True, trader.tick())
    trader.price(94, 90)
    assert trader.algo(row.algo_id).status is AlgoStatus.TRIGGERING
    assert trader.position().quantity == 1
    with refused(-4117):
        trader.exchange.cancel_conditional(row.algo_id, trader.tick())
    assert trader.exchange.cancel_all_conditional(BTC, trader.tick()) == []
    trader.exchange.hold_triggers(BTC, False, trader.tick())
    assert trader.algo(row.algo_id).actual_price == 90


def test_waiting_orders_are_bounded() -> None:
    trader = Trader(replace(RULES, conditional_orders_max=1)).price(100)
    row = trader.wait(SELL, STOP, 95, quantity=1)
    with refused(-4045):
        trader.wait(SELL, STOP, 94, quantity=1)
    trader.exchange.cancel_conditional(row.algo_id, trader.tick())
    trader.wait(SELL, STOP, 94, quantity=1)


def test_a_closed_symbol_rejects_at_the_trigger(trader: Trader) -> None:
    row = trader.stop(SELL, 1, 95)
    rules = trader.exchange.instrument(BTC)
    trader.exchange.change_instrument(replace(rules, status=type(rules.status).CLOSE))
    trader.price(94)
    assert trader.algo(row.algo_id).status is AlgoStatus.REJECTED


def test_a_stop_that_finds_a_thin_book_is_partly_filled() -> None:
    trader = Trader().book("100x5", "100.1x5").trade(100)
    trader.buy(2)
    trader.stop(SELL, 2, 95, client_id="s")
    trader.book("95x0.5", "95.1x5").trade(95)
    assert trader.state("s").status is OrderStatus.EXPIRED
    assert trader.algo("s").actual_quantity == D("0.5")
    assert trader.position().quantity == D("1.5")


def test_where_something_waits(trader: Trader) -> None:
    """One price through each limit, and the first on the grid that fires each stop."""
    trader.buy(1, 99)
    trader.stop(SELL, 1, 95)
    trader.wait(SELL, TRAIL, quantity=1, callback_rate="0.3")
    assert trader.exchange.watched_prices(BTC) == [D("98.9"), D(95), D("99.7")]
