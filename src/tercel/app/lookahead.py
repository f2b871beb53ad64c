"""The look-ahead proof: a strategy's past must not change when its future does.

For every position of a stretch of real bars:
1. the history is cut off there, and the strategy's batch loop is run over what is left;
2. the bar after it is bent (most of it times 1.5, close and taker volumes times 1.25, so that the
   ratios between them change too), and the loop is run again.

Every signal before the cut must be the same, bit for bit, as in the run over the whole stretch.
Then the step is called one bar at a time, as live does, and must give the same signals as the
batch loop.

A step cannot see bars to come; a batch loop written by hand could (`bars[i + 1]`). This finds it at
every bar.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tercel.app.ports import Progress, SilentProgress
from tercel.app.signals import Market, call_signals, quiet_signals, unknown_context
from tercel.app.strategies import Strategy
from tercel.core.jit import new
from tercel.core.records import Records
from tercel.domain.errors import DataError

BARS_MIN = 10
BEND = {
    "open": 1.5, "high": 1.5, "low": 1.5, "close": 1.25,
    "volume": 1.5, "quote_volume": 1.5, "count": 1.5,
    "taker_buy_volume": 1.25, "taker_buy_quote_volume": 1.25,
    "bid_size": 1.5, "ask_size": 1.25, "spread_bps": 1.5,
}  # fmt: skip
"""Factor of each field. One factor for all would leave what a strategy looks at as it was: the
close against the bar's VWAP, the takers' share of the volume, bids against asks.
"""


BEND_CONTEXT = {
    "funding_rate": -3.0, "open_interest": 1.5, "long_short_ratio": 2.5, "fear_greed": 0.25,
    "exchange_netflow": -5.0, "btc_move_1h": -5.0, "sp500_move_1h": -5.0, "dollar_move_1h": -5.0,
}  # fmt: skip
"""The same for what is known beside the bar; its times stay."""


@dataclass(frozen=True, slots=True)
class LookaheadReport:
    """What the proof found."""

    strategy: str
    bars: int
    """Positions at which history was cut off: all, or those up to the cut that found a leak."""
    signals: int
    """Entry signals among them: a stretch without any proves little."""
    first_leak: int | None = None
    """Open time (ms) of the first bar whose signal depended on a later bar."""
    first_difference: int | None = None
    """Open time (ms) of the first bar at which the batch loop and the step disagree."""

    @property
    def is_clean(self) -> bool:
        """Whether nothing was found."""
        return self.first_leak is None and self.first_difference is None


def signals_of(strategy: Strategy, market: Market, params: object) -> Records:
    """The batch loop over `market` from a fresh state."""
    out = quiet_signals(len(market.bars))
    call_signals(strategy, new(strategy.state_dtype(params)), market, params, out)
    return out


def stepped_signals(strategy: Strategy, market: Market, params: object) -> Records:
    """The step over `market`, one call a bar."""
    out = quiet_signals(len(market.bars))
    state = new(strategy.state_dtype(params))
    for i in range(len(market.bars)):
        strategy.step(state, market.bars[i], market.context(i), params, out[i])
    return out


def bent(market: Market, end: int) -> Market:
    """The first `end` rows of `market`, the last of them changed in every field.

    A single context for all bars stays as it is: it does not come after any of them.
    """
    part = market.part(0, end)
    bars = part.bars.copy()
    for name, factor in BEND.items():
        bars[name][-1] *= factor
    if len(part.contexts) == 1:
        return Market(bars, part.contexts)
    contexts = part.contexts.copy()
    for name, factor in BEND_CONTEXT.items():
        contexts[name][-1] *= factor
    return Market(bars, contexts)


def check_lookahead(
    strategy: Strategy,
    bars: Records,
    bar_ms: int,
    values: dict[str, int | float | str],
    progress: Progress | None = None,
    contexts: Records | None = None,
) -> LookaheadReport:
    """Prove it at every position of `bars`; `contexts`, where given, has a CONTEXT row for each.

    Raises DataError when there are too few.
    """
    if len(bars) < BARS_MIN:
        raise DataError(f"a look-ahead proof needs at least {BARS_MIN} bars, got {len(bars)}")
    progress = progress or SilentProgress()
    progress.start(f"look-ahead {strategy.name}", len(bars))
    params = strategy.parameters.record(values, bar_ms)
    market = Market(bars, unknown_context() if contexts is None else contexts)
    whole = signals_of(strategy, market, params)
    leak, proved = None, len(bars)
    for cut in range(1, len(bars)):
        for history in (market.part(0, cut), bent(market, cut + 1)):
            found = signals_of(strategy, history, params)
            at = first_unequal(found[:cut], whole[:cut])
            if at is not None and (leak is None or at < leak):
                leak = at
        progress.advance()
        if leak is not None:
            proved = cut
            break
    difference = first_unequal(stepped_signals(strategy, market, params), whole)
    return LookaheadReport(
        strategy=strategy.name,
        bars=proved,
        signals=int(np.count_nonzero(whole["side"])),
        first_leak=None if leak is None else int(bars["open_time"][leak]),
        first_difference=None if difference is None else int(bars["open_time"][difference]),
    )


def first_unequal(one: Records, other: Records) -> int | None:
    """Index of the first record of which a byte differs; None when there is none."""
    if one.tobytes() == other.tobytes():
        return None
    width = one.dtype.itemsize
    left = np.frombuffer(one.tobytes(), np.uint8).reshape(-1, width)
    right = np.frombuffer(other.tobytes(), np.uint8).reshape(-1, width)
    return int(np.flatnonzero((left != right).any(axis=1))[0])
