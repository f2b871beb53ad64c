"""The tests against overfitting as sections of a page, as a page of their own and as JSON."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from tercel.adapters.report import documents, markup, overfit_charts
from tercel.adapters.report.drawing import drawing
from tercel.adapters.report.page import document, figure
from tercel.adapters.report.palette import STAND_IN
from tercel.adapters.report.run_folder import write_file
from tercel.adapters.report.walk_page import Section
from tercel.app import wording
from tercel.app.overfit_report import OverfitReport
from tercel.app.overfit_table import overfit_rows
from tercel.app.overfit_verdict import OverfitCode, judge_overfit, path_quantiles
from tercel.app.sharpe import PERIODS_A_YEAR, annualised
from tercel.domain.times import format_date

SCHEMA = 1
"""Raised when a key of overfit.json changes its meaning or goes."""

TONES: dict[OverfitCode, str] = {
    OverfitCode.NO_PROFIT: "held",
    OverfitCode.LUCK_OF_MANY_TRIALS: "gross",
    OverfitCode.OVERFITTED: "loss",
    OverfitCode.DOUBTFUL: "gross",
    OverfitCode.SURVIVES: "gain",
}


def overfit_page(found: OverfitReport) -> str:
    """The page of one run."""
    verdict, title = judge_overfit(found), f"Overfitting of {found.run.name}"
    parts = [part for part in _sections(found) if part.body]
    body = "".join(
        markup.section(part.identity, part.title, part.body, part.note) for part in parts
    )
    run = found.run
    what = "walk-forward" if run.kind == "walk" else "backtest"
    meta = (
        f"{what}, {format_date(run.test_start)} to {format_date(run.test_end)} UTC, "
        f"{wording.count(len(run.returns))} daily returns"
    )
    return document(
        title,
        f'<header><h1>{escape(title)}</h1><p class="meta">{escape(meta)}</p></header><main>'
        f'<div class="verdict" role="note" style="--tone:var(--{TONES[verdict.code]})">'
        f"<h2>{markup.text(verdict.headline)}</h2>"
        f"<p>{markup.text(' '.join(verdict.sentences))}</p></div>{body}</main>"
        "<footer>No test proves an edge; each can only fail to find it missing.</footer>",
    )


def overfit_sections(found: OverfitReport | str) -> list[Section]:
    """Verdict, table and pictures for another page; or why there are none."""
    if isinstance(found, str):
        said = f"<p>Not tested: {markup.text(found)}.</p>"
        return [Section("overfitting", "Overfitting", said)]
    verdict = judge_overfit(found)
    said = (
        f"<p><strong>{markup.text(verdict.headline)}.</strong> "
        f"{markup.text(' '.join(verdict.sentences))}</p>"
    )
    first, *others = _sections(found)
    return [replace(first, body=said + first.body), *others]


def _sections(found: OverfitReport) -> list[Section]:
    """The table and the pictures."""
    with drawing():
        return [
            Section("overfitting", "Overfitting: figures", _table(found), _NOTE),
            Section("overfitting-ranks", "Best of one half, in the other half", _ranks(found)),
            Section("overfitting-paths", "Unseen paths", _paths(found)),
            Section("overfitting-histories", "What else could have happened", _histories(found)),
        ]


_NOTE = (
    "How far the result can be believed after all that was tried. Sharpe ratios are a year's, from "
    "daily returns."
)


def _table(found: OverfitReport) -> str:
    rows = (
        markup.row(name, [markup.cell(value), f"<td>{markup.text(meaning)}</td>"])
        for name, value, meaning in overfit_rows(found)
    )
    return markup.table(("Test", "Found", "Meaning"), rows, "Tests against overfitting")


def _ranks(found: OverfitReport) -> str:
    tested = found.overfitting
    if isinstance(tested, str):
        return ""
    year = math.sqrt(PERIODS_A_YEAR)
    first = figure(
        overfit_charts.logits(tested.logits, STAND_IN),
        "logits",
        f"Histogram of {len(tested.logits)} logits: {wording.percent(tested.probability)} at or "
        "below the median",
        f"{wording.count(len(tested.logits))} ways to halve the data. Left of zero the best "
        "combination of one half was below the median in the other: "
        f"{wording.percent(tested.probability)}.",
    )
    second = figure(
        overfit_charts.scatter(
            tested.in_sample * year,
            tested.out_of_sample * year,
            (tested.slope, tested.intercept * year),
            STAND_IN,
        ),
        "halves",
        "Points: Sharpe ratio of the best combination where it was chosen, and in the other half",
        "A line that falls says: the better it looked, the worse it did. "
        f"Slope {wording.number(tested.slope)}.",
    )
    return first + second


def _paths(found: OverfitReport) -> str:
    if isinstance(found.paths, str):
        return ""
    low, middle, high = (annualised(value) for value in path_quantiles(found.paths))
    if math.isnan(middle):
        return ""
    values = found.paths.sharpes[~np.isnan(found.paths.sharpes)] * math.sqrt(PERIODS_A_YEAR)
    said = (
        f"{len(values)} full histories put together from tests that the choice never saw: 5 % are "
        f"below {wording.number(low)}, the middle one is {wording.number(middle)}, 5 % are above "
        f"{wording.number(high)}."
    )
    chart = overfit_charts.ratios(values, (low, middle, high), STAND_IN, "Paths")
    return figure(chart, "paths", f"Histogram of Sharpe ratios: {said}", said)


def _histories(found: OverfitReport) -> str:
    if not len(found.drawn_sharpes):
        return ""
    marks = found.intervals.sharpe
    low, own, high = (annualised(each) for each in (marks.low, marks.estimate, marks.high))
    said = (
        f"{wording.count(len(found.drawn_sharpes))} histories drawn from the run's own days in "
        f"blocks of {wording.number(found.intervals.block_length, 1)} days on average. The run's "
        f"ratio is {wording.number(own)}; the middle {wording.percent(found.settings.confidence)} "
        f"lie between {wording.number(low)} and {wording.number(high)}."
    )
    values = found.drawn_sharpes * math.sqrt(PERIODS_A_YEAR)
    chart = overfit_charts.ratios(values, (low, own, high), STAND_IN, "Histories")
    return figure(chart, "histories", f"Histogram of Sharpe ratios: {said}", said)


def overfit_json(found: OverfitReport) -> bytes:
    """Every figure; ratios are per day. The same run, ledger and settings give the same bytes."""
    run, tested, paths = found.run, found.overfitting, found.paths
    told: dict[str, Any] = {
        "schema": SCHEMA,
        "kind": run.kind,
        "streams": run.streams,
        "settings": found.settings.model_dump(mode="json"),
        "verdict": judge_overfit(found),
        "trials": found.trials,
        "daily_returns": len(run.returns),
        "deflated_sharpe": found.deflation,
        "probabilistic_sharpe": found.probability,
        "record_days_min": found.record_days_min,
        "record_days_deflated": found.record_days_deflated,
        "intervals": found.intervals,
        "probability_of_overfitting": tested if isinstance(tested, str) else _pbo(found),
        "cross_validation": paths if isinstance(paths, str) else _cross(found),
        "permutations": found.permutations,
    }
    return documents.to_json(told)


def _pbo(found: OverfitReport) -> dict[str, Any]:
    tested = found.overfitting
    names = (
        "probability", "loss_probability", "slope", "intercept", "r_squared", "trials", "left_out",
    )  # fmt: skip
    return {**{name: getattr(tested, name) for name in names}, "blocks": found.settings.blocks}


def _cross(found: OverfitReport) -> dict[str, Any]:
    paths = found.paths
    if isinstance(paths, str):
        return {}
    low, middle, high = path_quantiles(paths)
    return {
        "sharpe_5": low,
        "sharpe_50": middle,
        "sharpe_95": high,
        "sharpe_mean": paths.sharpe_mean,
        "sharpe_deviation": paths.sharpe_deviation,
        "loss_share": paths.loss_share,
        "sharpes": paths.sharpes.tolist(),
    }


@dataclass(frozen=True, slots=True)
class OverfitPaths:
    """Where the files are."""

    page: Path
    figures: Path


def write_overfit(folder: Path, found: OverfitReport) -> OverfitPaths:
    """overfit.html and overfit.json into the run folder, each whole or not at all; its other files
    are left alone. Raises StorageError.
    """
    paths = OverfitPaths(folder / "overfit.html", folder / "overfit.json")
    page, figures = overfit_page(found).encode(), overfit_json(found)
    write_file(paths.page, page, "the page")
    write_file(paths.figures, figures, "the figures")
    return paths
