"""The verdict of a walk: which rule decides, and what is said."""

from __future__ import annotations

import math
from dataclasses import replace
from statistics import NormalDist

import numpy as np
import pytest
from tests.app.test_sweep import ACCOUNT, job_on
from tests.market_data import invented_bars

from tercel.app.backtest import simulate
from tercel.app.sharpe import annualised
from tercel.app.statistics import Statistics, summarise
from tercel.app.trial_count import TrialCount
from tercel.app.walk_verdict import WALK_HEADLINES, WalkCode, WalkFigures, judge_walk, middle_one


@pytest.fixture(scope="module")
def plain() -> Statistics:
    return summarise(simulate((job_on(invented_bars(400)).spec,), ACCOUNT))


def figures(net: Statistics, **changed: object) -> WalkFigures:
    made = WalkFigures(
        statistics=net,
        held=replace(net, net_fraction=0.10, drawdown_depth=0.2),
        fold_nets=(0.02, -0.01),
        folds=3,
        whole_nets=np.array([0.1, -0.2, -0.3]),
        train_sharpe=3.0,
    )
    return replace(made, **changed)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changed", "code", "said"),
    [
        ({"trades": 29}, WalkCode.NOT_ENOUGH_TRADES, "At least 30 trades are needed"),
        ({"gross_quote": -1.0}, WalkCode.NO_EDGE, "Lower fees would not help"),
        ({"net_quote": -5.0}, WalkCode.EDGE_BELOW_COSTS, "ate 3.0 times the gross profit"),
        ({"probabilistic_sharpe": 0.9}, WalkCode.NOT_DISTINGUISHABLE_FROM_LUCK, "90.0 %; 95 %"),
        ({"probabilistic_sharpe": float("nan")}, WalkCode.NOT_DISTINGUISHABLE_FROM_LUCK, "cannot"),
        ({}, WalkCode.HELD_OUT_OF_SAMPLE, "more than 99 %"),
    ],
)
def test_the_first_rule_that_holds_decides(
    plain: Statistics, changed: dict[str, float], code: WalkCode, said: str
) -> None:
    good = replace(
        plain,
        trades=100,
        gross_quote=10.0,
        net_quote=5.0,
        net_fraction=0.05,
        cost_share=3.0,
        probabilistic_sharpe=0.999,
        sharpe=1.0,
    )
    verdict = judge_walk(figures(replace(good, **changed)))  # type: ignore[arg-type]
    assert verdict.code is code
    assert verdict.headline == WALK_HEADLINES[code]
    assert said in str(verdict)
    assert "1 of 3 folds ended with a profit: the best made 2.0 %, the worst lost 1.0 %" in str(
        verdict
    )
    assert "In 1 of them nothing was chosen" in str(verdict)
    assert "On train the chosen ones had a Sharpe ratio of 3.00 on average" in str(verdict)
    assert "1 of 3 combinations made money after costs" in str(verdict)
    assert "the middle one lost 20.0 %, the best made 10.0 %, the worst lost 30.0 %" in str(verdict)
    assert "most of these lose after costs" in str(verdict)
    assert str(verdict).endswith("drawdown of 20.0 %: this was worse.")


def test_nothing_chosen_is_no_result(plain: Statistics) -> None:
    verdict = judge_walk(
        figures(plain, fold_nets=(), train_sharpe=float("nan"), whole_nets=np.array([0.1, 0.0]))
    )
    assert verdict.code is WalkCode.NOTHING_CHOSEN
    assert "All 3 folds stayed in cash." in str(verdict)
    assert "most of these lose" not in str(verdict)
    assert "On train" not in str(verdict)
    idle = judge_walk(figures(plain, fold_nets=(), whole_nets=np.zeros(4)))
    assert "none of 4 combinations made or lost anything" in str(idle)


RATIO, DAYS = 0.15, 200
"""Of the chain: daily Sharpe ratio and daily returns, normal in shape."""


def evidence(plain: Statistics) -> Statistics:
    """A chain that would be evidence alone: a ratio 2.10 errors above zero, 98.2 %."""
    alone = NormalDist().cdf(RATIO * math.sqrt(DAYS - 1) / math.sqrt(1.0 + RATIO**2 / 2.0))
    assert alone == pytest.approx(0.982, abs=0.001)
    return replace(
        plain,
        trades=100,
        gross_quote=10.0,
        net_quote=5.0,
        net_fraction=0.05,
        sharpe=annualised(RATIO),
        daily_returns=DAYS,
        skewness=0.0,
        kurtosis=3.0,
        probabilistic_sharpe=alone,
    )


def others(count: int, spread: float) -> TrialCount:
    """`count` (even) trials of as many days, half of them `spread` above zero, half below."""
    sharpes = np.tile([spread, -spread], count // 2)
    return TrialCount(count, count + 3, sharpes, np.full(count, DAYS))


def deflated_by_hand(tried: TrialCount) -> tuple[float, float]:
    """Probability and benchmark (per day), from the paper's formulas: the chain is one more."""
    trials = tried.trials + 1
    ratios = [*tried.sharpes, RATIO]
    mean = sum(ratios) / trials
    deviation = math.sqrt(sum((each - mean) ** 2 for each in ratios) / (trials - 1))
    quantile, euler = NormalDist().inv_cdf, 0.5772156649015329
    best = (1 - euler) * quantile(1 - 1 / trials) + euler * quantile(1 - 1 / (trials * math.e))
    error = math.sqrt((1.0 + RATIO**2 / 2.0) / (DAYS - 1))
    return NormalDist().cdf((RATIO - deviation * best) / error), deviation * best


def test_trials_elsewhere_cap_the_headline(plain: Statistics) -> None:
    """40 other trials with ratios of +-0.07: the best worthless one has more than the chain."""
    tried = others(40, 0.07)
    verdict = judge_walk(figures(evidence(plain), others=tried))
    chance, benchmark = deflated_by_hand(tried)
    assert chance < 0.95
    assert verdict.code is WalkCode.NOT_DISTINGUISHABLE_FROM_LUCK
    assert verdict.headline == "Best of 41 trials, not distinguishable from luck"
    said = str(verdict)
    assert "Beyond this walk's own grid, 40 trials of this strategy on this data" in said
    assert f"a Sharpe ratio of {annualised(benchmark):.2f} a year, the chain has 2.87" in said
    assert f"above zero is {100 * chance:.1f} % (95 % is asked for), not the 98.2 %" in said


def test_trials_elsewhere_that_hardly_differ_leave_the_headline(plain: Statistics) -> None:
    tried = others(2, 0.001)
    quiet = replace(tried, sharpes=np.array([0.149, 0.151]))
    verdict = judge_walk(figures(evidence(plain), others=quiet))
    chance, _ = deflated_by_hand(quiet)
    assert chance >= 0.95
    assert verdict.code is WalkCode.HELD_OUT_OF_SAMPLE
    assert f"is {100 * chance:.1f} %, counting that 2 other trials" in str(verdict)


def test_no_trial_elsewhere_deflates_nothing(plain: Statistics) -> None:
    none = TrialCount(0, 0, np.empty(0), np.empty(0, np.int64))
    verdict = judge_walk(figures(evidence(plain), others=none))
    assert verdict.code is WalkCode.HELD_OUT_OF_SAMPLE
    assert "is 98.2 %, and the research ledger knows of no other trial" in str(verdict)
    alone = judge_walk(figures(evidence(plain)))
    assert alone.code is WalkCode.HELD_OUT_OF_SAMPLE
    assert "It counts only what this walk tried" in str(alone)


def test_folds_after_ruin_did_not_wait(plain: Statistics) -> None:
    verdict = str(judge_walk(figures(plain, folds=4, fold_nets=(0.1, -1.05), folds_ruined=2)))
    assert "All the money was lost before the last 2 folds, which were not traded." in verdict
    assert "the money waited" not in verdict


def test_the_middle_one_was_tried(plain: Statistics) -> None:
    """Of 4, 3, 2, 1 % the middle is 2 %, not 2.5 %: the table shows the trades of that one."""
    nets = np.array([0.01, 0.04, 0.03, 0.02])
    assert middle_one(nets) == 3
    assert middle_one(nets[:3]) == 2
    assert "the middle one made 2.0 %" in str(judge_walk(figures(plain, whole_nets=nets)))
