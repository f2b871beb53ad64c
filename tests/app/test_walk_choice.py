"""What a fold chooses, on figures made by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tercel.app.overfitting.deflated import deflate, independent_trials
from tercel.app.overfitting.trial_matrix import trial_matrix
from tercel.app.sharpe import moments, sharpe
from tercel.app.sweep import FIGURES
from tercel.app.walk_choice import NO_TRADES, NOT_VALIDATED, UNMEASURED, choose
from tercel.bootstrap import load_settings
from tercel.core.records import Records
from tercel.domain.research_settings import WalkSettings

NAN = float("nan")
SHIPPED = load_settings().walk


def settings(**changed: Any) -> WalkSettings:
    base = {"trades_min": 5, "candidates": 3, "validate_trades_min": 5}
    return WalkSettings(**{**SHIPPED.model_dump(), **base, **changed})


def figures(sharpes: list[float], trades: int = 50) -> Records:
    made = np.zeros(len(sharpes), FIGURES)
    made["trades"], made["steps"] = trades, 400
    made["sharpe"] = made["sortino"] = made["net"] = sharpes
    made["mean"] = made["sharpe"] * 0.001
    made["deviation"], made["kurtosis"] = 0.001, 3.0
    flat = np.isnan(made["sharpe"])
    made["mean"][flat], made["deviation"][flat], made["kurtosis"][flat] = 0.0, 0.0, NAN
    return made


RETURNS = np.random.default_rng(7).normal(0.0, 0.01, (100, 5))


def test_validation_decides_between_the_best_of_train() -> None:
    train = figures([0.1, 0.5, 0.3, 0.4, 0.2])
    validation = figures([0.9, 0.01, 0.02, 0.05, 0.8])
    made = choose(train, validation, RETURNS, settings())
    assert made.chosen is not None
    assert [each.number for each in made.candidates] == [3, 2, 1], "0 and 4 were not good on train"
    assert made.chosen.number == 3
    assert made.chosen.train == 0.4
    assert made.ranked == 5
    assert made.why_none == ""


def test_the_probability_is_that_of_the_paper() -> None:
    """Written out from the returns: deflated by all ratios and the independent trials."""
    hourly = np.random.default_rng(3).normal(0.0002, 0.01, (400, 5))
    validation = np.zeros(5, FIGURES)
    validation["trades"] = 50
    for row, column in zip(validation, hourly.T, strict=True):
        shape = moments(column)
        row["steps"], row["mean"], row["deviation"] = shape.count, shape.mean, shape.deviation
        row["skewness"], row["kurtosis"] = shape.skewness, shape.kurtosis
        row["sharpe"] = sharpe(shape)
    made = choose(figures([0.1, 0.5, 0.3, 0.4, 0.2]), validation, RETURNS, settings(candidates=5))
    trials = independent_trials(trial_matrix(RETURNS))
    assert made.trials == trials
    ratios = np.array([sharpe(moments(column)) for column in hourly.T])
    expected = {
        number: deflate(moments(hourly[:, number]), ratios, trials).probability
        for number in range(5)
    }
    assert {each.number: each.validation.probability for each in made.candidates} == expected
    assert made.chosen is not None
    assert made.chosen.number == max(expected, key=lambda number: expected[number])


@pytest.mark.parametrize("rank_by", ["sharpe", "sortino", "net"])
def test_the_figure_of_the_settings_ranks(rank_by: str) -> None:
    train = figures([0.1, 0.2, 0.3])
    for name in ("sharpe", "sortino", "net"):
        train[name] = [0.3, 0.2, 0.1]
    train[rank_by] = [0.1, 0.2, 0.3]
    made = choose(
        train, figures([0.1] * 3), RETURNS[:, :3], settings(rank_by=rank_by, candidates=1)
    )
    assert made.chosen is not None
    assert made.chosen.number == 2


def test_ties_go_to_the_first_of_the_grid() -> None:
    made = choose(figures([0.2] * 5), figures([0.1] * 5), RETURNS, settings())
    assert [each.number for each in made.candidates] == [0, 1, 2]
    assert made.chosen is not None
    assert made.chosen.number == 0


def test_without_trades_nothing_is_chosen() -> None:
    made = choose(figures([NAN] * 5, 0), figures([0.1] * 5), RETURNS * 0.0, settings())
    assert made.chosen is None
    assert made.why_none == NO_TRADES
    assert made.candidates == ()
    assert made.trials == 1.0


def test_too_few_trades_are_no_evidence() -> None:
    train = figures([0.9, 0.1], 4)
    made = choose(train, figures([0.1, 0.1]), RETURNS[:, :2], settings())
    assert made.why_none == "no combination has 5 trades on train"
    train["trades"][1] = 5
    made = choose(train, figures([0.1, 0.1]), RETURNS[:, :2], settings())
    assert made.chosen is not None
    assert made.chosen.number == 1


def test_returns_that_never_vary_have_no_rank() -> None:
    made = choose(figures([NAN, NAN]), figures([0.1, 0.2]), RETURNS[:, :2] * 0.0, settings())
    assert made.why_none == UNMEASURED


def test_a_candidate_that_validation_cannot_judge_comes_last() -> None:
    train = figures([0.3, 0.2, 0.1])
    made = choose(train, figures([NAN, 0.01, 0.02]), RETURNS[:, :3], settings())
    assert [each.number for each in made.candidates] == [2, 1, 0]
    made = choose(train, figures([NAN] * 3), RETURNS[:, :3], settings())
    assert made.chosen is None
    assert made.why_none == NOT_VALIDATED
    assert len(made.candidates) == 3


def test_an_idle_candidate_does_not_win_by_one_lucky_trade() -> None:
    """One win in 400 hours: a ratio of 0.05 and a skewness of 19.9 beat 0.03 of 50 trades."""
    train = figures([0.3, 0.2, 0.1])
    validation = figures([0.05, 0.03, 0.02])
    validation["trades"][0], validation["skewness"][0] = 1, 19.9
    validation["kurtosis"][0] = 398.0
    lucky = choose(train, validation, RETURNS[:, :3], settings(validate_trades_min=1))
    assert lucky.chosen is not None
    assert lucky.chosen.number == 0
    made = choose(train, validation, RETURNS[:, :3], settings(validate_trades_min=2))
    assert [each.number for each in made.candidates] == [1, 2, 0]
    assert np.isnan(made.candidates[-1].validation.probability), "unknown, not bad"
    assert made.candidates[-1].validation.ratio == pytest.approx(0.05)


def test_the_note_counts_the_trades_that_are_missing_on_validation() -> None:
    train, validation = figures([0.3, 0.2, 0.1]), figures([0.3, 0.2, 0.1], 4)
    made = choose(train, validation, RETURNS[:, :3], settings())
    assert made.chosen is None
    assert made.why_none == "none of 3 candidates has 5 trades on validation"
    validation["trades"][2] = 5
    made = choose(train, validation, RETURNS[:, :3], settings())
    assert made.chosen is not None
    assert made.chosen.number == 2


def test_the_default_leaves_luck_no_room_among_twenty_candidates() -> None:
    """As many coin tosses, all won, by one of so many: 2 % at most."""
    assert SHIPPED.candidates * 0.5**SHIPPED.validate_trades_min < 0.02


def test_a_fold_can_ask_for_a_probability() -> None:
    train, validation = figures([0.3, 0.2, 0.1]), figures([0.01, 0.02, 0.03])
    best = choose(train, validation, RETURNS[:, :3], settings()).candidates[0]
    found = best.validation.probability
    assert best.number == 2
    assert 0.0 < found < 1.0
    same = choose(train, validation, RETURNS[:, :3], settings(validate_probability_min=found))
    assert same.chosen == best, "just reached"
    above = settings(validate_probability_min=float(np.nextafter(found, 1.0)))
    made = choose(train, validation, RETURNS[:, :3], above)
    assert made.chosen is None
    assert made.why_none.startswith("nothing reached a probability of ")
    assert made.why_none.endswith(" % on validation")
    assert [each.number for each in made.candidates] == [2, 1, 0]
    assert SHIPPED.validate_probability_min == 0.0
