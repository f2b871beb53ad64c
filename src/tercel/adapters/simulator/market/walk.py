"""The cheap way through a bar: its four prices, and between them every price that somebody waits
for, so that a stop fires at its trigger and not at the end of the leg.
"""

from __future__ import annotations

from itertools import pairwise

from tercel.adapters.simulator.exchange.exchange import Exchange
from tercel.adapters.simulator.market.path import BarPrices


def walk_bar(
    exchange: Exchange, symbol: str, prices: BarPrices, open_ms: int, bar_ms: int = 60_000
) -> None:
    """Tell the exchange of a bar; the last price is its close, a millisecond before its end."""
    corners = prices.corners()
    exchange.on_price(symbol, corners[0], open_ms)
    leg_ms = bar_ms // (len(corners) - 1)
    for place, (start, end) in enumerate(pairwise(corners)):
        time_ms = open_ms + place * leg_ms
        low, high = min(start, end), max(start, end)
        waited = [price for price in exchange.watched_prices(symbol) if low < price < high]
        for price in sorted(waited, reverse=end < start):
            time_ms += 1
            exchange.on_price(symbol, price, time_ms)
        last_ms = open_ms + bar_ms - 1
        exchange.on_price(symbol, end, last_ms if place == 2 else open_ms + (place + 1) * leg_ms)
