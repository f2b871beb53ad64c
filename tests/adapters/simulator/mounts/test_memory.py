"""Client and server of aiohttp in one process, without a socket."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import aiohttp
import pytest
from aiohttp import web

from tercel.adapters.simulator.mounts.memory import Latency, MemoryConnector, MemoryTransport
from tercel.adapters.simulator.mounts.virtual_loop import LoopClock, run_virtually

HOST = "http://127.0.0.1:9101"
Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
Use = Callable[[aiohttp.ClientSession, LoopClock], Awaitable[object]]


def joined(handle: Handler, use: Use, latency: Latency, *, refuses: bool = False) -> object:
    """What `use` returns with a client that reaches a server of `handle`."""

    async def work(clock: LoopClock) -> object:
        server = web.Server(handle)
        connector = MemoryConnector({("127.0.0.1", 9101): server}, latency, lambda: refuses)
        async with aiohttp.ClientSession(connector=connector) as session:
            found = await use(session, clock)
        await server.shutdown()
        return found

    return run_virtually(work, epoch_ms=0)


async def echo(request: web.BaseRequest) -> web.StreamResponse:
    """The body, or each frame."""
    if request.headers.get("Upgrade") != "websocket":
        return web.Response(body=await request.read())
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    async for message in socket:
        await socket.send_str(message.data)
    return socket


def test_a_request_takes_its_latency_both_ways() -> None:
    async def use(session: aiohttp.ClientSession, clock: LoopClock) -> tuple[bytes, int]:
        async with session.post(HOST, data=b"x" * 100_000) as reply:
            return await reply.read(), clock.now_ms()

    assert joined(echo, use, Latency(0.010, 0.030)) == (b"x" * 100_000, 40)


def test_frames_keep_their_order() -> None:
    async def use(session: aiohttp.ClientSession, clock: LoopClock) -> list[str]:
        async with session.ws_connect(HOST, compress=15) as socket:
            for number in range(300):
                await socket.send_str(str(number))
            return [(await socket.receive()).data for _ in range(300)]

    assert joined(echo, use, Latency(0.001, 0.001)) == [str(number) for number in range(300)]


def test_no_request_leaves_the_process() -> None:
    async def use(session: aiohttp.ClientSession, clock: LoopClock) -> None:
        for address in ("http://127.0.0.1:9102", "http://fapi.binance.com"):
            with pytest.raises(aiohttp.ClientConnectorError):
                await session.get(address)

    joined(echo, use, Latency())


def test_a_refused_connection() -> None:
    async def use(session: aiohttp.ClientSession, clock: LoopClock) -> None:
        with pytest.raises(aiohttp.ClientConnectorError):
            await session.get(HOST)

    joined(echo, use, Latency(), refuses=True)


def test_a_reset_is_an_error_for_the_client() -> None:
    async def reset(request: web.BaseRequest) -> web.StreamResponse:
        assert isinstance(request.transport, MemoryTransport)
        request.transport.reset()
        return web.Response()

    async def use(session: aiohttp.ClientSession, clock: LoopClock) -> None:
        with pytest.raises((aiohttp.ClientOSError, ConnectionResetError)):
            await session.get(HOST)

    joined(reset, use, Latency(0.001, 0.001))


def test_what_arrives_while_reading_is_paused_comes_later() -> None:
    class Reader(asyncio.Protocol):
        def __init__(self) -> None:
            self.read: list[bytes] = []

        def data_received(self, data: bytes) -> None:
            self.read.append(data)

    async def work(clock: LoopClock) -> list[bytes]:
        loop, reader = asyncio.get_running_loop(), Reader()
        near = MemoryTransport(loop, reader, 0.0)
        far = MemoryTransport(loop, asyncio.Protocol(), 0.0)
        near.peer, far.peer = far, near
        near.pause_reading()
        far.write(b"a")
        far.write(b"b")
        await clock.sleep(1)
        assert reader.read == []
        near.resume_reading()
        far.write(b"c")
        await clock.sleep(1)
        return reader.read

    assert run_virtually(work) == [b"a", b"b", b"c"]
