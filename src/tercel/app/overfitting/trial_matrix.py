"""Returns of many trials side by side, and Sharpe ratios of parts of them.

A *trial* is one backtest that was looked at: one column of a (T, N) matrix whose rows are the same
periods for all. Trials that never vary over the whole period (they did not trade) have no Sharpe
ratio: they are left out, and counted.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tercel.app.sharpe import SPREAD_MIN
from tercel.domain.errors import UserError

Floats = npt.NDArray[np.float64]

FLAT_VARIANCE = 1e-12
"""Part of a column whose variance is below this share of the whole column's: no movement."""


@dataclass(frozen=True, slots=True, eq=False)
class TrialMatrix:
    """Returns of the trials that moved."""

    returns: Floats
    """(T, N) simple returns per period."""
    kept: npt.NDArray[np.int64]
    """(N,) the column each had in what was given."""
    left_out: int
    """Columns without variance."""

    @property
    def trials(self) -> int:
        """N, those left out not counted."""
        return int(self.returns.shape[1])


def trial_matrix(returns: Floats) -> TrialMatrix:
    """Check a (T, N) matrix of returns per period and leave out the columns without variance.

    Raises UserError when it is not a matrix, has fewer than two rows or holds NaN or infinity.
    """
    if returns.ndim != 2 or returns.shape[0] < 2:
        raise UserError(f"trials need a matrix of two periods or more, got shape {returns.shape}")
    if not np.isfinite(returns).all():
        raise UserError("returns of trials must be finite: fill periods without a trade with zero")
    moves = np.ptp(returns, axis=0) > SPREAD_MIN
    kept = np.flatnonzero(moves)
    return TrialMatrix(returns[:, kept], kept, int(returns.shape[1] - len(kept)))


@dataclass(frozen=True, slots=True, eq=False)
class Standardised:
    """Columns shifted to mean zero and scaled to variance one, so that sums lose no digits.

    Sharpe ratios do not notice the scale; the shift is added back as `offsets`.
    """

    scores: Floats
    """(T, N) return minus the column's mean, over its deviation (n - 1)."""
    offsets: Floats
    """(N,) mean over deviation: the Sharpe ratio of the whole column, per period."""


def standardised(matrix: TrialMatrix) -> Standardised:
    """The columns of `matrix` at mean zero and variance one."""
    mean = matrix.returns.mean(axis=0)
    deviation = matrix.returns.std(axis=0, ddof=1)
    return Standardised((matrix.returns - mean) / deviation, mean / deviation)


def trial_sharpes(matrix: TrialMatrix) -> Floats:
    """(N,) Sharpe ratio per period of every trial that moved."""
    return standardised(matrix).offsets


def sharpe_from_sums(counts: Floats, sums: Floats, squares: Floats, offsets: Floats) -> Floats:
    """Sharpe ratios per period of parts of standardised columns.

    Takes `counts` (C,) of rows (two or more), `sums` and `squares` (C, N) of standardised returns
    and `offsets` (N,). Gives (C, N): mean over deviation (n - 1). A part without movement is a
    trial that stayed out of the market there: 0, better than a loss and worse than a profit.
    """
    rows = counts[:, None]
    mean = sums / rows
    variance = (squares - rows * mean * mean) / (rows - 1.0)
    flat = variance <= FLAT_VARIANCE
    deviation = np.sqrt(np.where(flat, 1.0, variance))
    return np.where(flat, 0.0, (offsets + mean) / deviation)
