"""The quality of bars: the rules every stored bar obeys, and what is worth a look beyond them.

1. `check_bars`: the rules. The first row that breaks one is an error that names source, row, time
   and rule.
2. `find_gaps`: runs of missing bars.
3. `find_zero_runs`: runs of bars without a trade (a halt of the venue, or an illiquid symbol).
4. `find_outliers`: bars whose range or jump is far beyond what was usual around them. Real crashes
   are among them, so an outlier is something to look at and never something to delete.
5. `assess`: the last three together, with a verdict in plain words.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tercel.core.records import Records
from tercel.domain.bars import BarSeries, Gap, SeriesKey
from tercel.domain.errors import DataError
from tercel.domain.times import format_time

TIME_MIN = 946_684_800_000
"""2000-01-01: an earlier open time was read in the wrong unit."""
TIME_MAX = 4_102_444_800_000
"""2100-01-01: a later one too."""
SHARE_TOLERANCE = 1e-9
"""A part may exceed its whole by this fraction: sums of decimals differ in the last digits."""
LOG_MOVE_MIN = 1e-6
"""A window in which nothing moves counts as moving this much."""

PRICES = ("open", "high", "low", "close")
OPTIONAL = (
    "quote_volume",
    "count",
    "taker_buy_volume",
    "taker_buy_quote_volume",
    "bid_size",
    "ask_size",
    "spread_bps",
)
"""Columns that may be unknown; the others of a bar may not."""

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class OutlierRule:
    """Which moves are worth a look: large for their surroundings, and large enough to matter."""

    window_bars: int
    """Bars whose median move is the usual one."""
    ratio_min: float
    """At least so many times the usual move ..."""
    move_min: float
    """... and at least this fraction of the price, so that quiet pairs do not report noise."""


@dataclass(frozen=True, slots=True)
class ZeroRun:
    """Consecutive bars without volume: `[start, end)` in milliseconds UTC, `bars` of them."""

    start: int
    end: int
    bars: int


@dataclass(frozen=True, slots=True)
class Outlier:
    """A bar that moved by `move` (a fraction of the price), `ratio` times the median around it."""

    time: int
    move: float
    ratio: float


@dataclass(frozen=True, slots=True)
class QualityReport:
    """What `assess` found in one series."""

    key: SeriesKey
    bars: int
    first_time: int
    last_time: int
    gaps: tuple[Gap, ...]
    zero_runs: tuple[ZeroRun, ...]
    outliers: tuple[Outlier, ...]

    @property
    def missing_bars(self) -> int:
        """Bars missing between the first and the last."""
        return sum(gap.bars for gap in self.gaps)

    @property
    def zero_bars(self) -> int:
        """Bars without volume."""
        return sum(run.bars for run in self.zero_runs)

    def verdict(self) -> str:
        """One sentence for the user."""
        remarks = []
        if self.gaps:
            share = self.missing_bars / (self.bars + self.missing_bars)
            remarks.append(f"{_count(len(self.gaps), 'gap')} ({share:.2%} of the bars are missing)")
        if self.zero_runs:
            remarks.append(f"{_count(self.zero_bars, 'bar')} without a trade")
        if self.outliers:
            remarks.append(f"{_count(len(self.outliers), 'unusual move')} to look at")
        if not remarks:
            return "good: no gap, no bar without a trade, no unusual move"
        return ("usable, with " if self.gaps else "good, with ") + ", ".join(remarks)


def check_bars(bars: Records, bar_ms: int, *, source: str, now_ms: int | None = None) -> None:
    """Raise DataError for the first row of `bars` (BAR records) that breaks a rule.

    `now_ms` refuses bars that open later than that. Rows are counted from 1.
    """
    worst: tuple[int, str] | None = None
    for bad, rule in _rules(bars, bar_ms, now_ms):
        if bad.any():
            row = int(bad.argmax())
            if worst is None or row < worst[0]:
                worst = (row, rule)
    if worst is not None:
        row, rule = worst
        bar = bars[row]
        values = {
            name: f"{bar[name]:.12g}" for name in bars.dtype.names or () if name != "open_time"
        }
        said = rule.format(time=_time_text(int(bar["open_time"])), bar_ms=bar_ms, **values)
        raise DataError(f"{source}: row {row + 1} ({_time_text(int(bar['open_time']))}): {said}")


def _rules(bars: Records, bar_ms: int, now_ms: int | None) -> Iterator[tuple[Mask, str]]:
    """Each rule as the mask of rows that break it, and what to say of such a row."""
    time = bars["open_time"]
    step = np.diff(time)
    yield (time < TIME_MIN) | (time >= TIME_MAX), "open_time is not in milliseconds since 1970"
    yield time % bar_ms != 0, "open_time is not a whole multiple of the timeframe ({bar_ms} ms)"
    yield _late(step == 0), "duplicate: same open_time as the row before"
    yield _late(step < 0), "unordered: open_time is before that of the row before"
    if now_ms is not None:
        yield time > now_ms, f"open_time is in the future (now is {format_time(now_ms)})"
    for name in PRICES:
        price = bars[name]
        yield ~((price > 0) & (price < np.inf)), f"{name} is {{{name}}}, not a positive number"
    body_low = np.minimum(bars["open"], bars["close"])
    body_high = np.maximum(bars["open"], bars["close"])
    yield bars["low"] > body_low, "low {low} is above open {open} or close {close}"
    yield bars["high"] < body_high, "high {high} is below open {open} or close {close}"
    volume = bars["volume"]
    yield ~((volume >= 0) & (volume < np.inf)), "volume is {volume}, not a number from zero up"
    for name in OPTIONAL:
        value = bars[name]
        bad = (value < 0) | np.isinf(value)
        yield bad, f"{name} is {{{name}}}, neither unknown nor a number from zero up"
    count = bars["count"]
    yield np.isfinite(count) & (count != np.floor(count)), "count {count} is not a whole number"
    for part, whole in (
        ("taker_buy_volume", "volume"),
        ("taker_buy_quote_volume", "quote_volume"),
    ):
        over = bars[part] > bars[whole] * (1 + SHARE_TOLERANCE)
        yield over, f"{part} {{{part}}} is more than {whole} {{{whole}}}"


def _late(mask: Mask) -> Mask:
    """A mask over steps as one over the rows that end them."""
    return np.concatenate((np.zeros(1, np.bool_), mask))


def _time_text(time_ms: int) -> str:
    return format_time(time_ms) if TIME_MIN <= time_ms < TIME_MAX else str(time_ms)


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def find_gaps(times: npt.NDArray[np.int64], bar_ms: int) -> tuple[Gap, ...]:
    """Runs of missing bars in `times` (strictly increasing open times, ms)."""
    before = np.flatnonzero(np.diff(times) != bar_ms)
    return tuple(
        Gap(start, end, (end - start) // bar_ms)
        for start, end in zip(
            (times[before] + bar_ms).tolist(), times[before + 1].tolist(), strict=True
        )
    )


def find_zero_runs(bars: Records, bar_ms: int) -> tuple[ZeroRun, ...]:
    """Runs of bars without volume, oldest first. A gap ends a run."""
    rows = np.flatnonzero(bars["volume"] == 0)
    if not rows.size:
        return ()
    times = bars["open_time"][rows]
    breaks = np.flatnonzero(np.diff(times) != bar_ms) + 1
    starts = times[np.concatenate(([0], breaks))]
    lasts = times[np.concatenate((breaks - 1, [rows.size - 1]))]
    return tuple(
        ZeroRun(start, last + bar_ms, (last - start) // bar_ms + 1)
        for start, last in zip(starts.tolist(), lasts.tolist(), strict=True)
    )


def find_outliers(bars: Records, bar_ms: int, rule: OutlierRule) -> tuple[Outlier, ...]:
    """Bars whose move is an outlier by `rule`, oldest first.

    A bar's move is the larger of its range and of the jump from the close before, as logarithms: a
    price written with a lost decimal point shows in the second, a bad wick in the first. Windows
    are consecutive blocks of bars; the last one takes the remainder too.
    """
    move = np.log(bars["high"] / bars["low"])
    jump = np.abs(np.log(bars["open"][1:] / bars["close"][:-1]))
    jump[np.diff(bars["open_time"]) != bar_ms] = 0.0
    move[1:] = np.maximum(move[1:], jump)
    found: list[Outlier] = []
    blocks = max(1, move.size // rule.window_bars)
    for number in range(blocks):
        start = number * rule.window_bars
        end = move.size if number == blocks - 1 else start + rule.window_bars
        block = move[start:end]
        if block.max(initial=0.0) < rule.move_min:
            continue
        usual = max(float(np.median(block)), LOG_MOVE_MIN)
        rows = np.flatnonzero((block >= rule.ratio_min * usual) & (block >= rule.move_min))
        times = bars["open_time"][start + rows]
        found.extend(
            Outlier(time, moved, moved / usual)
            for time, moved in zip(times.tolist(), block[rows].tolist(), strict=True)
        )
    return tuple(found)


def assess(series: BarSeries, rule: OutlierRule) -> QualityReport:
    """Gaps, zero-volume runs and outliers of a series."""
    bars, bar_ms = series.bars, series.key.bar_ms
    return QualityReport(
        series.key,
        len(bars),
        int(bars["open_time"][0]),
        int(bars["open_time"][-1]),
        series.gaps,
        find_zero_runs(bars, bar_ms),
        find_outliers(bars, bar_ms, rule),
    )
