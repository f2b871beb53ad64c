"""Arithmetic of fills: lots, draws, slippage, whatever the numbers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.desk import JIT, START, stream

from tercel.core import fills
from tercel.core.codes import OrderStatus, Side, SlippageModel, Slot
from tercel.core.jit import new
from tercel.core.records import BAR, FILL

EXAMPLES = settings(deadline=None, derandomize=True, max_examples=150 if JIT else 40)
LOTS = st.sampled_from([1e-8, 1e-5, 0.0001, 0.001, 0.01, 0.1, 0.5, 1.0, 10.0])
INT64 = st.integers(0, 2**63 - 1)


@EXAMPLES
@given(quantity=st.floats(0.0, 1e6), lot=LOTS)
def test_floor_to_lot_is_the_last_whole_lot(quantity: float, lot: float) -> None:
    floored = fills.floor_to_lot(quantity, lot)
    lots = round(floored / lot)
    assert floored == pytest.approx(lots * lot, rel=1e-12)
    assert floored <= quantity * (1 + 2e-9)
    assert quantity - floored < lot * (1 + 1e-6)


@EXAMPLES
@given(lots=st.integers(0, 10_000_000), lot=LOTS)
def test_whole_lots_stay_what_they_are(lots: int, lot: float) -> None:
    """0.3 / 0.1 is 2.9999999999999996: still three lots."""
    assert round(fills.floor_to_lot(lots * lot, lot) / lot) == lots


def test_without_a_lot_any_quantity() -> None:
    assert fills.floor_to_lot(1.23456789, 0.0) == 1.23456789
    assert fills.floor_to_lot(0.1 + 0.2, 0.1) == pytest.approx(0.3)


@EXAMPLES
@given(seed=INT64, time=INT64, number=st.integers(0, 10_000))
def test_a_draw_is_a_share_and_depends_on_its_arguments_alone(
    seed: int, time: int, number: int
) -> None:
    one = fills.draw(seed, time, number)
    fills.draw(seed + 1 if seed < 2**62 else 0, time, number)
    assert 0.0 <= one < 1.0
    assert fills.draw(seed, time, number) == one


def draws(count: int, seed: int = 42, number: int = 0) -> Any:
    """One draw for each minute."""
    return np.array([fills.draw(seed, START + 60_000 * i, number) for i in range(count)])


def test_draws_are_uniform() -> None:
    """Chi-squared over 20 bins: below the 0.1 % point of 19 degrees of freedom, 43.8."""
    count = 20_000 if JIT else 4_000
    seen = np.histogram(draws(count), bins=20, range=(0, 1))[0]
    assert np.sum((seen - count / 20) ** 2 / (count / 20)) < 43.8


@pytest.mark.parametrize("other", [{"seed": 43}, {"number": 1}, {"number": 64}])
def test_draws_of_neighbours_have_nothing_in_common(other: dict[str, int]) -> None:
    count = 4_000
    mine, theirs = draws(count), draws(count, **other)
    assert abs(np.corrcoef(mine, theirs)[0, 1]) < 0.06
    assert abs(np.corrcoef(mine[1:], mine[:-1])[0, 1]) < 0.06


@EXAMPLES
@given(
    model=st.sampled_from(list(SlippageModel)),
    side=st.sampled_from([Side.LONG, Side.SHORT]),
    price=st.floats(0.001, 1e6),
    quantity=st.floats(0.001, 1e4),
    bps=st.floats(0.0, 100.0),
    ticks=st.tuples(st.integers(0, 5), st.integers(0, 5)),
    book=st.tuples(
        st.floats(0.0, 100.0), st.floats(0.0, 50.0), st.just(0.0) | st.floats(1e-6, 1e4)
    ),
    time=st.integers(0, 10**7),
)
def test_slippage_is_never_in_our_favour(
    model: SlippageModel,
    side: Side,
    price: float,
    quantity: float,
    bps: float,
    ticks: tuple[int, int],
    book: tuple[float, float, float],
    time: int,
) -> None:
    made = stream(
        slippage_model=model,
        slippage_bps=bps,
        impact_bps=bps,
        slippage_ticks_min=min(ticks),
        slippage_ticks_max=max(ticks),
        lot_size=0.0,
    )
    bar = new(BAR)
    bar.open_time = START + 60_000 * time
    bar.bid_size = bar.ask_size = book[0]
    bar.spread_bps, bar.volume = book[1], book[2]
    fills.begin_bar(made, bar)
    fills.order_market(made, Slot.ENTRY, int(side), quantity, 0)
    fill = new(FILL)
    fill.is_maker = True  # a row of the tape is written again and again
    assert fills.take(made, bar, int(Slot.ENTRY), price, fill)
    assert (fill.price - fill.reference_price) * side >= 0.0
    assert fill.reference_price == price
    assert not fill.is_maker
    if model == SlippageModel.TICKS:
        taken = abs(fill.price - price) / 0.1
        assert min(ticks) - 1e-3 <= taken <= max(ticks) + 1e-3


@EXAMPLES
@given(
    side=st.sampled_from([Side.LONG, Side.SHORT]),
    price=st.floats(1.0, 200.0),
    prices=st.lists(st.floats(1.0, 200.0), min_size=4, max_size=4),
    gap=st.booleans(),
)
def test_fill_prices_lie_within_the_bar(
    side: Side, price: float, prices: list[float], gap: bool
) -> None:
    """A stop never fills better than its price, a limit never worse, and neither out of reach."""
    made = stream(limit_gap_at_open=gap)
    bar = new(BAR)
    low, bar.open, bar.close, high = sorted(prices)
    bar.low, bar.high = low, high
    order = made.orders[Slot.STOP]
    order.side, order.price, order.status = side, price, OrderStatus.RESTING
    stopped = fills.stop_price(order, bar)
    limited = fills.limit_price(made, order, bar)
    if not math.isnan(stopped):
        assert (stopped - price) * side >= 0.0
        assert low <= stopped <= high
    else:
        assert high < price if side == Side.LONG else low > price
    if not math.isnan(limited):
        assert (limited - price) * side <= 0.0
        assert limited in (price, float(bar.open))
