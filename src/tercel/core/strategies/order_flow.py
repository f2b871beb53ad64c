"""Order flow, a filter: a score from -1 (sellers press) to +1 (buyers press) for other strategies.

It never trades: its side is always none, and `signal.score` is the weighted mean of those of its
five parts that are known, NaN when none is. Each part lies in -1..1:
- book: (bid size - ask size) / (bid size + ask size) at the touch. Bars carry no deeper book;
- touch: order flow imbalance, what the bid gained and the ask lost from close to close, over
  `touch_len` bars, divided by the same without signs. Price up: the bid is new and the old ask is
  gone, bid + ask before; price down: -(ask + bid before); else the change of the bid less that of
  the ask. Source: Cont, Kukanov and Stoikov, "The Price Impact of Order Book Events" (2014), the
  close standing for both best prices;
- delta: (bought - sold by takers) / volume, over `delta_len` bars;
- absorption: against a large delta that moves nothing. Where the delta over `delta_len` bars is at
  least `absorption_delta_min` either way, it is minus the delta, times the share of
  `absorption_atr` ATR(14) by which price fell short of moving its way; else 0;
- large: the mean size of a trade in this bar against its mean over `large_len` bars with trades: 0
  at once that or less, 1 at `large_mult` times, with the sign of the bar's delta.

`reason` names what was used: the book, the flow of trades, both, or nothing.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tercel.core.indicators.atr import ATR, atr_step
from tercel.core.indicators.sma import sma_dtype, sma_step
from tercel.core.indicators.window import (
    capacity_for,
    rolling_sum_dtype,
    rolling_sum_step,
    window_dtype,
    window_push,
)
from tercel.core.jit import kernel, rec
from tercel.core.parameters import Param, parameters
from tercel.core.plan import TradePlan
from tercel.core.signal import no_signal

PARAMS = parameters(
    Param("weight_book", 1.0, 0.0, 10.0, "share", "weight of the book's imbalance"),
    Param("weight_touch", 1.0, 0.0, 10.0, "share", "weight of order flow imbalance"),
    Param("weight_delta", 1.0, 0.0, 10.0, "share", "weight of the takers' volume delta"),
    Param("weight_absorption", 1.0, 0.0, 10.0, "share", "weight of absorption"),
    Param("weight_large", 1.0, 0.0, 10.0, "share", "weight of large trades"),
    Param("touch_len", 5, 1, 500, "bars", "bars in the order flow imbalance at the touch"),
    Param("delta_len", 5, 1, 500, "bars", "bars in the volume delta and the absorption"),
    Param("absorption_delta_min", 0.2, 0.0, 1.0, "of volume", "a smaller delta is not absorbed"),
    Param("absorption_atr", 1.0, 0.01, 20.0, "ATR", "a move as far as this absorbs nothing"),
    Param("atr_len", 14, 2, 500, "bars", "ATR length (Wilder)"),
    Param("large_len", 60, 2, 5000, "bars", "bars with trades in the mean size of a trade"),
    Param("large_mult", 2.0, 1.01, 50.0, "x mean", "mean size of a trade that scores in full"),
)

REASONS = ("missing", "book_and_flow", "book_only", "flow_only")
MISSING, BOOK_AND_FLOW, BOOK_ONLY, FLOW_ONLY = range(len(REASONS))

USES = ("bid_size", "ask_size", "taker_buy_volume", "count")

IS_FILTER = True

PLAN = TradePlan()

SEEN = rec(  # the five parts at the last bar, -1..1; NaN: unknown
    ("book", "f8"), ("touch", "f8"), ("delta", "f8"), ("absorption", "f8"), ("large", "f8")
)


def state_dtype(params: Any) -> np.dtype[np.record]:
    """Room for the windows that `params` asks for."""
    return rec(
        ("bars", "i8"),
        ("last_close", "f8"),
        ("last_bid", "f8"),
        ("last_ask", "f8"),
        ("touch", rolling_sum_dtype(capacity_for(params.touch_len))),
        ("touch_reach", rolling_sum_dtype(capacity_for(params.touch_len))),
        ("delta", rolling_sum_dtype(capacity_for(params.delta_len))),
        ("volume", rolling_sum_dtype(capacity_for(params.delta_len))),
        ("closes", window_dtype(capacity_for(params.delta_len))),
        ("atr", ATR),
        ("trade_size", sma_dtype(capacity_for(params.large_len))),
        ("seen", SEEN),
    )


def check(params: Any) -> str:
    """What is impossible about `params`; empty when nothing is."""
    weights = (
        params.weight_book + params.weight_touch + params.weight_delta
        + params.weight_absorption + params.weight_large
    )  # fmt: skip
    return "" if weights > 0.0 else "at least one weight must be above 0"


@kernel
def clipped(x: float, low: float, high: float) -> float:
    """`x` between `low` and `high`; NaN stays NaN."""
    if x < low:
        return low
    return high if x > high else x


@kernel
def book_imbalance(bar: Any) -> float:
    """(bid - ask) / (bid + ask); NaN when the touch is unknown or empty."""
    both = bar.bid_size + bar.ask_size
    if not (math.isfinite(both) and both > 0.0):
        return math.nan
    return clipped((bar.bid_size - bar.ask_size) / both, -1.0, 1.0)


@kernel
def touch_change(state: Any, bar: Any) -> float:
    """What the bid gained and the ask lost since the close before, base; NaN when unknown."""
    if state.bars == 0:
        return math.nan
    if bar.close > state.last_close:
        return bar.bid_size + state.last_ask
    if bar.close < state.last_close:
        return -(bar.ask_size + state.last_bid)
    return (bar.bid_size - state.last_bid) - (bar.ask_size - state.last_ask)


@kernel
def absorption(delta: float, move: float, params: Any) -> float:
    """Against `delta` (-1..1) by how far `move` (price, in ATR) fell short; NaN when unknown."""
    if math.isnan(delta + move):
        return math.nan
    if not abs(delta) >= params.absorption_delta_min:
        return 0.0
    progress = move if delta > 0.0 else -move
    return -delta * clipped(1.0 - progress / params.absorption_atr, 0.0, 1.0)


@kernel
def large_trades(state: Any, bar: Any, params: Any) -> float:
    """How much larger this bar's trades are than usual, signed by its delta; NaN when unknown."""
    if not (math.isfinite(bar.volume) and bar.count > 0.0 and bar.volume > 0.0):
        return math.nan
    trade_size = bar.volume / bar.count
    usual = sma_step(state.trade_size, trade_size, params.large_len)
    delta = 2.0 * bar.taker_buy_volume - bar.volume
    if math.isnan(delta) or not usual > 0.0:
        return math.nan
    if delta == 0.0:
        return 0.0
    extra = clipped((trade_size / usual - 1.0) / (params.large_mult - 1.0), 0.0, 1.0)
    return extra if delta > 0.0 else -extra


@kernel
def read_market(state: Any, bar: Any, params: Any) -> None:
    """Advance every part by one bar into `state.seen`."""
    seen = state.seen
    seen.book = book_imbalance(bar)
    change = touch_change(state, bar)
    seen.touch = rolling_sum_step(state.touch, change, params.touch_len)
    reach = rolling_sum_step(state.touch_reach, abs(change), params.touch_len)
    if reach > 0.0:
        seen.touch = clipped(seen.touch / reach, -1.0, 1.0)
    bought_more = 2.0 * bar.taker_buy_volume - bar.volume
    delta = rolling_sum_step(state.delta, bought_more, params.delta_len)
    volume = rolling_sum_step(state.volume, bar.volume, params.delta_len)
    seen.delta = math.nan
    if volume > 0.0:
        seen.delta = clipped(delta / volume, -1.0, 1.0)
    close_before = window_push(state.closes, bar.close, params.delta_len)
    atr = atr_step(state.atr, bar.high, bar.low, bar.close, params.atr_len)
    move = math.nan
    if atr > 0.0:
        move = (bar.close - close_before) / atr
    seen.absorption = absorption(seen.delta, move, params)
    seen.large = large_trades(state, bar, params)
    state.bars += 1
    state.last_close = bar.close
    state.last_bid = bar.bid_size
    state.last_ask = bar.ask_size


@kernel
def known(part: float, weight: float) -> tuple[float, float]:
    """(part, weight) as they count: zeros where the part is unknown."""
    if math.isnan(part):
        return 0.0, 0.0
    return part, weight


@kernel
def score_of(seen: Any, params: Any) -> tuple[float, int]:
    """(weighted mean of the known parts, what it was made of)."""
    book, book_weight = known(seen.book, params.weight_book)
    touch, touch_weight = known(seen.touch, params.weight_touch)
    delta, delta_weight = known(seen.delta, params.weight_delta)
    absorbed, absorption_weight = known(seen.absorption, params.weight_absorption)
    large, large_weight = known(seen.large, params.weight_large)
    from_book = book_weight + touch_weight
    from_trades = delta_weight + absorption_weight + large_weight
    total = from_book + from_trades
    if not total > 0.0:
        return math.nan, MISSING
    weighted = book * book_weight + touch * touch_weight + delta * delta_weight
    weighted += absorbed * absorption_weight + large * large_weight
    used = FLOW_ONLY
    if from_book > 0.0:
        used = BOOK_AND_FLOW if from_trades > 0.0 else BOOK_ONLY
    return clipped(weighted / total, -1.0, 1.0), used


@kernel
def step(state: Any, bar: Any, context: Any, params: Any, signal: Any) -> None:  # noqa: ARG001
    """One closed bar in, one SIGNAL out: a score, never a side."""
    read_market(state, bar, params)
    score, used = score_of(state.seen, params)
    no_signal(signal, used)
    signal.score = score


@kernel
def signals(state: Any, bars: Any, contexts: Any, params: Any, out: Any) -> None:
    """`step` over a chunk of bars. `contexts` has one row per bar, or a single one that does not
    change.
    """
    last = len(contexts) - 1
    for i in range(len(bars)):
        step(state, bars[i], contexts[min(i, last)], params, out[i])
