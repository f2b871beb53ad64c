"""Drift tests: published figures, trades by hand, and false-alarm rates by simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tercel.app.overfitting.sequential import (
    Decision,
    Drift,
    MeanTest,
    WinRateTest,
    cusum_paths,
    cusum_run_length,
    cusum_threshold,
    cusum_threshold_resampled,
    mean_bounds,
    mean_bounds_drift,
    mean_drift,
    win_rate_drift,
)
from tercel.app.sharpe import Floats
from tercel.domain.errors import UserError

WIN_RATE = WinRateTest(reference=0.60, drop=0.10, false_alarm=0.05, missed=0.10)
STANDARD = MeanTest(mean=0.0, deviation=1.0)
WATCHES = 2000


def rate(found: list[Drift], decision: Decision) -> float:
    return sum(one.decision is decision for one in found) / len(found)


def r_multiples(generator: np.random.Generator, shape: tuple[int, int]) -> Floats:
    """Trades that win 2.2 R with chance 0.4 and lose 1.1 R otherwise."""
    values: Floats = np.where(generator.random(shape) < 0.4, 2.2, -1.1)
    return values


R_TEST = MeanTest(mean=0.4 * 2.2 - 0.6 * 1.1, deviation=3.3 * math.sqrt(0.4 * 0.6))


def test_a_losing_streak_by_hand() -> None:
    # A loss adds ln(0.5 / 0.4) = 0.2231, and ln(1 / 0.05) = 2.9957 is passed at the 14th.
    found = win_rate_drift(np.zeros(40, dtype=np.bool_), WIN_RATE)
    assert (found.decision, found.trades) == (Decision.DRIFTING, 14)
    assert found.statistic == pytest.approx(14 * math.log(0.5 / 0.4))
    assert found.threshold == pytest.approx(2.9957, abs=5e-5)


def test_a_winning_streak_by_hand() -> None:
    # A win adds ln(0.5 / 0.6) = -0.1823, and ln(0.10) = -2.3026 is passed at the 13th.
    found = win_rate_drift(np.ones(40, dtype=np.bool_), WIN_RATE)
    assert (found.decision, found.trades) == (Decision.OK, 13)
    assert win_rate_drift(np.ones(12, dtype=np.bool_), WIN_RATE).decision is Decision.UNDECIDED
    nothing = win_rate_drift(np.zeros(0, dtype=np.bool_), WIN_RATE)
    assert (nothing.statistic, nothing.decision, nothing.trades) == (0.0, Decision.UNDECIDED, 0)


def test_win_rate_alarms_are_as_rare_as_stated() -> None:
    generator = np.random.default_rng(1)
    same = [win_rate_drift(row, WIN_RATE) for row in generator.random((WATCHES, 1500)) < 0.60]
    fallen = [win_rate_drift(row, WIN_RATE) for row in generator.random((WATCHES, 1500)) < 0.50]
    assert 0.03 < rate(same, Decision.DRIFTING) <= 0.055
    assert rate(fallen, Decision.OK) <= 0.105
    assert rate(same, Decision.UNDECIDED) == 0.0
    # Wald's approximation of trades needed while the rate is the reference:
    # (a ln(20) + (1 - a) ln(0.1)) / mean step = (0.15 - 2.19) / -0.0201 = 101
    assert np.mean([one.trades for one in same]) == pytest.approx(101, rel=0.12)


def test_run_lengths_of_the_tables() -> None:
    # Exact values for allowance 0.5 (Lucas & Crosier 1982, two-sided halved): one side 336 at 4,
    # 930 at 5; a shift of one deviation is noticed after 8.4 and 10.4.
    assert cusum_run_length(4, 0.5, 0.0) == pytest.approx(336, rel=0.01)
    assert cusum_run_length(5, 0.5, 0.0) == pytest.approx(930, rel=0.01)
    assert cusum_run_length(4, 0.5, 1.0) == pytest.approx(8.38, abs=0.05)
    assert cusum_run_length(5, 0.5, 1.0) == pytest.approx(10.4, abs=0.1)
    assert cusum_run_length(4, 0.5, 0.5) == pytest.approx(5.166**2)
    assert cusum_run_length(1e4, 0.5, 0.0) == math.inf


def test_cusum_is_that_of_the_textbook() -> None:
    values = np.random.default_rng(1).normal(3.0, 2.0, size=50)
    test = MeanTest(mean=3.0, deviation=2.0, shift=0.6)
    up = down = 0.0
    naive = []
    for value in values:
        score = (value - 3.0) / 2.0
        up = max(0.0, up + score - 0.3)
        down = max(0.0, down - score - 0.3)
        naive.append((up, down))
    np.testing.assert_allclose(cusum_paths(values, test).T, naive, atol=1e-12)


def test_a_fall_by_hand() -> None:
    # Each trade two deviations low adds 2 - 0.25 = 1.75; the sixth passes 10.
    found = mean_drift(np.full(30, -2.0), STANDARD, threshold=10.0)
    assert (found.decision, found.trades) == (Decision.DRIFTING, 6)
    assert found.statistic == pytest.approx(10.5)
    assert mean_drift(np.full(30, 2.0), STANDARD, threshold=10.0) == found


def test_ok_needs_time_to_have_shown() -> None:
    enough = math.ceil(2 * cusum_run_length(10.0, 0.25, 0.5))
    early = mean_drift(np.zeros(enough - 1), STANDARD, threshold=10.0)
    assert (early.decision, early.trades) == (Decision.UNDECIDED, enough - 1)
    late = mean_drift(np.zeros(enough), STANDARD, threshold=10.0)
    assert (late.decision, late.trades) == (Decision.OK, enough)
    assert mean_drift(np.zeros(0), STANDARD).decision is Decision.UNDECIDED


def test_mean_alarms_are_as_rare_as_stated() -> None:
    generator = np.random.default_rng(2)
    limit = cusum_threshold(STANDARD)
    same = [mean_drift(row, STANDARD, limit) for row in generator.normal(size=(WATCHES, 500))]
    assert rate(same, Decision.DRIFTING) == pytest.approx(0.05, abs=0.015)
    trades = [mean_drift(row, R_TEST, limit) for row in r_multiples(generator, (WATCHES, 500))]
    assert rate(trades, Decision.DRIFTING) == pytest.approx(0.05, abs=0.015)
    lower = generator.normal(-0.5, 1.0, size=(500, 500))
    fallen = [mean_drift(row, STANDARD, limit) for row in lower]
    assert rate(fallen, Decision.DRIFTING) > 0.99
    assert np.mean([one.trades for one in fallen]) == pytest.approx(
        cusum_run_length(limit, 0.25, 0.5), rel=0.1
    )


def test_slippage_needs_a_threshold_of_its_own() -> None:
    # Log-normal slippage: the closed form would cry wolf in a fifth of all watches.
    generator = np.random.default_rng(3)
    reference = generator.lognormal(size=4000)
    test = MeanTest(float(reference.mean()), float(reference.std()))
    limit = cusum_threshold_resampled(reference, test, generator)
    drawn = generator.choice(reference, size=(WATCHES, 500))
    assert rate([mean_drift(row, test, limit) for row in drawn], Decision.DRIFTING) == (
        pytest.approx(0.05, abs=0.02)
    )
    assert rate([mean_drift(row, test) for row in drawn], Decision.DRIFTING) > 0.15


def test_bounds_by_hand() -> None:
    # a = 0.05: 2 ln 20 = 5.9915, rho = 100 / (5.9915 + ln 6.9915) = 12.60. After 100 trades:
    # sqrt(112.60 (ln(112.60 / 12.60) + 5.9915)) / 100 = sqrt(112.60 * 8.1817) / 100 = 0.3035
    low, high = mean_bounds(np.full(100, 0.2), 1.0, 0.05, 100)
    assert high[-1] - 0.2 == pytest.approx(0.3035, abs=1e-4)
    assert 0.2 - low[-1] == pytest.approx(0.3035, abs=1e-4)
    assert mean_bounds(np.zeros(100), 2.0, 0.05, 100)[1][-1] == pytest.approx(0.6070, abs=2e-4)


def test_bounds_are_tightest_where_they_are_told_to_be() -> None:
    widths = [mean_bounds(np.zeros(200), 1.0, 0.05, at)[1][199] for at in (20, 200, 2000)]
    assert min(widths) == widths[1]


def test_bounds_hold_at_all_times() -> None:
    generator = np.random.default_rng(4)
    for values, test in (
        (generator.normal(size=(WATCHES, 1500)), STANDARD),
        (r_multiples(generator, (WATCHES, 1500)), R_TEST),
    ):
        left = 0
        for row in values:
            low, high = mean_bounds((row - test.mean) / test.deviation, 1.0, 0.05, 500)
            left += bool(((low > 0.0) | (high < 0.0)).any())
        assert 0.01 < left / WATCHES <= 0.05


def test_bounds_decide() -> None:
    generator = np.random.default_rng(5)
    same = [mean_bounds_drift(row, STANDARD) for row in generator.normal(size=(500, 1000))]
    assert rate(same, Decision.DRIFTING) <= 0.05
    assert rate(same, Decision.OK) >= 0.95
    fallen = [mean_bounds_drift(row, STANDARD) for row in generator.normal(-0.5, 1, (500, 1000))]
    assert rate(fallen, Decision.DRIFTING) > 0.95
    few = mean_bounds_drift(generator.normal(size=10), STANDARD)
    assert (few.decision, few.trades) == (Decision.UNDECIDED, 10)
    assert mean_bounds_drift(np.zeros(0), STANDARD).decision is Decision.UNDECIDED


@pytest.mark.parametrize(
    "numbers", [(1.0, 0.1), (0.5, 0.5), (0.5, 0.0), (0.5, 0.1, 0.0), (0.5, 0.1, 0.6, 0.4)]
)
def test_win_rates_out_of_range_are_refused(numbers: tuple[float, ...]) -> None:
    with pytest.raises(UserError):
        WinRateTest(*numbers)


@pytest.mark.parametrize(
    "numbers",
    [(math.nan, 1.0), (0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 1.0, 0.5, 1.0), (0.0, 1.0, 0.5, 0.05, 0)],
)
def test_references_out_of_range_are_refused(numbers: tuple[float, ...]) -> None:
    with pytest.raises(UserError):
        MeanTest(*numbers)  # type: ignore[arg-type]


def test_trades_without_a_figure_are_refused() -> None:
    with pytest.raises(UserError, match="finite"):
        mean_drift(np.array([math.nan]), STANDARD)
    with pytest.raises(UserError, match="finite"):
        mean_bounds_drift(np.array([math.nan]), STANDARD)
    with pytest.raises(UserError, match="two finite"):
        cusum_threshold_resampled(np.array([1.0]), STANDARD, np.random.default_rng(1))


@given(st.integers(0, 2**32), st.floats(0.1, 50.0), st.floats(-5.0, 5.0))
def test_the_unit_of_a_figure_does_not_matter(seed: int, scale: float, offset: float) -> None:
    values = np.random.default_rng(seed).normal(0.3, 1.0, size=80)
    other = MeanTest(mean=offset, deviation=scale)
    first, second = mean_drift(values, STANDARD), mean_drift(values * scale + offset, other)
    assert (first.decision, first.trades) == (second.decision, second.trades)
    assert first.statistic == pytest.approx(second.statistic, abs=1e-6)
    assert 0 <= first.trades <= 80
