"""Context files: where they lie, what damage looks like, what a crash leaves."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import polars as pl
import pytest
from tests.context_fakes import FEAR, FUNDING, INTEREST, rows
from tests.fakes import make_bars

from tercel.adapters.lake import LakeBarStore, LakeContextStore, files
from tercel.app.ports import MergeReport
from tercel.domain.bars import SeriesKey
from tercel.domain.context import ContextKey
from tercel.domain.errors import DataError, LakeBusyError, StorageError, UserError
from tercel.domain.times import HOUR_MS, parse_time

START = parse_time("2024-01-01")
SERIES = rows(FUNDING, [START, START + 8 * HOUR_MS], [1e-4, 2e-4])
PLACE = "binance-usdm/BTCUSDT/funding_rate/settlements.parquet"


@pytest.fixture
def store(tmp_path: Path) -> LakeContextStore:
    return LakeContextStore(tmp_path)


def test_where_files_lie_and_what_is_in_them(store: LakeContextStore, tmp_path: Path) -> None:
    store.merge(SERIES, origin="test")
    store.merge(rows(FEAR, [START], [50.0]), origin="test")
    assert (tmp_path / "all/all/fear_greed/alternative-me.parquet").is_file()
    frame = pl.read_parquet(tmp_path / PLACE)
    assert dict(frame.schema) == {"time": pl.Int64, "value": pl.Float64}
    assert frame.rows() == [(START, 1e-4), (START + 8 * HOUR_MS, 2e-4)]


def test_bars_and_context_lie_side_by_side(store: LakeContextStore, tmp_path: Path) -> None:
    key = SeriesKey("binance-usdm", "BTCUSDT")
    bars = LakeBarStore(tmp_path)
    bars.merge(key, make_bars(START, 3), source="test")
    store.merge(SERIES, origin="test")
    assert bars.keys() == [key]
    assert store.keys() == [FUNDING]


def test_nothing_new_writes_nothing(store: LakeContextStore, tmp_path: Path) -> None:
    store.merge(SERIES, origin="test")
    (tmp_path / PLACE).chmod(0o444)
    before = (tmp_path / PLACE).stat()
    assert store.merge(SERIES, origin="test") == MergeReport(unchanged=2)
    after = (tmp_path / PLACE).stat()  # being read is no change: not the time of that
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"time": [START]}, "its columns are not time"),
        ({"time": [1.5], "value": [1.0]}, "its columns are not time"),
        ({"time": [START, None], "value": [1.0, 2.0]}, "one without a value"),
        ({"time": [START + 1, START], "value": [0.0, 0.0]}, "row 2 .* its time is not after"),
        ({"time": [START], "value": [5.0]}, "funding_rate must be within -0.1 and 0.1"),
    ],
)
def test_a_damaged_file_is_one_clear_error(
    store: LakeContextStore, tmp_path: Path, columns: dict[str, list[float]], words: str
) -> None:
    store.merge(SERIES, origin="test")
    pl.DataFrame(columns).write_parquet(tmp_path / PLACE)
    for ask in (store.read, store.info):
        with pytest.raises(DataError, match=rf"{PLACE}: damaged \(.*{words}.*import it again"):
            ask(FUNDING)
    with pytest.raises(DataError, match="damaged"):
        store.merge(SERIES, origin="test")


@pytest.mark.parametrize("cut", [0, 4, -1])
def test_a_cut_file_is_one_clear_error(store: LakeContextStore, tmp_path: Path, cut: int) -> None:
    store.merge(SERIES, origin="test")
    path = tmp_path / PLACE
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(DataError, match=rf"{PLACE}: damaged .*delete this file and import"):
        store.read(FUNDING)


def test_one_writer_at_a_time(store: LakeContextStore, tmp_path: Path) -> None:
    store.merge(SERIES, origin="test")
    with files.folder_lock((tmp_path / PLACE).parent), pytest.raises(LakeBusyError):
        store.merge(SERIES, origin="test")
    assert store.merge(rows(INTEREST, [START], [1.0]), origin="test").added == 1


def test_a_full_disk_leaves_the_old_file(
    store: LakeContextStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.merge(SERIES, origin="test")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full)
        with pytest.raises(StorageError, match="the disk is full"):
            store.merge(rows(FUNDING, [START + 9], [1e-4]), origin="test")
    assert store.read(FUNDING).data_hash == SERIES.data_hash
    assert [path.name for path in (tmp_path / PLACE).parent.iterdir() if ".tmp" in path.name] == []


@pytest.mark.parametrize("symbol", ["../BTC", "", ".x"])
def test_names_that_cannot_be_files(store: LakeContextStore, symbol: str) -> None:
    with pytest.raises(UserError, match="cannot be kept"):
        store.read(ContextKey("funding_rate", "binance-usdm", symbol, "x"))
    with pytest.raises(UserError, match="cannot be kept"):
        store.read(ContextKey("funding_rate", "binance-usdm", "BTCUSDT", f"a/{symbol}"))
