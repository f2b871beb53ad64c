"""Runs and trades read back from files: enough to judge them without trading again."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tercel.app.statistics import Statistics
from tercel.core.records import TRADE, Records

SAVED_FIELDS = (
    "entry_time",
    "exit_time",
    "quantity",
    "entry_price",
    "exit_price",
    "slippage_quote",
    "net_quote",
    "risk_quote",
)
"""The fields of TRADE that are read back."""

SAVED_TRADE = np.dtype([(name, TRADE[name]) for name in SAVED_FIELDS])
"""A trade with those fields alone, under the same names."""


@dataclass(frozen=True, slots=True, eq=False)
class SavedTrades:
    """Trades from a file."""

    trades: Records
    """SAVED_TRADE records by exit time."""
    strategies: frozenset[str]
    """Names of the strategies; empty where the file does not say."""
    symbols: frozenset[str]
    """The same for symbols."""


@dataclass(frozen=True, slots=True, eq=False)
class SavedRun:
    """A run folder read back."""

    trades: SavedTrades
    statistics: Statistics
    verdict: str
    """The headline of its verdict."""
    warnings: tuple[str, ...]
