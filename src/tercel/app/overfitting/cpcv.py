"""Combinatorial purged cross-validation: many out-of-sample paths from one history.

1. Cut the rows of a (T, N) matrix of returns into groups; each way to take `test_groups` of them is
   a split. Its other rows, without those too near to a test row, are for choosing.
2. In each split the trial with the best Sharpe ratio on the rows for choosing is applied to the
   test groups.
3. Each group is tested in as many splits as there are paths. The p-th path takes each group from
   the p-th split that tests it: a full history made of choices that never saw it.

A walk-forward gives one path and thus one Sharpe ratio; this gives a distribution.

Source: Lopez de Prado (2018), "Advances in Financial Machine Learning", chapters 7.4 and 12.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt

from tercel.app.overfitting.trial_matrix import (
    Floats,
    sharpe_from_sums,
    standardised,
    trial_matrix,
)
from tercel.app.sharpe import moments, sharpe
from tercel.domain.errors import UserError

Flags = npt.NDArray[np.bool_]
Integers = npt.NDArray[np.int64]

SPLITS_MAX = 20_000
"""More splits than this are a slip of the keyboard."""

_CELLS = 4_000_000
"""Splits times rows that are worked on at once: bounds the memory."""


@dataclass(frozen=True, slots=True)
class CrossValidation:
    """How the history is cut. Raises UserError when the numbers do not fit together."""

    groups: int = 6
    """Parts of the history, of equal length but for one row."""
    test_groups: int = 2
    """Parts that each split tests."""
    purge: int = 0
    """Rows left out on both sides of a test row: the longest time a trade is held, in rows."""
    embargo: int = 0
    """Rows left out after a test row on top of that, for what markets remember."""

    def __post_init__(self) -> None:
        """Check the numbers."""
        if not 1 <= self.test_groups < self.groups:
            raise UserError(
                f"test groups must be 1 to {self.groups - 1} of {self.groups}, "
                f"got {self.test_groups}"
            )
        if self.purge < 0 or self.embargo < 0:
            raise UserError("purge and embargo must be 0 rows or more")
        if self.splits > SPLITS_MAX:
            raise UserError(f"{self.splits:,} splits are too many (most: {SPLITS_MAX:,})")

    @property
    def splits(self) -> int:
        """Ways to take the test groups. 2 of 6: 15."""
        return math.comb(self.groups, self.test_groups)

    @property
    def paths(self) -> int:
        """Splits that test each group: splits * test_groups / groups. 2 of 6: 5."""
        return math.comb(self.groups - 1, self.test_groups - 1)


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """Which rows are for choosing and which for testing."""

    tested: tuple[int, ...]
    """The test groups, ascending, counted from 0."""
    train: Flags
    """(T,) rows for choosing."""
    test: Flags
    """(T,) rows for testing. Rows in neither are purged or under embargo."""


def group_edges(rows: int, groups: int) -> Integers:
    """(groups + 1,) first row of each group, and the end. The first groups take what is over."""
    sizes = np.full(groups, rows // groups, dtype=np.int64)
    sizes[: rows % groups] += 1
    return np.concatenate(([0], np.cumsum(sizes)))


def purged_splits(rows: int, design: CrossValidation) -> Iterator[Split]:
    """Every split of `rows` rows, in the order of the test groups.

    Raises UserError when a group has fewer than two rows.
    """
    if rows < 2 * design.groups:
        raise UserError(f"{design.groups} groups need {2 * design.groups} periods, got {rows}")
    edges = group_edges(rows, design.groups)
    for tested in combinations(range(design.groups), design.test_groups):
        test = np.zeros(rows, dtype=np.bool_)
        near = np.zeros(rows, dtype=np.bool_)
        for group in tested:
            start, end = int(edges[group]), int(edges[group + 1])
            test[start:end] = True
            near[max(start - design.purge, 0) : end + design.purge + design.embargo] = True
        yield Split(tested, ~near, test)


@dataclass(frozen=True, slots=True, eq=False)
class CombinatorialPaths:
    """Out-of-sample histories. C splits, P paths, T rows."""

    chosen: Integers
    """(C,) column with the best Sharpe ratio on the rows for choosing."""
    path_splits: Integers
    """(P, groups) split that each path takes each group from."""
    returns: Floats
    """(P, T) returns per period of each path."""
    sharpes: Floats
    """(P,) Sharpe ratio per period of each path; NaN without variance."""
    loss_share: float
    """Share of the paths that have one whose Sharpe ratio is below zero; NaN without any."""
    left_out: int
    """Columns without variance."""

    @property
    def sharpe_mean(self) -> float:
        """Mean Sharpe ratio per period over the paths that have one; NaN without any."""
        defined = self.sharpes[~np.isnan(self.sharpes)]
        return float(defined.mean()) if len(defined) else math.nan

    @property
    def sharpe_deviation(self) -> float:
        """Standard deviation (n - 1) of the paths' Sharpe ratios; NaN below two.

        Paths share most of their rows, so this is less than independent histories would show.
        """
        defined = self.sharpes[~np.isnan(self.sharpes)]
        return float(defined.std(ddof=1)) if len(defined) > 1 else math.nan


def combinatorial_paths(returns: Floats, design: CrossValidation) -> CombinatorialPaths:
    """Choose on the purged rest, test on the groups left out, and join the tests into paths.

    `returns` (T, N) are those of every trial per period. Of trials that are equally good the first
    is chosen. Raises UserError when no trial moves, when groups have fewer than two rows, or when
    purge and embargo leave fewer than two rows to choose on.
    """
    matrix = trial_matrix(returns)
    if matrix.trials < 1:
        raise UserError("no trial moves: there is nothing to choose among")
    splits = list(purged_splits(len(returns), design))
    if min(int(split.train.sum()) for split in splits) < 2:
        raise UserError("purge and embargo leave a split without periods to choose on: reduce them")
    columns = standardised(matrix)
    squares = columns.scores * columns.scores
    size = max(1, _CELLS // len(returns))
    picked = []
    for at in range(0, len(splits), size):
        weights = np.array([split.train for split in splits[at : at + size]], dtype=np.float64)
        ratios = sharpe_from_sums(
            weights.sum(axis=1), weights @ columns.scores, weights @ squares, columns.offsets
        )
        picked.append(ratios.argmax(axis=1))
    chosen = matrix.kept[np.concatenate(picked)]
    path_splits = paths_of_splits(design)
    joined = _joined(returns, chosen, path_splits)
    ratios = np.array([sharpe(moments(path)) for path in joined])
    defined = ratios[~np.isnan(ratios)]
    return CombinatorialPaths(
        chosen=chosen,
        path_splits=path_splits,
        returns=joined,
        sharpes=ratios,
        loss_share=float(np.mean(defined < 0.0)) if len(defined) else math.nan,
        left_out=matrix.left_out,
    )


def paths_of_splits(design: CrossValidation) -> Integers:
    """(paths, groups) the split that each path takes each group from.

    2 of 6 groups: the first path takes groups 0 and 1 from split 0 (which tests 0 and 1), group 2
    from split 1 (0 and 2), and so on.
    """
    tested = list(combinations(range(design.groups), design.test_groups))
    columns = [
        [number for number, groups in enumerate(tested) if group in groups]
        for group in range(design.groups)
    ]
    return np.array(columns, dtype=np.int64).T


def _joined(returns: Floats, chosen: Integers, path_splits: Integers) -> Floats:
    """(P, T) returns of the paths."""
    paths, groups = path_splits.shape
    edges = group_edges(len(returns), groups)
    joined = np.empty((paths, len(returns)))
    for group in range(groups):
        rows = slice(int(edges[group]), int(edges[group + 1]))
        joined[:, rows] = returns[rows][:, chosen[path_splits[:, group]]].T
    return joined
