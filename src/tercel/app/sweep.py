"""A parameter sweep: every combination over all bars, and over windows of them, on fresh accounts.

The unit of work is one combination, since signals are a pure function of market data:
1. its signals are computed once over the whole series;
2. the kernel trades the whole series, then each window, from slices of them.

So a window begins warm: indicators have seen the bars before it, which is the past alone. What is
open at a window's end is closed at its last price. The result of a combination does not depend on
who computes it, nor on which others are computed.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from tercel.app import sharpe
from tercel.app.backtest import AccountSpec, StreamSpec, signals_for, trade_window
from tercel.app.equity_path import RUIN_FRACTION, day_boundaries
from tercel.app.folds import Part, Window
from tercel.app.ports import Workers
from tercel.app.tape import RunTape
from tercel.core.records import FILLS_PER_BAR, SIGNAL, TRADES_PER_BAR, Records
from tercel.domain.bars import BarSeries
from tercel.domain.errors import StorageError
from tercel.domain.results import BacktestResult
from tercel.domain.times import HOUR_MS

Floats = npt.NDArray[np.float64]
Times = npt.NDArray[np.int64]

# fmt: off
FIGURES = np.dtype([                     # one run of one combination
    ("trades", "i8"), ("winners", "i8"), ("signals", "i8"),
    ("net", "f8"), ("gross", "f8"),      # fraction of the capital at the start
    ("fees", "f8"), ("slippage", "f8"), ("funding", "f8"),  # the same
    ("steps", "i8"),                     # returns behind what follows
    ("mean", "f8"), ("deviation", "f8"),  # of the returns per step
    ("skewness", "f8"), ("kurtosis", "f8"),
    ("sharpe", "f8"), ("sortino", "f8"),  # per step; NaN where not defined
])
# fmt: on


@dataclass(frozen=True, slots=True, eq=False)
class SweepJob:
    """What is tried: plain data that any worker can be given."""

    spec: StreamSpec
    """The stream; its values are covered by those of a combination."""
    account: AccountSpec
    combinations: tuple[dict[str, int | float | str], ...]
    """All parameter values of each combination."""
    windows: tuple[Window, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Trial:
    """What became of one combination."""

    number: int
    returns: Floats
    """(days,) simple returns at daily UTC steps of one run over all bars; 0 after ruin."""
    whole: Records
    """(1,) FIGURES of that run, daily steps."""
    figures: Records
    """(windows,) FIGURES; train by daily steps, validation and test by hourly ones."""
    train_returns: Floats
    """Daily returns of all train windows, one window after the other."""

    def to_bytes(self) -> bytes:
        """For a log; `trial_from` reads it back, bit for bit."""
        file = io.BytesIO()
        np.savez(
            file,
            number=np.int64(self.number),
            returns=self.returns,
            whole=self.whole,
            figures=self.figures,
            train_returns=self.train_returns,
        )
        return file.getvalue()


def trial_from(data: bytes) -> Trial:
    """The trial of `Trial.to_bytes`. Raises StorageError for anything else."""
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as found:
            return Trial(
                number=int(found["number"]),
                returns=found["returns"],
                whole=found["whole"],
                figures=found["figures"],
                train_returns=found["train_returns"],
            )
    except (ValueError, KeyError, OSError, EOFError, BadZipFile) as error:
        raise StorageError(
            f"a kept result of the sweep cannot be read ({error}); --fresh starts over"
        ) from None


@dataclass(frozen=True, slots=True, eq=False)
class _Steps:
    """Where the returns of a run close: for each boundary the equity row in force there."""

    rows: Times
    """-1: before the first bar."""

    def returns(self, equity: Floats, start_quote: float) -> Floats:
        """Simple returns between the boundaries; 0 from ruin on."""
        closes = np.where(self.rows >= 0, equity[self.rows], start_quote)
        curve = np.concatenate(([start_quote], closes))
        ruined = np.flatnonzero(curve <= RUIN_FRACTION * start_quote)
        end = int(ruined[0]) + 1 if len(ruined) else len(curve)
        made = np.zeros(len(curve) - 1)
        made[: end - 1] = curve[1:end] / curve[: end - 1] - 1.0
        return made


def span_of(series: BarSeries) -> tuple[int, int]:
    """(open of the first bar, close of the last one), ms UTC."""
    times = series.bars["open_time"]
    return int(times[0]), int(times[-1]) + series.key.bar_ms


def day_ends(series: BarSeries) -> Times:
    """Where each daily return of a whole run closes, ms UTC; the last day may be a part of one."""
    return day_boundaries(*span_of(series))


def hour_ends(start_ms: int, end_ms: int) -> Times:
    """Where each hourly return of a window closes, ms UTC, counted from its beginning."""
    return np.arange(start_ms + HOUR_MS, end_ms + 1, HOUR_MS, dtype=np.int64)


class SweepBench:
    """One worker's place: the buffers of a run, used again for each combination."""

    def __init__(self, job: SweepJob) -> None:
        bars = len(job.spec.series.bars)
        self._job = job
        self._signals = np.empty(bars, SIGNAL)
        self._tape = RunTape(bars, bars * FILLS_PER_BAR, bars * TRADES_PER_BAR)
        self._steps = _steps_of(job)
        self._whole_steps = _Steps(_rows(job.spec.series, 0, bars, day_ends(job.spec.series)))

    def try_out(self, number: int) -> Trial:
        """Trade combination `number` over everything, and over each window. Raises
        StrategyError.
        """
        spec = self._signalled(number)
        everything = (0, len(spec.series.bars))
        result = self._trade(spec, everything)
        returns = self._whole_steps.returns(result.equity["equity"], result.start_quote)
        whole = np.zeros(1, FIGURES)
        _fill(whole[0], result, returns)
        figures = np.zeros(len(self._job.windows), FIGURES)
        trained = [np.empty(0)]
        for row, window, steps in zip(figures, self._job.windows, self._steps, strict=True):
            if window.first == window.end:
                _leave_out(row)
                window_returns = np.zeros(len(steps.rows))
            else:
                result = self._trade(spec, (window.first, window.end))
                window_returns = steps.returns(result.equity["equity"], result.start_quote)
                _fill(row, result, window_returns)
            if window.part == Part.TRAIN:
                trained.append(window_returns)
        return Trial(number, returns, whole, figures, np.concatenate(trained))

    def trade(self, number: int, windows: Sequence[Window]) -> list[BacktestResult]:
        """Combination `number` on each of `windows` (none of them empty), every row kept."""
        spec = self._signalled(number)
        made = []
        for window in windows:
            result = self._trade(spec, (window.first, window.end))
            made.append(replace(result, equity=result.equity.copy()))
        return made

    def _signalled(self, number: int) -> StreamSpec:
        """The stream of combination `number`, its signals in the buffer."""
        spec = replace(self._job.spec, values=self._job.combinations[number])
        signals_for(spec, self._signals)
        return spec

    def _trade(self, spec: StreamSpec, bars: tuple[int, int]) -> BacktestResult:
        return trade_window(spec, self._job.account, self._signals, bars, self._tape)


@dataclass(frozen=True, slots=True, eq=False)
class Sweep:
    """Every combination side by side over all bars."""

    day_ends: Times
    """(T,) ms UTC: where each daily return closes."""
    returns: Floats
    """(T, N) simple daily returns, a column for each combination."""
    whole: Records
    """(N,) FIGURES over all bars, daily steps."""


def open_sweep(job: SweepJob) -> _Work:
    """What a worker calls for each combination; one for each worker."""
    return _Work(SweepBench(job))


@dataclass(frozen=True, slots=True, eq=False)
class _Work:
    """`SweepBench.try_out` as a function, its result as bytes."""

    bench: SweepBench

    def __call__(self, number: int) -> bytes:
        return self.bench.try_out(number).to_bytes()


def sweep(job: SweepJob, workers: Workers) -> Iterator[Trial]:
    """Each combination of `job` in order, tried by `workers`."""
    numbers = range(len(job.combinations))
    return (trial_from(data) for data in workers.map(open_sweep, job, numbers))


def side_by_side(series: BarSeries, trials: Sequence[Trial]) -> Sweep:
    """The whole runs of `trials` as one matrix."""
    return Sweep(
        day_ends=day_ends(series),
        returns=np.stack([trial.returns for trial in trials], axis=1),
        whole=np.concatenate([trial.whole for trial in trials]),
    )


def _rows(series: BarSeries, first: int, end: int, boundaries: Times) -> Times:
    """The bar of `first` to `end` that closed last at each boundary, counted from `first`."""
    closes = series.bars["open_time"][first:end] + series.key.bar_ms
    return np.asarray(np.searchsorted(closes, boundaries, side="right") - 1, np.int64)


def _steps_of(job: SweepJob) -> tuple[_Steps, ...]:
    """The steps of every window: daily ones on train, hourly ones on validation and test."""
    made = []
    for window in job.windows:
        start, end = window.span.start_ms, window.span.end_ms
        ends = day_boundaries(start, end) if window.part == Part.TRAIN else hour_ends(start, end)
        made.append(_Steps(_rows(job.spec.series, window.first, window.end, ends)))
    return tuple(made)


def _fill(row: Any, result: BacktestResult, returns: Floats) -> None:
    """FIGURES of one run."""
    start = result.start_quote
    row["trades"], row["signals"] = len(result.trades), result.signals
    row["winners"] = np.count_nonzero(result.trades["net_quote"] > 0.0)
    row["net"] = (result.equity_quote - start) / start
    row["gross"], row["fees"] = result.gross_quote / start, result.fee_quote / start
    row["slippage"], row["funding"] = result.slippage_quote / start, result.funding_quote / start
    shape = sharpe.moments(returns)
    row["steps"], row["mean"], row["deviation"] = shape.count, shape.mean, shape.deviation
    row["skewness"], row["kurtosis"] = shape.skewness, shape.kurtosis
    row["sharpe"], row["sortino"] = sharpe.sharpe(shape), sharpe.sortino(returns)


def _leave_out(row: Any) -> None:
    """FIGURES of a window without a bar: nothing happened, nothing is known."""
    for name in ("mean", "deviation", "skewness", "kurtosis", "sharpe", "sortino"):
        row[name] = np.nan
