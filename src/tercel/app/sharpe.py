"""Ratios of return to risk, and how far a Sharpe ratio can be believed.

All ratios take simple returns per period (a UTC day in reports) with a risk-free rate of zero. What
is not defined (too few returns, no variance, no losing day) is NaN, never zero or infinity.

Source of `probabilistic_sharpe` and `track_record_length_min`: Bailey & Lopez de Prado (2012), "The
Sharpe Ratio Efficient Frontier", Journal of Risk 15(2), equations 9 and 11.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

PERIODS_A_YEAR = 365
"""Crypto trades every day: daily ratios are annualised by sqrt(365)."""

SPREAD_MIN = 1e-12
"""Returns closer together than this are one and the same return (rounding): no variance."""


@dataclass(frozen=True, slots=True)
class Moments:
    """The shape of a sample of returns, per period."""

    count: int
    mean: float
    deviation: float
    """Standard deviation with n - 1; NaN below two returns."""
    skewness: float
    """Third standardised moment; 0 for a normal distribution; NaN without variance."""
    kurtosis: float
    """Fourth standardised moment, not in excess; 3 for a normal distribution."""


def moments(returns: Floats) -> Moments:
    """Mean, deviation, skewness and kurtosis of `returns` (n,)."""
    count = len(returns)
    mean = float(returns.mean()) if count else math.nan
    if count < 2 or np.ptp(returns) <= SPREAD_MIN:
        return Moments(count, mean, 0.0 if count >= 2 else math.nan, math.nan, math.nan)
    centred = returns - mean
    squares = centred * centred
    variance = float(squares.mean())
    return Moments(
        count,
        mean,
        math.sqrt(variance * count / (count - 1)),
        float((squares * centred).mean()) / variance**1.5,
        float((squares * squares).mean()) / variance**2,
    )


def sharpe(shape: Moments) -> float:
    """Mean over deviation, per period (not annualised). NaN below two returns or no variance."""
    return shape.mean / shape.deviation if shape.deviation > 0.0 else math.nan


def sortino(returns: Floats) -> float:
    """Mean over the root mean square of the losing returns (target 0), per period.

    NaN below two returns or when no return is negative.
    """
    if len(returns) < 2:
        return math.nan
    downside = math.sqrt(float(np.mean(np.minimum(returns, 0.0) ** 2)))
    return float(returns.mean()) / downside if downside > 0.0 else math.nan


def annualised(ratio: float) -> float:
    """A daily ratio as a yearly one: times sqrt(365)."""
    return ratio * math.sqrt(PERIODS_A_YEAR)


def _estimation_variance(ratio: float, shape: Moments) -> float:
    """n times the variance of an estimated Sharpe ratio: 1 - skew SR + (kurtosis - 1) / 4 SR^2.

    Normal returns give 1 + SR^2 / 2. Fat left tails (skew < 0, kurtosis > 3) give more.
    """
    return 1.0 - shape.skewness * ratio + (shape.kurtosis - 1.0) / 4.0 * ratio * ratio


def probabilistic_sharpe(ratio: float, shape: Moments, benchmark: float = 0.0) -> float:
    """Probability that the true Sharpe ratio exceeds `benchmark` (both per period), 0..1.

    A monthly SR of 0.458 over 24 months with skew -2.448 and kurtosis 10.164: 0.913, where normal
    returns would say 0.982. NaN below two returns or without variance.
    """
    variance = _estimation_variance(ratio, shape)
    if shape.count < 2 or not variance > 0.0:
        return math.nan
    score = (ratio - benchmark) * math.sqrt(shape.count - 1) / math.sqrt(variance)
    return NormalDist().cdf(score)


def track_record_length_min(
    ratio: float, shape: Moments, benchmark: float = 0.0, confidence: float = 0.95
) -> float:
    """Periods needed before SR > `benchmark` can be said with `confidence`, at this sample's shape.

    A yearly SR of 2 against 1 in monthly normal returns: 38.9 months = 3.24 years. NaN when the
    ratio is not above the benchmark (no length would do) or is not defined.
    """
    variance = _estimation_variance(ratio, shape)
    if not (ratio > benchmark and variance > 0.0):
        return math.nan
    return 1.0 + variance * (NormalDist().inv_cdf(confidence) / (ratio - benchmark)) ** 2
