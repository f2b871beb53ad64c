"""Five patterns of price and volume: breakout, fakeout, EMA bounce, VWAP reclaim, ignition.

Each step takes one closed bar and returns a direction: 1 a reason to be long, -1 short, 0 none (the
field `detected`), with a `confidence` beside it: NaN while the pattern cannot be judged (not warm,
or a number it needs is not finite: then nothing is detected), 0 where nothing is detected, else

    confidence = 40 + 20 * (a + b + c)

where a, b and c are three shares between 0 and 1 that each step names: how clearly the pattern's
conditions are exceeded. 40 is a pattern that only just is one, 100 one that leaves no wish open.

Volume is measured against the mean of the `volume_length` bars *before* the present one, so that a
spike does not raise the bar that it has to pass; no mean or a mean of 0 makes the ratio NaN.

Source: the 15-minute scalp patterns of discretionary traders; the conditions are the usual ones,
the shares are this project's own. The sixth of the family is in `fair_value_gap.py`.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tercel.core.indicators.donchian import donchian_dtype, donchian_step
from tercel.core.indicators.ema import EMA, ema_step
from tercel.core.indicators.sma import sma_dtype, sma_step
from tercel.core.jit import kernel, rec

CONFIDENCE_MIN = 40.0
"""Of a pattern whose three shares are all 0."""

SHARE_POINTS = 20.0
"""What each of the three shares can add: 40 + 3 * 20 = 100."""


def breakout_dtype(capacity: int, volume_capacity: int) -> np.dtype[np.record]:
    """Room for any `length` up to `capacity` and `volume_length` up to `volume_capacity`."""
    return rec(
        ("channel", donchian_dtype(capacity)),
        ("volume", sma_dtype(volume_capacity)),
        ("detected", "i8"),  # 1 long, -1 short, 0 none
        ("confidence", "f8"),  # 0..100; NaN while unknown
    )


def fakeout_dtype(capacity: int, volume_capacity: int) -> np.dtype[np.record]:
    """Room for any `length` up to `capacity` and `volume_length` up to `volume_capacity`."""
    return breakout_dtype(capacity, volume_capacity)


def ema_bounce_dtype(volume_capacity: int) -> np.dtype[np.record]:
    """Room for any `volume_length` up to `volume_capacity`; the EMA needs none."""
    return rec(
        ("average", EMA),
        ("volume", sma_dtype(volume_capacity)),
        ("last_volume", "f8"),
        ("detected", "i8"),  # 1 long, -1 short, 0 none
        ("confidence", "f8"),  # 0..100; NaN while unknown
    )


def vwap_reclaim_dtype(volume_capacity: int) -> np.dtype[np.record]:
    """Room for any `volume_length` up to `volume_capacity`."""
    return rec(
        ("volume", sma_dtype(volume_capacity)),
        ("side", "i8"),  # of the VWAP on which the last bar closed: 1 above, -1 below, 0 unknown
        ("reach", "f8"),  # price; how far from the VWAP bars have been since they are on that side
        ("detected", "i8"),  # 1 long, -1 short, 0 none
        ("confidence", "f8"),  # 0..100; NaN while unknown
    )


def ignition_dtype(volume_capacity: int) -> np.dtype[np.record]:
    """Room for any `volume_length` up to `volume_capacity`."""
    return rec(
        ("volume", sma_dtype(volume_capacity)),
        ("last_high", "f8"),
        ("last_low", "f8"),
        ("last_volume", "f8"),
        ("run_bars", "i8"),  # length of the present run: > 0 rising bars, < 0 falling ones
        ("body_total", "f8"),  # sum of body / range over the run
        ("detected", "i8"),  # 1 long, -1 short, 0 none
        ("confidence", "f8"),  # 0..100; NaN while unknown
    )


def warmup(lookback: int, volume_length: int) -> int:
    """NaN bars before the first confidence.

    `lookback`: `length` of a breakout or fakeout, `length` - 1 of an EMA bounce, `bars_min` - 1 of
    an ignition, and of a VWAP reclaim the bars until the VWAP is known.
    """
    return max(lookback, volume_length)


@kernel
def share(part: float, whole: float) -> float:
    """`part` / `whole`, kept within 0 and 1. Of a `whole` that is not positive, any positive `part`
    is all.
    """
    if not part > 0.0:
        return 0.0
    return part / whole if part < whole else 1.0


@kernel
def close_position(bar: Any, direction: int) -> float:
    """How far the close lies into the bar, 0..1: 1 at the high for a long, at the low for a short.

    0 for a bar without range, which shows no will either way.
    """
    if direction > 0:
        return share(bar.close - bar.low, bar.high - bar.low)
    return share(bar.high - bar.close, bar.high - bar.low)


@kernel
def pattern_confidence(a: float, b: float, c: float) -> float:
    """40 to 100, of three shares between 0 and 1."""
    return CONFIDENCE_MIN + SHARE_POINTS * (a + b + c)


@kernel
def volume_ratio_step(s: Any, volume: float, length: int) -> float:
    """`volume` over the mean of the `length` values before it; `s` is an `sma` state.

    NaN until there are so many, while one of them is not finite, and where their mean is 0.
    """
    average = s.value
    sma_step(s, volume, length)
    if average > 0.0 and math.isfinite(volume):
        ratio: float = volume / average
        return ratio
    return math.nan


@kernel
def _has_prices(bar: Any) -> bool:
    """True when all four prices are finite."""
    return math.isfinite(bar.open + bar.high + bar.low + bar.close)


@kernel
def breakout_step(
    s: Any, bar: Any, length: int, volume_length: int, volume_ratio_min: float
) -> int:
    """A close beyond the extremes of the previous `length` bars, with more than `volume_ratio_min`
    (2) times the average volume.

    Shares of the confidence: volume, from 0 at `volume_ratio_min` to 1 at twice that; distance of
    the close beyond the level, 1 from a tenth of the channel's height; `close_position`. Returns
    the direction.
    """
    donchian_step(s.channel, bar.high, bar.low, length)
    ratio = volume_ratio_step(s.volume, bar.volume, volume_length)
    s.detected = 0
    s.confidence = math.nan
    upper = s.channel.upper
    lower = s.channel.lower
    if not (_has_prices(bar) and math.isfinite(upper + lower + ratio)):
        return 0
    s.confidence = 0.0
    direction = 0
    beyond = 0.0
    if bar.close > upper:
        direction = 1
        beyond = bar.close - upper
    elif bar.close < lower:
        direction = -1
        beyond = lower - bar.close
    if direction == 0 or ratio <= volume_ratio_min:
        return 0
    s.detected = direction
    s.confidence = pattern_confidence(
        share(ratio - volume_ratio_min, volume_ratio_min),
        share(10.0 * beyond, upper - lower),
        close_position(bar, direction),
    )
    return direction


@kernel
def fakeout_step(
    s: Any, bar: Any, length: int, volume_length: int, volume_ratio_spike: float
) -> int:
    """A liquidity grab: a wick through the extreme of the previous `length` bars, a close back
    inside. A reversal: -1 after a wick through the top, 1 after one through the bottom.

    A bar that pierces both levels says nothing. Shares of the confidence: volume, from 0 at the
    average to 1 at `volume_ratio_spike` (2) times that; wick, the part of the bar's range beyond
    its body; quick rejection, how far the close is inside over how far the wick was outside. The
    volume is no condition. Returns the direction.
    """
    donchian_step(s.channel, bar.high, bar.low, length)
    ratio = volume_ratio_step(s.volume, bar.volume, volume_length)
    s.detected = 0
    s.confidence = math.nan
    upper = s.channel.upper
    lower = s.channel.lower
    if not (_has_prices(bar) and math.isfinite(upper + lower + ratio)):
        return 0
    s.confidence = 0.0
    above = bar.high - upper
    below = lower - bar.low
    if (above > 0.0) == (below > 0.0) or bar.close > upper or bar.close < lower:
        return 0
    if above > 0.0:
        direction = -1
        wick = bar.high - max(bar.open, bar.close)
        rejection = share(upper - bar.close, above)
    else:
        direction = 1
        wick = min(bar.open, bar.close) - bar.low
        rejection = share(bar.close - lower, below)
    s.detected = direction
    s.confidence = pattern_confidence(
        share(ratio - 1.0, volume_ratio_spike - 1.0), share(wick, bar.high - bar.low), rejection
    )
    return direction


@kernel
def ema_bounce_step(s: Any, bar: Any, trend: int, length: int, volume_length: int) -> int:
    """A pullback that the EMA (21) held: the wick touches it, the body stays on the trend's side,
    and the volume is larger than that of the bar before.

    `trend` is the caller's: 1 up, -1 down, 0 none (nothing is detected). The EMA includes the
    present close. Shares of the confidence: volume, from 0 at the average to 1 at twice that; wick,
    its part of the bar's range; hold, the part of the wick that stayed on the trend's side of the
    EMA. Returns the direction.
    """
    average = ema_step(s.average, bar.close, length)
    ratio = volume_ratio_step(s.volume, bar.volume, volume_length)
    last_volume = s.last_volume
    s.last_volume = bar.volume
    s.detected = 0
    s.confidence = math.nan
    if not (_has_prices(bar) and math.isfinite(average + ratio)):
        return 0
    s.confidence = 0.0
    direction = 0
    wick = 0.0
    held = 0.0
    if trend > 0 and bar.low <= average:
        direction = 1
        held = min(bar.open, bar.close) - average
        wick = min(bar.open, bar.close) - bar.low
    elif trend < 0 and bar.high >= average:
        direction = -1
        held = average - max(bar.open, bar.close)
        wick = bar.high - max(bar.open, bar.close)
    if direction == 0 or held <= 0.0 or bar.volume <= last_volume:
        return 0
    s.detected = direction
    s.confidence = pattern_confidence(
        share(ratio - 1.0, 1.0), share(wick, bar.high - bar.low), share(held, wick)
    )
    return direction


@kernel
def vwap_reclaim_step(
    s: Any, bar: Any, vwap: float, volume_length: int, volume_ratio_min: float
) -> int:
    """A close back above the VWAP after one below it, with more than `volume_ratio_min` (1) times
    the average volume; mirrored for a short.

    A close right on the VWAP changes nothing; a crossing without the volume is not made up for
    later. `vwap` is the present one; after a bar without it, or without a price, it begins anew.
    Shares of the confidence: volume, from 0 at `volume_ratio_min` to 1 at twice that; distance
    regained, over how far the bars since the first close on the other side were from the VWAP (each
    from its own); `close_position`. Returns the direction.
    """
    ratio = volume_ratio_step(s.volume, bar.volume, volume_length)
    s.detected = 0
    s.confidence = math.nan
    if not (_has_prices(bar) and math.isfinite(vwap)):
        s.side = 0
        return 0
    last_side = s.side
    side = last_side
    if bar.close > vwap:
        side = 1
    elif bar.close < vwap:
        side = -1
    s.side = side
    reach = s.reach
    if last_side != 0:
        reach = max(reach, vwap - bar.low if last_side < 0 else bar.high - vwap)
    if side == last_side:
        s.reach = reach
    else:
        s.reach = bar.high - vwap if side > 0 else vwap - bar.low
    if math.isnan(ratio):
        return 0
    s.confidence = 0.0
    if last_side == 0 or side == last_side or ratio <= volume_ratio_min:
        return 0
    s.detected = side
    s.confidence = pattern_confidence(
        share(ratio - volume_ratio_min, volume_ratio_min),
        share(abs(bar.close - vwap), reach),
        close_position(bar, side),
    )
    return side


@kernel
def _run_goes_on(s: Any, bar: Any, direction: int) -> bool:
    """Whether the bar continues the run: high and low further on, more volume."""
    if direction * s.run_bars <= 0 or not bar.volume > s.last_volume:
        return False
    higher = bar.high - s.last_high
    lower = bar.low - s.last_low
    if direction > 0:
        return bool(higher > 0.0 and lower > 0.0)
    return bool(higher < 0.0 and lower < 0.0)


@kernel
def ignition_step(s: Any, bar: Any, bars_min: int, volume_length: int) -> int:
    """Momentum ignition: `bars_min` (3) or more rising bars in a row, each with a higher high, a
    higher low and more volume than the one before; mirrored for a short.

    It is detected at every bar of the run from the `bars_min`th on; `run_bars` (negative for
    falling bars) tells which. Shares of the confidence: volume, from 0 at the average to 1 at three
    times that; body, the mean of body / range over the run; `close_position`. Returns the
    direction.
    """
    ratio = volume_ratio_step(s.volume, bar.volume, volume_length)
    s.detected = 0
    s.confidence = math.nan
    if not (_has_prices(bar) and math.isfinite(bar.volume)):
        s.run_bars = 0
        return 0
    direction = 0
    if bar.close > bar.open:
        direction = 1
    elif bar.close < bar.open:
        direction = -1
    body = share(abs(bar.close - bar.open), bar.high - bar.low)
    if _run_goes_on(s, bar, direction):
        s.run_bars += direction
        s.body_total += body
    else:
        s.run_bars = direction
        s.body_total = body
    s.last_high = bar.high
    s.last_low = bar.low
    s.last_volume = bar.volume
    if math.isnan(ratio):
        return 0
    s.confidence = 0.0
    if direction == 0 or direction * s.run_bars < bars_min:
        return 0
    s.detected = direction
    s.confidence = pattern_confidence(
        share(ratio - 1.0, 2.0),
        s.body_total / (direction * s.run_bars),
        close_position(bar, direction),
    )
    return direction
