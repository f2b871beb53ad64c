"""Heat maps of a grid: a figure of all combinations by the values of each pair of parameters."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from itertools import combinations

import numpy as np
import numpy.typing as npt

from tercel.adapters.report import markup
from tercel.app import wording
from tercel.app.grid import Grid, Value

Floats = npt.NDArray[np.float64]
SHADE_MAX = 62.0
"""Share of the full colour in the strongest cell, percent."""


@dataclass(frozen=True, slots=True, eq=False)
class HeatMap:
    """The mean of a figure by the values of two parameters."""

    title: str
    down: str
    across: str
    rows: tuple[Value, ...]
    columns: tuple[Value, ...]
    means: Floats
    """(rows, columns); NaN where no combination has the figure."""


def pairs(
    grid: Grid, choices: Sequence[dict[str, Value]], values: Floats, title: str
) -> tuple[HeatMap, ...]:
    """A map for each pair of parameters with two values or more; with only one such, one row."""
    wide = [axis for axis in grid.axes if len(axis.values) > 1]
    if len(wide) == 1:
        column = [choice[wide[0].name] for choice in choices]
        means = np.array([[_mean(values, [c == v for c in column]) for v in wide[0].values]])
        return (HeatMap(title, "", wide[0].name, ("",), wide[0].values, means),)
    made = []
    for down, across in combinations(wide, 2):
        left = [choice[down.name] for choice in choices]
        right = [choice[across.name] for choice in choices]
        means = np.array(
            [
                [
                    _mean(values, [a == v and b == w for a, b in zip(left, right, strict=True)])
                    for w in across.values
                ]
                for v in down.values
            ]
        )
        made.append(HeatMap(title, down.name, across.name, down.values, across.values, means))
    return tuple(made)


def _mean(values: Floats, chosen: Sequence[bool]) -> float:
    """The mean of the chosen that are defined; NaN of none."""
    known = values[np.asarray(chosen)]
    known = known[np.isfinite(known)]
    return float(known.mean()) if len(known) else math.nan


def drawn(maps: Sequence[HeatMap], said: Callable[[float], str]) -> str:
    """The maps side by side as HTML tables on one scale; `said` puts a figure into words."""
    strongest = max(
        (float(np.nanmax(np.abs(m.means))) for m in maps if np.isfinite(m.means).any()), default=0.0
    )
    return f'<div class="columns">{"".join(_table(m, strongest, said) for m in maps)}</div>'


def _table(heat: HeatMap, strongest: float, said: Callable[[float], str]) -> str:
    corner = f"{heat.down} / {heat.across}" if heat.down else heat.across
    head = [corner, *(_named(value) for value in heat.columns)]
    rows = (
        markup.row(_named(value), [_cell(mean, strongest, said) for mean in line])
        for value, line in zip(heat.rows, heat.means, strict=True)
    )
    caption = f"{heat.title} by {corner}"
    return f"<div>{markup.table(head, rows, caption, 'heat')}</div>"


def _named(value: Value) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _cell(value: float, strongest: float, said: Callable[[float], str]) -> str:
    if not math.isfinite(value):
        return f'<td class="n">{wording.UNKNOWN}</td>'
    share = abs(value) / strongest * SHADE_MAX if strongest > 0.0 else 0.0
    colour = f"color-mix(in srgb,var(--{markup.tone(value) or 'held'}) {share:.0f}%,var(--panel))"
    style = f"background:{colour};print-color-adjust:exact"
    return f'<td class="n" style="{style}">{escape(wording.typeset(said(value)))}</td>'
