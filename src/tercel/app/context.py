"""Context joined to bars: at the close of each bar, what had been published by then.

1. For each kind, the venues that may speak for the series, in order; the first whose values know
   any of the bars is taken, whole: two sources are never mixed in one run. Of two sources of one
   venue that know about equally many bars the finer is taken, then the one with more rows.
2. As of a bar's close (open_time + bar_ms) counts the last row with time <= close, unless it is
   older than the kind's maximum age: then the value is unknown.
3. Moves over the last hour are the value as of the close against the value as of an hour before.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from tercel.app.ports import BarStore, ContextStore
from tercel.app.signals import unknown_context
from tercel.core.records import CONTEXT, Records
from tercel.domain.bars import BarSeries, SeriesKey
from tercel.domain.context import ALL, MARKET_WIDE_KINDS, ContextKey, ContextSeries, Times, Values
from tercel.domain.settings import ContextSettings
from tercel.domain.times import HOUR_MS

FALLBACK_VENUES = ("binance-usdm", "bybit-linear", "okx-swap")
"""Whose context counts for a venue that has none of its own, in this order."""
BTC = "BTCUSDT"
BTC_VENUES = ("binance-usdm", "binance-spot", "bybit-linear", "bitget-usdtm")
"""Whose BTCUSDT counts where the lake has none of the series' own venue, in this order."""
BTC_TIMEFRAMES = ("1m", "5m")
"""Timeframes of another venue's BTCUSDT that are fine enough."""
FILL_ROWS = 4096
"""Rows copied at once into the records: 4096 of 72 bytes stay in the processor's cache."""
KNOWN_SHARE_TOLERANCE = 0.01
"""Of sources that know about equally many bars (fraction of all bars), the finer is taken, then
the one with more rows: the other ended, and its last value is only not too old yet."""

FIELDS: dict[str, str] = {
    "funding_rate": "funding_rate",
    "open_interest": "open_interest",
    "long_short_ratio": "long_short_ratio",
    "fear_greed": "fear_greed",
    "exchange_netflow": "exchange_netflow",
    "sp500": "sp500_move_1h",
    "dollar_index": "dollar_move_1h",
}
"""Kind -> the field of CONTEXT that it fills."""


class ContextShelf(Protocol):
    """Where rows are read from: a ContextStore, or what a session holds in memory."""

    def keys(self) -> list[ContextKey]:
        """Every series, sorted."""
        ...

    def read(
        self, key: ContextKey, start_ms: int | None = None, end_ms: int | None = None
    ) -> ContextSeries:
        """Rows with start <= time < end, as ContextStore has it. Raises DataError."""
        ...


@dataclass(frozen=True, slots=True)
class JoinedContext:
    """Where the values of one field of CONTEXT came from."""

    source: str
    """`funding_rate binance-usdm BTCUSDT settlements`; of BTC's move, the series of bars."""
    data_hash: str
    """SHA-256 of the rows that could be joined."""
    known_share: float
    """Share of the bars at which the value is known, 0..1; never 0."""


@dataclass(frozen=True, slots=True, eq=False)
class ContextRows:
    """What strategies are shown beside the bars of one series."""

    rows: Records
    """CONTEXT records: (bars,), or (1,) with nothing known where no bar knows anything."""
    joined: Mapping[str, JoinedContext]
    """Field of CONTEXT -> its source, for every field that any bar knows."""


def context_rows(
    store: ContextStore, bar_store: BarStore, series: BarSeries, settings: ContextSettings
) -> ContextRows:
    """Everything known at the close of each bar of `series`. Raises DataError for a damaged file.

    A synthetic series is shown synthetic context alone, and a real one never any.
    """
    closes = series.bars["open_time"] + series.key.bar_ms
    columns, joined = _published(store, series.key, closes, settings)
    move = _btc_move(bar_store, series, closes)
    if move is not None:
        columns["btc_move_1h"], joined["btc_move_1h"] = move
    if not columns:
        return ContextRows(unknown_context(), {})
    return ContextRows(_as_records(columns, len(closes)), joined)


def published_rows(
    store: ContextShelf, key: SeriesKey, closes: Times, settings: ContextSettings
) -> Records:
    """(closes,) CONTEXT of `key` at each of `closes`, ms UTC in order, without BTC's move, which
    bars tell: what `context_rows` joins, for bars that have yet to close. Raises DataError.
    """
    columns, _ = _published(store, key, closes, settings)
    return _as_records(columns, len(closes))


_Columns = dict[str, npt.NDArray[Any]]


def _published(
    store: ContextShelf, bars: SeriesKey, closes: Times, settings: ContextSettings
) -> tuple[_Columns, dict[str, JoinedContext]]:
    """Field of CONTEXT -> its values at the closes, and where they came from."""
    columns: _Columns = {}
    joined: dict[str, JoinedContext] = {}
    keys = store.keys()
    for kind, name in FIELDS.items():
        of_kind = [key for key in keys if key.kind == kind]
        best = _best(store, of_kind, bars, closes, settings)
        if best is None:
            continue
        columns[name], joined[name] = best.values, best.told()
        if kind == "funding_rate":
            age_ms = settings.age_ms_max(kind)
            time = best.series.time
            columns["funding_time"] = _spread(time, time, closes, age_ms, 0)
    return columns, joined


def as_of(time: Times, value: Values, moments: Times, age_ms_max: int) -> Values:
    """At each of `moments` the last value published by then, NaN where it is older than the age.

    `time` (rows,) strictly increasing with `value` (rows,); `moments` (any number,) in order, ms
    UTC. A row published exactly at a moment counts; one exactly `age_ms_max` old still counts.
    """
    spread: Values = _spread(time, value, moments, age_ms_max, np.nan)
    return spread


def _spread(
    time: Times, value: npt.NDArray[Any], moments: Times, age_ms_max: int, unknown: float
) -> npt.NDArray[Any]:
    """`value` of the last row as of each moment, `unknown` where there is none or it is too old.

    Each row is looked for among the moments, of which there are many more: it holds from the first
    moment at or after its time until the next row's, or until it is too old.
    """
    first = np.searchsorted(moments, time, side="left")
    next_first = np.append(first[1:], len(moments))
    end = np.minimum(np.searchsorted(moments, time + age_ms_max, side="right"), next_first)
    counts = np.empty(2 * len(time) + 1, np.int64)
    counts[0] = first[0] if len(time) else len(moments)
    counts[1::2] = end - first
    counts[2::2] = next_first - end
    pieces = np.full(len(counts), unknown, value.dtype)
    pieces[1::2] = value
    return np.repeat(pieces, counts)


def _as_records(columns: Mapping[str, npt.NDArray[Any]], count: int) -> Records:
    """`count` CONTEXT records of `columns`; every other field is unknown."""
    rows = np.empty(count, CONTEXT)
    nothing = unknown_context()[0]
    for row in range(0, count, FILL_ROWS):
        part = slice(row, min(row + FILL_ROWS, count))
        block = rows[part]
        for name in CONTEXT.names or ():
            block[name] = columns[name][part] if name in columns else nothing[name]
    return rows


@dataclass(frozen=True, slots=True, eq=False)
class _Candidate:
    """One source of a kind, joined."""

    series: ContextSeries
    values: Values
    known: int

    def told(self) -> JoinedContext:
        key, share = self.series.key, self.known / len(self.values)
        return JoinedContext(str(key), self.series.data_hash, share)


def _best(
    store: ContextShelf,
    keys: Sequence[ContextKey],
    bars: SeriesKey,
    closes: Times,
    settings: ContextSettings,
) -> _Candidate | None:
    """The one of `keys`, all of one kind, that is taken for the series `bars`, joined; or None."""
    for venue, symbol in _speakers(keys[0].kind, bars) if keys else ():
        of_venue = [key for key in keys if (key.venue, key.symbol) == (venue, symbol)]
        joined = [_join(store, key, closes, settings.age_ms_max(key.kind)) for key in of_venue]
        candidates = [one for one in joined if one.known]
        if candidates:
            enough = max(one.known for one in candidates) - KNOWN_SHARE_TOLERANCE * len(closes)
            return min(
                (one for one in candidates if one.known >= enough),
                key=lambda one: (one.series.spacing_ms, -len(one.series), one.series.key),
            )
    return None


def _speakers(kind: str, bars: SeriesKey) -> list[tuple[str, str]]:
    """(venue, symbol) of context that may speak for `bars`, the nearest first.

    Funding over all exchanges is a mean and no settlement that anybody pays: it speaks for none.
    """
    if bars.venue == "synthetic":
        return [] if kind in MARKET_WIDE_KINDS else [(bars.venue, bars.symbol)]
    if kind in MARKET_WIDE_KINDS:
        return [(ALL, ALL)]
    last = () if kind == "funding_rate" else (ALL,)
    return [(venue, bars.symbol) for venue in dict.fromkeys((bars.venue, *FALLBACK_VENUES, *last))]


def _join(store: ContextShelf, key: ContextKey, closes: Times, age_ms_max: int) -> _Candidate:
    """`key` as of the closes."""
    moves = FIELDS[key.kind].endswith("_move_1h")
    earliest = int(closes[0]) - age_ms_max - (HOUR_MS if moves else 0)
    series = store.read(key, earliest, int(closes[-1]) + 1)
    values = as_of(series.time, series.value, closes, age_ms_max)
    if moves:
        values = _move(series, values, closes, age_ms_max)
    return _Candidate(series, values, int(np.count_nonzero(np.isfinite(values))))


def _move(series: ContextSeries, now: Values, closes: Times, age_ms_max: int) -> Values:
    """`now` against the value of an hour before; NaN where no newer one was published since."""
    before = as_of(series.time, series.value, closes - HOUR_MS, age_ms_max)
    numbers = np.arange(len(series))
    row_now = _spread(series.time, numbers, closes, age_ms_max, -1)
    row_before = _spread(series.time, numbers, closes - HOUR_MS, age_ms_max, -1)
    return np.where(row_now != row_before, now / before - 1.0, np.nan)


def _btc_move(
    store: BarStore, series: BarSeries, closes: Times
) -> tuple[Values, JoinedContext] | None:
    """BTCUSDT at its last close against its close an hour before; None where no bar knows it."""
    for key in _btc_series(store.keys(), series.key):
        opened, price = _btc_closes(store, key, series, closes)
        if not len(opened):
            continue
        values = _hour_move(opened, price, closes, key.bar_ms)
        known = int(np.count_nonzero(np.isfinite(values)))
        if known:
            digest = hashlib.sha256(opened.tobytes() + price.tobytes()).hexdigest()
            return values, JoinedContext(str(key), digest, known / len(values))
    return None


def _btc_series(keys: Iterable[SeriesKey], bars: SeriesKey) -> Iterator[SeriesKey]:
    """Series of BTCUSDT that may be looked at beside `bars`, the nearest first."""
    there = sorted(
        (key for key in keys if key.symbol == BTC and HOUR_MS % key.bar_ms == 0),
        key=lambda key: key.bar_ms,
    )
    yield from (key for key in there if key.venue == bars.venue)
    if bars.venue == "synthetic":
        return
    for venue in BTC_VENUES:
        if venue != bars.venue:
            yield from (k for k in there if k.venue == venue and k.timeframe in BTC_TIMEFRAMES)


def _btc_closes(
    store: BarStore, key: SeriesKey, series: BarSeries, closes: Times
) -> tuple[Times, Values]:
    """Open times and closes of `key` from an hour before the first bar to the last close."""
    info = store.info(key)
    start = (int(closes[0]) // key.bar_ms - 1) * key.bar_ms - HOUR_MS
    end = int(closes[-1]) // key.bar_ms * key.bar_ms
    own = key == series.key
    stop = int(series.bars["open_time"][0]) if own else end
    parts: list[Records] = []
    if info.first_time < stop and info.last_time >= start and _holds(store, key, start, stop):
        parts.append(store.read(key, start, stop).bars)
    if own:
        parts.append(series.bars)
    if not parts:
        return np.empty(0, np.int64), np.empty(0)
    times = [part["open_time"] for part in parts]
    prices = [part["close"] for part in parts]
    return np.concatenate(times), np.concatenate(prices)


def _holds(store: BarStore, key: SeriesKey, start_ms: int, end_ms: int) -> bool:
    """Whether any bar of `key` opens in the span, which lies between its first and last bar."""
    return all(gap.start > start_ms or gap.end < end_ms for gap in store.gaps(key))


def _hour_move(opened: Times, price: Values, closes: Times, bar_ms: int) -> Values:
    """The last bar closed by each of `closes` against the one 60 minutes earlier; NaN where either
    is missing.
    """
    ahead = HOUR_MS // bar_ms
    number = (opened - opened[0]) // bar_ms
    # A place for every bar there could be, and an unknown hour ahead of the first.
    every = np.full(int(number[-1]) + 1 + ahead, np.nan)
    every[number + ahead] = price
    last = closes // bar_ms - 1 - opened[0] // bar_ms + ahead
    inside = (last >= ahead) & (last < len(every))
    last = np.where(inside, last, ahead)
    return np.where(inside, every[last] / every[last - ahead] - 1.0, np.nan)
