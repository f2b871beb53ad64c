"""Context as of a bar's close: against a loop that looks at every row, and never ahead."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.context_fakes import FEAR, FUNDING, INTEREST, MemoryContextStore, rows
from tests.fakes import MemoryBarStore, make_bars
from tests.market_data import data_root

from tercel import bootstrap
from tercel.adapters.clock import SystemClock
from tercel.adapters.importers import ContextFileReader
from tercel.app.context import ContextRows, as_of, context_rows
from tercel.app.ports import SourceHints
from tercel.core.records import CONTEXT
from tercel.domain.bars import BarSeries, SeriesKey
from tercel.domain.context import ContextKey, ContextSeries
from tercel.domain.times import DAY_MS, HOUR_MS, MINUTE_MS, parse_time

START = parse_time("2024-01-01")
RULES = bootstrap.load_settings().context
KEY = SeriesKey("binance-usdm", "BTCUSDT")
SP500 = ContextKey("sp500", "all", "all", "macro-1h")


class RangedBarStore(MemoryBarStore):
    """A MemoryBarStore that reads ranges, as the lake does."""

    def read(
        self, key: SeriesKey, start_ms: int | None = None, end_ms: int | None = None
    ) -> BarSeries:
        bars = self.series[key]
        times = bars["open_time"]
        keep = (times >= (start_ms or 0)) & (times < (end_ms or 2**62))
        assert keep.any(), "the lake refuses an empty range"
        return BarSeries(key, bars[keep], (), "")


def series_of(
    count: int, key: SeriesKey = KEY, start: int = START, without: tuple[int, ...] = ()
) -> BarSeries:
    """`count` bars of `key` less those numbered in `without`."""
    bars = np.delete(make_bars(start, count, key.bar_ms), list(without))
    return BarSeries(key, bars, (), "")


def joined(bars: BarSeries, *context: ContextSeries) -> ContextRows:
    """What the bars are shown where the lake has them and `context`."""
    store = RangedBarStore()
    store.merge(bars.key, bars.bars, source="test")
    return context_rows(MemoryContextStore(*context), store, bars, RULES)


def naive_as_of(series: ContextSeries, moment: int, age_ms_max: int) -> float:
    """Look at every row."""
    found = math.nan
    for time, value in zip(series.time.tolist(), series.value.tolist(), strict=True):
        if time <= moment:
            found = value if moment - time <= age_ms_max else math.nan
    return found


# ---- as of


def test_by_hand() -> None:
    """Before the first, at it, after it, at the age, too old, at the second."""
    time, value = np.array([100, 200]), np.array([1.0, 2.0])
    moments = np.array([99, 100, 101, 150, 151, 199, 200, 250, 251])
    expected = [np.nan, 1, 1, 1, np.nan, np.nan, 2, 2, np.nan]
    np.testing.assert_array_equal(as_of(time, value, moments, 50), expected)


def test_no_rows_and_no_moments() -> None:
    nothing = np.array([], np.int64)
    assert np.isnan(as_of(nothing, np.array([]), np.array([1, 2]), 50)).all()
    assert len(as_of(np.array([1]), np.array([1.0]), nothing, 50)) == 0


instants = st.lists(st.integers(0, 300), unique=True, max_size=25).map(sorted)


@given(instants, instants, st.integers(0, 60))
@settings(max_examples=200, deadline=None)
def test_it_is_what_a_loop_over_all_rows_finds(
    time: list[int], moments: list[int], age: int
) -> None:
    series = rows(FUNDING, time, [float(n) for n in range(len(time))])
    found = as_of(series.time, series.value, np.array(moments, np.int64), age)
    np.testing.assert_array_equal(found, [naive_as_of(series, m, age) for m in moments])


# ---- joined to bars


@given(
    hours=st.lists(st.integers(-30, 40), unique=True, min_size=1, max_size=12).map(sorted),
    without=st.lists(st.integers(1, 118), unique=True, max_size=40),
    cut=st.integers(0, 12),
)
@settings(max_examples=60, deadline=None)
def test_rows_published_later_change_no_earlier_bar(
    hours: list[int], without: list[int], cut: int
) -> None:
    """The join of the first rows alone and of all: equal up to the first row left out."""
    key = dataclasses.replace(KEY, timeframe="15m")
    bars = series_of(120, key, without=tuple(without))
    closes = bars.bars["open_time"] + key.bar_ms
    every = [
        rows(of, [START + hour * HOUR_MS for hour in hours], [unit * (h + 31) for h in hours])
        for of, unit in ((FUNDING, 1e-5), (INTEREST, 1e6), (FEAR, 1.0), (SP500, 50.0))
    ]
    some = [rows(one.key, one.time[:cut].tolist(), one.value[:cut].tolist()) for one in every]
    whole, early = joined(bars, *every).rows, joined(bars, *some).rows
    known = closes < every[0].time[cut] if cut < len(hours) else np.ones(len(closes), np.bool_)
    for name in CONTEXT.names or ():
        assert np.array_equal(
            np.broadcast_to(whole[name], closes.shape)[known],
            np.broadcast_to(early[name], closes.shape)[known],
            equal_nan=name != "funding_time",
        ), name


def test_every_kind_against_the_loop() -> None:
    bars = series_of(5000, without=tuple(range(700, 1900)))
    closes = (bars.bars["open_time"] + MINUTE_MS).tolist()
    rng = np.random.default_rng(4)
    times = np.unique(START + rng.integers(-40, 90, 60) * HOUR_MS + rng.integers(0, 9, 60) * 20_000)
    ratio = dataclasses.replace(INTEREST, kind="long_short_ratio")
    netflow = dataclasses.replace(INTEREST, kind="exchange_netflow")
    fields = {
        FUNDING: ("funding_rate", 9 * HOUR_MS, 1e-4),
        INTEREST: ("open_interest", 25 * HOUR_MS, 1e9),
        ratio: ("long_short_ratio", 25 * HOUR_MS, 2.0),
        FEAR: ("fear_greed", 25 * HOUR_MS, 99.0),
        netflow: ("exchange_netflow", 25 * HOUR_MS, 9.0),
    }
    every = [
        rows(key, times.tolist(), rng.uniform(0.0, most, len(times)).tolist())
        for key, (_, _, most) in fields.items()
    ]
    found = joined(bars, *every)
    for series in every:
        name, age, _ = fields[series.key]
        expected = [naive_as_of(series, close, age) for close in closes]
        np.testing.assert_array_equal(found.rows[name], expected)
        share = float(np.isfinite(expected).mean())
        assert found.joined[name].known_share == pytest.approx(share)
        assert found.joined[name].source == str(series.key)
    told = np.array([max(times[times <= close], default=0) for close in closes])
    told[np.isnan(found.rows["funding_rate"])] = 0
    np.testing.assert_array_equal(found.rows["funding_time"], told)


def test_a_settlement_is_known_at_the_bar_that_closes_with_it() -> None:
    funding = rows(FUNDING, [START + 8 * HOUR_MS], [1e-4])
    found = joined(series_of(20 * 60), funding).rows
    eight = 8 * 60 - 1  # opens 07:59, closes 08:00
    assert np.isnan(found["funding_rate"][:eight]).all()
    assert (found["funding_time"][:eight] == 0).all()
    assert (found["funding_rate"][eight : eight + 9 * 60 + 1] == 1e-4).all()
    assert (found["funding_time"][eight : eight + 9 * 60 + 1] == funding.time[0]).all()
    assert np.isnan(found["funding_rate"][eight + 9 * 60 + 1 :]).all()


def test_nothing_known_is_one_row() -> None:
    bars = series_of(10, dataclasses.replace(KEY, symbol="ETHUSDT"))
    late = rows(dataclasses.replace(FUNDING, symbol="ETHUSDT"), [START + HOUR_MS], [1e-4])
    found = joined(bars, late)
    assert found.joined == {}
    assert found.rows.shape == (1,)
    assert all(np.isnan(found.rows[name][0]) for name in CONTEXT.names or () if "time" not in name)
    assert found.rows["funding_time"][0] == 0


def test_the_hash_names_what_could_be_joined() -> None:
    bars = series_of(60)
    series = rows(FUNDING, [START - 90 * DAY_MS, START, START + 90 * DAY_MS], [1e-4, 2e-4, 3e-4])
    wanted = rows(FUNDING, [START], [2e-4]).data_hash
    assert joined(bars, series).joined["funding_rate"].data_hash == wanted


# ---- whose context


@pytest.mark.parametrize(
    ("venue", "there", "taken"),
    [
        ("binance-usdm", ("binance-usdm", "bybit-linear"), "binance-usdm"),
        ("bybit-linear", ("binance-usdm", "bybit-linear"), "bybit-linear"),
        ("binance-spot", ("okx-swap", "bybit-linear", "binance-usdm"), "binance-usdm"),
        ("bitget-usdtm", ("okx-swap", "bybit-linear"), "bybit-linear"),
        ("bitget-usdtm", ("okx-swap",), "okx-swap"),
        ("binance-spot", ("synthetic",), None),
        ("binance-spot", ("all",), None),
        ("synthetic", ("binance-usdm", "all"), None),
        ("synthetic", ("binance-usdm", "synthetic"), "synthetic"),
    ],
)
def test_whose_funding_counts(venue: str, there: tuple[str, ...], taken: str | None) -> None:
    context = [rows(dataclasses.replace(FUNDING, venue=one), [START], [1e-4]) for one in there]
    found = joined(series_of(60, SeriesKey(venue, "BTCUSDT")), *context).joined
    source = found["funding_rate"].source if "funding_rate" in found else None
    assert source == (f"funding_rate {taken} BTCUSDT settlements" if taken else None)


def test_context_of_one_symbol_is_for_that_one_alone() -> None:
    context = rows(INTEREST, [START], [1e9]), rows(FEAR, [START], [50])
    found = joined(series_of(60, SeriesKey("binance-usdm", "ETHUSDT")), *context).joined
    assert list(found) == ["fear_greed"]


def test_a_synthetic_market_has_no_mood() -> None:
    bars = series_of(60, SeriesKey("synthetic", "ETHUSDT"))
    assert joined(bars, rows(FEAR, [START], [50])).joined == {}


@pytest.mark.parametrize(
    ("fine_from", "taken"), [(0, "coinglass-4h"), (20, "coinglass-1d")], ids=["equal", "less"]
)
def test_the_finer_of_two_sources_where_it_knows_as_much(fine_from: int, taken: str) -> None:
    """Two days of minutes; the four-hour source begins at their start, or after twenty hours."""
    hours = range(fine_from, 49, 4)
    fine = rows(INTEREST, [START + h * HOUR_MS for h in hours], [4.0] * len(hours))
    daily = dataclasses.replace(INTEREST, source="coinglass-1d")
    coarse = rows(daily, [START + d * DAY_MS for d in range(-1, 3)], [1.0] * 4)
    found = joined(series_of(2 * 1440), fine, coarse)
    assert found.joined["open_interest"].source == f"open_interest all BTCUSDT {taken}"
    values = found.rows["open_interest"]
    assert set(values[np.isfinite(values)]) == {4.0 if "4h" in taken else 1.0}, "never spliced"


# ---- moves over an hour


def test_a_move_needs_a_value_of_each_hour() -> None:
    """Hourly closes from 10:00 to 13:00, then a night, then 20:00."""
    closes = {10: 100.0, 11: 101.0, 12: 101.0, 13: 99.99, 20: 110.0}
    series = rows(SP500, [START + h * HOUR_MS for h in closes], list(closes.values()))
    found = joined(series_of(1440, SeriesKey("binance-usdm", "ETHUSDT")), series)

    def at(text: str) -> int:
        """The bar that closes then."""
        return (parse_time(f"2024-01-01 {text}") - START) // MINUTE_MS - 1

    move = found.rows["sp500_move_1h"]
    for moment, expected in {
        "10:30": np.nan,
        "11:00": 0.01,
        "11:59": 0.01,
        "12:00": 0.0,
        "13:30": -0.01,
        "14:00": np.nan,
        "20:30": np.nan,
    }.items():
        assert move[at(moment)] == pytest.approx(expected, nan_ok=True), moment


def test_a_move_looks_back_beyond_the_first_bar() -> None:
    """The bars begin at 11:30: the hour before their first close is told by the row of 10:00."""
    series = rows(SP500, [START + 10 * HOUR_MS, START + 11 * HOUR_MS], [100.0, 103.0])
    bars = series_of(29, SeriesKey("binance-usdm", "ETHUSDT"), START + 11 * HOUR_MS + HOUR_MS // 2)
    np.testing.assert_allclose(joined(bars, series).rows["sp500_move_1h"], 0.03)


def test_daily_closes_say_nothing_about_an_hour() -> None:
    daily = rows(SP500, [START + day * DAY_MS for day in range(-3, 5)], range(100, 108))
    assert joined(series_of(3 * 1440), daily).joined.keys() == {"btc_move_1h"}


def naive_btc_move(prices: dict[int, float], close: int, bar_ms: int) -> float:
    """The last bar closed by then, in a dict of closes by close time."""
    last = close // bar_ms * bar_ms
    if last not in prices or last - HOUR_MS not in prices:
        return math.nan
    return prices[last] / prices[last - HOUR_MS] - 1.0


@pytest.mark.parametrize(
    ("symbol", "timeframe", "btc_timeframe"),
    [
        ("BTCUSDT", "1m", "1m"),
        ("ETHUSDT", "1m", "1m"),
        ("ETHUSDT", "1m", "5m"),
        ("ETHUSDT", "15m", "5m"),
    ],
)
def test_btc_against_an_hour_before(symbol: str, timeframe: str, btc_timeframe: str) -> None:
    """BTC begins three hours ahead of the bars and has holes."""
    key = SeriesKey("binance-spot", symbol, timeframe)
    btc_key = SeriesKey("binance-spot", "BTCUSDT", btc_timeframe)
    store = RangedBarStore()
    holes = (50, 51, 52, 230, 231, 232, 300)
    holed = series_of(700, btc_key, START - 3 * HOUR_MS, holes).bars
    store.merge(btc_key, holed, source="test")
    if key != btc_key:
        store.merge(key, series_of(300, key).bars, source="test")
    bars = store.read(key, START, START + 300 * key.bar_ms)
    prices = {int(bar["open_time"]) + btc_key.bar_ms: float(bar["close"]) for bar in holed}
    expected = [
        naive_btc_move(prices, int(opened) + key.bar_ms, btc_key.bar_ms)
        for opened in bars.bars["open_time"]
    ]
    found = context_rows(MemoryContextStore(), store, bars, RULES)
    np.testing.assert_allclose(found.rows["btc_move_1h"], expected, rtol=1e-12)
    assert 0 < np.isnan(expected).sum() < len(expected)
    assert found.joined["btc_move_1h"].source == str(btc_key)


@pytest.mark.parametrize("begins_hours", [-0.5, 0.5, 2, 4])
def test_btc_that_begins_late_and_ends_early(begins_hours: float) -> None:
    """Two hours and a half of BTC beside six hours of ETH: unknown on both sides of it."""
    bars = series_of(360, SeriesKey("binance-spot", "ETHUSDT"))
    btc_key = SeriesKey("binance-spot", "BTCUSDT")
    btc = make_bars(START + int(begins_hours * HOUR_MS), 150)
    store = RangedBarStore()
    store.merge(btc_key, btc, source="test")
    prices = {int(bar["open_time"]) + MINUTE_MS: float(bar["close"]) for bar in btc}
    expected = [
        naive_btc_move(prices, int(opened) + MINUTE_MS, MINUTE_MS)
        for opened in bars.bars["open_time"]
    ]
    found = context_rows(MemoryContextStore(), store, bars, RULES).rows["btc_move_1h"]
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    assert np.isfinite(found).sum() == min(90, 300 - int(begins_hours * 60))


def test_which_btc_is_looked_at() -> None:
    def source(own: str, *there: SeriesKey) -> str | None:
        store = RangedBarStore()
        for key in there:
            two_days = make_bars(START - DAY_MS, 2 * DAY_MS // key.bar_ms, key.bar_ms)
            store.merge(key, two_days, source="test")
        bars = series_of(300, SeriesKey(own, "ETHUSDT"))
        found = context_rows(MemoryContextStore(), store, bars, RULES).joined
        return found["btc_move_1h"].source if found else None

    spot, perp = (SeriesKey(venue, "BTCUSDT") for venue in ("binance-spot", "binance-usdm"))
    quarter = dataclasses.replace(spot, timeframe="15m")
    bybit = SeriesKey("bybit-linear", "BTCUSDT", "5m")
    fake = SeriesKey("synthetic", "BTCUSDT")
    assert source("binance-spot", spot, perp) == str(spot)
    assert source("binance-spot", quarter, perp) == str(quarter)
    assert source("bitget-usdtm", spot, bybit) == str(spot)
    assert source("bitget-usdtm", bybit, quarter) == str(bybit)
    assert source("bitget-usdtm", quarter) is None, "too coarse for another venue"
    assert source("binance-spot", fake) is None
    assert source("synthetic", spot) is None
    assert source("synthetic", spot, fake) == str(fake)


def test_btc_of_another_time_is_passed_over() -> None:
    store = RangedBarStore()
    bars = series_of(300, SeriesKey("binance-spot", "ETHUSDT"))
    old = SeriesKey("binance-spot", "BTCUSDT")
    store.merge(old, make_bars(START - 9 * DAY_MS, 1440), source="test")
    holed = SeriesKey("binance-usdm", "BTCUSDT")
    parts = [make_bars(START + days * DAY_MS, 60) for days in (-2, 2)]
    store.merge(holed, np.concatenate(parts), source="test")
    assert context_rows(MemoryContextStore(), store, bars, RULES).joined == {}
    good = SeriesKey("bybit-linear", "BTCUSDT")
    store.merge(good, make_bars(START - DAY_MS, 2880), source="test")
    found = context_rows(MemoryContextStore(), store, bars, RULES).joined
    assert found["btc_move_1h"].source == str(good)


# ---- real settlements


@pytest.mark.real_data
@pytest.mark.parametrize("venue", ["binance-usdm", "bybit-linear"])
def test_real_settlements_join_exactly_at_0_8_and_16(venue: str) -> None:
    """Binance writes them down up to 47 ms late; the bar that closes with one knows it."""
    path = data_root() / "funding" / venue / "BTCUSDT.parquet"
    (funding,) = ContextFileReader(SystemClock()).read(path, SourceHints()).parts
    assert set(funding.time % DAY_MS) == {0, 8 * HOUR_MS, 16 * HOUR_MS}
    days = 30
    bars = series_of(days * 1440, SeriesKey(venue, "BTCUSDT"), parse_time("2026-02-01"))
    found = joined(bars, funding)
    rate, settled = found.rows["funding_rate"], found.rows["funding_time"]
    closes = bars.bars["open_time"] + MINUTE_MS
    changed = closes[1:][np.diff(settled) != 0]
    assert set(changed % DAY_MS) == {0, 8 * HOUR_MS, 16 * HOUR_MS}
    assert len(changed) == 3 * days
    np.testing.assert_array_equal(settled, closes // (8 * HOUR_MS) * (8 * HOUR_MS))
    by_time = dict(zip(funding.time.tolist(), funding.value.tolist(), strict=True))
    np.testing.assert_array_equal(rate, [by_time[int(time)] for time in settled])
    assert found.joined["funding_rate"].known_share == 1.0


def test_of_two_sources_that_know_as_many_bars_the_one_that_goes_on_is_taken() -> None:
    """An archive that ended an hour before the first bar is not too old for any of them yet."""
    bars = series_of(60)
    ended = ContextKey("open_interest", "binance-usdm", "BTCUSDT", "metrics")
    going_on = dataclasses.replace(ended, source="rest-5m")
    times = [START + step * 5 * MINUTE_MS for step in range(-24, 12)]
    archive = rows(ended, times[:12], [1.0] * 12)
    told = rows(going_on, times, [2.0] * len(times))
    found = joined(bars, archive, told)
    assert (found.rows["open_interest"] == 2.0).all()
    assert found.joined["open_interest"].source == str(going_on)
