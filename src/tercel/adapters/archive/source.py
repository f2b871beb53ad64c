"""Binance's bulk archive as a source of bars: zipped klines of whole months and days."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np

from tercel.adapters.archive.absent import AbsentSpans
from tercel.adapters.archive.download import Downloader
from tercel.adapters.archive.klines import parse_klines, unzip_klines
from tercel.app.ports import Clock
from tercel.core.records import Records
from tercel.domain.bars import Gap, SeriesKey
from tercel.domain.errors import UserError
from tercel.domain.fetch_policy import FetchPolicy
from tercel.domain.periods import Period, periods_of, span
from tercel.domain.times import DAY_MS

MARKETS = {"binance-usdm": "futures/um", "binance-spot": "spot"}
"""Venues with an archive, and their folder in it."""
PUBLISHED_WITHIN_MS = 45 * DAY_MS
"""A file not there this long after its period will not come: the symbol was not listed then."""


class ArchiveBarSource:
    """ports.BarArchive over `<archive_url>/data/<market>/<monthly|daily>/klines/...`."""

    name = "binance archive"

    def __init__(self, policy: FetchPolicy, clock: Clock, folder: Path, *, seed: int = 0) -> None:
        self._root = policy.archive_url.rstrip("/")
        self._clock = clock
        # By host: what a mirror lacks, the venue's own archive may have.
        host = urlsplit(self._root).netloc.replace(":", "_")
        self._absent = AbsentSpans(folder / "absent" / host)
        self._downloader = Downloader(policy, clock, folder, seed=seed)

    def absent(self, key: SeriesKey) -> tuple[Gap, ...]:
        """Spans of which the archive is known to hold nothing."""
        return self._absent.of(key)

    async def fetch(
        self, key: SeriesKey, start_ms: int, end_ms: int
    ) -> AsyncGenerator[Records, None]:
        """Bars of the range, one piece a file: whole months by month, the rest by day.

        A file that is not there gives no piece. A piece counts as stored once the next is asked
        for; until then its download stays on disk. Raises VenueError, DataError, StorageError,
        UserError.
        """
        for period in periods_of(start_ms, end_ms):
            if period.end_ms > self._clock.now_ms():
                return
            url, name = self.address(key, period)
            download = await self._downloader.fetch(url, name)
            if download is None:
                self._remember_unpublished(key, period)
                continue
            file_name = url.rsplit("/", 1)[-1]
            bars = parse_klines(unzip_klines(download.content, file_name), file_name)
            self._absent.add(key, _holes(bars, period, key.bar_ms))
            times = bars["open_time"]
            wanted = bars[(times >= start_ms) & (times < end_ms)]
            if len(wanted):
                yield wanted
            download.release()

    async def close(self) -> None:
        """Close the connections."""
        await self._downloader.close()

    def address(self, key: SeriesKey, period: Period) -> tuple[str, str]:
        """URL of the file of `period`, and its name in the cache folder. Raises UserError."""
        market = MARKETS.get(key.venue)
        if market is None:
            raise UserError(
                f"{key.venue} has no bulk archive; it is there for {', '.join(MARKETS)}"
            )
        rhythm = "monthly" if period.is_month else "daily"
        file = f"{key.symbol}-{key.timeframe}-{period.label}.zip"
        folder = f"data/{market}/{rhythm}/klines/{key.symbol}/{key.timeframe}"
        return f"{self._root}/{folder}/{file}", f"{key.venue}/{file}"

    def _remember_unpublished(self, key: SeriesKey, period: Period) -> None:
        if self._clock.now_ms() - period.end_ms > PUBLISHED_WITHIN_MS:
            self._absent.add(key, [span(period.start_ms, period.end_ms, key.bar_ms)])


def _holes(bars: Records, period: Period, bar_ms: int) -> list[Gap]:
    """Runs of bars that the file of `period` does not hold."""
    times = bars["open_time"]
    inside = times[(times >= period.start_ms) & (times < period.end_ms)]
    ends = np.concatenate(([period.start_ms], inside + bar_ms))
    starts = np.concatenate((inside, [period.end_ms]))
    empty = starts > ends
    return [
        span(int(end), int(start), bar_ms)
        for end, start in zip(ends[empty], starts[empty], strict=True)
    ]
