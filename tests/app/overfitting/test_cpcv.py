"""Combinatorial purged cross-validation: the book's figures, a slow twin, nothing leaks."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tercel.app.overfitting.cpcv import (
    CrossValidation,
    combinatorial_paths,
    group_edges,
    paths_of_splits,
    purged_splits,
)
from tercel.app.overfitting.trial_matrix import Floats
from tercel.app.sharpe import moments, sharpe
from tercel.domain.errors import UserError


def noise(seed: int, shape: tuple[int, int]) -> Floats:
    return np.random.default_rng(seed).normal(0.0, 0.01, size=shape)


def test_six_groups_of_which_two_are_tested_give_five_paths() -> None:
    # Figures 12.1 and 12.2 of the book: 15 splits, each group tested in 5 of them.
    design = CrossValidation(6, 2)
    assert (design.splits, design.paths) == (15, 5)
    paths = paths_of_splits(design)
    assert paths[0].tolist() == [0, 0, 1, 2, 3, 4]
    assert paths[1].tolist() == [1, 5, 5, 6, 7, 8]
    assert paths[4].tolist() == [4, 8, 11, 13, 14, 14]


@pytest.mark.parametrize(
    ("groups", "tested", "paths"), [(10, 2, 9), (6, 3, 10), (5, 1, 1), (8, 4, 35)]
)
def test_number_of_paths(groups: int, tested: int, paths: int) -> None:
    # phi = k / N * C(N, k)
    design = CrossValidation(groups, tested)
    assert design.paths == paths == design.splits * tested // groups
    assert paths_of_splits(design).shape == (paths, groups)


def test_groups_take_what_is_over_from_the_first() -> None:
    assert group_edges(14, 4).tolist() == [0, 4, 8, 11, 14]


def drawn(rows: int, design: CrossValidation) -> list[str]:
    """Each split as one letter a row: T for choosing, x tested, . left out."""
    return [
        "".join(
            "x" if test else "T" if train else "."
            for train, test in zip(split.train, split.test, strict=True)
        )
        for split in purged_splits(rows, design)
    ]


def test_purge_on_both_sides_and_embargo_after() -> None:
    assert drawn(12, CrossValidation(3, 1, purge=1, embargo=2)) == [
        "xxxx...TTTTT",
        "TTT.xxxx...T",
        "TTTTTTT.xxxx",
    ]
    assert drawn(12, CrossValidation(4, 2, purge=1)) == [
        "xxxxxx.TTTTT",
        "xxx.T.xxx.TT",
        "xxx.TTTT.xxx",
        "TT.xxxxxx.TT",
        "TT.xxx.T.xxx",
        "TTTTT.xxxxxx",
    ]  # fmt: skip


def naive_paths(returns: Floats, design: CrossValidation) -> list[list[float]]:
    """Row by row: each path's returns, from the p-th split that tests the row's group."""
    edges = group_edges(len(returns), design.groups)
    splits = list(purged_splits(len(returns), design))
    paths: list[list[float]] = [[] for _ in range(design.paths)]
    for row in range(len(returns)):
        group = next(g for g in range(design.groups) if edges[g] <= row < edges[g + 1])
        for path, split in enumerate([s for s in splits if group in s.tested]):
            ratios = [sharpe(moments(column[split.train])) for column in returns.T]
            paths[path].append(returns[row, ratios.index(max(ratios))])
    return paths


@pytest.mark.parametrize(
    "design", [CrossValidation(4, 2), CrossValidation(5, 2, 1, 1), CrossValidation(4, 1, 2)]
)
def test_paths_are_those_of_the_slow_twin(design: CrossValidation) -> None:
    returns = noise(7, (41, 6))
    found = combinatorial_paths(returns, design)
    assert found.returns.tolist() == naive_paths(returns, design)
    ratios = [sharpe(moments(path)) for path in found.returns]
    assert found.sharpes.tolist() == ratios
    assert found.sharpe_mean == pytest.approx(np.mean(ratios))
    assert found.sharpe_deviation == pytest.approx(
        np.std(ratios, ddof=1) if len(ratios) > 1 else math.nan, nan_ok=True
    )
    assert found.loss_share == np.mean(np.array(ratios) < 0)


def test_what_was_planted_is_found_on_every_path() -> None:
    returns = noise(1, (240, 30))
    returns[:, 12] += 0.01
    found = combinatorial_paths(returns, CrossValidation(6, 2, 3, 3))
    assert set(found.chosen) == {12}
    assert found.loss_share == 0.0
    assert (found.returns == returns[:, 12]).all()
    assert found.sharpe_deviation < 1e-15


def test_the_best_of_noise_is_worth_nothing_out_of_sample() -> None:
    design = CrossValidation(6, 2, 1, 1)
    found = [combinatorial_paths(noise(seed, (240, 50)), design).sharpe_mean for seed in range(400)]
    picked = [
        max(sharpe(moments(column)) for column in noise(seed, (240, 50)).T) for seed in range(5)
    ]
    assert abs(float(np.mean(found))) < 0.01  # each varies by 0.06
    assert min(picked) > 0.10  # what the same search shows without the split


def test_a_column_keeps_its_number_when_others_are_left_out() -> None:
    returns = np.column_stack((np.zeros(60), noise(2, (60, 2))))
    returns[:, 2] += 0.05
    found = combinatorial_paths(returns, CrossValidation(4, 2))
    assert set(found.chosen) == {2}
    assert found.left_out == 1


def test_a_path_without_movement_has_no_ratio() -> None:
    # Each of the two trials earns in a group where, for want of a better one, the other is chosen.
    returns = np.zeros((12, 2))
    returns[8:, 0] = [0.01, -0.01, 0.01, 0.02]
    returns[:4, 1] = [0.01, -0.01, 0.01, 0.02]
    found = combinatorial_paths(returns, CrossValidation(3, 1))
    assert found.sharpes.shape == (1,)
    assert math.isnan(found.sharpes[0])
    assert math.isnan(found.loss_share)
    assert math.isnan(found.sharpe_mean)


@pytest.mark.parametrize(
    ("numbers", "said"),
    [
        ((4, 4, 0, 0), "1 to 3"),
        ((4, 0, 0, 0), "1 to 3"),
        ((4, 2, -1, 0), "0 rows"),
        ((4, 2, 0, -1), "0 rows"),
        ((40, 20, 0, 0), "too many"),
    ],
)
def test_designs_that_do_not_work_are_refused(
    numbers: tuple[int, int, int, int], said: str
) -> None:
    with pytest.raises(UserError, match=said):
        CrossValidation(*numbers)


def test_too_little_data_is_refused() -> None:
    with pytest.raises(UserError, match="8 periods"):
        combinatorial_paths(noise(1, (7, 3)), CrossValidation(4, 2))
    with pytest.raises(UserError, match="reduce them"):
        combinatorial_paths(noise(1, (12, 3)), CrossValidation(4, 2, purge=6))
    with pytest.raises(UserError, match="nothing to choose"):
        combinatorial_paths(np.zeros((12, 3)), CrossValidation(4, 2))


@settings(max_examples=40, deadline=None)
@given(st.integers(3, 8), st.integers(1, 3), st.integers(0, 4), st.integers(0, 4))
def test_no_row_near_a_test_is_used_to_choose(
    groups: int, tested: int, purge: int, embargo: int
) -> None:
    design = CrossValidation(groups, min(tested, groups - 1), purge, embargo)
    times_tested = np.zeros(61, dtype=int)
    for split in purged_splits(61, design):
        times_tested += split.test
        for row in np.flatnonzero(split.train):
            before = split.test[max(row - purge - embargo, 0) : row]
            after = split.test[row : row + purge + 1]
            assert not before.any()
            assert not after.any()
    assert (times_tested == design.paths).all()
