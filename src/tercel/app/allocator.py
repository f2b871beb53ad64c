"""The adaptive allocator: how much capital each strategy has earned by its own closed trades.

At a rebalance, for each strategy on its own isolated account:
1. the latest trades that closed before that moment are its evidence, in R, net of all costs;
2. `posterior` says what they say about its expectancy mu: P = P(mu > 0) and E = E[max(mu, 0)];
3. with fewer than `trades_min` trades it is *unproven* and has no capital; below `pause_below` it
   is *paused* until P is at `resume_at` again (it trades on paper meanwhile); else it is *active*;
4. active strategies have the conviction c = max(0, 2 P - 1) = max(0, P(mu > 0) - P(mu < 0)), the
   score s = c E, and the weight c s / sum(s), held between floor and cap.

Conviction decides how much is invested at all, the scores how it is shared. What is left is cash:
where no strategy is more likely to earn than to lose, nothing is invested, but for the floors. What
the cap cuts off stays in cash too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from tercel.app.posterior import Posterior, Prior, posterior
from tercel.app.trade_groups import in_r
from tercel.core.records import Records
from tercel.domain.arena_settings import AllocatorSettings
from tercel.domain.errors import UserError

Floats = npt.NDArray[np.float64]
Times = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class TradeResults:
    """What a strategy's closed trades came to."""

    times: Times
    """(n,) when each closed, ms UTC, ascending."""
    results_r: Floats
    """(n,) net results, R."""

    def before(self, time_ms: int, count_max: int) -> Floats:
        """The latest `count_max` results of trades that closed before `time_ms`, not at it."""
        end = int(np.searchsorted(self.times, time_ms, side="left"))
        return self.results_r[max(end - count_max, 0) : end]


def results_of(trades: Records) -> TradeResults:
    """Results of TRADE records by exit time; a trade whose risk is not known is no evidence."""
    order = np.argsort(trades["exit_time"], kind="stable")
    results = in_r(trades["net_quote"][order], trades["risk_quote"][order])
    known = ~np.isnan(results)
    times = np.ascontiguousarray(trades["exit_time"][order][known], np.int64)
    return TradeResults(times, results[known])


class Standing(StrEnum):
    """What a strategy may be given at a rebalance."""

    UNPROVEN = "unproven"
    ACTIVE = "active"
    PAUSED = "paused"


@dataclass(frozen=True, slots=True)
class Stake:
    """One strategy at one rebalance."""

    standing: Standing
    trades: int
    """Closed trades behind it."""
    expectancy_r: float
    """Posterior mean of its net expectancy a trade, R."""
    positive_probability: float
    """Probability that the expectancy is above zero, 0..1."""
    weight: float
    """Share of the capital, 0..1."""


@dataclass(frozen=True, slots=True)
class Rebalance:
    """What every strategy is given from a moment on."""

    time: int
    """ms UTC."""
    stakes: tuple[Stake, ...]

    @property
    def weights(self) -> Floats:
        """(N,) shares of the capital; what they leave of one is cash."""
        return np.array([stake.weight for stake in self.stakes], np.float64)

    @property
    def cash_fraction(self) -> float:
        """What is not invested, 0..1."""
        return max(1.0 - float(self.weights.sum()), 0.0)

    @property
    def has_evidence(self) -> bool:
        """Whether any strategy has trades enough to be judged."""
        return any(stake.standing is not Standing.UNPROVEN for stake in self.stakes)


def rebalances(
    evidence: Sequence[TradeResults], times: Sequence[int], settings: AllocatorSettings
) -> tuple[Rebalance, ...]:
    """A rebalance at each of `times` (ascending); trades from a moment on never change it.

    Raises UserError as `check_floors`.
    """
    check_floors(len(evidence), settings)
    paused = [False] * len(evidence)
    made = []
    for time_ms in times:
        found = _rebalance(evidence, int(time_ms), paused, settings)
        paused = [stake.standing is Standing.PAUSED for stake in found.stakes]
        made.append(found)
    return tuple(made)


def check_floors(strategies: int, settings: AllocatorSettings) -> None:
    """Raise UserError where the floors of so many strategies are more than the capital."""
    if settings.floor_fraction * strategies > 1.0:
        raise UserError(
            f"allocator.floor_fraction {settings.floor_fraction:g} for each of {strategies} "
            f"strategies is more than the whole capital; choose at most {1.0 / strategies:.3g}"
        )


def _rebalance(
    evidence: Sequence[TradeResults],
    time_ms: int,
    paused: Sequence[bool],
    settings: AllocatorSettings,
) -> Rebalance:
    prior = Prior(settings.prior_trades, settings.prior_deviation_r)
    beliefs = [posterior(each.before(time_ms, settings.trades_max), prior) for each in evidence]
    standings = [
        standing_of(belief, was_paused, settings)
        for belief, was_paused in zip(beliefs, paused, strict=True)
    ]
    weights = weights_of(beliefs, standings, settings)
    stakes = tuple(
        Stake(standing, belief.trades, belief.centre_r, belief.positive_probability, float(weight))
        for belief, standing, weight in zip(beliefs, standings, weights, strict=True)
    )
    return Rebalance(time_ms, stakes)


def standing_of(belief: Posterior, was_paused: bool, settings: AllocatorSettings) -> Standing:
    """Unproven, paused or active; a pause ends at a higher probability than it begins."""
    if belief.trades < settings.trades_min:
        return Standing.UNPROVEN
    bound = settings.resume_at if was_paused else settings.pause_below
    return Standing.PAUSED if belief.positive_probability < bound else Standing.ACTIVE


def weights_of(
    beliefs: Sequence[Posterior], standings: Sequence[Standing], settings: AllocatorSettings
) -> Floats:
    """(N,) shares of the capital, each between floor and cap or 0, together at most 1.

    Two active strategies with P 0.95 and 0.75 and E 0.2 R and 0.1 R: convictions 0.9 and 0.5,
    scores 0.18 and 0.05, weights 0.9 x 0.18 / 0.23 = 0.704 and 0.5 x 0.05 / 0.23 = 0.109, and 0.187
    in cash; a cap of 0.5 makes that 0.5, 0.109 and 0.391.
    """
    active = np.array([standing is Standing.ACTIVE for standing in standings], np.bool_)
    probability = np.array([belief.positive_probability for belief in beliefs], np.float64)
    expected = np.array([belief.positive_part_r for belief in beliefs], np.float64)
    conviction = np.where(active, np.maximum(2.0 * probability - 1.0, 0.0), 0.0)
    scores = conviction * expected
    whole = float(scores.sum())
    shares = scores / whole if whole > 0.0 else np.zeros(len(scores))
    floors = np.where(active, settings.floor_fraction, 0.0)
    weights = np.clip(conviction * shares, floors, settings.cap_fraction * active)
    above = weights - floors
    room = 1.0 - float(floors.sum())
    if float(above.sum()) > room:
        weights = floors + above * (room / float(above.sum()))
    return np.asarray(weights, np.float64)
