"""A series of closed bars: the one form in which market data reaches the core."""

from __future__ import annotations

from dataclasses import dataclass

from tercel.core.records import Records

VENUES = ("binance-usdm", "binance-spot", "bybit-linear", "bitget-usdtm", "synthetic")

TIMEFRAME_MS: dict[str, int] = {
    "1m": 60_000,
    "3m": 180_000,
    "5m": 300_000,
    "15m": 900_000,
    "30m": 1_800_000,
    "1h": 3_600_000,
    "4h": 14_400_000,
    "1d": 86_400_000,
}
"""Timeframes the lake can hold and their length in milliseconds."""

BAR_COLUMNS = (
    "open_time",
    "open",
    "high",
    "low",
    "close",
    "volume",
    "quote_volume",
    "count",
    "taker_buy_volume",
    "taker_buy_quote_volume",
    "bid_size",
    "ask_size",
    "spread_bps",
)
"""Columns of every bar file of the lake, always in this order. Unknown is NULL there and NaN in a
BAR record.
"""


@dataclass(frozen=True, slots=True)
class SeriesKey:
    """Which series of bars: `binance-spot BTCUSDT 1m`."""

    venue: str
    symbol: str
    timeframe: str = "1m"

    @property
    def bar_ms(self) -> int:
        """Length of one bar in milliseconds."""
        return TIMEFRAME_MS[self.timeframe]

    def __str__(self) -> str:
        return f"{self.venue} {self.symbol} {self.timeframe}"


@dataclass(frozen=True, slots=True)
class Gap:
    """A run of missing bars: `[start, end)` in milliseconds UTC, `bars` of them."""

    start: int
    end: int
    bars: int


@dataclass(frozen=True, slots=True)
class BarSeries:
    """Closed bars of one series in time order, as BAR records (C-contiguous, writable), and their
    gaps.
    """

    key: SeriesKey
    bars: Records
    gaps: tuple[Gap, ...]
    data_hash: str
    """SHA-256 of the bars' bytes: names the data a result came from."""
