"""Archive CSVs as Binance publishes them, and the ways in which one can be damaged."""

from __future__ import annotations

import io
import zipfile

import pytest
from tests.fakes import make_bars, same_bars
from tests.loopback import HEADER, kline_csv, kline_zip

from tercel.adapters.archive import klines
from tercel.adapters.archive.klines import parse_klines, unzip_klines
from tercel.domain.errors import DataError

START = 1_735_689_600_000  # 2025-01-01
REAL_ROW = (
    b"1735689600000000,4.15070000,4.15870000,4.15060000,4.15540000,539.23000000,1735693199999999,"
    b"2240.39860900,13,401.82000000,1669.98121300,0\n"
)


@pytest.mark.parametrize("header", [True, False])
@pytest.mark.parametrize("microseconds", [True, False])
def test_reads_every_form_of_the_file(header: bool, microseconds: bool) -> None:
    bars = make_bars(START, 50)
    csv = kline_csv(bars, header=header, microseconds=microseconds)
    assert same_bars(parse_klines(csv, "a.csv"), bars)


def test_reads_a_row_as_published() -> None:
    bar = parse_klines(REAL_ROW, "BNBUSDT-1h-2025-01.csv")[0]
    assert bar["open_time"] == START
    assert bar["close"] == 4.1554
    assert bar["quote_volume"] == 2240.398609
    assert bar["count"] == 13
    assert bar["taker_buy_quote_volume"] == 1669.981213


def test_files_that_change_to_microseconds_midway() -> None:
    early = kline_csv(make_bars(START, 2))
    late = kline_csv(make_bars(START + 120_000, 2), microseconds=True)
    assert same_bars(parse_klines(early + late, "a.csv"), make_bars(START, 4))


@pytest.mark.parametrize("csv", [b"", b"\xef\xbb\xbf", HEADER.encode() + b"\n"])
def test_a_file_without_rows_has_no_bars(csv: bytes) -> None:
    assert len(parse_klines(csv, "a.csv")) == 0


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda text: text.replace("100.5", "n/a", 1), "a.csv: "),
        (
            lambda text: text.rsplit(",", 2)[0] + "\n",
            "a.csv: row 3: taker_buy_quote_volume is missing",
        ),
        (lambda text: text.replace(",101.0,", ",,", 1), "a.csv: row 2: high is missing"),
        (lambda text: text.replace(",101.0,", ",nan,", 1), "a.csv: row 2: high is missing"),
        (lambda text: "<html>not a CSV</html>\n<p>,,</p>", "a.csv: "),
    ],
)
def test_damage_is_named(damage: object, message: str) -> None:
    assert callable(damage)
    text = damage(kline_csv(make_bars(0, 2), header=True).decode())
    with pytest.raises(DataError, match=message):
        parse_klines(text.encode(), "a.csv")


def test_unzips_the_one_file() -> None:
    bars = make_bars(START, 3)
    assert unzip_klines(kline_zip("a.zip", bars), "a.zip") == kline_csv(bars)


def test_refuses_a_damaged_zip() -> None:
    whole = kline_zip("a.zip", make_bars(START, 300))
    with pytest.raises(DataError, match=r"a\.zip: not a readable zip"):
        unzip_klines(b"no zip", "a.zip")
    with pytest.raises(DataError, match=r"a\.zip: not a readable zip"):
        unzip_klines(whole[:200] + b"\x00" * 50 + whole[250:], "a.zip")


def test_refuses_a_zip_of_several_files() -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("a.csv", "1")
        archive.writestr("b.csv", "2")
    with pytest.raises(DataError, match="expected one CSV inside, got 2 files"):
        unzip_klines(packed.getvalue(), "a.zip")


def test_refuses_an_absurdly_big_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(klines, "CSV_BYTES_MAX", 100)
    with pytest.raises(DataError, match="more than 100"):
        unzip_klines(kline_zip("a.zip", make_bars(START, 30)), "a.zip")
