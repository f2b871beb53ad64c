"""Accounts beside the real one: the ghost while automation is off, the shadow always.

Both trade inside the core. The ghost takes the strategies' signals as they are, filled at the mid
with one fee, its size always from the balance that the session began with. The shadow takes the
signals that the session let through: what the simulator would have made of them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

from tercel.app.live.alerts import AlertCode
from tercel.app.live.desk import SimulatedDesk
from tercel.app.live.parts import SessionParts
from tercel.app.live.plan import SessionPlan
from tercel.app.record_bytes import copy_records
from tercel.core.codes import SlippageModel
from tercel.core.records import Records
from tercel.domain.commands import Level
from tercel.domain.session_state import SessionState

UNMATCHED_KEPT = 500
"""Trades that wait for their counterpart."""


def ghost_settings(plan: SessionPlan, fee_rate: float) -> list[Records]:
    """The streams' settings with the ghost's costs: one fee, no slippage, whole fills."""
    made = []
    for stream in plan.streams:
        record = stream.settings.copy()
        record.costs.maker_fee_rate = record.costs.taker_fee_rate = fee_rate
        record.costs.slippage_model = SlippageModel.NONE
        record.rules.participation_max = 0.0
        made.append(record)
    return made


class BesideFigures(NamedTuple):
    """What came of both at one moment; money in quote, the rate 0..1."""

    ghost_pnl: float
    ghost_trades: int
    ghost_win_rate: float
    shadow_pnl: float
    shadow_trades: int


class Beside:
    """The ghost's and the shadow's accounts, and what came of them."""

    def __init__(self, parts: SessionParts) -> None:
        self._parts = parts
        beside = parts.rules.beside
        self._ghost_settings = ghost_settings(parts.plan, beside.ghost_fee_rate)
        self._base_quote = float(parts.plan.account.start_quote)
        self._ghost = self._new_ghost()
        self._shadow = SimulatedDesk(parts.plan) if beside.shadow else None
        self._bar_ms = parts.plan.bar_ms
        self._ghost_is_on = False
        """Whether it trades the minute that was begun."""
        self._waiting: dict[tuple[int, int], float] = {}
        """Net R of a main (or, negative key, shadow) trade that waits for the other."""
        self.ghost_pnl = 0.0
        self.ghost_trades = 0
        self.ghost_wins = 0
        self.shadow_pnl = 0.0
        self.shadow_trades = 0

    def _new_ghost(self) -> SimulatedDesk:
        desk = SimulatedDesk(self._parts.plan, self._ghost_settings)
        self._fund(desk, self._base_quote)
        return desk

    @staticmethod
    def _fund(desk: SimulatedDesk, quote: float) -> None:
        for name in ("start_quote", "cash_quote", "equity_quote", "peak_equity"):
            desk.account[name] = quote

    def open_accounts(self, wallet_quote: float) -> None:
        """The balance that the session begins with."""
        self._base_quote = wallet_quote
        self._ghost = self._new_ghost()
        if self._shadow is not None:
            self._fund(self._shadow, wallet_quote)

    def restore(self, state: SessionState) -> None:
        """Figures of an earlier run go on; the accounts begin flat, with the balance there is."""
        self.open_accounts(float(self._parts.desk.account.cash_quote))
        self.ghost_pnl, self.ghost_trades = state.ghost_pnl, state.ghost_trade_count
        self.ghost_wins = round(state.ghost_win_rate * state.ghost_trade_count)
        self.shadow_pnl, self.shadow_trades = state.shadow_pnl, state.shadow_trade_count

    @property
    def ghost_win_rate(self) -> float:
        """0..1; 0 without a trade."""
        return self.ghost_wins / self.ghost_trades if self.ghost_trades else 0.0

    def figures(self) -> BesideFigures:
        """What came of both so far."""
        return BesideFigures(
            self.ghost_pnl,
            self.ghost_trades,
            self.ghost_win_rate,
            self.shadow_pnl,
            self.shadow_trades,
        )

    def reset_ghost(self) -> None:
        """Automation has been switched on: the ghost's figures begin anew."""
        self._ghost = self._new_ghost()
        self.ghost_pnl, self.ghost_trades, self.ghost_wins = 0.0, 0, 0

    def begin_minute(self) -> None:
        """Before the main account is settled: whether the ghost trades this minute, and a copy of
        what the main account watches of the market, which each desk moves on by itself.
        """
        main = self._parts.desk
        self._ghost_is_on = not self._parts.flags.automation
        if main.account.watches:
            for desk in (self._ghost, self._shadow):
                if desk is not None:
                    copy_records(desk.markets, main.markets)

    def trade(
        self, board: Records, signals: Records, let_through: Records, mids: Mapping[int, float]
    ) -> None:
        """The minute that was begun. `mids` are quotes by series; without one the close
        counts.
        """
        if self._ghost_is_on:
            self._trade_ghost(board, signals, mids)
        if self._shadow is None:
            return
        for trade in self._shadow.run(board, let_through):
            self.shadow_pnl += float(trade["net_quote"])
            self.shadow_trades += 1
            self._match(trade, is_shadow=True)
            self._parts.recorder.trades("shadow", trade.reshape(1))

    def _trade_ghost(self, board: Records, signals: Records, mids: Mapping[int, float]) -> None:
        desk = self._ghost
        if mids:
            board = board.copy()
            for series, mid in mids.items():
                board[series].bar.close = mid
        trades = desk.run(board, signals)
        for trade in trades:
            net_quote = float(trade["net_quote"])
            self.ghost_pnl += net_quote
            self.ghost_trades += 1
            self.ghost_wins += net_quote > 0.0
        if len(trades):
            self._parts.changed = True
            self._parts.recorder.trades("ghost", trades)
            if int(desk.account.open_positions) == 0:
                self._fund(desk, self._base_quote)

    def record(self, time: int) -> None:
        """The accounts at a close."""
        recorder = self._parts.recorder
        if self._ghost_is_on:
            recorder.account(time, "ghost", self._ghost.account)
        if self._shadow is not None:
            recorder.account(time, "shadow", self._shadow.account)

    # --- divergence ------------------------------------------------------------------------------

    def compare(self, finished: list[Records]) -> None:
        """Trades that the main account has finished, against the shadow's."""
        for trades in finished:
            for trade in trades:
                self._match(trade, is_shadow=False)

    def _match(self, trade: Records, *, is_shadow: bool) -> None:
        if self._shadow is None:
            return
        k = int(trade["stream"])
        bar = int(trade["entry_time"]) // self._bar_ms
        risk = float(trade["risk_quote"])
        net_r = float(trade["net_quote"]) / risk if risk > 0.0 else math.nan
        own, other = (k, -bar if is_shadow else bar), (k, bar if is_shadow else -bar)
        if other not in self._waiting:
            self._waiting[own] = net_r
            if len(self._waiting) > UNMATCHED_KEPT:
                del self._waiting[next(iter(self._waiting))]
            return
        met = self._waiting.pop(other)
        shadow_r, main_r = (net_r, met) if is_shadow else (met, net_r)
        if abs(main_r - shadow_r) > self._parts.rules.beside.alert_r:
            self._parts.alert(
                Level.WARNING,
                AlertCode.SHADOW_DIVERGED,
                f"{self._parts.symbol_of(k)}: {main_r:+.2f} R, simulated {shadow_r:+.2f} R",
                k,
            )
