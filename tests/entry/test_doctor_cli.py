"""`tercel doctor`, as a user types it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from tercel.entry.cli.doctor import EPILOG, doctor


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A working folder without settings or data."""
    monkeypatch.chdir(tmp_path)


def run(*arguments: str) -> Result:
    """What the command does."""
    app = typer.Typer()
    app.command(epilog=EPILOG)(doctor)
    return CliRunner().invoke(app, list(arguments))


def test_a_table_of_checks() -> None:
    result = run()
    assert result.exit_code == 0
    for name in ("python", "kernel cache", "settings", "lake", "clock"):
        assert name in result.output
    assert "tercel data synth" in result.output


def test_json_says_the_same() -> None:
    report = json.loads(run("--json", "--set", "data.lake=elsewhere").output)
    assert report["ok"] is True
    checks = {check["name"]: check for check in report["checks"]}
    assert checks["lake"]["status"] == "warn"
    assert checks["lake"]["detail"] == "elsewhere is empty"
    assert set(checks["lake"]) == {"name", "status", "detail", "hint"}


def test_bad_settings_fail_the_check_and_the_command(tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text("runs: {sed: 1}\n")
    result = run("--json", "--config", "run.yaml")
    assert result.exit_code == 1
    report = json.loads(result.output)
    [failed] = [check for check in report["checks"] if check["status"] == "fail"]
    assert failed["detail"] == "run.yaml:1: runs.sed: unknown name; did you mean seed?"


def test_nothing_is_created(tmp_path: Path) -> None:
    run()
    assert list(tmp_path.iterdir()) == []


def test_help_has_examples() -> None:
    result = run("--help")
    assert result.exit_code == 0
    assert "tercel doctor --json" in result.output
