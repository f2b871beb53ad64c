"""A gap in the middle of a larger bar: nobody decides on what is left of it, hours later.

Each table is of larger candles. Each is cut into minutes that all trade in the first of them: the
others rest at the close, without volume. What is left of a candle that lost its last minutes is
then the same candle, and would decide the same; only the time at which it is told differs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest
from tests.desk import MINUTE_MS
from tests.scenarios.strategy_desk import Said, Table, ask, bars_of, see_saw, steady, table_of

from tercel.core.codes import Side
from tercel.core.records import Records

EACH_SIDE = pytest.mark.parametrize("side", [Side.LONG, Side.SHORT], ids=["long", "short"])


@dataclass(frozen=True, slots=True)
class Case:
    """A strategy, its larger candles, and what it does when the last of them closes on time."""

    caption: str
    strategy: str
    minutes: int
    table: Table
    values: dict[str, object]
    enters: bool = True


MOMENTUM: dict[str, object] = {
    "decide_minutes": 5, "breakout_len": 3, "volume_len": 3, "volume_mult": 1.5, "adx_len": 2,
    "atr_len": 2, "trend_minutes": 5, "trend_fast_len": 2, "trend_slow_len": 4, "trend_adx_len": 2,
}  # fmt: skip
VWAP_RSI: dict[str, object] = {
    "decide_minutes": 5, "vwap_minutes": 25, "rsi_len": 2, "volume_len": 3, "volume_mult": 1.5,
    "adx_len": 4, "trend_minutes": 5, "trend_fast_len": 2, "trend_slow_len": 4, "trend_adx_len": 4,
}  # fmt: skip
SWING: dict[str, object] = {"fast_len": 2, "slow_len": 4, "adx_len": 2, "atr_len": 2}
CASES = (
    Case("momentum, a breakout", "momentum", 5,
         table_of(steady(8, 92, 1), "100 103 99 102 30"), MOMENTUM),
    Case("momentum, no momentum left", "momentum", 5, see_saw(16),
         {**MOMENTUM, "adx_len": 4}, enters=False),
    Case("vwap_rsi, a dip", "vwap_rsi", 5,
         table_of(see_saw(12), "100 101 98.4 98.6 30"), VWAP_RSI),
    Case("vwap_rsi, a trend", "vwap_rsi", 5,
         table_of(see_saw(12), "100 100 92 93 30"), VWAP_RSI, enters=False),
    Case("swing, a cross of the averages", "swing", 60,
         table_of(steady(8, 108, -1), "100 109 99 108 30"), SWING),
)  # fmt: skip
EACH_CASE = pytest.mark.parametrize("case", CASES, ids=lambda case: case.caption)


def in_minutes(candles: Records, minutes: int) -> Records:
    """The candles, `minutes` each: all of a candle in its first minute, then rest at the close."""
    bars = np.repeat(candles, minutes)
    bars["open_time"] = candles["open_time"][0] + MINUTE_MS * np.arange(len(bars))
    rests = np.arange(len(bars)) % minutes > 0
    for name in ("open", "high", "low"):
        bars[name][rests] = bars["close"][rests]
    for name in ("volume", "quote_volume", "taker_buy_volume"):
        bars[name][rests] = 0.0
    return bars


def then(bars: Records, last: Records, minutes: Sequence[int]) -> Records:
    """`bars`, and after them minutes that quote the close of `last`, so many minutes after it."""
    later = np.repeat(last, len(minutes))
    later["open_time"] += MINUTE_MS * np.asarray(minutes)
    return np.concatenate([bars, later])


def asks(said: Said, at: int) -> tuple[int, bool, bool]:
    """Side and both exits of a bar."""
    signal = said.signals[at]
    return int(signal["side"]), bool(signal["exit_long"]), bool(signal["exit_short"])


@EACH_SIDE
@EACH_CASE
def test_a_candle_that_closes_on_time_decides(case: Case, side: Side) -> None:
    bars = in_minutes(bars_of(case.table, side), case.minutes)
    said = ask(case.strategy, bars, case.values)
    entered, *exits = asks(said, -1)
    assert entered == (side if case.enters else Side.NONE)
    assert case.enters or exits == [True, True]
    assert "stale_bar" not in said.reasons


@EACH_SIDE
@pytest.mark.parametrize("gap", [0, 240], ids=["next minute", "four hours"])
@pytest.mark.parametrize("lost", [1, 3])
@EACH_CASE
def test_what_a_gap_cut_short_decides_nothing(case: Case, lost: int, gap: int, side: Side) -> None:
    """Told at the first bar after the gap, for it could not be known to have ended before."""
    whole = in_minutes(bars_of(case.table, side), case.minutes)
    candle = range(gap + 1, gap + 1 + case.minutes)
    said = ask(case.strategy, then(whole[:-lost], whole[-1:], candle), case.values)
    after = len(whole) - lost
    assert said.reasons[after - 1] == "between_closes"
    assert said.reasons[after] == "stale_bar"
    assert asks(said, after) == (Side.NONE, False, False)
    assert set(said.reasons[after + 1 : -1]) == {"between_closes"}
    assert said.reasons[-1] not in ("between_closes", "stale_bar")


@EACH_SIDE
@EACH_CASE
def test_a_candle_told_one_bar_late_decides_nothing_either(case: Case, side: Side) -> None:
    """After the gap, only the last minute of a candle: it is told when the next one begins."""
    whole = in_minutes(bars_of(case.table, side), case.minutes)
    bars = then(whole[:-1], whole[-1:], (case.minutes, case.minutes + 1))
    said = ask(case.strategy, bars, case.values)
    assert said.reasons[-2:] == ("stale_bar", "stale_bar")
    assert asks(said, -1) == (Side.NONE, False, False)


@EACH_SIDE
@EACH_CASE
def test_the_averages_take_the_cut_candle_in(case: Case, side: Side) -> None:
    """It has the same prices and volume: what is seen then is what was seen without the gap."""
    whole = in_minutes(bars_of(case.table, side), case.minutes)
    on_time = ask(case.strategy, whole, case.values)
    late = ask(case.strategy, then(whole[:-1], whole[-1:], (241,)), case.values)
    assert late.reasons[-1] == "stale_bar"
    for name in ("adx", "atr", "fast", "slow", "rsi", "vwap", "volume_ratio"):
        if name in on_time.seen.dtype.names:
            assert late.seen[name] == on_time.seen[name], name
