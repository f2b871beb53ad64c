"""Context for tests: series written by hand, and a ContextStore in memory, row by row."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from tercel.app.context_quality import check_context, check_key
from tercel.app.ports import ContextInfo, MergeReport
from tercel.domain.context import ALL, ContextKey, ContextSeries
from tercel.domain.errors import DataError
from tercel.domain.times import format_time

FUNDING = ContextKey("funding_rate", "binance-usdm", "BTCUSDT", "settlements")
INTEREST = ContextKey("open_interest", ALL, "BTCUSDT", "coinglass-4h")
FEAR = ContextKey("fear_greed", ALL, ALL, "alternative-me")


def rows(key: ContextKey, time: Sequence[int], value: Sequence[float]) -> ContextSeries:
    """A series of these rows."""
    return ContextSeries(key, np.array(time, np.int64), np.array(value, np.float64))


class MemoryContextStore:
    """ports.ContextStore in dicts of plain numbers: what the lake does, the obvious way."""

    def __init__(self, *series: ContextSeries) -> None:
        self.kept: dict[ContextKey, dict[int, float]] = {}
        for one in series:
            self.merge(one, origin="test")

    def keys(self) -> list[ContextKey]:
        return sorted(self.kept)

    def info(self, key: ContextKey) -> ContextInfo:
        times = sorted(self._of(key))
        steps = sorted(b - a for a, b in pairwise(times))
        usual = steps[(len(steps) - 1) // 2] if steps else 0
        return ContextInfo(key, len(times), times[0], times[-1], usual, 16 * len(times))

    def read(
        self, key: ContextKey, start_ms: int | None = None, end_ms: int | None = None
    ) -> ContextSeries:
        kept = self._of(key)
        wanted = [
            time
            for time in sorted(kept)
            if (start_ms is None or time >= start_ms) and (end_ms is None or time < end_ms)
        ]
        return rows(key, wanted, [kept[time] for time in wanted])

    def merge(self, series: ContextSeries, *, origin: str) -> MergeReport:
        check_key(series.key)
        if not len(series):
            return MergeReport()
        check_context(series, origin=origin)
        kept = self.kept.setdefault(series.key, {})
        added = unchanged = conflicts = 0
        first = ""
        for time, value in zip(series.time.tolist(), series.value.tolist(), strict=True):
            if time not in kept:
                kept[time] = value
                added += 1
            elif abs(kept[time] - value) <= 1e-10 * max(abs(kept[time]), abs(value)):
                unchanged += 1
            else:
                conflicts += 1
                told = f"stored {kept[time]:.12g}, offered {value:.12g}"
                first = first or f"{format_time(time)}: {told}"
        return MergeReport(
            added=added, unchanged=unchanged, conflicts=conflicts, first_conflict=first
        )

    def _of(self, key: ContextKey) -> dict[int, float]:
        check_key(key)
        if key not in self.kept:
            raise DataError(f"the lake has no {key}; get it with `tercel data import PATH`")
        return self.kept[key]
