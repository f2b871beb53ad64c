"""`tercel config show` and `check`, as a user types them."""

from __future__ import annotations

import os
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from ruamel.yaml import YAML
from typer.testing import CliRunner, Result

import tercel
from tercel.adapters.config import LoadedSettings, packaged_config_dir, read_settings
from tercel.domain.errors import ConfigError
from tercel.entry.cli.config import app, yaml_lines, yaml_value


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A working folder without settings of its own."""
    monkeypatch.chdir(tmp_path)


def run(*arguments: str) -> Result:
    """What the command does; an error of ours comes back as `exception`."""
    return CliRunner().invoke(app, list(arguments))


def test_show_prints_settings_that_read_back_as_the_same(tmp_path: Path) -> None:
    result = run("show", "--set", "runs.seed=7", "--set", "strategies.mine.params={a: '1', b: NO}")
    assert result.exit_code == 0
    file = tmp_path / "run.yaml"
    file.write_text(result.output)
    again = read_settings(run_file=file, environ={}).settings
    assert again.runs.seed == 7
    assert again.strategy("mine").params == {"a": "1", "b": "NO"}
    assert (
        again
        == read_settings(
            environ={}, overrides=["runs.seed=7", "strategies.mine.params={a: '1', b: NO}"]
        ).settings
    )


def test_show_one_group_with_origins() -> None:
    result = run("show", "runs", "--origin", "--set", "runs.seed=7")
    lines = result.output.splitlines()
    assert lines[0] == "runs:"
    assert lines[1].startswith("  folder: runs ")
    assert lines[1].endswith("config/runs.yaml:4")
    assert lines[4].split("#")[0].strip() == "seed: 7"
    assert lines[4].endswith("# --set runs.seed=7")


def test_show_a_path_keeps_what_is_above_it() -> None:
    result = run("show", "costs.profiles.source1.slippage", "--origin")
    lines = [line.split("#")[0].rstrip() for line in result.output.splitlines()]
    assert lines == [
        "costs:",
        "  profiles:",
        "    source1:",
        "      slippage:",
        "        model: ticks",
        "        ticks_min: 1",
        "        ticks_max: 3",
        "        bps: 0.0",
        "        impact_bps: 0.0",
    ]
    assert result.output.splitlines()[-1].endswith("# not set")
    assert run("show", "runs.seed").output == "runs:\n  seed: 42\n"


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("cots", "cots: no such setting; did you mean costs?"),
        ("log.colour", "log.colour: no such setting; there are: level, format"),
        ("runs.seed.x", "runs.seed.x: no such setting; there are: none"),
    ],
)
def test_show_what_is_not_there(path: str, said: str) -> None:
    result = run("show", path)
    assert isinstance(result.exception, ConfigError)
    assert str(result.exception) == said


def test_secrets_are_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = read_settings([packaged_config_dir()], None, {}, ["strategies.x.params.api_key=abc"])
    shown = "\n".join(yaml_lines(loaded, "strategies.x", origin=False))
    assert "abc" not in shown
    assert 'api_key: "(hidden)"' in shown


def test_a_strategy_parameter_is_pointed_out() -> None:
    result = run("check", "--set", "ema_len=25")
    assert result.exit_code == 0
    assert "strategies.NAME.params.ema_len" in result.stderr


def test_check_lists_what_was_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERCEL__RUNS__SEED", "3")
    (tmp_path / "run.yaml").write_text("log: {level: debug}\n")
    result = run("check", "--config", "run.yaml", "--set", "fills.participation_max=0")
    lines = result.output.splitlines()
    assert lines[0].endswith("config/arena.yaml")
    assert lines[-4:-1] == [
        "read run.yaml",
        "read TERCEL__RUNS__SEED",
        "read --set fills.participation_max=0",
    ]
    assert lines[-1].startswith("OK: ")


def test_check_of_a_bad_file(tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text("runs:\n  sed: 1\nlog: {level: loud}\n")
    result = run("check", "--config", "run.yaml")
    assert isinstance(result.exception, ConfigError)
    assert result.exception.exit_code == 2
    assert str(result.exception).splitlines() == [
        "run.yaml:2: runs.sed: unknown name; did you mean seed?",
        'run.yaml:3: log.level: expected one of debug, info, warning, error, got "loud"',
    ]


@pytest.mark.parametrize("command", ["show", "check"])
def test_help_has_examples(command: str) -> None:
    result = run(command, "--help")
    assert result.exit_code == 0
    assert f"tercel config {command} --set" in " ".join(result.output.split())


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys, tercel.entry.cli.config;"
        "print([m for m in ('pydantic', 'ruamel', 'numba', 'structlog') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(Path(tercel.__file__).parents[1])},
    )
    assert done.stdout.strip() == "[]"


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**9), 10**9)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text("ab:/-_.~ 0123456789#[]{}'\"\\NnoTrue", max_size=8),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=4,
)


@given(values)
@example("~")
def test_a_shown_value_reads_back(value: Any) -> None:
    text = f"a: {yaml_value(value)}\n"
    again = YAML(typ="safe", pure=True).load(text)["a"]
    assert again == value
    assert type(again) is type(value)


def test_exact_decimals_and_paths() -> None:
    assert yaml_value(Decimal("0.00001")) == "0.00001"
    assert yaml_value(Decimal("1E+2")) == "100"
    assert yaml_value(Path("runs")) == "runs"
    assert yaml_value("2024-01-01") == '"2024-01-01"'


def test_loaded_settings_are_frozen() -> None:
    loaded: LoadedSettings = read_settings(environ={})
    with pytest.raises(AttributeError):
        loaded.files = ()  # type: ignore[misc]
