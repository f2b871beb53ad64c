"""liquidation's signals against a slow twin that keeps every rise as lots of its own.

The twin knows no ring, no growing mass and no running total: at each bar it takes away the lots
that price has passed, lets every other one decay by its age, and sums them anew.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from tests.desk import JIT
from tests.market_data import Bars
from tests.naive.strategy_twin import Said, compare, rough_days
from tests.parity.plain_python import known_contexts

from tercel.core.records import Records

HALF = 512
"""Bins that the histogram keeps on either side of the price."""
HOUR = 3_600_000
Floats = npt.NDArray[np.float64]


def bins_of(prices: Any, p: dict[str, Any]) -> Any:
    """Numbers of the bins that `prices` are in."""
    return np.floor(np.log(prices) / (p["bin_bps"] / 1e4)).astype(int)


def nearest(held: dict[int, float], center: int, limit: int, p: dict[str, Any]) -> Floats | None:
    """(bins, masses) of the nearest run of bins that is a zone; None where none is in reach."""
    run = max(1, round(p["zone_bps"] / p["bin_bps"]))
    way = 1 if limit > center else -1
    needed = p["zone_share"] * sum(held.values())
    for end in range(center + way, limit + way, way):
        here = [k for k in range(end, end - way * run, -way) if (k - center) * way > 0]
        masses = [held.get(k, 0.0) for k in here]
        if sum(masses) > needed:
            return np.array([here, masses])
    return None


def price_of(zone: Floats | None, p: dict[str, Any]) -> float:
    """The mean price of a zone's mass; NaN without one."""
    if zone is None:
        return math.nan
    middle = np.average(zone[0] + 0.5, weights=zone[1])
    return float(np.exp(middle * p["bin_bps"] / 1e4))


def twin(bars: Bars, contexts: Records, p: dict[str, Any], bar_minutes: int) -> list[Said]:
    """What is said at every bar."""
    bins = np.empty(0, int)
    masses, times = np.empty(0), np.empty(0)
    last_close = last_known = first_known = math.nan
    before = {-1: False, 1: False}
    margins = [1 / p[f"leverage_{name}"] - p["maintenance_rate"] for name in ("low", "mid", "high")]
    weights = [p[f"weight_{name}"] for name in ("low", "mid", "high")]
    said = []
    for bar, context in zip(bars, contexts, strict=True):
        now, close = int(bar["open_time"]) + bar_minutes * 60_000, float(bar["close"])
        center = int(bins_of(close, p))
        passed = bins_of([np.fmin(bar["low"], last_close), np.fmax(bar["high"], last_close)], p)
        kept = (bins < passed[0]) | (bins > passed[1])
        kept &= (bins >= center - HALF) & (bins < center + HALF)
        bins, masses, times = bins[kept], masses[kept], times[kept]
        last_close = close
        known = float(context["open_interest"])
        if known > last_known:
            levels = [close * (1 + side * margin) for side in (-1, 1) for margin in margins]
            bins = np.concatenate([bins, bins_of(levels, p)])
            masses = np.concatenate([masses, (known - last_known) * np.array([*weights, *weights])])
            times = np.concatenate([times, np.full(6, float(now))])
        if math.isnan(known):
            said.append(Said("missing_open_interest"))
            continue
        last_known = known
        first_known = now if math.isnan(first_known) else first_known
        aged = masses * 0.5 ** ((now - times) / (p["half_life_hours"] * HOUR))
        slots, places = np.unique(bins, return_inverse=True)
        held = dict(zip(slots.tolist(), np.bincount(places, aged).tolist(), strict=True))
        zones, fresh = {}, {}
        for way in (-1, 1):
            limit = int(bins_of(close * (1 + way * p["zone_buffer_pct"] / 100), p))
            zones[way] = price_of(nearest(held, center, limit, p), p)
            fresh[way] = not math.isnan(zones[way]) and not before[way]
            before[way] = not math.isnan(zones[way])
        said.append(verdict(close, zones, fresh, p))
        if now - first_known < p["warm_up_hours"] * HOUR:
            said[-1] = Said("warming_up")
    return said


def verdict(
    close: float, zones: dict[int, float], fresh: dict[int, bool], p: dict[str, Any]
) -> Said:
    """What is said with these zones in reach."""
    near = [way for way in (-1, 1) if not math.isnan(zones[way])]
    if not near:
        return Said("no_zone_in_reach")
    way = min(near, key=lambda way: abs(zones[way] - close))
    if not fresh[way]:
        return Said("zone_already_in_reach")
    target = abs(zones[way] - close)
    return Said("long" if way > 0 else "short", close * p["stop_pct"] / 100, target)


@pytest.mark.parametrize(
    ("changed", "minutes"),
    [
        ({}, 1),
        (
            {
                "leverage_low": 40.0, "leverage_mid": 60.0, "leverage_high": 100.0,
                "warm_up_hours": 0.0, "half_life_hours": 0.5, "zone_share": 0.13, "stop_pct": 1.0,
                "zone_bps": 50.0,
            },
            1,
        ),
        (
            {
                "bin_bps": 3.0, "zone_bps": 20.0, "zone_share": 0.031, "zone_buffer_pct": 3.0,
                "weight_low": 0.1, "weight_mid": 0.7, "maintenance_rate": 0.002,
            },
            5,
        ),
    ],
    ids=["defaults", "high leverage, forgotten within hours", "narrow bins, bars of 5 minutes"],
)  # fmt: skip
def test_signals_equal_the_twins(changed: dict[str, object], minutes: int) -> None:
    bars = rough_days(seed=31, minutes=minutes)
    contexts = known_contexts(bars, seed=32)
    if minutes > 1:  # new every half hour: the twin keeps every rise
        held = np.repeat(contexts["open_interest"][::6], 6)
        contexts["open_interest"] = held[: len(bars)]
    for first in np.random.default_rng(33).integers(100, len(bars), 12):
        contexts["open_interest"][first : first + 40] = np.nan
    counts = compare("liquidation", bars, contexts, changed, twin)
    assert counts["missing_open_interest"] > 100
    if JIT:
        assert counts["long"] + counts["short"] >= 5
        assert not changed or min(counts["long"], counts["short"]) >= 20
