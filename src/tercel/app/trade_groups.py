"""Trades counted and summed: all of them, by side, exit, hour of entry or any other label.

A trade wins when its net profit is above zero. Averages over nothing are NaN.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tercel.core.codes import ExitReason, Side
from tercel.core.records import Records
from tercel.domain.results import BacktestResult
from tercel.domain.times import HOUR_MS

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class TradeGroup:
    """The trades that share one label."""

    name: str
    trades: int
    net_quote: float
    """Sum of net profits, quote."""
    gross_quote: float
    """Sum of profits before all costs, quote."""
    win_rate: float
    """Share of trades with net > 0, 0..1."""
    average_r: float
    """Mean net profit in multiples of the initial risk."""
    profit_factor: float
    """Net won over net lost; NaN when nothing was lost."""


@dataclass(frozen=True, slots=True)
class Streaks:
    """Longest runs of trades by exit time; a trade of exactly zero ends both kinds."""

    winning: int
    losing: int


def ratio(numerator: float, denominator: float) -> float:
    """The quotient; NaN instead of a division by zero, or by next to nothing."""
    found = numerator / denominator if denominator != 0.0 else math.nan
    return found if math.isfinite(found) else math.nan


def mean(values: Floats) -> float:
    """The mean; NaN of nothing."""
    return float(values.mean()) if len(values) else math.nan


def profit_factor(profits: Floats) -> float:
    """Sum of profits over sum of losses; NaN when nothing was lost."""
    return ratio(
        float(np.sum(profits, where=profits > 0.0)), -float(np.sum(profits, where=profits < 0.0))
    )


def pay_off(profits: Floats) -> float:
    """Mean winning over mean losing trade; NaN without both."""
    return ratio(mean(profits[profits > 0.0]), -mean(profits[profits < 0.0]))


def in_r(quotes: Floats, risks: Floats) -> Floats:
    """Profits in multiples of initial risk; NaN where the risk is zero or unknown."""
    multiples = np.full(len(quotes), np.nan)
    np.divide(quotes, risks, out=multiples, where=risks > 0.0)
    return multiples


def average_r(multiples: Floats) -> float:
    """Mean of the known multiples."""
    return mean(multiples[~np.isnan(multiples)])


def streaks(profits: Floats) -> Streaks:
    """Longest winning and losing runs in `profits`, which are in exit order."""
    return Streaks(_longest_run(profits > 0.0), _longest_run(profits < 0.0))


def _longest_run(flags: npt.NDArray[np.bool_]) -> int:
    breaks = np.flatnonzero(np.concatenate(([True], ~flags, [True])))
    return int(np.max(np.diff(breaks)) - 1)


def by_label(trades: Records, labels: Indices, names: Sequence[str]) -> tuple[TradeGroup, ...]:
    """One group per name that has trades, in the order of `names`; `labels` (n,) indexes them."""
    net = np.ascontiguousarray(trades["net_quote"])
    multiples = in_r(net, trades["risk_quote"])
    known = ~np.isnan(multiples)

    def total(weights: Floats) -> Floats:
        sums = np.bincount(labels, weights=weights, minlength=len(names))
        return np.asarray(sums, dtype=np.float64)

    counts = np.bincount(labels, minlength=len(names))
    nets, grosses = total(net), total(trades["gross_quote"])
    wins, known_counts = total((net > 0.0).astype(float)), total(known.astype(float))
    multiple_sums = total(np.where(known, multiples, 0.0))
    won, lost = total(np.maximum(net, 0.0)), total(np.maximum(-net, 0.0))
    return tuple(
        TradeGroup(
            name=names[i],
            trades=int(counts[i]),
            net_quote=float(nets[i]),
            gross_quote=float(grosses[i]),
            win_rate=float(wins[i] / counts[i]),
            average_r=ratio(float(multiple_sums[i]), float(known_counts[i])),
            profit_factor=ratio(float(won[i]), float(lost[i])),
        )
        for i in map(int, np.flatnonzero(counts))
    )


def by_side(trades: Records) -> tuple[TradeGroup, ...]:
    """Long and short."""
    return by_label(trades, np.where(trades["side"] == Side.LONG, 0, 1), ("long", "short"))


def by_exit(trades: Records) -> tuple[TradeGroup, ...]:
    """By the reason of the last exit."""
    names = tuple(reason.name.lower() for reason in ExitReason)
    return by_label(trades, trades["exit_reason"].astype(np.int64), names)


def by_hour(trades: Records) -> tuple[TradeGroup, ...]:
    """By UTC hour of the entry, `00` to `23`."""
    hours = trades["entry_time"] // HOUR_MS % 24
    return by_label(trades, hours, tuple(f"{hour:02d}" for hour in range(24)))


def by_stream(result: BacktestResult) -> tuple[TradeGroup, ...]:
    """By strategy and series."""
    names = tuple(str(label) for label in result.labels)
    return by_label(result.trades, result.trades["stream"].astype(np.int64), names)


def entry_reason_names(result: BacktestResult) -> tuple[Indices, tuple[str, ...]]:
    """For each trade the index of its entry reason, and the names (`reason 7` if it has none)."""
    trades = result.trades
    pairs = np.stack((trades["stream"], trades["reason"]), axis=1)
    unique, inverse = np.unique(pairs, axis=0, return_inverse=True)
    texts = [_reason_text(result, int(stream), int(reason)) for stream, reason in unique]
    names = tuple(dict.fromkeys(texts))
    merged = np.array([names.index(text) for text in texts], dtype=np.int64)
    return merged[inverse.reshape(-1)], names


def _reason_text(result: BacktestResult, stream: int, reason: int) -> str:
    known = result.reasons[stream] if stream < len(result.reasons) else ()
    return known[reason] if 0 <= reason < len(known) else f"reason {reason}"


def by_entry_reason(result: BacktestResult) -> tuple[TradeGroup, ...]:
    """By the strategy's own reason for entering."""
    if len(result.trades) == 0:
        return ()
    labels, names = entry_reason_names(result)
    return by_label(result.trades, labels, names)
