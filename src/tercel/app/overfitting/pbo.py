"""Probability of backtest overfitting, by combinatorially symmetric cross-validation (CSCV).

1. Cut the rows of a (T, N) matrix of returns into S blocks (S even).
2. For each of the S-choose-S/2 ways to take half of the blocks: the trial with the best Sharpe
   ratio on that half is chosen, and ranked on the other half among all N.
3. The logit of its relative rank is zero at the median. The probability of overfitting is the
   share of splits in which the chosen trial is at or below the median of the other half.

Sharpe ratios come from sums and sums of squares of blocks: exact, and 12,870 splits of 243 trials
take about a second.

Source: Bailey, Borwein, Lopez de Prado & Zhu (2017), "The Probability of Backtest Overfitting",
Journal of Computational Finance 20(4).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt

from tercel.app.overfitting.trial_matrix import (
    Floats,
    Standardised,
    sharpe_from_sums,
    standardised,
    trial_matrix,
)
from tercel.app.sharpe import SPREAD_MIN
from tercel.domain.errors import UserError

Flags = npt.NDArray[np.bool_]

BLOCKS = 16
"""12,870 splits, as in the paper."""

BLOCKS_MAX = 20
"""184,756 splits."""

_DECIMALS = 12
"""Sharpe ratios that agree this far are equal: rounding decides no rank."""

_CELLS = 2_000_000
"""Splits times trials that are worked on at once: bounds the memory."""


@dataclass(frozen=True, slots=True, eq=False)
class BacktestOverfitting:
    """What became of the best trial of each half in the other half. C is the number of splits."""

    probability: float
    """Share of splits in which the chosen trial is at or below the median of the other half."""
    loss_probability: float
    """Share of splits in which its Sharpe ratio is below zero in the other half."""
    slope: float
    """Sharpe ratio out of sample per unit in sample (least squares); NaN when all are the same."""
    intercept: float
    """Sharpe ratio out of sample at zero in sample, per period; NaN likewise."""
    r_squared: float
    """Share of the out-of-sample variance that the line explains; NaN when there is none."""
    logits: Floats
    """(C,) ln(w / (1 - w)) of the relative rank w = rank / (N + 1) out of sample."""
    in_sample: Floats
    """(C,) Sharpe ratio per period of the chosen trial on the half it was chosen on."""
    out_of_sample: Floats
    """(C,) and on the other half."""
    trials: int
    """N: columns compared."""
    left_out: int
    """Columns without variance."""


def probability_of_overfitting(returns: Floats, blocks: int = BLOCKS) -> BacktestOverfitting:
    """CSCV over a (T, N) matrix of returns per period.

    T need not be a multiple of `blocks`: sizes then differ by one row. Equal values share their
    average rank. Several best trials in sample: the one that does worst out of sample counts, so
    that the order of columns does not matter and a tie never flatters. A trial without movement in
    a half has a Sharpe ratio of 0 there.

    Raises UserError when `blocks` is odd, below 2 or above 20, when there are fewer than two rows a
    block, or when fewer than two trials move.
    """
    matrix = trial_matrix(returns)
    if blocks % 2 or not 2 <= blocks <= BLOCKS_MAX:
        raise UserError(f"the number of blocks must be even, 2 to {BLOCKS_MAX}; got {blocks}")
    if len(returns) < 2 * blocks:
        raise UserError(f"{blocks} blocks need {2 * blocks} periods or more, got {len(returns)}")
    if matrix.trials < 2:
        raise UserError(f"overfitting shows among two moving trials or more, got {matrix.trials}")
    sums = _block_sums(standardised(matrix), blocks)
    chosen = split_halves(blocks)
    size = max(1, _CELLS // matrix.trials)
    parts = [_outcomes(sums, chosen[at : at + size]) for at in range(0, len(chosen), size)]
    in_sample, out_of_sample, ranks = np.concatenate(parts, axis=1)
    share = ranks / (matrix.trials + 1)
    logits = np.log(share / (1.0 - share))
    slope, intercept, r_squared = _line(in_sample, out_of_sample)
    return BacktestOverfitting(
        probability=float(np.mean(logits <= 0.0)),
        loss_probability=float(np.mean(out_of_sample < 0.0)),
        slope=slope,
        intercept=intercept,
        r_squared=r_squared,
        logits=logits,
        in_sample=in_sample,
        out_of_sample=out_of_sample,
        trials=matrix.trials,
        left_out=matrix.left_out,
    )


def split_halves(blocks: int) -> Flags:
    """(C, S) whether a block is in sample: every way to take half of `blocks`, in order."""
    picks = np.array(list(combinations(range(blocks), blocks // 2)))
    chosen = np.zeros((len(picks), blocks), dtype=np.bool_)
    np.put_along_axis(chosen, picks, True, axis=1)
    return chosen


@dataclass(frozen=True, slots=True, eq=False)
class _BlockSums:
    """Rows (S,), sums and sums of squares (S, N) of each block, and the columns' offsets (N,)."""

    counts: Floats
    sums: Floats
    squares: Floats
    offsets: Floats


def _block_sums(columns: Standardised, blocks: int) -> _BlockSums:
    parts = np.array_split(columns.scores, blocks)
    return _BlockSums(
        np.array([float(len(part)) for part in parts]),
        np.array([part.sum(axis=0) for part in parts]),
        np.array([(part * part).sum(axis=0) for part in parts]),
        columns.offsets,
    )


def _sharpes(blocks: _BlockSums, chosen: Flags) -> Floats:
    """(C, N) Sharpe ratios over the chosen blocks (C, S).

    Blocks are added one by one instead of by a matrix product: identical columns then stay
    identical to the last bit, and are seen as the tie they are.
    """
    sums = np.zeros((len(chosen), len(blocks.offsets)))
    squares = np.zeros_like(sums)
    for block, rows in enumerate(chosen.T):
        sums[rows] += blocks.sums[block]
        squares[rows] += blocks.squares[block]
    ratios = sharpe_from_sums(chosen @ blocks.counts, sums, squares, blocks.offsets)
    return np.round(ratios, _DECIMALS)


def _outcomes(blocks: _BlockSums, chosen: Flags) -> Floats:
    """(3, C): Sharpe ratio of the best in sample, its ratio out of sample, and its rank there."""
    inside = _sharpes(blocks, chosen)
    outside = _sharpes(blocks, ~chosen)
    best = inside.max(axis=1)
    after = np.where(inside == best[:, None], outside, np.inf).min(axis=1)
    below = (outside < after[:, None]).sum(axis=1)
    equal = (outside == after[:, None]).sum(axis=1)
    return np.array([best, after, below + (equal + 1) / 2.0])


def _line(x: Floats, y: Floats) -> tuple[float, float, float]:
    """Slope, intercept and R squared of y over x; NaN where they are not defined."""
    if np.ptp(x) <= SPREAD_MIN:
        return math.nan, math.nan, math.nan
    across, up = x - x.mean(), y - y.mean()
    slope = float(across @ up / (across @ across))
    fitted = float(slope * slope * (across @ across))
    r_squared = fitted / float(up @ up) if np.ptp(y) > SPREAD_MIN else math.nan
    return slope, float(y.mean() - slope * x.mean()), r_squared
