"""One WebSocket connection as the venue sees it: what is subscribed, and frames on their way out.

Frames wait until they are due. Faults put off a frame, hold all of them back, drop them in silence
or close the connection; the mount only ever asks for what is due now.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable
from enum import StrEnum

from tercel.adapters.simulator.binance.settings import Limits
from tercel.adapters.simulator.binance.wire import Frame, FrameKind, Json, encode

CLOSE_ABNORMAL = 1006
CLOSE_POLICY = 1008
FRAMES_MAX = 100_000
"""Frames that wait for a client that does not read: then it is cut off."""


class StreamClass(StrEnum):
    """What a connection may carry."""

    PUBLIC = "public"
    MARKET = "market"
    PRIVATE = "private"
    UNROUTED = "unrouted"
    REQUESTS = "ws-fapi"


class StreamSession:
    """A connection. The mount sets `on_frame`, which is called when there is something to send."""

    def __init__(self, kind: StreamClass, limits: Limits, now_ms: int) -> None:
        self.kind = kind
        self.streams: dict[str, None] = {}
        self.listen_keys: dict[str, None] = {}
        self.event_filter: frozenset[str] | None = None
        """Names of user events that are wanted; None: all."""
        self.is_combined = False
        """Whether events are wrapped with their stream's name."""
        self.is_closed = False
        self.silent_until_ms = 0
        self.held_until_ms = 0
        self.answers_pings = True
        self.hears_pongs = True
        self.opened_ms = now_ms
        self.on_frame: Callable[[], None] = _nothing
        self.on_text: Callable[[StreamSession, str, int], None] = _ignore
        self._limits = limits
        self._waiting: list[tuple[int, int, Frame]] = []
        self._sent = 0
        self._inbound: deque[int] = deque()
        self._pinged_ms = self._pong_ms = now_ms

    def receive(self, text: str, now_ms: int) -> None:
        """A frame from the client. Too many in a second close the connection."""
        self._inbound.append(now_ms)
        while self._inbound and self._inbound[0] <= now_ms - 1_000:
            self._inbound.popleft()
        if len(self._inbound) > self._limits.messages_second_max:
            self.close(CLOSE_POLICY, now_ms)
            return
        self.on_text(self, text, now_ms)

    def receive_ping(self, text: str, now_ms: int) -> None:
        """The client asks whether we are there."""
        if self.answers_pings or now_ms >= self.silent_until_ms:
            self._put(Frame(FrameKind.PONG, text), now_ms)

    def receive_pong(self, now_ms: int) -> None:
        """The client is there."""
        if self.hears_pongs:
            self._pong_ms = now_ms

    def send(self, event: Json, now_ms: int, *, stream: str = "", delay_ms: int = 0) -> None:
        """Send an event of `stream`; `delay_ms` later than it would be."""
        if self.is_closed or now_ms < self.silent_until_ms:
            return
        wrapped = {"stream": stream, "data": event} if self.is_combined and stream else event
        frame = Frame(FrameKind.TEXT, encode(wrapped).decode())
        self._put(frame, max(now_ms, self.held_until_ms) + delay_ms)

    def close(self, code: int, now_ms: int) -> None:
        """End the connection, behind the frames that are due."""
        if not self.is_closed:
            self.is_closed = True
            self._put(Frame(FrameKind.CLOSE, close_code=code), now_ms)

    def advance(self, now_ms: int) -> None:
        """Ping every few minutes; drop who does not answer, and whoever is here for a day."""
        if self.is_closed:
            return
        if now_ms - self.opened_ms >= self._limits.connection_ms_max:
            self.close(1001, now_ms)
        elif now_ms - self._pong_ms >= self._limits.pong_within_ms:
            self.close(CLOSE_POLICY, now_ms)
        elif now_ms - self._pinged_ms >= self._limits.ping_every_ms:
            self._pinged_ms = now_ms
            self._put(Frame(FrameKind.PING, str(now_ms)), now_ms)

    def take(self, now_ms: int) -> list[Frame]:
        """Frames that are due, in order; nothing follows a close."""
        due = []
        while self._waiting and self._waiting[0][0] <= now_ms:
            frame = heapq.heappop(self._waiting)[2]
            due.append(frame)
            if frame.kind is FrameKind.CLOSE:
                self._waiting.clear()
        return due

    def next_due_ms(self) -> int | None:
        """When the next frame is due; None: there is none."""
        return self._waiting[0][0] if self._waiting else None

    def _put(self, frame: Frame, due_ms: int) -> None:
        if len(self._waiting) >= FRAMES_MAX:
            self._waiting.clear()
            self.is_closed = True
            frame = Frame(FrameKind.CLOSE, close_code=CLOSE_POLICY)
        self._sent += 1
        heapq.heappush(self._waiting, (due_ms, self._sent, frame))
        self.on_frame()


def _nothing() -> None:
    """No mount listens yet."""


def _ignore(session: StreamSession, text: str, now_ms: int) -> None:
    """Nothing is expected on this connection."""
