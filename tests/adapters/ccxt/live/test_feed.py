"""The market feed: final bars in their order and each once, the newest quotes, and its state."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest
from tests.adapters.ccxt.live.server import (
    SETTINGS,
    START_MS,
    Bench,
    Reply,
    kline_frame,
    on_bench,
)
from tests.fakes import make_bars

from tercel.adapters.ccxt.bar_line import LATE_MS, BarLine
from tercel.adapters.ccxt.binance.market import read_kline
from tercel.adapters.ccxt.feed import CcxtFeed
from tercel.adapters.ccxt.quotes import QuoteBook
from tercel.adapters.config import packaged_config_dir, read_settings
from tercel.app.ports import Clock, FeedBar, FeedQuote
from tercel.domain.bars import BAR_COLUMNS
from tercel.domain.errors import UserError, VenueError
from tercel.domain.events import FeedNews

MINUTE_MS = 60_000
Item = FeedBar | FeedQuote | FeedNews


class Reader:
    """Reads everything that the feed hands on."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.items: list[Item] = []
        self.task = asyncio.create_task(self._read())

    async def _read(self) -> None:
        async for item in self.bench.feed.items():
            self.items.append(item)

    def bars(self, symbol: str = "BTCUSDT") -> list[int]:
        """Minutes after the start at which the bars opened."""
        return [
            (int(each.bar["open_time"][0]) - START_MS) // MINUTE_MS
            for each in self.items
            if isinstance(each, FeedBar) and each.symbol == symbol
        ]

    def quotes(self) -> list[FeedQuote]:
        return [each for each in self.items if isinstance(each, FeedQuote)]

    def states(self) -> list[bool]:
        return [
            each.is_up
            for each in self.items
            if isinstance(each, FeedNews) and each.stream == "market"
        ]


async def opened(bench: Bench, *symbols: str) -> Reader:
    await bench.feed.open(symbols or ("BTCUSDT",), "1m")
    reader = Reader(bench)
    await bench.settle()
    return reader


async def close_bar(bench: Bench, minute: int, **changes: Any) -> None:
    """The final frame of the bar that opened `minute` minutes after the start, 50 ms after its
    end.
    """
    due_ms = START_MS + (minute + 1) * MINUTE_MS + 50
    await bench.settle(max(0.001, (due_ms - bench.clock.now_ms()) / 1000))
    bar = make_bars(START_MS + minute * MINUTE_MS, 1)[0]
    await bench.server.push("market", kline_frame(bar, **changes))
    await bench.settle()


def quote_frame(now_ms: int, bid: float, ask: float, size: float = 1.0) -> dict[str, Any]:
    return {
        "e": "bookTicker",
        "u": 1,
        "s": "BTCUSDT",
        "b": str(bid),
        "B": str(size),
        "a": str(ask),
        "A": str(size * 2),
        "T": now_ms,
        "E": now_ms,
    }


def test_it_subscribes_to_candles_and_quotes_on_the_right_paths() -> None:
    async def opens(bench: Bench) -> None:
        reader = await opened(bench, "BTCUSDT", "ETHUSDT")
        assert sorted(bench.server.connected) == ["/market/ws/0", "/public/ws/0"]
        assert reader.states() == [True]

    on_bench(opens)()


def test_a_symbol_beside_has_bars_and_no_quotes() -> None:
    async def watches(bench: Bench) -> None:
        bench.feed.watch_beside("ETHUSDT")
        reader = await opened(bench, "BTCUSDT")
        names = {path: sorted(each) for path, each in bench.server.subscribed.items()}
        assert names == {
            "market": ["btcusdt@kline_1m", "ethusdt@kline_1m"],
            "public": ["btcusdt@bookTicker"],
        }
        await close_bar(bench, 0, symbol="ETHUSDT")
        assert (reader.bars("ETHUSDT"), reader.bars()) == ([0], [])

    on_bench(watches)()


def test_only_final_candles_are_bars_and_they_have_every_column() -> None:
    async def closes(bench: Bench) -> None:
        reader = await opened(bench)
        running = make_bars(START_MS, 1)[0]
        await bench.server.push("market", kline_frame(running, is_final=False))
        await bench.settle()
        assert reader.bars() == []
        await close_bar(bench, 0)
        [item] = [each for each in reader.items if isinstance(each, FeedBar)]
        expected = make_bars(START_MS, 1)
        for column in BAR_COLUMNS:
            assert np.array_equal(item.bar[column], expected[column], equal_nan=True), column
        assert 0 < item.received_ms - (START_MS + MINUTE_MS) < 100

    on_bench(closes)()


def test_the_next_minute_does_not_end_the_last_one() -> None:
    """Bars end by k.x alone: a frame of the new candle, without a final one, is no bar yet; the
    missing one is fetched 1.5 s later.
    """

    async def closes(bench: Bench) -> None:
        reader = await opened(bench)
        await bench.settle(60.1)
        following = make_bars(START_MS + MINUTE_MS, 1)[0]
        await bench.server.push("market", kline_frame(following, is_final=False))
        await bench.settle(1.0)
        assert reader.bars() == []
        await bench.settle(1.5)
        assert reader.bars() == [0]

    on_bench(closes)()


def test_a_bar_has_the_means_of_its_quotes() -> None:
    """Two quotes in the bar (spreads of 20 and 10 bps, sizes 1 and 3), one in the next."""

    async def closes(bench: Bench) -> None:
        reader = await opened(bench)
        at_ms = START_MS + 1000
        await bench.server.push("public", quote_frame(at_ms, 99.9, 100.1))
        await bench.server.push("public", quote_frame(at_ms + 1, 99.95, 100.05, size=3.0))
        await bench.server.push("public", quote_frame(START_MS + MINUTE_MS, 90.0, 110.0, size=9.0))
        await close_bar(bench, 0)
        [item] = [each for each in reader.items if isinstance(each, FeedBar)]
        assert item.bar["bid_size"][0] == pytest.approx(2.0)
        assert item.bar["ask_size"][0] == pytest.approx(4.0)
        assert item.bar["spread_bps"][0] == pytest.approx(15.0)

    on_bench(closes)()


def test_a_slow_reader_gets_the_newest_quote_and_no_queue_grows() -> None:
    async def floods(bench: Bench) -> None:
        await bench.feed.open(("BTCUSDT",), "1m")
        await bench.settle()
        for number in range(1000):
            await bench.server.push("public", quote_frame(START_MS + number, 100.0 + number, 2000))
        await bench.settle()
        assert bench.feed.backlog <= 2
        reader = Reader(bench)
        await bench.settle()
        [quote] = reader.quotes()
        assert (quote.bid, quote.time_ms) == (1099.0, START_MS + 999)

    on_bench(floods)()


def test_an_older_quote_does_not_replace_a_newer_one() -> None:
    book = QuoteBook("BTCUSDT", MINUTE_MS)
    book.add((100.0, 101.0, 1.0, 1.0, 500, 500))
    book.add((1.0, 2.0, 1.0, 1.0, 499, 501))
    quote = book.take()
    assert quote is not None
    assert quote.bid == 100.0


def test_a_crossed_quote_is_handed_on_and_not_averaged() -> None:
    """Health has to see it; the bar's spread must not."""
    book = QuoteBook("BTCUSDT", MINUTE_MS)
    book.add((101.0, 100.0, 1.0, 1.0, 500, 500))
    assert np.isnan(book.means(0)).all()
    quote = book.take()
    assert quote is not None
    assert quote.bid > quote.ask


def test_bars_that_a_lost_connection_missed_come_from_rest_in_their_order() -> None:
    async def loses(bench: Bench) -> None:
        reader = await opened(bench)
        await close_bar(bench, 0)
        bench.server.refuse_sockets = True
        for socket in list(bench.server.sockets["market"]):
            await socket.close(code=1001)
        await bench.settle(170.0)
        bench.server.refuse_sockets = False
        await close_bar(bench, 4)
        await bench.settle(3.0)
        assert reader.bars() == [0, 1, 2, 3, 4]
        assert reader.states() == [True, False, True]

    on_bench(loses)()


def test_a_bar_behind_a_gap_waits_for_the_missing_ones() -> None:
    """Minute 1 had no final frame, nor did REST know it. When minute 2 comes, minute 1 is asked
    for once more, and minute 2 waits for the answer, which takes a second.
    """

    async def skips(bench: Bench) -> None:
        reader = await opened(bench)
        await close_bar(bench, 0)
        klines = bench.server.answers["GET /fapi/v1/klines"]
        bench.server.answers["GET /fapi/v1/klines"] = []
        await bench.settle(100.0)
        bench.server.answers["GET /fapi/v1/klines"] = lambda params: Reply(
            klines(params), delay_seconds=1.0
        )
        await close_bar(bench, 2)
        await bench.settle(0.5)
        assert reader.bars() == [0]
        await bench.settle(1.0)
        assert reader.bars() == [0, 1, 2]

    on_bench(skips)()


def test_a_bar_that_nobody_has_does_not_hold_the_next_for_ever() -> None:
    """Maintenance: the venue has no bar for that minute. The next one waits 2 s, then goes."""

    async def skips(bench: Bench) -> None:
        reader = await opened(bench)
        await close_bar(bench, 0)
        klines = bench.server.answers["GET /fapi/v1/klines"]
        bench.server.answers["GET /fapi/v1/klines"] = lambda params: [
            row for row in klines(params) if row[0] != START_MS + MINUTE_MS
        ]
        await close_bar(bench, 2)
        await bench.settle(1.0)
        assert reader.bars() == [0]
        await bench.settle(2.0)
        assert reader.bars() == [0, 2]
        asked = bench.server.count("GET /fapi/v1/klines")
        assert asked < 20

    on_bench(skips)()


def test_a_bar_told_twice_or_late_is_handed_on_once() -> None:
    async def repeats(bench: Bench) -> None:
        reader = await opened(bench)
        await close_bar(bench, 0)
        await close_bar(bench, 0)
        await bench.settle(64.0)  # minute 1 came over REST meanwhile
        await close_bar(bench, 1)
        await close_bar(bench, 2)
        assert reader.bars() == [0, 1, 2]

    on_bench(repeats)()


def test_history_has_closed_bars_only_and_all_of_them() -> None:
    async def reads(bench: Bench) -> None:
        await bench.settle(30.0)
        start_ms = START_MS - 2500 * MINUTE_MS
        bars = await bench.feed.history("BTCUSDT", "1m", start_ms, START_MS + 10 * MINUTE_MS)
        assert np.array_equal(bars["open_time"], make_bars(start_ms, 2500)["open_time"])
        assert bench.server.count("GET /fapi/v1/klines") == 3

    on_bench(reads)()


def test_no_bar_is_lost_between_history_and_the_stream() -> None:
    """History is read at 0:59.9 and the streams are opened at 1:00.5: minute 0 is in neither."""

    async def joins(bench: Bench) -> None:
        await bench.settle(59.9)
        bars = await bench.feed.history(
            "BTCUSDT", "1m", START_MS - 10 * MINUTE_MS, bench.clock.now_ms()
        )
        assert int(bars["open_time"][-1]) == START_MS - MINUTE_MS
        await bench.settle(0.6)
        reader = await opened(bench)
        await close_bar(bench, 1)
        assert reader.bars() == [0, 1]

    on_bench(joins)()


def test_history_of_long_ago_is_not_joined() -> None:
    async def joins(bench: Bench) -> None:
        await bench.feed.history("BTCUSDT", "1m", START_MS - 9 * MINUTE_MS, START_MS)
        await bench.settle(3600.0 * 5)
        reader = await opened(bench)
        await close_bar(bench, 300)
        assert reader.bars() == [300]

    on_bench(joins)()


class Ahead:
    """Our clock, which is ahead of the venue's."""

    def __init__(self, clock: Clock, ahead_ms: int) -> None:
        self.clock = clock
        self.ahead_ms = ahead_ms

    def now_ms(self) -> int:
        return self.clock.now_ms() + self.ahead_ms

    async def sleep(self, seconds: float) -> None:
        await self.clock.sleep(seconds)


def on_a_clock_ahead(bench: Bench, ahead_ms: int) -> None:
    """A feed whose clock is ahead, at a venue whose running candle closes at 12345.6 so far."""
    clock = Ahead(bench.clock, ahead_ms)
    bench.feed = CcxtFeed("binance-usdm", SETTINGS, bench.governor, clock, bench.connector)
    klines = bench.server.answers["GET /fapi/v1/klines"]

    def with_running(params: dict[str, str]) -> list[Any]:
        rows: list[Any] = klines(params)
        for row in rows:
            if row[0] + MINUTE_MS > bench.clock.now_ms():
                row[4] = "12345.6"
        return rows

    bench.server.answers["GET /fapi/v1/klines"] = with_running


@pytest.mark.parametrize("ahead_ms", [1_950, 20_000])
def test_a_candle_that_still_runs_at_the_venue_is_no_bar_whatever_our_clock_says(
    ahead_ms: int,
) -> None:
    """1.95 s ahead the bar of 0:00 is asked for 0.25 s before it ends. Its final frame counts."""

    async def closes(bench: Bench) -> None:
        on_a_clock_ahead(bench, ahead_ms)
        reader = await opened(bench)
        for minute in range(3):
            await close_bar(bench, minute)
        assert bench.server.count("GET /fapi/v1/klines") > 0
        closes = [float(each.bar["close"][0]) for each in reader.items if isinstance(each, FeedBar)]
        assert closes == [
            float(make_bars(START_MS + k * MINUTE_MS, 1)["close"][0]) for k in (0, 1, 2)
        ]
        await bench.feed.close()

    on_bench(closes)()


def test_a_candle_that_still_runs_at_the_venue_is_no_history() -> None:
    """0:59 there, 1:01 here. The bar of 0:00 comes over the stream, behind the history."""

    async def reads(bench: Bench) -> None:
        on_a_clock_ahead(bench, 2_000)
        await bench.settle(59.0)
        bars = await bench.feed.history(
            "BTCUSDT", "1m", START_MS - 5 * MINUTE_MS, START_MS + MINUTE_MS
        )
        assert np.array_equal(
            bars["open_time"], make_bars(START_MS - 5 * MINUTE_MS, 5)["open_time"]
        )
        assert 12345.6 not in bars["close"]
        reader = await opened(bench)
        await close_bar(bench, 0)
        assert reader.bars() == [0]
        await bench.feed.close()

    on_bench(reads)()


def test_history_of_a_venue_that_has_none_is_empty() -> None:
    async def reads(bench: Bench) -> None:
        bench.server.answers["GET /fapi/v1/klines"] = []
        bars = await bench.feed.history("BTCUSDT", "1m", START_MS - MINUTE_MS, START_MS)
        assert len(bars) == 0
        reader = await opened(bench)
        await close_bar(bench, 0)
        assert reader.bars() == [0]

    on_bench(reads)()


def test_clocks_apart_by_as_much_as_a_bar_is_waited_for_block_entries() -> None:
    """As shipped: else a bar would be asked for before it has ended, with entries allowed."""
    assert read_settings([packaged_config_dir()], environ={}).settings.health.skew_ms_max < LATE_MS


def test_history_that_cannot_be_read_is_an_error() -> None:
    async def reads(bench: Bench) -> None:
        bench.server.answers["GET /fapi/v1/klines"] = {"not": "rows"}
        with pytest.raises(VenueError):
            await bench.feed.history("BTCUSDT", "1m", START_MS - MINUTE_MS, START_MS)

    on_bench(reads)()


def test_a_silent_connection_that_answers_pings_is_opened_anew() -> None:
    async def silent(bench: Bench) -> None:
        reader = await opened(bench)
        await bench.settle(90.0)
        assert reader.states()[:2] == [True, False]
        assert len(bench.server.connected) > 2

    on_bench(silent)()


def test_frames_that_cannot_be_read_are_counted_and_harm_nothing() -> None:
    async def breaks(bench: Bench) -> None:
        reader = await opened(bench)
        bad: list[object] = [{"e": "kline"}, {"e": "kline", "k": {"x": True}}, [], {"s": "BTCUSDT"}]
        for frame in bad:
            await bench.server.push("market", frame)
            await bench.server.push("public", frame)
        await bench.server.push("public", quote_frame(START_MS, 99.0, 101.0))
        await close_bar(bench, 0)
        assert bench.feed.unreadable >= 4
        assert (reader.bars(), len(reader.quotes())) == ([0], 1)

    on_bench(breaks)()


def final_frame(open_time_ms: int) -> dict[str, Any]:
    return kline_frame(make_bars(open_time_ms, 1)[0])


@pytest.mark.parametrize("off_ms", [MINUTE_MS, 1440 * MINUTE_MS, 30_000])
def test_a_final_frame_that_cannot_be_one_is_left_and_the_bars_go_on(off_ms: int) -> None:
    """Dated a minute ahead, a day ahead, between two bars; each of them twice."""

    async def goes_wrong(bench: Bench) -> None:
        reader = await opened(bench)
        await close_bar(bench, 0)
        for _ in range(2):
            await bench.server.push("market", final_frame(START_MS + MINUTE_MS + off_ms))
        for minute in range(1, 5):
            await close_bar(bench, minute)
        assert reader.bars() == [0, 1, 2, 3, 4]
        assert bench.feed.unreadable == 2

    on_bench(goes_wrong)()


def test_a_row_of_rest_between_two_bars_is_left() -> None:
    async def goes_wrong(bench: Bench) -> None:
        reader = await opened(bench)
        klines = bench.server.answers["GET /fapi/v1/klines"]

        def shifted(params: dict[str, str]) -> list[Any]:
            rows: list[Any] = klines(params)
            return [[row[0] + 30_000, *row[1:]] for row in rows] + rows

        bench.server.answers["GET /fapi/v1/klines"] = shifted
        await bench.settle(70.0)
        for minute in (1, 2):
            await close_bar(bench, minute)
        assert reader.bars() == [0, 1, 2]

    on_bench(goes_wrong)()


def test_a_clock_of_ours_that_is_slow_refuses_no_bars() -> None:
    """40 s, more than half a bar: the quotes tell the venue's time."""

    async def closes(bench: Bench) -> None:
        on_a_clock_ahead(bench, -40_000)
        reader = await opened(bench)
        for minute in range(3):
            due_ms = START_MS + (minute + 1) * MINUTE_MS
            await bench.settle((due_ms - 1_000 - bench.clock.now_ms()) / 1000)
            for number in range(2):
                frame = quote_frame(bench.clock.now_ms() + number, 99.0, 101.0)
                await bench.server.push("public", frame)
            await close_bar(bench, minute)
        assert reader.bars()[-3:] == [0, 1, 2]
        assert bench.feed.unreadable == 0
        assert reader.quotes()[-1].time_ms > START_MS + 2 * MINUTE_MS
        await bench.feed.close()

    on_bench(closes)()


def test_a_quote_of_tomorrow_is_left_and_the_quotes_go_on() -> None:
    async def goes_wrong(bench: Bench) -> None:
        reader = await opened(bench)
        await bench.server.push("public", quote_frame(START_MS + 1440 * MINUTE_MS, 1.0, 2.0))
        await bench.server.push("public", quote_frame(START_MS + 10, 99.0, 101.0))
        await bench.settle()
        assert [each.bid for each in reader.quotes()] == [99.0]
        assert bench.feed.unreadable == 1

    on_bench(goes_wrong)()


@pytest.mark.parametrize(("later_ms", "speed"), [(100, 1), (300_000, 1), (1_000, 60)])
def test_quotes_that_agree_on_another_time_are_taken(later_ms: int, speed: int) -> None:
    """Our clock is the one that is off, or the venue's in fast motion, and health has to see it."""
    book = QuoteBook("BTCUSDT", MINUTE_MS)
    with pytest.raises(ValueError, match="dated"):
        book.add((100.0, 101.0, 1.0, 1.0, 90_000, 500))
    time_ms = 90_000 + later_ms * speed
    book.add((100.0, 101.0, 1.0, 1.0, time_ms, 500 + later_ms))
    quote = book.take()
    assert quote is not None
    assert quote.time_ms == time_ms


def test_quotes_and_means_go_on_after_two_of_tomorrow() -> None:
    """The same frame twice is taken the second time, and the next one shows that it was wrong."""
    book = QuoteBook("BTCUSDT", MINUTE_MS)
    with pytest.raises(ValueError, match="dated"):
        book.add((1.0, 2.0, 9.0, 9.0, 86_400_000, 500))
    book.add((1.0, 2.0, 9.0, 9.0, 86_400_000, 500))
    for minute in range(3):
        book.add((100.0, 101.0, 1.0, 2.0, minute * MINUTE_MS + 600, minute * MINUTE_MS + 600))
    quote = book.take()
    assert quote is not None
    assert quote.bid == 100.0
    assert book.means(MINUTE_MS)[:2] == (1.0, 2.0)
    assert book.means(2 * MINUTE_MS)[:2] == (1.0, 2.0)


@on_bench
async def test_the_venue_s_clock_can_be_asked_before_anything_is_subscribed(bench: Bench) -> None:
    """A paper session is dated by the market, whose exchange has no other time."""
    bench.server.answers["GET /fapi/v1/time"] = {"serverTime": START_MS + 7_000}
    assert await bench.feed.time_ms() == START_MS + 7_000


def test_other_symbols_and_timeframes_are_none_of_ours() -> None:
    async def others(bench: Bench) -> None:
        reader = await opened(bench)
        bar = make_bars(START_MS, 1)[0]
        await bench.server.push("market", kline_frame(bar, symbol="XRPUSDT"))
        await bench.server.push("public", {**quote_frame(START_MS, 1.0, 2.0), "s": "XRPUSDT"})
        await bench.settle()
        assert reader.bars() == []
        assert reader.quotes() == []
        frame = kline_frame(bar)
        frame["k"]["i"] = "5m"
        assert read_kline(frame, "1m") is None

    on_bench(others)()


def test_two_streams_down_at_once_are_one_piece_of_news() -> None:
    async def loses(bench: Bench) -> None:
        reader = await opened(bench)
        for kind in ("market", "public"):
            for socket in list(bench.server.sockets[kind]):
                await socket.close(code=1012)
        await bench.settle(5.0)
        assert reader.states() == [True, False, True]

    on_bench(loses)()


def test_items_end_with_close() -> None:
    async def closes(bench: Bench) -> None:
        reader = await opened(bench)
        await bench.feed.close()
        await bench.settle()
        assert reader.task.done()

    on_bench(closes)()


def test_other_venues_have_no_feed_yet() -> None:
    async def asks(bench: Bench) -> None:
        with pytest.raises(UserError, match="bybit"):
            CcxtFeed("bybit-linear", bench.feed._settings, bench.governor, bench.clock)

    on_bench(asks)()


# --- the line of bars ---


def bar(minute: int, received_ms: int = 0) -> FeedBar:
    return FeedBar("BTCUSDT", make_bars(minute * MINUTE_MS, 1), received_ms)


def minutes(items: list[FeedBar]) -> list[int]:
    return [int(each.bar["open_time"][0]) // MINUTE_MS for each in items]


def test_the_line_begins_with_the_bar_that_runs() -> None:
    line = BarLine("BTCUSDT", MINUTE_MS, 5 * MINUTE_MS + 30_000)
    line.add(bar(4))
    assert line.take(6 * MINUTE_MS) == []
    line.add(bar(5))
    assert minutes(line.take(6 * MINUTE_MS)) == [5]


def test_the_line_puts_bars_in_order() -> None:
    line = BarLine("BTCUSDT", MINUTE_MS, 0)
    for minute in (2, 0, 1, 1):
        line.add(bar(minute))
    assert minutes(line.take(0)) == [0, 1, 2]
    assert line.missing(3 * MINUTE_MS) is None


def test_the_line_knows_what_is_missing() -> None:
    line = BarLine("BTCUSDT", MINUTE_MS, 0)
    assert line.missing(MINUTE_MS + 1499) is None
    assert line.missing(MINUTE_MS + 1500) == (0, MINUTE_MS)
    line.add(bar(3, 4 * MINUTE_MS))
    assert line.missing(4 * MINUTE_MS) == (0, 3 * MINUTE_MS)


def test_bars_that_rest_passes_over_are_waited_for_2_seconds() -> None:
    line = BarLine("BTCUSDT", MINUTE_MS, 0)
    line.add(bar(3, 4 * MINUTE_MS))
    line.add(bar(1, 4 * MINUTE_MS + 500))
    line.note_rest(3 * MINUTE_MS)
    assert line.take(4 * MINUTE_MS + 1999) == []
    assert minutes(line.take(4 * MINUTE_MS + 2000)) == [1, 3]
    assert line.trouble == ""


def test_bars_of_which_rest_tells_nothing_are_waited_for_5_minutes() -> None:
    """That REST knows minute 1 tells nothing of minute 2."""
    line = BarLine("BTCUSDT", MINUTE_MS, 0)
    for minute in (0, 1, 3):
        line.add(bar(minute, 4 * MINUTE_MS))
    line.note_rest(MINUTE_MS)
    assert minutes(line.take(4 * MINUTE_MS)) == [0, 1]
    assert "bars are missing" in line.trouble
    assert line.take(9 * MINUTE_MS - 1) == []
    assert minutes(line.take(9 * MINUTE_MS)) == [3]
    assert "until a new start" in line.trouble
