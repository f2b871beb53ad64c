"""One bar as a series of trades: prices that visit open, both extremes and close; sizes that add up
to its volume; taker sides that add up to its taker volume.

A rising bar visits its low first and a falling one its high, as `IntrabarMode.OHLC_PATH` has it in
the core. What lies between is drawn; the four prices are not.
"""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise
from typing import Any

import numpy as np

from tercel.adapters.simulator.exchange.amounts import UNIT, decimal_of, whole_steps
from tercel.adapters.simulator.exchange.records import BUY, SELL, ZERO, Instrument

CORNERS = 4
"""Trades that a bar needs: at its open, high, low and close."""
NOISE = 0.15
"""How far a drawn price strays from the straight way, in ranges of the bar."""


@dataclass(frozen=True, slots=True)
class BarPrices:
    """The four prices of a bar, exactly as the data has them."""

    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal

    def corners(self) -> tuple[Decimal, Decimal, Decimal, Decimal]:
        """Open, one extreme, the other, close, in the order they are visited."""
        if self.close >= self.open:
            return self.open, self.low, self.high, self.close
        return self.open, self.high, self.low, self.close


@dataclass(frozen=True, slots=True)
class PathTrade:
    """One trade of a bar, without its time."""

    price: Decimal
    quantity: Decimal
    taker_side: int


def prices_of(bar: Any) -> BarPrices:
    """The four prices of a BAR record."""
    return BarPrices(
        decimal_of(bar["open"]),
        decimal_of(bar["high"]),
        decimal_of(bar["low"]),
        decimal_of(bar["close"]),
    )


def generator(seed: int, symbol: str, open_time_ms: int) -> np.random.Generator:
    """What is drawn for one bar depends on nothing but seed, symbol and time."""
    return np.random.Generator(np.random.PCG64([seed, zlib.crc32(symbol.encode()), open_time_ms]))


def path_trades(
    bar: Any, rules: Instrument, count: int, unknown_quote: float, draws: np.random.Generator
) -> list[PathTrade]:
    """The bar's `count` trades, in whole lots where the volume goes round; none for a bar without
    volume. A volume that is not known is taken to be worth `unknown_quote`.
    """
    prices = prices_of(bar)
    volume, bought = _volumes(bar, rules, unknown_quote)
    # Rounding bought and sold volume down to units loses less than two of them.
    needed = count + 1
    unit = rules.lot_size if volume >= needed * rules.lot_size else UNIT
    if volume < needed * unit:
        return []
    way = path_prices(prices, rules.tick_size, count, draws)
    sides = _sides(way, _units(bought, unit), _units(volume - bought, unit), draws)
    buys = split(bought, sides.count(BUY), unit, draws)
    sells = split(volume - bought, sides.count(SELL), unit, draws)
    return [
        PathTrade(price, buys.pop() if side == BUY else sells.pop(), side)
        for price, side in zip(way, sides, strict=True)
    ]


def path_prices(
    prices: BarPrices, tick: Decimal, count: int, draws: np.random.Generator
) -> list[Decimal]:
    """`count` prices from open to close through both extremes, on the grid between them."""
    corners = prices.corners()
    legs = [abs(float(b - a)) for a, b in pairwise(corners)]
    room = count - CORNERS
    whole = sum(legs)
    shares = [leg / whole if whole else 1 / len(legs) for leg in legs]
    inner = [int(room * share) for share in shares]
    inner[shares.index(max(shares))] += room - sum(inner)
    spread = float(prices.high - prices.low) * NOISE
    way = [corners[0]]
    for (start, end), steps in zip(pairwise(corners), inner, strict=True):
        strays = draws.normal(0.0, spread, steps) if steps else ()
        for step, stray in enumerate(strays, start=1):
            straight = float(start) + float(end - start) * step / (steps + 1)
            price = Decimal(round((straight + stray) / float(tick))) * tick
            way.append(min(max(price, prices.low), prices.high))
        way.append(end)
    return way


def split(total: Decimal, parts: int, unit: Decimal, draws: np.random.Generator) -> list[Decimal]:
    """`total` in `parts` positive pieces that add up to it exactly, all but one in whole units."""
    if parts == 0:
        return []
    spare = int(total / unit) - parts
    weights = draws.dirichlet(np.ones(parts))
    pieces = [(1 + math.floor(spare * weight)) * unit for weight in weights]
    pieces[0] += total - sum(pieces, ZERO)
    return pieces


def _units(volume: Decimal, unit: Decimal) -> int:
    """Whole units in `volume`; less than one counts as one."""
    return max(int(volume / unit), 1 if volume else 0)


def _volumes(bar: Any, rules: Instrument, unknown_quote: float) -> tuple[Decimal, Decimal]:
    """Volume and what takers bought of it, base; half where that is not known."""
    known, taken = float(bar["volume"]), float(bar["taker_buy_volume"])
    if math.isnan(known):
        volume = whole_steps(decimal_of(unknown_quote) / decimal_of(bar["close"]), rules.lot_size)
    else:
        volume = decimal_of(known)
    if math.isnan(taken):
        return volume, whole_steps(volume / 2, rules.lot_size)
    return volume, min(decimal_of(taken), volume)


def _sides(way: list[Decimal], buys: int, sells: int, draws: np.random.Generator) -> list[int]:
    """Taker sides: rises are bought and falls sold, as far as `buys` and `sells` (units of volume
    on either side) allow: a side with volume has a trade, and none has more trades than units.
    """
    count = len(way)
    rises = [1.0, *(float((b > a) - (b < a)) for a, b in pairwise(way))]
    wanted = sum(1 for rise in rises if rise > 0) + sum(1 for rise in rises if rise == 0) // 2
    least = max(1 if buys else 0, count - sells)
    most = min(count - 1 if sells else count, buys)
    bought = min(max(wanted, least), most)
    likely = np.argsort(-(np.array(rises) + draws.uniform(0.0, 0.5, count)), kind="stable")
    chosen = {int(place) for place in likely[:bought]}
    return [BUY if place in chosen else SELL for place in range(count)]
