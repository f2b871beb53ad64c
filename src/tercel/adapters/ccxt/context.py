"""ports.ContextSource over a real exchange: what a venue publishes beside its bars.

It has a connection of its own: a list of funding rates that does not answer says nothing about the
way that orders take. Its calls go through the venue's governor like any other, in a category of
their own: too many of them hold up nobody else.
"""

from __future__ import annotations

import asyncio

import numpy as np

from tercel.adapters.ccxt.addresses import addresses_of
from tercel.adapters.ccxt.context_dialects import context_dialect
from tercel.adapters.ccxt.link import Connect, Link
from tercel.app.live.governor import Governor
from tercel.app.ports import Clock
from tercel.domain.context import ContextKey, ContextSeries
from tercel.domain.errors import VenueError
from tercel.domain.live_settings import VenueSettings


class CcxtContext:
    """ports.ContextSource through ccxt."""

    def __init__(
        self,
        venue: str,
        settings: VenueSettings,
        governor: Governor,
        clock: Clock,
        connect: Connect | None = None,
    ) -> None:
        """`clock` tells venue time. `connect` replaces the sockets (tests). Raises UserError."""
        self._venue = venue
        self._dialect = context_dialect(venue)
        self.kinds = tuple(self._dialect.sources)
        self._clock = clock
        self._connect = connect
        self._link = Link(self._dialect, settings, addresses_of(venue, settings), governor, clock)
        self._opening = asyncio.Lock()
        self._is_open = False

    async def read(self, kind: str, symbol: str, since_ms: int) -> ContextSeries:
        """Rows of `kind` that became known at `since_ms` or later. Raises VenueError."""
        await self._open()
        times, values = [np.empty(0, np.int64)], [np.empty(0, np.float64)]
        for call in self._dialect.pages(kind, symbol, since_ms, self._clock.now_ms()):
            answer = await self._link.ask(call)
            try:
                time, value = self._dialect.rows(kind, answer)
            except (KeyError, TypeError, ValueError, OverflowError) as error:
                raise VenueError(f"{kind} of {symbol} cannot be read: {error!r}") from None
            times.append(time)
            values.append(value)
        time, first = np.unique(np.concatenate(times), return_index=True)
        value = np.concatenate(values)[first]
        keep = time >= since_ms
        key = ContextKey(kind, self._venue, symbol, self._dialect.sources[kind])
        return ContextSeries(key, time[keep], value[keep])

    async def close(self) -> None:
        """Release connections."""
        await self._link.close()

    async def _open(self) -> None:
        """Make the client at the first question. Raises VenueError."""
        async with self._opening:
            if not self._is_open:
                await self._link.open(None, self._connect)
                self._is_open = True
