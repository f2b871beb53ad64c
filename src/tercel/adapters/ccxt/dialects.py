"""What each venue's kline request looks like and how its answer reads: the differences, as data.

The raw endpoints are called through ccxt's implicit methods rather than `fetch_ohlcv`, because that
keeps six numbers and drops the rest: quote volume everywhere, trade counts and taker volumes at
Binance. It also needs no list of markets.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tercel.core.records import BAR, Records
from tercel.domain.bars import BAR_COLUMNS, SeriesKey
from tercel.domain.times import DAY_MS

Params = dict[str, str | int]

BINANCE_ROW = {
    "open_time": 0,
    "open": 1,
    "high": 2,
    "low": 3,
    "close": 4,
    "volume": 5,
    "quote_volume": 7,
    "count": 8,
    "taker_buy_volume": 9,
    "taker_buy_quote_volume": 10,
}
"""`[1499040000000, "0.0163", "0.8", "0.0157", "0.0157", "148976.1", 1499644799999, "2434.19", 308,
"1756.87", "28.46", "0"]`: a close time at 6, something to ignore at 11."""
PLAIN_ROW = {
    "open_time": 0,
    "open": 1,
    "high": 2,
    "low": 3,
    "close": 4,
    "volume": 5,
    "quote_volume": 6,
}
"""Bybit, Bitget: `["1670608800000", "17071", "17073", "17027", "17055.5", "268611", "15.74"]`."""


@dataclass(frozen=True, slots=True)
class Page:
    """One request: the ccxt method, its parameters, and the span of bars it asks for."""

    method: str
    params: Params
    end_ms: int


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one venue is asked for klines."""

    exchange: str
    """ccxt class."""
    request: Callable[[SeriesKey, int, int, int], Page]
    """(key, from, until, now), milliseconds; `until` is exclusive."""
    rows_at: tuple[str, ...]
    """Keys that lead to the list of rows in the answer; empty: the answer is the list."""
    row: Mapping[str, int]
    """Column -> position in a row."""
    skips_empty: bool
    """The venue answers with the first bars at or after `from`, so an empty page ends the range."""


def rows_to_bars(answer: object, dialect: Dialect) -> Records:
    """BAR records of an answer, oldest first. Raises ValueError on anything but rows of numbers."""
    rows: Any = answer
    for name in dialect.rows_at:
        rows = rows.get(name) if isinstance(rows, dict) else None
    if not isinstance(rows, list):
        raise ValueError(  # noqa: TRY004 (the answer is wrong, not the call)
            f"no list of klines in {str(answer)[:120]!r}"
        )
    bars = np.zeros(len(rows), dtype=BAR)
    for column in BAR_COLUMNS:
        if column not in dialect.row:
            bars[column] = np.nan
    try:
        for column, position in dialect.row.items():
            kind = int if column == "open_time" else float
            bars[column] = [kind(row[position]) for row in rows]
    except (TypeError, ValueError, IndexError, KeyError):
        raise ValueError(f"a kline is not a row of numbers: {str(rows[:1])[:120]}") from None
    return bars[np.argsort(bars["open_time"], kind="stable")]


def _binance(method: str) -> Callable[[SeriesKey, int, int, int], Page]:
    def request(key: SeriesKey, start_ms: int, end_ms: int, _now_ms: int) -> Page:
        params: Params = {
            "symbol": key.symbol,
            "interval": key.timeframe,
            "startTime": start_ms,
            "endTime": end_ms - 1,
            "limit": 1000,
        }
        return Page(method, params, end_ms)

    return request


BYBIT_INTERVALS = {
    "1m": "1",
    "3m": "3",
    "5m": "5",
    "15m": "15",
    "30m": "30",
    "1h": "60",
    "4h": "240",
    "1d": "D",
}


def _bybit(key: SeriesKey, start_ms: int, end_ms: int, _now_ms: int) -> Page:
    """Bybit answers with the newest bars of a span, so each request spans one page exactly."""
    page_end = min(end_ms, start_ms + 1000 * key.bar_ms)
    params: Params = {
        "category": "linear",
        "symbol": key.symbol,
        "interval": BYBIT_INTERVALS[key.timeframe],
        "start": start_ms,
        "end": page_end - 1,
        "limit": 1000,
    }
    return Page("publicGetV5MarketKline", params, page_end)


BITGET_GRANULARITIES = {"1h": "1H", "4h": "4H", "1d": "1Dutc"}
BITGET_RECENT_MS = {"1h": 59 * DAY_MS, "4h": 239 * DAY_MS, "1d": 1439 * DAY_MS}
"""How far back the endpoint of recent candles reaches; 29 days for the shorter timeframes."""
BITGET_SPAN_MS_MAX = 90 * DAY_MS


def _bitget(key: SeriesKey, start_ms: int, end_ms: int, now_ms: int) -> Page:
    """As Bybit, but recent and old candles have an endpoint each (1000 and 200 a page).

    Whether its end is inclusive depends on the endpoint, so a page asks for two bars less than it
    may.
    """
    recent = start_ms > now_ms - BITGET_RECENT_MS.get(key.timeframe, 29 * DAY_MS)
    limit = 1000 if recent else 200
    bars = min(limit, BITGET_SPAN_MS_MAX // key.bar_ms) - 2
    page_end = min(end_ms, start_ms + bars * key.bar_ms)
    params: Params = {
        "symbol": key.symbol,
        "productType": "USDT-FUTURES",
        "granularity": BITGET_GRANULARITIES.get(key.timeframe, key.timeframe),
        "startTime": start_ms,
        "endTime": page_end,
        "limit": limit,
    }
    endpoint = "Candles" if recent else "HistoryCandles"
    return Page(f"publicMixGetV2MixMarket{endpoint}", params, page_end)


DIALECTS: dict[str, Dialect] = {
    "binance-usdm": Dialect(
        "binanceusdm", _binance("fapiPublicGetKlines"), (), BINANCE_ROW, skips_empty=True
    ),
    "binance-spot": Dialect(
        "binance", _binance("publicGetKlines"), (), BINANCE_ROW, skips_empty=True
    ),
    "bybit-linear": Dialect("bybit", _bybit, ("result", "list"), PLAIN_ROW, skips_empty=False),
    "bitget-usdtm": Dialect("bitget", _bitget, ("data",), PLAIN_ROW, skips_empty=False),
}
"""Venues whose klines can be asked for through REST."""
