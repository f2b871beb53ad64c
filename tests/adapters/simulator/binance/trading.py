"""A client that trades on a façade by hand: it signs, asks, listens, and moves the market."""

from __future__ import annotations

import functools
import hashlib
import hmac
import json
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

import numpy as np

from tercel import bootstrap
from tercel.adapters.simulator.binance.assembly import Venue, VenueOrder, build_venue
from tercel.adapters.simulator.binance.facade import ROUTES
from tercel.adapters.simulator.binance.routes import Security
from tercel.adapters.simulator.binance.sessions import StreamSession
from tercel.adapters.simulator.binance.settings import Dialect, FacadeSettings, credentials_of
from tercel.adapters.simulator.binance.wire import FrameKind, RefusalError, Reply
from tercel.adapters.simulator.faults import Fault, FaultCode, FaultPlan, When, Where
from tercel.adapters.simulator.market.ticks import BarTick, BookTick, MarkTick, TradeTick
from tercel.core.records import BAR, Records
from tercel.domain.settings import Settings

START_MS = 1_704_153_600_000
"""2024-01-02, midnight."""
HISTORY_MINUTES = 90
BTC, ETH = "BTCUSDT", "ETHUSDT"
PRICES = {BTC: 40_000.0, ETH: 2_000.0}


@functools.cache
def settings() -> Settings:
    """The settings that ship with the package."""
    return bootstrap.load_settings()


def flat_bars(price: float, minutes: int, start_ms: int = START_MS) -> Records:
    """Bars that stay at `price`, each a tick up and down; the history and `minutes` after it."""
    bars = np.zeros(HISTORY_MINUTES + minutes, BAR)
    bars["open_time"] = start_ms + 60_000 * (np.arange(len(bars)) - HISTORY_MINUTES)
    bars["open"] = bars["close"] = price
    bars["high"], bars["low"] = price + 1, price - 1
    bars["volume"], bars["quote_volume"] = 20.0, 20.0 * price
    bars["count"] = 100.0
    bars["taker_buy_volume"], bars["taker_buy_quote_volume"] = 10.0, 10.0 * price
    for name in ("bid_size", "ask_size", "spread_bps"):
        bars[name] = np.nan
    return bars


def venue_with(
    *faults: Fault,
    minutes: int = 120,
    dialect: Dialect | None = None,
    start_ms: int = START_MS,
    speed: float = 1.0,
) -> Venue:
    """Bitcoin at 40,000 and Ether at 2,000."""
    order = VenueOrder(
        {symbol: flat_bars(price, minutes, start_ms) for symbol, price in PRICES.items()},
        start_ms=start_ms,
        plan=FaultPlan(faults, 7),
        facade=FacadeSettings(credentials_of(1), dialect or Dialect()),
        speed=speed,
    )
    return build_venue(settings(), order)


def fault(code: FaultCode, nth: int = 1, **figures: float) -> Fault:
    """A fault that strikes at its nth occasion."""
    return Fault(code, When(nth=nth), Where(), figures)


@dataclass
class Trader:
    """One client of one venue, and the hand that moves its market."""

    venue: Venue = field(default_factory=venue_with)
    now_ms: int = START_MS
    last: Reply | None = None
    _trades: int = 0

    def __post_init__(self) -> None:
        for symbol, price in PRICES.items():
            self.price(price, symbol)

    # --- the market ---

    def wait(self, ms: int) -> Trader:
        """Let time pass, told in steps of 100 ms."""
        end_ms = self.now_ms + ms
        while self.now_ms < end_ms:
            self.now_ms = min(self.now_ms + 100, end_ms)
            self.venue.facade.advance(self.now_ms)
        return self

    def price(self, price: float, symbol: str = BTC, side: int = 1) -> Trader:
        """Book a tick wide, a trade and a mark at `price`."""
        now, tick = self.now_ms, self.venue.facade.state.exchange.instrument(symbol).tick_size
        at = Decimal(str(price))
        facade, ten = self.venue.facade, Decimal(10)
        bids = tuple((at - tick * level, ten) for level in range(5))
        asks = tuple((at + tick * (level + 1), ten) for level in range(5))
        self._trades += 1
        facade.on_tick(BookTick(now, symbol, bids, asks), now)
        facade.on_tick(TradeTick(now, symbol, self._trades, at, Decimal("0.5"), side), now)
        facade.on_tick(MarkTick(now, symbol, at, at), now)
        return self

    def close_minute(self, symbol: str = BTC) -> Trader:
        """Wait for the minute's end and close its bar at the last price."""
        opened = self.now_ms - self.now_ms % 60_000
        self.wait(opened + 60_000 - self.now_ms)
        at = self.venue.facade.state.tape[symbol].last_price
        one, five = Decimal(1), Decimal(5)
        bar = BarTick(self.now_ms, symbol, opened, at, at + one, at - one, at, five, five * at, 9,
                      one, at)  # fmt: skip
        self.venue.facade.on_tick(bar, self.now_ms)
        return self

    # --- requests ---

    def ask(self, endpoint: str, **values: object) -> Any:
        """The body of the reply to a request with these parameters, signed where it must be."""
        method, path = endpoint.split()
        path = path if path.startswith("/") else f"/fapi/v1/{path}"
        text = urlencode({name: value for name, value in values.items() if value is not None})
        route = ROUTES.get((method, path))
        if route is not None and route.security is Security.SIGNED:
            text += f"{'&' if text else ''}timestamp={self.now_ms}"
            text += f"&signature={sign(text)}"
        return self.send(method, path, text)

    def send(self, method: str, path: str, text: str, key: str | None = None) -> Any:
        """The same for parameters as they are."""
        in_query = method in ("GET", "DELETE")
        headers = {"X-MBX-APIKEY": credentials_of(1).key if key is None else key}
        self.last = self.venue.facade.handle_request(
            method, path, text if in_query else "", headers, b"" if in_query else text.encode(),
            self.now_ms,
        )  # fmt: skip
        body = self.last.body
        return json.loads(body) if body.startswith((b"{", b"[")) else body

    @property
    def status(self) -> int:
        """HTTP status of the last reply."""
        assert self.last is not None
        return self.last.status

    @property
    def headers(self) -> dict[str, str]:
        """Headers of the last reply."""
        assert self.last is not None
        return dict(self.last.headers)

    def order(self, side: str = "BUY", quantity: object = "0.01", **values: object) -> Any:
        """A market order, or a limit where there is a price."""
        limit = {"type": "LIMIT", "timeInForce": "GTC"} if "price" in values else {}
        full = {"type": "MARKET", **limit, "newOrderRespType": "RESULT", **values}
        return self.ask("POST order", symbol=BTC, side=side, quantity=quantity, **full)

    def stop(self, trigger: object, side: str = "SELL", **values: object) -> Any:
        """A reduce-only stop."""
        full = {"quantity": "0.01", "reduceOnly": "true", "type": "STOP_MARKET", **values}
        return self.ask(
            "POST algoOrder", algoType="CONDITIONAL", symbol=BTC, side=side, triggerPrice=trigger,
            **full,
        )  # fmt: skip

    # --- streams ---

    def listen(self, path: str, query: str = "") -> StreamSession:
        """Open a stream."""
        return self.venue.facade.connect(path, query, self.now_ms)

    def subscribe(self, path: str, *names: str) -> StreamSession:
        """Open a stream and subscribe; the acknowledgement is taken off."""
        session = self.listen(path)
        say(session, self.now_ms, method="SUBSCRIBE", params=list(names), id=1)
        assert self.heard(session) == [{"result": None, "id": 1}]
        return session

    def account(self) -> StreamSession:
        """The user stream. Raises RefusalError where no key was to be had."""
        answer = self.ask("POST listenKey")
        if not isinstance(answer, dict) or "listenKey" not in answer:
            raise RefusalError(self.status, "no listen key")
        key = answer["listenKey"]
        return self.listen("/private/ws", f"listenKey={key}")

    def heard(self, session: StreamSession) -> list[Any]:
        """What the stream has said by now."""
        frames = session.take(self.now_ms)
        return [json.loads(frame.text) for frame in frames if frame.kind is FrameKind.TEXT]


def sign(text: str) -> str:
    """The signature of a query."""
    secret = credentials_of(1).secret
    return hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()


def say(session: StreamSession, now_ms: int, **values: object) -> None:
    """Send a frame."""
    session.receive(json.dumps(values), now_ms)


def names(events: list[Any]) -> list[str]:
    """What the events are called."""
    return [event["e"] for event in events]
