"""The façade on a socket of this machine, for any client of the venue that speaks without TLS."""

from __future__ import annotations

import errno
import ipaddress
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from tercel.domain.errors import TercelError, UserError

if TYPE_CHECKING:
    from tercel.adapters.simulator.mounts.server import VenueServer

PORT_MAX = 65_535


class PortTakenError(TercelError):
    """Another program listens there."""


def check_host(host: str, *, may_be_public: bool) -> str:
    """`host`, if a simulated exchange may listen there. Raises UserError.

    Its keys open nothing of worth, but whoever reaches it trades on the simulated account; so it
    stays on this machine unless the user says otherwise.
    """
    name = "127.0.0.1" if host == "localhost" else host
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        raise UserError(f"host {host!r} is no IP address; use 127.0.0.1") from None
    if not address.is_loopback and not may_be_public:
        raise UserError(
            f"{host} can be reached from other machines; use 127.0.0.1, or allow it with "
            "--allow-remote"
        )
    return name


@asynccontextmanager
async def listening(server: VenueServer, host: str, port: int) -> AsyncIterator[str]:
    """Listen while the context lasts; gives `host:port` (port 0: a free one). Raises
    PortTakenError.
    """
    from aiohttp import web

    runner = web.ServerRunner(web.Server(server.handle, access_log=None), shutdown_timeout=0.5)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError as error:
            if error.errno not in (errno.EADDRINUSE, errno.EACCES, errno.EADDRNOTAVAIL):
                raise
            raise PortTakenError(
                f"cannot listen on {host}:{port}: {error.strerror}; choose another --port"
            ) from None
        address = runner.addresses[0]
        yield f"{host}:{address[1]}"
    finally:
        await runner.cleanup()
