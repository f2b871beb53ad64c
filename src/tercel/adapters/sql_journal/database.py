"""A database behind one interface: rows are added in one call, and a function that is `run` gets a
connection inside a transaction; what it returns comes back to the event loop.

SQLite runs in threads of its own with Python's driver: a whole transaction is one trip to a thread,
and not one for every call as with aiosqlite. What is added goes through a connection that stays
open: orders wait for it, and a pool and a statement of SQLAlchemy cost as much as the rows. Its
write-ahead log is synced at each commit (`synchronous=FULL`): what was written survives a kill and
a power cut, and readers never wait for the writer. PostgreSQL runs on asyncpg and is asked for
`synchronous_commit=on`, whatever its own default.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol, TypeVar

from sqlalchemy import URL, Connection, Dialect, create_engine, event
from sqlalchemy.ext.asyncio import create_async_engine

from tercel.adapters.sql_journal.addresses import file_of, is_file, place_of
from tercel.app.dependencies import install_hint
from tercel.domain.errors import UserError

_Got = TypeVar("_Got")
Insert = tuple[str, Sequence[tuple[Any, ...]]]
"""An INSERT as the database's driver takes it, and the values of each of its rows."""

CONNECTIONS_MAX = 4
CONNECT_SECONDS_MAX = 5.0
ANSWER_SECONDS_MAX = 30.0
"""Longest time that PostgreSQL may take for a statement."""
BUSY_MS_MAX = 5_000
"""How long another process may hold the lock of an SQLite file, ms."""
AT_ONCE = "tercel_at_once"
"""Execution option: the transaction takes the write lock of an SQLite file when it begins."""


class Database(Protocol):
    """Where the tables are."""

    @property
    def dialect(self) -> Dialect:
        """How its SQL is written."""
        ...

    async def add(self, inserts: Sequence[Insert]) -> None:
        """Rows, in one transaction that is durable then; an error leaves none of them."""
        ...

    async def run(self, work: Callable[[Connection], _Got], *, at_once: bool = False) -> _Got:
        """What `work` returns, inside one transaction that is durable then; an error undoes it.

        With `at_once` nobody else can have begun to write.
        """
        ...

    async def close(self) -> None:
        """Close the connections."""
        ...


def open_database(url: URL) -> Database:
    """The database at an address, not connected yet. Raises UserError without its driver."""
    return FileDatabase(file_of(url)) if is_file(url) else ServerDatabase(url)


class FileDatabase:
    """A file of SQLite."""

    def __init__(self, path: Path) -> None:
        self._engine = create_engine(
            URL.create("sqlite", database=str(path)),
            pool_size=CONNECTIONS_MAX,
            max_overflow=0,
            connect_args={"check_same_thread": False},
        )
        event.listen(self._engine, "connect", _prepare)
        event.listen(self._engine, "begin", _begin)
        self._path = path
        self._threads = ThreadPoolExecutor(CONNECTIONS_MAX, thread_name_prefix="tercel-journal")
        self._writing = ThreadPoolExecutor(1, thread_name_prefix="tercel-journal-rows")
        self._writer: sqlite3.Connection | None = None
        """The writing thread's own."""

    @property
    def dialect(self) -> Dialect:
        """SQLite's."""
        return self._engine.dialect

    async def add(self, inserts: Sequence[Insert]) -> None:
        """Rows, in one transaction."""
        await asyncio.get_running_loop().run_in_executor(self._writing, self._add, inserts)

    def _add(self, inserts: Sequence[Insert]) -> None:
        writer, self._writer = self._writer or self._new_writer(), None
        try:
            writer.execute("BEGIN IMMEDIATE")
            for text, values in inserts:
                writer.executemany(text, values)
            writer.execute("COMMIT")
        except BaseException:
            writer.close()  # which takes back what was begun; the next rows get a new one
            raise
        self._writer = writer

    def _new_writer(self) -> sqlite3.Connection:
        writer = sqlite3.connect(self._path, check_same_thread=False)
        try:
            _prepare(writer, None)
        except BaseException:
            writer.close()
            raise
        return writer

    async def run(self, work: Callable[[Connection], _Got], *, at_once: bool = False) -> _Got:
        """What `work` returns, inside one transaction."""

        def transaction() -> _Got:
            with self._engine.connect() as connection:
                connection.execution_options(**{AT_ONCE: at_once})
                with connection.begin():
                    return work(connection)

        return await asyncio.get_running_loop().run_in_executor(self._threads, transaction)

    async def close(self) -> None:
        """Wait for what is being written, and close the file."""
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        self._writing.shutdown()
        self._threads.shutdown()
        self._engine.dispose()
        if self._writer is not None:
            self._writer.close()


def _prepare(connection: sqlite3.Connection, _record: object) -> None:
    """Each new connection. Transactions are begun by us, not by the driver."""
    connection.isolation_level = None
    for pragma in (f"busy_timeout = {BUSY_MS_MAX}", "journal_mode = WAL", "synchronous = FULL"):
        connection.execute(f"PRAGMA {pragma}")


def _begin(connection: Connection) -> None:
    at_once = connection.get_execution_options().get(AT_ONCE)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if at_once else "BEGIN")


class ServerDatabase:
    """PostgreSQL. Raises UserError where asyncpg is not installed."""

    def __init__(self, url: URL) -> None:
        try:
            self._engine = create_async_engine(
                url,
                pool_size=CONNECTIONS_MAX,
                max_overflow=0,
                connect_args={
                    "timeout": CONNECT_SECONDS_MAX,
                    "command_timeout": ANSWER_SECONDS_MAX,
                    "server_settings": {"application_name": "tercel", "synchronous_commit": "on"},
                },
            )
        except ImportError:
            raise UserError(
                f"{place_of(url)}: the journal on PostgreSQL needs the package asyncpg; "
                f"{install_hint('asyncpg')}"
            ) from None

    @property
    def dialect(self) -> Dialect:
        """asyncpg's."""
        return self._engine.dialect

    async def add(self, inserts: Sequence[Insert]) -> None:
        """Rows, in one transaction."""

        def added(connection: Connection) -> None:
            for text, values in inserts:
                connection.exec_driver_sql(text, list(values))

        await self.run(added)

    async def run(self, work: Callable[[Connection], _Got], *, at_once: bool = False) -> _Got:  # noqa: ARG002
        """What `work` returns, inside one transaction; the server knows no `at_once`."""
        async with self._engine.begin() as connection:
            return await connection.run_sync(work)

    async def close(self) -> None:
        """Close the connections."""
        await self._engine.dispose()
