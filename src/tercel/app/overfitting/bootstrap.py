"""Intervals of the Sharpe ratio and of the maximum drawdown, by the stationary block bootstrap.

1. Histories of the same length are drawn from the observed returns in blocks of random length
   (geometric, the end continues at the beginning), so that neighbours mostly stay neighbours.
2. The figure is computed on each. The middle 90 % of the values is the interval.

Sources: Politis & Romano (1994), "The Stationary Bootstrap", JASA 89(428). Mean block length:
Politis & White (2004), "Automatic Block-Length Selection for the Dependent Bootstrap", Econometric
Reviews 23(1), with the correction by Patton, Politis & White (2009), Econometric Reviews 28(4).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tercel.app.sharpe import SPREAD_MIN, Floats, moments, sharpe
from tercel.domain.errors import UserError

Integers = npt.NDArray[np.int64]

_CELLS = 1_000_000
"""Histories times rows drawn at once: bounds the memory."""


@dataclass(frozen=True, slots=True)
class Resampling:
    """How histories are drawn. Raises UserError on numbers out of range."""

    histories: int = 2_000
    confidence: float = 0.90
    """Share of the drawn values inside the interval; half of the rest lies on either side."""
    block_length: float | None = None
    """Mean length of a block in periods, 1 or more; None: `automatic_block_length`."""

    def __post_init__(self) -> None:
        """Check the numbers."""
        if self.histories < 100:
            raise UserError(f"an interval needs 100 drawn histories or more, got {self.histories}")
        if not 0.0 < self.confidence < 1.0:
            raise UserError(f"confidence must be between 0 and 1, got {self.confidence:g}")
        if self.block_length is not None and not 1.0 <= self.block_length < math.inf:
            raise UserError(f"the mean block length must be 1 or more, got {self.block_length:g}")


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate with the range that chance allows. NaN where the estimate is not defined."""

    estimate: float
    """On the history that happened."""
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class BootstrapIntervals:
    """Intervals from the same drawn histories."""

    sharpe: Interval
    """Sharpe ratio per period."""
    drawdown: Interval
    """Maximum drawdown of compounded returns, fraction of the peak, 0..1."""
    block_length: float
    """Mean block length that was used, periods."""
    undefined: int
    """Drawn histories without variance: left out of the Sharpe ratio's interval."""


def bootstrap_intervals(
    returns: Floats, generator: np.random.Generator, plan: Resampling | None = None
) -> BootstrapIntervals:
    """Intervals of the Sharpe ratio and the maximum drawdown of `returns` (n,), simple, per period.

    The estimate may lie outside of the drawdown's interval: one deep fall that needed an unlucky
    order is rare among other orders. Raises UserError below two returns or when some are not
    finite.
    """
    if returns.ndim != 1 or len(returns) < 2 or not np.isfinite(returns).all():
        raise UserError("an interval needs two finite returns or more")
    plan = plan or Resampling()
    length = plan.block_length or automatic_block_length(returns)
    ratios, falls = [], []
    for rows in _drawn(len(returns), length, plan.histories, generator):
        sample = returns[rows]
        ratios.append(_sharpes(sample))
        falls.append(maximum_drawdowns(sample))
    every_ratio, every_fall = np.concatenate(ratios), np.concatenate(falls)
    defined = every_ratio[~np.isnan(every_ratio)]
    return BootstrapIntervals(
        sharpe=_interval(sharpe(moments(returns)), defined, plan.confidence),
        drawdown=_interval(
            float(maximum_drawdowns(returns[None, :])[0]), every_fall, plan.confidence
        ),
        block_length=length,
        undefined=int(len(every_ratio) - len(defined)),
    )


def stationary_rows(
    count: int, block_length: float, histories: int, generator: np.random.Generator
) -> Integers:
    """(histories, count) row numbers: blocks that start anywhere and end with chance 1 / length."""
    starts = generator.integers(0, count, size=(histories, count))
    begins = generator.random((histories, count)) < 1.0 / block_length
    begins[:, 0] = True
    position = np.arange(count)
    begun = np.maximum.accumulate(np.where(begins, position, 0), axis=1)
    return (np.take_along_axis(starts, begun, axis=1) + position - begun) % count


def _drawn(
    count: int, block_length: float, histories: int, generator: np.random.Generator
) -> Iterator[Integers]:
    size = max(1, _CELLS // count)
    for at in range(0, histories, size):
        yield stationary_rows(count, block_length, min(size, histories - at), generator)


def maximum_drawdowns(returns: Floats) -> Floats:
    """(H,) deepest fall from a peak of each row of compounded simple returns (H, n), 0..1.

    The start counts as a peak. A return of -1 or less is ruin: 1, and nothing comes after it.
    """
    equity = np.cumprod(1.0 + np.maximum(returns, -1.0), axis=1)
    peak = np.maximum(np.maximum.accumulate(equity, axis=1), 1.0)
    return np.maximum(1.0 - equity / peak, 0.0).max(axis=1)  # type: ignore[no-any-return]


def _sharpes(sample: Floats) -> Floats:
    """(H,) mean over deviation of each row; NaN without variance."""
    deviation = sample.std(axis=1, ddof=1)
    moves = np.ptp(sample, axis=1) > SPREAD_MIN
    return np.where(moves, sample.mean(axis=1) / np.where(moves, deviation, 1.0), np.nan)


def _interval(estimate: float, values: Floats, confidence: float) -> Interval:
    """The middle `confidence` of `values`."""
    if not len(values):
        return Interval(estimate, math.nan, math.nan)
    tail = (1.0 - confidence) / 2.0
    low, high = np.quantile(values, (tail, 1.0 - tail))
    return Interval(estimate, float(low), float(high))


def automatic_block_length(returns: Floats) -> float:
    """Mean block length that suits how long `returns` (n,) remember, in periods, 1 or more.

    The longer of the two for the returns and for their squares: volatility comes in clusters even
    where returns do not follow each other, and drawdowns feel it.
    """
    return max(optimal_block_length(returns), optimal_block_length(returns * returns))


def optimal_block_length(values: Floats) -> float:
    """Politis & White's mean block length for the mean of `values` (n,), periods.

    (2 G^2 / D)^(1/3) n^(1/3) with G = sum of w(k / M) |k| R(k) and D = 2 (sum of w(k / M) R(k))^2,
    where R is the autocovariance, w the flat-top window and M twice the lag after which
    correlations are noise. Between 1 and min(3 sqrt(n), n / 3). 1 without variance.
    """
    count = len(values)
    if count < 9 or np.ptp(values) <= SPREAD_MIN:
        return 1.0
    longest = math.ceil(min(3.0 * math.sqrt(count), count / 3.0))
    quiet = max(5, math.ceil(math.sqrt(math.log10(count))))
    lags = min(math.ceil(math.sqrt(count)) + quiet, count - 1)
    centred = values - values.mean()
    covariances = np.array(
        [centred[lag:] @ centred[: count - lag] / count for lag in range(lags + 1)]
    )
    noise = 2.0 * math.sqrt(math.log10(count) / count)
    reach = _last_lag(np.abs(covariances[1:] / covariances[0]) < noise, quiet)
    width = min(2 * reach, lags)
    lag = np.arange(1, width + 1)
    window = np.minimum(1.0, 2.0 * (1.0 - lag / width))
    bias = 2.0 * float((window * lag * covariances[1 : width + 1]).sum())
    spread = float(covariances[0] + 2.0 * (window * covariances[1 : width + 1]).sum())
    if spread <= 0.0:
        return float(longest)
    length = float(np.cbrt((bias / spread) ** 2 * count))
    return min(max(length, 1.0), float(longest))


def _last_lag(silent: npt.NDArray[np.bool_], quiet: int) -> int:
    """The lag (1 or more) after which `quiet` correlations in a row are noise, else the last loud.

    `silent` holds lags 1, 2, ...
    """
    run = 0
    for lag, is_silent in enumerate(silent, start=1):
        run = run + 1 if is_silent else 0
        if run == quiet:
            return max(lag - quiet, 1)
    return int(np.flatnonzero(~silent)[-1]) + 1
