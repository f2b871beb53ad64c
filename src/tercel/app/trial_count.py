"""How many trials stand behind a result, from the research ledger.

What counts as a trial of the same thing: the same strategy name and the same symbol over a range of
time that overlaps, on whatever venue and timeframe, with whatever code, parameters and costs. Equal
trials (equal hashes of all that decides the result) count once, however often they were run.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tercel.app.overfitting.deflated import Deflation, deflate
from tercel.app.ports import ResearchLedger
from tercel.app.sharpe import PERIODS_A_YEAR, Moments
from tercel.app.statistics import Statistics
from tercel.domain.trials import TrialRecord

Floats = npt.NDArray[np.float64]

DAYS_MIN = 10
"""Daily returns below which a ratio is too wild to say how much trials differ: two days that are
nearly alike have a ratio of 50 a day. Such a trial counts, but does not vary.
"""


@dataclass(frozen=True, slots=True)
class TriedData:
    """What was traded, and by which strategy: whose trials are asked for."""

    strategy: str
    symbol: str
    start_ms: int
    end_ms: int
    """`[start_ms, end_ms)`, ms UTC."""


@dataclass(frozen=True, slots=True, eq=False)
class TrialCount:
    """The trials of one strategy on one symbol and range of time."""

    trials: int
    """Distinct ones."""
    runs: int
    """The same with every repetition."""
    sharpes: Floats
    """(trials,) Sharpe ratio per day of each; NaN where none is defined."""
    daily_returns: npt.NDArray[np.int64]
    """(trials,) daily returns behind it."""

    def ratios_for(self, days: int) -> Floats:
        """(trials,) the ratios as far as they say how much trials over `days` days differ.

        The ratio of n worthless returns has a variance of 1 / (n - 1), so that of a trial of 30
        days is scaled by sqrt(29 / 299) before it is set beside a record of 300; else a few short
        trials would make any record look like luck. Longer trials stay as they are. NaN where none
        is defined, and below DAYS_MIN daily returns.
        """
        steps = np.maximum(self.daily_returns - 1, 0)
        scaled = self.sharpes * np.sqrt(np.minimum(steps / max(days - 1, 1), 1.0))
        return np.where(self.daily_returns < DAYS_MIN, np.nan, scaled)


def counted(records: Iterable[TrialRecord], asked: TriedData) -> TrialCount:
    """The trials among `records` that are of the same thing as `asked`; the first of equal ones
    is taken.
    """
    runs = 0
    distinct: dict[str, TrialRecord] = {}
    for each in records:
        same = each.strategy == asked.strategy
        if same and each.overlaps(asked.symbol, asked.start_ms, asked.end_ms):
            runs += 1
            distinct.setdefault(each.identity, each)
    return TrialCount(
        trials=len(distinct),
        runs=runs,
        sharpes=np.array([each.sharpe for each in distinct.values()], np.float64),
        daily_returns=np.array([each.daily_returns for each in distinct.values()], np.int64),
    )


def trials_of(ledger: ResearchLedger, asked: TriedData) -> TrialCount:
    """What the ledger knows of the strategy on that data. Raises DataError, StorageError."""
    return counted(ledger.read(asked.strategy, asked.symbol), asked)


def most_tried(ledger: ResearchLedger, asked: Sequence[TriedData]) -> TrialCount:
    """Of a run of several streams, the count of the one with the most trials. Raises DataError."""
    counts = [trials_of(ledger, each) for each in dict.fromkeys(asked)]
    return max(counts, key=lambda each: each.trials)


def moments_of(statistics: Statistics) -> Moments:
    """The shape of the daily returns behind `statistics`, in units of their deviation."""
    return Moments(
        count=statistics.daily_returns,
        mean=statistics.sharpe / math.sqrt(PERIODS_A_YEAR),
        deviation=1.0,
        skewness=statistics.skewness,
        kurtosis=statistics.kurtosis,
    )


def deflated_by(statistics: Statistics, tried: TrialCount) -> Deflation:
    """The Sharpe ratio of a run deflated by all that was tried: every distinct trial counts as one,
    also those without a ratio.
    """
    shape = moments_of(statistics)
    return deflate(shape, tried.ratios_for(shape.count), float(max(tried.trials, 1)))
