"""Do live trades still come from the distribution of the backtest?

Each test looks at every new trade and may speak at any time; its false-alarm rate holds for the
whole watch, not for one look.

- `win_rate_drift`: Wald's sequential probability ratio test of a win rate.
- `mean_drift`: Page's two-sided CUSUM of a standardised mean (R of a trade, slippage in bps).
- `mean_bounds`, `mean_bounds_drift`: a confidence sequence, an interval that holds at all times.

The rate of trades is in `trade_rate`.

Sources: Wald (1945), "Sequential Tests of Statistical Hypotheses", Annals of Mathematical
Statistics 16(2). Page (1954), "Continuous Inspection Schemes", Biometrika 41. Siegmund (1985),
"Sequential Analysis", chapter 2.6. Howard, Ramdas, McAuliffe & Sekhon (2021), "Time-uniform,
nonparametric, nonasymptotic confidence sequences", Annals of Statistics 49(2), equation 14.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from tercel.app.sharpe import Floats
from tercel.domain.errors import UserError

Flags = npt.NDArray[np.bool_]


class Decision(StrEnum):
    """What a test says so far."""

    OK = "ok"
    """A drift of the stated size would have shown by now."""
    DRIFTING = "drifting"
    """The trades differ from the reference."""
    UNDECIDED = "undecided"
    """Too few trades to say either."""


@dataclass(frozen=True, slots=True)
class Drift:
    """The verdict of one test."""

    statistic: float
    """The test's figure when it decided, or after the last trade."""
    threshold: float
    """The value of it that means drift."""
    decision: Decision
    trades: int
    """Trades needed for the decision; all that were seen while undecided."""


@dataclass(frozen=True, slots=True)
class WinRateTest:
    """Wald's test of a win rate against a lower one. Raises UserError when out of range."""

    reference: float
    """Win rate of the backtest, 0..1."""
    drop: float
    """Fall of it that must be noticed: 0.10 is from 0.60 to 0.50."""
    false_alarm: float = 0.05
    """Probability of saying drifting while the win rate is the reference."""
    missed: float = 0.10
    """Probability of saying ok while it has fallen by `drop`."""

    def __post_init__(self) -> None:
        """Check the numbers."""
        if not 0.0 < self.reference < 1.0 or not 0.0 < self.drop < self.reference:
            raise UserError(
                "the reference win rate must be between 0 and 1, and the drop between 0 and it; "
                f"got {self.reference:g} and {self.drop:g}"
            )
        if not (self.false_alarm > 0.0 and self.missed > 0.0) or (
            self.false_alarm + self.missed >= 1.0
        ):
            raise UserError("false alarm and missed must be above 0 and together below 1")


def win_rate_drift(wins: Flags, test: WinRateTest) -> Drift:
    """Wald's sequential probability ratio test over `wins` (n,), in the order of the trades.

    The statistic is ln of the likelihood under the fallen rate over that under the reference. At
    ln(1 / false_alarm) or above: drifting; at ln(missed) or below: ok. The first of these decides
    and the rest is not looked at: to watch on, begin anew with the next trade.

    Wald's own limits, ln((1 - missed) / false_alarm) and ln(missed / (1 - false_alarm)), are a
    little nearer and hold the stated rates only about; these hold them for certain.
    """
    fallen = test.reference - test.drop
    won = math.log(fallen / test.reference)
    lost = math.log((1.0 - fallen) / (1.0 - test.reference))
    upper = -math.log(test.false_alarm)
    lower = math.log(test.missed)
    path = np.cumsum(np.where(wins, won, lost))
    decided = np.flatnonzero((path >= upper) | (path <= lower))
    if not len(decided):
        last = float(path[-1]) if len(path) else 0.0
        return Drift(last, upper, Decision.UNDECIDED, len(path))
    at = int(decided[0])
    decision = Decision.DRIFTING if path[at] >= upper else Decision.OK
    return Drift(float(path[at]), upper, decision, at + 1)


@dataclass(frozen=True, slots=True)
class MeanTest:
    """A watch over the mean of a figure of each trade. Raises UserError when out of range."""

    mean: float
    """Mean of the reference, in the figure's unit."""
    deviation: float
    """Standard deviation of the reference, same unit."""
    shift: float = 0.5
    """Drift that should be noticed, in deviations, either way."""
    false_alarm: float = 0.05
    """Probability of an alarm within `horizon` trades of the reference."""
    horizon: int = 500
    """Trades that the watch is to last."""

    def __post_init__(self) -> None:
        """Check the numbers."""
        if not math.isfinite(self.mean) or not 0.0 < self.deviation < math.inf:
            raise UserError("a reference needs a finite mean and a deviation above 0")
        if not self.shift > 0.0 or not 0.0 < self.false_alarm < 1.0 or self.horizon < 1:
            raise UserError("shift must be above 0, false alarm 0..1, horizon 1 trade or more")


def cusum_run_length(threshold: float, allowance: float, drift: float) -> float:
    """Mean trades until a one-sided CUSUM of unit variance passes `threshold` (Siegmund).

    `drift` is the true mean in deviations, `allowance` what is taken off each trade. With
    Delta = drift - allowance and b = threshold + 1.166: (exp(-2 Delta b) + 2 Delta b - 1) /
    (2 Delta^2), or b^2 where Delta is zero. Threshold 4, allowance 0.5, no drift: 338 (exact: 336).
    """
    delta = drift - allowance
    reach = threshold + 1.166
    if abs(delta) < 1e-9:
        return reach * reach
    exponent = -2.0 * delta * reach
    if exponent > 700.0:
        return math.inf
    return (math.exp(exponent) - exponent - 1.0) / (2.0 * delta * delta)


def cusum_threshold(test: MeanTest) -> float:
    """The threshold, in deviations, whose two-sided false-alarm rate over the horizon is stated.

    Alarms of the reference come at a constant rate, so false_alarm = 1 - exp(-horizon / run
    length), where two sides halve the run length. For figures near the normal distribution; where
    they are far from it (slippage), use `cusum_threshold_resampled`.
    """
    wanted = -2.0 * test.horizon / math.log1p(-test.false_alarm)
    low, high = 0.0, 1.0
    while cusum_run_length(high, test.shift / 2.0, 0.0) < wanted:
        high *= 2.0
    for _ in range(60):
        middle = (low + high) / 2.0
        if cusum_run_length(middle, test.shift / 2.0, 0.0) < wanted:
            low = middle
        else:
            high = middle
    return high


def cusum_threshold_resampled(
    reference: Floats, test: MeanTest, generator: np.random.Generator, histories: int = 2_000
) -> float:
    """The threshold, in deviations, for whatever distribution `reference` (m,) has.

    Draws `histories` series of `horizon` trades from the reference and takes the 1 - false_alarm
    quantile of the highest value the CUSUM reached. Raises UserError without a reference.
    """
    if len(reference) < 2 or not np.isfinite(reference).all():
        raise UserError("a reference needs two finite trades or more")
    up, down, highest = np.zeros(histories), np.zeros(histories), np.zeros(histories)
    for _ in range(test.horizon):
        drawn = reference[generator.integers(0, len(reference), size=histories)]
        scores = (drawn - test.mean) / test.deviation
        up = np.maximum(0.0, up + scores - test.shift / 2.0)
        down = np.maximum(0.0, down - scores - test.shift / 2.0)
        highest = np.maximum(highest, np.maximum(up, down))
    return float(np.quantile(highest, 1.0 - test.false_alarm, method="higher"))


def cusum_paths(values: Floats, test: MeanTest) -> Floats:
    """(2, n) the CUSUM for a higher and for a lower mean after each of `values` (n,).

    S = max(0, S + z - shift / 2) with z the standardised value, or its negative.
    """
    scores = (values - test.mean) / test.deviation
    paths = np.zeros((2, len(values)))
    for row, sign in enumerate((1.0, -1.0)):
        walked = np.concatenate(([0.0], np.cumsum(sign * scores - test.shift / 2.0)))
        paths[row] = (walked - np.minimum.accumulate(walked))[1:]
    return paths


def mean_drift(values: Floats, test: MeanTest, threshold: float | None = None) -> Drift:
    """Page's two-sided CUSUM over `values` (n,), in the order of the trades.

    Drifting from the first trade at which either side is above the threshold (`cusum_threshold` by
    default). Ok once twice as many trades as a drift of the stated size needs on average have
    passed without an alarm, undecided before. Raises UserError when values are not finite.
    """
    if not np.isfinite(values).all():
        raise UserError("figures of trades must be finite")
    limit = cusum_threshold(test) if threshold is None else threshold
    highest = cusum_paths(values, test).max(axis=0)
    alarms = np.flatnonzero(highest > limit)
    if len(alarms):
        at = int(alarms[0])
        return Drift(float(highest[at]), limit, Decision.DRIFTING, at + 1)
    enough = math.ceil(2.0 * cusum_run_length(limit, test.shift / 2.0, test.shift))
    last = float(highest[-1]) if len(highest) else 0.0
    if len(values) < enough:
        return Drift(last, limit, Decision.UNDECIDED, len(values))
    return Drift(last, limit, Decision.OK, enough)


def mean_bounds(values: Floats, deviation: float, false_alarm: float, horizon: int) -> Floats:
    """(2, n) lower and upper bound of the mean after each of `values` (n,), valid at all times.

    mean -+ deviation sqrt((t + rho) ln((t + rho) / (rho a^2))) / t, the normal mixture of Robbins:
    the true mean leaves any of these intervals, ever, with probability `false_alarm` at most when
    values are normal (or lighter in the tails) with this deviation; about so for R multiples.
    rho = horizon / (2 ln(1/a) + ln(1 + 2 ln(1/a))) makes it tightest near `horizon` trades.
    """
    level = -2.0 * math.log(false_alarm)
    mixing = horizon / (level + math.log1p(level))
    count = np.arange(1.0, len(values) + 1.0)
    mean = np.cumsum(values) / count
    spread = count + mixing
    width = deviation * np.sqrt(spread * (np.log(spread / mixing) + level)) / count
    return np.array([mean - width, mean + width])


def mean_bounds_drift(values: Floats, test: MeanTest) -> Drift:
    """Whether the confidence sequence of the mean of `values` (n,) still holds the reference.

    The statistic is the distance of the running mean from the reference in deviations, the
    threshold the half width at that trade. Drifting once the reference is outside; ok once both
    means that are `shift` deviations away are outside and the reference is not. Unlike the CUSUM it
    looks at all trades from the first: slower for a late drift, and its rate has no horizon.
    """
    if not np.isfinite(values).all():
        raise UserError("figures of trades must be finite")
    scores = (values - test.mean) / test.deviation
    low, high = mean_bounds(scores, 1.0, test.false_alarm, test.horizon)
    drifting = (low > 0.0) | (high < 0.0)
    settled = (low > -test.shift) & (high < test.shift)
    decided = np.flatnonzero(drifting | settled)
    at = int(decided[0]) if len(decided) else len(values) - 1
    if at < 0:
        return Drift(0.0, math.inf, Decision.UNDECIDED, 0)
    distance, width = abs(float(low[at] + high[at])) / 2.0, float(high[at] - low[at]) / 2.0
    if not len(decided):
        return Drift(distance, width, Decision.UNDECIDED, at + 1)
    return Drift(distance, width, Decision.DRIFTING if drifting[at] else Decision.OK, at + 1)
