"""Windows of any length over any values: equal to the slow twin, and always recovering."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.market_data import JIT
from tests.naive import twins

from tercel.core.indicators.correlation import correlation_dtype, correlation_step
from tercel.core.indicators.ema import EMA, ema_step
from tercel.core.indicators.median import median_dtype, median_step
from tercel.core.indicators.minmax import minmax_dtype, minmax_step
from tercel.core.indicators.quantile import quantile_at, quantile_dtype, quantile_push
from tercel.core.indicators.rma import RMA, rma_step
from tercel.core.indicators.rsi import RSI, rsi_step
from tercel.core.indicators.slope import slope_dtype, slope_step
from tercel.core.indicators.sma import sma_dtype, sma_step
from tercel.core.indicators.std import std_dtype, std_step
from tercel.core.indicators.window import (
    rolling_sum_dtype,
    rolling_sum_step,
    window_dtype,
    window_push,
    window_ready,
)
from tercel.core.indicators.wma import wma_dtype, wma_step
from tercel.core.indicators.zscore import zscore_dtype, zscore_step
from tercel.core.jit import new

CAPACITY = 16
EXAMPLES = settings(deadline=None, max_examples=60 if JIT else 15)

finite = st.floats(-1e9, 1e9, allow_subnormal=False) | st.sampled_from([0.0, 1.0, 1.0, 2.0])
unknown = st.sampled_from([float("nan"), float("inf"), float("-inf")])
series = st.lists(finite, max_size=60) | st.lists(finite | unknown, max_size=60)
lengths = st.integers(1, CAPACITY)

WINDOWED: list[tuple[Any, Any, Callable[[Any], float], float]] = [
    (sma_dtype(CAPACITY), sma_step, np.mean, 1e-6),
    (wma_dtype(CAPACITY), wma_step, twins.weighted_mean, 1e-6),
    (std_dtype(CAPACITY), std_step, twins.sample_std, 1e-6),
    (slope_dtype(CAPACITY), slope_step, twins.slope, 1e-6),
    (minmax_dtype(CAPACITY), minmax_step, np.max, 0.0),
    (median_dtype(CAPACITY), median_step, lambda w: float(np.quantile(w, 0.5)), 0.0),
    (rolling_sum_dtype(CAPACITY), rolling_sum_step, np.sum, 1e-5),
]


@pytest.mark.parametrize(
    ("dtype", "step", "twin", "atol"), WINDOWED, ids=lambda x: getattr(x, "__name__", None)
)
@EXAMPLES
@given(values=series, length=lengths)
def test_windows_equal_their_twins(
    dtype: Any, step: Any, twin: Any, atol: float, values: list[float], length: int
) -> None:
    state = new(dtype)
    ours = [step(state, x, length) for x in values]
    theirs = twins.rolling(values, length, twin)
    np.testing.assert_allclose(ours, theirs, rtol=1e-12 if atol else 0.0, atol=atol)


@EXAMPLES
@given(values=series, length=lengths, q=st.floats(0.0, 1.0))
def test_any_quantile_is_numpys(values: list[float], length: int, q: float) -> None:
    state = new(quantile_dtype(CAPACITY))
    ours = []
    for x in values:
        quantile_push(state, x, length)
        ours.append(quantile_at(state, q))
    theirs = twins.rolling(values, length, lambda w: float(np.quantile(w, q)))
    np.testing.assert_array_equal(ours, theirs)


@EXAMPLES
@given(values=series, length=lengths)
def test_averages_skip_the_unknown(values: list[float], length: int) -> None:
    for dtype, step, twin in ((EMA, ema_step, twins.ema), (RMA, rma_step, twins.rma)):
        state = new(dtype)
        ours = [step(state, x, length) for x in values]
        np.testing.assert_allclose(ours, twin(values, length), rtol=1e-9, atol=1e-5)


@EXAMPLES
@given(values=series, length=lengths)
def test_a_window_keeps_the_last_values_in_order(values: list[float], length: int) -> None:
    state = new(window_dtype(CAPACITY))
    for i, x in enumerate(values):
        dropped = window_push(state, x, length)
        gone = values[i - length] if i >= length else np.nan
        np.testing.assert_array_equal(dropped, gone if np.isfinite(gone) else np.nan)
        last = np.array(values[max(0, i + 1 - length) : i + 1])
        assert state["bad"] == np.sum(~np.isfinite(last))
        assert window_ready(state, length) == (len(last) == length and np.isfinite(last).all())


@EXAMPLES
@given(
    pairs=st.lists(st.tuples(finite | unknown, finite | unknown), max_size=40),
    length=st.integers(2, CAPACITY),
)
def test_correlation_is_within_one_and_equals_its_twin(
    pairs: list[tuple[float, float]], length: int
) -> None:
    state = new(correlation_dtype(CAPACITY))
    ours = np.array([correlation_step(state, x, y, length) for x, y in pairs])
    assert (np.abs(ours[np.isfinite(ours)]) <= 1.0).all()
    if pairs:
        x, y = np.round(np.array(pairs), 3).T
        state = new(correlation_dtype(CAPACITY))
        ours = np.array([correlation_step(state, *row, length) for row in zip(x, y, strict=True)])
        theirs = twins.rolling_correlation(x, y, length)
        np.testing.assert_array_equal(np.isnan(ours), np.isnan(theirs))
        np.testing.assert_allclose(ours, theirs, atol=1e-3)


@EXAMPLES
@given(value=finite, length=st.integers(2, CAPACITY))
def test_a_constant_has_no_spread(value: float, length: int) -> None:
    deviation, score, line = (
        new(std_dtype(CAPACITY)),
        new(zscore_dtype(CAPACITY)),
        new(slope_dtype(CAPACITY)),
    )
    strength, pair = new(RSI), new(correlation_dtype(CAPACITY))
    for i in range(2 * length):
        spread = std_step(deviation, value, length)
        slope = slope_step(line, value, length)
        assert np.isnan(zscore_step(score, value, length))
        assert np.isnan(rsi_step(strength, value, length))
        assert np.isnan(correlation_step(pair, value, float(i), length))
        if i >= length - 1:
            assert (spread, slope) == (0.0, 0.0)


@EXAMPLES
@given(values=st.lists(finite, min_size=2, max_size=60), length=lengths)
def test_the_rsi_is_a_percentage(values: list[float], length: int) -> None:
    state = new(RSI)
    ours = np.array([rsi_step(state, x, length) for x in values])
    known = ours[np.isfinite(ours)]
    assert ((known >= 0.0) & (known <= 100.0)).all()
