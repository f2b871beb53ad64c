"""The simulated exchange as a process of its own, whose market is played up to a moment at a word.

Its time goes on from a moment that it is told on its standard input; then the market up to it is
played at once. Whoever drives it keeps the same time (`SteppedClock`): so hundreds of closed bars,
each on a fresh minute, take seconds.

Run as a script: first line of its output is JSON with address, key, secret and start. The last one,
when its input has ended, says when it received each order: by client id, on the machine's monotonic
clock, ns.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tercel.core.records import Records

MINUTE_MS = 60_000
DAY_MS = 86_400_000
BEGIN_DAY = 20_254
"""Days since 1970 at which the market begins; it is played from the next one on."""
DAYS = 4
SEED = 7
ORDER_LINE = b"POST /fapi/v1/order"
HEAD_BYTES = 1_000
"""Of a request: the client id is among them."""


class SteppedClock:
    """The Clock port: a moment that is set, and the real time since then."""

    def __init__(self, now_ms: int) -> None:
        self.set(now_ms, time.monotonic_ns())

    def set(self, now_ms: int, at_ns: int) -> None:
        """It was `now_ms` when the machine's monotonic clock, which all processes share, stood at
        `at_ns`.
        """
        self._now_ms, self._at_ns = now_ms, at_ns

    def now_ms(self) -> int:
        """Milliseconds UTC of the stepped time."""
        return self._now_ms + (time.monotonic_ns() - self._at_ns) // 1_000_000

    async def sleep(self, seconds: float) -> None:
        """Real time."""
        await asyncio.sleep(seconds)  # noqa: TID251 (this is a clock)


@dataclass(frozen=True, slots=True)
class Stepped:
    """What the process says of itself."""

    address: str
    """`host:port`."""
    key: str
    secret: str
    start_ms: int


def markets(symbols: list[str]) -> tuple[int, dict[str, Records]]:
    """The first minute that is played, and the bars of each symbol."""
    from tercel.adapters.synthetic import generate
    from tercel.app.synthesise import market_named

    begin_ms = BEGIN_DAY * DAY_MS
    start_ms = begin_ms + DAY_MS
    made = {
        symbol: generate(market_named(symbol, seed=SEED, start_ms=begin_ms, days=DAYS, edge=0.0))
        for symbol in symbols
    }
    return start_ms, made


def client_id_of(data: bytes) -> str | None:
    """The client id of an order in the bytes of its request; None: they are no order's."""
    head = bytes(data[:HEAD_BYTES])
    if not head.startswith(ORDER_LINE):
        return None
    _, found, rest = head.decode("latin-1").partition("newClientOrderId=")
    return rest.split("&")[0].split(" ")[0] if found else None


@contextmanager
def watched_orders() -> Iterator[dict[str, int]]:
    """When the bytes of each order came out of this process's sockets, by client id, meanwhile."""
    from aiohttp.web_protocol import RequestHandler

    received: dict[str, int] = {}
    read = RequestHandler.data_received

    def data_received(self: RequestHandler, data: bytes) -> None:
        at_ns = time.monotonic_ns()
        client_id = client_id_of(data)
        if client_id is not None:
            received.setdefault(client_id, at_ns)
        read(self, data)

    RequestHandler.data_received = data_received  # type: ignore[method-assign]
    try:
        yield received
    finally:
        RequestHandler.data_received = read  # type: ignore[method-assign]


async def serve(symbols: list[str]) -> None:
    """Listen, and play the market up to the moment in each line of the standard input."""
    from tercel.adapters.simulator.binance.assembly import VenueOrder, build_venue
    from tercel.adapters.simulator.mounts.server import VenueServer
    from tercel.adapters.simulator.mounts.sockets import listening
    from tercel.bootstrap import load_settings

    start_ms, bars = markets(symbols)
    venue = build_venue(load_settings(), VenueOrder(bars, start_ms, SEED, speed=1e6))
    clock = SteppedClock(start_ms)
    server = VenueServer(venue.facade, clock)
    ticks = venue.ticks()
    waiting = next(ticks)
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(lines), sys.stdin
    )
    with watched_orders() as received:
        async with listening(server, "127.0.0.1", 0) as address:
            keys = venue.settings.credentials
            told = {
                "address": address, "key": keys.key, "secret": keys.secret, "start_ms": start_ms
            }  # fmt: skip
            print(json.dumps(told), flush=True)
            time_task = asyncio.ensure_future(server.tell_time())
            while line := await lines.readline():
                now_ms, at_ns = map(int, line.split())
                clock.set(now_ms, at_ns)
                while waiting.time_ms <= now_ms:
                    venue.facade.on_tick(waiting, clock.now_ms())
                    waiting = next(ticks)
            time_task.cancel()
            await asyncio.gather(time_task, return_exceptions=True)
    print(json.dumps(received), flush=True)


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1].split(",")))
