"""Research ledgers for tests: one in memory, and trials made of a few words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from tercel.domain.bars import SeriesKey
from tercel.domain.trials import TrialRecord

DAY = 86_400_000
START = 1_704_067_200_000  # 2024-01-01 00:00 UTC
SERIES = SeriesKey("binance-usdm", "BTCUSDT", "1m")


def trial(number: int = 0, /, **changes: Any) -> TrialRecord:
    """A trial of three_r on 30 days of BTCUSDT whose `ema_len` is `number`."""
    told: dict[str, Any] = {
        "strategy": "three_r",
        "code_hash": "c0de",
        "parameters": {"ema_len": number, "pressure": "auto", "range_pct": 0.3},
        "series": SERIES,
        "start_ms": START,
        "end_ms": START + 30 * DAY,
        "data_hash": "da7a",
        "cost_profile": "binance_usdm",
        "settings_hash": "5e7",
        "net_fraction": 0.01,
        "trades": 50,
        "sharpe": 0.05,
        "daily_returns": 30,
        "time_ms": START + 40 * DAY,
        "kind": "backtest",
    }
    return TrialRecord(**{**told, **changes})


def same(left: Sequence[TrialRecord], right: Sequence[TrialRecord]) -> bool:
    """Whether the trials are equal, NaN equal to NaN."""
    return [_told(each) for each in left] == [_told(each) for each in right]


def _told(one: TrialRecord) -> list[Any]:
    figures = [one.net_fraction, one.sharpe]
    known = [None if math.isnan(each) else each for each in figures]
    return [one.identity, known, one.trades, one.daily_returns, one.time_ms, one.kind]


class MemoryLedger:
    """ports.ResearchLedger in a list."""

    def __init__(self) -> None:
        self.trials: list[TrialRecord] = []

    def append(self, trials: Sequence[TrialRecord]) -> None:
        self.trials += trials

    def read(self, strategy: str, symbol: str) -> tuple[TrialRecord, ...]:
        return tuple(
            each
            for each in self.trials
            if (each.strategy, each.series.symbol) == (strategy, symbol)
        )

    def notices(self) -> tuple[str, ...]:
        return ()
