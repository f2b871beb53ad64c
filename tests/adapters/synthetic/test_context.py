"""Funding and open interest: on their grid, causal, and following the trend."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tercel.adapters.synthetic import (
    SyntheticMarket,
    context_series,
    generate,
    generate_context,
)
from tercel.app.context_quality import assess_context, check_context

MARKET = SyntheticMarket(seed=5, days=30)


def test_times_and_ranges() -> None:
    context = generate_context(MARKET)
    assert len(context.funding_time) == 90
    assert (context.funding_time % (8 * 3_600_000) == 0).all()
    assert (np.abs(context.funding_rate) <= 0.003).all()
    assert context.funding_time[-1] == context.interest_time[-1] == MARKET.end_ms
    assert len(context.interest_time) == 30 * 288
    assert (np.diff(context.interest_time) == 300_000).all()
    assert (context.open_interest > 0).all()


def test_both_follow_the_trend() -> None:
    context = generate_context(replace(MARKET, days=120))
    close = np.log(generate(replace(MARKET, days=120))["close"])
    settled = (context.funding_time - MARKET.start_ms) // 60_000 - 1
    moved = close[settled[3:]] - close[settled[:-3]]
    assert np.corrcoef(moved, context.funding_rate[3:])[0, 1] > 0.5
    seen = (context.interest_time - MARKET.start_ms) // 60_000 - 1
    day = 288
    moved = close[seen[day:]] - close[seen[:-day]]
    grown = np.log(context.open_interest[day:] / context.open_interest[:-day])
    assert np.corrcoef(moved, grown)[0, 1] > 0.2


def test_the_future_changes_nothing() -> None:
    short, long = generate_context(replace(MARKET, days=3)), generate_context(MARKET)
    assert np.array_equal(short.funding_rate, long.funding_rate[:9])
    assert np.array_equal(short.open_interest, long.open_interest[: 3 * 288])


def test_missing_bars_leave_the_context_alone() -> None:
    days = replace(MARKET, days=2)
    holed = generate_context(replace(days, missing_per_day=40))
    assert np.array_equal(holed.funding_rate, generate_context(days).funding_rate)


def test_what_the_lake_keeps_obeys_its_rules() -> None:
    made = generate_context(MARKET)
    funding, interest = context_series(MARKET)
    assert str(funding.key) == "funding_rate synthetic BTCUSDT generated"
    assert str(interest.key) == "open_interest synthetic BTCUSDT generated"
    assert np.array_equal(funding.value, made.funding_rate)
    assert np.array_equal(interest.time, made.interest_time)
    for series in (funding, interest):
        check_context(series, origin="test")
        assert assess_context(series).gaps == ()
