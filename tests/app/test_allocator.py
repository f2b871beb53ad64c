"""The allocator: standings, weights worked by hand, no look-ahead, and planted markets."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.adapters.report.results_made import Row, make_trades

from tercel.adapters.config import packaged_config_dir, read_settings
from tercel.app.allocator import (
    Rebalance,
    Standing,
    TradeResults,
    rebalances,
    results_of,
    standing_of,
    weights_of,
)
from tercel.app.allocator_walk import (
    AllocationCode,
    DailyReturns,
    chain,
    walk_allocator,
)
from tercel.app.posterior import Posterior, Prior, posterior
from tercel.domain.errors import UserError
from tercel.domain.times import DAY_MS

START = 1_704_067_200_000  # 2024-01-01 00:00 UTC
SETTINGS = read_settings([packaged_config_dir()], environ={}).settings
PLAIN = SETTINGS.allocator
FREE = PLAIN.with_overrides({"cap_fraction": 1.0})


class Believed(Posterior):
    """A posterior whose two figures are given."""

    __slots__ = ("_chance", "_part")

    def __init__(self, chance: float, part: float, trades: int = 100) -> None:
        Posterior.__init__(self, trades, 0.0, 1.0, 10.0)
        object.__setattr__(self, "_chance", chance)
        object.__setattr__(self, "_part", part)

    @property
    def positive_probability(self) -> float:
        return self._chance  # type: ignore[attr-defined, no-any-return]

    @property
    def positive_part_r(self) -> float:
        return self._part  # type: ignore[attr-defined, no-any-return]


BOTH = (Standing.ACTIVE, Standing.ACTIVE)


def test_weights_worked_by_hand() -> None:
    """Convictions 0.9 and 0.5, scores 0.18 and 0.05."""
    beliefs = [Believed(0.95, 0.2), Believed(0.75, 0.1)]
    found = weights_of(beliefs, BOTH, FREE)
    assert found == pytest.approx([0.9 * 0.18 / 0.23, 0.5 * 0.05 / 0.23])
    capped = weights_of(beliefs, BOTH, PLAIN)
    assert capped == pytest.approx([0.5, 0.5 * 0.05 / 0.23])


def test_who_more_likely_loses_gets_nothing_but_the_floor() -> None:
    beliefs = [Believed(0.95, 0.2), Believed(0.4, 0.1)]
    assert weights_of(beliefs, BOTH, FREE) == pytest.approx([0.9, 0.0])
    floored = FREE.with_overrides({"floor_fraction": 0.05})
    assert weights_of(beliefs, BOTH, floored) == pytest.approx([0.9, 0.05])
    paused = (Standing.ACTIVE, Standing.PAUSED)
    assert weights_of(beliefs, paused, floored) == pytest.approx([0.9, 0.0])
    unproven = (Standing.UNPROVEN, Standing.ACTIVE)
    assert weights_of(beliefs, unproven, floored) == pytest.approx([0.0, 0.05])


def test_floors_come_first_where_all_is_too_much() -> None:
    """0.99 wanted above a floor of 0.3, and 0.3: of the 0.4 left after floors, all goes to one."""
    beliefs = [Believed(0.995, 0.2), Believed(0.3, 0.1)]
    floored = FREE.with_overrides({"floor_fraction": 0.3})
    found = weights_of(beliefs, BOTH, floored)
    assert found == pytest.approx([0.7, 0.3])


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.floats(0, 1), st.floats(0, 5)), min_size=1, max_size=8),
    st.floats(0, 0.12),
    st.floats(0.12, 1.0),
)
def test_weights_are_between_floor_and_cap_and_at_most_all(
    found: list[tuple[float, float]], floor: float, cap: float
) -> None:
    settings = PLAIN.with_overrides({"floor_fraction": floor, "cap_fraction": cap})
    beliefs = [Believed(chance, part) for chance, part in found]
    weights = weights_of(beliefs, [Standing.ACTIVE] * len(beliefs), settings)
    assert (weights >= floor - 1e-12).all()
    assert (weights <= cap + 1e-12).all()
    assert weights.sum() <= 1.0 + 1e-9


@pytest.mark.parametrize(
    ("chance", "trades", "was_paused", "standing"),
    [
        (0.01, 29, False, Standing.UNPROVEN),
        (0.99, 29, True, Standing.UNPROVEN),
        (0.199, 30, False, Standing.PAUSED),
        (0.2, 30, False, Standing.ACTIVE),
        (0.499, 30, True, Standing.PAUSED),
        (0.5, 30, True, Standing.ACTIVE),
    ],
)
def test_a_pause_ends_at_a_higher_probability_than_it_begins(
    chance: float, trades: int, was_paused: bool, standing: Standing
) -> None:
    assert standing_of(Believed(chance, 0.1, trades), was_paused, PLAIN) is standing


def test_only_trades_closed_before_the_moment_count() -> None:
    results = TradeResults(np.array([10, 20, 20, 30]), np.array([1.0, 2.0, 3.0, 4.0]))
    assert results.before(20, 9).tolist() == [1.0]
    assert results.before(21, 9).tolist() == [1.0, 2.0, 3.0]
    assert results.before(99, 2).tolist() == [3.0, 4.0]


def test_results_come_in_the_order_of_exits_and_need_a_risk() -> None:
    trades = make_trades(
        [Row(20.0, exit_minute=9), Row(-5.0, exit_minute=3), Row(7.0, risk=0.0, exit_minute=4)]
    )
    found = results_of(trades)
    assert found.results_r.tolist() == [-0.5, 2.0]
    assert (np.diff(found.times) > 0).all()


def daily_trades(results: np.ndarray, a_day: int = 4) -> TradeResults:
    """`a_day` trades a day, closing evenly."""
    step = DAY_MS // a_day
    return TradeResults(START + step * np.arange(1, len(results) + 1), results)


def weekly(days: int) -> list[int]:
    return [START + DAY_MS * day for day in range(0, days, PLAIN.rebalance_days)]


def told(found: tuple[Rebalance, ...]) -> list[list[object]]:
    return [[each.time, *each.stakes] for each in found]


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 90))
def test_later_trades_never_change_an_earlier_weight(seed: int, known_days: int) -> None:
    """Decided with what was known then: cutting off the future or bending it changes nothing."""
    rng = np.random.default_rng(seed)
    edges = rng.normal(0.0, 0.3, 3)
    every = [daily_trades(rng.normal(edge, 1.0, 400)) for edge in edges]
    now = START + known_days * DAY_MS
    times = [time for time in weekly(100) if time <= now]
    cut = [TradeResults(e.times[e.times < now], e.results_r[e.times < now]) for e in every]
    bent = [TradeResults(e.times, np.where(e.times < now, e.results_r, 99.0)) for e in every]
    expected = told(rebalances(cut, times, PLAIN))
    assert told(rebalances(every, times, PLAIN)) == expected
    assert told(rebalances(bent, weekly(100), PLAIN))[: len(times)] == expected


def test_a_rebalance_is_the_posterior_of_its_trades() -> None:
    results = np.tile([2.0, -1.0, 0.5], 20)
    [found] = rebalances([daily_trades(results)], [START + 10 * DAY_MS], FREE)
    belief = posterior(results[:39], Prior(FREE.prior_trades, FREE.prior_deviation_r))
    assert found.stakes[0].trades == 39, "the fortieth closes at that very moment"
    assert found.stakes[0].positive_probability == belief.positive_probability
    assert found.stakes[0].weight == pytest.approx(2.0 * belief.positive_probability - 1.0)
    assert found.cash_fraction == pytest.approx(1.0 - found.stakes[0].weight)


def planted(edges: list[float], days: int = 180) -> tuple[DailyReturns, list[TradeResults]]:
    """Four trades a day of each strategy with these edges in R; each risks 0.5 % of its account."""
    rng = np.random.default_rng(11)
    results = rng.normal(0.0, 1.0, (len(edges), days, 4)) + np.array(edges)[:, None, None]
    begins = START + DAY_MS * np.arange(days)
    returns = 0.005 * results.sum(axis=2).T
    names = tuple(f"s{number}" for number in range(len(edges)))
    evidence = [daily_trades(each.ravel()) for each in results]
    return DailyReturns(names, begins, begins + DAY_MS, returns), evidence


def test_one_with_an_edge_among_losers_is_found() -> None:
    daily, evidence = planted([-0.2, 0.25, -0.3, -0.15])
    walk = walk_allocator(daily, evidence, FREE, SETTINGS.overfit)
    weights = np.array([each.weights for each in walk.rebalances])
    assert weights[0, 1] < weights[-1, 1]
    assert weights[-1, 1] > 0.99
    assert weights[-1, [0, 2, 3]].max() == 0.0
    assert walk.code is AllocationCode.BETTER
    assert walk.paths[0].net_fraction > 0.0 > walk.paths[1].net_fraction
    assert walk.paths[2].name == "s1 (hindsight)"
    stopped = {s.standing for each in walk.rebalances[8:] for s in (each.stakes[0], each.stakes[2])}
    assert stopped == {Standing.PAUSED}
    capped = walk_allocator(daily, evidence, PLAIN, SETTINGS.overfit)
    assert max(each.weights.max() for each in capped.rebalances) == PLAIN.cap_fraction
    assert capped.rebalances[-1].cash_fraction == pytest.approx(0.5)


def test_losers_alone_leave_nearly_all_in_cash() -> None:
    daily, evidence = planted([-0.2, -0.1, -0.3])
    walk = walk_allocator(daily, evidence, PLAIN, SETTINGS.overfit)
    ours, equal, best = walk.paths
    assert ours.invested_mean < 0.05
    assert min(ours.net_fraction, 0.0) > equal.net_fraction
    assert ours.net_fraction > best.net_fraction
    assert walk.code is AllocationCode.STAYED_OUT
    assert walk.difference is not None
    assert walk.difference.low > 0.0
    assert "in cash" in walk.headline


def test_noise_is_not_told_from_equal_weights() -> None:
    daily, evidence = planted([0.0, 0.0, 0.0, 0.0])
    walk = walk_allocator(daily, evidence, PLAIN, SETTINGS.overfit)
    assert walk.code is AllocationCode.UNDECIDED
    assert walk.difference is not None
    assert walk.difference.low < walk.difference.estimate < walk.difference.high


def test_the_test_begins_with_the_first_rebalance_with_evidence() -> None:
    """Four trades a day: 28 before day 7, 56 before day 14."""
    daily, evidence = planted([0.1, 0.1])
    walk = walk_allocator(daily, evidence, PLAIN, SETTINGS.overfit)
    assert walk.rebalances[0].time == START + 14 * DAY_MS
    assert walk.day_ends is not None
    assert len(walk.day_ends) == len(walk.paths[0].returns) == 180 - 14
    nothing = [TradeResults(np.empty(0, np.int64), np.empty(0))] * 2
    silent = walk_allocator(daily, nothing, PLAIN, SETTINGS.overfit)
    assert silent.code is AllocationCode.NOT_TESTED
    assert silent.paths == ()
    short, few = planted([0.1, 0.1], days=40)
    assert walk_allocator(short, few, PLAIN, SETTINGS.overfit).code is AllocationCode.NOT_TESTED


def test_capital_drifts_between_rebalances_and_is_moved_at_them() -> None:
    """0.5 in one that makes 10 % a day: 1.05, then 0.55 x 1.1 + 0.5 = 1.105; back to half."""
    returns = np.array([[0.1], [0.1], [0.1]])
    half = np.array([0.5])
    drifting = chain("x", returns, {0: half})
    assert drifting.equity == pytest.approx([1.05, 1.105, 1.1655])
    assert drifting.invested == pytest.approx([0.5, 0.55 / 1.05, 0.605 / 1.105])
    assert drifting.turnover == pytest.approx([0.5])
    moved = chain("x", returns, {0: half, 2: half})
    assert moved.equity == pytest.approx([1.05, 1.105, 1.105 * 1.05])
    assert moved.turnover == pytest.approx([0.5, 0.605 / 1.105 - 0.5])


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 4), st.integers(1, 60))
def test_the_chained_capital_is_the_product_and_nothing_is_lost(
    seed: int, count: int, days: int
) -> None:
    """Against a twin that keeps purses in quote."""
    rng = np.random.default_rng(seed)
    returns = np.maximum(rng.normal(0.0, 0.2, (days, count)), -1.0)
    weights = {day: rng.dirichlet(np.ones(count + 1))[:count] for day in range(0, days, 5)}
    found = chain("x", returns, weights)
    purses, cash = [0.0] * count, 1_000.0
    for day in range(days):
        if day in weights:
            whole = sum(purses) + cash
            purses = [whole * float(weight) for weight in weights[day]]
            cash = whole - sum(purses)
        purses = [purse * (1.0 + r) for purse, r in zip(purses, returns[day], strict=True)]
    assert found.equity[-1] * 1_000.0 == pytest.approx(sum(purses) + cash, rel=1e-9, abs=1e-9)
    assert found.net_fraction == pytest.approx(np.prod(1.0 + found.returns) - 1.0)


def test_ruin_is_the_end() -> None:
    found = chain("x", np.array([[-1.0], [0.5]]), {0: np.array([1.0]), 1: np.array([1.0])})
    assert found.returns.tolist() == [-1.0, 0.0]
    assert found.drawdown == 1.0


def test_floors_must_fit_into_the_capital() -> None:
    settings = PLAIN.with_overrides({"floor_fraction": 0.4})
    with pytest.raises(UserError, match=r"0\.4 for each of 3 strategies"):
        rebalances([daily_trades(np.zeros(3))] * 3, [START], settings)


def test_settings_that_contradict_each_other_are_refused() -> None:
    for changed in (
        {"trades_max": 10},
        {"resume_at": 0.1},
        {"floor_fraction": 0.6},
    ):
        with pytest.raises(ValueError, match="expected at least"):
            PLAIN.with_overrides(changed)
