"""Everything compiled that a session calls, compiled or loaded before it trades.

Where nothing is in the cache (a new version, a new machine) each of these takes seconds: that must
not be while an entry has filled and its stop waits to be sent.
"""

from __future__ import annotations

import numpy as np

from tercel.app.live.desk import Desk, SimulatedDesk
from tercel.app.live.plan import SessionPlan
from tercel.app.signals import quiet_signals
from tercel.core import breakers, minute
from tercel.core.jit import new, prepare
from tercel.core.market import market_step
from tercel.core.records import BAR, ENTRY_PLAN, MINUTE
from tercel.core.signal import confirm_by_flow


def prepare_kernels(plan: SessionPlan) -> None:
    """Compile or load them for the records of `plan`; the strategies' own steps are the business of
    the first bar of history.
    """
    desk = Desk(plan)
    accounts, streams, account, stream = desk.accounts, desk.streams, desk.account, desk.rows[0]
    board, asked = np.zeros(len(plan.series), MINUTE), quiet_signals(len(plan.streams))
    prepare(minute.settle, accounts, streams, desk.markets, board, asked, desk.awake)
    prepare(minute.decide, accounts, streams, desk.markets, 0, board, asked)
    prepare(minute.end, accounts, streams, 0, True)
    prepare(minute.book, accounts, streams, 0, 0, 0, desk.tape)
    prepare(minute.value, accounts, streams)
    prepare(minute.trigger, stream, 0)
    prepare(minute.ask_close, stream, 0)
    prepare(minute.withdraw_entry, account, stream, 0)
    prepare(minute.reprice_entry, account, stream, 0.0, 0)
    prepare(minute.take_entry, account, stream, 0.0)
    prepare(minute.readmit, account, stream, new(ENTRY_PLAN), 0, 0.0)
    prepare(minute.book_funding, account, stream, 0.0)
    prepare(market_step, desk.markets[0], new(BAR), 0)
    prepare(confirm_by_flow, asked, asked, 0.0)
    prepare(breakers.resume, account)
    prepare(breakers.trades_today, account.pace_state, 0)
    prepare(breakers.entries_since, account.pace_state, 0)
    SimulatedDesk(plan).run(board, asked)
