"""The charts of a walk-forward page, in the colours they are given."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from tercel.adapters.report.drawing import Colours, new_figure
from tercel.app import wording

Floats = npt.NDArray[np.float64]
BINS = 40


def spread(values: Floats, middle: float, colours: Colours) -> Any:
    """How many combinations ended at which net return; a dashed line where the middle one did."""
    from matplotlib.ticker import FuncFormatter

    figure, (axes,) = new_figure(9.6, 3.0, colours)
    low, high = float(values.min()), float(values.max())
    if high - low < 1e-9:  # all alike: one bar with a width
        low, high = low - 0.005, high + 0.005
    counts, edges = np.histogram(values, np.linspace(low, high, BINS + 1))
    centres = (edges[:-1] + edges[1:]) / 2.0
    shades = [colours["gain" if centre > 0.0 else "loss"] for centre in centres]
    axes.bar(centres, counts, np.diff(edges) * 0.92, color=shades)
    if low < 0.0 < high:
        axes.axvline(0.0, color=colours["muted"], linewidth=0.8)
    axes.axvline(middle, color=colours["ink"], linewidth=1.0, dashes=(4, 3))
    axes.set_xlabel("Net return over all the data", color=colours["muted"])
    axes.set_ylabel("Combinations", color=colours["muted"])
    axes.xaxis.set_major_formatter(
        FuncFormatter(lambda value, _: wording.typeset(f"{value * 100.0:.3g} %"))
    )
    return figure
