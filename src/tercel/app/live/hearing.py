"""Whether the stream of our orders can be relied on: a socket that is open may bring nothing more.

Its key was deleted by another program, say: pings are answered and no event comes, which looks as
if nothing happened. Nobody can tell the two apart from the stream alone, so that the venue is read
over REST:

- while it is told to be down, each time the last reading is `session.answer_ms_max` old;
- while it tells nothing and something could happen: each `session.quiet_read_ms` while an entry of
  ours may fill, whose position would have no stop, and SAFE_FACTOR times as seldom while only exits
  may. With several symbols more seldom: a reading is four calls, and one for the fills of each
  symbol with a position or an order;
- a fill that a reading brought and that the stream has not told `session.answer_ms_max` after it
  happened shows that it is deaf: it counts as down until it tells something again.

Fills of before it came up are no sign: nobody tells them again.
"""

from __future__ import annotations

from collections.abc import Sequence

from tercel.app.live.alerts import AlertCode
from tercel.app.live.parts import SessionParts
from tercel.core.codes import Slot
from tercel.domain.commands import Level
from tercel.domain.events import BarsClosed, Filled, FundingPaid, OrderUpdate
from tercel.domain.orders import VenueFill

TOLD = (OrderUpdate, Filled, FundingPaid)
"""Events that the stream of our orders brings."""
SAFE_FACTOR = 3
"""How many times as seldom the venue is read where what is held is protected."""
CALLS_OF_ALL = 4
"""Calls of a reading that are for all symbols."""


class Hearing:
    """Listens whether the user stream says anything, and says when the venue is to be read."""

    def __init__(self, parts: SessionParts) -> None:
        self._parts = parts
        self.is_down = parts.rules.reads_venue
        """Whether it is told to be down, or deaf; until it says that it is up."""
        self._is_deaf = False
        self._up_ms = self._heard_ms = 0
        self._idle_ms = 0
        """The last bar before which nothing of ours was open."""
        self.untold: dict[str, int] = {}
        """Fills that a reading brought and the stream has not told: `symbol:trade id`, and when."""

    def come(self, *, is_up: bool) -> None:
        """It is told that the stream went down or came back."""
        self.is_down, self._is_deaf = not is_up, False
        self.untold.clear()
        if is_up:
            self._up_ms = self._heard_ms = self._parts.now

    def hear(self, event: object) -> None:
        """An event is taken up."""
        if isinstance(event, BarsClosed) and self._parts.rules.reads_venue and not self._busy():
            self._idle_ms = self._parts.now
        if not isinstance(event, TOLD):
            return
        self._heard_ms = self._parts.now
        if self.untold and isinstance(event, Filled):
            self.untold.pop(event.fill.key, None)
        if self._is_deaf:
            self.come(is_up=True)
            self._tell(Level.INFO, AlertCode.FEED_UP, "tells something again")
            self._parts.read_venue(again=True)

    def compare(self, fills: Sequence[VenueFill]) -> None:
        """The fills of a reading, before they are booked."""
        if self.is_down:
            return
        for fill in fills:
            if fill.time_ms > self._up_ms and fill.key not in self._parts.seen:
                self.untold[fill.key] = fill.time_ms

    def look(self) -> None:
        """Time has passed."""
        late_ms = self._parts.rules.session.answer_ms_max
        for key, time_ms in self.untold.items():
            if self._parts.now - time_ms > late_ms:
                self.is_down = self._is_deaf = True
                why = f"has not told the fill {key} of {self._parts.now - time_ms} ms ago"
                self._tell(Level.WARNING, AlertCode.FEED_DOWN, f"{why}; the venue is read instead")
                self.untold.clear()
                return

    def wants_reading(self) -> bool:
        """Whether the last reading is too old for what the stream can be relied on."""
        parts = self._parts
        if self.is_down:
            return parts.now - parts.venue_read_ms > parts.rules.session.answer_ms_max
        return 0 < self.due_ms() <= parts.now

    def due_ms(self) -> int:
        """When the venue is to be read if the stream goes on telling nothing; 0: nothing of ours is
        open, or it is down.
        """
        parts = self._parts
        if self.is_down or not parts.rules.reads_venue:
            return 0
        busy = self._busy()
        if not busy:
            return 0
        calls = CALLS_OF_ALL + len(busy)
        pace_ms = parts.rules.session.quiet_read_ms * calls // (CALLS_OF_ALL + 1)
        if not any(order.request.slot is Slot.ENTRY for order in parts.orders.live()):
            pace_ms *= SAFE_FACTOR
        return max(self._heard_ms, self._idle_ms, parts.venue_read_ms) + pace_ms

    def _busy(self) -> set[str]:
        """Symbols with a position, or an order of ours at work."""
        parts = self._parts
        busy = {order.request.symbol for order in parts.orders.live()}
        busy.update(parts.symbol_of(k) for k in parts.desk.busy())
        return busy

    def _tell(self, level: Level, code: AlertCode, what: str) -> None:
        parts = self._parts
        parts.recorder.feed(parts.now, "user", what, is_up=not self.is_down)
        parts.alert(level, code, f"user stream {what}")
