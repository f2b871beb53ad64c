"""The closed bars of one symbol in their order, each once, and what is missing among them.

A bar comes from the stream when it closes. One that did not come (a lost connection, a final frame
that never arrived) is missing; whoever runs the feed fetches it over REST, and bars behind a gap
wait for that: until REST has told it or shows that the venue does not have it, but not for ever.
"""

from __future__ import annotations

from tercel.app.ports import FeedBar
from tercel.domain.times import MINUTE_MS

ABSENT_MS = 2_000
"""A bar waits so long for those before it that REST passes over; then the venue does not have them:
a maintenance, in which a backtest has no bars either."""
GAP_MS_MAX = 5 * MINUTE_MS
"""A bar waits so long for those before it of which REST tells nothing (held, slow, unreachable).
Then it goes on without them, since exits look at bars, too: theirs are given up."""
LATE_MS = 1_500
"""So long after its end a bar that the stream has not told is asked for over REST."""


class BarLine:
    """The line of one symbol."""

    def __init__(self, symbol: str, bar_ms: int, now_ms: int) -> None:
        self.symbol = symbol
        self._bar_ms = bar_ms
        self._next_ms = now_ms - now_ms % bar_ms
        """Open time of the bar that comes next: first the one that runs at the start."""
        self._held: dict[int, FeedBar] = {}
        self._rest_ms = -1
        """Open time of the latest bar that REST knows."""
        self.given_up = 0
        """Bars that the venue may have and that were never got."""

    @property
    def is_holding(self) -> bool:
        """Whether a bar waits for those before it."""
        return bool(self._held)

    def add(self, item: FeedBar) -> None:
        """A closed bar came in, from the stream or over REST; one that went on already is left.

        Raises ValueError where it opens between two bars: the line would never get back.
        """
        opened_ms = int(item.bar["open_time"][0])
        if opened_ms % self._bar_ms:
            raise ValueError(f"a bar of {self.symbol} opens at {opened_ms}, between two bars")
        if opened_ms < self._next_ms or opened_ms in self._held:
            return
        self._held[opened_ms] = item

    def note_rest(self, open_time_ms: int) -> None:
        """REST has told all that it has from the first missing bar up to the one that opened then:
        whatever did not come before that one is not there.
        """
        self._rest_ms = max(self._rest_ms, open_time_ms)

    @property
    def trouble(self) -> str:
        """What is missing for whoever acts on these bars; empty: nothing."""
        if self.given_up:
            return f"bars not got: {self.given_up}; indicators lack them until a new start"
        return "bars are missing and asked for over REST" if self._held else ""

    def take(self, now_ms: int) -> list[FeedBar]:
        """Bars that may go on now, oldest first."""
        ready: list[FeedBar] = []
        while self._held:
            if self._next_ms not in self._held:
                first = min(self._held)
                is_absent = first <= self._rest_ms
                waited_ms = now_ms - min(each.received_ms for each in self._held.values())
                if waited_ms < (ABSENT_MS if is_absent else GAP_MS_MAX):
                    break
                if not is_absent:
                    self.given_up += (first - self._next_ms) // self._bar_ms
                self._next_ms = first
            ready.append(self._held.pop(self._next_ms))
            self._next_ms += self._bar_ms
        return ready

    def missing(self, now_ms: int) -> tuple[int, int] | None:
        """`[start, end)` of bars that ought to be here and are not; None: nothing is missing."""
        if self._held:
            return self._next_ms, min(self._held)
        end_ms = (now_ms - LATE_MS) - (now_ms - LATE_MS) % self._bar_ms
        return (self._next_ms, end_ms) if end_ms > self._next_ms else None
