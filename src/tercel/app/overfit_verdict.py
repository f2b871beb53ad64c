"""The verdict of the tests against overfitting in plain words, the worst case beside the best.

The first rule that holds decides:
1. no profit: there is nothing to explain away;
2. the deflated Sharpe ratio is below 95 %: luck among so many trials would do;
3. of a walk-forward, the choice is no better than the median as often as not: overfitted;
4. one of the other tests fails: a profit with doubts;
5. otherwise it survives all tests that could be made.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from tercel.app.overfit_report import OverfitReport
from tercel.app.overfitting.cpcv import CombinatorialPaths
from tercel.app.sharpe import annualised, moments, sharpe
from tercel.app.verdict import CONFIDENCE
from tercel.app.wording import count, number, percent

OVERFITTING_MAX = 0.5
"""Probability of backtest overfitting from which choosing was worth nothing."""
PATH_QUANTILES = (0.05, 0.50, 0.95)


class OverfitCode(StrEnum):
    """What the tests amount to."""

    NO_PROFIT = "no_profit"
    LUCK_OF_MANY_TRIALS = "luck_of_many_trials"
    OVERFITTED = "overfitted"
    DOUBTFUL = "doubtful"
    SURVIVES = "survives"


OVERFIT_HEADLINES: dict[OverfitCode, str] = {
    OverfitCode.NO_PROFIT: "No profit to explain away",
    OverfitCode.LUCK_OF_MANY_TRIALS: "Best of K trials, not distinguishable from luck",
    OverfitCode.OVERFITTED: "Overfitted: what was best on one half was not on the other",
    OverfitCode.DOUBTFUL: "A profit with doubts",
    OverfitCode.SURVIVES: "Survives every test that could be made",
}
"""K stands for the number of trials."""


@dataclass(frozen=True, slots=True)
class OverfitVerdict:
    """A code for programs, a headline and sentences for people."""

    code: OverfitCode
    headline: str
    """Without a full stop."""
    sentences: tuple[str, ...]

    def __str__(self) -> str:
        return " ".join((f"{self.headline}.", *self.sentences))


def judge_overfit(found: OverfitReport) -> OverfitVerdict:
    """The verdict on all tests of one run."""
    doubts = doubts_of(found)
    code = _code(found, doubts)
    headline = OVERFIT_HEADLINES[code].replace("K trials", _trials(found.trials.counted))
    sentences = [
        _deflated(found),
        *_search(found),
        _range(found),
        *_combinations(found),
        *_entries(found),
        _record(found),
        *([] if code is OverfitCode.NO_PROFIT else [f"Doubt: {doubt}." for doubt in doubts]),
        *_not_made(found),
    ]
    return OverfitVerdict(code, headline, tuple(sentences))


def _trials(number_of: int) -> str:
    return f"{count(number_of)} trial{'' if number_of == 1 else 's'}"


def _code(found: OverfitReport, doubts: list[str]) -> OverfitCode:
    if not found.intervals.sharpe.estimate > 0.0 or not found.deflation.ratio > 0.0:
        return OverfitCode.NO_PROFIT
    if not found.deflation.probability >= CONFIDENCE:  # NaN: not proven
        return OverfitCode.LUCK_OF_MANY_TRIALS
    overfitting = found.overfitting
    if not isinstance(overfitting, str) and overfitting.probability >= OVERFITTING_MAX:
        return OverfitCode.OVERFITTED
    return OverfitCode.DOUBTFUL if doubts else OverfitCode.SURVIVES


def doubts_of(found: OverfitReport) -> list[str]:
    """Tests that failed, beside the deflated ratio and the probability of overfitting."""
    doubts = []
    if not found.intervals.sharpe.low > 0.0:
        doubts.append("chance alone may have made a Sharpe ratio above zero of one that is not")
    if not isinstance(found.permutations, str) and found.permutations.p_value > 1.0 - CONFIDENCE:
        doubts.append("the same trades at other times did about as well")
    if not isinstance(found.paths, str):
        low = path_quantiles(found.paths)[0]
        if not low > 0.0:
            doubts.append("some unseen paths of the choice lost")
    return doubts


def path_quantiles(paths: CombinatorialPaths) -> tuple[float, float, float]:
    """5, 50 and 95 % of the paths' Sharpe ratios, per day; NaN without any."""
    defined = paths.sharpes[~np.isnan(paths.sharpes)]
    if not len(defined):
        return math.nan, math.nan, math.nan
    low, middle, high = (float(value) for value in np.quantile(defined, PATH_QUANTILES))
    return low, middle, high


def _ratio(value: float) -> str:
    """A daily ratio as a year's."""
    return number(annualised(value))


def _deflated(found: OverfitReport) -> str:
    deflation, trials = found.deflation, found.trials
    whose = "The best combination" if found.run.kind == "walk" else "This run"
    chance = (
        f"The probability that the true ratio is above zero is "
        f"{chance_of(deflation.probability)} (95 % is asked for)."
    )
    if trials.counted == 1:
        known = "" if trials.ledger is None else " in the research ledger"
        return (
            f"{whose} has a Sharpe ratio of {_ratio(deflation.ratio)} a year and is the only trial"
            f"{known}. {chance}"
        )
    known = f"in this run {count(trials.this_run)}"
    if trials.ledger is not None:
        known += f", in the research ledger {count(trials.ledger)}"
    assumed = " (their spread is not known and assumed)" if deflation.variance_is_assumed else ""
    return (
        f"{whose} has a Sharpe ratio of {_ratio(deflation.ratio)} a year; the best of "
        f"{_trials(trials.counted)} without any edge ({known}) would have "
        f"{_ratio(deflation.benchmark)}{assumed}. {chance}"
    )


def chance_of(probability: float) -> str:
    """`97.0 %`; never a rounded 0 or 100 %."""
    if probability > 0.999:
        return "more than 99.9 %"
    return "less than 0.1 %" if 0.0 < probability < 0.001 else percent(probability)


def _search(found: OverfitReport) -> list[str]:
    said = []
    if not isinstance(found.overfitting, str):
        said.append(
            f"In {percent(found.overfitting.probability)} of all ways to halve the data the best "
            "combination of one half was no better than the median in the other, and in "
            f"{percent(found.overfitting.loss_probability)} it lost."
        )
    if not isinstance(found.paths, str):
        low, middle, high = path_quantiles(found.paths)
        said.append(
            f"Chosen on the rest of the data, its Sharpe ratio over {len(found.paths.sharpes)} "
            f"unseen paths is {_ratio(low)} at worst (5 %), {_ratio(middle)} in the middle and "
            f"{_ratio(high)} at best (95 %)."
        )
    return said


def _range(found: OverfitReport) -> str:
    ratio, fall = found.intervals.sharpe, found.intervals.drawdown
    whose = "Out of sample the Sharpe ratio" if found.run.kind == "walk" else "Its Sharpe ratio"
    return (
        f"{whose} was {_ratio(ratio.estimate)} a year; the same kind of days in another order give "
        f"{_ratio(ratio.low)} at worst and {_ratio(ratio.high)} at best. The drawdown was "
        f"{percent(fall.estimate)}; {percent(fall.high)} should surprise nobody, "
        f"{percent(fall.low)} would have been luck."
    )


def _combinations(found: OverfitReport) -> list[str]:
    if found.run.combinations is None:
        return []
    ratios = np.array([sharpe(moments(column)) for column in found.run.combinations.T])
    known = ratios[~np.isnan(ratios)]
    won = int(np.count_nonzero(known > 0.0))
    return [
        f"Of {count(len(ratios))} combinations over all the data, {count(won)} have a Sharpe ratio "
        f"above zero: the worst {_ratio(float(known.min()))}, the middle one "
        f"{_ratio(float(np.median(known)))}, the best {_ratio(float(known.max()))}."
    ]


def _entries(found: OverfitReport) -> list[str]:
    if isinstance(found.permutations, str):
        return []
    chance = chance_of(found.permutations.p_value)
    return [f"The same trades at other times do at least as well with a probability of {chance}."]


def _record(found: OverfitReport) -> str:
    days, needed = len(found.run.returns), found.record_days_min
    if math.isnan(needed):
        return f"The record has {count(days)} days; no length of it would prove a profit."
    said = (
        f"Had nothing else been tried, {number(math.ceil(needed), 0)} days would be needed to tell "
        f"it from zero; the record has {count(days)}"
    )
    if found.trials.counted > 1 and not math.isnan(found.record_days_deflated):
        more = number(math.ceil(found.record_days_deflated), 0)
        return f"{said}, and among so many trials {more} days."
    return f"{said}."


def _not_made(found: OverfitReport) -> list[str]:
    """Tests that could not be made, and why."""
    made = {
        "The probability of overfitting": found.overfitting,
        "Cross-validation": found.paths,
        "The permutation test": found.permutations,
    }
    if found.run.kind == "backtest":
        made.pop("Cross-validation")
    return [
        f"{name} was not computed: {why}." for name, why in made.items() if isinstance(why, str)
    ]
