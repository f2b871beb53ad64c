"""Keeps the context of a session fresh: step 5 of its start, and a task beside its loop after that.

1. `start`: what the lake has, then everything that the venue publishes, whatever the age of what is
   known: back to what the oldest bar of the warm-up could still be shown.
2. `keep`: each kind again in its own interval; the lake, both ways, in another.

A venue that does not answer stops nothing. What is known counts until it is too old
(settings.context), then it is unknown and never a guess; the failure is told once for each kind,
and so is its end. A lake that cannot be read or written is logged, and tried again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, replace
from typing import Any

import structlog

from tercel.app.context_quality import check_context
from tercel.app.live.alerts import AlertCode
from tercel.app.live.known_context import KnownContext, lake_rows
from tercel.app.ports import Clock, ContextSource, ContextStore, StateStore
from tercel.app.tasks import end_tasks
from tercel.domain.commands import Level
from tercel.domain.context import ContextSeries
from tercel.domain.errors import TercelError
from tercel.domain.journal import AlertRow, JournalRow, ScoreRow
from tercel.domain.live_settings import ContextRefreshSettings
from tercel.domain.session_state import CachedScore, SessionState, StateRead
from tercel.domain.settings import ContextSettings
from tercel.domain.times import HOUR_MS

log = structlog.get_logger(__name__)

CALLS_AT_ONCE = 8
"""Symbols that one kind is asked for side by side."""
TROUBLES_TOLD = 3
"""Symbols that an alert names; the rest is counted."""
NoteRows = Callable[[tuple[JournalRow, ...]], None]
"""Given rows for the journal and for views."""


@dataclass(frozen=True, slots=True)
class KeeperRules:
    """What a keeper goes by."""

    ages: ContextSettings
    refresh: ContextRefreshSettings
    session_id: str
    warmup_ms: int
    """How far the warm-up reaches back."""
    writes_lake: bool
    """Whether rows may be put into the lake: those of a simulated exchange may not."""


@dataclass(frozen=True, slots=True)
class _Newest:
    """The newest row of a kind, and when it was fetched."""

    value: float
    fetched_ms: int


def _unheard(_rows: tuple[JournalRow, ...]) -> None:
    """Nobody listens yet."""


class ContextKeeper:
    """Fetches what a venue publishes into a KnownContext."""

    def __init__(
        self,
        known: KnownContext,
        source: ContextSource,
        lake: ContextStore,
        rules: KeeperRules,
        clock: Clock,
    ) -> None:
        """`clock` tells venue time."""
        self.known = known
        self._source = source
        self._lake = lake
        self._rules = rules
        self._clock = clock
        self._note: NoteRows = _unheard
        self._down: set[str] = set()
        """Kinds whose failure was told."""
        self._newest: dict[tuple[str, str], _Newest] = {}
        self._saved_ms: dict[object, int] = {}
        """The last row of each series that is in the lake."""

    # --- the runner's ----------------------------------------------------------------------------

    async def start(self, note: NoteRows) -> None:
        """Step 5: everything afresh, whatever the age of what is known. Raises nothing that a venue
        or a file could cause, and returns after `start_seconds_max` at the latest.
        """
        self._note = note
        await self._read_lake(self._now() - self._rules.warmup_ms)
        await self._in_time({kind: self._refresh(kind) for kind in self._source.kinds})
        await self._prepare()

    async def keep(self) -> None:
        """Refresh for ever: a task of the runner's, ended by cancelling it. Raises nothing that a
        venue or a file could cause: a task that fails would end the session.
        """
        kinds = [self._keep_kind(kind) for kind in self._source.kinds]
        await asyncio.gather(self._keep_lake(), *kinds)

    async def close(self) -> None:
        """Put what is new into the lake, and release connections."""
        await self._write_lake()
        await self._source.close()

    def with_scores(self, state: SessionState) -> SessionState:
        """`state` with the newest values of the first symbol, each with the time it was fetched.
        What nobody has fetched yet stays as it was kept.
        """
        symbol = self.known.symbols[0]
        return replace(
            state,
            funding_rate_cache=self._cached("funding_rate", symbol) or state.funding_rate_cache,
            oi_cache=self._cached("open_interest", symbol) or state.oi_cache,
            ls_ratio_cache=self._cached("long_short_ratio", symbol) or state.ls_ratio_cache,
        )

    def _cached(self, kind: str, symbol: str) -> CachedScore | None:
        newest = self._newest.get((kind, symbol))
        return None if newest is None else CachedScore(newest.value, newest.fetched_ms)

    # --- tasks -----------------------------------------------------------------------------------

    async def _keep_kind(self, kind: str) -> None:
        while True:
            await self._clock.sleep(self._rules.refresh.minutes(kind) * 60.0)
            await self._refresh(kind)
            await self._prepare()

    async def _keep_lake(self) -> None:
        """What the start fetched goes in at once; a look at the lake takes in what was imported."""
        while True:
            await self._write_lake()
            await self._clock.sleep(self._rules.refresh.lake_minutes * 60.0)
            await self._read_lake(self._now())
            await self._prepare()

    async def _in_time(self, works: dict[str, Coroutine[Any, Any, None]]) -> None:
        """Every work, but no longer than a start may take."""
        seconds = self._rules.refresh.start_seconds_max
        tasks = {kind: asyncio.create_task(work) for kind, work in works.items()}
        timer = asyncio.create_task(self._clock.sleep(seconds))
        try:
            pending = set(tasks.values())
            while pending and not timer.done():
                await asyncio.wait({*pending, timer}, return_when=asyncio.FIRST_COMPLETED)
                pending = {task for task in pending if not task.done()}
            for kind, task in tasks.items():
                if task.done():
                    task.result()
                else:
                    self._judge(kind, [f"no answer within {seconds:g} s"])
        finally:
            await end_tasks((timer, *tasks.values()))

    async def _refresh(self, kind: str) -> None:
        """`kind` of every symbol; where nobody of a batch was answered the rest is not asked."""
        symbols, troubles = self.known.symbols, list[str]()
        for first in range(0, len(symbols), CALLS_AT_ONCE):
            batch = symbols[first : first + CALLS_AT_ONCE]
            said = await asyncio.gather(*(self._fetch(kind, symbol) for symbol in batch))
            failed = [trouble for trouble in said if trouble]
            troubles += failed
            if len(failed) == len(batch):
                troubles += [f"{symbol}: not asked" for symbol in symbols[first + len(batch) :]]
                break
        self._judge(kind, troubles)

    async def _fetch(self, kind: str, symbol: str) -> str:
        """The rows of one symbol since the last one that is known; what went wrong, or ''."""
        now = self._now()
        reach_ms = self._rules.warmup_ms + self._rules.ages.age_ms_max(kind) + HOUR_MS
        try:
            series = await self._source.read(
                kind, symbol, self._since(kind, symbol, now - reach_ms)
            )
            check_context(series, origin=f"{kind} of {symbol}")
        except (TercelError, OSError) as error:
            return f"{symbol}: {error}"
        if len(series):
            self.known.note_venue(series, now - reach_ms)
            self._take_up(series)
        return ""

    def _since(self, kind: str, symbol: str, earliest: int) -> int:
        """The moment behind the last row that the venue told, or `earliest`."""
        for key in self.known.venue_keys():
            if (key.kind, key.symbol) == (kind, symbol):
                held = self.known.told_by_venue(key)
                return earliest if held is None or not len(held) else int(held.time[-1]) + 1
        return earliest

    def _take_up(self, series: ContextSeries) -> None:
        """Remember the newest row, and journal it."""
        key, now, value = series.key, self._now(), float(series.value[-1])
        self._newest[key.kind, key.symbol] = _Newest(value, now)
        self._note((ScoreRow(self._rules.session_id, now, f"{key.kind} {key.symbol}", value),))

    async def _prepare(self) -> None:
        """Join what changed, a symbol at a time: the loop is not held up by forty of them."""
        for symbol in self.known.symbols:
            if self.known.prepare(symbol, self._now()):
                await self._clock.sleep(0.0)

    # --- the lake --------------------------------------------------------------------------------

    async def _read_lake(self, since_ms: int) -> None:
        rules = self._rules
        found = await asyncio.to_thread(
            lake_rows, self._lake, self.known.symbols, rules.ages, since_ms
        )
        self.known.note_lake(found)

    async def _write_lake(self) -> None:
        """Merge what the venue told since the last time: a later backtest is shown the same. A lake
        that is busy or full is tried again the next time.
        """
        if not self._rules.writes_lake:
            return
        for key in self.known.venue_keys():
            held = self.known.told_by_venue(key)
            new = None if held is None else _after(held, self._saved_ms.get(key, 0))
            if new is None or not len(new):
                continue
            try:
                await asyncio.to_thread(self._merge, new)
            except (TercelError, OSError) as error:
                log.warning("context_not_kept_in_the_lake", series=str(key), reason=str(error))
            else:
                self._saved_ms[key] = int(new.time[-1])

    def _merge(self, series: ContextSeries) -> None:
        self._lake.merge(series, origin=f"session {self._rules.session_id}")

    # --- telling ---------------------------------------------------------------------------------

    def _judge(self, kind: str, troubles: Sequence[str]) -> None:
        """Tell a failure once, and once that it is over."""
        if bool(troubles) == (kind in self._down):
            return
        if not troubles:
            self._down.discard(kind)
            self._alert(Level.INFO, AlertCode.CONTEXT_READABLE, f"{kind}: fetched again")
            return
        self._down.add(kind)
        more = len(troubles) - TROUBLES_TOLD
        said = "; ".join(troubles[:TROUBLES_TOLD]) + (f"; and {more} more" if more > 0 else "")
        hours = self._rules.ages.age_ms_max(kind) / HOUR_MS
        text = f"{kind}: {said}. What is known counts until it is {hours:g} h old"
        self._alert(Level.WARNING, AlertCode.CONTEXT_UNREADABLE, text)

    def _alert(self, level: Level, code: AlertCode, text: str) -> None:
        (log.info if level is Level.INFO else log.warning)(code.value, detail=text)
        row = AlertRow(
            self._rules.session_id, self._now(), level.value, code.value, text, stream=-1
        )
        self._note((row,))

    def _now(self) -> int:
        return self._clock.now_ms()


def _after(series: ContextSeries, moment: int) -> ContextSeries:
    """The rows of `series` after `moment`."""
    keep = series.time > moment
    return ContextSeries(series.key, series.time[keep], series.value[keep])


class ScoredState:
    """ports.StateStore that adds the newest scores to every state it keeps."""

    def __init__(self, store: StateStore, keeper: ContextKeeper) -> None:
        self._store = store
        self._keeper = keeper

    async def read_full_snapshot(self) -> StateRead:
        """As kept."""
        return await self._store.read_full_snapshot()

    async def write(self, state: SessionState) -> None:
        """Keep `state` with the newest scores. Raises StorageError."""
        await self._store.write(self._keeper.with_scores(state))

    async def close(self) -> None:
        """As the store closes."""
        await self._store.close()
