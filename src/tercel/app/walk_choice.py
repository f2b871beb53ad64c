"""Which combination a fold chooses, from train and validation alone.

1. on train, the combinations with enough trades are ranked by `walk.rank_by`; the best are the
   candidates;
2. on validation, the candidates with enough trades there are ranked by the deflated Sharpe ratio of
   their hourly returns: the probability that the true ratio is above zero, given how many were
   tried;
3. the first is chosen, if its probability is high enough. Ties go to the combination that comes
   first in the grid.

Enough trades: the formula rewards returns that are all zero but for a few wins (their skewness is
high), so that a candidate that hardly traded would win by luck. It is unknown, and not ranked.

What it is deflated by: the variance of all combinations' ratios on validation, and the number of
independent trials that the correlations of their daily returns on train leave.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from tercel.app.overfitting.deflated import Deflation, deflate, independent_trials
from tercel.app.overfitting.trial_matrix import trial_matrix
from tercel.app.sharpe import Moments
from tercel.app.wording import percent
from tercel.core.records import Records
from tercel.domain.research_settings import WalkSettings

Floats = npt.NDArray[np.float64]

NO_TRADES = "no combination traded on train"
TOO_FEW = "no combination has {trades_min} trades on train"
UNMEASURED = "no combination could be ranked on train: too few daily returns, or all alike"
NOT_VALIDATED = "no candidate traded on validation"
TOO_FEW_VALIDATED = "none of {candidates} candidates has {trades_min} trades on validation"
IMPROBABLE = "nothing reached a probability of {probability} on validation"


@dataclass(frozen=True, slots=True)
class Candidate:
    """One of the best on train, and what validation says about it."""

    number: int
    """Of the combination."""
    train: float
    """The figure it was ranked by on train (ratios per day)."""
    validation: Deflation
    """Its probability is NaN too where it has fewer than `walk.validate_trades_min` trades."""


@dataclass(frozen=True, slots=True)
class Choice:
    """What a fold chose, and between what."""

    chosen: Candidate | None
    """None: nothing, and the fold stays in cash."""
    why_none: str
    """Empty where one was chosen."""
    ranked: int
    """Combinations that had a rank on train."""
    trials: float
    """Independent trials counted."""
    candidates: tuple[Candidate, ...]
    """By deflated Sharpe ratio on validation, best first; those without one at the end."""


def moments_of(row: Any) -> Moments:
    """The moments that FIGURES hold."""
    return Moments(
        int(row["steps"]),
        float(row["mean"]),
        float(row["deviation"]),
        float(row["skewness"]),
        float(row["kurtosis"]),
    )


def best_of(values: Floats, numbers: npt.NDArray[np.int64]) -> list[int]:
    """`numbers` by their value, highest first; equal ones by number; undefined ones left out."""
    known = [int(number) for number in numbers if math.isfinite(values[number])]
    return sorted(known, key=lambda number: (-float(values[number]), number))


def effective_trials(train_returns: Floats) -> float:
    """Independent trials among the columns of a (days, N) matrix; 1 where there is no telling."""
    if train_returns.shape[0] < 2:
        return 1.0
    matrix = trial_matrix(train_returns)
    return independent_trials(matrix) if matrix.trials else 1.0


def choose(
    train: Records, validation: Records, train_returns: Floats, settings: WalkSettings
) -> Choice:
    """The choice of one fold.

    `train` and `validation` are FIGURES (N,) of every combination, `train_returns` (days, N) their
    daily returns on train.
    """
    enough = np.flatnonzero(train["trades"] >= settings.trades_min)
    values = np.ascontiguousarray(train[settings.rank_by])
    ranked = best_of(values, enough)
    trials = effective_trials(train_returns)
    ratios = np.ascontiguousarray(validation["sharpe"])
    tried = [
        Candidate(
            number,
            float(values[number]),
            _deflated(validation[number], ratios, trials, settings.validate_trades_min),
        )
        for number in ranked[: settings.candidates]
    ]
    known = [each for each in tried if not math.isnan(each.validation.probability)]
    unknown = [each for each in tried if math.isnan(each.validation.probability)]
    known.sort(key=lambda each: (-each.validation.probability, -each.validation.ratio, each.number))
    reached = bool(known) and known[0].validation.probability >= settings.validate_probability_min
    why_none = ""
    if not tried:
        why_none = _why_unranked(train, settings.trades_min)
    elif not known:
        trades = validation["trades"][[each.number for each in tried]]
        why_none = _why_unknown(trades, settings.validate_trades_min)
    elif not reached:
        why_none = IMPROBABLE.format(probability=percent(settings.validate_probability_min))
    return Choice(
        chosen=known[0] if reached else None,
        why_none=why_none,
        ranked=len(ranked),
        trials=trials,
        candidates=(*known, *unknown),
    )


def _deflated(row: Any, ratios: Floats, trials: float, trades_min: int) -> Deflation:
    found = deflate(moments_of(row), ratios, trials)
    return found if row["trades"] >= trades_min else replace(found, probability=math.nan)


def _why_unknown(trades: npt.NDArray[np.int64], trades_min: int) -> str:
    """Why validation could judge no candidate; `trades` are theirs on it."""
    if 0 < trades.max() < trades_min:
        return TOO_FEW_VALIDATED.format(candidates=len(trades), trades_min=trades_min)
    return NOT_VALIDATED


def _why_unranked(train: Records, trades_min: int) -> str:
    """Why train could rank no combination."""
    most = int(train["trades"].max(initial=0))
    if most == 0:
        return NO_TRADES
    return TOO_FEW.format(trades_min=trades_min) if most < trades_min else UNMEASURED
