"""Block bootstrap: closed cases, coverage by simulation, block lengths of known processes."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tercel.app.overfitting.bootstrap import (
    Resampling,
    automatic_block_length,
    bootstrap_intervals,
    maximum_drawdowns,
    optimal_block_length,
    stationary_rows,
)
from tercel.app.sharpe import Floats, moments, sharpe
from tercel.domain.errors import UserError


def autoregressive(seed: int, shape: tuple[int, int], memory: float) -> Floats:
    """(series, n) first-order autoregressions with unit shocks, from their stationary law."""
    generator = np.random.default_rng(seed)
    values = np.empty(shape)
    values[:, 0] = generator.normal(size=shape[0]) / math.sqrt(1 - memory**2)
    for at in range(1, shape[1]):
        values[:, at] = memory * values[:, at - 1] + generator.normal(size=shape[0])
    return values


def test_drawdowns_by_hand() -> None:
    # 1 -> 1.1 -> 0.88 -> 1.056: 20 % below 1.1. The second falls from the start: 10 %, then 19 %.
    rows = np.array([[0.10, -0.20, 0.20], [-0.10, -0.10, 0.0], [0.1, 0.1, 0.1], [0.5, -1.2, 3.0]])
    assert maximum_drawdowns(rows) == pytest.approx([0.20, 0.19, 0.0, 1.0])


def test_rows_follow_each_other_within_a_block() -> None:
    generator = np.random.default_rng(1)
    rows = stationary_rows(50, 10.0, 400, generator)
    assert rows.shape == (400, 50)
    assert (rows.min(), rows.max()) == (0, 49)
    follows = (rows[:, 1:] - rows[:, :-1]) % 50 == 1
    # A new block begins with chance 1/10 and then follows by accident with chance 1/50.
    assert follows.mean() == pytest.approx(0.9 + 0.1 / 50, abs=0.01)
    counts = np.bincount(rows.ravel(), minlength=50)
    assert counts.min() > 0.7 * counts.mean()


def test_blocks_of_one_are_independent_draws() -> None:
    rows = stationary_rows(50, 1.0, 400, np.random.default_rng(1))
    follows = (rows[:, 1:] - rows[:, :-1]) % 50 == 1
    assert follows.mean() == pytest.approx(1 / 50, abs=0.005)


def test_estimates_are_those_of_the_history() -> None:
    returns = np.random.default_rng(1).normal(0.001, 0.01, size=300)
    found = bootstrap_intervals(returns, np.random.default_rng(2))
    assert found.sharpe.estimate == sharpe(moments(returns))
    assert found.drawdown.estimate == float(maximum_drawdowns(returns[None])[0])
    assert found.sharpe.low < found.sharpe.estimate < found.sharpe.high
    assert 0.0 < found.drawdown.low < found.drawdown.high < 1.0
    assert found.block_length == automatic_block_length(returns)
    assert found.undefined == 0


def test_the_same_seed_gives_the_same_intervals() -> None:
    returns = np.random.default_rng(1).normal(size=100) / 100
    first, again, other = (
        bootstrap_intervals(returns, np.random.default_rng(seed)) for seed in (5, 5, 6)
    )
    assert first == again
    assert first.sharpe != other.sharpe


def test_ninety_percent_means_ninety_percent() -> None:
    # 400 histories of 250 independent returns with a true Sharpe ratio of 0.1.
    generator = np.random.default_rng(3)
    plan = Resampling(histories=300, confidence=0.90)
    held = 0
    for _ in range(400):
        found = bootstrap_intervals(generator.normal(0.001, 0.01, size=250), generator, plan)
        held += found.sharpe.low <= 0.1 <= found.sharpe.high
    assert held / 400 == pytest.approx(0.90, abs=0.04)


def test_blocks_are_needed_where_returns_follow_each_other() -> None:
    # Memory of 0.5: the mean of n values varies sqrt(3) times as much as that of independent ones.
    generator = np.random.default_rng(4)
    true = 0.2 * math.sqrt(1 - 0.5**2)
    held = {"blocks": 0, "single": 0}
    for series in autoregressive(5, (200, 400), 0.5) + 0.2:
        for name, length in (("blocks", None), ("single", 1.0)):
            plan = Resampling(200, 0.90, length)
            found = bootstrap_intervals(series, generator, plan).sharpe
            held[name] += found.low <= true <= found.high
    assert held["single"] / 200 < 0.75
    assert held["blocks"] / 200 > 0.82


@pytest.mark.parametrize(("memory", "count"), [(0.5, 4000), (0.8, 4000)])
def test_block_length_of_an_autoregression(memory: float, count: int) -> None:
    # Theory: ((2 memory / (1 - memory^2))^2 n)^(1/3); 19 and 43 here.
    theory = ((2 * memory / (1 - memory**2)) ** 2 * count) ** (1 / 3)
    found = [optimal_block_length(series) for series in autoregressive(1, (20, count), memory)]
    assert np.mean(found) == pytest.approx(theory, rel=0.15)


def test_block_length_of_noise_is_short() -> None:
    found = [optimal_block_length(series) for series in autoregressive(1, (20, 2000), 0.0)]
    assert np.median(found) < 3.0


def test_block_length_sees_clusters_of_volatility() -> None:
    volatility = np.exp(autoregressive(8, (1, 3000), 0.97)[0] / 4)
    returns = volatility * np.random.default_rng(9).normal(size=3000)
    assert optimal_block_length(returns) < 15
    assert automatic_block_length(returns) > 25


def test_block_length_has_limits() -> None:
    assert optimal_block_length(np.ones(50)) == 1.0
    assert optimal_block_length(np.arange(5.0)) == 1.0
    # A straight line never goes quiet within the lags looked at.
    assert 10.0 < optimal_block_length(np.arange(100.0)) < 30.0
    # Noise minus the noise before it: its mean hardly varies at all, and the estimate of how much
    # may come out below zero. The longest block is used then: min(3 sqrt(400), 400 / 3) = 60.
    changes = np.diff(np.random.default_rng(2).normal(size=(30, 401)), axis=1)
    found = [optimal_block_length(series) for series in changes]
    assert min(found) >= 1.0
    assert max(found) == 60.0


def test_no_variance_has_no_ratio() -> None:
    found = bootstrap_intervals(np.zeros(10), np.random.default_rng(1))
    assert math.isnan(found.sharpe.estimate)
    assert math.isnan(found.sharpe.low)
    assert (found.drawdown.low, found.drawdown.high, found.undefined) == (0.0, 0.0, 2000)


def test_few_returns_leave_histories_without_variance() -> None:
    found = bootstrap_intervals(np.array([0.01, 0.02]), np.random.default_rng(1))
    assert found.undefined == pytest.approx(1000, abs=150)


@pytest.mark.parametrize("returns", [np.zeros(1), np.array([0.1, np.nan]), np.zeros((3, 2))])
def test_what_is_no_series_is_refused(returns: Floats) -> None:
    with pytest.raises(UserError, match="two finite returns"):
        bootstrap_intervals(returns, np.random.default_rng(1))


@pytest.mark.parametrize("numbers", [(50, 0.9, None), (200, 1.0, None), (200, 0.9, 0.5)])
def test_plans_out_of_range_are_refused(numbers: tuple[int, float, float | None]) -> None:
    with pytest.raises(UserError):
        Resampling(*numbers)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32), st.integers(2, 60), st.floats(1.0, 20.0))
def test_bounds_hold_and_leverage_leaves_the_ratio(seed: int, count: int, length: float) -> None:
    returns = np.random.default_rng(seed).normal(0.0, 0.02, size=count)
    plan = Resampling(100, 0.8, length)
    found = bootstrap_intervals(returns, np.random.default_rng(seed), plan)
    doubled = bootstrap_intervals(2.0 * returns, np.random.default_rng(seed), plan)
    assert 0.0 <= found.drawdown.low <= found.drawdown.high <= 1.0
    assert found.sharpe.low <= found.sharpe.high
    assert doubled.sharpe.low == pytest.approx(found.sharpe.low)
    assert doubled.drawdown.high >= found.drawdown.high
