"""Bars for tests: real ones from the data folder beside the checkout, and seeded invented ones.

Real data are looked for in `TERCEL_TEST_DATA`, else in `../shared/data` beside the checkout. A test
that asks for them where there are none is skipped, with a message that says so; with
`TERCEL_TEST_DATA_REQUIRED=1` it fails, so that CI cannot pass by skipping them.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest

from tercel.core.records import BAR

JIT = os.environ.get("NUMBA_DISABLE_JIT", "0") in ("", "0")
"""False in the run that measures coverage: plain Python, so tests take fewer bars."""

BOUNDS_CHECKED = os.environ.get("NUMBA_BOUNDSCHECK", "0") not in ("", "0")
"""True in the run that looks for indices out of bounds: numbers are compared elsewhere."""

once = pytest.mark.skipif(not JIT, reason="kernels have no part in it: the compiled run tells")
"""For slow tests that would say the same a second time."""

MINUTE_MS = 60_000
FIRST_OPEN_TIME = 1_688_169_600_000  # 2023-07-01 00:00 UTC

Bars = npt.NDArray[Any]


def no_real_data(where: Path) -> NoReturn:
    """Skip the test that wants real data; fail it where they must be there."""
    message = f"no real market data in {where}: set TERCEL_TEST_DATA"
    if os.environ.get("TERCEL_TEST_DATA_REQUIRED", "0") not in ("", "0"):
        pytest.fail(f"{message} (TERCEL_TEST_DATA_REQUIRED is set)", pytrace=False)
    pytest.skip(message)


def data_root() -> Path:
    """The folder of real data; without it see `no_real_data`."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    root = Path(os.environ.get("TERCEL_TEST_DATA", beside))
    if not root.is_dir():
        no_real_data(root)
    return root


def real_files(folder: str, names: Iterable[str]) -> list[Path]:
    """Files of one folder of the real data, all of them; without one see `no_real_data`."""
    files = [data_root() / folder / name for name in names]
    for file in files:
        if not file.is_file():
            no_real_data(file)
    return files


def real_bars(count: int, file: str = "klines/binance-spot/BTCUSDT/1m/2023-07.parquet") -> Bars:
    """The first `count` bars of a parquet file, as BAR records; unknown columns are NaN."""
    [path] = real_files("", [file])
    frame = pl.read_parquet(path).head(count)
    bars = np.zeros(frame.height, BAR)
    for name in BAR.names or ():
        bars[name] = frame[name].to_numpy() if name in frame.columns else np.nan
    return bars


def invented_bars(count: int, seed: int = 1) -> Bars:
    """A random walk, one bar a minute, every field finite."""
    rng = np.random.default_rng(seed)
    bars = np.zeros(count, BAR)
    close = 30_000.0 * np.exp(np.cumsum(rng.normal(0.0, 5e-4, count)))
    first = np.concatenate([[30_000.0], close[:-1]])
    reach = 30_000.0 * np.abs(rng.normal(0.0, 3e-4, (2, count)))
    bars["open_time"] = FIRST_OPEN_TIME + MINUTE_MS * np.arange(count)
    bars["open"], bars["close"] = first, close
    bars["high"] = np.maximum(first, close) + reach[0]
    bars["low"] = np.minimum(first, close) - reach[1]
    bars["volume"] = rng.gamma(1.5, 10.0, count)
    bars["quote_volume"] = bars["volume"] * (bars["high"] + bars["low"]) / 2.0
    bars["taker_buy_volume"] = bars["volume"] * rng.uniform(0.0, 1.0, count)
    bars["taker_buy_quote_volume"] = bars["quote_volume"] * 0.5
    bars["count"] = rng.integers(1, 1000, count)
    bars["bid_size"], bars["ask_size"] = rng.gamma(2.0, 1.0, (2, count))
    bars["spread_bps"] = 0.1
    return bars


def joined(*parts: Bars) -> Bars:
    """The parts one after another, each moved in time to follow the one before."""
    bars = np.concatenate(parts)
    at = 0
    for part in parts[:-1]:
        at += len(part)
        moved = bars["open_time"][at - 1] + MINUTE_MS - bars["open_time"][at]
        bars["open_time"][at:] += moved
    return bars


def rough_bars(count: int, seed: int = 2) -> Bars:
    """Invented bars with all that goes wrong: gaps, NaN, infinity, no volume, no movement."""
    rng = np.random.default_rng(seed)
    kept = rng.uniform(size=count + count // 10) > 0.05
    bars = invented_bars(len(kept), seed)[kept][:count]
    for name in ("open", "high", "low", "close", "volume", "quote_volume", "taker_buy_volume"):
        bars[name][rng.uniform(size=len(bars)) < 0.01] = np.nan
        bars[name][rng.uniform(size=len(bars)) < 0.001] = np.inf
    still = slice(len(bars) // 2, len(bars) // 2 + len(bars) // 10)
    for name in ("open", "high", "low", "close"):
        bars[name][still] = 30_000.0
    for name in ("volume", "quote_volume", "taker_buy_volume"):
        bars[name][still] = 0.0
    return bars
