"""What does not work, and since when."""

from __future__ import annotations

from tercel.app.live.outages import Outages
from tercel.domain.events import FeedNews, JournalNews, VenueRead
from tercel.domain.orders import VenueSnapshot

NOTHING_OPEN = VenueSnapshot(0, 0.0, 0.0, (), (), ())


def told(*events: FeedNews | JournalNews | VenueRead) -> list[tuple[str, int, str]]:
    outages = Outages()
    for event in events:
        outages.see(event)
    return [(each.what, each.since_ms, each.trouble) for each in outages.now()]


def test_an_outage_is_dated_by_its_first_sign_and_told_in_its_latest_words() -> None:
    first, second = VenueRead(10, None, "timeout"), VenueRead(20, None, "refused")
    assert told(first, second) == [("reading", 10, "refused")]
    assert told(first, second, VenueRead(30, NOTHING_OPEN)) == []


def test_a_venue_that_nothing_reaches_is_told_once() -> None:
    """Streams break a moment before the first request fails: it is gone since then."""
    gone = (
        FeedNews(5, "user", is_up=False, detail="closed"),
        FeedNews(6, "market", is_up=False, detail="closed"),
        FeedNews(9, "rest", is_up=False, detail="no route"),
        VenueRead(12, None, "read: no route"),
    )
    assert told(*gone) == [("venue", 5, "no route")]
    back = (*gone, FeedNews(20, "rest", is_up=True), FeedNews(21, "user", is_up=True))
    assert told(*back) == [("reading", 12, "read: no route"), ("market", 6, "closed")]


def test_a_venue_that_was_read_is_reached() -> None:
    gone = FeedNews(9, "rest", is_up=False, detail="no route")
    assert told(gone, VenueRead(10, NOTHING_OPEN)) == []


def test_the_journal_and_other_news() -> None:
    down = JournalNews(7, is_up=False, detail="disk full")
    queue = FeedNews(8, "queue", is_up=False, detail="900 events wait")
    assert told(down, queue) == [("journal", 7, "disk full")]
    assert told(down, queue, JournalNews(9, is_up=True)) == []
