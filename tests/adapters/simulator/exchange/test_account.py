"""Positions, profit, fees, funding, transfers: what the wallet is the sum of."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from tests.adapters.simulator.exchange.trader import (
    BTC,
    ETH,
    INSTRUMENT,
    RULES,
    START,
    Trader,
    refused,
)

from tercel.adapters.simulator.exchange.events import AccountChanged, AccountReason
from tercel.adapters.simulator.exchange.exchange import Exchange
from tercel.adapters.simulator.exchange.records import (
    SELL,
    ExchangeRules,
    IncomeKind,
    OrderStatus,
    OrderType,
    Window,
)

D = Decimal


@pytest.fixture
def trader() -> Trader:
    """Nothing costs anything, so that figures stay round; the price is 100, the ask 100.1."""
    return Trader(replace(RULES, maker_fee_rate=D(0), taker_fee_rate=D(0))).price(100)


def test_a_round_trip(trader: Trader) -> None:
    trader.buy(2)
    trader.price(110)
    assert trader.position().unrealised_quote == D("19.8")
    trader.sell(2)
    # The last step was up: 110 is the ask, and we sell at the bid of 109.9.
    assert trader.wallet == START + D("19.6")
    assert trader.position().quantity == 0
    assert trader.position().entry_price == 0


def test_the_entry_price_is_the_average(trader: Trader) -> None:
    trader.buy(1)
    trader.price(90)
    trader.buy(3)
    assert trader.position().entry_price == D("92.6")
    trader.sell(2)
    assert trader.position().entry_price == D("92.6")
    assert trader.position().quantity == 2


def test_an_order_through_zero_turns_the_position_round(trader: Trader) -> None:
    trader.buy(1, 99)
    trader.price("98.9")
    trader.sell(3)
    assert trader.position().quantity == -2
    assert trader.position().entry_price == D("98.9")
    assert trader.exchange.totals().realised_quote == D("-0.1")


def test_a_short_gains_when_price_falls(trader: Trader) -> None:
    trader.sell(1)
    trader.price(90)
    assert trader.position().unrealised_quote == 10
    trader.buy(1)
    assert trader.wallet == START + D("9.9")


def test_what_cannot_be_divided_is_not_lost() -> None:
    """A third of a cost has no end; three closings still realise the sum of the cash flows."""
    trader = Trader(replace(RULES, maker_fee_rate=D(0), taker_fee_rate=D(0)))
    trader.book("99x9", "100.1x1 100.2x9")
    trader.buy(3)
    for _ in range(3):
        trader.sell(1)
    assert trader.wallet == START + 3 * 99 - D("100.1") - 2 * D("100.2")


def test_fees_of_takers_and_makers() -> None:
    trader = Trader().price(100)
    trader.buy(1)
    trader.sell(1, 110)
    trader.price("110.1")
    fees = [row.fee_quote for row in trader.exchange.trades(BTC)]
    assert fees == [D("0.05005"), D("0.022")]
    assert trader.wallet == START + D("9.9") - sum(fees)


def test_a_wallet_counts_in_hundred_millionths() -> None:
    """0.003 x 100.1 x 0.012345 % is 0.0000370720...: what is paid is rounded."""
    trader = Trader(replace(RULES, taker_fee_rate=D("0.00012345"))).price(100)
    trader.exchange.change_instrument(replace(INSTRUMENT, notional_min_quote=D(0)))
    trader.buy("0.003")
    assert trader.wallet == START - D("0.00003707")


def test_the_break_even_price_counts_what_was_paid_and_realised() -> None:
    """Long 2 at 100.1 for a fee of 0.1001: even at 100.15005."""
    trader = Trader().price(100)
    trader.buy(2)
    assert trader.position().break_even_price == D("100.15005")
    trader.price("110.1", 110)
    trader.sell(1)
    # Realised 9.9 less both fees of 0.1551 in all, on the one that is left.
    assert trader.position().break_even_price == D("100.1") - D("9.9") + D("0.1551")


def test_new_fees_count_from_the_next_fill_on() -> None:
    trader = Trader().price(100)
    trader.buy(1)
    trader.exchange.change_fees(D("0.001"), D("0.002"))
    trader.buy(1)
    assert [row.fee_quote for row in trader.exchange.trades(BTC)] == [D("0.05005"), D("0.2002")]


def test_income_is_the_wallet_in_rows() -> None:
    trader = Trader().price(100)
    trader.buy(1)
    trader.price(105)
    trader.sell(1)
    trader.exchange.transfer(D(50), trader.tick())
    rows = trader.exchange.income()
    assert [row.kind for row in rows] == [
        IncomeKind.COMMISSION,
        IncomeKind.REALIZED_PNL,
        IncomeKind.COMMISSION,
        IncomeKind.TRANSFER,
    ]
    assert START + sum(row.amount_quote for row in rows) == trader.wallet
    assert trader.exchange.income(kind=IncomeKind.TRANSFER) == rows[3:]
    assert trader.exchange.income(Window(limit=1), symbol=BTC) == rows[2:3]
    trades = trader.exchange.trades(BTC)
    assert [row.trade_id for row in rows[:3]] == [
        trades[0].trade_id,
        trades[1].trade_id,
        trades[1].trade_id,
    ]


def test_reduce_only_never_opens(trader: Trader) -> None:
    with refused(-2022):
        trader.sell(1, reduce_only=True)
    trader.buy(1)
    with refused(-2022):
        trader.buy(1, reduce_only=True)
    assert trader.sell(5, reduce_only=True).quantity == 1
    assert trader.position().quantity == 0


def test_resting_reducers_leave_room_for_each_other(trader: Trader) -> None:
    trader.buy(1)
    first = trader.sell("0.6", 105, reduce_only=True)
    with refused(-2022):
        trader.sell("0.5", 106, reduce_only=True)
    trader.sell("0.4", 106, reduce_only=True)
    with refused(-2022):
        trader.exchange.amend(BTC, first.order_id, D("0.7"), D(105), trader.tick())
    trader.exchange.amend(BTC, first.order_id, D("0.5"), D(105), trader.tick())


def test_resting_reducers_expire_with_the_position(trader: Trader) -> None:
    trader.buy(1)
    target = trader.sell(1, 105, reduce_only=True)
    trader.sell(1, reduce_only=True)
    assert trader.state(target.order_id).status is OrderStatus.EXPIRED
    trader.price(106)
    assert trader.position().quantity == 0


def test_a_reducer_larger_than_what_is_left_fills_no_more_than_that(trader: Trader) -> None:
    trader.buy(1)
    target = trader.sell(1, 105, reduce_only=True)
    trader.sell("0.7", reduce_only=True)
    trader.price(106)
    assert trader.state(target.order_id).filled_quantity == D("0.3")
    assert trader.state(target.order_id).status is OrderStatus.EXPIRED
    assert trader.position().quantity == 0


def test_an_opening_order_survives_the_position(trader: Trader) -> None:
    trader.buy(1)
    resting = trader.sell(1, 105)
    trader.sell(1)
    assert trader.state(resting.order_id).is_open


@pytest.mark.parametrize(("side", "paid"), [(1, D("-0.02")), (-1, D("0.02"))])
def test_funding(trader: Trader, side: int, paid: Decimal) -> None:
    """2 at a mark of 100 and 0.01 %: the long pays 0.02, the short receives it."""
    trader.order(side, 2, None)
    trader.mark(100)
    before = trader.wallet
    trader.news()
    trader.exchange.settle_funding(BTC, D("0.0001"), trader.tick())
    assert trader.wallet - before == trader.exchange.totals().funding_quote == paid
    assert trader.news() == ["account FUNDING_FEE"]
    event = trader.events[-1]
    assert isinstance(event, AccountChanged)
    assert (event.symbol, event.positions) == (BTC, ())
    assert event.balances[0].change_quote == paid


def test_funding_of_no_position_is_no_news(trader: Trader) -> None:
    trader.exchange.settle_funding(BTC, D("0.0001"), trader.tick())
    assert trader.news() == []


def test_funding_of_an_isolated_position_comes_out_of_its_margin(trader: Trader) -> None:
    trader.exchange.set_margin_type(BTC, True, trader.tick())
    trader.buy(2)
    margin = trader.position().isolated_wallet_quote
    trader.exchange.settle_funding(BTC, D("0.001"), trader.tick())
    event = trader.exchange.take_events()[-1]
    assert isinstance(event, AccountChanged)
    assert [row.symbol for row in event.positions] == [BTC]
    assert trader.position().isolated_wallet_quote == margin - D("0.2")


def test_transfers(trader: Trader) -> None:
    trader.exchange.transfer(D(500), trader.tick())
    trader.exchange.transfer(D(-200), trader.tick())
    assert trader.wallet == START + 300
    assert trader.news() == ["account DEPOSIT", "account WITHDRAW"]
    with refused(-2018):
        trader.exchange.transfer(D(-1301), trader.tick())
    trader.exchange.transfer(D(0), trader.tick())
    assert trader.news() == []


def test_a_fill_tells_wallet_and_position_after_it(trader: Trader) -> None:
    trader.buy(1)
    trader.price(50, symbol=ETH)
    trader.order(SELL, 2, None, symbol=ETH)
    told = [event for event in trader.exchange.take_events() if isinstance(event, AccountChanged)]
    assert [event.reason for event in told] == [AccountReason.ORDER] * 2
    assert [row.symbol for event in told for row in event.positions] == [BTC, ETH]
    assert told[-1].positions[0].quantity == -2
    assert told[-1].balances[0].wallet_quote == trader.wallet


def test_histories_are_bounded() -> None:
    trader = Trader(replace(RULES, history_max=3)).price(100)
    rows = [trader.buy(1) for _ in range(5)]
    kept = [row.order_id for row in trader.exchange.orders(BTC)]
    assert kept == [row.order_id for row in rows[2:]]
    assert len(trader.exchange.trades(BTC)) == len(trader.exchange.income()) == 3
    with refused(-2013):
        trader.state(rows[0].order_id)
    for trigger in (90, 91, 92, 93):
        row = trader.wait(SELL, OrderType.STOP_MARKET, trigger, quantity=1)
        trader.exchange.cancel_conditional(row.algo_id, trader.tick())
    assert len(trader.exchange.conditionals(BTC)) == 3


def test_one_account_has_one_asset() -> None:
    other = replace(INSTRUMENT, symbol="BTCUSDC", quote="USDC")
    with pytest.raises(ValueError, match="one asset"):
        Exchange(ExchangeRules((INSTRUMENT, other), D(0), D(0)), balance_quote=START, seed=1)


def test_every_symbol_has_a_row(trader: Trader) -> None:
    assert [row.symbol for row in trader.exchange.positions()] == [BTC, ETH]
    assert [rules.symbol for rules in trader.exchange.instruments()] == [BTC, ETH]
    with refused(-1121):
        trader.exchange.positions("XUSDT")
