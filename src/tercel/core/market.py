"""What an account watches of the series it trades: hourly returns for correlations, and how its ATR
compares with its own mean.

One MARKET record per series, advanced once a closed bar by `market_step`. Correlations are computed
only when a signal asks for them (`correlation`): a pass over 720 hours, about a microsecond.
"""

from __future__ import annotations

import math
from typing import Any

from tercel.core.codes import Side
from tercel.core.indicators.atr import atr_step
from tercel.core.indicators.sma import sma_step
from tercel.core.jit import kernel
from tercel.core.records import ATR_MEAN_BARS, CORRELATION_HOURS, Records
from tercel.core.timeframe import resample_step

HOUR_MS = 3_600_000
ATR_LENGTH = 14
CORRELATION_HOURS_MIN = 168
"""Hours that two series must share before their correlation is known: a week."""


@kernel
def market_step(market: Any, bar: Any, bar_ms: int) -> None:
    """One closed bar of the series. Bars of an hour or more are taken as hours themselves."""
    atr = atr_step(market.atr, bar.high, bar.low, bar.close, ATR_LENGTH)
    mean = sma_step(market.atr_average, atr, ATR_MEAN_BARS)
    market.atr_ratio = atr / mean if mean > 0.0 else math.nan
    if bar_ms >= HOUR_MS:
        note_hour(market, bar.open_time // HOUR_MS, bar.close, bar_ms // HOUR_MS)
    elif resample_step(market.hour, bar, bar_ms, HOUR_MS):
        note_hour(market, market.hour.done.open_time // HOUR_MS, market.hour.done.close, 1)


@kernel
def note_hour(market: Any, hour: int, close: float, step: int) -> None:
    """The return of a closed hour against the close `step` hours before it; across a gap there is
    none.
    """
    follows = market.hour_number > 0 and hour == market.hour_number + step
    if follows and close > 0.0 and market.hour_close > 0.0:
        place = hour % CORRELATION_HOURS
        market.returns[place] = math.log(close / market.hour_close)
        market.return_hour[place] = hour
    market.hour_close = close
    market.hour_number = hour


@kernel
def correlation(one: Any, other: Any) -> float:
    """Pearson correlation of the two series' hourly returns over the 30 days that both know.

    NaN below a week of shared hours, or where one of them does not move.
    """
    newest = 0
    for place in range(CORRELATION_HOURS):
        newest = max(newest, one.return_hour[place], other.return_hour[place])
    oldest = max(newest - CORRELATION_HOURS, 0)
    shared = 0
    x_total = y_total = 0.0
    for place in range(CORRELATION_HOURS):
        hour = one.return_hour[place]
        if hour > oldest and hour == other.return_hour[place]:
            shared += 1
            x_total += one.returns[place]
            y_total += other.returns[place]
    if shared < CORRELATION_HOURS_MIN:
        return math.nan
    x_mean = x_total / shared
    y_mean = y_total / shared
    xx = yy = xy = 0.0
    for place in range(CORRELATION_HOURS):
        hour = one.return_hour[place]
        if hour > oldest and hour == other.return_hour[place]:
            x = one.returns[place] - x_mean
            y = other.returns[place] - y_mean
            xx += x * x
            yy += y * y
            xy += x * y
    if not (xx > 0.0 and yy > 0.0):
        return math.nan
    return min(1.0, max(-1.0, xy / (math.sqrt(xx) * math.sqrt(yy))))


@kernel
def positions_on(account: Any, series: int, side: int) -> int:
    """Positions and working entries of the account on `side` of one series."""
    found: int = account.longs[series] if side == Side.LONG else account.shorts[series]
    return found


@kernel
def in_danger(limits: Any, context: Any) -> bool:
    """Whether the wider market moved too far within the last hour. Unknown moves do not count."""
    return (
        (
            limits.btc_move_fraction_max > 0.0
            and abs(context.btc_move_1h) > limits.btc_move_fraction_max
        )
        or (
            limits.sp500_fall_fraction_max > 0.0
            and context.sp500_move_1h < -limits.sp500_fall_fraction_max
        )
        or (
            limits.dollar_rise_fraction_max > 0.0
            and context.dollar_move_1h > limits.dollar_rise_fraction_max
        )
    )


@kernel
def survey(account: Any, stream: Any, markets: Records, context: Any, side: int) -> None:
    """Look around before a signal on `side` is answered: into `stream.survey`.

    A position in the same series moves with it exactly: correlation 1.
    """
    seen = stream.survey
    own = stream.series
    cluster = markets[own].cluster
    seen.atr_ratio = markets[own].atr_ratio
    seen.in_danger = in_danger(account.limits, context)
    seen.correlation = math.nan
    seen.cluster_positions = 0
    for series in range(account.series_count):
        held = positions_on(account, series, side)
        if series == own and stream.position.side == side:
            held -= 1  # its own waiting entry, which may be given up at this very bar
        if held == 0:
            continue
        if cluster > 0 and markets[series].cluster == cluster:
            seen.cluster_positions += held
        together = 1.0
        if series != own:
            together = correlation(markets[own], markets[series])
        if not together <= seen.correlation and not math.isnan(together):
            seen.correlation = together
