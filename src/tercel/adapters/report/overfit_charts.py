"""The charts of the tests against overfitting, in the colours they are given."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from tercel.adapters.report.drawing import Colours, new_figure
from tercel.app import wording

Floats = npt.NDArray[np.float64]
BINS = 40
POINTS_MAX = 1_500
"""Of a cloud of points: more are not seen, and make the page heavy."""


def _bars(axes: Any, values: Floats, colours: Colours, at_zero: str) -> None:
    """A histogram; bins up to zero are `loss`, those above `gain`; `at_zero` names the line."""
    low, high = float(values.min()), float(values.max())
    if high - low < 1e-9:  # all alike: one bar with a width
        low, high = low - 0.05, high + 0.05
    step = (high - low) / BINS
    edges = np.arange(np.floor(low / step), np.ceil(high / step) + 1.0) * step
    # Zero is an edge, and a value of zero itself is no gain: it belongs to the bin left of it.
    counts, _ = np.histogram(np.clip(values - step * 1e-6, edges[0], edges[-1]), edges)
    centres = (edges[:-1] + edges[1:]) / 2.0
    shades = [colours["gain" if centre > 0.0 else "loss"] for centre in centres]
    axes.bar(centres, counts, np.diff(edges) * 0.92, color=shades)
    if low < 0.0 < high:
        axes.axvline(0.0, color=colours["muted"], linewidth=0.8, label=at_zero)


def _labels(axes: Any, across: str, up: str, colours: Colours) -> None:
    axes.set_xlabel(across, color=colours["muted"])
    axes.set_ylabel(up, color=colours["muted"])
    axes.xaxis.set_major_formatter(_figures)
    axes.yaxis.set_major_formatter(_figures)


def _figures(value: float, _: int) -> str:
    return wording.typeset(f"{value:,.6g}")


def logits(values: Floats, colours: Colours) -> Any:
    """How the best of one half ranked in the other; 0 is the median."""
    figure, (axes,) = new_figure(9.6, 3.0, colours)
    _bars(axes, values, colours, "median")
    _labels(axes, "Logit of the rank in the other half; 0 is the median", "Splits", colours)
    return figure


def scatter(x: Floats, y: Floats, line: tuple[float, float], colours: Colours) -> Any:
    """Sharpe ratios a year of the best of one half, there (x) and in the other half (y).

    `line` is slope and intercept of the fitted line, NaN where there is none.
    """
    figure, (axes,) = new_figure(9.6, 3.8, colours)
    some = np.unique(np.linspace(0, len(x) - 1, min(len(x), POINTS_MAX)).astype(np.int64))
    for mask, shade in ((y[some] > 0.0, "gain"), (y[some] <= 0.0, "loss")):
        axes.plot(
            x[some][mask], y[some][mask], ".", color=colours[shade], markersize=3.0, alpha=0.55
        )
    axes.axhline(0.0, color=colours["muted"], linewidth=0.8)
    slope, intercept = line
    if np.isfinite(slope):
        ends = np.array([x.min(), x.max()])
        axes.plot(ends, intercept + slope * ends, color=colours["ink"], linewidth=1.4)
    _labels(axes, "Sharpe ratio where it was chosen", "In the other half", colours)
    return figure


def ratios(values: Floats, marks: tuple[float, float, float], colours: Colours, up: str) -> Any:
    """A histogram of Sharpe ratios a year; dashed lines at the low and the high mark, a full one
    at the middle one.
    """
    figure, (axes,) = new_figure(9.6, 3.0, colours)
    _bars(axes, values, colours, "zero")
    for mark, dashes in zip(marks, ((4, 3), (None, None), (4, 3)), strict=True):
        if np.isfinite(mark):
            axes.axvline(mark, color=colours["ink"], linewidth=1.2, dashes=dashes)
    _labels(axes, "Sharpe ratio a year", up, colours)
    return figure
