"""The REST source: the real ccxt client against klines of four venues on loopback."""

from __future__ import annotations

import builtins
import socket
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from tests.fakes import make_bars, same_bars
from tests.loopback import Fault, KlineServer, serving

from tercel.adapters.ccxt import CcxtBarSource
from tercel.adapters.ccxt.dialects import DIALECTS, rows_to_bars
from tercel.adapters.clock import VirtualClock
from tercel.core.records import BAR, Records
from tercel.domain.bars import SeriesKey
from tercel.domain.errors import UserError, VenueError
from tercel.domain.fetch_policy import CLOSED_AFTER_MS, FetchPolicy
from tercel.domain.times import DAY_MS, MINUTE_MS, parse_time

NOW = parse_time("2024-05-01T12:00:30")
START = NOW // MINUTE_MS * MINUTE_MS - 2500 * MINUTE_MS
BTC = SeriesKey("binance-usdm", "BTCUSDT")
PATHS = {
    "binance-usdm": "/fapi/v1/klines",
    "binance-spot": "/api/v3/klines",
    "bybit-linear": "/v5/market/kline",
    "bitget-usdtm": "/api/v2/mix/market/candles",
}


class Bench:
    """A venue, a clock and a source that talks to it."""

    def __init__(self) -> None:
        self.server = KlineServer(NOW)
        self.clock = VirtualClock(NOW)
        self.sources: list[CcxtBarSource] = []

    def source(self, venue: str, **changes: Any) -> CcxtBarSource:
        policy = replace(FetchPolicy(rest_url=self.server.url, timeout_seconds=10.0), **changes)
        self.sources.append(CcxtBarSource(venue, policy, self.clock, seed=1))
        return self.sources[-1]

    async def pages(
        self, key: SeriesKey, start_ms: int, end_ms: int = NOW, **changes: Any
    ) -> list[Records]:
        source = self.source(key.venue, **changes)
        return [bars async for bars in source.fetch(key, start_ms, end_ms)]


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    made = Bench()
    async with serving(made.server):
        yield made
        for source in made.sources:
            await source.close()
            await source.close()


@pytest.mark.parametrize("venue", PATHS)
async def test_every_closed_bar_once_and_never_the_running_one(bench: Bench, venue: str) -> None:
    """2500 minutes in pages of 1000: every bar up to 12:00 exclusive, which is still running."""
    pages = await bench.pages(SeriesKey(venue, "BTCUSDT"), START)
    got = np.concatenate(pages)
    assert np.array_equal(got["open_time"], make_bars(START, 2500)["open_time"])
    assert len(pages) == 3
    assert set(bench.server.requests) == {PATHS[venue]}


@pytest.mark.parametrize("venue", ["binance-usdm", "binance-spot"])
async def test_binance_bars_have_every_column(bench: Bench, venue: str) -> None:
    pages = await bench.pages(SeriesKey(venue, "BTCUSDT"), START, START + 10 * MINUTE_MS)
    assert same_bars(pages[0], make_bars(START, 10))


@pytest.mark.parametrize("venue", ["bybit-linear", "bitget-usdtm"])
async def test_others_know_the_quote_volume_but_no_takers(bench: Bench, venue: str) -> None:
    pages = await bench.pages(SeriesKey(venue, "BTCUSDT"), START, START + 10 * MINUTE_MS)
    expected = make_bars(START, 10)
    for column in ("count", "taker_buy_volume", "taker_buy_quote_volume"):
        expected[column] = np.nan
    assert same_bars(pages[0], expected)


@pytest.mark.parametrize("venue", PATHS)
@pytest.mark.parametrize("timeframe", ["1h", "1d"])
async def test_longer_timeframes(bench: Bench, venue: str, timeframe: str) -> None:
    key = SeriesKey(venue, "BTCUSDT", timeframe)
    start = parse_time("2024-01-01")
    got = np.concatenate(await bench.pages(key, start))
    count = (NOW - start) // key.bar_ms
    assert np.array_equal(got["open_time"], make_bars(start, count, key.bar_ms)["open_time"])


async def test_bitget_asks_another_endpoint_for_old_bars(bench: Bench) -> None:
    start = NOW // DAY_MS * DAY_MS - 60 * DAY_MS
    key = SeriesKey("bitget-usdtm", "BTCUSDT")
    got = np.concatenate(await bench.pages(key, start, start + 500 * MINUTE_MS))
    assert np.array_equal(got["open_time"], make_bars(start, 500)["open_time"])
    assert bench.server.count("/history-candles") == 3


async def test_a_bar_that_has_just_ended_may_still_change(bench: Bench) -> None:
    """Our clock may run ahead of the venue's: a bar counts some seconds after its end."""
    minute = NOW // MINUTE_MS * MINUTE_MS
    for after_ms, expected in ((CLOSED_AFTER_MS - 1, 9), (CLOSED_AFTER_MS, 10)):
        bench.clock = VirtualClock(minute + after_ms)
        pages = await bench.pages(BTC, minute - 10 * MINUTE_MS)
        assert len(pages[0]) == expected


async def test_before_the_listing_there_is_one_request(bench: Bench) -> None:
    bench.server.listed_ms = START
    pages = await bench.pages(BTC, START - 365 * DAY_MS, START + 5 * MINUTE_MS)
    assert same_bars(pages[0], make_bars(START, 5))
    assert await bench.pages(BTC, START - 365 * DAY_MS, START - DAY_MS) == []
    assert len(bench.server.requests) == 2


async def test_a_range_between_two_bars_asks_for_nothing(bench: Bench) -> None:
    assert await bench.pages(BTC, START + 1, START + MINUTE_MS) == []
    assert not bench.server.requests


async def test_keeps_to_the_pace(bench: Bench) -> None:
    await bench.pages(BTC, START, requests_per_second=0.5)
    assert 4_000 <= bench.clock.now_ms() - NOW < 4_100


async def test_waits_when_told_to(bench: Bench) -> None:
    limited = Fault(status=429, headers={"Retry-After": "30"}, body=b'{"code":-1003,"msg":"slow"}')
    bench.server.fail("/klines", limited, Fault(status=503), Fault(cut_after=5))
    pages = await bench.pages(BTC, START, START + MINUTE_MS)
    assert len(pages) == 1
    assert len(bench.server.requests) == 4
    assert 30_000 <= bench.clock.now_ms() - NOW <= 40_000


async def test_gives_up_in_the_end(bench: Bench) -> None:
    bench.server.fail("/klines", *[Fault(status=503)] * 9)
    with pytest.raises(VenueError, match=r"klines of binance-usdm BTCUSDT 1m over REST: gave up"):
        await bench.pages(BTC, START, retries=1)
    assert len(bench.server.requests) == 2


@pytest.mark.parametrize("venue", ["binance-usdm", "binance-spot"])
async def test_an_unknown_symbol(bench: Bench, venue: str) -> None:
    with pytest.raises(UserError, match=f"{venue} does not know NOUSDT"):
        await bench.pages(SeriesKey(venue, "NOUSDT"), START)
    assert len(bench.server.requests) == 1


@pytest.mark.parametrize(
    ("venue", "body"),
    [
        ("bybit-linear", b'{"retCode":10001,"retMsg":"params error: symbol invalid","result":{}}'),
        ("bitget-usdtm", b'{"code":"40034","msg":"Parameter NOUSDT does not exist","data":null}'),
    ],
)
async def test_an_unknown_symbol_elsewhere(bench: Bench, venue: str, body: bytes) -> None:
    bench.server.fail(PATHS[venue], Fault(body=body))
    with pytest.raises(UserError, match=f"{venue} does not know NOUSDT"):
        await bench.pages(SeriesKey(venue, "NOUSDT"), START)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"surprise": 1}', "no list of klines"),
        (b'[["x", 1]]', "a kline is not a row of numbers"),
        (b'{"code":-1120,"msg":"Invalid interval."}', "binance-usdm REST: .*Invalid interval"),
    ],
)
async def test_nonsense_is_final(bench: Bench, body: bytes, message: str) -> None:
    bench.server.fail("/klines", Fault(body=body))
    with pytest.raises(VenueError, match=message):
        await bench.pages(BTC, START)
    assert len(bench.server.requests) == 1


async def test_no_server_at_all(bench: Bench) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with pytest.raises(VenueError) as caught:
        await bench.pages(BTC, START, rest_url=f"http://127.0.0.1:{port}", retries=1)
    assert "\n" not in str(caught.value)
    assert f"127.0.0.1:{port}" in str(caught.value)


async def test_without_ccxt_it_says_what_to_install(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = builtins.__import__

    def refuse(name: str, *rest: Any, **options: Any) -> Any:
        if name.startswith("ccxt"):
            raise ImportError(name)
        return original(name, *rest, **options)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(VenueError, match="make venues") as caught:
        await bench.pages(BTC, START)
    hint = "install it: `make venues` in Tercel's folder, or pip install ccxt==4.5.90"
    assert hint in str(caught.value)


async def test_without_another_address_the_venues_own_is_used(bench: Bench) -> None:
    source = bench.source("bybit-linear", rest_url="")
    urls = source._connected().urls["api"]
    assert urls["public"] == "https://api.{hostname}"


def test_venues_without_rest_are_refused(bench: Bench) -> None:
    with pytest.raises(UserError, match="no REST klines for 'synthetic'"):
        bench.source("synthetic")


def test_rows_are_sorted_and_unknown_columns_are_nan() -> None:
    rows = [["120000", 4, 5, 3, 4, 1, 9], ["60000", 4, 5, 3, 4, 1, 9]]
    bars = rows_to_bars({"result": {"list": rows}}, DIALECTS["bybit-linear"])
    assert bars.dtype == BAR
    assert list(bars["open_time"]) == [60_000, 120_000]
    assert np.isnan(bars["count"]).all()
