"""Crashes, full disks, second writers: a file of the lake is whole or absent, whatever happens."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tests.fakes import make_bars, same_bars

from tercel.adapters.lake import LakeBarStore, files
from tercel.domain.bars import SeriesKey
from tercel.domain.errors import LakeBusyError, StorageError
from tercel.domain.times import parse_time

KEY = SeriesKey("binance-spot", "BTCUSDT")
START = parse_time("2024-01-31 23:00")
FOLDER = "binance-spot/BTCUSDT/1m"


def leftovers(root: Path) -> list[str]:
    return [path.name for path in root.rglob("*.tmp")]


def refuse(code: int) -> object:
    def fail(*_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code))

    return fail


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (errno.ENOSPC, "the disk is full"),
        (errno.EDQUOT, "the disk quota is used up"),
        (errno.EROFS, "read-only"),
        (errno.EACCES, "no permission"),
        (errno.EIO, "the disk answered: Input/output error"),
    ],
)
@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_disk_that_refuses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, code: int, words: str
) -> None:
    store = LakeBarStore(tmp_path)
    bars = make_bars(START, 120)
    store.merge(KEY, bars[:30], source="test")
    with monkeypatch.context() as patch:
        patch.setattr(f"os.{call}", refuse(code))
        with pytest.raises(StorageError, match=words) as caught:
            store.merge(KEY, bars, source="test")
    assert str(tmp_path / FOLDER / "2024-01.parquet") in str(caught.value)
    assert leftovers(tmp_path) == []
    assert same_bars(store.read(KEY).bars, bars[:30])
    store.merge(KEY, bars, source="test")
    assert same_bars(store.read(KEY).bars, bars)


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "binance-spot").write_text("in the way")
    with pytest.raises(StorageError, match="a file is in the way"):
        LakeBarStore(tmp_path).merge(KEY, make_bars(START, 1), source="test")


def test_a_folder_that_cannot_be_locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = LakeBarStore(tmp_path)
    store.merge(KEY, make_bars(START, 1), source="test")
    with monkeypatch.context() as patch:
        patch.setattr("fcntl.flock", refuse(errno.ENOLCK))
        with pytest.raises(StorageError, match="the disk answered"):
            store.merge(KEY, make_bars(START, 2), source="test")
    with monkeypatch.context() as patch:
        patch.setattr("tercel.adapters.lake.files.os.open", refuse(errno.EROFS))
        with pytest.raises(StorageError, match="read-only"):
            store.merge(KEY, make_bars(START, 2), source="test")


def test_appended_bars_that_cannot_be_taken_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = LakeBarStore(tmp_path)
    bars = make_bars(START, 30)
    store.append(KEY, bars)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", refuse(errno.EACCES))
        with pytest.raises(StorageError, match=r"current\.parquet: .*no permission"):
            store.merge(KEY, bars, source="test")
    # The month is written and the live file still there: each bar is in both, and counts once.
    assert (tmp_path / FOLDER / "2024-01.parquet").exists()
    assert (tmp_path / FOLDER / "current.parquet").exists()
    assert same_bars(store.read(KEY).bars, bars)
    assert store.info(KEY).bars == 30
    store.merge(KEY, bars, source="test")
    assert not (tmp_path / FOLDER / "current.parquet").exists()


def test_ctrl_c_between_writing_and_renaming(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = LakeBarStore(tmp_path)
    bars = make_bars(START, 120)
    store.merge(KEY, bars[:30], source="test")

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("os.replace", interrupt)
        with pytest.raises(KeyboardInterrupt):
            store.merge(KEY, bars, source="test")
    assert leftovers(tmp_path) == []
    assert same_bars(store.read(KEY).bars, bars[:30])


def child(code: str, *arguments: str) -> subprocess.Popen[str]:
    """A Python of its own that runs `code`; `arguments` are its sys.argv[1:]."""
    prelude = (
        "import os, sys, signal\n"
        "import numpy as np\n"
        "from pathlib import Path\n"
        "from tests.fakes import make_bars\n"
        "from tercel.adapters.lake import LakeBarStore\n"
        "from tercel.domain.bars import SeriesKey\n"
        f"KEY = SeriesKey('binance-spot', 'BTCUSDT')\nSTART = {START}\n"
        "store = LakeBarStore(Path(sys.argv[1]))\n"
    )
    root = Path(__file__).resolve().parents[3]
    path = os.pathsep.join([str(root / "src"), str(root)])
    return subprocess.Popen(
        [sys.executable, "-c", prelude + code, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
    )


def test_a_kill_between_writing_and_renaming(tmp_path: Path) -> None:
    store = LakeBarStore(tmp_path)
    bars = make_bars(START, 120)
    store.merge(KEY, bars[:30], source="test")
    process = child(
        "os.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        "store.merge(KEY, make_bars(START, 120), source='child')\n",
        str(tmp_path),
    )
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    assert leftovers(tmp_path) == [".2024-01.parquet.tmp"]
    assert same_bars(store.read(KEY).bars, bars[:30])
    assert store.keys() == [KEY]
    # The next writer is not stopped by the dead one's lock, and clears what it left.
    store.merge(KEY, bars, source="test")
    assert leftovers(tmp_path) == []
    assert same_bars(store.read(KEY).bars, bars)


def test_a_kill_in_the_middle_of_writing(tmp_path: Path) -> None:
    process = child(
        "for row in range(10_000):\n"
        "    store.append(KEY, make_bars(START + row * 60_000, 1))\n"
        "    if row % 7 == 0:\n"
        "        store.merge(KEY, make_bars(START, row + 1), source='child')\n"
        "    print(row, flush=True)\n",
        str(tmp_path),
    )
    assert process.stdout is not None
    done = -1
    while done < 70:  # past the end of a month
        done = int(process.stdout.readline())
    process.kill()
    rest = process.communicate(timeout=60)[0].split()
    if rest:
        done = int(rest[-1])
    store = LakeBarStore(tmp_path)
    bars = store.read(KEY).bars
    assert store.verify(KEY) == ()
    assert len(bars) >= done + 1
    assert same_bars(bars, make_bars(START, len(bars)))


def test_two_writers_in_two_processes(tmp_path: Path) -> None:
    process = child(
        "with store.writing(KEY):\n"
        "    store.append(KEY, make_bars(START, 1))\n"
        "    print('holding', flush=True)\n"
        "    sys.stdin.read()\n",
        str(tmp_path),
    )
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "holding\n"
        store = LakeBarStore(tmp_path)
        for write in (store.append, lambda key, bars: store.merge(key, bars, source="test")):
            with pytest.raises(LakeBusyError, match=f"process {process.pid} is writing here; wait"):
                write(KEY, make_bars(START, 2))
        assert len(store.read(KEY).bars) == 1  # reading goes on
        other = SeriesKey("binance-spot", "ETHUSDT")
        store.merge(other, make_bars(START, 2), source="test")  # other series are free
    finally:
        process.kill()
        process.communicate(timeout=60)
    assert store.append(KEY, make_bars(START, 2)).added == 1


def test_the_lock_works_without_the_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.pwrite", refuse(errno.ENOSPC))
    with (
        files.folder_lock(tmp_path),
        pytest.raises(LakeBusyError, match="process unknown is writing"),
        files.folder_lock(tmp_path),
    ):
        pass


def test_a_full_file_system(tmp_path: Path) -> None:
    """On a real one of 64 kB, where this machine lets us make it."""
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(tmp_path)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip("cannot mount a small file system here (the simulated ones above ran)")
    try:
        store = LakeBarStore(tmp_path)
        store.merge(KEY, make_bars(START, 30), source="test")
        rng = np.random.default_rng(1)
        many = make_bars(START, 20_000)
        many["volume"][30:] = rng.uniform(1e6, 2e6, len(many) - 30)
        with pytest.raises(StorageError, match="the disk is full"):
            store.merge(KEY, many, source="test")
        assert leftovers(tmp_path) == []
        assert same_bars(store.read(KEY).bars[:30], make_bars(START, 30))
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)
