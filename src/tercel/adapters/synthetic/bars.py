"""From forces to BAR records: prices on the grid, volume, taker flow, counts, spread.

In order: closes and opens from the log returns; highs and lows as the extremes of a Brownian
bridge between them, now and then a wick; volume from volatility and the size of the move; taker
flow from the move; what is left (count, mean price, spread) from those.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tercel.adapters.synthetic.draws import Floats
from tercel.adapters.synthetic.forces import BPS, Forces, forces_of, keep_of, season
from tercel.adapters.synthetic.paths import smooth_noise
from tercel.app.synthesise import BARS_PER_DAY, SyntheticMarket
from tercel.core.records import BAR, Records
from tercel.domain.times import MINUTE_MS

BRIDGE = 0.62
"""The bridge's volatility over the minute's: real ranges are narrower than Brownian ones."""
WICK_SIGMAS = 4.0
"""A wick is this many sigmas times a standard exponential draw, cut at WICK_MAX."""
WICK_MAX = 0.02

VOLUME_SIGMA = 0.95
"""Elasticity of volume to the minute's volatility."""
VOLUME_SEASON = 0.7
"""Elasticity of volume to the season beyond what volatility brings: people keep hours."""
VOLUME_SHOCK = 0.75
"""Log volume per unit of log(1 + |shock|)."""
VOLUME_OWN, VOLUME_MINUTES = 0.45, 15.0
VOLUME_FRESH = 0.40
FLOW_SHOCK, FLOW_OWN, FLOW_MINUTES = 0.62, 0.30, 10.0
FLOW_SCALE = 0.50
"""Flow is tanh(FLOW_SCALE * (FLOW_SHOCK * shock + slow + rest)); takers buy (1 + flow) / 2."""
TRADE_QUOTE = 900.0
"""Mean value of one trade, quote."""
TRADES_MIN = 4
"""So that a bar can visit its open, high, low and close."""


@dataclass(frozen=True, slots=True)
class Prices:
    """Prices of each minute in whole ticks."""

    open: Floats
    high: Floats
    low: Floats
    close: Floats


def generate(market: SyntheticMarket) -> Records:
    """The market's closed 1m bars as BAR records, every column filled.

    The same market makes the same bytes. There is a bar for every minute of `[start_ms, end_ms)`,
    `missing_per_day` aside.
    """
    forces = forces_of(market)
    prices = _prices(market, forces)
    bars = np.zeros(len(forces.sigma), BAR)
    bars["open_time"] = market.start_ms + np.arange(len(bars), dtype=np.int64) * MINUTE_MS
    ticks_per_unit = 10.0**market.price_decimals
    for name in ("open", "high", "low", "close"):
        bars[name] = getattr(prices, name) / ticks_per_unit
    bars["bid_size"], bars["ask_size"] = forces.bid_size, forces.ask_size
    _fill_volume(bars, market, forces)
    bars["spread_bps"] = _spread(market, forces, bars["close"])
    if market.missing_per_day == 0:
        return bars
    missing = forces.own.uniform[10] < market.missing_per_day / BARS_PER_DAY
    return np.ascontiguousarray(bars[~missing])


def _prices(market: SyntheticMarket, forces: Forces) -> Prices:
    """Ticks of open, high, low and close; a halted minute stands at the last close."""
    own = forces.own
    start = np.round(market.start_price * 10.0**market.price_decimals)
    path = start * np.exp(np.cumsum(forces.returns))
    close = np.maximum(np.round(path), 1.0)
    before = np.concatenate(([start], close[:-1]))
    touch = np.where(own.uniform[2] < 0.25, -1.0, np.where(own.uniform[2] < 0.5, 1.0, 0.0))
    opened = np.maximum(np.round(before * np.exp(forces.gaps)) + touch, 1.0)
    opened = np.where(forces.halted, before, opened)

    move = np.log(close / opened)
    spread = (BRIDGE * forces.sigma) ** 2 * 2.0
    above = 0.5 * (move + np.sqrt(move**2 - spread * np.log1p(-own.uniform[0])))
    below = 0.5 * (move - np.sqrt(move**2 - spread * np.log1p(-own.uniform[1])))
    wick, wick_up = _wicks(market, forces)
    above = np.where(forces.halted, 0.0, above + np.where(wick_up, wick, 0.0))
    below = np.where(forces.halted, 0.0, below - np.where(wick_up, 0.0, wick))
    high = np.maximum(np.round(opened * np.exp(above)), np.maximum(opened, close))
    low = np.minimum(np.round(opened * np.exp(below)), np.minimum(opened, close))
    return Prices(opened, high, np.maximum(low, 1.0), close)


def _wicks(market: SyntheticMarket, forces: Forces) -> tuple[Floats, Floats]:
    """How far a wick reaches beyond the bar (log), and whether upwards. One draw decides it all."""
    rate = market.wicks_per_day / BARS_PER_DAY
    drawn = forces.own.uniform[6]
    share = drawn / rate if rate > 0 else np.ones_like(drawn)
    wicked = share < 1.0
    upward = wicked & (share < 0.5)
    within = np.where(wicked, np.where(upward, share, share - 0.5) * 2.0, 0.0)
    reach = np.minimum(WICK_SIGMAS * forces.sigma * (0.5 - np.log1p(-within)), WICK_MAX)
    return np.where(wicked, reach, 0.0), upward


def _fill_volume(bars: Records, market: SyntheticMarket, forces: Forces) -> None:
    """Volume, taker volume, both in quote, and the number of trades."""
    own, decimals = forces.own, market.quantity_decimals
    lot = 10.0**-decimals
    noise = VOLUME_OWN * smooth_noise(own.normal[1], keep_of(VOLUME_MINUTES))
    noise += VOLUME_FRESH * own.normal[2]
    busy = (forces.sigma / (market.volatility_bps * BPS)) ** VOLUME_SIGMA
    busy *= season(market) ** VOLUME_SEASON
    busy *= (1.0 + np.abs(forces.shock)) ** VOLUME_SHOCK
    scale = market.quote_volume_minute / market.start_price
    volume = np.maximum(np.round(scale * busy * np.exp(noise), decimals), TRADES_MIN * lot)
    volume = np.where(forces.halted, 0.0, np.round(volume, decimals))

    slow = FLOW_OWN * smooth_noise(own.normal[3], keep_of(FLOW_MINUTES))
    rest = np.sqrt(1.0 - FLOW_SHOCK**2 - FLOW_OWN**2) * own.normal[8]
    flow = np.tanh(FLOW_SCALE * (FLOW_SHOCK * forces.shock + slow + rest))
    taker = np.clip(np.round(volume * 0.5 * (1.0 + flow), decimals), 0.0, volume)

    lean = 0.5 + 0.3 * (own.uniform[7] - 0.5)
    middle = 0.5 * (bars["open"] + bars["close"])
    mean = lean * middle + (1.0 - lean) * (bars["high"] + bars["low"] + middle) / 3.0
    mean = np.clip(mean, bars["low"], bars["high"])
    bars["volume"], bars["taker_buy_volume"] = volume, taker
    bars["quote_volume"] = np.round(volume * mean, 6)
    bars["taker_buy_quote_volume"] = np.round(taker * mean, 6)
    trades = np.round(volume * market.start_price / TRADE_QUOTE * np.exp(0.25 * own.normal[9]))
    lots = np.round(volume / lot)
    bars["count"] = np.where(forces.halted, 0.0, np.clip(trades, TRADES_MIN, lots))


def _spread(market: SyntheticMarket, forces: Forces, close: Floats) -> Floats:
    """Spread at the close, basis points of mid: whole ticks, wider when volatile."""
    quiet = 0.15 * BPS * close * 10.0**market.price_decimals
    stressed = forces.sigma / (market.volatility_bps * BPS)
    ticks = np.maximum(1.0, np.round(quiet * stressed * np.exp(0.5 * forces.own.normal[10])))
    return np.asarray(np.round(ticks / (close * 10.0**market.price_decimals) / BPS, 6))
