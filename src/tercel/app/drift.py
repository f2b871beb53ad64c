"""Do recent trades still come from the distribution of the backtest?

Four tests, each on its own figure, sharing the false alarms among them:
- win rate: Wald's sequential test of a fall;
- net R a trade, slippage a trade: Page's CUSUM of the mean, either way, with thresholds drawn from
  the reference itself;
- trades a day: the conditional binomial test.

Recent trades are looked at in the order of their exits, the newest `drift.horizon_trades` of them:
for so many the thresholds hold. Formulas and
sources: `app/overfitting/sequential.py` and `trade_rate.py`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from tercel.app import trade_groups
from tercel.app.overfitting.sequential import (
    Decision,
    Drift,
    MeanTest,
    WinRateTest,
    cusum_threshold,
    cusum_threshold_resampled,
    mean_drift,
    win_rate_drift,
)
from tercel.app.overfitting.trade_rate import trade_rate_drift
from tercel.app.trade_groups import Floats
from tercel.app.wording import count
from tercel.core.records import Records
from tercel.domain.errors import UserError
from tercel.domain.gate_settings import DriftSettings
from tercel.domain.times import DAY_MS

BPS = 1e4
TESTS = 4
"""They share the false alarms in equal parts (Bonferroni)."""

Unit = Literal["percent", "r", "number", "bps"]


@dataclass(frozen=True, slots=True, eq=False)
class TradeSample:
    """Trades, and the time over which they were watched."""

    trades: Records
    """By exit time; fields `saved_run.SAVED_FIELDS` of TRADE are read."""
    start_time: int
    """ms UTC: from here on an entry would have been seen."""
    end_time: int
    """ms UTC: until here."""


@dataclass(frozen=True, slots=True)
class DriftRow:
    """One test."""

    name: str
    unit: Unit
    reference: float
    recent: float
    test: str
    statistic: float
    threshold: float
    decision: Decision
    note: str = ""
    """Why nothing is decided."""


@dataclass(frozen=True, slots=True)
class DriftReport:
    """All four, and what they amount to."""

    reference_trades: int
    recent_trades: int
    """All that were given."""
    rows: tuple[DriftRow, ...]
    left_out: int = 0
    """Recent trades older than the watch is long."""

    @property
    def caution(self) -> str:
        """What was not looked at, one sentence; empty: nothing."""
        if not self.left_out:
            return ""
        newest = count(self.recent_trades - self.left_out)
        return (
            f"Only the newest {newest} of {count(self.recent_trades)} recent trades are looked at "
            f"(drift.horizon_trades); {count(self.left_out)} older ones are left out."
        )

    @property
    def decision(self) -> Decision:
        """Drifting as soon as one test says so; ok when all do."""
        found = {row.decision for row in self.rows}
        if Decision.DRIFTING in found:
            return Decision.DRIFTING
        return Decision.UNDECIDED if Decision.UNDECIDED in found else Decision.OK

    @property
    def verdict(self) -> str:
        """One sentence."""
        if self.decision is Decision.OK:
            return "No drift: the recent trades look like those of the backtest."
        named = [row.name.lower() for row in self.rows if row.decision is self.decision]
        listed = ", ".join(named)
        if self.decision is Decision.DRIFTING:
            return f"Drifting: no longer as in the backtest: {listed}."
        return f"No drift seen, but nothing can be said yet about: {listed}."


def measure_drift(
    reference: TradeSample, recent: TradeSample, settings: DriftSettings, seed: int
) -> DriftReport:
    """Compare `recent` trades with those of a backtest. Deterministic for a `seed`.

    Raises UserError when either side has too few trades.
    """
    for name, sample, least in (
        ("the reference", reference, settings.reference_trades_min),
        ("the recent trades", recent, settings.recent_trades_min),
    ):
        if len(sample.trades) < least:
            raise UserError(
                f"{name}: {count(len(sample.trades))} trades, and at least {count(least)} are "
                "needed before anything can be said"
            )
    given, recent = len(recent.trades), newest(recent, settings.horizon_trades)
    generator = np.random.default_rng(seed)
    rows = (
        _win_rate(reference, recent, settings),
        _mean(_NET_R, reference, recent, settings, generator),
        _trades_a_day(reference, recent, settings),
        _mean(_SLIPPAGE, reference, recent, settings, generator),
    )
    return DriftReport(len(reference.trades), given, rows, given - len(recent.trades))


def net_r(trades: Records) -> Floats:
    """Net profit of each trade in multiples of its risk (n,); NaN where the risk is unknown."""
    return trade_groups.in_r(trades["net_quote"], trades["risk_quote"])


def slippage_bps(trades: Records) -> Floats:
    """Slippage of each trade over what was bought and sold in it (n,), basis points.

    60 USDT lost by slippage on 1 bought at 30,000 and sold at 30,000: 10 bps of each unit.
    """
    turnover = trades["quantity"] * (trades["entry_price"] + trades["exit_price"])
    return BPS * trade_groups.in_r(trades["slippage_quote"], turnover)


def daily_counts(sample: TradeSample) -> npt.NDArray[np.int64]:
    """Entries in each whole span of 24 hours from the start of the watch (days,)."""
    days = (sample.end_time - sample.start_time) // DAY_MS
    at = (sample.trades["entry_time"] - sample.start_time) // DAY_MS
    inside = at[(at >= 0) & (at < days)]
    return np.bincount(inside.astype(np.int64), minlength=max(days, 0)).astype(np.int64)


@dataclass(frozen=True, slots=True)
class _MeanFigure:
    """A figure of each trade whose mean is watched."""

    name: str
    unit: Unit
    of: Callable[[Records], Floats]
    deviation_min: Callable[[DriftSettings], float]


_NET_R = _MeanFigure("Net R a trade", "r", net_r, lambda _: 0.0)
_SLIPPAGE = _MeanFigure(
    "Slippage", "bps", slippage_bps, lambda settings: settings.slippage_deviation_bps_min
)


def _share(settings: DriftSettings) -> float:
    """The false-alarm rate of one test."""
    return settings.false_alarm / TESTS


def _row(name: str, unit: Unit, figures: tuple[float, float], test: str, found: Drift) -> DriftRow:
    note = "too few trades to say" if found.decision is Decision.UNDECIDED else ""
    return DriftRow(
        name, unit, *figures, test, found.statistic, found.threshold, found.decision, note
    )


def _untested(
    name: str, unit: Unit, figures: tuple[float, float], test: str, note: str
) -> DriftRow:
    return DriftRow(name, unit, *figures, test, math.nan, math.nan, Decision.UNDECIDED, note)


def _win_rate(reference: TradeSample, recent: TradeSample, settings: DriftSettings) -> DriftRow:
    name, test = "Win rate", "SPRT"
    wins = recent.trades["net_quote"] > 0.0
    before = float((reference.trades["net_quote"] > 0.0).mean())
    figures = (before, float(wins.mean()))
    if not settings.win_rate_drop < before < 1.0:
        note = (
            f"the reference's is not between drift.win_rate_drop ({settings.win_rate_drop:g}) and 1"
        )
        return _untested(name, "percent", figures, test, note)
    drop = WinRateTest(before, settings.win_rate_drop, _share(settings), settings.missed)
    return _row(name, "percent", figures, test, win_rate_drift(wins, drop))


def _mean(
    figure: _MeanFigure,
    reference: TradeSample,
    recent: TradeSample,
    settings: DriftSettings,
    generator: np.random.Generator,
) -> DriftRow:
    test = "CUSUM"
    before, after = figure.of(reference.trades), figure.of(recent.trades)
    known, values = before[np.isfinite(before)], after[np.isfinite(after)]
    means = (trade_groups.mean(known), trade_groups.mean(values))
    if len(known) < settings.reference_trades_min or len(values) < settings.recent_trades_min:
        note = "unknown in too many trades"
        return _untested(figure.name, figure.unit, means, test, note)
    deviation, least = float(known.std(ddof=1)), figure.deviation_min(settings)
    if not max(deviation, least) > 0.0:
        note = "the same in every trade of the reference"
        return _untested(figure.name, figure.unit, means, test, note)
    watch = MeanTest(
        mean=means[0],
        deviation=max(deviation, least),
        shift=settings.shift_deviations,
        false_alarm=_share(settings),
        horizon=settings.horizon_trades,
    )
    if deviation > least:
        limit = cusum_threshold_resampled(known, watch, generator, settings.histories)
    else:  # drawn from a reference that hardly varies, the threshold would be next to nothing
        limit = cusum_threshold(watch)
    return _row(figure.name, figure.unit, means, test, mean_drift(values, watch, limit))


def _trades_a_day(reference: TradeSample, recent: TradeSample, settings: DriftSettings) -> DriftRow:
    name, test = "Trades a day", "binomial"
    before, after = daily_counts(reference), daily_counts(recent)
    figures = (
        trade_groups.mean(before.astype(float)),
        trade_groups.mean(after.astype(float)),
    )
    if not len(after) or not before.sum():
        note = "each side needs a whole day of 24 hours, and the reference a trade in one"
        return _untested(name, "number", figures, test, note)
    found = trade_rate_drift(after, before, _share(settings))
    return _row(name, "number", figures, test, found)


def newest(sample: TradeSample, trades_max: int) -> TradeSample:
    """The last `trades_max` trades by exit, watched from the last entry left out on.

    So each entry of the shorter watch is among its trades, and trades a day stay true.
    """
    left_out = len(sample.trades) - trades_max
    if left_out <= 0:
        return sample
    start_time = int(sample.trades["entry_time"][:left_out].max()) + 1
    return replace(sample, trades=sample.trades[left_out:], start_time=start_time)


def spanning(trades: Records) -> TradeSample:
    """Trades of which the watched time is not known: from the first entry to the last exit.

    The quiet time before and after is not in it, so that trades a day come out a little high.
    """
    if not len(trades):
        return TradeSample(trades, 0, 0)
    return TradeSample(trades, int(trades["entry_time"].min()), int(trades["exit_time"].max()))


def watched(sample: TradeSample, start_time: int | None, end_time: int | None) -> TradeSample:
    """The trades of `sample` that were entered in a watch of that start and end, ms UTC."""
    found = replace(
        sample,
        start_time=sample.start_time if start_time is None else start_time,
        end_time=sample.end_time if end_time is None else end_time,
    )
    entries = sample.trades["entry_time"]
    inside = (entries >= found.start_time) & (entries < found.end_time)
    return replace(found, trades=sample.trades[inside])
