"""What `tercel data` prints of context: funding, open interest and whatever else is published."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tercel.entry.cli import terminal

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tercel.app.context_quality import ContextReport
    from tercel.app.import_data import ContextImport
    from tercel.app.ports import ContextStore
    from tercel.domain.context import ContextKey

DETAILS_MAX = 20
"""Gaps or odd values of one series listed one by one."""


def wanted_keys(
    store: ContextStore, symbol: str | None, venue: str | None, timeframe: str | None
) -> list[ContextKey]:
    """The series of context that a command's options leave over; a timeframe is one of bars."""
    return [
        key
        for key in store.keys()  # noqa: SIM118 (a port)
        if timeframe is None
        and venue in (None, key.venue)
        and (symbol is None or key.symbol.upper() == symbol.upper())
    ]


def show_context_list(store: ContextStore, keys: Sequence[ContextKey]) -> None:
    """One line a series of context; nothing where there are none."""
    from tercel.domain.errors import DataError
    from tercel.domain.times import format_time

    numbers = ("values", "usually every")
    table = terminal.table(
        "context", "venue", "symbol", "source", *numbers, "from (UTC)", "to (UTC)", numeric=numbers
    )
    for key in keys:
        names = (key.kind, key.venue, key.symbol, key.source)
        try:
            info = store.info(key)
        except DataError:
            table.add_row(*names, "damaged", "", "", "see `tercel data check`")
            continue
        table.add_row(
            *names,
            f"{info.rows:,}",
            _duration(info.spacing_ms),
            format_time(info.first_time),
            format_time(info.last_time),
        )
    if keys:
        terminal.console().print(table)


def check_context_of(
    store: ContextStore, keys: Iterable[ContextKey]
) -> tuple[list[ContextReport], list[str]]:
    """(findings of every whole series, one line for each damaged file)."""
    from tercel.app.context_quality import assess_context
    from tercel.domain.errors import DataError

    reports, damaged = [], []
    for key in keys:
        try:
            reports.append(assess_context(store.read(key)))
        except DataError as error:
            damaged.append(str(error))
    return reports, damaged


def show_context_check(reports: Sequence[ContextReport], *, detailed: bool) -> None:
    """The table of findings; `detailed` adds each one."""
    from tercel.domain.times import format_time

    numbers = ("values", "gaps", "to look at")
    table = terminal.table("context", *numbers, "verdict", numeric=numbers)
    for report in reports:
        counts = (report.rows, len(report.gaps), len(report.odd))
        table.add_row(str(report.key), *(f"{count:,}" for count in counts), report.verdict())
    if reports:
        terminal.console().print(table)
    for report in reports if detailed else ():
        gaps = [
            f"gap: {format_time(gap.start)} to {format_time(gap.end)}, {gap.bars:,} values"
            for gap in report.gaps
        ]
        odd = [f"odd: {format_time(o.time)} {o.value:,.6g}, {o.reason}" for o in report.odd]
        for found in (gaps, odd):
            for line in found[:DETAILS_MAX]:
                _say(f"{report.key}: {line}")
            if len(found) > DETAILS_MAX:
                _say(f"{report.key}: and {len(found) - DETAILS_MAX:,} more")


def show_context_import(series: Sequence[ContextImport]) -> None:
    """The table of what an import did; nothing where it met no context."""
    from tercel.domain.times import format_time

    numbers = ("files", "added", "unchanged", "conflicts")
    table = terminal.table("context", *numbers, "from", "to (UTC)", numeric=numbers)
    for one in series:
        report = one.report
        counts = (one.files, report.added, report.unchanged, report.conflicts)
        table.add_row(
            str(one.key),
            *(f"{count:,}" for count in counts),
            format_time(one.first_time),
            format_time(one.last_time),
        )
    if series:
        terminal.console().print(table)
    for one in series:
        if one.report.conflicts:
            _say(
                f"{one.key}: {one.report.conflicts:,} values differ from those stored, which were "
                f"kept; the first: {one.report.first_conflict}"
            )


def _duration(span_ms: int) -> str:
    """`5 min`, `8 h`, `1 d`; `once` of a single value."""
    for unit_ms, name in ((86_400_000, "d"), (3_600_000, "h"), (60_000, "min")):
        if span_ms and span_ms % unit_ms == 0:
            return f"{span_ms // unit_ms} {name}"
    return f"{span_ms / 1000:g} s" if span_ms else "once"


def _say(line: str) -> None:
    """One line of result, as it is."""
    terminal.console().print(line, markup=False, soft_wrap=True)
