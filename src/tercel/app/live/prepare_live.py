"""From what a user asked for to what a live session trades: no bars are needed to say it."""

from __future__ import annotations

import dataclasses
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress

import numpy as np

from tercel.app.live.known_context import KnownContext
from tercel.app.live.plan import LiveStream, SessionPlan
from tercel.app.ports import BarStore, MarketFeed
from tercel.app.prepare import RunRequest, account_of, flow_filter, own_overrides, refuse_filters
from tercel.app.strategies import Strategy
from tercel.app.trading_records import instrument_from, stream_record
from tercel.core.records import BAR, CONTEXT, Records
from tercel.domain.bars import TIMEFRAME_MS, SeriesKey
from tercel.domain.errors import DataError, UserError
from tercel.domain.events import BarsClosed
from tercel.domain.results import StreamLabel
from tercel.domain.settings import InstrumentSettings, Settings
from tercel.domain.times import HOUR_MS


def timeframe_of(request: RunRequest) -> str:
    """The timeframe that a session trades. Raises UserError for one that there is not."""
    timeframe = request.timeframe or "1m"
    if timeframe not in TIMEFRAME_MS:
        raise UserError(f"no timeframe {timeframe!r}; there are {', '.join(TIMEFRAME_MS)}")
    return timeframe


def values_of(
    settings: Settings, strategy: Strategy, request: RunRequest
) -> dict[str, int | float | str]:
    """Parameter values that `strategy` trades with. Raises UserError."""
    own = {**settings.strategy(strategy.name).params, **own_overrides(strategy, request)}
    return strategy.values(own, SeriesKey("", "", timeframe_of(request)).bar_ms)


def live_plan(
    settings: Settings, request: RunRequest, rules: Mapping[str, InstrumentSettings]
) -> SessionPlan:
    """Every (strategy, symbol) pair of the request. Raises UserError, ConfigError.

    `rules` are the venue's own by symbol; one that it does not tell is looked up in the settings.
    A stopped account waits for its operator: `limits.resume_after_hours` is for backtests.
    """
    refuse_filters(request.strategies)
    venue = request.venue or ""
    timeframe = timeframe_of(request)
    keys = tuple(SeriesKey(venue, symbol, timeframe) for symbol in request.symbols)
    streams: list[LiveStream] = []
    for row, key in enumerate(keys):
        known = rules.get(key.symbol) or settings.instrument(venue, key.symbol)
        if known is None:
            raise UserError(
                f"no trading rules for {key.symbol} at {venue}; "
                f"add instruments.{venue}.{key.symbol} to the settings"
            )
        for strategy in request.strategies:
            values = values_of(settings, strategy, request)
            name = request.costs or settings.cost_profile_name(strategy.name, venue)
            record = stream_record(
                settings,
                strategy,
                settings.cost_profile(name),
                instrument_from(settings, strategy.name, key.symbol, known),
                alone=len(request.strategies) == 1,
            )
            pressure = str(values.get("pressure", "none"))
            label = StreamLabel(
                len(streams), strategy.name, venue, key.symbol, key.timeframe, pressure
            )
            flow = flow_filter(settings, strategy, key.bar_ms)
            streams.append(LiveStream(label, strategy, values, record, row, flow))
    account = account_of(settings, request.strategies)
    limits = account.limits.copy()
    limits.resume_after_ms = 0
    return SessionPlan(tuple(streams), keys, dataclasses.replace(account, limits=limits))


async def warm_up(
    plan: SessionPlan,
    sources: tuple[BarStore, MarketFeed],
    now_ms: int,
    bars: int,
    known: KnownContext,
) -> list[BarsClosed]:
    """The last `bars` closed moments of every series, oldest first: from the lake, topped up by
    REST. Each bar is shown what was known at its own close, as in a backtest: also of the series
    beside them. Raises VenueError.
    """
    store, feed = sources
    end = now_ms // plan.bar_ms * plan.bar_ms
    start = end - bars * plan.bar_ms
    beside: Records = np.zeros(0, BAR)
    if known.beside is not None and bars > 0:
        beside = await _history(known.beside, store, feed.history, (start - HOUR_MS, end))
    found = [await _history(key, store, feed.history, (start, end)) for key in plan.series]
    times = sorted({int(time) for rows in found for time in rows["open_time"]})
    cursors, told = [0] * len(found), 0
    events = []
    for time in times:
        here = [
            row
            for row, (rows, at) in enumerate(zip(found, cursors, strict=True))
            if at < len(rows) and int(rows["open_time"][at]) == time
        ]
        made, contexts = np.empty(len(here), BAR), np.empty(len(here), CONTEXT)
        for place, row in enumerate(here):
            made[place] = found[row][cursors[row]]
            known.note_bars(plan.series[row].symbol, made[place : place + 1])
            cursors[row] += 1
        if known.beside is not None:
            until = int(np.searchsorted(beside["open_time"], time, side="right"))
            known.note_bars(known.beside.symbol, beside[told:until])
            told = until
        for place, row in enumerate(here):
            contexts[place] = known(plan.series[row].symbol, time)[0]
        events.append(BarsClosed(time + plan.bar_ms, tuple(here), made, contexts, is_late=True))
    return events


_Fetch = Callable[[str, str, int, int], Awaitable[Records]]


async def _history(
    key: SeriesKey, store: BarStore, fetch: _Fetch, span: tuple[int, int]
) -> Records:
    """Bars of `span` (ms): what the lake has at its beginning without a gap, the rest over REST."""
    start, end = span
    have: Records = np.zeros(0, BAR)
    with suppress(DataError):  # nothing of it in the lake: all of it comes over REST
        have = _unbroken(store.read(key, start, end).bars, start, key.bar_ms)
    since = int(have["open_time"][-1]) + key.bar_ms if len(have) else start
    if since >= end:
        return have
    rest = await fetch(key.symbol, key.timeframe, since, end)
    return np.concatenate([have, rest]) if len(have) else rest


def _unbroken(bars: Records, start: int, bar_ms: int) -> Records:
    """The bars from `start` on up to the first gap."""
    wanted = start + np.arange(len(bars)) * bar_ms
    broken = np.flatnonzero(bars["open_time"] != wanted)
    return bars[: int(broken[0])] if len(broken) else bars
