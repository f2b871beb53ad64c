"""Depth snapshots and trades for a short range of a synthetic market, consistent with its bars.

A minute's trades add up to its bar: first price the open, last the close, extremes the high and
low, quantities the volume and the taker volume, as many as the count. Their mean price lies inside
the bar but is not the bar's to the last digit. A minute's snapshot stands at the bar's close: its
best sizes and spread are the bar's.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from tercel.adapters.synthetic.bars import generate
from tercel.adapters.synthetic.draws import Floats, generator
from tercel.app.synthesise import SyntheticMarket
from tercel.core.records import Records
from tercel.domain.errors import UserError
from tercel.domain.times import DAY_MS, MINUTE_MS, format_time

SPAN_MS_MAX = DAY_MS
"""Longest range of one call: a day of trades is about two million rows."""
LEVELS_MAX = 100

PRINT = np.dtype(
    [
        ("time", "i8"),  # ms UTC
        ("price", "f8"),
        ("quantity", "f8"),  # base
        ("is_buyer_maker", "?"),  # True: the taker sold
    ]
)


@dataclass(frozen=True, slots=True)
class DepthLadders:
    """One snapshot a minute, at the bar's close; arrays (minutes, levels), best level first."""

    time: npt.NDArray[np.int64]
    """Close of the bar, ms UTC."""
    bid_price: Floats
    bid_size: Floats
    ask_price: Floats
    ask_size: Floats


def generate_depth(
    market: SyntheticMarket, start_ms: int, end_ms: int, levels: int = 20
) -> DepthLadders:
    """Snapshots of the minutes with start <= open_time < end. Raises UserError for a bad range."""
    if not 1 <= levels <= LEVELS_MAX:
        raise UserError(f"depth levels: {levels}; use 1 to {LEVELS_MAX}")
    bars = _slice(market, start_ms, end_ms)
    unit = 10.0**market.price_decimals
    close = np.round(bars["close"] * unit)
    spread = np.maximum(np.round(bars["spread_bps"] * 1e-4 * close), 1.0)
    bought = 2.0 * bars["taker_buy_volume"] > bars["volume"]
    bid = np.where(bought, np.maximum(close - spread, 1.0), close)
    shape = (len(bars), levels)
    steps, sizes = np.ones((2, *shape)), np.ones((2, *shape))
    for i, opened in enumerate(bars["open_time"]):
        source = generator(market.seed, f"{market.symbol} depth", int(opened) // MINUTE_MS)
        steps[:, i, 1:] = source.geometric(0.5, (2, LEVELS_MAX))[:, 1:levels]
        sizes[:, i, 1:] = np.exp(0.5 * source.standard_normal((2, LEVELS_MAX)))[:, 1:levels]
    steps[:, :, 0] = 0.0
    away = np.cumsum(steps, axis=2)
    grown = sizes * (1.0 + 0.15 * np.arange(levels))
    least, decimals = 10.0**-market.quantity_decimals, market.quantity_decimals
    return DepthLadders(
        time=bars["open_time"] + MINUTE_MS,
        bid_price=np.maximum(bid[:, None] - away[0], 0.0) / unit,
        bid_size=np.maximum(np.round(bars["bid_size"][:, None] * grown[0], decimals), least),
        ask_price=((bid + spread)[:, None] + away[1]) / unit,
        ask_size=np.maximum(np.round(bars["ask_size"][:, None] * grown[1], decimals), least),
    )


def generate_trades(market: SyntheticMarket, start_ms: int, end_ms: int) -> Records:
    """Trades with start <= time < end, in order (dtype PRINT). Raises UserError for a bad range."""
    bars = _slice(market, start_ms, end_ms)
    parts = [_minute(market, bar) for bar in bars if bar["count"] > 0]
    return np.concatenate(parts) if parts else np.zeros(0, PRINT)


def _slice(market: SyntheticMarket, start_ms: int, end_ms: int) -> Records:
    """The bars of a range, from no more days of the market than it takes."""
    if not market.start_ms <= start_ms < end_ms <= market.end_ms:
        raise UserError(
            f"{market.symbol}: the range must lie within {format_time(market.start_ms)} "
            f"to {format_time(market.end_ms)} and must not be empty"
        )
    if end_ms - start_ms > SPAN_MS_MAX:
        raise UserError(f"{market.symbol}: ask for at most one day of depth or trades at a time")
    days = -((market.start_ms - end_ms) // DAY_MS)
    bars = generate(replace(market, days=days))
    chosen = (bars["open_time"] >= start_ms) & (bars["open_time"] < end_ms)
    return np.ascontiguousarray(bars[chosen])


def _minute(market: SyntheticMarket, bar: Records) -> Records:
    """The trades of one bar."""
    count = int(bar["count"])
    opened = int(bar["open_time"])
    source = generator(market.seed, f"{market.symbol} trades", opened // MINUTE_MS)
    unit = 10.0**market.quantity_decimals
    bought = round(float(bar["taker_buy_volume"]) * unit)
    sold = round(float(bar["volume"]) * unit) - bought
    wish = round(count * bought / (bought + sold))
    fewest, most = max(count - sold, min(bought, 1)), min(bought, count - min(sold, 1))
    buys = min(max(wish, fewest), most)
    lots = np.concatenate((_split(source, bought, buys), _split(source, sold, count - buys)))
    order = source.permutation(count)
    made = np.zeros(count, PRINT)
    made["time"] = opened + np.sort(source.integers(0, MINUTE_MS, count))
    made["price"] = _walk(source, bar, count, 10.0**market.price_decimals)
    made["quantity"] = lots[order] / unit
    made["is_buyer_maker"] = order >= buys
    return made


def _split(source: np.random.Generator, lots: int, parts: int) -> npt.NDArray[np.int64]:
    """`lots` in `parts` random pieces of at least one."""
    if parts == 0:
        return np.zeros(0, np.int64)
    weight = source.standard_gamma(0.4, parts) + 1e-9
    return np.asarray(1 + source.multinomial(lots - parts, weight / weight.sum()), np.int64)


def _walk(source: np.random.Generator, bar: Records, count: int, unit: float) -> Floats:
    """Prices from open through both extremes to close: a rising bar visits its low first."""
    opened, high, low, close = (
        round(float(bar[name]) * unit) for name in ("open", "high", "low", "close")
    )
    turns = np.sort(source.choice(count - 2, 2, replace=False)) + 1
    extremes = (low, high) if close >= opened else (high, low)
    corners = np.array([0, *turns, count - 1])
    ticks = np.array([opened, *extremes, close], np.float64)
    line = np.interp(np.arange(count), corners, ticks)
    noise = source.standard_normal(count) * 0.15 * (high - low)
    noise[corners] = 0.0
    return np.asarray(np.clip(np.round(line + noise), low, high) / unit)
