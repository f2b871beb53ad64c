"""Every indicator as one example that takes whole bars: for parity, look-ahead and warm-up.

A case advances a state by one bar and writes all that can be read from it into `out`. Add one (or
more) for each new module of `tercel.core.indicators`: the look-ahead sweep fails for one without.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from tercel.core import timeframe
from tercel.core.indicators import (
    adx,
    atr,
    bollinger,
    correlation,
    cvd,
    donchian,
    ema,
    fair_value_gap,
    macd,
    median,
    minmax,
    obv,
    patterns,
    pivots,
    quantile,
    rank,
    regime,
    rma,
    rsi,
    slope,
    sma,
    std,
    stoch_rsi,
    vwap,
    wma,
    zscore,
)
from tercel.core.indicators.adx import ADX, adx_step
from tercel.core.indicators.atr import ATR, atr_step, true_range
from tercel.core.indicators.bollinger import bollinger_dtype, bollinger_step
from tercel.core.indicators.correlation import correlation_dtype, correlation_step
from tercel.core.indicators.cvd import cvd_dtype, cvd_step
from tercel.core.indicators.donchian import donchian_dtype, donchian_step
from tercel.core.indicators.ema import EMA, ema_step
from tercel.core.indicators.fair_value_gap import fair_value_gap_dtype, fair_value_gap_step
from tercel.core.indicators.macd import MACD, macd_step
from tercel.core.indicators.median import median_dtype, median_step
from tercel.core.indicators.minmax import (
    extreme_dtype,
    minmax_dtype,
    minmax_step,
    rolling_max_step,
    rolling_min_step,
)
from tercel.core.indicators.obv import OBV, obv_step
from tercel.core.indicators.patterns import (
    breakout_dtype,
    breakout_step,
    close_position,
    ema_bounce_dtype,
    ema_bounce_step,
    fakeout_dtype,
    fakeout_step,
    ignition_dtype,
    ignition_step,
    pattern_confidence,
    share,
    volume_ratio_step,
    vwap_reclaim_dtype,
    vwap_reclaim_step,
)
from tercel.core.indicators.pivots import pivots_dtype, pivots_step
from tercel.core.indicators.quantile import (
    quantile_at,
    quantile_dtype,
    quantile_push,
    quantile_step,
)
from tercel.core.indicators.rank import (
    count_below,
    count_not_larger,
    is_above_quantile,
    is_below_quantile,
    percent_rank,
    rank_dtype,
    rank_push,
    rank_ready,
)
from tercel.core.indicators.regime import REGIME, regime_step, volatility_dtype, volatility_step
from tercel.core.indicators.rma import RMA, rma_step
from tercel.core.indicators.rsi import RSI, rsi_step
from tercel.core.indicators.slope import slope_dtype, slope_step
from tercel.core.indicators.sma import sma_dtype, sma_step
from tercel.core.indicators.std import std_ddof_step, std_dtype, std_step
from tercel.core.indicators.stoch_rsi import stoch_rsi_dtype, stoch_rsi_step
from tercel.core.indicators.vwap import (
    SESSION_VWAP,
    bar_vwap,
    rolling_vwap_dtype,
    rolling_vwap_step,
    session_vwap_step,
)
from tercel.core.indicators.window import (
    rolling_sum_dtype,
    rolling_sum_step,
    window_dtype,
    window_push,
    window_ready,
)
from tercel.core.indicators.wma import wma_dtype, wma_step
from tercel.core.indicators.zscore import zscore_dtype, zscore_step
from tercel.core.jit import kernel, new, rec
from tercel.core.records import BAR
from tercel.core.timeframe import RESAMPLE, is_fresh, resample_step

CAPACITY = 32

Floats = npt.NDArray[np.float64]
Step = Callable[[Any, Any, Any], None]


@dataclass(frozen=True)
class Case:
    """`step(state, bar, out)` fills `out`; its first value comes after `warmup` bars."""

    module: str
    dtype: np.dtype[Any]
    step: Step
    outputs: int
    warmup: int

    @property
    def name(self) -> str:
        return self.step.__name__


@kernel
def ema_case(s: Any, bar: Any, out: Any) -> None:
    out[0] = ema_step(s, bar.close, 9)


@kernel
def rma_case(s: Any, bar: Any, out: Any) -> None:
    out[0] = rma_step(s, bar.close, 9)


@kernel
def sma_case(s: Any, bar: Any, out: Any) -> None:
    out[0] = sma_step(s, bar.close, 9)


@kernel
def wma_case(s: Any, bar: Any, out: Any) -> None:
    out[0] = wma_step(s, bar.close, 9)


@kernel
def window_case(s: Any, bar: Any, out: Any) -> None:
    out[0] = window_push(s.window, bar.close, 9)
    out[1] = window_ready(s.window, 9)
    out[2] = rolling_sum_step(s.total, bar.volume, 32)


@kernel
def std_case(s: Any, bar: Any, out: Any) -> None:
    out[0] = std_step(s.sample, bar.close, 5)
    out[1] = s.sample.average
    out[2] = std_ddof_step(s.population, bar.volume, 32, 0)


@kernel
def zscore_case(s: Any, bar: Any, out: Any) -> None:
    out[0] = zscore_step(s, bar.close, 5)


@kernel
def quantile_case(s: Any, bar: Any, out: Any) -> None:
    out[0] = quantile_step(s.one, bar.volume, 20, 0.9)
    quantile_push(s.two, bar.close, 7)
    out[1] = quantile_at(s.two, 0.25)
    out[2] = quantile_at(s.two, 1.0)


@kernel
def rank_case(s: Any, bar: Any, out: Any) -> None:
    rank_push(s, bar.volume, 20)
    out[0] = percent_rank(s, bar.volume, 20)
    out[1] = rank_ready(s, 20)
    out[2] = count_below(s, bar.volume, 20)
    out[3] = count_not_larger(s, bar.volume, 20)
    out[4] = is_below_quantile(s, bar.volume, 20, 0.4)
    out[5] = is_above_quantile(s, bar.volume, 20, 0.6)


@kernel
def median_case(s: Any, bar: Any, out: Any) -> None:
    out[0] = median_step(s, bar.close, 20)


@kernel
def minmax_case(s: Any, bar: Any, out: Any) -> None:
    out[0] = minmax_step(s.both, bar.close, 14)
    out[1] = s.both.minimum
    out[2] = rolling_max_step(s.high, bar.high, 32)
    out[3] = rolling_min_step(s.low, bar.low, 1)


@kernel
def donchian_case(s: Any, bar: Any, out: Any) -> None:
    out[0] = donchian_step(s, bar.high, bar.low, 20)
    out[1] = s.upper
    out[2] = s.lower


@kernel
def atr_case(s: Any, bar: Any, out: Any) -> None:
    out[0] = atr_step(s, bar.high, bar.low, bar.close, 14)
    out[1] = true_range(bar.high, bar.low, bar.open)


@kernel
def rsi_case(s: Any, bar: Any, out: Any) -> None:
    out[0] = rsi_step(s, bar.close, 14)


@kernel
def adx_case(s: Any, bar: Any, out: Any) -> None:
    out[0] = adx_step(s, bar.high, bar.low, bar.close, 14)
    out[1] = s.plus_di
    out[2] = s.minus_di


@kernel
def macd_case(s: Any, bar: Any, out: Any) -> None:
    out[0] = macd_step(s, bar.close, 12, 26, 9)
    out[1] = s.signal
    out[2] = s.histogram


@kernel
def bollinger_case(s: Any, bar: Any, out: Any) -> None:
    out[0] = bollinger_step(s, bar.close, 20, 2.0, 30)
    out[1] = s.upper
    out[2] = s.lower
    out[3] = s.bandwidth
    out[4] = s.squeezed


@kernel
def stoch_rsi_case(s: Any, bar: Any, out: Any) -> None:
    out[0] = stoch_rsi_step(s, bar.close, 14, 14, 3)
    out[1] = s.d


@kernel
def obv_case(s: Any, bar: Any, out: Any) -> None:
    out[0] = obv_step(s, bar.close, bar.volume)


@kernel
def session_vwap_case(s: Any, bar: Any, out: Any) -> None:
    out[0] = session_vwap_step(s, bar.open_time, bar.quote_volume, bar.volume)
    out[1] = bar_vwap(bar.quote_volume, bar.volume)


@kernel
def rolling_vwap_case(s: Any, bar: Any, out: Any) -> None:
    out[0] = rolling_vwap_step(s, bar.quote_volume, bar.volume, 20)


@kernel
def cvd_case(s: Any, bar: Any, out: Any) -> None:
    out[0] = cvd_step(s, bar.volume, bar.taker_buy_volume, 20)
    out[1] = s.delta


@kernel
def pivots_case(s: Any, bar: Any, out: Any) -> None:
    out[0] = pivots_step(s, bar.high, bar.low, 3, 2)
    out[1] = s.high_age_bars
    out[2] = s.low_price
    out[3] = s.low_age_bars


@kernel
def slope_case(s: Any, bar: Any, out: Any) -> None:
    out[0] = slope_step(s, bar.close, 14)


@kernel
def correlation_case(s: Any, bar: Any, out: Any) -> None:
    out[0] = correlation_step(s, bar.close, bar.volume, 20)


@kernel
def regime_case(s: Any, bar: Any, out: Any) -> None:
    out[1] = regime_step(s, bar, 5, 20.0)
    out[0] = s.confidence


@kernel
def volatility_case(s: Any, bar: Any, out: Any) -> None:
    out[1] = volatility_step(s, bar, 5, 20, 0.3, 0.7)
    out[0] = s.confidence
    out[2] = s.range_fraction


@kernel
def share_case(s: Any, bar: Any, out: Any) -> None:
    out[0] = volume_ratio_step(s, bar.volume, 20)
    out[1] = share(bar.close - bar.open, bar.high - bar.low)
    out[2] = close_position(bar, 1)
    out[3] = close_position(bar, -1)
    out[4] = pattern_confidence(out[1], out[2], out[3])


@kernel
def breakout_case(s: Any, bar: Any, out: Any) -> None:
    out[1] = breakout_step(s, bar, 10, 20, 1.2)
    out[0] = s.confidence


@kernel
def fakeout_case(s: Any, bar: Any, out: Any) -> None:
    out[1] = fakeout_step(s, bar, 10, 20, 2.0)
    out[0] = s.confidence


@kernel
def ema_bounce_case(s: Any, bar: Any, out: Any) -> None:
    mean = sma_step(s.mean_price, bar.close, 32)
    trend = 0
    if bar.close > mean:
        trend = 1
    elif bar.close < mean:
        trend = -1
    out[1] = ema_bounce_step(s.pattern, bar, trend, 9, 20)
    out[0] = s.pattern.confidence


@kernel
def vwap_reclaim_case(s: Any, bar: Any, out: Any) -> None:
    vwap = rolling_vwap_step(s.vwap, bar.quote_volume, bar.volume, 15)
    out[1] = vwap_reclaim_step(s.pattern, bar, vwap, 20, 1.0)
    out[0] = s.pattern.confidence


@kernel
def ignition_case(s: Any, bar: Any, out: Any) -> None:
    out[1] = ignition_step(s, bar, 2, 20)
    out[0] = s.confidence
    out[2] = s.run_bars


@kernel
def fair_value_gap_case(s: Any, bar: Any, out: Any) -> None:
    out[1] = fair_value_gap_step(s, bar, 10, 0.2)
    out[0] = s.confidence
    out[2] = s.rising.held
    out[3] = s.falling.held


@kernel
def timeframe_case(s: Any, bar: Any, out: Any) -> None:
    closed = resample_step(s, bar, 60_000, 300_000)
    out[0] = s.done.close if closed else np.nan
    out[1] = s.done.open_time
    out[2] = s.done.open
    out[3] = s.done.high
    out[4] = s.done.low
    out[5] = s.done.volume
    out[6] = s.done.quote_volume
    out[7] = s.done.taker_buy_volume
    out[8] = s.done.bar_count
    out[9] = is_fresh(s.done, bar, 60_000, 300_000)


_WINDOWS = rec(("window", window_dtype(CAPACITY)), ("total", rolling_sum_dtype(CAPACITY)))
_STDS = rec(("sample", std_dtype(CAPACITY)), ("population", std_dtype(CAPACITY)))
_QUANTILES = rec(("one", quantile_dtype(CAPACITY)), ("two", quantile_dtype(CAPACITY)))
_EXTREMES = rec(
    ("both", minmax_dtype(CAPACITY)),
    ("high", extreme_dtype(CAPACITY)),
    ("low", extreme_dtype(CAPACITY)),
)
_EMA_BOUNCE = rec(("pattern", ema_bounce_dtype(CAPACITY)), ("mean_price", sma_dtype(CAPACITY)))
_VWAP_RECLAIM = rec(
    ("pattern", vwap_reclaim_dtype(CAPACITY)), ("vwap", rolling_vwap_dtype(CAPACITY))
)
_BREAKOUT, _FAKEOUT = breakout_dtype(CAPACITY, CAPACITY), fakeout_dtype(CAPACITY, CAPACITY)
_GAPS = fair_value_gap_dtype(CAPACITY)

CASES = (
    Case("ema", EMA, ema_case, 1, ema.warmup(9)),
    Case("rma", RMA, rma_case, 1, rma.warmup(9)),
    Case("sma", sma_dtype(CAPACITY), sma_case, 1, sma.warmup(9)),
    Case("wma", wma_dtype(CAPACITY), wma_case, 1, wma.warmup(9)),
    Case("window", _WINDOWS, window_case, 3, 9),
    Case("std", _STDS, std_case, 3, std.warmup(5)),
    Case("zscore", zscore_dtype(CAPACITY), zscore_case, 1, zscore.warmup(5)),
    Case("quantile", _QUANTILES, quantile_case, 3, quantile.warmup(20)),
    Case("rank", rank_dtype(CAPACITY), rank_case, 6, rank.warmup(20)),
    Case("median", median_dtype(CAPACITY), median_case, 1, median.warmup(20)),
    Case("minmax", _EXTREMES, minmax_case, 4, minmax.warmup(14)),
    Case("donchian", donchian_dtype(CAPACITY), donchian_case, 3, donchian.warmup(20)),
    Case("atr", ATR, atr_case, 2, atr.warmup(14)),
    Case("rsi", RSI, rsi_case, 1, rsi.warmup(14)),
    Case("adx", ADX, adx_case, 3, adx.warmup(14)),
    Case("macd", MACD, macd_case, 3, macd.warmup(12, 26, 9)),
    Case("bollinger", bollinger_dtype(CAPACITY, CAPACITY), bollinger_case, 5, bollinger.warmup(20)),
    Case("stoch_rsi", stoch_rsi_dtype(CAPACITY), stoch_rsi_case, 2, stoch_rsi.warmup(14, 14)),
    Case("obv", OBV, obv_case, 1, obv.WARMUP),
    Case("vwap", SESSION_VWAP, session_vwap_case, 2, vwap.WARMUP),
    Case("vwap", rolling_vwap_dtype(CAPACITY), rolling_vwap_case, 1, vwap.warmup(20)),
    Case("cvd", cvd_dtype(CAPACITY), cvd_case, 2, cvd.warmup(20)),
    Case("pivots", pivots_dtype(CAPACITY), pivots_case, 4, pivots.warmup(3, 2)),
    Case("slope", slope_dtype(CAPACITY), slope_case, 1, slope.warmup(14)),
    Case("correlation", correlation_dtype(CAPACITY), correlation_case, 1, correlation.warmup(20)),
    Case("regime", REGIME, regime_case, 2, regime.warmup(5)),
    Case("regime", volatility_dtype(CAPACITY), volatility_case, 3, regime.volatility_warmup(5, 20)),
    Case("patterns", sma_dtype(CAPACITY), share_case, 5, 20),
    Case("patterns", _BREAKOUT, breakout_case, 2, patterns.warmup(10, 20)),
    Case("patterns", _FAKEOUT, fakeout_case, 2, patterns.warmup(10, 20)),
    Case("patterns", _EMA_BOUNCE, ema_bounce_case, 2, patterns.warmup(9 - 1, 20)),
    Case("patterns", _VWAP_RECLAIM, vwap_reclaim_case, 2, patterns.warmup(15 - 1, 20)),
    Case("patterns", ignition_dtype(CAPACITY), ignition_case, 3, patterns.warmup(2 - 1, 20)),
    Case("fair_value_gap", _GAPS, fair_value_gap_case, 4, fair_value_gap.warmup(10)),
    Case("timeframe", RESAMPLE, timeframe_case, 10, timeframe.warmup(60_000, 300_000)),
)


@cache
def batch_of(step: Any) -> Callable[[Any, Any, Any], None]:
    """A compiled loop of `step` over bars, as strategies have one."""

    @numba.njit(nogil=True)
    def batch(state: Any, bars: Any, out: Any) -> None:
        for i in range(len(bars)):
            step(state, bars[i], out[i])

    loop: Callable[[Any, Any, Any], None] = batch
    return loop


def run_batch(case: Case, bars: npt.NDArray[Any]) -> Floats:
    """All outputs over all bars, from a fresh state. shape (bars, outputs)"""
    out = np.full((len(bars), case.outputs), np.nan)
    batch_of(case.step)(new(case.dtype), bars, out)
    return out


def run_stream(case: Case, bars: npt.NDArray[Any]) -> Floats:
    """The same, one call from Python for each bar, as live trading does."""
    out = np.full((len(bars), case.outputs), np.nan)
    state = new(case.dtype)
    for i in range(len(bars)):
        case.step(state, bars[i], out[i])
    return out


def digest(out: Floats) -> str:
    """SHA-256 over all bits; NaN counts as one value (its sign and payload mean nothing)."""
    plain = out.copy()
    plain[np.isnan(plain)] = np.nan
    return hashlib.sha256(plain.tobytes()).hexdigest()


def digests(bars: npt.NDArray[Any]) -> dict[str, str]:
    """Each case's digest over `bars`."""
    return {case.name: digest(run_stream(case, bars)) for case in CASES}


if __name__ == "__main__":  # the other half of the parity test, in a process without the JIT
    sys.stdout.write(json.dumps(digests(np.load(sys.argv[1]).view(BAR))))
