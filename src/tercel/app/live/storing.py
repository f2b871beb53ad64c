"""What a session asks to be kept, on its way to the journal and the state store.

Rows that no order waits for are written in batches beside the loop. An order waits until its rows
and the state are durable, an exit for STORE_SECONDS_MAX at most; an entry never leaves without
them. Whatever a store fails with, the session goes on without entries: what is open is looked after
all the same.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import structlog

from tercel.app.live.latency import Latencies
from tercel.app.live.lease import LeasedState
from tercel.app.live.venue_clock import VenueClock
from tercel.app.ports import Journal, StateStore
from tercel.domain.commands import Command, SaveState, WriteJournal
from tercel.domain.errors import TercelError, words_of
from tercel.domain.journal import JournalRow
from tercel.domain.session_state import StateSnapshot

log = structlog.get_logger(__name__)

ROWS_AT_ONCE = 2_000
"""Journal rows of one transaction while nobody waits for them."""
FLUSH_SECONDS = 0.1
"""Rows that no order waits for are written this often."""
STORE_SECONDS_MAX = 0.5
"""An exit waits so long for journal and state, then it leaves without them; an entry never does."""

Spawn = Callable[[Coroutine[Any, Any, bool]], asyncio.Task[bool]]
"""Begins a task that its owner looks after."""


class Storing:
    """Rows and the latest state, until they are durable."""

    def __init__(
        self,
        stores: tuple[Journal, StateStore],
        leased: LeasedState,
        latencies: Latencies,
        on_news: Callable[[bool, str], None],
    ) -> None:
        """`on_news` is told when storing begins to fail, why, and when it works again."""
        self._journal, self._store = stores
        self._leased = leased
        self._latencies = latencies
        self._on_news = on_news
        self._rows: deque[JournalRow] = deque()
        self._state: StateSnapshot | None = None
        self._lock = asyncio.Lock()
        self._works = True
        self._overrun: asyncio.Task[bool] | None = None
        """A write that somebody waited for in vain."""

    # --- what is to be kept ----------------------------------------------------------------------

    def add(self, commands: Sequence[Command]) -> None:
        """Rows and states among `commands` are to be kept."""
        for command in commands:
            if isinstance(command, WriteJournal):
                self._rows.extend(command.rows)
            elif isinstance(command, SaveState):
                self._state = command.snapshot

    @property
    def has_state(self) -> bool:
        """Whether the latest state is durable."""
        return self._state is None and not self._lock.locked()

    # --- keeping it ------------------------------------------------------------------------------

    async def in_time(self, spawn: Spawn) -> bool:
        """`everything`, but not for ever: a stop that waits for a slow store protects nobody."""
        if self._overrun is not None and not self._overrun.done():
            return False  # what comes after it would wait as long, and in vain
        storing = spawn(self.everything())
        await asyncio.wait({storing}, timeout=STORE_SECONDS_MAX)
        if not storing.done():
            self._overrun = storing
            return False
        return not storing.cancelled() and storing.result()

    async def everything(self) -> bool:
        """Everything that waits to be stored; whether it is durable now."""
        async with self._lock:
            rows, state = list(self._rows), self._state
            self._rows.clear()
            self._state = None
            return await self._write(rows, state)

    async def first(self, rows: Sequence[JournalRow]) -> bool:
        """Write `rows` now; whether they are durable. What is not is written with what comes."""
        return await self._write(list(rows), None)

    async def last(self, state: StateSnapshot, seconds: float) -> bool:
        """Keep the last state, without waiting for whatever is under way; whether it is durable."""
        return await _within(seconds, self._write([], state))

    async def last_rows(self, rows: Sequence[JournalRow], seconds: float) -> bool:
        """Write all that is left, and then `rows`; whether it is durable."""
        left = [*self._rows, *rows]
        self._rows.clear()
        return await _within(seconds, self._write(left, None))

    async def keep(self, clock: VenueClock) -> None:
        """Rows and states that no order waits for, for ever."""
        while True:
            await clock.sleep(FLUSH_SECONDS)
            await self.everything()

    async def _write(self, rows: list[JournalRow], state: StateSnapshot | None) -> bool:
        """Journal and state side by side."""
        if not rows and state is None:
            return self._works
        with self._latencies.measure("journal and state"):
            # The state first: it takes longer to prepare, and the journal's thread would wait for
            # the interpreter meanwhile.
            results = await asyncio.gather(
                self._leased.write(self._store, state),
                self._write_rows(rows),
                return_exceptions=True,
            )
        # What is written stays written: a row that came twice would be a lie.
        self._rows.extendleft(reversed(rows))
        if results[0] is not None:
            self._state = self._state or state  # a newer one may have come meanwhile
        troubles = [each for each in results if each is not None]
        if self._works == bool(troubles):
            self._works = not troubles
            self._tell(troubles)
        return not troubles

    async def _write_rows(self, rows: list[JournalRow]) -> None:
        """Write `rows`, and take away from them what is written."""
        while rows:
            await self._journal.write(rows[:ROWS_AT_ONCE])
            del rows[:ROWS_AT_ONCE]

    def _tell(self, troubles: Sequence[BaseException]) -> None:
        for each in troubles:
            if not isinstance(each, TercelError):
                log.critical("store_failed", error=words_of(each), exc_info=each)
        self._on_news(not troubles, "; ".join(map(words_of, troubles)))


async def _within(seconds: float, work: Coroutine[Any, Any, bool]) -> bool:
    """What `work` returns; False where it takes longer."""
    try:
        async with asyncio.timeout(seconds):
            return await work
    except TimeoutError:
        return False
