"""Does the strategy trade as often as in the backtest?

Given the trades of both periods together, the live ones are binomial when the rate is the same: no
rate has to be known. Days differ more than a Poisson count where trades come in clusters; counts
are then divided by the reference's variance over its mean.

Source: Przyborowski & Wilenski (1940), "Homogeneity of Results in Testing Samples from Poisson
Series", Biometrika 31; McCullagh & Nelder (1989), "Generalized Linear Models", 6.2 (dispersion).
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from tercel.app.overfitting.sequential import Decision, Drift
from tercel.domain.errors import UserError

Counts = npt.NDArray[np.int64]

DAYS_FOR_DISPERSION = 20
"""Fewer reference days say too little about how much days differ: Poisson is assumed."""


def trade_rate_drift(
    live: Counts, reference: Counts, false_alarm: float = 0.05, looks: int = 1
) -> Drift:
    """Conditional test of trades a day: `live` and `reference` hold the trades of each day (d,).

    Two-sided, exact for independent trades. The statistic is the p-value and the threshold
    `false_alarm / looks`: below it, drifting. This test is for one look; looking `looks` times
    over shares the false alarms among them. Undecided while not even a day without any trade would
    be below the threshold. `trades` of the result counts the live ones.

    Raises UserError without a day on either side, with negative counts, or without any reference
    trade.
    """
    if not len(live) or not len(reference) or live.min() < 0 or reference.min() < 0:
        raise UserError("a rate needs the trades of one day or more on both sides")
    if not reference.sum():
        raise UserError("the reference has no trade: there is no rate to compare with")
    if looks < 1 or not 0.0 < false_alarm < 1.0:
        raise UserError("looks must be 1 or more and false alarm between 0 and 1")
    share = len(live) / (len(live) + len(reference))
    scale = dispersion(reference)
    before = max(round(float(reference.sum()) / scale), 1)
    p_value = binomial_p_value(round(float(live.sum()) / scale), before, share)
    threshold = false_alarm / looks
    decision = Decision.DRIFTING if p_value < threshold else Decision.OK
    if decision is Decision.OK and binomial_p_value(0, before, share) >= threshold:
        decision = Decision.UNDECIDED
    return Drift(p_value, threshold, decision, int(live.sum()))


def dispersion(counts: Counts) -> float:
    """Variance over mean of trades a day (d,), 1 or more; 1 for a Poisson count or for few days."""
    if len(counts) < DAYS_FOR_DISPERSION or not counts.sum():
        return 1.0
    return max(float(counts.var(ddof=1) / counts.mean()), 1.0)


def binomial_p_value(hits: int, others: int, share: float) -> float:
    """Two-sided p-value of `hits` among `hits + others` when each is a hit with chance `share`.

    Twice the smaller tail, 1 at most. 2 hits and 8 others at one half: 0.109.
    """
    total = hits + others
    log_factorial = np.concatenate(([0.0], np.cumsum(np.log(np.arange(1.0, total + 1.0)))))
    k = np.arange(total + 1)
    logs = log_factorial[total] - log_factorial - log_factorial[::-1]
    chances = np.exp(logs + k * math.log(share) + (total - k) * math.log1p(-share))
    tail = min(float(chances[: hits + 1].sum()), float(chances[hits:].sum()))
    return min(2.0 * tail, 1.0)
