"""Alembic runs this with the connection of `upgrade.py`, inside its transaction."""

from __future__ import annotations

from alembic import context

from tercel.adapters.sql_journal.schema import VERSION_TABLE, metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
)
context.run_migrations()
