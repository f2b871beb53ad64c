"""The summary of an arena on the terminal: ranking, verdicts, the allocator's test."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tercel.app import arena_tables, wording
from tercel.app.allocator_walk import AllocationCode
from tercel.domain.times import format_time
from tercel.entry.cli.terminal import table

if TYPE_CHECKING:
    from rich.console import Console

    from tercel.app.arena import Arena

STYLES: dict[AllocationCode, str] = {
    AllocationCode.NOT_TESTED: "bold",
    AllocationCode.STAYED_OUT: "bold",
    AllocationCode.BETTER: "bold green",
    AllocationCode.UNDECIDED: "bold yellow",
    AllocationCode.WORSE: "bold red",
}
SHORT: dict[str, str] = {
    "Profit factor": "PF",
    "Fees of gross": "Fees",
    "P(Sharpe > 0)": "P(SR>0)",
    "Win rate": "Won",
}
"""Headers that a terminal has no room for."""


def print_arena(console: Console, arena: Arena) -> None:
    """The ranking, a verdict for each, and what the allocator would have done."""
    from rich.markup import escape

    result = arena.first
    places = ", ".join(f"{label.venue} {label.symbol} {label.timeframe}" for label in result.labels)
    console.print()
    console.print(
        f"{len(arena.contestants)} strategies, each alone on {places}, "
        f"{format_time(result.start_time)} to {format_time(result.end_time)} UTC, start "
        f"{wording.money(result.start_quote)} {wording.CURRENCY}",
        markup=False,
        style="dim",
    )
    head, *lines = arena_tables.ranking(arena)
    names = [SHORT.get(name, name) for name in head[:-1]]
    title = f"Ranking by {arena_tables.RANK_WORDS[arena.rank]}"
    made = table(*names, title=title, numeric=("#", *names[2:]))
    for line in lines:
        made.add_row(*(escape(value) for value in line[:-1]))
    console.print(made)
    console.print(
        "PF: net profit factor. Fees: share of the gross profit. P(SR>0): of the one strategy. "
        "Deflated: the same, as one of all these tries.",
        markup=False,
        style="dim",
    )
    for contestant in arena.contestants:
        console.print(f"{contestant.name}: {contestant.headline}.", markup=False)
    _print_allocator(console, arena)
    for line_of_warning in arena.warnings:
        console.print(f"Warning: {line_of_warning}", style="yellow", markup=False)
    console.print()


def _print_allocator(console: Console, arena: Arena) -> None:
    walk = arena.walk
    console.print()
    console.print(f"{walk.headline}.", style=STYLES[walk.code], markup=False)
    console.print(" ".join(walk.sentences), markup=False)
    if not walk.paths:
        return
    for rows in (arena_tables.allocation(walk), arena_tables.stakes(walk)):
        head, *lines = rows
        made = table(*head, numeric=head[1:])
        for line in lines:
            made.add_row(*line)
        console.print(made)
