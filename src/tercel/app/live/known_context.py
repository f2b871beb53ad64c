"""What a session knows beside its bars, in memory: a bar looks its row up and waits for nobody.

1. Rows of the lake, read now and then, and rows that the venue told since. Where both have a row of
   one moment the lake's stays, as it does when they are merged into it.
2. They are joined by the rules of a backtest (app/context.py) to the bars that close next, ahead of
   time: a value grows too old at the close at which it does, whether or not anything was fetched.
3. BTC's move over the last hour comes from the BTCUSDT bars that the session has seen: its own, or
   those of a series beside it, which is watched for that alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import structlog

from tercel.app.context import BTC, ContextShelf, published_rows
from tercel.app.live.plan import SessionPlan
from tercel.app.ports import FeedBar, FeedQuote
from tercel.core.records import Records
from tercel.domain.bars import SeriesKey
from tercel.domain.context import ALL, ContextKey, ContextSeries, Values
from tercel.domain.errors import DataError, TercelError
from tercel.domain.settings import ContextSettings
from tercel.domain.times import HOUR_MS

log = structlog.get_logger(__name__)

AHEAD_BARS = 120
"""Bars that context is joined to ahead of time; further ones are joined when asked for."""
BTC_BARS_KEPT = 60
"""Closes of BTCUSDT kept beyond an hour of them: late bars look back a little further."""


@dataclass(frozen=True, slots=True)
class KnownValue:
    """The newest value of one kind of one symbol."""

    kind: str
    symbol: str
    value: float
    published_ms: int
    """When it became known."""
    source: str
    """Who counted it."""
    is_too_old: bool
    """Strategies are no longer shown it."""


@dataclass(frozen=True, slots=True, eq=False)
class _Table:
    """Context of the bars that open from `first` on."""

    first: int
    rows: Records
    moves: Values
    """Their field btc_move_1h, which is filled in when a bar has closed."""


_Series = Mapping[ContextKey, ContextSeries]


class _Shelf:
    """A ContextShelf of what one symbol may be shown: the lake's rows and the venue's, one
    series where both have the key.
    """

    def __init__(self, symbol: str, lake: _Series, venue: _Series) -> None:
        self._lake = {key: lake[key] for key in lake if key.symbol in (symbol, ALL)}
        self._venue = {key: venue[key] for key in venue if key.symbol == symbol}

    def keys(self) -> list[ContextKey]:
        """Every series, sorted."""
        return sorted({*self._lake, *self._venue})

    def read(
        self, key: ContextKey, start_ms: int | None = None, end_ms: int | None = None
    ) -> ContextSeries:
        """Rows with start <= time < end. Raises DataError when there is no such series."""
        both = [rows[key] for rows in (self._lake, self._venue) if key in rows]
        if not both:
            raise DataError(f"nothing is known of {key}")
        series = both[0] if len(both) == 1 else united(*both)
        start = 0 if start_ms is None else int(np.searchsorted(series.time, start_ms))
        end = len(series) if end_ms is None else int(np.searchsorted(series.time, end_ms))
        return ContextSeries(key, series.time[start:end], series.value[start:end])


def united(first: ContextSeries, second: ContextSeries) -> ContextSeries:
    """The rows of both; of one moment that both have, the first's."""
    new = ~np.isin(second.time, first.time)
    time = np.concatenate((first.time, second.time[new]))
    order = np.argsort(time, kind="stable")
    value = np.concatenate((first.value, second.value[new]))
    return ContextSeries(first.key, time[order], value[order])


class KnownContext:
    """The context of a session's symbols at the close of any bar."""

    def __init__(
        self, plan: SessionPlan, settings: ContextSettings, beside: SeriesKey | None = None
    ) -> None:
        """Nothing is known yet. `beside` is watched without being traded (app/live/beside.py)."""
        self.beside = beside
        self._keys = {key.symbol: key for key in plan.series}
        self._bar_ms = plan.bar_ms
        self._settings = settings
        self._lake: _Series = {}
        self._venue: dict[ContextKey, ContextSeries] = {}
        self._tables: dict[str, _Table] = {}
        self._stale: set[str] = set()
        self._btc: dict[int, float] = {}
        """Close of BTCUSDT by the time it closed."""

    @property
    def symbols(self) -> tuple[str, ...]:
        """The session's."""
        return tuple(self._keys)

    def __call__(self, symbol: str, open_time: int) -> Records:
        """CONTEXT (one row) of `symbol` at the close of the bar that opened at `open_time`."""
        table = self._tables.get(symbol)
        place = -1 if table is None else (open_time - table.first) // self._bar_ms
        if table is None or not 0 <= place < len(table.rows):
            table, place = self._join(symbol, open_time), 0
        table.moves[place] = self._btc_move(open_time + self._bar_ms)
        return table.rows[place : place + 1]

    # --- what is learnt --------------------------------------------------------------------------

    def note_lake(self, found: Mapping[ContextKey, ContextSeries]) -> None:
        """What the lake has now, in place of what it had."""
        self._lake = found
        self._stale.update(self._keys)

    def note_venue(self, series: ContextSeries, keep_from_ms: int) -> None:
        """Rows that the venue told; those before `keep_from_ms` are forgotten."""
        if not len(series):
            return
        held = self._venue.get(series.key)
        known = series if held is None else united(held, series)
        first = int(np.searchsorted(known.time, keep_from_ms))
        kept = ContextSeries(known.key, known.time[first:], known.value[first:])
        self._venue[series.key] = kept
        self._stale.add(series.key.symbol)

    def note_bars(self, symbol: str, bars: Records) -> None:
        """Closed bars of `symbol`, before the context at their close is asked for."""
        if symbol != BTC or HOUR_MS % self._bar_ms:
            return
        for open_time, close in zip(
            bars["open_time"].tolist(), bars["close"].tolist(), strict=True
        ):
            self._btc[open_time + self._bar_ms] = close
        while len(self._btc) > HOUR_MS // self._bar_ms + BTC_BARS_KEPT:
            del self._btc[min(self._btc)]

    def see(self, item: FeedBar | FeedQuote) -> None:
        """An item of the feed: a bar of BTCUSDT is noted."""
        if isinstance(item, FeedBar):
            self.note_bars(item.symbol, item.bar)

    def prepare(self, symbol: str, now_ms: int) -> bool:
        """Join the bars that close next where something changed or few are left; whether it did."""
        first = now_ms // self._bar_ms * self._bar_ms - self._bar_ms
        table = self._tables.get(symbol)
        half = AHEAD_BARS // 2 * self._bar_ms
        if table is not None and symbol not in self._stale and first < table.first + half:
            return False
        self._join(symbol, first)
        return True

    # --- what is told ----------------------------------------------------------------------------

    def told_by_venue(self, key: ContextKey) -> ContextSeries | None:
        """The rows of `key` that the venue told and that are remembered."""
        return self._venue.get(key)

    def venue_keys(self) -> list[ContextKey]:
        """The series that the venue told of."""
        return sorted(self._venue)

    def values(self, now_ms: int) -> tuple[KnownValue, ...]:
        """The newest value of every series of the session's symbols and of all markets."""
        shelves = [(symbol, _Shelf(symbol, self._lake, self._venue)) for symbol in self._keys]
        shelves.append((ALL, _Shelf(ALL, self._lake, self._venue)))
        found = [
            shelf.read(key, None, now_ms + 1)
            for symbol, shelf in shelves
            for key in shelf.keys()  # noqa: SIM118 (a shelf is no dict)
            if key.symbol == symbol
        ]
        return tuple(self._told(series, now_ms) for series in found if len(series))

    # --- inside ----------------------------------------------------------------------------------

    def _join(self, symbol: str, first: int) -> _Table:
        """Context of the bars of `symbol` that open from `first` on."""
        shelf = _Shelf(symbol, self._lake, self._venue)
        closes = first + (1 + np.arange(AHEAD_BARS, dtype=np.int64)) * self._bar_ms
        rows = published_rows(shelf, self._keys[symbol], closes, self._settings)
        table = _Table(first, rows, rows["btc_move_1h"])
        self._tables[symbol] = table
        self._stale.discard(symbol)
        return table

    def _told(self, series: ContextSeries, now_ms: int) -> KnownValue:
        key, published = series.key, int(series.time[-1])
        is_old = now_ms - published > self._settings.age_ms_max(key.kind)
        value = float(series.value[-1])
        return KnownValue(key.kind, key.symbol, value, published, key.source, is_old)

    def _btc_move(self, close_time: int) -> float:
        now, before = self._btc.get(close_time), self._btc.get(close_time - HOUR_MS)
        return float("nan") if now is None or before is None else now / before - 1.0


def lake_rows(
    store: ContextShelf, symbols: tuple[str, ...], settings: ContextSettings, since_ms: int
) -> dict[ContextKey, ContextSeries]:
    """What the lake has for `symbols` that may count at `since_ms` or later. A file that is damaged
    or badly named is no reason to stop trading: nothing is known of it then.
    """
    found: dict[ContextKey, ContextSeries] = {}
    try:
        keys = store.keys()
    except (TercelError, OSError) as error:
        log.warning("context_of_the_lake_not_read", reason=str(error))
        return found
    for key in keys:
        if key.symbol not in symbols and key.symbol != ALL:
            continue
        # A move over an hour looks back an hour further than its value may be old.
        earliest = since_ms - settings.age_ms_max(key.kind) - HOUR_MS
        try:
            found[key] = store.read(key, earliest)
        except (TercelError, OSError) as error:
            log.warning("context_of_the_lake_not_read", series=str(key), reason=str(error))
    return {key: series for key, series in found.items() if len(series)}
