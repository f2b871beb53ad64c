"""trend_reversion's signals against a slow twin written from its rules, in plain Python."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import pytest
from tests.desk import JIT
from tests.market_data import Bars
from tests.naive import plain
from tests.naive.strategy_twin import Said, compare, rough_days, stepwise_contexts

from tercel.core.records import Records

Values = plain.Values


@dataclass(frozen=True, slots=True)
class History:
    """All there is to know, one value a bar."""

    bars: Bars
    contexts: Records
    high: Values
    low: Values
    close: Values
    fast: Values
    slow: Values
    zscore: Values
    delta: Values
    atr: Values
    oi_bars: int


def history_of(bars: Bars, contexts: Records, p: dict[str, Any], bar_minutes: int) -> History:
    """Every indicator over every bar."""
    high, low, close = ([float(x) for x in bars[name]] for name in ("high", "low", "close"))
    candles = plain.larger_bars(bars, bar_minutes, p["trend_minutes"])
    averages = [
        plain.ema([c.close for c in candles], p[name])
        for name in ("trend_fast_len", "trend_slow_len")
    ]
    fast, slow = ([math.nan] * len(bars) for _ in range(2))
    for k, candle in enumerate(candles):
        until = candles[k + 1].known_at if k + 1 < len(candles) else len(bars)
        for i in range(candle.known_at, until):
            fast[i], slow[i] = averages[0][k], averages[1][k]
    return History(
        bars,
        contexts,
        high,
        low,
        close,
        fast,
        slow,
        plain.zscore(close, p["zscore_len"]),
        deltas(bars, p["pressure"]),
        plain.atr(high, low, close, p["atr_len"]),
        max(1, p["oi_minutes"] // bar_minutes),
    )


def deltas(bars: Bars, pressure: str) -> Values:
    """Bought less sold, of every bar."""
    if pressure == "bar":
        return [
            float(b["volume"] * (2 * b["close"] - b["high"] - b["low"]) / (b["high"] - b["low"]))
            for b in bars
        ]
    return [float(2 * b["taker_buy_volume"] - b["volume"]) for b in bars]


def trend_at(h: History, i: int) -> int:
    """Gate 2."""
    if h.close[i] < min(h.fast[i], h.slow[i]) and h.fast[i] < h.slow[i]:
        return -1
    return 1 if h.close[i] > max(h.fast[i], h.slow[i]) and h.fast[i] > h.slow[i] else 0


def reversion_at(h: History, i: int, p: dict[str, Any]) -> int:
    """Gate 3."""
    recent = h.zscore[max(0, i - p["zscore_memory"]) : i + 1]
    last = h.close[i - p["streak_len"] : i + 1]
    falling = all(b < a for a, b in pairwise(last))
    rising = all(b > a for a, b in pairwise(last))
    if falling and any(z > p["zscore_min"] for z in recent):
        return -1
    return 1 if rising and any(z < -p["zscore_min"] for z in recent) else 0


def volume_at(h: History, i: int, p: dict[str, Any]) -> int | None:
    """Gate 4, on the line drawn from 0 through the window; None where a delta is unknown."""
    line = [0.0]
    for delta in h.delta[i - p["cvd_len"] + 1 : i + 1]:
        line.append(line[-1] + delta)
    if math.isnan(line[-1]):
        return None
    before = i - p["divergence_len"]
    change = line[-1] - line[-1 - p["divergence_len"]]
    if h.close[i] > h.close[before] and change < 0:
        return -1
    return 1 if h.close[i] < h.close[before] and change > 0 else 0


def is_extended(h: History, i: int, p: dict[str, Any], side: int) -> bool:
    """Gate 6."""
    wing = p["pivot_wing"]
    prices = h.high if side < 0 else [-x for x in h.low]
    for at in range(i - wing, max(wing, i - p["pivot_window"] + 1) - 1, -1):
        around = [prices[j] for j in range(at - wing, at + wing + 1) if j != at]
        if all(prices[at] > other for other in around):
            pivot = abs(prices[at])
            return bool(side * (h.close[i] - pivot) > p["extended_atr"] * h.atr[i])
    return False


def external_at(h: History, i: int, p: dict[str, Any], side: int) -> int:
    """Gate 8: the sum of the five."""
    c = h.contexts[i]
    total = 0
    for value, low, high in (
        (c["funding_rate"], -p["funding_rate_max"], p["funding_rate_max"]),
        (c["long_short_ratio"], p["long_short_low"], p["long_short_high"]),
        (c["fear_greed"], p["fear_below"], p["greed_above"]),
        (c["exchange_netflow"], -p["netflow_max"], p["netflow_max"]),
    ):
        total += int(value < low) - int(value > high)
    if i >= h.oi_bars:
        rose = c["open_interest"] > h.contexts[i - h.oi_bars]["open_interest"]
        went = h.close[i] - h.close[i - h.oi_bars]
        total += side if rose and went * side > 0 else 0
    return total


def said_at(h: History, i: int, p: dict[str, Any]) -> Said:
    """Gates 2 to 9 in their order."""
    longest = max(p["zscore_len"], p["cvd_len"], p["divergence_len"] + 1, p["streak_len"] + 1)
    if i + 1 < longest or math.isnan(h.fast[i] + h.slow[i] + h.atr[i]):
        return Said("warming_up")
    trend = trend_at(h, i)
    if trend == 0:
        return Said("trend_neutral")
    reversion, volume = reversion_at(h, i, p), volume_at(h, i, p)
    if volume is None:
        return Said("missing_pressure")
    if trend < 0 and -1 not in (reversion, volume):
        return Said("asymmetry_gate_failed")
    if trend > 0 and (reversion, volume) != (1, 1):
        return Said("asymmetry_gate_failed")
    if is_extended(h, i, p, trend):
        return Said("extended_move")
    if h.bars["spread_bps"][i] > p["spread_bps_max"]:
        return Said("spread_guard")
    composite = trend + reversion + volume + external_at(h, i, p, trend)
    enough = (
        composite <= p["composite_short_max"] if trend < 0 else composite >= p["composite_long_min"]
    )
    if not enough:
        return Said("composite_weak")
    return Said(
        "long" if trend > 0 else "short",
        p["stop_atr"] * h.atr[i],
        p["target_atr"] * h.atr[i],
    )


def twin(bars: Bars, contexts: Records, p: dict[str, Any], bar_minutes: int) -> list[Said]:
    """What is said at every bar."""
    history = history_of(bars, contexts, p, bar_minutes)
    return [said_at(history, i, p) for i in range(len(bars))]


LOOSE = {
    "trend_minutes": 5, "trend_fast_len": 5, "trend_slow_len": 12, "zscore_min": 1.0,
    "streak_len": 2, "spread_bps_max": 9.0,
}  # fmt: skip


@pytest.mark.parametrize(
    ("minutes", "changed"),
    [
        (1, {}),
        (1, LOOSE),
        (1, {**LOOSE, "zscore_memory": 9, "pivot_wing": 3, "pivot_window": 33, "oi_minutes": 40,
             "composite_long_min": 2, "stop_atr": 2.0, "divergence_len": 8, "cvd_len": 21}),
        (5, {**LOOSE, "trend_minutes": 15, "pressure": "bar"}),
    ],
    ids=["defaults", "quick", "other windows", "bars of five minutes"],
)  # fmt: skip
def test_signals_equal_the_twins(minutes: int, changed: dict[str, object]) -> None:
    bars = rough_days(13, minutes)
    contexts = stepwise_contexts(len(bars), 14)
    counts = compare("trend_reversion", bars, contexts, changed, twin)
    assert counts["warming_up"] > 0
    assert not JIT or counts["short"] > 0
    if JIT and changed:
        assert all(counts.values()), counts
