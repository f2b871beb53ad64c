"""The import: grouped by series, idempotent, a bad file costs only itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from tests.context_fakes import MemoryContextStore
from tests.fakes import CountingProgress, MemoryBarStore, make_bars, same_bars
from tests.market_data import JIT, data_root

from tercel.adapters.clock import SystemClock, VirtualClock
from tercel.adapters.importers import BarFileReader, ContextFileReader
from tercel.adapters.lake import LakeBarStore, LakeContextStore, write_table
from tercel.app import import_data
from tercel.app.context_quality import assess_context
from tercel.app.import_data import (
    FileRemark,
    ImportPorts,
    ImportSummary,
    find_files,
    import_paths,
)
from tercel.app.ports import (
    BarStore,
    ContextStore,
    MergeReport,
    Progress,
    SilentProgress,
    SourceHints,
)
from tercel.core.records import Records
from tercel.domain.bars import Gap, SeriesKey
from tercel.domain.context import ContextSeries
from tercel.domain.errors import LakeBusyError, StorageError, UserError
from tercel.domain.times import parse_time

KEY = SeriesKey("binance-spot", "BTCUSDT")
JANUARY = make_bars(parse_time("2024-01-01"), 31 * 1440)
FEBRUARY = make_bars(parse_time("2024-02-01"), 29 * 1440)
NOW = parse_time("2026-01-01")


def put(root: Path, name: str, bars: Records) -> Path:
    path = root / "binance-spot/BTCUSDT/1m" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    write_table(bars, path)
    return path


def run(
    paths: list[Path],
    store: BarStore,
    hints: SourceHints | None = None,
    context: ContextStore | None = None,
    progress: Progress | None = None,
    now: int = NOW,
) -> ImportSummary:
    clock = VirtualClock(now)
    kept = MemoryContextStore() if context is None else context
    ports = ImportPorts(BarFileReader(), store, ContextFileReader(clock), kept)
    return import_paths(paths, ports, clock, progress or SilentProgress(), hints or SourceHints())


def test_a_folder_twice(tmp_path: Path) -> None:
    put(tmp_path / "in", "2024-01.parquet", JANUARY)
    put(tmp_path / "in", "2024-02.csv", FEBRUARY[60:])
    store = LakeBarStore(tmp_path / "lake")
    first = run([tmp_path / "in"], store)
    (one,) = first.series
    assert (one.key, one.files) == (KEY, 2)
    assert one.report == MergeReport(added=len(JANUARY) + len(FEBRUARY) - 60)
    assert (one.first_time, one.last_time) == (JANUARY["open_time"][0], FEBRUARY["open_time"][-1])
    start = int(FEBRUARY["open_time"][0])
    assert one.gaps == (Gap(start, start + 60 * 60_000, 60),)
    assert (first.skipped, first.failed, first.exit_code) == ((), (), 0)
    assert {note.reason for note in first.notes} == {"times in milliseconds"}
    second = run([tmp_path / "in"], store)
    assert second.report == MergeReport(unchanged=first.report.added)
    assert same_bars(store.read(KEY).bars, np.concatenate((JANUARY, FEBRUARY[60:])))


def test_files_that_overlap(tmp_path: Path) -> None:
    """A month as days and as a whole, the days first by name: each bar once."""
    put(tmp_path, "2024-01-01.parquet", JANUARY[:1440])
    put(tmp_path, "2024-01-02.parquet", JANUARY[1440:2880])
    put(tmp_path, "2024-01.parquet", JANUARY)
    summary = run([tmp_path], store := MemoryBarStore())
    assert summary.report == MergeReport(added=len(JANUARY), unchanged=2880)
    assert same_bars(store.series[KEY], JANUARY)
    assert summary.series[0].files == 3


def test_each_month_is_merged_once_however_large_the_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(import_data, "BATCH_BARS_MAX", 40_000)
    both = np.concatenate((JANUARY, FEBRUARY))
    put(tmp_path, "a.parquet", both[:30_000])
    put(tmp_path, "b.parquet", both[30_000:50_000])
    put(tmp_path, "c.parquet", both[50_000:])
    store = MemoryBarStore()
    assert run([tmp_path], store).report == MergeReport(added=len(both))
    assert same_bars(store.series[KEY], both)
    assert [source.split("/")[-1] for source in store.sources] == [
        "a.parquet and 1 more",
        "b.parquet and 1 more",
    ]


def test_a_month_in_pieces_waits_for_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(import_data, "BATCH_BARS_MAX", 10)
    put(tmp_path, "a.parquet", JANUARY[:20])
    put(tmp_path, "b.parquet", JANUARY[20:40])
    summary = run([tmp_path], store := MemoryBarStore())
    assert summary.report == MergeReport(added=40)
    assert len(store.sources) == 1


def test_a_bad_file_costs_only_itself(tmp_path: Path) -> None:
    put(tmp_path, "2024-01.parquet", JANUARY)
    bad = FEBRUARY.copy()
    bad["low"][99] = bad["high"][99] * 2
    broken = put(tmp_path, "2024-02.parquet", bad)
    cut = put(tmp_path, "2024-03.parquet", JANUARY)
    cut.write_bytes(cut.read_bytes()[:1000])
    (tmp_path / "BTCUSDT-1m-2024-04.csv").write_text("1,2\n")
    summary = run([tmp_path], MemoryBarStore())
    assert summary.report == MergeReport(added=len(JANUARY))
    assert summary.exit_code == 2
    reasons = {remark.path.name: remark.reason for remark in summary.failed}
    assert set(reasons) == {"2024-02.parquet", "2024-03.parquet", "BTCUSDT-1m-2024-04.csv"}
    assert reasons["2024-02.parquet"].startswith(f"{broken}: row 100 (2024-02-01 01:39): low")
    assert "damaged Parquet" in reasons["2024-03.parquet"]
    assert "does not tell the venue" in reasons["BTCUSDT-1m-2024-04.csv"]


def test_bars_of_the_future_are_refused(tmp_path: Path) -> None:
    put(tmp_path, "2026-01.parquet", make_bars(NOW - 60_000, 3))
    summary = run([tmp_path], MemoryBarStore())
    assert "row 3 (2026-01-01 00:01): open_time is in the future" in summary.failed[0].reason


def test_files_that_hold_no_bars_are_listed(tmp_path: Path) -> None:
    put(tmp_path, "2024-01.parquet", JANUARY)
    (tmp_path / "readme.txt").write_text("hello")
    (tmp_path / "alone.zip.CHECKSUM").write_text("0  alone.zip")
    (tmp_path / "binance-spot/BTCUSDT/1m/2024-01.parquet.CHECKSUM").write_text("unused")
    pl.DataFrame({"symbol": ["A"], "price": [1.0]}).write_parquet(tmp_path / "other.parquet")
    summary = run([tmp_path], MemoryBarStore())
    assert {remark.path.name: remark.reason.split(" among")[0] for remark in summary.skipped} == {
        "readme.txt": "not one of .zip, .csv, .parquet",
        "alone.zip.CHECKSUM": "a checksum without its file",
        "other.parquet": "no column for open_time, open, high, low, close, volume",
    }
    assert summary.exit_code == 0


def write_funding(path: Path, hours: list[int], rate: float = 1e-4) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    start = parse_time("2024-01-01")
    times = [start + hour * 3_600_000 for hour in hours]
    pl.DataFrame({"funding_time": times, "funding_rate": [rate] * len(times)}).write_parquet(path)
    return path


def test_context_files_of_one_series_are_merged_together(tmp_path: Path) -> None:
    """Days first, then a month that overlaps them: each value once, one write for what follows."""
    folder = tmp_path / "in/binance-usdm"
    write_funding(folder / "BTCUSDT-fundingRate-2024-01-01.parquet", [0, 8, 16])
    write_funding(folder / "BTCUSDT-fundingRate-2024-01-02.parquet", [24, 32])
    write_funding(folder / "BTCUSDT-fundingRate-2024-01.parquet", [0, 8, 16, 24, 32, 40])
    write_funding(folder / "ETHUSDT-fundingRate-2024-01.parquet", [0])
    kept = MemoryContextStore()
    summary = run([tmp_path], MemoryBarStore(), context=kept)
    btc, eth = summary.context
    assert (btc.files, btc.report) == (3, MergeReport(added=6, unchanged=5))
    assert (eth.files, eth.report) == (1, MergeReport(added=1))
    assert (btc.first_time, btc.last_time) == (
        parse_time("2024-01-01"),
        parse_time("2024-01-02 16:00"),
    )
    assert (summary.series, summary.skipped, summary.failed, summary.exit_code) == ((), (), (), 0)
    assert run([tmp_path], MemoryBarStore(), context=kept).context_report.added == 0


def test_a_table_that_is_neither_costs_no_failure(tmp_path: Path) -> None:
    """Its path would make it bars of an unknown venue; its columns say that it is none."""
    path = tmp_path / "dvol/BTC_1h.parquet"
    path.parent.mkdir()
    columns = {name: [1.0] for name in ("time", "open", "high", "low", "close")}
    pl.DataFrame(columns).write_parquet(path)
    summary = run([tmp_path], MemoryBarStore())
    assert summary.failed == ()
    assert summary.skipped[0].reason.startswith("no column for volume among time, open")


def test_context_that_the_store_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_funding(tmp_path / "binance-usdm/BTCUSDT.parquet", [0, 8])

    class Busy(MemoryContextStore):
        def merge(self, series: ContextSeries, *, origin: str) -> MergeReport:
            raise LakeBusyError(f"process 7 is writing here, {origin}")

    summary = run([tmp_path], MemoryBarStore(), context=Busy())
    assert summary.failed == (FileRemark(path, f"process 7 is writing here, {path}"),)
    assert (summary.context, summary.exit_code) == ((), 2)


def test_a_stop_among_context_leaves_whole_series(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_funding(tmp_path / "in/binance-usdm/BTCUSDT.parquet", [0, 8])
    write_funding(tmp_path / "in/binance-usdm/ETHUSDT.parquet", [0, 8])
    store = LakeContextStore(tmp_path / "lake")
    from tercel.adapters.lake import files

    write_whole = files.write_whole

    def stopping(path: Path, content: bytes) -> None:
        if "ETHUSDT" in path.parts:
            raise KeyboardInterrupt
        write_whole(path, content)

    with monkeypatch.context() as patch:
        patch.setattr(files, "write_whole", stopping)
        with pytest.raises(KeyboardInterrupt):
            run([tmp_path / "in"], MemoryBarStore(), context=store)
    assert [key.symbol for key in store.keys()] == ["BTCUSDT"]  # noqa: SIM118 (a port)
    again = run([tmp_path / "in"], MemoryBarStore(), context=store)
    assert again.context_report == MergeReport(added=2, unchanged=2)


def test_a_hint_selects_and_never_relabels(tmp_path: Path) -> None:
    put(tmp_path, "2024-01.parquet", JANUARY)
    summary = run([tmp_path], MemoryBarStore(), SourceHints(symbol="ETHUSDT"))
    assert summary.skipped[0].reason == "it is symbol BTCUSDT, not ETHUSDT"
    assert (summary.series, summary.exit_code) == ((), 2)


def test_what_the_store_refuses(tmp_path: Path) -> None:
    paths = [
        put(tmp_path, "2024-01.parquet", JANUARY),
        put(tmp_path, "2024-02.parquet", FEBRUARY),
    ]
    store = MemoryBarStore()
    store.fail_after, store.failure = 0, LakeBusyError("process 7 is writing here")
    summary = run([tmp_path], store)
    assert summary.failed == tuple(FileRemark(path, "process 7 is writing here") for path in paths)
    store.failure = StorageError("the disk is full")
    with pytest.raises(StorageError):
        run([tmp_path], store)


def test_files_are_found_once_and_in_order(tmp_path: Path) -> None:
    for name in ("b/2.csv", "b/1.csv", "a/3.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    files, alone = find_files([tmp_path / "b", tmp_path, tmp_path / "a/3.csv"])
    assert [str(file.relative_to(tmp_path)) for file in files] == ["b/1.csv", "b/2.csv", "a/3.csv"]
    assert alone == []
    with pytest.raises(UserError, match="none: no such file or folder"):
        find_files([tmp_path / "none"])


def test_progress_reaches_its_total(tmp_path: Path) -> None:
    put(tmp_path, "2024-01.parquet", JANUARY[:10])
    (tmp_path / "readme.txt").touch()
    progress = CountingProgress()
    run([tmp_path], MemoryBarStore(), progress=progress)
    assert progress.done == progress.total == 2.0


def test_a_stop_leaves_whole_months_and_the_next_run_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path / "in", "2024-01.parquet", JANUARY)
    put(tmp_path / "in", "2024-02.parquet", FEBRUARY)
    store = LakeBarStore(tmp_path / "lake")
    writes = 0
    from tercel.adapters.lake import files

    write_whole = files.write_whole

    def stopping(path: Path, content: bytes) -> None:
        nonlocal writes
        writes += 1
        if writes == 2:
            raise KeyboardInterrupt
        write_whole(path, content)

    with monkeypatch.context() as patch:
        patch.setattr(files, "write_whole", stopping)
        with pytest.raises(KeyboardInterrupt):
            run([tmp_path / "in"], store)
    assert same_bars(store.read(KEY).bars, JANUARY)
    summary = run([tmp_path / "in"], store)
    assert summary.report == MergeReport(added=len(FEBRUARY), unchanged=len(JANUARY))


@pytest.mark.slow
@pytest.mark.real_data
@pytest.mark.skipif(not JIT, reason="every file there is; no kernel takes part")
def test_the_whole_real_tree_twice(tmp_path: Path) -> None:
    """7.6 million bars of 141 series: about 8 s on an idle machine; 6 s where nothing is new."""
    root = data_root() / "klines"
    store = LakeBarStore(tmp_path)

    def once() -> ImportSummary:
        clock = SystemClock()
        ports = ImportPorts(BarFileReader(), store, ContextFileReader(clock), MemoryContextStore())
        return import_paths([root], ports, clock, SilentProgress(), SourceHints())

    first = once()
    assert (first.skipped, first.failed, first.exit_code) == ((), (), 0)
    assert sum(one.files for one in first.series) == 378 + 24  # one file holds 24 contracts
    bars = {one.key: store.info(one.key).bars for one in first.series}
    assert bars[SeriesKey("binance-spot", "BTCUSDT")] == 1_490_400
    assert bars[SeriesKey("binance-spot", "ETHUSDT")] == 1_225_440
    assert bars[SeriesKey("binance-usdm", "BTCUSDT", "30m")] == 33_422
    assert bars[SeriesKey("binance-usdm", "DOTUSDT")] == 169_918
    assert store.gaps(SeriesKey("binance-spot", "BTCUSDT")) == ()
    assert sum(gap.bars for gap in store.gaps(SeriesKey("binance-usdm", "DOTUSDT"))) == 528_482
    assert first.report == MergeReport(added=sum(bars.values()))
    assert once().report == MergeReport(unchanged=first.report.added)


@pytest.mark.real_data
def test_the_real_context_twice(tmp_path: Path) -> None:
    """Every table beside the bars: 22 series of context; what is none is listed, nothing fails."""
    folders = "funding open_interest long_short fear_greed onchain macro dvol basis dominance news"
    paths = [data_root() / folder for folder in folders.split()]
    store = LakeContextStore(tmp_path)
    first = run(paths, MemoryBarStore(), context=store, now=parse_time("2026-11-01"))
    assert first.failed == ()
    assert first.series == ()
    assert len(first.context) == len(store.keys()) == 22
    assert first.context_report == MergeReport(added=43_661)
    assert {one.path.name for one in first.skipped} == {
        "BTC_1d.parquet",
        "BTC_1h.parquet",
        "ETH_1h.parquet",
        "btc_dominance_1d.parquet",
        "btc_miner_reserves_1d.parquet",
        "crypto_headlines_2024-04_05.parquet",
        "crypto_market_cap_1d.parquet",
        "exchange_stablecoin_ratio_1d.parquet",
        "stablecoin_supply_1d.parquet",
        "vix_1d.parquet",
    }
    again = run(paths, MemoryBarStore(), context=store, now=parse_time("2026-11-01"))
    assert again.context_report == MergeReport(unchanged=43_661)
    for key in store.keys():  # noqa: SIM118 (a port)
        report = assess_context(store.read(key))
        assert not report.in_percent, key
        if key.source == "settlements":
            assert report.gaps == (), key
