"""vwap_rsi's signals against a slow twin written from its rules, in plain Python."""

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


def vwap_of(candles: list[plain.Candle], p: dict[str, Any]) -> list[float]:
    """The rolling VWAP at every decision bar."""
    paid = [c.quote_volume for c in candles]
    if p["vwap_from"] == "typical":
        paid = [(c.high + c.low + c.close) / 3 * c.volume for c in candles]
    length = p["vwap_minutes"] // p["decide_minutes"]
    total = plain.sum_of_last(paid, length)
    volume = plain.sum_of_last([c.volume for c in candles], length)
    return [t / v if v > 0 else math.nan for t, v in zip(total, volume, strict=True)]


def twin(bars: Bars, contexts: Records, p: dict[str, Any], bar_minutes: int) -> list[Said]:
    """What is said at every bar."""
    candles = plain.larger_bars(bars, bar_minutes, p["decide_minutes"])
    sides = plain.sides_of_larger_bars(bars, bar_minutes, p)
    close, volume = [c.close for c in candles], [c.volume for c in candles]
    adx, _, _ = plain.directional(
        [c.high for c in candles], [c.low for c in candles], close, p["adx_len"]
    )
    rsi = plain.rsi(close, p["rsi_len"])
    average = plain.mean_of_last(volume, p["volume_len"])
    vwap = vwap_of(candles, p)
    said = [Said("between_closes") for _ in bars]
    for k, candle in enumerate(candles):
        here = said[candle.known_at]
        if not candle.on_time:
            here.reason = "stale_bar"
            continue
        trends = adx[k] >= p["adx_max"]
        here.exit_long = trends or rsi[k] >= p["rsi_exit"]
        here.exit_short = trends or rsi[k] <= p["rsi_exit"]
        full = k + 1 >= max(p["vwap_minutes"] // p["decide_minutes"], p["volume_len"])
        side = sides[candle.known_at]
        if not full or side is None or math.isnan(adx[k] + rsi[k]):
            here.reason = "warming_up"
            continue
        here.reason = reason_at(candle, p, adx[k], rsi[k], vwap[k], average[k], side)
        if here.reason in ("long", "short"):
            here.stop = close[k] * p["stop_pct"] / 100
            here.target = close[k] * p["target_pct"] / 100
    return said


def reason_at(
    candle: plain.Candle,
    p: dict[str, Any],
    adx: float,
    rsi: float,
    vwap: float,
    average: float,
    larger: int,
) -> str:
    """The first gate that is shut, or the entry."""
    if math.isnan(average):
        return "missing_volume"
    if math.isnan(vwap):
        return "missing_vwap"
    if adx >= p["adx_max"]:
        return "regime_trending"
    band = p["vwap_band_pct"] / 100
    if rsi < p["rsi_low"]:
        side, reached = "long", candle.low <= vwap - band * vwap
    elif rsi > p["rsi_high"]:
        side, reached = "short", candle.high >= vwap + band * vwap
    else:
        return "rsi_neutral"
    if not reached:
        return "vwap_not_reached"
    if candle.volume <= p["volume_mult"] * average:
        return "volume_low"
    against = larger < 0 if side == "long" else larger > 0
    return "trend_against" if against else side


LOOSE = {
    "rsi_low": 42.0, "rsi_high": 58.0, "volume_mult": 0.7, "adx_max": 45.0, "adx_len": 7,
    "vwap_minutes": 240, "trend_adx_min": 15.0,
}  # fmt: skip


@pytest.mark.parametrize(
    ("minutes", "changed"),
    [
        (1, {}),
        (1, {**LOOSE, "decide_minutes": 1, "trend_minutes": 5, "trend_slow_len": 30}),
        (1, {**LOOSE, "vwap_from": "typical", "stop_pct": 0.5, "target_pct": 0.8}),
        (5, {**LOOSE, "vwap_band_pct": 0.05, "rsi_exit": 48.0}),
    ],
    ids=["defaults", "one minute", "typical price", "bars of five minutes"],
)
def test_signals_equal_the_twins(minutes: int, changed: dict[str, object]) -> None:
    counts = compare("vwap_rsi", rough_days(12, minutes), unknown_context(), changed, twin)
    assert counts["warming_up"] > 0
    if JIT and changed:
        absent = {"between_closes"} | ({"missing_vwap"} if "vwap_from" in changed else set())
        if changed.get("decide_minutes", 5) == minutes:
            absent.add("stale_bar")
        assert all(counts[reason] > 0 for reason in counts if reason not in absent), counts
