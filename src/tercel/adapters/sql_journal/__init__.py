"""A session's journal in a database: SQLite by default, PostgreSQL by its address.

This package alone knows SQLAlchemy and Alembic. Importing it takes a moment: do it when a journal
is opened.
"""

from __future__ import annotations

from tercel.adapters.sql_journal.journal import SqlJournal

__all__ = ["SqlJournal"]
