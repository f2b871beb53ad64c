"""The same streams twice: through a backtest, and through a session over a replay of their bars.

`twice` trades both and `Twice.check` compares everything: signals, refusals, trades, account,
streams and the equity of every minute, to the last bit.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
from tests.market_data import MINUTE_MS

from tercel.adapters.config import packaged_config_dir, read_settings
from tercel.adapters.simulator.bars import BarExchange
from tercel.app.backtest import AccountSpec, StreamSpec, _Desk, chunks, signals_for
from tercel.app.live.parts import BesideRules, SessionRules
from tercel.app.live.plan import plan_of
from tercel.app.live.replay import Replay, series_of, stream_settings
from tercel.app.live.session import Session, SessionMemory
from tercel.app.prepare import PreparedRun
from tercel.core.codes import OrderStatus, Slot
from tercel.core.records import EQUITY, TRADE, Records
from tercel.domain.commands import Command, WriteJournal
from tercel.domain.journal import EquityRow, EvaluationRow, FillRow, IntentRow, JournalRow, TradeRow
from tercel.domain.session_state import SessionState
from tercel.domain.settings import Settings

OWN_TO_THE_BACKTEST = ("volume_time", "volume_left", "funding_time", "costs")
"""Fields of STREAM that only whoever fills the orders moves: in a session that is the exchange."""


@cache
def settings() -> Settings:
    """What Tercel ships."""
    return read_settings([packaged_config_dir()], environ={}).settings


def rules(**given: Any) -> SessionRules:
    """Those of a replay."""
    every = settings()
    made = SessionRules(
        every.session,
        every.execution,
        BesideRules(every.ghost.fee_rate, False, every.shadow.alert_r),
        "replay",
        "replay",
        is_exact=True,
        reads_venue=False,
        nets_positions=False,
        automation_at_start=True,
    )
    return replace(made, **given)


@dataclass(slots=True)
class Written:
    """What a session writes into its journal, as it comes."""

    rows: list[JournalRow]
    digests: list[list[str]]
    """Of the signals of each stream."""
    equity: list[tuple[int, float, float]]
    trades: list[bytes]

    def take(self, command: Command) -> None:
        """One command of the session."""
        if not isinstance(command, WriteJournal):
            return
        for row in command.rows:
            if isinstance(row, IntentRow | FillRow):
                self.rows.append(row)
            if isinstance(row, EvaluationRow):
                self.digests[row.stream].append(row.digest)
            elif isinstance(row, EquityRow) and row.desk == "main":
                self.equity.append((row.time_ms, row.equity_quote, row.exposure_quote))
            elif isinstance(row, TradeRow) and row.desk == "main":
                self.trades.append(row.record)


@dataclass(slots=True)
class Twice:
    """What came of both."""

    specs: tuple[StreamSpec, ...]
    backtest: _Desk
    session: Session
    written: Written

    @property
    def trades(self) -> Records:
        """Of the backtest."""
        return self.backtest.tape.trades()

    def refusals(self) -> Mapping[str, int]:
        """Of the backtest, by name."""
        from tercel.app.backtest import _by_name

        return _by_name(self.backtest.streams["refusals"].sum(axis=0))

    def check(self) -> Twice:
        """Everything is the same to the last bit."""
        self.check_signals()
        made = np.frombuffer(b"".join(self.written.trades), TRADE)
        self.check_records("trade", self.trades, made)
        desk = self.session.parts.desk
        self.check_records("stream", without_own(self.backtest.streams), without_own(desk.streams))
        self.check_records("market", self.backtest.markets, desk.markets)
        self.check_records("account", self.backtest.account.reshape(1), desk.account.reshape(1))
        self.check_equity()
        self.check_orders()
        return self

    def check_signals(self) -> None:
        """Every bar of every stream was looked at once, and the same was said."""
        for k, spec in enumerate(self.specs):
            said = signals_for(spec)
            wanted = [hashlib.sha256(row.tobytes()).hexdigest()[:16] for row in said]
            assert self.written.digests[k] == wanted, f"signals of {spec.label}"

    def check_equity(self) -> None:
        """The last minute of a replay is told twice: as it closed, and when all was closed."""
        wanted = self.backtest.tape.equity
        *rows, ahead, last = self.written.equity
        assert ahead[0] == last[0]
        made = np.array([*rows, last], EQUITY)
        self.check_records("equity", wanted, made)

    def check_orders(self) -> None:
        """Orders are of a size, and none is left at rest."""
        intents = [row for row in self.written.rows if isinstance(row, IntentRow)]
        assert all(row.quantity > 0.0 for row in intents)
        assert not list(self.session.parts.orders.live())

    @staticmethod
    def check_records(what: str, wanted: Records, made: Records) -> None:
        """Equal bytes; else the first field that differs is named."""
        for row in range(min(len(wanted), len(made))):
            if wanted[row].tobytes() == made[row].tobytes():
                continue
            found = different(wanted[row], made[row])
            assert not found, f"{what} {row}, backtest and session: {found}"
        assert len(wanted) == len(made), what


def without_own(streams: Records) -> Records:
    """Copies without what the exchange of a session moves."""
    made = streams.copy()
    for name in OWN_TO_THE_BACKTEST:
        made[name] = np.zeros(1, made.dtype[name])[0]
    # A trailing stop whose share a thin market has taken off through the stop follows price in the
    # table until a bar triggers it; at the exchange there is none that could be triggered.
    trails = made["orders"][:, Slot.TRAIL]
    trails["price"][trails["status"] == OrderStatus.EMPTY] = 0.0
    return made


def different(one: Any, other: Any, path: str = "") -> dict[str, tuple[Any, Any]]:
    """(here, there) by the path of each field whose bytes differ."""
    if one.dtype.names is None:
        alike = one.tobytes() == other.tobytes()
        return {} if alike else {path: (one.tolist(), other.tolist())}
    found: dict[str, tuple[Any, Any]] = {}
    for name in one.dtype.names:
        here, there = np.asarray(one[name]), np.asarray(other[name])
        if here.dtype.names and here.ndim:
            for place in range(len(here)):
                found |= different(here[place], there[place], f"{path}.{name}[{place}]")
        else:
            found |= different(here, there, f"{path}.{name}")
    return found


def session_for(
    specs: Sequence[StreamSpec], account: AccountSpec, told: Any, **given: Any
) -> Replay:
    """A fresh session over a replay of the specs' bars."""
    prepared = PreparedRun(tuple(specs), account, (), {})
    plan = plan_of(prepared)
    session = Session(plan, rules(**given), SessionMemory(SessionState(), "s1"))
    return Replay(session, BarExchange(stream_settings(plan)), series_of(prepared), told=told)


def twice(
    specs: Sequence[StreamSpec], account: AccountSpec, *, chunk_bars: int = 1_000, **given: Any
) -> Twice:
    """Both runs of `specs` on fresh accounts; `given` are fields of SessionRules."""
    backtest = _Desk(tuple(specs), account, chunk_bars)
    everything = [series.market.bars for series in backtest.series]
    for ends in chunks(everything, MINUTE_MS, chunk_bars):
        backtest.trade_chunk(ends)
    backtest.finish()
    written = Written([], [[] for _ in specs], [], [])
    replay = session_for(specs, account, written.take, **given)
    for _ in replay.minutes():
        pass
    replay.finish()
    return Twice(tuple(specs), backtest, replay.session, written)
