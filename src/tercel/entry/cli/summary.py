"""The summary of a run on the terminal: verdict, figures, costs, exits, refusals, files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tercel.app import wording
from tercel.app.key_figures import Figure, key_figures
from tercel.app.report import (
    NamedRun,
    Report,
    comparison,
    fill_rows,
    fill_sentence,
    waterfall,
)
from tercel.app.statistics import Statistics
from tercel.app.trade_groups import TradeGroup
from tercel.app.verdict import Verdict, VerdictCode
from tercel.domain.results import PRESSURE_MEANING, BacktestResult
from tercel.domain.times import format_time
from tercel.entry.cli.terminal import table

if TYPE_CHECKING:
    from rich.console import Console

REASONS_MAX = 8
"""Lines of a table of counts; the report has all of them."""

STYLES: dict[VerdictCode, str] = {
    VerdictCode.NOT_ENOUGH_TRADES: "bold",
    VerdictCode.WIPED_OUT: "bold red",
    VerdictCode.NO_EDGE: "bold red",
    VerdictCode.EDGE_BELOW_COSTS: "bold red",
    VerdictCode.NOT_DISTINGUISHABLE_FROM_LUCK: "bold yellow",
    VerdictCode.LUCK_OF_MANY_TRIALS: "bold yellow",
    VerdictCode.PROFITABLE_IN_SAMPLE: "bold green",
}


def print_summary(
    console: Console,
    result: BacktestResult,
    statistics: Statistics,
    verdict: Verdict,
    benchmark: Sequence[tuple[str, Statistics]],
) -> None:
    """Print everything a reader needs before opening the report; fits 100 columns and a pipe.

    `benchmark`: named statistics, buy-and-hold first.
    """
    console.print()
    console.print(_what_ran(result), markup=False, style="dim")
    console.print(verdict.headline, style=STYLES[verdict.code], markup=False)
    console.print(" ".join(verdict.sentences), markup=False)
    _print_figures(console, statistics, benchmark)
    _print_costs(console, statistics)
    _print_groups(console, "Last exit", statistics.by_exit)
    if len(result.labels) > 1:
        _print_groups(console, "Stream", statistics.by_stream)
    _print_refusals(console, result)
    for name, times in result.halts.items():
        told = "once" if times == 1 else f"{times} times"
        console.print(f"Stopped by {wording.title(name).lower()}: {told}", markup=False)
    _print_warnings(console, result)


def _what_ran(result: BacktestResult) -> str:
    """What traded, over which bars, with how much: nothing below means anything without it."""
    streams = ", ".join(
        f"{label.strategy} on {label.venue} {label.symbol} {label.timeframe}"
        for label in result.labels
    )
    period = f"{format_time(result.start_time)} to {format_time(result.end_time)} UTC"
    return f"{streams}, {period}, start {wording.money(result.start_quote)} {wording.CURRENCY}"


def print_paths(console: Console, paths: Mapping[str, Path]) -> None:
    """What was written, by name."""
    for name, path in paths.items():
        # soft_wrap: a path cut in two cannot be copied
        console.print(f"{name}: {path}", soft_wrap=True, markup=False)


def print_comparison(console: Console, runs: Sequence[NamedRun]) -> None:
    """Runs as columns, one figure a line."""
    head, *lines = comparison(runs)
    made = table(*head, title="Net figures, side by side", numeric=head[1:])
    for line in lines:
        made.add_row(*line)
    console.print(made)


def print_fills(console: Console, report: Report) -> None:
    """The interval that the inside of the bars leaves open."""
    head, *lines = fill_rows(report)
    made = table(*head, title="What the bars do not tell", numeric=head[1:])
    for line in lines:
        made.add_row(*line)
    console.print(made)
    console.print(fill_sentence(report), markup=False)


def _styled(figure: Figure) -> str:
    colour = "green" if figure.good > 0.0 else "red" if figure.good < 0.0 else ""
    return f"[{colour}]{figure.net}[/]" if colour else figure.net


def _print_figures(
    console: Console, statistics: Statistics, benchmark: Sequence[tuple[str, Statistics]]
) -> None:
    name, held = benchmark[0] if benchmark else ("", None)
    columns = ["Figure", "Net", "Gross", *([name] if held else [])]
    made = table(*columns, numeric=tuple(columns[1:]))
    for figure in key_figures(statistics, held):
        made.add_row(figure.name, _styled(figure), figure.gross, *([figure.held] if held else []))
    for other_name, other in benchmark[1:]:
        made.add_row(f"Return of {other_name}", wording.percent(other.net_fraction))
    console.print(made)


def _print_costs(console: Console, statistics: Statistics) -> None:
    made = table("From gross to net", wording.CURRENCY, numeric=(wording.CURRENCY,))
    for step in waterfall(statistics):
        made.add_row(step.name, wording.money(step.quote), style="bold" if step.is_total else "")
    console.print(made)


def _print_groups(console: Console, title: str, groups: Sequence[TradeGroup]) -> None:
    if not groups:
        return
    from rich.markup import escape

    head = ("Trades", "Win rate", "Average R", "Gross", "Net")
    made = table(title, *head, numeric=head)
    for group in groups:
        made.add_row(
            escape(wording.title(group.name)),
            wording.count(group.trades),
            wording.percent(group.win_rate),
            wording.r_multiple(group.average_r),
            wording.money(group.gross_quote),
            wording.money(group.net_quote),
        )
    console.print(made)


def _print_refusals(console: Console, result: BacktestResult) -> None:
    found = sorted(((n, name) for name, n in result.refusals.items() if n), reverse=True)
    if not found:
        return
    made = table("Refused signals", "Count", "Of signals", numeric=("Count", "Of signals"))
    for number, name in found[:REASONS_MAX]:
        share = number / result.signals if result.signals else float("nan")
        made.add_row(wording.title(name), wording.count(number), wording.percent(share))
    console.print(made)


def _print_warnings(console: Console, result: BacktestResult) -> None:
    for warning in result.warnings:
        console.print(f"Warning: {warning}", style="yellow", markup=False)
    for label in result.labels:
        if label.pressure == "bar":
            line = f"Warning: {label}: pressure is {PRESSURE_MEANING['bar']}."
            console.print(line, style="yellow", markup=False)
