"""Curves, histogram and candles of a report, reduced to what an eye can see.

Curves keep the lowest and the highest point of each stretch, so that no drawdown is smoothed away.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tercel.app.market_state import Series, bar_length, series_of
from tercel.app.trade_groups import in_r
from tercel.core.codes import ExitReason, Side
from tercel.core.records import BAR, Records
from tercel.domain.results import BacktestResult

Floats = npt.NDArray[np.float64]
Times = npt.NDArray[np.int64]

POINTS_MAX = 2_000
"""Of one curve."""
CANDLES_MAX = 120
"""Of one trade's chart; longer stretches are drawn with wider candles."""
R_BIN = 0.25
R_BOUND = 6.0
"""Multiples beyond this are counted in the outermost bins."""


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """A line over time."""

    name: str
    times: Times
    """ms UTC, ascending."""
    values: Floats


def thin(times: Times, values: Floats, points_max: int = POINTS_MAX) -> tuple[Times, Floats]:
    """At most `points_max` points (>= 4): first, last, and each stretch's lowest and highest."""
    count = len(values)
    if count <= points_max:
        return times, values
    stretches = (points_max - 2) // 2
    width = -(-count // stretches)
    whole = count // width
    body = values[: whole * width].reshape(whole, width)
    base = np.arange(whole) * width
    picked = [base + body.argmin(axis=1), base + body.argmax(axis=1), [0, count - 1]]
    if whole * width < count:
        tail = values[whole * width :]
        picked.append([whole * width + tail.argmin(), whole * width + tail.argmax()])
    rows = np.unique(np.concatenate(picked))
    return times[rows], values[rows]


def curve(name: str, times: Times, values: Floats) -> Curve:
    """A thinned curve."""
    return Curve(name, *thin(np.ascontiguousarray(times), np.ascontiguousarray(values)))


def _with_start(result: BacktestResult) -> tuple[Times, Floats]:
    times = np.concatenate((np.array([result.start_time], np.int64), result.equity["time"]))
    return times, np.concatenate(([result.start_quote], result.equity["equity"]))


def equity_curve(name: str, result: BacktestResult) -> Curve:
    """Equity net of all costs, from the capital at the start."""
    return curve(name, *_with_start(result))


def before_costs(name: str, result: BacktestResult) -> Curve:
    """Equity with every cost so far given back: fees and slippage at fills, funding at exits."""
    times, values = _with_start(result)
    costs = np.zeros(len(times) + 1)
    fills, trades = result.fills, result.trades
    worse = np.abs(fills["price"] - fills["reference_price"]) * fills["quantity"]
    # The first point is the capital before anything happened: what is paid counts after it.
    paid_at = np.maximum(np.searchsorted(times, fills["time"]), 1)
    settled_at = np.maximum(np.searchsorted(times, trades["exit_time"]), 1)
    np.add.at(costs, paid_at, fills["fee_quote"] + worse)
    np.add.at(costs, settled_at, -trades["funding_quote"])
    return curve(name, times, values + np.cumsum(costs)[:-1])


def drawdown_curve(result: BacktestResult) -> Curve:
    """Fall from the highest equity so far as a fraction of it: 0 or below."""
    times, values = _with_start(result)
    return curve("Drawdown", times, values / np.maximum.accumulate(values) - 1.0)


@dataclass(frozen=True, slots=True, eq=False)
class Histogram:
    """Counts of trades by net R."""

    edges: Floats
    """(n + 1,), R."""
    counts: Times
    """(n,)"""


def r_histogram(trades: Records) -> Histogram:
    """Trades by net profit in R, in steps of 0.25; no bins when no risk is known."""
    multiples = in_r(trades["net_quote"], trades["risk_quote"])
    known = np.clip(multiples[~np.isnan(multiples)], -R_BOUND, R_BOUND - R_BIN / 2)
    if len(known) == 0:
        return Histogram(np.empty(0), np.empty(0, np.int64))
    low = np.floor(known.min() / R_BIN) * R_BIN
    high = max(np.floor(known.max() / R_BIN + 1) * R_BIN, low + R_BIN)
    edges = np.arange(round((high - low) / R_BIN) + 1) * R_BIN + low
    counts, _ = np.histogram(known, edges)
    return Histogram(edges, counts.astype(np.int64))


@dataclass(frozen=True, slots=True)
class Mark:
    """One fill on a chart."""

    time: int
    """ms UTC."""
    price: float
    label: str


@dataclass(frozen=True, slots=True, eq=False)
class TradeView:
    """One trade with the candles around it."""

    trade: np.void
    """TRADE record."""
    symbol: str
    candles: Records
    """BAR records, open, high, low and close filled."""
    bar_ms: int
    """Length of one candle."""
    entry: Mark
    stop_price: float
    """The first stop; NaN when unknown."""
    exits: tuple[Mark, ...]


def worst_trades(result: BacktestResult, bars: Series, count: int) -> tuple[TradeView, ...]:
    """The `count` trades that lost most, worst first; only losers whose bars are known."""
    trades = result.trades
    views: list[TradeView] = []
    for row in np.argsort(trades["net_quote"], kind="stable"):
        trade = trades[row]
        if len(views) == count or not trade["net_quote"] < 0.0:
            break
        series = series_of(bars, int(trade["stream"]))
        if series is not None and bar_length(series) > 0:
            views.append(_view(result, int(row), series))
    return tuple(views)


def _view(result: BacktestResult, row: int, bars: Records) -> TradeView:
    trade = result.trades[row]
    stream, side = int(trade["stream"]), int(trade["side"])
    candles, candle_ms = _candles_around(bars, int(trade["entry_time"]), int(trade["exit_time"]))
    return TradeView(
        trade=trade,
        symbol=result.labels[stream].symbol if stream < len(result.labels) else "",
        candles=candles,
        bar_ms=candle_ms,
        entry=Mark(
            int(trade["entry_time"]),
            float(trade["entry_price"]),
            "long" if side == Side.LONG else "short",
        ),
        stop_price=float(trade["entry_price"] - side * trade["stop_distance"]),
        exits=_exits(result, row),
    )


def _exits(result: BacktestResult, row: int) -> tuple[Mark, ...]:
    """The exit fills of trade `row`; the mean exit where the fills are not known.

    Times cannot tell which fills are its own: a stop inside a bar and the next entry at its close
    both carry the close's time. Order can. A stream's entries, in order, fill its trades one after
    the other: with trades of 2 and 3 units, the entry that takes the sum from 2 to 4 belongs to the
    second. An exit belongs to the trade that was entered last.
    """
    trade = result.trades[row]
    own = result.trades["stream"] == trade["stream"]
    fills = result.fills[result.fills["stream"] == trade["stream"]]
    is_entry = fills["reason"] == ExitReason.NONE
    entered = np.where(is_entry, fills["quantity"], 0.0)
    middles = np.cumsum(entered) - 0.5 * entered  # halfway through a fill: rounding cannot tip it
    numbers = np.searchsorted(np.cumsum(result.trades["quantity"][own]), middles)
    last_entered = np.maximum.accumulate(np.where(is_entry, numbers, -1))
    mine = fills[~is_entry & (last_entered == np.count_nonzero(own[:row]))]
    marks = tuple(
        Mark(int(fill["time"]), float(fill["price"]), ExitReason(int(fill["reason"])).name.lower())
        for fill in mine
    )
    last = ExitReason(int(trade["exit_reason"])).name.lower()
    return marks or (Mark(int(trade["exit_time"]), float(trade["exit_price"]), last),)


def _candles_around(bars: Records, entry_time: int, exit_time: int) -> tuple[Records, int]:
    """Bars from before the entry until after the exit, as at most CANDLES_MAX candles."""
    bar_ms = bar_length(bars)
    held = max(1, (exit_time - entry_time) // bar_ms)
    before, after = max(20, held // 3), max(10, held // 5)
    times = np.ascontiguousarray(bars["open_time"])
    begin, end = np.searchsorted(times, (entry_time - before * bar_ms, exit_time + after * bar_ms))
    part = bars[begin:end]
    width = -(-len(part) // CANDLES_MAX)
    return (part, bar_ms) if width <= 1 else (_wider(part, width), bar_ms * width)


def _wider(bars: Records, width: int) -> Records:
    """Every `width` bars as one candle."""
    starts = np.arange(0, len(bars), width)
    made = np.zeros(len(starts), BAR)
    made["open_time"], made["open"] = bars["open_time"][starts], bars["open"][starts]
    made["high"] = np.maximum.reduceat(bars["high"], starts)
    made["low"] = np.minimum.reduceat(bars["low"], starts)
    made["close"] = bars["close"][np.minimum(starts + width, len(bars)) - 1]
    return made


def scaled(curves: Sequence[Curve], start_quote: float) -> tuple[Curve, ...]:
    """Each curve rescaled to begin at `start_quote`, so that runs of different size compare."""
    return tuple(
        Curve(c.name, c.times, c.values / c.values[0] * start_quote) if c.values[0] > 0.0 else c
        for c in curves
    )
