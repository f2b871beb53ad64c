"""Permutation tests of entries: a slow twin, planted knowledge, and none."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tercel.app.overfitting.permutation import (
    EntryTrades,
    PermutationTest,
    shifted_entries,
    shuffled_entries,
)
from tercel.app.sharpe import Floats
from tercel.domain.errors import UserError


def walk(seed: int, count: int, drift: float = 0.0) -> Floats:
    steps = np.random.default_rng(seed).normal(drift, 0.01, size=count)
    closes: Floats = 100.0 * np.exp(np.cumsum(steps))
    return closes


def blind_trades(seed: int, bars: int, count: int) -> EntryTrades:
    """Trades one after another at times that know nothing."""
    generator = np.random.default_rng(seed)
    entries = np.sort(generator.choice(bars // 5, size=count, replace=False)) * 5
    sides = generator.choice([-1, 1], size=count)
    return EntryTrades(entries[:-1], sides[:-1], generator.integers(1, 5, size=count - 1))


def foreseeing_trades(closes: Floats, count: int) -> EntryTrades:
    """One-bar trades that know the next close."""
    entries = np.arange(count) * 7
    sides = np.where(closes[entries + 1] > closes[entries], 1, -1)
    return EntryTrades(entries, sides, np.ones(count, dtype=np.int64))


def naive_shifts(closes: Floats, trades: EntryTrades) -> list[float]:
    """The sum of log returns after each shift, trade by trade and bar by bar, round the circle."""
    steps = [math.log(b / a) for a, b in pairwise(closes)]
    totals = []
    for shift in range(len(steps)):
        total = 0.0
        for entry, side, bars in zip(
            trades.entries, trades.sides, trades.holding_bars, strict=True
        ):
            for bar in range(bars):
                total += side * steps[(entry + bar + shift) % len(steps)]
        totals.append(total)
    return totals


def test_every_shift_is_that_of_the_slow_twin() -> None:
    closes = walk(1, 80)
    trades = EntryTrades(np.array([3, 10, 12, 70]), np.array([1, -1, 1, 1]), np.array([4, 9, 5, 9]))
    totals = naive_shifts(closes, trades)
    found = shifted_entries(closes, trades)
    assert found.observed == pytest.approx(totals[0])
    assert found.permutations == 78
    assert found.null_mean == pytest.approx(np.mean(totals[1:]))
    assert found.null_deviation == pytest.approx(np.std(totals[1:], ddof=1))
    reached = sum(total >= totals[0] for total in totals[1:])
    assert found.p_value == (1 + reached) / 79


def test_statistic_by_hand() -> None:
    # Long from 100 to 110, short from 110 to 99: ln 1.1 + ln (110 / 99) = 0.0953 + 0.1054
    closes = np.array([100.0, 110.0, 99.0, 100.0, 100.0])
    trades = EntryTrades(np.array([0, 1]), np.array([1, -1]), np.array([1, 1]))
    assert shifted_entries(closes, trades).observed == pytest.approx(0.2007, abs=5e-5)
    shuffled = shuffled_entries(closes, trades, 200, np.random.default_rng(1))
    assert shuffled.observed == pytest.approx(0.2007, abs=5e-5)
    # Nothing beats it. The orders that keep long at 0 and short at 1 equal it.
    assert shifted_entries(closes, trades).p_value == 1 / 4


def test_shuffled_trades_cover_every_place_once() -> None:
    # One trade of two bars in four steps can stand at 0, 1 or 2: sums 3, 5 and 7 hundredths.
    steps = np.array([0.01, 0.02, 0.03, 0.04])
    closes = np.exp(np.concatenate(([0.0], np.cumsum(steps))))
    trade = EntryTrades(np.array([1]), np.array([1]), np.array([2]))
    found = shuffled_entries(closes, trade, 6000, np.random.default_rng(1))
    assert found.null_mean == pytest.approx(0.05, abs=0.001)
    assert found.null_deviation == pytest.approx(0.02 * math.sqrt(2 / 3), abs=0.001)
    assert found.p_value == pytest.approx(2 / 3, abs=0.02)


def test_trades_that_fill_the_time_only_change_order() -> None:
    # Four steps, held throughout by trades of 1 and 3 bars, both long: always the same sum.
    closes = walk(3, 5)
    trades = EntryTrades(np.array([0, 1]), np.array([1, 1]), np.array([1, 3]))
    found = shuffled_entries(closes, trades, 50, np.random.default_rng(1))
    assert found.null_deviation == pytest.approx(0.0, abs=1e-12)
    assert found.p_value == 1.0


def both(closes: Floats, trades: EntryTrades, seed: int) -> list[PermutationTest]:
    generator = np.random.default_rng(seed)
    return [shifted_entries(closes, trades), shuffled_entries(closes, trades, 199, generator)]


def test_knowledge_is_found() -> None:
    closes = walk(5, 800)
    shifted, shuffled = both(closes, foreseeing_trades(closes, 60), 5)
    assert shifted.p_value == 1 / 799
    assert shuffled.p_value == 1 / 200


def test_drift_is_not_taken_for_knowledge() -> None:
    # Long only in a market that rises 1 % a bar: a profit everywhere.
    closes = walk(6, 800, drift=0.01)
    blind = blind_trades(6, 790, 80)
    longs = EntryTrades(blind.entries, np.ones(79, dtype=np.int64), blind.holding_bars)
    for found in both(closes, longs, 6):
        assert found.observed > 1.0
        assert found.null_mean == pytest.approx(found.observed, rel=0.3)
        assert found.p_value > 0.05


def test_p_values_without_knowledge_are_uniform() -> None:
    values = np.array(
        [
            [found.p_value for found in both(walk(seed, 300), blind_trades(seed, 290, 30), seed)]
            for seed in range(500)
        ]
    )
    for column in values.T:
        ordered = np.sort(column)
        distance = np.abs(ordered - np.arange(1, 501) / 501).max()
        assert distance < 1.63 / math.sqrt(500)  # Kolmogorov-Smirnov at 1 %
        assert np.mean(column <= 0.05) == pytest.approx(0.05, abs=0.025)


def test_no_trade_proves_nothing() -> None:
    nothing = np.empty(0, dtype=np.int64)
    for found in both(walk(1, 50), EntryTrades(nothing, nothing, nothing), 1):
        assert (found.observed, found.p_value) == (0.0, 1.0)


def test_one_permutation_has_no_deviation() -> None:
    found = shuffled_entries(walk(1, 50), blind_trades(1, 40, 4), 1, np.random.default_rng(1))
    assert math.isnan(found.null_deviation)
    assert found.p_value in (0.5, 1.0)


@pytest.mark.parametrize(
    ("entries", "sides", "bars", "said"),
    [
        ([1, 2], [1], [1, 1], "same length"),
        ([1], [0], [1], "sides"),
        ([1], [1], [0], "one bar"),
    ],
)
def test_trades_that_are_none_are_refused(
    entries: list[int], sides: list[int], bars: list[int], said: str
) -> None:
    with pytest.raises(UserError, match=said):
        EntryTrades(np.array(entries), np.array(sides), np.array(bars))


def test_trades_outside_of_the_bars_are_refused() -> None:
    trades = EntryTrades(np.array([8]), np.array([1]), np.array([2]))
    assert shifted_entries(walk(1, 11), trades).permutations == 9
    with pytest.raises(UserError, match="after the last"):
        shifted_entries(walk(1, 10), trades)
    with pytest.raises(UserError, match="positive closes"):
        shifted_entries(np.array([1.0, 0.0, 1.0]), trades)


def test_too_much_overlap_cannot_be_shuffled() -> None:
    trades = EntryTrades(np.array([0, 1]), np.array([1, 1]), np.array([8, 8]))
    assert shifted_entries(walk(1, 11), trades).permutations == 9
    with pytest.raises(UserError, match="shift them all"):
        shuffled_entries(walk(1, 11), trades, 10, np.random.default_rng(1))
    with pytest.raises(UserError, match="1 or more"):
        shuffled_entries(walk(1, 50), trades, 0, np.random.default_rng(1))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32), st.integers(2, 12), st.floats(0.01, 1e5))
def test_p_values_are_shares_and_prices_have_no_unit(seed: int, count: int, unit: float) -> None:
    closes, trades = walk(seed, 120), blind_trades(seed, 110, count)
    for found, scaled in zip(
        both(closes, trades, seed), both(closes * unit, trades, seed), strict=True
    ):
        assert 0.0 < found.p_value <= 1.0
        assert scaled.p_value == found.p_value
        assert scaled.observed == pytest.approx(found.observed, abs=1e-9)
