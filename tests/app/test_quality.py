"""The rules of a bar, and what `data check` has to say beyond them."""

from __future__ import annotations

import re

import numpy as np
import pytest
from tests.fakes import make_bars
from tests.market_data import real_bars

from tercel.app.quality import (
    Outlier,
    OutlierRule,
    ZeroRun,
    assess,
    check_bars,
    find_gaps,
    find_outliers,
    find_zero_runs,
)
from tercel.domain.bars import BarSeries, Gap, SeriesKey
from tercel.domain.errors import DataError
from tercel.domain.times import format_time, parse_time

START = parse_time("2024-01-01")
MINUTE = 60_000
BASE = 28_402_000 * MINUTE
"""2024-01-01 14:40, where `make_bars` begins with round numbers."""
RULE = OutlierRule(window_bars=240, ratio_min=25.0, move_min=0.02)


def test_good_bars_pass() -> None:
    check_bars(make_bars(START, 100), MINUTE, source="good", now_ms=START + 100 * MINUTE)
    check_bars(make_bars(START, 0), MINUTE, source="none")
    unknown = make_bars(START, 3)
    for name in ("quote_volume", "count", "taker_buy_volume", "taker_buy_quote_volume"):
        unknown[name] = np.nan
    check_bars(unknown, MINUTE, source="unknown")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"open_time": 1}, "(1): open_time is not in milliseconds since 1970"),
        ({"open_time": START * 1000}, "open_time is not in milliseconds since 1970"),
        ({"open_time": BASE + 2 * MINUTE + 1}, "not a whole multiple of the timeframe (60000 ms)"),
        ({"open_time": BASE + MINUTE}, "duplicate: same open_time as the row before"),
        ({"open_time": BASE}, "unordered: open_time is before that of the row before"),
        ({"open": np.nan}, "open is nan, not a positive number"),
        ({"high": np.inf}, "high is inf, not a positive number"),
        ({"low": 0.0}, "low is 0, not a positive number"),
        ({"close": -3.5}, "close is -3.5, not a positive number"),
        ({"low": 100.5}, "low 100.5 is above open 100.25 or close 100.75"),
        ({"high": 100.5}, "high 100.5 is below open 100.25 or close 100.75"),
        ({"volume": -1.0}, "volume is -1, not a number from zero up"),
        ({"volume": np.nan}, "volume is nan, not a number from zero up"),
        ({"quote_volume": -1.0}, "quote_volume is -1, neither unknown nor"),
        ({"spread_bps": np.inf}, "spread_bps is inf, neither unknown nor"),
        ({"bid_size": -0.1}, "bid_size is -0.1, neither unknown nor"),
        ({"count": 7.5}, "count 7.5 is not a whole number"),
        ({"taker_buy_volume": 12.1}, "taker_buy_volume 12.1 is more than volume 12"),
        (
            {"taker_buy_quote_volume": 1300.0},
            "taker_buy_quote_volume 1300 is more than quote_volume 1200",
        ),
    ],
)
def test_each_rule_names_source_row_time_and_values(change: dict[str, float], words: str) -> None:
    bars = make_bars(BASE, 5)
    for name, value in change.items():
        bars[name][2] = value
    with pytest.raises(DataError) as caught:
        check_bars(bars, MINUTE, source="my.csv")
    said = str(caught.value)
    assert words in said
    assert re.match(r"my\.csv: row 3 \((2024-01-01 14:4\d|\d+)\): ", said)
    assert "\n" not in said


def test_the_first_bad_row_is_named() -> None:
    bars = make_bars(START, 10)
    bars["volume"][4] = -1
    bars["open"][7] = np.nan
    with pytest.raises(DataError, match=r"row 5 .*volume"):
        check_bars(bars, MINUTE, source="test")


def test_rounding_of_sums_is_no_error() -> None:
    bars = make_bars(START, 3)
    bars["taker_buy_volume"] = bars["volume"] * (1 + 1e-12)
    check_bars(bars, MINUTE, source="test")


def test_bars_of_the_future_are_refused() -> None:
    bars = make_bars(START, 10)
    now = START + 8 * MINUTE
    check_bars(bars[:9], MINUTE, source="test", now_ms=now)
    with pytest.raises(DataError, match=r"row 10 .*in the future \(now is 2024-01-01 00:08\)"):
        check_bars(bars, MINUTE, source="test", now_ms=now)


def test_gaps() -> None:
    times = START + MINUTE * np.array([0, 1, 2, 5, 6, 10])
    assert find_gaps(times, MINUTE) == (
        Gap(START + 3 * MINUTE, START + 5 * MINUTE, 2),
        Gap(START + 7 * MINUTE, START + 10 * MINUTE, 3),
    )
    assert find_gaps(times[:1], MINUTE) == ()


def test_runs_without_a_trade() -> None:
    bars = make_bars(START, 20)
    bars["volume"][[0, 1, 7, 18, 19]] = 0
    bars["open_time"][8:] += 5 * MINUTE
    bars["volume"][8] = 0  # after a gap: a run of its own
    at = bars["open_time"]
    assert find_zero_runs(bars, MINUTE) == (
        ZeroRun(at[0], at[2], 2),
        ZeroRun(at[7], at[7] + MINUTE, 1),
        ZeroRun(at[8], at[9], 1),
        ZeroRun(at[18], at[19] + MINUTE, 2),
    )
    assert find_zero_runs(make_bars(START, 3), MINUTE) == ()


def test_a_bad_wick_and_a_lost_decimal_point_are_outliers() -> None:
    quiet = make_bars(START, 600)
    for name in ("open", "close"):
        quiet[name] = 100.0
    quiet["high"], quiet["low"] = 100.01, 99.99
    assert find_outliers(quiet, MINUTE, RULE) == ()
    bars = quiet.copy()
    bars["high"][50] = 103.0
    for name in ("open", "high", "low", "close"):
        bars[name][500] /= 10
    found = find_outliers(bars, MINUTE, RULE)
    # Row 501 is the way back.
    assert [(one.time - START) // MINUTE for one in found] == [50, 500, 501]
    assert found[0].move == pytest.approx(np.log(103 / 99.99))
    assert found[1].ratio == pytest.approx(np.log(10) / np.log(100.01 / 99.99), rel=1e-3)
    bars["open_time"][500:] += MINUTE  # a jump over a gap is no surprise
    found = find_outliers(bars, MINUTE, RULE)
    assert [(one.time - START) // MINUTE for one in found] == [50, 502]


def test_a_market_that_stands_still() -> None:
    bars = make_bars(START, 10)
    for name in ("open", "high", "low", "close"):
        bars[name] = 100.0
    bars["high"][5] = 110.0
    assert len(find_outliers(bars, MINUTE, RULE)) == 1
    assert find_outliers(bars[:1], MINUTE, RULE) == ()


def series_of(rows: list[int]) -> BarSeries:
    bars = make_bars(START, max(rows) + 1)[rows]
    bars["high"], bars["low"] = bars["open"] * 1.01, bars["open"] * 0.99
    gaps = find_gaps(bars["open_time"], MINUTE)
    return BarSeries(SeriesKey("binance-spot", "BTCUSDT"), bars, gaps, "")


def test_the_verdict_in_words() -> None:
    good = assess(series_of(list(range(10))), RULE)
    assert good.verdict() == "good: no gap, no bar without a trade, no unusual move"
    holes = series_of([0, 1, 2, 3, 5, 6, 8, 9])
    report = assess(holes, RULE)
    assert (report.bars, report.missing_bars, report.zero_bars) == (8, 2, 0)
    assert (report.first_time, report.last_time) == (START, START + 9 * MINUTE)
    assert report.verdict() == "usable, with 2 gaps (20.00% of the bars are missing)"
    halted = series_of(list(range(10)))
    halted.bars["volume"][3] = 0
    halted.bars["high"][5] *= 2
    narrow = OutlierRule(240, 5.0, 0.02)
    expected = "good, with 1 bar without a trade, 1 unusual move to look at"
    assert assess(halted, narrow).verdict() == expected


@pytest.mark.real_data
def test_a_real_crash_is_worth_a_look_and_a_real_halt_is_seen() -> None:
    bars = real_bars(50_000, "klines/binance-usdm/SUIUSDT/5m/2025-10.parquet")
    found = find_outliers(bars, 5 * MINUTE, RULE)
    assert "2025-10-10 21:15" in [format_time(one.time) for one in found]
    assert isinstance(found[0], Outlier)
    bars = real_bars(50_000, "klines/binance-usdm/ETHUSDT/1m/2025-01.parquet")
    runs = find_zero_runs(bars, MINUTE)
    assert sum(run.bars for run in runs) == 17
    assert format_time(runs[0].start) == "2025-01-29 01:23"
