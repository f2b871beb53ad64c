"""The handshake of a stream: which path opens what.

    /public/ws  /public/stream?streams=a/b     books and trades of the public
    /market/ws  /market/stream?streams=a/b     klines, tickers, mark prices
    /private/ws?listenKey=KEY  /private/ws/KEY  /private/stream     events of the account
    /ws-fapi/v1                                requests as frames

Behind /ws there may be a stream's name, or a number: clients tell connections apart by it. /ws and
/stream without a class before them are gone, but for a dialect that brings them back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tercel.adapters.simulator.binance.listen_keys import unknown_listen_key
from tercel.adapters.simulator.binance.parameters import parse_pairs
from tercel.adapters.simulator.binance.public_streams import SubscriptionError
from tercel.adapters.simulator.binance.sessions import StreamClass, StreamSession
from tercel.adapters.simulator.binance.wire import HTTP_NOT_FOUND, RefusalError
from tercel.adapters.simulator.binance.ws_api import RequestStream
from tercel.adapters.simulator.faults import FaultCode, Where

if TYPE_CHECKING:
    from tercel.adapters.simulator.binance.facade import BinanceFacade

HANDSHAKE_WEIGHT = 5
REQUESTS_PATH = "/ws-fapi/v1"


class Handshake:
    """Opens streams of a façade."""

    def __init__(self, facade: BinanceFacade) -> None:
        self._facade = facade
        self._requests = RequestStream(facade)

    def open(self, path: str, query: str) -> StreamSession:
        """The session behind `path`. Raises RefusalError."""
        venue = self._facade.state
        kind, rest = self._class_of(path)
        here = Where(endpoint=f"CONNECT {path}", stream=str(kind))
        if fault := venue.watch.due(FaultCode.T9, here, venue.now_ms):
            wait = (("Retry-After", str(fault.ms("retry_after_seconds"))),)
            raise RefusalError(-1003, "Too many requests.", fault.ms("status"), wait)
        if kind is StreamClass.REQUESTS:
            venue.ledger.charge(HANDSHAKE_WEIGHT, venue.now_ms)
        values = parse_pairs(query)
        session = StreamSession(kind, venue.settings.limits, venue.now_ms)
        if kind is StreamClass.REQUESTS:
            _refuse_others(values, ("returnRateLimits", "timeUnit"))
            session.on_text = self._requests.receive
        elif kind is StreamClass.PRIVATE:
            self._open_private(session, rest, values)
        else:
            self._open_public(session, rest, values)
        return session

    def _class_of(self, path: str) -> tuple[StreamClass, str]:
        """The class of a path, and what follows it: `ws`, `ws/NAME` or `stream`."""
        if path == REQUESTS_PATH:
            return StreamClass.REQUESTS, ""
        first, _, rest = path.lstrip("/").partition("/")
        if first in (StreamClass.PUBLIC, StreamClass.MARKET, StreamClass.PRIVATE):
            kind = StreamClass(first)
        elif first in ("ws", "stream") and self._facade.state.dialect.unrouted_streams:
            kind, rest = StreamClass.UNROUTED, path.lstrip("/")
        else:
            kind, rest = StreamClass.UNROUTED, ""
        if rest == "stream" or rest == "ws" or rest.startswith("ws/"):
            return kind, rest
        raise RefusalError(-1131, f"Path {path} is no stream.", HTTP_NOT_FOUND)

    def _open_public(self, session: StreamSession, rest: str, values: dict[str, str]) -> None:
        venue = self._facade.state
        session.on_text = self._facade.public.receive
        names: list[str] = []
        if rest == "stream":
            session.is_combined = True
            _refuse_others(values, ("streams", "timeUnit"))
            names = [name for name in values.get("streams", "").split("/") if name]
        else:
            _refuse_others(values, ("timeUnit",))
            name = rest.removeprefix("ws").lstrip("/")
            names = [] if not name or name.isdigit() else [name]
        is_key = len(names) == 1 and venue.keys.is_alive(venue.now_ms, names[0])
        if session.kind is StreamClass.UNROUTED and is_key:
            session.listen_keys[names[0]] = None
            self._facade.users.add(session)
            return
        try:
            self._facade.public.subscribe(session, names)
        except SubscriptionError as error:
            raise RefusalError(-1130, str(error)) from None

    def _open_private(self, session: StreamSession, rest: str, values: dict[str, str]) -> None:
        session.on_text = self._facade.users.receive
        session.is_combined = rest == "stream"
        _refuse_others(values, ("listenKey", "events", "timeUnit"))
        key = values.get("listenKey") or rest.removeprefix("ws").lstrip("/")
        if rest == "stream":
            key = values.get("listenKey", "")
        if key:
            if not self._facade.state.keys.is_alive(self._facade.state.now_ms, key):
                raise unknown_listen_key()
            session.listen_keys[key] = None
        elif rest != "stream":
            raise unknown_listen_key()
        if "events" in values:
            session.event_filter = frozenset(values["events"].split("/"))
        self._facade.users.add(session)


def _refuse_others(values: dict[str, str], known: tuple[str, ...]) -> None:
    for name in values:
        if name not in known:
            raise RefusalError(-1104, f"Not all sent parameters were read: '{name}' is unknown.")
