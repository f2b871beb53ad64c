"""Phase one of a run: bars through a strategy's batch loop into signals, its failures told in its
author's terms.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from tercel.app.strategies import Strategy
from tercel.app.strategy_errors import (
    COMPILE_ERRORS,
    RUN_ERRORS,
    Replayed,
    explain,
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
        made[name] = np.nan
    return made


def call_signals(strategy: Strategy, state: Any, bars: Records, params: Any, out: Records) -> None:
    """The strategy's batch loop, its failures told in its author's terms. Raises StrategyError."""
    before = state.tobytes()
    try:
        strategy.signals(state, bars, unknown_context(), params, out)
    except (*COMPILE_ERRORS, *RUN_ERRORS) as error:
        with_nan = (False, True) if isinstance(error, ZeroDivisionError) else (False,)
        replay = partial(_replay, strategy, before, bars, params, with_nan)
        raise explain(strategy.path, strategy.step, error, replay) from error


def _replay(
    strategy: Strategy, before: bytes, bars: Records, params: Any, with_nan: tuple[bool, ...]
) -> Replayed | None:
    """Step the bars again, uncompiled, to find the failing line; once for each of `with_nan`."""
    step = plain(strategy.step)
    signal = quiet_signals(1)[0]
    context = unknown_context()[0]
    for nan_counts in with_nan:
        state = np.frombuffer(bytearray(before), strategy.state_dtype(params))[0]

        def call(i: int, state: Any = state) -> None:
            step(state, bars[i], context, params, signal)

        if found := replay_in_python(strategy.path, call, bars, with_nan=nan_counts):
            return found
    return None
