"""Walk-forward: choose on the past, report the future, move on, again.

In order:
1. `plan_walk`: the stream, the grid's combinations, the folds and their windows;
2. `run_walk`: every combination over everything and over each window (`sweep`), kept in a log as
   each is finished, so that a stopped walk goes on;
3. each fold chooses one by train and validation alone (`walk_choice`);
4. the chosen ones' tests are traded again with every row kept, and chained (`walk_chain`);
5. buy-and-hold of the same time, and the verdict (`walk_verdict`), which counts what the research
   ledger knows of other trials on the data of the tests.

The same data, grid, settings and code give the same result, whoever works and in whatever order;
trials elsewhere change the verdict alone.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from tercel import __version__
from tercel.app import equity_path
from tercel.app.benchmark import BUY_AND_HOLD, buy_and_hold
from tercel.app.folds import Fold, Part, Window, make_folds, windows_of
from tercel.app.grid import Grid, GridLimits, Value, combinations, read_grid, refuse_fixed
from tercel.app.ledger import record_trials, trials_of_sweep
from tercel.app.ports import Progress, ResearchLedger, TrialLog, Workers
from tercel.app.prepare import PreparedRun, RunRequest, prepare
from tercel.app.report import NamedRun, named_run
from tercel.app.runs import Desk, record_of
from tercel.app.sharpe import PERIODS_A_YEAR
from tercel.app.statistics import Statistics
from tercel.app.sweep import (
    Sweep,
    SweepBench,
    SweepJob,
    Trial,
    open_sweep,
    side_by_side,
    span_of,
    trial_from,
)
from tercel.app.trial_count import TrialCount, TriedData, counted
from tercel.app.walk_chain import Chain, Link, chain, is_ruin
from tercel.app.walk_choice import Choice, choose
from tercel.app.walk_verdict import WalkFigures, WalkVerdict, judge_walk
from tercel.core.jit import hash_sources
from tercel.core.records import Records
from tercel.domain.bars import BarSeries
from tercel.domain.errors import UserError
from tercel.domain.research_settings import WalkSettings
from tercel.domain.results import BacktestResult, RunRecord
from tercel.domain.trials import TrialRecord

HOURS_A_YEAR = 24 * PERIODS_A_YEAR
LOST = "all the money was lost in a fold before"
COMPUTING = ("backtest", "equity_path", "folds", "sharpe", "signals", "sweep", "tape")
"""Modules beside the core that decide what a trial says: a changed one makes kept trials void."""


@dataclass(frozen=True, slots=True, eq=False)
class WalkPlan:
    """What will be walked: everything is checked, nothing is traded yet."""

    prepared: PreparedRun
    grid: Grid
    choices: tuple[dict[str, Value], ...]
    """The values of the grid's parameters of each combination."""
    folds: tuple[Fold, ...]
    job: SweepJob
    settings: WalkSettings
    fingerprint: str
    """SHA-256 of code, data, grid, settings and windows: equal ones give equal results."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One combination on one window."""

    trades: int
    win_rate: float
    """Share of trades with net > 0, 0..1; NaN without one."""
    net_fraction: float
    """Of the capital at the window's beginning, after all costs."""
    gross_fraction: float
    """The same before costs."""
    sharpe: float
    """A year's, from daily returns on train and from hourly ones elsewhere; NaN: not defined."""


@dataclass(frozen=True, slots=True)
class FoldOutcome:
    """What a fold chose and what came of it."""

    fold: Fold
    choice: Choice
    values: dict[str, Value]
    """The chosen values of the grid's parameters; empty where nothing was chosen."""
    train: Measured | None
    validation: Measured | None
    test: Measured | None
    test_drawdown: float
    """Deepest fall inside the test, fraction; 0 in cash."""
    held_fraction: float
    """Buy-and-hold over the test; NaN without a bar."""
    test_best: float
    """Highest net fraction of any combination on the test: hindsight, never a result."""
    test_median: float
    """That of the middle combination."""

    @property
    def net_fraction(self) -> float:
        """What the fold adds to the chain."""
        return self.test.net_fraction if self.test is not None else 0.0


@dataclass(frozen=True, slots=True, eq=False)
class Walk:
    """Everything a walk-forward found."""

    plan: WalkPlan
    folds: tuple[FoldOutcome, ...]
    sweep: Sweep
    figures: Records
    """(combinations, windows) FIGURES; the windows are those of the plan's job."""
    chain: Chain
    statistics: Statistics
    """Of the chain: out of sample, net of all costs."""
    held: NamedRun
    """Buy-and-hold over the same time."""
    others: TrialCount | None
    """Trials elsewhere that the verdict counts; None: no research ledger."""
    verdict: WalkVerdict
    record: RunRecord
    warnings: tuple[str, ...]

    def by_part(self, part: Part) -> Records:
        """FIGURES (combinations, folds) of the windows of one part."""
        return self.figures[:, int(part) :: len(Part)]


def plan_walk(desk: Desk, request: RunRequest, grid_text: str) -> WalkPlan:
    """Read the data and check everything. Raises UserError, DataError, ConfigError, StrategyError.

    `request` names one strategy and one symbol.
    """
    if len(request.strategies) != 1 or len(request.symbols) != 1:
        raise UserError("a walk-forward takes one strategy and one symbol")
    settings = desk.settings.walk
    strategy = request.strategies[0]
    grid = read_grid(grid_text or settings.grid, strategy, desk.settings.grids)
    refuse_fixed(grid, request.overrides)
    own = desk.settings.strategy(strategy.name).params
    first = {axis.name: axis.values[0] for axis in grid.axes}
    wanted = replace(request, overrides={**request.overrides, **first})
    prepared = prepare(desk.store, desk.settings, wanted, desk.contexts)
    spec = prepared.specs[0]
    every = combinations(
        grid,
        strategy,
        {**own, **request.overrides},
        GridLimits(spec.series.key.bar_ms, settings.combinations_max),
    )
    folds = make_folds(*span_of(spec.series), settings)
    open_times = np.ascontiguousarray(spec.series.bars["open_time"])
    job = SweepJob(spec, prepared.account, every, windows_of(folds, open_times))
    return WalkPlan(
        prepared, grid, grid.choices(), folds, job, settings, fingerprint_of(job, settings)
    )


def fingerprint_of(job: SweepJob, settings: WalkSettings) -> str:
    """SHA-256 over all that decides the result of each combination."""
    spec = job.spec
    told = {
        "tercel": __version__,
        "computing": hash_sources(Path(__file__).with_name(f"{name}.py") for name in COMPUTING),
        "code": spec.strategy.code_hash,
        "data": spec.series.data_hash,
        "stream": str(spec.label),
        "combinations": job.combinations,
        "windows": [[int(w.part), w.first, w.end] for w in job.windows],
        "spans": [[w.span.start_ms, w.span.end_ms] for w in job.windows],
        "start_quote": job.account.start_quote,
        "clusters": sorted(job.account.clusters.items()),
        "flow": None if spec.flow is None else [spec.flow.strategy.code_hash, spec.flow.values],
        "flow_score_min": None if spec.flow is None else spec.flow.score_min,
        "scheme": settings.scheme,
    }
    digest = hashlib.sha256(json.dumps(told, sort_keys=True).encode())
    for record in (spec.settings, job.account.limits, job.account.pace, spec.contexts):
        digest.update(b"-" if record is None else record.tobytes())
    return digest.hexdigest()


def run_walk(desk: Desk, plan: WalkPlan, workers: Workers, log: TrialLog) -> Walk:
    """Try everything that `log` does not have yet, choose, and chain. Raises TercelError."""
    trials = try_all(plan.job, workers, log, desk.progress)
    outcomes, links = _folds(plan, trials)
    spec = plan.job.spec
    start_quote = plan.job.account.start_quote
    sweep = side_by_side(spec.series, trials)
    profile = plan.prepared.cost_profiles[str(spec.label)]
    own = trials_of_sweep(plan.job, sweep.whole, profile, desk.clock.now_ms())
    record_trials(desk.ledger, own)
    made = chain(links, spec.series, start_quote, spec.label)
    outcomes = tuple(map(as_chained, outcomes, made.levels))
    others = tried_elsewhere(desk.ledger, own, made.result)
    tested = named_run("walk-forward", made.result)
    held = named_run(BUY_AND_HOLD, _held(plan, made.result))
    known = WalkFigures(
        statistics=tested.statistics,
        held=held.statistics,
        fold_nets=tuple(each.net_fraction for each in outcomes if each.test is not None),
        folds=len(outcomes),
        whole_nets=np.ascontiguousarray(sweep.whole["net"]),
        train_sharpe=_mean([each.train.sharpe for each in outcomes if each.train is not None]),
        others=others,
        folds_ruined=sum(is_ruin(level) for level in made.levels),
    )
    return Walk(
        plan=plan,
        folds=outcomes,
        sweep=sweep,
        figures=np.stack([trial.figures for trial in trials]),
        chain=made,
        statistics=tested.statistics,
        held=held,
        others=others,
        verdict=judge_walk(known),
        record=_record(desk, plan),
        warnings=plan.prepared.warnings,
    )


def tried_elsewhere(
    ledger: ResearchLedger | None, own: Sequence[TrialRecord], tested: BacktestResult
) -> TrialCount | None:
    """The distinct trials of the same strategy that saw some of the time of the tests, without
    `own`, the walk's combinations: those were chosen between on train and validation, and do not
    count against the tests. None without a ledger. Raises DataError, StorageError.
    """
    if ledger is None:
        return None
    label = tested.labels[0]
    asked = TriedData(label.strategy, label.symbol, tested.start_time, tested.end_time)
    of_the_grid = {each.identity for each in own}
    known = ledger.read(asked.strategy, asked.symbol)
    return counted((each for each in known if each.identity not in of_the_grid), asked)


def as_chained(outcome: FoldOutcome, level: float) -> FoldOutcome:
    """What is left of a fold that begins with `level` of the capital: in ruin, cash."""
    if not is_ruin(level):
        return outcome
    return replace(
        outcome,
        choice=replace(outcome.choice, chosen=None, why_none=LOST),
        values={},
        train=None,
        validation=None,
        test=None,
        test_drawdown=0.0,
    )


def try_all(
    job: SweepJob, workers: Workers, log: TrialLog, progress: Progress
) -> tuple[Trial, ...]:
    """Every combination's trial, in order; those in the log are not computed again."""
    kept = log.finished()
    missing = [number for number in range(len(job.combinations)) if number not in kept]
    trials = {number: trial_from(data) for number, data in kept.items()}
    progress.start("combinations", len(job.combinations))
    progress.advance(len(kept))
    if missing:
        for number, data in zip(missing, workers.map(open_sweep, job, missing), strict=True):
            log.save(number, data)
            trials[number] = trial_from(data)
            progress.advance()
    return tuple(trials[number] for number in range(len(job.combinations)))


def _folds(
    plan: WalkPlan, trials: Sequence[Trial]
) -> tuple[tuple[FoldOutcome, ...], tuple[Link, ...]]:
    """Each fold's choice and the test it led to."""
    figures = np.stack([trial.figures for trial in trials])
    choices, offset = [], 0
    for fold in plan.folds:
        at = fold.number * len(Part)
        steps = len(equity_path.day_boundaries(fold.train.start_ms, fold.train.end_ms))
        train_returns = np.stack(
            [trial.train_returns[offset : offset + steps] for trial in trials], axis=1
        )
        offset += steps
        train, validation = figures[:, at + Part.TRAIN], figures[:, at + Part.VALIDATE]
        choices.append(choose(train, validation, train_returns, plan.settings))
    results = _tests(plan, choices)
    outcomes, links = [], []
    for fold, choice, result in zip(plan.folds, choices, results, strict=True):
        window = plan.job.windows[fold.number * len(Part) + Part.TEST]
        links.append(Link(window, result))
        outcomes.append(_outcome(plan, fold, choice, figures, result))
    return tuple(outcomes), tuple(links)


def _tests(plan: WalkPlan, choices: Sequence[Choice]) -> list[BacktestResult | None]:
    """The chosen combination's test of each fold with every row; None where it stays in cash."""
    results: list[BacktestResult | None] = [None] * len(choices)
    bench: SweepBench | None = None
    by_number: dict[int, list[int]] = {}
    for fold, choice in enumerate(choices):
        window = plan.job.windows[fold * len(Part) + Part.TEST]
        if choice.chosen is not None and window.first < window.end:
            by_number.setdefault(choice.chosen.number, []).append(fold)
    for number, folds in by_number.items():
        bench = bench or SweepBench(plan.job)
        windows = [plan.job.windows[fold * len(Part) + Part.TEST] for fold in folds]
        for fold, result in zip(folds, bench.trade(number, windows), strict=True):
            results[fold] = result
    return results


def _outcome(
    plan: WalkPlan,
    fold: Fold,
    choice: Choice,
    figures: Records,
    result: BacktestResult | None,
) -> FoldOutcome:
    at = fold.number * len(Part)
    tests = figures[:, at + Part.TEST]["net"]
    held = _held_fraction(plan, plan.job.windows[at + Part.TEST])
    chosen = choice.chosen
    if chosen is None:
        best, middle = _highest(tests), _middle(tests)
        return FoldOutcome(fold, choice, {}, None, None, None, 0.0, held, best, middle)
    row = figures[chosen.number]
    fall = 0.0
    if result is not None:
        fall = equity_path.drawdown(result.equity, result.start_quote, result.start_time).depth
    return FoldOutcome(
        fold=fold,
        choice=choice,
        values=plan.choices[chosen.number],
        train=measured(row[at + Part.TRAIN], PERIODS_A_YEAR),
        validation=measured(row[at + Part.VALIDATE], HOURS_A_YEAR),
        test=measured(row[at + Part.TEST], HOURS_A_YEAR),
        test_drawdown=fall,
        held_fraction=held,
        test_best=_highest(tests),
        test_median=_middle(tests),
    )


def measured(row: Any, steps_a_year: int) -> Measured:
    """FIGURES as people read them."""
    trades = int(row["trades"])
    return Measured(
        trades=trades,
        win_rate=int(row["winners"]) / trades if trades else math.nan,
        net_fraction=float(row["net"]),
        gross_fraction=float(row["gross"]),
        sharpe=float(row["sharpe"]) * math.sqrt(steps_a_year),
    )


def _highest(values: Any) -> float:
    return float(np.max(values))


def _middle(values: Any) -> float:
    return float(np.median(values))


def _mean(values: Sequence[float]) -> float:
    """The mean of those that are defined; NaN of none."""
    known = [value for value in values if math.isfinite(value)]
    return sum(known) / len(known) if known else math.nan


def _taker_fee(plan: WalkPlan) -> float:
    return float(plan.job.spec.settings["costs"]["taker_fee_rate"])


def _held_fraction(plan: WalkPlan, window: Window) -> float:
    """Buy-and-hold over a window, after its fees; NaN without a bar."""
    if window.first == window.end:
        return math.nan
    bars = plan.job.spec.series.bars[window.first : window.end]
    entry = float(bars["open"][0]) * (1.0 + _taker_fee(plan))
    return float(bars["close"][-1]) * (1.0 - _taker_fee(plan)) / entry - 1.0


def _held(plan: WalkPlan, tested: BacktestResult) -> BacktestResult:
    """Buy-and-hold from the first test's beginning to the last one's end."""
    series: BarSeries = plan.job.spec.series
    windows = [window for window in plan.job.windows if window.part == Part.TEST]
    bars = series.bars[windows[0].first : windows[-1].end]
    return buy_and_hold(bars, series.key.bar_ms, tested.start_quote, _taker_fee(plan))


def _record(desk: Desk, plan: WalkPlan) -> RunRecord:
    """How the walk came about: as a run's, with the grid in place of one set of parameters."""
    record = record_of(desk, plan.prepared)
    [stream] = record.configuration["streams"]
    varied = set(plan.grid.names)
    fixed = {name: value for name, value in stream["params"].items() if name not in varied}
    grid = {"name": plan.grid.name, **{axis.name: list(axis.values) for axis in plan.grid.axes}}
    return replace(
        record,
        configuration={
            **record.configuration,
            "streams": [{**stream, "params": fixed}],
            "grid": grid,
        },
        hashes={**record.hashes, "walk": plan.fingerprint},
    )
