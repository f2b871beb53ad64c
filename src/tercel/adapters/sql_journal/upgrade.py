"""Bring the tables of a journal up to date when it is opened; Alembic carries the changes out.

Alembic is only imported where there is something to change.
"""

from __future__ import annotations

from sqlalchemy import Connection, Text, column, inspect, select, table, text

from tercel.adapters.sql_journal.addresses import ELSEWHERE
from tercel.adapters.sql_journal.database import Database
from tercel.adapters.sql_journal.schema import VERSION_TABLE
from tercel.domain.errors import DataError

LATEST = "0001"
"""The last migration in `migrations/versions`."""
MIGRATIONS = "tercel.adapters.sql_journal:migrations"
ONE_AT_A_TIME = 0x7E9CE151
"""The number of the lock under which PostgreSQL lets one process change the tables."""


async def version_of(database: Database) -> str | None:
    """Which migration the tables are at; None: there are none."""
    return await database.run(_version)


async def bring_up_to_date(database: Database, place: str) -> None:
    """Make the tables, or change those of an earlier Tercel, whole or not at all.

    Raises DataError for a journal of a later Tercel.
    """
    await database.run(lambda connection: _upgrade(connection, place), at_once=True)


def _version(connection: Connection) -> str | None:
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    version = column("version_num", Text)
    found: str | None = connection.scalar(select(version).select_from(table(VERSION_TABLE)))
    return found


def _upgrade(connection: Connection, place: str) -> None:
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": ONE_AT_A_TIME})
    version = _version(connection)
    if version == LATEST:  # another process was faster
        return
    config = Config()
    config.set_main_option("script_location", MIGRATIONS)
    known = {each.revision for each in ScriptDirectory.from_config(config).walk_revisions()}
    if version is not None and version not in known:
        raise DataError(
            f"{place}: is a journal of version {version}, and this Tercel writes version {LATEST}; "
            f"use the Tercel that wrote it, or {ELSEWHERE}"
        )
    config.attributes["connection"] = connection
    command.upgrade(config, LATEST)
