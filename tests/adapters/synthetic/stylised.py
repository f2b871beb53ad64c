"""Figures that make a market look like one, computed the same way for real and synthetic bars.

Run as a program, it prints the table of docs/synthetic.md:
`python -m tests.adapters.synthetic.stylised > table.md`
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl
from tests.market_data import real_files

from tercel.adapters.synthetic import generate, market_named

Floats = npt.NDArray[np.float64]

MONTHS = tuple(f"2023-{month:02d}" for month in range(7, 13)) + tuple(
    f"2024-{month:02d}" for month in range(1, 6)
)
"""Months in which the real BTC bars have every column."""
COLUMNS = ("open_time", "open", "high", "low", "close", "volume", "taker_buy_volume")


@dataclass(frozen=True, slots=True)
class Fact:
    """One figure: its name, and how far a synthetic one may lie from the real one."""

    name: str
    low: float
    high: float
    """Band around the real figure, added to it."""


FACTS = (
    Fact("excess kurtosis of returns, cut at 10 sigmas", -6.0, 10.0),
    Fact("autocorrelation of absolute returns, lag 1", -0.08, 0.08),
    Fact("autocorrelation of absolute returns, lag 10", -0.08, 0.08),
    Fact("autocorrelation of absolute returns, lag 60", -0.08, 0.08),
    Fact("autocorrelation of returns, lag 1", -0.03, 0.03),
    Fact("autocorrelation of returns, lag 10", -0.03, 0.03),
    Fact("correlation of volume and absolute return", -0.12, 0.12),
    Fact("correlation of taker flow and return", -0.08, 0.08),
    Fact("standard deviation of taker flow", -0.05, 0.05),
    Fact("autocorrelation of volume, lag 1", -0.12, 0.12),
    Fact("standard deviation of log volume", -0.20, 0.20),
    Fact("range over absolute body", -0.20, 0.20),
    Fact("volatility at 14-16 UTC over the day's mean", -0.25, 0.25),
    Fact("volatility at 4-6 UTC over the day's mean", -0.15, 0.15),
    Fact("volume at 14-16 UTC over the day's mean", -0.30, 0.30),
    Fact("volume at weekends over the week's mean", -0.20, 0.20),
)


def real_columns() -> dict[str, Floats]:
    """Columns of the real bars; without them see `no_real_data`."""
    files = real_files("klines/binance-spot/BTCUSDT/1m", [f"{month}.parquet" for month in MONTHS])
    frame = pl.read_parquet(files, columns=list(COLUMNS))
    return {name: frame[name].to_numpy().astype(np.float64) for name in COLUMNS}


def synthetic_columns(seed: int, days: int = 336) -> dict[str, Floats]:
    """The same columns of a synthetic BTCUSDT over the same dates."""
    bars = generate(market_named("BTCUSDT", seed, 1_688_169_600_000, days, 0.0))
    return {name: bars[name].astype(np.float64) for name in COLUMNS}


def lagged(values: Floats, lag: int) -> float:
    """Autocorrelation at `lag`."""
    away = values - values.mean()
    return float((away[:-lag] * away[lag:]).mean() / (away * away).mean())


def facts_of(bars: dict[str, Floats]) -> dict[str, float]:
    """Every figure of FACTS, of a year or so of 1m bars."""
    returns = np.diff(np.log(bars["close"]))
    size, volume = np.abs(returns), bars["volume"][1:]
    sigma = returns.std()
    cut = np.clip(returns, -10 * sigma, 10 * sigma)
    traded = volume > 0
    flow = 2 * bars["taker_buy_volume"][1:][traded] / volume[traded] - 1
    hour = (bars["open_time"][1:] // 3_600_000) % 24
    weekday = (bars["open_time"][1:] // 86_400_000 + 3) % 7
    busy, quiet = (hour == 14) | (hour == 15), (hour == 4) | (hour == 5)
    spread = (bars["high"] - bars["low"]) / bars["close"]
    body = np.abs(bars["close"] - bars["open"]) / bars["close"]
    values = (
        float(((cut - cut.mean()) ** 4).mean() / cut.var() ** 2 - 3),
        lagged(size, 1), lagged(size, 10), lagged(size, 60),
        lagged(returns, 1), lagged(returns, 10),
        float(np.corrcoef(size, volume)[0, 1]),
        float(np.corrcoef(flow, returns[traded])[0, 1]),
        float(flow.std()),
        lagged(volume, 1),
        float(np.log(volume[traded]).std()),
        float(spread.mean() / body.mean()),
        float(size[busy].mean() / size.mean()), float(size[quiet].mean() / size.mean()),
        float(volume[busy].mean() / volume.mean()),
        float(volume[weekday >= 5].mean() / volume.mean()),
    )  # fmt: skip
    return {fact.name: value for fact, value in zip(FACTS, values, strict=True)}


def main() -> None:
    """Print real figures beside those of three seeds over the same length."""
    real = facts_of(real_columns())
    made = [facts_of(synthetic_columns(seed)) for seed in (1, 2, 3)]
    lines = ["| figure | real | seed 1 | seed 2 | seed 3 | band |", "|---|--:|--:|--:|--:|---|"]
    for fact in FACTS:
        low, high = real[fact.name] + fact.low, real[fact.name] + fact.high
        cells = " | ".join(f"{facts[fact.name]:.3f}" for facts in (real, *made))
        lines.append(f"| {fact.name} | {cells} | {low:.2f} to {high:.2f} |")
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
