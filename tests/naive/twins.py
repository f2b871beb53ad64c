"""Slow twins: each indicator again, in a few plain lines of numpy that can be seen to be right."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def rolling(values: Any, length: int, function: Callable[[Floats], float]) -> Floats:
    """`function` of each window; NaN until one is full and where it holds what is not finite."""
    x = np.asarray(values, dtype=float)
    out = np.full(len(x), np.nan)
    for end in range(length, len(x) + 1):
        window = x[end - length : end]
        if np.isfinite(window).all():
            out[end - 1] = function(window)
    return out


def sample_std(window: Floats) -> float:
    """Two passes, in extended precision; NaN for a single value."""
    if len(window) < 2:
        return float("nan")
    wide = window.astype(np.longdouble)
    return float(np.sqrt(np.sum((wide - wide.mean()) ** 2) / (len(wide) - 1)))


def zscore(window: Floats) -> float:
    """NaN for a constant."""
    deviation = sample_std(window)
    wide = window.astype(np.longdouble)
    return float((wide[-1] - wide.mean()) / deviation) if deviation > 0 else float("nan")


def slope(window: Floats) -> float:
    """Least squares against 0, 1, 2 ..."""
    wide = window.astype(np.longdouble)
    at = np.arange(len(wide)) - (len(wide) - 1) / np.longdouble(2)
    return float(np.sum(at * (wide - wide[0])) / np.sum(at * at)) if len(wide) > 1 else float("nan")


def weighted_mean(window: Floats) -> float:
    """Weights 1, 2, 3 ... the newest the heaviest."""
    return float(np.average(window, weights=np.arange(1.0, len(window) + 1.0)))


def rolling_correlation(x: Floats, y: Floats, length: int) -> Floats:
    """numpy's corrcoef of each pair of windows; NaN where one is constant or not finite."""
    out = np.full(len(x), np.nan)
    for end in range(length, len(x) + 1):
        pair = np.array([x[end - length : end], y[end - length : end]])
        if np.isfinite(pair).all() and (np.ptp(pair, axis=1) > 0).all():
            out[end - 1] = np.corrcoef(pair)[0, 1]
    return out


def ema(values: Any, length: int) -> Floats:
    """Values that are not finite are left out, then put back as NaN."""
    x = np.asarray(values, dtype=float)
    out = np.full(len(x), np.nan)
    kept = np.flatnonzero(np.isfinite(x))
    if len(kept) >= length:
        value = out[kept[length - 1]] = x[kept[:length]].mean()
        for i in kept[length:]:
            value = out[i] = value + (x[i] - value) * 2.0 / (length + 1.0)
    return out


def rma(values: Any, length: int) -> Floats:
    """An EMA of 2 * length - 1 but for its first value."""
    x = np.asarray(values, dtype=float)
    out = np.full(len(x), np.nan)
    kept = np.flatnonzero(np.isfinite(x))
    if len(kept) >= length:
        value = out[kept[length - 1]] = x[kept[:length]].mean()
        for i in kept[length:]:
            value = out[i] = value + (x[i] - value) / length
    return out


def last_pivots(values: Floats, left: int, right: int) -> tuple[Floats, list[int]]:
    """Price and age of the last peak that is known at each bar; NaN and -1 before the first."""
    prices = np.full(len(values), np.nan)
    ages = [-1] * len(values)
    peaks = [
        i
        for i in range(left, len(values) - right)
        if np.isfinite(values[i])
        and all(values[j] < values[i] for j in range(i - left, i + right + 1) if j != i)
    ]
    for bar in range(len(values)):
        known = [i for i in peaks if i + right <= bar]
        if known:
            prices[bar] = values[known[-1]]
            ages[bar] = bar - known[-1]
    return prices, ages


Judged = tuple[list[int], Floats]
"""Of each bar: a direction (or a code), and the confidence in it."""


def points(*shares: float) -> float:
    """A detected pattern's confidence, of its three shares."""
    return 40.0 + 20.0 * sum(min(1.0, max(0.0, share)) for share in shares)


def within_bar(bar: Any, direction: int) -> float:
    """Where the close lies, from the end that is bad for `direction` (0) to the good one (1)."""
    bad = bar["low"] if direction > 0 else bar["high"]
    span = bar["high"] - bar["low"]
    return float(abs(bar["close"] - bad) / span) if span > 0 else 0.0


def volume_ratios(volume: Any, length: int) -> Floats:
    """Each volume over the mean of the `length` before it."""
    before = np.append(np.nan, rolling(volume, length, np.mean)[:-1])
    before[before == 0.0] = np.nan
    ratios: Floats = np.asarray(volume, dtype=float) / before
    ratios[~np.isfinite(ratios)] = np.nan
    return ratios


def is_known(bar: Any, *others: Any) -> bool:
    """All four prices and the other numbers are finite."""
    prices = [bar["open"], bar["high"], bar["low"], bar["close"]]
    return bool(np.isfinite([*prices, *others]).all())


def judge(bars: Any, about: Callable[[int], tuple[int, float] | None]) -> Judged:
    """`about` each bar: (direction, confidence), or None where it is unknown."""
    told = [about(i) or (0, np.nan) for i in range(len(bars))]
    return [direction for direction, _ in told], np.array([confidence for _, confidence in told])


def level_pattern(bars: Any, length: int, volume_length: int, bound: float, fake: bool) -> Judged:
    """Breakouts, or fakeouts, of the range of the `length` bars before."""
    upper = np.append(np.nan, rolling(bars["high"], length, np.max)[:-1])
    lower = np.append(np.nan, rolling(bars["low"], length, np.min)[:-1])
    ratios = volume_ratios(bars["volume"], volume_length)

    def about(i: int) -> tuple[int, float] | None:
        bar, top, bottom, ratio = bars[i], upper[i], lower[i], ratios[i]
        if not is_known(bar, top, bottom, ratio):
            return None
        close, body = bar["close"], sorted((bar["open"], bar["close"]))
        height, span = max(top - bottom, 1e-300), max(bar["high"] - bar["low"], 1e-300)
        pierced = (bar["high"] > top, bar["low"] < bottom)
        if not fake and ratio > bound and not bottom <= close <= top:
            side = 1 if close > top else -1
            beyond = close - top if side == 1 else bottom - close
            volume = (ratio - bound) / bound
            return side, points(volume, beyond / height * 10, within_bar(bar, side))
        if fake and bottom <= close <= top and sum(pierced) == 1:
            volume = (ratio - 1) / (bound - 1)
            if pierced[0]:
                back = (top - close) / (bar["high"] - top)
                return -1, points(volume, (bar["high"] - body[1]) / span, back)
            back = (close - bottom) / (bottom - bar["low"])
            return 1, points(volume, (body[0] - bar["low"]) / span, back)
        return 0, 0.0

    return judge(bars, about)


def ema_bounce(bars: Any, trend: Any, length: int, volume_length: int) -> Judged:
    """Wick to the EMA, body on the trend's side, more volume than the bar before."""
    known = np.isfinite(bars["close"])
    average = np.where(known, ema(bars["close"], length), np.nan)
    ratios = volume_ratios(bars["volume"], volume_length)

    def about(i: int) -> tuple[int, float] | None:
        bar, line = bars[i], average[i]
        if not is_known(bar, line, ratios[i]):
            return None
        bottom, top = sorted((bar["open"], bar["close"]))
        span = max(bar["high"] - bar["low"], 1e-300)
        if i == 0 or not bar["volume"] > bars["volume"][i - 1]:
            return 0, 0.0
        if trend[i] == 1 and bar["low"] <= line < bottom:
            wick = bottom - bar["low"]
            return 1, points(ratios[i] - 1, wick / span, (bottom - line) / wick)
        if trend[i] == -1 and bar["high"] >= line > top:
            wick = bar["high"] - top
            return -1, points(ratios[i] - 1, wick / span, (line - top) / wick)
        return 0, 0.0

    return judge(bars, about)


def vwap_reclaim(bars: Any, vwap: Floats, volume_length: int, bound: float) -> Judged:
    """Looks back from each crossing to where the other side began."""
    ratios = volume_ratios(bars["volume"], volume_length)
    sides: list[int] = []
    for i in range(len(bars)):
        if not is_known(bars[i], vwap[i]):
            sides.append(0)
        elif bars["close"][i] != vwap[i]:
            sides.append(1 if bars["close"][i] > vwap[i] else -1)
        else:
            sides.append(sides[-1] if sides else 0)

    def about(i: int) -> tuple[int, float] | None:
        if not is_known(bars[i], vwap[i], ratios[i]):
            return None
        side = sides[i]
        if i == 0 or sides[i - 1] != -side or side == 0 or not ratios[i] > bound:
            return 0, 0.0
        first = i - 1
        while first > 0 and sides[first - 1] == -side:
            first -= 1
        past = range(first, i + 1)
        if side == 1:
            reach = max(vwap[j] - bars["low"][j] for j in past)
        else:
            reach = max(bars["high"][j] - vwap[j] for j in past)
        regained = abs(bars["close"][i] - vwap[i]) / reach
        return side, points((ratios[i] - bound) / bound, regained, within_bar(bars[i], side))

    return judge(bars, about)


def ignition(bars: Any, bars_min: int, volume_length: int) -> Judged:
    """Counts back from each bar as far as the run reaches."""
    ratios = volume_ratios(bars["volume"], volume_length)

    def way(bar: Any) -> int:
        known = is_known(bar, bar["volume"])
        return int(np.sign(bar["close"] - bar["open"])) if known else 0

    def about(i: int) -> tuple[int, float] | None:
        if not is_known(bars[i], ratios[i]):
            return None
        side, first = way(bars[i]), i
        while side and first > 0 and way(bars[first - 1]) == side:
            now, before = bars[first], bars[first - 1]
            further = [(now[name] - before[name]) * side > 0 for name in ("high", "low")]
            if not (all(further) and now["volume"] > before["volume"]):
                break
            first -= 1
        run = bars[first : i + 1]
        if side == 0 or len(run) < bars_min:
            return 0, 0.0
        bodies = np.abs(run["close"] - run["open"]) / (run["high"] - run["low"])
        volume = (ratios[i] - 1) / 2
        return side, points(volume, float(np.mean(bodies)), within_bar(bars[i], side))

    return judge(bars, about)


def fair_value_gaps(bars: Any, length: int, size_min: float, kept: int) -> Judged:
    """Gaps as a list of dicts, all prices turned so that each is a rising one."""
    gaps: list[dict[str, float]] = []
    known: list[int] = []

    def about(i: int) -> tuple[int, float] | None:
        bar = bars[i]
        if not np.isfinite([bar["high"], bar["low"], bar["close"]]).all():
            return None
        found: dict[int, float] = {}
        for gap in list(gaps):
            side = int(gap["side"])
            low = bar["low"] if side == 1 else -bar["high"]
            height = gap["near"] - gap["far"]
            if low <= gap["far"]:
                gaps.remove(gap)
            elif low < gap["edge"]:
                left = (gap["edge"] - gap["far"]) / height
                held = (side * bar["close"] - gap["far"]) / height
                found[side] = max(found.get(side, 0.0), points(gap["size"], left, held))
                gap["edge"] = low
        spans = [bars["high"][j] - bars["low"][j] for j in known[-length:]]
        usual = np.mean(spans) if len(spans) == length else np.nan
        if known[-2:] == [i - 2, i - 1] and i >= 2:
            add_gap(gaps, bar, bars[i - 2], usual, size_min)
            for side in (1, -1):
                of_side = [gap for gap in gaps if gap["side"] == side]
                if len(of_side) > kept:
                    gaps.remove(of_side[0])
        known.append(i)
        if np.isnan(usual):
            return None
        return next(iter(found.items())) if len(found) == 1 else (0, 0.0)

    return judge(bars, about)


def add_gap(gaps: Any, bar: Any, second_last: Any, usual: Any, size_min: float) -> None:
    """The gap between two bars ago and now, where there is one."""
    for side, near, far in (
        (1, bar["low"], second_last["high"]),
        (-1, -bar["high"], -second_last["low"]),
    ):
        if near > far and near - far >= size_min * usual:
            size = (near - far) / usual if usual > 0 else 1.0
            gaps.append({"side": side, "near": near, "far": far, "edge": near, "size": size})


def wilder_sum(values: Floats, length: int) -> Floats:
    """A plain sum of the first `length` - 1 values, then Wilder's fading one."""
    out = np.full(len(values), np.nan)
    total = values[: length - 1].sum()
    for i in range(length - 1, len(values)):
        total = out[i] = total - total / length + values[i]
    return out


def directional(bars: Any, length: int) -> tuple[Floats, Floats, Floats]:
    """+DI, -DI and ADX of bars that are all known."""
    high, low, close = (bars[name].astype(float) for name in ("high", "low", "close"))
    up, down = np.diff(high), -np.diff(low)
    ranges = np.maximum(high[1:], close[:-1]) - np.minimum(low[1:], close[:-1])
    total = wilder_sum(ranges, length)
    plus = 100 * wilder_sum(np.where((up > down) & (up > 0), up, 0.0), length) / total
    minus = 100 * wilder_sum(np.where((down > up) & (down > 0), down, 0.0), length) / total
    adx = rma(100 * np.abs(plus - minus) / (plus + minus), length)
    return (np.append(np.nan, plus), np.append(np.nan, minus), np.append(np.nan, adx))


def regime(bars: Any, length: int, adx_min: float) -> Judged:
    """Codes 1 ranging, 2 up, 3 down, 0 unknown; bars that are not known are left out."""
    known = [i for i in range(len(bars)) if is_known({**of(bars[i]), "open": 0.0})]
    codes, confidences = [0] * len(bars), np.full(len(bars), np.nan)
    for i, plus, minus, adx in zip(known, *directional(bars[known], length), strict=True):
        if np.isnan(adx):
            continue
        away = 100 * abs(adx - adx_min) / adx_min
        if adx < adx_min:
            codes[i], confidences[i] = 1, away
        else:
            lead = 100 * abs(plus - minus) / (plus + minus)
            codes[i] = 2 if plus > minus else 3
            confidences[i] = min(100.0, away, 100 * lead / adx_min)
    return codes, confidences


def of(bar: Any) -> dict[str, Any]:
    """A bar's fields by name."""
    return {name: bar[name] for name in bar.dtype.names}


def volatility(bars: Any, length: int, window_length: int, quiet: float, loud: float) -> Judged:
    """Codes 1 quiet, 2 normal, 3 volatile, 0 unknown, by sorting each window with numpy."""
    known = [i for i in range(len(bars)) if is_known({**of(bars[i]), "open": 0.0})]
    high, low, close = (bars[known][name] for name in ("high", "low", "close"))
    ranges = np.maximum(high[1:], close[:-1]) - np.minimum(low[1:], close[:-1])
    readings = np.append(np.nan, rma(ranges, length)) / close
    codes, confidences = [0] * len(bars), np.full(len(bars), np.nan)
    for at in range(length + window_length - 1, len(known)):
        window = readings[at - window_length + 1 : at + 1]
        x, i = window[-1], known[at]
        p = np.sum(window < x) / (window_length - 1)
        if x < np.quantile(window, quiet):
            codes[i], confidences[i] = 1, 100 * (1 - p / quiet)
        elif x > np.quantile(window, loud):
            codes[i], confidences[i] = 3, 100 * (1 - (1 - p) / (1 - loud))
        else:
            nearer = min(p - quiet, loud - p)
            codes[i], confidences[i] = 2, max(0.0, 100 * nearer / ((loud - quiet) / 2))
    return codes, confidences
