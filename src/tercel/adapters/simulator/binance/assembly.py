"""A venue out of settings and bars: the exchange, its market, the façade."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal

import numpy as np

from tercel.adapters.simulator.binance.facade import BinanceFacade, MarketBefore
from tercel.adapters.simulator.binance.settings import FacadeSettings, credentials_of
from tercel.adapters.simulator.exchange.exchange import Exchange
from tercel.adapters.simulator.exchange.rules import exchange_rules
from tercel.adapters.simulator.faults import FaultPlan
from tercel.adapters.simulator.market.driver import MarketDriver
from tercel.adapters.simulator.market.shape import market_shape
from tercel.adapters.simulator.market.ticks import MarketTick
from tercel.core.records import Records
from tercel.domain.errors import DataError
from tercel.domain.settings import InstrumentSettings, Settings

MINUTE_MS = 60_000
NO_FAULTS = FaultPlan()


@dataclass(frozen=True, slots=True)
class VenueOrder:
    """Which venue is wanted: what it trades, from when on, and what goes wrong."""

    series: Mapping[str, Records]
    """One-minute bars of each symbol; those before `start_ms` are the history."""
    start_ms: int
    """The first minute that is played."""
    seed: int = 1
    instruments_venue: str = "binance-usdm"
    """Whose trading rules of the settings hold."""
    inferred: Mapping[str, InstrumentSettings] | None = None
    """Rules of symbols that the settings do not list."""
    plan: FaultPlan = NO_FAULTS
    facade: FacadeSettings | None = None
    """None: a key of the seed, today's dialect, the vendor's limits."""
    funding: Mapping[str, Mapping[int, float]] | None = None
    """Rates by symbol and settlement."""
    speed: float = 1.0
    """How fast the venue's time will run."""


@dataclass(frozen=True, slots=True)
class Venue:
    """What was made."""

    facade: BinanceFacade
    driver: MarketDriver
    settings: FacadeSettings
    start_ms: int
    end_ms: int
    """The first minute for which there are no bars."""

    def ticks(self) -> Iterator[MarketTick]:
        """The market from `start_ms` on."""
        return self.driver.ticks(self.start_ms)


def build_venue(settings: Settings, order: VenueOrder) -> Venue:
    """The venue of `order`. Raises UserError and DataError for what cannot be traded."""
    rules = exchange_rules(settings, order.instruments_venue, tuple(order.series), order.inferred)
    played = {}
    history = {}
    for symbol, bars in order.series.items():
        first = int(np.searchsorted(bars["open_time"], order.start_ms, "left"))
        history[symbol], played[symbol] = bars[:first], bars[first:]
        if not len(played[symbol]):
            raise DataError(f"{symbol}: no bar from the start of the simulation on")
    exchange = Exchange(
        rules,
        balance_quote=Decimal(str(settings.simulator.balance_quote)),
        seed=order.seed,
    )
    shape = market_shape(settings, MINUTE_MS)
    driver = MarketDriver(played, rules.instruments, shape, order.seed, order.funding)
    asked = order.facade or FacadeSettings(credentials_of(order.seed))
    facade_settings = replace(asked, limits=asked.limits.stretched(order.speed))
    facade = BinanceFacade(
        exchange,
        MarketBefore(rules, history),
        facade_settings,
        order.plan,
        start_ms=order.start_ms,
    )
    end_ms = min(int(bars["open_time"][-1]) for bars in played.values()) + MINUTE_MS
    return Venue(facade, driver, facade_settings, order.start_ms, end_ms)


def redated(order: VenueOrder, start_ms: int) -> VenueOrder:
    """The same market as if it began at `start_ms`, a whole minute."""
    shift_ms = start_ms - order.start_ms
    moved = {}
    for symbol, bars in order.series.items():
        moved[symbol] = bars.copy()
        moved[symbol]["open_time"] += shift_ms
    funding = {
        symbol: {time_ms + shift_ms: rate for time_ms, rate in rates.items()}
        for symbol, rates in (order.funding or {}).items()
    }
    return replace(order, series=moved, start_ms=start_ms, funding=funding or None)
