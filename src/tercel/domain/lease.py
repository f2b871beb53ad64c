"""Who has the right to keep a session's state somewhere."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LeaseHolder:
    """A running session, as another one may know it again."""

    session: str
    """Its id."""
    host: str
    """Name of its machine, for people."""
    machine: str
    """What is the same for processes that see each other, and for no other ones; empty: unknown."""
    pid: int
    folder: str
    """Its folder, for people."""
    folder_id: str
    """What is the same for that folder alone, however it is reached."""
