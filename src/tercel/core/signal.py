"""Writing a SIGNAL record. Every step writes every field: the record is reused from bar to bar."""

from __future__ import annotations

import math
from typing import Any

from tercel.core.codes import Refusal, Side
from tercel.core.jit import kernel


@kernel
def no_signal(signal: Any, reason: int) -> None:
    """Nothing to do at this bar, and why (an index into the strategy's REASONS)."""
    signal.side = Side.NONE
    signal.stop_distance = math.nan
    signal.target_distance = math.nan
    signal.atr = math.nan
    signal.score = math.nan
    signal.reason = reason
    signal.exit_long = False
    signal.exit_short = False
    signal.veto = 0


@kernel
def enter(signal: Any, side: int, stop_distance: float, reason: int) -> None:
    """Ask for an entry on `side` with a stop `stop_distance` (price units) from it, after
    `no_signal`.
    """
    signal.side = side
    signal.stop_distance = stop_distance
    signal.reason = reason


@kernel
def tally(signals: Any, counts: Any) -> int:
    """Count `signals` by reason into `counts`; the index of the first with an impossible field, or
    -1.
    """
    for i in range(len(signals)):
        signal = signals[i]
        reason = signal.reason
        if reason < 0 or reason >= len(counts) or signal.side > 1 or signal.side < -1:
            return i
        counts[reason] += 1
    return -1


@kernel
def confirm_by_flow(signals: Any, scores: Any, score_min: float) -> None:
    """Veto every entry whose side the order-flow score (-1..1, SIGNAL.score of the filter) does not
    confirm by at least `score_min`. An unknown score confirms nothing.
    """
    for i in range(len(signals)):
        signal = signals[i]
        if signal.side != Side.NONE and not signal.side * scores[i].score >= score_min:
            signal.veto = Refusal.FLOW_AGAINST
