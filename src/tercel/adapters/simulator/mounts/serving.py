"""A venue on a socket from its beginning to its end: the data runs out, or somebody stops it."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tercel.adapters.simulator.market.ticks import BarTick, MarketTick
from tercel.adapters.simulator.mounts.pacing import PacedClock, play
from tercel.adapters.simulator.mounts.server import PUBLISH_EVERY_MS, VenueServer
from tercel.adapters.simulator.mounts.sockets import listening

if TYPE_CHECKING:
    from tercel.adapters.simulator.binance.assembly import Venue
    from tercel.app.ports import Clock

MINUTE_MS = 60_000
REAL_MS_BETWEEN = 10
"""The façade is told of time that passes no more often than this, in real milliseconds."""
REAL_MS_EARLY = 2
"""Ticks less than this ahead, in real milliseconds, are not waited for one by one."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where to listen, and how fast the venue's time runs."""

    host: str = "127.0.0.1"
    port: int = 0
    """0: a free one."""
    speed: float = 1.0


@dataclass(frozen=True, slots=True)
class Served:
    """A venue that listens."""

    address: str
    """`host:port`."""
    server: VenueServer
    clock: PacedClock
    market: asyncio.Task[None]
    """Done when the bars have run out."""


@asynccontextmanager
async def serving(
    venue: Venue,
    place: Place,
    clock: Clock,
    on_tick: Callable[[MarketTick], None] = lambda _: None,
) -> AsyncIterator[Served]:
    """The venue listens and its market plays while the context lasts.

    The venue's time begins at that of `clock` where its bars reach up to it, else with its bars.
    """
    now_ms = clock.now_ms()
    is_now = venue.start_ms <= now_ms < venue.start_ms + MINUTE_MS
    paced = PacedClock(clock, now_ms if is_now else venue.start_ms, place.speed)
    if place.speed != 1.0 or not is_now:
        venue.facade.other_clock = clock.now_ms
    every_ms = max(PUBLISH_EVERY_MS, round(REAL_MS_BETWEEN * place.speed))
    early_ms = round(REAL_MS_EARLY * max(place.speed - 1.0, 0.0))
    server = VenueServer(venue.facade, paced, publish_every_ms=every_ms)
    async with listening(server, place.host, place.port) as address:
        market = asyncio.ensure_future(play(venue.ticks(), venue.facade, paced, on_tick, early_ms))
        time = asyncio.ensure_future(server.tell_time())
        try:
            yield Served(address, server, paced, market)
        finally:
            market.cancel()
            time.cancel()
            await asyncio.gather(market, time, return_exceptions=True)


async def serve_until_stopped(
    venue: Venue,
    place: Place,
    clock: Clock,
    on_start: Callable[[Served], None],
    on_bar: Callable[[Served, BarTick], None],
) -> bool:
    """Serve until the bars run out (True) or a signal comes (False). Raises what the market
    raises."""
    served: list[Served] = []

    def on_tick(tick: MarketTick) -> None:
        if isinstance(tick, BarTick) and served:
            on_bar(served[0], tick)

    async with serving(venue, place, clock, on_tick) as found:
        served.append(found)
        loop = asyncio.get_running_loop()
        stop = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
        stopped = asyncio.ensure_future(stop.wait())
        try:
            on_start(found)
            await asyncio.wait((found.market, stopped), return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopped.cancel()
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(number)
        if found.market.done():
            found.market.result()
            return True
        return False
