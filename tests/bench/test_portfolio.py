"""The market of the portfolio bench: a year long, without a jump where it begins again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from bench.market import NoDataError
from bench.portfolio import KNOWN_BARS, PRICES, YEAR_BARS, a_year, known_bars
from tests.market_data import MINUTE_MS, invented_bars


def test_a_year_goes_on_where_it_ended() -> None:
    bars = invented_bars(KNOWN_BARS, seed=5)
    year = a_year(bars, decimals=2)
    assert len(year) == YEAR_BARS == 525_600
    assert (np.diff(year["open_time"]) == MINUTE_MS).all()
    for name in PRICES:
        assert np.array_equal(year[name][:KNOWN_BARS], np.round(bars[name], 2))
    assert year["open"][KNOWN_BARS] == pytest.approx(bars["close"][-1], abs=0.01)
    growth = bars["close"][-1] / bars["open"][0]
    later = 2 * KNOWN_BARS + 7
    assert year["close"][later] == pytest.approx(bars["close"][7] * growth**2, abs=0.01)
    assert np.array_equal(year["volume"][KNOWN_BARS : KNOWN_BARS + 9], bars["volume"][:9])


def test_without_the_bars_it_says_which_are_missing(tmp_path: Path) -> None:
    with pytest.raises(NoDataError, match="SOLUSDT"):
        known_bars(tmp_path, "SOLUSDT")
