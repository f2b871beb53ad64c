"""The statistics against slow twins in plain Python, on tables that hypothesis invents."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.adapters.report.results_made import START, Row, make_result

from tercel.app.equity_path import day_boundaries
from tercel.app.statistics import summarise
from tercel.domain.results import BacktestResult
from tercel.domain.times import DAY_MS

MINUTE_MS = 60_000

rows = st.lists(
    st.builds(
        lambda net, cost, begin, hold, risk: Row(
            net=net, gross=net + cost, entry_minute=begin, exit_minute=begin + hold, risk=risk
        ),
        st.sampled_from((-20.0, -10.0, -1.0, 0.0, 1.0, 15.0, 40.0)),
        st.sampled_from((0.0, 0.5, 2.0)),
        st.integers(0, 4_000),
        st.integers(0, 600),
        st.sampled_from((5.0, 10.0, 0.0)),
    ),
    max_size=25,
)
points = st.lists(
    st.tuples(
        st.integers(1, 90 * 24), st.integers(-5_000, 30_000).map(lambda cents: cents / 100.0)
    ),
    min_size=1,
    max_size=60,
    unique_by=lambda point: point[0],
).map(lambda found: [(hour / 24.0, value) for hour, value in sorted(found)])


def same(left: float, right: float) -> bool:
    return (math.isnan(left) and math.isnan(right)) or left == pytest.approx(right, abs=1e-9)


def over(top: float, bottom: float) -> float:
    return top / bottom if bottom != 0 else math.nan


def naive_daily(result: BacktestResult) -> list[float]:
    closes = [result.start_quote]
    for boundary in day_boundaries(result.start_time, result.end_time):
        value = result.start_quote
        for row in result.equity:
            if row["time"] <= boundary:
                value = float(row["equity"])
        closes.append(value)
        if value <= 0:
            break
    return [after / before - 1.0 for before, after in pairwise(closes)]


def naive_drawdown(result: BacktestResult) -> tuple[float, int]:
    peak, peak_time, depth, longest = result.start_quote, result.start_time, 0.0, 0
    below = False
    for row in result.equity:
        value, time = float(row["equity"]), int(row["time"])
        if value >= peak:
            if below:
                longest = max(longest, time - peak_time)
            peak, peak_time, below = value, time, False
        else:
            below = True
            depth = max(depth, (peak - value) / peak)
            longest = max(longest, time - peak_time)
    return depth, longest


@settings(max_examples=60, deadline=None)
@given(points)
def test_equity_figures(table: list[tuple[float, float]]) -> None:
    result = make_result((), table)
    found = summarise(result)
    returns = naive_daily(result)
    assert found.daily_returns == len(returns)
    if len(returns) >= 2 and max(returns) - min(returns) > 1e-9:
        mean = sum(returns) / len(returns)
        variance = sum((r - mean) ** 2 for r in returns) / (len(returns) - 1)
        assert same(found.sharpe, mean / math.sqrt(variance) * math.sqrt(365))
        downside = math.sqrt(sum(min(r, 0.0) ** 2 for r in returns) / len(returns))
        assert same(found.sortino, over(mean, downside) * math.sqrt(365))
    depth, longest = naive_drawdown(result)
    assert same(found.drawdown_depth, depth)
    assert found.drawdown_duration_ms == longest


@settings(max_examples=60, deadline=None)
@given(points)
def test_months(table: list[tuple[float, float]]) -> None:
    result = make_result((), table)
    closes: dict[tuple[int, int], float] = {}
    for row in result.equity:
        at = datetime.fromtimestamp((int(row["time"]) - 1) / 1000, UTC)
        closes[(at.year, at.month)] = float(row["equity"])
    before = result.start_quote
    for month in summarise(result).monthly:
        after = closes.get((month.year, month.month), before)
        assert same(month.net_fraction, after / before - 1.0 if before > 0 else math.nan)
        assert same(month.net_quote, after - before)
        before = after


@settings(max_examples=60, deadline=None)
@given(rows)
def test_trade_figures(table: list[Row]) -> None:
    result = make_result(table, ((3.0, 100.0),))
    found = summarise(result)
    ordered = sorted(table, key=lambda row: row.exit_minute)
    nets = [row.net for row in ordered]
    won, lost = [n for n in nets if n > 0], [-n for n in nets if n < 0]
    assert same(found.profit_factor_net, over(sum(won), sum(lost)))
    assert same(found.win_rate, over(len(won), len(nets)))
    assert same(found.expectancy_quote, over(sum(nets), len(nets)))
    mean_won, mean_lost = over(sum(won), len(won)), over(sum(lost), len(lost))
    assert same(found.pay_off, mean_won / mean_lost)
    in_r = [row.net / row.risk for row in table if row.risk > 0]
    assert same(found.average_r_net, over(sum(in_r), len(in_r)))
    assert found.winning_streak == longest_run([n > 0 for n in nets])
    assert found.losing_streak == longest_run([n < 0 for n in nets])


def longest_run(flags: list[bool]) -> int:
    best = run = 0
    for flag in flags:
        run = run + 1 if flag else 0
        best = max(best, run)
    return best


@settings(max_examples=60, deadline=None)
@given(rows)
def test_exposure_minute_by_minute(table: list[Row]) -> None:
    minutes = 3 * DAY_MS // MINUTE_MS
    open_minutes = {
        minute for row in table for minute in range(row.entry_minute, min(row.exit_minute, minutes))
    }
    found = summarise(make_result(table, ((3.0, 100.0),)))
    assert same(found.exposure_share, len(open_minutes) / minutes)


@settings(max_examples=60, deadline=None)
@given(rows)
def test_hours(table: list[Row]) -> None:
    found = {group.name: group for group in summarise(make_result(table, ((3.0, 1.0),))).by_hour}
    by_hour: dict[str, list[Row]] = {}
    for row in table:
        at = datetime.fromtimestamp((START + row.entry_minute * MINUTE_MS) / 1000, UTC)
        by_hour.setdefault(f"{at.hour:02d}", []).append(row)
    assert found.keys() == by_hour.keys()
    for hour, mine in by_hour.items():
        assert found[hour].trades == len(mine)
        assert same(found[hour].net_quote, sum(row.net for row in mine))
        assert same(found[hour].win_rate, sum(row.net > 0 for row in mine) / len(mine))
