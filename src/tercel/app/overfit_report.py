"""How far the result of a finished run can be believed: every test of `overfitting` that it allows.

A backtest brings one series of daily returns; a walk-forward also those of every combination, so
that the search itself can be judged. Trials that the research ledger knows count in both.

1. the Sharpe ratio, deflated by all trials: of the backtest, or of the walk's best combination;
2. of a walk: the probability of backtest overfitting, and paths of cross-validation;
3. intervals of Sharpe ratio and drawdown, of the backtest or of the walk's chained tests;
4. the same trades at other times, where the bars are known;
5. the verdict (`overfit_verdict`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np
import numpy.typing as npt

from tercel.app.overfitting.bootstrap import (
    BootstrapIntervals,
    Resampling,
    bootstrap_intervals,
    stationary_rows,
)
from tercel.app.overfitting.cpcv import CombinatorialPaths, CrossValidation, combinatorial_paths
from tercel.app.overfitting.deflated import (
    Deflation,
    deflate,
    independent_trials,
    independent_trials_entropy,
)
from tercel.app.overfitting.pbo import BacktestOverfitting, probability_of_overfitting
from tercel.app.overfitting.permutation import (
    EntryTrades,
    PermutationTest,
    shifted_entries,
    shuffled_entries,
)
from tercel.app.overfitting.trial_matrix import trial_matrix
from tercel.app.sharpe import moments, probabilistic_sharpe, sharpe, track_record_length_min
from tercel.app.trial_count import TrialCount, TriedData
from tercel.domain.errors import UserError
from tercel.domain.research_settings import OverfitSettings
from tercel.domain.results import StreamLabel

Floats = npt.NDArray[np.float64]
Times = npt.NDArray[np.int64]
_Made = TypeVar("_Made")

_ROWS = 200
"""Histories drawn at once for the picture: bounds the memory."""


@dataclass(frozen=True, slots=True, eq=False)
class EntryTimes:
    """When trades began and ended, and which way. K trades."""

    entries: Times
    """(K,) ms UTC."""
    exits: Times
    """(K,) ms UTC."""
    sides: Times
    """(K,) 1 long, -1 short."""


@dataclass(frozen=True, slots=True, eq=False)
class TriedRun:
    """A finished backtest or walk-forward as the tests see it."""

    kind: Literal["backtest", "walk"]
    streams: tuple[StreamLabel, ...]
    data_start: int
    """Open of the first bar that was used for anything, ms UTC."""
    data_end: int
    """Close of the last one, ms UTC."""
    data_hash: str
    """SHA-256 of these bars, of the first stream."""
    test_start: int
    """Where `returns` begin, ms UTC: a walk's first test, a backtest's first bar."""
    test_end: int
    returns: Floats
    """(n,) daily returns: of the backtest, or of the walk's chained tests."""
    trades: EntryTimes
    combinations: Floats | None = None
    """(T, N) daily returns over all the data of every combination of a walk."""

    @property
    def name(self) -> str:
        """`three_r on BTCUSDT`."""
        strategies = ", ".join(dict.fromkeys(each.strategy for each in self.streams))
        symbols = ", ".join(dict.fromkeys(each.symbol for each in self.streams))
        return f"{strategies} on {symbols}"

    @property
    def asked(self) -> list[TriedData]:
        """What the research ledger is asked for."""
        return [
            TriedData(each.strategy, each.symbol, self.data_start, self.data_end)
            for each in self.streams
        ]


@dataclass(frozen=True, slots=True, eq=False)
class Prices:
    """The bars that the trades were made on. B bars."""

    close_times: Times
    """(B,) ms UTC."""
    closes: Floats
    """(B,)"""


@dataclass(frozen=True, slots=True)
class TrialNumbers:
    """How many trials there were, by each way to count."""

    this_run: int
    """1, or the combinations of a walk."""
    ledger: int | None
    """Distinct ones in the research ledger on this data; None: it was not asked."""
    runs: int | None
    """The same with repetitions."""
    independent: float
    """What those of this run are worth by their average correlation; NaN for a backtest."""
    independent_entropy: float
    """And by the entropy of their correlations: a second opinion."""
    counted: int
    """By which the Sharpe ratio was deflated: the larger of this run and the ledger."""


@dataclass(frozen=True, slots=True)
class Permutations:
    """The same trades at other times."""

    shifted: PermutationTest
    """Moved together by every number of bars."""
    shuffled: PermutationTest | None
    """In random order at random times; None: they do not fit one after another."""

    @property
    def p_value(self) -> float:
        """The worse of the two."""
        shuffled = self.shuffled.p_value if self.shuffled is not None else 0.0
        return max(self.shifted.p_value, shuffled)


@dataclass(frozen=True, slots=True, eq=False)
class OverfitReport:
    """Everything that was found about one run. Ratios are per day."""

    run: TriedRun
    settings: OverfitSettings
    trials: TrialNumbers
    deflation: Deflation
    """Of the backtest, or of the walk's best combination over all the data."""
    probability: float
    """That the true ratio of `run.returns` is above zero, had nothing else been tried."""
    record_days_min: float
    """Days of record needed to say so at 95 %; NaN: the ratio is not above zero."""
    record_days_deflated: float
    """The same against what the best of so many worthless trials has; NaN: it is not above it."""
    intervals: BootstrapIntervals
    drawn_sharpes: Floats
    """Ratios of drawn histories, for a picture."""
    overfitting: BacktestOverfitting | str
    """Or why it was not computed."""
    paths: CombinatorialPaths | str
    permutations: Permutations | str


def examine(
    run: TriedRun, settings: OverfitSettings, tried: TrialCount | None, prices: Prices | str
) -> OverfitReport:
    """Apply every test that `run` allows. The same input gives the same figures.

    `tried` is what the research ledger knows; `prices` may be the reason why there are none.
    Raises UserError when the run is too short, has no trade, or its returns do not vary.
    """
    _check(run, settings)
    shape = moments(run.returns)
    own = sharpe(shape)
    design = CrossValidation(
        settings.groups, settings.test_groups, settings.purge_days, settings.embargo_days
    )
    numbers = _numbers(run, tried)
    deflation = _deflation(run, tried, numbers.counted)
    plan = Resampling(settings.histories, settings.confidence)
    intervals = bootstrap_intervals(run.returns, np.random.default_rng([settings.seed, 0]), plan)
    combinations, alone = run.combinations, "only a walk-forward has the combinations it needs"
    return OverfitReport(
        run=run,
        settings=settings,
        trials=numbers,
        deflation=deflation,
        probability=probabilistic_sharpe(own, shape),
        record_days_min=track_record_length_min(own, shape),
        record_days_deflated=track_record_length_min(own, shape, deflation.benchmark),
        intervals=intervals,
        drawn_sharpes=_drawn(run.returns, intervals.block_length, settings),
        overfitting=alone
        if combinations is None
        else _or_why(lambda: probability_of_overfitting(combinations, settings.blocks)),
        paths=alone
        if combinations is None
        else _or_why(lambda: combinatorial_paths(combinations, design)),
        permutations=prices
        if isinstance(prices, str)
        else _or_why(lambda: _permutations(run, prices, settings)),
    )


def _check(run: TriedRun, settings: OverfitSettings) -> None:
    where = " out of sample" if run.kind == "walk" else ""
    if not len(run.trades.entries):
        raise UserError(f"the run has no trade{where}: there is nothing to test")
    if len(run.returns) < settings.returns_min:
        raise UserError(
            f"the run has {len(run.returns)} daily returns{where}, and {settings.returns_min} are "
            "needed (overfit.returns_min): run it over a longer time"
        )
    if np.isnan(sharpe(moments(run.returns))):
        raise UserError(f"the daily returns{where} do not vary: the run has no Sharpe ratio")


def _or_why(make: Callable[[], _Made]) -> _Made | str:
    """What `make` makes, or the words of its UserError."""
    try:
        return make()
    except UserError as error:
        return str(error)


def _numbers(run: TriedRun, tried: TrialCount | None) -> TrialNumbers:
    own, independent, entropy = 1, float("nan"), float("nan")
    if run.combinations is not None:
        own = run.combinations.shape[1]
        matrix = trial_matrix(run.combinations)
        independent, entropy = independent_trials(matrix), independent_trials_entropy(matrix)
    known = tried.trials if tried is not None else None
    return TrialNumbers(
        this_run=own,
        ledger=known,
        runs=tried.runs if tried is not None else None,
        independent=independent,
        independent_entropy=entropy,
        counted=max(own, known or 0),
    )


def _deflation(run: TriedRun, tried: TrialCount | None, counted: int) -> Deflation:
    """By the larger of what the run tried itself and what the ledger knows, the run among them."""
    if run.combinations is None:
        ratios = np.array([sharpe(moments(run.returns))])
        chosen = run.returns
    else:
        ratios = np.array([sharpe(moments(column)) for column in run.combinations.T])
        if np.isnan(ratios).all():
            raise UserError("no combination's returns vary: there is no Sharpe ratio to test")
        chosen = run.combinations[:, int(np.nanargmax(ratios))]
    if tried is not None and tried.trials >= len(ratios):
        ratios = tried.ratios_for(len(chosen))
    return deflate(moments(chosen), ratios, float(counted))


def _drawn(returns: Floats, block_length: float, settings: OverfitSettings) -> Floats:
    """Sharpe ratios of histories drawn as for the intervals; those without one left out."""
    generator = np.random.default_rng([settings.seed, 1])
    found = []
    for at in range(0, settings.histories, _ROWS):
        count = min(_ROWS, settings.histories - at)
        rows = stationary_rows(len(returns), block_length, count, generator)
        found += [sharpe(moments(history)) for history in returns[rows]]
    return np.array([ratio for ratio in found if not np.isnan(ratio)])


def entry_trades(trades: EntryTimes, prices: Prices) -> EntryTrades:
    """The trades by bar: entered at the last close at or before their entry, held for one bar or
    more. Raises UserError when one lies outside the bars.
    """
    if len(prices.closes) < 3:
        raise UserError("the lake has fewer than three bars of the run")
    first = int(prices.close_times[0]) - int(prices.close_times[1] - prices.close_times[0])
    if trades.entries.min() < first or trades.exits.max() > prices.close_times[-1]:
        raise UserError("a trade lies outside the bars that the lake has of the run")
    last = len(prices.closes) - 1
    begins = np.searchsorted(prices.close_times, trades.entries, side="right") - 1
    ends = np.searchsorted(prices.close_times, trades.exits, side="right") - 1
    begins = np.clip(begins, 0, last - 1).astype(np.int64)
    return EntryTrades(begins, trades.sides, np.maximum(ends - begins, 1).astype(np.int64))


def _permutations(run: TriedRun, prices: Prices, settings: OverfitSettings) -> Permutations:
    trades = entry_trades(run.trades, prices)
    generator = np.random.default_rng([settings.seed, 2])
    shuffled = _or_why(
        lambda: shuffled_entries(prices.closes, trades, settings.permutations, generator)
    )
    return Permutations(
        shifted_entries(prices.closes, trades),
        None if isinstance(shuffled, str) else shuffled,
    )
