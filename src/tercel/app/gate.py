"""Go-live thresholds: each figure of a run against what is required of it.

1. `measure` takes every figure a threshold may be about from a run's statistics and trades;
2. `check_gate` sets those of a preset beside its thresholds.

A figure that is not defined fails its row, and the row says why: a profit factor without a losing
trade is no evidence of a high one. Presets are settings (`config/gates.yaml`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, cast

import numpy as np

from tercel.app import trade_groups, wording
from tercel.app.statistics import Statistics
from tercel.app.trial_count import TrialCount, deflated_by
from tercel.core.records import Records
from tercel.domain.errors import UserError
from tercel.domain.gate_settings import Bound, GateFigure, GateSettings, Thresholds

MONTHS_A_YEAR = 12
MONTH_DAYS_MIN = 28
"""A run must be so long before it has a monthly return."""

Kind = Literal["count", "number", "percent", "probability", "r"]
TITLES: dict[GateFigure, tuple[str, Kind]] = {
    "trades": ("Trades", "count"),
    "win_rate": ("Win rate", "percent"),
    "profit_factor": ("Profit factor, net", "number"),
    "drawdown": ("Maximum drawdown", "percent"),
    "sharpe": ("Sharpe ratio", "number"),
    "pay_off": ("Mean winner over mean loser", "number"),
    "losing_streak": ("Longest losing streak", "count"),
    "average_winner_r": ("Average R of winners", "r"),
    "trades_a_day": ("Trades a day", "number"),
    "monthly_return": ("Monthly return", "percent"),
    "probabilistic_sharpe": ("Probability Sharpe > 0", "probability"),
    "deflated_sharpe": ("Deflated Sharpe ratio", "probability"),
}
"""What each figure is called, and how it is written."""

SIGNS: dict[str, str] = {"above": ">", "at_least": ">=", "below": "<", "at_most": "<="}


@dataclass(frozen=True, slots=True)
class Measured:
    """One figure of a run."""

    value: float
    undefined: str = ""
    """Why there is no value, where it is NaN."""


@dataclass(frozen=True, slots=True)
class GateRow:
    """One threshold, and whether it is met."""

    figure: GateFigure
    title: str
    measured: str
    """As people read it; where undefined, why."""
    required: str
    """`> 55.0 %`."""
    value: float
    bound: float
    passed: bool


@dataclass(frozen=True, slots=True)
class Gate:
    """Every threshold of a preset."""

    preset: str
    rows: tuple[GateRow, ...]

    @property
    def passed(self) -> bool:
        """Whether all thresholds are met."""
        return all(row.passed for row in self.rows)

    @property
    def missed(self) -> int:
        """How many are not."""
        return sum(not row.passed for row in self.rows)


def measure(
    statistics: Statistics, trades: Records, tried: TrialCount | None = None
) -> dict[GateFigure, Measured]:
    """Every figure that a threshold may be about.

    `trades` needs the fields `net_quote` and `risk_quote` of TRADE; `tried` counts everything that
    was tried before this run was chosen, itself included. None: nothing else was.
    """
    net = trades["net_quote"]
    winners = trades[net > 0.0]
    winner_r = trade_groups.in_r(winners["net_quote"], winners["risk_quote"])
    monthly = math.nan
    if statistics.days >= MONTH_DAYS_MIN and statistics.cagr >= -1.0:
        monthly = (1.0 + statistics.cagr) ** (1.0 / MONTHS_A_YEAR) - 1.0
    no_trade = "" if len(trades) else "no trade"
    no_loser = no_trade or ("" if (net < 0.0).any() else "no losing trade")
    no_winner = no_trade or ("" if len(winners) else "no winning trade")
    no_ratio = "daily returns are too few, or all the same"
    values: dict[GateFigure, tuple[float, str]] = {
        "trades": (statistics.trades, ""),
        "win_rate": (statistics.win_rate, no_trade),
        "profit_factor": (statistics.profit_factor_net, no_loser),
        "drawdown": (statistics.drawdown_depth, "no equity"),
        "sharpe": (statistics.sharpe, no_ratio),
        "pay_off": (statistics.pay_off, no_loser or no_winner),
        "losing_streak": (statistics.losing_streak, ""),
        "average_winner_r": (trade_groups.average_r(winner_r), no_winner or "risks are unknown"),
        "trades_a_day": (statistics.trades_a_day, "the run has no length"),
        "monthly_return": (monthly, f"the run is shorter than {MONTH_DAYS_MIN} days"),
        "probabilistic_sharpe": (statistics.probabilistic_sharpe, no_ratio),
        "deflated_sharpe": (deflated_by(statistics, tried or so_many(1)).probability, no_ratio),
    }
    return {
        figure: Measured(float(value), reason if math.isnan(value) else "")
        for figure, (value, reason) in values.items()
    }


def so_many(trials: int) -> TrialCount:
    """That many trials of which nothing else is known: their ratios are taken to vary as those of
    worthless trials do, 1 / (n - 1).
    """
    return TrialCount(trials, trials, np.empty(0), np.empty(0, np.int64))


def thresholds_of(settings: GateSettings, preset: str | None) -> tuple[str, Thresholds]:
    """The preset asked for, or that of the settings, by name. Raises UserError that lists all."""
    name = settings.preset if preset is None else preset
    if name not in settings.presets:
        known = ", ".join(sorted(settings.presets))
        raise UserError(
            f"no preset {name!r}; there are {known} (more under gate.presets in config/)"
        )
    return name, settings.presets[name]


def check_gate(
    measured: Mapping[GateFigure, Measured], preset: str, thresholds: Thresholds
) -> Gate:
    """Each of `thresholds` against what was measured, in their order."""
    rows = []
    for figure, bound in thresholds.items():
        title, kind = TITLES[figure]
        found = measured[figure]
        sign, limit = _end(bound)
        rows.append(
            GateRow(
                figure=figure,
                title=title,
                measured=_written(found.value, kind)
                if not found.undefined
                else f"not defined: {found.undefined}",
                required=f"{SIGNS[sign]} {_written(limit, kind)}",
                value=found.value,
                bound=limit,
                passed=_holds(found.value, sign, limit),
            )
        )
    return Gate(preset, tuple(rows))


def _end(bound: Bound) -> tuple[str, float]:
    """The one end of a threshold: its name and its figure."""
    [(sign, limit)] = cast("dict[str, float]", bound).items()
    return sign, limit


def _holds(value: float, sign: str, limit: float) -> bool:
    """Whether `value` is on the right side of `limit`; NaN never is."""
    if sign == "above":
        return value > limit
    if sign == "at_least":
        return value >= limit
    return value < limit if sign == "below" else value <= limit


def _written(value: float, kind: Kind) -> str:
    if kind == "count":
        return wording.number(value, 0)
    if kind == "percent":
        return wording.percent(value)
    if kind == "r":
        return wording.r_multiple(value)
    return wording.number(value, 3 if kind == "probability" else 2)
