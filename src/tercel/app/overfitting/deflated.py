"""The deflated Sharpe ratio: is the best of many trials better than luck would have made it?

The best of N worthless strategies has a good Sharpe ratio. `expected_maximum` says how good on
average; the deflated Sharpe ratio is the probability that the true ratio is above zero once that is
taken off: the probabilistic Sharpe ratio against this benchmark.

Source: Bailey & Lopez de Prado (2014), "The Deflated Sharpe Ratio: Correcting for Selection Bias,
Backtest Overfitting and Non-Normality", Journal of Portfolio Management 40(5), equations 1 and 2
and appendix 3. All Sharpe ratios are per period, not annualised.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from tercel.app.overfitting.trial_matrix import Floats, TrialMatrix, standardised
from tercel.app.sharpe import SPREAD_MIN, Moments, probabilistic_sharpe, sharpe
from tercel.domain.errors import UserError

EULER_MASCHERONI = 0.5772156649015329

_ROUND_BELOW = 1e-9
"""A number of trials this close to one came from rounding: one trial."""


def expected_maximum(trials: float, variance: float) -> float:
    """Sharpe ratio per period that the best of `trials` independent worthless ones has on average.

    `variance` is that of the trials' Sharpe ratios per period; `trials` may be fractional.

    sqrt(variance) ((1 - g) Z(1 - 1/N) + g Z(1 - 1/(N e))), where Z is the normal quantile and g
    Euler-Mascheroni. 100 trials with variance 0.5 a year, in days of 250 a year: 0.1132 a day.
    One trial or no variance: 0. The approximation turns negative below about 1.3 trials, where the
    true maximum cannot: 0 there. Raises UserError below one trial or with a negative variance.
    """
    if not trials >= 1.0 or not math.isfinite(trials):
        raise UserError(f"the number of trials must be 1 or more, got {trials:g}")
    if not variance >= 0.0 or not math.isfinite(variance):
        raise UserError(f"the variance of the trials must be 0 or more, got {variance:g}")
    if trials <= 1.0 + _ROUND_BELOW:
        return 0.0
    quantile = NormalDist().inv_cdf
    best = (1.0 - EULER_MASCHERONI) * quantile(1.0 - 1.0 / trials)
    best += EULER_MASCHERONI * quantile(1.0 - 1.0 / (trials * math.e))
    return math.sqrt(variance) * max(best, 0.0)


def deflated_sharpe(ratio: float, shape: Moments, variance: float, trials: float) -> float:
    """Probability that the true Sharpe ratio is above zero, given `trials` tries, 0..1.

    `ratio` is the chosen trial's Sharpe ratio per period, `shape` the moments of its returns,
    `variance` that of all trials' ratios per period. A ratio of 2.5 a year from 1,250 daily returns
    with skewness -3 and kurtosis 10, chosen among 100 trials with variance 0.5 a year: 0.900.
    NaN below two returns or without variance. Raises UserError as `expected_maximum`.
    """
    return probabilistic_sharpe(ratio, shape, expected_maximum(trials, variance))


@dataclass(frozen=True, slots=True)
class Deflation:
    """A deflated Sharpe ratio with all that went into it."""

    ratio: float
    """Sharpe ratio of the chosen trial, per period."""
    probability: float
    """The deflated Sharpe ratio: probability that the true ratio is above zero, 0..1 or NaN."""
    benchmark: float
    """What the best of so many worthless trials has on average, per period."""
    trials: float
    """Independent trials counted."""
    variance: float
    """Variance of the trials' Sharpe ratios per period."""
    variance_is_assumed: bool
    """Whether it is that of worthless trials of this length, for want of two measured ones."""
    left_out: int
    """Trials without a Sharpe ratio: they neither count nor vary."""


def deflate(shape: Moments, trial_ratios: Floats, trials: float | None = None) -> Deflation:
    """Deflate the Sharpe ratio of a chosen trial by all that were tried.

    Takes the moments of the chosen trial's returns and the Sharpe ratios per period of every trial
    (N,), the chosen one among them; NaN for those without variance. `trials` is the number of
    independent ones where it is known: from `independent_trials`, or the count of all that were
    ever run. Without it each defined ratio counts as one: the highest count, the hardest verdict.

    When fewer than two ratios are known of several trials, their variance is taken as 1 / (n - 1),
    that of the ratio of n normal returns with mean zero. Raises UserError on infinite ratios.
    """
    if np.isinf(trial_ratios).any():
        raise UserError("Sharpe ratios of trials must be finite, or NaN without variance")
    defined = trial_ratios[~np.isnan(trial_ratios)]
    number = float(max(len(defined), 1)) if trials is None else trials
    assumed = len(defined) < 2 and number > 1.0 and shape.count >= 2
    variance = 0.0
    if assumed:
        variance = 1.0 / (shape.count - 1)
    elif len(defined) >= 2 and np.ptp(defined) > SPREAD_MIN:
        variance = float(defined.var(ddof=1))
    ratio = sharpe(shape)
    return Deflation(
        ratio=ratio,
        probability=deflated_sharpe(ratio, shape, variance, number),
        benchmark=expected_maximum(number, variance),
        trials=number,
        variance=variance,
        variance_is_assumed=assumed,
        left_out=int(np.isnan(trial_ratios).sum()),
    )


def average_correlation(matrix: TrialMatrix) -> float:
    """Mean correlation over all pairs of trials, -1..1; NaN below two trials.

    The sum of all correlations is the squared length of the sum of the standardised columns, so no
    (N, N) matrix is made.
    """
    trials = matrix.trials
    if trials < 2:
        return math.nan
    total = standardised(matrix).scores.sum(axis=1)
    everything = float(total @ total) / (len(matrix.returns) - 1)
    return (everything - trials) / (trials * (trials - 1))


def independent_trials(matrix: TrialMatrix) -> float:
    """How many independent trials N correlated ones are worth: rho + (1 - rho) N, 1..N.

    rho is the average correlation (below zero it counts as zero). Ten trials at 0.5: 5.5. From
    appendix 3 of the paper, and the measure to use here, since it errs towards too many trials:
    equally correlated trials spread less, which the variance of their ratios already shows, so a
    measure that cuts the count sharply deflates them too little. NaN without a trial.
    """
    if matrix.trials < 2:
        return 1.0 if matrix.trials else math.nan
    correlation = min(max(average_correlation(matrix), 0.0), 1.0)
    return correlation + (1.0 - correlation) * matrix.trials


def independent_trials_entropy(matrix: TrialMatrix) -> float:
    """How many directions the trials move in: exp of the entropy of the eigenvalues, 1..N.

    p = eigenvalues of the (N, N) correlation matrix over their sum; exp(-sum p ln p). Two groups of
    a hundred identical trials: 2, where `independent_trials` says about 100. It cannot exceed T - 1
    and sees noise as structure when N is near T: a second opinion, not the default. NaN without a
    trial. Source: Roy & Vetterli (2007), "The effective rank", EUSIPCO.
    """
    if matrix.trials < 1:
        return math.nan
    scores = standardised(matrix).scores
    rows, columns = scores.shape
    products = scores @ scores.T if rows < columns else scores.T @ scores
    eigenvalues = np.maximum(np.linalg.eigvalsh(products), 0.0)
    share = eigenvalues / eigenvalues.sum()
    share = share[share > 0.0]
    return math.exp(-float((share * np.log(share)).sum()))
