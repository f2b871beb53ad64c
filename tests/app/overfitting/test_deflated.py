"""Deflated Sharpe ratio: the figures of Bailey & Lopez de Prado (2014), and what luck gives."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tercel.app.overfitting.deflated import (
    average_correlation,
    deflate,
    deflated_sharpe,
    expected_maximum,
    independent_trials,
    independent_trials_entropy,
)
from tercel.app.overfitting.trial_matrix import Floats, TrialMatrix, trial_matrix, trial_sharpes
from tercel.app.sharpe import Moments, moments, probabilistic_sharpe, sharpe
from tercel.domain.errors import UserError

DAYS_A_YEAR = 250  # of the paper
RATIO = 2.5 / math.sqrt(DAYS_A_YEAR)
VARIANCE = 0.5 / DAYS_A_YEAR
PAPER = Moments(1250, 0.0, 1.0, -3.0, 10.0)
NORMAL = Moments(1250, 0.0, 1.0, 0.0, 3.0)


def test_the_numerical_example_of_the_paper() -> None:
    assert expected_maximum(100, VARIANCE) == pytest.approx(0.1132, abs=5e-5)
    assert deflated_sharpe(RATIO, PAPER, VARIANCE, 100) == pytest.approx(0.9004, abs=5e-5)


def test_fewer_trials_or_normal_returns_would_have_passed() -> None:
    assert deflated_sharpe(RATIO, PAPER, VARIANCE, 46) == pytest.approx(0.9505, abs=5e-5)
    assert deflated_sharpe(RATIO, NORMAL, VARIANCE, 88) == pytest.approx(0.9505, abs=5e-5)


def test_one_trial_or_equal_trials_are_not_deflated() -> None:
    assert expected_maximum(1, VARIANCE) == 0.0
    assert expected_maximum(1.0 + 1e-12, VARIANCE) == 0.0
    assert expected_maximum(50, 0.0) == 0.0
    assert deflated_sharpe(RATIO, PAPER, VARIANCE, 1) == probabilistic_sharpe(RATIO, PAPER)


def test_two_trials_by_hand() -> None:
    # Z(1/2) = 0 and Z(1 - 1 / (2 e)) = 0.90045, so 0.57722 * 0.90045 = 0.51976. The exact maximum
    # of two, 1 / sqrt(pi) = 0.5642, is a little higher: the formula is meant for many.
    assert expected_maximum(2, 1.0) == pytest.approx(0.51976, abs=5e-6)
    assert expected_maximum(2, 4.0) == pytest.approx(2 * expected_maximum(2, 1.0))


@pytest.mark.parametrize(("trials", "tolerance"), [(10, 0.04), (100, 0.04), (1000, 0.04)])
def test_the_expected_maximum_is_that_of_normal_draws(trials: int, tolerance: float) -> None:
    drawn = np.random.default_rng(5).normal(size=(2000, trials)).max(axis=1)
    assert expected_maximum(trials, 1.0) == pytest.approx(drawn.mean(), abs=tolerance)


@given(st.floats(1.0, 1e6), st.floats(0.0, 4.0))
def test_a_maximum_is_never_below_the_mean_and_grows(trials: float, variance: float) -> None:
    found = expected_maximum(trials, variance)
    assert found >= 0.0
    assert expected_maximum(trials * 2, variance) >= found


@given(st.floats(-1.0, 1.0), st.floats(1.0, 1e4), st.floats(0.0, 1.0))
def test_a_probability_that_more_trials_only_lower(
    ratio: float, trials: float, variance: float
) -> None:
    found = deflated_sharpe(ratio, NORMAL, variance, trials)
    assert 0.0 <= found <= 1.0
    assert deflated_sharpe(ratio, NORMAL, variance, trials * 3) <= found
    assert found <= probabilistic_sharpe(ratio, NORMAL)


@pytest.mark.parametrize(
    ("trials", "variance"), [(0.5, 1.0), (math.nan, 1.0), (math.inf, 1.0), (5, -1.0), (5, math.nan)]
)
def test_numbers_that_make_no_sense_are_refused(trials: float, variance: float) -> None:
    with pytest.raises(UserError):
        expected_maximum(trials, variance)


def test_deflation_of_a_chosen_trial() -> None:
    returns = np.random.default_rng(2).normal(0.001, 0.01, size=(500, 4))
    ratios = np.array([sharpe(moments(column)) for column in returns.T])
    chosen = moments(returns[:, ratios.argmax()])
    found = deflate(chosen, np.append(ratios, [math.nan, math.nan]))
    assert (found.trials, found.left_out, found.variance_is_assumed) == (4.0, 2, False)
    assert found.variance == pytest.approx(float(np.var(ratios, ddof=1)))
    assert found.benchmark == expected_maximum(4, found.variance)
    assert found.probability == probabilistic_sharpe(ratios.max(), chosen, found.benchmark)
    assert deflate(chosen, ratios, trials=400).probability < found.probability


def test_trials_that_all_did_the_same_are_one() -> None:
    chosen = moments(np.random.default_rng(2).normal(0.001, 0.01, size=500))
    found = deflate(chosen, np.full(30, sharpe(chosen)))
    assert (found.variance, found.benchmark) == (0.0, 0.0)
    assert found.probability == probabilistic_sharpe(sharpe(chosen), chosen)


def test_many_trials_of_which_only_one_ratio_is_known() -> None:
    # Ratios of worthless trials over 500 periods have a variance of 1 / 499.
    chosen = moments(np.random.default_rng(2).normal(0.001, 0.01, size=500))
    found = deflate(chosen, np.array([sharpe(chosen)]), trials=200)
    assert found.variance_is_assumed
    assert found.variance == 1 / 499
    assert found.benchmark == expected_maximum(200, 1 / 499)
    single = deflate(chosen, np.array([sharpe(chosen)]))
    assert (single.trials, single.benchmark, single.variance_is_assumed) == (1.0, 0.0, False)


def test_a_trial_without_variance_has_no_verdict() -> None:
    found = deflate(moments(np.zeros(10)), np.array([math.nan]))
    assert math.isnan(found.probability)
    assert found.left_out == 1
    with pytest.raises(UserError, match="finite"):
        deflate(NORMAL, np.array([math.inf]))


def test_luck_alone_passes_no_more_often_than_stated() -> None:
    # 400 searches among 50 worthless trials. Not deflated, most of the winners would pass at 95 %.
    # Deflated, the winner of a search passes about as often as one that nobody chose: the benchmark
    # is the mean of the maximum, which spreads less than a single ratio does.
    generator = np.random.default_rng(11)
    plain, deflated = 0, 0
    for _ in range(400):
        ratios: Floats = generator.normal(size=50) / math.sqrt(499)
        best = float(ratios.max())
        shape = Moments(500, best, 1.0, 0.0, 3.0)
        plain += probabilistic_sharpe(best, shape) > 0.95
        deflated += deflate(shape, ratios).probability > 0.95
    assert plain / 400 > 0.85
    assert deflated / 400 < 0.05


def correlated(rho: float, shape: tuple[int, int], seed: int = 3) -> TrialMatrix:
    """Trials that share one factor: every pair correlated by about `rho`."""
    generator = np.random.default_rng(seed)
    common = generator.normal(size=(shape[0], 1))
    own = generator.normal(size=shape)
    return trial_matrix(math.sqrt(rho) * common + math.sqrt(1 - rho) * own)


def test_average_correlation_is_the_mean_over_pairs() -> None:
    matrix = correlated(0.4, (60, 7))
    every: Floats = np.asarray(np.corrcoef(matrix.returns.T))
    naive = every[np.triu_indices(7, 1)].mean()
    assert average_correlation(matrix) == pytest.approx(naive, rel=1e-12)


def test_independent_trials_between_one_and_all() -> None:
    same = np.random.default_rng(1).normal(size=(50, 1))
    twins = trial_matrix(np.repeat(same, 10, axis=1) * np.arange(1, 11))
    assert independent_trials(twins) == pytest.approx(1.0)
    assert independent_trials_entropy(twins) == pytest.approx(1.0)
    # orthogonal columns
    square = trial_matrix(np.array([[1.0, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]))
    assert independent_trials(square) == pytest.approx(3.0)
    assert independent_trials_entropy(square) == pytest.approx(3.0)
    # opposite columns: a correlation of -1 counts as zero
    mirrored = trial_matrix(np.column_stack((same, -same)))
    assert independent_trials(mirrored) == 2.0
    assert independent_trials_entropy(mirrored) == pytest.approx(1.0)


def test_ten_trials_at_one_half_count_as_five_and_a_half() -> None:
    matrix = correlated(0.5, (200_000, 10))
    assert independent_trials(matrix) == pytest.approx(5.5, abs=0.05)
    # Eigenvalues 5.5 and nine of 0.5: exp(0.55 ln(1 / 0.55) + 9 * 0.05 ln 20) = 5.35
    assert independent_trials_entropy(matrix) == pytest.approx(5.35, abs=0.05)


def test_groups_of_twins_count_once_by_entropy() -> None:
    two = np.random.default_rng(1).normal(size=(400, 2))
    matrix = trial_matrix(np.repeat(two, 20, axis=1))
    assert independent_trials_entropy(matrix) == pytest.approx(2.0, abs=0.02)
    assert 18.0 < independent_trials(matrix) < 23.0  # half of the pairs: rho = 19/39


def test_none_and_one() -> None:
    assert math.isnan(independent_trials(trial_matrix(np.zeros((5, 3)))))
    assert math.isnan(independent_trials_entropy(trial_matrix(np.zeros((5, 3)))))
    one = trial_matrix(np.random.default_rng(1).normal(size=(5, 1)))
    assert independent_trials(one) == 1.0
    assert math.isnan(average_correlation(one))


@pytest.mark.parametrize("rho", [0.0, 0.5, 0.8])
def test_the_plain_count_is_right_and_every_cut_is_lenient(rho: float) -> None:
    # Why the count as it is remains the default of `deflate`, and why the gentler of the two
    # measures is `independent_trials`: correlated trials already vary less.
    best, plain, average, entropy = [], [], [], []
    for seed in range(100):
        matrix = correlated(rho, (300, 40), seed)
        ratios = trial_sharpes(matrix)
        variance = float(ratios.var(ddof=1))
        best.append(float(ratios.max()))
        plain.append(expected_maximum(40, variance))
        average.append(expected_maximum(independent_trials(matrix), variance))
        entropy.append(expected_maximum(independent_trials_entropy(matrix), variance))
    assert np.mean(plain) == pytest.approx(np.mean(best), abs=0.012)
    assert np.mean(entropy) <= np.mean(average) <= np.mean(plain)


@given(st.integers(0, 2**32), st.integers(2, 12), st.integers(3, 40))
def test_counts_of_trials_stay_between_one_and_all(seed: int, columns: int, rows: int) -> None:
    returns: Floats = np.random.default_rng(seed).normal(size=(rows, columns))
    matrix = trial_matrix(returns)
    scaled = trial_matrix(returns[:, ::-1] * 8.0)
    for measure in (independent_trials, independent_trials_entropy):
        found = measure(matrix)
        assert 1.0 - 1e-9 <= found <= columns + 1e-9
        assert measure(scaled) == pytest.approx(found, rel=1e-9)
