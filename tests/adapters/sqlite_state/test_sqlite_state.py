"""The state's file: private, ours, whole."""

from __future__ import annotations

import asyncio
import sqlite3
import stat
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.session_states import full_state

from tercel.adapters.sqlite_state import SqliteStateStore
from tercel.adapters.sqlite_state.store import APPLICATION_ID, VERSION
from tercel.domain.errors import DataError, StorageError

Open = Callable[[Path], SqliteStateStore]


@pytest.fixture
async def opened() -> AsyncIterator[Open]:
    """Opens a store that is closed in the end."""
    made: list[SqliteStateStore] = []

    def open_store(path: Path) -> SqliteStateStore:
        made.append(SqliteStateStore(path))
        return made[-1]

    yield open_store
    for store in made:
        await store.close()


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


async def test_nobody_else_may_read_it(tmp_path: Path, opened: Open) -> None:
    path = tmp_path / "a" / "b" / "state.sqlite"
    await opened(path).write(full_state())
    names = {each.name: mode(each) for each in path.parent.iterdir()}
    assert set(names) == {"state.sqlite", "state.sqlite-wal", "state.sqlite-shm"}
    assert set(names.values()) == {0o600}
    assert mode(path.parent) == 0o700


async def test_a_file_that_others_could_read_is_closed_to_them(
    tmp_path: Path, opened: Open
) -> None:
    path = tmp_path / "state.sqlite"
    path.touch(mode=0o644)
    path.chmod(0o644)
    await opened(path).read_full_snapshot()
    assert mode(path) == 0o600


async def test_what_was_written_is_synced(tmp_path: Path, opened: Open) -> None:
    """FULL, in a write-ahead log: the commit itself survives a power cut."""
    store = opened(tmp_path / "state.sqlite")
    await store.write(full_state())
    connection = store._connection
    assert connection is not None
    assert connection.execute("PRAGMA synchronous").fetchone() == (2,)
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


async def test_writes_at_once_are_kept_in_their_order_and_before_the_end(
    tmp_path: Path, opened: Open
) -> None:
    """The later one wins, whatever differed from what; closing waits for those asked before."""
    path = tmp_path / "state.sqlite"
    store = opened(path)
    first, second = full_state(), replace(full_state(), order_number=99)
    await store.write(first)
    third = replace(first, consecutive_losses=7)
    await asyncio.gather(store.write(second), store.write(third), store.close())
    read = await opened(path).read_full_snapshot()
    assert read.state == third


async def test_every_key_has_its_name_in_the_file(tmp_path: Path, opened: Open) -> None:
    path = tmp_path / "state.sqlite"
    await opened(path).write(full_state())
    connection = sqlite3.connect(path)
    found = dict(connection.execute("SELECT name, value FROM state"))
    connection.close()
    assert found["tercel:consecutive_losses"] == "7"
    assert found["tercel:fear_greed_cache"] == '{"value":7.03,"timestamp":1700000000003}'


def other_database(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE mine (x)")
    connection.close()


def later_version(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE state (name TEXT PRIMARY KEY, value TEXT NOT NULL, more)")
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {VERSION + 1}")
    connection.close()


def text_file(path: Path) -> None:
    path.write_text("no database at all\n" * 100)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (other_database, "is no state of Tercel"),
        (later_version, f"version {VERSION + 1}, and this Tercel writes version {VERSION}"),
        (text_file, "damaged: file is not a database"),
    ],
)
async def test_a_file_that_is_not_ours_is_refused_and_left_as_it_was(
    tmp_path: Path, opened: Open, make: Callable[[Path], None], words: str
) -> None:
    path = tmp_path / "state.sqlite"
    make(path)
    before = path.read_bytes()
    store = opened(path)
    with pytest.raises(DataError, match=words):
        await store.read_full_snapshot()
    with pytest.raises(DataError, match=words) as caught:
        await store.write(full_state())
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    if make is text_file:
        assert path.read_bytes() == before


async def test_a_damaged_page_is_found(tmp_path: Path, opened: Open) -> None:
    path = tmp_path / "state.sqlite"
    store = opened(path)
    await store.write(full_state())
    await store.close()
    content = bytearray(path.read_bytes())
    content[4096:4600] = b"\xa5" * 504
    path.write_bytes(content)
    with pytest.raises(DataError, match="damaged"):
        await opened(path).read_full_snapshot()


async def test_a_folder_that_cannot_be_made(tmp_path: Path, opened: Open) -> None:
    (tmp_path / "file").touch()
    path = tmp_path / "file" / "state.sqlite"
    with pytest.raises(StorageError, match=r"file/state\.sqlite: cannot be made"):
        await opened(path).read_full_snapshot()


async def test_a_file_that_another_program_keeps_locked(
    tmp_path: Path, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tercel.adapters.sqlite_state.store.BUSY_SECONDS_MAX", 0.01)
    path = tmp_path / "state.sqlite"
    store = opened(path)
    await store.write(full_state(1))
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StorageError, match="database is locked"):
        await store.write(full_state(2))
    other.execute("ROLLBACK")
    other.close()
    assert (await store.read_full_snapshot()).state == full_state(1)
    await store.write(full_state(2))
    assert (await opened(path).read_full_snapshot()).state == full_state(2)


async def test_a_write_that_fails_leaves_no_transaction_open(tmp_path: Path, opened: Open) -> None:
    """However it failed: whoever else writes the file, or this store later, is not locked out."""
    path = tmp_path / "state.sqlite"
    store = opened(path)
    await store.write(full_state(1))
    connection: Any = store._connection
    store._connection = NoRollback(connection)  # type: ignore[assignment]
    connection.execute("CREATE TRIGGER full BEFORE UPDATE ON state BEGIN SELECT unheard(); END")
    with pytest.raises(StorageError):
        await store.write(full_state(2))
    with closing(sqlite3.connect(path, timeout=0.0)) as other:
        other.execute("DROP TRIGGER full")
        other.commit()
    await store.write(full_state(2))
    assert (await opened(path).read_full_snapshot()).state == full_state(2)


class NoRollback:
    """A connection whose disk fails again when what failed is to be taken back."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def execute(self, text: str) -> Any:
        if text == "ROLLBACK":
            raise sqlite3.OperationalError("disk I/O error")
        return self._connection.execute(text)


async def test_a_write_that_fails_is_repeated_whole(
    tmp_path: Path, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After an error nobody knows what is kept: the next write has every key."""
    path = tmp_path / "state.sqlite"
    store = opened(path)
    await store.write(full_state(1))
    other = sqlite3.connect(path)
    other.execute("ALTER TABLE state RENAME TO away")
    with pytest.raises(StorageError):
        await store.write(full_state(2))
    other.execute("ALTER TABLE away RENAME TO state")
    other.execute("DELETE FROM state")
    other.commit()
    other.close()
    await store.write(full_state(2))
    assert (await opened(path).read_full_snapshot()).state == full_state(2)
