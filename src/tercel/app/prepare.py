"""From what a user asked for to what `backtest.simulate` trades: series, parameters and one
settings record each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from tercel.app.backtest import AccountSpec, FlowFilter, StreamSpec
from tercel.app.context import ContextRows, JoinedContext, context_rows
from tercel.app.ports import BarStore, ContextStore
from tercel.app.series_choice import choose
from tercel.app.signals import unknown_context
from tercel.app.strategies import Strategy, load_strategy
from tercel.app.trading_records import instrument_of, limits_record, pace_record, stream_record
from tercel.core.codes import IntrabarMode
from tercel.core.records import BAR, CONTEXT, Records
from tercel.domain.bars import BarSeries, SeriesKey
from tercel.domain.errors import DataError, UserError
from tercel.domain.results import StreamLabel
from tercel.domain.settings import CostProfile, Settings
from tercel.domain.times import DAY_MS, format_time

FLOW_FILTER = "order_flow"
FILL_MODES: dict[str, IntrabarMode] = {
    "pessimistic": IntrabarMode.STOP_FIRST,
    "neutral": IntrabarMode.OHLC_PATH,
    "optimistic": IntrabarMode.OPTIMISTIC,
}
"""How much a bar whose inside is unknown is believed, worst first."""
UNKNOWN_SHARE_WARNED = 0.001
"""Share of bars without an input from which it is told."""


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
    fills: str | None = None
    """pessimistic, neutral, optimistic or all (three runs side by side); None: as the settings
    say."""


@dataclass(frozen=True, slots=True)
class PreparedRun:
    """Streams and account, ready to trade, and what a reader must know about them."""

    specs: tuple[StreamSpec, ...]
    account: AccountSpec
    warnings: tuple[str, ...]
    cost_profiles: dict[str, str]
    """Profile name by stream label."""
    context: dict[str, JoinedContext] = field(default_factory=dict)
    """What was joined beside the bars, by series and field."""


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


def account_of(settings: Settings, strategies: Sequence[Strategy]) -> AccountSpec:
    """The run's one account; limits and pace of a strategy are its own where it trades alone."""
    limits, pace = settings.limits, settings.pace
    if len(strategies) == 1:
        limits = settings.limits_of(strategies[0].name)
        pace = settings.pace_of(strategies[0].name)
    clusters = {
        symbol: number
        for number, symbols in enumerate(settings.clusters.values(), start=1)
        for symbol in symbols
    }
    return AccountSpec(
        settings.runs.start_quote,
        limits_record(limits),
        pace_record(pace.model_dump()),
        clusters,
    )


def flow_filter(settings: Settings, strategy: Strategy, bar_ms: int) -> FlowFilter | None:
    """The order-flow filter that signals of `strategy` must pass; None where it is off."""
    wanted = settings.pace_of(strategy.name).flow_min
    if not wanted > 0.0:
        return None
    flow = load_strategy(FLOW_FILTER)
    return FlowFilter(flow, flow.values(settings.strategy(flow.name).params, bar_ms), wanted)


@dataclass(frozen=True, slots=True, eq=False)
class MarketInput:
    """The bars of one series, and what is known beside them."""

    series: BarSeries
    beside: ContextRows


def market_inputs(
    store: BarStore, settings: Settings, request: RunRequest, contexts: ContextStore | None = None
) -> tuple[MarketInput, ...]:
    """What the request's symbols are traded on, in their order. Raises UserError, DataError.

    Runs of several strategies over the same symbols share it: bars are read and joined once.
    """
    found = []
    for symbol in request.symbols:
        key = choose(store.keys(), symbol, request.venue, request.timeframe)
        series = read_series(store, key, request, settings.data.gaps)
        beside = ContextRows(unknown_context(), {})
        if contexts is not None:
            beside = context_rows(contexts, store, series, settings.context)
        found.append(MarketInput(series, beside))
    return tuple(found)


def prepare(
    store: BarStore, settings: Settings, request: RunRequest, contexts: ContextStore | None = None
) -> PreparedRun:
    """Every (strategy, symbol) pair of the request as a stream. Raises UserError, DataError,
    ConfigError.

    `contexts` knows funding, open interest and the like; without it nothing is known beside bars.
    """
    refuse_filters(request.strategies)
    return prepare_on(market_inputs(store, settings, request, contexts), settings, request)


def refuse_filters(strategies: Sequence[Strategy]) -> None:
    """Raise UserError where one of `strategies` trades nothing itself."""
    for strategy in strategies:
        if strategy.is_filter:
            raise UserError(
                f"{strategy.name} is a filter and trades nothing itself; let it confirm another "
                f"strategy with --set pace.flow_min=0.2"
            )


def prepare_on(
    inputs: Sequence[MarketInput], settings: Settings, request: RunRequest
) -> PreparedRun:
    """`prepare` on what is already read and joined. Raises UserError, DataError, ConfigError."""
    specs: list[StreamSpec] = []
    warnings: list[str] = []
    profiles: dict[str, str] = {}
    joined: dict[str, JoinedContext] = {}
    for each in inputs:
        series, beside = each.series, each.beside
        joined.update({f"{series.key} {name}": told for name, told in beside.joined.items()})
        for strategy in request.strategies:
            spec, profile = _stream(settings, request, strategy, series, len(specs))
            profiles[str(spec.label)] = profile
            specs.append(replace(spec, contexts=beside.rows))
            warnings.extend(_cautions(spec, beside.rows, settings))
        warnings.extend(_clipped(series, request))
    warnings.extend(_not_applied(settings, request.strategies))
    account = account_of(settings, request.strategies)
    return PreparedRun(tuple(specs), account, tuple(warnings), profiles, joined)


def _stream(
    settings: Settings, request: RunRequest, strategy: Strategy, series: BarSeries, number: int
) -> tuple[StreamSpec, str]:
    """One strategy on one series, and the name of its cost profile."""
    key = series.key
    values = strategy.values(
        {**settings.strategy(strategy.name).params, **own_overrides(strategy, request)}, key.bar_ms
    )
    pressure, _ = used_pressure(values, series.bars)
    label = StreamLabel(number, strategy.name, key.venue, key.symbol, key.timeframe, pressure)
    instrument = instrument_of(settings, strategy.name, series)
    name = request.costs or settings.cost_profile_name(strategy.name, key.venue)
    profile = settings.cost_profile(name)
    check_book(profile, name, series)
    alone = len(request.strategies) == 1
    record = stream_record(settings, strategy, profile, instrument, alone=alone)
    if request.fills in FILL_MODES:
        record.rules.intrabar = FILL_MODES[request.fills]
    flow = flow_filter(settings, strategy, key.bar_ms)
    return StreamSpec(label, strategy, values, series, record, flow=flow), name


def _not_applied(settings: Settings, strategies: Sequence[Strategy]) -> list[str]:
    """Limits of strategies that share an account: they are the account's alone."""
    if len(strategies) == 1:
        return []
    return [
        f"limits of {strategy.name} (config/strategies/{strategy.name}.yaml) do not apply here: "
        "several strategies share the account, and its own limits count"
        for strategy in strategies
        if settings.strategy(strategy.name).limits
    ]


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


def known_share(name: str, spec: StreamSpec, contexts: Records) -> float:
    """Share of the bars at which an input of `Strategy.needs` or `uses` is known, 0..1."""
    bars = spec.series.bars
    if name == "pressure":
        return 1.0 - used_pressure(spec.values, bars)[1]
    rows = bars if name in (BAR.names or ()) else contexts
    return float(np.isfinite(rows[name]).mean())


def _cautions(spec: StreamSpec, contexts: Records, settings: Settings) -> list[str]:
    """What a reader of one stream's results must know."""
    label, strategy = spec.label, spec.strategy
    found = []
    known = settings.instrument(label.venue, label.symbol)
    if known is None:
        instrument = spec.settings["instrument"]
        found.append(
            f"{label.venue} {label.symbol}: tick {instrument['tick_size']:g} and lot "
            f"{instrument['lot_size']:g} were inferred from the bars; set them under instruments: "
            "in config/"
        )
    if label.pressure == "bar":
        found.append(f"{label}: pressure is an estimate from the shape of each bar")
    for name in strategy.needs:
        unknown = 1.0 - known_share(name, spec, contexts)
        if unknown > UNKNOWN_SHARE_WARNED:
            found.append(_missing(label, name, unknown))
    absent = [
        f"{name} in {unknown:.0%}"
        for name in strategy.uses
        if (unknown := 1.0 - known_share(name, spec, contexts)) > UNKNOWN_SHARE_WARNED
    ]
    if absent:
        found.append(f"{label}: unknown and so passed over, by share of bars: {', '.join(absent)}")
    return found


def _missing(label: StreamLabel, name: str, unknown: float) -> str:
    """A needed input that is not there, and what to do about it."""
    if name == "pressure":
        hint = "; --set pressure=bar allows an estimate" if unknown == 1.0 else ""
        return (
            f"{label}: {label.pressure} pressure is unknown in {unknown:.1%} of the bars: "
            f"no signals there{hint}"
        )
    hint = ""
    if unknown == 1.0 and name in (CONTEXT.names or ()):
        hint = "; bring it into the lake with `tercel data import PATH`"
    return f"{label}: {name} is unknown in {unknown:.1%} of the bars: no signals there{hint}"
