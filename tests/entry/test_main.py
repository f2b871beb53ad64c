"""`tercel`: lazy commands, help, and errors as one line with the right exit code."""

from __future__ import annotations

import errno
import subprocess
import sys

import pytest

from tercel.domain.errors import DataError, InterruptedWorkError, StorageError
from tercel.entry.cli import main as cli

HEAVY = ("numba", "numpy", "polars", "matplotlib", "aiohttp", "ccxt", "pydantic", "structlog")


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as stopped:
        cli.main(arguments)
    return int(stopped.value.code or 0)


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--help") == 0
    printed = capsys.readouterr().out
    assert all(name in printed for name in cli.COMMANDS)


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_each_command_has_help_with_an_example(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(name, "--help") == 0
    printed = capsys.readouterr().out
    assert "Usage: tercel " + name in printed
    if name not in ("data", "config"):  # their commands have examples of their own
        assert f"tercel {name}" in printed.split("Usage:")[1].split("\n", 1)[1]


def test_no_arguments_show_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    run()
    printed = capsys.readouterr()
    assert "First steps" in printed.out + printed.err


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--version") == 0
    assert capsys.readouterr().out.startswith("tercel 0.")


def test_help_imports_nothing_heavy() -> None:
    """0.3 s is the budget: numba alone takes twice that."""
    code = (
        "import sys; from tercel.entry.cli.main import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        f"print('HEAVY', [name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "HEAVY []" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("bactest",), "No such command 'bactest'. Did you mean 'backtest'?"),
        (("backtest",), "say what to trade"),
        (("walk",), "Missing argument"),
        (("backtest", "three_r", "BTCUSDT", "--nonsense"), "No such option"),
        (("lookahead", "three_r", "BTCUSDT", "--bars", "many"), "should be a valid integer"),
    ],
)
def test_mistyped_commands_are_one_line(
    arguments: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*arguments) == 2
    line = capsys.readouterr().err
    assert said in line
    assert line.count("\n") == 1


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (DataError("row 7 is bad"), 2, "error: row 7 is bad"),
        (StorageError("disk full"), 1, "error: disk full"),
        (InterruptedWorkError("stopped; all kept"), 130, "stopped; all kept"),
        (OSError(errno.ENOSPC, "No space left on device", "x.parquet"), 1, "x.parquet cannot be"),
        (RuntimeError("surprise"), 1, "internal error: RuntimeError: surprise"),
    ],
)
def test_errors_become_one_line(
    error: Exception,
    code: int,
    line: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(wanted: str | None) -> None:
        raise error

    monkeypatch.setattr(cli, "build", fail)
    assert run("doctor") == code
    printed = capsys.readouterr().err
    assert line in printed
    assert printed.count("\n") == 1
    assert "Traceback" not in printed
    assert run("doctor", "--debug") == code
    assert "Traceback" in capsys.readouterr().err


def test_ctrl_c(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from tercel.app import strategies

    def stop() -> list[str]:
        raise KeyboardInterrupt

    monkeypatch.setattr(strategies, "built_in_names", stop)
    assert run("strategies") == 130
    assert "interrupted" in capsys.readouterr().err


def test_a_closed_pipe_is_not_an_error() -> None:
    command = f"{sys.executable} -m tercel.entry.cli.main strategies three_r | head -1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("three_r: ")
    assert done.stderr == ""


def test_help_is_wrapped_once_by_the_terminal() -> None:
    """Paragraphs are one line each, whatever the source; what is indented stays as it is."""
    told = """First line.

    A paragraph that was
    wrapped in the source.

      tercel data synth    a market
      tercel new           an idea
    """
    assert cli.unwrapped(told).split("\n\n") == [
        "First line.",
        "A paragraph that was wrapped in the source.",
        "  tercel data synth    a market\n  tercel new           an idea",
    ]
    assert cli.unwrapped(None) == ""


@pytest.mark.parametrize("name", sorted(cli.COMMANDS))
@pytest.mark.parametrize("width", [80, 120])
def test_help_fits_the_terminal_and_has_examples(
    name: str, width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    with pytest.raises(SystemExit):
        cli.main([name, "--help"])
    told = capsys.readouterr().out
    assert max(map(len, told.splitlines())) <= width
    assert "Examples" in told or "Commands" in told
