"""`tercel data import, list, info, check, repair, export`, as a user meets them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from tests.context_fakes import FEAR, FUNDING, rows
from tests.fakes import MemorySource, bars_without, make_bars, same_bars
from tests.market_data import data_root
from typer.testing import CliRunner, Result

from tercel import bootstrap
from tercel.adapters.importers import BarFileReader
from tercel.adapters.lake import LakeBarStore, LakeContextStore, write_table
from tercel.app import fetch_data, import_data
from tercel.app.ports import SourceHints
from tercel.domain.bars import SeriesKey
from tercel.domain.errors import InterruptedWorkError, TercelError, UserError, VenueError
from tercel.domain.times import parse_time
from tercel.entry.cli.data import app, parse_map

KEY = SeriesKey("binance-spot", "BTCUSDT")
PERP = SeriesKey("binance-usdm", "BTCUSDT", "15m")
START = parse_time("2024-01-31 22:00")
BARS = make_bars(START, 300)

Run = Callable[..., Result]


@pytest.fixture
def lake(tmp_path: Path) -> LakeBarStore:
    return LakeBarStore(tmp_path / "lake")


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs `tercel data ...` on the lake of this test, in a wide terminal."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "240")

    def invoke(*arguments: str, where: bool = True) -> Result:
        lake = ["--lake", str(tmp_path / "lake")] if where else []
        result = CliRunner().invoke(app, [*arguments, *lake])
        # main() prints these in one line; everything else is a bug and must show here.
        if result.exception and not isinstance(result.exception, (TercelError, SystemExit)):
            raise result.exception
        return result

    return invoke


def row(output: str, *words: str) -> list[str]:
    """The cells of the one table row that has all `words`."""
    (line,) = [line for line in output.splitlines() if all(word in line for word in words)]
    return line.split()


# ---- import


def test_import_twice(run: Run, lake: LakeBarStore, tmp_path: Path) -> None:
    folder = tmp_path / "in/binance-spot/BTCUSDT/1m"
    folder.mkdir(parents=True)
    write_table(BARS, folder / "2024.parquet")
    (folder / "notes.txt").touch()
    first = run("import", "in")
    assert first.exit_code == 0
    assert row(first.stdout, "binance-spot BTCUSDT 1m")[3:10] == [
        "1",
        "300",
        "0",
        "0",
        "0",
        "0",
        "0",
    ]
    assert row(first.stdout, "binance-spot BTCUSDT 1m")[10:] == ["2024-01-31", "2024-02-01"]
    assert "2024.parquet: times in milliseconds" in first.stdout
    assert "passed over in/binance-spot/BTCUSDT/1m/notes.txt: not one of" in first.stdout
    assert "1 series: 300 bars added, 0 filled, 0 unchanged; 1 files passed over" in first.stdout
    assert same_bars(lake.read(KEY).bars, BARS)
    assert "0 bars added, 0 filled, 300 unchanged" in run("import", "in").stdout


def test_import_with_options_and_a_mapping(run: Run, lake: LakeBarStore, tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text("when,o,h,l,c,v\n2024-01-01T00:00,2,3,1,2,9\n")
    result = run(
        "import", "mine.csv", "--venue", "bybit-linear", "--symbol", "ethusdt", "--timeframe", "5m",
        "--map", "time=when,open=o,high=h", "--map", "low=l,close=c,volume=v",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert lake.keys() == [SeriesKey("bybit-linear", "ETHUSDT", "5m")]


def test_import_of_bad_files_goes_on_and_exits_with_2(run: Run, tmp_path: Path) -> None:
    (tmp_path / "BTCUSDT-1m-2024-01.csv").write_text("1704067200000,2,3,1,2,9\n")
    (tmp_path / "BTCUSDT-1m-2024-02.csv").write_text("1706745600000,2,3,1,2,-9\n")
    (tmp_path / "BTCUSDT-1m-2024-03.csv").write_text("1704067200000,2,3,1,2.5,9\n")
    result = run("import", ".", "--venue", "binance-spot")
    assert result.exit_code == 2
    assert "failed: BTCUSDT-1m-2024-02.csv: row 1 (2024-02-01 00:00): volume" in result.stderr
    assert (
        "1 bars differ from those stored, which were kept; the first: 2024-01-01" in result.stdout
    )
    assert "2 files: times in milliseconds" in result.stdout
    assert "1 failed" in result.stdout
    missing = run("import", "BTCUSDT-1m-2024-01.csv")
    assert missing.exit_code == 2
    assert "does not tell the venue; say it with --venue" in missing.stderr


def test_import_of_nothing(run: Run, tmp_path: Path) -> None:
    assert isinstance(run("import", "none").exception, UserError)
    (tmp_path / "empty").mkdir()
    assert run("import", "empty").exit_code == 2
    assert isinstance(run("import", "empty", "--map", "time").exception, UserError)


def test_import_stopped_by_ctrl_c(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(import_data, "import_paths", stop)
    stopped = run("import", ".").exception
    assert isinstance(stopped, InterruptedWorkError)
    assert str(stopped).startswith("stopped; every month already written stays")


def test_mappings() -> None:
    assert parse_map(["time=Date, open=o", "", "close=c=d"]) == {
        "time": "Date",
        "open": "o",
        "close": "c=d",
    }
    for wrong in ("time", "=o", "time="):
        with pytest.raises(UserError, match="write OURS=THEIRS"):
            parse_map([wrong])


# ---- list and info


def test_list(run: Run, lake: LakeBarStore, tmp_path: Path) -> None:
    assert "no bars in" in run("list").stdout
    known = BARS.copy()
    known["bid_size"][:30] = 1.0
    lake.merge(KEY, bars_without(known, [(START + 60_000, START + 180_000)]), source="test")
    lake.merge(PERP, make_bars(START, 10, PERP.bar_ms), source="test")
    output = run("list").stdout
    assert row(output, "binance-spot", "BTCUSDT")[:7] == [
        "binance-spot", "BTCUSDT", "1m", "298", "1", "100%", "9%",
    ]  # fmt: skip
    assert "binance-spot" not in run("list", "--venue", "binance-usdm").stdout
    (tmp_path / "lake/binance-spot/BTCUSDT/1m/2024-02.parquet").write_bytes(b"")
    assert "tercel data check BTCUSDT" in run("list").stdout


def test_the_settings_name_the_lake(run: Run, tmp_path: Path) -> None:
    LakeBarStore(tmp_path / "lake").merge(KEY, BARS, source="test")
    assert "BTCUSDT" in run("list", where=False).stdout  # `lake` in the working folder


def test_info(run: Run, lake: LakeBarStore) -> None:
    lake.merge(KEY, bars_without(BARS, [(START + 60_000, START + 180_000)]), source="test")
    lake.merge(PERP, make_bars(START, 10, PERP.bar_ms), source="test")
    output = run("info", "btcusdt").stdout
    assert "binance-spot BTCUSDT 1m" in output
    assert "binance-usdm BTCUSDT 15m" in output
    assert "1 (2 bars missing)" in output
    assert row(run("info", "BTCUSDT", "--timeframe", "1m").stdout, "spread_bps")[-1] == "0.0%"
    error = run("info", "BTCUSD").exception
    assert isinstance(error, UserError)
    assert "did you mean BTCUSDT?" in str(error)


# ---- check


def test_check_of_a_good_lake(run: Run, lake: LakeBarStore) -> None:
    bars = BARS.copy()
    bars["high"], bars["low"] = bars["open"] * 1.01, bars["open"] * 0.99
    lake.merge(KEY, bars, source="test")
    result = run("check")
    assert result.exit_code == 0
    assert "good: no gap, no bar without a trade, no unusual move" in result.stdout
    assert "1 of 1 series are whole; no damaged file" in result.stdout


def test_check_lists_what_it_finds_of_one_symbol(run: Run, lake: LakeBarStore) -> None:
    bars = make_bars(START, 300)
    for name in ("open", "close"):
        bars[name] = 100.0
    bars["high"], bars["low"] = 100.01, 99.99
    bars["volume"][10:12] = 0
    bars["taker_buy_volume"][10:12] = 0
    bars["high"][200] = 150.0
    holes = [
        (START + minute * 60_000, START + (minute + 1) * 60_000) for minute in range(20, 80, 2)
    ]
    lake.merge(KEY, bars_without(bars, holes), source="test")
    output = run("check", "BTCUSDT").stdout
    assert "usable, with 30 gaps (10.00% of the bars are missing), 2 bars without" in output
    assert "gap: 2024-01-31 22:20 to 2024-01-31 22:21, 1 bars" in output
    assert "and 10 smaller ones" in output
    assert "no trade: 2024-01-31 22:10 to 2024-01-31 22:12, 2 bars" in output
    assert "unusual: 2024-02-01 01:20 moved 40.6%, 2,028 times the usual" in output
    assert "gap: " not in run("check").stdout
    assert "0 of 0 series" in run("check", "--venue", "bybit-linear").stdout


def test_check_names_damaged_files_and_exits_with_1(
    run: Run, lake: LakeBarStore, tmp_path: Path
) -> None:
    lake.merge(KEY, BARS, source="test")
    lake.merge(PERP, make_bars(START, 10, PERP.bar_ms), source="test")
    path = tmp_path / "lake/binance-spot/BTCUSDT/1m/2024-02.parquet"
    path.write_bytes(path.read_bytes()[:-1])
    result = run("check")
    assert result.exit_code == 1
    assert f"{path}: damaged" in result.stderr
    assert "1 of 2 series are whole; 1 damaged files: delete each one" in result.stdout
    assert "binance-usdm BTCUSDT 15m" in result.stdout


# ---- context


FUNDING_ARCHIVE = "calc_time,funding_interval_hours,last_funding_rate\n"


def funding_csv(hours: list[int], rate: float = 1e-4) -> str:
    """A funding archive of Binance from 2024-01-01 on."""
    start = parse_time("2024-01-01")
    return FUNDING_ARCHIVE + "".join(f"{start + h * 3_600_000},8,{rate}\n" for h in hours)


def test_context_is_imported_beside_bars(run: Run, lake: LakeBarStore, tmp_path: Path) -> None:
    folder = tmp_path / "in/binance-usdm"
    folder.mkdir(parents=True)
    (folder / "BTCUSDT-fundingRate-2024-01.csv").write_text(funding_csv([0, 8]))
    (folder / "BTCUSDT-fundingRate-2024-02.csv").write_text(funding_csv([8, 16, 24]))
    (folder / "BTCUSDT-1m-2024-01.csv").write_text("1704067200000,2,3,1,2,9\n")
    (folder / "BTCUSDT-bookDepth-2024-01.csv").write_text("timestamp,percentage\n1,2\n")
    first = run("import", "in")
    assert first.exit_code == 0, first.output
    assert row(first.stdout, "funding_rate binance-usdm BTCUSDT settlements")[4:8] == [
        "2", "4", "1", "0",
    ]  # fmt: skip
    assert "1 series: 1 bars added" in first.stdout
    assert "1 of context: 4 values added, 1 unchanged; 1 files passed over" in first.stdout
    assert "2 files: funding_rate known at its stamp" in first.stdout
    assert "bookDepth, not klines" in first.stdout
    (folder / "BTCUSDT-fundingRate-2024-02.csv").write_text(funding_csv([8, 16], 2e-4))
    second = run("import", "in")
    assert "0 values added, 2 unchanged" in second.stdout
    assert (
        "2 values differ from those stored, which were kept; the first: 2024-01-01 08:00: "
        "stored 0.0001, offered 0.0002"
    ) in second.stdout
    assert run("import", "in/binance-usdm", "--symbol", "ETHUSDT").exit_code == 2


def test_context_alone_is_an_import(run: Run, lake: LakeBarStore, tmp_path: Path) -> None:
    (tmp_path / "ETHUSDT-fundingRate-2024-01.csv").write_text(funding_csv([0, 8]))
    missing = run("import", "ETHUSDT-fundingRate-2024-01.csv")
    assert missing.exit_code == 2
    assert "does not tell the venue; say it with --venue" in missing.stderr
    assert run("import", ".", "--venue", "bybit-linear").exit_code == 0
    other = run("import", ".", "--venue", "bybit-linear", "--symbol", "BTCUSDT")
    assert "it is symbol ETHUSDT, not BTCUSDT" in other.stdout


def test_bad_context_is_told_by_row(run: Run, tmp_path: Path) -> None:
    (tmp_path / "BTCUSDT-fundingRate-2024-01.csv").write_text(funding_csv([0, 8], 0.5))
    result = run("import", ".", "--venue", "binance-usdm")
    assert result.exit_code == 2
    assert "row 1 (2024-01-01 00:00): value 0.5: funding_rate must be within" in result.stderr


def test_list_and_check_of_context(run: Run, lake: LakeBarStore, tmp_path: Path) -> None:
    store = LakeContextStore(tmp_path / "lake")
    day = parse_time("2024-01-01")
    hours = [0, 8, 16, 40]
    store.merge(
        rows(FUNDING, [day + hour * 3_600_000 for hour in hours], [1e-4, 0.04, 1e-4, 1e-4]),
        origin="test",
    )
    store.merge(rows(FEAR, [day], [50.0]), origin="test")
    listed = run("list").stdout
    assert row(listed, "funding_rate")[:7] == [
        "funding_rate", "binance-usdm", "BTCUSDT", "settlements", "4", "8", "h",
    ]  # fmt: skip
    assert row(listed, "fear_greed")[4:6] == ["1", "once"]
    assert "fear_greed" not in run("list", "--venue", "binance-usdm").stdout
    assert "funding_rate" not in run("list", "--venue", "all").stdout
    assert "1 gaps (2 values missing); 1 values to look at" in run("check").stdout
    checked = run("check", "btcusdt")
    assert checked.exit_code == 0
    assert "1 of 1 series are whole" in checked.stdout
    assert "gap: 2024-01-02 00:00 to 2024-01-02 16:00, 2 values" in checked.stdout
    assert "odd: 2024-01-01 08:00 0.04, beyond -0.03 to 0.03" in checked.stdout
    assert "fear_greed" in run("check", "all").stdout
    lake.merge(KEY, BARS, source="test")
    assert "2 of 2 series are whole" in run("check", "BTCUSDT").stdout
    assert "1 of 1 series are whole" in run("check", "BTCUSDT", "--timeframe", "1m").stdout
    assert isinstance(run("check", "ETHUSDT").exception, UserError)


def test_damaged_context_is_named(run: Run, lake: LakeBarStore, tmp_path: Path) -> None:
    LakeContextStore(tmp_path / "lake").merge(rows(FEAR, [START], [50.0]), origin="test")
    lake.merge(KEY, BARS, source="test")
    path = tmp_path / "lake/all/all/fear_greed/alternative-me.parquet"
    path.write_bytes(b"PAR1")
    assert row(run("list").stdout, "fear_greed")[4] == "damaged"
    result = run("check")
    assert result.exit_code == 1
    assert f"{path}: damaged" in result.stderr
    assert "1 of 2 series are whole; 1 damaged files" in result.stdout


# ---- repair


@pytest.fixture
def source(monkeypatch: pytest.MonkeyPatch) -> MemorySource:
    """What `repair` downloads from."""
    memory = MemorySource(BARS)

    def sources(*_: object) -> fetch_data.BarSources:
        return fetch_data.BarSources(rest=memory)

    monkeypatch.setattr(bootstrap, "bar_sources", sources, raising=False)
    return memory


def test_repair_downloads_just_the_gaps(run: Run, lake: LakeBarStore, source: MemorySource) -> None:
    gap = (START + 10 * 60_000, START + 15 * 60_000)
    lake.merge(KEY, bars_without(BARS, [gap]), source="test")
    result = run("repair", "BTCUSDT")
    assert result.exit_code == 0
    assert "5 of 5 missing bars downloaded" in result.stdout
    assert source.asked == [(KEY, *gap)]
    assert source.closed == 1
    assert same_bars(lake.read(KEY).bars, BARS)
    assert "no gap to repair" in run("repair", "BTCUSDT").stdout


def test_repair_of_what_is_not_to_be_had(
    run: Run, lake: LakeBarStore, source: MemorySource
) -> None:
    gap = (START + 10 * 60_000, START + 15 * 60_000)
    source.bars = bars_without(BARS, [gap])
    lake.merge(KEY, source.bars, source="test")
    assert "0 of 5 missing bars downloaded; 5 are not to be had" in run("repair", "BTCUSDT").stdout
    source.failures["BTCUSDT"] = UserError("unknown symbol")
    assert "unknown symbol" in str(run("repair", "BTCUSDT").exception)
    source.failures["BTCUSDT"] = VenueError("cannot be reached")
    assert isinstance(run("repair", "BTCUSDT").exception, VenueError)


def test_repair_stopped_by_ctrl_c(
    run: Run, lake: LakeBarStore, source: MemorySource, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake.merge(KEY, bars_without(BARS, [(START + 60_000, START + 120_000)]), source="test")

    async def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(fetch_data.Fetcher, "fetch_many", stop)
    stopped = run("repair", "BTCUSDT").exception
    assert isinstance(stopped, InterruptedWorkError)
    assert str(stopped).startswith("stopped; ")


def test_the_synthetic_market_is_not_downloaded(run: Run, lake: LakeBarStore) -> None:
    lake.merge(SeriesKey("synthetic", "BTCUSDT"), BARS, source="test")
    assert "is made, not downloaded" in str(run("repair", "BTCUSDT").exception)


# ---- export


def test_export(run: Run, lake: LakeBarStore, tmp_path: Path) -> None:
    lake.merge(KEY, bars_without(BARS, [(START + 60_000, START + 120_000)]), source="test")
    lake.merge(PERP, make_bars(START, 10, PERP.bar_ms), source="test")
    spot = ("export", "BTCUSDT", "--venue", "binance-spot", "--to", "out.csv")
    result = run(*spot)
    assert "299 bars of binance-spot BTCUSDT 1m written to out.csv; it has 1 gaps" in result.stdout
    assert pl.read_csv(tmp_path / "out.csv").height == 299
    assert "add --replace" in str(run(*spot).exception)
    result = run(*spot, "--replace", "--since", "2024-02-01", "--until", "2024-02-01T00:30")
    assert "30 bars of" in result.stdout
    assert "say which with --venue" in str(run("export", "BTCUSDT", "--to", "b.csv").exception)
    error = run(*spot, "--replace", "--since", "yesterday").exception
    assert "--since: cannot read 'yesterday'" in str(error)


# ---- help


@pytest.mark.parametrize("command", ["import", "list", "info", "check", "repair", "export"])
def test_help_has_an_example_to_paste(command: str, run: Run) -> None:
    result = run(command, "--help", where=False)
    assert result.exit_code == 0
    assert f"tercel data {command}" in " ".join(result.stdout.split())


def test_the_group_explains_itself(run: Run) -> None:
    assert "The data lake" in run("--help", where=False).stdout


@pytest.mark.real_data
def test_a_real_month_from_import_to_export(run: Run, lake: LakeBarStore, tmp_path: Path) -> None:
    month = data_root() / "klines/binance-usdm/NEARUSDT/1m/2026-02.parquet"
    assert "40,320" in run("import", str(month)).stdout
    assert run("check", "NEARUSDT").exit_code == 0
    run("export", "NEARUSDT", "--to", "near-1m.csv")
    ((_, back),) = (
        BarFileReader()
        .read(tmp_path / "near-1m.csv", SourceHints("binance-usdm", "NEARUSDT", "1m"))
        .parts
    )
    bars = lake.read(SeriesKey("binance-usdm", "NEARUSDT")).bars
    assert same_bars(back, bars)
    assert not np.isnan(bars["taker_buy_volume"]).any()
