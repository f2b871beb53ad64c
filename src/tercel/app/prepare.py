"""From what a user asked for to what `backtest.simulate` trades: series, parameters and one
settings record each.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tercel.app.backtest import AccountSpec, StreamSpec
from tercel.app.instruments import Instrument, infer_instrument
from tercel.app.ports import BarStore
from tercel.app.series_choice import choose
from tercel.app.strategies import Strategy
from tercel.core.codes import EntryTiming, IntrabarMode, SizeMode, SlippageModel
from tercel.core.jit import new
from tercel.core.records import COSTS, FILL_RULES, LIMITS, SIZING, STREAM, Records
from tercel.domain.bars import BarSeries, SeriesKey
from tercel.domain.errors import ConfigError, DataError, UserError
from tercel.domain.results import StreamLabel
from tercel.domain.settings import (
    CostProfile,
    FillSettings,
    LimitSettings,
    Settings,
    SizingSettings,
)
from tercel.domain.times import DAY_MS, HOUR_MS, format_time

PRESSURE_UNKNOWN_SHARE_WARNED = 0.001


@dataclass(frozen=True, slots=True)
class RunRequest:
    """What to trade, as the user said it."""

    strategies: tuple[Strategy, ...]
    symbols: tuple[str, ...]
    venue: str | None = None
    timeframe: str | None = None
    start_ms: int | None = None
    end_ms: int | None = None
    """Bars open before this moment."""
    overrides: Mapping[str, object] = field(default_factory=dict)
    """Strategy parameters by name, from `--set`."""
    costs: str | None = None
    """A cost profile for every stream, instead of the strategy's or the venue's."""


@dataclass(frozen=True, slots=True)
class PreparedRun:
    """Streams and account, ready to trade, and what a reader must know about them."""

    specs: tuple[StreamSpec, ...]
    account: AccountSpec
    warnings: tuple[str, ...]
    cost_profiles: dict[str, str]
    """Profile name by stream label."""


def read_series(store: BarStore, key: SeriesKey, request: RunRequest, gaps: str) -> BarSeries:
    """The bars of the asked range. Raises DataError naming what there is when it has none."""
    if (
        request.start_ms is not None
        and request.end_ms is not None
        and request.start_ms >= request.end_ms
    ):
        raise UserError(
            f"the range is empty: it would begin at {format_time(request.start_ms)} and end at "
            f"{format_time(request.end_ms)} UTC (a bare date as --to includes that day)"
        )
    series = store.read(key, request.start_ms, request.end_ms)
    if series.gaps and gaps == "refuse":
        missing = sum(gap.bars for gap in series.gaps)
        raise DataError(
            f"{key}: {len(series.gaps)} gaps, {missing:,} bars missing in this range, and "
            f"data.gaps is refuse; `tercel data repair {key.symbol} --venue {key.venue}` "
            "downloads them"
        )
    return series


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
    return made


def limits_record(limits: LimitSettings) -> Any:
    """LIMITS of the settings."""
    made = new(LIMITS)
    made.positions_max = limits.positions_max
    made.daily_loss_fraction_max = limits.daily_loss_fraction_max
    return made


def instrument_of(settings: Settings, strategy: str, series: BarSeries) -> Instrument:
    """Tick, lot and minimums: from the settings or inferred, with the strategy's overrides."""
    known = settings.instrument(series.key.venue, series.key.symbol)
    if known is None:
        found = infer_instrument(series.bars)
    else:
        found = Instrument(
            tick_size=float(known.tick_size),
            lot_size=float(known.lot_size),
            quantity_min=float(known.quantity_min),
            notional_min=float(known.notional_min_quote),
        )
    own: dict[str, Any] = {
        name.removesuffix("_quote"): float(str(value))
        for name, value in settings.strategy(strategy).instrument.items()
    }
    return dataclasses.replace(found, **own)


def check_book(profile: CostProfile, name: str, series: BarSeries) -> None:
    """Raise DataError where cost profile `name` needs the book and a bar has none: it would have no
    price to fill at.
    """
    if profile.slippage.model != "depth":
        return
    bars = series.bars
    unknown = int(np.isnan(bars["bid_size"] + bars["ask_size"] + bars["spread_bps"]).sum())
    if unknown:
        raise DataError(
            f"{series.key}: cost profile {name} fills by the book, which is unknown in {unknown:,} "
            f"of {len(bars):,} bars; choose one with slippage model bps or ticks"
        )


def used_pressure(values: Mapping[str, int | float | str], bars: Records) -> tuple[str, float]:
    """(which pressure input the strategy reads, share of bars in which it is unknown)."""
    asked = values.get("pressure")
    if asked is None:
        return "none", 0.0
    if asked == "bar":
        return "bar", 0.0
    book = np.isfinite(bars["bid_size"]) & np.isfinite(bars["ask_size"])
    taker = np.isfinite(bars["taker_buy_volume"])
    if asked == "book" or (asked == "auto" and book.any()):
        known = book | taker if asked == "auto" else book
        return "book", 1.0 - float(known.mean())
    return "taker", 1.0 - float(taker.mean())


def stream_record(
    settings: Settings, strategy: Strategy, profile: CostProfile, instrument: Instrument
) -> Any:
    """A STREAM record with everything the settings decide. Raises ConfigError for an impossible
    plan.
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
    return made


def own_overrides(strategy: Strategy, request: RunRequest) -> dict[str, object]:
    """The overrides meant for `strategy`: with several strategies, those that it has.

    One that no strategy of the run has goes through, so that it is refused by name.
    """
    names = {name for each in request.strategies for name in each.parameters.names}
    return {
        name: value
        for name, value in request.overrides.items()
        if name in strategy.parameters.names or name not in names
    }


def account_limits(settings: Settings, strategies: Sequence[Strategy]) -> LimitSettings:
    """The limits of the run's one account; those of a strategy only where it trades alone.

    Raises ConfigError where one of several strategies has limits of its own.
    """
    if len(strategies) == 1:
        return settings.limits_of(strategies[0].name)
    for strategy in strategies:
        if own := settings.strategy(strategy.name).limits:
            raise ConfigError(
                f"strategies.{strategy.name}.limits: limits belong to the account, which several "
                f"strategies share in this run; set {', '.join(own)} under limits: instead"
            )
    return settings.limits


def prepare(store: BarStore, settings: Settings, request: RunRequest) -> PreparedRun:
    """Every (strategy, symbol) pair of the request as a stream. Raises UserError, DataError,
    ConfigError.
    """
    specs: list[StreamSpec] = []
    warnings: list[str] = []
    profiles: dict[str, str] = {}
    for symbol in request.symbols:
        key = choose(store.keys(), symbol, request.venue, request.timeframe)
        series = read_series(store, key, request, settings.data.gaps)
        for strategy in request.strategies:
            values = strategy.values(
                {**settings.strategy(strategy.name).params, **own_overrides(strategy, request)},
                key.bar_ms,
            )
            pressure, unknown = used_pressure(values, series.bars)
            label = StreamLabel(
                len(specs), strategy.name, key.venue, key.symbol, key.timeframe, pressure
            )
            instrument = instrument_of(settings, strategy.name, series)
            name = request.costs or settings.cost_profile_name(strategy.name, key.venue)
            profiles[str(label)] = name
            profile = settings.cost_profile(name)
            check_book(profile, name, series)
            record = stream_record(settings, strategy, profile, instrument)
            specs.append(StreamSpec(label, strategy, values, series, record))
            warnings.extend(_cautions(label, instrument, unknown))
        warnings.extend(_clipped(series, request))
    limits = account_limits(settings, request.strategies)
    account = AccountSpec(settings.runs.start_quote, limits_record(limits))
    return PreparedRun(tuple(specs), account, tuple(warnings), profiles)


def _clipped(series: BarSeries, request: RunRequest) -> list[str]:
    """What was asked for beyond the bars there are."""
    bar_ms = series.key.bar_ms
    first = int(series.bars["open_time"][0])
    end = int(series.bars["open_time"][-1]) + bar_ms
    found = []
    if request.start_ms is not None and first - request.start_ms >= DAY_MS:
        found.append(
            f"{series.key}: asked from {format_time(request.start_ms)}, the bars begin at "
            f"{format_time(first)}"
        )
    if request.end_ms is not None and request.end_ms - end >= DAY_MS:
        found.append(
            f"{series.key}: asked until {format_time(request.end_ms)}, the bars end at "
            f"{format_time(end)}"
        )
    return found


def _cautions(label: StreamLabel, instrument: Instrument, unknown: float) -> list[str]:
    found = []
    if instrument.inferred:
        found.append(
            f"{label.venue} {label.symbol}: tick {instrument.tick_size:g} and lot "
            f"{instrument.lot_size:g} were inferred from the bars; set them under instruments: "
            "in config/"
        )
    if label.pressure == "bar":
        found.append(f"{label}: pressure is an estimate from the shape of each bar")
    elif unknown > PRESSURE_UNKNOWN_SHARE_WARNED:
        hint = "; --set pressure=bar allows an estimate" if unknown == 1.0 else ""
        found.append(
            f"{label}: {label.pressure} pressure is unknown in {unknown:.1%} of the bars: "
            f"no signals there{hint}"
        )
    return found
