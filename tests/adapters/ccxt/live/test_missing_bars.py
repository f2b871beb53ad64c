"""Bars that the stream missed while REST is held, slow or away: waited for, told, handed on in
their order, and at last given up.
"""

from __future__ import annotations

from tests.adapters.ccxt.live.server import SETTINGS, START_MS, Bench, Reply, on_bench
from tests.adapters.ccxt.live.test_feed import MINUTE_MS, Reader, close_bar, opened
from tests.app.live.scenes import settings

from tercel.app.live.health import FeedHealth
from tercel.app.ports import FeedBar, FeedQuote
from tercel.domain.events import FeedNews


async def lose_stream(bench: Bench, seconds: float) -> None:
    """No candles for so long."""
    bench.server.refuse_sockets = True
    for socket in list(bench.server.sockets["market"]):
        await socket.close()
    await bench.settle(seconds)
    bench.server.refuse_sockets = False
    await bench.settle(8.0)


def missing(reader: Reader) -> list[tuple[bool, list[int]]]:
    """What was told of missing bars, and the bars that were handed on before."""
    told, bars = [], []
    for item in reader.items:
        if isinstance(item, FeedBar):
            bars.append((int(item.bar["open_time"][0]) - START_MS) // MINUTE_MS)
        elif isinstance(item, FeedNews) and item.stream == "bars BTCUSDT":
            told.append((item.is_up, list(bars)))
    return told


def trouble(reader: Reader, now_ms: int) -> str:
    """What health makes of all that was handed on but for the state of the streams, and of a quote
    that fits.
    """
    health = FeedHealth(("BTCUSDT",), MINUTE_MS, settings().health, 3_000, START_MS)
    price = 0.0
    for item in reader.items:
        if isinstance(item, FeedNews) and item.stream != "market":
            health.on_news(item, now_ms)
        elif isinstance(item, FeedBar):
            health.on_bar(item)
            price = float(item.bar["close"][0])
    health.on_quote(FeedQuote("BTCUSDT", price - 0.01, price + 0.01, 1.0, 1.0, now_ms, now_ms))
    return health.trouble("BTCUSDT", now_ms)


def test_bars_that_were_missed_while_rest_is_held_are_waited_for() -> None:
    """No stream for 3 minutes, and a hold of 260 s, 15 s into its return: minute 4 waits."""

    async def loses(bench: Bench) -> None:
        reader = await opened(bench)
        await close_bar(bench, 0)
        bench.governor.hold(260.0)
        await lose_stream(bench, 185.0)
        await close_bar(bench, 4)
        await bench.settle(10.0)
        assert reader.bars() == [0]
        assert "bars are missing" in trouble(reader, bench.clock.now_ms())
        await bench.settle(20.0)
        assert reader.bars() == [0, 1, 2, 3, 4]
        assert missing(reader) == [(False, [0]), (True, [0, 1, 2, 3, 4])]
        assert trouble(reader, bench.clock.now_ms()).startswith("recovering")
        for minute in (5, 6):
            await close_bar(bench, minute)
        assert reader.bars() == [0, 1, 2, 3, 4, 5, 6]

    on_bench(loses)()


def test_bars_that_rest_takes_its_time_to_tell_are_waited_for() -> None:
    """4 s, twice as long as a bar waits for those that the venue does not have."""

    async def loses(bench: Bench) -> None:
        reader = await opened(bench)
        await close_bar(bench, 0)
        klines = bench.server.answers["GET /fapi/v1/klines"]
        bench.server.answers["GET /fapi/v1/klines"] = lambda params: Reply(
            klines(params), delay_seconds=4.0
        )
        await bench.settle(60.0)
        bench.feed._fetch_due_ms["BTCUSDT"] = START_MS + 4 * MINUTE_MS  # a vain try was just made
        await close_bar(bench, 2)
        await bench.settle(3.0)
        assert reader.bars() == [0]
        await bench.settle(2.0)
        assert reader.bars() == [0, 1, 2]

    on_bench(loses, settings=SETTINGS.model_copy(update={"timeout_ms": 10_000}))()


def test_bars_of_a_rest_that_lags_behind_the_stream_are_waited_for() -> None:
    """It knows neither the missing minute nor the one behind it, for 10 s."""

    async def loses(bench: Bench) -> None:
        reader = await opened(bench)
        await close_bar(bench, 0)
        klines = bench.server.answers["GET /fapi/v1/klines"]
        bench.server.answers["GET /fapi/v1/klines"] = []
        await close_bar(bench, 2)
        await bench.settle(10.0)
        assert reader.bars() == [0]
        bench.server.answers["GET /fapi/v1/klines"] = klines
        await bench.settle(10.0)
        assert reader.bars() == [0, 1, 2]

    on_bench(loses)()


def test_bars_that_rest_does_not_tell_for_5_minutes_are_given_up_and_entries_stay_blocked() -> None:
    """Exits look at bars, too. What comes later goes through, and changes nothing in that."""

    async def loses(bench: Bench) -> None:
        reader = await opened(bench)
        await close_bar(bench, 0)
        klines = bench.server.answers["GET /fapi/v1/klines"]
        bench.server.answers["GET /fapi/v1/klines"] = Reply({"code": -1, "msg": "no"}, status=400)
        for minute in range(2, 7):
            await close_bar(bench, minute)
        assert reader.bars() == [0]
        await bench.settle(61.0)
        assert reader.bars() == [0, 2, 3, 4, 5, 6]
        assert missing(reader)[-1] == (False, [0]), "told before the bars that lack it"
        bench.server.answers["GET /fapi/v1/klines"] = klines
        for minute in (8, 9):
            await close_bar(bench, minute)
        await bench.settle(10.0)
        assert reader.bars() == [0, 2, 3, 4, 5, 6, 7, 8, 9]
        assert "until a new start" in trouble(reader, bench.clock.now_ms())

    on_bench(loses)()
