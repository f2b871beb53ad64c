"""The command line as typer builds it: which commands there are, and whether a line would parse."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import Any

from typer.main import get_command

from tercel.entry.cli.main import COMMANDS, build

GLOBAL_OPTIONS = ("--debug", "--version", "--help")
SHELL_ENDS = frozenset({">", "|", "&&", ";", "\\"})


def command_of(words: list[str]) -> tuple[Any, list[str]]:
    """The command that `words` (after `tercel`) name, and what is left of them.

    Raises KeyError for a command that does not exist.
    """
    name, rest = words[0], words[1:]
    app: Any = get_command(build(name))
    found = app.commands[name]
    while rest and hasattr(found, "commands") and not rest[0].startswith("-"):
        found, rest = found.commands[rest[0]], rest[1:]
    return found, rest


def leaves() -> Iterator[tuple[str, Any]]:
    """Every command that does something: (`data import`, its typer command)."""
    for name in COMMANDS:
        found, _ = command_of([name])
        for below, command in getattr(found, "commands", {"": found}).items():
            yield f"{name} {below}".strip(), command


def words_of(line: str) -> list[str]:
    """What the shell would hand to `tercel`: no variables, no pipes, no global options."""
    words = shlex.split(line, comments=True)
    words = words[words.index("tercel") + 1 :]
    ends = [at for at, word in enumerate(words) if word in SHELL_ENDS]
    words = words[: ends[0]] if ends else words
    return [word for word in words if word not in GLOBAL_OPTIONS]


def parse(line: str) -> None:
    """Parse `tercel ...` without running it. Raises KeyError or typer's usage error."""
    words = words_of(line)
    if words:
        command, rest = command_of(words)
        command.make_context(words[0], rest)


def options_of(command: Any) -> list[tuple[str, ...]]:
    """The ways to write each option of a command: (`--report`, `--no-report`)."""
    found = [(*param.opts, *param.secondary_opts) for param in command.params]
    return [names for names in found if names[0].startswith("--") and "--help" not in names]
