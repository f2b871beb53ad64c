"""The tests against overfitting as rows of text: name, what was found, what it means."""

from __future__ import annotations

import math

from tercel.app.overfit_report import OverfitReport
from tercel.app.overfit_verdict import chance_of, path_quantiles
from tercel.app.overfitting.bootstrap import Interval
from tercel.app.sharpe import annualised
from tercel.app.wording import UNKNOWN, count, number, percent

Row = tuple[str, str, str]


def overfit_rows(found: OverfitReport) -> list[Row]:
    """Every test that was made, in the order of the verdict."""
    return [
        *_trials(found),
        *_deflated(found),
        *_search(found),
        *_ranges(found),
        *_permutations(found),
        *_record(found),
    ]


def _trials(found: OverfitReport) -> list[Row]:
    trials = found.trials
    rows = [("Trials of this run", count(trials.this_run), "combinations, or the one backtest")]
    if trials.ledger is not None and trials.runs is not None:
        again = f"distinct; {count(trials.runs)} with repetitions"
        rows.append(("Trials in the research ledger", count(trials.ledger), again))
    if found.run.kind == "walk":
        rows.append(
            (
                "Independent trials",
                number(trials.independent, 1),
                f"by average correlation; {number(trials.independent_entropy, 1)} by entropy",
            )
        )
    return rows


def _deflated(found: OverfitReport) -> list[Row]:
    deflation = found.deflation
    whose = "of the best combination" if found.run.kind == "walk" else "of this run"
    return [
        ("Sharpe ratio", number(annualised(deflation.ratio)), f"{whose}, in sample"),
        (
            "Best of worthless trials",
            number(annualised(deflation.benchmark)),
            f"what {count(found.trials.counted)} without an edge would have as their best",
        ),
        (
            "Deflated Sharpe ratio",
            chance_of(deflation.probability),
            "probability of a true ratio above zero; 95 % is asked for",
        ),
    ]


def _search(found: OverfitReport) -> list[Row]:
    rows: list[Row] = []
    tested, paths = found.overfitting, found.paths
    if not isinstance(tested, str):
        rows.append(
            (
                "Probability of overfitting",
                percent(tested.probability),
                "the best of one half is no better than the median in the other",
            )
        )
        rows.append(
            ("Probability of a loss", percent(tested.loss_probability), "of it in the other half")
        )
    if not isinstance(paths, str):
        low, middle, high = (number(annualised(value)) for value in path_quantiles(paths))
        said = f"worst 5 %, middle and best 5 % of {len(paths.sharpes)} unseen paths"
        rows.append(("Sharpe ratio, unseen", f"{low}, {middle}, {high}", said))
    return rows


def _ranges(found: OverfitReport) -> list[Row]:
    ratio, fall = found.intervals.sharpe, found.intervals.drawdown
    whose = "chained tests" if found.run.kind == "walk" else "this run"
    middle = percent(found.settings.confidence)
    scaled = Interval(*(annualised(each) for each in (ratio.estimate, ratio.low, ratio.high)))
    return [
        (
            "Sharpe ratio, range",
            f"{number(scaled.low)} to {number(scaled.high)}",
            f"{whose}: {number(scaled.estimate)}; middle {middle} of drawn histories",
        ),
        (
            "Maximum drawdown, range",
            f"{percent(fall.low)} to {percent(fall.high)}",
            f"{whose}: {percent(fall.estimate)}; the same histories",
        ),
    ]


def _permutations(found: OverfitReport) -> list[Row]:
    tested = found.permutations
    if isinstance(tested, str):
        return []
    rows = [
        (
            "Trades moved together",
            chance_of(tested.shifted.p_value),
            "do as well at other times: p-value of every shift",
        )
    ]
    if tested.shuffled is not None:
        said = f"do as well in random order and places ({count(tested.shuffled.permutations)})"
        rows.append(("Trades shuffled", chance_of(tested.shuffled.p_value), said))
    return rows


def _record(found: OverfitReport) -> list[Row]:
    days = count(len(found.run.returns))
    return [
        (
            "Record needed",
            _days(found.record_days_min),
            f"to tell the ratio from zero at 95 %; there are {days}",
        ),
        (
            "Record needed, deflated",
            _days(found.record_days_deflated),
            "to tell it from the best of worthless trials",
        ),
    ]


def _days(length: float) -> str:
    return UNKNOWN if math.isnan(length) else f"{count(math.ceil(length))} days"
