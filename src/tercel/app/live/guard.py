"""Deadlines of a session: what is looked at because time has passed, not because something came.

A look that finds nothing due changes nothing.
"""

from __future__ import annotations

from tercel.app.live.alerts import AlertCode
from tercel.app.live.execution import Execution
from tercel.app.live.parts import SessionParts
from tercel.app.live.working import WorkingOrder
from tercel.core.codes import OrderStatus, Slot
from tercel.domain.commands import Level
from tercel.domain.orders import OrderPhase


class Guard:
    """Asks about orders that are silent, and closes what is not protected in time."""

    def __init__(self, parts: SessionParts, execution: Execution) -> None:
        self._parts = parts
        self._execution = execution

    def look(self) -> None:
        """Everything that is due now."""
        for order in self._parts.orders.live():
            self._look_at(order)
        if self._execution.naked_since:
            self._close_naked()
        parts = self._parts
        # What a stream is about to decide on is left alone, but for what protects its position.
        self._execution.sync_busy([k for k in parts.undecided if not parts.desk.held.item(k) > 0.0])
        if parts.flags.mismatched and parts.now - parts.venue_read_ms >= parts.plan.bar_ms:
            # Flat and without entries nothing else would ask whether the venue agrees again.
            parts.read_venue()

    def _look_at(self, order: WorkingOrder) -> None:
        parts = self._parts
        rules, now = parts.rules.session, parts.now
        if order.phase is OrderPhase.SENT and now - order.sent_ms >= rules.answer_ms_max:
            order.move(OrderPhase.UNKNOWN)
            order.unknown_ms = now
            parts.alert(
                Level.WARNING,
                AlertCode.ORDER_UNKNOWN,
                f"{order.request.client_id} {order.request.symbol}: no answer for "
                f"{now - order.sent_ms} ms; asking the venue",
                order.request.stream,
            )
            parts.query(order)
        elif now - max(order.asked_ms, order.read_ms, order.sent_ms) < rules.query_ms:
            return
        elif order.is_unsettled and parts.rules.reads_venue and not parts.venue_asked_ms:
            order.read_ms = now
            parts.read_venue()
        elif order.phase is OrderPhase.UNKNOWN or order.unknown_ms > 0:
            parts.ask_about(order)
        elif order.cancel_ms and now - order.cancel_ms >= rules.answer_ms_max:
            parts.ask_about(order)
            order.cancel_ms = 0

    def _close_naked(self) -> None:
        parts = self._parts
        limit = parts.rules.session.protect_ms_max
        for k, since in list(self._execution.naked_since.items()):
            if parts.now - since < limit:
                continue
            if parts.desk.statuses.item(k, Slot.CLOSE) == OrderStatus.EMPTY:
                part = parts.protected(k)
                rests = f"stops rest for {part:g} alone" if part > 0.0 else "no stop rests"
                self._execution.close_unprotected(
                    k,
                    f"{parts.symbol_of(k)}: {rests} {parts.now - since} ms after the fill; "
                    "closing at market",
                )
