"""What is known about a market beside its bars: funding, open interest, mood, flows, other markets.

A value counts from the moment it was published and never before: `time` of a row is that moment,
whatever its maker stamped it with. Each importer says how it gets from one to the other.

| kind | unit | known |
|---|---|---|
| funding_rate | fraction per settlement (0.0001 is 0.01 %) | at the settlement |
| open_interest | base or quote, as its source counts: only changes matter | when its period ends |
| long_short_ratio | accounts or positions long over short | when its period ends |
| fear_greed | 0..100 | at its stamp |
| exchange_netflow | base per day, into exchanges (+) or out of them (-) | at the next midnight |
| sp500, dollar_index | index level | a daily close at the next midnight |
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from tercel.domain.bars import VENUES
from tercel.domain.times import MINUTE_MS

ALL = "all"
"""Venue of what is counted over all exchanges, and symbol of what no symbol is meant by."""

CONTEXT_VENUES = (*VENUES, "okx-swap", ALL)
"""Venues that context may come from: okx-swap is not traded, but its funding is public."""

CONTEXT_KINDS = (
    "funding_rate",
    "open_interest",
    "long_short_ratio",
    "fear_greed",
    "exchange_netflow",
    "sp500",
    "dollar_index",
)

MARKET_WIDE_KINDS = ("fear_greed", "sp500", "dollar_index")
"""Kinds of no symbol: their key has ALL for venue and symbol, and they are joined to every one."""

SNAPSHOT_DELAY_MS = 5 * MINUTE_MS
"""Binance does not say when a row of its five-minute snapshots of open interest and long/short
ratio appeared: one period after its stamp, here, in an imported file as in a live session.
"""
LATE_MS_MAX = 1000
"""A settlement stamped at most this late is put on its minute: the venue wrote it down then."""

Times = npt.NDArray[np.int64]
Values = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, order=True)
class ContextKey:
    """Which series: `funding_rate binance-usdm BTCUSDT settlements`.

    Two sources of one kind for one market are two series, since they may count in different units.
    """

    kind: str
    """One of CONTEXT_KINDS."""
    venue: str
    """One of CONTEXT_VENUES."""
    symbol: str
    """As bars have it (BTCUSDT), or ALL."""
    source: str
    """Who counted it, and how often where that tells sources apart: coinglass-4h, metrics."""

    def __str__(self) -> str:
        return f"{self.kind} {self.venue} {self.symbol} {self.source}"


@dataclass(frozen=True, slots=True, eq=False)
class ContextSeries:
    """Published values of one series in time order."""

    key: ContextKey
    time: Times
    """(rows,) the moment each value became known, ms UTC, strictly increasing."""
    value: Values
    """(rows,) finite, in the unit of the kind."""
    data_hash: str = field(init=False)
    """SHA-256 of the bytes of both arrays: names the data a result came from."""

    def __post_init__(self) -> None:
        digest = hashlib.sha256(np.ascontiguousarray(self.time, np.int64).tobytes())
        digest.update(np.ascontiguousarray(self.value, np.float64).tobytes())
        object.__setattr__(self, "data_hash", digest.hexdigest())

    def __len__(self) -> int:
        return len(self.time)

    @property
    def source(self) -> str:
        """Who counted it."""
        return self.key.source

    @property
    def spacing_ms(self) -> int:
        """The usual time between two rows: the lower median of the steps; 0 of a single row."""
        steps = np.diff(self.time)
        if not len(steps):
            return 0
        middle = (len(steps) - 1) // 2
        return int(np.partition(steps, middle)[middle])


def on_the_minute(stamps: Times) -> tuple[Times, int]:
    """Stamps up to LATE_MS_MAX after a whole minute put on it, and how many that were."""
    late = stamps % MINUTE_MS
    moved = (late > 0) & (late <= LATE_MS_MAX)
    return np.where(moved, stamps - late, stamps), int(moved.sum())
