"""Small lakes for tests: a few days of the synthetic market, made once per session."""

from __future__ import annotations

from pathlib import Path

from tests.market_data import JIT

from tercel.adapters.lake import LakeBarStore
from tercel.adapters.synthetic import generate, market_named
from tercel.domain.bars import SeriesKey
from tercel.domain.times import parse_time

START = "2024-01-01"
DAYS = 6 if JIT else 1
SYMBOLS = ("BTCUSDT", "ETHUSDT")


def make_synthetic_lake(folder: Path) -> Path:
    """A lake with DAYS of two synthetic symbols; its folder."""
    store = LakeBarStore(folder)
    for number, symbol in enumerate(SYMBOLS):
        market = market_named(
            symbol, seed=number + 1, start_ms=parse_time(START), days=DAYS, edge=0
        )
        store.merge(SeriesKey("synthetic", symbol), generate(market), source="test")
    return folder
