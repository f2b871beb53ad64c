"""Which close a fill counts in: the one at which a backtest books it.

The core knows closes alone. How long a trade was held, when a pause ends, which hour a loss belongs
to: all of it is measured from close to close. A venue fills some time after the close at which it
was asked, or between two, so that

- what takes the market at a close (a market entry; an exit by time, by signal, by a kill switch)
  counts in the close before its fill: asked at 10:00, filled at 10:00:01, it is of 10:00;
- everything else (limits, stops, targets, whatever others do) counts in the close that ends its
  bar: filled at 10:00:01, it is of 10:01. So does what a backtest fills at the next open.

A moment that is a close stays what it is: over a replay nothing is moved.
"""

from __future__ import annotations

from tercel.app.live.plan import SessionPlan
from tercel.core.codes import EntryTiming, ExitReason, OrderKind, Slot

ASKED_AT_A_CLOSE = frozenset(
    {
        ExitReason.SIGNAL,
        ExitReason.TIME,
        ExitReason.EQUITY_EXHAUSTED,
        ExitReason.END_OF_DATA,
        ExitReason.KILL_SWITCH,
    }
)
"""Exits that no price brought about, and nobody outside."""


class Closes:
    """The closes of a session."""

    def __init__(self, plan: SessionPlan) -> None:
        self._bar_ms = plan.bar_ms
        rules = [stream.settings["rules"] for stream in plan.streams]
        kinds = [stream.settings["plan"]["entry_kind"] for stream in plan.streams]
        self._exits_at_close = [bool(r["entry_timing"] == EntryTiming.CLOSE) for r in rules]
        # As the strategy's own plan says, however smart the entry that was sent: a backtest goes by
        # the plan.
        self._enters_at_close = [
            at_close and bool(kind == OrderKind.MARKET)
            for at_close, kind in zip(self._exits_at_close, kinds, strict=True)
        ]

    def of(self, k: int, slot: Slot, reason: int, moment: int) -> int:
        """The close that a fill of stream `k` at `moment` counts in, ms; `reason` is that of its
        exit.
        """
        if slot is Slot.ENTRY:
            at_close = self._enters_at_close[k]
        else:
            at_close = self._exits_at_close[k] and reason in ASKED_AT_A_CLOSE
        bars = moment // self._bar_ms if at_close else -(-moment // self._bar_ms)
        return bars * self._bar_ms
