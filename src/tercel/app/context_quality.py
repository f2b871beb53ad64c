"""The quality of context: the rules every stored value obeys, and what is worth a look.

1. `check_context`: the rules. The first row that breaks one is an error that names it.
2. `assess_context`: gaps and implausible values. A panic is among them: look, never delete.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tercel.app.quality import TIME_MAX, TIME_MIN
from tercel.domain.bars import Gap
from tercel.domain.context import (
    ALL,
    CONTEXT_KINDS,
    CONTEXT_VENUES,
    MARKET_WIDE_KINDS,
    ContextKey,
    ContextSeries,
)
from tercel.domain.errors import DataError, UserError
from tercel.domain.times import HOUR_MS, MINUTE_MS, format_time

LIMITS: dict[str, tuple[float, float]] = {
    "funding_rate": (-0.1, 0.1),
    "open_interest": (0.0, np.inf),
    "long_short_ratio": (0.0, np.inf),
    "fear_greed": (0.0, 100.0),
    "exchange_netflow": (-np.inf, np.inf),
    "sp500": (1e-9, np.inf),
    "dollar_index": (1e-9, np.inf),
}
"""Values beyond these (lowest, highest) are errors: no venue lets funding reach 10 %."""
PLAUSIBLE: dict[str, tuple[float, float]] = {
    "funding_rate": (-0.03, 0.03),
    "open_interest": (1e-9, np.inf),
    "long_short_ratio": (0.05, 20.0),
}
"""Values beyond these are worth a look."""
STEP_RATIO_MAX: dict[str, float] = {"open_interest": 2.0, "sp500": 1.15, "dollar_index": 1.15}
"""A value more than so many times the one before it, or less than its inverse, is worth a look."""
PERCENT_MEDIAN = 0.002
"""Funding usually beyond this was written in percent: 0.2 % a settlement is 219 % a year."""
SETTLEMENT_MS_MAX = 8 * HOUR_MS
"""Venues settle at least this often; some symbols more often, and not always have."""
TRADING_DAYS_KINDS = ("sp500", "dollar_index")
"""Kinds with nights, weekends and holidays, which are no gaps."""
GAP_STEPS_MIN = 1.5
"""A step of more than so many usual ones is a gap."""

Mask = npt.NDArray[np.bool_]


def check_key(key: ContextKey) -> None:
    """Raise UserError for a key that cannot be."""
    if key.kind not in CONTEXT_KINDS:
        raise UserError(f"unknown context {key.kind!r}; it is one of {', '.join(CONTEXT_KINDS)}")
    if key.venue not in CONTEXT_VENUES:
        raise UserError(f"unknown venue {key.venue!r}; it is one of {', '.join(CONTEXT_VENUES)}")
    if (key.kind in MARKET_WIDE_KINDS) != (key.symbol == ALL) or (
        key.symbol == ALL and key.venue != ALL
    ):
        raise UserError(
            f"{key}: {', '.join(MARKET_WIDE_KINDS)} are of venue {ALL} and symbol {ALL}, "
            "every other kind is of one symbol"
        )


def check_context(series: ContextSeries, *, origin: str) -> None:
    """Raise DataError at the first row that breaks a rule, UserError for an impossible key."""
    check_key(series.key)
    low, high = LIMITS[series.key.kind]
    time, value = series.time, series.value
    early = np.zeros(len(time), np.bool_)
    early[1:] = np.diff(time) <= 0
    rules: tuple[tuple[Mask, str], ...] = (
        ((time < TIME_MIN) | (time >= TIME_MAX), "its time is not between 2000 and 2100"),
        (early, "its time is not after the one before it"),
        (~np.isfinite(value), "it is not a number"),
        ((value < low) | (value > high), f"{series.key.kind} must be within {low:g} and {high:g}"),
    )
    broken = np.logical_or.reduce([mask for mask, _ in rules])
    if not broken.any():
        return
    row = int(broken.argmax())
    rule = next(text for mask, text in rules if mask[row])
    at = int(time[row])
    when = format_time(at) if TIME_MIN <= at < TIME_MAX else f"time {at}"
    raise DataError(f"{origin}: row {row + 1} ({when}): value {value[row]:g}: {rule}")


@dataclass(frozen=True, slots=True)
class OddValue:
    """A value to look at: when it became known, what it is, and why it is odd."""

    time: int
    value: float
    reason: str


@dataclass(frozen=True, slots=True)
class ContextReport:
    """What `assess_context` found in one series."""

    key: ContextKey
    rows: int
    gaps: tuple[Gap, ...]
    """Spans without a value; `bars` counts the values missing at the usual spacing."""
    odd: tuple[OddValue, ...]
    in_percent: bool
    """Funding so large that it must have been written in percent."""

    def verdict(self) -> str:
        """One sentence for the user."""
        remarks = []
        if self.in_percent:
            remarks.append("looks like percent, and should be a fraction")
        if self.gaps:
            missing = sum(gap.bars for gap in self.gaps)
            remarks.append(f"{len(self.gaps):,} gaps ({missing:,} values missing)")
        if self.odd:
            remarks.append(f"{len(self.odd):,} values to look at")
        return "; ".join(remarks) or "good: no gap, no implausible value"


def assess_context(series: ContextSeries) -> ContextReport:
    """Gaps and implausible values of a series that obeys the rules."""
    kind = series.key.kind
    percent = kind == "funding_rate" and float(np.median(np.abs(series.value))) > PERCENT_MEDIAN
    return ContextReport(series.key, len(series), _gaps(series), _odd(series), percent)


def _gaps(series: ContextSeries) -> tuple[Gap, ...]:
    """Steps longer than this kind takes."""
    usual = series.spacing_ms
    if series.key.kind in TRADING_DAYS_KINDS or not usual:
        return ()
    longest = GAP_STEPS_MIN * usual
    if series.key.kind == "funding_rate":
        longest = max(SETTLEMENT_MS_MAX, usual) + MINUTE_MS
    steps = np.diff(series.time)
    return tuple(
        Gap(
            int(series.time[row]) + usual,
            int(series.time[row + 1]),
            max(round(int(steps[row]) / usual) - 1, 1),
        )
        for row in np.flatnonzero(steps > longest)
    )


def _odd(series: ContextSeries) -> tuple[OddValue, ...]:
    """Values beyond what is plausible, and jumps."""
    kind, time, value = series.key.kind, series.time, series.value
    low, high = PLAUSIBLE.get(kind, (-np.inf, np.inf))
    found = {
        int(row): f"beyond {low:g} to {high:g}"
        for row in np.flatnonzero((value < low) | (value > high))
    }
    if kind in STEP_RATIO_MAX and len(value) > 1:
        most = STEP_RATIO_MAX[kind]
        before, after = value[:-1], value[1:]
        for row in np.flatnonzero((after > most * before) | (before > most * after)) + 1:
            found.setdefault(int(row), f"{value[row - 1]:,.6g} before it")
    return tuple(OddValue(int(time[r]), float(value[r]), found[r]) for r in sorted(found))
