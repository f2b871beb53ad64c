"""What every BarStore does. A new store joins by adding its maker to STORES."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tests.fakes import make_bars, same_bars

from tercel.adapters.lake import LakeBarStore
from tercel.app.ports import BarLake, MergeReport
from tercel.core.records import BAR
from tercel.domain.bars import Gap, SeriesKey
from tercel.domain.errors import DataError, UserError
from tercel.domain.times import parse_time

STORES: dict[str, Callable[[Path], BarLake]] = {"lake": LakeBarStore}
KEY = SeriesKey("binance-spot", "BTCUSDT")
START = parse_time("2024-01-31 22:00")
"""Two hours before the end of a month, so that short series lie in two files."""
MINUTE = KEY.bar_ms


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> BarLake:
    return STORES[request.param](tmp_path / "lake")


def test_bars_come_back_as_they_went_in(store: BarLake) -> None:
    bars = make_bars(START, 300)
    assert store.merge(KEY, bars, source="test") == MergeReport(added=300)
    series = store.read(KEY)
    assert series.key == KEY
    assert series.bars.dtype == BAR
    assert series.bars.flags.c_contiguous
    assert series.bars.flags.writeable
    assert same_bars(series.bars, bars)
    assert series.gaps == ()
    assert series.data_hash == hashlib.sha256(bars.tobytes()).hexdigest()


def test_the_hash_names_the_data(store: BarLake) -> None:
    store.merge(KEY, make_bars(START, 300), source="test")
    whole = store.read(KEY).data_hash
    assert store.read(KEY).data_hash == whole
    assert store.read(KEY, START + MINUTE).data_hash != whole


def test_unknown_stays_unknown(store: BarLake) -> None:
    bars = make_bars(START, 4)
    bars["count"][1] = np.nan
    bars["spread_bps"][2] = 0.5
    store.merge(KEY, bars, source="test")
    read = store.read(KEY).bars
    assert np.isnan(read["count"]).tolist() == [False, True, False, False]
    assert np.isnan(read["spread_bps"]).tolist() == [True, True, False, True]


@pytest.mark.parametrize(
    ("first", "end", "rows"),
    [
        (None, None, slice(0, 300)),
        (10, None, slice(10, 300)),
        (None, 10, slice(0, 10)),
        (100, 200, slice(100, 200)),
        (120, 300, slice(120, 300)),
        (119, 120, slice(119, 120)),
        (-5000, 50_000, slice(0, 300)),
    ],
)
def test_a_range_includes_its_start_and_not_its_end(
    store: BarLake, first: int | None, end: int | None, rows: slice
) -> None:
    bars = make_bars(START, 300)
    store.merge(KEY, bars, source="test")
    start_ms = None if first is None else START + first * MINUTE
    end_ms = None if end is None else START + end * MINUTE
    assert same_bars(store.read(KEY, start_ms, end_ms).bars, bars[rows])


def test_merging_again_changes_nothing(store: BarLake) -> None:
    bars = make_bars(START, 300)
    store.merge(KEY, bars, source="test")
    assert store.merge(KEY, bars, source="test") == MergeReport(unchanged=300)
    assert store.merge(KEY, bars[50:60], source="test") == MergeReport(unchanged=10)
    assert same_bars(store.read(KEY).bars, bars)


def test_overlapping_batches_in_any_order(store: BarLake) -> None:
    bars = make_bars(START, 300)
    store.merge(KEY, bars[200:], source="test")
    assert store.merge(KEY, bars[:220], source="test") == MergeReport(added=200, unchanged=20)
    assert same_bars(store.read(KEY).bars, bars)


def test_what_was_unknown_is_filled(store: BarLake) -> None:
    bars = make_bars(START, 300)
    poor = bars.copy()
    poor["taker_buy_volume"] = np.nan
    poor["count"][:100] = np.nan
    store.merge(KEY, poor, source="poor")
    assert store.merge(KEY, bars, source="rich") == MergeReport(filled=300)
    assert same_bars(store.read(KEY).bars, bars)
    assert store.merge(KEY, poor, source="poor") == MergeReport(unchanged=300)


def test_a_conflict_is_reported_and_the_stored_bar_stays(store: BarLake) -> None:
    bars = make_bars(START, 300)
    other = bars.copy()
    other["close"][7] += 0.25
    other["volume"][200] -= 1.0
    store.merge(KEY, bars, source="first")
    report = store.merge(KEY, other, source="second")
    assert report.conflicts == 2
    assert report.unchanged == 298
    assert report.first_conflict == (
        f"2024-01-31 22:07 close: stored {bars['close'][7]:.12g}, offered {other['close'][7]:.12g}"
    )
    assert same_bars(store.read(KEY).bars, bars)


def test_a_final_bar_replaces_a_running_one(store: BarLake) -> None:
    bars = make_bars(START, 10)
    running = bars.copy()
    running["high"][9] = running["close"][9]
    for name in ("volume", "quote_volume", "count", "taker_buy_volume", "taker_buy_quote_volume"):
        running[name][9] /= 2
    running["count"] = np.floor(running["count"])
    bars["count"] = running["count"]
    bars["count"][9] += 9
    store.merge(KEY, running, source="live")
    assert store.merge(KEY, bars, source="archive") == MergeReport(unchanged=9, replaced=1)
    assert same_bars(store.read(KEY).bars, bars)
    assert store.merge(KEY, running, source="live") == MergeReport(unchanged=10)
    assert same_bars(store.read(KEY).bars, bars)


@pytest.mark.parametrize("at", [4, 119], ids=["inside a month", "the last of a month"])
def test_only_the_newest_bar_can_be_running(store: BarLake, at: int) -> None:
    bars = make_bars(START, 130)
    grown = bars.copy()
    grown["volume"][at] += 5
    store.merge(KEY, bars, source="first")
    assert store.merge(KEY, grown, source="second").conflicts == 1
    assert store.merge(KEY, grown[:125], source="second").conflicts == 1
    assert same_bars(store.read(KEY).bars, bars)


def test_gaps(store: BarLake) -> None:
    bars = make_bars(START, 300)
    kept = np.concatenate((bars[:10], bars[15:118], bars[125:]))
    store.merge(KEY, kept, source="test")
    expected = (
        Gap(START + 10 * MINUTE, START + 15 * MINUTE, 5),
        Gap(START + 118 * MINUTE, START + 125 * MINUTE, 7),
    )
    assert store.gaps(KEY) == expected
    assert store.read(KEY).gaps == expected
    assert store.read(KEY, START + 12 * MINUTE).gaps == expected[1:]


def test_info(store: BarLake) -> None:
    bars = make_bars(START, 300)
    bars["count"][:75] = np.nan
    store.merge(KEY, bars, source="test")
    info = store.info(KEY)
    assert (info.bars, info.first_time, info.last_time) == (300, START, START + 299 * MINUTE)
    assert info.bytes > 0
    assert info.known["open_time"] == 1.0
    assert info.known["count"] == 0.75
    assert info.known["bid_size"] == 0.0


def test_keys_are_sorted(store: BarLake) -> None:
    wanted = [
        SeriesKey("binance-spot", "BTCUSDT", "1m"),
        SeriesKey("binance-spot", "BTCUSDT", "15m"),
        SeriesKey("binance-usdm", "AUSDT", "1d"),
        SeriesKey("synthetic", "BTCUSDT", "1m"),
    ]
    for key in reversed(wanted):
        store.merge(key, make_bars(parse_time("2024-01-01"), 3, key.bar_ms), source="test")
    assert store.keys() == wanted


def test_every_timeframe_is_aligned_to_itself(store: BarLake) -> None:
    key = SeriesKey("binance-usdm", "BTCUSDT", "15m")
    store.merge(key, make_bars(parse_time("2024-02-29"), 200, key.bar_ms), source="test")
    with pytest.raises(DataError, match="whole multiple of the timeframe"):
        store.merge(key, make_bars(parse_time("2024-02-29 00:01"), 3, key.bar_ms), source="test")


def test_nothing_there(store: BarLake) -> None:
    assert store.keys() == []
    for ask in (store.info, store.read, store.gaps):
        with pytest.raises(
            DataError, match="has no bars of binance-spot BTCUSDT 1m; get them with"
        ):
            ask(KEY)
    assert store.merge(KEY, np.empty(0, BAR), source="test") == MergeReport()
    assert store.append(KEY, np.empty(0, BAR)) == MergeReport()
    assert store.keys() == []


def test_nothing_in_the_range(store: BarLake) -> None:
    store.merge(KEY, make_bars(START, 10), source="test")
    with pytest.raises(DataError, match="the lake has 2024-01-31 22:00 to 2024-01-31 22:09"):
        store.read(KEY, START + 20 * MINUTE)
    with pytest.raises(DataError, match="from the beginning to 2023-01-01"):
        store.read(KEY, None, parse_time("2023-01-01"))


@pytest.mark.parametrize(
    ("column", "row", "value", "rule"),
    [
        ("close", 3, np.nan, "close is nan"),
        ("open", 3, -1.0, "open is -1"),
        ("high", 3, np.inf, "high is inf"),
        ("volume", 3, -0.5, "volume is -0.5"),
        ("open_time", 3, START + 2 * MINUTE, "duplicate"),
        ("open_time", 3, START, "unordered"),
    ],
)
def test_a_bad_row_is_named_and_nothing_is_written(
    store: BarLake, column: str, row: int, value: float, rule: str
) -> None:
    good = make_bars(START, 100)
    store.merge(KEY, good, source="first")
    bad = make_bars(START + 100 * MINUTE, 100)
    if column == "open_time":
        value = value + 100 * MINUTE
    bad[column][row] = value
    with pytest.raises(DataError, match=rf"^feb\.csv: row 4 \(2024-01-31 23:4.\): {rule}"):
        store.merge(KEY, bad, source="feb.csv")
    with pytest.raises(DataError, match=rf"live bars of .*: row 4 .*{rule}"):
        store.append(KEY, bad)
    assert same_bars(store.read(KEY).bars, good)


def test_a_filled_bar_obeys_the_rules_too(store: BarLake) -> None:
    stored = make_bars(START, 3)
    stored["taker_buy_quote_volume"] = np.nan
    store.merge(KEY, stored, source="first")
    offered = make_bars(START, 3)
    offered["quote_volume"] = np.nan
    offered["taker_buy_quote_volume"] = 1e9
    with pytest.raises(DataError, match=r"second merged into .*more than quote_volume"):
        store.merge(KEY, offered, source="second")
    assert same_bars(store.read(KEY).bars, stored)


@pytest.mark.parametrize(
    ("key", "words"),
    [
        (SeriesKey("okx", "BTCUSDT"), "unknown venue 'okx'"),
        (SeriesKey("binance-spot", "../BTC"), "not a symbol"),
        (SeriesKey("binance-spot", "BTCUSDT", "2m"), "unknown timeframe '2m'"),
    ],
)
def test_keys_that_cannot_be(store: BarLake, key: SeriesKey, words: str) -> None:
    with pytest.raises(UserError, match=words):
        store.read(key)


# ---- live append


def test_appended_bars_are_read_at_once(store: BarLake) -> None:
    bars = make_bars(START, 300)
    store.merge(KEY, bars[:100], source="history")
    for row in range(100, 110):
        assert store.append(KEY, bars[row : row + 1]) == MergeReport(added=1)
    assert same_bars(store.read(KEY).bars, bars[:110])
    assert store.info(KEY).bars == 110
    assert store.gaps(KEY) == ()
    assert same_bars(store.read(KEY, START + 105 * MINUTE).bars, bars[105:110])
    assert same_bars(store.read(KEY, None, START + 105 * MINUTE).bars, bars[:105])


def test_appending_to_nothing(store: BarLake) -> None:
    bars = make_bars(START, 2)
    store.append(KEY, bars)
    assert store.keys() == [KEY]
    assert same_bars(store.read(KEY).bars, bars)
    assert store.verify(KEY) == ()


def test_appending_across_the_end_of_a_month(store: BarLake) -> None:
    bars = make_bars(START, 125)
    for row in range(118, 125):
        assert store.append(KEY, bars[row : row + 1]) == MergeReport(added=1)
    assert same_bars(store.read(KEY).bars, bars[118:])
    assert store.append(KEY, bars[118:]) == MergeReport(unchanged=7)


def test_merging_over_appended_bars(store: BarLake) -> None:
    bars = make_bars(START, 300)
    store.append(KEY, bars[100:110])
    assert store.merge(KEY, bars, source="archive") == MergeReport(added=290, unchanged=10)
    assert same_bars(store.read(KEY).bars, bars)
    assert store.append(KEY, bars[290:]) == MergeReport(unchanged=10)


def test_appending_inside_the_stored_months_merges(store: BarLake) -> None:
    bars = make_bars(START, 300)
    store.merge(KEY, np.concatenate((bars[:50], bars[60:])), source="history")
    assert store.append(KEY, bars[45:65]) == MergeReport(added=10, unchanged=10)
    assert same_bars(store.read(KEY).bars, bars)
    assert store.verify(KEY) == ()


def test_a_gap_between_history_and_live(store: BarLake) -> None:
    bars = make_bars(START, 300)
    store.merge(KEY, bars[:100], source="history")
    store.append(KEY, bars[130:132])
    expected = (Gap(START + 100 * MINUTE, START + 130 * MINUTE, 30),)
    assert store.gaps(KEY) == expected
    assert store.read(KEY).gaps == expected


def test_holding_a_series_over_many_writes(store: BarLake) -> None:
    bars = make_bars(START, 20)
    with store.writing(KEY):
        store.merge(KEY, bars[:10], source="history")
        store.append(KEY, bars[10:])
    assert same_bars(store.read(KEY).bars, bars)
