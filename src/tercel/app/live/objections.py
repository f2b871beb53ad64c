"""What the session itself has against an entry, beside what the account's limits say."""

from __future__ import annotations

from collections.abc import Mapping

from tercel.app.live.alerts import AlertCode
from tercel.app.live.parts import SessionParts
from tercel.core.codes import OrderStatus, Refusal, Side, Slot
from tercel.core.records import Records
from tercel.domain.commands import Level
from tercel.domain.events import MarketView

KNOWN_NOTHING = MarketView()


class Objections:
    """Vetoes the signals that the session does not trade, each with its reason."""

    def __init__(self, parts: SessionParts) -> None:
        self._parts = parts

    def veto(self, asked: Records, views: Mapping[int, MarketView]) -> None:
        """Mark the signals of one close that may not be traded, one a stream; `views` are what the
        feed knew of each series.
        """
        for k, side in enumerate(asked["side"].tolist()):
            if side == Side.NONE:
                continue
            refusal = self.against(k, views.get(self._parts.plan.streams[k].series, KNOWN_NOTHING))
            if refusal != Refusal.NONE and asked["veto"][k] == 0:
                asked["veto"][k] = int(refusal)
        self._tell_late(views)

    def against(self, k: int, view: MarketView) -> Refusal:
        """Why the session makes no entry for stream `k` now; NONE: it may."""
        flags, session = self._parts.flags, self._parts.rules.session
        spread = (view.ask - view.bid) / (0.5 * (view.ask + view.bid)) if view.bid > 0.0 else 0.0
        refusal = Refusal.NONE
        if flags.kill_latched:
            refusal = Refusal.KILLED
        elif not flags.automation and not self._parts.desk.is_stopped:
            # A stopped account says so itself, by the breaker that stopped it.
            refusal = Refusal.AUTOMATION_OFF
        elif flags.is_paused or flags.is_stopping:
            refusal = Refusal.PAUSED
        elif not flags.journal_is_up:
            refusal = Refusal.JOURNAL_DOWN
        elif flags.is_overloaded:
            refusal = Refusal.STALE_DATA
        elif self._parts.unreadable_ms > 0:
            refusal = Refusal.UNHEALTHY_FEED
        elif view.late_ms > session.fresh_ms_max:
            refusal = Refusal.STALE_DATA
        elif view.trouble:
            refusal = Refusal.UNHEALTHY_FEED
        elif 0.0 < session.spread_fraction_max < spread:
            refusal = Refusal.WIDE_SPREAD
        elif self._parts.symbol_of(k) in flags.mismatched:
            refusal = Refusal.POSITION_MISMATCH
        elif self._is_taken(k):
            refusal = Refusal.SYMBOL_TAKEN
        return refusal

    def _is_taken(self, k: int) -> bool:
        """Whether another stream holds the symbol of stream `k`, or is about to, where the venue
        keeps one position a symbol.
        """
        parts, desk = self._parts, self._parts.desk
        return parts.rules.nets_positions and any(
            other != k
            and (
                desk.held.item(other) > 0.0
                or desk.statuses.item(other, Slot.ENTRY) != OrderStatus.EMPTY
                or parts.orders.of(other, Slot.ENTRY)
            )
            for other in parts.plan.streams_of(parts.symbol_of(k))
        )

    def _tell_late(self, views: Mapping[int, MarketView]) -> None:
        parts = self._parts
        late = {
            f"{parts.plan.series[series].symbol} {view.late_ms} ms"
            for series, view in views.items()
            if view.late_ms > parts.rules.session.fresh_ms_max
        }
        if late:
            parts.alert(
                Level.CRITICAL,
                AlertCode.WEBSOCKET_STALE,
                f"bars came late, no entries on them: {', '.join(sorted(late))}",
            )
