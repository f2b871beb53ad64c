"""What an equity curve says: daily and monthly returns, drawdown, time in the market.

The curve is the EQUITY record of every bar close, preceded by the starting capital at the start.
A close at midnight UTC belongs to the day and month that end there. Days without bars carry the
equity forward: their return is zero, since money also waits through a gap.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tercel.core.records import Records
from tercel.domain.times import DAY_MS

Floats = npt.NDArray[np.float64]
Times = npt.NDArray[np.int64]

YEAR_MS = 365 * DAY_MS
RUIN_FRACTION = 1e-6
"""An equity at or below this share of the starting capital is nothing: no return comes after it."""


@dataclass(frozen=True, slots=True)
class MonthReturn:
    """One calendar month (UTC) of a run; the first and last may be partial."""

    year: int
    month: int
    """1..12."""
    net_quote: float
    """Change of equity, quote."""
    net_fraction: float
    """The same over the equity at the month's start; NaN after ruin."""


@dataclass(frozen=True, slots=True)
class Drawdown:
    """The worst that an equity curve did to its owner."""

    depth: float
    """Largest fall from a peak, fraction of the peak, 0..1 (above 1: the account ended in debt)."""
    depth_quote: float
    """The same fall in quote."""
    peak_time: int
    """When that peak was, ms UTC."""
    trough_time: int
    """When the fall was deepest, ms UTC."""
    duration_ms: int
    """Longest time from a peak until the equity was back at it, or until the end: ms."""


def closing_values(times: Times, values: Floats, boundaries: Times, start_value: float) -> Floats:
    """The value in force at each boundary: that of the last row at or before it."""
    rows = np.searchsorted(times, boundaries, side="right") - 1
    if len(times) == 0:
        return np.full(len(boundaries), start_value)
    return np.where(rows >= 0, values[rows], start_value)


def day_boundaries(start_time: int, end_time: int) -> Times:
    """The midnights UTC inside (start, end), then the end itself: where daily steps close."""
    first = (start_time // DAY_MS + 1) * DAY_MS
    midnights = np.arange(first, end_time, DAY_MS, dtype=np.int64)
    return np.append(midnights, np.int64(end_time)) if end_time > start_time else midnights


def daily_returns(equity: Records, start_quote: float, start_time: int, end_time: int) -> Floats:
    """Simple returns at daily UTC steps; their compound is the whole run's return.

    The first and last step may be part of a day. The record ends on the day of ruin (equity zero,
    below, or dust): from there nothing is left to earn a return on.
    """
    boundaries = day_boundaries(start_time, end_time)
    times = np.ascontiguousarray(equity["time"])
    closes = closing_values(times, equity["equity"], boundaries, start_quote)
    curve = np.concatenate(([start_quote], closes))
    ruined = np.flatnonzero(curve <= RUIN_FRACTION * start_quote)
    if len(ruined):
        curve = curve[: ruined[0] + 1]
    if len(curve) < 2:
        return np.empty(0)
    return np.asarray(curve[1:] / curve[:-1] - 1.0, dtype=np.float64)


def monthly_returns(
    equity: Records, start_quote: float, start_time: int, end_time: int
) -> tuple[MonthReturn, ...]:
    """The return of each calendar month that the run touches, oldest first."""
    if end_time <= start_time:
        return ()
    first = np.datetime64(start_time, "ms").astype("M8[M]")
    last = np.datetime64(end_time - 1, "ms").astype("M8[M]")
    months = np.arange(first, last + np.timedelta64(1, "M"))
    ends = (months + np.timedelta64(1, "M")).astype("M8[ms]").astype(np.int64)
    times = np.ascontiguousarray(equity["time"])
    closes = closing_values(times, equity["equity"], ends, start_quote)
    opens = np.concatenate(([start_quote], closes[:-1]))
    numbers = months.astype(np.int64)
    ruin = RUIN_FRACTION * start_quote
    return tuple(
        MonthReturn(
            1970 + int(number) // 12,
            int(number) % 12 + 1,
            float(end - begin),
            float(end / begin - 1.0) if begin > ruin else math.nan,
        )
        for number, begin, end in zip(numbers, opens, closes, strict=True)
    )


def drawdown(equity: Records, start_quote: float, start_time: int) -> Drawdown:
    """Depth and duration from every bar's equity; `start_quote` (> 0) is the first peak."""
    values = np.concatenate(([start_quote], equity["equity"]))
    times = np.concatenate((np.array([start_time], dtype=np.int64), equity["time"]))
    peaks = np.maximum.accumulate(values)
    fall = peaks - values
    depth = fall / peaks
    worst = int(np.argmax(depth))
    if not depth[worst] > 0.0:
        return Drawdown(0.0, 0.0, start_time, start_time, 0)
    peak = int(np.argmax(values[: worst + 1]))
    return Drawdown(
        float(depth[worst]),
        float(fall[worst]),
        int(times[peak]),
        int(times[worst]),
        _longest_under_water(times, fall),
    )


def _longest_under_water(times: Times, fall: Floats) -> int:
    """Longest time between two rows at a peak with lower rows between them, or open at the end."""
    at_peak = np.append(np.flatnonzero(fall <= 0.0), len(fall))
    apart = np.diff(at_peak) > 1
    begins = times[at_peak[:-1]]
    ends = times[np.minimum(at_peak[1:], len(fall) - 1)]
    return int(np.max(np.where(apart, ends - begins, 0)))


def compound_growth(start_quote: float, end_quote: float, start_time: int, end_time: int) -> float:
    """Yearly growth rate (365 days) as a fraction; -1 when all was lost; NaN below one day."""
    span = end_time - start_time
    if span < DAY_MS or start_quote <= 0.0:
        return math.nan
    if end_quote <= 0.0:
        return -1.0
    growth = math.log(end_quote / start_quote) * YEAR_MS / span
    return math.expm1(growth) if growth < 700.0 else math.nan


def exposure_share(trades: Records, start_time: int, end_time: int) -> float:
    """Share of the run during which at least one position was open, 0..1. NaN for an empty span."""
    span = end_time - start_time
    if span <= 0:
        return math.nan
    if len(trades) == 0:
        return 0.0
    order = np.argsort(trades["entry_time"], kind="stable")
    begins = np.clip(trades["entry_time"][order], start_time, end_time)
    ends = np.maximum.accumulate(np.clip(trades["exit_time"][order], start_time, end_time))
    # Each trade adds what its end lies beyond everything before it: overlaps count once.
    covered = np.concatenate(([begins[0]], ends[:-1]))
    return float(np.sum(np.maximum(ends - np.maximum(begins, covered), 0))) / span
