"""Files of other makers: what the path tells, what the content tells, what damage looks like."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from tests.fakes import make_bars, same_bars
from tests.market_data import data_root

from tercel.adapters.importers import BarFileReader, content, names
from tercel.app.ports import FileBars, NotBarsError, SourceHints
from tercel.core.records import Records
from tercel.domain.bars import BAR_COLUMNS, SeriesKey
from tercel.domain.errors import DataError, UserError
from tercel.domain.times import parse_time

START = parse_time("2024-01-01")
BARS = make_bars(START, 5)
SPOT = SourceHints(venue="binance-spot")
ALL = SourceHints("bybit-linear", "ETHUSDT", "1m")
HEADER = (
    "open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,"
    "taker_buy_quote_volume,ignore"
)


def archive_lines(bars: Records, per_ms: int = 1) -> list[str]:
    """The rows of a Binance kline archive; `per_ms` units of its times are a millisecond."""
    return [
        f"{bar['open_time'] * per_ms},{bar['open']},{bar['high']},{bar['low']},{bar['close']},"
        f"{bar['volume']},{(bar['open_time'] + 60_000) * per_ms - 1},{bar['quote_volume']},"
        f"{int(bar['count'])},{bar['taker_buy_volume']},{bar['taker_buy_quote_volume']},0"
        for bar in bars
    ]


def write(path: Path, lines: list[str], end: str = "\n") -> Path:
    """A CSV, or a zip with that CSV in it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = end.join([*lines, ""])
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(f"{path.stem}.csv", text)
    else:
        path.write_text(text, newline="")
    return path


def read(path: Path, hints: SourceHints = SPOT) -> FileBars:
    return BarFileReader().read(path, hints)


# ---- what the path tells


@pytest.mark.parametrize(
    ("path", "key"),
    [
        ("binance-usdm/BTCUSDT/1m/2024-01.parquet", ("binance-usdm", "BTCUSDT", "1m")),
        ("bybit-linear/1000PEPEUSDT/15m/2025.parquet", ("bybit-linear", "1000PEPEUSDT", "15m")),
        ("synthetic/A/1d/current.parquet", ("synthetic", "A", "1d")),
        (
            "data/futures/um/monthly/klines/BTCUSDT/1m/BTCUSDT-1m-2024-01.zip",
            ("binance-usdm", "BTCUSDT", "1m"),
        ),
        (
            "data/spot/daily/klines/BTCUSDT/5m/BTCUSDT-5m-2024-01-05.zip",
            ("binance-spot", "BTCUSDT", "5m"),
        ),
        ("binance-usdm/ETHUSDT-1h-2024-01-05.csv", ("binance-usdm", "ETHUSDT", "1h")),
        ("binance-usdm/BTCUSDT_240628-1d-2024-01.zip", ("binance-usdm", "BTCUSDT_240628", "1d")),
        ("binance-usdm/btcusdt/1m/2024-01.parquet", ("binance-usdm", "BTCUSDT", "1m")),
        ("binance-spot/BTCUSDT_15m.csv", ("binance-spot", "BTCUSDT", "15m")),
    ],
)
def test_a_path_that_tells_everything(path: str, key: tuple[str, str, str]) -> None:
    assert BarFileReader().key_of(Path("/x") / path, SourceHints()) == SeriesKey(*key)


@pytest.mark.parametrize(
    ("path", "missing"),
    [
        ("BTCUSDT-1m-2024-01.zip", "venue"),
        ("binance-spot/BTCUSDT.csv", "symbol"),
        ("monthly/BTCUSDT-1m-2024-01.zip", "venue"),
        ("binance-spot/BTCUSDT_2h.csv", "timeframe"),
    ],
)
def test_what_no_path_tells_is_asked_for(path: str, missing: str) -> None:
    with pytest.raises(DataError, match=f"does not tell the {missing}; say it with --{missing}"):
        names.key_of(Path("/x") / path, SourceHints())


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("x.txt", "not one of .zip, .csv, .parquet"),
        ("BTCUSDT-aggTrades-2024-01.zip", "aggTrades, not klines"),
        ("BTCUSDT-1s-2024-01.zip", "timeframe 1s is not one the lake holds"),
        ("binance-spot/BTCUSDT/2h/2024-01.parquet", "timeframe 2h is not one"),
        (
            "futures/um/monthly/markPriceKlines/BTCUSDT/1m/BTCUSDT-1m-2024-01.zip",
            "mark price klines are not trades",
        ),
        ("binance-usdm/BTCUSDT/1m/2024-01.parquet", "it is venue binance-usdm, not binance-spot"),
    ],
)
def test_files_that_are_passed_over(path: str, reason: str) -> None:
    with pytest.raises(NotBarsError, match=reason):
        BarFileReader().key_of(Path("/x") / path, SPOT)


def test_hints_that_cannot_be() -> None:
    with pytest.raises(UserError, match="unknown venue 'binance'; it is one of binance-usdm"):
        BarFileReader().key_of(Path("a.csv"), SourceHints(venue="binance"))
    with pytest.raises(UserError, match="unknown timeframe '2m'"):
        BarFileReader().key_of(Path("a.csv"), SourceHints(timeframe="2m"))


# ---- archives


@pytest.mark.parametrize("name", ["BTCUSDT-1m-2024-01.zip", "BTCUSDT-1m-2024-01-01.csv"])
@pytest.mark.parametrize("header", [True, False])
@pytest.mark.parametrize(("per_ms", "unit"), [(1, "milliseconds"), (1000, "microseconds")])
def test_archives_of_any_year(
    tmp_path: Path, name: str, header: bool, per_ms: int, unit: str
) -> None:
    lines = ([HEADER] if header else []) + archive_lines(BARS, per_ms)
    found = read(write(tmp_path / name, lines))
    ((key, bars),) = found.parts
    assert key == SeriesKey("binance-spot", "BTCUSDT", "1m")
    assert same_bars(bars, BARS)
    assert found.notes == (f"times in {unit}",)


def test_windows_line_ends_and_a_byte_order_mark(tmp_path: Path) -> None:
    lines = ["\ufeff" + HEADER, *archive_lines(BARS)]
    ((_, bars),) = read(write(tmp_path / "BTCUSDT-1m-2024-01.csv", lines, "\r\n")).parts
    assert same_bars(bars, BARS)


def test_a_checksum_is_verified(tmp_path: Path) -> None:
    path = write(tmp_path / "BTCUSDT-1m-2024-01.zip", archive_lines(BARS))
    beside = tmp_path / "BTCUSDT-1m-2024-01.zip.CHECKSUM"
    beside.write_text(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n")
    assert len(read(path).parts[0][1]) == 5
    beside.write_text(f"{'0' * 64}  {path.name}\n")
    with pytest.raises(DataError, match=r"its SHA-256 is .* says 000000000000.*download both"):
        read(path)
    beside.write_text("<html>not found</html>")
    with pytest.raises(DataError, match="does not begin with a SHA-256"):
        read(path)


def test_damaged_zips_are_named(tmp_path: Path) -> None:
    path = write(tmp_path / "BTCUSDT-1m-2024-01.zip", archive_lines(make_bars(START, 2000)))
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"2024-01\.zip: damaged zip .*download it again"):
        read(path)
    middle = bytearray(whole)
    middle[len(whole) // 2] ^= 0xFF
    path.write_bytes(bytes(middle))
    with pytest.raises(DataError, match=r"2024-01\.zip: damaged zip"):
        read(path)


def test_zips_with_other_things_in_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "BTCUSDT-1m-2024-01.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(NotBarsError, match="a zip without a CSV"):
        read(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.csv", "1")
        archive.writestr("b.csv", "1")
    with pytest.raises(DataError, match="holds 2 CSVs"):
        read(path)
    write(path, archive_lines(BARS))
    monkeypatch.setattr(content, "MEMBER_BYTES_MAX", 10)
    with pytest.raises(DataError, match="unpacks to more than"):
        read(path)


def test_a_file_that_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read: No such file"):
        read(tmp_path / "BTCUSDT-1m-2024-01.csv")


def test_a_csv_that_is_none(tmp_path: Path) -> None:
    path = tmp_path / "BTCUSDT-1m-2024-01.csv"
    path.write_bytes(b"")
    with pytest.raises(NotBarsError, match="empty"):
        read(path)
    path.write_bytes(HEADER.encode() + b"\n")
    with pytest.raises(NotBarsError, match="no rows"):
        read(path)
    path.write_bytes(b"1704067200000,1,1\n1,2,3,4,5,6,7\n")
    with pytest.raises(DataError, match="not a readable CSV"):
        read(path)
    path.write_bytes(b"1704067200000,1,1\n")
    with pytest.raises(NotBarsError, match=r"no column for open_time, .*--map time=COLUMN"):
        read(path)


def test_a_cell_that_is_no_number_is_named(tmp_path: Path) -> None:
    lines = archive_lines(BARS)
    cells = lines[2].split(",")
    lines[2] = ",".join([*cells[:2], "n/a", *cells[3:]])
    path = write(tmp_path / "BTCUSDT-1m-2024-01.csv", lines)
    with pytest.raises(DataError, match=r"2024-01\.csv: row 3: high 'n/a' is not a number"):
        read(path)


# ---- CSV and Parquet of other makers


@pytest.mark.parametrize(
    ("times", "unit"),
    [
        ([1704067200, 1704067260], "seconds"),
        (["1704067200.0", "1704067260.0"], "seconds"),
        ([1704067200000, 1704067260000], "milliseconds"),
        (["1704067200000.0", "1.70406726e12"], "milliseconds"),
        ([1704067200000000, 1704067260000000], "microseconds"),
        ([1704067200000000000, 1704067260000000000], "nanoseconds"),
        (["2024-01-01", "2024-01-01 00:01"], "ISO dates"),
        (["2024-01-01T00:00:00Z", "2024-01-01T00:01:00+00:00"], "ISO dates"),
    ],
)
def test_times_in_any_unit(tmp_path: Path, times: list[object], unit: str) -> None:
    lines = ["Date,Open,High,Low,Close,Vol", *(f"{time},2,3,1,2,9" for time in times)]
    found = read(write(tmp_path / "mine.csv", lines), ALL)
    ((key, bars),) = found.parts
    assert key == SeriesKey("bybit-linear", "ETHUSDT", "1m")
    assert bars["open_time"].tolist() == [START, START + 60_000]
    assert found.notes == (f"times in {unit}",)
    assert bars["volume"].tolist() == [9, 9]
    assert np.isnan(bars["count"]).all()


@pytest.mark.parametrize(
    ("time", "words"),
    [
        ("1704067200000500", "row 2: time 1704067200000500 is not a whole millisecond"),
        ("", "row 2: the time is missing"),
        ("soon", "row 2: time 'soon' is not a number"),
    ],
)
def test_times_that_are_none(tmp_path: Path, time: str, words: str) -> None:
    lines = ["timestamp,open,high,low,close,volume", "1704067200000000,2,3,1,2,9"]
    path = write(tmp_path / "mine.csv", [*lines, f"{time},2,3,1,2,9"])
    with pytest.raises(DataError, match=words):
        read(path, ALL)


def test_a_date_of_another_zone_is_refused(tmp_path: Path) -> None:
    lines = ["time,open,high,low,close,volume", "2024-01-01T00:00:00+02:00,2,3,1,2,9"]
    with pytest.raises(UserError, match=r"row 1: time: .* is not UTC"):
        read(write(tmp_path / "mine.csv", lines), ALL)


@pytest.mark.parametrize("kind", [pl.Datetime("ms"), pl.Datetime("ns", "UTC"), pl.Datetime("us")])
def test_parquet_with_dates(tmp_path: Path, kind: pl.Datetime) -> None:
    frame = parquet_frame(BARS).with_columns(
        pl.col("open_time").cast(pl.Datetime("ms")).cast(pl.Datetime(kind.time_unit))
    )
    if kind.time_zone:
        frame = frame.with_columns(pl.col("open_time").dt.replace_time_zone("UTC"))
    frame.write_parquet(tmp_path / "ETHUSDT_1m.parquet")
    found = read(tmp_path / "ETHUSDT_1m.parquet", ALL)
    assert same_bars(found.parts[0][1], BARS)
    assert found.notes == ("times in dates",)


def test_parquet_with_days_and_with_durations(tmp_path: Path) -> None:
    path = tmp_path / "ETHUSDT.parquet"
    frame = parquet_frame(make_bars(START, 3, 86_400_000))
    days = frame.with_columns(pl.col("open_time").cast(pl.Datetime("ms")).cast(pl.Date))
    days.write_parquet(path)
    hints = SourceHints("bybit-linear", "ETHUSDT", "1d")
    assert read(path, hints).parts[0][1]["open_time"][1] == START + 86_400_000
    frame.with_columns(pl.col("open_time").cast(pl.Duration("ms"))).write_parquet(path)
    with pytest.raises(DataError, match="open_time is Duration"):
        read(path, hints)


def parquet_frame(bars: Records) -> pl.DataFrame:
    return pl.DataFrame({name: np.ascontiguousarray(bars[name]) for name in BAR_COLUMNS[:10]})


def test_a_mapping_names_the_columns(tmp_path: Path) -> None:
    lines = ["o,c,h,l,v,when,trades", "2,2.5,3,1,9,1704067200,4"]
    path = write(tmp_path / "ETHUSDT-1m.csv", lines)
    mapping = {"time": "when", "open": "o", "high": "h", "low": "l", "close": "c", "volume": "v"}
    hints = SourceHints("bybit-linear", columns=mapping)
    ((_, bars),) = read(path, hints).parts
    row = bars[0]
    assert [row[name] for name in ("open", "high", "low", "close", "volume", "count")] == [
        2, 3, 1, 2.5, 9, 4,
    ]  # fmt: skip
    with pytest.raises(UserError, match="has no column 'nil'; it has o, c, h, l, v, when, trades"):
        read(path, SourceHints("bybit-linear", columns={"time": "nil"}))
    with pytest.raises(UserError, match="--map: no column 'price'; it is one of time, open_time"):
        read(path, SourceHints("bybit-linear", columns={"price": "o"}))
    del mapping["volume"]
    with pytest.raises(NotBarsError, match="no column for volume among o, c, h"):
        read(path, hints)


def test_six_columns_without_a_header(tmp_path: Path) -> None:
    path = write(tmp_path / "mine.csv", ["2024-01-01T00:00:00Z,2,3,1,2,9"])
    assert read(path, ALL).parts[0][1]["open_time"][0] == START


def test_an_empty_cell_is_unknown(tmp_path: Path) -> None:
    lines = ["time,open,high,low,close,volume,count", "1704067200,2,3,1,2,9,"]
    ((_, bars),) = read(write(tmp_path / "mine.csv", lines), ALL).parts
    assert np.isnan(bars["count"][0])


def test_damaged_parquet_is_named(tmp_path: Path) -> None:
    path = tmp_path / "ETHUSDT.parquet"
    parquet_frame(BARS).write_parquet(path)
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(DataError, match=r"ETHUSDT\.parquet: damaged Parquet .*get it again"):
        read(path, ALL)


# ---- several contracts in one file


def contracts(tmp_path: Path) -> Path:
    day = 86_400_000
    expiry = START + 2 * day
    frames = [
        parquet_frame(make_bars(START, 5, day))
        .drop("count")
        .with_columns(symbol=pl.lit(symbol), expiry=pl.lit(end, pl.Int64))
        for symbol, end in (("BTCUSDT_240103", expiry), ("BTCUSDT_240104", expiry + day + 8))
    ]
    path = tmp_path / "binance-usdm-quarterly" / "BTCUSDT_delivery_1d.parquet"
    path.parent.mkdir()
    pl.concat(frames).sort("open_time").write_parquet(path)
    return path


def test_each_contract_is_its_own_symbol(tmp_path: Path) -> None:
    path = contracts(tmp_path)
    assert BarFileReader().key_of(path, SourceHints()) is None
    found = read(path, SourceHints())
    assert [(str(key), len(bars)) for key, bars in found.parts] == [
        ("binance-usdm BTCUSDT_240103 1d", 3),
        ("binance-usdm BTCUSDT_240104 1d", 4),
    ]
    assert found.notes == (
        "2 contracts, each its own symbol; times in milliseconds",
        "BTCUSDT_240103: 2 bars after its expiry 2024-01-03 left out",
        "BTCUSDT_240104: 1 bars after its expiry 2024-01-04 left out",
    )


def test_one_contract_of_several(tmp_path: Path) -> None:
    path = contracts(tmp_path)
    ((key, _),) = read(path, SourceHints(symbol="BTCUSDT_240104")).parts
    assert key.symbol == "BTCUSDT_240104"
    with pytest.raises(NotBarsError, match="it holds no symbol ETHUSDT"):
        read(path, SourceHints(symbol="ETHUSDT"))
    ended = pl.read_parquet(path).filter(pl.col("open_time") > pl.col("expiry") + 86_400_000)
    ended.write_parquet(path)
    with pytest.raises(NotBarsError, match="no bars before its contracts' expiry"):
        read(path, SourceHints())
    frame = ended.with_columns(symbol=pl.lit(None, pl.String))
    frame.write_parquet(path)
    with pytest.raises(DataError, match="a row has no symbol"):
        read(path, SourceHints())


@pytest.mark.real_data
def test_a_real_month_and_the_real_contracts() -> None:
    root = data_root() / "klines"
    ((key, bars),) = read(root / "binance-spot/BTCUSDT/1m/2024-06.parquet", SourceHints()).parts
    assert (str(key), len(bars)) == ("binance-spot BTCUSDT 1m", 43_200)
    known = ~np.isnan(bars["taker_buy_volume"])
    assert known.sum() == 25 * 1440
    found = read(root / "binance-usdm-quarterly/BTCUSDT_delivery_1d.parquet", SourceHints())
    assert len(found.parts) == 24
    assert sum(len(part) for _, part in found.parts) == 3203 - 46 - 11 - 3 - 25 - 20
