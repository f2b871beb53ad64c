"""Small lakes for tests: the beginning of a synthetic market, made once per session."""

from __future__ import annotations

from pathlib import Path

from tests.market_data import JIT

from tercel.adapters.lake import LakeBarStore
from tercel.adapters.synthetic import generate, market_named
from tercel.domain.bars import SeriesKey
from tercel.domain.times import parse_time

START = "2024-01-01"
HOURS = 6 * 24 if JIT else 10
SYMBOLS = ("BTCUSDT", "ETHUSDT")


def make_synthetic_lake(folder: Path, hours: int = HOURS) -> Path:
    """A lake with `hours` of two synthetic symbols; its folder."""
    store = LakeBarStore(folder)
    for number, symbol in enumerate(SYMBOLS):
        days = -(-hours // 24)
        market = market_named(
            symbol, seed=number + 1, start_ms=parse_time(START), days=days, edge=0
        )
        bars = generate(market)[: hours * 60]
        store.merge(SeriesKey("synthetic", symbol), bars, source="test")
    return folder
