"""A replay from its first bar to its last: journaled, paced, and compared with the backtest."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from tests.app.live.scenes import MINUTE
from tests.desk import START, Ask, asked, candles, stream
from tests.fakes import CountingProgress
from tests.parity.busy_streams import scripted_spec
from tests.parity.live_cases import session_for

from tercel.adapters.clock import VirtualClock
from tercel.app.backtest import AccountSpec, StreamSpec
from tercel.app.live.rehearsal import Pace, Rehearsal, Rehearsed
from tercel.app.live.replay import Replay
from tercel.app.prepare import PreparedRun
from tercel.core.jit import new
from tercel.core.records import LIMITS, PACE, TRADE
from tercel.domain.commands import WriteJournal
from tercel.domain.errors import StorageError
from tercel.domain.events import BarsClosed, Operation, OperatorAsked
from tercel.domain.journal import InputRow, JournalRow, SessionEndRow, SessionRow, TradeRow

FIRST = SessionRow("s1", START, "replay", "replay", "scripted0", "C0USDT", "1m", "{}", b"")
TABLE = """
100 101  99 100   # enters at the close
100 112  99 110
110 122 109 121   # the target at 120
121 121 119 120   # enters again
120 121 105 106   # the stop at 110
106 107 105 106   # enters, and is open at the end
106 107 105 107
"""
ASKS = {0: Ask(), 3: Ask(), 5: Ask()}


class Pages:
    """ports.Journal that keeps each transaction."""

    def __init__(self) -> None:
        self.pages: list[list[JournalRow]] = []
        self.is_down = False

    async def write(self, rows: Sequence[JournalRow]) -> None:
        if self.is_down:
            raise StorageError("the disk is full")
        self.pages.append(list(rows))

    async def read(
        self, table: str, session_id: str | None = None, *, limit: int | None = None
    ) -> tuple[JournalRow, ...]:
        return tuple(row for page in self.pages for row in page)

    async def close(self) -> None:
        """Nothing is open."""


class Desk:
    """A rehearsal of TABLE."""

    def __init__(self, journal: Pages | None = None, speed: float = 0.0) -> None:
        bars = candles(TABLE)
        spec = scripted_spec(0, bars, asked(len(bars), ASKS), stream())
        self.specs: tuple[StreamSpec, ...] = (spec,)
        self.account = AccountSpec(10_000.0, new(LIMITS), new(PACE))
        self.clock = VirtualClock()
        self.told: list[TradeRow] = []
        prepared = PreparedRun(self.specs, self.account, (), {})
        pace = Pace(self.clock, speed)
        self.rehearsal = Rehearsal(prepared, journal, pace, self.told.append)
        self.replay: Replay = session_for(self.specs, self.account, self.rehearsal.told)
        self.progress = CountingProgress()

    async def play(self) -> Rehearsed:
        return await self.rehearsal.play(self.replay, FIRST, self.progress)


async def test_a_replay_is_the_backtest() -> None:
    """Three trades, to the bit; the last is closed by the end of the data."""
    desk = Desk()
    done = await desk.play()
    assert done.is_equal
    assert done.first_difference() == ""
    assert done.minutes == 7
    assert [row.exit_reason for row in desk.told] == ["target_1", "stop", "end_of_data"]
    assert done.trades.tobytes() == done.backtest.trades.tobytes()
    assert (desk.progress.total, desk.progress.done) == (7.0, 7.0)
    assert done.ended_early == ""


async def test_the_journal_has_it_all_from_first_row_to_last() -> None:
    journal = Pages()
    await Desk(journal).play()
    rows = await journal.read("")
    assert rows[0] == FIRST
    assert rows[-1] == SessionEndRow("s1", START + 7 * MINUTE, 0, "the end of the data")
    numbers = [row.number for row in rows if isinstance(row, InputRow)]
    assert numbers == list(range(1, len(numbers) + 1))
    bars = [row for row in rows if isinstance(row, InputRow) and row.kind == BarsClosed.__name__]
    assert len(bars) == 7
    assert len([row for row in rows if isinstance(row, TradeRow)]) == 3


async def test_a_journal_that_cannot_be_written_is_met_before_the_first_bar() -> None:
    journal = Pages()
    journal.is_down = True
    desk = Desk(journal)
    with pytest.raises(StorageError, match="the disk is full"):
        await desk.play()
    assert (desk.progress.done, desk.told) == (0.0, [])


@pytest.mark.parametrize("speed", [1.0, 60.0])
async def test_bars_go_by_at_the_asked_pace(speed: float) -> None:
    """Seven minutes of the market, and each is journaled before the next; first the session."""
    journal = Pages()
    desk = Desk(journal, speed)
    begun = desk.clock.now_ms()
    done = await desk.play()
    assert desk.clock.now_ms() - begun == round(7 * MINUTE / speed)
    assert done.is_equal
    assert len(journal.pages) == 9
    assert journal.pages[0] == [FIRST]


async def test_without_a_journal_it_can_be_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tercel.app.live.rehearsal.BARS_AT_ONCE", 2)
    desk = Desk()
    playing = asyncio.create_task(desk.play())
    asyncio.get_running_loop().call_soon(playing.cancel)
    with pytest.raises(asyncio.CancelledError):
        await playing
    assert desk.progress.done == 2.0


async def test_without_a_pace_nobody_waits() -> None:
    desk = Desk()
    begun = desk.clock.now_ms()
    await desk.play()
    assert desk.clock.now_ms() == begun


async def test_a_session_that_is_stopped_says_so() -> None:
    """An operator ends it after the first bar: the rest is not played, and not equal."""
    journal = Pages()
    desk = Desk(journal)
    event = desk.replay._next_bars()
    assert event is not None
    desk.replay.play(event)
    desk.replay.deliver(OperatorAsked(event.time_ms, Operation.STOP, "test"))
    done = await desk.play()
    assert done.ended_early == "asked by test"
    assert not done.is_equal
    assert done.first_difference() == "0 trades against 3 of the backtest"
    [end] = [row for row in await journal.read("") if isinstance(row, SessionEndRow)]
    assert (end.exit_code, end.why) == (0, "asked by test")


async def test_the_first_difference_is_named() -> None:
    done = await Desk().play()
    other = done.trades.copy()
    other[1]["exit_price"] += 0.1
    other[1]["fee_quote"] = 1.0
    changed = replace(done, trades=other)
    assert not changed.is_equal
    told = changed.first_difference().removeprefix("trade 2 differs in ").split(", ")
    assert set(told) == {"fee_quote", "exit_price"}
    shorter = replace(done, trades=np.zeros(0, TRADE))
    assert shorter.first_difference() == "0 trades against 3 of the backtest"


async def test_only_rows_are_taken_from_what_a_session_asks() -> None:
    """Trades of the ghost and the shadow are no trades of the replay."""
    desk = Desk()
    await desk.play()
    before = len(desk.rehearsal._trades)
    ghost = replace(desk.told[0], desk="ghost")
    desk.rehearsal.told(WriteJournal((ghost,)))
    assert len(desk.rehearsal._trades) == before
    assert len(desk.told) == 3
