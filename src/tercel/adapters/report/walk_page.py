"""The page of a walk-forward: one self-contained HTML file.

Verdict, folds, the chained out-of-sample curve, heat maps of the grid, all combinations together,
and how it was run. Others may add sections of their own (`Section`), such as the overfitting tests.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from tercel.adapters.report import charts, heatmaps, markup, walk_charts
from tercel.adapters.report.drawing import drawing
from tercel.adapters.report.page import document, figure
from tercel.adapters.report.palette import STAND_IN
from tercel.app import report_series, wording
from tercel.app.benchmark import BUY_AND_HOLD
from tercel.app.folds import Part
from tercel.app.key_figures import figure_groups
from tercel.app.sharpe import PERIODS_A_YEAR
from tercel.app.walk_verdict import WalkCode, middle_one
from tercel.app.walkforward import FoldOutcome, Walk
from tercel.domain.times import format_date, format_time

TONES: dict[WalkCode, str] = {
    WalkCode.NOTHING_CHOSEN: "held",
    WalkCode.NOT_ENOUGH_TRADES: "held",
    WalkCode.NO_EDGE: "loss",
    WalkCode.EDGE_BELOW_COSTS: "loss",
    WalkCode.NOT_DISTINGUISHABLE_FROM_LUCK: "gross",
    WalkCode.HELD_OUT_OF_SAMPLE: "gain",
}


@dataclass(frozen=True, slots=True)
class Section:
    """One part of the page; one without a body is left out."""

    identity: str
    """Of the anchor; letters and hyphens."""
    title: str
    body: str
    """HTML, finished and escaped."""
    note: str = ""


def walk_page(walk: Walk, sections: Sequence[Section] = ()) -> str:
    """The whole page; `sections` come before the definitions."""
    with drawing():
        parts = [part for part in (*_parts(walk), *sections, *_tail(walk)) if part.body]
    body = "".join(
        markup.section(part.identity, part.title, part.body, part.note) for part in parts
    )
    contents = "".join(
        f'<li><a href="#{part.identity}">{escape(part.title)}</a></li>' for part in parts
    )
    return document(
        title_of(walk),
        f'{_header(walk)}<nav aria-label="Contents"><ul>{contents}</ul></nav>'
        f"<main>{_top(walk)}{body}</main>{_footer(walk)}",
    )


def title_of(walk: Walk) -> str:
    """`Walk-forward of three_r on BTCUSDT`."""
    label = walk.plan.job.spec.label
    return f"Walk-forward of {label.strategy} on {label.symbol}"


def _header(walk: Walk) -> str:
    label, settings = walk.plan.job.spec.label, walk.plan.settings
    bars = walk.plan.job.spec.series.bars["open_time"]
    line = " · ".join(
        (
            f"{label.venue} {label.timeframe}",
            f"{format_time(int(bars[0]))} to {format_time(int(bars[-1]))} UTC",
            f"{wording.count(walk.plan.grid.size)} combinations",
            f"{len(walk.folds)} folds, {settings.scheme}: train {settings.train_hours:,} h, "
            f"validation {settings.validate_hours:,} h, test {settings.test_hours:,} h",
        )
    )
    return f'<header><h1>{escape(title_of(walk))}</h1><p class="meta">{escape(line)}</p></header>'


def _top(walk: Walk) -> str:
    verdict, net = walk.verdict, walk.statistics
    won = sum(each.net_fraction > 0.0 for each in walk.folds)
    tiles = [
        ("Out-of-sample net", wording.percent(net.net_fraction), net.net_fraction),
        ("Sharpe, out of sample", wording.number(net.sharpe), net.sharpe),
        ("Folds with a profit", f"{won} of {len(walk.folds)}", 0.0),
        ("Buy-and-hold", wording.percent(walk.held.statistics.net_fraction), 0.0),
    ]
    squares = "".join(
        f'<div class="tile"><span>{escape(name)}</span>'
        f'<strong class="{markup.tone(shade)}">{markup.text(value)}</strong></div>'
        for name, value, shade in tiles
    )
    lines = "".join(f"<li>{escape(line)}</li>" for line in walk.warnings)
    warned = (
        f'<div class="warnings"><h2>Before you trust these figures</h2><ul>{lines}</ul></div>'
        if lines
        else ""
    )
    return (
        f'<div class="verdict" role="note" style="--tone:var(--{TONES[verdict.code]})">'
        f"<h2>{escape(verdict.headline)}</h2>"
        f"<p>{markup.text(' '.join(verdict.sentences))}</p></div>"
        f'<div class="tiles">{squares}</div>{warned}'
    )


def _parts(walk: Walk) -> list[Section]:
    grid = walk.plan.grid
    train = np.nanmean(_with_a_column(walk.by_part(Part.TRAIN)["sharpe"]), axis=1)
    train = train * np.sqrt(PERIODS_A_YEAR)
    test = walk.by_part(Part.TEST)["net"].mean(axis=1)
    sharpes = heatmaps.pairs(grid, walk.plan.choices, train, "Mean Sharpe ratio on train")
    nets = heatmaps.pairs(grid, walk.plan.choices, test, "Mean net return on test")
    return [
        Section("folds", "Folds", _folds(walk), _FOLDS_NOTE),
        Section("curve", "Out of sample", _curve(walk)),
        Section(
            "train-map",
            "Train: mean Sharpe ratio",
            heatmaps.drawn(sharpes, wording.number) if sharpes else "",
            "By the values of each pair of parameters, over all folds and all values of the "
            "others. A good value alone among bad ones is luck; a plateau may be more.",
        ),
        Section(
            "test-map",
            "Test: mean net return",
            heatmaps.drawn(nets, wording.percent) if nets else "",
            "The same combinations on the test windows: hindsight, to compare with train. Where "
            "the two maps differ, train says little about the future.",
        ),
        Section("everybody", "All combinations", _everybody(walk)),
    ]


_FOLDS_NOTE = (
    "Chosen on train and validation alone. The deflated Sharpe ratio is the probability that the "
    "true ratio on validation is above zero, given how many combinations were tried. Best and "
    "middle of all combinations on the test are hindsight: nobody could have known."
)


def _with_a_column(values: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> heatmaps.Floats:
    """The values with 0 for a combination that has none, so that a mean exists."""
    made = np.array(values, np.float64)
    made[~np.isfinite(made).any(axis=1)] = 0.0
    return made


def _folds(walk: Walk) -> str:
    head = (
        "Test", "Chosen", "Train Sharpe", "Deflated Sharpe", "Trades", "Gross", "Net", "Drawdown",
        "Buy-and-hold", "Best of all", "Middle of all",
    )  # fmt: skip
    rows = [_fold_row(each) for each in walk.folds]
    rows.append(_total_row(walk))
    return markup.table(head, rows, "Folds")


def values_line(fold: FoldOutcome) -> str:
    """`ema_len 20, volume_mult 1.2`, or why nothing was chosen."""
    if fold.choice.chosen is None:
        return f"{fold.choice.why_none}: nothing chosen"
    return ", ".join(f"{name} {value}" for name, value in fold.values.items())


def _fold_row(fold: FoldOutcome) -> str:
    span = f"{format_date(fold.fold.test.start_ms)} to {format_date(fold.fold.test.end_ms)}"
    chosen, test, train = fold.choice.chosen, fold.test, fold.train
    nan = float("nan")
    return markup.row(
        span,
        [
            f"<td>{escape(values_line(fold))}</td>",
            markup.cell(wording.number(train.sharpe if train else nan)),
            markup.cell(wording.percent(chosen.validation.probability if chosen else nan)),
            markup.cell(wording.count(test.trades if test else 0)),
            markup.cell(wording.percent(test.gross_fraction if test else nan)),
            markup.cell(wording.percent(fold.net_fraction), fold.net_fraction),
            markup.cell(wording.percent(fold.test_drawdown)),
            markup.cell(wording.percent(fold.held_fraction)),
            markup.cell(wording.percent(fold.test_best)),
            markup.cell(wording.percent(fold.test_median)),
        ],
    )


def _total_row(walk: Walk) -> str:
    net = walk.statistics
    return markup.row(
        "Chained",
        [
            "<td></td>",
            markup.cell(""),
            markup.cell(""),
            markup.cell(wording.count(net.trades)),
            markup.cell(wording.percent(net.gross_fraction)),
            markup.cell(wording.percent(net.net_fraction), net.net_fraction),
            markup.cell(wording.percent(net.drawdown_depth)),
            markup.cell(wording.percent(walk.held.statistics.net_fraction)),
            markup.cell(""),
            markup.cell(""),
        ],
        kind="total",
    )


def _curve(walk: Walk) -> str:
    result = walk.chain.result
    if len(result.equity) == 0:
        return ""
    curves = [
        report_series.equity_curve("net", result),
        report_series.before_costs("gross", result),
        report_series.equity_curve(BUY_AND_HOLD, walk.held.result),
    ]
    label = (
        f"Line chart: chained out-of-sample equity from {wording.money(result.start_quote)} to "
        f"{wording.money(result.equity_quote)} {wording.CURRENCY}"
    )
    caption = (
        f"{wording.CURRENCY}. The tests one after the other, each begun with what the one before "
        "left. Gross is the same with every cost given back."
    )
    chart = charts.equity(curves, report_series.drawdown_curve(result), STAND_IN)
    tables = "".join(
        f"<div>{markup.figures(title, lines, with_held=True)}</div>"
        for title, lines in figure_groups(walk.statistics, walk.held.statistics)
    )
    return f'{figure(chart, "curve", label, caption)}<div class="columns">{tables}</div>'


def _everybody(walk: Walk) -> str:
    nets = np.ascontiguousarray(walk.sweep.whole["net"])
    middle = float(nets[middle_one(nets)])
    label = (
        f"Histogram of the net return of {len(nets)} combinations over all the data: from "
        f"{wording.percent(float(nets.min()))} to {wording.percent(float(nets.max()))}"
    )
    caption = (
        f"Each combination over all the data, after costs. The dashed line is the middle one, "
        f"{wording.percent(middle)}."
    )
    return figure(walk_charts.spread(nets, middle, STAND_IN), "everybody", label, caption)


def _tail(walk: Walk) -> list[Section]:
    return [
        Section("definitions", "How it is computed", markup.definitions()),
        Section("run", "How it was run", _run(walk)),
    ]


def _run(walk: Walk) -> str:
    """Enough to repeat it."""
    record = walk.record
    rows = [
        markup.row("Command", [f"<td><code>{escape(record.command_line)}</code></td>"]),
        markup.row("Created", [f"<td>{format_time(record.created_time)} UTC</td>"]),
        markup.row("Seed", [f"<td>{record.seed}</td>"]),
    ]
    for name, value in (*record.versions.items(), *record.hashes.items()):
        rows.append(markup.row(wording.title(name), [f"<td><code>{escape(value)}</code></td>"]))
    settings = escape(json.dumps(record.configuration, indent=2, sort_keys=True, default=str))
    return (
        f'<div class="scroll"><table aria-label="How it was run"><tbody>{"".join(rows)}</tbody>'
        f"</table></div><details><summary>Every setting</summary><pre><code>{settings}"
        "</code></pre></details>"
    )


def _footer(walk: Walk) -> str:
    return (
        "<footer>Chosen on the past, reported on what followed; still one history. It is no "
        f"promise. Tercel, {format_date(walk.record.created_time)}.</footer>"
    )
