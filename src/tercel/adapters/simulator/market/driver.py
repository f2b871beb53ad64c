"""Bars of one or several symbols, walked as one stream of ticks in order of time.

Use: `MarketDriver(series, instruments, shape, seed).ticks()`. A mount that paces waits until a
tick's `time_ms`; one that does not takes the next at once. The same input gives the same ticks, and
a stream that begins later differs only in where its mark price begins.

Inside a bar: funding where it is due; a book, then for each trade the book it meets, the trade and
the mark price after it, a millisecond apart; at the end the closed bar.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import numpy as np

from tercel.adapters.simulator.exchange.amounts import decimal_of, in_units
from tercel.adapters.simulator.exchange.records import SELL, Instrument
from tercel.adapters.simulator.market.book import BookMaker
from tercel.adapters.simulator.market.path import (
    PathTrade,
    generator,
    path_trades,
    prices_of,
)
from tercel.adapters.simulator.market.shape import JITTER, TICKS_PER_TRADE, MarketShape
from tercel.adapters.simulator.market.ticks import (
    BarTick,
    BookTick,
    FundingTick,
    MarketTick,
    MarkTick,
    TradeTick,
)
from tercel.core.records import Records


class MarketDriver:
    """A market made of bars. `funding` tells, by symbol, the rate of a settlement by its time."""

    def __init__(
        self,
        series: Mapping[str, Records],
        instruments: Sequence[Instrument],
        shape: MarketShape,
        seed: int,
        funding: Mapping[str, Mapping[int, float]] | None = None,
    ) -> None:
        self._series = series
        self._instruments = {instrument.symbol: instrument for instrument in instruments}
        self._shape = shape
        self._seed = seed
        self._funding = funding or {}

    def ticks(self, start_ms: int | None = None) -> Iterator[MarketTick]:
        """Every tick from the bar that opens at `start_ms` on, in order of time."""
        streams = [
            _Walker(self._instruments[symbol], self._shape, self._seed).ticks(
                bars if start_ms is None else bars[bars["open_time"] >= start_ms],
                self._funding.get(symbol, {}),
            )
            for symbol, bars in self._series.items()
        ]
        return heapq.merge(*streams, key=lambda tick: tick.time_ms)


@dataclass(slots=True)
class _Walker:
    """One symbol: what goes on from bar to bar."""

    rules: Instrument
    shape: MarketShape
    seed: int
    trade_id: int = 0
    mark: Decimal | None = None
    _marks: tuple[Decimal, Decimal] = field(init=False)

    def __post_init__(self) -> None:
        self._marks = (decimal_of(self.shape.mark_lag), 1 + decimal_of(self.shape.funding_rate))

    def ticks(self, bars: Records, funding: Mapping[int, float]) -> Iterator[MarketTick]:
        """Every tick of `bars`."""
        for bar in bars:
            open_ms = int(bar["open_time"])
            inside = self._inside(bar, open_ms)
            due = self._funding(open_ms, funding)
            yield from heapq.merge(due, inside, key=lambda tick: tick.time_ms)
            yield self._closed(bar, open_ms)

    def _funding(self, open_ms: int, known: Mapping[int, float]) -> Iterator[MarketTick]:
        interval = self.shape.funding_interval_ms
        if interval <= 0:
            return
        first = -(-open_ms // interval) * interval
        for time_ms in range(first, open_ms + self.shape.bar_ms, interval):
            rate = decimal_of(known.get(time_ms, self.shape.funding_rate))
            yield FundingTick(time_ms, self.rules.symbol, rate)

    def _inside(self, bar: Any, open_ms: int) -> Iterator[MarketTick]:
        shape, rules = self.shape, self.rules
        draws = generator(self.seed, rules.symbol, open_ms)
        trades = path_trades(bar, rules, shape.trades_per_bar, shape.level_quote, draws)
        maker = BookMaker(bar, rules, shape.book_levels, draws)
        opened = prices_of(bar).open
        spread = maker.spread(opened, shape.spread_ticks)
        side = trades[0].taker_side if trades else SELL
        bids, asks = maker.around(opened, side, spread, shape.level_quote)
        yield BookTick(open_ms, rules.symbol, bids, asks)
        yield self._marked(opened, open_ms + 1)
        for time_ms, trade in zip(self._times(open_ms, len(trades), draws), trades, strict=True):
            bids, asks = maker.around(trade.price, trade.taker_side, spread, shape.level_quote)
            yield BookTick(time_ms - 1, rules.symbol, bids, asks)
            yield self._traded(trade, time_ms)
            yield self._marked(trade.price, time_ms + 1)

    def _times(self, open_ms: int, count: int, draws: np.random.Generator) -> list[int]:
        """Increasing times, each far enough from its neighbours for the ticks around it."""
        if count == 0:
            return []
        part = self.shape.bar_ms / (count + 1)
        strays = draws.uniform(0.0, JITTER, count).tolist()
        return [
            open_ms + TICKS_PER_TRADE + int(part * (place + stray))
            for place, stray in enumerate(strays)
        ]

    def _traded(self, trade: PathTrade, time_ms: int) -> TradeTick:
        self.trade_id += 1
        return TradeTick(
            time_ms, self.rules.symbol, self.trade_id, trade.price, trade.quantity, trade.taker_side
        )

    def _marked(self, price: Decimal, time_ms: int) -> MarkTick:
        lag, premium = self._marks
        before = price if self.mark is None else self.mark
        self.mark = in_units(before + (price - before) * lag)
        return MarkTick(time_ms, self.rules.symbol, self.mark, in_units(self.mark / premium))

    def _closed(self, bar: Any, open_ms: int) -> BarTick:
        prices = prices_of(bar)

        def known(name: str) -> Decimal:
            value = float(bar[name])
            return Decimal(0) if math.isnan(value) else decimal_of(value)

        return BarTick(
            time_ms=open_ms + self.shape.bar_ms,
            symbol=self.rules.symbol,
            open_time_ms=open_ms,
            open=prices.open,
            high=prices.high,
            low=prices.low,
            close=prices.close,
            volume=known("volume"),
            quote_volume=known("quote_volume"),
            trade_count=int(known("count")),
            taker_buy_volume=known("taker_buy_volume"),
            taker_buy_quote_volume=known("taker_buy_quote_volume"),
        )
