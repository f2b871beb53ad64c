"""What one backtest produced, and the record of how: plain data that statistics and reports read.

Signs: profits are positive for us; fees and slippage are costs (positive: paid); funding is
received (positive) or paid (negative). So net = gross - fees - slippage + funding, for a trade and
for a run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from tercel.core.records import Records

Pressure = Literal["book", "taker", "bar", "none"]
"""Which input a strategy's buying and selling pressure came from, best first."""

PRESSURE_MEANING: dict[str, str] = {
    "book": "resting sizes at the best bid and ask",
    "taker": "volume bought and sold by takers",
    "bar": "an estimate from the shape of each bar: neither book nor taker volume was known",
    "none": "the strategy does not use it",
}
"""Each pressure input in words."""


@dataclass(frozen=True, slots=True)
class StreamLabel:
    """Names of one stream of a run: one strategy on one series of bars."""

    number: int
    """Its index: TRADE.stream and FILL.stream."""
    strategy: str
    venue: str
    symbol: str
    timeframe: str
    pressure: str = "none"
    """book | taker | bar | none. `bar` is an estimate, and reports say so."""

    def __str__(self) -> str:
        return f"{self.strategy} {self.venue} {self.symbol} {self.timeframe}"


@dataclass(frozen=True, slots=True, eq=False)
class BacktestResult:
    """Everything one run of the core produced, in the order it happened."""

    labels: tuple[StreamLabel, ...]
    """One per stream, by number."""
    trades: Records
    """TRADE records by exit time."""
    fills: Records
    """FILL records by time."""
    equity: Records
    """EQUITY records, one per distinct bar close, time ascending."""
    start_quote: float
    """Cash before the first bar."""
    start_time: int
    """Open of the first bar, ms UTC."""
    end_time: int
    """Close of the last bar, ms UTC."""
    signals: int
    """Entry signals of all streams."""
    cash_quote: float
    """Cash at the end."""
    equity_quote: float
    """Cash and marked positions at the end."""
    gross_quote: float
    """Realised profit at reference prices: before slippage, fees and funding."""
    fee_quote: float
    """Fees paid."""
    slippage_quote: float
    """What fills were worse than their reference prices."""
    funding_quote: float
    """Funding received (+) or paid (-)."""
    refusals: dict[str, int] = field(default_factory=dict)
    """Signals that became no order, by name of codes.Refusal."""
    halts: dict[str, int] = field(default_factory=dict)
    """How often each breaker stopped the account, by name of codes.Refusal."""
    strategy_reasons: dict[str, int] = field(default_factory=dict)
    """Bars by the strategy's own reason (why there was, or was not, a signal)."""
    reasons: tuple[tuple[str, ...], ...] = ()
    """For each stream the names that TRADE.reason indexes."""
    warnings: tuple[str, ...] = ()
    """What a reader must know before trusting the figures: gaps, an inferred tick size, spot data
    traded as a perpetual ..."""


@dataclass(frozen=True, slots=True)
class RunRecord:
    """How a run came about: enough to repeat it.

    Written to run.json, and to nothing that is compared byte by byte (stats.json, trades.parquet).
    """

    configuration: Mapping[str, Any]
    """Every setting in force, nested; plain values only."""
    versions: Mapping[str, str]
    """Of tercel, Python and the libraries that compute."""
    hashes: Mapping[str, str]
    """SHA-256 of `code`, `parameters` and `data`."""
    seed: int
    """Of the counter hash behind slippage and fill draws."""
    command_line: str
    """What the user typed."""
    created_time: int
    """ms UTC, from the Clock port."""
