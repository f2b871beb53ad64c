"""Merging, over any two sets of bars: idempotent, order does not matter where nothing disagrees."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.fakes import make_bars, same_bars

from tercel.adapters.lake.merging import merge_bars, run_ends
from tercel.app.ports import MergeReport
from tercel.app.quality import OPTIONAL
from tercel.core.records import Records
from tercel.domain.times import parse_time

MINUTE = 60_000
ALL = make_bars(parse_time("2024-01-31 23:50"), 30)

rows = st.sets(st.integers(0, len(ALL) - 1)).map(sorted)
unknown = st.lists(st.tuples(st.integers(0, len(ALL) - 1), st.sampled_from(OPTIONAL)), max_size=40)


def merge(stored: Records, offered: Records) -> tuple[Records, MergeReport]:
    return merge_bars(
        stored,
        offered,
        stored_ends=run_ends(stored["open_time"], MINUTE),
        offered_ends=run_ends(offered["open_time"], MINUTE),
    )


@st.composite
def some_bars(draw: st.DrawFn) -> Records:
    """Some of ALL, some of their values unknown."""
    bars = ALL.copy()
    for row, name in draw(unknown):
        bars[name][row] = np.nan
    chosen: Records = bars[draw(rows)]
    return chosen


@st.composite
def other_bars(draw: st.DrawFn) -> Records:
    """Bars of the same times that disagree here and there."""
    bars = draw(some_bars())
    for row in draw(st.sets(st.integers(0, len(ALL) - 1), max_size=5)):
        if row < len(bars):
            name = draw(st.sampled_from(["open", "close", "volume", "count"]))
            bars[name][row] += draw(st.sampled_from([-0.25, 0.25, 1.0]))
    return bars


def counted(report: MergeReport) -> int:
    return report.added + report.filled + report.unchanged + report.replaced + report.conflicts


@settings(max_examples=150, deadline=None)
@given(some_bars(), other_bars())
def test_merging_twice_is_merging_once(stored: Records, offered: Records) -> None:
    before = stored.copy()
    once, first = merge(stored, offered)
    assert same_bars(stored, before)  # the arguments are left alone
    twice, second = merge(once, offered)
    assert twice is once
    assert same_bars(twice, once)
    assert (second.added, second.filled, second.replaced) == (0, 0, 0)
    assert counted(first) == counted(second) == len(offered)
    assert bool(first.conflicts) == bool(first.first_conflict)


@settings(max_examples=150, deadline=None)
@given(some_bars(), some_bars(), some_bars())
def test_order_does_not_matter_where_nothing_disagrees(
    one: Records, two: Records, three: Records
) -> None:
    forward, report = merge(merge(one, two)[0], three)
    backward, _ = merge(three, merge(two, one)[0])
    assert same_bars(forward, backward)
    assert report.conflicts == 0


@settings(max_examples=100, deadline=None)
@given(rows, other_bars(), other_bars())
def test_order_does_not_matter_for_disjoint_bars(
    picked: list[int], one: Records, two: Records
) -> None:
    mine = np.isin(one["open_time"], ALL["open_time"][picked])
    theirs = ~np.isin(two["open_time"], ALL["open_time"][picked])
    left, right = one[mine], two[theirs]
    forward, report = merge(left, right)
    backward, _ = merge(right, left)
    assert same_bars(forward, backward)
    assert report == MergeReport(added=len(right))


@settings(max_examples=100, deadline=None)
@given(other_bars(), other_bars())
def test_what_is_known_is_never_lost(stored: Records, offered: Records) -> None:
    merged, _ = merge(stored, offered)
    times = merged["open_time"]
    assert (np.diff(times) > 0).all()
    assert set(times) == set(stored["open_time"]) | set(offered["open_time"])
    kept = merged[np.isin(times, stored["open_time"])]
    for name in OPTIONAL:
        lost = np.isnan(kept[name]) & ~np.isnan(stored[name])
        # Only a final bar that knows less than the running one it replaces leaves something
        # unknown.
        assert (kept["volume"][lost] > stored["volume"][lost]).all()


def test_an_empty_side() -> None:
    none = ALL[:0]
    assert merge(none, none)[1] == MergeReport()
    assert merge(ALL, none)[0] is ALL
    merged, report = merge(none, ALL)
    assert merged is ALL
    assert report == MergeReport(added=len(ALL))
