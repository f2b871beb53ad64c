"""One trial of research: a strategy with these parameters on this data, and what came of it.

Every backtest whose result could be looked at is a trial: each counts when the best of them is
judged. The research ledger keeps them all.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from tercel.domain.bars import SeriesKey

TrialKind = Literal["backtest", "walk", "arena"]
"""Which command tried it."""


@dataclass(frozen=True, slots=True)
class TrialRecord:
    """A line of the research ledger."""

    strategy: str
    code_hash: str
    """SHA-256 of the strategy's code."""
    parameters: Mapping[str, int | float | str]
    """Every parameter by name."""
    series: SeriesKey
    start_ms: int
    """Open of the first bar, ms UTC."""
    end_ms: int
    """Close of the last bar, ms UTC."""
    data_hash: str
    """SHA-256 of the bars."""
    cost_profile: str
    settings_hash: str
    """SHA-256 of all else that decides the result: instrument, costs, fills, sizing, limits,
    capital, context beside the bars, other streams on the same account.
    """
    net_fraction: float
    """Of the account, after all costs."""
    trades: int
    """Closed trades of the account."""
    sharpe: float
    """Of the account's daily returns, per day; NaN: not defined."""
    daily_returns: int
    """Daily returns behind it."""
    time_ms: int
    """When it was tried, ms UTC."""
    kind: TrialKind

    @property
    def identity(self) -> str:
        """SHA-256 of what was tried: equal for equal trials, whenever and however often run."""
        told = [
            self.strategy,
            self.code_hash,
            sorted(self.parameters.items()),
            str(self.series),
            self.start_ms,
            self.end_ms,
            self.data_hash,
            self.cost_profile,
            self.settings_hash,
        ]
        return hashlib.sha256(json.dumps(told).encode()).hexdigest()

    def overlaps(self, symbol: str, start_ms: int, end_ms: int) -> bool:
        """Whether it saw some of `[start_ms, end_ms)` of `symbol`, on any venue and timeframe."""
        return self.series.symbol == symbol and self.start_ms < end_ms and start_ms < self.end_ms

    @property
    def is_measured(self) -> bool:
        """Whether it has a Sharpe ratio."""
        return math.isfinite(self.sharpe)
