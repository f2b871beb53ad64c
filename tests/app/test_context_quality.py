"""Rules and findings of context, by hand."""

from __future__ import annotations

import dataclasses

import pytest
from tests.context_fakes import FEAR, FUNDING, INTEREST, rows

from tercel.app.context_quality import OddValue, assess_context
from tercel.domain.bars import Gap
from tercel.domain.context import ContextKey
from tercel.domain.times import DAY_MS, HOUR_MS, parse_time

START = parse_time("2024-01-01")
STEP = 8 * HOUR_MS
SP500 = ContextKey("sp500", "all", "all", "macro-1d")


def settlements(hours: list[int], rate: float = 1e-4) -> list[Gap]:
    found = rows(FUNDING, [START + hour * HOUR_MS for hour in hours], [rate] * len(hours))
    return list(assess_context(found).gaps)


def test_a_missing_settlement_is_a_gap() -> None:
    assert settlements([0, 8, 16, 40, 48, 64]) == [
        Gap(START + 3 * STEP, START + 5 * STEP, 2),
        Gap(START + 7 * STEP, START + 8 * STEP, 1),
    ]


def test_settling_more_often_from_some_day_on_is_none() -> None:
    assert settlements([0, 8, 16, 20, 24, 28, 32, 36]) == []
    assert settlements([0, 4, 8, 12, 16, 24, 28]) == [], "no venue settles less than every 8 h"
    assert settlements([0, 4, 8, 12, 16, 28, 32]) == [
        Gap(START + 20 * HOUR_MS, START + 28 * HOUR_MS, 2)
    ]


def test_days_that_are_missing() -> None:
    days = [0, 1, 2, 4, 5, 9]
    found = assess_context(rows(FEAR, [START + day * DAY_MS for day in days], [50] * 6))
    assert [gap.bars for gap in found.gaps] == [1, 3]
    assert found.verdict() == "2 gaps (4 values missing)"


def test_weekends_of_other_markets_are_no_gaps() -> None:
    days = [0, 1, 2, 3, 4, 7, 8, 11]
    found = assess_context(rows(SP500, [START + day * DAY_MS for day in days], [4000.0] * 8))
    assert found.gaps == ()
    assert found.verdict() == "good: no gap, no implausible value"


def test_one_row_has_no_gap() -> None:
    assert assess_context(rows(FEAR, [START], [50])).gaps == ()


def test_implausible_values_are_told_with_their_reason() -> None:
    funding = rows(FUNDING, [START, START + STEP, START + 2 * STEP], [1e-4, -0.031, 1e-4])
    report = assess_context(funding)
    assert report.odd == (OddValue(START + STEP, -0.031, "beyond -0.03 to 0.03"),)
    assert report.verdict() == "1 values to look at"
    four = [START + n * 4 * HOUR_MS for n in range(4)]
    interest = assess_context(rows(INTEREST, four, [100.0, 201.0, 200.0, 99.0])).odd
    assert [(odd.time, odd.reason) for odd in interest] == [
        (four[1], "100 before it"),
        (four[3], "200 before it"),
    ]
    none = assess_context(rows(INTEREST, four[:2], [100.0, 0.0])).odd
    assert [odd.reason for odd in none] == ["beyond 1e-09 to inf"]
    ratio = dataclasses.replace(INTEREST, kind="long_short_ratio")
    assert len(assess_context(rows(ratio, four, [1.0, 21.0, 0.04, 1.0])).odd) == 2
    assert len(assess_context(rows(SP500, four[:2], [4000.0, 3400.0])).odd) == 1


@pytest.mark.parametrize(("rate", "in_percent"), [(0.01, True), (-0.01, True), (0.0019, False)])
def test_funding_written_in_percent(rate: float, in_percent: bool) -> None:
    series = rows(FUNDING, [START + n * STEP for n in range(9)], [rate] * 9)
    report = assess_context(series)
    assert report.in_percent is in_percent
    assert ("looks like percent" in report.verdict()) is in_percent
