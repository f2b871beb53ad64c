"""A replay from its first bar to its last: journaled, paced, and compared with the backtest."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tercel.app.backtest import simulate
from tercel.app.live.replay import Replay
from tercel.app.ports import Clock, Journal, Progress
from tercel.app.prepare import PreparedRun
from tercel.core.records import TRADE, Records
from tercel.domain.commands import Command, WriteJournal
from tercel.domain.journal import JournalRow, SessionEndRow, SessionRow, TradeRow
from tercel.domain.results import BacktestResult

ROWS_AT_ONCE = 5_000
"""Journal rows of one transaction."""
BARS_AT_ONCE = 1_000
"""Bars that are played before a cancellation is heard."""


@dataclass(frozen=True, slots=True, eq=False)
class Rehearsed:
    """What a replay did, and what a backtest of the same bars did."""

    minutes: int
    trades: Records
    backtest: BacktestResult
    ended_early: str
    """Why it ended before the bars did; empty: it did not."""

    @property
    def is_equal(self) -> bool:
        """Whether every trade is the backtest's, to the bit."""
        return bool(self.trades.tobytes() == self.backtest.trades.tobytes())

    def first_difference(self) -> str:
        """Where the trades part, in words; empty: nowhere."""
        ours, theirs = self.trades, self.backtest.trades
        for number in range(max(len(ours), len(theirs))):
            if number >= len(ours) or number >= len(theirs):
                return f"{len(ours)} trades against {len(theirs)} of the backtest"
            if ours[number].tobytes() != theirs[number].tobytes():
                fields = [
                    name
                    for name in TRADE.names or ()
                    if ours[number][name].tobytes() != theirs[number][name].tobytes()
                ]
                return f"trade {number + 1} differs in {', '.join(fields)}"
        return ""


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast the bars go by: minutes of the market in a minute; 0: as fast as it goes."""

    clock: Clock
    speed: float


class Rehearsal:
    """Plays a replay to its end."""

    def __init__(
        self,
        prepared: PreparedRun,
        journal: Journal | None,
        pace: Pace,
        on_trade: Callable[[TradeRow], None] | None = None,
    ) -> None:
        self._prepared = prepared
        self._journal = journal
        self._pace = pace
        self._on_trade = on_trade
        self._rows: list[JournalRow] = []
        self._trades: list[bytes] = []

    def told(self, command: Command) -> None:
        """Commands of the session that are not orders; handed to `Replay`."""
        if not isinstance(command, WriteJournal):
            return
        for row in command.rows:
            if isinstance(row, TradeRow) and row.desk == "main":
                self._trades.append(row.record)
                if self._on_trade is not None:
                    self._on_trade(row)
        if self._journal is not None:
            self._rows.extend(command.rows)

    async def play(self, replay: Replay, first: SessionRow, progress: Progress) -> Rehearsed:
        """The session's row, every bar, then the backtest of the same. A journal that cannot be
        written is met before the first bar. Raises StorageError, StrategyError.
        """
        specs = self._prepared.specs
        distinct = {id(spec.series.bars): len(spec.series.bars) for spec in specs}
        progress.start("replay", float(max(distinct.values())))
        minutes, end_ms = 0, 0
        self._rows.append(first)
        await self._write()
        bar_seconds = replay.session.parts.plan.bar_ms / 1000.0
        pause = bar_seconds / self._pace.speed if self._pace.speed else 0.0
        for close_ms in replay.minutes():
            end_ms = close_ms
            minutes += 1
            progress.advance()
            await self._keep_up(pause, minutes)
        ended = replay.ended
        if ended is None:
            replay.finish()
        why = ended.why if ended else "the end of the data"
        code = ended.exit_code if ended else 0
        self._rows.append(SessionEndRow(first.session_id, end_ms, code, why))
        await self._write()
        result = simulate(specs, self._prepared.account)
        trades = np.frombuffer(bytearray(b"".join(self._trades)), TRADE)
        return Rehearsed(minutes, trades, result, ended.why if ended else "")

    async def _keep_up(self, pause: float, minutes: int) -> None:
        if pause > 0.0:
            await self._write()
            await self._pace.clock.sleep(pause)
        elif len(self._rows) >= ROWS_AT_ONCE:
            await self._write()
        elif minutes % BARS_AT_ONCE == 0:
            await self._pace.clock.sleep(0.0)  # without a journal nothing else lets Ctrl-C in

    async def _write(self) -> None:
        if self._journal is not None and self._rows:
            await self._journal.write(self._rows)
        self._rows = []
