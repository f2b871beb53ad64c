"""The walk-forward test of the allocator: would it have been worth following?

1. The strategies' isolated accounts give a matrix of daily returns, (T, N).
2. Every `rebalance_days` the allocator decides from the trades closed before that moment. The test
   begins with the first rebalance at which some strategy has trades enough to be judged.
3. From one rebalance to the next each share grows with its strategy and cash stays as it is; daily
   returns of the whole are chained.
4. The same with equal weights, rebalanced at the same moments, and with the strategy that turned
   out best, which nobody could have known.

Moving capital between accounts costs nothing here: how much was moved is told (`turnover`). An
account is assumed to earn the same return on any capital.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from tercel.app.allocator import Floats, Rebalance, Times, TradeResults, rebalances
from tercel.app.overfitting.bootstrap import (
    Interval,
    automatic_block_length,
    maximum_drawdowns,
    stationary_rows,
)
from tercel.app.sharpe import PERIODS_A_YEAR, annualised, moments, sharpe
from tercel.app.wording import number, percent
from tercel.domain.arena_settings import AllocatorSettings
from tercel.domain.research_settings import OverfitSettings
from tercel.domain.times import format_date

MOSTLY_CASH_FRACTION = 0.10
"""Mean share at work below which staying out is the verdict: nothing was chosen to judge."""


@dataclass(frozen=True, slots=True, eq=False)
class DailyReturns:
    """What each strategy's own account did from day to day."""

    names: tuple[str, ...]
    begins: Times
    """(T,) when each daily step begins, ms UTC."""
    ends: Times
    """(T,) when it ends."""
    returns: Floats
    """(T, N) simple returns, -1 or above; 0 after ruin."""


@dataclass(frozen=True, slots=True, eq=False)
class CapitalPath:
    """One way to spread capital over the strategies, chained day by day."""

    name: str
    returns: Floats
    """(T,) daily returns of the whole."""
    turnover: Floats
    """(R,) share of the capital moved at each rebalance, the first from cash."""
    invested: Floats
    """(T,) share of the capital at work at the beginning of each day."""

    @property
    def equity(self) -> Floats:
        """(T,) capital at the end of each day, from 1."""
        return np.asarray(np.cumprod(1.0 + self.returns), np.float64)

    @property
    def net_fraction(self) -> float:
        """Return of the whole."""
        return float(self.equity[-1]) - 1.0

    @property
    def sharpe(self) -> float:
        """A year's Sharpe ratio of daily returns; NaN without variance."""
        return annualised(sharpe(moments(self.returns)))

    @property
    def drawdown(self) -> float:
        """Deepest fall from a peak, fraction, by daily closes."""
        return float(maximum_drawdowns(self.returns[None, :])[0])

    @property
    def invested_mean(self) -> float:
        """Mean share of the capital at work, 0..1."""
        return float(self.invested.mean())


class AllocationCode(StrEnum):
    """What the test says about the allocator, against equal weights."""

    NOT_TESTED = "not_tested"
    STAYED_OUT = "stayed_out"
    BETTER = "better"
    UNDECIDED = "undecided"
    WORSE = "worse"


HEADLINES: dict[AllocationCode, str] = {
    AllocationCode.NOT_TESTED: "The allocator could not be tested",
    AllocationCode.STAYED_OUT: "The allocator kept nearly everything in cash",
    AllocationCode.BETTER: "The allocator did better than equal weights",
    AllocationCode.UNDECIDED: "The allocator cannot be told from equal weights",
    AllocationCode.WORSE: "The allocator did worse than equal weights",
}


@dataclass(frozen=True, slots=True, eq=False)
class AllocatorWalk:
    """The allocator beside equal weights and hindsight, over the same days."""

    code: AllocationCode
    sentences: tuple[str, ...]
    names: tuple[str, ...]
    rebalances: tuple[Rebalance, ...] = ()
    """From the first one with evidence on."""
    day_ends: Times | None = None
    """(T,) ms UTC."""
    paths: tuple[CapitalPath, ...] = ()
    """The allocator, equal weights, the best strategy in hindsight; none where it is not tested."""
    difference: Interval | None = None
    """Allocator less equal weights: mean daily difference times 365, with its interval."""

    @property
    def headline(self) -> str:
        """The verdict in a line, without a full stop."""
        return HEADLINES[self.code]


def walk_allocator(
    daily: DailyReturns,
    evidence: Sequence[TradeResults],
    settings: AllocatorSettings,
    drawing: OverfitSettings,
) -> AllocatorWalk:
    """Test the allocator on `daily` and the trades behind it. Raises UserError on floors that do
    not fit.
    """
    rows = range(0, len(daily.begins), settings.rebalance_days)
    every = rebalances(evidence, [int(daily.begins[row]) for row in rows], settings)
    known = [each.has_evidence for each in every]
    if True not in known:
        why = f"No strategy closed {settings.trades_min} trades before the last rebalance."
        return AllocatorWalk(AllocationCode.NOT_TESTED, (why,), daily.names)
    first = known.index(True)
    start = rows[first]
    made, returns = every[first:], daily.returns[start:]
    if len(returns) < drawing.returns_min:
        why = (
            f"{len(returns)} daily returns are left after the first rebalance with evidence; "
            f"{drawing.returns_min} are needed."
        )
        return AllocatorWalk(AllocationCode.NOT_TESTED, (why,), daily.names, made)
    chosen = {row - start: each.weights for row, each in zip(rows[first:], made, strict=True)}
    paths = _paths(daily.names, returns, chosen)
    difference = difference_interval(paths[0].returns - paths[1].returns, drawing)
    code = _code(difference, paths[0].invested_mean)
    span = (int(daily.begins[start]), int(daily.ends[-1]))
    return AllocatorWalk(
        code,
        _sentences(paths, difference, span, drawing.confidence),
        daily.names,
        made,
        daily.ends[start:],
        paths,
        difference,
    )


def _paths(
    names: Sequence[str], returns: Floats, chosen: Mapping[int, Floats]
) -> tuple[CapitalPath, ...]:
    """The allocator, equal weights, and the best strategy in hindsight."""
    count = len(names)
    equal = np.full(count, 1.0 / count)
    best = int(np.argmax(np.prod(1.0 + returns, axis=0)))
    return (
        chain("allocator", returns, chosen),
        chain("equal weights", returns, dict.fromkeys(chosen, equal)),
        chain(f"{names[best]} (hindsight)", returns, {0: np.eye(count)[best]}),
    )


def chain(name: str, returns: Floats, weights: Mapping[int, Floats]) -> CapitalPath:
    """Capital spread over strategies with daily `returns` (T, N), -1 or above, chained.

    `weights` are shares (N,) by the day they are set before; what they leave is cash. With 0.5 in
    a strategy that makes 10 % a day, two days make 1.05 and then 1.0524 (0.55 of 1.05 is at work).
    """
    days, count = returns.shape
    shares, cash = np.zeros(count), 1.0
    earned, invested, moved = np.zeros(days), np.zeros(days), []
    for day in range(days):
        whole = float(shares.sum()) + cash
        if day in weights and whole > 0.0:
            wanted = whole * weights[day]
            left = whole - float(wanted.sum())
            change = float(np.abs(wanted - shares).sum()) + abs(left - cash)
            moved.append(0.5 * change / whole)
            shares, cash = wanted, left
        if whole > 0.0:
            invested[day] = float(shares.sum()) / whole
            shares = shares * (1.0 + returns[day])
            earned[day] = (float(shares.sum()) + cash) / whole - 1.0
    return CapitalPath(name, earned, np.array(moved, np.float64), invested)


def difference_interval(difference: Floats, drawing: OverfitSettings) -> Interval:
    """Mean of the daily `difference` (n,) times 365, with its stationary bootstrap interval."""
    generator = np.random.default_rng(drawing.seed)
    length = automatic_block_length(difference)
    rows = stationary_rows(len(difference), length, drawing.histories, generator)
    means = difference[rows].mean(axis=1) * PERIODS_A_YEAR
    tail = (1.0 - drawing.confidence) / 2.0
    low, high = np.quantile(means, (tail, 1.0 - tail))
    return Interval(float(difference.mean()) * PERIODS_A_YEAR, float(low), float(high))


def _code(difference: Interval, invested_mean: float) -> AllocationCode:
    if invested_mean < MOSTLY_CASH_FRACTION:
        return AllocationCode.STAYED_OUT
    if difference.low > 0.0:
        return AllocationCode.BETTER
    if difference.high < 0.0:
        return AllocationCode.WORSE
    return AllocationCode.UNDECIDED


def _sentences(
    paths: Sequence[CapitalPath],
    difference: Interval,
    span: tuple[int, int],
    confidence: float,
) -> tuple[str, ...]:
    """The verdict in words."""
    ours, equal, best = paths
    said = [
        f"From {format_date(span[0])} to {format_date(span[1])} the allocator made "
        f"{percent(ours.net_fraction)} with a drawdown of {percent(ours.drawdown)}, equal weights "
        f"{percent(equal.net_fraction)} with {percent(equal.drawdown)}; the best in hindsight, "
        f"{best.name.removesuffix(' (hindsight)')}, made {percent(best.net_fraction)}.",
        f"Its advantage over equal weights was {percent(difference.estimate)} a year, with a "
        f"{number(confidence * 100.0, 0)} % interval from {percent(difference.low)} to "
        f"{percent(difference.high)}.",
        f"On average {percent(ours.invested_mean)} of the capital was at work, the rest was cash; "
        f"{number(float(ours.turnover.sum()), 1)} times the capital was moved.",
    ]
    if ours.invested_mean < MOSTLY_CASH_FRACTION:
        said.append("Hardly any strategy had earned its capital: that is no profit, only no loss.")
    if ours.net_fraction < 0.0:
        said.append("Keeping all of it in cash would have been better still.")
    return tuple(said)
