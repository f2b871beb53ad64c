"""The posterior of an expectancy: worked numbers, published quantiles, integration as a twin."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tercel.app.posterior import Posterior, Prior, posterior, student_cdf, student_density

PRIOR = Prior(trades=2.0, deviation_r=1.0)


def test_two_trades_worked_by_hand() -> None:
    """m = 2, S = 2; k = 4; centre 4/4; s2 = (2 + 2 + 2 x 2 x 4 / 4) / 4 = 2; scale sqrt(2/4)."""
    found = posterior(np.array([1.0, 3.0]), PRIOR)
    assert (found.trades, found.freedom) == (2, 4.0)
    assert found.centre_r == pytest.approx(1.0)
    assert found.scale_r == pytest.approx(math.sqrt(0.5))


def test_without_trades_it_is_the_prior() -> None:
    found = posterior(np.empty(0), Prior(30.0, 1.5))
    assert (found.trades, found.centre_r, found.freedom) == (0, 0.0, 30.0)
    assert found.scale_r == pytest.approx(1.5 / math.sqrt(30.0))
    assert found.positive_probability == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("value", "freedom", "probability"),
    [
        (2.228, 10, 0.975),
        (1.697, 30, 0.95),
        (2.132, 4, 0.95),
        (-4.604, 4, 0.005),
        (0.0, 7, 0.5),
        (1.0, 1, 0.75),
        (1.960, 1_000_000, 0.975),
    ],
)
def test_published_quantiles(value: float, freedom: float, probability: float) -> None:
    """Tables of Student's t, three decimals."""
    assert student_cdf(value, freedom) == pytest.approx(probability, abs=2e-4)


@pytest.mark.parametrize("freedom", [2.0, 3.0, 10.0, 60.0, 530.0])
@pytest.mark.parametrize("value", [-6.0, -1.0, -0.01, 0.0, 0.3, 2.0, 9.0])
def test_the_distribution_is_the_integral_of_the_density(value: float, freedom: float) -> None:
    grid = np.linspace(0.0, abs(value), 4_001)
    density = np.array([student_density(x, freedom) for x in grid])
    half = float(np.trapezoid(density, grid))
    expected = 0.5 + math.copysign(half, value)
    assert student_cdf(value, freedom) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("centre", [-1.0, -0.2, 0.0, 0.05, 0.8])
def test_the_positive_part_is_an_integral(centre: float) -> None:
    """E[max(mu, 0)] by brute force."""
    belief = Posterior(10, centre, 0.3, 12.0)
    grid = np.linspace(0.0, 60.0, 400_001)
    scores = (grid - centre) / 0.3
    front = student_density(0.0, 12.0)
    density = front * (1.0 + scores**2 / 12.0) ** -6.5 / 0.3
    assert belief.positive_part_r == pytest.approx(float(np.trapezoid(grid * density, grid)), 1e-5)


def test_the_sceptic_is_convinced_by_trades_alone() -> None:
    """The same mean means more after more trades, and a loser is never believed."""
    rng = np.random.default_rng(3)
    noise = rng.normal(0.0, 1.0, 400)
    edge = noise - noise.mean() + 0.15
    chances = [
        posterior(edge[:0], Prior(30.0, 1.0)).positive_probability,
        posterior(np.tile([1.15, -0.85], 15), Prior(30.0, 1.0)).positive_probability,
        posterior(np.tile([1.15, -0.85], 200), Prior(30.0, 1.0)).positive_probability,
    ]
    assert chances == sorted(chances)
    assert chances[0] == pytest.approx(0.5)
    assert chances[-1] > 0.99
    loser = posterior(edge - 0.5, Prior(30.0, 1.0))
    assert loser.positive_probability < 1e-3
    assert 0.0 <= loser.positive_part_r < 1e-4
