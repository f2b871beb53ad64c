"""Running a strategy beside its slow twin, on bars that have something for every gate."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from tests.desk import JIT
from tests.market_data import Bars, invented_bars

from tercel.app.signals import quiet_signals, unknown_context
from tercel.app.strategies import load_strategy
from tercel.core.jit import new
from tercel.core.records import Records

COUNT = 21_000 if JIT else 1_500
MINUTE_MS = 60_000


@dataclass(slots=True)
class Said:
    """What is said at one bar."""

    reason: str
    stop: float = math.nan
    target: float = math.nan
    exit_long: bool = False
    exit_short: bool = False
    score: float = math.nan


def rough_days(seed: int, minutes: int = 1) -> Bars:
    """A random walk with missing bars, louder hours, and stretches of unknown volume fields."""
    bars = invented_bars(COUNT + COUNT // 50, seed)
    rng = np.random.default_rng(seed)
    bars["open_time"] = bars["open_time"][0] + minutes * MINUTE_MS * np.arange(len(bars))
    hour = np.arange(len(bars)) // 60
    for name in ("volume", "quote_volume", "taker_buy_volume"):
        bars[name] *= 1.0 + (hour % 5 == 3) * rng.uniform(0.0, 3.0, len(bars))
    gone = rng.uniform(size=len(bars)) < 0.005
    gone[COUNT // 3 : COUNT // 3 + 7] = True
    bars = bars[~gone][:COUNT]
    bars["quote_volume"][COUNT // 2 : COUNT // 2 + 3] = np.nan
    bars["taker_buy_volume"][COUNT // 2 : COUNT // 2 + 200] = np.nan
    bars["volume"][2 * COUNT // 3] = np.nan
    bars["spread_bps"] = rng.gamma(2.0, 2.5, len(bars))
    bars["spread_bps"][rng.uniform(size=len(bars)) < 0.3] = np.nan
    return bars


def stepwise_contexts(count: int, seed: int) -> Records:
    """A CONTEXT for each bar: values that hold for a while, some of them unknown."""
    rng = np.random.default_rng(seed)
    made = np.repeat(unknown_context(), count)

    def held(values: Any, bars: int) -> Any:
        return np.repeat(values, bars)[:count]

    steps = count // 7 + 1
    made["open_interest"] = held(80_000.0 + np.cumsum(rng.normal(0, 50, steps)), 7)
    made["funding_rate"] = held(rng.normal(0.0, 5e-4, count // 240 + 1), 240)
    made["long_short_ratio"] = held(rng.gamma(8.0, 0.16, count // 31 + 1), 31)
    made["fear_greed"] = held(rng.integers(0, 101, count // 300 + 1), 300)
    made["exchange_netflow"] = held(rng.normal(0.0, 1200.0, count // 240 + 1), 240)
    for name in ("open_interest", "funding_rate", "long_short_ratio", "fear_greed"):
        made[name][held(rng.uniform(size=count // 400 + 1) < 0.2, 400)] = np.nan
    return made


def compare(
    name: str,
    bars: Bars,
    contexts: Records,
    changed: dict[str, object],
    twin: Callable[[Bars, Records, dict[str, Any], int], list[Said]],
) -> dict[str, int]:
    """Reasons, stops, targets, exits and scores of both, bar by bar; the counts of the reasons."""
    strategy = load_strategy(name)
    bar_ms = int(bars["open_time"][1] - bars["open_time"][0])
    values = strategy.values(changed, bar_ms)
    params = strategy.parameters.record(values, bar_ms)
    out = quiet_signals(len(bars))
    strategy.signals(new(strategy.state_dtype(params)), bars, contexts, params, out)
    said = twin(bars, contexts, values, bar_ms // MINUTE_MS)
    reasons = [strategy.reasons[reason] for reason in out["reason"]]
    assert [one.reason for one in said] == reasons
    sides = {"long": 1, "short": -1}
    assert [sides.get(one.reason, 0) for one in said] == list(out["side"])
    for field, theirs in (
        ("stop_distance", [one.stop for one in said]),
        ("target_distance", [one.target for one in said]),
        ("score", [one.score for one in said]),
    ):
        np.testing.assert_allclose(out[field], theirs, rtol=1e-9)
    assert [one.exit_long for one in said] == list(out["exit_long"])
    assert [one.exit_short for one in said] == list(out["exit_short"])
    return {reason: reasons.count(reason) for reason in strategy.reasons}
