"""Connections without sockets: an aiohttp client and an aiohttp server joined in one process.

Every byte goes through the real protocols of both sides; only the wire between them is ours: what
one side writes reaches the other after a latency, in order, as one piece for each write. On a
VirtualLoop that makes an unmodified client and the venue's server one deterministic program.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import aiohttp
from aiohttp.client_proto import ResponseHandler

if TYPE_CHECKING:
    from aiohttp import ClientRequest
    from aiohttp.client import ClientTimeout
    from aiohttp.tracing import Trace

Address = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Latency:
    """One-way delays in seconds."""

    up: float = 0.0
    """From client to venue."""
    down: float = 0.0
    """From venue to client."""


AT_ONCE = Latency()


class MemoryTransport(asyncio.Transport):
    """One end of a connection. `peer` is the other end, `protocol` whoever reads here."""

    def __init__(self, loop: asyncio.AbstractEventLoop, protocol: Any, delay: float) -> None:
        super().__init__({"peername": ("127.0.0.1", 1), "sockname": ("127.0.0.1", 2)})
        self._loop = loop
        self._protocol = protocol
        self._delay = delay
        self._closing = False
        self._lost = False
        self._paused = False
        self._held: list[bytes | None] = []
        self.peer: MemoryTransport | None = None

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        """Send; the other end reads it after the delay."""
        if not self._closing and data:
            self._send(bytes(data))

    def can_write_eof(self) -> bool:
        """Connections are closed, not half-closed."""
        return False

    def is_closing(self) -> bool:
        """Whether this end was closed."""
        return self._closing

    def get_protocol(self) -> asyncio.BaseProtocol:
        """Whoever reads here."""
        found: asyncio.BaseProtocol = self._protocol
        return found

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Another protocol reads from now on."""
        self._protocol = protocol

    def pause_reading(self) -> None:
        """Keep what arrives until reading is resumed."""
        self._paused = True

    def resume_reading(self) -> None:
        """Hand over what was kept."""
        self._paused = False
        while self._held and not self._paused:
            self._arrive(self._held.pop(0))

    def is_reading(self) -> bool:
        """Whether what arrives is handed over."""
        return not self._paused

    def get_write_buffer_size(self) -> int:
        """The wire takes everything at once."""
        return 0

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """The wire has no limits."""

    def close(self) -> None:
        """Close: the other end learns of it behind what was written."""
        if not self._closing:
            self._closing = True
            self._send(None)
            self._loop.call_soon(self._lose, None)

    def abort(self) -> None:
        """Reset the connection: both ends lose it."""
        self.close()

    def reset(self) -> None:
        """Break the connection as a reset does: the other end gets an error, not an end."""
        if not self._closing:
            self._closing = True
            if self.peer is not None:
                self.peer.break_off(ConnectionResetError("connection reset by peer"))
            self._loop.call_soon(self._lose, None)

    def break_off(self, error: Exception) -> None:
        """The other end has reset the connection."""
        self._closing = True
        self._loop.call_soon(self._lose, error)

    def _send(self, data: bytes | None) -> None:
        if self.peer is not None:
            self._loop.call_later(self._delay, self.peer.receive, data)

    def receive(self, data: bytes | None) -> None:
        """What the other end sent has arrived; None: it closed."""
        if self._held or self._paused:
            self._held.append(data)
        else:
            self._arrive(data)

    def _arrive(self, data: bytes | None) -> None:
        if self._lost:
            return
        if data is not None:
            self._protocol.data_received(data)
        elif not self._closing:
            self._closing = True
            self._protocol.eof_received()
            self._lose(None)

    def _lose(self, error: Exception | None) -> None:
        if not self._lost:
            self._lost = True
            self._protocol.connection_lost(error)


class MemoryConnector(aiohttp.BaseConnector):
    """The connector of an aiohttp client whose every connection leads to servers in this process.

    `servers` maps (host, port) to a factory of server protocols, such as an `aiohttp.web.Server`.
    An address that is not there refuses the connection, so that no request can leave the process.
    """

    def __init__(
        self,
        servers: dict[Address, Callable[[], asyncio.Protocol]],
        latency: Latency = AT_ONCE,
        refuses: Callable[[], bool] = lambda: False,
    ) -> None:
        super().__init__(force_close=True)
        self._servers = servers
        self._latency = latency
        self._refuses = refuses
        self._tasks_loop = asyncio.get_running_loop()

    async def _create_connection(
        self,
        req: ClientRequest,
        traces: list[Trace],  # noqa: ARG002 (the signature is aiohttp's)
        timeout: ClientTimeout,  # noqa: ARG002, ASYNC109
    ) -> ResponseHandler:
        address = (str(req.url.host), int(req.url.port or 0))
        factory = self._servers.get(address)
        if factory is None or self._refuses():
            refused = ConnectionRefusedError(111, f"nothing listens at {address[0]}:{address[1]}")
            raise aiohttp.ClientConnectorError(req.connection_key, refused)
        loop = self._tasks_loop
        client, server = ResponseHandler(loop=loop), factory()
        near = MemoryTransport(loop, client, self._latency.up)
        far = MemoryTransport(loop, server, self._latency.down)
        near.peer, far.peer = far, near
        server.connection_made(far)
        client.connection_made(near)
        return client
