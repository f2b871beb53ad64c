"""ports.StateStore in one SQLite file: a row for each key, `tercel:<name>` and its JSON text.

A write is one transaction of the rows that changed. The write-ahead log is synced at each commit
(`synchronous=FULL`): what was written survives a kill and a power cut. One thread of its own has
the connection, so that the event loop never waits for the disk and writes keep their order.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import TypeVar

from tercel.app.live.private_files import make_private
from tercel.app.live.state_codec import NAMESPACE, decode, encode
from tercel.domain.errors import DataError, StorageError
from tercel.domain.session_state import SessionState, StateRead

_Got = TypeVar("_Got")

APPLICATION_ID = 0x7E9CE151
"""Tells our files from other SQLite files."""
VERSION = 1
"""Of the table; a file of a later one is refused."""
BUSY_SECONDS_MAX = 5.0
"""How long another process may hold the file's lock."""
ELSEWHERE = "name another one with --set state.url=sqlite:///PATH"


class SqliteStateStore:
    """The state in the file at `path`, which is made when it is first asked for."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="tercel-state")
        self._connection: sqlite3.Connection | None = None
        self._kept: SessionState | None = None
        """What the file surely holds; None: it is not known."""
        self._writing = asyncio.Lock()
        self._is_checked = False
        """Whether the whole file was read once, and is not damaged."""
        self._is_closed = False

    async def read_full_snapshot(self) -> StateRead:
        """Every key, of one moment. Raises StorageError, DataError."""
        return await self._in_thread(self._read)

    async def write(self, state: SessionState) -> None:
        """Keep what changed, in one transaction, on the disk when this returns.

        Raises StorageError, DataError when the file turns out damaged; then nothing was kept.
        """
        async with self._writing:
            # Not in the thread: it would fight for the interpreter with what goes on meanwhile.
            texts, self._kept = encode(state, self._kept), None
            await self._in_thread(lambda: self._write(texts))
            self._kept = state

    async def close(self) -> None:
        """Close the file; it stays. What is being written is."""
        async with self._writing:
            if not self._is_closed:
                self._is_closed = True
                await asyncio.get_running_loop().run_in_executor(self._thread, self._close)
                self._thread.shutdown(wait=False)

    async def _in_thread(self, work: Callable[[], _Got]) -> _Got:
        if self._is_closed:
            raise StorageError(f"{self.path}: the state store is closed")
        return await asyncio.get_running_loop().run_in_executor(
            self._thread, lambda: self._explained(work)
        )

    def _explained(self, work: Callable[[], _Got]) -> _Got:
        try:
            return work()
        except sqlite3.OperationalError as error:  # also a DatabaseError: the disk, not the data
            raise StorageError(
                f"{self.path}: the state cannot be read or written: {error}; free space there, see "
                f"who has the file open, or {ELSEWHERE}"
            ) from error
        except sqlite3.DatabaseError as error:
            raise DataError(f"{self.path}: the state is damaged: {error}; {ELSEWHERE}") from error

    def _read(self) -> StateRead:
        rows = self._open().execute("SELECT name, value FROM state").fetchall()
        prefix = f"{NAMESPACE}:"
        texts = {str(name).removeprefix(prefix): value for name, value in rows}
        read = decode(texts, str(self.path))
        # What is missing has to be written even where it equals its default.
        self._kept = None if read.missing else read.state
        return read

    def _write(self, texts: dict[str, str]) -> None:
        rows = [(f"{NAMESPACE}:{name}", text) for name, text in texts.items()]
        connection, self._connection = self._open(), None
        try:
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(
                "INSERT INTO state (name, value) VALUES (?, ?) "
                "ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                rows,
            )
            connection.execute("COMMIT")
        except BaseException:
            connection.close()  # which takes back what was begun; the next call opens the file anew
            raise
        self._connection = connection

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            make_private(self.path)
            connection = sqlite3.connect(
                self.path, timeout=BUSY_SECONDS_MAX, isolation_level=None, check_same_thread=False
            )
            try:
                self._prepare(connection)
            except BaseException:
                connection.close()
                raise
            self._connection = connection
        return self._connection

    def _prepare(self, connection: sqlite3.Connection) -> None:
        """Check that the file is ours and whole; make the table in a new one."""
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("BEGIN IMMEDIATE")  # two processes may find the same new file
        if _number(connection, "application_id") == 0 and _is_empty(connection):
            connection.execute("CREATE TABLE state (name TEXT PRIMARY KEY, value TEXT NOT NULL)")
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {VERSION}")
        connection.execute("COMMIT")
        if _number(connection, "application_id") != APPLICATION_ID:
            raise DataError(f"{self.path}: is no state of Tercel; {ELSEWHERE}")
        if (version := _number(connection, "user_version")) != VERSION:
            raise DataError(
                f"{self.path}: is a state of version {version}, and this Tercel writes version "
                f"{VERSION}; use the Tercel that wrote it, or {ELSEWHERE}"
            )
        if self._is_checked:
            return  # opened anew while a session runs, whose orders wait
        [whole] = connection.execute("PRAGMA quick_check(1)").fetchone()
        if whole != "ok":
            raise DataError(f"{self.path}: the state is damaged: {whole}; {ELSEWHERE}")
        self._is_checked = True

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


def _number(connection: sqlite3.Connection, pragma: str) -> int:
    with closing(connection.execute(f"PRAGMA {pragma}")) as answer:
        [number] = answer.fetchone()
    return int(number)


def _is_empty(connection: sqlite3.Connection) -> bool:
    [tables] = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    return int(tables) == 0
