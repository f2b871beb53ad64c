"""The run folder: what is in it, that it is whole or absent, and that same input is same bytes."""

from __future__ import annotations

import json
import math
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from tests.adapters.report.results_made import START, Row, make_record, make_result

from tercel.adapters.report import compare, write_comparison, write_run
from tercel.adapters.report.documents import plain
from tercel.adapters.report.run_folder import RunPaths
from tercel.app.report import NamedRun, Report, assess, named_run
from tercel.app.statistics import BUY_AND_HOLD, buy_and_hold
from tercel.core.codes import ExitReason, Side
from tercel.core.records import BAR, Records
from tercel.domain.errors import StorageError, UserError
from tercel.domain.times import HOUR_MS

ROWS = (
    Row(net=18.0, gross=20.0, entry_minute=60, exit_minute=90, exit_reason=ExitReason.TARGET_1),
    Row(net=-12.0, gross=-10.0, entry_minute=120, exit_minute=180, side=Side.SHORT, reason=1),
)
NAMES = {
    "stats.json",
    "trades.parquet",
    "equity.parquet",
    "fills.parquet",
    "equity.png",
    "report.html",
    "run.json",
}


def hourly(count: int = 72) -> Records:
    bars = np.zeros(count, BAR)
    bars["open_time"] = START + np.arange(count) * HOUR_MS
    bars["open"] = 100.0 + np.arange(count) % 7
    bars["close"] = bars["open"] + 1.0
    bars["low"], bars["high"] = bars["open"] - 2.0, bars["close"] + 2.0
    return bars


def make_report(**changes: Any) -> Report:
    bars = hourly()
    held = named_run(BUY_AND_HOLD, buy_and_hold(bars, HOUR_MS, 100.0, 0.0005), bars)
    result = make_result(
        ROWS,
        ((1.0, 118.0), (2.0, 106.0), (3.0, 106.0)),
        refusals={"no_margin": 2, "daily_loss": 3},
        strategy_reasons={"no_setup": 70, "breakout": 2},
        warnings=("1 gap of 3 bars",),
        **changes,
    )
    return assess(result, make_record(), bars=bars, benchmarks=[held])


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> RunPaths:
    """One run folder for the tests that only read."""
    return write_run(tmp_path_factory.mktemp("written") / "runs" / "one", make_report())


def test_everything_is_there_and_nothing_else(paths: RunPaths) -> None:
    assert {path.name for path in paths.folder.iterdir()} == NAMES
    assert [path.name for path in paths.folder.parent.iterdir()] == ["one"]
    assert paths.equity_picture.read_bytes().startswith(b"\x89PNG")


def test_same_input_same_bytes(paths: RunPaths, tmp_path: Path) -> None:
    second = write_run(tmp_path / "two", make_report())
    for name in NAMES:
        assert (paths.folder / name).read_bytes() == (second.folder / name).read_bytes(), name


def test_when_and_how_it_was_run_is_only_in_the_record(paths: RunPaths, tmp_path: Path) -> None:
    first = paths
    record = replace(make_record(), created_time=START + 1, seed=8, command_line="again")
    second = write_run(tmp_path / "two", replace(make_report(), record=record))
    for name in NAMES - {"run.json", "report.html"}:
        assert (first.folder / name).read_bytes() == (second.folder / name).read_bytes(), name
    assert first.run.read_bytes() != second.run.read_bytes()


def test_stats_are_json_without_nan(paths: RunPaths) -> None:
    report = make_report()
    text = paths.stats.read_text()
    assert "NaN" not in text
    found = json.loads(text)
    assert found["statistics"]["net_quote"] == report.statistics.net_quote  # every digit
    assert found["statistics"]["profit_factor_net"] == pytest.approx(1.5)
    assert found["benchmarks"][BUY_AND_HOLD]["average_r_net"] is None
    assert found["verdict"]["code"] == "not_enough_trades"
    assert list(found["refusals"]) == ["daily_loss", "no_margin"]
    assert found["streams"][0]["symbol"] == "BTCUSDT"


def test_tables_are_readable_and_exact(paths: RunPaths) -> None:
    report = make_report()
    trades = pl.read_parquet(paths.trades)
    assert trades["side"].to_list() == ["long", "short"]
    assert trades["exit_reason"].to_list() == ["target_1", "stop"]
    assert trades["reason"].to_list() == ["breakout", "pullback"]
    assert trades["symbol"].to_list() == ["BTCUSDT", "BTCUSDT"]
    assert str(trades["entry_at"][0]) == "2024-01-01 01:00:00+00:00"
    assert trades["net_quote"].to_list() == [18.0, -12.0]
    assert trades["entry_time"].to_list() == report.result.trades["entry_time"].tolist()
    fills = pl.read_parquet(paths.fills)
    assert fills["side"].to_list() == ["long", "short", "short", "long"]
    assert fills["reason"].to_list() == ["none", "target_1", "none", "stop"]
    equity = pl.read_parquet(paths.equity)
    assert equity["equity"].to_list() == [118.0, 106.0, 106.0]
    assert str(equity["at"][0]) == "2024-01-02 00:00:00+00:00"


def test_the_record_repeats_the_run(paths: RunPaths) -> None:
    found = json.loads(paths.run.read_text())
    assert found["command_line"] == "tercel backtest three_r BTCUSDT"
    assert found["configuration"]["strategy"] == {"ema_length": 25}
    assert found["hashes"]["data"] == "ef" * 32
    assert found["created_time"] == START


def test_an_old_run_is_never_overwritten(paths: RunPaths, tmp_path: Path) -> None:
    before = paths.stats.read_bytes()
    with pytest.raises(UserError, match="already exists"):
        write_run(paths.folder, make_report())
    assert paths.stats.read_bytes() == before
    file = tmp_path / "file"
    file.write_text("mine")
    with pytest.raises(UserError, match="already exists"):
        write_run(file, make_report())
    (tmp_path / "empty").mkdir()
    assert write_run(tmp_path / "empty", make_report()).stats.exists()


@contextmanager
def file_size_at_most(size_bytes: int) -> Iterator[None]:
    """Writing beyond `size_bytes` fails with an OSError, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_leaves_nothing(tmp_path: Path) -> None:
    report = make_report()
    with file_size_at_most(10_000), pytest.raises(StorageError, match="one: cannot write"):
        write_run(tmp_path / "one", report)
    assert list(tmp_path.iterdir()) == []
    with file_size_at_most(1_000), pytest.raises(StorageError, match="cannot write the comparison"):
        write_comparison(tmp_path / "side.html", [NamedRun("a", report.result, report.statistics)])
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("a file")
    with pytest.raises(StorageError, match="cannot write the run folder"):
        write_run(tmp_path / "runs" / "one", make_report())


def test_comparison_is_written_whole(tmp_path: Path) -> None:
    report = make_report()
    runs = [NamedRun("mine", report.result, report.statistics), *report.benchmarks]
    path = write_comparison(tmp_path / "deep" / "side.html", runs)
    assert path.read_text() == compare(runs)
    assert [each.name for each in path.parent.iterdir()] == ["side.html"]


def test_a_run_without_anything_is_written_too(tmp_path: Path) -> None:
    report = assess(make_result(), make_record())
    paths = write_run(tmp_path / "one", report)
    assert pl.read_parquet(paths.trades).height == 0
    assert pl.read_parquet(paths.trades)["reason"].dtype == pl.String
    assert json.loads(paths.stats.read_text())["statistics"]["win_rate"] is None


def test_plain_values() -> None:
    assert plain({"a": np.float64(math.nan), "b": (np.int64(3), Side.LONG)}) == {
        "a": None,
        "b": [3, "long"],
    }
    assert plain(Path("x")) == "x"
    assert plain(math.inf) is None
    assert plain(True) is True
