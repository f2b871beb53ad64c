"""Public streams that someone listens to: when each sends, and what.

A channel is one stream by name with its listeners. Ticks mark it as having something to tell; it
tells at once, or when its period is over. Faults of market data strike here, on the way out: what
the venue itself knows stays right.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from tercel.adapters.simulator.binance.candles import Candle
from tercel.adapters.simulator.binance.market_rendering import kline_event
from tercel.adapters.simulator.binance.parameters import INTERVALS_MS
from tercel.adapters.simulator.binance.sessions import StreamSession
from tercel.adapters.simulator.binance.state import VenueState
from tercel.adapters.simulator.binance.stream_events import (
    agg_trade_event,
    book_ticker_event,
    depth_event,
    mark_price_event,
    mini_ticker_event,
    ticker_event,
    trade_event,
)
from tercel.adapters.simulator.binance.stream_names import Feed, StreamName
from tercel.adapters.simulator.binance.tape import Level, SymbolTape
from tercel.adapters.simulator.binance.wire import Json
from tercel.adapters.simulator.exchange.records import ZERO
from tercel.adapters.simulator.faults import Fault, FaultCode, Where
from tercel.adapters.simulator.market.ticks import (
    BarTick,
    BookTick,
    MarketTick,
    MarkTick,
    TradeTick,
)

_TOLD_BY: dict[Feed, tuple[type, ...]] = {
    Feed.TRADE: (TradeTick,),
    Feed.AGG_TRADE: (TradeTick,),
    Feed.KLINE: (TradeTick, BarTick),
    Feed.CONTINUOUS_KLINE: (TradeTick, BarTick),
    Feed.BOOK_TICKER: (BookTick,),
    Feed.DEPTH: (BookTick,),
    Feed.DEPTH_TOP: (BookTick,),
    Feed.MARK_PRICE: (MarkTick,),
    Feed.MINI_TICKER: (TradeTick,),
    Feed.TICKER: (TradeTick,),
    Feed.FORCE_ORDER: (),
    Feed.CONTRACT_INFO: (),
}
MINUTE_MS = 60_000


class Channel:
    """One stream and who listens to it."""

    def __init__(self, venue: VenueState, name: StreamName) -> None:
        self.name = name
        self.sessions: dict[StreamSession, None] = {}
        self._venue = venue
        self._has_news = name.feed is Feed.MARK_PRICE
        self._sent_ms = 0
        self._symbols = (name.symbol,) if name.symbol else venue.symbols
        self._told_levels: tuple[dict[Decimal, Decimal], dict[Decimal, Decimal]] = ({}, {})
        self._told_id = 0
        self._ids_skipped = 0
        if name.feed is Feed.DEPTH:
            self._note_levels(venue.tape[name.symbol])

    def on_tick(self, tick: MarketTick, closed: Candle | None) -> None:
        """The market has moved. `closed` is the minute that ended with this tick."""
        if not isinstance(tick, _TOLD_BY[self.name.feed]) or tick.symbol not in self._symbols:
            return
        if isinstance(tick, TradeTick) and self.name.feed in (Feed.TRADE, Feed.AGG_TRADE):
            self._send(self._trade(tick))
        elif closed is not None:
            self._close_kline(closed)
        else:
            self._has_news = True
            if not self.name.period_ms:
                self.flush()

    def flush(self) -> None:
        """Send what there is to tell, if the period is over."""
        now_ms = self._venue.now_ms
        if self._has_news and now_ms - self._sent_ms >= self.name.period_ms:
            self._sent_ms = now_ms
            self._has_news = self.name.feed is Feed.MARK_PRICE
            self._send(self._news())

    def publish(self, event: Json) -> None:
        """Send an event made elsewhere."""
        self._send(event)

    def _news(self) -> Json | None:
        """What the stream tells now; None: nothing has changed after all."""
        events = [self._event(self._venue.tape[symbol]) for symbol in self._symbols]
        if self.name.name.endswith("@arr") or self.name.name.endswith("@arr@1s"):
            return events
        if self.name.symbol:
            return events[0]
        for event in events[:-1]:  # !bookTicker: one event a symbol, the last one by the caller
            self._send(event)
        return events[-1]

    def _event(self, tape: SymbolTape) -> Json | None:
        venue, now_ms = self._venue, self._venue.told_ms
        match self.name.feed:
            case Feed.KLINE | Feed.CONTINUOUS_KLINE:
                length_ms = INTERVALS_MS[self.name.interval]
                candle = tape.candles.running_kline(length_ms, venue.now_ms, tape.last_price)
                return self._kline(tape, candle, is_closed=False)
            case Feed.BOOK_TICKER:
                return book_ticker_event(tape, now_ms, self._bid_lift(tape))
            case Feed.DEPTH:
                return self._depth(tape)
            case Feed.DEPTH_TOP:
                most = self.name.levels
                levels = (list(tape.bids[:most]), list(tape.asks[:most]))
                ids = (tape.update_id, tape.update_id, self._told_id)
                self._told_id = tape.update_id
                return depth_event(tape, ids, levels, now_ms)
            case Feed.MARK_PRICE:
                return mark_price_event(tape, now_ms)
            case Feed.MINI_TICKER:
                return mini_ticker_event(tape, now_ms)
            case Feed.TICKER:
                return ticker_event(tape, now_ms)
            case _:
                return None

    def _trade(self, tick: TradeTick) -> Json:
        tape = self._venue.tape[tick.symbol]
        make = trade_event if self.name.feed is Feed.TRADE else agg_trade_event
        event = make(tape, tick, self._venue.told_ms)
        if fault := self._due(FaultCode.M10):
            self._ids_skipped += fault.ms("ids")
        if self._ids_skipped:
            for key in ("t", "a", "f", "l"):
                if key in event:
                    event[key] += self._ids_skipped
        return event

    def _close_kline(self, closed: Candle) -> None:
        """The final event of a kline that ends with the minute `closed`."""
        length_ms = INTERVALS_MS[self.name.interval]
        end_ms = closed.open_time_ms + MINUTE_MS
        if end_ms % length_ms:
            return
        tape = self._venue.tape[self.name.symbol]
        candle: Candle | None = closed
        if length_ms > MINUTE_MS:
            candle = tape.candles.closed_kline(length_ms, end_ms - length_ms)
        if candle is None or self._due(FaultCode.M5):
            return
        event = self._kline(tape, candle, is_closed=True)
        if fault := self._due(FaultCode.M7):
            other = candle.close + tape.instrument.tick_size * fault.ms("ticks")
            event["k"]["c"] = f"{other:f}"
            event["k"]["h"] = f"{max(other, candle.high):f}"
        late = self._due(FaultCode.M4)
        self._has_news = False
        self._send(event, late.ms("delay_ms") if late else 0)

    def _kline(self, tape: SymbolTape, candle: Candle, *, is_closed: bool) -> Json:
        interval = (self.name.interval, INTERVALS_MS[self.name.interval])
        told = kline_event(tape.instrument, candle, interval, is_closed=is_closed)
        now_ms, symbol = self._venue.told_ms, tape.instrument.symbol
        if self.name.feed is Feed.KLINE:
            return {"e": "kline", "E": now_ms, "s": symbol, "k": told}
        del told["s"]
        return {"e": "continuous_kline", "E": now_ms, "ps": symbol, "ct": "PERPETUAL", "k": told}

    def _depth(self, tape: SymbolTape) -> Json | None:
        """Levels that changed since the last event; ids join each event to the one before."""
        if tape.update_id == self._told_id:
            return None
        before, previous = self._told_levels, self._told_id
        self._note_levels(tape)
        changes = tuple(
            _changed(old, new) for old, new in zip(before, self._told_levels, strict=True)
        )
        if self._due(FaultCode.M1):
            return None
        lift = self._bid_lift(tape)
        if lift and tape.bids and tape.asks:
            changes[0].append((tape.asks[0][0] + tape.instrument.tick_size, tape.bids[0][1]))
        ids = (previous + 1, tape.update_id, previous)
        return depth_event(tape, ids, (changes[0], changes[1]), self._venue.told_ms)

    def _note_levels(self, tape: SymbolTape) -> None:
        self._told_levels = (dict(tape.bids), dict(tape.asks))
        self._told_id = tape.update_id

    def _bid_lift(self, tape: SymbolTape) -> Decimal:
        """How far a fault lifts the best bid: to the best ask and some ticks above."""
        fault = self._due(FaultCode.M3)
        if fault is None or not tape.bids or not tape.asks:
            return ZERO
        return tape.asks[0][0] - tape.bids[0][0] + tape.instrument.tick_size * fault.ms("ticks")

    def _due(self, code: FaultCode) -> Fault | None:
        venue = self._venue
        here = Where(stream=self._place, symbol=self.name.symbol)
        return venue.watch.due(code, here, venue.now_ms)

    @property
    def _place(self) -> str:
        """What a plan calls this stream: `market/btcusdt@kline_1m`."""
        return f"{self.name.stream_class}/{self.name.name}"

    def _send(self, event: Json | None, delay_ms: int = 0) -> None:
        if event is None:
            return
        venue = self._venue
        if isinstance(event, dict):
            if fault := self._due(FaultCode.M11):
                event = {**event, "E": event["E"] + fault.ms("jump_ms")}
            if self._due(FaultCode.M12):
                event = _of_another(event, venue.symbols)
        for one in event if isinstance(event, list) else [event]:
            if venue.dialect.has_merged_fields:
                one["st"] = 1
        for session in list(self.sessions):
            late = venue.watch.due(
                FaultCode.T12, Where(stream=self._place, symbol=self.name.symbol), venue.now_ms
            )
            extra_ms = late.ms("delay_ms") if late else 0
            session.send(event, venue.now_ms, stream=self.name.name, delay_ms=delay_ms + extra_ms)


def _changed(before: dict[Decimal, Decimal], after: dict[Decimal, Decimal]) -> list[Level]:
    """New and changed levels, and those that are gone with quantity 0."""
    changed = [level for level in after.items() if before.get(level[0]) != level[1]]
    return changed + [(price, ZERO) for price in before if price not in after]


def _of_another(event: Json, symbols: Iterable[str]) -> Json:
    """The event as if another symbol's had slipped in."""
    others = [symbol for symbol in symbols if symbol != event.get("s")]
    return {**event, "s": others[0] if others else "XRPUSDT"}
