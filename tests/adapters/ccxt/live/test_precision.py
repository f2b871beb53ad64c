"""Rounding to tick and lot, once, in Decimal."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tercel.adapters.ccxt.precision import VenueRules, exact, plain
from tercel.core.codes import OrderKind
from tercel.core.fills import floor_to_lot


def rules(tick: str = "0.1", lot: str = "0.001", market_lot: str | None = None) -> VenueRules:
    return VenueRules(
        symbol="BTCUSDT",
        tick_size=Decimal(tick),
        lot_size=Decimal(lot),
        market_lot_size=Decimal(market_lot or lot),
        quantity_min=Decimal(lot),
        notional_min=Decimal(0),
        is_trading=True,
    )


@pytest.mark.parametrize(
    ("wanted", "sent"),
    [
        (0.3, "0.3"),
        (0.29999999999999993, "0.3"),
        (0.30000000000000004, "0.3"),
        (0.1 + 0.2, "0.3"),
        (0.2999, "0.299"),
        (0.0009, "0"),
        (12345.6789, "12345.678"),
    ],
)
def test_quantities_go_down_to_whole_lots_and_leave_no_dust(wanted: float, sent: str) -> None:
    assert plain(rules().quantity(wanted, OrderKind.LIMIT)) == sent


def test_orders_that_take_the_market_have_their_own_lot() -> None:
    coarse = rules(market_lot="0.01")
    assert plain(coarse.quantity(0.057, OrderKind.LIMIT)) == "0.057"
    assert plain(coarse.quantity(0.057, OrderKind.MARKET)) == "0.05"
    assert plain(coarse.quantity(0.057, OrderKind.STOP)) == "0.05"


@pytest.mark.parametrize(
    ("wanted", "side", "sent"),
    [
        (99.37, 1, "99.3"),
        (99.37, -1, "99.4"),
        (99.3, 1, "99.3"),
        (99.30000000000001, -1, "99.3"),
        (99.29999999999998, 1, "99.3"),
    ],
)
def test_a_limit_never_pays_more_or_asks_less_than_wanted(
    wanted: float, side: int, sent: str
) -> None:
    assert plain(rules().limit_price(wanted, side)) == sent


@pytest.mark.parametrize(
    ("wanted", "side", "sent"),
    [
        (95.04, -1, "95.1"),  # the stop of a long, below the market: up
        (105.06, 1, "105"),  # the stop of a short, above the market: down
        (95.10000000000001, -1, "95.1"),
    ],
)
def test_a_stop_is_never_further_away_than_asked(wanted: float, side: int, sent: str) -> None:
    assert plain(rules().trigger_price(wanted, side)) == sent


def test_numbers_are_written_without_exponents() -> None:
    assert plain(Decimal("1E-5")) == "0.00001"
    assert plain(Decimal("1.200E+4")) == "12000"


@settings(deadline=None)
@given(
    st.floats(min_value=1e-6, max_value=1e6),
    st.sampled_from(["1", "0.1", "0.001", "0.00001", "5"]),
)
def test_quantities_are_those_of_the_core(wanted: float, lot: str) -> None:
    """The core counts lots in floats, the venue's boundary in Decimal: never a lot apart, unless
    the float lies within the slack of the next lot, where both count it up or one does.
    """
    sent = rules(lot=lot).quantity(wanted, OrderKind.LIMIT)
    assert sent % Decimal(lot) == 0
    core = exact(floor_to_lot(wanted, float(lot)))
    apart = abs(core - sent) / Decimal(lot)
    to_grid = abs(exact(wanted) / Decimal(lot) - (exact(wanted) / Decimal(lot)).to_integral_value())
    assert apart < Decimal("1e-6") or to_grid < exact(wanted) / Decimal(lot) * Decimal("2e-9")


@settings(deadline=None)
@given(
    st.floats(min_value=1e-4, max_value=1e6),
    st.sampled_from(["0.1", "0.01", "0.0001", "0.5"]),
    st.sampled_from([-1, 1]),
)
def test_prices_lie_on_the_grid_and_less_than_a_tick_away(
    wanted: float, tick: str, side: int
) -> None:
    sent = rules(tick=tick).limit_price(wanted, side)
    assert sent % Decimal(tick) == 0
    assert abs(sent - exact(wanted)) < Decimal(tick)
    worse = (sent - exact(wanted)) * side
    assert worse <= Decimal(tick) * Decimal("1e-6")
