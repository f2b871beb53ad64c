"""The address of a journal, and errors of its database as one clear line without the password."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError

from tercel.domain.addresses import without_password
from tercel.domain.errors import ConfigError, DataError, StorageError

DRIVERS = {
    "sqlite": "sqlite",
    "sqlite+aiosqlite": "sqlite",
    "postgresql": "postgresql+asyncpg",
    "postgres": "postgresql+asyncpg",
    "postgresql+asyncpg": "postgresql+asyncpg",
}
"""What an address may begin with, and the driver that is used for it."""
ELSEWHERE = "name another one with --set journal.url=..."


def journal_url(text: str | Path) -> URL:
    """The address, or the path of a file, with the driver that we use. Raises ConfigError."""
    if isinstance(text, Path):
        return URL.create("sqlite", database=str(text))
    place = without_password(text)
    expected = "expected postgresql+asyncpg://USER@HOST/DB or sqlite:///PATH"
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise ConfigError(f"journal.url: {expected}, got {place!r}") from None
    if url.drivername not in DRIVERS:
        raise ConfigError(f"journal.url: {expected}, got {place!r}")
    url = url.set(drivername=DRIVERS[url.drivername])
    if is_file(url) and (not url.database or url.database == ":memory:"):
        raise ConfigError(f"journal.url: expected a file after sqlite:///, got {place!r}")
    return url


def is_file(url: URL) -> bool:
    """Whether the journal is a file of SQLite."""
    return url.get_backend_name() == "sqlite"


def file_of(url: URL) -> Path:
    """The file of an SQLite journal."""
    return Path(url.database or "").expanduser()


def place_of(url: URL) -> str:
    """How the journal is called in errors and logs."""
    return str(file_of(url)) if is_file(url) else without_password(url.render_as_string())


@contextmanager
def explained(place: str, what: str) -> Iterator[None]:
    """Errors of the database as ours: `what` (read, written ...) could not be done at `place`.

    Raises StorageError; DataError where a file turns out to be damaged or none of SQLite's.
    """
    try:
        yield
    except (SQLAlchemyError, sqlite3.Error, OSError, OverflowError) as error:
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
