"""A year of real BTCUSDT through the lake and the use-case, pinned to the cent and to the byte.

A change of one of these figures is a change of behaviour, and is its own commit. Figures are in
USDT on a start of 10,000; the hash is over every byte of the trade list.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import pytest
from tests.desk import JIT
from tests.market_data import real_files

from tercel.adapters.clock import SystemClock
from tercel.adapters.config import packaged_config_dir, read_settings
from tercel.adapters.importers import BarFileReader, ContextFileReader
from tercel.adapters.lake import LakeBarStore, LakeContextStore
from tercel.app.backtest import simulate
from tercel.app.import_data import ImportPorts, import_paths
from tercel.app.ports import SilentProgress, SourceHints
from tercel.app.prepare import RunRequest, prepare
from tercel.app.strategies import load_strategy
from tercel.domain.results import BacktestResult
from tercel.domain.times import parse_time

pytestmark = [
    pytest.mark.real_data,
    pytest.mark.slow,
    pytest.mark.skipif(
        not JIT, reason="half a million bars take too long uncompiled; parity tests compare both"
    ),
]
MONTHS = (*(f"2023-{month:02}" for month in range(7, 13)), *(f"2024-0{m}" for m in range(1, 7)))


@pytest.fixture(scope="session")
def lake(tmp_path_factory: pytest.TempPathFactory) -> LakeBarStore:
    """BTCUSDT spot of July 2023 to June 2024, imported as a user would."""
    files = real_files("klines/binance-spot/BTCUSDT/1m", [f"{month}.parquet" for month in MONTHS])
    folder = tmp_path_factory.mktemp("golden") / "lake"
    store, clock = LakeBarStore(folder), SystemClock()
    context = ContextFileReader(clock), LakeContextStore(folder)
    ports = ImportPorts(BarFileReader(), store, *context)
    summary = import_paths(files, ports, clock, SilentProgress(), SourceHints())
    assert summary.exit_code == 0
    return store


@dataclass(frozen=True, slots=True)
class Pinned:
    """What a run must give."""

    strategy: str
    trades: int
    gross: float
    fees: float
    slippage: float
    funding: float
    net: float
    digest: str


GOLDEN = (
    Pinned("three_r", 1533, 1159.5, 8787.0, 26.27, 0.0, -7653.77, "af9daf563e6e6e42"),
    Pinned("swing", 75, -2417.47, 447.06, 86.33, 54.64, -2896.22, "d6d1ecca1fb02bd1"),
)


def run(lake: LakeBarStore, strategy: str) -> BacktestResult:
    """The strategy with packaged settings."""
    settings = read_settings([packaged_config_dir()], None, {}, ()).settings
    request = RunRequest(
        (load_strategy(strategy),),
        ("BTCUSDT",),
        start_ms=parse_time("2023-07-01"),
        end_ms=parse_time("2024-06-26"),
    )
    prepared = prepare(lake, settings, request)
    return simulate(prepared.specs, prepared.account, chunk_bars=settings.runs.chunk_bars)


@pytest.mark.parametrize("pinned", GOLDEN, ids=lambda pinned: pinned.strategy)
def test_a_year_is_as_it_was(lake: LakeBarStore, pinned: Pinned) -> None:
    result = run(lake, pinned.strategy)
    assert len(result.equity) == 519_840
    found = Pinned(
        pinned.strategy,
        len(result.trades),
        round(result.gross_quote, 2),
        round(result.fee_quote, 2),
        round(result.slippage_quote, 2),
        round(result.funding_quote, 2),
        round(float(result.trades["net_quote"].sum()), 2),
        hashlib.sha256(result.trades.tobytes()).hexdigest()[:16],
    )
    assert found == pinned
    assert result.cash_quote == pytest.approx(10_000 + found.net, abs=0.006)


def test_the_same_year_twice_is_the_same_bytes(lake: LakeBarStore) -> None:
    one, two = (run(lake, "three_r") for _ in range(2))
    assert one.trades.tobytes() == two.trades.tobytes()
    assert one.fills.tobytes() == two.fills.tobytes()
    assert one.equity.tobytes() == two.equity.tobytes()
