"""What `tercel data` prints: results to standard output, problems to standard error."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tercel.entry.cli import terminal
from tercel.entry.cli.data_context import show_context_import

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from tercel.app.import_data import FileRemark, ImportSummary
    from tercel.app.quality import QualityReport

DETAILS_MAX = 20
"""Gaps, halts or moves of one series listed one by one."""


def say(line: str) -> None:
    """One line of result; paths and symbols are printed as they are."""
    terminal.console().print(line, markup=False, soft_wrap=True)


def show_import(summary: ImportSummary) -> None:
    """The table of series, what was decided, passed over and, on standard error, what failed."""
    from tercel.domain.times import format_date

    numbers = ("files", "added", "filled", "unchanged", "replaced", "conflicts", "gaps")
    table = terminal.table("series", *numbers, "from", "to (UTC)", numeric=numbers)
    for one in summary.series:
        report = one.report
        counts = (report.added, report.filled, report.unchanged, report.replaced, report.conflicts)
        table.add_row(
            str(one.key),
            f"{one.files:,}",
            *(f"{count:,}" for count in counts),
            f"{len(one.gaps):,}",
            format_date(one.first_time),
            format_date(one.last_time),
        )
    if summary.series:
        terminal.console().print(table)
    show_context_import(summary.context)
    for line in _notes(summary.notes):
        say(line)
    for one in summary.series:
        if one.report.conflicts:
            say(
                f"{one.key}: {one.report.conflicts:,} bars differ from those stored, which were "
                f"kept; the first: {one.report.first_conflict}"
            )
    for remark in summary.skipped:
        say(f"passed over {remark.path}: {remark.reason}")
    for remark in summary.failed:
        terminal.problem(f"failed: {remark.reason}")
    total = summary.report
    say(
        f"{len(summary.series)} series: {total.added:,} bars added, {total.filled:,} filled, "
        f"{total.unchanged:,} unchanged; {_context_total(summary)}{len(summary.skipped)} files "
        f"passed over, {len(summary.failed)} failed"
    )


def _context_total(summary: ImportSummary) -> str:
    """What was imported of context in a few words; nothing where there was none."""
    if not summary.context:
        return ""
    report = summary.context_report
    return (
        f"{len(summary.context)} of context: {report.added:,} values added, "
        f"{report.unchanged:,} unchanged; "
    )


def _notes(notes: Iterable[FileRemark]) -> list[str]:
    """What was decided; the same of many files in one line."""
    files: dict[str, list[Path]] = {}
    for note in notes:
        files.setdefault(note.reason, []).append(note.path)
    return [
        f"{paths[0].name}: {reason}" if len(paths) == 1 else f"{len(paths)} files: {reason}"
        for reason, paths in files.items()
    ]


def show_check(reports: list[QualityReport], *, detailed: bool) -> None:
    """The table of findings; `detailed` adds each one."""
    numbers = ("bars", "gaps", "missing", "no trade", "unusual")
    table = terminal.table("series", *numbers, "verdict", numeric=numbers)
    for report in reports:
        counts = (
            report.bars,
            len(report.gaps),
            report.missing_bars,
            report.zero_bars,
            len(report.outliers),
        )
        table.add_row(str(report.key), *(f"{count:,}" for count in counts), report.verdict())
    if reports:
        terminal.console().print(table)
    for report in reports if detailed else []:
        for line in _findings(report):
            say(line)


def _findings(report: QualityReport) -> list[str]:
    """Each gap, halt and unusual move, the largest first, DETAILS_MAX of each kind."""
    from tercel.domain.times import format_time

    def between(start_ms: int, end_ms: int) -> str:
        return f"{format_time(start_ms)} to {format_time(end_ms)}"

    gaps = [(g.bars, f"gap: {between(g.start, g.end)}, {g.bars:,} bars") for g in report.gaps]
    halts = [
        (run.bars, f"no trade: {between(run.start, run.end)}, {run.bars:,} bars")
        for run in report.zero_runs
    ]
    moves = [
        (
            one.move,
            f"unusual: {format_time(one.time)} moved {one.move:.1%}, "
            f"{one.ratio:,.0f} times the usual",
        )
        for one in report.outliers
    ]
    lines = []
    for found in (gaps, halts, moves):
        found.sort(key=lambda one: -one[0])
        lines += [f"{report.key}: {text}" for _, text in found[:DETAILS_MAX]]
        if len(found) > DETAILS_MAX:
            lines.append(f"{report.key}: and {len(found) - DETAILS_MAX:,} smaller ones")
    return lines
