"""The trading records of a session, moved by fills from elsewhere or by the simulator.

`Desk` is the account that really trades: fills come as events, orders are what its streams' order
tables say. `SimulatedDesk` trades the same signals on its own account inside the core: the ghost
account while automation is off, the shadow beside the venue.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tercel.app.live.closes import Closes
from tercel.app.live.plan import SessionPlan, open_books
from tercel.core import kernel, minute
from tercel.core.codes import Refusal, Slot
from tercel.core.records import (
    BAR,
    CONTEXT,
    EQUITY,
    FILL,
    FILLS_PER_BAR,
    MINUTE,
    SIGNAL,
    TRADE,
    TRADES_PER_BAR,
    Feed,
    Records,
    Tape,
)
from tercel.domain.events import BarsClosed
from tercel.domain.orders import VenueFill

Bytes = npt.NDArray[np.uint8]
Numbers = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]
FILLS_AT_ONCE = 4
"""Rows of the tape that one fill may write to."""


def _tape(fills: int, trades: int) -> Tape:
    return Tape(
        np.zeros(1, EQUITY), np.zeros(fills, FILL), np.zeros(trades, TRADE), np.zeros(3, np.int64)
    )


def _part(raw: Bytes, name: str, dtype: np.dtype[np.record]) -> Bytes:
    """The bytes of one field of MINUTE, a view."""
    at = MINUTE.fields[name][1] if MINUTE.fields else 0
    return raw[:, at : at + dtype.itemsize]


def _raw(records: Records) -> Bytes:
    """Each record as a row of bytes."""
    return np.ascontiguousarray(records).view(np.uint8).reshape(len(records), -1)


class MinuteBoard:
    """The bars of one minute, one MINUTE row a series."""

    def __init__(self, series_count: int) -> None:
        self.rows = np.zeros(series_count, MINUTE)
        self._present = self.rows["present"]
        self.closes: Numbers = self.rows["bar"]["close"]
        """Close of each series."""
        # As bytes: numpy copies records field by field.
        raw = self.rows.view(np.uint8).reshape(series_count, MINUTE.itemsize)
        self._bars, self._contexts = (_part(raw, "bar", BAR), _part(raw, "context", CONTEXT))

    def show(self, event: BarsClosed) -> Records:
        """The minute of `event`; series without a bar are absent."""
        if len(event.series) == len(self.rows):
            self._present[:] = True
            self._bars[:] = _raw(event.bars)
            self._contexts[:] = _raw(event.contexts)
            return self.rows
        here = list(event.series)
        self._present[:] = False
        self._present[here] = True
        self._bars[here] = _raw(event.bars)
        self._contexts[here] = _raw(event.contexts)
        return self.rows


class Desk:
    """Account, streams and markets of the session."""

    def __init__(self, plan: SessionPlan) -> None:
        books = open_books(plan)
        self.account, self.streams, self.markets = books.account, books.streams, books.markets
        # A venue books funding itself; what the core is told of it comes as an event.
        self.streams["costs"]["funding_interval_ms"] = 0
        self.rows = [self.streams[k] for k in range(len(self.streams))]
        """The STREAM records, each a view."""
        self.lots: list[float] = self.streams["instrument"]["lot_size"].tolist()
        """Lot size of each, base: settings do not change while a session runs."""
        self.ticks: list[float] = self.streams["instrument"]["tick_size"].tolist()
        """Tick size of each, price."""
        self._see()
        self._closes = Closes(plan)
        self._bar_ms = plan.bar_ms
        self._settled = 0
        """Close of the last bars that were settled, ms; 0: none were yet."""
        self.left_times = [0] * len(self.streams)
        """The close that the end of each stream's last trade counts in, ms; 0: none ended yet."""
        self.tape = _tape(FILLS_AT_ONCE, FILLS_AT_ONCE)
        """Where a fill is booked from."""
        self._touched = np.zeros(len(self.streams), np.bool_)
        self.awake = np.zeros(len(self.streams), np.bool_)
        self._minute: Records | None = None
        self.met_market = False
        """Whether a market order waited, or anything filled, since the bars were settled."""

    def _see(self) -> None:
        """Views of what is read often: a field of a record costs many times as much, since numpy
        makes a new record of everything that is nested on the way.
        """
        self.accounts: Records = self.account.reshape(1)
        """The account as an array of one row."""
        self.cash: Numbers = self.accounts["cash_quote"]
        """Quote; one row."""
        self._halted: Codes = self.accounts["halted"]
        self._exhausted: npt.NDArray[np.bool_] = self.accounts["exhausted"]
        positions = self.streams["position"]
        self.held: Numbers = positions["quantity"]
        """Open quantity of each stream, base."""
        self.sides: Codes = positions["side"]
        """codes.Side of each stream's position."""
        self._entry_times: Codes = positions["entry_time"]
        self.filled_times: Codes = positions["filled_time"]
        """When the venue filled each position first, ms."""
        self.mark_prices: Numbers = positions["mark_price"]
        self.orders: Records = self.streams["orders"]
        """ORDER of each stream and slot: `orders.item(k, slot)` has its fields in their order."""
        self.statuses: Codes = self.orders["status"]
        """codes.OrderStatus of each stream and slot."""
        self.reasons: Codes = self.orders["reason"]
        """codes.ExitReason of each stream and slot."""
        self.placed_prices: Numbers = self.orders["placed_price"]
        """Close when each order was asked for."""
        self.refusals: Codes = self.streams["refusals"]
        """How often each stream was refused, by codes.Refusal."""
        self.entry_waits: Codes = self.streams["plan"]["entry_wait_bars"]
        """`PLAN.entry_wait_bars` of each stream."""

    @property
    def is_stopped(self) -> bool:
        """Whether a breaker has stopped the account, or it is ruined."""
        return bool(self._halted.item()) or bool(self._exhausted.item())

    def touch(self, k: int) -> None:
        """Stream `k` has changed: it decides at the next bar, come what may."""
        self._touched[k] = True

    def settle(self, board: Records, signals: Records) -> Refusal:
        """The bars of a minute: marks, hours, breakers; the Refusal that stopped the account."""
        self.awake[:] = self._touched
        self._touched[:] = False
        self.met_market = False
        refusal = minute.settle(
            self.accounts, self.streams, self.markets, board, signals, self.awake
        )
        self._minute = board
        # Series without a bar have an older one there.
        self._settled = int(board["bar"]["open_time"].max()) + self._bar_ms
        return Refusal(int(refusal))

    def decide(self, k: int, board: Records, signals: Records) -> None:
        """Stream `k` manages its trade and answers its signal, row `k` of `signals`."""
        waits = minute.decide(self.accounts, self.streams, self.markets, k, board, signals)
        self.met_market = self.met_market or bool(waits)

    def end_minute(self, time: int) -> Refusal:
        """Every stream has decided: the account is marked where anything met the market, and knows
        what is tied up. The Refusal that has just stopped it, else NONE.
        """
        self._minute = None
        halted, exhausted = self._halted.item(), self._exhausted.item()
        if self.met_market or any(self.awake.tolist()):
            minute.end(self.accounts, self.streams, time, self.met_market)
        if self._exhausted.item() and not exhausted:
            return Refusal.EQUITY_EXHAUSTED
        return Refusal.NONE if halted else Refusal(self._halted.item())

    def fill(self, k: int, slot: Slot, fill: VenueFill, reference: float) -> Records:
        """Book a fill of stream `k`; the TRADE it finished (one row, or none)."""
        fills = self.tape.fills
        reason = self.reasons.item(k, slot) if slot != Slot.ENTRY else 0
        close = self._closes.of(k, slot, reason, fill.time_ms)
        if slot != Slot.ENTRY:
            # Nothing is left before it is entered: an operator may close in the bar of the fill.
            close = max(close, self._entry_times.item(k))
        # In the order of FILL, at once: field by field is many times as slow.
        fills[0] = (
            k,
            int(slot),
            close,
            fill.side,
            fill.quantity,
            fill.price,
            reference,
            fill.fee_quote,
            reason,
            fill.is_maker,
        )
        minute.book(self.accounts, self.streams, k, self._settled, fill.time_ms, self.tape)
        self.met_market = True
        self.touch(k)
        if self._minute is None:
            minute.value(self.accounts, self.streams)
        elif slot == Slot.ENTRY:
            stream = self.rows[k]
            here = self._minute[stream.series]
            if here.present:
                stream.position.mark_price = here.bar.close
        finished = self.finished_trade()
        if len(finished):
            self.left_times[k] = close
        return finished

    def finished_trade(self) -> Records:
        """The TRADE that the last fill finished: one row, or none."""
        return self.tape.trades[: int(self.tape.counts[2])].copy()

    def is_flat(self) -> bool:
        """Whether no stream has a position or an entry at work."""
        return not any(self.held.tolist()) and not any(self.statuses[:, Slot.ENTRY].tolist())

    def busy(self) -> list[int]:
        """Streams with a position or an entry at work."""
        entries = self.statuses[:, Slot.ENTRY].tolist()
        return [k for k, held in enumerate(self.held.tolist()) if held > 0.0 or entries[k]]


class SimulatedDesk:
    """The same signals on an account of its own, filled inside the core as a backtest fills."""

    def __init__(self, plan: SessionPlan, settings: Sequence[Any] | None = None) -> None:
        books = open_books(plan, settings)
        self.account, self.streams, self.markets = books.account, books.streams, books.markets
        count, series = len(self.streams), len(plan.series)
        self._tape = _tape(count * FILLS_PER_BAR, count * TRADES_PER_BAR)
        self._signals = np.zeros((count, 1), SIGNAL)
        self._lengths = np.zeros(series, np.int64)

    def run(self, board: Records, signals: Records) -> Records:
        """Trade one minute; the TRADE records it finished."""
        self._signals[:, 0] = signals
        self._lengths[:] = board["present"]
        self._tape.counts[:] = 0
        bars = np.ascontiguousarray(board["bar"]).reshape(-1, 1)
        contexts = np.ascontiguousarray(board["context"]).reshape(-1, 1)
        feed = Feed(bars, contexts, self._signals, self._lengths)
        kernel.run(self.account, self.streams, self.markets, feed, self._tape)
        return self._tape.trades[: int(self._tape.counts[2])].copy()

    def fills(self) -> Records:
        """FILL records of the last minute."""
        return self._tape.fills[: int(self._tape.counts[1])].copy()
