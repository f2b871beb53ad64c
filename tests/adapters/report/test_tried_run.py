"""Run folders read back: the same figures as when they were written, or one clear error."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from tests.adapters.report.test_run_folder import make_report

from tercel.adapters.report import newest_run, read_tried_run, write_run
from tercel.app import equity_path
from tercel.domain.errors import DataError, UserError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    found = tmp_path / "20240101-000000-three_r-BTCUSDT"
    write_run(found, make_report())
    run = found / "run.json"
    record = json.loads(run.read_text())
    record["configuration"]["streams"] = [{"data": "5ha"}]
    run.write_text(json.dumps(record))
    return found


def test_a_backtest_reads_as_it_was(folder: Path) -> None:
    report = make_report()
    result = report.result
    found = read_tried_run(folder)
    assert (found.kind, found.combinations) == ("backtest", None)
    assert found.streams == result.labels
    assert found.data_hash == "5ha"
    span = (result.start_time, result.end_time)
    assert (found.test_start, found.test_end) == (found.data_start, found.data_end) == span
    expected = equity_path.daily_returns(result.equity, result.start_quote, *span)
    assert found.returns.tolist() == expected.tolist()
    assert found.trades.entries.tolist() == result.trades["entry_time"].tolist()
    assert found.trades.exits.tolist() == result.trades["exit_time"].tolist()
    assert found.trades.sides.tolist() == result.trades["side"].tolist()


def test_the_newest_is_the_last_by_name(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "20250101-000000-comparison").mkdir()
    (tmp_path / "ledger.jsonl").write_text("")
    assert newest_run(tmp_path) == folder
    newer = tmp_path / "20240102-000000-swing-BTCUSDT"
    write_run(newer, make_report())
    assert newest_run(tmp_path) == newer


@pytest.mark.parametrize("name", ["", "missing"])
def test_no_run_at_all_says_how_to_make_one(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match="no run folder there; make one with `tercel backtest`"):
        newest_run(tmp_path / name)


def test_what_is_no_run_folder_is_said(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "missing", Path(__file__)):
        with pytest.raises(UserError, match=r"not a run folder: neither stats\.json"):
            read_tried_run(path)


@pytest.mark.parametrize("name", ["stats.json", "run.json"])
def test_another_version_is_named(folder: Path, name: str) -> None:
    told = json.loads((folder / name).read_text())
    (folder / name).write_text(json.dumps({**told, "schema": 99}))
    with pytest.raises(UserError, match=rf"{name}: is of version 99, and this Tercel reads"):
        read_tried_run(folder)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


def other_curve(path: Path) -> None:
    pl.read_parquet(path).head(1).with_columns(pl.lit(np.nan).alias("equity")).write_parquet(path)


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("stats.json", cut),
        ("run.json", cut),
        ("run.json", Path.unlink),
        ("equity.parquet", cut),
        ("equity.parquet", Path.unlink),
        ("equity.parquet", other_curve),
        ("trades.parquet", cut),
        ("trades.parquet", lambda path: path.write_bytes(b"")),
    ],
)
def test_damage_is_one_line(folder: Path, name: str, damage: Callable[[Path], object]) -> None:
    damage(folder / name)
    with pytest.raises(DataError, match=r"missing or damaged .*run it again") as error:
        read_tried_run(folder)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "content", ["[]", '{"schema": 1}', '{"schema": 1, "statistics": {}}', "null"]
)
def test_json_of_another_shape_is_damage(folder: Path, content: str) -> None:
    (folder / "stats.json").write_text(content)
    with pytest.raises(DataError, match="missing or damaged"):
        read_tried_run(folder)
