"""Seven strategies on three symbols over a year of one-minute bars: on one account, and each alone.

The market: BTCUSDT, ETHUSDT and SOLUSDT on Binance spot from 2024-01-01 to 2024-06-24, the 176 days
of which every column is known for all three, repeated until the year is full; prices go on where
they ended. What is known of funding rates, open interest and the like is joined to them.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from bench.market import NoDataError, data_root
from bench.measurement import MS_PER_S, Measurement, time_ms
from tercel.adapters.lake import LakeBarStore
from tercel.adapters.workers import ThreadWorkers
from tercel.app import runs
from tercel.app.arena import default_strategies, run_arena
from tercel.app.ports import SilentProgress
from tercel.app.prepare import RunRequest
from tercel.bootstrap import load_settings, open_context, open_lake, system_clock
from tercel.core.jit import cache_root
from tercel.core.records import BAR, Records
from tercel.domain.bars import SeriesKey

if TYPE_CHECKING:
    from bench.bars import Desk

SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT")
VENUE = "binance-spot"
FIRST_MONTH, LAST_MONTH = "2024-01", "2024-06"
KNOWN_BARS = 176 * 1_440
YEAR_BARS = 365 * 1_440
MINUTE_MS = 60_000
PRICES = ("open", "high", "low", "close")
CONTEXT = ("funding", "open_interest", "long_short", "fear_greed", "onchain")
RUNS = 3
PORTFOLIO_S_MAX = 10.0
IMPORT_LIMIT_S = 120.0


def known_bars(root: Path, symbol: str) -> Records:
    """The 176 days of `symbol` as BAR records. Raises NoDataError."""
    folder = root / "klines" / VENUE / symbol / "1m"
    files = [p for p in sorted(folder.glob("*.parquet")) if FIRST_MONTH <= p.stem <= LAST_MONTH]
    frame = pl.concat([pl.read_parquet(path) for path in files]) if files else pl.DataFrame()
    if frame.height < KNOWN_BARS:
        raise NoDataError(f"{folder} has {frame.height:,} bars from {FIRST_MONTH} on")
    bars = np.empty(KNOWN_BARS, BAR)
    for name in BAR.names or ():
        known = name in frame.columns
        bars[name] = frame[name].head(KNOWN_BARS).to_numpy() if known else np.nan
    return bars


def a_year(bars: Records, decimals: int) -> Records:
    """`bars` repeated to YEAR_BARS; each repetition begins at the price the one before ended at."""
    year = np.resize(bars, YEAR_BARS)
    year["open_time"] = bars["open_time"][0] + MINUTE_MS * np.arange(YEAR_BARS)
    growth = float(bars["close"][-1] / bars["open"][0])
    factors = growth ** (np.arange(YEAR_BARS) // len(bars))
    for name in PRICES:
        year[name] = np.round(year[name] * factors, decimals)
    year["quote_volume"] *= factors
    return year


def open_market(desk: Desk) -> Path:
    """A lake with the year of the three symbols and what is known beside them; its folder."""
    root, folder = data_root(), desk.scratch / "portfolio-lake"
    store = LakeBarStore(folder)
    for symbol in SYMBOLS:
        bars = a_year(known_bars(root, symbol), decimals=2)
        store.merge(SeriesKey(VENUE, symbol, "1m"), bars, source="bench")
    there = [str(root / name) for name in CONTEXT if (root / name).is_dir()]
    if there:
        words = ("data", "import", *there, "--lake", str(folder))
        desk.tercel(*words, cache=cache_root(), limit_s=IMPORT_LIMIT_S)
    return folder


def portfolio(desk: Desk) -> list[Measurement]:
    """Bars and context from the lake, signals, trades, equity and every figure; no report."""
    settings = load_settings().with_lake(open_market(desk))
    office = runs.Desk(
        store=open_lake(settings),
        contexts=open_context(settings),
        settings=settings,
        clock=system_clock(),
        progress=SilentProgress(),
        command_line="bench",
    )
    strategies = default_strategies()
    request = RunRequest(strategies, SYMBOLS, venue=VENUE, timeframe="1m")
    trades = len(runs.run_backtest(office, request).result.trades)
    together = time_ms(lambda: runs.run_backtest(office, request), RUNS, warm_ups=0)
    crew = ThreadWorkers()
    apart = time_ms(lambda: run_arena(office, request, crew), RUNS, warm_ups=1)
    what = f"{len(strategies)} strategies on 3 symbols, a year of 1m bars"
    return [
        Measurement(
            f"{what}, one account",
            "s",
            tuple(sample / MS_PER_S for sample in together),
            PORTFOLIO_S_MAX,
            f"warm, lake to verdict, {trades:,} trades, one thread",
        ),
        Measurement(
            f"{what}, each alone (the arena)",
            "s",
            tuple(sample / MS_PER_S for sample in apart),
            note=f"warm, lake to ranking, {crew.count} threads",
        ),
    ]
