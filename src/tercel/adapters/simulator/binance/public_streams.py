"""Subscriptions to public streams: SUBSCRIBE, UNSUBSCRIBE and what the vendor answers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable

from tercel.adapters.simulator.binance.candles import Candle
from tercel.adapters.simulator.binance.channels import Channel
from tercel.adapters.simulator.binance.sessions import StreamClass, StreamSession
from tercel.adapters.simulator.binance.state import VenueState
from tercel.adapters.simulator.binance.stream_names import Feed, parse_stream
from tercel.adapters.simulator.binance.user_events import force_order
from tercel.adapters.simulator.binance.wire import Json
from tercel.adapters.simulator.exchange.events import OrderChanged
from tercel.adapters.simulator.market.ticks import MarketTick

INVALID_REQUEST = 2


class SubscriptionError(Exception):
    """A frame of the client that cannot be followed; told to it in the vendor's words."""

    def __init__(self, message: str, code: int = INVALID_REQUEST) -> None:
        super().__init__(message)
        self.code = code


class PublicStreams:
    """All public streams with listeners."""

    def __init__(self, venue: VenueState) -> None:
        self._venue = venue
        self._channels: dict[str, Channel] = {}

    def subscribe(self, session: StreamSession, names: Iterable[str]) -> None:
        """Add streams to a connection. Raises SubscriptionError: unknown, or of another class."""
        parsed = []
        for name in names:
            stream = parse_stream(name, self._venue.symbols)
            if stream is None:
                raise SubscriptionError(f"Invalid request: there is no stream {name!r}")
            if session.kind not in (stream.stream_class, StreamClass.UNROUTED):
                raise SubscriptionError(
                    f"Invalid request: the stream {name!r} is on /{stream.stream_class}, not on "
                    f"/{session.kind}"
                )
            parsed.append(stream)
        if len(session.streams) + len(parsed) > self._venue.settings.limits.streams_max:
            raise SubscriptionError("Invalid request: too many streams for one connection")
        for stream in parsed:
            session.streams[stream.name] = None
            channel = self._channels.get(stream.name)
            if channel is None:
                channel = self._channels[stream.name] = Channel(self._venue, stream)
            channel.sessions[session] = None

    def unsubscribe(self, session: StreamSession, names: Iterable[str]) -> None:
        """Take streams off a connection; one that was not on it is no error."""
        for name in list(names):
            session.streams.pop(name, None)
            channel = self._channels.get(name)
            if channel is not None:
                channel.sessions.pop(session, None)
                if not channel.sessions:
                    del self._channels[name]

    def drop(self, session: StreamSession) -> None:
        """The connection is gone."""
        self.unsubscribe(session, list(session.streams))

    def on_tick(self, tick: MarketTick, closed: Candle | None) -> None:
        """The market has moved."""
        for channel in list(self._channels.values()):
            channel.on_tick(tick, closed)

    def flush(self) -> None:
        """Send what has waited for its period to end."""
        for channel in list(self._channels.values()):
            channel.flush()

    def on_liquidation(self, event: OrderChanged) -> None:
        """A liquidation, on the streams that tell of them."""
        for channel in list(self._channels.values()):
            named = channel.name.symbol in ("", event.order.symbol)
            if channel.name.feed is Feed.FORCE_ORDER and named:
                channel.publish(force_order(self._venue, event))

    def receive(self, session: StreamSession, text: str, now_ms: int) -> None:
        """A frame of the client: {"method", "params", "id"}."""
        session.send(answer_frame(text, lambda asked: self._follow(session, asked)), now_ms)

    def _follow(self, session: StreamSession, asked: Json) -> Json:
        names = asked.get("params", [])
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise SubscriptionError("Invalid request: params must be a list of stream names")
        method = asked["method"]
        if method == "SUBSCRIBE":
            self.subscribe(session, names)
        elif method == "UNSUBSCRIBE":
            self.unsubscribe(session, names)
        elif method == "LIST_SUBSCRIPTIONS":
            return list(session.streams)
        else:
            raise SubscriptionError(
                "Invalid request: unknown variant, expected one of `SUBSCRIBE`, `UNSUBSCRIBE`, "
                "`LIST_SUBSCRIPTIONS`"
            )
        return None


def answer_frame(text: str, follow: Callable[[Json], Json]) -> Json:
    """What a connection is answered to a frame of its client: `follow` carries the request out."""
    asked: Json = {}
    try:
        asked = read_frame(text)
        return {"result": follow(asked), "id": asked["id"]}
    except SubscriptionError as error:
        return {"error": {"code": error.code, "msg": str(error)}, "id": asked.get("id")}


def read_frame(text: str) -> Json:
    """The object in a frame. Raises SubscriptionError."""
    try:
        asked = json.loads(text)
    except ValueError:
        raise SubscriptionError("Invalid JSON", code=3) from None
    if not isinstance(asked, dict) or not isinstance(asked.get("method"), str):
        raise SubscriptionError("Invalid request: method must be a text")
    if not isinstance(asked.get("id"), int | str) or isinstance(asked.get("id"), bool):
        raise SubscriptionError("Invalid request: request ID must be an unsigned integer or a text")
    return asked
