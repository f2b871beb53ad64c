"""The charts of a report. Each function draws one figure in the colours it is given."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tercel.adapters.report.drawing import Colours, as_days, date_axis, legend, new_figure
from tercel.adapters.report.palette import LINE_COLOURS, extra_line
from tercel.app import wording
from tercel.app.benchmark import BUY_AND_HOLD
from tercel.app.report_series import Curve, Histogram, TradeView
from tercel.app.trade_groups import TradeGroup
from tercel.domain.times import DAY_MS

Floats = npt.NDArray[np.float64]


def _thousands(axes: Any) -> None:
    """Money on the y axis: `12,500`."""
    from matplotlib.ticker import FuncFormatter

    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: wording.typeset(f"{value:,.6g}")))


def _shares(axes: Any) -> None:
    """Fractions on the y axis as percent."""
    from matplotlib.ticker import FuncFormatter

    axes.yaxis.set_major_formatter(
        FuncFormatter(lambda value, _: wording.typeset(f"{value * 100.0:.3g} %"))
    )


def equity(curves: Sequence[Curve], fall: Curve, colours: Colours, title: str = "") -> Any:
    """Equity over time, and below it how far it was under its highest value.

    The first curve is the run's own (net); `gross` and buy-and-hold are thinner, and each
    further one has its own colour or dashes. With a `title` it is a picture that stands alone, and
    larger.
    """
    size = (12.0, 6.6) if title else (9.6, 4.8)
    figure, (top, bottom) = new_figure(*size, colours, ratios=(3.0, 1.0))
    if title:
        figure.suptitle(
            wording.typeset(title), x=0.008, ha="left", fontsize=12, color=colours["ink"]
        )
    roles = (("net", "-"), ("gross", "-"), ("held", "-"))
    for number in reversed(range(len(curves))):  # the run's own is drawn last: on top
        line = curves[number]
        colour, style = roles[number] if number < len(roles) else extra_line(number - len(roles))
        top.plot(
            as_days(line.times),
            line.values,
            style,
            color=colours[colour],
            linewidth=1.8 if number == 0 else 1.0,
            label=line.name,
        )
    handles, names = top.get_legend_handles_labels()
    top.legend(
        handles[::-1],
        names[::-1],
        loc="lower left",
        bbox_to_anchor=(0.0, 1.0),
        frameon=False,
        labelcolor=colours["ink"],
        ncols=4,
        handlelength=1.4,
        borderaxespad=0.2,
    )
    top.axhline(float(curves[0].values[0]), color=colours["muted"], linewidth=0.7, dashes=(4, 3))
    _thousands(top)
    bottom.fill_between(
        as_days(fall.times), fall.values, 0.0, color=colours["loss"], alpha=0.28, linewidth=0
    )
    bottom.plot(as_days(fall.times), fall.values, color=colours["loss"], linewidth=0.9)
    bottom.set_ylim(min(1.08 * float(fall.values.min()), -1e-4), 0.0)
    _shares(bottom)
    bottom.set_title("Drawdown", loc="left", fontsize=9, color=colours["muted"], pad=3)
    date_axis(bottom, colours)
    return figure


def together(curves: Sequence[Curve], colours: Colours) -> Any:
    """The equity of several runs in one chart."""
    figure, (axes,) = new_figure(9.6, 4.2, colours)
    number = 0
    for line in curves:
        held = line.name == BUY_AND_HOLD
        colour = "held" if held else LINE_COLOURS[number % len(LINE_COLOURS)]
        dashes = "-" if held or number < len(LINE_COLOURS) else "--"
        number += not held
        axes.plot(
            as_days(line.times),
            line.values,
            dashes,
            color=colours[colour],
            linewidth=1.0 if held else 1.5,
            label=line.name,
        )
    _thousands(axes)
    date_axis(axes, colours)
    legend(axes, colours, "best")
    return figure


def histogram(found: Histogram, colours: Colours) -> Any:
    """How many trades ended at which multiple of their risk."""
    figure, (axes,) = new_figure(9.6, 3.0, colours)
    centres = (found.edges[:-1] + found.edges[1:]) / 2.0
    widths = np.diff(found.edges) * 0.9
    shades = [colours["gain" if centre > 0.0 else "loss"] for centre in centres]
    axes.bar(centres, found.counts, widths, color=shades)
    axes.axvline(0.0, color=colours["muted"], linewidth=0.8)
    axes.set_xlabel("Net result of a trade, R", color=colours["muted"])
    axes.set_ylabel("Trades", color=colours["muted"])
    return figure


def hours(groups: Sequence[TradeGroup], colours: Colours) -> Any:
    """Win rate and net profit by UTC hour of the entry."""
    figure, (top, bottom) = new_figure(9.6, 3.8, colours, ratios=(1.0, 1.0))
    x = [int(group.name) for group in groups]
    top.bar(x, [group.win_rate for group in groups], 0.76, color=colours["net"])
    _shares(top)
    top.set_title("Win rate", loc="left", fontsize=9, color=colours["muted"], pad=3)
    nets = [group.net_quote for group in groups]
    shades = [colours["gain" if net > 0.0 else "loss"] for net in nets]
    bottom.bar(x, nets, 0.76, color=shades)
    bottom.axhline(0.0, color=colours["muted"], linewidth=0.8)
    _thousands(bottom)
    bottom.set_title(
        f"Net profit, {wording.CURRENCY}", loc="left", fontsize=9, color=colours["muted"], pad=3
    )
    bottom.set_xticks(range(24), [f"{hour:02d}" for hour in range(24)])
    bottom.set_xlim(-0.6, 23.6)
    return figure


def _boxes(lefts: Floats, rights: Floats, lows: Floats, highs: Floats) -> Any:
    """One compound path of rectangles: small in a page, fast to draw."""
    from matplotlib.path import Path

    corners = np.empty((len(lefts), 5, 2))
    corners[:, (0, 3, 4), 0], corners[:, 1:3, 0] = lefts[:, None], rights[:, None]
    corners[:, (0, 1, 4), 1], corners[:, 2:4, 1] = lows[:, None], highs[:, None]
    codes = np.tile(
        [Path.MOVETO, Path.LINETO, Path.LINETO, Path.LINETO, Path.CLOSEPOLY], len(lefts)
    )
    return Path(corners.reshape(-1, 2), codes)


def trade(view: TradeView, colours: Colours) -> Any:
    """One trade on candles: entry, first stop and every exit."""
    from matplotlib.patches import PathPatch

    figure, (axes,) = new_figure(9.6, 3.4, colours)
    bars = view.candles
    days = as_days(bars["open_time"])
    width = float(as_days(np.array([view.bar_ms]))[0])
    middles, half = days + width / 2.0, width * 0.36
    tick = max(float(bars["high"].max() - bars["low"].min()) * 0.0015, 1e-12)
    rising = bars["close"] >= bars["open"]
    for mask, colour in ((rising, colours["gain"]), (~rising, colours["loss"])):
        x, some = middles[mask], bars[mask]
        low, high = np.minimum(some["open"], some["close"]), np.maximum(some["open"], some["close"])
        bodies = _boxes(x - half, x + half, low, np.maximum(high, low + tick))
        wicks = _boxes(x, x, some["low"], some["high"])
        axes.add_patch(PathPatch(wicks, facecolor="none", edgecolor=colour, linewidth=1.0))
        axes.add_patch(PathPatch(bodies, facecolor=colour, edgecolor="none"))
    axes.set_xlim(days[0], days[-1] + width)
    _mark_trade(axes, view, colours)
    axes.autoscale(axis="y")
    axes.margins(y=0.12)
    _thousands(axes)
    date_axis(axes, colours)
    return figure


def _mark_trade(axes: Any, view: TradeView, colours: Colours) -> None:
    """Entry triangle, stop line, exit crosses with their reasons."""
    left = view.entry.time / DAY_MS
    right = max(mark.time for mark in view.exits) / DAY_MS
    if np.isfinite(view.stop_price):
        axes.plot(
            [left, right],
            [view.stop_price] * 2,
            color=colours["loss"],
            linewidth=1.2,
            dashes=(4, 2),
        )
        _say(axes, "stop", (left, view.stop_price), -6, colours["loss"], colours)
    axes.plot([left, right], [view.entry.price] * 2, color=colours["net"], linewidth=1.0)
    shape = "^" if int(view.trade["side"]) > 0 else "v"
    axes.plot([left], [view.entry.price], shape, color=colours["net"], markersize=9)
    _say(axes, view.entry.label, (left, view.entry.price), -11, colours["net"], colours)
    for mark in view.exits:
        spot = (mark.time / DAY_MS, mark.price)
        axes.plot(
            [spot[0]], [spot[1]], "x", color=colours["ink"], markersize=8, markeredgewidth=2.2
        )
        _say(axes, mark.label.replace("_", " "), spot, 11, colours["ink"], colours)


def _say(
    axes: Any, words: str, spot: tuple[float, float], offset: int, colour: str, colours: Colours
) -> None:
    """A label left (offset < 0) or right of a spot, readable on top of candles."""
    axes.annotate(
        words,
        spot,
        xytext=(offset, 0),
        textcoords="offset points",
        ha="right" if offset < 0 else "left",
        va="center",
        color=colour,
        bbox={"facecolor": colours["paper"], "edgecolor": "none", "alpha": 0.8, "pad": 1.5},
    )
