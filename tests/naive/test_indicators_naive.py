"""Indicators that TA-Lib lacks, against slow twins, on bars with gaps, NaN and stillness."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from tests.market_data import JIT, Bars, joined, rough_bars
from tests.naive import twins

from tercel.core.indicators.bollinger import bollinger_dtype, bollinger_step
from tercel.core.indicators.cvd import cvd_dtype, cvd_step
from tercel.core.indicators.donchian import donchian_dtype, donchian_step
from tercel.core.indicators.median import median_dtype, median_step
from tercel.core.indicators.minmax import extreme_dtype, rolling_max_step
from tercel.core.indicators.obv import OBV, obv_step
from tercel.core.indicators.pivots import pivots_dtype, pivots_step
from tercel.core.indicators.quantile import quantile_at, quantile_dtype, quantile_push
from tercel.core.indicators.rsi import RSI, rsi_step
from tercel.core.indicators.std import std_dtype, std_step
from tercel.core.indicators.vwap import (
    DAY_MS,
    SESSION_VWAP,
    bar_vwap,
    rolling_vwap_dtype,
    rolling_vwap_step,
    session_vwap_step,
)
from tercel.core.indicators.window import (
    capacity_for,
    rolling_sum_dtype,
    rolling_sum_step,
    window_dtype,
    window_push,
)
from tercel.core.indicators.zscore import zscore_dtype, zscore_step
from tercel.core.jit import new

NAN = float("nan")


@pytest.fixture(scope="module")
def bars() -> Bars:
    count = 2_500 if JIT else 400
    return joined(rough_bars(count), rough_bars(count, seed=3))


def finite_or_nan(values: Any) -> npt.NDArray[np.float64]:
    x = np.array(values, dtype=float)
    x[~np.isfinite(x)] = np.nan
    return x


@pytest.mark.parametrize("length", [1, 20, 64])
def test_quantiles_are_numpys_to_the_last_bit(bars: Bars, length: int) -> None:
    volume = bars["volume"].tolist()
    qs = (0.0, 0.1, 0.5, 0.6, 0.99, 1.0)
    s = new(quantile_dtype(64))
    ours = []
    for x in volume:
        quantile_push(s, x, length)
        ours.append([quantile_at(s, q) for q in qs])
    for i, q in enumerate(qs):
        theirs = twins.rolling(volume, length, partial(np.quantile, q=q))
        np.testing.assert_array_equal(np.array(ours)[:, i], theirs)
    assert np.isnan([quantile_at(s, q) for q in (-0.1, 1.1, NAN)]).all()


def test_median(bars: Bars) -> None:
    close = bars["close"].tolist()
    s = new(median_dtype(32))
    ours = [median_step(s, x, 20) for x in close]
    np.testing.assert_allclose(ours, twins.rolling(close, 20, np.median), rtol=1e-15)


@pytest.mark.parametrize("length", [1, 5, 240])
def test_std_and_zscore(bars: Bars, length: int) -> None:
    close = bars["close"].tolist()
    s, z = new(std_dtype(capacity_for(length))), new(zscore_dtype(capacity_for(length)))
    ours = [std_step(s, x, length) for x in close]
    np.testing.assert_allclose(ours, twins.rolling(close, length, twins.sample_std), rtol=1e-9)
    ours = [zscore_step(z, x, length) for x in close]
    theirs = twins.rolling(close, length, twins.zscore)
    np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-9)


def test_std_keeps_its_digits_at_a_high_price() -> None:
    """Price 1e5, variance 1e-10, and a jump of 1e6 that has to leave no trace."""
    rng = np.random.default_rng(7)
    x = 1e5 + rng.normal(0.0, 1e-5, 300)
    x[100] = 1e6
    s = new(std_dtype(8))
    ours = [std_step(s, v, 5) for v in x.tolist()]
    np.testing.assert_allclose(ours, twins.rolling(x, 5, twins.sample_std), rtol=1e-9)


def test_donchian_leaves_the_present_bar_out(bars: Bars) -> None:
    length = 20
    s = new(donchian_dtype(32))
    ours = [
        (donchian_step(s, high, low, length), float(s.upper), float(s.lower))
        for high, low in zip(bars["high"].tolist(), bars["low"].tolist(), strict=True)
    ]
    middle, upper, lower = (np.array(x) for x in zip(*ours, strict=True))
    np.testing.assert_array_equal(upper[1:], twins.rolling(bars["high"], length, np.max)[:-1])
    np.testing.assert_array_equal(lower[1:], twins.rolling(bars["low"], length, np.min)[:-1])
    np.testing.assert_array_equal(middle, (upper + lower) / 2.0)
    assert np.isnan(upper[0])


def test_bollinger_squeeze(bars: Bars) -> None:
    s = new(bollinger_dtype(32, 64))
    bandwidths, squeezes = [], []
    for x in bars["close"].tolist():
        bollinger_step(s, x, 20, 2.0, 50)
        bandwidths.append(float(s.bandwidth))
        squeezes.append(bool(s.squeezed))
    lowest = twins.rolling(bandwidths, 50, np.min)
    np.testing.assert_array_equal(squeezes, np.array(bandwidths) <= lowest)
    assert 0 < sum(squeezes) < len(squeezes)
    s = new(bollinger_dtype(2, 2))
    assert bollinger_step(s, -1.0, 1, 2.0, 1) == -1.0
    assert bollinger_step(s, 0.0, 1, 2.0, 1) == 0.0
    assert np.isnan(s.bandwidth)


def test_cvd(bars: Bars) -> None:
    s = new(cvd_dtype(32))
    volume, buy = bars["volume"], bars["taker_buy_volume"]
    ours = [cvd_step(s, *row, 20) for row in zip(volume.tolist(), buy.tolist(), strict=True)]
    delta = 2.0 * finite_or_nan(buy) - finite_or_nan(volume)
    np.testing.assert_allclose(ours, twins.rolling(delta, 20, np.sum), rtol=1e-12, atol=1e-9)


def test_bar_vwap() -> None:
    assert bar_vwap(300.0, 2.0) == 150.0
    for quote_volume, volume in ((0.0, 0.0), (1.0, NAN), (NAN, 1.0), (1.0, -1.0)):
        assert np.isnan(bar_vwap(quote_volume, volume))
    assert np.isnan(bar_vwap(1.0, float("inf")))


def test_rolling_vwap(bars: Bars) -> None:
    s = new(rolling_vwap_dtype(32))
    quote, base = finite_or_nan(bars["quote_volume"]), finite_or_nan(bars["volume"])
    ours = [
        rolling_vwap_step(s, *row, 20) for row in zip(quote.tolist(), base.tolist(), strict=True)
    ]
    total = twins.rolling(base, 20, np.sum)
    total[total == 0.0] = np.nan  # nothing traded: exactly 0, not the rest of a running sum
    assert np.isnan(total[19:]).any()
    np.testing.assert_allclose(ours, twins.rolling(quote, 20, np.sum) / total, rtol=1e-12)


def test_session_vwap_starts_anew_each_utc_day(bars: Bars) -> None:
    s = new(SESSION_VWAP)
    rows = zip(
        bars["open_time"].tolist(),
        bars["quote_volume"].tolist(),
        bars["volume"].tolist(),
        strict=True,
    )
    days: dict[int, list[tuple[float, float]]] = {}
    for open_time, quote, base in rows:
        ours = session_vwap_step(s, open_time, quote, base)
        day = days.setdefault(open_time // DAY_MS, [])
        if np.isfinite(quote + base):
            day.append((quote, base))
            total = sum(b for _, b in day)
            theirs = sum(q for q, _ in day) / total if total else NAN
            assert ours == pytest.approx(theirs, nan_ok=True)
        else:
            assert np.isnan(ours)
    assert len(days) > 1 or not JIT


@pytest.mark.parametrize(("left", "right"), [(2, 2), (5, 1), (0, 3), (1, 0)])
def test_pivots(bars: Bars, left: int, right: int) -> None:
    some = bars[:600]
    s = new(pivots_dtype(8))
    ours = [
        (
            pivots_step(s, high, low, left, right),
            int(s.high_age_bars),
            float(s.low_price),
            int(s.low_age_bars),
        )
        for high, low in zip(some["high"].tolist(), some["low"].tolist(), strict=True)
    ]
    high_price, high_age, low_price, low_age = zip(*ours, strict=True)
    prices, ages = twins.last_pivots(finite_or_nan(some["high"]), left, right)
    np.testing.assert_array_equal(high_price, prices)
    assert list(high_age) == ages
    prices, ages = twins.last_pivots(-finite_or_nan(some["low"]), left, right)
    np.testing.assert_array_equal(low_price, -prices)
    assert list(low_age) == ages


def test_rsi_of_a_price_that_never_moved_is_unknown() -> None:
    s = new(RSI)
    assert np.isnan([rsi_step(s, 100.0, 3) for _ in range(10)]).all()
    assert [rsi_step(s, x, 3) for x in (101.0, 102.0)] == [100.0, 100.0]


def test_recursive_indicators_skip_what_is_not_finite() -> None:
    closes = [1.0, NAN, 2.0, 4.0, float("inf"), 3.0]
    s = new(OBV)
    ours = [obv_step(s, close, 10.0) for close in closes]
    np.testing.assert_array_equal(ours, [10.0, NAN, 20.0, 30.0, NAN, 20.0])


def test_a_window_longer_than_its_capacity_is_refused() -> None:
    for length in (0, 5):
        with pytest.raises(ValueError, match="between 1 and the capacity"):
            window_push(new(window_dtype(4)), 1.0, length)
        with pytest.raises(ValueError, match="between 1 and the capacity"):
            rolling_sum_step(new(rolling_sum_dtype(4)), 1.0, length)
        with pytest.raises(ValueError, match="between 1 and the capacity"):
            rolling_max_step(new(extreme_dtype(4)), 1.0, length)


def test_capacity_is_the_next_power_of_two() -> None:
    assert [capacity_for(n) for n in (1, 2, 3, 20, 240, 256, 257)] == [1, 2, 4, 32, 256, 256, 512]
    with pytest.raises(ValueError, match="at least one value"):
        capacity_for(0)
