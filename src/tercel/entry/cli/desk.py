"""The desk a trading command works at, and what its options mean there.

`open_desk` reads the settings and opens the lake; `counting` opens the research ledger beside it,
for commands whose trials count; `say_repairs` tells afterwards what the ledger had to repair.
`moment` and `with_cash` read options, `free_folder` finds a name for the run folder.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from tercel.entry.cli import terminal

if TYPE_CHECKING:
    from tercel.app.ports import Progress
    from tercel.app.runs import Desk

DAY_TEXT_LENGTH = len("2024-06-25")


def open_desk(
    config: Path | None, overrides: list[str], lake: Path | None, progress: Progress
) -> tuple[Desk, dict[str, object]]:
    """Settings, lake and clock; and the strategy parameters among the overrides."""
    from tercel import bootstrap
    from tercel.app.runs import Desk

    loaded = bootstrap.load_everything(config, overrides)
    settings = loaded.settings.with_lake(lake)
    desk = Desk(
        store=bootstrap.open_lake(settings),
        contexts=bootstrap.open_context(settings),
        settings=settings,
        clock=bootstrap.system_clock(),
        progress=progress,
        command_line=shlex.join(["tercel", *sys.argv[1:]]),
    )
    return desk, dict(loaded.strategy_overrides)


def counting(desk: Desk) -> Desk:
    """The desk with the research ledger open: what is run there is counted."""
    from tercel import bootstrap

    return replace(desk, ledger=bootstrap.open_ledger(desk.settings))


def say_repairs(desk: Desk) -> None:
    """What the research ledger had to repair, a line each."""
    for line in desk.ledger.notices() if desk.ledger is not None else ():
        terminal.problem(f"notice: {line}")


def with_cash(overrides: Sequence[str] | None, cash: float | None) -> list[str]:
    """What `--set` says, and `--cash` (quote) as the setting that it is."""
    return [*(overrides or ()), *([] if cash is None else [f"runs.start_quote={cash!r}"])]


def moment(text: str | None, name: str, *, whole_day: bool) -> int | None:
    """Milliseconds UTC of an option; a bare date given as an end includes that day."""
    from tercel.domain.times import DAY_MS, parse_time

    if text is None:
        return None
    found = parse_time(text, name=name)
    is_date = len(text.strip()) == DAY_TEXT_LENGTH
    return found + DAY_MS if whole_day and is_date else found


def free_folder(folder: Path) -> Path:
    """`folder`, or with -2, -3 ... when two runs began in the same second."""
    candidate, number = folder, 1
    while candidate.exists():
        number += 1
        candidate = folder.with_name(f"{folder.name}-{number}")
    return candidate
