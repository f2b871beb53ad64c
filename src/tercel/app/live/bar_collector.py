"""Bars of several symbols brought together by the minute they opened in.

A moment is handed on once every symbol has its bar, or once the others have been waited for long
enough. A bar that comes after its moment was handed on is late: strategies still see it. Bars of
symbols beside the session's are waited for as well, since they tell of the others' context, and are
part of no moment.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

import numpy as np

from tercel.app.ports import FeedBar
from tercel.core.records import BAR, CONTEXT, Records
from tercel.domain.events import BarsClosed, MarketView

Context = Callable[[str, int], Records]
"""CONTEXT (one row) of a symbol at the close of the bar that opened then, ms UTC."""
View = Callable[[str, int], MarketView]
"""What is known of the feed of a symbol now, ms UTC."""
BESIDE_KEPT = 10
"""Moments of which only symbols beside have told: more are a market whose own bars do not come."""


class BarCollector:
    """Collects FeedBar items into BarsClosed events."""

    def __init__(
        self,
        symbols: Sequence[str],
        wait_ms: int,
        context: Context,
        view: View | None = None,
        beside: Collection[str] = (),
    ) -> None:
        self._rows = {symbol: row for row, symbol in enumerate(symbols)}
        self._symbols = tuple(symbols)
        self._wait_ms = wait_ms
        self._context = context
        self._view = view
        self._beside = frozenset(beside)
        self._beside_at: dict[int, set[str]] = {}
        """Symbols beside whose bar of a moment has come."""
        self._absent: frozenset[str] = frozenset()
        """Symbols beside that the last moment was handed on without: until a bar of theirs comes
        they are not waited for."""
        self._waiting: dict[int, dict[int, Records]] = {}
        self._since: dict[int, int] = {}
        self._handed = 0
        """Open time of the latest moment that was handed on."""

    def add(self, item: FeedBar, now_ms: int) -> list[BarsClosed]:
        """A closed bar came; the moments that are complete with it."""
        open_time = int(item.bar["open_time"][0])
        if open_time <= now_ms < self._handed:
            self._handed = open_time - 1  # the last moment was no moment: it is still to come
        if item.symbol in self._beside:
            self._absent -= {item.symbol}
            if open_time > self._handed:
                self._beside_at.setdefault(open_time, set()).add(item.symbol)
            if len(self._beside_at) > BESIDE_KEPT:
                del self._beside_at[min(self._beside_at)]
            return self._hand_on(open_time, now_ms) if self._is_whole(open_time) else []
        row = self._rows[item.symbol]
        if open_time <= self._handed:
            return [self._event(open_time, {row: item.bar}, now_ms, is_late=True)]
        self._waiting.setdefault(open_time, {})[row] = item.bar
        self._since.setdefault(open_time, now_ms)
        return self._hand_on(open_time, now_ms) if self._is_whole(open_time) else []

    def due(self, now_ms: int) -> list[BarsClosed]:
        """The moments that have waited long enough for the others."""
        ripe = [time for time, since in self._since.items() if now_ms - since >= self._wait_ms]
        return self._hand_on(max(ripe), now_ms) if ripe else []

    def _is_whole(self, open_time: int) -> bool:
        """Whether every bar of a moment that waits is there."""
        is_told = self._beside <= self._absent.union(self._beside_at.get(open_time, ()))
        return is_told and len(self._waiting.get(open_time, ())) == len(self._rows)

    def _hand_on(self, until: int, now_ms: int) -> list[BarsClosed]:
        """Every moment up to `until`, oldest first: strategies see bars in their order."""
        times = sorted(time for time in self._waiting if time <= until)
        self._absent = self._beside.difference(self._beside_at.get(until, ()))
        made = []
        for time in times:
            del self._since[time]
            made.append(self._event(time, self._waiting.pop(time), now_ms, is_late=False))
        self._handed = until
        for time in [time for time in self._beside_at if time <= until]:
            del self._beside_at[time]
        return made

    def _event(
        self, open_time: int, bars: dict[int, Records], now_ms: int, *, is_late: bool
    ) -> BarsClosed:
        rows = sorted(bars)
        rows_of_bars, contexts = np.empty(len(rows), BAR), np.empty(len(rows), CONTEXT)
        views = []
        for place, row in enumerate(rows):
            rows_of_bars[place] = bars[row][0]
            contexts[place] = self._context(self._symbols[row], open_time)[0]
            if self._view is not None:
                views.append(self._view(self._symbols[row], now_ms))
        return BarsClosed(
            now_ms, tuple(rows), rows_of_bars, contexts, tuple(views), is_late=is_late
        )
