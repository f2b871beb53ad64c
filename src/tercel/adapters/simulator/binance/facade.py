"""The venue as one object: requests in, replies out; streams; the market going on; faults.

    facade = BinanceFacade(exchange, market, settings, plan)
    facade.on_tick(tick, now_ms)                      # the market has moved
    facade.advance(now_ms)                            # time has passed
    reply = facade.handle_request("GET", "/fapi/v1/time", "", {}, b"", now_ms)
    session = facade.connect("/market/ws", "", now_ms)
    session.receive('{"method": "SUBSCRIBE", ...}', now_ms)
    session.take(now_ms)                              # frames that are due

In order, for a request: faults of the transport and of limits; the ban; the route; weight; key,
time and signature; parameters; faults of the order; the exchange; events to the user stream.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from urllib.parse import parse_qsl

from tercel.adapters.simulator.binance.account_routes import ACCOUNT_ROUTES
from tercel.adapters.simulator.binance.connecting import Handshake
from tercel.adapters.simulator.binance.limits import RateLedger
from tercel.adapters.simulator.binance.listen_keys import ListenKeys
from tercel.adapters.simulator.binance.market_routes import MARKET_ROUTES
from tercel.adapters.simulator.binance.order_routes import ORDER_ROUTES
from tercel.adapters.simulator.binance.parameters import Given, check, parse_pairs
from tercel.adapters.simulator.binance.public_streams import PublicStreams
from tercel.adapters.simulator.binance.request_faults import (
    NO_EFFECT,
    after_order,
    is_write,
    prepare,
    refuse,
    restore_book,
    strike,
)
from tercel.adapters.simulator.binance.routes import Route, Security
from tercel.adapters.simulator.binance.sessions import StreamSession
from tercel.adapters.simulator.binance.settings import FacadeSettings
from tercel.adapters.simulator.binance.signing import check_key, check_signature, check_time
from tercel.adapters.simulator.binance.state import VenueState
from tercel.adapters.simulator.binance.tape import Tape
from tercel.adapters.simulator.binance.timed_faults import TimedFaults
from tercel.adapters.simulator.binance.user_streams import UserStreams
from tercel.adapters.simulator.binance.wire import (
    HTTP_NOT_FOUND,
    Json,
    RefusalError,
    Reply,
    encode,
)
from tercel.adapters.simulator.exchange.errors import ExchangeError
from tercel.adapters.simulator.exchange.events import Execution, OrderChanged
from tercel.adapters.simulator.exchange.exchange import Exchange
from tercel.adapters.simulator.exchange.records import ExchangeRules, OrderType
from tercel.adapters.simulator.faults import Fault, FaultCode, FaultPlan, FaultWatch, Where
from tercel.adapters.simulator.market.ticks import BarTick, MarketTick, apply_tick
from tercel.core.records import Records

ROUTES: dict[tuple[str, str], Route] = {
    (route.method, route.path): route for route in (*MARKET_ROUTES, *ACCOUNT_ROUTES, *ORDER_ROUTES)
}
_PATHS = frozenset(path for _, path in ROUTES)
_STALE = ("balance", "account", "positionRisk")
JSON_HEADERS = (("Content-Type", "application/json;charset=UTF-8"),)


@dataclass(frozen=True, slots=True)
class MarketBefore:
    """The rules, and each symbol's closed minutes before the simulation begins."""

    rules: ExchangeRules
    history: Mapping[str, Records]


@dataclass(slots=True)
class Asked:
    """A request on its way through the checks."""

    route: Route
    query: str
    body: str
    values: dict[str, str] = field(default_factory=dict)


class BinanceFacade:
    """One account on one simulated venue."""

    def __init__(
        self,
        exchange: Exchange,
        market: MarketBefore,
        settings: FacadeSettings,
        plan: FaultPlan | None = None,
        *,
        start_ms: int = 0,
        on_fault: Callable[[Fault, int], None] | None = None,
    ) -> None:
        rules = market.rules
        instruments = {one.symbol: one for one in rules.instruments}
        self.state = VenueState(
            exchange,
            Tape(instruments, market.history),
            settings,
            FaultWatch(plan or FaultPlan(), start_ms, on_fault),
            RateLedger(settings.limits),
            ListenKeys(settings.credentials.key, settings.limits.listen_key_ms),
            settings.dialect,
            rules.maker_fee_rate,
            rules.taker_fee_rate,
            tuple(instruments),
            start_ms,
            now_ms=start_ms,
        )
        self.public = PublicStreams(self.state)
        self.users = UserStreams(self.state)
        self.other_clock: Callable[[], int] | None = None
        """A second clock that timestamps may be right by: the clients', where ours runs faster."""
        self.sessions: dict[StreamSession, None] = {}
        self._faults = TimedFaults(self.state)
        self._handshake = Handshake(self)

    # --- the market and time ---

    def on_tick(self, tick: MarketTick, now_ms: int) -> None:
        """The market has moved: the exchange matches, the streams tell."""
        venue = self.state
        venue.now_ms = max(venue.now_ms, now_ms)
        for shown in self._faults.on_tick(tick):
            closed = venue.tape[shown.symbol].apply(shown)
            apply_tick(venue.exchange, shown)
            self.public.on_tick(shown, closed if isinstance(shown, BarTick) else None)
        self._pass_events_on()

    def advance(self, now_ms: int) -> None:
        """Time has passed: what waited for it happens. Call it every 100 ms or so."""
        venue = self.state
        venue.now_ms = max(venue.now_ms, now_ms)
        for symbol, until_ms in list(venue.overlay.countdowns.items()):
            if until_ms <= venue.now_ms:
                del venue.overlay.countdowns[symbol]
                venue.exchange.cancel_all(symbol, venue.now_ms)
        told_key = self._faults.advance(self.sessions)
        if told_key:
            self.users.tell_expired(told_key)
        self.users.expire_keys()
        self._pass_events_on()
        self.public.flush()
        self.users.flush()
        for session in list(self.sessions):
            session.advance(venue.now_ms)

    # --- requests ---

    def handle_request(
        self,
        method: str,
        path: str,
        query: str,
        headers: Mapping[str, str],
        body: bytes,
        now_ms: int,
    ) -> Reply:
        """The reply to one request. `headers` by name, in any case; `query` as it was sent."""
        venue = self.state
        venue.now_ms = max(venue.now_ms, now_ms)
        route = ROUTES.get((method, path))
        if route is None:
            return self._unknown(path)
        asked = Asked(route, query, body.decode("utf-8", "replace"))
        raw = dict(parse_qsl(f"{asked.query}&{asked.body}"))
        here = Where(route.endpoint, "", raw.get("symbol", ""))
        effect = NO_EFFECT
        try:
            effect = strike(venue, here, raw)
            if not effect.is_processed:
                return effect.on(self._reply(route, 200, {}))
            key = {name.lower(): value for name, value in headers.items()}.get("x-mbx-apikey", "")
            answer = self._perform(asked, here, key)
        except (RefusalError, ExchangeError) as error:
            self._pass_events_on()
            return effect.on(self._refusal(route, error))
        status, late_ms = 200, answer[1]
        reply = effect.on(self._reply(route, status, answer[0]))
        return replace(reply, delay_ms=reply.delay_ms + late_ms)

    def perform(self, route: Route, values: Mapping[str, str], here: Where) -> tuple[Json, int]:
        """Answer a request whose sender is known; also how much later the answer is to come.

        Raises RefusalError and ExchangeError.
        """
        venue = self.state
        given = check(values, *route.names(), venue.symbols)
        refuse(venue, here, given, is_signed=route.security is not Security.NONE)
        if route.orders:
            venue.ledger.charge_orders(route.orders, venue.now_ms)
        moved_book = prepare(venue, here, given) if is_write(here) else False
        without_fills = is_write(here) and venue.watch.due(FaultCode.O21, here, venue.now_ms)
        venue.overlay.is_reply_without_fills = bool(without_fills)
        try:
            made = self._stale_or(route, given)
            late_ms = after_order(venue, here, made) if is_write(here) else 0
        finally:
            if moved_book:
                restore_book(venue, given.symbol)
        self._pass_events_on()
        return made, late_ms

    def weight_of(self, route: Route, values: Mapping[str, str]) -> int:
        """What a request weighs; parameters that cannot be read weigh as if left out."""
        if isinstance(route.weight, int):
            return route.weight
        try:
            return route.weight(Given(values))
        except ValueError:
            return 1

    def _perform(self, asked: Asked, here: Where, key: str) -> tuple[Json, int]:
        venue, route = self.state, asked.route
        venue.ledger.charge(self.weight_of(route, dict(parse_qsl(asked.query))), venue.now_ms)
        if route.method in ("GET", "DELETE") and asked.body:
            raise RefusalError(-1101, "Too many parameters sent for this endpoint: a body.")
        asked.values = parse_pairs(asked.query, asked.body)
        credentials = venue.settings.credentials
        if route.security is not Security.NONE:
            check_key(key, credentials)
        if route.security is Security.SIGNED:
            check_time(asked.values, venue.settings.limits, venue.told_ms, self.other_clock)
            given = asked.values.get("signature", "")
            check_signature(asked.query, asked.body, given, credentials.secret)
        return self.perform(route, asked.values, here)

    def _stale_or(self, route: Route, given: Given) -> Json:
        """The answer; where balances are stale, the one that was given before."""
        venue, overlay = self.state, self.state.overlay
        is_stale = venue.now_ms < overlay.stale_account_until_ms
        if not is_stale or not route.path.endswith(_STALE):
            return route.handle(venue, given)
        if route.path not in overlay.stale_account:
            overlay.stale_account[route.path] = route.handle(venue, given)
        return overlay.stale_account[route.path]

    def _reply(self, route: Route, status: int, answer: Json) -> Reply:
        venue = self.state
        headers = venue.ledger.headers(with_orders=route.orders > 0)
        told = venue.overlay.used_weight_told
        if told > venue.ledger.weight_used:
            headers = tuple((name, str(told) if "WEIGHT" in name else v) for name, v in headers)
        return Reply(status, (*JSON_HEADERS, *headers), encode(answer))

    def _refusal(self, route: Route, error: RefusalError | ExchangeError) -> Reply:
        if isinstance(error, ExchangeError):
            error = RefusalError(error.code, error.message)
        reply = self._reply(route, error.status, error.body())
        return replace(reply, headers=(*reply.headers, *error.headers))

    def _unknown(self, path: str) -> Reply:
        """A path that is not there, or not with this method."""
        if path in _PATHS:
            told = RefusalError(-1131, "The method is not allowed for this path.", 405)
        else:
            told = RefusalError(-1131, f"Path {path} is not built, or unknown.", HTTP_NOT_FOUND)
        return Reply(told.status, JSON_HEADERS, encode(told.body()))

    # --- streams ---

    def connect(self, path: str, query: str, now_ms: int) -> StreamSession:
        """Open a stream. Raises RefusalError: the handshake is answered with its HTTP status."""
        self.state.now_ms = max(self.state.now_ms, now_ms)
        session = self._handshake.open(path, query)
        self.sessions[session] = None
        return session

    def disconnect(self, session: StreamSession) -> None:
        """The connection is gone, whoever ended it."""
        self.sessions.pop(session, None)
        self.public.drop(session)
        self.users.drop(session)

    def refuses_connections(self, now_ms: int) -> bool:
        """Whether a fault refuses a new connection now; a mount asks before each."""
        return self.state.watch.due(FaultCode.T1, Where(), now_ms) is not None

    def _pass_events_on(self) -> None:
        """What the exchange has done, to the user stream and the public one."""
        for event in self.state.exchange.take_events():
            self.users.publish(event)
            if (
                isinstance(event, OrderChanged)
                and event.execution is Execution.CALCULATED
                and event.order.kind is OrderType.LIQUIDATION
            ):
                self.public.on_liquidation(event)
