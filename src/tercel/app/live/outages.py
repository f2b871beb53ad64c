"""What does not work outside the session, and since when: the venue, its streams, the journal."""

from __future__ import annotations

from tercel.app.live.status_records import OutageStatus
from tercel.domain.commands import Command, WriteJournal
from tercel.domain.events import Event, FeedNews, JournalNews, VenueRead
from tercel.domain.journal import FeedRow

READING = "reading"
ORDER = ("venue", READING, "user", "market", "journal")
"""The worst first."""
STREAMS = {"rest": "venue", "user": "user", "market": "market"}
"""Name of a stream in the news, and what is down with it."""


class Outages:
    """Follows events; each outage is dated by its first sign."""

    def __init__(self) -> None:
        self._down: dict[str, OutageStatus] = {}

    def see(self, what: Command | Event) -> None:
        """An event that was handled; everything else is none of its business."""
        if isinstance(what, VenueRead):
            self._note(READING, what.time_ms, what.trouble, is_up=what.snapshot is not None)
            if what.snapshot is not None:
                self._down.pop("venue", None)
        elif isinstance(what, FeedNews) and what.stream in STREAMS:
            self._note(STREAMS[what.stream], what.time_ms, what.detail, is_up=what.is_up)
        elif isinstance(what, WriteJournal):
            # A stream that tells nothing any more is found out by the session alone.
            for row in what.rows:
                if isinstance(row, FeedRow) and row.stream == "user":
                    self._note("user", row.time_ms, row.detail, is_up=row.is_up)
        elif isinstance(what, JournalNews):
            self._note("journal", what.time_ms, what.detail, is_up=what.is_up)

    def now(self) -> tuple[OutageStatus, ...]:
        """What does not work. A venue that nothing reaches is told once, not once for each way."""
        down = dict(self._down)
        venue = down.get("venue")
        if venue is not None:
            ways = [down.pop(each) for each in (READING, "user", "market") if each in down]
            since_ms = min(each.since_ms for each in (venue, *ways))
            down["venue"] = OutageStatus("venue", since_ms, venue.trouble)
        return tuple(down[each] for each in ORDER if each in down)

    def _note(self, what: str, time_ms: int, trouble: str, *, is_up: bool) -> None:
        if is_up:
            self._down.pop(what, None)
            return
        since_ms = self._down[what].since_ms if what in self._down else time_ms
        self._down[what] = OutageStatus(what, since_ms, trouble)
