"""What a session trades: strategies on symbols, one account, and the settings of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tercel.app.backtest import (
    AccountSpec,
    FlowFilter,
    fresh_streams,
    open_account,
    rows_of_series,
    watches,
)
from tercel.app.prepare import PreparedRun
from tercel.app.strategies import Strategy
from tercel.core.records import MARKET, Records
from tercel.domain.bars import SeriesKey
from tercel.domain.results import StreamLabel


@dataclass(frozen=True, slots=True, eq=False)
class LiveStream:
    """One strategy on one series, with everything that decides how it trades."""

    label: StreamLabel
    strategy: Strategy
    values: dict[str, int | float | str]
    """Parameter values by name."""
    settings: Any
    """STREAM record: plan, instrument, costs, rules, sizing, pace."""
    series: int
    """Row of its series among `SessionPlan.series`."""
    flow: FlowFilter | None = None


@dataclass(frozen=True, slots=True, eq=False)
class SessionPlan:
    """Streams, the series they trade, and the account they share."""

    streams: tuple[LiveStream, ...]
    series: tuple[SeriesKey, ...]
    account: AccountSpec
    symbols: tuple[str, ...] = field(init=False, repr=False)
    """Of the series, in their order."""
    _streams_of: dict[str, tuple[int, ...]] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        symbols = tuple(key.symbol for key in self.series)
        traded = [symbols[stream.series] for stream in self.streams]
        by_symbol = {
            symbol: tuple(k for k, each in enumerate(traded) if each == symbol)
            for symbol in symbols
        }
        object.__setattr__(self, "symbols", symbols)
        object.__setattr__(self, "_streams_of", by_symbol)

    @property
    def bar_ms(self) -> int:
        """Length of a bar, the same for all, ms."""
        return self.series[0].bar_ms

    def streams_of(self, symbol: str) -> tuple[int, ...]:
        """Numbers of the streams that trade `symbol`."""
        return self._streams_of.get(symbol, ())


def plan_of(prepared: PreparedRun) -> SessionPlan:
    """The session that trades what a backtest of `prepared` trades."""
    rows = rows_of_series(prepared.specs)
    keys = dict(
        zip(reversed(rows), (spec.series.key for spec in reversed(prepared.specs)), strict=True)
    )
    streams = tuple(
        LiveStream(spec.label, spec.strategy, spec.values, spec.settings, row, spec.flow)
        for spec, row in zip(prepared.specs, rows, strict=True)
    )
    return SessionPlan(streams, tuple(keys[row] for row in range(len(keys))), prepared.account)


@dataclass(slots=True, eq=False)
class Books:
    """The records that the core trades with: account, streams and markets."""

    account: Any
    streams: Records
    markets: Records


def open_books(plan: SessionPlan, settings: Sequence[Any] | None = None) -> Books:
    """Fresh records of `plan`; `settings` of the streams instead of the plan's where given."""
    used = [stream.settings for stream in plan.streams] if settings is None else list(settings)
    streams = fresh_streams(used, [stream.series for stream in plan.streams], plan.bar_ms)
    account = open_account(plan.account, len(plan.series))
    markets = np.zeros(len(plan.series), MARKET)
    for row, key in enumerate(plan.series):
        markets[row]["cluster"] = plan.account.clusters.get(key.symbol, 0)
    account.watches = watches(account, streams)
    return Books(account, streams, markets)
