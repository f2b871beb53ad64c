"""The recursions against their definitions, on a handful of numbers."""

from __future__ import annotations

import numpy as np

from tercel.adapters.synthetic.paths import (
    VARIANCE_RATIO_MAX,
    cluster,
    smooth_noise,
    walk_regimes,
)


def test_regimes_stay_until_they_leave_and_go_where_they_are_told() -> None:
    leave = np.array([0.5, 0.05, 0.5, 0.05, 0.5])
    choose = np.array([0.0, 0.9, 0.0, 0.3, 0.0])
    rate, where = np.full(3, 0.1), np.array([[0.0, 0.5, 1.0], [1.0, 1.0, 1.0], [0.4, 1.0, 1.0]])
    assert walk_regimes(leave, choose, rate, where).tolist() == [0, 2, 2, 0, 0]


def test_smooth_noise_keeps_unit_variance() -> None:
    noise = np.array([1.0, 0.0, 2.0])
    np.testing.assert_allclose(smooth_noise(noise, 0.6), [1.0, 0.6, 0.36 + 1.6])
    long = smooth_noise(np.random.Generator(np.random.PCG64(1)).standard_normal(20_000), 0.9)
    assert abs(long.std() - 1.0) < 0.06


def test_cluster_is_known_before_the_shock_and_remembers_it() -> None:
    factor = cluster(np.array([3.0, 0.0, 0.0]), 0.1, 0.8)
    np.testing.assert_allclose(factor**2, [1.0, 0.1 + 0.9 + 0.8, 0.1 + 1.8 * 0.8])


def test_cluster_does_not_run_away() -> None:
    factor = cluster(np.full(50, 30.0), 0.1, 0.8)
    assert factor.max() ** 2 <= VARIANCE_RATIO_MAX * (1 + 1e-12)
