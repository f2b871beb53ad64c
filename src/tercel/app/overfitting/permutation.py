"""Permutation tests of entries: would the same trades at other times have earned as much?

The statistic is the sum of the trades' log returns, side times log(exit close / entry close), net
of nothing: the same trades pay the same costs wherever they stand, so costs would change both sides
of the comparison alike. The null hypothesis is that the moments of entry carry no information.
Sides and holding times are kept, so that what a long-only strategy earns from a rising market does
not count as skill.

p = (1 + null values at or above the observed one) / (1 + null values). Source: Davison & Hinkley
(1997), "Bootstrap Methods and their Application", chapter 4; Phipson & Smyth (2010).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tercel.app.sharpe import Floats
from tercel.domain.errors import UserError

Integers = npt.NDArray[np.int64]

_CELLS = 1_000_000
"""Permutations times trades that are worked on at once: bounds the memory."""

_ROUNDING = 1e-9
"""Sums of log returns this close, as a share of what the trades moved, are equal: a tie counts
against the strategy.
"""


@dataclass(frozen=True, slots=True, eq=False)
class EntryTrades:
    """Trades as the test sees them: K trades over bars 0..n - 1.

    Raises UserError when lengths differ, a side is not 1 or -1, or a trade is held for no bar.
    """

    entries: Integers
    """(K,) bar at whose close each trade is entered."""
    sides: Integers
    """(K,) 1 long, -1 short."""
    holding_bars: Integers
    """(K,) bars from entry to exit, 1 or more."""

    def __post_init__(self) -> None:
        """Check the arrays."""
        if not len(self.entries) == len(self.sides) == len(self.holding_bars):
            raise UserError("entries, sides and holding bars must have the same length")
        if not np.isin(self.sides, (-1, 1)).all():
            raise UserError("sides must be 1 (long) or -1 (short)")
        if (self.holding_bars < 1).any():
            raise UserError("every trade must be held for one bar or more")


@dataclass(frozen=True, slots=True)
class PermutationTest:
    """How the observed trades compare with the same trades at other times."""

    observed: float
    """Sum of log returns of the trades as they were."""
    null_mean: float
    """Mean of the null values: what sides, holding times and market alone gave."""
    null_deviation: float
    """Their standard deviation."""
    permutations: int
    """Null values."""
    p_value: float
    """Probability of at least the observed result when entry times do not matter, 0..1."""


def shifted_entries(closes: Floats, trades: EntryTrades) -> PermutationTest:
    """Move all trades together by every number of bars; the end of `closes` (n,) meets its start.

    Keeps the spacing and overlap of trades. Exact: all n - 2 other shifts of the n - 1 bar returns
    are evaluated, by one Fourier transform, and nothing is drawn. Raises UserError when closes are
    not positive or a trade does not lie within them.
    """
    steps = _log_steps(closes, trades)
    count = len(steps)
    edges = np.zeros(count + 1)
    np.add.at(edges, trades.entries, trades.sides)
    np.add.at(edges, trades.entries + trades.holding_bars, -trades.sides)
    held = np.cumsum(edges)[:count]
    spectrum = np.conj(np.fft.rfft(held)) * np.fft.rfft(steps)
    totals = np.fft.irfft(spectrum, n=count)
    return _verdict(_total(steps, trades, trades.entries), totals[1:], steps, trades)


def shuffled_entries(
    closes: Floats, trades: EntryTrades, permutations: int, generator: np.random.Generator
) -> PermutationTest:
    """Put the trades in random order at random times, one after another, without overlap.

    Breaks the spacing of trades, which `shifted_entries` keeps: a strategy that trades more when
    bars are wide is compared with one that trades at all times. Raises UserError as there, when
    `permutations` is below 1, or when the trades are too long to stand one after another.
    """
    steps = _log_steps(closes, trades)
    free = len(steps) - int(trades.holding_bars.sum())
    if permutations < 1:
        raise UserError(f"permutations must be 1 or more, got {permutations}")
    if free < 0:
        raise UserError("the trades overlap too much to stand one after another: shift them all")
    count = len(trades.entries)
    path = np.concatenate(([0.0], np.cumsum(steps)))
    totals = np.empty(permutations)
    size = max(1, _CELLS // max(count, 1))
    for at in range(0, permutations, size):
        rows = min(size, permutations - at)
        order = generator.permuted(np.tile(np.arange(count), (rows, 1)), axis=1)
        holding = trades.holding_bars[order]
        gaps = np.sort(generator.integers(0, free + 1, size=(rows, count)), axis=1)
        starts = gaps + np.cumsum(holding, axis=1) - holding
        moves = path[starts + holding] - path[starts]
        totals[at : at + rows] = (trades.sides[order] * moves).sum(axis=1)
    return _verdict(_total(steps, trades, trades.entries), totals, steps, trades)


def _log_steps(closes: Floats, trades: EntryTrades) -> Floats:
    """(n - 1,) log return of each bar over the one before; checks that the trades lie within."""
    if len(closes) < 3 or not (closes > 0.0).all() or not np.isfinite(closes).all():
        raise UserError("a permutation test needs three positive closes or more")
    exits = trades.entries + trades.holding_bars
    if len(exits) and (trades.entries.min() < 0 or exits.max() > len(closes) - 1):
        raise UserError("a trade begins before the first bar or ends after the last")
    return np.diff(np.log(closes))


def _total(steps: Floats, trades: EntryTrades, entries: Integers) -> float:
    """The statistic with the trades at `entries`."""
    path = np.concatenate(([0.0], np.cumsum(steps)))
    return float((trades.sides * (path[entries + trades.holding_bars] - path[entries])).sum())


def _verdict(
    observed: float, totals: Floats, steps: Floats, trades: EntryTrades
) -> PermutationTest:
    scale = float(np.abs(steps).max()) * float(trades.holding_bars.sum())
    reached = int((totals >= observed - _ROUNDING * scale).sum())
    return PermutationTest(
        observed=observed,
        null_mean=float(totals.mean()),
        null_deviation=float(totals.std(ddof=1)) if len(totals) > 1 else math.nan,
        permutations=len(totals),
        p_value=(1 + reached) / (1 + len(totals)),
    )
