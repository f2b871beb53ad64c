"""What closed trades say about a strategy's expectancy: a posterior with a sceptical prior.

Each trade's net result x, in R, is a draw from a normal distribution of unknown mean mu (the
expectancy) and unknown variance. The prior is worth `prior.trades` imaginary trades with mean 0 and
deviation `prior.deviation_r`: nothing is believed to have an edge until its trades outweigh it. It
is the conjugate normal-inverse-gamma prior with the same weight on mean and variance. After n
trades with mean m and sum of squared deviations S:

    k  = k0 + n                                (k0 = prior trades; also the degrees of freedom)
    mu = n m / k
    s2 = (k0 d0^2 + S + k0 n m^2 / k) / k      (d0 = prior deviation)

The expectancy then follows Student's t with k degrees of freedom, centre mu and scale sqrt(s2 / k).

Source: Gelman et al. (2013), "Bayesian Data Analysis", 3rd edition, section 3.3. The expectation of
the positive part of a scaled t is that of its density in closed form (`positive_part`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

_TINY = 1e-300
_PRECISION = 1e-14
_STEPS_MAX = 500
"""Of the continued fraction; it needs some tens."""


@dataclass(frozen=True, slots=True)
class Prior:
    """The sceptic: so many imaginary trades without an edge."""

    trades: float
    """Their weight, above 1."""
    deviation_r: float
    """Their standard deviation, R."""


@dataclass(frozen=True, slots=True)
class Posterior:
    """What is believed about a strategy's net expectancy a trade, R."""

    trades: int
    """Closed trades behind it."""
    centre_r: float
    """Posterior mean of the expectancy, R."""
    scale_r: float
    """Scale of its t distribution, R."""
    freedom: float
    """Its degrees of freedom."""

    @property
    def score(self) -> float:
        """Centre over scale."""
        return self.centre_r / self.scale_r

    @property
    def positive_probability(self) -> float:
        """P(expectancy > 0), 0..1."""
        return student_cdf(self.score, self.freedom)

    @property
    def positive_part_r(self) -> float:
        """E[max(expectancy, 0)], R: P(expectancy > 0) times the mean of those that are.

        With z = score, v = freedom: centre F(z) + scale (v + z^2) / (v - 1) f(z), where F and f are
        the distribution and density of Student's t.
        """
        score, freedom = self.score, self.freedom
        tail = (freedom + score * score) / (freedom - 1.0) * student_density(score, freedom)
        return max(self.centre_r * student_cdf(score, freedom) + self.scale_r * tail, 0.0)


def posterior(results_r: Floats, prior: Prior) -> Posterior:
    """The posterior after trades with these net results (n,) in R; without any, the prior's.

    Prior of 2 trades with deviation 1, results 1 and 3 (m = 2, S = 2): k = 4, centre 4 / 4 = 1,
    s2 = (2 + 2 + 2 x 2 x 4 / 4) / 4 = 2, scale sqrt(2 / 4) = 0.7071.
    """
    count = len(results_r)
    weight = prior.trades + count
    mean = float(results_r.mean()) if count else 0.0
    spread = float(((results_r - mean) ** 2).sum())
    pull = prior.trades * count * mean * mean / weight
    variance = (prior.trades * prior.deviation_r**2 + spread + pull) / weight
    return Posterior(count, count * mean / weight, math.sqrt(variance / weight), weight)


def student_density(value: float, freedom: float) -> float:
    """Density of Student's t with `freedom` > 0 at `value`."""
    half = 0.5 * (freedom + 1.0)
    front = math.lgamma(half) - math.lgamma(0.5 * freedom) - 0.5 * math.log(freedom * math.pi)
    return math.exp(front - half * math.log1p(value * value / freedom))


def student_cdf(value: float, freedom: float) -> float:
    """P(T <= value) of Student's t with `freedom` > 0: I_x(v/2, 1/2) / 2 below zero, x = v/(v+t^2).

    2.228 with 10 degrees of freedom: 0.975.
    """
    tail = 0.5 * _incomplete_beta(0.5 * freedom, 0.5, freedom / (freedom + value * value))
    return 1.0 - tail if value > 0.0 else tail


def _incomplete_beta(a: float, b: float, x: float) -> float:
    """The regularised incomplete beta function I_x(a, b), 0 <= x <= 1.

    Its continued fraction (Abramowitz & Stegun 26.5.8), on the side where it converges fast.
    """
    if x <= 0.0 or x >= 1.0:
        return 0.0 if x <= 0.0 else 1.0
    front = math.exp(
        math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    )
    if x < (a + 1.0) / (a + b + 2.0):
        return front * _beta_fraction(a, b, x) / a
    return 1.0 - front * _beta_fraction(b, a, 1.0 - x) / b


def _beta_fraction(a: float, b: float, x: float) -> float:
    """The continued fraction of the incomplete beta function, by Lentz's method."""
    numerator, denominator = 1.0, _away_from_zero(1.0 - (a + b) * x / (a + 1.0))
    denominator = 1.0 / denominator
    value = denominator
    for step in range(1, _STEPS_MAX):
        twice = 2.0 * step
        even = step * (b - step) * x / ((a + twice - 1.0) * (a + twice))
        odd = -(a + step) * (a + b + step) * x / ((a + twice) * (a + twice + 1.0))
        for term in (even, odd):
            denominator = 1.0 / _away_from_zero(1.0 + term * denominator)
            numerator = _away_from_zero(1.0 + term / numerator)
            value *= denominator * numerator
        if abs(denominator * numerator - 1.0) < _PRECISION:
            break
    return value


def _away_from_zero(value: float) -> float:
    return value if abs(value) > _TINY else _TINY
