"""A synthetic lake, and the command line as a user types it there."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import structlog
from tests.lakes import make_synthetic_lake

from tercel.entry.cli import main as cli

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="session")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A few days of two synthetic symbols."""
    return make_synthetic_lake(tmp_path_factory.mktemp("synthetic") / "lake")


@pytest.fixture
def run(
    tmp_path: Path,
    lake: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Iterator[Run]:
    """Run a command in an empty folder; (exit code, standard output, standard error).

    One text is taken apart as a shell would; several are the words themselves.
    """
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TERCEL__DATA__LAKE", str(lake))
    monkeypatch.setenv("COLUMNS", "160")

    def typed(*words: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as stopped:
            cli.main(shlex.split(words[0]) if len(words) == 1 else words)
        printed = capsys.readouterr()
        return int(stopped.value.code or 0), printed.out, printed.err

    yield typed
    structlog.reset_defaults()
