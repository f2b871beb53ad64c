"""Where a journal is: addresses, private files, databases that fail, passwords that stay secret."""

from __future__ import annotations

import sqlite3
import stat
import sys
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection
from tests.contract.servers import run_sql
from tests.journal_rows import step

from tercel.adapters.sql_journal import SqlJournal
from tercel.adapters.sql_journal import database as database_module
from tercel.adapters.sql_journal.values import values_of
from tercel.domain.errors import ConfigError, DataError, StorageError, UserError
from tercel.domain.journal import TABLES

SECRET = "hunter2"  # noqa: S105
Open = Callable[..., SqlJournal]


@pytest.fixture
async def opened() -> AsyncIterator[Open]:
    """Opens a journal that is closed in the end."""
    made: list[SqlJournal] = []

    def open_journal(url: str | Path) -> SqlJournal:
        made.append(SqlJournal(url))
        return made[-1]

    yield open_journal
    for journal in made:
        await journal.close()


def first(statement: str, connection: Connection) -> Any:
    return connection.exec_driver_sql(statement).scalar()


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


async def test_nobody_else_may_read_the_file(tmp_path: Path, opened: Open) -> None:
    path = tmp_path / "a" / "b? 100%" / "journal.sqlite"
    await opened(path).write(step(1))
    found = {each.name: mode(each) for each in path.parent.iterdir()}
    assert found == {f"journal.sqlite{end}": 0o600 for end in ("", "-wal", "-shm")}
    assert mode(path.parent) == 0o700


async def test_what_was_written_is_synced(tmp_path: Path, opened: Open) -> None:
    """FULL, in a write-ahead log: the commit itself survives a power cut."""
    journal = opened(tmp_path / "journal.sqlite")
    await journal.write(step(1))
    database: Any = journal._database
    writer = database._writer
    for pragma, value in (("synchronous", 2), ("journal_mode", "wal")):
        assert await database.run(partial(first, f"PRAGMA {pragma}")) == value
        assert writer.execute(f"PRAGMA {pragma}").fetchone() == (value,)


async def test_rows_that_fail_leave_none_and_the_next_are_written(
    tmp_path: Path, opened: Open
) -> None:
    """The second statement fails: what the first one added is taken back, and the file is free."""
    journal = opened(tmp_path / "journal.sqlite")
    await journal.write(step(1))
    database: Any = journal._database
    row = step(2)[0]
    [table] = [name for name, kind in TABLES.items() if isinstance(row, kind)]
    before = await journal.read(table)
    whole = (journal._inserts[type(row)], values_of([row]))
    with pytest.raises(sqlite3.OperationalError):
        await database.add([whole, ("INSERT INTO nowhere VALUES (1)", [()])])
    assert await journal.read(table) == before
    await journal.write([row])
    assert await journal.read(table) == (*before, row)


async def test_a_writer_that_could_not_be_prepared_is_made_anew(
    tmp_path: Path, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half prepared it would not sync its commits, and nobody would know."""
    journal = opened(tmp_path / "journal.sqlite")
    assert await journal.read("input") == ()
    prepare = database_module._prepare
    tries: list[int] = []

    def failing(connection: sqlite3.Connection, record: object) -> None:
        tries.append(1)
        if len(tries) == 1:
            raise sqlite3.OperationalError("database is locked")
        prepare(connection, record)

    monkeypatch.setattr(database_module, "_prepare", failing)
    with pytest.raises(StorageError, match="database is locked"):
        await journal.write(step(1))
    await journal.write(step(1))
    database: Any = journal._database
    assert database._writer.execute("PRAGMA synchronous").fetchone() == (2,)


async def test_postgres_is_asked_for_durable_commits(postgres_database: str, opened: Open) -> None:
    name = postgres_database.partition("?")[0].rpartition("/")[2]
    run_sql(postgres_database, f"ALTER DATABASE {name} SET synchronous_commit = off")
    journal = opened(postgres_database)
    await journal.write(step(1))
    database = journal._database
    assert database is not None
    assert await database.run(partial(first, "SHOW synchronous_commit")) == "on"


@pytest.mark.parametrize("scheme", ["sqlite", "sqlite+aiosqlite"])
async def test_a_file_by_its_address(tmp_path: Path, opened: Open, scheme: str) -> None:
    await opened(f"{scheme}:///{tmp_path}/mine.db").write(step(1))
    assert (tmp_path / "mine.db").exists()


async def test_a_file_below_the_home_folder(
    tmp_path: Path, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    await opened("sqlite:///~/mine.db").write(step(1))
    assert (tmp_path / "mine.db").exists()


@pytest.mark.parametrize(
    "url",
    [
        "journal.sqlite",
        "",
        f"mysql://me:{SECRET}@host/db",
        f"postgresql+psycopg2://me:{SECRET}@host/db",
        "redis://127.0.0.1:6379/0",
        "sqlite://",
        "sqlite:///:memory:",
        f"postgresql://me:{SECRET}@host:port/db",
    ],
)
def test_an_address_of_another_kind(url: str) -> None:
    with pytest.raises(ConfigError, match=r"journal\.url: expected ") as caught:
        SqlJournal(url)
    assert SECRET not in str(caught.value)


async def test_a_server_that_cannot_be_reached_is_named_without_its_password(
    postgres_url: str, opened: Open
) -> None:
    server = postgres_url.partition("?")
    absent = f"{server[0].removesuffix('postgres')}no_such_database{''.join(server[1:])}"
    for url, words in (
        (
            f"postgresql://me:{SECRET}@127.0.0.1:1/db",
            "postgresql.asyncpg://me:.hidden.@127.0.0.1:1",
        ),
        (f"postgresql://me:{SECRET}@127.0.0.1:1/db?ssl=disable", "Connect call failed"),
        (absent, 'database "no_such_database" does not exist'),
    ):
        journal = opened(url)
        assert SECRET not in journal.place
        for attempt in (journal.read("order"), journal.write(step(1))):
            with pytest.raises(StorageError, match=words) as caught:
                await attempt
            assert SECRET not in str(caught.value)
            assert "\n" not in str(caught.value)


async def test_a_server_that_comes_back_is_written_to_again(
    postgres_database: str, opened: Open
) -> None:
    journal = opened(postgres_database)
    await journal.write(step(1))
    run_sql(
        postgres_database,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()",
    )
    with pytest.raises(StorageError) as caught:
        await journal.write(step(2))
    assert "\n" not in str(caught.value)
    await journal.write(step(2))
    assert list(await journal.read("order")) == [step(1)[2], step(2)[2]]


async def test_a_file_that_is_no_database(tmp_path: Path, opened: Open) -> None:
    path = tmp_path / "journal.sqlite"
    path.write_text("not a database\n" * 1000)
    with pytest.raises(DataError, match=r"journal.sqlite: the journal is damaged: file is not"):
        await opened(path).write(step(1))
    assert path.read_text() == "not a database\n" * 1000


async def test_a_file_that_another_program_keeps_locked(
    tmp_path: Path, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tercel.adapters.sql_journal.database.BUSY_MS_MAX", 10)
    path = tmp_path / "journal.sqlite"
    journal = opened(path)
    await journal.write(step(1))
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StorageError, match="cannot be written: database is locked"):
        await journal.write(step(2))
    assert len(await journal.read("order")) == 1
    other.execute("ROLLBACK")
    other.close()
    await journal.write(step(2))
    assert len(await journal.read("order")) == 2


async def test_a_folder_that_cannot_be_made(tmp_path: Path, opened: Open) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="cannot be made: File exists"):
        await opened(tmp_path / "file" / "journal.sqlite").write(step(1))


async def test_without_the_driver_it_says_how_to_get_it(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "asyncpg", None)
    with pytest.raises(UserError, match="needs the package asyncpg; install it: `make live`"):
        await opened("postgresql://me@127.0.0.1:1/db").read("order")
