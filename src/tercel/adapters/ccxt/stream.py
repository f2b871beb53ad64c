"""One WebSocket of a venue through ccxt.pro, kept alive: raw frames out, its state told.

In order, for ever: ask where to connect (a user stream takes a fresh key for that), open ccxt's
client, subscribe, hand every frame on, ping, and watch the silence; when it ends, tell so, wait
ever longer, and begin again. Three things that ccxt leaves open are done here: frames are taken
before ccxt looks at them (its caches lose events and wake-ups), a connection that is silent or does
not answer a ping is given up, and the end of a connection is always noticed.
"""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import structlog

from tercel.adapters.ccxt.calls import CallFailedError, Json
from tercel.adapters.ccxt.link import Link
from tercel.app.ports import Clock
from tercel.domain.errors import VenueError

log = structlog.get_logger(__name__)

PING_SECONDS = 15.0
"""Between two pings of ours; one that is not answered until the next ends the connection."""
BACKOFF_SECONDS_MIN = 0.25
LASTING_SECONDS = 10.0
"""A connection that held so long counts as a good one: the next pause is short again."""
HASH = "tercel"
"""Under this name ccxt keeps the future that fails when the connection ends."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where a stream connects, and what it sends first."""

    url: str
    subscribe: dict[str, Any] | None = None
    """Frame that asks for channels; None: the address says it all."""


class StreamLostError(Exception):
    """The connection ended, or never came about. Its text is for people, once `Link.words` has seen
    it: a client's error repeats the address.
    """


class Stream:
    """A stream that is always there, or on its way back."""

    def __init__(
        self,
        name: str,
        link: Link,
        clock: Clock,
        target: Callable[[], Awaitable[Target]],
        *,
        backoff_seconds_max: float,
        silence_seconds_max: float | None = None,
    ) -> None:
        self.name = name
        self._link = link
        self._clock = clock
        self._target = target
        self._backoff_seconds_max = backoff_seconds_max
        self._silence_ms_max = None if silence_seconds_max is None else silence_seconds_max * 1000
        self.on_frame: Callable[[Json], None] = lambda _frame: None
        """Given every frame, decoded; must be quick and must not raise."""
        self.on_state: Callable[[bool, str], None] = lambda _is_up, _detail: None
        """Told when the stream comes up and when it goes down."""
        self._up = asyncio.Event()
        self._client: Any = None
        self._acknowledged: asyncio.Future[None] | None = None
        self._frame_ms = 0
        self._drop: asyncio.Future[None] | None = None

    @property
    def is_up(self) -> bool:
        """Whether frames come in."""
        return self._up.is_set()

    async def wait_up(self, seconds: float) -> bool:
        """Return once the stream is up, or after so long."""
        waiting = asyncio.ensure_future(self._up.wait())
        await asyncio.wait({waiting}, timeout=seconds)
        waiting.cancel()
        return self.is_up

    def owns(self, client: Any) -> bool:
        """Whether a frame of that ccxt client is this stream's."""
        return client is self._client

    def take(self, frame: Json) -> None:
        """A frame has come in."""
        self._frame_ms = self._clock.now_ms()
        if isinstance(frame, dict) and "e" not in frame and "id" in frame:
            self._on_reply(frame)
        else:
            self.on_frame(frame)

    def drop(self, why: str) -> None:
        """Give the connection up and open a new one."""
        if self._drop is not None and not self._drop.done():
            self._drop.set_exception(StreamLostError(why))

    async def run(self) -> None:
        """Keep the stream alive until cancelled."""
        pause_seconds = BACKOFF_SECONDS_MIN
        while True:
            begun_ms = self._clock.now_ms()
            try:
                try:
                    await self._live()
                finally:
                    await self._leave()
            except (StreamLostError, VenueError, CallFailedError) as error:
                detail = self._link.words(str(error))
            except Exception as error:
                # Whatever it was, the connection is lost, and a stream that nobody opens anew is
                # worse than one that fails again and again, and says so.
                detail = self._link.words(f"{type(error).__name__}: {error}")
                log.error(  # noqa: TRY400 (a traceback has the error's own words: `_where`)
                    "stream_failed", stream=self.name, reason=detail, where=_where(error)
                )
            if self._clock.now_ms() - begun_ms >= LASTING_SECONDS * 1000:
                pause_seconds = BACKOFF_SECONDS_MIN
            log.warning("stream_down", stream=self.name, reason=detail, wait_seconds=pause_seconds)
            if self.is_up:
                self._up.clear()
                self.on_state(False, detail)
            await self._clock.sleep(pause_seconds)
            pause_seconds = min(self._backoff_seconds_max, pause_seconds * 2)

    async def _live(self) -> None:
        """Connect and stay until the connection ends: always raises."""
        target = await self._target()
        exchange = self._link.exchange
        # Pauses are ours: ccxt's are measured on the machine's clock.
        exchange.ws_dial_backoff = {}
        loop = asyncio.get_running_loop()
        self._drop = loop.create_future()
        self._drop.add_done_callback(_seen)
        self._acknowledged = loop.create_future()
        ended = exchange.watch(target.url, HASH, target.subscribe, HASH)
        ended.add_done_callback(_seen)
        self._client = exchange.client(target.url)
        waiting = {ended, self._drop}
        connected = self._client.connected
        await asyncio.wait({*waiting, connected}, return_when=asyncio.FIRST_COMPLETED)
        _raise_end(waiting)
        if target.subscribe is not None:
            await asyncio.wait(
                {*waiting, self._acknowledged},
                return_when=asyncio.FIRST_COMPLETED,
                timeout=PING_SECONDS,
            )
            _raise_end(waiting)
            if not self._acknowledged.done():
                raise StreamLostError("the subscription was not answered")
            self._acknowledged.result()
        self._frame_ms = self._clock.now_ms()
        self._up.set()
        self.on_state(True, "")
        watch = loop.create_task(self._watch_silence())
        try:
            await asyncio.wait({*waiting, watch}, return_when=asyncio.FIRST_COMPLETED)
            _raise_end(waiting)
            watch.result()
        finally:
            watch.cancel()
        raise StreamLostError("the connection ended")

    async def _watch_silence(self) -> None:
        """Ping, and raise StreamLostError when the other side is gone without a word."""
        client = self._client
        while True:
            client.lastPong = None
            try:
                await client.connection.ping()
            except (ConnectionError, RuntimeError, AttributeError) as error:
                raise StreamLostError(f"cannot ping: {type(error).__name__}") from None
            await self._clock.sleep(PING_SECONDS)
            silent_ms = self._clock.now_ms() - self._frame_ms
            if client.lastPong is None and silent_ms >= PING_SECONDS * 1000:
                raise StreamLostError(f"no answer to a ping for {PING_SECONDS:g} s")
            if self._silence_ms_max is not None and silent_ms > self._silence_ms_max:
                raise StreamLostError(f"nothing was sent for {silent_ms / 1000:.0f} s")

    def _on_reply(self, frame: dict[str, Any]) -> None:
        """`{"result": null, "id": 1}`, or `{"error": {"code": 2, "msg": "..."}, "id": 1}`."""
        answered = self._acknowledged
        if answered is None or answered.done():
            return
        if frame.get("error"):
            self.drop(f"the subscription was refused: {frame['error']}")
        else:
            answered.set_result(None)

    async def _leave(self) -> None:
        """Close what is left of the connection, so that no late callback touches the next one."""
        client, self._client = self._client, None
        if self._drop is not None:
            self._drop.cancel()
        if client is None:
            return
        client.on_close_callback = _quiet
        client.on_error_callback = _quiet
        self._link.forget(client)
        await client.close()


def _quiet(*_said: object) -> None:
    """A client that was left has nothing more to tell."""


def _seen(future: asyncio.Future[Any]) -> None:
    """Two ends may come at once; the one that is not told is no news."""
    if not future.cancelled():
        future.exception()


def _where(error: Exception) -> str:
    """Where it was raised. Not the whole traceback: it has the error's own words, with addresses
    and keys in them.
    """
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{frame.filename}:{frame.lineno}"


def _raise_end(futures: set[asyncio.Future[Any]]) -> None:
    """Raise StreamLostError where one of `futures` has ended."""
    for future in futures:
        if not future.done():
            continue
        if future.cancelled():
            raise StreamLostError("the connection was closed")
        error = future.exception()
        if isinstance(error, StreamLostError):
            raise error
        if error is not None:
            raise StreamLostError(str(error)) from None
