"""The tables: migrations end up with what the rows need, on both databases; versions are checked;
hypertables where there is TimescaleDB.
"""

from __future__ import annotations

import ast
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from tests.contract.servers import run_sql
from tests.journal_rows import rows, step

import tercel.adapters.sql_journal as package
from tercel.adapters.sql_journal import SqlJournal
from tercel.adapters.sql_journal.addresses import journal_url
from tercel.adapters.sql_journal.database import Database, open_database
from tercel.adapters.sql_journal.hypertables import hypertable_names
from tercel.adapters.sql_journal.schema import PREFIX, VERSION_TABLE, metadata
from tercel.adapters.sql_journal.upgrade import LATEST, MIGRATIONS
from tercel.domain.errors import DataError, StorageError
from tercel.domain.journal import TABLES


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty place of each kind."""
    if request.param == "sqlite":
        return f"sqlite+aiosqlite:///{tmp_path}/journal.sqlite"
    made: str = request.getfixturevalue("postgres_database")
    return made


class Behind:
    """The database behind the journal."""

    def __init__(self, url: str) -> None:
        self.database: Database = open_database(journal_url(url))

    async def execute(self, *statements: str) -> None:
        """Carry them out, all or none."""
        await self.database.run(lambda c: [c.execute(text(each)) for each in statements] and None)

    async def first(self, statement: str) -> Any:
        """The first value that it finds."""
        return await self.database.run(lambda c: c.scalar(text(statement)))


@pytest.fixture
async def behind(url: str) -> AsyncIterator[Behind]:
    """The database behind the journal at `url`."""
    made = Behind(url)
    yield made
    await made.database.close()


async def write(url: str, number: int = 1) -> None:
    """Add a step to the journal, which is opened for it alone."""
    journal = SqlJournal(url)
    try:
        await journal.write(step(number))
    finally:
        await journal.close()


def differences(connection: Connection) -> list[Any]:
    context = MigrationContext.configure(
        connection,
        opts={
            "compare_type": True,
            "include_name": lambda name, kind, _: kind != "table" or name != VERSION_TABLE,
        },
    )
    return list(compare_metadata(context, metadata))


async def test_migrations_end_up_with_the_tables_of_the_rows(url: str, behind: Behind) -> None:
    """Did a row of domain/journal.py change? Then a new migration has to follow it."""
    await write(url)
    assert await behind.database.run(differences) == []
    await behind.execute("ALTER TABLE journal_order ADD COLUMN extra BIGINT")
    assert await behind.database.run(differences) != []
    assert set(metadata.tables) == {PREFIX + name for name in TABLES}


def test_the_latest_migration_is_the_last_one() -> None:
    config = Config()
    config.set_main_option("script_location", MIGRATIONS)
    assert ScriptDirectory.from_config(config).get_heads() == [LATEST]


async def test_a_journal_of_a_later_tercel_is_refused(url: str, behind: Behind) -> None:
    await write(url)
    await behind.execute("UPDATE journal_version SET version_num = '9999'")
    with pytest.raises(DataError, match="version 9999, and this Tercel writes") as caught:
        await write(url, 2)
    assert "\n" not in str(caught.value)
    assert await behind.first("SELECT count(*) FROM journal_order") == 1


async def test_tables_of_others_are_left_alone(url: str, behind: Behind) -> None:
    await behind.execute(
        'CREATE TABLE "order" (x BIGINT)', "CREATE TABLE alembic_version (version_num TEXT)"
    )
    await write(url)
    assert await behind.first('SELECT count(*) FROM "order"') == 0
    assert await behind.first("SELECT count(*) FROM alembic_version") == 0


async def test_a_migration_that_fails_leaves_nothing_behind(url: str, behind: Behind) -> None:
    """The last table is there already: none of the others is made, nor the version."""
    await behind.execute("CREATE TABLE journal_alert (x BIGINT)")
    for _ in range(2):
        with pytest.raises(StorageError, match=r"journal_alert.* already exists"):
            await write(url)
    await behind.execute("DROP TABLE journal_alert")
    await write(url)


def test_nothing_is_ever_changed_or_taken_out() -> None:
    """The journal's own code has neither an update nor a delete."""
    folder = Path(package.__file__).parent
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute):
                assert node.attr not in {"update", "delete", "drop_table", "drop_all"}, path
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                statement = node.value.upper().lstrip()
                assert not statement.startswith(("UPDATE ", "DELETE ", "DROP TABLE", "TRUNCATE"))


TIMESCALE = """
CREATE SCHEMA timescaledb_information;
CREATE TABLE timescaledb_information.hypertables (
  hypertable_schema name, hypertable_name name, chunk bigint
);
CREATE FUNCTION create_hypertable(
  relation regclass, time_column_name name, chunk_time_interval bigint,
  create_default_indexes boolean, migrate_data boolean
) RETURNS void LANGUAGE sql AS $$
  INSERT INTO timescaledb_information.hypertables
  VALUES (current_schema(), relation::text, chunk_time_interval)
$$;
"""
"""As much of the extension as the journal calls."""


@pytest.fixture
def timescale(postgres_database: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A database that looks as if it had the extension."""
    run_sql(postgres_database, TIMESCALE)
    monkeypatch.setattr("tercel.adapters.sql_journal.hypertables.EXTENSION", "plpgsql")
    return postgres_database


async def test_hypertables_where_the_extension_is(timescale: str) -> None:
    with structlog.testing.capture_logs() as told:
        await write(timescale)
        await write(timescale, 2)  # they are made once
    assert told == []
    behind = Behind(timescale)
    made = await behind.database.run(
        lambda connection: connection.execute(
            text("SELECT hypertable_name, chunk FROM timescaledb_information.hypertables")
        ).all()
    )
    assert sorted(made) == [(name, 604_800_000) for name in sorted(hypertable_names())]
    key = "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = 'journal_order_pkey'"
    assert await behind.first(key) == 'PRIMARY KEY ("row", time_ms)'
    assert await behind.database.run(differences) == []
    await behind.database.close()
    journal = SqlJournal(timescale)
    await journal.write(rows(3))
    assert len(await journal.read("order")) == 3
    await journal.close()


async def test_an_extension_that_refuses_leaves_plain_tables(timescale: str) -> None:
    run_sql(timescale, "DROP FUNCTION create_hypertable")
    with structlog.testing.capture_logs() as told:
        await write(timescale)
    assert [each["event"] for each in told] == ["journal_in_plain_tables"]
    behind = Behind(timescale)
    assert await behind.first("SELECT count(*) FROM journal_order") == 1
    assert await behind.database.run(differences) == []
    await behind.database.close()


async def test_plain_tables_without_the_extension(postgres_database: str) -> None:
    """Told once by each journal that is written, however much, and never by one that is read."""
    with structlog.testing.capture_logs() as told:
        journal = SqlJournal(postgres_database)
        for number in range(3):
            await journal.write(rows(number))
            await journal.read("order")
        await journal.close()
    assert [each["event"] for each in told] == ["journal_in_plain_tables"]
    with structlog.testing.capture_logs() as told:
        reader = SqlJournal(postgres_database, create=False)
        assert len(await reader.read("order")) == 3
        await reader.close()
    assert told == []


async def test_reading_makes_no_hypertables(timescale: str) -> None:
    run_sql(timescale, "ALTER FUNCTION create_hypertable RENAME TO hidden")
    await write(timescale)
    run_sql(timescale, "ALTER FUNCTION hidden RENAME TO create_hypertable")
    reader = SqlJournal(timescale, create=False)
    assert len(await reader.read("order")) == 1
    await reader.close()
    behind = Behind(timescale)
    assert await behind.first("SELECT count(*) FROM timescaledb_information.hypertables") == 0
    await behind.database.close()


def test_small_tables_and_those_without_a_time_stay_plain() -> None:
    plain = {PREFIX + name for name in TABLES} - set(hypertable_names())
    assert plain == {f"{PREFIX}{name}" for name in ("session", "session_end", "trade")}
