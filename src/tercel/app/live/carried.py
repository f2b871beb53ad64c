"""What a session carried over from before, and what it was kept from by that.

A session that goes on after a restart may begin with open positions, with entries that wait, with
cool-downs and with latches; it may adopt what it finds at the venue. A backtest begins with none of
them, and trades where they kept the session out. Each reason is asked of what was carried alone,
and only while that lasts:

   a position      until it is closed: what it took (the stream, the symbol, margin, heat ...)
   an entry        that waited, and what came of it, or until the stream entered anew
   a loss streak   while the pause would not be there by the session's own trades alone
   a losing stop   for as long as the revenge pause after it, unless the session had its own since
   entries         of the day that it began in, and of the hour before
   a stopped account  until it goes on
"""

from __future__ import annotations

import json
import math
from base64 import b64decode
from typing import Any

import numpy as np

from tercel.app.live.closes import ASKED_AT_A_CLOSE
from tercel.app.live.parity import SessionRecord
from tercel.app.live.plan import SessionPlan
from tercel.core.breakers import DAY_MS, HOUR_MS, count_trade
from tercel.core.codes import ExitReason, OrderStatus, Refusal, Slot
from tercel.core.jit import new
from tercel.core.records import ACCOUNT, PACE, PACE_STATE, STREAM, Records
from tercel.domain.errors import DataError
from tercel.domain.journal import BreakerRow, EvaluationRow, FillRow, RefusalRow

BY_POSITIONS = (
    Refusal.MAX_POSITIONS,
    Refusal.NO_MARGIN,
    Refusal.FREE_MARGIN,
    Refusal.HEAT,
    Refusal.CORRELATED,
    Refusal.CLUSTER,
)
"""What an open position of any stream may be the reason of."""
BY_HALT = (
    Refusal.DAILY_LOSS,
    Refusal.KILL_24H,
    Refusal.KILL_SESSION,
)
"""What stops an account until it is let go on."""
CARRIABLE = (
    Refusal.POSITION_OPEN,
    Refusal.SYMBOL_TAKEN,
    *BY_POSITIONS,
    Refusal.DAILY_TRADES,
    Refusal.HOURLY_SIGNALS,
    Refusal.LOSS_STREAK,
    Refusal.REVENGE,
    *BY_HALT,
    Refusal.EQUITY_EXHAUSTED,
)
"""Refusals that come from the state of the account or of a position: these can be carried over."""
_CARRIABLE_BY_NAME = {each.name.lower(): each for each in CARRIABLE}


class Carried:
    """What `record` began with; `made` are all its trades, `first_ms` is when it could act."""

    def __init__(
        self, record: SessionRecord, plan: SessionPlan, made: Records, first_ms: int
    ) -> None:
        account, streams = _books(record, len(plan.streams))
        self._plan = plan
        self._account = account
        self._streams = streams
        self._made = made[np.argsort(made["exit_time"], kind="stable")]
        self._entered_ms = _entered(record)
        self._is_own = (
            (self._made["entry_time"] > first_ms)
            & ~_was_open(self._made, streams)
            & self._was_decided()
        )
        self._resumed_ms = min(
            (
                row.time_ms
                for row in record.tables["breaker"]
                if isinstance(row, BreakerRow) and row.action == "resumed"
            ),
            default=math.inf,
        )
        found = self._found(record)
        self._closed_ms = {
            k: self._closed(k) for k in range(len(streams)) if _was_busy(streams[k]) or k in found
        }
        """When each carried position or entry was over, by its stream; inf: it is there still."""

    @property
    def own(self) -> Records:
        """The trades that the session began itself: TRADE, by exit."""
        own: Records = self._made[self._is_own]
        return own

    def silent(self, record: SessionRecord) -> dict[int, set[int]]:
        """The closes at which a signal of each stream was refused for what was carried, ms."""
        found: dict[int, set[int]] = {}
        for row in record.tables["refusal"]:
            if isinstance(row, RefusalRow) and self.kept_out(row):
                found.setdefault(row.stream, set()).add(row.time_ms)
        return found

    def kept_out(self, row: RefusalRow) -> bool:
        """Whether a signal was refused for what was carried, and nothing else."""
        reason, k, time = _CARRIABLE_BY_NAME.get(row.refusal), row.stream, row.time_ms
        if reason is None:
            return False
        if reason == Refusal.POSITION_OPEN:
            return time < self._closed_ms.get(k, 0.0)
        if reason == Refusal.SYMBOL_TAKEN:
            symbol = self._symbol(k)
            return any(
                time < end for at, end in self._closed_ms.items() if self._symbol(at) == symbol
            )
        if reason in BY_POSITIONS:
            return any(time < end for end in self._closed_ms.values())
        if reason == Refusal.LOSS_STREAK:
            return self._is_cooling(k, time)
        if reason == Refusal.REVENGE:
            return self._is_revenge(k, time)
        if reason in (Refusal.DAILY_TRADES, Refusal.HOURLY_SIGNALS):
            return self._has_entries(k, time, reason)
        if reason == Refusal.EQUITY_EXHAUSTED:
            return bool(self._account["exhausted"])
        return bool(self._account["halted"] == reason) and time < self._resumed_ms

    def _symbol(self, k: int) -> str:
        return self._plan.streams[k].label.symbol

    def _closed(self, k: int) -> float:
        of = self._made["stream"] == k
        before = self._made[of & ~self._is_own]
        if len(before):
            return max(map(_given_up, before))
        # Whoever closed it: the stream has not held it since it entered anew.
        own: list[int] = self._made[of & self._is_own]["entry_time"].tolist()
        return min([*own, self._first_entered(k)])

    def _first_entered(self, k: int) -> float:
        """The close at which the session first decided to enter with stream `k`, ms; inf: none."""
        return self._entered_ms.get(k, math.inf)

    def _was_decided(self) -> Any:
        """Which of the trades began after the session had decided to enter with their streams: all
        others came of an entry that waited already, or were adopted.
        """
        since = [self._first_entered(k) for k in self._made["stream"].tolist()]
        return self._made["entry_time"] >= np.array(since, np.float64)

    def _found(self, record: SessionRecord) -> set[int]:
        """Streams that were filled before the session had decided to enter with them."""
        return {
            row.stream
            for row in record.tables["fill"]
            if isinstance(row, FillRow)
            and row.slot == Slot.ENTRY.name.lower()
            and row.time_ms < self._first_entered(row.stream)
        }

    def _paces(self, k: int) -> tuple[tuple[Any, Any, Any], ...]:
        """(settings, state at the start, which trades count) of the account and of a stream."""
        account, stream = self._account, self._streams[k]
        every = np.ones(len(self._made), np.bool_)
        return (
            (account["pace"], account["pace_state"], every),
            (stream["pace"], stream["pace_state"], self._made["stream"] == k),
        )

    def _is_cooling(self, k: int, time: int) -> bool:
        """Whether there is a pause with what was carried, and none by its own trades alone."""
        is_paused, is_own_pause = False, False
        past = self._made["exit_time"] <= time
        for pace, state, counted in self._paces(k):
            is_paused |= time < _pause_until(pace, state, self._made[past & counted])
            own = self._made[past & counted & self._is_own]
            is_own_pause |= time < _pause_until(pace, new(PACE_STATE), own)
        return is_paused and not is_own_pause

    def _is_revenge(self, k: int, time: int) -> bool:
        """Whether a carried losing stop is recent enough, and none of the session's own is."""
        pause_ms = max(int(pace["revenge_pause_ms"]) for pace, *_ in self._paces(k))
        series = self._plan.streams[k].series
        made = self._made
        stops = (made["exit_reason"] == ExitReason.STOP) & (made["net_quote"] < 0.0)
        stops &= (made["exit_time"] <= time) & (made["exit_time"] > time - pause_ms)
        stops &= np.isin(
            made["stream"],
            [at for at, stream in enumerate(self._plan.streams) if stream.series == series],
        )
        if (stops & self._is_own).any():
            return False
        kept = int(self._account["stop_times"][series])
        return bool(kept > 0 and time < kept + pause_ms) or bool(stops.any())

    def _has_entries(self, k: int, time: int, reason: Refusal) -> bool:
        """Whether entries from before still count."""
        for pace, state, _ in self._paces(k):
            if reason == Refusal.DAILY_TRADES:
                counts = pace["daily_trades_max"] > 0 and state["trades_today"] > 0
                found = bool(counts) and int(state["day"]) == time // DAY_MS
            else:
                recent = (state["entry_times"] > time - HOUR_MS).any()
                found = bool(pace["hourly_signals_max"] > 0 and recent)
            if found:
                return True
        return False


def _was_open(made: Records, streams: Records) -> Any:
    """Which of the trades were open at the start: a limit that filled in the first bar that was
    acted on, before the start, counts at its end as those do that the session began itself.
    """
    positions = streams["position"][made["stream"]]
    return (positions["quantity"] > 0.0) & (positions["entry_time"] == made["entry_time"])


def _was_busy(stream: Any) -> bool:
    """Whether a stream held a position, or an entry of it waited."""
    waits = stream["orders"]["status"][Slot.ENTRY] != OrderStatus.EMPTY
    return bool(stream["position"]["quantity"] > 0.0 or waits)


def _entered(record: SessionRecord) -> dict[int, int]:
    """The first close at which each stream decided to enter, ms; none where it never did."""
    found: dict[int, int] = {}
    for row in record.tables["evaluation"]:
        if isinstance(row, EvaluationRow) and row.decision == "entered":
            found[row.stream] = min(row.time_ms, found.get(row.stream, row.time_ms))
    return found


def _given_up(trade: Any) -> float:
    """From when on a trade keeps nobody out, ms. What is closed at a close is open to the signals
    of that close.
    """
    return float(trade["exit_time"] + (trade["exit_reason"] in ASKED_AT_A_CLOSE))


def _pause_until(pace: Any, state: Any, trades: Records) -> int:
    """When the pause ends that `trades` lead to, as the core counts them."""
    settings, moved = new(PACE), new(PACE_STATE)
    for to, of in ((settings, pace), (moved, state)):
        for name in to.dtype.names:
            to[name] = of[name]
    for trade in trades:
        count_trade(settings, moved, float(trade["net_quote"]), int(trade["exit_time"]))
    return int(moved["pause_until"])


def _books(record: SessionRecord, count: int) -> tuple[Any, Records]:
    """Account and streams as the session began with them. Raises DataError."""
    try:
        parts = json.loads(record.row.image)
        account = np.frombuffer(bytearray(b64decode(parts["account"])), ACCOUNT)[0]
        streams = np.frombuffer(bytearray(b64decode(parts["streams"])), STREAM)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise DataError(
            f"session {record.row.session_id}: the image of what it began with cannot be read: "
            f"{error}"
        ) from error
    if len(streams) != count:
        raise DataError(
            f"session {record.row.session_id}: it began with {len(streams)} streams, and traded "
            f"{count}: its image is damaged"
        )
    return account, streams
