"""The validation gate: few trades and a profit on chosen days.

1. For each day the strategy is shown the bars of some days before it, so that its indicators are
   warm, and then the day; each day is prepared by itself.
2. Only the day is traded, on an account of its own; what is open at midnight is closed there.
3. More trades than allowed on any day, or a profit factor of all days that is not above the
   minimum, fail the gate. What passes may be promoted.

Source: source 5, "Backtest validation gate": two days on which manual signals made 54 and 25
trades; a strategy that tells an extended move from a fresh one makes 8 at most.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tercel import __version__
from tercel.app import trade_groups
from tercel.app.backtest import StreamSpec, signals_for, trade_window
from tercel.app.prepare import RunRequest, prepare
from tercel.app.promotion import Promotable, PromotedDay, PromotionRecord, promotion_hash
from tercel.app.runs import Desk
from tercel.app.series_choice import choose
from tercel.app.trade_groups import Floats
from tercel.app.wording import number
from tercel.core.records import Records
from tercel.domain.bars import SeriesKey
from tercel.domain.errors import DataError, UserError
from tercel.domain.times import DAY_MS, format_date

EXTENDED_MOVE = "Extended Move Filter failure"
DAY_SHARE_MIN = 0.99
"""Share of a day's bars, and of those before it, that must be there: a day with holes or with cold
indicators has fewer trades for no merit."""


@dataclass(frozen=True, slots=True)
class ValidationRules:
    """What is traded, and what it must show."""

    days: tuple[int, ...]
    """Midnights, ms UTC."""
    trades_max: int
    profit_factor_min: float
    warm_up_days: int


@dataclass(frozen=True, slots=True, eq=False)
class ValidatedDay:
    """One day, traded."""

    day: int
    """Its midnight, ms UTC."""
    spec: StreamSpec
    """The stream, with the bars before the day."""
    cost_profile: str
    warm_up_bars: int
    """Bars before the day that the strategy was shown."""
    signals: int
    refusals: Mapping[str, int]
    """Signals that became no order, by reason."""
    trades: Records
    """TRADE records, by exit time."""
    warnings: tuple[str, ...]

    @property
    def profit_factor(self) -> float:
        """Net; NaN without a losing trade."""
        return trade_groups.profit_factor(self.trades["net_quote"])


@dataclass(frozen=True, slots=True, eq=False)
class Validation:
    """All days, and the outcome."""

    days: tuple[ValidatedDay, ...]
    profit_factor: float
    """Of the trades of all days, net; NaN where undefined."""
    failures: tuple[str, ...]
    """One line each; none: it passed."""

    @property
    def passed(self) -> bool:
        """Whether it may be promoted."""
        return not self.failures

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a reader must know, once each."""
        return tuple(dict.fromkeys(line for day in self.days for line in day.warnings))


def validate_days(desk: Desk, request: RunRequest, rules: ValidationRules) -> Validation:
    """Trade each day of `rules` with the one strategy and symbol of `request`.

    Raises UserError without a day, DataError for a day that the lake does not have whole or
    with too few bars before it.
    """
    if not rules.days:
        raise UserError("name at least one day: --days 2026-02-09,2026-02-13")
    [symbol] = request.symbols
    key = choose(desk.store.keys(), symbol, request.venue, request.timeframe)
    for day in rules.days:
        _check_day(desk, key, day)
        _check_warm_up(desk, key, day, rules.warm_up_days)
    days = tuple(_trade_day(desk, request, day, rules.warm_up_days) for day in rules.days)
    net = np.concatenate([day.trades["net_quote"] for day in days])
    factor = trade_groups.profit_factor(net)
    return Validation(
        days=days,
        profit_factor=factor,
        failures=(*_too_many(days, rules), *_too_little(factor, net, rules)),
    )


def promotion_of(desk: Desk, found: Validation) -> PromotionRecord:
    """The record of a validation that passed. Raises UserError for one that did not."""
    if not found.passed:
        raise UserError(f"not promoted: {found.failures[0]}")
    last = found.days[-1]
    label = last.spec.label
    subject = Promotable(last.spec.strategy, label.symbol, last.spec.values, last.cost_profile)
    return PromotionRecord(
        strategy=label.strategy,
        symbol=label.symbol,
        venue=label.venue,
        timeframe=label.timeframe,
        pressure=label.pressure,
        hashes=promotion_hash(desk.settings, subject),
        days=tuple(
            PromotedDay(format_date(day.day), len(day.trades), float(day.trades["net_quote"].sum()))
            for day in found.days
        ),
        profit_factor=found.profit_factor,
        tercel=__version__,
        created_time=desk.clock.now_ms(),
    )


def _check_day(desk: Desk, key: SeriesKey, day: int) -> None:
    """Raise DataError unless (nearly) every bar of the day is there."""
    info = desk.store.info(key)
    there = (
        f"the lake has {key} from {format_date(info.first_time)} to {format_date(info.last_time)}"
    )
    if not info.first_time - DAY_MS < day <= info.last_time:
        raise DataError(f"{format_date(day)} is out of range: {there}")
    bars = _bars_between(desk, key, day, day + DAY_MS)
    whole = DAY_MS // key.bar_ms
    if bars < DAY_SHARE_MIN * whole:
        raise DataError(
            f"{format_date(day)} has {bars:,} of {whole:,} bars, too few to validate on: {there}"
        )


def _check_warm_up(desk: Desk, key: SeriesKey, day: int, warm_up_days: int) -> None:
    """Raise DataError unless (nearly) every bar that warms the indicators is there."""
    start = day - warm_up_days * DAY_MS
    needed = warm_up_days * DAY_MS // key.bar_ms
    bars = _bars_between(desk, key, start, day)
    if bars < DAY_SHARE_MIN * needed:
        raise DataError(
            f"{key} has {bars:,} bars before {format_date(day)}, and {needed:,} from "
            f"{format_date(start)} on are needed to warm the indicators "
            f"(validation.warm_up_days {warm_up_days}); load them or choose a later day"
        )


def _bars_between(desk: Desk, key: SeriesKey, start: int, end: int) -> int:
    """Bars of the lake that open in [start, end), ms UTC."""
    try:
        return len(desk.store.read(key, start, end).bars)
    except DataError:  # there is none
        return 0


def _trade_day(desk: Desk, request: RunRequest, day: int, warm_up_days: int) -> ValidatedDay:
    """The signals of the day and of the days before it; the trades of the day alone."""
    prepared = prepare(
        desk.store,
        desk.settings,
        replace(request, start_ms=day - warm_up_days * DAY_MS, end_ms=day + DAY_MS),
        desk.contexts,
    )
    [spec] = prepared.specs
    first = int(np.searchsorted(spec.series.bars["open_time"], day))
    result = trade_window(spec, prepared.account, signals_for(spec), (first, len(spec.series.bars)))
    return ValidatedDay(
        day=day,
        spec=spec,
        cost_profile=prepared.cost_profiles[str(spec.label)],
        warm_up_bars=first,
        signals=result.signals,
        refusals=result.refusals,
        trades=result.trades.copy(),
        warnings=prepared.warnings,
    )


def _too_many(days: Sequence[ValidatedDay], rules: ValidationRules) -> list[str]:
    return [
        f"{EXTENDED_MOVE}: {len(day.trades):,} trades on {format_date(day.day)}, at most "
        f"{rules.trades_max} are allowed"
        for day in days
        if len(day.trades) > rules.trades_max
    ]


def _too_little(factor: float, net: Floats, rules: ValidationRules) -> list[str]:
    wanted = f"it must be above {number(rules.profit_factor_min)}"
    if math.isnan(factor):
        reason = "there is no trade" if not len(net) else "there is no losing trade"
        return [f"profit factor is not defined, since {reason}; {wanted}"]
    if not factor > rules.profit_factor_min:
        return [f"profit factor {number(factor)}; {wanted}"]
    return []
