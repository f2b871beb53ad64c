"""The market state at each entry: volatility (low, normal, high) and trend (up, down).

It is measured from closed bars only, and only from bars that closed before the entry:
1. closes are sampled every hour (every bar where bars are longer);
2. volatility is the standard deviation of the last 24 log returns, trend the sign of their sum;
3. volatility is low, normal or high against the terciles of the 30 days that ended at the last
   midnight UTC before the entry. Before one day of them is known the state is `unknown`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from tercel.app.trade_groups import TradeGroup, by_label
from tercel.core.records import Records
from tercel.domain.results import BacktestResult
from tercel.domain.times import DAY_MS, HOUR_MS

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

WINDOW_STEPS = 24
"""Returns behind one volatility figure."""
HISTORY_MS = 30 * DAY_MS
"""How far back the terciles look."""
HISTORY_STEPS_MIN = 24
"""Fewer known volatilities than this say nothing about what is normal."""

STATES = (
    "low volatility, up",
    "low volatility, down",
    "normal volatility, up",
    "normal volatility, down",
    "high volatility, up",
    "high volatility, down",
    "unknown",
)
UNKNOWN = len(STATES) - 1

Series = Records | Sequence[Records] | None
"""Bars of one series for every stream, one array per stream, or nothing."""


def series_of(bars: Series, stream: int) -> Records | None:
    """The bars of one stream; None where they are not known."""
    if bars is None or isinstance(bars, np.ndarray):
        return bars
    return bars[stream] if stream < len(bars) else None


def bar_length(bars: Records) -> int:
    """Milliseconds of one bar: the smallest step between two of them; 0 below two bars."""
    return int(np.min(np.diff(bars["open_time"]))) if len(bars) > 1 else 0


def market_states(bars: Records, entry_times: Indices) -> Indices:
    """Index into STATES for each entry time (n,), ms UTC."""
    states = np.full(len(entry_times), UNKNOWN, dtype=np.int64)
    bar_ms = bar_length(bars)
    if bar_ms <= 0 or len(entry_times) == 0:
        return states
    times, volatility, trend = _hourly(bars, bar_ms)
    if len(times) == 0:
        return states
    # The last sample strictly before the entry; day_start strictly before it too, so that a
    # threshold never contains the sample it judges on the day it is made.
    step = np.searchsorted(times, entry_times, side="left") - 1
    days, day_of = np.unique((entry_times - 1) // DAY_MS, return_inverse=True)
    lower, upper = _terciles(times, volatility, days * DAY_MS)
    usable = (step >= 0) & ~np.isnan(lower[day_of])
    now = volatility[step]
    level = (now > lower[day_of]).astype(np.int64) + (now > upper[day_of])
    usable &= ~np.isnan(now)
    found = 2 * level + (trend[step] < 0.0)
    return np.where(usable, found, states)


def _hourly(bars: Records, bar_ms: int) -> tuple[Indices, Floats, Floats]:
    """Sample times (ms), volatility and trend; both NaN for the first WINDOW_STEPS samples."""
    step_ms = max(HOUR_MS, bar_ms)
    closes_at = np.ascontiguousarray(bars["open_time"]) + bar_ms
    first = -(-int(closes_at[0]) // step_ms) * step_ms
    times = np.arange(first, int(closes_at[-1]) + 1, step_ms, dtype=np.int64)
    if len(times) <= WINDOW_STEPS:
        return np.empty(0, np.int64), np.empty(0), np.empty(0)
    rows = np.searchsorted(closes_at, times, side="right") - 1
    steps = np.diff(np.log(bars["close"][rows]))
    windows = np.lib.stride_tricks.sliding_window_view(steps, WINDOW_STEPS)
    empty = np.full(WINDOW_STEPS, np.nan)
    return (
        times,
        np.concatenate((empty, windows.std(axis=1))),
        np.concatenate((empty, windows.sum(axis=1))),
    )


def _terciles(times: Indices, volatility: Floats, day_starts: Indices) -> tuple[Floats, Floats]:
    """For each day start the terciles of the volatilities of the HISTORY_MS before it, or NaN."""
    bounds = np.full((len(day_starts), 2), np.nan)
    known = times[WINDOW_STEPS:]
    values = volatility[WINDOW_STEPS:]
    begins = np.searchsorted(known, day_starts - HISTORY_MS, side="left")
    ends = np.searchsorted(known, day_starts, side="right")
    for row, (begin, end) in enumerate(zip(begins, ends, strict=True)):
        if end - begin >= HISTORY_STEPS_MIN:
            ordered = np.sort(values[begin:end])
            bounds[row] = ordered[(end - begin) // 3 - 1], ordered[(end - begin) * 2 // 3 - 1]
    return bounds[:, 0], bounds[:, 1]


def by_market_state(result: BacktestResult, bars: Series) -> tuple[TradeGroup, ...]:
    """Trades by the market state at their entry; empty when no bars are known."""
    trades = result.trades
    states = np.full(len(trades), UNKNOWN, dtype=np.int64)
    measured = False
    for stream in np.unique(trades["stream"]):
        series = series_of(bars, int(stream))
        if series is None:
            continue
        measured = True
        rows = np.flatnonzero(trades["stream"] == stream)
        states[rows] = market_states(series, trades["entry_time"][rows])
    return by_label(trades, states, STATES) if measured else ()
