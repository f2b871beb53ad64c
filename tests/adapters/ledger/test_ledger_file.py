"""The research ledger's file: versions, crashes in the middle of an append, two writers, damage."""

from __future__ import annotations

import errno
import fcntl
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.ledgers import same, trial

from tercel.adapters.ledger import LedgerFile
from tercel.adapters.ledger.lines import HEADER, VERSION, from_line, to_line
from tercel.domain.errors import DataError, StorageError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "runs" / "ledger.jsonl"


def read(path: Path) -> tuple[Any, ...]:
    return LedgerFile(path).read("three_r", "BTCUSDT")


def test_the_file_is_lines_that_any_tool_reads(path: Path) -> None:
    LedgerFile(path).append([trial(1), trial(2)])
    assert path.read_bytes() == HEADER + to_line(trial(1)) + to_line(trial(2))
    assert path.read_text().splitlines()[0] == '{"tercel_ledger":1}'
    assert '"series":"binance-usdm BTCUSDT 1m"' in path.read_text().splitlines()[1]


def test_nothing_is_made_by_looking(path: Path) -> None:
    assert read(path) == ()
    LedgerFile(path).append([])
    assert not path.parent.exists()


@pytest.mark.parametrize("newer", [VERSION + 1, 0])
def test_another_version_is_named_with_what_to_do(path: Path, newer: int) -> None:
    path.parent.mkdir()
    path.write_text(f'{{"tercel_ledger":{newer}}}\n')
    for call in (lambda: read(path), lambda: LedgerFile(path).append([trial()])):
        with pytest.raises(DataError, match=f"version {newer}.*version {VERSION}.*--set"):
            call()
    assert path.read_text() == f'{{"tercel_ledger":{newer}}}\n'


@pytest.mark.parametrize("content", ["id,net\n1,2\n", "[]\n", "no end of line", "{"])
def test_a_file_that_is_no_ledger_is_left_alone(path: Path, content: str) -> None:
    path.parent.mkdir()
    path.write_text(content)
    for call in (lambda: read(path), lambda: LedgerFile(path).append([trial()])):
        if content == "{":  # the beginning of a header: a crash in the very first write
            continue
        with pytest.raises(DataError, match="no research ledger of Tercel"):
            call()
    assert path.read_text() == content


def test_a_crash_anywhere_in_an_append_costs_no_other_trial(path: Path) -> None:
    """Cut the file at every byte: what is whole is read, the next append repairs the rest."""
    LedgerFile(path).append([trial(1)])
    LedgerFile(path).append([trial(2), trial(3)])
    content = path.read_bytes()
    ends = [at + 1 for at, byte in enumerate(content) if byte == ord("\n")]
    for cut in range(len(content) + 1):
        path.write_bytes(content[:cut])
        whole = max(sum(end <= cut for end in ends) - 1, 0)
        torn = cut not in (0, *ends)
        before = LedgerFile(path)
        kept = before.read("three_r", "BTCUSDT")
        assert len(kept) == whole
        assert len(before.notices()) == torn
        ledger = LedgerFile(path)
        ledger.append([trial(9)])
        assert ("cut short by a crash" in "".join(ledger.notices())) is torn
        assert same(read(path), [*kept, trial(9)])


def test_a_full_disk_leaves_the_ledger_as_it_was(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    LedgerFile(path).append([trial(1)])
    before = path.read_bytes()
    write = os.write

    def half(descriptor: int, data: Any) -> int:
        if len(data) < 200:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(descriptor, data[: len(data) // 2])

    monkeypatch.setattr("tercel.adapters.ledger.file.os.write", half)
    with pytest.raises(StorageError, match=r"the disk is full; .*--set research\.ledger=PATH"):
        LedgerFile(path).append([trial(2), trial(3)])
    assert path.read_bytes() == before


def test_a_folder_in_the_way_is_said(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot be added"):
        LedgerFile(tmp_path).append([trial()])
    with pytest.raises(StorageError, match="cannot be read"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        (b'"trades":50', b'"trades":"50"', "no whole number"),
        (b'"trades":50', b'"trades":', "no JSON"),
        (b'"trades":50', b'"deals":50', "fields of a trial"),
        (b"BTCUSDT 1m", b"BTCUSDT 7m", "no series"),
        (b'"sharpe":0.05', b'"sharpe":"high"', "no number"),
        (b'"code_hash":"c0de"', b'"code_hash":1', "no text"),
    ],
)
def test_a_damaged_line_is_named(path: Path, old: bytes, new: bytes, why: str) -> None:
    LedgerFile(path).append([trial(1), trial(2), trial(3)])
    lines = path.read_bytes().splitlines(keepends=True)
    lines[2] = lines[2].replace(old, new)
    path.write_bytes(b"".join(lines))
    with pytest.raises(DataError, match=rf"ledger\.jsonl:3: not a trial: .*{why}"):
        read(path)


def test_a_second_writer_waits_for_the_first(path: Path) -> None:
    LedgerFile(path).append([trial(1)])
    done = threading.Event()

    def second() -> None:
        LedgerFile(path).append([trial(2)])
        done.set()

    with path.open("ab") as first:
        fcntl.flock(first, fcntl.LOCK_EX)
        waiting = threading.Thread(target=second)
        waiting.start()
        size = path.stat().st_size
        assert not done.wait(0.05)
        assert path.stat().st_size == size
    waiting.join(30)
    assert done.is_set()
    assert same(read(path), [trial(1), trial(2)])


WRITER = """
import sys
from pathlib import Path
from tests.ledgers import trial
from tercel.adapters.ledger import LedgerFile
ledger = LedgerFile(Path(sys.argv[1]))
for number in range(20):
    ledger.append([trial(number, code_hash=sys.argv[2])] * 3)
"""


def test_processes_that_write_at_once_lose_nothing(path: Path) -> None:
    root = Path(__file__).parents[3]
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(path), name], cwd=root)
        for name in ("one", "two", "three")
    ]
    assert [writer.wait(120) for writer in writers] == [0, 0, 0]
    found = [(each.code_hash, each.parameters["ema_len"]) for each in read(path)]
    for name in ("one", "two", "three"):
        mine = [number for code, number in found if code == name]
        assert mine == [number for number in range(20) for _ in range(3)]
    # Each append is in one piece: its three lines stand together.
    assert all(found[at] == found[at + 2] for at in range(0, len(found), 3))


values = st.one_of(
    st.integers(-(2**40), 2**40), st.floats(allow_nan=False, allow_infinity=False), st.text()
)


@settings(max_examples=100)
@given(
    st.dictionaries(st.text(), values, max_size=5),
    st.floats(allow_infinity=False),
    st.text(min_size=1),
)
def test_every_trial_survives_its_line(
    parameters: dict[str, Any], sharpe: float, strategy: str
) -> None:
    given_trial = trial(parameters=parameters, sharpe=sharpe, strategy=strategy)
    line = to_line(given_trial)
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")
    assert same([from_line(line)], [given_trial])
