"""Names of public streams: what they carry, of which symbol, on which class of connection."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

from tercel.adapters.simulator.binance.parameters import INTERVALS_MS
from tercel.adapters.simulator.binance.sessions import StreamClass


class Feed(StrEnum):
    """What a stream carries."""

    TRADE = "trade"
    AGG_TRADE = "aggTrade"
    KLINE = "kline"
    CONTINUOUS_KLINE = "continuousKline"
    BOOK_TICKER = "bookTicker"
    DEPTH = "depth"
    DEPTH_TOP = "depth of some levels"
    MARK_PRICE = "markPrice"
    MINI_TICKER = "miniTicker"
    TICKER = "ticker"
    FORCE_ORDER = "forceOrder"
    CONTRACT_INFO = "contractInfo"


ON_PUBLIC = frozenset({Feed.TRADE, Feed.BOOK_TICKER, Feed.DEPTH, Feed.DEPTH_TOP})
"""Feeds of /public; the others are on /market."""

SPEEDS_MS = {"": 250, "@0ms": 0, "@100ms": 100, "@250ms": 250, "@500ms": 500}


@dataclass(frozen=True, slots=True)
class StreamName:
    """A stream. `symbol` is empty where it carries all of them."""

    name: str
    feed: Feed
    symbol: str
    period_ms: int = 0
    """How often at most it sends; 0: at every change."""
    interval: str = ""
    """Of klines."""
    levels: int = 0

    @property
    def stream_class(self) -> StreamClass:
        """Which kind of connection carries it."""
        return StreamClass.PUBLIC if self.feed in ON_PUBLIC else StreamClass.MARKET


_ALL = {
    "!miniTicker@arr": (Feed.MINI_TICKER, 1_000),
    "!ticker@arr": (Feed.TICKER, 1_000),
    "!bookTicker": (Feed.BOOK_TICKER, 5_000),
    "!markPrice@arr": (Feed.MARK_PRICE, 3_000),
    "!markPrice@arr@1s": (Feed.MARK_PRICE, 1_000),
    "!forceOrder@arr": (Feed.FORCE_ORDER, 0),
    "!contractInfo": (Feed.CONTRACT_INFO, 0),
}
_ONE = {
    "trade": (Feed.TRADE, 0),
    "aggTrade": (Feed.AGG_TRADE, 0),
    "bookTicker": (Feed.BOOK_TICKER, 0),
    "markPrice": (Feed.MARK_PRICE, 3_000),
    "markPrice@1s": (Feed.MARK_PRICE, 1_000),
    "miniTicker": (Feed.MINI_TICKER, 500),
    "ticker": (Feed.TICKER, 2_000),
    "forceOrder": (Feed.FORCE_ORDER, 0),
}
_DEPTH = re.compile(r"depth(5|10|20)?(@(?:0|100|250|500)ms)?")
_KLINE = re.compile(r"(kline|continuousKline)_(\w+)")
KLINE_PERIOD_MS = 250


def parse_stream(name: str, symbols: Collection[str]) -> StreamName | None:
    """The stream of that name; None where there is none."""
    if name in _ALL:
        feed, period_ms = _ALL[name]
        return StreamName(name, feed, "", period_ms)
    lower, _, rest = name.partition("@")
    continuous = lower.endswith("_perpetual")
    symbol = lower.removesuffix("_perpetual").upper()
    if symbol not in symbols or lower != lower.lower():
        return None
    if kline := _KLINE.fullmatch(rest):
        feed = Feed(kline[1])
        if kline[2] not in INTERVALS_MS or continuous != (feed is Feed.CONTINUOUS_KLINE):
            return None
        return StreamName(name, feed, symbol, KLINE_PERIOD_MS, kline[2])
    if continuous:
        return None
    if rest in _ONE:
        feed, period_ms = _ONE[rest]
        return StreamName(name, feed, symbol, period_ms)
    if depth := _DEPTH.fullmatch(rest):
        feed = Feed.DEPTH_TOP if depth[1] else Feed.DEPTH
        period_ms = SPEEDS_MS[depth[2] or ""]
        return StreamName(name, feed, symbol, period_ms, levels=int(depth[1] or 0))
    return None
