"""Probabilistic Sharpe and track record: figures published by Bailey & Lopez de Prado (2012)."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tercel.app.sharpe import (
    Moments,
    annualised,
    moments,
    probabilistic_sharpe,
    sharpe,
    sortino,
    track_record_length_min,
)

NORMAL = (0.0, 3.0)


def shape(count: int, skewness: float, kurtosis: float) -> Moments:
    return Moments(count, 0.0, 1.0, skewness, kurtosis)


def test_probability_of_the_published_hedge_fund() -> None:
    # Two years of monthly returns, mean 3.6 %, deviation 7.9 % (a Sharpe ratio of 0.458 a month,
    # 1.59 a year). Normal: 0.982. With skewness -2.448 and kurtosis 10.164: 0.913.
    assert annualised(0.458) / math.sqrt(365 / 12) == pytest.approx(1.59, abs=0.005)
    assert probabilistic_sharpe(0.458, shape(24, *NORMAL)) == pytest.approx(0.982, abs=5e-4)
    assert probabilistic_sharpe(0.458, shape(24, -2.448, 10.164)) == pytest.approx(0.913, abs=5e-4)


@pytest.mark.parametrize(
    ("periods_a_year", "skewness", "kurtosis", "years"),
    [
        (252, 0.0, 3.0, 2.73),  # daily
        (52, 0.0, 3.0, 2.83),  # weekly
        (12, 0.0, 3.0, 3.24),  # monthly
        (12, -0.72, 5.78, 4.99),  # monthly, at the shape of a hedge fund index
    ],
)
def test_track_record_for_a_sharpe_of_two_against_one(
    periods_a_year: int, skewness: float, kurtosis: float, years: float
) -> None:
    scale = math.sqrt(periods_a_year)
    found = track_record_length_min(2 / scale, shape(24, skewness, kurtosis), 1 / scale, 0.95)
    assert found / periods_a_year == pytest.approx(years, abs=0.005)


def test_at_the_minimum_length_the_probability_is_the_confidence() -> None:
    length = track_record_length_min(0.1, shape(100, -0.5, 6.0))
    assert probabilistic_sharpe(0.1, shape(round(length), -0.5, 6.0)) == pytest.approx(
        0.95, abs=1e-3
    )


def test_no_length_proves_a_loss() -> None:
    assert math.isnan(track_record_length_min(-0.1, shape(100, *NORMAL)))
    assert math.isnan(track_record_length_min(0.0, shape(100, *NORMAL)))


def test_undefined_stays_undefined() -> None:
    nothing = moments(np.empty(0))
    assert nothing.count == 0
    assert math.isnan(nothing.mean)
    assert math.isnan(sharpe(nothing))
    assert math.isnan(probabilistic_sharpe(math.nan, nothing))
    assert math.isnan(sharpe(moments(np.array([0.1]))))
    assert math.isnan(sharpe(moments(np.array([0.1, 0.1]))))
    assert math.isnan(sortino(np.array([0.1])))
    assert math.isnan(sortino(np.array([0.1, 0.2])))


def test_moments_of_a_small_sample() -> None:
    # 1, 2, 3, 6: mean 3, squares 4 + 1 + 0 + 9 = 14; deviation sqrt(14 / 3)
    # cubes -8 - 1 + 0 + 27 = 18: m3 = 4.5, m2 = 3.5; skewness 4.5 / 3.5^1.5 = 0.68724
    # fourths 16 + 1 + 81 = 98: m4 = 24.5; kurtosis 24.5 / 12.25 = 2
    found = moments(np.array([1.0, 2.0, 3.0, 6.0]))
    assert found.deviation == pytest.approx(math.sqrt(14 / 3))
    assert found.skewness == pytest.approx(0.68724, abs=1e-5)
    assert found.kurtosis == pytest.approx(2.0)
