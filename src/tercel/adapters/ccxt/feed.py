"""ports.MarketFeed over a real exchange: final bars and best quotes from ccxt.pro's raw frames.

Two streams, one for candles and one for quotes, each of which reconnects by itself; the feed is up
while both are. Bars are handed on in their order and each once: those that the streams missed are
fetched over REST. Quotes are never queued: a slow reader gets the newest of each symbol.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

import structlog

from tercel.adapters.ccxt.addresses import addresses_of
from tercel.adapters.ccxt.bar_line import BarLine
from tercel.adapters.ccxt.binance import market
from tercel.adapters.ccxt.binance.dialect import BinanceDialect
from tercel.adapters.ccxt.binance.setup import read_rules
from tercel.adapters.ccxt.calls import Json
from tercel.adapters.ccxt.link import Connect, Link
from tercel.adapters.ccxt.made_for import made_for
from tercel.adapters.ccxt.quotes import QuoteBook
from tercel.adapters.ccxt.stream import Stream, Target
from tercel.adapters.ccxt.watched_tasks import watched
from tercel.app.live.governor import Governor
from tercel.app.live.health import bars_of
from tercel.app.ports import Clock, FeedBar, FeedQuote
from tercel.app.tasks import end_tasks
from tercel.core.records import Records
from tercel.domain.bars import TIMEFRAME_MS
from tercel.domain.errors import VenueError
from tercel.domain.events import FeedNews
from tercel.domain.live_settings import VenueSettings
from tercel.domain.trading_settings import InstrumentSettings
from tercel.domain.venue_instrument import VenueInstrument

log = structlog.get_logger(__name__)

_Read = Callable[[Json], None]
_Target = Callable[[], Awaitable[Target]]

LOOK_SECONDS = 0.25
"""Between two looks for bars that are missing or were held long enough."""
FETCH_AGAIN_MS = 1_000
FETCH_AGAIN_MS_MAX = 60_000
"""A symbol's missing bars are asked for at most so often: after each vain try half as often."""
SILENCE_SECONDS_MAX = 60.0
"""A stream of candles or quotes that sends nothing for so long is opened anew."""
JOIN_BARS_MAX = 60
"""History that ended longer ago is not joined to the live bars."""
NEWS_MAX = 100_000
"""Bars and news that may wait to be taken up; the oldest are dropped, and the feed says so."""


class CcxtFeed:
    """ports.MarketFeed through ccxt."""

    def __init__(
        self,
        venue: str,
        settings: VenueSettings,
        governor: Governor,
        clock: Clock,
        connect: Connect | None = None,
    ) -> None:
        """`clock` tells venue time. `connect` replaces the sockets (tests). Raises UserError."""
        self._settings = settings
        self._clock = clock
        self._connect = connect
        self._dialect = made_for(
            venue, {"binance-usdm": BinanceDialect}, "live market data of {} cannot be read"
        )
        self._link = Link(self._dialect, settings, addresses_of(venue, settings), governor, clock)
        self._timeframe = ""
        self._bar_ms = 0
        self._symbols: tuple[str, ...] = ()
        self._beside: tuple[str, ...] = ()
        self._books: dict[str, QuoteBook] = {}
        self._lines: dict[str, BarLine] = {}
        self._streams: dict[str, Stream] = {}
        self._ready: deque[FeedBar | FeedNews] = deque()
        self._new_quotes: deque[QuoteBook] = deque()
        self._arrived = asyncio.Event()
        self._known_until_ms: dict[tuple[str, str], int] = {}
        """End of the history that was read, by symbol and timeframe."""
        self._missing_told: dict[str, str] = {}
        self._fetch_due_ms: dict[str, int] = {}
        self._fetch_pause_ms: dict[str, int] = {}
        self._fetches: dict[str, asyncio.Task[None]] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._failure: BaseException | None = None
        """What one of them ended by."""
        self._is_up: bool | None = None
        self._is_closed = False
        self.unreadable = 0
        """Frames that could not be read."""

    @property
    def backlog(self) -> int:
        """Items that wait to be taken up: bounded by the symbols but for bars."""
        return len(self._ready) + len(self._new_quotes)

    async def connect(self) -> None:
        """Make the client without contacting anything: enough for `history`."""
        if not self._timeframe:
            await self._link.open(None, self._connect)
            self._link.on_rest = self._on_rest
            self._link.on_frame = self._on_frame
            self._timeframe = "-"

    async def time_ms(self) -> int:
        """The venue's clock. Raises VenueError."""
        await self.connect()
        return await self._dialect.time_ms(self._link)

    async def instruments(self, symbols: Sequence[str]) -> dict[str, VenueInstrument]:
        """The venue's own trading rules by symbol. Raises VenueError, UserError."""
        await self.connect()
        rules = await read_rules(self._link, symbols)
        return {
            symbol: VenueInstrument(
                InstrumentSettings(
                    tick_size=each.tick_size,
                    lot_size=each.lot_size,
                    quantity_min=max(each.quantity_min, each.lot_size),
                    notional_min_quote=each.notional_min,
                ),
                each.largest,
            )
            for symbol, each in rules.items()
        }

    def watch_beside(self, symbol: str) -> None:
        """Bars of `symbol` too, from `open` on: nobody trades it, and its quotes are not read."""
        self._beside = (*self._beside, symbol)

    async def open(self, symbols: Sequence[str], timeframe: str) -> None:
        """Connect and subscribe; the streams come up by themselves. Raises VenueError."""
        await self.connect()
        self._timeframe = timeframe
        self._bar_ms = TIMEFRAME_MS[timeframe]
        self._symbols = tuple(symbols)
        now_ms = self._clock.now_ms()
        every = (*symbols, *self._beside)
        self._books = {symbol: QuoteBook(symbol, self._bar_ms) for symbol in every}
        self._lines = {
            symbol: BarLine(symbol, self._bar_ms, self._begin_ms(symbol, now_ms))
            for symbol in every
        }
        self._streams = {
            "klines": self._stream("klines", self._kline_target),
            "quotes": self._stream("quotes", self._quote_target),
        }
        self._streams["klines"].on_frame = self._guarded(self._on_kline)
        read_quote = market.quote_reader(self._books, self._clock.now_ms, self._on_quote)
        self._streams["quotes"].on_frame = self._guarded(read_quote)
        self._tasks = [watched(each.run(), self._fail) for each in self._streams.values()]
        self._tasks.append(watched(self._look_after_bars(), self._fail))

    async def items(self) -> AsyncIterator[FeedBar | FeedQuote | FeedNews]:
        """What comes in, until `close`: bars and news in their order, then the newest quotes; or
        the error that one of the feed's tasks ended by.
        """
        while True:
            while self._ready:
                yield self._ready.popleft()
            if self._new_quotes:
                quote = self._new_quotes.popleft().take()
                if quote is not None:
                    yield quote
                continue
            if self._failure is not None:
                raise self._failure
            if self._is_closed:
                return
            self._arrived.clear()
            await self._arrived.wait()

    async def history(self, symbol: str, timeframe: str, start_ms: int, end_ms: int) -> Records:
        """Closed bars that open in `[start_ms, end_ms)`, oldest first; never the running one.

        Raises VenueError.
        """
        await self.connect()
        bar_ms = TIMEFRAME_MS[timeframe]
        closed_ms = self._clock.now_ms() // bar_ms * bar_ms
        end_ms = min(end_ms, closed_ms)
        bars, next_ms = await market.read_closed(self._link, symbol, timeframe, start_ms, end_ms)
        series = symbol, timeframe
        if next_ms is not None:
            self._known_until_ms[series] = max(next_ms, self._known_until_ms.get(series, next_ms))
        return bars

    async def close(self) -> None:
        """Release connections."""
        self._is_closed = True
        tasks, self._tasks = self._tasks, []
        await end_tasks((*tasks, *self._fetches.values()))
        await self._link.close()
        self._arrived.set()

    def _fail(self, error: BaseException) -> None:
        self._failure = self._failure or error
        self._arrived.set()

    def _begin_ms(self, symbol: str, now_ms: int) -> int:
        """The first bar that is handed on: the one behind the history that was read just before,
        so that none is lost where a minute ended in between; else the one that runs.
        """
        known_ms = self._known_until_ms.get((symbol, self._timeframe), now_ms)
        is_recent = now_ms - JOIN_BARS_MAX * self._bar_ms <= known_ms <= now_ms
        return known_ms if is_recent else now_ms

    def _stream(self, name: str, target: _Target) -> Stream:
        stream = Stream(
            name,
            self._link,
            self._clock,
            target,
            backoff_seconds_max=self._settings.backoff_seconds_max,
            silence_seconds_max=SILENCE_SECONDS_MAX,
        )
        stream.on_state = lambda is_up, detail: self._on_stream(name, is_up, detail)
        return stream

    async def _kline_target(self) -> Target:
        symbols = (*self._symbols, *self._beside)
        return market.kline_target(self._link, symbols, self._timeframe)

    async def _quote_target(self) -> Target:
        return market.quote_target(self._link, self._symbols)

    def _on_frame(self, client: object, frame: Json) -> None:
        for stream in self._streams.values():
            if stream.owns(client):
                stream.take(frame)
                return

    def _on_kline(self, frame: Json) -> None:
        found = market.read_kline(frame, self._timeframe)
        if found is None or found[0] not in self._lines:
            return
        symbol, bar = found
        self._refuse_ahead(symbol, int(bar["open_time"][0]))
        self._add_bar(symbol, bar)
        self._release(symbol)
        if self._lines[symbol].is_holding:
            # It waits for those before it, and not for long: they are asked for at the next look.
            self._fetch_due_ms[symbol] = 0
            self._fetch_pause_ms.pop(symbol, None)

    def _refuse_ahead(self, symbol: str, opened_ms: int) -> None:
        """Raise ValueError for a final bar that cannot have ended: the line would wait behind it.

        By our clock or by the newest quote, so that a clock of ours that is slow refuses none. A
        wrong date is off by whole bars, a right one on clocks that differ by less than half a bar.
        """
        quoted_ms = (book.latest[4] for book in self._books.values() if book.latest is not None)
        ahead_ms = opened_ms + self._bar_ms - max(self._clock.now_ms(), *quoted_ms, 0)
        if ahead_ms > self._bar_ms // 2:
            raise ValueError(f"a final bar of {symbol} ends {ahead_ms} ms from now")

    def _guarded(self, read: _Read) -> _Read:
        def guarded(frame: Json) -> None:
            try:
                read(frame)
            except (KeyError, TypeError, ValueError) as error:
                self._unreadable(error)

        return guarded

    def _unreadable(self, error: Exception) -> None:
        self.unreadable += 1
        if self.unreadable & (self.unreadable - 1) == 0:  # 1, 2, 4, 8 ...: never a flood
            log.warning("unreadable_market_frame", count=self.unreadable, reason=repr(error)[:120])

    def _on_quote(self, book: QuoteBook) -> None:
        self._new_quotes.append(book)
        self._arrived.set()

    def _add_bar(self, symbol: str, bar: Records) -> None:
        """Give the bar its means of the quotes, and put it in line."""
        bid_size, ask_size, spread_bps = self._books[symbol].means(int(bar["open_time"][0]))
        bar["bid_size"], bar["ask_size"], bar["spread_bps"] = bid_size, ask_size, spread_bps
        self._lines[symbol].add(FeedBar(symbol, bar, self._clock.now_ms()))

    def _release(self, symbol: str) -> None:
        """Hand on what may go, and tell what is missing: before the bars without it, and as soon
        as it is there.
        """
        line = self._lines[symbol]
        bars = line.take(self._clock.now_ms())
        is_complete = not line.trouble
        if not is_complete:
            self._tell_missing(symbol, line.trouble)
        for item in bars:
            self._tell(item)
        if is_complete:
            self._tell_missing(symbol, "")

    def _tell_missing(self, symbol: str, trouble: str) -> None:
        if trouble != self._missing_told.get(symbol, ""):
            self._missing_told[symbol] = trouble
            self._tell(FeedNews(0, bars_of(symbol), not trouble, trouble))

    def _on_stream(self, name: str, is_up: bool, detail: str) -> None:
        whole = all(stream.is_up for stream in self._streams.values())
        if whole != self._is_up and (whole or self._is_up is not None):
            self._is_up = whole
            self._tell(FeedNews(0, "market", whole, "" if is_up else f"{name}: {detail}"))

    def _on_rest(self, is_up: bool, detail: str) -> None:
        self._tell(FeedNews(0, "rest", is_up, detail))

    def _tell(self, item: FeedBar | FeedNews) -> None:
        if len(self._ready) >= NEWS_MAX:
            self._ready.popleft()
            log.error("market_items_dropped", waiting=NEWS_MAX)
        self._ready.append(item)
        self._arrived.set()

    async def _look_after_bars(self) -> None:
        """Fetch what is missing, and let go what was held long enough."""
        while True:
            await self._clock.sleep(LOOK_SECONDS)
            now_ms = self._clock.now_ms()
            for symbol, line in self._lines.items():
                self._release(symbol)
                span = line.missing(now_ms)
                running = self._fetches.get(symbol)
                if span is None:
                    self._fetch_pause_ms.pop(symbol, None)
                    continue
                is_due = now_ms >= self._fetch_due_ms.get(symbol, 0)
                if is_due and (running is None or running.done()):
                    pause_ms = self._fetch_pause_ms.get(symbol, FETCH_AGAIN_MS)
                    self._fetch_due_ms[symbol] = now_ms + pause_ms
                    self._fetch_pause_ms[symbol] = min(FETCH_AGAIN_MS_MAX, pause_ms * 2)
                    self._fetches[symbol] = watched(self._fetch(symbol, *span), self._fail)

    async def _fetch(self, symbol: str, start_ms: int, end_ms: int) -> None:
        try:
            bars, next_ms = await market.read_closed(
                self._link, symbol, self._timeframe, start_ms, end_ms
            )
        except VenueError as error:
            log.warning("missing_bars_not_read", symbol=symbol, reason=str(error))
            return
        for row in range(len(bars)):
            try:
                self._add_bar(symbol, bars[row : row + 1].copy())
            except ValueError as error:
                self._unreadable(error)
        if next_ms is not None:
            self._lines[symbol].note_rest(next_ms)
        self._release(symbol)
