"""Bars of several symbols brought together by their minute."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.app.live.scenes import MINUTE, START, bar_of

from tercel.app.live.bar_collector import BESIDE_KEPT, BarCollector
from tercel.app.ports import FeedBar
from tercel.core.records import CONTEXT, Records
from tercel.domain.events import BarsClosed, MarketView

SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT")
WAIT_MS = 1_500


class Bench:
    def __init__(self, count: int = 3, beside: tuple[str, ...] = ()) -> None:
        self.asked: list[tuple[str, int]] = []
        self.collector = BarCollector(SYMBOLS[:count], WAIT_MS, self.context, self.view, beside)

    def context(self, symbol: str, open_time: int) -> Records:
        self.asked.append((symbol, open_time))
        made: Records = np.zeros(1, CONTEXT)
        made["funding_rate"] = SYMBOLS.index(symbol) + 1.0
        return made

    def view(self, symbol: str, now_ms: int) -> MarketView:
        return MarketView(float(SYMBOLS.index(symbol)), 10.0, now_ms % 1_000)

    def add(self, symbol: str, minute: int, now_ms: int = 0) -> list[BarsClosed]:
        bar = bar_of(START + minute * MINUTE, 100.0 + SYMBOLS.index(symbol))
        return self.collector.add(FeedBar(symbol, bar, now_ms), now_ms)


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_a_moment_is_handed_on_once_all_are_there(bench: Bench) -> None:
    """In the order of the series, whatever came first; each with its context and its view."""
    assert bench.add("SOLUSDT", 0, 10) == []
    assert bench.add("BTCUSDT", 0, 20) == []
    [event] = bench.add("ETHUSDT", 0, 30)
    assert event.series == (0, 1, 2)
    assert event.bars["close"].tolist() == [100.0, 101.0, 102.0]
    assert event.contexts["funding_rate"].tolist() == [1.0, 2.0, 3.0]
    assert [view.bid for view in event.views] == [0.0, 1.0, 2.0]
    assert (event.time_ms, event.open_time, event.is_late) == (30, START, False)
    assert bench.asked == [(symbol, START) for symbol in SYMBOLS]


def test_the_others_are_waited_for_so_long_and_no_longer(bench: Bench) -> None:
    bench.add("BTCUSDT", 0, 1_000)
    bench.add("SOLUSDT", 0, 1_900)
    assert bench.collector.due(1_000 + WAIT_MS - 1) == []
    [event] = bench.collector.due(1_000 + WAIT_MS)
    assert event.series == (0, 2)
    assert not event.is_late
    assert bench.collector.due(1_000_000) == [], "handed on once"


def test_a_bar_after_its_moment_is_late(bench: Bench) -> None:
    bench.add("BTCUSDT", 0, 0)
    bench.collector.due(WAIT_MS)
    [event] = bench.add("ETHUSDT", 0, WAIT_MS + 1)
    assert event.is_late
    assert event.series == (1,)


def test_a_bar_of_before_the_present_moment_is_late(bench: Bench) -> None:
    for symbol in SYMBOLS:
        bench.add(symbol, 5)
    [event] = bench.add("BTCUSDT", 4)
    assert event.is_late


def test_a_bar_of_tomorrow_does_not_make_all_others_late() -> None:
    bench, now = Bench(1), START + 2 * MINUTE
    bench.add("BTCUSDT", 1, now)
    bench.add("BTCUSDT", 1440, now)
    for minute in (2, 3):
        now = START + (minute + 1) * MINUTE
        [event] = bench.add("BTCUSDT", minute, now)
        assert not event.is_late
    [event] = bench.add("BTCUSDT", 2, now)
    assert event.is_late


def test_a_whole_later_minute_hands_the_waiting_one_on_first(bench: Bench) -> None:
    """Strategies see bars in their order: what waits for others goes with it, and before it."""
    bench.add("BTCUSDT", 0, 0)
    bench.add("BTCUSDT", 1, 100)
    bench.add("ETHUSDT", 1, 110)
    events = bench.add("SOLUSDT", 1, 120)
    assert [(event.open_time, event.series) for event in events] == [
        (START, (0,)),
        (START + MINUTE, (0, 1, 2)),
    ]
    assert not any(event.is_late for event in events)


def test_the_same_bar_twice_counts_once(bench: Bench) -> None:
    bench.add("BTCUSDT", 0)
    assert bench.add("BTCUSDT", 0) == []
    bench.add("ETHUSDT", 0)
    [event] = bench.add("SOLUSDT", 0)
    assert event.series == (0, 1, 2)


def test_one_symbol_waits_for_nobody() -> None:
    bench = Bench(1)
    [event] = bench.add("BTCUSDT", 0, 7)
    assert event.time_ms == 7
    assert len(event.views) == 1


@pytest.mark.parametrize("is_first", [True, False])
def test_a_bar_beside_is_waited_for_and_part_of_nothing(is_first: bool) -> None:
    """The context of the others is told when it is there: it comes from it."""
    bench = Bench(2, beside=("SOLUSDT",))
    order = ["BTCUSDT", "ETHUSDT"]
    order.insert(0 if is_first else 2, "SOLUSDT")
    assert bench.add(order[0], 0) == bench.add(order[1], 0) == []
    assert bench.asked == []
    [event] = bench.add(order[2], 0, 40)
    assert (event.series, event.time_ms) == ((0, 1), 40)
    assert bench.add("SOLUSDT", 0) == []


def test_a_bar_beside_that_does_not_come_is_not_waited_for_any_longer() -> None:
    bench = Bench(1, beside=("SOLUSDT",))
    assert bench.add("BTCUSDT", 0, 1_000) == []
    [event] = bench.collector.due(1_000 + WAIT_MS)
    assert event.series == (0,)
    assert bench.add("SOLUSDT", 0, 3_000) == [], "too late, and nothing waits for it"
    assert bench.add("BTCUSDT", 1, 61_000) == []
    assert len(bench.add("SOLUSDT", 1, 61_010)) == 1


def test_one_beside_that_has_stopped_delays_nobody_until_it_comes_again() -> None:
    bench = Bench(1, beside=("SOLUSDT",))
    assert bench.add("BTCUSDT", 0, 1_000) == []
    assert len(bench.collector.due(1_000 + WAIT_MS)) == 1
    assert len(bench.add("BTCUSDT", 1, 61_000)) == 1, "not waited for a second time"
    assert bench.add("SOLUSDT", 1, 61_100) == []
    assert bench.add("BTCUSDT", 2, 121_000) == []
    assert len(bench.add("SOLUSDT", 2, 121_010)) == 1


def test_what_comes_beside_a_market_without_bars_is_forgotten() -> None:
    bench = Bench(1, beside=("SOLUSDT",))
    for minute in range(500):
        assert bench.add("SOLUSDT", minute) == []
    assert len(bench.collector._beside_at) == BESIDE_KEPT
    assert len(bench.add("BTCUSDT", 499)) == 1


def test_without_a_view_nothing_is_known_of_the_feed() -> None:
    bench = Bench()
    plain = BarCollector(SYMBOLS[:1], WAIT_MS, bench.context)
    [event] = plain.add(FeedBar("BTCUSDT", bar_of(START, 1.0), 0), 0)
    assert event.views == ()


@given(
    st.lists(
        st.tuples(st.integers(0, 2), st.integers(0, 6), st.integers(0, 900)),
        min_size=1,
        max_size=40,
    )
)
def test_no_bar_is_lost_or_twice_and_moments_only_go_forward(
    steps: list[tuple[int, int, int]],
) -> None:
    """Whatever comes in whatever order: every bar is handed on, late where its moment was."""
    bench, now = Bench(), 0
    handed: list[tuple[int, int]] = []
    moments: list[int] = []
    sent: set[tuple[int, int]] = set()
    for row, minute, wait in steps:
        now += wait
        if (row, minute) in sent:
            continue
        sent.add((row, minute))
        events = bench.collector.due(now) + bench.add(SYMBOLS[row], minute, now)
        for event in events:
            handed += [(series, (event.open_time - START) // MINUTE) for series in event.series]
            if not event.is_late:
                moments.append(event.open_time)
    for event in bench.collector.due(now + WAIT_MS):
        handed += [(series, (event.open_time - START) // MINUTE) for series in event.series]
        moments.append(event.open_time)
    assert sorted(handed) == sorted(sent)
    assert moments == sorted(set(moments))
