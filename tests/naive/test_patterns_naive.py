"""Regimes and patterns against slow twins that look back over all bars, on rough ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from tests.market_data import JIT, Bars, joined, rough_bars
from tests.naive import twins
from tests.naive.cases import CASES, run_stream

from tercel.core.indicators.fair_value_gap import OPEN_GAPS_MAX

COUNT = 1_500 if JIT else 400


@pytest.fixture(scope="module")
def bars() -> Bars:
    return joined(rough_bars(COUNT), rough_bars(COUNT, seed=3))


def trend_of(bars: Bars) -> list[int]:
    mean = twins.rolling(bars["close"], 32, np.mean)
    return [int(c > m) - int(c < m) for c, m in zip(bars["close"], mean, strict=True)]


def vwap_of(bars: Bars, length: int) -> Any:
    quote = twins.rolling(bars["quote_volume"], length, np.sum)
    base = twins.rolling(bars["volume"], length, np.sum)
    base[base == 0.0] = np.nan
    return quote / base


TWINS: dict[str, Callable[[Bars], twins.Judged]] = {
    "regime_case": lambda bars: twins.regime(bars, 5, 20.0),
    "volatility_case": lambda bars: twins.volatility(bars, 5, 20, 0.3, 0.7),
    "breakout_case": lambda bars: twins.level_pattern(bars, 10, 20, 1.2, fake=False),
    "fakeout_case": lambda bars: twins.level_pattern(bars, 10, 20, 2.0, fake=True),
    "ema_bounce_case": lambda bars: twins.ema_bounce(bars, trend_of(bars), 9, 20),
    "vwap_reclaim_case": lambda bars: twins.vwap_reclaim(bars, vwap_of(bars, 15), 20, 1.0),
    "ignition_case": lambda bars: twins.ignition(bars, 2, 20),
    "fair_value_gap_case": lambda bars: twins.fair_value_gaps(bars, 10, 0.2, OPEN_GAPS_MAX),
}


@pytest.mark.parametrize("name", TWINS)
def test_codes_and_confidence_are_the_twins(bars: Bars, name: str) -> None:
    [case] = [case for case in CASES if case.name == name]
    out = run_stream(case, bars)
    codes, confidence = TWINS[name](bars)
    assert out[:, 1].astype(int).tolist() == codes
    np.testing.assert_allclose(out[:, 0], confidence, rtol=1e-7, atol=1e-6)
    for code, times in Counter(codes).items():
        assert times >= 5, (code, times)
    assert len(set(codes)) >= 3


def test_volume_ratios_are_the_twins(bars: Bars) -> None:
    [case] = [case for case in CASES if case.name == "share_case"]
    ratios = run_stream(case, bars)[:, 0]
    np.testing.assert_allclose(ratios, twins.volume_ratios(bars["volume"], 20), rtol=1e-9)


@pytest.mark.parametrize("name", TWINS)
def test_confidence_is_a_percentage_and_known_exactly_where_a_code_is(
    bars: Bars, name: str
) -> None:
    [case] = [case for case in CASES if case.name == name]
    confidence, codes = run_stream(case, bars).T[:2]
    known = np.isfinite(confidence)
    assert ((confidence[known] >= 0.0) & (confidence[known] <= 100.0)).all()
    assert (codes[~known] == 0).all()
    if case.module in ("patterns", "fair_value_gap"):
        assert (confidence[codes != 0] >= 40.0).all()
        assert (confidence[known & (codes == 0)] == 0.0).all()
    else:
        assert (codes[known] != 0).all()
