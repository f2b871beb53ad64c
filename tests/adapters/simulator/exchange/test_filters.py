"""Every filter with its number, on orders that are right but for one thing."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from tests.adapters.simulator.exchange.trader import BTC, INSTRUMENT, Trader, refused

from tercel.adapters.simulator.exchange.errors import MESSAGES, refusal
from tercel.adapters.simulator.exchange.records import (
    BUY,
    SELL,
    NewOrder,
    OrderType,
    SymbolStatus,
    TimeInForce,
    decimals_of,
)

D = Decimal
LIMIT = NewOrder(BTC, BUY, OrderType.LIMIT, D(1), D(99))
MARKET = NewOrder(BTC, BUY, OrderType.MARKET, D(1))
STOP = NewOrder(BTC, SELL, OrderType.STOP_MARKET, D(1), trigger_price=D(95))
STOP_LIMIT = NewOrder(BTC, SELL, OrderType.STOP, D(1), price=D(94), trigger_price=D(95))
TRAIL = NewOrder(BTC, SELL, OrderType.TRAILING_STOP_MARKET, D(1), callback_rate=D(1))


@pytest.mark.parametrize(
    ("code", "order", "wrong"),
    [
        (-1121, LIMIT, {"symbol": "XUSDT"}),
        (-1117, LIMIT, {"side": 0}),
        (-1116, LIMIT, {"kind": OrderType.LIQUIDATION}),
        (-1115, LIMIT, {"time_in_force": TimeInForce.GTE_GTC}),
        (-4015, LIMIT, {"client_id": "x" * 37}),
        (-1100, LIMIT, {"client_id": "no spaces"}),
        (-4003, LIMIT, {"quantity": D(0)}),
        (-4003, LIMIT, {"quantity": D(-1)}),
        (-1111, LIMIT, {"quantity": D("1.0001")}),
        (-1111, LIMIT, {"quantity": D("Infinity")}),
        (-4004, LIMIT, {"quantity": D("0.001")}),
        (-4005, LIMIT, {"quantity": D(1001)}),
        (-4005, MARKET, {"quantity": D(501)}),
        (-4001, LIMIT, {"price": D(0)}),
        (-1111, LIMIT, {"price": D("99.05")}),
        (-4002, LIMIT, {"price": D(10_001)}),
        (-4016, LIMIT, {"price": D("110.1")}),
        (-4024, LIMIT, {"side": SELL, "price": D("89.9")}),
        (-4164, LIMIT, {"quantity": D("0.05")}),
        (-4164, MARKET, {"quantity": D("0.049")}),
        (-1106, MARKET, {"price": D(99)}),
        (-1106, LIMIT, {"trigger_price": D(95)}),
        (-1106, LIMIT, {"close_position": True, "quantity": D(0)}),
        (-4006, STOP, {"trigger_price": D(0)}),
        (-1111, STOP, {"trigger_price": D("95.05")}),
        (-1106, STOP, {"callback_rate": D(1)}),
        (-4164, STOP, {"quantity": D("0.05")}),
        (-4137, STOP, {"close_position": True}),
        (-1106, STOP, {"close_position": True, "quantity": D(0), "reduce_only": True}),
        (-1106, TRAIL, {"close_position": True, "quantity": D(0)}),
        (-4001, STOP_LIMIT, {"price": D(0)}),
        (-2007, TRAIL, {"callback_rate": D(0)}),
        (-2007, TRAIL, {"callback_rate": D("10.1")}),
        (-2007, TRAIL, {"callback_rate": D("0.15")}),
        (-1106, TRAIL, {"trigger_price": D(95)}),
        (-1111, TRAIL, {"activation_price": D("101.05")}),
        (-1116, LIMIT, {"is_conditional": True}),
    ],
    ids=lambda value: str(value) if isinstance(value, int) else None,
)
def test_a_filter_refuses(code: int, order: NewOrder, wrong: dict[str, Any]) -> None:
    trader = Trader().price(100)
    is_conditional = wrong.pop("is_conditional", order in (STOP, STOP_LIMIT, TRAIL))
    place = trader.exchange.place_conditional if is_conditional else trader.exchange.place
    with refused(code):
        place(replace(order, **wrong), trader.tick())
    assert trader.news() == []
    assert trader.exchange.open_orders() == []
    assert trader.exchange.open_conditionals() == []


@pytest.mark.parametrize("order", [LIMIT, MARKET, STOP, STOP_LIMIT, TRAIL])
def test_the_orders_are_right_otherwise(order: NewOrder) -> None:
    trader = Trader().price(100)
    is_conditional = order in (STOP, STOP_LIMIT, TRAIL)
    place = trader.exchange.place_conditional if is_conditional else trader.exchange.place
    assert place(order, trader.tick()).symbol == BTC


def test_a_step_missed_has_another_number_than_a_digit_too_many() -> None:
    """A tick of 0.5: 99.3 has no digit too many, but is not on the grid."""
    trader = Trader().price(100)
    trader.exchange.change_instrument(replace(INSTRUMENT, tick_size=D("0.5"), lot_size=D("0.005")))
    with refused(-4014):
        trader.buy(1, "99.3")
    with refused(-4023):
        trader.buy("1.002", "99.5")
    with refused(-1111):
        trader.buy(1, "99.25")


def test_trailing_zeros_are_no_precision() -> None:
    assert Trader().price(100).buy("1.00000", "99.000").is_open


def test_a_price_below_the_smallest() -> None:
    trader = Trader()
    trader.exchange.change_instrument(replace(INSTRUMENT, price_min=D(50)))
    with refused(-4013):
        trader.buy(1, 49)


@pytest.mark.parametrize(
    ("status", "opening", "closing"),
    [
        (SymbolStatus.CLOSE, -4141, -4141),
        (SymbolStatus.PENDING_TRADING, -4140, -4140),
        (SymbolStatus.SETTLING, -4140, None),
    ],
)
def test_a_symbol_that_is_not_trading(
    status: SymbolStatus, opening: int, closing: int | None
) -> None:
    trader = Trader().price(100)
    trader.buy(1)
    trader.exchange.change_instrument(replace(INSTRUMENT, status=status))
    with refused(opening):
        trader.buy(1)
    if closing is None:
        trader.sell(1, reduce_only=True)
        assert trader.position().quantity == 0
    else:
        with refused(closing):
            trader.sell(1, reduce_only=True)


def test_resting_orders_are_bounded() -> None:
    trader = Trader().price(100)
    trader.exchange.change_instrument(replace(INSTRUMENT, orders_max=2))
    trader.buy(1, 99)
    trader.buy(1, 98)
    with refused(-2025):
        trader.buy(1, 97)


def test_a_reducing_order_may_be_small() -> None:
    trader = Trader().price(100)
    trader.buy(1)
    assert trader.sell("0.002", reduce_only=True).filled_quantity == D("0.002")


def test_every_message_can_be_said() -> None:
    for code in MESSAGES:
        error = refusal(code, "x")
        assert error.code == code
        assert "{" not in error.message


def test_decimals_of_a_grid() -> None:
    assert [decimals_of(D(step)) for step in ("0.10", "1", "10", "0.00001")] == [1, 0, 0, 5]
    assert (INSTRUMENT.price_decimals, INSTRUMENT.quantity_decimals) == (1, 3)
