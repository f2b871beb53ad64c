"""The planted edge, told from the bars alone: when it is in force, how much it gives, its worth.

A bar is *pressed* long when `bid_size >= edge_ratio * ask_size`, short when the reverse. A pressed
bar is followed by `edge_bps / edge_bars` basis points of drift to its side in each of the next
`edge_bars` minutes, or until a bar is pressed to the other side. Several pressed bars do not add
up; they prolong. Nothing else depends on `edge`: at 0 the same seed makes the same book, the same
shocks, and no drift.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tercel.adapters.synthetic.draws import Floats
from tercel.adapters.synthetic.forces import BPS, pressed_sides
from tercel.adapters.synthetic.paths import Codes, pressure_sides
from tercel.app.synthesise import BARS_PER_DAY, SyntheticMarket
from tercel.core.records import Records
from tercel.domain.errors import DataError
from tercel.domain.times import MINUTE_MS

DAYS_PER_YEAR = 365


@dataclass(frozen=True, slots=True)
class EdgeWorth:
    """What the plainest rule earns: hold the side in force after each bar through the next one."""

    round_trips_per_day: float
    gross_bps: float
    """Planted drift per round trip, before costs."""
    net_bps: float
    sharpe_expected: float
    """Annualised, after costs, from the planted drift and the measured volatility."""
    sharpe_measured: float
    """Annualised, after costs, of these very bars."""


def planted_sides(bars: Records, market: SyntheticMarket) -> Codes:
    """+1, 0 or -1: the side in force after each bar closes. Raises DataError on missing bars."""
    if np.any(np.diff(bars["open_time"]) != MINUTE_MS):
        raise DataError(f"{market.symbol}: the planted edge needs bars without gaps")
    pressed = pressed_sides(bars["bid_size"], bars["ask_size"], market.edge_ratio)
    return np.asarray(pressure_sides(pressed, market.edge_bars))


def planted_drift(bars: Records, market: SyntheticMarket) -> Floats:
    """Log return planted in each bar, close to close (0.0001 is one bp); none in a halt."""
    sides = planted_sides(bars, market).astype(np.float64)
    drift = np.zeros(len(bars))
    drift[1:] = market.edge_bps * BPS / market.edge_bars * sides[:-1]
    drift[bars["volume"] == 0] = 0.0
    return drift


def close_returns(bars: Records) -> Floats:
    """Log return of each bar, close to close; the first is zero."""
    returns: npt.NDArray[np.float64] = np.zeros(len(bars))
    returns[1:] = np.diff(np.log(bars["close"]))
    return returns


def edge_worth(bars: Records, market: SyntheticMarket, cost_bps: float = 2.0) -> EdgeWorth:
    """The planted edge in money terms; `cost_bps` is paid per round trip, half at each end.

    The measured Sharpe ratio scatters around the expected one by about 1 / sqrt(years of bars).
    """
    held = np.concatenate(([0.0], planted_sides(bars, market)[:-1].astype(np.float64)))
    if market.edge < 0:
        held = -held
    cost = 0.5 * cost_bps * BPS * np.abs(np.diff(held, append=0.0))
    planted = held * planted_drift(bars, market) - cost
    earned = held * close_returns(bars) - cost
    trips = 0.5 * float(np.abs(np.diff(held, append=0.0)).sum())
    days = len(bars) / BARS_PER_DAY
    scale = np.sqrt(BARS_PER_DAY * DAYS_PER_YEAR) / float(earned.std())
    per_trip = 1e4 / max(trips, 1.0)
    return EdgeWorth(
        round_trips_per_day=trips / days,
        gross_bps=float((planted + cost).sum()) * per_trip,
        net_bps=float(planted.sum()) * per_trip,
        sharpe_expected=float(planted.mean() * scale),
        sharpe_measured=float(earned.mean() * scale),
    )
