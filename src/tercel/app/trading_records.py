"""Settings as the records that kernels read."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from tercel.app.instruments import Instrument, infer_instrument
from tercel.app.strategies import Strategy
from tercel.core.codes import EntryTiming, IntrabarMode, SizeMode, SlippageModel
from tercel.core.jit import new
from tercel.core.records import COSTS, FILL_RULES, LIMITS, PACE, SIZING, STREAM
from tercel.domain.bars import BarSeries
from tercel.domain.errors import ConfigError
from tercel.domain.settings import (
    CostProfile,
    FillSettings,
    InstrumentSettings,
    LimitSettings,
    Settings,
    SizingSettings,
)
from tercel.domain.times import HOUR_MS, MINUTE_MS


def costs_record(profile: CostProfile, seed: int) -> Any:
    """COSTS of a profile."""
    made = new(COSTS)
    made.maker_fee_rate = profile.maker_fee_rate
    made.taker_fee_rate = profile.taker_fee_rate
    made.slippage_model = SlippageModel[profile.slippage.model.upper()]
    made.slippage_ticks_min = profile.slippage.ticks_min
    made.slippage_ticks_max = profile.slippage.ticks_max
    made.slippage_bps = profile.slippage.bps
    made.impact_bps = profile.slippage.impact_bps
    made.funding_rate = profile.funding_rate
    made.funding_interval_ms = profile.funding_interval_hours * HOUR_MS
    made.seed = seed
    return made


def rules_record(fills: FillSettings) -> Any:
    """FILL_RULES of the settings."""
    made = new(FILL_RULES)
    made.intrabar = IntrabarMode[fills.intrabar.upper()]
    made.entry_timing = EntryTiming[fills.entry_timing.upper()]
    made.limit_through_ticks = fills.limit_through_ticks
    made.limit_fill_probability = fills.limit_fill_probability
    made.limit_gap_at_open = fills.limit_gap_at_open
    made.participation_max = fills.participation_max
    return made


def sizing_record(sizing: SizingSettings) -> Any:
    """SIZING of the settings."""
    made = new(SIZING)
    made.mode = SizeMode[sizing.mode.upper()]
    made.risk_fraction = sizing.risk_fraction
    made.notional_quote = sizing.notional_quote
    made.quantity = sizing.quantity
    made.includes_costs = sizing.includes_costs
    made.notional_max = sizing.notional_max_quote or 0.0
    made.leverage_max = sizing.leverage_max
    made.cross_margin = sizing.cross_margin
    made.kelly_fraction = sizing.kelly_fraction
    made.kelly_trades_min = sizing.kelly_trades_min
    steps = sorted(sizing.score_steps, reverse=True)
    for place, (score, share) in enumerate(steps):
        made.score_from[place] = score
        made.score_factor[place] = share
    return made


def limits_record(limits: LimitSettings) -> Any:
    """LIMITS of the settings."""
    made = new(LIMITS)
    for name, value in limits.model_dump(exclude={"resume_after_hours"}).items():
        made[name] = value
    made.resume_after_ms = round(limits.resume_after_hours * HOUR_MS)
    return made


def pace_record(pace: Mapping[str, Any]) -> Any:
    """PACE of the figures in `pace` (names of PaceSettings); what is not named is off."""
    made = new(PACE)
    for name, value in pace.items():
        if name == "thin_hours":
            made.thin_hours = sum(1 << hour for hour in value)
        elif name.endswith("_minutes"):
            made[name.removesuffix("_minutes") + "_ms"] = round(value * MINUTE_MS)
        elif name != "flow_min":
            made[name] = value
    return made


def instrument_of(settings: Settings, strategy: str, series: BarSeries) -> Instrument:
    """Tick, lot and minimums: from the settings or inferred, with the strategy's overrides."""
    key = series.key
    known = settings.instrument(key.venue, key.symbol)
    if known is not None:
        return instrument_from(settings, strategy, key.symbol, known)
    return _overridden(settings, strategy, key.symbol, infer_instrument(series.bars))


def instrument_from(
    settings: Settings, strategy: str, symbol: str, known: InstrumentSettings
) -> Instrument:
    """Tick, lot and minimums as `known`, with the strategy's overrides."""
    found = Instrument(
        tick_size=float(known.tick_size),
        lot_size=float(known.lot_size),
        quantity_min=float(known.quantity_min),
        notional_min=float(known.notional_min_quote),
    )
    return _overridden(settings, strategy, symbol, found)


def _overridden(settings: Settings, strategy: str, symbol: str, found: Instrument) -> Instrument:
    own: dict[str, Any] = {
        name.removesuffix("_quote"): float(str(value))
        for name, value in settings.strategy(strategy).instrument.items()
    }
    return dataclasses.replace(found, tiers=tuple(settings.tiers_of(symbol)), **own)


def stream_record(
    settings: Settings,
    strategy: Strategy,
    profile: CostProfile,
    instrument: Instrument,
    *,
    alone: bool = True,
) -> Any:
    """A STREAM record with everything the settings decide. Raises ConfigError for an impossible
    plan. Beside other strategies (not `alone`) its own pace counts on top of the account's.
    """
    made = new(STREAM)
    own = settings.strategy(strategy.name)
    plan = dataclasses.replace(strategy.plan, **own.plan)
    try:
        made.plan = plan.record()
    except ValueError as error:
        raise ConfigError(f"strategies.{strategy.name}.plan: {error}") from None
    made.instrument = instrument.record()
    made.costs = costs_record(profile, settings.runs.seed)
    made.rules = rules_record(settings.fills_of(strategy.name))
    made.sizing = sizing_record(settings.sizing_of(strategy.name))
    if not alone:
        made.pace = pace_record(dict(own.pace))
    return made
