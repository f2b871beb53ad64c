"""The KILL file: there, taken once, gone."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from tercel.adapters.control import KillFile


def test_it_is_taken_once(tmp_path: Path) -> None:
    kill = KillFile(tmp_path / "session")
    assert not kill.is_there()
    assert not kill.take()
    kill.write()
    assert stat.S_IMODE(kill.path.stat().st_mode) == 0o600
    assert kill.is_there()
    assert kill.take()
    assert not kill.is_there()
    assert not kill.take()


def test_a_file_that_somebody_touched_counts(tmp_path: Path) -> None:
    (tmp_path / "KILL").touch()
    assert KillFile(tmp_path).take()
    (tmp_path / "KILL").symlink_to("nowhere")
    assert KillFile(tmp_path).is_there()
    assert KillFile(tmp_path).take()
    assert os.listdir(tmp_path) == []


def test_one_that_cannot_be_removed_counts_once(tmp_path: Path) -> None:
    (tmp_path / "KILL").mkdir()
    kill = KillFile(tmp_path)
    assert [kill.take() for _ in range(3)] == [True, False, False]
    (tmp_path / "KILL").rmdir()
    assert not kill.take()
    kill.write()
    assert kill.take()


def test_where_the_folder_is_a_file_there_is_none(tmp_path: Path) -> None:
    (tmp_path / "session").write_text("a file")
    assert not KillFile(tmp_path / "session").take()
    with pytest.raises(OSError, match="session"):
        os.listdir(tmp_path / "session")
