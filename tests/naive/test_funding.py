"""funding's signals against a slow twin that works settlement by settlement, over two weeks.

The twin looks at whole arrays: it lists the settlements, picks the one bar each is entered at, and
only then says why every other bar was none. It shares no line with the strategy.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from tests.desk import JIT
from tests.market_data import Bars
from tests.naive.strategy_twin import Said, compare, rough_days
from tests.parity.plain_python import known_contexts

from tercel.core.records import Records

MINUTE = 60_000
Times = npt.NDArray[np.int64]


def settled_at(closes: Times, contexts: Records, in_time: float) -> list[int | None]:
    """The settlement (ms) that published the rate of each bar; None: not known."""
    rates, times = contexts["funding_rate"], contexts["funding_time"]
    found: list[int | None] = []
    for i in range(len(closes)):
        if np.isnan(rates[i]):
            found.append(None)
        elif times[i] > 0:
            found.append(int(times[i]) - int(times[i]) % MINUTE)
        elif i > 0 and rates[i] == rates[i - 1]:
            found.append(found[-1])
        elif i > 0 and not np.isnan(rates[i - 1]) and closes[i] - closes[i - 1] <= in_time:
            found.append(int(closes[i]))
        else:
            found.append(None)
    return found


def twin(bars: Bars, contexts: Records, p: dict[str, Any], bar_minutes: int) -> list[Said]:
    """What is said at every bar."""
    closes = bars["open_time"] + bar_minutes * MINUTE
    rates = contexts["funding_rate"]
    window = (bar_minutes + p["late_minutes_max"]) * MINUTE
    settlements = settled_at(closes, contexts, window)
    extreme = np.abs(rates) > p["extreme_rate"]
    entered: dict[int, int] = {}
    for i, settled in enumerate(settlements):
        if settled is None or not extreme[i] or settled in entered:
            continue
        due = settled + p["delay_minutes"] * MINUTE
        if due <= closes[i] < due + window:
            entered[settled] = i
    said = []
    for i, settled in enumerate(settlements):
        long, short = bool(rates[i] >= -p["neutral_rate"]), bool(rates[i] <= p["neutral_rate"])
        one = Said("", exit_long=long, exit_short=short)
        said.append(one)
        if np.isnan(rates[i]):
            one.reason = "missing_funding_rate"
        elif not extreme[i]:
            one.reason = "rate_normal"
        elif settled is None:
            one.reason = "settlement_unknown"
        elif entered.get(settled) == i:
            one.reason = "long" if rates[i] < 0 else "short"
            one.stop = bars["close"][i] * p["stop_pct"] / 100
            one.target = bars["close"][i] * p["target_pct"] / 100
        elif settled in entered and entered[settled] < i:
            one.reason = "already_entered"
        elif closes[i] < settled + p["delay_minutes"] * MINUTE:
            one.reason = "waiting_after_settlement"
        else:
            one.reason = "too_late"
    return said


def known(bars: Bars, seed: int) -> Records:
    """Settlements every 8 hours, stamped late, with times, without, and some rates unknown."""
    rng = np.random.default_rng(seed)
    made = known_contexts(bars)
    settlements = made["funding_time"] // (480 * MINUTE)
    settlements -= settlements[0]
    made["funding_time"] += rng.integers(0, 900, settlements[-1] + 1)[settlements]
    made["funding_time"][len(bars) // 2 :] = 0
    for first in rng.integers(0, len(bars), len(bars) // 500):
        made["funding_rate"][first : first + 3] = np.nan
    return made


@pytest.mark.parametrize(
    ("changed", "minutes"),
    [
        ({}, 1),
        ({"delay_minutes": 0, "late_minutes_max": 0, "extreme_rate": 0.00015}, 1),
        ({"delay_minutes": 30, "late_minutes_max": 10, "stop_pct": 1.5, "target_pct": 4.0}, 5),
    ],
    ids=["defaults", "at once", "half an hour later, bars of 5 minutes"],
)
def test_signals_equal_the_twins(changed: dict[str, object], minutes: int) -> None:
    bars = rough_days(seed=11, minutes=minutes)
    closes = bars["open_time"] + minutes * MINUTE
    after_settlement = (closes % (480 * MINUTE)) // MINUTE
    day = closes // (1440 * MINUTE)
    missed = (day % 3 == 1) & (after_settlement >= 4) & (after_settlement < 9)
    bars = bars[~missed]  # on every third day a few minutes are missing when they count
    counts = compare("funding", bars, known(bars, 12), changed, twin)
    if JIT:
        assert min(counts["long"], counts["short"]) >= 5
        assert min(counts[name] for name in ("missing_funding_rate", "settlement_unknown")) > 0
        assert counts["already_entered"] > 1000
