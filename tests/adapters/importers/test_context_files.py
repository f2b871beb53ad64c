"""Files of context: which are known, what their values mean, and from when they count as known."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from tests.market_data import data_root

from tercel.adapters.clock import VirtualClock
from tercel.adapters.importers import ContextFileReader
from tercel.app.context_quality import check_context
from tercel.app.ports import FileContext, NotContextError, OtherMarketError, SourceHints
from tercel.domain.context import ContextKey
from tercel.domain.errors import DataError
from tercel.domain.times import DAY_MS, HOUR_MS, MINUTE_MS, format_time, parse_time

DAY = parse_time("2024-01-01")
NOW = parse_time("2026-11-01")
NOTHING = SourceHints()


def read(path: Path, hints: SourceHints = NOTHING, now: int = NOW) -> FileContext:
    return ContextFileReader(VirtualClock(now)).read(path, hints)


def table(path: Path, **columns: Sequence[object]) -> Path:
    """A Parquet file, or a CSV, of these columns."""
    path.parent.mkdir(parents=True, exist_ok=True)
    frame = pl.DataFrame(columns)
    frame.write_csv(path) if path.suffix == ".csv" else frame.write_parquet(path)
    return path


def text(path: Path, content: str) -> Path:
    """A CSV, or a zip with that CSV in it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(f"{path.stem}.csv", content)
    else:
        path.write_text(content)
    return path


# ---- settlements


def test_settlements_stamped_late_are_put_on_their_minute(tmp_path: Path) -> None:
    path = table(
        tmp_path / "funding/binance-usdm/BTCUSDT.parquet",
        funding_time=[DAY, DAY + 8 * HOUR_MS + 47, DAY + 16 * HOUR_MS + 1001],
        funding_rate=[1e-4, -2e-5, 0.0],
        mark_price=[None, 1.0, 2.0],
    )
    found = read(path)
    (series,) = found.parts
    assert series.key == ContextKey("funding_rate", "binance-usdm", "BTCUSDT", "settlements")
    assert series.time.tolist() == [DAY, DAY + 8 * HOUR_MS, DAY + 16 * HOUR_MS + 1001]
    assert series.value.tolist() == [1e-4, -2e-5, 0.0]
    assert found.notes == (
        "funding_rate known at its stamp",
        "settlements stamped milliseconds late were put on their minute",
    )


ARCHIVE = "calc_time,funding_interval_hours,last_funding_rate\n1704067200000,8,0.00037409\n"


@pytest.mark.parametrize(
    ("name", "hints"),
    [
        ("futures/um/monthly/fundingRate/BTCUSDT/BTCUSDT-fundingRate-2024-01.zip", NOTHING),
        ("binance-usdm/BTCUSDT-fundingRate-2024-01.csv", NOTHING),
        ("BTCUSDT-fundingRate-2024-01.zip", SourceHints(venue="binance-usdm")),
        ("binance-usdm/mine.csv", SourceHints(symbol="BTCUSDT")),
    ],
)
def test_the_funding_archive_of_binance(tmp_path: Path, name: str, hints: SourceHints) -> None:
    (series,) = read(text(tmp_path / name, ARCHIVE), hints).parts
    assert series.key == ContextKey("funding_rate", "binance-usdm", "BTCUSDT", "settlements")
    assert (series.time.tolist(), series.value.tolist()) == ([DAY], [0.00037409])


def test_names_in_camel_case(tmp_path: Path) -> None:
    path = text(
        tmp_path / "bybit-linear/ETHUSDT.csv",
        f"symbol,fundingTime,fundingRate\nETHUSDT,{DAY + 7},0.0001\n",
    )
    (series,) = read(path).parts
    assert series.key == ContextKey("funding_rate", "bybit-linear", "ETHUSDT", "settlements")


def test_what_no_path_tells_is_asked_for(tmp_path: Path) -> None:
    path = text(tmp_path / "BTCUSDT-fundingRate-2024-01.csv", ARCHIVE)
    with pytest.raises(DataError, match="does not tell the venue; say it with --venue"):
        read(path)
    path = text(tmp_path / "binance-usdm/2024.csv", ARCHIVE)
    with pytest.raises(DataError, match="does not tell the symbol; say it with --symbol"):
        read(path)


def test_a_hint_selects_and_never_relabels(tmp_path: Path) -> None:
    path = text(tmp_path / "binance-usdm/BTCUSDT-fundingRate-2024-01.csv", ARCHIVE)
    with pytest.raises(OtherMarketError, match="it is symbol BTCUSDT, not ETHUSDT"):
        read(path, SourceHints(symbol="ETHUSDT"))
    with pytest.raises(OtherMarketError, match="it is venue binance-usdm, not bybit-linear"):
        read(path, SourceHints(venue="bybit-linear"))


# ---- Binance's metrics


def test_the_metrics_of_binance_are_known_a_period_later(tmp_path: Path) -> None:
    path = text(
        tmp_path / "futures/um/daily/metrics/BTCUSDT/BTCUSDT-metrics-2024-01-01.zip",
        "create_time,symbol,sum_open_interest,sum_open_interest_value,"
        "count_toptrader_long_short_ratio,sum_toptrader_long_short_ratio,count_long_short_ratio,"
        "sum_taker_long_short_vol_ratio\n"
        "2024-01-01 00:05:00,BTCUSDT,79203.281,3361e6,1.71,1.13,1.62,0.97\n"
        "2024-01-01 00:10:00,BTCUSDT,79188.5,3360e6,1.71,1.13,,0.97\n",
    )
    found = read(path)
    interest, ratio = found.parts
    assert interest.key == ContextKey("open_interest", "binance-usdm", "BTCUSDT", "metrics")
    assert ratio.key == ContextKey("long_short_ratio", "binance-usdm", "BTCUSDT", "metrics")
    assert (interest.time - DAY).tolist() == [10 * MINUTE_MS, 15 * MINUTE_MS]
    assert interest.value.tolist() == [79203.281, 79188.5]
    assert (ratio.time - DAY).tolist() == [10 * MINUTE_MS]
    assert ratio.value.tolist() == [1.62]
    assert found.notes == (
        "open_interest known 5 min after its stamp",
        "long_short_ratio known 5 min after its stamp",
        "long_short_ratio: 1 rows without a value left out",
    )


# ---- vendors


@pytest.mark.parametrize(
    ("name", "kind", "source", "delay_ms", "unit"),
    [
        ("open_interest/coinglass/BTC_4h", "open_interest", "coinglass-4h", 4 * HOUR_MS, 1.0),
        ("open_interest/coinglass/BTC_1d", "open_interest", "coinglass-1d", DAY_MS, 1.0),
        ("funding/coinglass/BTC_4h_ohlc", "funding_rate", "coinglass-4h", 4 * HOUR_MS, 0.01),
    ],
)
def test_the_close_of_a_period_is_known_at_its_end(
    tmp_path: Path, name: str, kind: str, source: str, delay_ms: int, unit: float
) -> None:
    prices = {column: [0.01, 0.02] for column in ("open", "high", "low")}
    path = table(tmp_path / f"{name}.parquet", time=[DAY, DAY + delay_ms], **prices, close=[3, 5])
    (series,) = read(path).parts
    assert series.key == ContextKey(kind, "all", "BTCUSDT", source)
    assert series.time.tolist() == [DAY + delay_ms, DAY + 2 * delay_ms]
    np.testing.assert_allclose(series.value, [3 * unit, 5 * unit])


def test_long_over_short(tmp_path: Path) -> None:
    path = tmp_path / "long_short/coinglass/BTC_top_ratio_1d.parquet"
    (series,) = read(table(path, time=[DAY], long_percent=[60.0], ratio=[1.5])).parts
    assert series.key == ContextKey("long_short_ratio", "all", "BTCUSDT", "coinglass-1d")
    assert (series.time.tolist(), series.value.tolist()) == ([DAY + DAY_MS], [1.5])


@pytest.mark.parametrize(("newest_first", "stamp"), [(False, "time"), (True, "timestamp")])
def test_fear_and_greed_is_known_at_its_stamp(
    tmp_path: Path, newest_first: bool, stamp: str
) -> None:
    times, values = [DAY // 1000, DAY // 1000 + 86_400], [30, 70]
    order = slice(None, None, -1) if newest_first else slice(None)
    columns: dict[str, Sequence[object]] = {
        stamp: times[order],
        "value": values[order],
        "value_classification": ["a", "b"],
    }
    (series,) = read(table(tmp_path / "fng.csv", **columns)).parts
    assert series.key == ContextKey("fear_greed", "all", "all", "alternative-me")
    assert (series.time.tolist(), series.value.tolist()) == ([DAY, DAY + DAY_MS], [30, 70])


def test_net_flow(tmp_path: Path) -> None:
    path = tmp_path / "onchain/btc_exchange_reserves_1d.parquet"
    (series,) = read(table(path, time=[DAY], value=[2e6], netflow=[-500.0])).parts
    assert series.key == ContextKey("exchange_netflow", "all", "BTCUSDT", "reserves-1d")
    assert (series.time.tolist(), series.value.tolist()) == ([DAY + DAY_MS], [-500.0])


@pytest.mark.parametrize(
    ("name", "column", "kind", "source", "delay_ms"),
    [
        ("macro/sp500_1d", "value", "sp500", "macro-1d", DAY_MS),
        ("macro/dollar_index_1d", "value", "dollar_index", "macro-1d", DAY_MS),
        ("mine/sp500_1h", "close", "sp500", "mine-1h", HOUR_MS),
    ],
)
def test_other_markets(
    tmp_path: Path, name: str, column: str, kind: str, source: str, delay_ms: int
) -> None:
    (series,) = read(table(tmp_path / f"{name}.csv", time=[DAY], **{column: [4000.5]})).parts
    assert series.key == ContextKey(kind, "all", "all", source)
    assert (series.time.tolist(), series.value.tolist()) == ([DAY + delay_ms], [4000.5])


def test_two_markets_in_one_table(tmp_path: Path) -> None:
    path = table(
        tmp_path / "yahoo.parquet",
        time=[DAY, DAY + DAY_MS],
        dxy_close=[102.0, 103.0],
        spx_close=[None, 4700.0],
        vix_close=[12.0, 13.0],
    )
    found = read(path)
    assert {series.key.kind: series.value.tolist() for series in found.parts} == {
        "sp500": [4700.0],
        "dollar_index": [102.0, 103.0],
    }
    assert "sp500: 1 rows without a value left out" in found.notes


def test_what_a_lake_keeps_goes_into_another(tmp_path: Path) -> None:
    path = tmp_path / "all/BTCUSDT/open_interest/mine-1h.csv"
    (series,) = read(table(path, time=[DAY, DAY + 5], value=[1.0, 2.0])).parts
    assert series.key == ContextKey("open_interest", "all", "BTCUSDT", "mine-1h")
    assert series.time.tolist() == [DAY, DAY + 5]


# ---- what is left out, refused, passed over


def test_a_day_that_has_not_ended_is_not_published(tmp_path: Path) -> None:
    path = table(tmp_path / "macro/sp500_1d.parquet", time=[DAY, DAY + DAY_MS], value=[1.0, 2.0])
    found = read(path, now=DAY + 2 * DAY_MS - 1)
    assert found.parts[0].time.tolist() == [DAY + DAY_MS]
    assert "sp500: 1 rows not published yet left out" in found.notes
    with pytest.raises(NotContextError, match="no value in it"):
        read(path, now=DAY)


@pytest.mark.parametrize(
    ("name", "columns", "reason"),
    [
        ("dvol/BTC_1h.parquet", "time open high low close", "no column for volume among"),
        ("basis/coinglass/BTC_1d.parquet", "time close_basis", "no column for open, high"),
        ("open_interest/coinglass/BTC_2h.parquet", "time close", "no column for open, high"),
        ("onchain/btc_miner_reserves_1d.csv", "time value", "no column for open, high"),
        ("macro/vix_1d.csv", "time value", "no column for open, high"),
        ("x.csv", "time open high low close volume", "^$"),
        ("x.txt", "time value", r"not one of \.zip"),
    ],
)
def test_what_is_no_context(tmp_path: Path, name: str, columns: str, reason: str) -> None:
    path = tmp_path / name
    content = {column: [1.0] for column in columns.split()}
    made = table(path.with_suffix(".csv"), **content) if path.suffix == ".txt" else None
    made = made.rename(path) if made else table(path, **content)
    with pytest.raises(NotContextError, match=reason):
        read(made)


def test_tables_without_names_and_without_rows(tmp_path: Path) -> None:
    with pytest.raises(NotContextError, match=r"^$"):
        read(text(tmp_path / "x.csv", "1,2\n"))
    with pytest.raises(NotContextError, match="empty"):
        read(text(tmp_path / "y.csv", ""))
    with pytest.raises(NotContextError, match="no rows"):
        read(text(tmp_path / "binance-usdm/BTCUSDT.csv", "funding_time,funding_rate\n"))


def test_damage(tmp_path: Path) -> None:
    path = table(tmp_path / "macro/sp500_1d.parquet", time=[DAY], value=[1.0])
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(DataError, match="damaged Parquet"):
        read(path)
    bad = text(tmp_path / "binance-usdm/BTCUSDT.csv", f"funding_time,funding_rate\n{DAY},low\n")
    with pytest.raises(DataError, match="row 1: funding_rate 'low' is not a number"):
        read(bad)


# ---- the real files


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("file", "first", "last"),
    [
        ("open_interest/coinglass/BTC_4h", ("2025-10-06 16:00", 95_255_789_756), 46_270_850_166.91),
        ("open_interest/coinglass/BTC_1d", ("2020-02-28", 3_527_345_802), 46_735_192_720.0422),
        (
            "open_interest/cryptoquant/BTC_all_exchanges_1d",
            ("2020-01-02", 1_086_420_503),
            27_859_540_914,
        ),
        ("funding/coinglass/BTC_1d_ohlc", ("2020-04-01", -0.0002801456), -5.2e-07),
        (
            "funding/cryptoquant/BTC_all_exchanges_1d",
            ("2020-01-02", 7.656942e-05),
            0.00013395137,
        ),
        ("funding/binance-usdm/BTCUSDT", ("2019-09-10 08:00", 1e-4), 3.112e-05),
        ("funding/okx-swap/BTC-USDT-SWAP", ("2026-03-16 08:00", 7.88856648e-05), -1.49222917e-05),
        ("long_short/coinglass/BTC_top_ratio_1d", ("2020-05-17", 1.14), 0.87),
        ("fear_greed/daily", ("2018-02-01", 30), 29),
        ("onchain/btc_exchange_reserves_1d", ("2020-01-02", 4186.17), -877.879),
        ("macro/sp500_1d", ("2020-01-03", 3257.85), 7641.16),
        ("macro/dollar_index_1d", ("2020-01-03", 114.975), 118.903),
    ],
)
def test_real_files(file: str, first: tuple[str, float], last: float) -> None:
    """When the first row was known, its value and the last one, read off the files by hand."""
    (series,) = read(data_root() / f"{file}.parquet").parts
    assert format_time(int(series.time[0])) == format_time(parse_time(first[0]))
    assert series.value[0] == pytest.approx(first[1])
    assert series.value[-1] == pytest.approx(last)
    check_context(series, origin=file)


@pytest.mark.real_data
def test_real_files_that_are_no_context() -> None:
    for file in ("dvol/deribit/BTC_1h", "liquidations/coinglass/BTC_4h", "macro/vix_1d"):
        with pytest.raises(NotContextError, match="no column for"):
            read(data_root() / f"{file}.parquet")
