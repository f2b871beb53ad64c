"""The arena: every strategy on the same bars with the same capital, each alone on its account.

1. Bars are read and context is joined once; each strategy is prepared on them as if it were alone.
2. The strategies are traded side by side on workers. Nothing is shared but what is only read, so
   that each result is that of a backtest of its own, whatever the number of workers.
3. They are judged, counted in the research ledger, and ranked; buy-and-hold stands beside them.
4. The allocator is tested on what their accounts did (`allocator_walk`).
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tercel.app import equity_path
from tercel.app.allocator import check_floors, results_of
from tercel.app.allocator_walk import AllocatorWalk, DailyReturns, walk_allocator
from tercel.app.backtest import simulate
from tercel.app.overfitting.deflated import deflate
from tercel.app.ports import Progress, Workers
from tercel.app.prepare import (
    PreparedRun,
    RunRequest,
    known_share,
    market_inputs,
    own_overrides,
    prepare_on,
    refuse_filters,
)
from tercel.app.report import NamedRun, Report
from tercel.app.runs import Desk, holdings, judged, record_of
from tercel.app.sharpe import PERIODS_A_YEAR, SPREAD_MIN, Floats
from tercel.app.signals import unknown_context
from tercel.app.statistics import Statistics
from tercel.app.strategies import Strategy, built_in_names, load_strategy
from tercel.app.trade_groups import TradeGroup
from tercel.app.trial_count import moments_of
from tercel.domain.arena_settings import RankBy
from tercel.domain.errors import UserError
from tercel.domain.results import BacktestResult, RunRecord


@dataclass(frozen=True, slots=True, eq=False)
class Contestant:
    """One strategy of the arena and what it did."""

    name: str
    report: Report
    missing: tuple[str, ...]
    """Inputs it needs that are unknown in every bar it was given."""
    deflated: float
    """Its probabilistic Sharpe ratio, deflated by the number of strategies; NaN: not defined."""

    @property
    def statistics(self) -> Statistics:
        """Its figures."""
        return self.report.statistics

    @property
    def headline(self) -> str:
        """The verdict in a line; why there was no trade, where there was none."""
        if self.statistics.trades:
            return self.report.verdict.headline
        if self.missing:
            return f"No trades: {' and '.join(self.missing)} unknown in every bar"
        return "No trades"

    def on_symbol(self, symbol: str) -> TradeGroup | None:
        """Its trades of one symbol; None without one."""
        names = {str(each) for each in self.report.result.labels if each.symbol == symbol}
        found = [group for group in self.statistics.by_stream if group.name in names]
        return found[0] if found else None


@dataclass(frozen=True, slots=True, eq=False)
class Arena:
    """The ranking, and all it was made from."""

    contestants: tuple[Contestant, ...]
    """Best first."""
    rank: RankBy
    benchmarks: tuple[NamedRun, ...]
    """Buy-and-hold of all symbols in equal parts first, then of each alone."""
    symbols: tuple[str, ...]
    daily: DailyReturns
    """Daily returns, a column a contestant."""
    correlations: Floats
    """(N, N) of the daily returns; NaN for one that never moved."""
    walk: AllocatorWalk
    record: RunRecord
    warnings: tuple[str, ...]

    @property
    def first(self) -> BacktestResult:
        """The result of the one on top: all have its span and capital."""
        return self.contestants[0].report.result


def default_strategies() -> tuple[Strategy, ...]:
    """Every built-in strategy that trades, by name."""
    found = (load_strategy(name) for name in built_in_names())
    return tuple(strategy for strategy in found if not strategy.is_filter)


def run_arena(desk: Desk, request: RunRequest, crew: Workers, rank: RankBy | None = None) -> Arena:
    """Trade, judge and rank the strategies of `request`. Raises TercelError.

    `rank`: what decides the order; None: as the settings say. `crew` works in this process.
    """
    refuse_filters(request.strategies)
    _refuse_equal_names(request.strategies)
    check_floors(len(request.strategies), desk.settings.allocator)
    runs = _prepared(desk, request)
    results = _trade_all(desk, runs, crew)
    held = holdings(desk.settings, runs[0])
    reports = [
        judged(desk, prepared, result, held, "arena")
        for prepared, result in zip(runs, results, strict=True)
    ]
    decides = rank or desk.settings.arena.rank
    contestants = ranked(_contestants(request.strategies, runs, reports), decides)
    daily = daily_of([(each.name, each.report.result) for each in contestants])
    return Arena(
        contestants=contestants,
        rank=decides,
        benchmarks=held,
        symbols=tuple(dict.fromkeys(spec.label.symbol for spec in runs[0].specs)),
        daily=daily,
        correlations=correlations(daily.returns),
        walk=walk_allocator(
            daily,
            [results_of(each.report.result.trades) for each in contestants],
            desk.settings.allocator,
            desk.settings.overfit,
        ),
        record=record_of(desk, _together(runs)),
        warnings=tuple(
            dict.fromkeys(line for report in reports for line in report.result.warnings)
        ),
    )


def _refuse_equal_names(strategies: Sequence[Strategy]) -> None:
    names = [strategy.name for strategy in strategies]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UserError(f"two strategies are called {twice[0]}; rename the file of one of them")


def _prepared(desk: Desk, request: RunRequest) -> list[PreparedRun]:
    """Each strategy alone, on bars and context that are read once."""
    inputs = market_inputs(desk.store, desk.settings, request, desk.contexts)
    made = []
    for strategy in request.strategies:
        own = own_overrides(strategy, request)
        alone = replace(request, strategies=(strategy,), overrides=own)
        made.append(prepare_on(inputs, desk.settings, alone))
    return made


class _SharedProgress:
    """ports.Progress of one backtest among several that advance one bar together."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._lock = threading.Lock()

    def start(self, title: str, total: float | None) -> None:
        """The whole was begun before."""

    def advance(self, amount: float = 1.0, note: str = "") -> None:
        """One after the other."""
        with self._lock:
            self._progress.advance(amount, note)


@dataclass(frozen=True, slots=True)
class _Trading:
    """What every worker needs."""

    chunk_bars: int
    progress: Progress


def _open_trading(shared: _Trading) -> Callable[[PreparedRun], BacktestResult]:
    def trade(prepared: PreparedRun) -> BacktestResult:
        return simulate(
            prepared.specs,
            prepared.account,
            chunk_bars=shared.chunk_bars,
            progress=shared.progress,
        )

    return trade


def _trade_all(desk: Desk, runs: Sequence[PreparedRun], crew: Workers) -> list[BacktestResult]:
    bars = sum(len(spec.series.bars) for prepared in runs for spec in prepared.specs)
    desk.progress.start("arena", bars)
    shared = _Trading(desk.settings.runs.chunk_bars, _SharedProgress(desk.progress))
    return list(crew.map(_open_trading, shared, runs))


def _contestants(
    strategies: Sequence[Strategy], runs: Sequence[PreparedRun], reports: Sequence[Report]
) -> list[Contestant]:
    year = math.sqrt(PERIODS_A_YEAR)
    ratios = np.array([report.statistics.sharpe / year for report in reports], np.float64)
    made = []
    for strategy, prepared, report in zip(strategies, runs, reports, strict=True):
        deflation = deflate(moments_of(report.statistics), ratios, float(len(reports)))
        missing = missing_inputs(strategy, prepared)
        made.append(Contestant(strategy.name, report, missing, deflation.probability))
    return made


def missing_inputs(strategy: Strategy, prepared: PreparedRun) -> tuple[str, ...]:
    """What `strategy` needs and no bar of any of its series has."""

    def known(name: str) -> bool:
        return any(
            known_share(name, spec, unknown_context() if spec.contexts is None else spec.contexts)
            > 0.0
            for spec in prepared.specs
        )

    return tuple(name for name in strategy.needs if not known(name))


def _together(runs: Sequence[PreparedRun]) -> PreparedRun:
    """All streams of all runs, for the record of how it came about."""
    return PreparedRun(
        specs=tuple(spec for prepared in runs for spec in prepared.specs),
        account=runs[0].account,
        warnings=(),
        cost_profiles={
            label: profile for prepared in runs for label, profile in prepared.cost_profiles.items()
        },
        context=runs[0].context,
    )


def ranked(contestants: Sequence[Contestant], rank: RankBy) -> tuple[Contestant, ...]:
    """Best first: those that traded before those that did not, the undefined behind the defined;
    equal figures by net return, then as they came.
    """

    def order(contestant: Contestant) -> tuple[bool, bool, float, float]:
        value = _figure(contestant.statistics, rank)
        undefined = math.isnan(value)
        return (
            contestant.statistics.trades == 0,
            undefined,
            0.0 if undefined else -value,
            -contestant.statistics.net_fraction,
        )

    return tuple(sorted(contestants, key=order))


def _figure(statistics: Statistics, rank: RankBy) -> float:
    """What is ranked, the larger the better."""
    if rank == "net":
        return statistics.net_fraction
    if rank == "sharpe":
        return statistics.sharpe
    if rank == "drawdown":
        return -statistics.drawdown_depth
    factor = statistics.profit_factor_net
    # Profits without a single loss have no factor: nothing ranks above them.
    return math.inf if math.isnan(factor) and statistics.win_rate == 1.0 else factor


def daily_of(results: Sequence[tuple[str, BacktestResult]]) -> DailyReturns:
    """Daily returns of accounts over the same span, side by side; 0 after ruin."""
    start, end = results[0][1].start_time, results[0][1].end_time
    ends = equity_path.day_boundaries(start, end)
    returns = np.zeros((len(ends), len(results)))
    for column, (_, result) in enumerate(results):
        own = equity_path.daily_returns(result.equity, result.start_quote, start, end)
        returns[: len(own), column] = np.maximum(own, -1.0)
    begins = np.concatenate((np.array([start], np.int64), ends[:-1]))
    return DailyReturns(tuple(name for name, _ in results), begins, ends, returns)


def correlations(returns: Floats) -> Floats:
    """(N, N) correlation of the columns of `returns` (T, N); NaN where one has no variance."""
    count = returns.shape[1]
    found = np.full((count, count), np.nan)
    if len(returns) < 2:
        return found
    moving = np.flatnonzero(np.ptp(returns, axis=0) > SPREAD_MIN)
    if len(moving):
        found[np.ix_(moving, moving)] = np.atleast_2d(np.corrcoef(returns[:, moving].T))
        found[moving, moving] = 1.0
    return found
