"""What Binance publishes beside bars: asked page by page, read as its payloads are documented."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from tests.adapters.ccxt.live.server import (
    BUY,
    GOVERNOR,
    SETTINGS,
    START_MS,
    Bench,
    Reply,
    on_bench,
)
from tests.adapters.simulator.binance.trading import START_MS as SIMULATED_MS
from tests.adapters.simulator.binance.trading import venue_with

from tercel.adapters.ccxt.context import CcxtContext
from tercel.adapters.clock import VirtualClock
from tercel.adapters.simulator.mounts.in_memory import in_memory
from tercel.adapters.simulator.mounts.virtual_loop import LoopClock, run_virtually
from tercel.app.context_quality import check_context
from tercel.app.live.governor import Governor
from tercel.domain.context import ContextKey
from tercel.domain.errors import UserError, VenueError
from tercel.domain.times import DAY_MS, HOUR_MS, MINUTE_MS

RATE = "GET /fapi/v1/fundingRate"
INTEREST = "GET /futures/data/openInterestHist"
RATIO = "GET /futures/data/globalLongShortAccountRatio"
FIVE = 5 * MINUTE_MS
NOW = START_MS - START_MS % FIVE
"""The last full five minutes."""


def with_context(test: Callable[[Bench, CcxtContext], Awaitable[None]]) -> None:
    """The test with the adapter, which is closed behind it."""

    async def main(bench: Bench) -> None:
        source = CcxtContext("binance-usdm", SETTINGS, bench.governor, bench.clock, bench.connector)
        try:
            await test(bench, source)
        finally:
            await source.close()
            await source.close()

    on_bench(main)()


def rate_row(time: int, rate: str = "0.00010000") -> dict[str, Any]:
    return {"symbol": "BTCUSDT", "fundingTime": time, "fundingRate": rate, "markPrice": "34287.5"}


def interest_row(time: int, amount: str = "20403.12700000") -> dict[str, Any]:
    """Stamps of statistics come as text."""
    return {
        "symbol": "BTCUSDT",
        "sumOpenInterest": amount,
        "sumOpenInterestValue": "150570784.07809979",
        "CMCCirculatingSupply": "165880.538",
        "timestamp": str(time),
    }


def test_funding_counts_from_its_settlement_and_is_a_fraction() -> None:
    """The venue writes a settlement down some milliseconds late: it is put on its minute."""

    async def reads(bench: Bench, source: CcxtContext) -> None:
        settled = NOW - 8 * HOUR_MS
        bench.server.answers[RATE] = [rate_row(settled + 3), rate_row(NOW, "-0.00012345")]
        series = await source.read("funding_rate", "BTCUSDT", settled)
        assert series.key == ContextKey("funding_rate", "binance-usdm", "BTCUSDT", "settlements")
        assert series.time.tolist() == [settled, NOW]
        assert series.value.tolist() == [0.0001, -0.00012345]
        assert bench.server.sent(RATE) == [
            {
                "symbol": "BTCUSDT",
                "startTime": str(settled),
                "endTime": str(bench.clock.now_ms()),
                "limit": "1000",
            }
        ]

    with_context(reads)


def test_a_snapshot_counts_five_minutes_after_its_stamp_as_in_an_imported_file() -> None:
    async def reads(bench: Bench, source: CcxtContext) -> None:
        bench.server.answers[INTEREST] = [interest_row(NOW - FIVE), interest_row(NOW, "7.5")]
        series = await source.read("open_interest", "BTCUSDT", NOW)
        assert series.key == ContextKey("open_interest", "binance-usdm", "BTCUSDT", "rest-5m")
        assert series.time.tolist() == [NOW, NOW + FIVE]
        assert series.value.tolist() == [20403.127, 7.5]
        [asked] = bench.server.sent(INTEREST)
        assert (asked["startTime"], asked["period"], asked["limit"]) == (
            str(NOW - FIVE),
            "5m",
            "500",
        )

    with_context(reads)


def test_the_ratio_is_that_of_all_accounts() -> None:
    async def reads(bench: Bench, source: CcxtContext) -> None:
        bench.server.answers[RATIO] = [
            {
                "symbol": "BTCUSDT",
                "longShortRatio": "1.9559",
                "longAccount": "0.6617",
                "shortAccount": "0.3382",
                "timestamp": str(NOW),
            }
        ]
        series = await source.read("long_short_ratio", "BTCUSDT", NOW - HOUR_MS)
        assert (series.time.tolist(), series.value.tolist()) == ([NOW + FIVE], [1.9559])

    with_context(reads)


def test_a_long_span_is_asked_for_page_by_page_and_no_further_than_it_is_kept() -> None:
    """500 rows of five minutes are 41 h 40 min; what is older than 29 days is not asked for."""

    async def reads(bench: Bench, source: CcxtContext) -> None:
        def answer(params: dict[str, str]) -> list[dict[str, Any]]:
            first, last = int(params["startTime"]), int(params["endTime"])
            stamps = range(-(-first // FIVE) * FIVE, last + 1, FIVE)
            assert len(stamps) <= int(params["limit"])
            return [interest_row(time) for time in stamps]

        bench.server.answers[INTEREST] = answer
        series = await source.read("open_interest", "BTCUSDT", NOW - 50 * HOUR_MS)
        assert series.time.tolist() == list(range(NOW - 50 * HOUR_MS, NOW + FIVE + 1, FIVE))
        assert bench.server.count(INTEREST) == 2
        bench.server.asked.clear()
        await source.read("open_interest", "BTCUSDT", NOW - 400 * DAY_MS)
        first = int(bench.server.sent(INTEREST)[0]["startTime"])
        assert first >= bench.clock.now_ms() - 29 * DAY_MS - 1_000

    with_context(reads)


def test_rows_that_were_known_before_are_left_out() -> None:
    async def reads(bench: Bench, source: CcxtContext) -> None:
        bench.server.answers[RATE] = [rate_row(NOW + 3), rate_row(NOW + 3)]
        assert len(await source.read("funding_rate", "BTCUSDT", NOW + 1)) == 0
        assert len(await source.read("funding_rate", "BTCUSDT", NOW)) == 1

    with_context(reads)


@pytest.mark.parametrize(
    "body",
    [{"rows": []}, [{"fundingTime": 1}], [rate_row(NOW, "")], [None], [rate_row(10**30)]],
    ids=["no list", "no rate", "an empty rate", "no row", "no moment"],
)
def test_nonsense_is_an_error_in_one_line(body: Any) -> None:
    async def reads(bench: Bench, source: CcxtContext) -> None:
        bench.server.answers[RATE] = body
        with pytest.raises(VenueError, match="funding_rate of BTCUSDT cannot be read"):
            await source.read("funding_rate", "BTCUSDT", NOW)

    with_context(reads)


def test_an_answer_that_does_not_come_says_nothing_about_the_way_that_orders_take() -> None:
    async def reads(bench: Bench, source: CcxtContext) -> None:
        await bench.open()
        bench.take()
        bench.server.fail(RATE, *[Reply(cut=True)] * 3)
        with pytest.raises(VenueError, match="funding_rate"):
            await source.read("funding_rate", "BTCUSDT", NOW)
        await bench.settle()
        assert bench.take() == []

    with_context(reads)


def test_it_takes_no_request_weight_and_waits_its_turn() -> None:
    """None of the three has a weight; while the venue wants to be left alone nobody goes."""

    async def reads(bench: Bench, source: CcxtContext) -> None:
        bench.server.answers[RATE] = []
        bench.governor.note_weight(2_400)
        await source.read("funding_rate", "BTCUSDT", NOW)
        bench.governor.hold(5.0)
        begun = bench.clock.now_ms()
        await source.read("funding_rate", "BTCUSDT", NOW)
        assert bench.clock.now_ms() - begun >= 5_000

    with_context(reads)


@pytest.mark.parametrize(
    ("kind", "endpoint"), [("funding_rate", RATE), ("open_interest", INTEREST)]
)
def test_too_many_of_its_requests_hold_up_nobody_else(kind: str, endpoint: str) -> None:
    """Its requests are counted in pools of their own: an order leaves at once all the same."""

    async def reads(bench: Bench, source: CcxtContext) -> None:
        await bench.open()
        told = {"code": -1003, "msg": "Too many requests."}
        bench.server.fail(endpoint, Reply(told, 429, {"Retry-After": "90"}))
        with pytest.raises(VenueError, match="Too many requests"):
            await source.read(kind, "BTCUSDT", NOW)
        begun = bench.clock.now_ms()
        await bench.venue.place(BUY)
        assert (bench.server.count("POST /fapi/v1/order"), bench.governor.throttled) == (1, 0)
        assert bench.clock.now_ms() - begun < 1_000
        bench.server.answers[endpoint] = []
        await source.read(kind, "BTCUSDT", NOW)
        assert bench.clock.now_ms() - begun >= 90_000

    with_context(reads)


@pytest.mark.parametrize("status", [418, 429], ids=["banned", "ban in words"])
def test_a_ban_of_the_address_holds_up_orders_too(status: int) -> None:
    async def reads(bench: Bench, source: CcxtContext) -> None:
        await bench.open()
        until = bench.clock.now_ms() + 120_000
        told = f"Way too many requests; IP banned until {until}."
        bench.server.fail(RATE, Reply({"code": -1003, "msg": told}, status))
        with pytest.raises(VenueError):
            await source.read("funding_rate", "BTCUSDT", NOW)
        await bench.venue.place(BUY)
        assert bench.server.count("POST /fapi/v1/order") == 0
        await bench.venue.time_ms()
        assert bench.clock.now_ms() >= until

    with_context(reads)


def test_it_makes_one_client_however_many_ask() -> None:
    async def reads(bench: Bench, source: CcxtContext) -> None:
        bench.server.answers[RATE] = []
        asked = [source.read("funding_rate", "BTCUSDT", NOW) for _ in range(5)]
        assert [len(series) for series in await asyncio.gather(*asked)] == [0] * 5
        assert source.kinds == ("funding_rate", "open_interest", "long_short_ratio")
        await source.close()
        with pytest.raises(VenueError, match="closed"):
            await source.read("funding_rate", "BTCUSDT", NOW)

    with_context(reads)


def test_a_venue_that_cannot_be_asked_yet_is_refused_by_name() -> None:
    clock = VirtualClock(START_MS)
    with pytest.raises(UserError, match="'bybit-linear' publishes cannot be read yet"):
        CcxtContext("bybit-linear", SETTINGS, Governor(GOVERNOR, clock), clock)


def test_the_simulated_exchange_is_read_by_the_same_client() -> None:
    async def main(clock: LoopClock) -> None:
        made = venue_with()
        async with in_memory(made.facade, made.ticks(), clock) as mount:
            turns = Governor(GOVERNOR, clock)
            source = CcxtContext("binance-usdm", SETTINGS, turns, clock, mount.connector)
            try:
                for kind in source.kinds:
                    series = await source.read(kind, "BTCUSDT", SIMULATED_MS - 50 * HOUR_MS)
                    check_context(series, origin=kind)
                    if kind != "funding_rate":
                        assert len(series) >= 600
                        assert set((series.time[1:] - series.time[:-1]).tolist()) == {FIVE}
            finally:
                await source.close()
                await turns.close()

    run_virtually(main, epoch_ms=SIMULATED_MS)
