"""Drift of recent trades: figures by hand, each test on its own, and the rate of false alarms."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from tests.market_data import JIT

from tercel.adapters.config import packaged_config_dir, read_settings
from tercel.app.drift import (
    TradeSample,
    daily_counts,
    measure_drift,
    net_r,
    newest,
    slippage_bps,
    spanning,
    watched,
)
from tercel.app.overfitting.sequential import Decision
from tercel.core.records import TRADE, Records
from tercel.domain.errors import UserError
from tercel.domain.times import DAY_MS, HOUR_MS

SETTINGS = read_settings([packaged_config_dir()], environ={}).settings.drift
START = 1_704_067_200_000


def invented(
    count: int, seed: int, *, rate: float = 0.5, slip: float = 1.0, gap_hours: float = 4.0
) -> TradeSample:
    """Trades of 2R winners at `rate` and 1R losers, slippage in bps around `slip`."""
    rng = np.random.default_rng(seed)
    made = np.zeros(count, TRADE)
    gaps = rng.exponential(gap_hours * HOUR_MS, count)
    made["entry_time"] = START + np.cumsum(gaps).astype(np.int64)
    made["exit_time"] = made["entry_time"] + 60_000
    made["quantity"], made["entry_price"], made["exit_price"] = 1.0, 100.0, 100.0
    made["risk_quote"] = 1.0
    won = rng.uniform(size=count) < rate
    made["net_quote"] = np.where(won, 2.0, -1.0) + rng.normal(0.0, 0.2, count)
    made["slippage_quote"] = 200.0 * rng.normal(slip, 1.0, count) / 1e4
    return TradeSample(made, START, int(made["exit_time"][-1]))


REFERENCE = invented(1000, 1)


def row(found: Any, name: str) -> Any:
    return next(each for each in found.rows if each.name == name)


def test_slippage_is_told_by_what_was_traded() -> None:
    trades = np.zeros(2, TRADE)
    trades["quantity"], trades["entry_price"], trades["exit_price"] = [1.0, 0.0], 30_000.0, 30_000.0
    trades["slippage_quote"] = 60.0
    assert slippage_bps(trades)[0] == pytest.approx(10.0)
    assert math.isnan(slippage_bps(trades)[1])
    trades["net_quote"], trades["risk_quote"] = 30.0, [20.0, 0.0]
    assert net_r(trades)[0] == 1.5
    assert math.isnan(net_r(trades)[1])


def test_days_are_whole_days_of_the_watch() -> None:
    """3.5 days from 06:00: three whole ones; entries after them do not count."""
    trades = np.zeros(4, TRADE)
    start = START + 6 * HOUR_MS
    trades["entry_time"] = start + np.array([0, DAY_MS - 1, 2 * DAY_MS, 3 * DAY_MS + 1])
    sample = TradeSample(trades, start, start + 3 * DAY_MS + DAY_MS // 2)
    assert daily_counts(sample).tolist() == [2, 0, 1]
    assert daily_counts(TradeSample(trades, start, start + HOUR_MS)).tolist() == []


def test_the_watch_of_a_file_and_a_stated_one() -> None:
    trades = invented(10, 1).trades
    whole = spanning(trades)
    assert (whole.start_time, whole.end_time) == (trades["entry_time"][0], trades["exit_time"][-1])
    later = int(trades["entry_time"][4])
    part = watched(whole, later, None)
    assert len(part.trades) == 6
    assert part.start_time == later
    assert len(watched(whole, None, later).trades) == 4
    assert spanning(trades[:0]).end_time == 0


def test_the_same_kind_of_trades_do_not_drift() -> None:
    found = measure_drift(REFERENCE, invented(400, 2), SETTINGS, 42)
    assert found.decision is Decision.OK
    assert found.verdict == "No drift: the recent trades look like those of the backtest."
    assert (found.reference_trades, found.recent_trades) == (1000, 400)
    assert measure_drift(REFERENCE, invented(400, 2), SETTINGS, 42) == found


@pytest.mark.parametrize(
    ("change", "drifting"),
    [
        ({"rate": 0.3}, {"Win rate", "Net R a trade"}),
        ({"slip": 2.5}, {"Slippage"}),
        ({"gap_hours": 8.0}, {"Trades a day"}),
    ],
)
def test_each_change_is_found_by_its_test(change: dict[str, float], drifting: set[str]) -> None:
    found = measure_drift(REFERENCE, invented(300, 3, **change), SETTINGS, 42)
    named = {each.name for each in found.rows if each.decision is Decision.DRIFTING}
    assert named == drifting
    assert found.decision is Decision.DRIFTING
    assert found.verdict.startswith("Drifting: no longer as in the backtest: ")


def test_little_is_undecided() -> None:
    found = measure_drift(REFERENCE, invented(20, 2), SETTINGS, 42)
    assert found.decision is Decision.UNDECIDED
    assert "nothing can be said yet about" in found.verdict


def test_too_few_trades_say_how_many() -> None:
    with pytest.raises(UserError, match="the reference: 99 trades, and at least 100 are needed"):
        measure_drift(invented(99, 1), invented(400, 2), SETTINGS, 42)
    with pytest.raises(UserError, match="the recent trades: 19 trades, and at least 20"):
        measure_drift(REFERENCE, invented(19, 2), SETTINGS, 42)


def changed(sample: TradeSample, **columns: Any) -> TradeSample:
    trades: Records = sample.trades.copy()
    for name, values in columns.items():
        trades[name] = values
    return TradeSample(trades, sample.start_time, sample.end_time)


def test_constant_slippage_is_given_a_spread() -> None:
    """1 bps in every trade of the backtest: the settings say what deviation to take."""
    constant = changed(REFERENCE, slippage_quote=0.02)
    near = changed(invented(300, 2), slippage_quote=0.02 + 0.002)
    far = changed(invented(300, 2), slippage_quote=0.02 + 0.02)
    assert row(measure_drift(constant, near, SETTINGS, 42), "Slippage").decision is Decision.OK
    slipped = row(measure_drift(constant, far, SETTINGS, 42), "Slippage")
    assert slipped.decision is Decision.DRIFTING
    assert (slipped.reference, slipped.recent) == pytest.approx((1.0, 2.0))


def test_what_cannot_be_tested_says_so() -> None:
    recent = invented(300, 2)
    rare = measure_drift(changed(REFERENCE, net_quote=-1.0), recent, SETTINGS, 42)
    assert "is not between drift.win_rate_drop (0.1) and 1" in row(rare, "Win rate").note
    assert row(rare, "Net R a trade").note == "the same in every trade of the reference"
    riskless = measure_drift(REFERENCE, changed(recent, risk_quote=0.0), SETTINGS, 42)
    assert row(riskless, "Net R a trade").note == "unknown in too many trades"
    short = TradeSample(recent.trades, recent.start_time, recent.start_time + HOUR_MS)
    hourly = measure_drift(REFERENCE, short, SETTINGS, 42)
    assert "a whole day of 24 hours" in row(hourly, "Trades a day").note
    assert all(
        row(found, name).decision is Decision.UNDECIDED
        for found, name in ((rare, "Win rate"), (riskless, "Net R a trade"))
    )


def test_the_newest_trades_are_watched_from_the_last_one_left_out() -> None:
    """Entries at hours 0, 1, 2, 3: of the newest two the watch begins right after hour 1."""
    trades = np.zeros(4, TRADE)
    trades["entry_time"] = START + np.arange(4) * HOUR_MS
    trades["exit_time"] = trades["entry_time"] + 1
    sample = TradeSample(trades, START, START + DAY_MS)
    assert newest(sample, 4) is sample
    part = newest(sample, 2)
    assert part.trades["entry_time"].tolist() == [START + 2 * HOUR_MS, START + 3 * HOUR_MS]
    assert (part.start_time, part.end_time) == (START + HOUR_MS + 1, START + DAY_MS)


def test_trades_older_than_the_watch_are_left_out() -> None:
    """100 lost trades before 500 like the reference: only the 500 are looked at."""
    recent = invented(600, 2)
    recent.trades["net_quote"][:100] = -1.0
    found = measure_drift(REFERENCE, recent, SETTINGS, 42)
    assert found.decision is Decision.OK
    assert found.caution == (
        "Only the newest 500 of 600 recent trades are looked at (drift.horizon_trades); "
        "100 older ones are left out."
    )
    longer = SETTINGS.model_copy(update={"horizon_trades": 600})
    assert measure_drift(REFERENCE, recent, longer, 42).decision is Decision.DRIFTING
    assert measure_drift(REFERENCE, invented(500, 2), SETTINGS, 42).caution == ""


def test_a_reference_does_not_drift_from_itself() -> None:
    """800 trades against themselves, of which the newest 500 count. 5 % are false alarms at most:
    of ten watches, more than two have a chance of 1 in 87."""
    fewer = SETTINGS.model_copy(update={"histories": 500})
    samples = [invented(800, seed) for seed in range(10)]
    found = [measure_drift(each, each, fewer, 42) for each in samples]
    assert {each.left_out for each in found} == {300}
    assert sum(each.decision is Decision.DRIFTING for each in found) <= 2


@pytest.mark.slow
@pytest.mark.skipif(not JIT, reason="hundreds of watches; no kernel takes part")
def test_false_alarms_of_the_four_together() -> None:
    """At most 5 % of watches are promised; more than 18 of 200 then has a chance of 1 in 170."""
    fewer = SETTINGS.model_copy(update={"histories": 500, "horizon_trades": 200})
    alarms = sum(
        measure_drift(REFERENCE, invented(200, seed), fewer, seed).decision is Decision.DRIFTING
        for seed in range(1000, 1200)
    )
    print(f"{alarms} of 200 watches of unchanged trades drift")  # noqa: T201 (pytest -s)
    assert alarms <= 18
