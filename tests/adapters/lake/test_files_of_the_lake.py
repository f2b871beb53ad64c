"""The files themselves: names, columns, when they are rewritten, and what damage looks like."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from tests.fakes import make_bars, same_bars
from tests.market_data import data_root

from tercel.adapters.importers import BarFileReader
from tercel.adapters.lake import LakeBarStore, parquet, write_table
from tercel.adapters.lake.store import CURRENT_BARS_MAX
from tercel.app.ports import SourceHints
from tercel.domain.bars import BAR_COLUMNS, SeriesKey
from tercel.domain.errors import DataError, StorageError, UserError
from tercel.domain.times import parse_time

KEY = SeriesKey("binance-spot", "BTCUSDT")
START = parse_time("2024-01-31 22:00")
JANUARY = "binance-spot/BTCUSDT/1m/2024-01.parquet"
FEBRUARY = "binance-spot/BTCUSDT/1m/2024-02.parquet"
CURRENT = "binance-spot/BTCUSDT/1m/current.parquet"


@pytest.fixture
def store(tmp_path: Path) -> LakeBarStore:
    made = LakeBarStore(tmp_path)
    made.merge(KEY, make_bars(START, 300), source="test")
    return made


def names(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*.parquet"))


def test_one_file_a_month_with_the_columns_of_the_specification(
    store: LakeBarStore, tmp_path: Path
) -> None:
    assert names(tmp_path) == [JANUARY, FEBRUARY]
    frame = pl.read_parquet(tmp_path / JANUARY)
    assert tuple(frame.columns) == BAR_COLUMNS
    integers = {name for name, dtype in frame.schema.items() if dtype == pl.Int64}
    assert integers == {"open_time", "count"}
    assert set(frame.schema.values()) == {pl.Int64, pl.Float64}
    assert frame.height == 120
    assert frame["bid_size"].null_count() == 120
    assert frame["close"].null_count() == 0
    assert not frame["spread_bps"].is_nan().any()


def test_only_months_that_change_are_rewritten(store: LakeBarStore, tmp_path: Path) -> None:
    def written() -> list[int]:
        return [(tmp_path / name).stat().st_ino for name in (JANUARY, FEBRUARY)]

    before = written()
    store.merge(KEY, make_bars(START, 300), source="test")
    other = make_bars(START, 300)
    other["close"][150] -= 0.1
    store.merge(KEY, other, source="conflict")
    assert written() == before
    store.merge(KEY, make_bars(START, 301), source="test")
    after = written()
    assert after[0] == before[0]
    assert after[1] != before[1]


def test_a_damaged_month_does_not_hinder_the_others(store: LakeBarStore, tmp_path: Path) -> None:
    (tmp_path / JANUARY).write_bytes(b"PAR1 no longer")
    assert len(store.read(KEY, parse_time("2024-02-01")).bars) == 180
    store.merge(KEY, make_bars(parse_time("2024-02-01"), 200), source="test")


@pytest.mark.parametrize("keep", [0, 3, 100, -1, -9, -4000])
def test_a_truncated_file_is_named(store: LakeBarStore, tmp_path: Path, keep: int) -> None:
    content = (tmp_path / JANUARY).read_bytes()
    (tmp_path / JANUARY).write_bytes(content[:keep])
    words = r"2024-01\.parquet: damaged .*delete this file and import or fetch its month again"
    for ask in (
        store.read,
        store.info,
        store.gaps,
        lambda key: store.merge(key, make_bars(START, 3), source="test"),
    ):
        with pytest.raises(DataError, match=words):
            ask(KEY)
    (problem,) = store.verify(KEY)
    assert problem.startswith(str(tmp_path / JANUARY))


def test_nothing_of_a_batch_is_written_when_one_month_is_damaged(
    store: LakeBarStore, tmp_path: Path
) -> None:
    (tmp_path / FEBRUARY).write_bytes(b"")
    before = (tmp_path / JANUARY).read_bytes()
    with pytest.raises(DataError, match=r"2024-02\.parquet: damaged"):
        store.merge(KEY, make_bars(START - 600_000, 300), source="test")
    assert (tmp_path / JANUARY).read_bytes() == before


def test_a_live_bar_that_its_month_denies_is_reported(store: LakeBarStore, tmp_path: Path) -> None:
    """The month stays as it is; without a word the live bar would be gone."""
    bars = make_bars(START, 300)
    live = bars[150:152].copy()
    live["close"][0] -= 0.1
    (tmp_path / CURRENT).write_bytes(parquet.encode(live, KEY.bar_ms))
    report = store.merge(KEY, bars[200:210], source="archive")
    assert (report.conflicts, report.unchanged, report.added) == (1, 10, 0)
    assert report.first_conflict.startswith("2024-02-01 00:30 close: stored ")
    assert not (tmp_path / CURRENT).exists()
    assert same_bars(store.read(KEY).bars, bars)


def test_a_damaged_live_file_is_named(store: LakeBarStore, tmp_path: Path) -> None:
    (tmp_path / CURRENT).write_bytes(b"")
    with pytest.raises(DataError, match=r"current\.parquet: damaged"):
        store.read(KEY)
    (problem,) = store.verify(KEY)
    assert "current.parquet" in problem


def test_a_live_file_that_vanishes_while_it_is_read(
    store: LakeBarStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.append(KEY, make_bars(START + 300 * 60_000, 1))
    read_file = parquet.read_file

    def absorbed(path: Path) -> object:
        path.unlink()
        return read_file(path)

    monkeypatch.setattr(parquet, "read_file", absorbed)
    assert len(store.read(KEY).bars) == 300


def frame_of(tmp_path: Path) -> pl.DataFrame:
    return pl.read_parquet(tmp_path / JANUARY)


FOREIGN: dict[str, tuple[Callable[[pl.DataFrame], pl.DataFrame], str]] = {
    "a column is missing": (lambda f: f.drop("count"), "it has no column count"),
    "a column is text": (
        lambda f: f.with_columns(pl.col("open").cast(pl.String)),
        "column open is String, not Float64",
    ),
    "a time is NULL": (
        lambda f: f.with_columns(pl.Series("open_time", [None, *f["open_time"][1:]], pl.Int64)),
        "open_time is NULL",
    ),
    "times are not in order": (lambda f: f.reverse(), "times are not in order"),
    "bars are of another month": (
        lambda f: f.with_columns(pl.col("open_time") + 40 * 86_400_000),
        "bars of another month",
    ),
    "bars are repeated": (lambda f: pl.concat([f] * 400), "more bars than its month has"),
}


@pytest.mark.parametrize("damage", FOREIGN)
def test_a_file_that_someone_else_changed(store: LakeBarStore, tmp_path: Path, damage: str) -> None:
    change, words = FOREIGN[damage]
    change(frame_of(tmp_path)).write_parquet(tmp_path / JANUARY)
    with pytest.raises(DataError, match=words):
        store.read(KEY)
    (problem,) = store.verify(KEY)
    assert words in problem


def test_verify_applies_every_rule(store: LakeBarStore, tmp_path: Path) -> None:
    frame_of(tmp_path).with_columns(low=pl.col("high") + 1).write_parquet(tmp_path / JANUARY)
    (problem,) = store.verify(KEY)
    assert "2024-01.parquet: row 1 (2024-01-31 22:00): low" in problem


def test_a_file_without_our_footer_is_read_all_the_same(
    store: LakeBarStore, tmp_path: Path
) -> None:
    before = (store.info(KEY).known, store.gaps(KEY))
    frame_of(tmp_path).reverse().sort("open_time").select(reversed(BAR_COLUMNS)).write_parquet(
        tmp_path / JANUARY
    )
    assert (store.info(KEY).known, store.gaps(KEY)) == before
    assert same_bars(store.read(KEY).bars, make_bars(START, 300))
    frame_of(tmp_path).clear().write_parquet(tmp_path / JANUARY)
    with pytest.raises(DataError, match="there is no bar in it"):
        store.info(KEY)
    assert len(store.read(KEY).bars) == 180
    assert store.merge(KEY, make_bars(START, 300), source="test").added == 120


def test_other_folders_of_the_lake_are_no_series(store: LakeBarStore, tmp_path: Path) -> None:
    for other in ("binance-spot/depth/BTCUSDT", "scores/fear/1m", "binance-spot/ETHUSDT/1m"):
        (tmp_path / other).mkdir(parents=True)
    (tmp_path / "binance-spot/depth/BTCUSDT/2024-01-01.parquet").write_bytes(b"")
    (tmp_path / "scores/fear/1m/2024-01.parquet").write_bytes(b"")
    (tmp_path / "binance-spot/BTCUSDT/1m/notes.parquet").write_bytes(b"")
    assert store.keys() == [KEY]
    assert len(store.read(KEY).bars) == 300


def test_a_month_absorbs_the_live_file(store: LakeBarStore, tmp_path: Path) -> None:
    later = make_bars(START + 300 * 60_000, CURRENT_BARS_MAX + 1)
    store.append(KEY, later[:-1])
    assert names(tmp_path) == [JANUARY, FEBRUARY, CURRENT]
    store.append(KEY, later[-1:])
    assert names(tmp_path) == [JANUARY, FEBRUARY]
    assert len(store.read(KEY).bars) == 300 + len(later)


def test_merging_an_earlier_month_keeps_the_live_file(store: LakeBarStore, tmp_path: Path) -> None:
    march = make_bars(parse_time("2024-03-01"), 5)
    store.append(KEY, march)
    store.merge(KEY, make_bars(START - 60_000, 2), source="test")
    assert names(tmp_path) == [JANUARY, FEBRUARY, CURRENT]
    # A live file of two months, as another program may leave it, loses the one that is merged.
    both = np.concatenate((make_bars(START + 300 * 60_000, 2), march))
    (tmp_path / CURRENT).write_bytes(parquet.encode(both, KEY.bar_ms))
    store.merge(KEY, make_bars(START + 299 * 60_000, 2), source="test")
    assert same_bars(parquet.read_file(tmp_path / CURRENT), march)
    assert len(store.read(KEY).bars) == 301 + 2 + 5


# ---- export


def test_export_to_csv_and_parquet(store: LakeBarStore, tmp_path: Path) -> None:
    bars = store.read(KEY).bars
    for name in ("out.csv", "out.PARQUET"):
        write_table(bars, tmp_path / name)
        hints = SourceHints("binance-usdm", "BTCUSDT", "1m")
        ((_, back),) = BarFileReader().read(tmp_path / name, hints).parts
        assert same_bars(back, bars)
    first = (tmp_path / "out.csv").read_text().splitlines()
    assert first[0] == ",".join(BAR_COLUMNS)
    assert first[1].startswith(f"{START},")
    assert first[1].endswith(",,,")


def test_export_to_what_cannot_be(
    store: LakeBarStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bars = store.read(KEY).bars
    with pytest.raises(UserError, match=r"end the name in \.csv or \.parquet"):
        write_table(bars, tmp_path / "out.xlsx")
    with pytest.raises(UserError, match="there is no folder"):
        write_table(bars, tmp_path / "none" / "out.csv")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(StorageError, match=r"out\.csv: cannot be written: the disk is full"):
        write_table(bars, tmp_path / "out.csv")
    assert not (tmp_path / "out.csv").exists()


# ---- speed and memory


@pytest.mark.slow
@pytest.mark.real_data
def test_a_year_of_minutes_is_read_in_little_memory(tmp_path: Path) -> None:
    """519,840 bars; the bound of a whole backtest is 400 MB."""
    store = LakeBarStore(tmp_path)
    months = sorted((data_root() / "klines/binance-spot/BTCUSDT/1m").glob("*.parquet"))[:12]
    for month in months:
        ((key, bars),) = BarFileReader().read(month, SourceHints()).parts
        store.merge(key, bars, source=str(month))
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from tercel.adapters.lake import LakeBarStore\n"
        "from tercel.domain.bars import SeriesKey\n"
        f"s = LakeBarStore(Path(sys.argv[1])).read(SeriesKey('binance-spot', 'BTCUSDT'), None, "
        f"{parse_time('2024-06-26')})\n"
        # Not ru_maxrss: that one begins with what the parent process had.
        "status = Path('/proc/self/status').read_text()\n"
        "print(len(s.bars), s.data_hash, status.split('VmHWM:')[1].split()[0])\n"
    )
    root = Path(__file__).resolve().parents[3]
    shown = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(root / "src")},
    )
    count, data_hash, peak_kb = shown.stdout.split()
    assert int(count) == 519_840
    assert int(peak_kb) < 400_000

    assert store.read(KEY, None, parse_time("2024-06-26")).data_hash == data_hash
