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
