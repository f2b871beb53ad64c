"""Regimes of drawn markets: straight up, straight down, back and forth, calm and wild."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from tests.desk import NAN, candles, mirrored

from tercel.core.codes import Regime, VolatilityState
from tercel.core.indicators import regime
from tercel.core.indicators.regime import (
    REGIME,
    regime_step,
    volatility_dtype,
    volatility_step,
)
from tercel.core.jit import new
from tercel.core.records import Records

UNKNOWN, RANGING, UP, DOWN = Regime
LENGTH = 3


def waves(closes: list[float], height: float = 2.0) -> Records:
    """Candles of a given height around the closes."""
    half = height / 2.0
    return candles([(c, c + half, c - half, c) for c in closes])


RISING = waves([50.0 + i for i in range(30)])
TO_AND_FRO = waves([100.0 + (i % 2) for i in range(60)])


def regimes(bars: Records, length: int = LENGTH) -> list[tuple[Regime, float]]:
    state: Any = new(REGIME)
    told = []
    for bar in bars:
        code = regime_step(state, bar, length, 20.0)
        assert code == state.value
        told.append((Regime(code), float(state.confidence)))
    return told


def test_a_straight_line_is_a_trend_of_full_confidence() -> None:
    for bars, code in ((RISING, UP), (mirrored(RISING), DOWN)):
        told = regimes(bars)
        warm = regime.warmup(LENGTH)
        assert [c for c, _ in told[:warm]] == [UNKNOWN] * warm
        assert np.isnan([confidence for _, confidence in told[:warm]]).all()
        assert told[warm:] == [(code, 100.0)] * (len(bars) - warm)


def test_to_and_fro_is_a_range() -> None:
    codes = {code for code, _ in regimes(TO_AND_FRO, 14)[regime.warmup(14) :]}
    assert codes == {RANGING}


def state_with(adx: float, plus_di: float, minus_di: float) -> Any:
    """A state whose next still bar leaves both DI level and therefore the ADX as given."""
    state: Any = new(REGIME)
    s = state.movement
    s.count, s.high, s.low, s.close = 100, 100.0, 100.0, 100.0
    s.range, s.plus_movement, s.minus_movement = 1.0, plus_di / 100.0, minus_di / 100.0
    dx = 100.0 * abs(plus_di - minus_di) / (plus_di + minus_di) if plus_di + minus_di else 0.0
    s.average.count = 100
    s.average.value = (adx * LENGTH - dx) / (LENGTH - 1)  # the next dx brings it to `adx`
    return state


@pytest.mark.parametrize(
    ("adx", "plus_di", "minus_di", "code", "confidence"),
    [
        (0.0, 20.0, 20.0, RANGING, 100.0),
        (15.0, 30.0, 10.0, RANGING, 25.0),
        (19.9, 30.0, 10.0, RANGING, 0.5),
        (20.0, 30.0, 10.0, UP, 0.0),
        (30.0, 30.0, 10.0, UP, 50.0),
        (30.0, 10.0, 30.0, DOWN, 50.0),
        (30.0, 21.0, 19.0, UP, 25.0),
        (40.0, 30.0, 10.0, UP, 100.0),
        (90.0, 10.0, 30.0, DOWN, 100.0),
        (50.0, 20.0, 20.0, RANGING, 0.0),
    ],
)
def test_confidence_is_the_distance_from_the_threshold(
    adx: float, plus_di: float, minus_di: float, code: Regime, confidence: float
) -> None:
    state = state_with(adx, plus_di, minus_di)
    [still] = candles("100 100 100 100")
    told = regime_step(state, still, LENGTH, 20.0)
    assert state.movement.adx == pytest.approx(adx)
    if adx == 20.0:  # on the threshold: rounding may take it to either side, always at 0
        assert told in (RANGING, UP)
    else:
        assert told == code
    assert state.confidence == pytest.approx(confidence, abs=1e-9)


@pytest.mark.parametrize("field", ["high", "low", "close"])
def test_an_unknown_candle_is_skipped(field: str) -> None:
    bars = RISING.copy()
    bars[field][20] = NAN
    told = regimes(bars)
    assert told[20][0] == UNKNOWN
    assert math.isnan(told[20][1])
    assert told[21:] == regimes(np.delete(RISING, 20))[20:]


def test_a_threshold_of_nothing_is_refused() -> None:
    for adx_min in (0.0, -1.0, NAN):
        with pytest.raises(ValueError, match="adx_min must be above 0"):
            regime_step(new(REGIME), RISING[0], LENGTH, adx_min)


def volatilities(heights: list[float], window_length: int = 11) -> list[tuple[int, float]]:
    """Candles of these heights around 100, so that ATR(1) / close is height / 100."""
    bars = candles([(100.0, 100.0 + h / 2.0, 100.0 - h / 2.0, 100.0) for h in heights])
    state: Any = new(volatility_dtype(16))
    told = []
    for bar in bars:
        code = volatility_step(state, bar, 1, window_length, 0.3, 0.7)
        assert code == state.value
        told.append((code, round(float(state.confidence), 9)))
    return told


@pytest.mark.parametrize(
    ("newest", "state", "confidence"),
    [
        (0.5, VolatilityState.QUIET, 100.0),  # none of the ten others is smaller
        (2.5, VolatilityState.QUIET, 100.0 / 3.0),  # two are: p = 0.2
        (3.5, VolatilityState.NORMAL, 0.0),  # three: p = 0.3, right at the quantile
        (5.5, VolatilityState.NORMAL, 100.0),  # p = 0.5
        (6.5, VolatilityState.NORMAL, 50.0),
        (7.5, VolatilityState.NORMAL, 0.0),
        (8.5, VolatilityState.VOLATILE, 100.0 / 3.0),
        (10.5, VolatilityState.VOLATILE, 100.0),
    ],
)
def test_volatility_is_measured_by_its_own_past(
    newest: float, state: VolatilityState, confidence: float
) -> None:
    past = [3.0, 9.0, 1.0, 7.0, 5.0, 10.0, 2.0, 8.0, 6.0, 4.0]
    told = volatilities([99.0, *past, newest])
    assert [code for code, _ in told[:11]] == [VolatilityState.UNKNOWN] * 11
    assert regime.volatility_warmup(1, 11) == 11
    assert told[11] == pytest.approx((state, confidence))


def test_volatility_that_never_changes_is_normal_without_confidence() -> None:
    assert volatilities([2.0] * 20)[-1] == (VolatilityState.NORMAL, 0.0)


def test_a_close_that_is_no_price_is_skipped() -> None:
    for close in (0.0, -1.0, NAN, float("inf")):
        bars = candles([(100.0, 100.0 + i % 5, 99.0, 100.0) for i in range(30)])
        bars["close"][20] = close
        state: Any = new(volatility_dtype(16))
        codes = [volatility_step(state, bar, 3, 11, 0.3, 0.7) for bar in bars]
        assert codes[20] == VolatilityState.UNKNOWN
        assert VolatilityState.UNKNOWN not in codes[21:]


def test_impossible_quantiles_are_refused() -> None:
    state = new(volatility_dtype(16))
    for quiet, volatile in ((0.7, 0.3), (0.5, 0.5), (-0.1, 0.5), (0.5, 1.1), (NAN, 0.5)):
        with pytest.raises(ValueError, match="0 <= quiet_quantile < volatile_quantile <= 1"):
            volatility_step(state, RISING[0], 3, 11, quiet, volatile)
    with pytest.raises(ValueError, match="window_length must be at least 2"):
        volatility_step(state, RISING[0], 3, 1, 0.3, 0.7)


def test_codes_are_never_renumbered() -> None:
    """They may be written into journals and run folders."""
    assert {code.name: code.value for code in Regime} == {
        "UNKNOWN": 0, "RANGING": 1, "TRENDING_UP": 2, "TRENDING_DOWN": 3,
    }  # fmt: skip
    assert {code.name: code.value for code in VolatilityState} == {
        "UNKNOWN": 0, "QUIET": 1, "NORMAL": 2, "VOLATILE": 3,
    }  # fmt: skip
