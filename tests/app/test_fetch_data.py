"""What a fetch asks for, in which order, and what is stored whatever happens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable

import numpy as np
import pytest
from tests.fakes import (
    CountingProgress,
    MemoryBarStore,
    MemorySource,
    bars_without,
    make_bars,
    same_bars,
)

from tercel.adapters.clock import VirtualClock
from tercel.app.fetch_data import BarSources, Fetcher, missing_bars, plan
from tercel.app.patience import Patience, TryAgainError, parse_retry_after
from tercel.core.records import Records
from tercel.domain.bars import Gap, SeriesKey
from tercel.domain.errors import ConfigError, DataError, StorageError, UserError, VenueError
from tercel.domain.fetch_policy import FetchPolicy, SourceChoice
from tercel.domain.periods import Period, day_of, join, month_of, periods_of, span, subtract
from tercel.domain.times import DAY_MS, HOUR_MS, parse_time

KEY = SeriesKey("binance-usdm", "BTCUSDT", "1h")
ETH = SeriesKey("binance-usdm", "ETHUSDT", "1h")
SINCE = parse_time("2024-01-01")
NOW = parse_time("2024-04-10T12:00:30")
END = parse_time("2024-04-10T12:00")
ALL = make_bars(SINCE, (END - SINCE) // HOUR_MS, HOUR_MS)


def at(text: str) -> int:
    return parse_time(text)


def hours(start: str, end: str) -> Gap:
    return span(at(start), at(end), HOUR_MS)


def fetcher(
    store: MemoryBarStore,
    archive: MemorySource | None = None,
    rest: MemorySource | None = None,
) -> Fetcher:
    return Fetcher(store, BarSources(archive, rest), VirtualClock(NOW), CountingProgress())


# ---- the plan


@pytest.mark.parametrize(
    ("missing", "files", "tail"),
    [
        (
            [("2024-02-01", "2024-04-03T05:00")],
            "2024-02 2024-03 2024-04-01 2024-04-02 2024-04-03",
            [],
        ),
        ([("2024-03-20", "2024-03-26")], " ".join(f"2024-03-{day}" for day in range(20, 26)), []),
        ([("2024-03-20", "2024-03-30")], "2024-03", []),
        (
            [("2024-04-09T10:00", "2024-04-10T12:00")],
            "2024-04-09",
            [("2024-04-10", "2024-04-10T12:00")],
        ),
        ([("2024-04-10", "2024-04-10T12:00")], "", [("2024-04-10", "2024-04-10T12:00")]),
        (
            [("2024-01-05T03:00", "2024-01-05T05:00"), ("2024-01-05T09:00", "2024-01-06T01:00")],
            "2024-01-05 2024-01-06",
            [],
        ),
    ],
    ids=[
        "whole months, then days of the month that is not over",
        "a few days of a month are fetched as days",
        "more than a week is fetched as a month",
        "a day that is not over is left to REST",
        "today alone needs no archive",
        "two gaps in a day need that day once",
    ],
)
def test_plan(missing: list[tuple[str, str]], files: str, tail: list[tuple[str, str]]) -> None:
    made = plan(KEY, [hours(*one) for one in missing], now_ms=NOW)
    assert [file.label for file in made.files] == files.split()
    assert list(made.tail) == [hours(*one) for one in tail]


def test_plan_skips_what_the_archive_does_not_have() -> None:
    """Listed in March: January and February are known to be empty; REST is asked all the same."""
    absent = [hours("2024-01-01", "2024-03-01"), hours("2024-03-20T02:00", "2024-03-20T04:00")]
    made = plan(KEY, [hours("2024-01-01", "2024-04-01")], now_ms=NOW, absent=absent)
    assert [file.label for file in made.files] == ["2024-03"]
    assert list(made.tail) == [hours("2024-01-01", "2024-03-01")]
    assert plan(KEY, absent, now_ms=NOW, absent=absent).files == ()


def test_plan_splits_a_month_that_was_asked_for_into_days() -> None:
    march = month_of(at("2024-03-01"))
    made = plan(KEY, [hours("2024-03-01", "2024-03-20")], now_ms=NOW, asked=[march])
    assert [file.label for file in made.files] == [f"2024-03-{day:02}" for day in range(1, 20)]
    again = plan(KEY, [hours("2024-03-01", "2024-03-20")], now_ms=NOW, asked=[march, *made.files])
    assert again.files == ()
    assert list(again.tail) == [hours("2024-03-01", "2024-03-20")]


def test_missing_bars() -> None:
    store = MemoryBarStore()
    start, end = at("2024-03-01"), at("2024-03-03")
    assert missing_bars(store, KEY, start, end) == (span(start, end, HOUR_MS),)
    assert missing_bars(store, KEY, end, start) == ()
    stored = make_bars(start + 4 * HOUR_MS, 20, HOUR_MS)
    hole = (start + 6 * HOUR_MS, start + 9 * HOUR_MS)
    store.merge(KEY, bars_without(stored, [hole]), source="test")
    assert missing_bars(store, KEY, start, end) == (
        Gap(start, start + 4 * HOUR_MS, 4),
        Gap(*hole, 3),
        Gap(start + DAY_MS, end, 24),
    )
    assert missing_bars(store, KEY, hole[1], start + DAY_MS) == ()


# ---- calendar and spans


def test_periods() -> None:
    assert month_of(at("2024-02-29T23:59")) == Period(at("2024-02-01"), at("2024-03-01"))
    assert month_of(at("2023-12-31")) == Period(at("2023-12-01"), at("2024-01-01"))
    assert day_of(at("2024-02-29T23:59")).label == "2024-02-29"
    labels = [one.label for one in periods_of(at("2024-01-30T12:00"), at("2024-03-02"))]
    assert labels == ["2024-01-30", "2024-01-31", "2024-02", "2024-03-01"]


def test_arithmetic_of_spans() -> None:
    whole = [Gap(0, 10, 10)]
    assert subtract(whole, [Gap(2, 4, 2), Gap(8, 20, 12)], 1) == (Gap(0, 2, 2), Gap(4, 8, 4))
    assert subtract(whole, [Gap(0, 10, 10)], 1) == ()
    assert subtract(whole, [Gap(10, 12, 2)], 1) == (Gap(0, 10, 10),)
    assert join([Gap(5, 6, 1), Gap(0, 3, 3), Gap(2, 5, 3), Gap(8, 9, 1)], 1) == (
        Gap(0, 6, 6),
        Gap(8, 9, 1),
    )


# ---- fetching


async def test_archives_first_then_rest() -> None:
    store, progress = MemoryBarStore(), CountingProgress()
    archive, rest = MemorySource(ALL), MemorySource(ALL, name="rest", page_bars=5)
    job = Fetcher(store, BarSources(archive, rest), VirtualClock(NOW), progress)
    report = await job.fetch_series(KEY, SINCE, NOW)
    assert same_bars(store.series[KEY], ALL)
    assert report.from_archive.added == len(ALL) - 12
    assert report.from_rest.added == 12
    assert report.gaps == ()
    assert store.sources == ["memory"] * (3 + 9) + ["rest"] * 3
    assert [(start, end) for _, start, end in rest.asked] == [(END - 12 * HOUR_MS, END)]
    assert progress.done == len(ALL)


async def test_only_bars_of_the_range_are_stored() -> None:
    store = MemoryBarStore()
    start, end = at("2024-02-05T01:30"), at("2024-02-25T02:30")
    await fetcher(store, MemorySource(ALL)).fetch_series(KEY, start, end)
    times = store.series[KEY]["open_time"]
    assert (times[0], times[-1]) == (at("2024-02-05T02:00"), at("2024-02-25T02:00"))


async def test_a_file_without_bars_of_the_range_stores_nothing() -> None:
    store = MemoryBarStore()
    start, end = at("2024-02-05"), at("2024-02-25")
    archive = MemorySource(bars_without(ALL, [(start, end)]))
    with pytest.raises(DataError, match="no bars between"):
        await fetcher(store, archive).fetch_series(KEY, start, end)
    assert store.sources == []


async def test_a_second_run_asks_for_nothing() -> None:
    store = MemoryBarStore()
    await fetcher(store, MemorySource(ALL), MemorySource(ALL)).fetch_series(KEY, SINCE, NOW)
    archive, rest = MemorySource(ALL), MemorySource(ALL)
    report = await fetcher(store, archive, rest).fetch_series(KEY, SINCE, NOW)
    assert archive.asked == rest.asked == []
    assert report.merged.added == 0


async def test_only_what_is_missing_is_asked_for() -> None:
    store = MemoryBarStore()
    gap = (at("2024-02-10T05:00"), at("2024-02-10T09:00"))
    store.merge(KEY, bars_without(ALL, [gap]), source="import")
    archive = MemorySource(ALL)
    report = await fetcher(store, archive).fetch_series(KEY, SINCE, NOW)
    assert [(start, end) for _, start, end in archive.asked] == [
        (at("2024-02-10"), at("2024-02-11"))
    ]
    assert report.merged.added == 4


async def test_a_month_not_yet_published_comes_by_day() -> None:
    """March is asked for as a month, is not there, and is then asked for day by day."""

    class NoMarch(MemorySource):
        async def fetch(
            self, key: SeriesKey, start_ms: int, end_ms: int
        ) -> AsyncGenerator[Records, None]:
            if (start_ms, end_ms) == (at("2024-03-01"), at("2024-04-01")):
                return
            async for bars in super().fetch(key, start_ms, end_ms):
                yield bars

    store = MemoryBarStore()
    report = await fetcher(store, NoMarch(ALL)).fetch_series(KEY, SINCE, at("2024-04-01"))
    assert report.unpublished == ("2024-03",)
    assert report.gaps == ()


async def test_without_rest_the_rest_is_missing() -> None:
    store = MemoryBarStore()
    report = await fetcher(store, MemorySource(ALL)).fetch_series(KEY, SINCE, NOW)
    assert report.gaps == (Gap(END - 12 * HOUR_MS, END, 12),)


async def test_without_archive_rest_does_it_all() -> None:
    store, rest = MemoryBarStore(), MemorySource(ALL, page_bars=500)
    report = await fetcher(store, None, rest).fetch_series(KEY, SINCE, NOW)
    assert report.from_rest.added == len(ALL)
    assert len(rest.asked) == 1


async def test_nothing_at_all_is_an_error() -> None:
    job = fetcher(MemoryBarStore(), MemorySource(ALL[:0], name="the archive"))
    with pytest.raises(
        DataError, match=r"no bars between 2024-01-01 00:00 and .* from the archive"
    ):
        await job.fetch_series(KEY, SINCE, NOW)
    with pytest.raises(DataError, match="from no source"):
        await fetcher(MemoryBarStore()).fetch_series(KEY, SINCE, NOW)


async def test_the_future_is_an_error() -> None:
    with pytest.raises(UserError, match=r"no closed bar between .* the time is 2024-04-10 12:00"):
        await fetcher(MemoryBarStore()).fetch_many([KEY], NOW, NOW + DAY_MS)


# ---- several series, and trouble


async def test_several_series_side_by_side() -> None:
    keys = [SeriesKey("binance-usdm", f"S{i}USDT", "1h") for i in range(6)]
    store, progress, source = MemoryBarStore(), CountingProgress(), MemorySource(ALL)
    job = Fetcher(store, BarSources(source), VirtualClock(NOW), progress)
    outcome = await job.fetch_many(keys, SINCE, at("2024-04-01"))
    assert [report.key for report in outcome.reports] == keys
    assert progress.total == progress.done == 6 * (at("2024-04-01") - SINCE) / HOUR_MS
    await job.sources.close()
    assert source.closed == 1
    # The first months of several series were asked for before the last month of any.
    first = [key for key, start, _ in source.asked if start == SINCE]
    assert len(set(first[:4])) == 4


async def test_one_series_fails_and_the_others_go_on() -> None:
    store, rest = MemoryBarStore(), MemorySource(ALL)
    rest.failures["BTCUSDT"] = UserError("binance does not know BTCUSDT")
    outcome = await fetcher(store, None, rest).fetch_many([KEY, ETH], SINCE, NOW)
    assert [report.key for report in outcome.reports] == [ETH]
    assert [str(error) for error in outcome.errors] == ["binance does not know BTCUSDT"]


async def test_an_unreachable_venue_stops_all_and_names_what_is_saved() -> None:
    store, archive, rest = MemoryBarStore(), MemorySource(ALL), MemorySource(ALL)
    rest.failures["BTCUSDT"] = VenueError("klines: gave up after 6 tries: connection refused")
    job = fetcher(store, archive, rest)
    with pytest.raises(VenueError) as caught:
        await job.fetch_many([KEY], SINCE, NOW)
    assert str(caught.value) == (
        "klines: gave up after 6 tries: connection refused (saved: BTCUSDT 2,412 bars; "
        "running the same command again resumes there)"
    )
    assert len(store.series[KEY]) == 2412


async def test_an_unreachable_venue_before_anything_was_saved() -> None:
    archive = MemorySource(ALL[:0])
    archive.failures["BTCUSDT"] = VenueError("refused")
    with pytest.raises(VenueError, match="nothing was saved"):
        await fetcher(MemoryBarStore(), archive).fetch_many([KEY, ETH], SINCE, NOW)


async def test_a_store_that_fails_stops_the_files_behind_it() -> None:
    store, archive = MemoryBarStore(), MemorySource(ALL)
    store.fail_after, store.failure = 2, StorageError("disk full")
    with pytest.raises(StorageError, match=r"disk full \(saved: BTCUSDT 1,440 bars"):
        await fetcher(store, archive).fetch_many([KEY], SINCE, NOW)
    assert len(store.series[KEY]) == 31 * 24 + 29 * 24


async def test_cancelled_midway_keeps_what_is_stored() -> None:
    """Ctrl-C: months stored stay; the next run begins behind them."""

    class Endless(MemorySource):
        async def fetch(
            self, key: SeriesKey, start_ms: int, end_ms: int
        ) -> AsyncGenerator[Records, None]:
            if start_ms >= at("2024-02-01"):
                await asyncio.Event().wait()
            async for bars in super().fetch(key, start_ms, end_ms):
                yield bars

    store = MemoryBarStore()
    job = fetcher(store, Endless(ALL))
    task = asyncio.create_task(job.fetch_many([KEY], SINCE, NOW))
    clock = VirtualClock()
    while KEY not in store.series:
        await clock.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert job.describe_saved().startswith("saved: BTCUSDT 744 bars; running the same command")
    again = MemorySource(ALL)
    await fetcher(store, again).fetch_series(KEY, SINCE, NOW)
    assert min(start for _, start, _ in again.asked) == at("2024-02-01")


# ---- patience and policy


async def never_now() -> str:
    raise TryAgainError("not now")


async def test_waits_double_and_are_the_same_for_the_same_seed() -> None:
    policy = FetchPolicy(retries=6, backoff_seconds_max=8.0, backoff_seconds_first=1.0)
    waited = []
    for seed in (7, 7, 8):
        clock = VirtualClock(0)
        with pytest.raises(VenueError, match="the file: gave up after 7 tries: not now"):
            await Patience(policy, clock, seed=seed).keep_trying("the file", never_now)
        waited.append(clock.now_ms())
    assert waited[0] == waited[1] != waited[2]
    assert 31_000 / 2 <= waited[0] <= 31_000


async def test_who_is_told_to_wait_makes_everyone_wait() -> None:
    clock = VirtualClock(0)
    patience = Patience(FetchPolicy(), clock)
    answers: list[Callable[[], Awaitable[str]]] = []

    async def later() -> str:
        if not answers:
            answers.append(later)
            raise TryAgainError("slow down", 60.0)
        return "now"

    assert await patience.keep_trying("the file", later) == "now"
    before = clock.now_ms()
    await patience.turn()
    assert clock.now_ms() >= before >= 60_000


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("120", 120.0),
        (" 1.5 ", 1.5),
        ("-3", 0.0),
        ("Thu, 01 Jan 1970 00:01:40 GMT", 90.0),
        ("Thu, 01 Jan 1970 00:00:01", 0.0),
        ("soon", None),
        ("", None),
        (None, None),
    ],
)
def test_retry_after(header: str | None, seconds: float | None) -> None:
    assert parse_retry_after(header, now_ms=10_000) == seconds


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("retries", -1),
        ("requests_per_second", 0.0),
        ("timeout_seconds", float("nan")),
        ("downloads_max", 0),
        ("archive_url", "data.binance.vision"),
    ],
)
def test_a_policy_without_sense_is_refused(name: str, value: object) -> None:
    with pytest.raises(ConfigError, match=f"fetch.{name}"):
        FetchPolicy(**{name: value})  # type: ignore[arg-type]


def test_a_choice_overrides_addresses() -> None:
    policy = FetchPolicy(rest_url="http://one")
    chosen = policy.chosen(SourceChoice(archive_url="http://mirror"))
    assert (chosen.archive_url, chosen.rest_url) == ("http://mirror", "http://one")


def test_the_bars_of_these_tests_are_valid() -> None:
    assert np.all(ALL["low"] <= ALL["open"])
    assert np.all(ALL["high"] >= ALL["close"])
    assert np.all(ALL["taker_buy_volume"] <= ALL["volume"])
