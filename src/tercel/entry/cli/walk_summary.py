"""The summary of a walk-forward on the terminal: verdict, folds, worst beside best."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from tercel.app import wording
from tercel.app.key_figures import key_figures
from tercel.app.walk_verdict import WalkCode, middle_one
from tercel.domain.times import format_date
from tercel.entry.cli.terminal import table

if TYPE_CHECKING:
    from rich.console import Console

    from tercel.app.walkforward import FoldOutcome, Walk

STYLES: dict[WalkCode, str] = {
    WalkCode.NOTHING_CHOSEN: "bold",
    WalkCode.NOT_ENOUGH_TRADES: "bold",
    WalkCode.NO_EDGE: "bold red",
    WalkCode.EDGE_BELOW_COSTS: "bold red",
    WalkCode.NOT_DISTINGUISHABLE_FROM_LUCK: "bold yellow",
    WalkCode.HELD_OUT_OF_SAMPLE: "bold green",
}


def print_walk(console: Console, walk: Walk) -> None:
    """Everything a reader needs before opening the report; fits 100 columns and a pipe."""
    label = walk.plan.job.spec.label
    console.print()
    console.print(
        f"{label}: {wording.count(walk.plan.grid.size)} combinations of {walk.plan.grid.name}, "
        f"{len(walk.folds)} folds, tests from {format_date(walk.folds[0].fold.test.start_ms)} to "
        f"{format_date(walk.folds[-1].fold.test.end_ms)} UTC",
        markup=False,
        style="dim",
    )
    console.print(walk.verdict.headline, style=STYLES[walk.verdict.code], markup=False)
    console.print(" ".join(walk.verdict.sentences), markup=False)
    _print_folds(console, walk)
    _print_figures(console, walk)
    _print_combinations(console, walk)
    for line in walk.warnings:
        console.print(f"warning: {line}", markup=False, style="yellow")
    console.print()


def _print_folds(console: Console, walk: Walk) -> None:
    numeric = ("Train SR", "Deflated", "Trades", "Gross", "Net", "Held")
    made = table("Test from", "Chosen", *numeric, title="Folds", numeric=numeric)
    for each in walk.folds:
        made.add_row(*_fold_cells(each))
    console.print()
    console.print(made)
    names = ", ".join(walk.plan.grid.names)
    console.print(
        f"Chosen: {names}. Train SR: a year's Sharpe ratio on train. Deflated: probability of a "
        "true ratio above zero on validation.",
        markup=False,
        style="dim",
    )


def _fold_cells(fold: FoldOutcome) -> list[str]:
    began = format_date(fold.fold.test.start_ms)
    held = wording.percent(fold.held_fraction)
    chosen, train, test = fold.choice.chosen, fold.train, fold.test
    if chosen is None or train is None or test is None:
        none = wording.UNKNOWN
        return [began, f"{fold.choice.why_none}: cash", none, none, "0", none, "0.0 %", held]
    return [
        began,
        " ".join(_short(value) for value in fold.values.values()),
        wording.number(train.sharpe),
        wording.percent(chosen.validation.probability),
        wording.count(test.trades),
        wording.percent(test.gross_fraction),
        wording.percent(test.net_fraction),
        held,
    ]


def _short(value: float | str) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _print_figures(console: Console, walk: Walk) -> None:
    made = table("Out of sample, chained", "Net", "Buy-and-hold", numeric=("Net", "Buy-and-hold"))
    held = key_figures(walk.held.statistics)
    for ours, theirs in zip(key_figures(walk.statistics), held, strict=True):
        made.add_row(ours.name, ours.net, theirs.net)
    console.print()
    console.print(made)


def _print_combinations(console: Console, walk: Walk) -> None:
    """Best, middle and worst of all combinations over all the data: the worst beside the best."""
    whole = walk.sweep.whole
    nets = np.ascontiguousarray(whole["net"])
    order = np.argsort(-nets, kind="stable")
    numeric = ("Trades", "Win rate", "Gross", "Net")
    made = table("", "Combination", *numeric, title="All the data, in hindsight", numeric=numeric)
    rows = {"best": order[0], "middle": middle_one(nets), "worst": order[-1]}
    for name, number in rows.items():
        row = whole[number]
        trades = int(row["trades"])
        won = int(row["winners"]) / trades if trades else math.nan
        made.add_row(
            name,
            " ".join(_short(value) for value in walk.plan.choices[int(number)].values()),
            wording.count(trades),
            wording.percent(won),
            wording.percent(float(row["gross"])),
            wording.percent(float(row["net"])),
        )
    console.print()
    console.print(made)
