"""momentum's signals against a slow twin written from its rules, in plain Python."""

from __future__ import annotations

import math
from typing import Any

import pytest
from tests.desk import JIT
from tests.market_data import Bars
from tests.naive import plain
from tests.naive.strategy_twin import Said, compare, rough_days

from tercel.app.signals import unknown_context
from tercel.core.records import Records


def twin(bars: Bars, contexts: Records, p: dict[str, Any], bar_minutes: int) -> list[Said]:
    """What is said at every bar."""
    candles = plain.larger_bars(bars, bar_minutes, p["decide_minutes"])
    sides = plain.sides_of_larger_bars(bars, bar_minutes, p)
    high, low = [c.high for c in candles], [c.low for c in candles]
    close, volume = [c.close for c in candles], [c.volume for c in candles]
    adx, plus, minus = plain.directional(high, low, close, p["adx_len"])
    atr = plain.atr(high, low, close, p["atr_len"])
    average = plain.mean_of_last(volume, p["volume_len"])
    said = [Said("between_closes") for _ in bars]
    for k, candle in enumerate(candles):
        here = said[candle.known_at]
        if not candle.on_time:
            here.reason = "stale_bar"
            continue
        here.exit_long = here.exit_short = adx[k] < p["adx_exit"]
        here.reason = "warming_up"
        side = sides[candle.known_at]
        warm = k >= p["breakout_len"] and k + 1 >= p["volume_len"] and side is not None
        if not warm or math.isnan(adx[k] + atr[k]):
            continue
        before = slice(k - p["breakout_len"], k)
        if math.isnan(average[k]):
            here.reason = "missing_volume"
        elif min(low[before]) <= close[k] <= max(high[before]):
            here.reason = "no_breakout"
        else:
            up = close[k] > max(high[before])
            with_us, against = (plus[k], minus[k]) if up else (minus[k], plus[k])
            here.reason = (
                "volume_low"
                if volume[k] <= p["volume_mult"] * average[k]
                else "no_trend"
                if adx[k] <= p["adx_min"]
                else "direction_against"
                if with_us <= against
                else "trend_against"
                if side != (1 if up else -1)
                else "long"
                if up
                else "short"
            )
            if here.reason in ("long", "short"):
                here.stop, here.target = p["stop_atr"] * atr[k], p["target_atr"] * atr[k]
    return said


LOOSE = {"volume_mult": 0.7, "breakout_len": 7, "adx_min": 15.0, "adx_exit": 12.0, "adx_len": 5}


@pytest.mark.parametrize(
    ("minutes", "changed"),
    [
        (1, {}),
        (1, {**LOOSE, "decide_minutes": 1, "trend_minutes": 5, "trend_slow_len": 30}),
        (1, {**LOOSE, "atr_len": 9, "stop_atr": 1.7, "target_atr": 5.0, "volume_len": 33}),
        (5, LOOSE),
    ],
    ids=["defaults", "one minute", "loose", "bars of five minutes"],
)
def test_signals_equal_the_twins(minutes: int, changed: dict[str, object]) -> None:
    counts = compare("momentum", rough_days(11, minutes), unknown_context(), changed, twin)
    assert counts["warming_up"] > 0
    if JIT:
        assert counts["long"] + counts["short"] > 0
        assert counts["missing_volume"] > 0
    if JIT and changed:
        smallest = changed.get("decide_minutes", 5) == minutes
        absent = {"between_closes", "stale_bar"} if smallest else {"between_closes"}
        assert all(counts[reason] > 0 for reason in counts if reason not in absent), counts
