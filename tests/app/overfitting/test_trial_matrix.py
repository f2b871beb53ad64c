"""Matrices of trials: what is refused, what is left out, and Sharpe ratios of parts."""

from __future__ import annotations

import numpy as np
import pytest

from tercel.app.overfitting.trial_matrix import (
    sharpe_from_sums,
    standardised,
    trial_matrix,
    trial_sharpes,
)
from tercel.app.sharpe import moments, sharpe
from tercel.domain.errors import UserError


def test_columns_without_variance_are_left_out_and_counted() -> None:
    matrix = trial_matrix(np.array([[0.0, 1.0, 2.0], [0.0, 3.0, 2.0], [0.0, 2.0, 2.0]]))
    assert (matrix.trials, matrix.left_out) == (1, 2)
    assert matrix.kept.tolist() == [1]


@pytest.mark.parametrize(
    ("returns", "said"),
    [
        (np.zeros(5), "matrix"),
        (np.zeros((1, 3)), "two periods"),
        (np.array([[1.0], [np.nan]]), "finite"),
        (np.array([[1.0], [np.inf]]), "finite"),
    ],
)
def test_what_is_no_matrix_of_returns_is_refused(returns: np.ndarray, said: str) -> None:
    with pytest.raises(UserError, match=said):
        trial_matrix(returns)


def test_sharpe_ratios_are_those_of_one_column_at_a_time() -> None:
    returns = np.random.default_rng(1).normal(0.1, [0.5, 2.0, 9.0], size=(40, 3))
    naive = [sharpe(moments(column)) for column in returns.T]
    assert trial_sharpes(trial_matrix(returns)) == pytest.approx(naive, rel=1e-12)


def test_parts_have_the_sharpe_ratio_of_their_rows() -> None:
    # A mean a million times the deviation: naive sums of squares would have lost every digit.
    returns = np.random.default_rng(1).normal([0.0, 1e6], 1.0, size=(40, 2))
    columns = standardised(trial_matrix(returns))
    rows = np.arange(40) % 3 == 0
    part = columns.scores[rows]
    found = sharpe_from_sums(
        np.array([float(rows.sum())]),
        part.sum(axis=0)[None],
        (part * part).sum(axis=0)[None],
        columns.offsets,
    )
    naive = [sharpe(moments(column)) for column in returns[rows].T]
    assert found[0] == pytest.approx(naive, rel=1e-9)


def test_a_part_without_movement_has_a_ratio_of_zero() -> None:
    returns = np.array([[0.0], [0.0], [0.0], [0.3], [0.1], [0.2]])
    columns = standardised(trial_matrix(returns))
    part = columns.scores[:3]
    found = sharpe_from_sums(
        np.array([3.0]), part.sum(axis=0)[None], (part * part).sum(axis=0)[None], columns.offsets
    )
    assert found.tolist() == [[0.0]]
