"""A session over closed bars, at any speed: the same session as live, filled by the bar exchange.

For each moment of the bars, in this order: what the bar filled of each stream's orders; the bars
themselves; each stream's decision, and what it met at the close. So does `kernel.run`, and the
trades are the same to the bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from tercel.app.backtest import rows_of_series
from tercel.app.live.plan import SessionPlan
from tercel.app.live.session import Session
from tercel.app.prepare import PreparedRun
from tercel.app.record_bytes import joined
from tercel.app.signals import unknown_context
from tercel.core.ledger import NEVER
from tercel.core.records import BAR, CONTEXT, STREAM, Records
from tercel.domain.commands import (
    Alert,
    CancelOrder,
    Command,
    EndSession,
    PlaceOrder,
    QueryOrder,
    SaveState,
    WriteJournal,
)
from tercel.domain.events import (
    Answer,
    BarsClosed,
    CancelAnswered,
    Decide,
    Event,
    MinuteEnded,
    Operation,
    OperatorAsked,
    OrderFound,
    Placed,
)
from tercel.domain.orders import OrderRequest


class BarFiller(Protocol):
    """The exchange of a replay."""

    def place(self, request: OrderRequest) -> Answer:
        """Take an order."""
        ...

    def cancel(self, client_id: str) -> Answer:
        """Take an order away."""
        ...

    def query(self, client_id: str) -> Answer:
        """What is known of an order."""
        ...

    def on_bar(self, stream: int, bar: Any, context: Any) -> Iterator[Event]:
        """What a bar fills of the orders of `stream`."""
        ...

    def at_close(self, stream: int, bar: Any) -> Iterator[Event]:
        """What the close of a bar fills."""
        ...

    def finish(self, stream: int, bar: Any) -> Iterator[Event]:
        """What the last close fills at the end of the data."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class ReplaySeries:
    """The bars of one series, and a CONTEXT row for each or a single one."""

    bars: Records
    contexts: Records


def series_of(prepared: PreparedRun) -> list[ReplaySeries]:
    """What the streams of `prepared` trade on, one for each series of its session's plan."""
    rows = rows_of_series(prepared.specs)
    found: dict[int, ReplaySeries] = {}
    for row, spec in zip(rows, prepared.specs, strict=True):
        contexts = unknown_context() if spec.contexts is None else spec.contexts
        found.setdefault(row, ReplaySeries(spec.series.bars, contexts))
    return [found[row] for row in range(len(found))]


def stream_settings(plan: SessionPlan) -> Records:
    """STREAM records with what the exchange of a replay fills by: costs, rules, instrument."""
    made = np.zeros(len(plan.streams), STREAM)
    for number, stream in enumerate(plan.streams):
        made[number] = stream.settings
        made[number]["bar_ms"] = plan.bar_ms
    return made


class Replay:
    """Feeds a session with bars and answers its commands at once."""

    def __init__(
        self,
        session: Session,
        exchange: BarFiller,
        series: list[ReplaySeries],
        *,
        told: Callable[[Command], None] | None = None,
    ) -> None:
        """`told` sees every command that is not an order: journal rows, states, alerts."""
        self.session = session
        self._exchange = exchange
        self._series = series
        self._told = told
        self._cursors = [0] * len(series)
        self._times: list[list[int]] = [each.bars["open_time"].tolist() for each in series]
        self._bar_ms = session.parts.plan.bar_ms
        self._streams = [stream.series for stream in session.parts.plan.streams]
        self.ended: EndSession | None = None

    def minutes(self) -> Iterator[int]:
        """Play every moment of the bars; yields the close of each, ms UTC."""
        while (event := self._next_bars()) is not None:
            self.play(event)
            yield event.open_time + self._bar_ms
            if self.ended is not None:
                return

    def _next_bars(self) -> BarsClosed | None:
        """The bars that open next, of every series that has one."""
        following = [
            times[at] if at < len(times) else NEVER
            for times, at in zip(self._times, self._cursors, strict=True)
        ]
        time = min(following)
        if time == NEVER:
            return None
        here = [row for row, each in enumerate(following) if each == time]
        bars, contexts = [], []
        for row in here:
            each, at = self._series[row], self._cursors[row]
            known = min(at, len(each.contexts) - 1)
            bars.append(each.bars[at : at + 1])
            contexts.append(each.contexts[known : known + 1])
            self._cursors[row] += 1
        close = time + self._bar_ms
        if len(here) == 1:
            return BarsClosed(close, tuple(here), bars[0], contexts[0])
        return BarsClosed(close, tuple(here), joined(bars, BAR), joined(contexts, CONTEXT))

    def play(self, event: BarsClosed) -> None:
        """One moment, from what it fills to the last decision."""
        rows = {series: place for place, series in enumerate(event.series)}
        for k, series in enumerate(self._streams):
            if series in rows:
                bar, context = event.bars[rows[series]], event.contexts[rows[series]]
                for news in self._exchange.on_bar(k, bar, context):
                    self.deliver(news)
        self.deliver(event)
        while (turn := self.session.next_turn()) is not None:
            self.deliver(turn)
            if isinstance(turn, Decide):
                bar = event.bars[rows[self._streams[turn.stream]]]
                for news in self._exchange.at_close(turn.stream, bar):
                    self.deliver(news)

    def finish(self) -> None:
        """The data ends: whatever is open is closed at its last price, as a backtest does."""
        last = max(
            int(each.bars[at - 1]["open_time"])
            for each, at in zip(self._series, self._cursors, strict=True)
            if at > 0
        )
        time = last + self._bar_ms
        self.deliver(OperatorAsked(time, Operation.FLATTEN, "the end of the data"))
        for k, series in enumerate(self._streams):
            at = self._cursors[series]
            if at > 0:
                for news in self._exchange.finish(k, self._series[series].bars[at - 1]):
                    self.deliver(news)
        self.deliver(MinuteEnded(time))

    def deliver(self, event: Event) -> None:
        """Hand an event to the session, and carry out what it asks for."""
        for command in self.session.handle(event):
            self._carry_out(command, event.time_ms)

    def _carry_out(self, command: Command, time_ms: int) -> None:
        exchange = self._exchange
        if isinstance(command, PlaceOrder):
            request = command.request
            self.deliver(Placed(time_ms, request.client_id, exchange.place(request)))
        elif isinstance(command, CancelOrder):
            answer = exchange.cancel(command.client_id)
            self.deliver(CancelAnswered(time_ms, command.client_id, answer))
        elif isinstance(command, QueryOrder):
            answer = exchange.query(command.client_id)
            self.deliver(OrderFound(time_ms, command.client_id, answer))
        elif isinstance(command, WriteJournal | SaveState | Alert):
            if self._told is not None:
                self._told(command)
        elif isinstance(command, EndSession):
            self.ended = command
