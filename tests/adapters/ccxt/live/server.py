"""A hand-made venue in memory, on virtual time: it answers what it is told to, and nothing else.

Small on purpose: each test puts the answers there that it needs. The whole exchange, with books and
accounts, is the simulator.
"""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import parse_qsl

from aiohttp import WSMsgType, web
from tests.fakes import make_bars

from tercel.adapters.ccxt.feed import CcxtFeed
from tercel.adapters.ccxt.keys import ApiKeys
from tercel.adapters.ccxt.venue import CcxtVenue, VenueChoice
from tercel.adapters.simulator.mounts.memory import MemoryConnector
from tercel.adapters.simulator.mounts.virtual_loop import LoopClock, run_virtually
from tercel.app.live.governor import Governor
from tercel.app.ports import Clock
from tercel.core.codes import OrderKind, Slot
from tercel.domain.events import Event
from tercel.domain.live_settings import GovernorSettings, VenueSettings
from tercel.domain.orders import OrderRequest

START_MS = 1_700_000_040_000
"""A full minute."""
PORT = 9101
KEYS = ApiKeys(
    "key-of-a-test", "secret-of-a-test", "TEST_KEY in the environment and TEST_SECRET in .env"
)
SETTINGS = VenueSettings(
    leverage=5,
    margin_mode="isolated",
    recv_window_ms=5000,
    timeout_ms=2000,
    listen_key_minutes=25.0,
    clock_minutes=30.0,
    backoff_seconds_max=4.0,
    rest_urls={"binance-usdm": f"http://127.0.0.1:{PORT}"},
    stream_urls={"binance-usdm": f"ws://127.0.0.1:{PORT}"},
)
GOVERNOR = GovernorSettings(
    calls_max=1000, window_seconds=10.0, weight_fraction_max=1.0, entry_wait_ms_max=3_000
)

SYMBOL = {
    "symbol": "BTCUSDT",
    "status": "TRADING",
    "contractType": "PERPETUAL",
    "filters": [
        {"filterType": "PRICE_FILTER", "tickSize": "0.10"},
        {"filterType": "LOT_SIZE", "stepSize": "0.001", "minQty": "0.001", "maxQty": "1000"},
        {"filterType": "MARKET_LOT_SIZE", "stepSize": "0.001", "minQty": "0.001"},
        {"filterType": "MIN_NOTIONAL", "notional": "100"},
    ],
}


def order_row(**changes: Any) -> dict[str, Any]:
    """An answer of /order."""
    return {
        "orderId": 11,
        "clientOrderId": "t-s-0-0-1",
        "symbol": "BTCUSDT",
        "status": "NEW",
        "side": "BUY",
        "type": "LIMIT",
        "timeInForce": "GTC",
        "price": "100.00",
        "origQty": "0.010",
        "executedQty": "0",
        "reduceOnly": False,
        "updateTime": START_MS,
        **changes,
    }


def algo_row(**changes: Any) -> dict[str, Any]:
    """An answer of /algoOrder."""
    return {
        "algoId": 77,
        "clientAlgoId": "t-s-0-1-2",
        "symbol": "BTCUSDT",
        "side": "SELL",
        "orderType": "STOP_MARKET",
        "quantity": "0.010",
        "algoStatus": "NEW",
        "triggerPrice": "95.0",
        "price": "0",
        "reduceOnly": True,
        "closePosition": False,
        "updateTime": START_MS,
        "actualOrderId": "",
        "actualQty": "",
        **changes,
    }


@dataclass(frozen=True)
class Reply:
    """What one request is answered with."""

    body: Any = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    delay_seconds: float = 0.0
    cut: bool = False
    """The connection ends without an answer."""
    text: str | None = None
    """Sent instead of JSON."""


@dataclass(frozen=True)
class Asked:
    """One request that arrived."""

    method: str
    path: str
    params: dict[str, str]
    headers: dict[str, str]


class Venue:
    """The server. `answers` by `METHOD path`; `once` are played first, one a request."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.asked: list[Asked] = []
        self.once: dict[str, deque[Reply]] = defaultdict(deque)
        self.answers: dict[str, Any] = {
            "GET /fapi/v1/time": lambda _: {"serverTime": clock.now_ms()},
            "GET /fapi/v1/exchangeInfo": {"symbols": [SYMBOL, {**SYMBOL, "symbol": "ETHUSDT"}]},
            "GET /fapi/v1/ticker/price": {"symbol": "BNBUSDT", "price": "600.00"},
            "GET /sapi/v1/account/apiRestrictions": {
                "enableWithdrawals": False,
                "enableFutures": True,
            },
            "POST /fapi/v1/positionSide/dual": {"code": 200, "msg": "success"},
            "GET /fapi/v1/symbolConfig": [],
            "POST /fapi/v1/marginType": {"code": 200, "msg": "success"},
            "POST /fapi/v1/leverage": {"symbol": "BTCUSDT", "leverage": 5},
            "POST /fapi/v1/listenKey": {"listenKey": "key1"},
            "PUT /fapi/v1/listenKey": {},
            "POST /fapi/v1/order": order_row(),
            "POST /fapi/v1/algoOrder": algo_row(),
            "GET /fapi/v1/openOrders": [],
            "GET /fapi/v1/openAlgoOrders": [],
            "GET /fapi/v1/userTrades": [],
            "GET /fapi/v3/positionRisk": [],
            "GET /fapi/v3/account": {
                "assets": [
                    {"asset": "USDT", "walletBalance": "1000.5", "availableBalance": "900.25"}
                ]
            },
            "GET /fapi/v1/klines": self._klines,
        }
        self.sockets: dict[str, list[web.WebSocketResponse]] = defaultdict(list)
        self.connected: list[str] = []
        """Addresses of streams as they were opened."""
        self.subscribed: dict[str, list[str]] = defaultdict(list)
        """Names that were subscribed to, by kind of stream."""
        self.pongs = True
        self.refuse_sockets = False

    def fail(self, endpoint: str, *replies: Reply) -> None:
        """Play `replies` first."""
        self.once[endpoint].extend(replies)

    def count(self, endpoint: str) -> int:
        """Requests to `METHOD path`."""
        return len(self.sent(endpoint))

    def sent(self, endpoint: str) -> list[dict[str, str]]:
        """Their parameters."""
        return [each.params for each in self.asked if f"{each.method} {each.path}" == endpoint]

    async def push(self, kind: str, frame: Any) -> None:
        """Send a frame on every open stream of that kind: private, public, market."""
        text = frame if isinstance(frame, str) else json.dumps(frame)
        for socket in self.sockets[kind]:
            await socket.send_str(text)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """One request or one stream."""
        if request.headers.get("Upgrade", "").lower() == "websocket":
            return await self._stream(request)
        params = dict(request.query)
        params.update(parse_qsl(await request.text(), keep_blank_values=True))
        self.asked.append(Asked(request.method, request.path, params, dict(request.headers)))
        endpoint = f"{request.method} {request.path}"
        waiting = self.once[endpoint]
        reply = waiting.popleft() if waiting else self._answer(endpoint, params)
        if reply.delay_seconds:
            await self.clock.sleep(reply.delay_seconds)
        if reply.cut:
            assert request.transport is not None
            request.transport.close()
            return web.Response()
        if reply.text is not None:
            return web.Response(status=reply.status, text=reply.text, headers=reply.headers)
        return web.json_response(reply.body, status=reply.status, headers=reply.headers)

    def _answer(self, endpoint: str, params: dict[str, str]) -> Reply:
        found = self.answers.get(endpoint)
        if found is None:
            return Reply({"code": -1, "msg": f"nothing is known of {endpoint}"}, status=404)
        body = found(params) if callable(found) else found
        return body if isinstance(body, Reply) else Reply(body)

    def _klines(self, params: dict[str, str]) -> list[list[Any]]:
        """Klines up to the running one."""
        first = -(-int(params["startTime"]) // 60_000) * 60_000
        last = min(int(params["endTime"]), self.clock.now_ms()) // 60_000 * 60_000
        bars = make_bars(first, max(0, (last - first) // 60_000 + 1))[: int(params["limit"])]
        return [kline_list(bar) for bar in bars]

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        if self.refuse_sockets:
            return web.Response(status=503)
        socket = web.WebSocketResponse(autoping=False)
        await socket.prepare(request)
        kind = request.path.split("/")[1]
        self.connected.append(request.path_qs)
        self.sockets[kind].append(socket)
        try:
            async for message in socket:
                if message.type is WSMsgType.PING and self.pongs:
                    await socket.pong(message.data)
                elif message.type is WSMsgType.TEXT:
                    asked = json.loads(message.data)
                    self.subscribed[kind] += asked["params"]
                    await socket.send_str(json.dumps({"result": None, "id": asked["id"]}))
        finally:
            self.sockets[kind].remove(socket)
        return socket


def kline_list(bar: Any) -> list[Any]:
    """A row of /klines."""
    text = [str(bar[name]) for name in ("open", "high", "low", "close", "volume")]
    takers = [str(bar["taker_buy_volume"]), str(bar["taker_buy_quote_volume"])]
    opened = int(bar["open_time"])
    quote = str(bar["quote_volume"])
    return [opened, *text, opened + 59_999, quote, int(bar["count"]), *takers, "0"]


def kline_frame(bar: Any, *, is_final: bool = True, symbol: str = "BTCUSDT") -> dict[str, Any]:
    """A candle of the stream."""
    row = kline_list(bar)
    return {
        "e": "kline",
        "E": row[0] + 60_005,
        "s": symbol,
        "k": {
            "t": row[0],
            "T": row[6],
            "s": symbol,
            "i": "1m",
            "o": row[1],
            "h": row[2],
            "l": row[3],
            "c": row[4],
            "v": row[5],
            "q": row[7],
            "n": row[8],
            "V": row[9],
            "Q": row[10],
            "x": is_final,
        },
    }


@dataclass
class Bench:
    """A venue, an adapter at it, and the news that came."""

    server: Venue
    clock: LoopClock
    governor: Governor
    connector: Callable[[], MemoryConnector]
    venue: CcxtVenue
    feed: CcxtFeed
    news: list[Event] = field(default_factory=list)
    _collector: asyncio.Task[None] = field(init=False)

    async def open(self) -> None:
        """Open the venue and collect its news."""
        await self.venue.open()
        self._collector = asyncio.create_task(self._collect())
        await self.settle()

    async def _collect(self) -> None:
        async for event in self.venue.news():
            self.news.append(event)

    async def settle(self, seconds: float = 0.01) -> None:
        """Let what is under way arrive."""
        await self.clock.sleep(seconds)

    def take(self) -> list[Event]:
        """The news since the last call."""
        taken, self.news = self.news, []
        return taken


def on_bench(
    test: Callable[[Bench], Awaitable[None]],
    *,
    symbols: tuple[str, ...] = ("BTCUSDT",),
    settings: VenueSettings = SETTINGS,
    governor: GovernorSettings = GOVERNOR,
    kept: tuple[str, ...] = (),
    loud: bool = True,
) -> Callable[[], None]:
    """The test on a loop of virtual time, with venue and feed closed behind it.

    An error that reaches nobody but the loop fails the test, unless `loud` is off.
    """

    async def main(clock: LoopClock) -> None:
        unheard: list[str] = []
        asyncio.get_running_loop().set_exception_handler(
            lambda _loop, context: unheard.append(str(context))
        )
        server = Venue(clock)
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", server.handle)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        made = runner.server
        assert made is not None

        def connector() -> MemoryConnector:
            return MemoryConnector({("127.0.0.1", PORT): made})

        turns = Governor(governor, clock)
        choice = VenueChoice("binance-usdm", symbols, settings, kept)
        venue = CcxtVenue(choice, KEYS, turns, clock, connector)
        feed = CcxtFeed("binance-usdm", settings, turns, clock, connector)
        bench = Bench(server, clock, turns, connector, venue, feed)
        try:
            await test(bench)
        finally:
            await venue.close()
            await venue.close()
            await feed.close()
            await feed.close()
            await turns.close()
            await runner.cleanup()
        assert not (loud and unheard)

    def run() -> None:
        run_virtually(main, epoch_ms=START_MS)

    run.__name__ = getattr(test, "__name__", "test")
    run.__doc__ = test.__doc__
    return run


BUY = OrderRequest(
    client_id="t-s-0-0-1",
    symbol="BTCUSDT",
    side=1,
    kind=OrderKind.LIMIT,
    quantity=0.01,
    price=100.0,
)
STOP = replace(
    BUY,
    client_id="t-s-0-1-2",
    side=-1,
    kind=OrderKind.STOP,
    price=None,
    trigger_price=95.0,
    reduce_only=True,
    slot=Slot.STOP,
)
