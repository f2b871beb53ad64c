"""A second opinion: the same figures by skfolio.

Both take the deviation with n - 1 and the third and fourth moments with n. They differ in two
places. skfolio has no verdict below three returns, Tercel below two. And where n is no multiple of
the groups, skfolio gives the rest to the last group, Tercel one row each to the first ones: splits
are compared where n is a multiple.
"""

from __future__ import annotations

import math
from importlib import import_module
from types import ModuleType

import numpy as np
import pytest

from tercel.app.overfitting.cpcv import CrossValidation, paths_of_splits, purged_splits
from tercel.app.overfitting.deflated import deflate, expected_maximum
from tercel.app.overfitting.trial_matrix import Floats, trial_matrix, trial_sharpes
from tercel.app.sharpe import moments, probabilistic_sharpe, sharpe


@pytest.fixture(scope="module")
def measures() -> ModuleType:
    """Imported here, since that takes seconds."""
    return import_module("skfolio.measures")


def skewed(seed: int, shape: tuple[int, int]) -> Floats:
    """Returns with a fat left tail."""
    generator = np.random.default_rng(seed)
    returns: Floats = 0.03 - generator.lognormal(0.0, 0.5, size=shape) * 0.025
    return returns


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("benchmark", [0.0, 0.05, -0.2])
def test_probabilistic_sharpe(measures: ModuleType, seed: int, benchmark: float) -> None:
    returns = skewed(seed, (120, 1))[:, 0]
    shape = moments(returns)
    expected = measures.probabilistic_sharpe_ratio(returns, benchmark_sharpe_ratio=benchmark)
    assert probabilistic_sharpe(sharpe(shape), shape, benchmark) == pytest.approx(
        expected, rel=1e-10
    )


@pytest.mark.parametrize("trials", [1.0, 1.5, 2, 5, 46, 100, 12_345.6])
@pytest.mark.parametrize("deviation", [0.0, 0.03, 1.0])
def test_expected_maximum(measures: ModuleType, trials: float, deviation: float) -> None:
    expected = measures.expected_max_sharpe_ratio(trials, deviation)
    assert expected_maximum(trials, deviation**2) == pytest.approx(expected, rel=1e-12)


def test_barely_more_than_one_trial(measures: ModuleType) -> None:
    # The approximation leaves its range: skfolio returns what it gives, Tercel never below zero.
    assert measures.expected_max_sharpe_ratio(1.1, 1.0) < 0.0
    assert expected_maximum(1.1, 1.0) == 0.0


@pytest.mark.parametrize("seed", range(5))
def test_deflated_sharpe(measures: ModuleType, seed: int) -> None:
    returns = skewed(seed, (120, 30))
    ratios = trial_sharpes(trial_matrix(returns))
    best = returns[:, ratios.argmax()]
    expected = measures.deflated_sharpe_ratio(best, np.append(ratios, math.nan))
    found = deflate(moments(best), np.append(ratios, math.nan))
    assert found.probability == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize(
    "design",
    [
        CrossValidation(6, 2),
        CrossValidation(6, 3, purge=2),
        CrossValidation(5, 2, purge=1, embargo=3),
        CrossValidation(10, 8, embargo=2),
    ],
)
def test_combinatorial_splits_and_paths(design: CrossValidation) -> None:
    other = import_module("skfolio.model_selection").CombinatorialPurgedCV(
        design.groups, design.test_groups, design.purge, design.embargo
    )
    rows = np.zeros((120, 1))
    splits = list(purged_splits(120, design))
    assert (len(splits), design.paths) == (other.n_splits, other.n_test_paths)
    for split, (train, test) in zip(splits, other.split(rows), strict=True):
        assert np.flatnonzero(split.train).tolist() == train.tolist()
        assert np.flatnonzero(split.test).tolist() == np.concatenate(test).tolist()
    paths = paths_of_splits(design)
    for number, (split, ids) in enumerate(zip(splits, other.get_path_ids(), strict=True)):
        for group, path in zip(split.tested, ids, strict=True):
            assert paths[path, group] == number
