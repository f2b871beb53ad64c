"""The charts of an arena page, in the colours they are given."""

from __future__ import annotations

from typing import Any

import numpy as np

from tercel.adapters.report.drawing import Colours, as_days, date_axis, legend, new_figure
from tercel.adapters.report.palette import LINE_COLOURS
from tercel.app import wording
from tercel.app.allocator_walk import AllocatorWalk


def weights(walk: AllocatorWalk, end_time: int, colours: Colours) -> Any:
    """What each strategy was given from one rebalance to the next, stacked; the rest is cash.

    Strategies that never had any are left out; beyond five, colours come again with hatching.
    """
    from matplotlib.ticker import FuncFormatter

    figure, (axes,) = new_figure(9.6, 3.0, colours)
    times = [each.time for each in walk.rebalances]
    days = as_days(np.array([*times, end_time], np.int64))
    given = np.array([each.weights for each in walk.rebalances])
    given = np.vstack((given, given[-1:]))
    level = np.zeros(len(days))
    drawn = [column for column in range(given.shape[1]) if given[:, column].any()]
    for number, column in enumerate(drawn):
        top = level + given[:, column]
        axes.fill_between(
            days,
            level,
            top,
            step="post",
            facecolor=colours[LINE_COLOURS[number % len(LINE_COLOURS)]],
            edgecolor=colours["paper"],
            hatch="//" if number >= len(LINE_COLOURS) else None,
            linewidth=0.4,
            label=walk.names[column],
        )
        level = top
    axes.set_ylim(0.0, 1.0)
    axes.set_xlim(days[0], days[-1])
    axes.yaxis.set_major_formatter(
        FuncFormatter(lambda value, _: wording.typeset(f"{value * 100.0:.3g} %"))
    )
    date_axis(axes, colours)
    if drawn:
        legend(axes, colours, "upper left")
    return figure
