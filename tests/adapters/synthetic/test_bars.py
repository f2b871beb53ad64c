"""The bars: same seed same bytes, and every rule that a bar must keep, over many seeds."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tercel.adapters.synthetic import SyntheticMarket, generate, hidden_regimes
from tercel.core.records import BAR, Records
from tercel.domain.errors import UserError

DAY = SyntheticMarket(seed=1, days=1)
TWO_DAYS = replace(DAY, days=2)
DAY_SHA256 = "d2db966fb8d322fdd821f0b7e08c4ed488cef763c64ee43f6b0d5d76bbc5e62c"


def markets() -> st.SearchStrategy[SyntheticMarket]:
    """One or two days of any market, with more accidents than usual."""
    return st.builds(
        SyntheticMarket,
        seed=st.integers(0, 2**63 - 1),
        symbol=st.sampled_from(["BTCUSDT", "XUSDT", "1000PEPEUSDT"]),
        days=st.integers(1, 2),
        start_price=st.sampled_from([0.012, 0.5, 9.99, 100.0, 2_300.0, 42_000.0, 950_000.0]),
        edge=st.floats(-1, 1),
        edge_bars=st.integers(1, 60),
        volatility_bps=st.floats(0.5, 50),
        quote_volume_minute=st.floats(1_000, 1e7),
        correlation=st.floats(0, 1),
        gaps_per_day=st.sampled_from([0.0, 1.0, 50.0]),
        halts_per_day=st.sampled_from([0.0, 0.2, 20.0]),
        wicks_per_day=st.sampled_from([0.0, 3.0, 100.0]),
        missing_per_day=st.sampled_from([0.0, 0.0, 30.0]),
    )


def check_bars(bars: Records, market: SyntheticMarket) -> None:
    """Every invariant of a bar file, and those the synthetic market adds."""
    assert bars.dtype == BAR
    assert bars.flags.c_contiguous
    for name in BAR.names or ():
        assert np.isfinite(bars[name].astype(np.float64)).all(), name
    assert (np.diff(bars["open_time"]) > 0).all()
    assert (bars["open_time"] % 60_000 == 0).all()
    assert (bars["low"] > 0).all()
    assert (bars["low"] <= np.minimum(bars["open"], bars["close"])).all()
    assert (bars["high"] >= np.maximum(bars["open"], bars["close"])).all()
    for name in ("open", "high", "low", "close"):
        on_grid = np.round(bars[name] * 10.0**market.price_decimals) / 10.0**market.price_decimals
        assert (bars[name] == on_grid).all(), name
    assert (bars["taker_buy_volume"] <= bars["volume"]).all()
    assert (bars["taker_buy_volume"] >= 0).all()
    assert (bars["taker_buy_quote_volume"] <= bars["quote_volume"]).all()
    assert (bars["bid_size"] > 0).all()
    assert (bars["ask_size"] > 0).all()
    assert (bars["spread_bps"] > 0).all()


def check_trading(bars: Records, market: SyntheticMarket) -> None:
    """Mean prices lie inside the bar; a halt is flat and empty."""
    traded = bars[bars["volume"] > 0]
    slack = 1e-9 * traded["high"] + 1e-6 / traded["volume"]  # quote volume is kept to six decimals
    mean = traded["quote_volume"] / traded["volume"]
    assert (mean >= traded["low"] - slack).all()
    assert (mean <= traded["high"] + slack).all()
    assert (traded["count"] >= 4).all()
    assert (traded["count"] <= np.round(traded["volume"] * 10.0**market.quantity_decimals)).all()
    still = bars[bars["volume"] == 0]
    assert (still["high"] == still["low"]).all()
    for name in ("count", "quote_volume", "taker_buy_volume", "taker_buy_quote_volume"):
        assert (still[name] == 0).all()


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(market=markets())
def test_every_bar_keeps_the_rules(market: SyntheticMarket) -> None:
    bars = generate(market)
    check_bars(bars, market)
    check_trading(bars, market)
    if market.missing_per_day == 0:
        assert len(bars) == market.days * 1440
        assert bars["open_time"][0] == market.start_ms
        assert bars["open_time"][-1] == market.end_ms - 60_000


def test_same_market_same_bytes() -> None:
    assert generate(DAY).tobytes() == generate(DAY).tobytes()


def test_the_first_day_of_seed_one_never_changes() -> None:
    """A change here is a new market under an old seed: raise app.synthesise.MODEL with it."""
    assert hashlib.sha256(generate(DAY).tobytes()).hexdigest() == DAY_SHA256


@pytest.mark.parametrize(
    "other",
    [replace(DAY, seed=2), replace(DAY, symbol="ETHUSDT"), replace(DAY, start_ms=86_400_000)],
    ids=["seed", "symbol", "start"],
)
def test_other_markets_differ(other: SyntheticMarket) -> None:
    assert not np.array_equal(generate(other)["close"], generate(DAY)["close"])
    assert not np.array_equal(generate(other)["bid_size"], generate(DAY)["bid_size"])


def test_a_longer_market_begins_with_the_shorter_one() -> None:
    """Which is also why nothing in a bar can come from a later one."""
    long = generate(replace(DAY, days=4))
    assert long[: 2 * 1440].tobytes() == generate(TWO_DAYS).tobytes()


def test_missing_bars_are_left_out_and_the_others_stay() -> None:
    whole = generate(TWO_DAYS)
    holed = generate(replace(TWO_DAYS, missing_per_day=50))
    assert 2880 - 160 < len(holed) < 2880 - 50
    assert holed.tobytes() == whole[np.isin(whole["open_time"], holed["open_time"])].tobytes()


def test_the_default_market_has_no_gaps_but_halts_wicks_and_jumps() -> None:
    market = SyntheticMarket(seed=3, days=4, halts_per_day=5, wicks_per_day=20, gaps_per_day=20)
    bars = generate(market)
    assert (np.diff(bars["open_time"]) == 60_000).all()
    assert 10 <= np.sum(bars["volume"] == 0) <= 400
    jumps = np.abs(np.log(bars["open"][1:] / bars["close"][:-1])) > 2e-4
    assert 40 <= np.sum(jumps) <= 110
    assert (bars["open"][1:] != bars["close"][:-1]).mean() > 0.3


def test_halts_start_where_they_are_drawn_and_last_two_to_ten_minutes() -> None:
    bars = generate(SyntheticMarket(seed=4, days=6, halts_per_day=3))
    still = np.concatenate(([False], bars["volume"] == 0, [False]))
    begins, ends = np.flatnonzero(~still[:-1] & still[1:]), np.flatnonzero(still[:-1] & ~still[1:])
    assert len(begins) > 5
    assert ((ends - begins) >= 2).all()
    assert ((ends - begins) <= 20).all()  # two may touch


@pytest.mark.parametrize(("correlation", "low", "high"), [(0.7, 0.45, 0.75), (0.0, -0.1, 0.2)])
def test_symbols_of_a_seed_move_together(correlation: float, low: float, high: float) -> None:
    """Even uncorrelated symbols share the regimes, and with them the fall that begins a panic."""
    market = replace(DAY, days=15, correlation=correlation)
    one, other = (
        np.diff(np.log(generate(replace(market, symbol=name))["close"]))
        for name in ("BTCUSDT", "ETHUSDT")
    )
    assert low < np.corrcoef(one, other)[0, 1] < high


def test_regimes_are_shared_by_the_symbols_of_a_seed() -> None:
    regimes = hidden_regimes(replace(DAY, days=20))
    assert set(np.unique(regimes)) >= {0, 1, 2}
    assert np.array_equal(regimes, hidden_regimes(replace(DAY, days=20, symbol="ETHUSDT")))
    assert (np.diff(regimes) != 0).sum() < 100


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"symbol": "btc/usdt"}, "symbol"),
        ({"start_ms": 1}, "midnight"),
        ({"days": 0}, "days"),
        ({"edge": 1.5}, "edge"),
        ({"start_price": float("nan")}, "start_price"),
        ({"correlation": -0.1}, "correlation"),
        ({"seed": -1}, "seed"),
    ],
)
def test_a_market_that_cannot_be_made_is_refused(change: dict[str, object], named: str) -> None:
    with pytest.raises(UserError, match=named):
        replace(DAY, **change)  # type: ignore[arg-type]


def test_the_grid_follows_the_price() -> None:
    assert (DAY.price_decimals, DAY.tick_size, DAY.quantity_decimals) == (1, 0.1, 3)
    cheap = replace(DAY, start_price=0.012)
    assert (cheap.price_decimals, cheap.quantity_decimals) == (7, 0)
