"""From the address of a journal to a connected database, and from its errors to one clear line.

SQLite runs with a write-ahead log that is synced at each commit (`synchronous=FULL`): what was
written survives a kill and a power cut, and readers never wait for the writer. PostgreSQL is asked
for `synchronous_commit=on`, whatever its own default.
"""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from tercel.app.dependencies import install_hint
from tercel.domain.addresses import without_password
from tercel.domain.errors import ConfigError, DataError, StorageError, UserError

DRIVERS = {
    "sqlite": "sqlite+aiosqlite",
    "sqlite+aiosqlite": "sqlite+aiosqlite",
    "postgresql": "postgresql+asyncpg",
    "postgres": "postgresql+asyncpg",
    "postgresql+asyncpg": "postgresql+asyncpg",
}
"""What an address may begin with, and the driver that it means."""
CONNECT_SECONDS_MAX = 5.0
ANSWER_SECONDS_MAX = 30.0
"""Longest time that PostgreSQL may take for a statement."""
BUSY_MS_MAX = 5_000
"""How long another process may hold the lock of an SQLite file, ms."""
CONNECTIONS_MAX = 4
BEGIN = "tercel_begin"
"""Execution option: how a transaction on SQLite begins, where not as usual."""
ELSEWHERE = "name another one with --set journal.url=..."


def journal_url(text: str) -> URL:
    """The address with the driver that we use. Raises ConfigError."""
    place = without_password(text)
    expected = "expected postgresql+asyncpg://USER@HOST/DB or sqlite+aiosqlite:///PATH"
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise ConfigError(f"journal.url: {expected}, got {place!r}") from None
    if url.drivername not in DRIVERS:
        raise ConfigError(f"journal.url: {expected}, got {place!r}")
    url = url.set(drivername=DRIVERS[url.drivername])
    if is_file(url) and (not url.database or url.database == ":memory:"):
        raise ConfigError(f"journal.url: expected a file after sqlite+aiosqlite:///, got {place!r}")
    return url


def is_file(url: URL) -> bool:
    """Whether the journal is a file of SQLite."""
    return url.drivername == DRIVERS["sqlite"]


def file_of(url: URL) -> Path:
    """The file of an SQLite journal."""
    return Path(url.database or "").expanduser()


def place_of(url: URL) -> str:
    """How the journal is called in errors and logs."""
    return str(file_of(url)) if is_file(url) else without_password(url.render_as_string())


def make_engine(url: URL) -> AsyncEngine:
    """An engine that has not connected yet. Raises UserError where the driver is not installed."""
    if is_file(url):
        engine = create_async_engine(
            url.set(database=str(file_of(url))), pool_size=CONNECTIONS_MAX, max_overflow=0
        )
        event.listen(engine.sync_engine, "connect", _prepare_file)
        event.listen(engine.sync_engine, "begin", _begin)
        return engine
    try:
        return create_async_engine(
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


def _prepare_file(connection: Any, _record: object) -> None:
    """Each new connection to an SQLite file. Transactions are begun by us, not by the driver."""
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in (
        f"busy_timeout = {BUSY_MS_MAX}",
        "journal_mode = WAL",
        "synchronous = FULL",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql(connection.get_execution_options().get(BEGIN, "BEGIN"))


@asynccontextmanager
async def explained(place: str, what: str) -> AsyncIterator[None]:
    """Errors of the database as ours: `what` (read, written ...) could not be done at `place`.

    Raises StorageError; DataError where a file turns out to be damaged or none of SQLite's.
    """
    try:
        yield
    except (SQLAlchemyError, OSError, OverflowError) as error:
        cause = error.orig if isinstance(error, DBAPIError) and error.orig else error
        # The first line alone: what follows is the statement with its values.
        why = without_password(str(cause)).partition("\n")[0].strip() or type(cause).__name__
        why = why.rpartition("'>: ")[2]
        if _is_damage(cause):
            raise DataError(f"{place}: the journal is damaged: {why}; {ELSEWHERE}") from error
        raise StorageError(
            f"{place}: the journal cannot be {what}: {why}; put that right, or {ELSEWHERE}"
        ) from error


def _is_damage(cause: BaseException) -> bool:
    """An SQLite file that is none; a disk that refuses is an OperationalError."""
    return isinstance(cause, sqlite3.DatabaseError) and type(cause) is sqlite3.DatabaseError
