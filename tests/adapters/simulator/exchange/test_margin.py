"""What an order needs, what a position ties up, where it is liquidated, what may be changed."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from tests.adapters.simulator.exchange.trader import BTC, ETH, INSTRUMENT, RULES, Trader, refused

from tercel.adapters.simulator.exchange.margin import bracket_of, maintenance_of, notional_max_of
from tercel.adapters.simulator.exchange.records import BUY, SELL, LeverageRow

D = Decimal


@pytest.fixture
def trader() -> Trader:
    """1,000 at 20x, the price is 100, no fees."""
    return Trader(replace(RULES, maker_fee_rate=D(0), taker_fee_rate=D(0))).price(100)


def test_orders_tie_up_margin(trader: Trader) -> None:
    trader.buy(10, 98)
    assert trader.available == 1000 - 49
    trader.sell(10, 102)
    # Only the larger side counts: 1,020 / 20.
    assert trader.available == 1000 - 51
    assert trader.position().open_order_margin_quote == 51
    assert trader.position().bid_notional_quote == 980
    assert trader.position().ask_notional_quote == 1020


def test_a_position_ties_up_margin_at_the_mark(trader: Trader) -> None:
    trader.buy(10)
    assert trader.position().position_margin_quote == 50
    # Unrealised: bought at the ask.
    assert trader.available == 1000 - 50 - 1
    trader.price(110)
    assert trader.position().position_margin_quote == 55
    assert trader.available == 1000 - 55 + 99


def test_an_order_against_the_position_needs_nothing_until_it_is_larger(trader: Trader) -> None:
    trader.buy(10)
    before = trader.available
    trader.sell(10, 101)
    assert trader.available == before
    trader.sell(12, 102)
    assert trader.available < before


def test_margin_is_insufficient(trader: Trader) -> None:
    trader.exchange.set_leverage(BTC, 5, trader.tick())
    with refused(-2019):
        trader.buy("50.1")
    with refused(-2019):
        trader.buy(51, 99)
    assert trader.news() == ["leverage BTCUSDT 5"]
    trader.buy(49)
    with refused(-2019):
        trader.buy(1)
    trader.sell(98)
    assert trader.position().quantity == -49


def test_margin_is_shared_by_symbols(trader: Trader) -> None:
    trader.price(100, symbol=ETH)
    for symbol in (BTC, ETH):
        trader.exchange.set_leverage(symbol, 5, trader.tick())
    trader.buy(40)
    with refused(-2019):
        trader.buy(20, symbol=ETH)
    trader.buy(9, symbol=ETH)


def test_a_reducing_order_needs_no_margin(trader: Trader) -> None:
    trader.exchange.set_leverage(BTC, 5, trader.tick())
    trader.buy(49)
    trader.price(85)
    assert trader.available == 0
    trader.sell(49, 99, reduce_only=True)
    trader.sell(1)


def test_brackets_bound_a_position(trader: Trader) -> None:
    """20x goes up to 20,000, 5x up to 100,000."""
    trader.exchange.transfer(D(100_000), trader.tick())
    with refused(-2027):
        trader.buy(201, 100)
    trader.exchange.set_leverage(BTC, 5, trader.tick())
    trader.buy(201, 100)
    with refused(-2027):
        trader.exchange.set_leverage(BTC, 20, trader.tick())


def test_leverage(trader: Trader) -> None:
    answer = trader.exchange.set_leverage(BTC, 50, trader.tick())
    assert answer == LeverageRow(BTC, 50, D(5000))
    assert trader.position().leverage == 50
    assert trader.position().notional_max_quote == 5000
    for wrong in (0, 51):
        with refused(-4028):
            trader.exchange.set_leverage(BTC, wrong, trader.tick())
    with refused(-1121):
        trader.exchange.set_leverage("XUSDT", 5, trader.tick())


def test_lower_leverage_needs_margin(trader: Trader) -> None:
    trader.buy(100)
    with refused(-2028):
        trader.exchange.set_leverage(BTC, 5, trader.tick())
    assert trader.position().leverage == 20
    trader.exchange.set_leverage(BTC, 11, trader.tick())


def test_the_bracket_of_a_notional() -> None:
    numbers = [bracket_of(INSTRUMENT, D(n)).number for n in (1, 5_000, 5_001, 100_000, 999_999)]
    assert numbers == [1, 1, 2, 3, 3]
    assert maintenance_of(INSTRUMENT, D(5_000)) == 50
    # The amount makes maintenance margin continuous where brackets meet.
    assert maintenance_of(INSTRUMENT, D(5_001)) == D("50.025")
    assert maintenance_of(INSTRUMENT, D(20_000)) == 425 == D(2000) - 1575
    assert notional_max_of(INSTRUMENT, 51) == 0


@pytest.mark.parametrize("side", [BUY, SELL])
@pytest.mark.parametrize("quantity", [12, 60, 190])
def test_at_the_liquidation_price_the_margin_is_gone(side: int, quantity: int) -> None:
    trader = Trader(replace(RULES, maker_fee_rate=D(0), taker_fee_rate=D(0))).price(100)
    trader.order(side, quantity, None)
    price = trader.position().liquidation_price
    if quantity * 100 < 1000 and side == BUY:
        assert price == 0
        return
    notional = quantity * price
    left = 1000 + side * quantity * (price - trader.position().entry_price)
    assert abs(left - maintenance_of(INSTRUMENT, notional)) <= quantity * D("0.1")
    assert (trader.position().entry_price - price) * side > 0


def test_a_position_backed_in_full_has_no_liquidation_price(trader: Trader) -> None:
    trader.buy(5)
    assert trader.position().liquidation_price == 0
    trader.sell(5)
    assert trader.position().liquidation_price == 0


def test_an_isolated_position_has_its_own_margin(trader: Trader) -> None:
    trader.exchange.set_margin_type(BTC, True, trader.tick())
    trader.buy(10)
    row = trader.position()
    assert row.isolated_wallet_quote == D("50.05")
    assert row.isolated_margin_quote == D("49.05")
    balance = trader.exchange.balances()[0]
    assert balance.cross_wallet_quote == 1000 - D("50.05")
    assert balance.available_quote == balance.cross_wallet_quote
    assert row.liquidation_price > 95
    trader.sell(5)
    assert trader.position().isolated_wallet_quote == D("25.025")
    trader.sell(5)
    assert trader.position().isolated_wallet_quote == 0
    assert trader.wallet == 1000 - 1


def test_isolated_leverage_is_not_reduced_under_a_position(trader: Trader) -> None:
    trader.exchange.set_margin_type(BTC, True, trader.tick())
    trader.buy(10)
    with refused(-4161):
        trader.exchange.set_leverage(BTC, 10, trader.tick())
    trader.exchange.set_leverage(BTC, 25, trader.tick())


def test_margin_type(trader: Trader) -> None:
    change = trader.exchange.set_margin_type
    with refused(-4046):
        change(BTC, False, trader.tick())
    resting = trader.buy(1, 99)
    with refused(-4047):
        change(BTC, True, trader.tick())
    trader.cancel(resting.order_id)
    stop = trader.stop(SELL, 1, 90)
    with refused(-4047):
        change(BTC, True, trader.tick())
    trader.exchange.cancel_conditional(stop.algo_id, trader.tick())
    trader.buy(1)
    with refused(-4048):
        change(BTC, True, trader.tick())
    trader.sell(1)
    trader.news()
    change(BTC, True, trader.tick())
    assert trader.news() == ["account MARGIN_TYPE_CHANGE"]
    assert trader.position().is_isolated
    with refused(-4046):
        change(BTC, True, trader.tick())


def test_hedge_mode_is_off_and_stays_off(trader: Trader) -> None:
    change = trader.exchange.set_dual_side
    with refused(-4059):
        change(False)
    with refused(-4084):
        change(True)
    resting = trader.buy(1, 99)
    with refused(-4067):
        change(True)
    trader.cancel(resting.order_id)
    trader.buy(1)
    with refused(-4068):
        change(True)


def test_the_queue_for_deleveraging_is_led_by_winners(trader: Trader) -> None:
    trader.buy(10)
    assert trader.position().adl_quantile == 0
    trader.price(110)
    assert trader.position().adl_quantile == 4


def test_buying_above_the_mark_has_to_be_backed_too() -> None:
    """45 at 109 tie up 981, and are worth 405 less at once."""
    trader = Trader().price(100)
    trader.exchange.set_leverage(BTC, 5, trader.tick())
    trader.book("99x50", "109x50")
    with refused(-2019):
        trader.buy(45)
    trader.buy(30)


def test_other_positions_bring_the_liquidation_price_closer(trader: Trader) -> None:
    """20 ETH ask for 20 of maintenance, and lose 20 before BTC does."""
    trader.price(100, symbol=ETH)
    trader.buy(40)
    alone = trader.position().liquidation_price
    trader.buy(20, 100, symbol=ETH)
    trader.price("99.9", 99, symbol=ETH)
    assert trader.position(ETH).unrealised_quote == -20
    # Each of the 40 then backs 40 less, at 99 % of its price.
    expected = alone + D("39.8") / 40 / D("0.99")
    assert trader.position().liquidation_price == pytest.approx(expected, abs=D("0.1"))
