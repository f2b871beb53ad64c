"""The verdict: which rule speaks, and in which words."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from tests.adapters.report.results_made import make_result

from tercel.app.statistics import Statistics, summarise
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
