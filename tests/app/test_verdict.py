"""The verdict: which rule speaks, and in which words."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from tests.adapters.report.results_made import make_result

from tercel.app.sharpe import moments, probabilistic_sharpe, sharpe, track_record_length_min
from tercel.app.statistics import Statistics, summarise
from tercel.app.trial_count import TrialCount
from tercel.app.verdict import VerdictCode, judge

BASE = summarise(make_result((), ((1.0, 101.0), (2.0, 103.0))))
PROVEN: dict[str, float] = {"probabilistic_sharpe": 0.97, "track_record_days_min": 200.0}
HELD = replace(BASE, net_fraction=1.10, drawdown_depth=0.216)


def figures(trades: int, gross: float, net: float, **changes: float) -> Statistics:
    """Figures of a run of 300 days on 100 quote."""
    given: dict[str, float] = {
        "trades": trades,
        "gross_quote": gross,
        "gross_fraction": gross / 100.0,
        "net_quote": net,
        "net_fraction": net / 100.0,
        "end_quote": 100.0 + net,
        "cost_share": (gross - net) / gross if gross > 0 else math.nan,
        "daily_returns": 300,
        "probabilistic_sharpe": 0.5,
        "track_record_days_min": 4_000.0,
    }
    return replace(BASE, **{**given, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("statistics", "code"),
    [
        (figures(29, 50.0, 40.0, **PROVEN), VerdictCode.NOT_ENOUGH_TRADES),
        (figures(30, 0.0, -5.0), VerdictCode.NO_EDGE),
        (figures(30, -3.0, 5.0), VerdictCode.NO_EDGE),
        (figures(30, 3.0, 0.0), VerdictCode.EDGE_BELOW_COSTS),
        (figures(30, 3.0, 1.0), VerdictCode.NOT_DISTINGUISHABLE_FROM_LUCK),
        (
            figures(30, 3.0, 1.0, probabilistic_sharpe=0.96, track_record_days_min=301.0),
            VerdictCode.NOT_DISTINGUISHABLE_FROM_LUCK,
        ),
        (
            figures(30, 3.0, 1.0, probabilistic_sharpe=math.nan, track_record_days_min=math.nan),
            VerdictCode.NOT_DISTINGUISHABLE_FROM_LUCK,
        ),
        (figures(30, 3.0, 1.0, **PROVEN), VerdictCode.PROFITABLE_IN_SAMPLE),
    ],
)
def test_the_first_rule_that_holds_decides(statistics: Statistics, code: VerdictCode) -> None:
    assert judge(statistics, HELD).code is code


def test_no_edge_after_costs_in_words() -> None:
    said = str(judge(figures(1_421, 0.8, -23.4, cost_share=31.2), HELD))
    assert said == (
        "No edge after costs. 1,421 trades lost 23.4 % net; before costs they made 0.8 %. "
        "The edge is smaller than its costs. Fees and slippage ate 31 times the gross profit. "
        "Buy-and-hold made 110 % with a drawdown of 21.6 %: this was worse."
    )


def test_no_edge_before_costs_in_words() -> None:
    said = str(judge(figures(100, -2.0, -50.0), HELD))
    assert said.startswith("No edge even before costs. 100 trades lost 50.0 % net; before costs")
    assert "the signals lose money by themselves" in said


@pytest.mark.parametrize("trades", [2, 100])
def test_ruin_is_the_whole_verdict(trades: int) -> None:
    said = str(judge(figures(trades, -2.0, -100.0, end_quote=0.0), HELD))
    assert said.startswith(f"Account wiped out. {trades} trades lost 100 % net; before costs")
    assert "All of the capital was lost." in said


def test_luck_in_words() -> None:
    said = str(judge(figures(100, 8.0, 5.0), replace(HELD, net_fraction=-0.2)))
    assert "is 50.0 % (95 % is asked for): a record of 4,000 days would be needed" in said
    assert "this one has 300" in said
    assert "Fees and slippage took 37.5 % of the gross profit." in said
    assert said.endswith("Buy-and-hold lost 20.0 % with a drawdown of 21.6 %: this was better.")


def test_luck_without_a_ratio() -> None:
    short = figures(100, 8.0, 5.0, probabilistic_sharpe=math.nan, daily_returns=1)
    assert "A record of 1 daily return is too short to measure risk." in str(judge(short))
    negative = figures(100, 8.0, 5.0, track_record_days_min=math.nan)
    assert "(95 % is asked for)." in str(judge(negative))


def test_profit_is_one_trial() -> None:
    said = str(judge(figures(100, 8.0, 5.0, **{**PROVEN, "probabilistic_sharpe": 0.9999}), HELD))
    assert said.startswith("Profitable in this sample.")
    assert "more than 99 %" in said
    assert "One backtest is one trial: try other periods" in said


@pytest.mark.parametrize(
    ("share", "words"),
    [(1.0, "ate the whole"), (2.44, "ate 2.4 times"), (0.5, "took 50.0 % of")],
)
def test_how_much_costs_ate(share: float, words: str) -> None:
    assert words in str(judge(figures(30, 3.0, -0.1, cost_share=share)))


def test_funding_is_told_among_the_costs_where_it_matters() -> None:
    some = figures(30, 10.0, 2.0, cost_share=0.5, funding_quote=-3.0)
    assert "Fees, slippage and funding took 80.0 % of the gross profit." in str(judge(some))
    all_of_it = figures(30, 10.0, 0.0, cost_share=0.6, funding_quote=-4.0)
    assert "Fees, slippage and funding ate the whole gross profit." in str(judge(all_of_it))
    for little in (-0.05, 3.0):  # next to nothing; received
        said = str(judge(figures(30, 10.0, 5.0, cost_share=0.5, funding_quote=little)))
        assert "Fees and slippage took 50.0 % of the gross profit." in said


def test_what_is_held_is_named() -> None:
    said = str(judge(figures(30, 10.0, 5.0), replace(HELD, trades=3)))
    assert "Buy-and-hold of 3 symbols in equal parts made 110 % with" in said


def test_no_trades_and_few() -> None:
    none = judge(replace(BASE, signals=7, refused=7), HELD)
    assert none.code is VerdictCode.NOT_ENOUGH_TRADES
    assert "There was no trade at all (7 signals, 7 refused)." in none.sentences
    assert str(none).endswith("Buy-and-hold made 110 % with a drawdown of 21.6 %.")
    one = judge(figures(1, 0.0, 0.0))
    assert "1 trade made nothing net; before costs they made nothing." in one.sentences
    assert "There is no buy-and-hold beside it" in str(one)


def tried(ratios: list[float]) -> TrialCount:
    return TrialCount(len(ratios), 2 * len(ratios), np.array(ratios), np.full(len(ratios), 300))


SHAPE: dict[str, float] = {"sharpe": 0.15 * math.sqrt(365), "skewness": 0.0, "kurtosis": 3.0}
"""0.15 a day over 300 days: z = 0.15 * sqrt(299) / sqrt(1 + 0.15^2 / 2) = 2.58."""


def test_the_best_of_many_trials_is_luck() -> None:
    """100 trials whose ratios have a variance of 0.04^2 have a best one of 0.1 on average, so that
    z = (0.15 - 0.1012) * 17.29 / 1.0056 = 0.84: 80 %, where a single trial has 99.5 %.
    """
    some = figures(100, 8.0, 5.0, **{**PROVEN, **SHAPE, "probabilistic_sharpe": 0.995})
    spread = np.linspace(-1.0, 1.0, 100)
    many = tried((0.04 * spread / spread.std(ddof=1)).tolist())
    found = judge(some, HELD, many)
    assert found.code is VerdictCode.LUCK_OF_MANY_TRIALS
    assert found.headline == "Best of 100 trials, not distinguishable from luck"
    said = str(found)
    assert "100 trials of this strategy on this data are in the research ledger" in said
    assert "would have a Sharpe ratio of 1.93 a year, this one has 2.87" in said
    assert "true ratio is above zero is 79.9 % (95 % is asked for), not the more than 99 %" in said


def test_a_profit_that_survives_all_trials_says_how_many() -> None:
    some = figures(100, 8.0, 5.0, **{**PROVEN, **SHAPE})
    found = judge(some, HELD, tried([0.15, 0.149, 0.148]))
    assert found.code is VerdictCode.PROFITABLE_IN_SAMPLE
    assert "counting that 3 trials are in the research ledger" in str(found)
    assert "One backtest is one trial" not in str(found)


def test_the_first_trial_is_told_so() -> None:
    some = figures(100, 8.0, 5.0, **{**PROVEN, **SHAPE})
    found = judge(some, HELD, tried([0.15]))
    assert found.code is VerdictCode.PROFITABLE_IN_SAMPLE
    assert "is 97.0 %, and the research ledger knows of no other trial" in str(found)


def test_trials_change_no_verdict_that_is_none() -> None:
    for poor in (figures(29, 5.0, 4.0, **SHAPE), figures(30, 3.0, 1.0, **SHAPE)):
        assert judge(poor, HELD, tried([0.1, 0.2])) == judge(poor, HELD)


def test_one_of_many_worthless_backtests_passes_alone_and_not_among_them() -> None:
    """60 strategies of pure chance over 300 days: the best passes the single test at 95 %."""
    returns = np.random.default_rng(2).normal(0.0, 0.01, (60, 300))
    shapes = [moments(each) for each in returns]
    ratios = [sharpe(each) for each in shapes]
    shape = shapes[int(np.argmax(ratios))]
    single = {
        "sharpe": max(ratios) * math.sqrt(365),
        "skewness": shape.skewness,
        "kurtosis": shape.kurtosis,
        "probabilistic_sharpe": probabilistic_sharpe(max(ratios), shape),
        "track_record_days_min": track_record_length_min(max(ratios), shape),
    }
    best = figures(100, 8.0, 5.0, **single)
    assert judge(best, HELD).code is VerdictCode.PROFITABLE_IN_SAMPLE
    assert judge(best, HELD, tried(ratios)).code is VerdictCode.LUCK_OF_MANY_TRIALS
