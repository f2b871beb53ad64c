"""The series that a session watches without trading it.

A backtest looks BTC's move over the last hour up in the lake. A session that does not trade BTCUSDT
subscribes to its bars for that alone, so that the breaker and the strategies that look at it are
shown the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from tercel.app.context import BTC
from tercel.app.live.plan import SessionPlan
from tercel.domain.bars import SeriesKey
from tercel.domain.errors import UserError
from tercel.domain.times import HOUR_MS
from tercel.domain.venue_instrument import VenueInstrument


class WideFeed(Protocol):
    """A MarketFeed that can bring bars of more than what is traded."""

    async def instruments(self, symbols: Sequence[str]) -> Mapping[str, VenueInstrument]:
        """Rules by symbol. Raises UserError for one that the venue does not know, VenueError."""
        ...

    def watch_beside(self, symbol: str) -> None:
        """Bring the bars of `symbol` too once it is open, and no quotes: nobody trades it."""
        ...


async def watch_beside(feed: WideFeed, plan: SessionPlan) -> tuple[SeriesKey | None, str]:
    """The series that `feed` brings from now on beside those that are traded, or None; and what is
    unknown then, in words, empty where nothing is. Raises VenueError.
    """
    if BTC in plan.symbols:
        return None, ""
    key = replace(plan.series[0], symbol=BTC)
    if HOUR_MS % plan.bar_ms:
        return None, _unknown(f"bars of {key.timeframe} do not tell of an hour")
    try:
        found = await feed.instruments((BTC,))
    except UserError:
        found = {}
    if BTC not in found:
        return None, _unknown(f"{key.venue} does not know {BTC}")
    feed.watch_beside(BTC)
    return key, ""


def _unknown(why: str) -> str:
    return (
        f"btc_move_1h is unknown in this session ({why}): limits.btc_move_fraction_max refuses "
        "nothing, and a strategy that asks for it is shown no value"
    )
