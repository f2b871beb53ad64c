"""The simulated exchange as a process of its own, a minute of its market at each word.

Its time stands at a minute until it is told the next one on its standard input; then the whole
minute is played at once, and the final candle goes out. Whoever drives it keeps the same time
(`SteppedClock`): so hundreds of closed bars, each on a fresh minute, take seconds.

Run as a script: first line of its output is JSON with address, key, secret and start; then one
line for each minute.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from dataclasses import dataclass

from tercel.core.records import Records

MINUTE_MS = 60_000
DAY_MS = 86_400_000
BEGIN_DAY = 20_254
"""Days since 1970 at which the market begins; it is played from the next one on."""
DAYS = 4
SEED = 7


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


async def serve(symbols: list[str]) -> None:
    """Listen, and play a minute at each line of the standard input, until it ends."""
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
            print(now_ms, flush=True)
        time_task.cancel()
        await asyncio.gather(time_task, return_exceptions=True)


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1].split(",")))
