"""What Binance USD-M publishes beside bars: settled funding, open interest, long/short ratio.

Known by the rules of the files that can be imported (docs/data.md): funding at its settlement, a
five-minute snapshot one period after its stamp. None of these calls has a request weight: funding
has a pool of its own (500 calls in 5 minutes), and so have the statistics (1000). That one of them
is exhausted says nothing about orders; a ban is one of the address, whoever earned it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tercel.adapters.ccxt.binance.dialect import BinanceDialect
from tercel.adapters.ccxt.binance.errors import is_ban
from tercel.adapters.ccxt.calls import Call, Json, Params
from tercel.app.live.governor import STATISTICS
from tercel.domain.context import SNAPSHOT_DELAY_MS, Times, Values, on_the_minute
from tercel.domain.times import DAY_MS, HOUR_MS, MINUTE_MS

PERIOD = "5m"
PERIOD_MS = 5 * MINUTE_MS
STATISTICS_MS_MAX = 29 * DAY_MS
"""Statistics are kept for 30 days; a call that begins before them is refused."""


@dataclass(frozen=True, slots=True)
class _Endpoint:
    """One list of rows."""

    method: str
    """ccxt's implicit method."""
    source: str
    """Source of the series: the same as an imported file's where the rows are the same."""
    time: str
    value: str
    rows_max: int
    """Rows of one answer."""
    step_ms: int
    """Rows are at least so far apart."""
    delay_ms: int = 0
    """From a stamp to the moment its value counts as known."""
    reach_ms: int = 0
    """How far back it answers; 0: as far as there is anything."""
    params: tuple[tuple[str, str], ...] = ()


_STATISTICS = (("period", PERIOD),)
ENDPOINTS: Mapping[str, _Endpoint] = {
    "funding_rate": _Endpoint(
        "fapiPublicGetFundingRate", "settlements", "fundingTime", "fundingRate", 1000, HOUR_MS
    ),
    # The archive's metrics are counted alike, but the ratio has more decimals there and their
    # stamps are not documented to be the same moments: two makers, two series.
    "open_interest": _Endpoint(
        "fapiDataGetOpenInterestHist", "rest-5m", "timestamp", "sumOpenInterest",
        500, PERIOD_MS, SNAPSHOT_DELAY_MS, STATISTICS_MS_MAX, _STATISTICS,
    ),
    "long_short_ratio": _Endpoint(
        "fapiDataGetGlobalLongShortAccountRatio", "rest-5m", "timestamp", "longShortRatio",
        500, PERIOD_MS, SNAPSHOT_DELAY_MS, STATISTICS_MS_MAX, _STATISTICS,
    ),
}  # fmt: skip


class BinanceContextDialect(BinanceDialect):
    """context_dialects.ContextDialect for Binance USD-M."""

    @property
    def sources(self) -> Mapping[str, str]:
        """Kind of context -> the source that its series is kept under."""
        return {kind: endpoint.source for kind, endpoint in ENDPOINTS.items()}

    def held_category(self, status: int, text: str) -> str | None:
        """These calls alone, where it is no ban: they are not counted with those of orders."""
        return None if is_ban(status, text) else STATISTICS

    def pages(self, kind: str, symbol: str, since_ms: int, now_ms: int) -> list[Call]:
        """Each spans no more rows than one answer holds, whichever end it would cut off."""
        endpoint = ENDPOINTS[kind]
        # Settlements are stamped some milliseconds late, and put on their minute: none is missed.
        start = since_ms - endpoint.delay_ms
        if endpoint.reach_ms:
            start = max(start, now_ms - endpoint.reach_ms)
        calls = []
        while start <= now_ms:
            end = min(now_ms, start + endpoint.rows_max * endpoint.step_ms - 1)
            params: Params = {
                "symbol": symbol,
                **dict(endpoint.params),
                "startTime": start,
                "endTime": end,
                "limit": endpoint.rows_max,
            }
            calls.append(Call(kind, endpoint.method, params, weight=0, category=STATISTICS))
            start = end + 1
        return calls

    def rows(self, kind: str, answer: Json) -> tuple[Times, Values]:
        """Lists of one of these, numbers as text, the stamp as a number or as text:

        `{"symbol": "BTCUSDT", "fundingTime": settlement, 1698768000003, "fundingRate": fraction,
        "0.00010000", "markPrice": "34287.54619963"}`

        `{"symbol": "BTCUSDT", "sumOpenInterest": base, "20403.127", "sumOpenInterestValue": quote,
        "150570784.07", "CMCCirculatingSupply": ..., "timestamp": snapshot, "1583127900000"}`

        `{"symbol": "BTCUSDT", "longShortRatio": accounts long over short, "1.9559", "longAccount":
        share of accounts, "0.6617", "shortAccount": "0.3382", "timestamp": "1583139900000"}`
        """
        endpoint = ENDPOINTS[kind]
        if not isinstance(answer, list):
            raise TypeError("it is no list of rows")
        stamps = np.array([int(row[endpoint.time]) for row in answer], np.int64)
        values = np.array([float(row[endpoint.value]) for row in answer], np.float64)
        if endpoint.delay_ms:
            return stamps + endpoint.delay_ms, values
        return on_the_minute(stamps)[0], values
