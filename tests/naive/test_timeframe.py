"""Larger bars from smaller ones: against a plain grouping, and the cases with gaps one by one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.market_data import FIRST_OPEN_TIME, JIT, MINUTE_MS, Bars, invented_bars, real_bars

from tercel.core.jit import new
from tercel.core.records import BAR
from tercel.core.timeframe import RESAMPLE, is_fresh, resample_step

FIVE_MS = 5 * MINUTE_MS
COLUMNS = (
    "open_time",
    "open",
    "high",
    "low",
    "close",
    "volume",
    "quote_volume",
    "taker_buy_volume",
)


def closed_bars(bars: Bars, target_ms: int = FIVE_MS) -> list[tuple[int, dict[str, float]]]:
    """(number of the small bar that closed it, the larger bar) for each one told."""
    state = new(RESAMPLE)
    told = []
    for i in range(len(bars)):
        if resample_step(state, bars[i], MINUTE_MS, target_ms):
            names = (*COLUMNS, "bar_count")
            told.append((i, {name: state.done[name].item() for name in names}))
    return told


def minutes(*numbers: int) -> Bars:
    """Bars that open so many minutes after midnight; volume 1, prices about 100 + the minute."""
    bars = np.zeros(len(numbers), BAR)
    for i, minute in enumerate(numbers):
        bars[i]["open_time"] = FIRST_OPEN_TIME + minute * MINUTE_MS
        for name, offset in (("open", 0.0), ("high", 0.5), ("low", -0.5), ("close", 0.25)):
            bars[i][name] = 100.0 + minute + offset
        for name in ("volume", "quote_volume", "taker_buy_volume"):
            bars[i][name] = 1.0
    return bars


def minute_of(bar: dict[str, Any]) -> int:
    return int(bar["open_time"] - FIRST_OPEN_TIME) // MINUTE_MS


def grouped(bars: Bars, target_ms: int) -> list[dict[str, float]]:
    """Plain grouping by the larger bar's opening."""
    larger = bars["open_time"] // target_ms * target_ms
    out = []
    for start in np.unique(larger):
        part = bars[larger == start]
        out.append(
            {
                "open_time": int(start),
                "open": part["open"][0],
                "high": part["high"].max(),
                "low": part["low"].min(),
                "close": part["close"][-1],
                "volume": part["volume"].sum(),
                "quote_volume": part["quote_volume"].sum(),
                "taker_buy_volume": part["taker_buy_volume"].sum(),
                "bar_count": len(part),
            }
        )
    return out


def same(ours: list[dict[str, float]], theirs: list[dict[str, float]]) -> None:
    assert len(ours) == len(theirs)
    for mine, twin in zip(ours, theirs, strict=True):
        assert mine == pytest.approx(twin, rel=1e-12)


@pytest.mark.parametrize("target_minutes", [1, 5, 15, 60, 1440])
def test_every_bar_closes_with_its_last_minute(target_minutes: int) -> None:
    bars = invented_bars(3_000 if JIT else 1_500)
    told = closed_bars(bars, target_minutes * MINUTE_MS)
    complete = grouped(bars, target_minutes * MINUTE_MS)
    same([bar for _, bar in told], [bar for bar in complete if bar["bar_count"] == target_minutes])
    assert [i for i, _ in told] == [
        target_minutes * (k + 1) - 1 for k in range(len(bars) // target_minutes)
    ]


@pytest.mark.real_data
def test_real_minutes_make_real_hours() -> None:
    bars = real_bars(44_640 if JIT else 600)
    told = [bar for _, bar in closed_bars(bars, 60 * MINUTE_MS)]
    same(told, grouped(bars, 60 * MINUTE_MS))


def test_missing_last_minute_closes_when_the_next_bar_arrives() -> None:
    told = closed_bars(minutes(0, 1, 2, 3, 5, 6, 7, 8, 9))
    assert [(i, minute_of(bar)) for i, bar in told] == [(4, 0), (8, 5)]
    first, second = (bar for _, bar in told)
    assert (first["bar_count"], first["close"], first["high"]) == (4, 103.25, 103.5)
    assert (second["bar_count"], second["open"], second["volume"]) == (5, 105.0, 5.0)


def test_missing_first_minutes_still_make_a_bar() -> None:
    told = closed_bars(minutes(0, 1, 2, 3, 4, 7, 8, 9))
    assert [(i, minute_of(bar)) for i, bar in told] == [(4, 0), (7, 5)]
    assert (told[1][1]["open"], told[1][1]["bar_count"]) == (107.0, 3)


def test_a_gap_over_several_larger_bars() -> None:
    told = closed_bars(minutes(0, 1, 31, 32, 33, 34))
    assert [(i, minute_of(bar)) for i, bar in told] == [(2, 0), (5, 30)]


def test_two_bars_closing_at_once_are_told_one_after_the_other() -> None:
    told = closed_bars(minutes(0, 1, 9, 10, 11))
    assert [(i, minute_of(bar)) for i, bar in told] == [(2, 0), (3, 5)]
    assert told[1][1]["bar_count"] == 1


def test_a_start_in_mid_bar_is_not_told() -> None:
    assert [minute_of(b) for _, b in closed_bars(minutes(3, 4, 5, 6, 7, 8, 9))] == [5]
    assert [minute_of(b) for _, b in closed_bars(minutes(4, 5, 6, 7, 8, 9))] == [5]
    assert [minute_of(b) for _, b in closed_bars(minutes(3, 7, 8, 9, 10))] == [5]


def test_old_and_repeated_bars_are_ignored() -> None:
    told = closed_bars(minutes(0, 1, 1, 0, 2, 3, 4))
    assert [(i, bar["bar_count"]) for i, bar in told] == [(6, 5)]


def test_unknown_stays_unknown() -> None:
    bars = minutes(0, 1, 2, 3, 4, 5, 6, 7, 8, 9)
    bars["taker_buy_volume"][0] = np.nan
    bars["high"][1] = np.nan
    bars["low"][0] = np.nan
    (_, first), (_, second) = closed_bars(bars)
    assert np.isnan([first["taker_buy_volume"], first["high"], first["low"]]).all()
    assert (first["volume"], first["close"]) == (5.0, 104.25)
    assert np.isfinite(list(second.values())).all()


@pytest.mark.parametrize(
    ("bar_ms", "target_ms"), [(0, 60_000), (60_000, 90_000), (60_000, 30_000), (60_000, 0)]
)
def test_frames_that_do_not_divide_are_refused(bar_ms: int, target_ms: int) -> None:
    with pytest.raises(ValueError, match="multiple"):
        resample_step(new(RESAMPLE), minutes(0)[0], bar_ms, target_ms)


def fresh_closes(bars: Bars) -> list[tuple[int, bool]]:
    """(number of the small bar, is the larger bar's end its own) for each larger bar told."""
    state = new(RESAMPLE)
    return [
        (i, is_fresh(state.done, bars[i], MINUTE_MS, FIVE_MS))
        for i in range(len(bars))
        if resample_step(state, bars[i], MINUTE_MS, FIVE_MS)
    ]


def test_a_larger_bar_is_fresh_when_its_own_last_minute_tells_it() -> None:
    assert fresh_closes(minutes(*range(10))) == [(4, True), (9, True)]
    assert fresh_closes(minutes(0, 4, 7, 9)) == [(1, True), (3, True)]


def test_a_larger_bar_told_after_a_gap_is_not_fresh() -> None:
    """A minute late, hours late, and one bar late because another was told before it."""
    assert fresh_closes(minutes(0, 1, 2, 3, 5, 6, 7, 8, 9)) == [(4, False), (8, True)]
    assert fresh_closes(minutes(0, 1, 240, 241, 242, 243, 244)) == [(2, False), (6, True)]
    assert fresh_closes(minutes(0, 1, 9, 10, 14)) == [(2, False), (3, False), (4, True)]


def test_a_bar_in_between_is_not_the_close_of_the_last_larger_one() -> None:
    state, bars = new(RESAMPLE), minutes(*range(6))
    for i in range(6):
        resample_step(state, bars[i], MINUTE_MS, FIVE_MS)
    assert not is_fresh(state.done, bars[5], MINUTE_MS, FIVE_MS)
    assert is_fresh(state.done, bars[4], MINUTE_MS, FIVE_MS)
