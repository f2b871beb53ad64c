"""The latest of what a session did, for whoever looks at it: decisions, trades, alerts, prices.

A runner or a replay shows it every command and event; it keeps a few of each and forgets the rest.
The journal has them all.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tercel.app.live.alerts import AlertCode
from tercel.app.live.outages import Outages
from tercel.app.live.status_records import (
    AlertStatus,
    DecisionStatus,
    OutageStatus,
    TradeStatus,
    plain_quantity,
)
from tercel.domain.commands import Command, Level, WriteJournal
from tercel.domain.events import BarsClosed, Event, MarketView
from tercel.domain.journal import AlertRow, EvaluationRow, TradeRow

if TYPE_CHECKING:
    from tercel.app.live.plan import SessionPlan

KEPT = 20
SIDES = {1: "long", 0: "none", -1: "short"}
NOTHING = MarketView()


@dataclass(frozen=True, slots=True)
class LastBar:
    """The last closed bar of a series."""

    close_ms: int = 0
    """0: none yet."""
    price: float | None = None
    view: MarketView = NOTHING


class Recent:
    """Keeps the latest `kept` of each kind."""

    def __init__(self, plan: SessionPlan, kept: int = KEPT) -> None:
        self.decisions: deque[DecisionStatus] = deque(maxlen=kept)
        """Those that had a side."""
        self.trades: deque[TradeStatus] = deque(maxlen=kept)
        self._urgent: deque[AlertStatus] = deque(maxlen=kept)
        self._info: deque[AlertStatus] = deque(maxlen=kept)
        """Alerts, apart: what happens at every trade does not push a warning out."""
        self.evaluations: dict[int, DecisionStatus] = {}
        """The latest of each stream."""
        self.bars = [LastBar() for _ in plan.series]
        """By series."""
        self.kill_is_open = False
        """A kill was begun and is not verified yet."""
        self._outages = Outages()
        self._bar_ms = plan.bar_ms
        self._evaluated = self._decided = self._traded = self._alerted = 0
        self._rows: dict[type[Any], Callable[[Any], None]] = {
            EvaluationRow: self._take_evaluation,
            TradeRow: self._take_trade,
            AlertRow: self._take_alert,
        }

    @property
    def alerts(self) -> list[AlertStatus]:
        """The latest of each level, oldest first."""
        return sorted((*self._urgent, *self._info), key=lambda each: each.number)

    def outages(self) -> tuple[OutageStatus, ...]:
        """What does not work now, the worst first."""
        return self._outages.now()

    @property
    def alerts_told(self) -> int:
        """How many alerts there were in all."""
        return self._alerted

    def alerts_since(self, told: int) -> list[AlertStatus]:
        """Those after the first `told`, as far as they are kept."""
        return [each for each in self.alerts if each.number > told]

    def see(self, what: Command | Event) -> None:
        """A command that was carried out, or an event that was handled."""
        if isinstance(what, WriteJournal):
            for row in what.rows:
                take = self._rows.get(type(row))
                if take is not None:
                    take(row)
        elif isinstance(what, BarsClosed):
            self._take_bars(what)
        else:
            self._outages.see(what)

    def _take_bars(self, event: BarsClosed) -> None:
        views = event.views or (NOTHING,) * len(event.series)
        close_ms = event.open_time + self._bar_ms
        for place, series in enumerate(event.series):
            if close_ms >= self.bars[series].close_ms:
                price = float(event.bars[place]["close"])
                self.bars[series] = LastBar(close_ms, price, views[place])

    def _take_evaluation(self, row: EvaluationRow) -> None:
        self._evaluated += 1
        self.evaluations[row.stream] = _decision(row, self._evaluated)
        if row.side:
            self._decided += 1
            self.decisions.append(_decision(row, self._decided))

    def _take_trade(self, row: TradeRow) -> None:
        if row.desk != "main":
            return
        self._traded += 1
        net_r = row.net_quote / row.risk_quote if row.risk_quote > 0.0 else math.nan
        self.trades.append(
            TradeStatus(
                number=self._traded,
                time_ms=row.exit_time,
                strategy=row.strategy,
                symbol=row.symbol,
                direction=SIDES[row.side],
                quantity=plain_quantity(row.quantity),
                entry_price=row.entry_price,
                exit_price=row.exit_price,
                gross_quote=row.gross_quote,
                net_quote=row.net_quote,
                net_r=net_r if math.isfinite(net_r) else None,
                exit_reason=row.exit_reason,
            )
        )

    def _take_alert(self, row: AlertRow) -> None:
        self._alerted += 1
        kept = self._info if row.level == Level.INFO.value else self._urgent
        kept.append(AlertStatus(self._alerted, row.time_ms, row.level, row.code, row.text))
        if row.code == AlertCode.KILL_SWITCH:
            self.kill_is_open = True
        elif row.code == AlertCode.KILL_VERIFIED:
            self.kill_is_open = False


def _decision(row: EvaluationRow, number: int) -> DecisionStatus:
    return DecisionStatus(
        number=number,
        time_ms=row.time_ms,
        strategy=row.strategy,
        symbol=row.symbol,
        side=SIDES[row.side],
        reason=row.reason,
        score=row.score,
        decision=row.decision,
        refusal=row.refusal,
    )
