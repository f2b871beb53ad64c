"""Hand-made stand-ins for ports: small, in memory, and counting what they were asked."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable

import numpy as np

from tercel.app.ports import MergeReport, SeriesInfo
from tercel.core.records import BAR, Records
from tercel.domain.bars import BAR_COLUMNS, BarSeries, Gap, SeriesKey
from tercel.domain.errors import DataError, TercelError

MINUTE_MS = 60_000


def make_bars(start_ms: int, count: int, bar_ms: int = MINUTE_MS) -> Records:
    """`count` valid bars from `start_ms` on; each value follows from its time alone."""
    bars = np.zeros(count, dtype=BAR)
    times = start_ms + bar_ms * np.arange(count, dtype=np.int64)
    step = (times // bar_ms % 1000).astype(np.float64)
    bars["open_time"] = times
    bars["open"] = 100.0 + step / 8
    bars["close"] = 100.5 + step / 8
    bars["high"] = 101.0 + step / 8
    bars["low"] = 99.5 + step / 8
    bars["volume"] = 10.0 + step
    bars["quote_volume"] = 1000.0 + 100 * step
    bars["count"] = 5.0 + step
    bars["taker_buy_volume"] = 4.0 + step / 2
    bars["taker_buy_quote_volume"] = 400.0 + 50 * step
    for column in ("bid_size", "ask_size", "spread_bps"):
        bars[column] = np.nan
    return bars


def same_bars(left: Records, right: Records) -> bool:
    """Whether both hold the same values, unknown ones at the same places."""
    return len(left) == len(right) and all(
        np.array_equal(left[name], right[name], equal_nan=name != "open_time")
        for name in BAR_COLUMNS
    )


class MemoryBarStore:
    """ports.BarStore in a dict. Bars that are there already are kept."""

    def __init__(self) -> None:
        self.series: dict[SeriesKey, Records] = {}
        self.sources: list[str] = []
        self.fail_after: int | None = None
        """Merges that succeed before `failure` is raised; None: all."""
        self.failure: TercelError = DataError("row 3: low is above open")

    def keys(self) -> list[SeriesKey]:
        return sorted(self.series, key=str)

    def info(self, key: SeriesKey) -> SeriesInfo:
        times = self.series[key]["open_time"]
        return SeriesInfo(key, len(times), int(times[0]), int(times[-1]), 0, {})

    def read(
        self, key: SeriesKey, start_ms: int | None = None, end_ms: int | None = None
    ) -> BarSeries:
        bars = self.series[key]
        return BarSeries(key, bars, self.gaps(key), "")

    def merge(self, key: SeriesKey, bars: Records, *, source: str) -> MergeReport:
        if self.fail_after is not None and len(self.sources) >= self.fail_after:
            raise self.failure
        self.sources.append(source)
        old = self.series.get(key, np.zeros(0, dtype=BAR))
        new = bars[~np.isin(bars["open_time"], old["open_time"])]
        both = np.concatenate((old, new))
        self.series[key] = both[np.argsort(both["open_time"])]
        return MergeReport(added=len(new), unchanged=len(bars) - len(new))

    def gaps(self, key: SeriesKey) -> tuple[Gap, ...]:
        times = self.series[key]["open_time"]
        at = np.flatnonzero(np.diff(times) != key.bar_ms)
        return tuple(
            Gap(
                int(times[i]) + key.bar_ms,
                int(times[i + 1]),
                int(times[i + 1] - times[i]) // key.bar_ms - 1,
            )
            for i in at
        )


class MemorySource:
    """ports.BarArchive and ports.BarSource over bars in memory; remembers what it was asked."""

    def __init__(self, bars: Records, *, name: str = "memory", page_bars: int = 100_000) -> None:
        self.name = name
        self.bars = bars
        self.page_bars = page_bars
        self.asked: list[tuple[SeriesKey, int, int]] = []
        self.failures: dict[str, TercelError] = {}
        """Symbol -> error raised after its first page."""
        self.absent_spans: tuple[Gap, ...] = ()
        self.closed = 0

    def absent(self, key: SeriesKey) -> tuple[Gap, ...]:
        return self.absent_spans

    async def fetch(
        self, key: SeriesKey, start_ms: int, end_ms: int
    ) -> AsyncGenerator[Records, None]:
        self.asked.append((key, start_ms, end_ms))
        times = self.bars["open_time"]
        wanted = self.bars[(times >= start_ms) & (times < end_ms)]
        for at in range(0, len(wanted), self.page_bars):
            yield wanted[at : at + self.page_bars]
            if key.symbol in self.failures:
                raise self.failures[key.symbol]
        if key.symbol in self.failures:
            raise self.failures[key.symbol]

    async def close(self) -> None:
        self.closed += 1


class CountingProgress:
    """ports.Progress that adds up."""

    def __init__(self) -> None:
        self.titles: list[str] = []
        self.total: float | None = None
        self.done = 0.0

    def start(self, title: str, total: float | None) -> None:
        self.titles.append(title)
        self.total = total

    def advance(self, amount: float = 1.0, note: str = "") -> None:
        self.done += amount


def bars_without(bars: Records, gaps: Iterable[tuple[int, int]]) -> Records:
    """`bars` without those whose open times lie in any `[start, end)`."""
    keep = np.ones(len(bars), dtype=bool)
    for start, end in gaps:
        keep &= (bars["open_time"] < start) | (bars["open_time"] >= end)
    return bars[keep]
