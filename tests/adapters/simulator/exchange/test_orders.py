"""Orders meet the market: what is filled, at which price, and what is told."""

from __future__ import annotations

from decimal import Decimal

import pytest
from tests.adapters.simulator.exchange.trader import BTC, ETH, Trader, refused

from tercel.adapters.simulator.exchange.records import (
    BUY,
    SELL,
    NewOrder,
    OrderStatus,
    OrderType,
    TimeInForce,
    Window,
)

GTX, IOC, FOK = TimeInForce.GTX, TimeInForce.IOC, TimeInForce.FOK


@pytest.fixture
def trader() -> Trader:
    """At a price of 100: bid 100.0, ask 100.1."""
    return Trader().price(100)


def test_a_market_order_walks_the_book() -> None:
    trader = Trader().book("99.9x1", "100x1 100.2x2 100.5x9")
    row = trader.buy("2.5")
    assert row.status is OrderStatus.FILLED
    assert trader.fills(row.order_id) == [("100", "1"), ("100.2", "1.5")]
    assert row.average_price == Decimal("100.12")
    assert row.filled_quote == Decimal("250.3")


def test_what_a_taker_ate_is_gone_until_the_next_book() -> None:
    trader = Trader().book("99.9x1", "100x1 100.2x2")
    trader.buy(1)
    assert trader.fills(trader.buy(1).order_id) == [("100.2", "1")]
    trader.book("99.9x1", "100x1 100.2x2")
    assert trader.fills(trader.buy(1).order_id) == [("100", "1")]


def test_a_market_order_expires_where_the_book_ends() -> None:
    trader = Trader().book("99.9x1", "100x1")
    row = trader.buy(3)
    assert row.status is OrderStatus.EXPIRED
    assert row.filled_quantity == 1
    assert row.reason
    assert trader.news() == [
        "order NEW NEW",
        "order TRADE PARTIALLY_FILLED",
        "account ORDER",
        "order EXPIRED EXPIRED",
    ]


def test_a_market_order_goes_no_further_than_the_band() -> None:
    """110 is 10 % above the mark of 100."""
    trader = Trader().mark(100).book("99x1", "101x1 109x1 111x5")
    row = trader.buy(3)
    assert trader.fills(row.order_id) == [("101", "1"), ("109", "1")]
    trader.book("99x1", "111x5")
    with refused(-4131):
        trader.buy(1)


def test_without_a_book_there_is_no_market_order() -> None:
    with refused(-4131):
        Trader().buy(1)


def test_a_limit_rests_and_fills_at_its_own_price_as_maker(trader: Trader) -> None:
    row = trader.buy(1, 99)
    assert row.status is OrderStatus.NEW
    trader.price("98.5")
    assert trader.fills(row.order_id) == [("99", "1")]
    assert trader.exchange.trades(BTC)[0].is_maker
    assert trader.exchange.totals().fees_quote == Decimal("0.0198")


def test_a_touch_does_not_fill_but_a_tick_through_does(trader: Trader) -> None:
    bought, sold = trader.buy(1, 99), trader.sell(1, 101)
    trader.price(99, 101)
    assert trader.state(bought.order_id).is_open
    assert trader.state(sold.order_id).is_open
    trader.price("101.1", "98.9")
    assert trader.state(bought.order_id).status is OrderStatus.FILLED
    assert trader.state(sold.order_id).status is OrderStatus.FILLED


def test_a_limit_beyond_the_market_takes_first_and_rests_with_what_is_left() -> None:
    trader = Trader().book("99.9x1", "100x1 100.2x2")
    row = trader.buy(2, 100)
    assert row.status is OrderStatus.PARTIALLY_FILLED
    assert trader.fills(row.order_id) == [("100", "1")]
    assert not trader.exchange.trades(BTC)[0].is_maker
    trader.trade("99.8")
    assert trader.state(row.order_id).status is OrderStatus.FILLED


def test_the_queue_before_a_limit_trades_first() -> None:
    """2 rest at 99.9 before us: a trade of 1.5 leaves 0.5, the next of 1 gives us half."""
    trader = Trader().book("99.9x2", "100x1")
    row = trader.buy(1, "99.9")
    trader.trade("99.9", "1.5")
    assert trader.state(row.order_id).filled_quantity == 0
    trader.trade("99.9", 1)
    assert trader.fills(row.order_id) == [("99.9", "0.5")]
    trader.trade("99.9", 9)
    assert trader.state(row.order_id).status is OrderStatus.FILLED


def test_a_queue_is_never_longer_than_the_book_shows() -> None:
    trader = Trader().book("99.9x5", "100x1")
    row = trader.buy(1, "99.9")
    trader.book("99.9x1", "100x1").trade("99.9", 2)
    assert trader.state(row.order_id).status is OrderStatus.FILLED


def test_better_prices_fill_first_then_older_orders() -> None:
    trader = Trader().book("99x1", "103x1")
    worse, older, newer = trader.buy(1, "99.5"), trader.buy(1, 100), trader.buy(1, 100)
    trader.book("98x1", "99.5x2.5")
    filled = [trader.state(row.order_id).filled_quantity for row in (older, newer, worse)]
    assert filled == [1, 1, Decimal("0.5")]


def test_a_crossing_book_fills_only_what_it_offers() -> None:
    trader = Trader().book("99x1", "103x1")
    row = trader.buy(2, 100)
    trader.book("99x1", "99.5x0.5 99.9x1 100.1x9")
    assert trader.state(row.order_id).filled_quantity == Decimal("1.5")


def test_post_only_is_refused_where_it_would_take(trader: Trader) -> None:
    with refused(-5022):
        trader.buy(1, "100.1", time_in_force=GTX)
    assert trader.news() == []
    assert trader.buy(1, 100, time_in_force=GTX).is_open


def test_immediate_or_cancel_expires_with_the_rest() -> None:
    trader = Trader().book("99x1", "100x1")
    row = trader.buy(2, 100, time_in_force=IOC)
    assert (row.status, row.filled_quantity) == (OrderStatus.EXPIRED, Decimal(1))
    assert trader.buy(1, "99.9", time_in_force=IOC).status is OrderStatus.EXPIRED


def test_fill_or_kill_is_all_or_nothing() -> None:
    trader = Trader().book("99x1", "100x1 101x1")
    with refused(-5021):
        trader.buy(2, 100, time_in_force=FOK)
    assert trader.buy(2, 101, time_in_force=FOK).status is OrderStatus.FILLED


def test_nobody_trades_with_himself(trader: Trader) -> None:
    resting = trader.sell(1, "100.1")
    trader.buy(1, "100.1")
    assert trader.state(resting.order_id).status is OrderStatus.EXPIRED_IN_MATCH
    # Between bid and ask there is only our own order to meet.
    trader = Trader().book("99x1", "103x1")
    resting = trader.sell(1, 101)
    with refused(-5022):
        trader.buy(1, 101, time_in_force=GTX)
    assert trader.buy(1, 101).is_open
    assert trader.state(resting.order_id).status is OrderStatus.EXPIRED_IN_MATCH


def test_a_taker_leaves_own_orders_that_it_does_not_reach(trader: Trader) -> None:
    resting = trader.sell(1, 105)
    trader.buy(1)
    assert trader.state(resting.order_id).is_open


def test_cancel(trader: Trader) -> None:
    row = trader.buy(1, 99, client_id="mine")
    assert trader.cancel("mine").status is OrderStatus.CANCELED
    assert trader.news() == ["order NEW NEW", "order CANCELED CANCELED"]
    for ref in ("mine", row.order_id, 7, "never"):
        with refused(-2011):
            trader.cancel(ref)


def test_cancel_all_is_for_one_symbol_and_leaves_conditional_orders(trader: Trader) -> None:
    trader.price(50, symbol=ETH)
    trader.buy(1, 99)
    trader.buy(1, 98)
    other = trader.buy(1, 49, symbol=ETH)
    waiting = trader.stop(SELL, 1, 90)
    assert len(trader.exchange.cancel_all(BTC, trader.tick())) == 2
    [left] = trader.exchange.open_orders()
    assert (left.symbol, left.order_id) == (ETH, other.order_id)
    assert trader.algo(waiting.algo_id).is_open


def test_orders_are_numbered_per_symbol(trader: Trader) -> None:
    """As Binance numbers them: one number may be an order in each, and each has its own life."""
    trader.price(50, symbol=ETH)
    row, other = trader.buy(1, 99), trader.buy(2, 49, symbol=ETH)
    assert row.order_id == other.order_id
    assert trader.buy(1, 98).order_id == row.order_id + 1
    assert [each.symbol for each in trader.exchange.open_orders()] == [BTC, ETH, BTC]
    trader.cancel(row.order_id)
    assert trader.exchange.order(ETH, other.order_id).is_open
    assert trader.exchange.order(BTC, row.order_id).status is OrderStatus.CANCELED


def test_an_order_is_found_by_either_id_in_its_symbol_alone(trader: Trader) -> None:
    row = trader.buy(1, 99, client_id="mine")
    assert trader.state("mine") == trader.state(row.order_id) == row
    with refused(-2013):
        trader.exchange.order(ETH, "mine")
    with refused(-1121):
        trader.exchange.order("XUSDT", "mine")


def test_a_client_id_is_used_once(trader: Trader) -> None:
    trader.buy(1, client_id="a")
    with refused(-4116):
        trader.buy(1, client_id="a")
    trader.stop(SELL, 1, 90, client_id="b")
    with refused(-4116):
        trader.buy(1, client_id="b")
    with refused(-4116):
        trader.stop(SELL, 1, 90, client_id="a")


def test_the_venue_makes_up_missing_client_ids(trader: Trader) -> None:
    made = [trader.buy("0.1").client_id, trader.buy("0.1").client_id]
    again = Trader().price(100)
    assert [again.buy("0.1").client_id, again.buy("0.1").client_id] == made
    assert Trader(seed=2).price(100).buy("0.1").client_id not in made


def test_amend_moves_an_order_and_may_fill_it(trader: Trader) -> None:
    row = trader.buy(2, 99)
    moved = trader.exchange.amend(BTC, row.order_id, Decimal(1), Decimal("99.5"), trader.tick())
    assert (moved.order_id, moved.quantity, moved.price) == (
        row.order_id,
        Decimal(1),
        Decimal("99.5"),
    )
    done = trader.exchange.amend(BTC, row.order_id, Decimal(1), Decimal(101), trader.tick())
    assert (done.status, done.average_price) == (OrderStatus.FILLED, Decimal("100.1"))
    assert trader.news() == [
        "order NEW NEW",
        "order AMENDMENT NEW",
        "order AMENDMENT NEW",
        "order TRADE FILLED",
        "account ORDER",
    ]


def test_what_amend_refuses(trader: Trader) -> None:
    trader.exchange.set_leverage(BTC, 10, trader.tick())
    row = trader.buy(1, 99, time_in_force=GTX)

    def amend(quantity: str, price: str, ref: int = row.order_id) -> None:
        trader.exchange.amend(BTC, ref, Decimal(quantity), Decimal(price), trader.tick())

    for code, quantity, price in (
        (-5027, "1", "99"),
        (-5022, "1", "100.1"),
        (-4003, "0", "99"),
        (-1111, "1", "99.05"),
        (-2027, "300", "99"),
        (-2019, "150", "99"),
    ):
        with refused(code):
            amend(quantity, price)
    with refused(-2013):
        amend("1", "98", ref=5)
    assert trader.state(row.order_id) == row


def test_amending_below_what_is_filled_cancels() -> None:
    trader = Trader().book("99x1", "100x1")
    row = trader.buy(2, 100)
    changed = trader.exchange.amend(BTC, row.order_id, Decimal("0.5"), Decimal(100), trader.tick())
    assert changed.status is OrderStatus.CANCELED


def test_histories_by_time_id_and_number(trader: Trader) -> None:
    rows = [trader.buy(1, price) for price in (90, 91, 92, 93)]
    history = trader.exchange.orders
    assert history(BTC) == rows
    assert history(BTC, Window(limit=2)) == rows[2:]
    assert history(BTC, Window(from_id=rows[1].order_id, limit=2)) == rows[1:3]
    assert history(BTC, Window(start_ms=rows[1].created_ms, end_ms=rows[2].created_ms)) == rows[1:3]
    assert history(ETH) == []


def test_a_fill_from_elsewhere_has_a_client_id_of_its_own(trader: Trader) -> None:
    row = trader.exchange.outside_fill(BTC, BUY, Decimal(1), trader.tick())
    assert row.client_id.startswith("web_")
    assert trader.position().quantity == 1


def test_conditional_types_are_not_for_the_engine(trader: Trader) -> None:
    with refused(-4120):
        trader.exchange.place(
            NewOrder(BTC, SELL, OrderType.STOP_MARKET, Decimal(1), trigger_price=Decimal(90)), 1
        )
