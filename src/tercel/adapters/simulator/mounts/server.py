"""The façade behind an aiohttp server: HTTP requests, WebSocket frames, and broken transports.

The same handler serves sockets of this machine and connections in memory.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from aiohttp import WSMsgType, web

from tercel.adapters.simulator.binance.wire import (
    Breakage,
    Frame,
    FrameKind,
    RefusalError,
    Reply,
    encode,
)

if TYPE_CHECKING:
    from tercel.adapters.simulator.binance.facade import BinanceFacade
    from tercel.adapters.simulator.binance.sessions import StreamSession
    from tercel.app.ports import Clock

CLOSE_ABNORMAL = 1006
MESSAGE_BYTES_MAX = 1_000_000
PUBLISH_EVERY_MS = 100
"""How often the façade is told that time has passed, where nobody says otherwise."""


class VenueServer:
    """Carries bytes between clients and a façade, on the venue's clock."""

    def __init__(
        self,
        facade: BinanceFacade,
        clock: Clock,
        *,
        refuses_connections: bool = True,
        publish_every_ms: int = PUBLISH_EVERY_MS,
    ) -> None:
        self._facade = facade
        self._clock = clock
        self._refuses_connections = refuses_connections
        """Whether a refused connection is cut here; else whoever connects asks."""
        self._publish_every_ms = publish_every_ms
        self.requests = 0
        """Requests answered so far."""
        self.frames_sent = 0

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """One request, or the handshake of a stream."""
        refuses = self._refuses_connections
        if refuses and self._facade.refuses_connections(self._clock.now_ms()):
            return _cut(request)
        if request.headers.get("Upgrade", "").lower() == "websocket":
            return await self._stream(request)
        body = await request.read()
        self.requests += 1
        reply = self._facade.handle_request(
            request.method, request.path, _query_of(request), request.headers, body,
            self._clock.now_ms(),
        )  # fmt: skip
        return await self._answer(request, reply)

    async def tell_time(self) -> None:
        """Let the façade know of time that passes, for ever."""
        while True:
            self._facade.advance(self._clock.now_ms())
            await self._clock.sleep(self._publish_every_ms / 1_000)

    def _now_ms(self) -> int:
        """The venue's time: the market may be a moment ahead of the clock."""
        return max(self._clock.now_ms(), self._facade.state.now_ms)

    async def _answer(self, request: web.BaseRequest, reply: Reply) -> web.StreamResponse:
        """Send a reply, as late and as broken as it is to be."""
        if reply.delay_ms and reply.breakage is not Breakage.SLOW:
            await self._clock.sleep(reply.delay_ms / 1_000)
        if reply.breakage is Breakage.RESET:
            return _cut(request)
        headers = dict(reply.headers)
        if reply.breakage is Breakage.NONE:
            return web.Response(status=reply.status, headers=headers, body=reply.body)
        response = web.StreamResponse(status=reply.status, headers=headers)
        response.content_length = len(reply.body)
        await response.prepare(request)
        if reply.breakage is Breakage.TRUNCATED:
            await response.write(reply.body[: reply.body_bytes_sent])
            return _cut(request, response)
        half = len(reply.body) // 2
        await response.write(reply.body[:half])
        await self._clock.sleep(reply.delay_ms / 1_000)
        await response.write(reply.body[half:])
        return response

    async def _stream(self, request: web.BaseRequest) -> web.StreamResponse:
        """A WebSocket, until either side ends it."""
        now_ms = self._clock.now_ms()
        try:
            session = self._facade.connect(request.path, _query_of(request), now_ms)
        except RefusalError as error:
            headers = {"Content-Type": "application/json", **dict(error.headers)}
            return web.Response(status=error.status, headers=headers, body=encode(error.body()))
        socket = web.WebSocketResponse(
            autoping=False, autoclose=False, max_msg_size=MESSAGE_BYTES_MAX
        )
        await socket.prepare(request)
        news = asyncio.Event()
        session.on_frame = news.set
        news.set()
        writer = asyncio.ensure_future(self._write(request, socket, session, news))
        try:
            await self._read(socket, session)
        finally:
            self._facade.disconnect(session)
            writer.cancel()
            await asyncio.gather(writer, return_exceptions=True)
        return socket

    async def _read(self, socket: web.WebSocketResponse, session: StreamSession) -> None:
        while True:
            message = await socket.receive()
            now_ms = self._clock.now_ms()
            if message.type is WSMsgType.TEXT:
                session.receive(message.data, now_ms)
            elif message.type is WSMsgType.PING:
                session.receive_ping(message.data.decode("utf-8", "replace"), now_ms)
            elif message.type is WSMsgType.PONG:
                session.receive_pong(now_ms)
            else:
                if message.type is WSMsgType.CLOSE:
                    await socket.close()
                return

    async def _write(
        self,
        request: web.BaseRequest,
        socket: web.WebSocketResponse,
        session: StreamSession,
        news: asyncio.Event,
    ) -> None:
        """Send frames as they fall due; between them, sleep until the next or until there is
        news.
        """
        while True:
            news.clear()
            for frame in session.take(self._now_ms()):
                try:
                    await self._send(request, socket, frame)
                except ConnectionError:  # the client is gone; the reader learns of it, too
                    return
            due_ms = session.next_due_ms()
            if due_ms is None:
                await news.wait()
            elif not news.is_set():
                await self._until(due_ms, news)

    async def _until(self, due_ms: int, news: asyncio.Event) -> None:
        """Return at `due_ms`, or earlier when there is news."""
        seconds = max(due_ms - self._now_ms(), 0) / 1_000
        waiting = [
            asyncio.ensure_future(news.wait()),
            asyncio.ensure_future(self._clock.sleep(seconds)),
        ]
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)

    async def _send(
        self, request: web.BaseRequest, socket: web.WebSocketResponse, frame: Frame
    ) -> None:
        self.frames_sent += 1
        if frame.kind is FrameKind.TEXT:
            await socket.send_str(frame.text)
        elif frame.kind is FrameKind.PING:
            await socket.ping(frame.text.encode())
        elif frame.kind is FrameKind.PONG:
            await socket.pong(frame.text.encode())
        elif frame.close_code == CLOSE_ABNORMAL:
            _reset(request)
        else:
            await socket.close(code=frame.close_code)


def _query_of(request: web.BaseRequest) -> str:
    """The query as its client wrote and signed it: `%5B` stays `%5B`."""
    return request.raw_path.partition("#")[0].partition("?")[2]


def _cut(
    request: web.BaseRequest, response: web.StreamResponse | None = None
) -> web.StreamResponse:
    """Reset the connection; what is returned does not reach the client."""
    _reset(request)
    return response if response is not None else web.Response(status=500)


def _reset(request: web.BaseRequest) -> None:
    transport = request.transport
    if transport is not None:
        reset: Callable[[], None] = getattr(transport, "reset", transport.abort)
        reset()
