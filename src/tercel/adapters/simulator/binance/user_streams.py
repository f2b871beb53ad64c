"""The user stream: events of the account to whoever holds its listen key, faults on the way."""

from __future__ import annotations

from collections import deque

from tercel.adapters.simulator.binance.public_streams import SubscriptionError, answer_frame
from tercel.adapters.simulator.binance.sessions import StreamSession
from tercel.adapters.simulator.binance.state import VenueState
from tercel.adapters.simulator.binance.user_events import listen_key_expired, user_events
from tercel.adapters.simulator.binance.wire import Json
from tercel.adapters.simulator.exchange.events import Event, OrderChanged
from tercel.adapters.simulator.faults import Fault, FaultCode, Where

KEPT = 50
"""Events that a fault may bring again."""
_FAULTS = (
    FaultCode.U12, FaultCode.U2, FaultCode.U11, FaultCode.U1, FaultCode.U3, FaultCode.U9,
    FaultCode.A12, FaultCode.T12,
)  # fmt: skip


class UserStreams:
    """All connections with a listen key."""

    def __init__(self, venue: VenueState) -> None:
        self._venue = venue
        self._sessions: dict[StreamSession, None] = {}
        self._held: Json | None = None
        self._told: deque[Json] = deque(maxlen=KEPT)
        self._silent_until_ms = 0

    def add(self, session: StreamSession) -> None:
        """A connection was opened. A fault may bring an old event again."""
        self._sessions[session] = None
        again = self._due(FaultCode.U4, "connect")
        if again is not None:
            for event in self._told:
                if event["e"] == "ORDER_TRADE_UPDATE" and event["o"]["x"] == "NEW":
                    self._deliver(event, session)
                    break

    def drop(self, session: StreamSession) -> None:
        """A connection is gone."""
        self._sessions.pop(session, None)

    def publish(self, event: Event) -> None:
        """Tell of an event, late if its order is to be told late."""
        delay_ms = 0
        if isinstance(event, OrderChanged):
            numbered = event.order.symbol, event.order.order_id
            delay_ms = self._venue.overlay.late_orders.get(numbered, 0)
        for each in user_events(self._venue, event):
            self._told.append(each)
            self._pass_on(each, delay_ms)

    def expire_keys(self) -> None:
        """Tell that the key's hour is over; its sockets stay open, in silence."""
        key = self._venue.keys.take_expired(self._venue.now_ms)
        if key:
            self.tell_expired(key)

    def tell_expired(self, key: str) -> None:
        """listenKeyExpired, to the connections that hold it."""
        event = listen_key_expired(self._venue, key)
        if self._due(FaultCode.U6, "listenKeyExpired"):
            return
        for session in self._sessions:
            if key in session.listen_keys:
                session.send(event, self._venue.now_ms, stream=key)

    def receive(self, session: StreamSession, text: str, now_ms: int) -> None:
        """A frame of the client on /private: SUBSCRIBE with listen keys."""
        session.send(answer_frame(text, lambda asked: self._follow(session, asked)), now_ms)

    def _follow(self, session: StreamSession, asked: Json) -> Json:
        keys = asked.get("params", [])
        if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
            raise SubscriptionError("Invalid request: params must be a list of listen keys")
        if asked["method"] == "LIST_SUBSCRIPTIONS":
            return list(session.listen_keys)
        for key in keys:
            if asked["method"] == "SUBSCRIBE":
                if not self._venue.keys.is_alive(self._venue.now_ms, key):
                    raise SubscriptionError("Invalid request: this listen key does not exist")
                session.listen_keys[key] = None
            elif asked["method"] == "UNSUBSCRIBE":
                session.listen_keys.pop(key, None)
            else:
                raise SubscriptionError("Invalid request: unknown method")
        return None

    def _pass_on(self, event: Json, delay_ms: int) -> None:
        """Deliver one event, unless a fault has other plans for it."""
        now_ms, name = self._venue.now_ms, event["e"]
        fault = self._first_due(name)
        code = fault.what if fault else None
        if code is FaultCode.U12 and fault is not None:
            self._silent_until_ms = now_ms + fault.ms("duration_ms")
        if now_ms < self._silent_until_ms or code is FaultCode.U2:
            return
        if code is FaultCode.U11 and name in ("ORDER_TRADE_UPDATE", "TRADE_LITE"):
            return
        if code is FaultCode.U3 and self._held is None:
            self._held = event
            return
        if code is FaultCode.T12 and fault is not None:
            delay_ms += fault.ms("delay_ms")
        if code is FaultCode.U9:
            event = _unknown(event)
        self._deliver_all(event, delay_ms)
        if code in (FaultCode.U1, FaultCode.A12):
            self._deliver_all(event, delay_ms)
        if self._held is not None:
            held, self._held = self._held, None
            self._deliver_all(held, delay_ms)

    def flush(self) -> None:
        """An event that waited for another to overtake it does not wait for ever."""
        if self._held is not None:
            held, self._held = self._held, None
            self._deliver_all(held, 0)

    def _deliver_all(self, event: Json, delay_ms: int) -> None:
        for session in list(self._sessions):
            self._deliver(event, session, delay_ms)

    def _deliver(self, event: Json, session: StreamSession, delay_ms: int = 0) -> None:
        now_ms = self._venue.now_ms
        wanted = session.event_filter
        if wanted is not None and event["e"] not in wanted:
            return
        for key in session.listen_keys:
            if self._venue.keys.is_alive(now_ms, key):
                session.send(event, now_ms, stream=key, delay_ms=delay_ms)

    def _first_due(self, name: str) -> Fault | None:
        here = Where(stream=f"private/{name}")
        codes = [code for code in _FAULTS if code is not FaultCode.A12 or name == "ALGO_UPDATE"]
        return self._venue.watch.first_due(codes, here, self._venue.now_ms)

    def _due(self, code: FaultCode, name: str) -> Fault | None:
        return self._venue.watch.due(code, Where(stream=f"private/{name}"), self._venue.now_ms)


def _unknown(event: Json) -> Json:
    """The event with a field, and where it has one a value, that no client knows."""
    changed = {**event, "zz": {"unknown": True}}
    if "o" in changed and "V" in changed["o"]:
        changed["o"] = {**changed["o"], "V": "EXPIRE_SOMETHING_NEW", "zz": 1}
    return changed
