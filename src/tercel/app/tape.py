"""The tape of a run: equity, fills and trades that the kernel writes, kept chunk after chunk."""

from __future__ import annotations

import numpy as np

from tercel.app.record_bytes import first_records, joined
from tercel.core.records import EQUITY, FILL, TRADE, Records, Tape


class RunTape:
    """A Tape with room for one chunk at a time, and everything that earlier chunks wrote.

    `equity_max` bounds the equity rows of the whole run, `fills_max` and `trades_max` the fills and
    trades of one chunk. The buffers stay small: a heap that shrinks after each run faults its
    memory in anew in the next, which costs as much as trading does.
    """

    def __init__(self, equity_max: int, fills_max: int, trades_max: int) -> None:
        self._counts = np.zeros(3, np.int64)
        self._tape = Tape(
            equity=np.empty(equity_max, EQUITY),
            fills=np.empty(fills_max, FILL),
            trades=np.empty(trades_max, TRADE),
            counts=self._counts,
        )
        self._fills: list[Records] = []
        self._trades: list[Records] = []

    def clear(self) -> None:
        """Ready for another run over the same room; views of `equity` are written over."""
        self._counts[:] = 0
        self._fills.clear()
        self._trades.clear()

    def next_chunk(self) -> Tape:
        """What the kernel writes into next; what it wrote before is kept."""
        self._keep()
        return self._tape

    def _keep(self) -> None:
        _, fills, trades = self._counts
        self._fills.append(first_records(self._tape.fills, int(fills)))
        self._trades.append(first_records(self._tape.trades, int(trades)))
        self._counts[1:] = 0

    @property
    def equity(self) -> Records:
        """EQUITY rows so far; a view."""
        return self._tape.equity[: self._counts[0]]

    def fills(self) -> Records:
        """FILL records so far."""
        self._keep()
        return joined(self._fills, FILL)

    def trades(self) -> Records:
        """TRADE records so far."""
        self._keep()
        return joined(self._trades, TRADE)
