"""Klines of a venue's REST interface, through ccxt: for what no archive holds yet.

ccxt is an optional extra and takes a second to import, so it is imported by the first request.
Its own limiter and retries are off: pace and back-off go through app/patience.py and the Clock.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from tercel.adapters.ccxt.dialects import DIALECTS, Page, rows_to_bars
from tercel.app.dependencies import install_hint
from tercel.app.patience import Patience, TryAgainError, parse_retry_after
from tercel.app.ports import Clock
from tercel.core.records import Records
from tercel.domain.bars import SeriesKey
from tercel.domain.errors import UserError, VenueError
from tercel.domain.fetch_policy import FetchPolicy, closed_before

REASON_CHARACTERS_MAX = 200
UNKNOWN_SYMBOL_CODES = ('"code":-1121', '"retCode":10001', '"code":"40034"')
"""What Binance, Bybit and Bitget say to a symbol they do not have; ccxt knows only some of them."""


class CcxtBarSource:
    """ports.BarSource over one venue's kline endpoint."""

    def __init__(self, venue: str, policy: FetchPolicy, clock: Clock, *, seed: int = 0) -> None:
        if venue not in DIALECTS:
            raise UserError(f"no REST klines for {venue!r}; there are {', '.join(DIALECTS)}")
        self.name = f"{venue} REST"
        self._dialect = DIALECTS[venue]
        self._policy = policy
        self._clock = clock
        self._patience = Patience(policy, clock, seed=seed)
        self._session: aiohttp.ClientSession | None = None
        self._exchange: Any = None

    async def fetch(
        self, key: SeriesKey, start_ms: int, end_ms: int
    ) -> AsyncGenerator[Records, None]:
        """Closed bars of the range, a page at a time; never the running bar.

        Raises VenueError (unreachable, nonsense, ccxt missing) and UserError (unknown symbol).
        """
        end_ms = min(end_ms, closed_before(self._clock.now_ms(), key.bar_ms))
        cursor = -(-start_ms // key.bar_ms) * key.bar_ms
        while cursor < end_ms:
            page = self._dialect.request(key, cursor, end_ms, self._clock.now_ms())
            ask = partial(self._ask, page, key)
            bars = await self._patience.keep_trying(f"klines of {key} over REST", ask)
            times = bars["open_time"]
            bars = bars[(times >= cursor) & (times < page.end_ms)]
            if len(bars):
                yield bars
            if not self._dialect.skips_empty:
                cursor = page.end_ms
            elif len(bars):
                cursor = int(bars["open_time"][-1]) + key.bar_ms
            else:
                return

    async def close(self) -> None:
        """Close the connections."""
        exchange, self._exchange = self._exchange, None
        session, self._session = self._session, None
        if exchange is not None:
            await exchange.close()
        if session is not None:
            await session.close()

    async def _ask(self, page: Page, key: SeriesKey) -> Records:
        exchange = self._connected()
        import ccxt

        await self._patience.turn()
        try:
            answer = await getattr(exchange, page.method)(page.params)
            return rows_to_bars(answer, self._dialect)
        except ccxt.BaseError as error:
            reason = _reason(error)
            if isinstance(error, ccxt.BadSymbol) or any(
                code in reason.replace(" ", "") for code in UNKNOWN_SYMBOL_CODES
            ):
                raise UserError(f"{key.venue} does not know {key.symbol}: {reason}") from None
            # ccxt calls an answer cut short a plain ExchangeError; only its cause tells.
            lost = isinstance(error.__cause__, aiohttp.ClientError)
            if lost or isinstance(error, ccxt.NetworkError):
                headers = {} if lost else exchange.last_response_headers or {}
                after = next(
                    (text for name, text in headers.items() if name.lower() == "retry-after"), None
                )
                seconds = parse_retry_after(after, self._clock.now_ms())
                raise TryAgainError(reason, seconds) from None
            raise VenueError(f"{self.name}: {type(error).__name__}: {reason}") from None
        except ValueError as error:
            raise VenueError(f"{self.name}: {error}") from None

    def _connected(self) -> Any:
        """The ccxt exchange, made by the first request: it needs the running event loop."""
        if self._exchange is None:
            factory = exchange_class(self._dialect.exchange)
            self._session = aiohttp.ClientSession(trust_env=True)
            exchange = factory(
                {
                    "session": self._session,
                    "enableRateLimit": False,
                    "timeout": round(self._policy.timeout_seconds * 1000),
                    "timeout_on_exit": 0,
                    "userAgent": "tercel",
                }
            )
            if self._policy.rest_url:
                exchange.urls["api"] = {
                    name: _moved(url, self._policy.rest_url)
                    for name, url in exchange.urls["api"].items()
                }
            self._exchange = exchange
        return self._exchange


def exchange_class(name: str) -> Any:
    """The asynchronous ccxt class `name`. Raises VenueError when ccxt is not installed."""
    try:
        import ccxt.async_support
    except ImportError:
        raise VenueError(
            f"REST klines need the ccxt package; {install_hint('ccxt')}; "
            "or leave REST out with --no-rest"
        ) from None
    return getattr(ccxt.async_support, name)


def _moved(url: str, origin: str) -> str:
    """`https://fapi.binance.com/fapi/v1` at another origin: `http://127.0.0.1:9101/fapi/v1`."""
    return origin.rstrip("/") + urlsplit(url).path


def _reason(error: Exception) -> str:
    """The venue's words on one line of readable length, with the cause of a lost connection."""
    text = " ".join(str(error).split())[:REASON_CHARACTERS_MAX]
    return f"{text} ({error.__cause__})" if error.__cause__ is not None else text
