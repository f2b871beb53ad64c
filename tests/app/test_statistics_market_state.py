"""The market state at entries: what it says, and that it never sees the entry or what follows."""

from __future__ import annotations

import numpy as np
from tests.adapters.report.results_made import LABEL, START, Row, make_result

from tercel.app.market_state import STATES, UNKNOWN, bar_length, market_states
from tercel.app.statistics import summarise
from tercel.core.records import BAR, Records
from tercel.domain.times import DAY_MS, HOUR_MS

DAYS = 12


def waves(calm_days: int = 6) -> Records:
    """Hourly bars that swing by 0.1 % for `calm_days`, then by 2 %, while drifting up."""
    count = DAYS * 24
    swing = np.where(np.arange(count) < calm_days * 24, 0.001, 0.02)
    steps = swing * np.where(np.arange(count) % 2 == 0, 1.0, -1.0) + 0.0001
    bars = np.zeros(count, BAR)
    bars["open_time"] = START + np.arange(count) * HOUR_MS
    bars["close"] = 100.0 * np.exp(np.cumsum(steps))
    return bars


def named(bars: Records, *days: float) -> list[str]:
    times = np.array([START + round(day * DAY_MS) for day in days], np.int64)
    return [STATES[state] for state in market_states(bars, times)]


def test_first_days_are_unknown_then_calm_then_wild() -> None:
    # 24 hourly returns make one volatility, and one day of those makes terciles: 2 days and an hour
    assert named(waves(), 0.5, 1.9)[:2] == ["unknown", "unknown"]
    assert named(waves(), 7.5) == ["high volatility, up"]


def test_a_falling_market_is_down() -> None:
    bars = waves()
    bars["close"] = bars["close"][::-1].copy()
    assert named(bars, 9.5)[0].endswith("down")
    assert named(bars, 9.5)[0].startswith("low volatility")


def test_the_bars_from_the_entry_on_change_nothing() -> None:
    bars = waves()
    entries = np.array([START + hour * HOUR_MS for hour in range(40, DAYS * 24)], np.int64)
    expected = market_states(bars, entries)
    for number, entry in enumerate(entries):
        cut = bars[bars["open_time"] + HOUR_MS < entry]  # closed strictly before
        again = market_states(cut, entries[number : number + 1])
        assert again[0] == expected[number], number


def test_short_or_missing_series_are_unknown() -> None:
    entries = np.array([START + DAY_MS], np.int64)
    for bars in (waves()[:0], waves()[:1], waves()[:20]):
        assert market_states(bars, entries).tolist() == [UNKNOWN]
    assert bar_length(waves()[:1]) == 0
    assert market_states(waves(), entries[:0]).tolist() == []
    assert market_states(waves(), entries - 3 * DAY_MS).tolist() == [UNKNOWN]


def test_each_stream_has_its_own_market() -> None:
    rows = (
        Row(net=1.0, entry_minute=10 * 1440, exit_minute=10 * 1440 + 5),
        Row(net=1.0, entry_minute=10 * 1440, exit_minute=10 * 1440 + 5, stream=1),
    )
    result = make_result(rows, ((float(DAYS), 102.0),), labels=(LABEL, LABEL))
    shared = summarise(result, bars=waves()).by_market_state
    assert [group.trades for group in shared] == [2]
    split = summarise(result, bars=[waves()]).by_market_state
    assert {group.name for group in split} == {shared[0].name, "unknown"}
