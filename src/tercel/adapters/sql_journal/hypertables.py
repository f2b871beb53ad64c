"""Where PostgreSQL has the TimescaleDB extension, the tables with a time are its hypertables: cut
into weeks, so that old ones can be compressed or dropped by the server's own policies.

A hypertable wants the time in every unique index: its primary key becomes (row, time_ms).
"""

from __future__ import annotations

from collections.abc import Iterator

import structlog
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from tercel.adapters.sql_journal.database import Database
from tercel.adapters.sql_journal.schema import KEY, PREFIX, tables
from tercel.domain.times import DAY_MS

EXTENSION = "timescaledb"
TIME = "time_ms"
CHUNK_MS = 7 * DAY_MS
SMALL = frozenset({f"{PREFIX}session", f"{PREFIX}session_end"})
"""A row or two for each session: not worth it."""

log = structlog.get_logger(__name__)


async def use_hypertables(database: Database, place: str) -> bool:
    """Make the tables hypertables where the extension is there; whether they are.

    Where it is not, or refuses, they stay plain tables, which work the same.
    """
    try:
        made = await database.run(_make)
    except DBAPIError as error:
        why = str(error.orig).partition("\n")[0]
        log.info("journal_in_plain_tables", journal=place, why=why)
        return False
    if not made:
        log.info("journal_in_plain_tables", journal=place, why="no TimescaleDB extension")
    return made


def _make(connection: Connection) -> bool:
    installed = text("SELECT 1 FROM pg_extension WHERE extname = :name")
    if not connection.scalar(installed, {"name": EXTENSION}):
        return False
    done = connection.scalars(
        text(
            "SELECT hypertable_name FROM timescaledb_information.hypertables "
            "WHERE hypertable_schema = current_schema()"
        )
    ).all()
    for name in hypertable_names():
        if name not in done:
            for statement in statements(name):
                connection.execute(text(statement))
    return True


def hypertable_names() -> list[str]:
    """The tables that are worth it."""
    return [
        table.name for table in tables.values() if TIME in table.columns and table.name not in SMALL
    ]


def statements(name: str) -> Iterator[str]:
    """What makes the table `name` a hypertable, whatever it holds."""
    yield f"ALTER TABLE {name} DROP CONSTRAINT {name}_pkey"
    yield f"ALTER TABLE {name} ADD CONSTRAINT {name}_pkey PRIMARY KEY ({KEY}, {TIME})"
    yield (
        f"SELECT create_hypertable('{name}', '{TIME}', chunk_time_interval => {CHUNK_MS}, "
        "create_default_indexes => false, migrate_data => true)"
    )
