"""Binance's public frames and klines: final candles and best quotes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from tercel.adapters.ccxt.calls import Call, Json
from tercel.adapters.ccxt.dialects import DIALECTS, rows_to_bars
from tercel.adapters.ccxt.link import Link
from tercel.adapters.ccxt.quotes import QuoteBook
from tercel.adapters.ccxt.stream import Target
from tercel.app.live.governor import PUBLIC
from tercel.core.records import BAR, Records
from tercel.domain.bars import BAR_COLUMNS, TIMEFRAME_MS
from tercel.domain.errors import VenueError

KLINES_MAX = 1000
KLINE_WEIGHTS = ((99, 1), (499, 2), (KLINES_MAX, 5))
"""(klines at most, request weight)."""
KLINE_COLUMNS = {
    "open": "o",
    "high": "h",
    "low": "l",
    "close": "c",
    "volume": "v",
    "quote_volume": "q",
    "count": "n",
    "taker_buy_volume": "V",
    "taker_buy_quote_volume": "Q",
}
"""BAR column -> field of `k`."""


def kline_target(link: Link, symbols: Sequence[str], timeframe: str) -> Target:
    """Where candles come from."""
    channels = [f"{symbol.lower()}@kline_{timeframe}" for symbol in symbols]
    return Target(link.exchange.get_ws_url("linear", "market") + "/0", _subscribe(channels))


def quote_target(link: Link, symbols: Sequence[str]) -> Target:
    """Where best quotes come from."""
    channels = [f"{symbol.lower()}@bookTicker" for symbol in symbols]
    return Target(link.exchange.get_ws_url("linear", "public") + "/0", _subscribe(channels))


def _subscribe(channels: Sequence[str]) -> dict[str, Json]:
    return {"method": "SUBSCRIBE", "params": list(channels), "id": 1}


def read_kline(frame: Json, timeframe: str) -> tuple[str, Records] | None:
    """(symbol, BAR) of `{"e": "kline", "s": "BTCUSDT", "k": {"t": open time, "i": "1m", "o", "h",
    "l", "c", "v", "n", "x": is final, "q", "V", "Q"}}`; None while the candle still runs.

    Raises KeyError, TypeError, ValueError on anything else.
    """
    row = frame["k"]
    if row["x"] is not True or row["i"] != timeframe:
        return None
    bar = np.zeros(1, dtype=BAR)
    for column in BAR_COLUMNS[1:]:
        bar[column] = float(row[KLINE_COLUMNS[column]]) if column in KLINE_COLUMNS else np.nan
    bar["open_time"] = int(row["t"])
    return str(row["s"]), bar


def quote_reader(
    books: dict[str, QuoteBook], now_ms: Callable[[], int], on_new: Callable[[QuoteBook], None]
) -> Callable[[Json], None]:
    """What reads `{"e": "bookTicker", "s": "BTCUSDT", "b": bid, "B": its size, "a": ask, "A": its
    size, "T": transaction time, "E": event time}` into its book: the busiest code of a session.

    It raises KeyError, TypeError, ValueError on anything else.
    """

    def read(frame: Json) -> None:
        book = books.get(frame["s"])
        if book is None:
            return
        quote = (
            float(frame["b"]),
            float(frame["a"]),
            float(frame["B"]),
            float(frame["A"]),
            int(frame["T"]),
            now_ms(),
        )
        if book.add(quote):
            on_new(book)

    return read


async def read_closed(
    link: Link, symbol: str, timeframe: str, start_ms: int, end_ms: int
) -> tuple[Records, int | None]:
    """(candles that open in `[start_ms, end_ms)` and are closed, open time of the one behind them).

    Closed by the venue's own word: it has a candle that opened later. The last one it tells may
    run, whatever our clock says (one that is 2 s ahead asks for a bar 1.5 s after its end, and the
    bar has half a second to go), so one more is asked for, and the last is left to the next call.
    None: the venue has nothing from `start_ms` on. Raises VenueError.
    """
    bar_ms = TIMEFRAME_MS[timeframe]
    rows = await _read_candles(link, symbol, timeframe, start_ms, end_ms + bar_ms)
    return rows[:-1], int(rows["open_time"][-1]) if len(rows) else None


async def _read_candles(
    link: Link, symbol: str, timeframe: str, start_ms: int, end_ms: int
) -> Records:
    """Candles that open in `[start_ms, end_ms)`, oldest first, page by page, also one that runs.

    Raises VenueError.
    """
    dialect = DIALECTS["binance-usdm"]
    bar_ms = TIMEFRAME_MS[timeframe]
    pages: list[Records] = []
    cursor = start_ms
    while cursor < end_ms:
        limit = min(KLINES_MAX, -(-(end_ms - cursor) // bar_ms))
        call = Call(
            "history",
            "fapiPublicGetKlines",
            {
                "symbol": symbol,
                "interval": timeframe,
                "startTime": cursor,
                "endTime": end_ms - 1,
                "limit": limit,
            },
            weight=next(weight for limit_max, weight in KLINE_WEIGHTS if limit <= limit_max),
            category=PUBLIC,
        )
        try:
            page = rows_to_bars(await link.ask(call), dialect)
        except ValueError as error:
            raise VenueError(f"klines of {symbol}: {error}") from None
        times = page["open_time"]
        page = page[(times >= cursor) & (times < end_ms)]
        if len(page) == 0:
            break
        pages.append(page)
        cursor = int(page["open_time"][-1]) + bar_ms
    return np.concatenate(pages) if pages else np.zeros(0, dtype=BAR)
