"""Trades a day: exact p-values and alarm rates by simulation."""

from __future__ import annotations

from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tercel.app.overfitting.sequential import Decision
from tercel.app.overfitting.trade_rate import (
    binomial_p_value,
    dispersion,
    trade_rate_drift,
)
from tercel.domain.errors import UserError


def days(*counts: int) -> np.ndarray:
    return np.array(counts, dtype=np.int64)


def test_p_value_by_hand() -> None:
    # 2 of 10 at one half: (1 + 10 + 45) / 1024 = 0.0547, twice is 0.109.
    assert binomial_p_value(2, 8, 0.5) == pytest.approx(112 / 1024)
    assert binomial_p_value(8, 2, 0.5) == pytest.approx(112 / 1024)
    assert binomial_p_value(5, 5, 0.5) == 1.0
    assert binomial_p_value(0, 3, 0.25) == pytest.approx(2 * 0.75**3)


@given(st.integers(0, 40), st.integers(1, 40), st.floats(0.01, 0.99))
def test_p_value_is_the_sum_of_the_binomial(hits: int, others: int, share: float) -> None:
    total = hits + others
    chances = [comb(total, k) * share**k * (1 - share) ** (total - k) for k in range(total + 1)]
    expected = min(2 * min(sum(chances[: hits + 1]), sum(chances[hits:])), 1.0)
    assert binomial_p_value(hits, others, share) == pytest.approx(expected, rel=1e-9)


def test_a_strategy_that_stopped_trading() -> None:
    # 60 trades in 20 days, then none in 5: all 60 in the first 20 of 25 days by chance: 2 * 0.8^60.
    found = trade_rate_drift(np.zeros(5, dtype=np.int64), np.full(20, 3))
    assert found.statistic == pytest.approx(2 * 0.8**60)
    assert (found.decision, found.threshold, found.trades) == (Decision.DRIFTING, 0.05, 0)


def test_a_single_day_may_be_too_little_to_say() -> None:
    assert trade_rate_drift(days(0), np.full(20, 1)).decision is Decision.UNDECIDED
    assert trade_rate_drift(days(1), np.full(20, 1)).decision is Decision.UNDECIDED
    assert trade_rate_drift(days(6), np.full(20, 6)).decision is Decision.OK
    assert trade_rate_drift(days(30), np.full(20, 6)).decision is Decision.DRIFTING


def test_more_looks_ask_for_more() -> None:
    live, reference = days(13), np.full(20, 6)
    assert trade_rate_drift(live, reference).decision is Decision.DRIFTING
    found = trade_rate_drift(live, reference, looks=10)
    assert found.threshold == 0.005
    assert found.decision is not Decision.DRIFTING


def test_dispersion_is_variance_over_mean() -> None:
    assert dispersion(np.tile(days(0, 6), 20)) == pytest.approx(9 * 40 / 39 / 3)
    assert dispersion(np.full(40, 6)) == 1.0
    assert dispersion(days(0, 20)) == 1.0
    assert dispersion(np.zeros(40, dtype=np.int64)) == 1.0


def test_alarms_are_as_rare_as_stated() -> None:
    generator = np.random.default_rng(1)

    def alarms(live: np.ndarray, reference: np.ndarray) -> float:
        found = [trade_rate_drift(*pair) for pair in zip(live, reference, strict=True)]
        return sum(one.decision is Decision.DRIFTING for one in found) / len(found)

    reference = generator.poisson(6, (1000, 250))
    assert 0.02 < alarms(generator.poisson(6, (1000, 14)), reference) < 0.06
    assert alarms(generator.poisson(3, (1000, 14)), reference) > 0.99
    clustered = generator.poisson(generator.gamma(2.0, 3.0, (1000, 264)))
    assert 0.02 < alarms(clustered[:, :14], clustered[:, 14:]) < 0.065


@pytest.mark.parametrize(
    ("live", "reference"),
    [([], [3]), ([3], []), ([-1], [3]), ([1], [-3]), ([1], [0, 0])],
)
def test_counts_that_make_no_rate_are_refused(live: list[int], reference: list[int]) -> None:
    with pytest.raises(UserError):
        trade_rate_drift(np.array(live, dtype=np.int64), np.array(reference, dtype=np.int64))


def test_levels_out_of_range_are_refused() -> None:
    with pytest.raises(UserError):
        trade_rate_drift(days(1), days(3), looks=0)
    with pytest.raises(UserError):
        trade_rate_drift(days(1), days(3), false_alarm=1.0)
