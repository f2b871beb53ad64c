"""The planted edge: there when asked for, of the stated size; absent otherwise."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from tercel.adapters.synthetic import (
    SyntheticMarket,
    edge_worth,
    generate,
    market_named,
    planted_drift,
    planted_sides,
)
from tercel.core.records import Records
from tercel.domain.errors import DataError

START = 1_704_067_200_000
DAYS = 40
NONE = market_named("BTCUSDT", 1, START, DAYS, 0.0)
STRONG = replace(NONE, edge=0.5)


@pytest.fixture(scope="module")
def bars_none() -> Records:
    return generate(NONE)


@pytest.fixture(scope="module")
def bars_strong() -> Records:
    return generate(STRONG)


def returns_of(bars: Records) -> npt.NDArray[np.float64]:
    return np.asarray(np.diff(np.log(bars["close"])))


def slope(x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]) -> tuple[float, float]:
    """Least-squares slope of y on x through the means, and its standard error (White)."""
    away = x - x.mean()
    estimate = float((away * y).sum() / (away**2).sum())
    rest = y - y.mean() - estimate * away
    return estimate, float(np.sqrt((away**2 * rest**2).sum()) / (away**2).sum())


def test_sides_last_edge_bars_prolong_and_flip() -> None:
    market = SyntheticMarket(edge_bars=3, days=1)
    bars = generate(market)[:9]
    bars["bid_size"], bars["ask_size"] = 1.0, 1.0
    bars["bid_size"][[0, 2]] = 2.0  # pressed long twice
    bars["ask_size"][7] = 1.8  # pressed short, just
    assert planted_sides(bars, market).tolist() == [1, 1, 1, 1, 1, 0, 0, -1, -1]


@pytest.mark.parametrize("edge", [0.5, -0.3])
def test_the_edge_is_exactly_the_difference_to_the_market_without(edge: float) -> None:
    """Same seed, same book, same shocks: prices differ by the planted drift and nothing else."""
    with_edge = generate(replace(NONE, days=4, edge=edge))
    without = generate(replace(NONE, days=4))
    market = replace(NONE, days=4, edge=edge)
    for name in ("bid_size", "ask_size", "volume", "taker_buy_volume"):
        assert np.array_equal(with_edge[name], without[name])
    planted = np.cumsum(planted_drift(with_edge, market))
    found = np.log(with_edge["close"] / without["close"])
    assert np.abs(planted).max() > 0.002
    np.testing.assert_allclose(found, planted, atol=3e-6)  # a tick is 2.4e-6 of the price


def test_event_study_finds_the_stated_drift(bars_strong: Records) -> None:
    side = planted_sides(bars_strong, STRONG)[:-1].astype(np.float64)
    found, error = slope(side, returns_of(bars_strong))
    stated = STRONG.edge_bps * 1e-4 / STRONG.edge_bars
    assert abs(found - stated) < 3 * error
    assert found > 8 * error


def test_event_study_over_the_whole_horizon(bars_strong: Records) -> None:
    """After a fresh signal the price goes `edge_bps`, less what an opposite signal cuts off."""
    sides = planted_sides(bars_strong, STRONG)
    onsets = np.flatnonzero((sides[1:] != 0) & (sides[1:] != sides[:-1])) + 1
    onsets = onsets[onsets < len(sides) - STRONG.edge_bars - 1]
    path = np.log(bars_strong["close"])
    gone = sides[onsets] * (path[onsets + STRONG.edge_bars] - path[onsets]) * 1e4
    error = gone.std() / np.sqrt(len(gone))
    assert len(onsets) > 800
    assert abs(gone.mean() - STRONG.edge_bps) < 3 * error + 0.15 * STRONG.edge_bps
    assert gone.mean() > 6 * error


def test_without_an_edge_there_is_none(bars_none: Records) -> None:
    side = planted_sides(bars_none, NONE)[:-1].astype(np.float64)
    found, error = slope(side, returns_of(bars_none))
    documented = 0.2e-4  # the lead of the imbalance, at most
    assert abs(found) < 3 * error + documented
    assert not planted_drift(bars_none, NONE).any()


def test_the_imbalance_leads_too_little_to_trade() -> None:
    """Over ten times the bars of the other tests the lead shows, far below a round trip's cost."""
    bars = generate(replace(NONE, days=400))
    imbalance = np.log(bars["bid_size"] / bars["ask_size"])[:-1]
    ahead = returns_of(bars)
    found, error = slope(imbalance / imbalance.std(), ahead)
    assert found > 2 * error
    best = np.abs(imbalance) > 2 * imbalance.std()
    gained = (np.sign(imbalance) * ahead)[best].mean() * 1e4
    assert gained < 0.6 < 2.0  # basis points per minute, against 2 bps of costs


def test_nothing_else_known_at_the_close_says_where_the_price_goes(bars_none: Records) -> None:
    ahead = returns_of(bars_none)
    flow = bars_none["taker_buy_volume"] / np.maximum(bars_none["volume"], 1e-9) - 0.5
    candidates = {
        "return": np.concatenate(([0.0], ahead)),
        "flow": flow,
        "volume": np.log1p(bars_none["volume"]),
        "range": np.log(bars_none["high"] / bars_none["low"]),
        "spread": bars_none["spread_bps"],
    }
    for name, known in candidates.items():
        found, error = slope(known[:-1], ahead)
        assert abs(found) < 4 * error, name


def test_worth_states_what_is_measured(bars_none: Records, bars_strong: Records) -> None:
    strong = edge_worth(bars_strong, STRONG)
    spread = 3 / np.sqrt(DAYS / 365)  # three standard errors of an annualised Sharpe ratio
    assert abs(strong.sharpe_measured - strong.sharpe_expected) < spread
    assert strong.sharpe_expected > 20
    assert strong.net_bps == pytest.approx(strong.gross_bps - 2.0)
    none = edge_worth(bars_none, NONE)
    assert none.gross_bps == 0
    assert none.sharpe_expected < -3
    assert none.sharpe_measured < 3
    assert 10 < none.round_trips_per_day < 60


def test_a_negative_edge_is_worth_its_opposite() -> None:
    market = replace(NONE, days=10, edge=-0.5)
    assert edge_worth(generate(market), market).gross_bps > 5


def test_missing_bars_cannot_be_judged() -> None:
    market = replace(NONE, days=1, missing_per_day=30)
    with pytest.raises(DataError, match="gaps"):
        planted_sides(generate(market), market)
