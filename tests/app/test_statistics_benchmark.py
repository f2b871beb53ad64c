"""Buy-and-hold as a result like any other."""

from __future__ import annotations

import math

import numpy as np
import pytest
from tests.adapters.report.results_made import START

from tercel.app.benchmark import together
from tercel.app.statistics import buy_and_hold, summarise
from tercel.core.records import BAR
from tercel.domain.errors import DataError
from tercel.domain.times import DAY_MS


def test_all_in_at_the_first_open_and_out_at_the_last_close() -> None:
    # 1,000 / (100 * 1.001) = 9.990010 units; bought for 999.0010 and a fee of 0.9990
    # sold at 120: 1,198.8012 minus a fee of 1.1988 = 1,197.6024
    bars = np.zeros(3, BAR)
    bars["open_time"] = START + np.arange(3) * DAY_MS
    bars["open"], bars["close"] = (100.0, 110.0, 88.0), (110.0, 88.0, 120.0)
    result = buy_and_hold(bars, DAY_MS, 1_000.0, 0.001)
    found = summarise(result, bars=bars)
    assert result.equity_quote == pytest.approx(1_197.6024, abs=1e-3)
    assert found.net_quote == pytest.approx(197.6024, abs=1e-3)
    assert found.gross_quote == pytest.approx(199.8002, abs=1e-3)
    assert found.fee_quote == pytest.approx(2.1978, abs=1e-3)
    assert found.net_quote == pytest.approx(found.gross_quote - found.fee_quote)
    assert found.drawdown_depth == pytest.approx(0.2)  # 110 -> 88
    assert found.exposure_share == 1.0
    assert (found.trades, found.win_rate) == (1, 1.0)
    assert math.isnan(found.average_r_net)
    assert result.equity["equity"][0] == pytest.approx(9.990010 * 110, abs=1e-3)
    assert result.equity["exposure"][-1] == 0.0
    assert result.fills["fee_quote"].sum() == pytest.approx(found.fee_quote)


def test_several_series_in_equal_parts() -> None:
    """The second begins a day after the first and ends a day after it; no fees.

    500 at 100 are 5 units: 110, 120, 130 on days 1 to 3 and cash from there; 500 at 50 are 10
    units: 55, 40, 60 on days 2 to 4, cash before.
    """
    held = []
    for first_day, closes, open_price in (
        (0, (110.0, 120.0, 130.0), 100.0),
        (1, (55.0, 40.0, 60.0), 50.0),
    ):
        bars = np.zeros(3, BAR)
        bars["open_time"] = START + (first_day + np.arange(3)) * DAY_MS
        bars["open"], bars["close"] = open_price, closes
        held.append(buy_and_hold(bars, DAY_MS, 500.0, 0.0))
    assert together(held[:1]) is held[0]
    result = together(held)
    found = summarise(result)
    assert result.equity["time"].tolist() == [START + day * DAY_MS for day in (1, 2, 3, 4)]
    assert result.equity["equity"].tolist() == [1_050.0, 1_150.0, 1_050.0, 1_250.0]
    assert result.equity["exposure"].tolist() == [550.0, 1_150.0, 400.0, 0.0]
    assert (found.start_quote, found.end_quote, found.net_quote) == (1_000.0, 1_250.0, 250.0)
    assert (result.start_time, result.end_time) == (START, START + 4 * DAY_MS)
    assert result.trades["stream"].tolist() == [0, 1]
    assert result.fills["stream"].tolist() == [0, 1, 0, 1]
    assert [label.number for label in result.labels] == [0, 1]


def test_no_bars_is_an_error() -> None:
    with pytest.raises(DataError, match="no bars"):
        buy_and_hold(np.zeros(0, BAR), DAY_MS, 1_000.0, 0.001)
