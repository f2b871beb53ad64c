"""A session's state in an SQLite file. This package alone speaks SQLite's own language."""

from __future__ import annotations

from tercel.adapters.sqlite_state.store import SqliteStateStore

__all__ = ["SqliteStateStore"]
