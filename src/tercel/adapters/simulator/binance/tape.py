"""What the venue knows of the market by now: prices, books, recent trades, klines, funding."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from tercel.adapters.simulator.binance.candles import Candle, Candles
from tercel.adapters.simulator.exchange.records import ZERO, Instrument
from tercel.adapters.simulator.market.ticks import (
    BarTick,
    BookTick,
    FundingTick,
    MarketTick,
    MarkTick,
    TradeTick,
)
from tercel.core.records import Records

TRADES_KEPT = 10_000
FUNDING_KEPT = 1_000
DAY_MS = 86_400_000

Level = tuple[Decimal, Decimal]


@dataclass(frozen=True, slots=True)
class FundingRow:
    """A settlement of funding that is over."""

    time_ms: int
    rate: Decimal
    mark_price: Decimal


class SymbolTape:
    """One symbol."""

    def __init__(self, instrument: Instrument, history: Records) -> None:
        self.instrument = instrument
        decimals = (instrument.price_decimals, instrument.quantity_decimals)
        self.candles = Candles(history, *decimals)
        self.trades: deque[TradeTick] = deque(maxlen=TRADES_KEPT)
        self.funding: deque[FundingRow] = deque(maxlen=FUNDING_KEPT)
        self.bids: tuple[Level, ...] = ()
        self.asks: tuple[Level, ...] = ()
        self.update_id = 0
        """Rises with every change of the book, as the venue's `u` does."""
        self.book_time_ms = 0
        self.last_price = self.candles.last_close(ZERO)
        self.last_quantity = ZERO
        self.mark_price = self.last_price
        self.index_price = self.last_price
        self.funding_rate = Decimal("0.0001")
        volume = self.candles.total(0, 2**62)
        self.open_interest = max(volume.volume if volume else ZERO, instrument.lot_size)
        """No data source tells it: a constant, as large as all volume of the history."""

    def apply(self, tick: MarketTick) -> Candle | None:
        """Take in one tick; returns the minute that a bar closed."""
        match tick:
            case TradeTick():
                self.trades.append(tick)
                self.candles.on_trade(tick)
                self.last_price, self.last_quantity = tick.price, tick.quantity
            case BookTick():
                # As many as levels may have changed: counting those that did costs more than all
                # the rest, and clients only compare the numbers.
                is_same = (tick.bids, tick.asks) == (self.bids, self.asks)
                self.update_id += 1 if is_same else len(tick.bids) + len(tick.asks)
                self.bids, self.asks = tick.bids, tick.asks
                self.book_time_ms = tick.time_ms
            case MarkTick():
                self.mark_price, self.index_price = tick.mark_price, tick.index_price
            case FundingTick():
                self.funding_rate = tick.rate
                self.funding.append(FundingRow(tick.time_ms, tick.rate, self.mark_price))
            case BarTick():
                return self.candles.on_bar(tick)
        return None

    def day(self, now_ms: int) -> Candle:
        """The 24 hours up to `now_ms` as one candle."""
        found = self.candles.total(now_ms - DAY_MS, now_ms)
        return found or self.candles.minute_at(now_ms, self.last_price)


class Tape:
    """Every symbol."""

    def __init__(
        self, instruments: Mapping[str, Instrument], history: Mapping[str, Records]
    ) -> None:
        self.symbols = {
            symbol: SymbolTape(instrument, history[symbol])
            for symbol, instrument in instruments.items()
        }

    def __getitem__(self, symbol: str) -> SymbolTape:
        return self.symbols[symbol]

    def levels(self, symbol: str) -> tuple[tuple[Level, ...], tuple[Level, ...]]:
        """Bids and asks, best first."""
        one = self.symbols[symbol]
        return one.bids, one.asks
