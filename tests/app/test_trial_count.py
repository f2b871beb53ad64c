"""Which trials count as trials of the same thing, and what they do to a Sharpe ratio."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.ledgers import DAY, START, MemoryLedger, trial

from tercel.app.trial_count import TriedData, counted, most_tried, trials_of
from tercel.domain.bars import SeriesKey
from tercel.domain.trials import TrialRecord

ASKED = TriedData("three_r", "BTCUSDT", START, START + 30 * DAY)


def test_equal_trials_count_once_and_as_runs() -> None:
    records = [
        trial(1, sharpe=0.1), trial(2, sharpe=0.2), trial(1, sharpe=9.0, time_ms=5, kind="walk"),
    ]  # fmt: skip
    found = counted(records, ASKED)
    assert (found.trials, found.runs) == (2, 3)
    assert found.sharpes.tolist() == [0.1, 0.2]


def test_short_trials_do_not_make_every_record_look_like_luck() -> None:
    """Beside 300 days, 31 days are scaled by sqrt(30 / 299); 9 days say nothing; 400 stay."""
    found = counted(
        [
            trial(1, sharpe=0.1, daily_returns=300),
            trial(2, sharpe=0.6, daily_returns=31),
            trial(3, sharpe=50.0, daily_returns=9),
            trial(4, sharpe=0.2, daily_returns=400),
            trial(5, sharpe=math.nan, daily_returns=300),
        ],
        ASKED,
    )
    assert found.trials == 5
    ratios = found.ratios_for(300)
    assert ratios[[0, 1, 3]] == pytest.approx([0.1, 0.6 * math.sqrt(30 / 299), 0.2])
    assert np.isnan(ratios[[2, 4]]).all()
    assert found.ratios_for(31)[1] == 0.6


@pytest.mark.parametrize(
    "changes",
    [
        {"code_hash": "other"},
        {"data_hash": "other"},
        {"cost_profile": "free"},
        {"settings_hash": "other"},
        {"start_ms": START + DAY},
        {"series": SeriesKey("bybit-linear", "BTCUSDT", "5m")},
        {"parameters": {"ema_len": 1, "pressure": "auto", "range_pct": 0.300001}},
    ],
)
def test_whatever_decides_the_result_makes_another_trial(changes: dict[str, object]) -> None:
    assert counted([trial(1), trial(1, **changes)], ASKED).trials == 2


@pytest.mark.parametrize(
    ("days", "seen"),
    [((-10, 0), 0), ((-10, 1), 1), ((29, 60), 1), ((30, 60), 0), ((10, 11), 1), ((-9, 99), 1)],
)
def test_ranges_that_overlap_count(days: tuple[int, int], seen: int) -> None:
    there = trial(start_ms=START + days[0] * DAY, end_ms=START + days[1] * DAY)
    assert counted([there], ASKED).trials == seen


def test_other_strategies_and_symbols_do_not_count() -> None:
    other = SeriesKey("binance-usdm", "ETHUSDT")
    assert counted([trial(strategy="swing"), trial(series=other)], ASKED).trials == 0


def test_a_run_of_several_streams_is_judged_by_the_one_tried_most() -> None:
    ledger = MemoryLedger()
    eth = SeriesKey("binance-usdm", "ETHUSDT")
    ledger.append([trial(1), trial(1, series=eth), trial(2, series=eth, sharpe=math.nan)])
    asked = [ASKED, TriedData("three_r", "ETHUSDT", START, START + DAY)]
    found = most_tried(ledger, asked)
    assert (found.trials, trials_of(ledger, ASKED).trials) == (2, 1)
    assert np.isnan(found.sharpes).tolist() == [False, True]


trials = st.builds(
    lambda number, code, first, length: trial(
        number, code_hash=code, start_ms=START + first * DAY, end_ms=START + (first + length) * DAY
    ),
    st.integers(0, 3),
    st.sampled_from("ab"),
    st.integers(-40, 40),
    st.integers(1, 40),
)


@given(st.lists(trials, max_size=30))
def test_counts_against_the_slow_obvious_way(records: list[TrialRecord]) -> None:
    here = [
        each
        for each in records
        if any(each.start_ms <= day * DAY + START < each.end_ms for day in range(30))
    ]
    distinct = {
        (each.code_hash, each.parameters["ema_len"], each.start_ms, each.end_ms) for each in here
    }
    found = counted(records, ASKED)
    assert (found.trials, found.runs) == (len(distinct), len(here))
    assert len(found.sharpes) == found.trials


@given(st.lists(trials, max_size=20), st.lists(trials, max_size=20))
def test_more_research_never_counts_less(
    earlier: list[TrialRecord], later: list[TrialRecord]
) -> None:
    assert counted([*earlier, *later], ASKED).trials >= counted(earlier, ASKED).trials
