"""How many market messages a second a session takes up: a server in another process sends quotes of
forty symbols as fast as its socket lets it; the ccxt adapter, feed health and the bar collector
take every one.

Run as a script it is that server: the first line of its output is its port.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench.live_wire import FOLDER

if TYPE_CHECKING:
    from aiohttp import web

SYMBOLS = tuple(f"S{number:02d}USDT" for number in range(40))
LAST = "ENDUSDT"
"""The symbol of the last quote: all others were taken up."""
FRAMES = 400_000
ROUNDS_AT_ONCE = 25
BUFFER_BYTES_MAX = 1 << 20
SHORT_FRAME_BYTES_MAX = 125
TEXT_FRAME = 0x81
BAR_EVERY = 1_000
"""Quotes between two closed bars of every symbol."""


@dataclass(frozen=True, slots=True)
class Taken:
    """How a stream of quotes was taken up."""

    us_a_message: float
    """Wall time, while the server sent without a pause."""
    backlog_max: int
    """Items that waited at once in the feed."""
    quotes: int
    """Handed on: newer ones replace those that wait."""


def _frame(told: dict[str, Any]) -> bytes:
    """A text frame of a server."""
    data = json.dumps(told).encode()
    if len(data) > SHORT_FRAME_BYTES_MAX:
        return bytes([TEXT_FRAME, 126]) + len(data).to_bytes(2, "big") + data
    return bytes([TEXT_FRAME, len(data)]) + data


def _quote(symbol: str, number: int, now_ms: int) -> dict[str, Any]:
    return {
        "e": "bookTicker", "u": number, "s": symbol, "b": "65432.10", "B": "12.345",
        "a": "65432.20", "A": "3.210", "T": now_ms, "E": now_ms + 1,
    }  # fmt: skip


async def _serve() -> None:
    """Answer subscriptions; whoever asks for quotes gets all of them at once."""
    from aiohttp import web

    async def handle(request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse(compress=False)
        await socket.prepare(request)
        asked = json.loads((await socket.receive()).data)
        await socket.send_str(json.dumps({"result": None, "id": asked["id"]}))
        if any("bookTicker" in name for name in asked["params"]):
            await _send_all(request.transport)
        async for _ in socket:
            pass
        return socket

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()


async def _send_all(transport: Any) -> None:
    from tercel.bootstrap import system_clock

    clock = system_clock()
    sent = 0
    while sent < FRAMES:
        now_ms = clock.now_ms()
        some = b"".join(_frame(_quote(symbol, sent, now_ms)) for symbol in SYMBOLS)
        for _ in range(ROUNDS_AT_ONCE):
            transport.write(some)
            sent += len(SYMBOLS)
        while transport.get_write_buffer_size() > BUFFER_BYTES_MAX:
            await clock.sleep(0.001)
        await clock.sleep(0)
    transport.write(_frame(_quote(LAST, sent, clock.now_ms())))


async def take_all(port: int) -> Taken:
    """Take every quote up as a session does, until the last one."""
    import numpy as np

    from tercel.adapters.ccxt.feed import CcxtFeed
    from tercel.app.live.bar_collector import BarCollector
    from tercel.app.live.governor import Governor
    from tercel.app.live.health import FeedHealth
    from tercel.app.ports import FeedBar, FeedQuote
    from tercel.app.signals import unknown_context
    from tercel.bootstrap import load_settings, system_clock
    from tercel.bootstrap.live import with_venue_url
    from tercel.core.records import BAR

    settings = with_venue_url(load_settings(), "binance-usdm", f"http://127.0.0.1:{port}")
    clock, symbols = system_clock(), (*SYMBOLS, LAST)
    now_ms = clock.now_ms()
    health = FeedHealth(symbols, 60_000, settings.health, 3_000, now_ms)
    collector = BarCollector(symbols, 1_500, lambda _symbol, _time: unknown_context(), health.view)
    feed = CcxtFeed("binance-usdm", settings.venue, Governor(settings.governor, clock), clock)
    await feed.open(symbols, "1m")
    backlog, quotes, began_ns, minute_ms = 0, 0, 0, now_ms // 60_000 * 60_000
    async for item in feed.items():
        if not isinstance(item, FeedQuote):
            continue
        began_ns = began_ns or time.perf_counter_ns()
        quotes += 1
        backlog = max(backlog, feed.backlog)
        health.on_quote(item)
        if quotes % BAR_EVERY == 0:
            minute_ms += 60_000
            for symbol in symbols:
                bar = np.zeros(1, BAR)
                bar["open_time"], bar["close"] = minute_ms, 65_432.1
                told = FeedBar(symbol, bar, item.received_ms)
                health.on_bar(told)
                collector.add(told, item.received_ms)
        if item.symbol == LAST:
            break
    took_ns = time.perf_counter_ns() - began_ns
    await feed.close()
    return Taken(took_ns / 1e3 / FRAMES, backlog, quotes)


def take_from_another_process() -> Taken:
    """The server in a process of its own, the taking up in this one."""
    command = [sys.executable, "-m", "bench.live_feed"]
    with subprocess.Popen(command, cwd=FOLDER.parent, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            return asyncio.run(take_all(int(process.stdout.readline())))
        finally:
            process.kill()


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        asyncio.run(_serve())
