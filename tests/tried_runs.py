"""Finished runs made by hand for the tests against overfitting."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from tercel.app.overfit_report import EntryTimes, Prices, TriedRun
from tercel.domain.research_settings import OverfitSettings
from tercel.domain.results import StreamLabel

Floats = npt.NDArray[np.float64]
DAY = 86_400_000
HOUR = 3_600_000
START = 1_704_067_200_000  # 2024-01-01 00:00 UTC
SETTINGS = OverfitSettings(
    returns_min=30, blocks=8, groups=6, test_groups=2, purge_days=1, embargo_days=1, histories=300,
    confidence=0.9, permutations=200, seed=42,
)  # fmt: skip


def noise(days: int = 240, trials: int = 20, edge: float = 0.0) -> Floats:
    """Daily returns of worthless trials; `edge` a day is added to number 3."""
    made = np.random.default_rng(7).normal(0.0, 0.01, (days, trials))
    made[:, 3] += edge
    return made


def entry_times(count: int = 40) -> EntryTimes:
    """Trades of two hours, one every five hours, long and short in turn."""
    entries = START + HOUR * (1 + 5 * np.arange(count))
    sides = np.where(np.arange(count) % 2, -1, 1)
    return EntryTimes(entries, entries + 2 * HOUR, sides)


def tried_run(returns: Floats, combinations: Floats | None = None, **changes: Any) -> TriedRun:
    """three_r on BTCUSDT; a walk where there are combinations."""
    told: dict[str, Any] = {
        "kind": "backtest" if combinations is None else "walk",
        "streams": (StreamLabel(0, "three_r", "binance-usdm", "BTCUSDT", "1h"),),
        "data_start": START,
        "data_end": START + len(returns) * DAY,
        "data_hash": "da7a",
        "test_start": START,
        "test_end": START + len(returns) * DAY,
        "returns": returns,
        "trades": entry_times(),
        "combinations": combinations,
    }
    return TriedRun(**{**told, **changes})


def prices(count: int = 300, knowing: EntryTimes | None = None) -> Prices:
    """Hourly closes that wander; with `knowing`, they do what these trades hoped for."""
    steps = np.random.default_rng(5).normal(0.0, 0.002, count)
    times = START + HOUR * np.arange(1, count + 1)
    if knowing is not None:
        for entry, out, side in zip(knowing.entries, knowing.exits, knowing.sides, strict=True):
            steps[(times > entry) & (times <= out)] += 0.01 * side
    return Prices(times, 100.0 * np.exp(np.cumsum(steps)))
