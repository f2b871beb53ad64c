"""The terminal: one console for results, one for problems, and the progress bar."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID
    from rich.table import Table


PIPE_COLUMNS = 120
"""Width of tables written to a file or a pipe, which have none of their own."""


def console() -> Console:
    """Results go to standard output."""
    from rich.console import Console

    class Screen(Console):
        """A console whose reader may leave early (`| head`): the work goes on in silence."""

        def on_broken_pipe(self) -> None:
            self.quiet = True
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

    screen = Screen(highlight=False)
    if not screen.is_terminal and "COLUMNS" not in os.environ:
        screen.width = PIPE_COLUMNS
    return screen


def problem(line: str) -> None:
    """One line to standard error, as plain text: what was wrong and what to do."""
    print(line, file=sys.stderr)  # noqa: T201


def say_if_cold() -> None:
    """The first run after an install or a change of the core compiles: say why it takes a while."""
    from tercel.core.jit import is_cold

    if is_cold():
        problem("compiling the kernels, once: about 10 seconds")


def table(*columns: str, title: str | None = None, numeric: tuple[str, ...] = ()) -> Table:
    """A table in the project's one look; columns named in `numeric` are set right."""
    from rich import box
    from rich.table import Table

    made = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left", pad_edge=False)
    for column in columns:
        made.add_column(column, justify="right" if column in numeric else "left")
    return made


class Bar:
    """ports.Progress drawn by rich."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._task: TaskID | None = None

    def start(self, title: str, total: float | None) -> None:
        self._task = self._progress.add_task(title, total=total, note="")

    def advance(self, amount: float = 1.0, note: str = "") -> None:
        if self._task is not None:
            self._progress.update(self._task, advance=amount, note=note)


@contextmanager
def progress_bar() -> Iterator[Bar]:
    """A progress bar on standard error, with time left; silent when that is not a terminal."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    screen = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=30),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=screen, disable=not screen.is_terminal) as progress:
        yield Bar(progress)
