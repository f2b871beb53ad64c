"""Run folders and files of trades read back: what was written, and what is wrong with others."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from tests.adapters.report.results_made import Row, make_record, make_result

from tercel.adapters.report import write_run
from tercel.adapters.report.saved import read_run, read_trades
from tercel.app.report import assess
from tercel.app.saved_run import SAVED_FIELDS
from tercel.domain.errors import DataError, UserError

RESULT = make_result(
    [Row(5.0, 6.0), Row(-2.0, exit_minute=30), Row(3.0, entry_minute=15, exit_minute=20)],
    [(0.5, 103.0), (1.0, 105.0), (2.0, 106.0)],
    warnings=("one thing",),
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of RESULT."""
    return write_run(tmp_path / "run", assess(RESULT, make_record())).folder


def test_a_run_comes_back_as_it_was(folder: Path) -> None:
    saved, wanted = read_run(folder), assess(RESULT, make_record())
    assert saved.verdict == wanted.verdict.headline
    assert saved.warnings == ("one thing",)
    assert list(saved.trades.strategies) == ["three_r"]
    assert list(saved.trades.symbols) == ["BTCUSDT"]
    for field in dataclasses.fields(wanted.statistics):
        before = getattr(wanted.statistics, field.name)
        np.testing.assert_equal(getattr(saved.statistics, field.name), before)
    by_exit = RESULT.trades[np.argsort(RESULT.trades["exit_time"], kind="stable")]
    for name in SAVED_FIELDS:
        np.testing.assert_array_equal(saved.trades.trades[name], by_exit[name])


def test_what_is_no_run_folder(folder: Path, tmp_path: Path) -> None:
    for path in (tmp_path / "nothing", tmp_path, folder / "stats.json"):
        with pytest.raises(UserError, match="not a run folder"):
            read_run(path)
    (folder / "trades.parquet").unlink()
    with pytest.raises(UserError, match="not a run folder"):
        read_run(folder)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("schema", 99, "its format is 99"),
        ("statistics", {}, "damaged or of another version"),
        ("streams", [{}], "damaged or of another version"),
        ("verdict", None, "damaged or of another version"),
    ],
)
def test_a_damaged_run_folder(folder: Path, key: str, value: object, said: str) -> None:
    path = folder / "stats.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), key: value}))
    with pytest.raises(DataError, match=said):
        read_run(folder)


def test_a_cut_off_run_folder(folder: Path) -> None:
    path = folder / "stats.json"
    path.write_text(path.read_text()[:-20])
    with pytest.raises(DataError, match="run the backtest again"):
        read_run(folder)


COLUMNS: dict[str, list[object]] = {
    "entry_time": [2_000, 1_000], "exit_time": [9_000, 5_000], "quantity": [1.0, 2.0],
    "entry_price": [100.0, 100.0], "exit_price": [101, 99], "slippage_quote": [0.0, 0.1],
    "net_quote": [1.0, -1.0], "risk_quote": [1.0, 1.0],
}  # fmt: skip


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_file_of_trades_is_put_in_order(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"trades.{suffix}"
    frame = pl.DataFrame({**COLUMNS, "strategy": ["swing", "swing"]})
    frame.write_csv(path) if suffix == "csv" else frame.write_parquet(path)
    found = read_trades(path)
    assert found.trades["exit_time"].tolist() == [5_000, 9_000]
    assert found.trades["net_quote"].tolist() == [-1.0, 1.0]
    assert list(found.strategies) == ["swing"]
    assert not found.symbols


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"net_quote": None}, "no column net_quote"),
        ({"net_quote": ["a", "b"]}, "column net_quote must be numbers"),
        ({"net_quote": [1.0, None]}, "column net_quote must be numbers in every row"),
        ({"exit_time": [1.5, 2.5]}, "column exit_time must be whole milliseconds"),
    ],
)
def test_a_wrong_file_of_trades(tmp_path: Path, change: dict[str, object], said: str) -> None:
    path = tmp_path / "trades.csv"
    kept = {name: value for name, value in {**COLUMNS, **change}.items() if value is not None}
    pl.DataFrame(kept).write_csv(path)
    with pytest.raises(DataError, match=said):
        read_trades(path)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "trades.parquet").write_text("not parquet")
    with pytest.raises(DataError, match="cannot be read"):
        read_trades(tmp_path / "trades.parquet")
    for name in ("trades.txt", "nothing.csv"):
        with pytest.raises(UserError, match="no run folder and no"):
            read_trades(tmp_path / name)
