"""What a running session touches: given to its runner by whoever composes it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from tercel.app.live.bar_collector import BarCollector
from tercel.app.live.context_keeper import ContextKeeper
from tercel.app.live.health import FeedHealth
from tercel.app.live.venue_clock import VenueClock
from tercel.app.ports import FeedBar, FeedQuote, Journal, MarketFeed, StateLease, StateStore, Venue
from tercel.domain.events import BarsClosed


class Note(Protocol):
    """A file that says something by being there."""

    def is_there(self) -> bool:
        """Whether it lies there."""
        ...

    def take(self) -> bool:
        """Remove it; whether it was there."""
        ...


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a running session touches."""

    venue: Venue
    feed: MarketFeed
    state: StateStore
    journal: Journal
    clock: VenueClock
    health: FeedHealth
    collector: BarCollector
    history: Callable[[], Awaitable[list[BarsClosed]]]
    """Bars before the first live one, as late ones, oldest first."""
    closing: Callable[[], Awaitable[None]] | None = None
    """Called when all is over."""
    context: ContextKeeper | None = None
    """Fetches what is known beside the bars; None: nobody does."""
    taps: tuple[Callable[[FeedBar | FeedQuote], None], ...] = ()
    """Told of every item of the feed: a simulated exchange fills from them."""
    kill_file: Note | None = None
    """The KILL file."""
    lease: StateLease | None = None
    """The right to keep the state where it is kept; it was claimed."""
