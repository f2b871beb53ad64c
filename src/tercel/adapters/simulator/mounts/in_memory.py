"""The venue in this process: a client's connector leads straight to the façade's server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aiohttp import web

from tercel.adapters.simulator.market.ticks import MarketTick
from tercel.adapters.simulator.mounts.memory import (
    AT_ONCE,
    Address,
    Latency,
    MemoryConnector,
)
from tercel.adapters.simulator.mounts.pacing import play
from tercel.adapters.simulator.mounts.server import VenueServer

if TYPE_CHECKING:
    from tercel.adapters.simulator.binance.facade import BinanceFacade
    from tercel.app.ports import Clock

ADDRESS: Address = ("127.0.0.1", 9101)
"""What a client calls the venue; nothing listens there."""


@dataclass(frozen=True, slots=True)
class MemoryMount:
    """A venue that is reached in memory, and the market playing on it."""

    server: VenueServer
    market: asyncio.Task[None]
    """Done when there are no more ticks."""
    acceptor: web.Server
    latency: Latency
    refuses: Callable[[], bool]
    """Whether a new connection is refused."""

    def connector(self) -> MemoryConnector:
        """For one client's session; it reaches the venue and nothing else."""
        return MemoryConnector({ADDRESS: self.acceptor}, self.latency, self.refuses)


@asynccontextmanager
async def in_memory(
    facade: BinanceFacade,
    ticks: Iterable[MarketTick],
    clock: Clock,
    latency: Latency = AT_ONCE,
) -> AsyncIterator[MemoryMount]:
    """The venue, for as long as the context lasts. An error of the market is raised at its end."""
    server = VenueServer(facade, clock, refuses_connections=False)
    acceptor = web.Server(server.handle, access_log=None)
    market = asyncio.ensure_future(play(ticks, facade, clock))
    time = asyncio.ensure_future(server.tell_time())
    try:
        yield MemoryMount(
            server, market, acceptor, latency, lambda: facade.refuses_connections(clock.now_ms())
        )
    finally:
        for task in (market, time):
            task.cancel()
        ended = await asyncio.gather(market, time, return_exceptions=True)
        await acceptor.shutdown()
    for error in ended:
        if isinstance(error, Exception):
            raise error
