"""What moves the price, minute by minute: regime, volatility, book, planted edge, jumps, halts.

In order: the seed's common factor (regimes, shared volatility), the symbol's own volatility, the
book, the halts, and the log returns that follow from them. Expected returns are written down here
and in docs/synthetic.md; nothing else in the bars says where the price will go.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from tercel.adapters.synthetic.draws import Draws, Floats, draw
from tercel.adapters.synthetic.paths import (
    Codes,
    cluster,
    pressure_sides,
    smooth_noise,
    walk_regimes,
)
from tercel.app.synthesise import BARS_PER_DAY, SyntheticMarket
from tercel.domain.times import DAY_MS

BPS = 1e-4


class MarketRegime(IntEnum):
    """The hidden regime of a minute."""

    CALM = 0
    TREND_UP = 1
    TREND_DOWN = 2
    PANIC = 3


REGIME_MINUTES = np.array([720.0, 720.0, 720.0, 45.0])
"""Mean length of each regime."""
REGIME_NEXT = np.array(
    [
        [0.00, 0.48, 0.48, 0.04],
        [0.60, 0.00, 0.36, 0.04],
        [0.60, 0.36, 0.00, 0.04],
        [0.50, 0.25, 0.25, 0.00],
    ]
)
"""Where each regime goes when it ends. Up and down are mirror images: no drift on average."""
REGIME_VOLATILITY = np.array([0.85, 1.0, 1.0, 2.5])
TREND_BPS = 0.04
"""Drift a minute in a trend: 29 bps over a mean trend, against noise of about 150 bps."""
PANIC_SIGMAS = 15.0
"""A panic begins with one fall of this many sigmas, in the minute it begins."""

DAILY_BUMPS = ((14.8, 2.0, 0.95), (19.5, 3.5, 0.48), (0.5, 2.8, 0.42), (9.0, 3.0, 0.12))
"""Volatility through the day: (hour UTC, width in hours, height) above a floor of one."""
WEEKDAYS = np.array([1.06, 1.08, 1.08, 1.08, 1.06, 0.66, 0.74])
"""Volatility by day of week, Monday first."""

SLOW_SHARE, SLOW_MINUTES = 0.40, 4320.0
MIDDLE_SHARE, MIDDLE_MINUTES = 0.44, 200.0
FAST_SHARE, FAST_MINUTES = 0.38, 10.0
"""Log volatility is a sum of three AR(1)s: standard deviation and memory of each."""
REACTION, MEMORY = 0.10, 0.80
"""GARCH: share of the last squared shock, and of the last variance, in the next variance."""

BOOK_SPREAD = 0.24
"""Standard deviation of half the log ratio of bid to ask size."""
BOOK_SLOW, BOOK_MINUTES = 0.85, 30.0
"""Share of the slow part in the imbalance, and its memory; the rest is fresh each minute."""
LEAD_BPS = 0.2
"""Expected next-minute return per unit of the fresh part of the imbalance, cut at three."""
PANIC_JUMP_MAX = 0.03
GAP_BPS = 8.0
HALT_MINUTES_MIN, HALT_MINUTES_MAX = 2, 10


@dataclass(frozen=True, slots=True)
class Forces:
    """Per minute, before prices: arrays of (minutes,)."""

    regimes: Codes
    sigma: Floats
    """Standard deviation of the minute's log return, known before the minute."""
    shock: Floats
    """The minute's innovation in sigmas."""
    returns: Floats
    """Log return, close to close."""
    gaps: Floats
    """The part of it that happens between the last close and this open."""
    halted: npt.NDArray[np.bool_]
    bid_size: Floats
    ask_size: Floats
    own: Draws


def keep_of(minutes: float) -> float:
    """The AR(1) coefficient whose memory falls to 1/e after `minutes`."""
    return float(np.exp(-1.0 / minutes))


def day_shape() -> Floats:
    """Volatility factor of each minute of the day, mean square one."""
    hour = np.arange(BARS_PER_DAY) / 60.0
    shape = np.ones(BARS_PER_DAY)
    for centre, width, height in DAILY_BUMPS:
        away = (hour - centre + 12.0) % 24.0 - 12.0
        shape += height * np.exp(-0.5 * (away / width) ** 2)
    return np.asarray(shape / np.sqrt(np.mean(shape**2)))


def season(market: SyntheticMarket) -> Floats:
    """Volatility factor of every minute: time of day, day of week (day 0 was a Thursday)."""
    weekday = (market.start_ms // DAY_MS + 3 + np.arange(market.days)) % 7
    return np.asarray((WEEKDAYS[weekday][:, None] * day_shape()[None, :]).ravel())


def regimes_of(common: Draws) -> Codes:
    """The hidden regimes; the same for every symbol of a seed."""
    return np.asarray(
        walk_regimes(
            common.uniform[0],
            common.uniform[1],
            1.0 / REGIME_MINUTES,
            np.cumsum(REGIME_NEXT, axis=1),
        )
    )


def pressed_sides(bid_size: Floats, ask_size: Floats, ratio: float) -> Codes:
    """+1 where bid_size >= ratio * ask_size, -1 where the reverse, else 0."""
    return (bid_size >= ratio * ask_size).astype(np.int8) - (ask_size >= ratio * bid_size).astype(
        np.int8
    )


def halts(market: SyntheticMarket, own: Draws) -> npt.NDArray[np.bool_]:
    """True in the minutes without trade. The second number of a minute sets the halt's length."""
    minutes = len(own.tail)
    halted = np.zeros(minutes, np.bool_)
    starts = np.flatnonzero(own.uniform[4] < market.halts_per_day / BARS_PER_DAY)
    span = HALT_MINUTES_MAX - HALT_MINUTES_MIN + 1
    for start in starts[starts > 0]:
        length = HALT_MINUTES_MIN + int(own.uniform[5][start] * span)
        halted[start : start + length] = True
    return halted


def _book(market: SyntheticMarket, own: Draws) -> tuple[Floats, Floats, Floats]:
    """Bid size, ask size (base, on the quantity grid) and the fresh part of the imbalance."""
    slow = smooth_noise(own.normal[4], keep_of(BOOK_MINUTES))
    fresh = np.clip(own.normal[5], -3.0, 3.0)
    half = BOOK_SPREAD * (BOOK_SLOW * slow + np.sqrt(1.0 - BOOK_SLOW**2) * fresh)
    depth = 0.15 * market.quote_volume_minute / market.start_price * np.exp(0.4 * own.normal[6])
    decimals = market.quantity_decimals
    least = 10.0**-decimals
    bid = np.maximum(np.round(depth * np.exp(half), decimals), least)
    ask = np.maximum(np.round(depth * np.exp(-half), decimals), least)
    return bid, ask, fresh


def _volatility(market: SyntheticMarket, common: Draws, own: Draws, regimes: Codes) -> Floats:
    """Sigma before the GARCH factor. Each AR(1) enters as exp(a*x - a^2): mean square one."""
    sigma = market.volatility_bps * BPS * season(market) * REGIME_VOLATILITY[regimes]
    log = SLOW_SHARE * smooth_noise(common.normal[0], keep_of(SLOW_MINUTES))
    log += MIDDLE_SHARE * smooth_noise(common.normal[1], keep_of(MIDDLE_MINUTES))
    log += FAST_SHARE * smooth_noise(own.normal[0], keep_of(FAST_MINUTES))
    mean = SLOW_SHARE**2 + MIDDLE_SHARE**2 + FAST_SHARE**2
    return np.asarray(sigma * np.exp(log - mean))


def _drift(regimes: Codes, fall: Floats) -> Floats:
    """Expected log return by regime, the fall that begins a panic, and what makes up for it.

    Outside a panic each minute gains `chance of a panic * fall`: panics cost nothing on average.
    """
    trend = TREND_BPS * BPS
    panic = regimes == MarketRegime.PANIC
    begins = np.zeros(len(regimes), np.bool_)
    begins[1:] = panic[1:] & ~panic[:-1]
    chance = (REGIME_NEXT[:, MarketRegime.PANIC] / REGIME_MINUTES)[regimes]
    drift = np.array([0.0, trend, -trend, 0.0])[regimes]
    return np.asarray(drift + chance * fall - np.where(begins, fall, 0.0))


def forces_of(market: SyntheticMarket) -> Forces:
    """Everything above, in order."""
    common = draw(market, "common", 2, 2)
    own = draw(market, market.symbol, 11, 11)
    regimes = regimes_of(common)
    bid_size, ask_size, fresh = _book(market, own)
    halted = halts(market, own)
    shock = np.sqrt(market.correlation) * common.tail + np.sqrt(1 - market.correlation) * own.tail
    base = _volatility(market, common, own, regimes)
    sigma = base * cluster(shock, REACTION, MEMORY)
    fall = np.minimum(PANIC_SIGMAS * base / REGIME_VOLATILITY[MarketRegime.PANIC], PANIC_JUMP_MAX)
    gapped = own.uniform[3] < market.gaps_per_day / BARS_PER_DAY
    gaps = np.where(gapped, GAP_BPS * BPS * np.clip(own.normal[7], -4.0, 4.0), 0.0)
    sides = pressure_sides(pressed_sides(bid_size, ask_size, market.edge_ratio), market.edge_bars)
    ahead = LEAD_BPS * BPS * fresh + market.edge_bps * BPS / market.edge_bars * sides
    returns = sigma * shock + _drift(regimes, fall) + gaps
    returns[1:] += ahead[:-1]
    returns[halted] = 0.0
    gaps[halted] = 0.0
    return Forces(regimes, sigma, shock, returns, gaps, halted, bid_size, ask_size, own)


def hidden_regimes(market: SyntheticMarket) -> Codes:
    """The true MarketRegime of each minute, for tests and charts: no bar says it."""
    return regimes_of(draw(market, "common", 2, 2))
