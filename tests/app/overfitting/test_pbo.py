"""Probability of backtest overfitting: closed cases, a slow twin, and properties."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tercel.app.overfitting.pbo import probability_of_overfitting, split_halves
from tercel.app.overfitting.trial_matrix import Floats
from tercel.app.sharpe import moments, sharpe
from tercel.domain.errors import UserError


def noise(seed: int, shape: tuple[int, int]) -> Floats:
    return np.random.default_rng(seed).normal(0.0, 0.01, size=shape)


def naive(returns: Floats, blocks: int) -> list[tuple[float, float, float]]:
    """(logit, in sample, out of sample) of each split, one split and one column at a time."""
    parts = np.array_split(returns, blocks)
    found = []
    for picked in combinations(range(blocks), blocks // 2):
        inside = np.concatenate([parts[b] for b in picked])
        outside = np.concatenate([parts[b] for b in range(blocks) if b not in picked])
        before = [sharpe(moments(column)) for column in inside.T]
        after = [sharpe(moments(column)) for column in outside.T]
        chosen = before.index(max(before))
        ordered = sorted(after)
        first = ordered.index(after[chosen]) + 1
        rank = first + (ordered.count(after[chosen]) - 1) / 2
        share = rank / (len(after) + 1)
        found.append((math.log(share / (1 - share)), before[chosen], after[chosen]))
    return found


@pytest.mark.parametrize(
    ("rows", "columns", "blocks"), [(24, 5, 4), (40, 2, 6), (45, 9, 8), (21, 4, 2)]
)
def test_splits_are_those_of_the_slow_twin(rows: int, columns: int, blocks: int) -> None:
    returns = noise(rows, (rows, columns))
    found = probability_of_overfitting(returns, blocks)
    logits, before, after = (np.array(part) for part in zip(*naive(returns, blocks), strict=True))
    assert found.logits == pytest.approx(logits, abs=1e-12)
    assert found.in_sample == pytest.approx(before, rel=1e-9, abs=1e-12)
    assert found.out_of_sample == pytest.approx(after, rel=1e-9, abs=1e-12)
    assert found.probability == np.mean(logits <= 0)
    assert found.loss_probability == np.mean(after < 0)
    slope, intercept = np.polyfit(before, after, 1)
    assert found.slope == pytest.approx(slope, rel=1e-6)
    assert found.intercept == pytest.approx(intercept, rel=1e-6)
    assert found.r_squared == pytest.approx(np.corrcoef(before, after)[0, 1] ** 2, rel=1e-6)


def test_noise_is_overfitted_half_of_the_time() -> None:
    found = [probability_of_overfitting(noise(seed, (320, 60)), 8) for seed in range(60)]
    assert np.mean([one.probability for one in found]) == pytest.approx(0.5, abs=0.05)
    assert np.mean([one.loss_probability for one in found]) == pytest.approx(0.5, abs=0.07)
    assert np.mean([one.slope for one in found]) < 0.0  # what was best has used its luck


def test_a_trial_that_is_best_everywhere_is_never_overfitted() -> None:
    returns = noise(1, (320, 40))
    returns[:, 17] += 0.02
    found = probability_of_overfitting(returns, 8)
    assert found.probability == 0.0
    assert found.loss_probability == 0.0
    assert found.logits == pytest.approx(math.log(40))  # rank 40 of 40: 40/41 over 1/41
    assert (found.trials, len(found.logits)) == (40, 70)


def mirrored() -> Floats:
    """Four trials that each earn in one of four blocks and give it back in the others."""
    wiggle = np.tile([1.0, -1.0], 10)
    means = np.where(np.eye(4, dtype=bool), 3.0, -1.0)
    returns: Floats = np.repeat(means, 5, axis=0) + wiggle[:, None]
    return returns


def test_what_was_best_is_worst_afterwards() -> None:
    # In sample the two trials that earned in the halves' blocks tie; afterwards both share the
    # lowest rank: (1 + 2) / 2 of 4, so 0.3 of the way up and a logit of ln(0.3 / 0.7).
    found = probability_of_overfitting(mirrored(), 4)
    assert found.probability == 1.0
    assert found.loss_probability == 1.0
    assert found.logits == pytest.approx(math.log(0.3 / 0.7))


def test_trials_that_are_all_the_same_say_nothing() -> None:
    returns = np.repeat(noise(3, (64, 1)), 7, axis=1)
    found = probability_of_overfitting(returns, 8)
    assert found.logits.tolist() == [0.0] * 70  # the average rank, exactly
    assert found.probability == 1.0


def test_equal_choices_count_by_what_became_of_the_worst() -> None:
    # Two halves. Both trials rest in the first, and the third loses there; then 0 wins, 1 loses.
    rest, wave = [0.0] * 4, [0.01, 0.03, 0.01, 0.03]
    lost = [-value for value in wave]
    returns = np.array([rest + wave, rest + lost, lost + rest]).T
    found = probability_of_overfitting(returns, 2)
    assert found.in_sample[0] == 0.0
    assert found.out_of_sample[0] < 0.0
    assert probability_of_overfitting(returns[:, ::-1], 2).logits == pytest.approx(found.logits)


def test_slope_needs_a_spread() -> None:
    wave = np.array([0.01, 0.02, 0.01, 0.02, 0.01, 0.02, 0.01, 0.02])
    found = probability_of_overfitting(np.column_stack((wave, wave - 0.02)), 4)
    assert math.isnan(found.slope)
    assert math.isnan(found.r_squared)


def test_columns_without_a_trade_are_left_out() -> None:
    returns = noise(4, (64, 6))
    padded = np.column_stack((returns, np.zeros((64, 3))))
    found = probability_of_overfitting(padded, 8)
    assert (found.trials, found.left_out) == (6, 3)
    assert found.logits.tolist() == probability_of_overfitting(returns, 8).logits.tolist()


def test_sixteen_blocks_have_12870_halves() -> None:
    halves = split_halves(16)
    assert halves.shape == (12_870, 16)
    assert (halves.sum(axis=1) == 8).all()
    assert len({row.tobytes() for row in halves}) == 12_870
    found = probability_of_overfitting(noise(5, (160, 243)))
    assert len(found.logits) == 12_870


@pytest.mark.parametrize(
    ("shape", "blocks", "said"),
    [
        ((64, 4), 7, "even"),
        ((64, 4), 0, "even"),
        ((640, 4), 22, "even"),
        ((30, 4), 16, "32 periods"),
        ((64, 1), 4, "two moving"),
    ],
)
def test_what_cannot_be_split_is_refused(shape: tuple[int, int], blocks: int, said: str) -> None:
    with pytest.raises(UserError, match=said):
        probability_of_overfitting(noise(1, shape), blocks)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), st.integers(2, 9), st.sampled_from([2, 4, 6]))
def test_neither_scale_nor_order_of_columns_matters(seed: int, columns: int, blocks: int) -> None:
    returns = noise(seed, (37, columns))
    found = probability_of_overfitting(returns, blocks)
    assert 0.0 <= found.probability <= 1.0
    assert 0.0 <= found.loss_probability <= 1.0
    assert 0.0 <= found.r_squared <= 1.0 + 1e-9
    order = np.random.default_rng(seed).permutation(columns)
    scale = 2.0 ** np.random.default_rng(seed).integers(-6, 6, size=columns)
    other = probability_of_overfitting((returns * scale)[:, order], blocks)
    assert other.logits == pytest.approx(found.logits)
    assert other.slope == pytest.approx(found.slope, rel=1e-6, abs=1e-9)
