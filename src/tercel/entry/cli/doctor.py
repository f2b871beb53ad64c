"""`tercel doctor`: is this machine ready, and if not, what to do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tercel.entry.cli import terminal
from tercel.entry.cli.options import OneSetting, SettingsFile

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tercel.app.doctor import Check, Surroundings
    from tercel.app.ports import BarStore
    from tercel.domain.settings import Settings

_STYLES = {"ok": "green", "warn": "yellow", "fail": "bold red"}

EPILOG = """Examples:

tercel doctor

tercel doctor --json

tercel doctor --config run.yaml --set data.lake=/data/lake"""


def doctor(
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object, for scripts and bug reports.")
    ] = False,
    config: SettingsFile = None,
    options: OneSetting = None,
) -> None:
    """Check Python, packages, settings, kernels, processor, memory, disks, lake and clock.

    Nothing is sent over a network and nothing is changed. Exit code 1 when a check fails.
    """
    from tercel.app.doctor import Status, examine

    checks = examine(_surroundings(config, options or []))
    failed = any(check.status is Status.FAIL for check in checks)
    if as_json:
        typer.echo(as_text(checks, failed=failed))
    else:
        _show(checks)
    raise typer.Exit(1 if failed else 0)


def _surroundings(config: Path | None, options: Sequence[str]) -> Surroundings:
    """This machine. Everything heavy is imported inside the check that needs it."""
    from tercel.adapters.clock import SystemClock
    from tercel.app.dependencies import declared_requirements
    from tercel.app.doctor import Surroundings

    def load() -> Settings:
        from tercel import bootstrap

        return bootstrap.load_settings(config, options)

    def lake(settings: Settings) -> BarStore:
        from tercel import bootstrap

        return bootstrap.open_lake(settings)

    return Surroundings(load, lake, SystemClock(), declared_requirements)


def as_text(checks: Sequence[Check], *, failed: bool) -> str:
    """The checks as JSON: `{"ok": true, "checks": [{"name", "status", "detail", "hint"}]}`."""
    rows = [
        {"name": c.name, "status": str(c.status), "detail": c.detail, "hint": c.hint}
        for c in checks
    ]
    return json.dumps({"ok": not failed, "checks": rows}, indent=2, ensure_ascii=False)


def _show(checks: Sequence[Check]) -> None:
    from rich.text import Text

    table = terminal.table("check", "status", "found")
    for check in checks:
        found = Text(check.detail)
        if check.hint:
            found.append(f"\n-> {check.hint}", style="dim")
        table.add_row(check.name, Text(check.status, style=_STYLES[check.status]), found)
    terminal.console().print(table)
