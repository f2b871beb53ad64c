"""The verdict of a walk: which rule decides, and what is said."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.app.test_sweep import ACCOUNT, job_on
from tests.market_data import invented_bars

from tercel.app.backtest import simulate
from tercel.app.statistics import Statistics, summarise
from tercel.app.walk_verdict import WALK_HEADLINES, WalkCode, WalkFigures, judge_walk


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
