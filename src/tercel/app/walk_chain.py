"""The test windows of a walk-forward as one out-of-sample record.

Each test began with the same capital on a fresh account. Chained, a fold begins with what the one
before it left: its equity, trades and fills are multiplied by that level over the capital. So the
last equity is the capital times the product of the folds' growth, and profits add up to it. A fold
that loses everything is the last one traded: a debt stays what it is, and nothing follows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from tercel.app.equity_path import RUIN_FRACTION
from tercel.app.folds import Window
from tercel.core.records import EQUITY, FILL, TRADE, Records
from tercel.domain.bars import BarSeries
from tercel.domain.results import BacktestResult, StreamLabel


@dataclass(frozen=True, slots=True, eq=False)
class Link:
    """One fold's test: what was traded, or nothing."""

    window: Window
    result: BacktestResult | None


@dataclass(frozen=True, slots=True, eq=False)
class Chain:
    """The tests as one run."""

    result: BacktestResult
    levels: tuple[float, ...]
    """Equity at the beginning of each fold over the capital at the start; 0 with a debt."""
    trade_folds: Records
    """Fold of each trade of the result."""


def chain(
    links: Sequence[Link], series: BarSeries, start_quote: float, label: StreamLabel
) -> Chain:
    """The tests of `links`, in order, as one result from `start_quote` on. A fold without a result
    keeps its money; so do all after the one that ended with nothing (RUIN_FRACTION), traded or not.
    """
    level = 1.0
    levels: list[float] = []
    equity: list[Records] = []
    trades: list[Records] = []
    fills: list[Records] = []
    totals: Counter[str] = Counter()
    results: list[BacktestResult] = []
    for link in links:
        levels.append(max(level, 0.0))
        result = None if is_ruin(level) else link.result
        if result is None:
            equity.append(_waiting(link.window, series, level * start_quote))
            trades.append(np.empty(0, TRADE))
            fills.append(np.empty(0, FILL))
            continue
        results.append(result)
        equity.append(_scaled(result.equity, level))
        trades.append(_scaled(result.trades, level))
        fills.append(_scaled(result.fills, level))
        for name in ("gross_quote", "fee_quote", "slippage_quote", "funding_quote"):
            totals[name] += level * getattr(result, name)
        level *= result.equity_quote / result.start_quote
    end_quote = level * start_quote
    made = BacktestResult(
        labels=(replace(label, number=0),),
        trades=np.concatenate(trades),
        fills=np.concatenate(fills),
        equity=np.concatenate(equity),
        start_quote=start_quote,
        start_time=links[0].window.span.start_ms,
        end_time=links[-1].window.span.end_ms,
        signals=sum(result.signals for result in results),
        cash_quote=end_quote,
        equity_quote=end_quote,
        gross_quote=float(totals["gross_quote"]),
        fee_quote=float(totals["fee_quote"]),
        slippage_quote=float(totals["slippage_quote"]),
        funding_quote=float(totals["funding_quote"]),
        refusals=_summed([result.refusals for result in results]),
        strategy_reasons={},
        reasons=results[0].reasons if results else ((),),
    )
    counts = [len(each) for each in trades]
    return Chain(made, tuple(levels), np.repeat(np.arange(len(links)), counts))


def is_ruin(level: float) -> bool:
    """Whether a level is nothing to trade with: zero, a debt, or dust."""
    return level <= RUIN_FRACTION


def _waiting(window: Window, series: BarSeries, quote: float) -> Records:
    """EQUITY of a fold that stayed in cash: a row at each bar's close."""
    bars = series.bars[window.first : window.end]
    made = np.zeros(len(bars), EQUITY)
    made["time"] = bars["open_time"] + series.key.bar_ms
    made["equity"] = quote
    return made


def _scaled(rows: Records, level: float) -> Records:
    """Money and quantities of `rows` times `level`; prices, times and ratios stay."""
    made = rows.copy()
    for name in rows.dtype.names or ():
        grows = name.endswith(("_quote", "quantity")) or name in ("equity", "exposure")
        if grows:
            made[name] = rows[name] * level
    return made


def _summed(parts: Sequence[dict[str, int]]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for part in parts:
        total.update(part)
    return dict(sorted(total.items()))
