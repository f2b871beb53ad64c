"""What a market says: trades, books, mark prices, funding and closed bars, each at its time.

Amounts are Decimals on the instrument's grid: quote per base, base; times are ms UTC.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from tercel.adapters.simulator.exchange.exchange import Exchange
from tercel.adapters.simulator.exchange.quotes import Level


@dataclass(frozen=True, slots=True)
class TradeTick:
    """A trade of others. `taker_side` +1: the taker bought."""

    time_ms: int
    symbol: str
    trade_id: int
    price: Decimal
    quantity: Decimal
    taker_side: int


@dataclass(frozen=True, slots=True)
class BookTick:
    """The book, best first; its first levels are the best bid and ask."""

    time_ms: int
    symbol: str
    bids: tuple[Level, ...]
    asks: tuple[Level, ...]


@dataclass(frozen=True, slots=True)
class MarkTick:
    """Mark and index price."""

    time_ms: int
    symbol: str
    mark_price: Decimal
    index_price: Decimal


@dataclass(frozen=True, slots=True)
class FundingTick:
    """A settlement of funding: longs pay `rate` of their notional."""

    time_ms: int
    symbol: str
    rate: Decimal


@dataclass(frozen=True, slots=True)
class BarTick:
    """A bar has closed. Its time is the first millisecond after it."""

    time_ms: int
    symbol: str
    open_time_ms: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    quote_volume: Decimal
    trade_count: int
    taker_buy_volume: Decimal
    taker_buy_quote_volume: Decimal


MarketTick = TradeTick | BookTick | MarkTick | FundingTick | BarTick


def apply_tick(exchange: Exchange, tick: MarketTick) -> None:
    """Tell the exchange; a closed bar is no news to it."""
    match tick:
        case TradeTick():
            exchange.on_trade(tick.symbol, tick.price, tick.quantity, tick.time_ms)
        case BookTick():
            exchange.on_book(tick.symbol, tick.bids, tick.asks, tick.time_ms)
        case MarkTick():
            exchange.on_mark(tick.symbol, tick.mark_price, tick.time_ms)
        case FundingTick():
            exchange.settle_funding(tick.symbol, tick.rate, tick.time_ms)
        case BarTick():
            pass
