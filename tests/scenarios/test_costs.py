"""Fees, slippage and funding, each with its worked number."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.desk import (
    MINUTE_MS,
    NAN,
    START,
    Ask,
    Outcome,
    asked,
    candles,
    funding_known,
    stream,
    trade,
)

from tercel.core.codes import EntryTiming, Side, SlippageModel
from tercel.core.fills import draw
from tercel.core.plan import TradePlan
from tercel.core.records import Records

HOUR_MS = 60 * MINUTE_MS
LONG_AND_SHORT = pytest.mark.parametrize("side", [Side.LONG, Side.SHORT], ids=["long", "short"])
AT_TARGET = "100 100 100 100\n100 121 79 100"
"""2R is reached for a long and for a short, and no stop (which is 30 away)."""


def to_the_target(side: int, **settings: Any) -> Outcome:
    """One unit entered at 100 and sold at its target, 15 away."""
    asks = {0: Ask(side, stop=30.0, target=15.0)}
    return trade(stream(**settings), candles(AT_TARGET), asked(2, asks))


@LONG_AND_SHORT
def test_entry_pays_the_taker_fee_and_the_target_the_maker_fee(side: int) -> None:
    run = to_the_target(side, taker_fee_rate=0.0005, maker_fee_rate=0.0002)
    exit_price = 100.0 + side * 15.0
    assert run.fills["is_maker"].tolist() == [False, True]
    assert run.fills["fee_quote"].tolist() == pytest.approx([100 * 0.0005, exit_price * 0.0002])
    assert run.trades["net_quote"][0] == pytest.approx(15.0 - 0.05 - exit_price * 0.0002)


def test_a_maker_rebate_is_income() -> None:
    run = to_the_target(Side.LONG, maker_fee_rate=-0.0001)
    assert run.account["cash_quote"] == pytest.approx(10_000 + 15.0 + 0.0115)


def test_a_resting_entry_pays_the_maker_fee_and_no_slippage() -> None:
    settings = {
        "taker_fee_rate": 0.0005,
        "maker_fee_rate": 0.0002,
        "slippage_model": SlippageModel.BPS,
        "slippage_bps": 10.0,
    }
    plan = TradePlan(entry="post_only")
    bars = candles("100 100 100 100\n101 102 99 101")
    (fill,) = trade(stream(plan, **settings), bars, asked(2, {0: Ask()})).fills
    assert (fill["price"], fill["is_maker"]) == (100.0, True)
    assert fill["fee_quote"] == pytest.approx(0.02)


@LONG_AND_SHORT
def test_slippage_in_basis_points(side: int) -> None:
    """5 bps of 100 is 0.05: a long enters at 100.05, its stop at 90.05 sells 0.045025 lower."""
    bars = candles("100 100 100 100\n100 111 89 100")
    settings = {"slippage_model": SlippageModel.BPS, "slippage_bps": 5.0}
    run = trade(stream(**settings), bars, asked(2, {0: Ask(side)}))
    stop = 100.0 + side * 0.05 - side * 10.0
    assert run.fills["price"].tolist() == pytest.approx(
        [100.0 + side * 0.05, stop - side * stop * 0.0005]
    )
    (made,) = run.trades
    assert made["slippage_quote"] == pytest.approx(0.05 + stop * 0.0005)
    assert made["gross_quote"] == pytest.approx(-10.0 + 0.05)
    assert made["net_quote"] == pytest.approx(-10.0 - stop * 0.0005)


@LONG_AND_SHORT
def test_slippage_in_ticks_is_the_draw_of_its_bar(side: int) -> None:
    settings = {
        "slippage_model": SlippageModel.TICKS,
        "slippage_ticks_min": 1,
        "slippage_ticks_max": 3,
        "seed": 7,
    }
    bars = candles("100 100 100 100")
    (fill,) = trade(stream(**settings), bars, asked(1, {0: Ask(side)})).fills
    ticks = 1 + int(draw(7, START, 0) * 3)
    assert fill["price"] == pytest.approx(100.0 + side * ticks * 0.1)


def with_book(bars: Records, size: float, spread_bps: float) -> Records:
    """The bars with a book; nobody bids, so that a buyer is seen to take the asks."""
    bars["bid_size"], bars["ask_size"] = 0.0, size
    bars["spread_bps"] = spread_bps
    return bars


@pytest.mark.parametrize(
    ("quantity", "volume", "price"),
    [
        (2.0, 100.0, 100.01),  # within the best level: half of a spread of 2 bps
        (2.0 + 25.0, 100.0, 100.26),  # a quarter of the volume beyond it: half of 50 bps more
        (2.0 + 100.0, 100.0, 100.51),  # all of the volume beyond it
        (3.0, 0.0, 100.51),  # no volume to measure by: the whole impact
    ],
)
def test_slippage_by_depth(quantity: float, volume: float, price: float) -> None:
    bars = with_book(candles([(100, 100, 100, 100, volume)]), size=2.0, spread_bps=2.0)
    settings = {"slippage_model": SlippageModel.DEPTH, "impact_bps": 50.0, "quantity": quantity}
    (fill,) = trade(stream(**settings), bars, asked(1, {0: Ask()})).fills
    assert fill["price"] == pytest.approx(price)


def test_a_seller_takes_the_bids() -> None:
    """25 of the 27 are beyond the 2 that were bid: as above, downwards."""
    bars = with_book(candles([(100, 100, 100, 100, 100)]), size=0.0, spread_bps=2.0)
    bars["bid_size"] = 2.0
    settings = {"slippage_model": SlippageModel.DEPTH, "impact_bps": 50.0, "quantity": 27.0}
    (fill,) = trade(stream(**settings), bars, asked(1, {0: Ask(Side.SHORT)})).fills
    assert fill["price"] == pytest.approx(99.74)


def day(rate: float = NAN, hours: int = 24) -> tuple[Records, Records]:
    """A day of still minutes at 100, and what is known of funding."""
    bars = candles([(100, 100, 100, 100)] * (60 * hours))
    return bars, funding_known(bars, rate)


FUNDING = {"funding_interval_ms": 8 * HOUR_MS, "funding_rate": 0.0001}


@LONG_AND_SHORT
@pytest.mark.parametrize(("known", "rate"), [(NAN, 0.0001), (0.0003, 0.0003), (-0.0002, -0.0002)])
def test_funding_at_0_8_and_16_utc(side: int, known: float, rate: float) -> None:
    """Entered at 00:01, held past 08:00, 16:00 and 24:00: three payments on 100."""
    bars, contexts = day(known)
    asks = asked(len(bars), {0: Ask(side)})
    run = trade(stream(**FUNDING), bars, asks, contexts=contexts)
    assert run.account["funding_quote"] == pytest.approx(-side * 3 * 100 * rate)
    paid = np.flatnonzero(np.diff(run.equity["equity"])) + 1
    assert run.equity["time"][paid].tolist() == [START + h * HOUR_MS for h in (8, 16, 24)]


def test_no_funding_where_there_are_no_settlements() -> None:
    bars, contexts = day(0.01)
    run = trade(stream(), bars, asked(len(bars), {0: Ask()}), contexts=contexts)
    assert run.account["funding_quote"] == 0.0


def test_an_entry_at_the_close_of_a_settlement_pays_from_the_next_one() -> None:
    bars, contexts = day(hours=17)
    at_eight = 8 * 60 - 1  # the candle that closes at 08:00
    run = trade(stream(**FUNDING), bars, asked(len(bars), {at_eight: Ask()}), contexts=contexts)
    assert run.account["funding_quote"] == pytest.approx(-0.01)
    assert run.streams[0]["funding_time"] == START + 24 * HOUR_MS


@pytest.mark.parametrize(
    ("plan", "settings"),
    [
        (TradePlan(), {"entry_timing": EntryTiming.NEXT_OPEN}),
        (TradePlan(entry="limit"), {"limit_through_ticks": 0.0}),
    ],
    ids=["next open", "limit"],
)
def test_an_entry_inside_the_minute_before_a_settlement_pays(
    plan: TradePlan, settings: dict[str, float]
) -> None:
    bars, contexts = day(hours=9)
    signal_at = 8 * 60 - 2  # its entry fills in the candle from 07:59 to 08:00
    signals = asked(len(bars), {signal_at: Ask()})
    run = trade(stream(plan, **FUNDING, **settings), bars, signals, contexts=contexts)
    assert run.entries == [(signal_at + 1, 100.0, 1.0)]
    assert run.account["funding_quote"] == pytest.approx(-0.01)


def test_settlements_in_a_gap_of_the_data_are_paid_after_it() -> None:
    bars, contexts = day()
    kept = np.r_[0:60, 17 * 60 : 18 * 60]  # nothing between 01:00 and 17:00
    signals = asked(len(kept), {0: Ask()})
    run = trade(stream(**FUNDING), bars[kept], signals, contexts=contexts[kept])
    assert run.account["funding_quote"] == pytest.approx(-0.02)
