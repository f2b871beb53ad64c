"""What must hold of statistics and curves whatever the result."""

from __future__ import annotations

import math
from dataclasses import fields
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from tests.adapters.report.results_made import Row, make_result

from tercel.app.equity_path import daily_returns
from tercel.app.report import waterfall
from tercel.app.report_series import before_costs, drawdown_curve, thin
from tercel.app.sharpe import moments, probabilistic_sharpe, sharpe, track_record_length_min
from tercel.app.statistics import summarise
from tercel.app.verdict import judge

positive_points = st.lists(st.floats(1.0, 1e5), min_size=1, max_size=40).map(
    lambda values: [((i + 1) / 3.0, value) for i, value in enumerate(values)]
)
any_rows = st.lists(
    st.builds(
        lambda net, cost, begin: Row(
            net=net, gross=net + cost, entry_minute=begin, exit_minute=begin + 30
        ),
        st.floats(-100.0, 100.0),
        st.floats(0.0, 5.0),
        st.integers(0, 1_000),
    ),
    max_size=40,
)


@settings(max_examples=80, deadline=None)
@given(positive_points)
def test_daily_and_monthly_returns_compound_to_the_whole(table: list[tuple[float, float]]) -> None:
    result = make_result((), table)
    whole = result.equity_quote / result.start_quote
    returns = daily_returns(result.equity, result.start_quote, result.start_time, result.end_time)
    assert math.prod(1.0 + r for r in returns) == pytest.approx(whole)
    months = summarise(result).monthly
    assert math.prod(1.0 + m.net_fraction for m in months) == pytest.approx(whole)
    assert sum(m.net_quote for m in months) == pytest.approx(result.equity_quote - 100.0, abs=1e-6)


@settings(max_examples=80, deadline=None)
@given(any_rows)
def test_every_table_holds_every_trade(table: list[Row]) -> None:
    found = summarise(make_result(table, ((2.0, 101.0),)))
    for groups in (found.by_side, found.by_exit, found.by_hour, found.by_entry_reason):
        assert sum(group.trades for group in groups) == len(table)
        total = sum(group.net_quote for group in groups)
        assert total == pytest.approx(sum(row.net for row in table), abs=1e-6)


@settings(max_examples=80, deadline=None)
@given(any_rows, positive_points)
@example([Row(net=0.0, gross=1.0), Row(net=-5e-324, gross=-5e-324)], [(0.5, 1.0)])
def test_no_figure_is_infinite_and_a_verdict_is_always_given(
    rows: list[Row], table: list[tuple[float, float]]
) -> None:
    found = summarise(make_result(rows, table))
    for field in fields(found):
        value = getattr(found, field.name)
        assert not (isinstance(value, float) and math.isinf(value)), field.name
    said = str(judge(found, found))
    assert "nan" not in said.lower()
    assert "inf" not in said.lower()


@settings(max_examples=80, deadline=None)
@given(any_rows, positive_points)
def test_the_waterfall_adds_up(rows: list[Row], table: list[tuple[float, float]]) -> None:
    steps = waterfall(summarise(make_result(rows, table, funding_quote=-1.0)))
    for before, after in pairwise(steps[:-1]):
        assert after.begin == pytest.approx(before.end)
    assert steps[-2].end == pytest.approx(steps[-1].quote, abs=0.01)


@settings(max_examples=80, deadline=None)
@given(st.lists(st.floats(-0.2, 0.2), min_size=3, max_size=50))
def test_proof_and_probability_agree(values: list[float]) -> None:
    returns = np.array(values)
    shape = moments(returns)
    ratio = sharpe(shape)
    assume(not math.isnan(ratio) and abs(ratio) < 5.0)
    chance = probabilistic_sharpe(ratio, shape)
    assume(not math.isnan(chance))
    assert 0.0 <= chance <= 1.0
    needed = track_record_length_min(ratio, shape)
    if abs(chance - 0.95) > 1e-6:
        assert (needed <= shape.count) == (chance >= 0.95)


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=400),
    st.integers(4, 40),
)
def test_thinned_curves_keep_their_extremes(values: list[float], points_max: int) -> None:
    times = np.arange(len(values), dtype=np.int64)
    series = np.array(values)
    kept_times, kept = thin(times, series, points_max)
    assert len(kept) <= points_max + 2 * 2  # and both ends
    assert kept.min() == series.min()
    assert kept.max() == series.max()
    assert kept[0] == series[0]
    assert kept[-1] == series[-1]
    assert np.all(np.diff(kept_times) > 0)
    assert np.array_equal(series[kept_times], kept)


@settings(max_examples=40, deadline=None)
@given(any_rows)
def test_gross_equity_ends_at_net_plus_costs(rows: list[Row]) -> None:
    table = [(i / 24, 100.0 + i) for i in range(1, 49)]
    result = make_result(rows, table)
    gross = before_costs("gross", result)
    assert gross.values[0] == 100.0
    assert gross.values[-1] == pytest.approx(result.equity_quote + result.fee_quote)
    assert drawdown_curve(result).values.max() == 0.0
