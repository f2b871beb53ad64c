"""Our indicators against TA-Lib, on real bars, from the first value to the last."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import talib
from tests.market_data import JIT, Bars, real_bars

from tercel.core.indicators.adx import ADX, adx_step
from tercel.core.indicators.atr import ATR, atr_step
from tercel.core.indicators.bollinger import bollinger_dtype, bollinger_step
from tercel.core.indicators.correlation import correlation_dtype, correlation_step
from tercel.core.indicators.ema import EMA, ema_step
from tercel.core.indicators.macd import MACD, macd_step
from tercel.core.indicators.minmax import minmax_dtype, minmax_step
from tercel.core.indicators.obv import OBV, obv_step
from tercel.core.indicators.rsi import RSI, rsi_step
from tercel.core.indicators.slope import slope_dtype, slope_step
from tercel.core.indicators.sma import sma_dtype, sma_step
from tercel.core.indicators.std import std_ddof_step, std_dtype
from tercel.core.indicators.stoch_rsi import stoch_rsi_dtype, stoch_rsi_step
from tercel.core.indicators.window import capacity_for
from tercel.core.indicators.wma import wma_dtype, wma_step
from tercel.core.jit import new

pytestmark = pytest.mark.real_data

Floats = npt.NDArray[np.float64]
LENGTHS = (2, 14, 33)
SIMPLE = talib.MA_Type.SMA  # type: ignore[attr-defined]


@pytest.fixture(scope="module")
def bars() -> Bars:
    return real_bars(20_000 if JIT else 1_500)


def column(bars: Bars, name: str) -> Floats:
    return np.ascontiguousarray(bars[name])


def agree(ours: Any, theirs: Floats, rtol: float = 1e-10, atol: float = 0.0) -> None:
    """Equal but for rounding, NaN at the same bars."""
    np.testing.assert_allclose(np.array(ours, dtype=float), theirs, rtol=rtol, atol=atol)


@pytest.mark.parametrize("length", LENGTHS)
def test_moving_averages(bars: Bars, length: int) -> None:
    close = column(bars, "close")
    capacity = capacity_for(length)
    s = new(EMA)
    agree([ema_step(s, x, length) for x in close.tolist()], talib.EMA(close, length))
    s = new(sma_dtype(capacity))
    agree([sma_step(s, x, length) for x in close.tolist()], talib.SMA(close, length))
    s = new(wma_dtype(capacity))
    agree([wma_step(s, x, length) for x in close.tolist()], talib.WMA(close, length))


@pytest.mark.parametrize("length", LENGTHS)
def test_deviation_and_bands(bars: Bars, length: int) -> None:
    close = column(bars, "close")
    capacity = capacity_for(length)
    s = new(std_dtype(capacity))
    # TA-Lib subtracts running sums of squares: of its 16 digits about 8 are left at these prices.
    ours = [std_ddof_step(s, x, length, 0) for x in close.tolist()]
    agree(ours, talib.STDDEV(close, length), rtol=0.0, atol=2e-2)
    exact = np.std(np.lib.stride_tricks.sliding_window_view(close, length), axis=1)
    agree(ours[length - 1 :], exact, atol=1e-10)
    b = new(bollinger_dtype(capacity, capacity))
    bands = [
        (bollinger_step(b, x, length, 2.0, length), float(b.upper), float(b.lower))
        for x in close.tolist()
    ]
    upper, middle, lower = talib.BBANDS(close, length, 2.0, 2.0, SIMPLE)
    agree([x[0] for x in bands], middle)
    agree([x[1] for x in bands], upper, rtol=2e-6)
    agree([x[2] for x in bands], lower, rtol=2e-6)


@pytest.mark.parametrize("length", LENGTHS)
def test_true_range_and_direction(bars: Bars, length: int) -> None:
    high, low, close = (column(bars, name) for name in ("high", "low", "close"))
    rows = list(zip(high.tolist(), low.tolist(), close.tolist(), strict=True))
    s = new(ATR)
    agree([atr_step(s, *row, length) for row in rows], talib.ATR(high, low, close, length))
    s = new(ADX)
    ours = [(adx_step(s, *row, length), float(s.plus_di), float(s.minus_di)) for row in rows]
    agree([x[0] for x in ours], talib.ADX(high, low, close, length))
    agree([x[1] for x in ours], talib.PLUS_DI(high, low, close, length), atol=1e-12)
    agree([x[2] for x in ours], talib.MINUS_DI(high, low, close, length), atol=1e-12)


@pytest.mark.parametrize("length", LENGTHS)
def test_rsi(bars: Bars, length: int) -> None:
    close = column(bars, "close")
    s = new(RSI)
    agree([rsi_step(s, x, length) for x in close.tolist()], talib.RSI(close, length), atol=1e-9)


@pytest.mark.parametrize("lengths", [(12, 26, 9), (26, 12, 9), (3, 10, 16)])
def test_macd(bars: Bars, lengths: tuple[int, int, int]) -> None:
    close = column(bars, "close")
    s = new(MACD)
    ours = [
        (macd_step(s, x, *lengths), float(s.signal), float(s.histogram)) for x in close.tolist()
    ]
    for mine, theirs in zip(zip(*ours, strict=True), talib.MACD(close, *lengths), strict=True):
        agree(mine, theirs, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("lengths", [(14, 14, 3), (7, 5, 4)])
def test_stoch_rsi(bars: Bars, lengths: tuple[int, int, int]) -> None:
    close = column(bars, "close")
    s = new(stoch_rsi_dtype(16))
    ours = [(stoch_rsi_step(s, x, *lengths), float(s.d)) for x in close.tolist()]
    k, d = talib.STOCHRSI(close, lengths[0], lengths[1], lengths[2], SIMPLE)
    first = lengths[0] + lengths[1] + lengths[2] - 2
    assert np.isnan(k[:first]).all()  # TA-Lib holds k back until there is a d; we do not
    mine_k, mine_d = (np.array(x) for x in zip(*ours, strict=True))
    # Where the RSI stands still, TA-Lib divides rounding by rounding, or says 0; we say NaN.
    windows = np.lib.stride_tricks.sliding_window_view(talib.RSI(close, lengths[0]), lengths[1])
    still = np.concatenate([np.zeros(lengths[1] - 1, bool), np.ptp(windows, axis=1) < 1e-9])
    assert still.mean() < 0.05
    np.testing.assert_array_equal(np.isnan(mine_k[first:]), still[first:])
    k[still], mine_k[:first] = np.nan, np.nan
    agree(mine_k, k, rtol=1e-9, atol=1e-6)
    known = np.isfinite(mine_d)
    agree(mine_d[known], d[known], rtol=1e-9, atol=1e-6)


@pytest.mark.parametrize("length", LENGTHS)
def test_minmax(bars: Bars, length: int) -> None:
    close = column(bars, "close")
    s = new(minmax_dtype(capacity_for(length)))
    ours = [(minmax_step(s, x, length), float(s.minimum)) for x in close.tolist()]
    agree([x[0] for x in ours], talib.MAX(close, length), rtol=0.0)
    agree([x[1] for x in ours], talib.MIN(close, length), rtol=0.0)


def test_obv(bars: Bars) -> None:
    close, volume = column(bars, "close"), column(bars, "volume")
    s = new(OBV)
    ours = [obv_step(s, *row) for row in zip(close.tolist(), volume.tolist(), strict=True)]
    agree(ours, talib.OBV(close, volume), rtol=0.0)


@pytest.mark.parametrize("length", LENGTHS)
def test_slope(bars: Bars, length: int) -> None:
    close = column(bars, "close")
    s = new(slope_dtype(capacity_for(length)))
    ours = [slope_step(s, x, length) for x in close.tolist()]
    agree(ours, talib.LINEARREG_SLOPE(close, length), rtol=1e-9, atol=1e-7)


@pytest.mark.parametrize("length", LENGTHS[1:])
def test_correlation(bars: Bars, length: int) -> None:
    # Changes of price, as prices themselves leave TA-Lib's running sums few digits.
    x = np.diff(column(bars, "close"))
    y = np.diff(column(bars, "open"))
    s = new(correlation_dtype(capacity_for(length)))
    ours = [correlation_step(s, *row, length) for row in zip(x.tolist(), y.tolist(), strict=True)]
    agree(ours, talib.CORREL(x, y, length), rtol=1e-7, atol=1e-7)
