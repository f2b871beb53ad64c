"""Calendar months and days (UTC) as spans of milliseconds, and arithmetic of missing bars."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from tercel.domain.bars import Gap
from tercel.domain.times import DAY_MS, format_date, to_datetime


@dataclass(frozen=True, slots=True)
class Period:
    """One calendar month or day, `[start_ms, end_ms)`: what one archive file holds."""

    start_ms: int
    end_ms: int

    @property
    def is_month(self) -> bool:
        """Whether this is a month rather than a day."""
        return self.end_ms - self.start_ms > DAY_MS

    @property
    def label(self) -> str:
        """`2024-03` of a month, `2024-03-05` of a day: as archive files are named."""
        date = format_date(self.start_ms)
        return date[:7] if self.is_month else date


def day_of(time_ms: int) -> Period:
    """The day in which `time_ms` lies."""
    start = time_ms // DAY_MS * DAY_MS
    return Period(start, start + DAY_MS)


def month_of(time_ms: int) -> Period:
    """The month in which `time_ms` lies."""
    day = to_datetime(time_ms)
    start = datetime(day.year, day.month, 1, tzinfo=UTC)
    later = datetime(day.year + day.month // 12, day.month % 12 + 1, 1, tzinfo=UTC)
    return Period(int(start.timestamp()) * 1000, int(later.timestamp()) * 1000)


def periods_of(start_ms: int, end_ms: int) -> Iterator[Period]:
    """Whole months inside `[start_ms, end_ms)` and the days that touch the rest, in time order."""
    cursor = start_ms
    while cursor < end_ms:
        month = month_of(cursor)
        whole = month.start_ms == cursor and month.end_ms <= end_ms
        period = month if whole else day_of(cursor)
        yield period
        cursor = period.end_ms


def span(start_ms: int, end_ms: int, bar_ms: int) -> Gap:
    """`[start_ms, end_ms)` as a run of missing bars."""
    return Gap(start_ms, end_ms, (end_ms - start_ms) // bar_ms)


def subtract(spans: Iterable[Gap], taken: Iterable[Gap], bar_ms: int) -> tuple[Gap, ...]:
    """What of `spans` lies in none of `taken`, in time order."""
    left = [(one.start, one.end) for one in sorted(spans, key=lambda one: one.start)]
    for cut in taken:
        kept: list[tuple[int, int]] = []
        for start, end in left:
            if cut.end <= start or end <= cut.start:
                kept.append((start, end))
                continue
            if start < cut.start:
                kept.append((start, cut.start))
            if cut.end < end:
                kept.append((cut.end, end))
        left = kept
    return tuple(span(start, end, bar_ms) for start, end in left)


def join(spans: Iterable[Gap], bar_ms: int) -> tuple[Gap, ...]:
    """The same bars in as few spans as possible, in time order."""
    joined: list[tuple[int, int]] = []
    for one in sorted(spans, key=lambda one: one.start):
        if joined and one.start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], one.end))
        else:
            joined.append((one.start, one.end))
    return tuple(span(start, end, bar_ms) for start, end in joined)
