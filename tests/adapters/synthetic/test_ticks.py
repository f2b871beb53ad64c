"""Trades add up to their bars; ladders stand at the close of theirs."""

from __future__ import annotations

import numpy as np
import pytest

from tercel.adapters.synthetic import SyntheticMarket, generate, generate_depth, generate_trades
from tercel.domain.errors import UserError

HOUR = 3_600_000
MARKET = SyntheticMarket(seed=6, days=2, halts_per_day=10, quote_volume_minute=200_000)
BARS = generate(MARKET)
START = MARKET.start_ms + 23 * HOUR
END = START + 2 * HOUR
CHOSEN = BARS[(BARS["open_time"] >= START) & (BARS["open_time"] < END)]


def test_trades_add_up_to_the_bars() -> None:
    trades = generate_trades(MARKET, START, END)
    assert (np.diff(trades["time"]) >= 0).all()
    assert (trades["quantity"] > 0).all()
    for bar in CHOSEN:
        inside = (trades["time"] >= bar["open_time"]) & (trades["time"] < bar["open_time"] + 60_000)
        minute = trades[inside]
        assert len(minute) == bar["count"]
        if not len(minute):
            assert bar["volume"] == 0
            continue
        price, bought = minute["price"], minute["quantity"][~minute["is_buyer_maker"]]
        assert (price[0], price.max(), price.min(), price[-1]) == (
            bar["open"], bar["high"], bar["low"], bar["close"],
        )  # fmt: skip
        assert minute["quantity"].sum() == pytest.approx(bar["volume"], abs=1e-9)
        assert bought.sum() == pytest.approx(bar["taker_buy_volume"], abs=1e-9)


def test_any_small_bar_can_be_split() -> None:
    """Thin markets of whole lots, where a side may have no lot to trade."""
    thin = SyntheticMarket(seed=1, days=1, start_price=900, quote_volume_minute=1_000)
    bars = generate(thin)
    trades = generate_trades(thin, thin.start_ms, thin.end_ms)
    assert len(trades) == bars["count"].sum()
    assert trades["quantity"].sum() == pytest.approx(bars["volume"].sum())


def test_depth_stands_at_the_close() -> None:
    ladders = generate_depth(MARKET, START, END, levels=10)
    assert ladders.bid_price.shape == (120, 10)
    assert np.array_equal(ladders.time, CHOSEN["open_time"] + 60_000)
    assert (np.diff(ladders.bid_price, axis=1) < 0).all()
    assert (np.diff(ladders.ask_price, axis=1) > 0).all()
    assert (ladders.bid_size > 0).all()
    assert (ladders.ask_size > 0).all()
    assert np.array_equal(ladders.bid_size[:, 0], CHOSEN["bid_size"])
    assert np.array_equal(ladders.ask_size[:, 0], CHOSEN["ask_size"])
    best_bid, best_ask = ladders.bid_price[:, 0], ladders.ask_price[:, 0]
    at_close = (best_bid == CHOSEN["close"]) | (best_ask == CHOSEN["close"])
    assert at_close.all()
    spread = (best_ask - best_bid) / (0.5 * (best_ask + best_bid)) * 1e4
    np.testing.assert_allclose(spread, CHOSEN["spread_bps"], rtol=1e-3)


def test_fewer_levels_are_the_same_levels() -> None:
    few = generate_depth(MARKET, START, END, levels=3)
    many = generate_depth(MARKET, START, END, levels=10)
    assert np.array_equal(few.ask_price, many.ask_price[:, :3])
    assert np.array_equal(few.bid_size, many.bid_size[:, :3])


def test_a_halted_range_has_no_trades() -> None:
    still = int(BARS["open_time"][BARS["volume"] == 0][0])
    assert len(generate_trades(MARKET, still, still + 60_000)) == 0


@pytest.mark.parametrize(
    ("start", "end"),
    [(START, START), (MARKET.start_ms - 60_000, END), (START, MARKET.end_ms + 60_000)],
)
def test_a_range_outside_the_market_is_refused(start: int, end: int) -> None:
    with pytest.raises(UserError, match="within"):
        generate_depth(MARKET, start, end)


def test_bounds_are_said() -> None:
    with pytest.raises(UserError, match="one day"):
        generate_trades(MARKET, MARKET.start_ms, MARKET.end_ms)
    with pytest.raises(UserError, match="levels"):
        generate_depth(MARKET, START, END, levels=0)
