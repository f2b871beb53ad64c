"""Klines of one symbol: closed minutes as records, the running one from trades, longer ones summed.

Minutes come in closed, in order. A longer kline is made from its minutes when it is asked for, the
running one included.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

import numpy as np

from tercel.adapters.simulator.market.ticks import BarTick, TradeTick
from tercel.core.records import BAR, Records

MINUTE_MS = 60_000


@dataclass(slots=True)
class Candle:
    """A kline on its way: amounts as Decimals, exact as far as its trades are known."""

    open_time_ms: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal = Decimal(0)
    quote_volume: Decimal = Decimal(0)
    count: int = 0
    taker_buy_volume: Decimal = Decimal(0)
    taker_buy_quote_volume: Decimal = Decimal(0)
    first_trade_id: int = -1
    last_trade_id: int = -1

    def add(self, tick: TradeTick) -> None:
        """One more trade."""
        if not self.count:
            self.open = self.high = self.low = tick.price
            self.first_trade_id = tick.trade_id
        quote = tick.price * tick.quantity
        self.high = max(self.high, tick.price)
        self.low = min(self.low, tick.price)
        self.close = tick.price
        self.volume += tick.quantity
        self.quote_volume += quote
        self.count += 1
        self.last_trade_id = tick.trade_id
        if tick.taker_side > 0:
            self.taker_buy_volume += tick.quantity
            self.taker_buy_quote_volume += quote

    def join(self, later: Candle) -> None:
        """Add the candle that follows."""
        self.high = max(self.high, later.high)
        self.low = min(self.low, later.low)
        self.close = later.close
        self.volume += later.volume
        self.quote_volume += later.quote_volume
        self.count += later.count
        self.taker_buy_volume += later.taker_buy_volume
        self.taker_buy_quote_volume += later.taker_buy_quote_volume
        if self.first_trade_id < 0:
            self.first_trade_id = later.first_trade_id
        self.last_trade_id = max(self.last_trade_id, later.last_trade_id)


class Candles:
    """All klines of a symbol. `history` are its minutes before the simulation begins."""

    def __init__(self, history: Records, price_decimals: int, quantity_decimals: int) -> None:
        self._bars = np.zeros(max(1_024, 2 * len(history)), BAR)
        self._bars[: len(history)] = history
        self._count = len(history)
        self._price_decimals = price_decimals
        self._quantity_decimals = quantity_decimals
        self.running: Candle | None = None

    def on_trade(self, tick: TradeTick) -> None:
        """A trade goes into the running minute."""
        self.minute_at(tick.time_ms, tick.price).add(tick)

    def minute_at(self, now_ms: int, price: Decimal) -> Candle:
        """The running minute at `now_ms`; one without a trade stands at the last close, or `price`
        where there is none.
        """
        opened = now_ms - now_ms % MINUTE_MS
        if self.running is None or self.running.open_time_ms != opened:
            last = self.running.close if self.running is not None else self.last_close(price)
            self.running = Candle(opened, last, last, last, last)
        return self.running

    def on_bar(self, tick: BarTick) -> Candle:
        """A minute has closed, with these values; returns it with the ids its trades had."""
        ids = (-1, -1)
        if self.running is not None and self.running.open_time_ms == tick.open_time_ms:
            ids = (self.running.first_trade_id, self.running.last_trade_id)
        closed = Candle(
            tick.open_time_ms, tick.open, tick.high, tick.low, tick.close, tick.volume,
            tick.quote_volume, tick.trade_count, tick.taker_buy_volume, tick.taker_buy_quote_volume,
            *ids,
        )  # fmt: skip
        self._append(closed)
        if self.running is None or self.running.open_time_ms <= tick.open_time_ms:
            opened = tick.open_time_ms + MINUTE_MS
            self.running = Candle(opened, tick.close, tick.close, tick.close, tick.close)
        return closed

    def last_close(self, otherwise: Decimal) -> Decimal:
        """Close of the last closed minute."""
        if not self._count:
            return otherwise
        return self._price(self._bars[self._count - 1]["close"])

    def window(self, start_ms: int | None, end_ms: int | None) -> Records:
        """Closed minutes that open in [start, end]."""
        times = self._bars["open_time"][: self._count]
        first = 0 if start_ms is None else int(np.searchsorted(times, start_ms, "left"))
        last = self._count if end_ms is None else int(np.searchsorted(times, end_ms, "right"))
        return self._bars[first:last]

    def klines(
        self, length_ms: int, start_ms: int | None, end_ms: int | None, limit: int
    ) -> list[Candle]:
        """Klines that open in [start, end], the running one included: the first `limit` from a
        start on, else the last. Oldest first.
        """
        if start_ms is not None:
            start_ms = -(-start_ms // length_ms) * length_ms
            reach_ms = start_ms + limit * length_ms - 1
            end_ms = reach_ms if end_ms is None else min(end_ms, reach_ms)
        if end_ms is not None:
            end_ms = end_ms - end_ms % length_ms + length_ms - 1
        if start_ms is None:
            newest = self._newest_ms() if end_ms is None else min(end_ms, self._newest_ms())
            start_ms = newest - newest % length_ms - (limit - 1) * length_ms
        candles = self._summed(self.window(start_ms, end_ms), length_ms)
        running = self.running
        if running is not None and self._follows(running):
            opened = running.open_time_ms - running.open_time_ms % length_ms
            if opened >= start_ms and (end_ms is None or opened <= end_ms):
                if candles and candles[-1].open_time_ms == opened:
                    candles[-1].join(running)
                else:
                    candles.append(_moved(running, opened))
        return candles[-limit:]

    def running_kline(self, length_ms: int, now_ms: int, price: Decimal) -> Candle:
        """The kline of that length which is running at `now_ms`."""
        minute = self.minute_at(now_ms, price)
        opened = minute.open_time_ms - minute.open_time_ms % length_ms
        closed = self._summed(self.window(opened, minute.open_time_ms - 1), length_ms)
        if not closed:
            return _moved(minute, opened)
        closed[0].join(minute)
        return closed[0]

    def closed_kline(self, length_ms: int, open_time_ms: int) -> Candle | None:
        """A kline whose minutes are all closed."""
        made = self._summed(self.window(open_time_ms, open_time_ms + length_ms - 1), length_ms)
        return made[0] if made else None

    def total(self, start_ms: int, end_ms: int) -> Candle | None:
        """All closed minutes that open in [start, end] as one, the running one included."""
        bars = self.window(start_ms, end_ms)
        made = self._summed(bars, max(int(bars["open_time"][-1]), 1) * 2) if len(bars) else []
        if made:
            made[0].open_time_ms = int(bars["open_time"][0])
        running = self.running
        if running is not None and self._follows(running) and running.open_time_ms <= end_ms:
            if not made:
                return _moved(running, running.open_time_ms)
            made[0].join(running)
        return made[0] if made else None

    def _newest_ms(self) -> int:
        if self.running is not None:
            return self.running.open_time_ms
        return int(self._bars[self._count - 1]["open_time"]) if self._count else 0

    def _follows(self, running: Candle) -> bool:
        return not self._count or running.open_time_ms > self._bars[self._count - 1]["open_time"]

    def _append(self, candle: Candle) -> None:
        if self._count == len(self._bars):
            self._bars = np.concatenate([self._bars, np.zeros_like(self._bars)])
        bar = self._bars[self._count]
        bar["open_time"] = candle.open_time_ms
        for name in (
            "open", "high", "low", "close", "volume", "quote_volume", "count", "taker_buy_volume",
            "taker_buy_quote_volume",
        ):  # fmt: skip
            bar[name] = float(getattr(candle, name))
        self._count += 1

    def _summed(self, bars: Records, length_ms: int) -> list[Candle]:
        """Candles of that length out of minutes; a column that is not known counts as 0."""
        if not len(bars):
            return []
        opened = bars["open_time"] - bars["open_time"] % length_ms
        starts = np.flatnonzero(np.r_[True, opened[1:] != opened[:-1]])
        ends = np.r_[starts[1:], len(bars)] - 1
        high = np.maximum.reduceat(bars["high"], starts)
        low = np.minimum.reduceat(bars["low"], starts)
        sums = [
            np.add.reduceat(np.nan_to_num(bars[name]), starts)
            for name in (
                "volume", "quote_volume", "count", "taker_buy_volume", "taker_buy_quote_volume",
            )
        ]  # fmt: skip
        return [
            Candle(
                int(opened[first]),
                self._price(bars["open"][first]), self._price(high[at]), self._price(low[at]),
                self._price(bars["close"][last]),
                self._quantity(sums[0][at]), self._price(sums[1][at]), int(sums[2][at]),
                self._quantity(sums[3][at]), self._price(sums[4][at]),
            )
            for at, (first, last) in enumerate(zip(starts, ends, strict=True))
        ]  # fmt: skip

    def _price(self, value: float) -> Decimal:
        return Decimal(f"{float(value):.{self._price_decimals}f}")

    def _quantity(self, value: float) -> Decimal:
        return Decimal(f"{float(value):.{self._quantity_decimals}f}")


def _moved(minute: Candle, opened: int) -> Candle:
    """A copy of `minute` as the beginning of a longer kline."""
    made = Candle(opened, minute.open, minute.high, minute.low, minute.close)
    for name in (
        "volume", "quote_volume", "count", "taker_buy_volume", "taker_buy_quote_volume",
        "first_trade_id", "last_trade_id",
    ):  # fmt: skip
        setattr(made, name, getattr(minute, name))
    return made
