"""Phase one of a run: bars through a strategy's batch loop into signals, its failures told in its
author's terms.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tercel.app.strategies import Strategy
from tercel.app.strategy_errors import (
    COMPILE_ERRORS,
    REPLAYED_BARS_MAX,
    RUN_ERRORS,
    Replayed,
    explain_compile,
    explain_run,
    is_run_error,
    plain,
    replay_in_python,
)
from tercel.core.records import CONTEXT, SIGNAL, Records


def quiet_signals(count: int) -> Records:
    """`count` SIGNAL records that ask for nothing."""
    made = np.zeros(count, SIGNAL)
    for name in ("stop_distance", "target_distance", "atr", "score"):
        made[name] = np.nan
    return made


def unknown_context() -> Records:
    """One CONTEXT row in which nothing is known."""
    made = np.zeros(1, CONTEXT)
    for name in made.dtype.names or ():
        if CONTEXT[name] == np.float64:
            made[name] = np.nan
    return made


@dataclass(frozen=True, slots=True, eq=False)
class Market:
    """What a strategy is shown: BAR rows, and a CONTEXT row for each or a single one for all."""

    bars: Records
    contexts: Records

    def part(self, first: int, end: int) -> Market:
        """Rows `first` to `end` of both."""
        if len(self.contexts) == 1:
            return Market(self.bars[first:end], self.contexts)
        return Market(self.bars[first:end], self.contexts[first:end])

    def context(self, i: int) -> Any:
        """The CONTEXT record of bar `i`."""
        return self.contexts[min(i, len(self.contexts) - 1)]


def call_signals(strategy: Strategy, state: Any, market: Market, params: Any, out: Records) -> None:
    """The strategy's batch loop, its failures told in its author's terms. Raises StrategyError."""
    before = state.tobytes()
    bars = market.bars
    try:
        strategy.signals(state, bars, market.contexts, params, out)
    except (*COMPILE_ERRORS, *RUN_ERRORS) as error:
        if is_run_error(error):
            failing, ahead = _failing_bar(strategy, before, market, params)
            with_nan = (False, True) if isinstance(error, ZeroDivisionError) else (False,)
            found = _replay(strategy, ahead, market.part(failing, failing + 1), params, with_nan)
            raise explain_run(strategy.path, error, found, bars) from error
        found = _replay(strategy, before, market.part(0, REPLAYED_BARS_MAX), params, (False,))
        raise explain_compile(strategy.path, strategy.step, error, found) from error


def _state(strategy: Strategy, saved: bytes, params: Any) -> Any:
    """A state record of its own from the bytes of one."""
    return np.frombuffer(bytearray(saved), strategy.state_dtype(params))[0]


def _failing_bar(
    strategy: Strategy, before: bytes, market: Market, params: Any
) -> tuple[int, bytes]:
    """(the bar at which the batch loop fails from state `before`, the state ahead of that bar).

    By halves: where the first half passes, the search goes on in the second from the state it left.
    In all it costs about as much as the chunk did.
    """
    first, end, ahead = 0, len(market.bars), before
    while end - first > 1:
        middle = (first + end) // 2
        state, half = _state(strategy, ahead, params), market.part(first, middle)
        out = quiet_signals(middle - first)
        try:
            strategy.signals(state, half.bars, half.contexts, params, out)
        except (*COMPILE_ERRORS, *RUN_ERRORS):
            end = middle
        else:
            first, ahead = middle, state.tobytes()
    return first, ahead


def _replay(
    strategy: Strategy, before: bytes, market: Market, params: Any, with_nan: tuple[bool, ...]
) -> Replayed | None:
    """Step the bars again, uncompiled, to find the failing line; once for each of `with_nan`."""
    step = plain(strategy.step)
    signal = quiet_signals(1)[0]
    bars = market.bars
    for nan_counts in with_nan:
        state = _state(strategy, before, params)

        def call(i: int, state: Any = state) -> None:
            step(state, bars[i], market.context(i), params, signal)

        if found := replay_in_python(strategy.path, call, bars, with_nan=nan_counts):
            return found
    return None
