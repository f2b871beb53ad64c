"""The series that a session watches without trading it.

A backtest looks BTC's move over the last hour up in the lake. A session that does not trade BTCUSDT
subscribes to its bars for that alone, so that the breaker and the strategies that look at it are
shown the same.
"""

from __future__ import annotations

from dataclasses import replace

from tercel.app.context import BTC
from tercel.app.live.plan import SessionPlan
from tercel.app.ports import MarketFeed
from tercel.domain.bars import SeriesKey
from tercel.domain.errors import UserError
from tercel.domain.times import HOUR_MS


async def watch_beside(feed: MarketFeed, plan: SessionPlan) -> tuple[SeriesKey | None, str]:
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
