"""Feed health as tables: what came in, when, and whether an entry may be made on it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.fakes import make_bars

from tercel.app.live.health import FeedHealth, bars_of
from tercel.app.ports import FeedBar, FeedQuote
from tercel.domain.events import FeedNews, Quote
from tercel.domain.live_settings import HealthSettings

MINUTE_MS = 60_000
START_MS = 1_700_000_040_000
SETTINGS = HealthSettings(
    quote_age_ms_max=5000,
    bar_overdue_ms_max=30_000,
    skew_ms_max=2000,
    bar_quote_bps_max=50.0,
    recover_ms=5000,
)


def bar(number: int, *, late_ms: int = 100, close: float = 100.0) -> FeedBar:
    """The bar that opens `number` minutes after the start."""
    made = make_bars(START_MS + number * MINUTE_MS, 1)
    made["close"] = close
    closed_ms = START_MS + (number + 1) * MINUTE_MS
    return FeedBar("BTCUSDT", made, closed_ms + late_ms)


def quote(now_ms: int, *, bid: float = 99.9, ask: float = 100.1, skew_ms: int = 0) -> FeedQuote:
    return FeedQuote("BTCUSDT", bid, ask, 1.0, 1.0, now_ms + skew_ms, now_ms)


class Bench:
    """A feed that was healthy for two bars; `now_ms` is a moment after the second."""

    def __init__(self) -> None:
        self.health = FeedHealth(["BTCUSDT"], MINUTE_MS, SETTINGS, 3000, START_MS)
        self.health.on_bar(bar(0))
        self.health.on_bar(bar(1))
        self.now_ms = START_MS + 2 * MINUTE_MS + 200
        self.health.on_quote(quote(self.now_ms))

    def trouble(self, after_ms: int = 0) -> str:
        return self.health.view("BTCUSDT", self.now_ms + after_ms).trouble


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_a_healthy_feed_tells_bid_ask_and_how_late_the_bar_was(bench: Bench) -> None:
    view = bench.health.view("BTCUSDT", bench.now_ms)
    assert (view.bid, view.ask, view.late_ms, view.trouble) == (99.9, 100.1, 100, "")


@pytest.mark.parametrize(("age_ms", "is_stale"), [(3000, False), (3001, True)])
def test_ensure_fresh_a_bar_older_than_3_seconds_is_stale(
    bench: Bench, age_ms: int, is_stale: bool
) -> None:
    closed_ms = START_MS + 2 * MINUTE_MS
    view = bench.health.view("BTCUSDT", closed_ms + age_ms)
    assert view.trouble.startswith("stale") == is_stale


def test_quotes_that_stop_make_it_stale(bench: Bench) -> None:
    assert bench.health.trouble("BTCUSDT", bench.now_ms + 5000) == ""
    assert bench.health.trouble("BTCUSDT", bench.now_ms + 5001).startswith("stale: no quote")


@pytest.mark.parametrize("minutes", [1, 5, 15, 60, 1440])
def test_a_bar_that_is_overdue_makes_it_stale(minutes: int) -> None:
    """Healthy up to 30 s after the next close was due, on every timeframe."""
    bar_ms = minutes * MINUTE_MS
    health = FeedHealth(["BTCUSDT"], bar_ms, SETTINGS, 3000, START_MS)
    health.on_bar(FeedBar("BTCUSDT", make_bars(START_MS, 1), START_MS + bar_ms + 100))
    due_ms = START_MS + 2 * bar_ms
    health.on_quote(quote(due_ms + 30_000))
    assert health.trouble("BTCUSDT", due_ms + 30_000) == ""
    assert health.trouble("BTCUSDT", due_ms + 30_001).startswith("stale: no closed bar")


@pytest.mark.parametrize("ask", [99.9, 99.8])
def test_a_crossed_or_locked_book_is_not_believed(bench: Bench, ask: float) -> None:
    bench.health.on_quote(quote(bench.now_ms, bid=99.9, ask=ask))
    assert bench.trouble().startswith("crossed book")


def test_a_book_that_was_crossed_a_moment_ago_is_not_believed_yet(bench: Bench) -> None:
    """Trusted again 5,000 ms after the last crossed quote."""
    bench.health.on_quote(quote(bench.now_ms, bid=101.0, ask=100.0))
    bench.health.on_quote(quote(bench.now_ms + 1))
    assert bench.health.trouble("BTCUSDT", bench.now_ms + 100).startswith("recovering")
    assert bench.health.trouble("BTCUSDT", bench.now_ms + 5000) == ""


@pytest.mark.parametrize("skew_ms", [-2001, 2001, 11_491_874])
def test_quotes_dated_far_from_our_clock_are_skewed(bench: Bench, skew_ms: int) -> None:
    health = FeedHealth(["BTCUSDT"], MINUTE_MS, SETTINGS, 3000, START_MS)
    health.on_bar(bar(1))
    health.on_quote(quote(bench.now_ms, skew_ms=skew_ms))
    trouble = health.trouble("BTCUSDT", bench.now_ms)
    assert trouble.startswith("clock skew")
    assert ("--speed" in trouble) == (abs(skew_ms) > 60_000)


def test_a_close_far_from_the_quotes_is_wrong(bench: Bench) -> None:
    """Mid 100: a close of 100.51 is 51 bps away, one of 100.49 is not too far."""
    health = FeedHealth(["BTCUSDT"], MINUTE_MS, SETTINGS, 3000, START_MS)
    health.on_quote(quote(bench.now_ms))
    health.on_bar(bar(1, close=100.49))
    assert health.trouble("BTCUSDT", bench.now_ms) == ""
    far = FeedHealth(["BTCUSDT"], MINUTE_MS, SETTINGS, 3000, START_MS)
    far.on_quote(quote(bench.now_ms))
    far.on_bar(bar(1, close=100.51))
    assert far.trouble("BTCUSDT", bench.now_ms).startswith("bar against quote")


def test_a_bar_is_not_held_against_quotes_of_much_later(bench: Bench) -> None:
    later_ms = bench.now_ms + 20_000
    bench.health.on_quote(quote(later_ms, bid=110.0, ask=110.1))
    assert bench.health.trouble("BTCUSDT", later_ms) == ""


def test_a_missing_bar_is_a_gap_until_the_feed_has_recovered(bench: Bench) -> None:
    bench.health.on_bar(bar(4))
    now_ms = START_MS + 5 * MINUTE_MS + 150
    bench.health.on_quote(quote(now_ms))
    assert "gap: 2 bars missing" in bench.health.view("BTCUSDT", now_ms).trouble
    bench.health.on_bar(bar(5))
    bench.health.on_quote(quote(now_ms + MINUTE_MS))
    assert bench.health.view("BTCUSDT", now_ms + MINUTE_MS).trouble == ""


def test_a_bar_told_twice_changes_nothing(bench: Bench) -> None:
    bench.health.on_bar(replace(bar(0), received_ms=bench.now_ms))
    assert bench.health.view("BTCUSDT", bench.now_ms).late_ms == 100


def test_a_bar_of_tomorrow_is_wrong_until_a_right_one_comes(bench: Bench) -> None:
    """Ten minutes later it still is: without another bar nothing is known of the market."""
    wrong = replace(bar(1440), received_ms=bench.now_ms)
    bench.health.on_bar(wrong)
    for after_ms in (0, 10 * MINUTE_MS):
        bench.health.on_quote(quote(bench.now_ms + after_ms))
        assert bench.trouble(after_ms).startswith("clock skew: the last bar ends")
    bench.health.on_bar(bar(12))
    now_ms = START_MS + 13 * MINUTE_MS + 5_200
    bench.health.on_quote(quote(now_ms))
    assert bench.health.trouble("BTCUSDT", now_ms) == ""
    assert bench.health.view("BTCUSDT", now_ms).late_ms == 100


def test_a_quote_of_tomorrow_is_skew_until_the_next_comes(bench: Bench) -> None:
    bench.health.on_quote(quote(bench.now_ms, skew_ms=1440 * MINUTE_MS))
    assert bench.trouble().startswith("clock skew")
    bench.health.on_quote(quote(bench.now_ms + 6000))
    assert bench.health.trouble("BTCUSDT", bench.now_ms + 6000) == ""


def test_an_older_quote_changes_nothing(bench: Bench) -> None:
    bench.health.on_quote(quote(bench.now_ms - 50, bid=1.0, ask=2.0))
    assert bench.health.view("BTCUSDT", bench.now_ms).bid == 99.9


def test_nothing_is_known_before_the_first_quote() -> None:
    health = FeedHealth(["BTCUSDT"], MINUTE_MS, SETTINGS, 3000, START_MS)
    assert health.trouble("BTCUSDT", START_MS + 10) == "no quote yet"


def test_a_market_stream_that_is_down_blocks_and_others_do_not(bench: Bench) -> None:
    bench.health.on_news(FeedNews(0, "user", False, "closed"), bench.now_ms)
    assert bench.trouble() == ""
    bench.health.on_news(FeedNews(0, "market", False, "closed 1006"), bench.now_ms)
    assert bench.trouble() == "market stream down: closed 1006"
    bench.health.on_news(FeedNews(0, "market", True), bench.now_ms + 1000)
    assert bench.trouble(1000).startswith("recovering")
    bench.health.on_quote(quote(bench.now_ms + 6001))
    assert bench.health.trouble("BTCUSDT", bench.now_ms + 6001) == ""


def test_a_symbol_that_lacks_bars_is_blocked_until_it_has_recovered_from_that(
    bench: Bench,
) -> None:
    told = FeedNews(0, bars_of("BTCUSDT"), False, "bars are missing")
    bench.health.on_news(told, bench.now_ms)
    assert bench.trouble() == "bars are missing"
    bench.health.on_news(FeedNews(0, bars_of("BTCUSDT"), True), bench.now_ms + 2000)
    assert bench.health.trouble("BTCUSDT", bench.now_ms + 2000).startswith("recovering")
    bench.health.on_quote(quote(bench.now_ms + 7000))
    assert bench.health.trouble("BTCUSDT", bench.now_ms + 6999).startswith("recovering")
    assert bench.health.trouble("BTCUSDT", bench.now_ms + 7000) == ""


def test_a_market_stream_that_comes_back_does_not_bring_missing_bars(bench: Bench) -> None:
    told = FeedNews(0, bars_of("BTCUSDT"), False, "bars not got: 1")
    bench.health.on_news(told, bench.now_ms)
    bench.health.on_news(FeedNews(0, "market", True), bench.now_ms)
    bench.health.on_quote(quote(bench.now_ms + 30_000))
    assert bench.health.trouble("BTCUSDT", bench.now_ms + 30_000) == "bars not got: 1"


def test_each_change_is_told_once(bench: Bench) -> None:
    assert bench.health.changes(bench.now_ms) == []
    bench.health.on_quote(quote(bench.now_ms, bid=101.0, ask=100.0))
    [down] = bench.health.changes(bench.now_ms)
    assert (down.symbol, down.is_up, down.detail != "") == ("BTCUSDT", False, True)
    assert bench.health.changes(bench.now_ms + 1) == []
    bench.health.on_quote(quote(bench.now_ms + 5100))
    [up] = bench.health.changes(bench.now_ms + 5100)
    assert (up.is_up, up.detail) == (True, "")


def test_quotes_are_told_of_healthy_feeds_alone(bench: Bench) -> None:
    assert bench.health.quotes(["BTCUSDT"], bench.now_ms) == (Quote("BTCUSDT", 99.9, 100.1),)
    assert bench.health.quotes([], bench.now_ms) == ()
    assert bench.health.quotes(["BTCUSDT"], bench.now_ms + 5001) == ()
    crossed = bench.now_ms + 6000
    bench.health.on_quote(quote(crossed, bid=100.2, ask=100.1))
    assert bench.health.quotes(["BTCUSDT"], crossed) == ()


def test_one_that_is_watched_beside_brings_bars_alone(bench: Bench) -> None:
    """Whose bars stop is told, as of any other; quotes of it never come."""
    health = bench.health
    health.watch_beside("ETHUSDT", START_MS)
    health.on_bar(replace(bar(1), symbol="ETHUSDT"))
    assert health.changes(bench.now_ms) == []
    later_ms = START_MS + 3 * MINUTE_MS + SETTINGS.bar_overdue_ms_max + 1
    health.on_bar(bar(2))
    health.on_quote(quote(later_ms))
    [change] = health.changes(later_ms)
    assert (change.symbol, change.is_up) == ("ETHUSDT", False)
    assert "no closed bar" in change.detail
