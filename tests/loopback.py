"""Servers on 127.0.0.1 that answer as a bulk archive and as four venues' kline endpoints do.

Both keep a list of what they were asked, and play one fault per request where told to.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from tests.fakes import make_bars

from tercel.adapters.clock import SystemClock
from tercel.core.records import Records
from tercel.domain.bars import TIMEFRAME_MS, SeriesKey
from tercel.domain.periods import Period

HEADER = (
    "open_time,open,high,low,close,volume,close_time,quote_volume,count,"
    "taker_buy_volume,taker_buy_quote_volume,ignore"
)
MARKETS = {"binance-usdm": "futures/um", "binance-spot": "spot"}


@dataclass(frozen=True)
class Fault:
    """What goes wrong with one request."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    cut_after: int | None = None
    """Bytes of the body sent before the connection is cut."""
    body: bytes | None = None
    """Sent instead of the right body."""
    hang: bool = False
    """No answer, or none behind `cut_after`, until the client leaves."""


class Server:
    """A loopback server: `requests` are paths in order of arrival, `faults` wait by path's end."""

    def __init__(self) -> None:
        self.url = ""
        self.requests: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.faults: dict[str, deque[Fault]] = defaultdict(deque)

    def fail(self, path_end: str, *faults: Fault) -> None:
        """Play `faults`, one a request, for paths ending in `path_end`."""
        self.faults[path_end].extend(faults)

    def count(self, path_end: str) -> int:
        """Requests for paths ending in `path_end`."""
        return sum(path.endswith(path_end) for path in self.requests)

    def _fault(self, path: str) -> Fault | None:
        for path_end, waiting in self.faults.items():
            if path.endswith(path_end) and waiting:
                return waiting.popleft()
        return None

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Record the request, then play a fault or answer."""
        self.requests.append(request.path)
        self.headers.append(dict(request.headers))
        fault = self._fault(request.path)
        if fault is None:
            return await self.answer(request)
        if fault.hang and fault.cut_after is None:
            await _until_gone(request)
        if fault.status != 200:
            return web.Response(status=fault.status, headers=fault.headers, body=fault.body)
        if fault.cut_after is not None:
            return await self._cut(request, fault)
        return web.Response(body=fault.body)

    async def _cut(self, request: web.Request, fault: Fault) -> web.StreamResponse:
        whole = await self.answer(request)
        assert isinstance(whole, web.Response)
        body = whole.body
        assert isinstance(body, bytes)
        response = web.StreamResponse(status=whole.status, headers=whole.headers)
        response.content_length = len(body)
        await response.prepare(request)
        await response.write(body[: fault.cut_after])
        if fault.hang:
            await _until_gone(request)
        assert request.transport is not None
        request.transport.close()
        return response

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """The right answer."""
        raise NotImplementedError


class ArchiveServer(Server):
    """Files by path, with ETag, Range and If-Range."""

    def __init__(self) -> None:
        super().__init__()
        self.files: dict[str, bytes] = {}
        self.etags = True
        self.ranges = True

    def publish(self, key: SeriesKey, period: Period, bars: Records, **form: bool) -> str:
        """Put the zip of `period` and its checksum file there; returns the zip's name."""
        name = f"{key.symbol}-{key.timeframe}-{period.label}.zip"
        rhythm = "monthly" if period.is_month else "daily"
        folder = f"/data/{MARKETS[key.venue]}/{rhythm}/klines/{key.symbol}/{key.timeframe}"
        content = kline_zip(name, bars, bar_ms=key.bar_ms, **form)
        self.files[f"{folder}/{name}"] = content
        digest = hashlib.sha256(content).hexdigest()
        self.files[f"{folder}/{name}.CHECKSUM"] = f"{digest}  {name}\n".encode()
        return name

    async def answer(self, request: web.Request) -> web.StreamResponse:
        content = self.files.get(request.path)
        if content is None:
            return web.Response(status=404, text="<Error><Code>NoSuchKey</Code></Error>")
        etag = f'"{hashlib.md5(content).hexdigest()}"'  # noqa: S324 (an ETag, as S3 makes them)
        headers = {"ETag": etag} if self.etags else {}
        wanted = request.headers.get("Range")
        if not wanted or not self.ranges or request.headers.get("If-Range") != etag:
            return web.Response(body=content, headers=headers)
        start = int(wanted.removeprefix("bytes=").rstrip("-"))
        if start >= len(content):
            return web.Response(status=416)
        headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        return web.Response(status=206, body=content[start:], headers=headers)


class KlineServer(Server):
    """Klines of Binance (futures, spot), Bybit and Bitget from `listed_ms` to the running bar."""

    def __init__(self, now_ms: int, *, listed_ms: int = 0) -> None:
        super().__init__()
        self.now_ms = now_ms
        self.listed_ms = listed_ms
        self.symbols = {"BTCUSDT", "ETHUSDT"}
        self.queries: list[dict[str, str]] = []

    async def answer(self, request: web.Request) -> web.StreamResponse:
        query = dict(request.query)
        self.queries.append(query)
        answers: dict[str, Callable[[dict[str, str]], Any]] = {
            "/fapi/v1/klines": self._binance,
            "/api/v3/klines": self._binance,
            "/v5/market/kline": self._bybit,
            "/api/v2/mix/market/candles": self._bitget,
            "/api/v2/mix/market/history-candles": self._bitget,
        }
        if query.get("symbol") not in self.symbols:
            return web.json_response({"code": -1121, "msg": "Invalid symbol."}, status=400)
        return web.json_response(answers[request.path](query))

    def _between(self, start_ms: int, end_ms: int, bar_ms: int) -> Records:
        """Bars that open in `[start, end]`, the running one included."""
        start_ms = max(start_ms, self.listed_ms)
        first = -(-start_ms // bar_ms) * bar_ms
        last = min(end_ms, self.now_ms) // bar_ms * bar_ms
        return make_bars(first, max(0, (last - first) // bar_ms + 1), bar_ms)

    def _binance(self, query: dict[str, str]) -> list[list[Any]]:
        bar_ms = TIMEFRAME_MS[query["interval"]]
        limit = int(query["limit"])
        assert limit <= 1000
        bars = self._between(int(query["startTime"]), int(query["endTime"]), bar_ms)
        return [kline_row(bar, bar_ms) for bar in bars[:limit]]

    def _bybit(self, query: dict[str, str]) -> dict[str, Any]:
        assert query["category"] == "linear"
        intervals = {"1": "1m", "60": "1h", "D": "1d"}
        bar_ms = TIMEFRAME_MS[intervals[query["interval"]]]
        bars = self._between(int(query["start"]), int(query["end"]), bar_ms)
        newest = bars[::-1][: int(query["limit"])]
        rows = [_plain_row(bar) for bar in newest]
        return {"retCode": 0, "retMsg": "OK", "result": {"category": "linear", "list": rows}}

    def _bitget(self, query: dict[str, str]) -> dict[str, Any]:
        assert query["productType"] == "USDT-FUTURES"
        granularities = {"1m": "1m", "1H": "1h", "1Dutc": "1d"}
        bar_ms = TIMEFRAME_MS[granularities[query["granularity"]]]
        bars = self._between(int(query["startTime"]), int(query["endTime"]), bar_ms)
        rows = [_plain_row(bar) for bar in bars[-int(query["limit"]) :]]
        return {"code": "00000", "msg": "success", "requestTime": 0, "data": rows}


def kline_row(bar: Any, bar_ms: int) -> list[Any]:
    """The twelve numbers of a bar, prices and volumes as text, as Binance sends them."""
    opened = int(bar["open_time"])
    text = [str(bar[name]) for name in ("open", "high", "low", "close", "volume")]
    takers = [str(bar["taker_buy_volume"]), str(bar["taker_buy_quote_volume"])]
    quote = str(bar["quote_volume"])
    return [opened, *text, opened + bar_ms - 1, quote, int(bar["count"]), *takers, "0"]


def _plain_row(bar: Any) -> list[str]:
    names = ("open_time", "open", "high", "low", "close", "volume", "quote_volume")
    return [str(bar[name]) for name in names]


def kline_csv(
    bars: Records, *, bar_ms: int = 60_000, header: bool = False, microseconds: bool = False
) -> bytes:
    """An archive CSV of `bars`."""
    lines = [HEADER] if header else []
    for bar in bars:
        row = kline_row(bar, bar_ms)
        if microseconds:
            row[0], row[6] = row[0] * 1000, row[6] * 1000 + 999
        lines.append(",".join(str(cell) for cell in row))
    return ("\n".join(lines) + "\n").encode()


def kline_zip(name: str, bars: Records, **form: Any) -> bytes:
    """An archive zip of `bars`, with one CSV inside."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        member = zipfile.ZipInfo(name.replace(".zip", ".csv"), (2026, 1, 1, 0, 0, 0))
        archive.writestr(member, kline_csv(bars, **form), zipfile.ZIP_DEFLATED)
    return packed.getvalue()


@asynccontextmanager
async def serving(server: Server) -> AsyncIterator[None]:
    """Serve on an ephemeral port of 127.0.0.1, known as `server.url` meanwhile."""
    app = web.Application()
    app.router.add_get("/{path:.*}", server.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        server.url = f"http://{host}:{port}"
        yield
    finally:
        await runner.cleanup()


async def until(condition: Callable[[], bool]) -> None:
    """Return once `condition` holds. Fails after about a minute of real time."""
    for _ in range(3000):
        if condition():
            return
        await SystemClock().sleep(0.02)
    raise AssertionError("waited in vain")


async def _until_gone(request: web.Request) -> None:
    while request.transport is not None and not request.transport.is_closing():
        await SystemClock().sleep(0.02)
