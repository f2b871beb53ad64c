"""Indicators over a whole history in plain Python, for the slow twins of strategies.

Lists in, lists out, one value a bar, NaN while unknown; prices are taken to be finite. Nothing here
is incremental where it need not be, and nothing is shared with `tercel.core`.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

NAN = math.nan
MINUTE_MS = 60_000
Values = list[float]


class Candle(NamedTuple):
    """A larger bar and the small bar at whose close it is known, its own last one or a later."""

    known_at: int
    high: float
    low: float
    close: float
    volume: float
    quote_volume: float
    on_time: bool


def larger_bars(bars: Any, bar_minutes: int, minutes: int) -> list[Candle]:
    """The bars grouped by UTC `minutes`; a first group without its beginning is left out.

    A group is known with its last small bar, or, if that is missing, with the next bar there is.
    Not two at one bar: the later one is known one bar later.
    """
    span = minutes * MINUTE_MS
    groups: dict[int, list[int]] = {}
    for i, time in enumerate(bars["open_time"]):
        groups.setdefault(int(time) // span, []).append(i)
    found: list[Candle] = []
    told = -1
    for number, rows in groups.items():
        last = int(bars["open_time"][rows[-1]])
        whole = last + bar_minutes * MINUTE_MS == (number + 1) * span
        known_at = max(rows[-1] if whole else rows[-1] + 1, told + 1)
        if rows[0] == 0 and int(bars["open_time"][0]) != number * span:
            continue
        told = known_at
        if known_at == len(bars):
            break
        found.append(
            Candle(
                known_at,
                max(float(bars["high"][i]) for i in rows),
                min(float(bars["low"][i]) for i in rows),
                float(bars["close"][rows[-1]]),
                math.fsum(float(bars["volume"][i]) for i in rows),
                math.fsum(float(bars["quote_volume"][i]) for i in rows),
                whole and known_at == rows[-1],
            )
        )
    return found


def mean_of_last(values: Values, length: int) -> Values:
    """The mean of each window; NaN before the first full one."""
    return [total / length for total in sum_of_last(values, length)]


def sum_of_last(values: Values, length: int) -> Values:
    """The sum of each window; NaN before the first full one and where a value is unknown."""
    out = [NAN] * len(values)
    for end in range(length, len(values) + 1):
        window = values[end - length : end]
        if not any(math.isnan(x) for x in window):
            out[end - 1] = math.fsum(window)
    return out


def ema(values: Values, length: int) -> Values:
    """Seeded with the mean of the first `length` values."""
    out = [NAN] * len(values)
    for i in range(length - 1, len(values)):
        if i == length - 1:
            out[i] = sum(values[:length]) / length
        else:
            out[i] = (2.0 * values[i] + (length - 1.0) * out[i - 1]) / (length + 1.0)
    return out


def wilder(values: Values, length: int) -> Values:
    """Wilder's average, seeded with the mean of the first `length` values."""
    out = [NAN] * len(values)
    for i in range(length - 1, len(values)):
        if i == length - 1:
            out[i] = sum(values[:length]) / length
        else:
            out[i] = out[i - 1] + (values[i] - out[i - 1]) / length
    return out


def ranges(high: Values, low: Values, close: Values) -> Values:
    """True ranges from the second bar on: one value less than there are bars."""
    return [max(high[i], close[i - 1]) - min(low[i], close[i - 1]) for i in range(1, len(close))]


def atr(high: Values, low: Values, close: Values, length: int) -> Values:
    """Wilder's average of true ranges."""
    return [NAN, *wilder(ranges(high, low, close), length)]


def rsi(close: Values, length: int) -> Values:
    """Wilder's RSI; NaN where nothing has moved."""
    changes = [close[i] - close[i - 1] for i in range(1, len(close))]
    up = wilder([max(change, 0.0) for change in changes], length)
    down = wilder([max(-change, 0.0) for change in changes], length)
    return [NAN, *(100 * u / (u + d) if u + d > 0 else NAN for u, d in zip(up, down, strict=True))]


def directional(
    high: Values, low: Values, close: Values, length: int
) -> tuple[Values, Values, Values]:
    """(ADX, +DI, -DI), Wilder's, for prices that do move."""
    plus, minus = [], []
    for i in range(1, len(close)):
        rise, fall = high[i] - high[i - 1], low[i - 1] - low[i]
        plus.append(rise if rise > max(fall, 0.0) else 0.0)
        minus.append(fall if fall > max(rise, 0.0) else 0.0)
    reach = ranges(high, low, close)
    sums = [wilder_sums(x, length) for x in (plus, minus, reach)]
    up = [100 * p / r if r > 0 else NAN for p, r in zip(sums[0], sums[2], strict=True)]
    down = [100 * m / r if r > 0 else NAN for m, r in zip(sums[1], sums[2], strict=True)]
    strength = [100 * abs(u - d) / (u + d) for u, d in zip(up, down, strict=True)][length - 1 :]
    adx = [NAN] * length + wilder(strength, length)
    return adx, [NAN, *up], [NAN, *down]


def wilder_sums(values: Values, length: int) -> Values:
    """The plain sum of `length` - 1 values, then sum - sum / length + value; NaN before."""
    out = [NAN] * len(values)
    total = sum(values[: length - 1])
    for i in range(length - 1, len(values)):
        total = total - total / length + values[i]
        out[i] = total
    return out


def sample_std(values: Values) -> float:
    """Two passes, ddof = 1."""
    mean = math.fsum(values) / len(values)
    return math.sqrt(math.fsum((x - mean) ** 2 for x in values) / (len(values) - 1))


def zscore(values: Values, length: int) -> Values:
    """(value - mean) / deviation of each window."""
    out = [NAN] * len(values)
    for end in range(length, len(values) + 1):
        window = values[end - length : end]
        deviation = sample_std(window)
        if deviation > 0:
            out[end - 1] = (window[-1] - math.fsum(window) / length) / deviation
    return out


def sides_of_larger_bars(bars: Any, bar_minutes: int, p: dict[str, Any]) -> list[int | None]:
    """The trend filter at every small bar: 1, -1, 0, and None before it is known."""
    candles = larger_bars(bars, bar_minutes, p["trend_minutes"])
    close = [candle.close for candle in candles]
    fast, slow = ema(close, p["trend_fast_len"]), ema(close, p["trend_slow_len"])
    strength, _, _ = directional(
        [candle.high for candle in candles],
        [candle.low for candle in candles],
        close,
        p["trend_adx_len"],
    )
    out: list[int | None] = [None] * len(bars)
    for k, candle in enumerate(candles):
        if math.isnan(fast[k] + slow[k] + strength[k]):
            continue
        side = (fast[k] > slow[k]) - (fast[k] < slow[k])
        until = candles[k + 1].known_at if k + 1 < len(candles) else len(bars)
        for i in range(candle.known_at, until):
            out[i] = side if strength[k] > p["trend_adx_min"] else 0
    return out
