"""Requests to the venue: each goes out as a task of its own, and its answer comes as an event."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import structlog

from tercel.app.live.latency import Latencies
from tercel.app.ports import Venue
from tercel.domain.commands import CancelForeign, CancelOrder, PlaceOrder, QueryOrder, ReadVenue
from tercel.domain.errors import VenueError
from tercel.domain.events import CancelAnswered, Event, OrderFound, Outcome, Placed, VenueRead

log = structlog.get_logger(__name__)

Request = PlaceOrder | CancelOrder | QueryOrder | ReadVenue | CancelForeign


class Sending:
    """Carries requests out at a venue."""

    def __init__(
        self,
        venue: Venue,
        latencies: Latencies,
        now: Callable[[], int],
        put: Callable[[Event], None],
        spawn: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]],
    ) -> None:
        """Answers are dated by `now` and handed to `put`; `spawn` begins a task that its owner
        looks after.
        """
        self._venue = venue
        self._latencies = latencies
        self._now = now
        self._put = put
        self._spawn = spawn
        self._carriers: dict[type[Any], Callable[[Any], Coroutine[Any, Any, None]]] = {
            PlaceOrder: self._place,
            CancelOrder: self._cancel,
            QueryOrder: self._query,
            ReadVenue: self._read,
            CancelForeign: self._cancel_foreign,
        }

    def send(self, request: Request) -> None:
        """Let one request go."""
        self._spawn(self._carriers[type(request)](request))

    async def _place(self, command: PlaceOrder) -> None:
        request = command.request
        with self._latencies.measure("order to answer"):
            answer = await self._venue.place(request)
        self._put(Placed(self._now(), request.client_id, answer))

    async def _cancel(self, command: CancelOrder) -> None:
        answer = await self._venue.cancel(
            command.client_id, command.symbol, is_conditional=command.is_conditional
        )
        self._put(CancelAnswered(self._now(), command.client_id, answer))

    async def _query(self, command: QueryOrder) -> None:
        answer = await self._venue.query(
            command.client_id, command.symbol, is_conditional=command.is_conditional
        )
        self._put(OrderFound(self._now(), command.client_id, answer))

    async def _cancel_foreign(self, command: CancelForeign) -> None:
        answer = await self._venue.cancel(
            command.client_id, command.symbol, is_conditional=command.is_conditional
        )
        if answer.outcome is not Outcome.DONE:
            log.warning("orphan_not_cancelled", order=command.client_id, answer=answer.text)

    async def _read(self, command: ReadVenue) -> None:
        try:
            snapshot = await self._venue.read(command.symbols, command.since_ms)
        except VenueError as error:
            self._put(VenueRead(self._now(), None, str(error), command.asked_ms))
        else:
            self._put(VenueRead(self._now(), snapshot, asked_ms=command.asked_ms))
