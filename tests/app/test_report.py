"""The report as data: words for figures, steps from gross to net, curves, candles."""

from __future__ import annotations

import math

import numpy as np
import pytest
from tests.adapters.report.results_made import (
    START,
    Row,
    make_record,
    make_result,
    make_trades,
)

from tercel.app import wording
from tercel.app.key_figures import DEFINITIONS, key_figures
from tercel.app.report import assess, comparison, named_run, waterfall
from tercel.app.report_series import CANDLES_MAX, curve, r_histogram, scaled, worst_trades
from tercel.app.statistics import BUY_AND_HOLD, buy_and_hold, summarise
from tercel.core.codes import ExitReason, Side
from tercel.core.records import BAR, Records
from tercel.domain.times import DAY_MS, HOUR_MS, MINUTE_MS


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (wording.number(-0.001), "0.00"),
        (wording.number(1234.5), "1,234.50"),
        (wording.number(math.inf), "n/a"),
        (wording.money(-123_456.7), "-123,457"),
        (wording.money(99.995), "100.00"),
        (wording.percent(-0.234), "-23.4 %"),
        (wording.percent(1.1), "110 %"),
        (wording.percent(-0.0001), "0.0 %"),
        (wording.percent(math.nan), "n/a"),
        (wording.r_multiple(0.314), "+0.31 R"),
        (wording.r_multiple(math.nan), "n/a"),
        (wording.duration(90 * MINUTE_MS), "90 min"),
        (wording.duration(30 * HOUR_MS), "30.0 h"),
        (wording.duration(5.5 * DAY_MS), "5.5 days"),
        (wording.duration(412 * DAY_MS), "412 days"),
        (wording.duration(math.nan), "n/a"),
        (wording.times(31.2), "31 times"),
        (wording.times(2.44), "2.4 times"),
        (wording.times(math.nan), "n/a"),
        (wording.title("below_minimum"), "Below minimum"),
        (wording.title(""), ""),
        (wording.typeset("12 %"), "12\N{NO-BREAK SPACE}%"),
        (wording.typeset("-1.5 on 2024-06-25 by a-1"), "\N{MINUS SIGN}1.5 on 2024-06-25 by a-1"),
    ],
)
def test_words(said: str, expected: str) -> None:
    assert said == expected


def test_waterfall_shows_an_open_position_as_a_rest() -> None:
    found = summarise(make_result((Row(net=4.0, gross=5.0),), ((1.0, 107.0),), gross_quote=5.0))
    steps = waterfall(found)
    assert [step.name for step in steps] == [
        "Gross profit",
        "Fees",
        "Slippage",
        "Funding",
        "Open positions",
        "Net profit",
    ]
    assert steps[1].quote == pytest.approx(-1.0)
    assert steps[4].quote == pytest.approx(3.0)  # 7 - (5 - 1)
    assert steps[-1].quote == pytest.approx(7.0)


def test_key_figures_without_a_benchmark_leave_it_empty() -> None:
    found = summarise(make_result())
    assert all(figure.held == "" for figure in key_figures(found))
    assert [figure.name for figure in key_figures(found)] == list(DEFINITIONS)
    assert any(figure.held for figure in key_figures(found, found))


def test_comparison_is_a_table() -> None:
    bars = hourly(48)
    held = named_run(BUY_AND_HOLD, buy_and_hold(bars, HOUR_MS, 100.0, 0.0))
    rows = comparison([named_run("one", make_result((), ((1.0, 90.0),))), held])
    assert rows[0] == ("", "one", BUY_AND_HOLD)
    assert {len(row) for row in rows} == {3}
    assert ("Return", "-10.0 %", wording.percent(held.statistics.net_fraction)) in rows
    assert rows[-1] == ("Verdict", "Not enough trades to say anything", "")


def test_assess_joins_everything() -> None:
    result = make_result((Row(net=5.0),), ((1.0, 105.0),))
    report = assess(result, make_record(), bars=hourly(48))
    assert report.statistics.by_market_state[0].name == "unknown"
    assert "no buy-and-hold" in str(report.verdict)


def test_curves_are_scaled_to_one_capital() -> None:
    times = np.arange(3, dtype=np.int64)
    first = curve("a", times, np.array([200.0, 300.0, 100.0]))
    broken = curve("b", times, np.array([0.0, 1.0, 2.0]))
    found = scaled([first, broken], 100.0)
    assert found[0].values.tolist() == [100.0, 150.0, 50.0]
    assert found[1] is broken


def test_histogram_counts_every_known_trade() -> None:
    # -20 R and +9 R are counted in the outermost bins, 0 R in [0, 0.25)
    rows = [Row(net=net) for net in (-200.0, -12.0, 0.0, 2.4, 90.0)] + [Row(net=1.0, risk=0.0)]
    found = r_histogram(make_trades(rows))
    assert found.counts.sum() == 5
    assert found.edges[0] == -6.0
    assert found.edges[-1] == 6.0
    assert found.counts[np.searchsorted(found.edges, 0.0)] == 2
    assert len(r_histogram(make_trades([])).counts) == 0
    assert r_histogram(make_trades([Row(net=0.0)])).counts.tolist() == [1]


def hourly(count: int, bar_ms: int = HOUR_MS) -> Records:
    bars = np.zeros(count, BAR)
    bars["open_time"] = START + np.arange(count) * bar_ms
    bars["open"] = 100.0 + np.arange(count)
    bars["close"] = bars["open"] + 1.0
    bars["low"], bars["high"] = bars["open"] - 2.0, bars["close"] + 2.0
    return bars


def test_worst_trades_come_first_with_their_exits() -> None:
    rows = (
        Row(net=-5.0, entry_minute=600, exit_minute=660, exit_reason=ExitReason.TIME),
        Row(net=-50.0, entry_minute=700, exit_minute=900, side=Side.SHORT),
        Row(net=7.0, entry_minute=950, exit_minute=960),
    )
    views = worst_trades(make_result(rows, ((2.0, 50.0),)), hourly(48), 4)
    assert [float(view.trade["net_quote"]) for view in views] == [-50.0, -5.0]
    short, long = views
    assert (short.entry.label, short.symbol) == ("short", "BTCUSDT")
    assert short.stop_price == 110.0  # 100 + 10: above a short
    assert long.stop_price == 90.0
    assert [mark.label for mark in long.exits] == ["time"]
    assert short.exits[0].price == pytest.approx(150.0)
    assert short.candles["open_time"][0] <= short.entry.time
    assert worst_trades(make_result(rows, ((2.0, 50.0),)), None, 4) == ()
    assert worst_trades(make_result(rows, ((2.0, 50.0),)), hourly(1), 4) == ()


def test_a_trade_without_fills_shows_its_mean_exit() -> None:
    result = make_result((Row(net=-5.0),), ((2.0, 95.0),), fills=make_result().fills)
    view = worst_trades(result, [hourly(48)], 4)[0]
    assert [(mark.price, mark.label) for mark in view.exits] == [(95.0, "stop")]


def test_exits_belong_to_the_trade_entered_last() -> None:
    """A stop inside a bar and the next entry at its close carry one time."""
    rows = (
        Row(net=-5.0, entry_minute=600, exit_minute=660),
        Row(net=-9.0, entry_minute=660, exit_minute=720, exit_reason=ExitReason.TIME),
        Row(net=-3.0, entry_minute=630, exit_minute=690, stream=1),
    )
    labels = (make_result().labels[0],) * 2
    views = worst_trades(make_result(rows, ((2.0, 83.0),), labels=labels), [hourly(48)] * 2, 3)
    assert [[(mark.price, mark.label) for mark in view.exits] for view in views] == [
        [(91.0, "time")],
        [(95.0, "stop")],
        [(97.0, "stop")],
    ]


def test_long_trades_are_drawn_with_wider_candles() -> None:
    rows = (Row(net=-5.0, entry_minute=600, exit_minute=600 + 1_000),)
    bars = hourly(2_880, MINUTE_MS)
    view = worst_trades(make_result(rows, ((2.0, 95.0),)), bars, 4)[0]
    assert len(view.candles) <= CANDLES_MAX
    assert view.bar_ms % MINUTE_MS == 0
    width = view.bar_ms // MINUTE_MS
    first = int(np.searchsorted(bars["open_time"], view.candles["open_time"][0]))
    part = bars[first : first + width]
    assert view.candles["high"][0] == part["high"].max()
    assert view.candles["low"][0] == part["low"].min()
    assert view.candles["close"][0] == part["close"][-1]
    assert view.candles["close"][-1] in bars["close"]
