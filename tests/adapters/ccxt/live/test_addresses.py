"""Which addresses are contacted: the venue's own, or one exchange on this machine and no other."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult
from tests.adapters.ccxt.live.server import (
    BUY,
    GOVERNOR,
    KEYS,
    SETTINGS,
    STOP,
    Venue,
    kline_frame,
)
from tests.fakes import make_bars
from tests.loopback import until

from tercel.adapters.ccxt.addresses import addresses_of, without_secrets
from tercel.adapters.ccxt.feed import CcxtFeed
from tercel.adapters.ccxt.venue import CcxtVenue, VenueChoice
from tercel.adapters.clock import SystemClock
from tercel.app.live.governor import Governor
from tercel.app.ports import FeedBar
from tercel.domain.errors import ConfigError, UserError, VenueError
from tercel.domain.events import FeedNews, Outcome
from tercel.domain.live_settings import VenueSettings


class RefusingResolver(AbstractResolver):
    """Knows no name at all, and remembers who asked for one."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        self.asked.append(host)
        raise OSError(f"{host} is not this machine")

    async def close(self) -> None:
        """Nothing is held."""


def pointing_at(rest: str, stream: str) -> VenueSettings:
    return SETTINGS.model_copy(
        update={
            "rest_urls": {"binance-usdm": rest} if rest else {},
            "stream_urls": {"binance-usdm": stream} if stream else {},
        }
    )


@asynccontextmanager
async def on_a_socket() -> AsyncIterator[tuple[Venue, VenueSettings]]:
    """The hand-made venue on a port of 127.0.0.1."""
    server = Venue(SystemClock())
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        yield server, pointing_at(f"http://{host}:{port}", f"ws://{host}:{port}")
    finally:
        await runner.cleanup()


async def test_with_loopback_addresses_nothing_else_is_contacted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A whole session's calls over real sockets: no name is looked up, no proxy is used."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://proxy.invalid:3128")
    resolver = RefusingResolver()
    clock = SystemClock()
    async with on_a_socket() as (server, settings):
        turns = Governor(GOVERNOR, clock)
        choice = VenueChoice("binance-usdm", ("BTCUSDT",), settings)
        venue = CcxtVenue(
            choice, KEYS, turns, clock, lambda: aiohttp.TCPConnector(resolver=resolver)
        )
        feed = CcxtFeed(
            "binance-usdm", settings, turns, clock, lambda: aiohttp.TCPConnector(resolver=resolver)
        )
        try:
            await venue.open()
            await feed.open(("BTCUSDT",), "1m")
            assert (await venue.place(BUY)).outcome is Outcome.DONE
            assert (await venue.place(STOP)).outcome is Outcome.DONE
            await venue.read(["BTCUSDT"], clock.now_ms() - 1000)
            await venue.time_ms()
            now_ms = clock.now_ms() // 60_000 * 60_000
            await feed.history("BTCUSDT", "1m", now_ms - 120_000, now_ms)
            items = feed.items()
            first = await anext(items)
            assert isinstance(first, FeedNews)
            assert first.is_up
            await server.push("market", kline_frame(make_bars(now_ms, 1)[0]))
            assert isinstance(await anext(items), FeedBar)
            await items.aclose()  # type: ignore[attr-defined]
            await until(lambda: len(server.sockets["private"]) == 1)
        finally:
            await venue.close()
            await feed.close()
    assert resolver.asked == []


async def test_without_them_the_venues_own_names_are_meant() -> None:
    """And where no name can be resolved the start fails in one line, with nothing sent."""
    resolver = RefusingResolver()
    clock = SystemClock()
    choice = VenueChoice("binance-usdm", ("BTCUSDT",), pointing_at("", ""))

    class Quick(SystemClock):
        async def sleep(self, seconds: float) -> None:
            await super().sleep(0.0)

    venue = CcxtVenue(
        choice,
        KEYS,
        Governor(GOVERNOR, clock),
        Quick(),
        lambda: aiohttp.TCPConnector(resolver=resolver),
    )
    with pytest.raises(VenueError) as caught:
        await venue.open()
    await venue.close()
    assert set(resolver.asked) == {"fapi.binance.com"}
    assert "\n" not in str(caught.value)
    assert "signature" not in str(caught.value)


async def test_every_address_of_the_client_is_moved() -> None:
    async with on_a_socket() as (_, settings):
        clock = SystemClock()
        choice = VenueChoice("binance-usdm", ("BTCUSDT",), settings)
        venue = CcxtVenue(choice, KEYS, Governor(GOVERNOR, clock), clock)
        await venue.connect()
        kept: list[str] = []
        todo = [venue._link.exchange.urls["api"]]
        while todo:
            for url in todo.pop().values():
                if isinstance(url, dict):
                    todo.append(url)
                else:
                    kept.append(url)
        await venue.close()
        assert len(kept) > 20
        assert [url for url in kept if "127.0.0.1" not in url] == []


async def test_ccxt_logs_no_key_at_debug_level() -> None:
    """ccxt logs whole requests, headers and all, as soon as anybody turns DEBUG on."""
    records: list[logging.LogRecord] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            records.append(record)

    root = logging.getLogger()
    handler, level = Keep(), root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        async with on_a_socket() as (_, settings):
            clock = SystemClock()
            choice = VenueChoice("binance-usdm", ("BTCUSDT",), settings)
            venue = CcxtVenue(choice, KEYS, Governor(GOVERNOR, clock), clock)
            await venue.open()
            await venue.close()
    finally:
        root.removeHandler(handler)
        root.setLevel(level)
    said = " ".join(record.getMessage() for record in records)
    assert KEYS.key not in said
    assert KEYS.secret not in said
    assert "signature=" not in said


@pytest.mark.parametrize(
    ("rest", "stream", "words"),
    [
        ("http://127.0.0.1:9101", "", "both"),
        ("", "ws://127.0.0.1:9101", "both"),
        ("ftp://127.0.0.1:9101", "ws://127.0.0.1:9101", "not an address"),
        ("http://127.0.0.1:9101", "http://127.0.0.1:9101", "not an address"),
        ("http://127.0.0.1:99999", "ws://127.0.0.1:9101", "not an address"),
        ("http://127.0.0.1:9101", "ws://127.0.0.1:9101/stream", "/stream"),
        ("http://exchange.example", "ws://exchange.example", "TLS"),
        ("http://user:pass@127.0.0.1:9101", "ws://127.0.0.1:9101", "nothing more"),
    ],
)
def test_addresses_that_cannot_be_meant_are_refused(rest: str, stream: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        addresses_of("binance-usdm", pointing_at(rest, stream))


@pytest.mark.parametrize("stream", ["ws://127.0.0.1:9101", "ws://127.0.0.1:9101/ws/"])
def test_the_stream_address_may_end_in_ws(stream: str) -> None:
    found = addresses_of("binance-usdm", pointing_at("http://localhost:9101/", stream))
    assert (found.rest_url, found.stream_url) == ("http://localhost:9101", "ws://127.0.0.1:9101")
    assert found.is_loopback


def test_other_venues_take_no_orders_yet() -> None:
    clock = SystemClock()
    choice = VenueChoice("bybit-linear", ("BTCUSDT",), SETTINGS)
    with pytest.raises(UserError, match="bybit-linear"):
        CcxtVenue(choice, KEYS, Governor(GOVERNOR, clock), clock)


async def test_an_order_reaches_the_socket_quickly_enough_to_be_counted() -> None:
    """Not a speed test: a hundred orders one after the other, and every answer is its own."""
    async with on_a_socket() as (server, settings):
        clock = SystemClock()
        choice = VenueChoice("binance-usdm", ("BTCUSDT",), settings)
        venue = CcxtVenue(choice, KEYS, Governor(GOVERNOR, clock), clock)
        await venue.open()
        answers = await asyncio.gather(*(venue.place(BUY) for _ in range(100)))
        await venue.close()
        assert {each.outcome for each in answers} == {Outcome.DONE}
        assert server.count("POST /fapi/v1/order") == 100


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("503, url='wss://host/ws?listenKey=abc'", "503, url='(address)'"),
        ("see HTTPS://host/a?signature=f00 now", "see (address) now"),
        ('{"listenKey": "abc", "code": 1}', '{"listenKey=(hidden)", "code": 1}'),
        ("/private/ws?listenKey=abc&x=1 failed", "/private/ws?listenKey=(hidden)&x=1 failed"),
        ("This listenKey does not exist.", "This listenKey does not exist."),
        ("banned until 1700000000000; 2:1", "banned until 1700000000000; 2:1"),
    ],
)
def test_addresses_and_what_they_carry_are_cut(said: str, told: str) -> None:
    assert without_secrets(said) == told
