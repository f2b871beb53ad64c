"""Figures into bytes: one look for every chart, PNG for files and inline SVG for pages.

matplotlib is imported when the first chart is drawn, and without pyplot: nothing global is kept
open, and no window system is needed.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import numpy as np
import numpy.typing as npt

from tercel.adapters.report.palette import themed
from tercel.domain.times import DAY_MS

Colours = dict[str, str]

DOTS_PER_INCH = 100
_SETTINGS: dict[Any, Any] = {
    "svg.fonttype": "none",  # text stays text: selectable, searchable, small
    "svg.hashsalt": "tercel",  # same figure, same bytes
    "font.size": 9.0,
    "path.simplify": True,
}
_METADATA: dict[str, Any] = {"Date": None, "Creator": None, "Format": None, "Type": None}


@contextmanager
def drawing() -> Iterator[None]:
    """The settings that hold while charts are made and saved."""
    import matplotlib as mpl

    with mpl.rc_context(_SETTINGS):
        yield


def new_figure(
    width: float, height: float, colours: Colours, ratios: Sequence[float] = (1.0,)
) -> tuple[Any, list[Any]]:
    """A figure of `width` x `height` inches; one axes per entry of `ratios`, one x axis for all."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=DOTS_PER_INCH, layout="constrained")
    FigureCanvasAgg(figure)
    figure.set_facecolor("none")
    grid = figure.subplots(len(ratios), 1, sharex=True, squeeze=False, height_ratios=list(ratios))
    axes = [row[0] for row in grid]
    for each in axes:
        _dress(each, colours)
    return figure, axes


def _dress(axes: Any, colours: Colours) -> None:
    """Quiet axes: horizontal grid lines, no box, muted figures."""
    axes.set_facecolor("none")
    for name, spine in axes.spines.items():
        spine.set_visible(name == "bottom")
        spine.set_color(colours["line"])
    axes.grid(axis="y", color=colours["line"], linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=colours["muted"], length=0, labelsize=9)
    axes.margins(x=0.01)


def date_axis(axes: Any, colours: Colours) -> None:
    """The x axis shows UTC dates; its numbers are days since 1970."""
    dates: Any = import_module("matplotlib.dates")  # it has no types
    locator = dates.AutoDateLocator(minticks=3, maxticks=9)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(dates.ConciseDateFormatter(locator))
    axes.xaxis.get_offset_text().set_color(colours["muted"])
    axes.tick_params(axis="x", length=3, color=colours["line"])


def as_days(times: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Days since 1970 of ms UTC."""
    return np.asarray(times / DAY_MS, dtype=np.float64)


def legend(axes: Any, colours: Colours, place: str = "upper left") -> None:
    """Names of the lines, without a box."""
    axes.legend(loc=place, frameon=False, labelcolor=colours["ink"], ncols=4, handlelength=1.4)


def to_png(figure: Any, background: str, dpi: int) -> bytes:
    """The picture file. Raises nothing of its own; bytes depend on the figure alone."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", facecolor=background, dpi=dpi, metadata={"Software": None})
    return buffer.getvalue()


def to_svg(figure: Any, prefix: str, label: str) -> str:
    """Inline SVG for a page: ids made unique by `prefix`, `label` read aloud, colours by theme."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", transparent=True, metadata=_METADATA)
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r"<!--.*?-->\s*", "", text, flags=re.DOTALL)
    text = re.sub(r' xmlns(:\w+)?="[^"]*"', "", text)
    text = text.replace("xlink:href", "href")
    text = re.sub(r'(id="|href="#|url\(#)', rf"\g<1>{prefix}-", text)
    text = re.sub(r"font: ([\d.]+)px [^;\"]*", r"font-size: \1px", text)
    text = re.sub(r"\n\s*", "\n", text)
    return themed(
        re.sub(
            r'<svg width="[^"]*" height="[^"]*"',
            f'<svg role="img" aria-label="{label}" preserveAspectRatio="xMidYMid meet"',
            text,
            count=1,
        )
    )
