"""Orders of a session: the order tables of the core made true at the venue.

`sync` compares what should rest with what does, and asks for the difference. News of orders move
them through their life; fills go to the core, which may want other orders: `sync` again. An answer
that was lost is never taken for a no: the venue is asked by client id until it knows, or has not
known for long enough.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from tercel.app.live.alerts import AlertCode
from tercel.app.live.booking import Booking
from tercel.app.live.parts import SLOTS, SessionParts
from tercel.app.live.strays import Strays
from tercel.app.live.working import (
    STRAY_STREAM,
    WorkingOrder,
    fits,
    request_for,
    wanted_in,
)
from tercel.core import minute
from tercel.core.codes import ExitReason, OrderKind, OrderStatus, Refusal, Slot
from tercel.domain.commands import Level
from tercel.domain.events import Answer, Fault, OrderUpdate, Outcome
from tercel.domain.orders import OrderPhase, OrderRequest, VenueFill

EMPTY = int(OrderStatus.EMPTY)
CLOSE_TOLD_MS = 60_000
CUT_FRACTION = 0.01
"""Less by no more than this share is not less: a venue may round to coarser lots at market."""


class Execution:
    """Sends, follows and books the orders of every stream."""

    def __init__(self, parts: SessionParts) -> None:
        self._parts = parts
        self._held: dict[tuple[int, Slot], int] = {}
        """Slots that are left alone until this moment after a refusal, ms."""
        self._ended: dict[tuple[int, Slot], int] = {}
        """When the venue last ended protection of that slot by itself, ms."""
        self._refused: dict[int, int] = {}
        """Refusals of the stop of a stream in a row."""
        self._close_told: dict[int, tuple[str, int]] = {}
        """Why the close of a stream failed, and when that was told, ms."""
        self._overrun: set[int] = set()
        """Streams whose trailing stop came too late: its share goes at market."""
        self.naked_since: dict[int, int] = {}
        """Since when a stream's position has no stop of its size at rest, ms."""
        self.booking = Booking(parts, self.sync)
        self._strays = Strays(parts)
        exact = parts.rules.is_exact
        ticks = 0.0 if exact else parts.rules.session.reprice_ticks_min
        lots = 0.0 if exact else 0.5
        self._slacks = [
            (ticks * tick, lots * lot)
            for tick, lot in zip(parts.desk.ticks, parts.desk.lots, strict=True)
        ]
        """For less than so much of a stream no order is moved: price, and base."""

    # --- what should rest ----------------------------------------------------------------------

    def sync(self, k: int) -> None:
        """Ask for whatever makes the orders of stream `k` what its table says."""
        asked, has = self._parts.desk.statuses[k].tolist(), self._parts.orders.has
        for slot in SLOTS:
            if asked[slot] != EMPTY or has(k, slot):
                self._sync_slot(k, slot)
        self._watch_protection(k)

    def sync_all(self) -> None:
        """`sync` of every stream."""
        for k in range(len(self._parts.desk.rows)):
            self.sync(k)

    def sync_busy(self, but: Sequence[int] = ()) -> None:
        """`sync` of every stream that holds, waits for or has asked for something, and is not among
        `but`; what rests for one that is gone is cancelled.
        """
        busy = set(self._parts.desk.busy())
        for order in self._parts.orders.live():
            if order.request.stream != STRAY_STREAM:
                busy.add(order.request.stream)
            elif self._strays.has_to_go(order, self.naked_since):
                self._cancel(order)
        for k in sorted(busy.difference(but)):
            self.sync(k)

    def _sync_slot(self, k: int, slot: Slot) -> None:
        parts = self._parts
        asked: Any = parts.desk.orders.item(k, slot)
        wanted = wanted_in(asked, slot)
        live = parts.orders.of(k, slot)
        if wanted is None:
            if slot is Slot.TRAIL:
                self._overrun.discard(k)
            for order in live:
                self._cancel(order)
            return
        if slot is Slot.TRAIL and k in self._overrun:
            wanted = wanted._replace(kind=OrderKind.MARKET, price=math.nan)
        slacks = self._slacks[k]
        good = [order for order in live if fits(order, wanted, *slacks)]
        if good:
            # Beside a stop that the venue cut an older one may be whole: both wait for the close.
            is_enough = slot is not Slot.STOP or good[-1].left >= wanted.quantity - slacks[1]
            if len(live) > 1 and good[-1].rests and is_enough:
                for order in live:
                    if order is not good[-1]:
                        self._cancel(order)
            return
        if self._held.get((k, slot), 0) > parts.now:
            return
        if any(order.phase is OrderPhase.SENT for order in live):
            return  # its answer comes first: many small fills are not many stops
        if live and slot not in (Slot.STOP, Slot.TRAIL):
            # Two limits would reduce (or enter) twice: the old one goes first.
            for order in live:
                self._cancel(order)
            if any(order.is_live for order in live):
                return
        client_id = parts.orders.next_id(k, slot)
        request = request_for(
            wanted, client_id=client_id, symbol=parts.symbol_of(k), stream=k, slot=slot
        )
        parts.place(parts.new_order(request, self._plan_of(k, slot)))

    def _plan_of(self, k: int, slot: Slot) -> tuple[float, ...]:
        """What an entry was approved with: kept with the order, for a fill that comes too late."""
        if slot is not Slot.ENTRY:
            return ()
        stream = self._parts.stream(k)
        position, order = stream.position, stream.orders[slot]
        return (
            float(position.stop_distance),
            float(position.target_distance),
            float(position.score),
            float(position.reason),
            float(order.placed_time),
            float(order.placed_price),
        )

    def _cancel(self, order: WorkingOrder) -> None:
        """Cancel an order once; one that is on its way is cancelled when it has arrived."""
        held = self._held.get((order.request.stream, order.request.slot), 0)
        if order.rests and order.cancel_ms == 0 and held <= self._parts.now:
            self._parts.cancel(order)

    def hold(self, k: int, slot: Slot, until_ms: int) -> None:
        """Leave a slot alone for a while."""
        self._held[k, slot] = until_ms

    def release(self, k: int, slot: Slot) -> None:
        """What was refused there may be tried again."""
        self._held.pop((k, slot), None)

    def release_holds(self) -> None:
        """A bar has closed: what was refused may be tried again."""
        self._held.clear()

    # --- protection ------------------------------------------------------------------------------

    def _watch_protection(self, k: int) -> None:
        if not self._parts.desk.held.item(k) > 0.0:
            self.naked_since.pop(k, None)
            self._refused.pop(k, None)
            self._close_told.pop(k, None)
            self._held.pop((k, Slot.STOP), None)
            return
        if self._parts.is_protected(k):
            self.naked_since.pop(k, None)
            self._refused.pop(k, None)
        else:
            self.naked_since.setdefault(k, self._parts.now)

    def close_unprotected(self, k: int, why: str) -> None:
        """Close the position of `k` now, tell afterwards."""
        if self._parts.desk.statuses.item(k, Slot.CLOSE) != EMPTY:
            return
        self.ask_close(k, ExitReason.UNPROTECTED)
        self._parts.alert(Level.CRITICAL, AlertCode.SL_PLACEMENT_FAILED, why, k)

    def ask_close(self, k: int, reason: ExitReason) -> None:
        """Close the position of `k` at market."""
        minute.ask_close(self._parts.stream(k), int(reason))
        self.sync(k)

    # --- answers ---------------------------------------------------------------------------------

    def on_placed(self, client_id: str, answer: Answer) -> None:
        """The venue has answered an order."""
        order = self._parts.orders.find(client_id)
        if order is None:
            return
        if answer.outcome is Outcome.DONE:
            self._accept(order, answer)
        elif answer.outcome is Outcome.AMBIGUOUS or answer.fault is Fault.DUPLICATE:
            self._lose(order, answer)
        elif order.move(OrderPhase.REJECTED):
            self._refuse(order, answer)
        self._after(order, answer)

    def on_found(self, client_id: str, answer: Answer) -> None:
        """The venue has answered a question about an order."""
        parts = self._parts
        order = parts.orders.find(client_id)
        if order is None or not order.is_live:
            return
        order.found_ms = parts.now
        if answer.outcome is Outcome.DONE:
            self._accept(order, answer)
        elif answer.fault is Fault.NOT_FOUND:
            order.unknown_ms = order.unknown_ms or parts.now
            if parts.now - order.unknown_ms >= parts.rules.session.unknown_ms_max:
                gone = OrderPhase.CANCELLED if order.rests else OrderPhase.REJECTED
                if order.move(gone):
                    self._miss(order)
        self._after(order, answer)

    def on_cancelled(self, client_id: str, answer: Answer) -> None:
        """The venue has answered a cancel."""
        parts = self._parts
        order = parts.orders.find(client_id)
        if order is None or not order.is_live:
            return
        if answer.outcome is Outcome.DONE:
            order.told_filled = max(order.told_filled, answer.filled_quantity)
            order.move(OrderPhase.CANCELLED)
        elif answer.fault is Fault.BUSY:
            order.cancel_ms = 0
            later_ms = parts.now + parts.rules.session.timer_ms
            self.hold(order.request.stream, order.request.slot, later_ms)
        else:
            # Filled, triggering, or nobody knows: the order itself tells.
            parts.query(order)
        self._after(order, answer)

    def on_update(self, event: OrderUpdate) -> None:
        """The user stream tells of an order."""
        order = self._parts.orders.find(event.client_id)
        if order is None:
            return
        order.venue_id = order.venue_id or event.venue_id
        filled = event.filled_quantity
        if event.phase is OrderPhase.FILLED and not filled > 0.0:
            filled = order.request.quantity
        order.told_filled = max(order.told_filled, filled)
        if event.is_triggered:
            self.note_trigger(order)
        order.move(event.phase)
        self._after(order)

    def note_trigger(self, order: WorkingOrder) -> None:
        """The venue says that the price of a stop was reached."""
        parts, request = self._parts, order.request
        if order.triggered_ms == 0:
            order.triggered_ms = parts.now
        if request.stream != STRAY_STREAM:
            minute.trigger(parts.stream(request.stream), int(request.slot))
            parts.desk.touch(request.stream)

    def _accept(self, order: WorkingOrder, answer: Answer) -> None:
        order.venue_id = order.venue_id or answer.venue_id
        order.told_filled = max(order.told_filled, answer.filled_quantity)
        order.move(answer.phase or OrderPhase.ACKED)
        if order.acked_ms == 0:
            order.acked_ms = self._parts.now
        order.unknown_ms = 0
        if answer.is_triggered:
            self.note_trigger(order)
        self._learn_size(order, answer.quantity)

    def _learn_size(self, order: WorkingOrder, quantity: float) -> None:
        """An order may be for less than was asked: for as much as the venue takes in one.

        One at market is filled before anybody could do something about it: the next one follows. A
        target or a trailing stop takes what it is for, and the whole stop protects the rest. A
        stop that is not whole protects too little: the position goes, and it rests until then.
        """
        parts, request = self._parts, order.request
        k, lacking = request.stream, request.quantity - quantity
        if k == STRAY_STREAM or request.kind == OrderKind.MARKET or not quantity > 0.0:
            return
        no_cut = max(parts.lot_of(k), CUT_FRACTION * request.quantity)
        if lacking <= no_cut * (1.0 + 1e-9):
            return
        order.cut(quantity)
        held = parts.desk.held.item(k)
        if request.slot is Slot.STOP and order.left < held - 0.5 * parts.lot_of(k):
            self.hold(k, Slot.STOP, parts.now + parts.rules.session.query_ms)
            self.close_unprotected(
                k,
                f"{parts.symbol_of(k)}: one stop protects {quantity:g} at most, of a position of "
                f"{held:g}; closing at market",
            )

    def _lose(self, order: WorkingOrder, answer: Answer) -> None:
        """Nobody knows whether it is there: ask."""
        parts = self._parts
        order.move(OrderPhase.UNKNOWN)
        order.unknown_ms = order.unknown_ms or parts.now
        parts.alert(
            Level.WARNING,
            AlertCode.ORDER_UNKNOWN,
            f"{order.request.client_id} {order.request.symbol}: {answer.text or 'no answer'}; "
            "asking the venue",
            order.request.stream,
        )
        parts.query(order)

    def _refuse(self, order: WorkingOrder, answer: Answer) -> None:
        """The venue said no: what that means for the slot."""
        parts, request = self._parts, order.request
        k, slot = request.stream, request.slot
        if k == STRAY_STREAM:
            return
        if slot is Slot.STOP:
            self._refuse_stop(k, answer)
            return
        retry_ms = parts.now + parts.rules.session.query_ms
        if slot is Slot.CLOSE:
            self.hold(k, slot, retry_ms)
            if answer.fault is Fault.REDUCE_ONLY:
                parts.read_venue()
            self._tell_close(k, self._told(request, answer))
            return
        if slot is Slot.ENTRY and (
            request.kind == OrderKind.MARKET or answer.fault is not Fault.WOULD_CROSS
        ):
            minute.withdraw_entry(parts.desk.account, parts.stream(k), int(Refusal.ENTRY_REFUSED))
            parts.recorder.refusal(k, parts.now, request.side, Refusal.ENTRY_REFUSED)
        elif slot is Slot.TRAIL and answer.fault is Fault.WOULD_TRIGGER:
            self._overrun.add(k)
            return
        else:
            # Until the next bar: `release_holds`.
            self.hold(k, slot, parts.now + parts.plan.bar_ms)
        parts.alert(Level.WARNING, AlertCode.ORDER_REFUSED, self._told(request, answer), k)

    def _tell_close(self, k: int, text: str) -> None:
        """A close that fails is tried again every second; the same words are told once a minute."""
        before, told_ms = self._close_told.get(k, ("", 0))
        if text != before or self._parts.now - told_ms >= CLOSE_TOLD_MS:
            self._close_told[k] = text, self._parts.now
            self._parts.alert(Level.CRITICAL, AlertCode.CLOSE_FAILED, text, k)

    def _refuse_stop(self, k: int, answer: Answer) -> None:
        parts = self._parts
        # Once it is given up the close comes first; the stop is tried again now and then until it
        # has filled.
        later_ms = parts.now + parts.rules.session.query_ms
        if answer.fault is Fault.WOULD_TRIGGER:
            # Price is beyond it already: this is the stop.
            self.hold(k, Slot.STOP, later_ms)
            self.ask_close(k, ExitReason.STOP)
            return
        self._refused[k] = self._refused.get(k, 0) + 1
        if self._refused[k] > parts.rules.session.retries_max:
            self.hold(k, Slot.STOP, later_ms)
            self.close_unprotected(
                k, f"{parts.symbol_of(k)}: the venue refused the stop: {answer.text}"
            )
        elif answer.fault is Fault.BUSY:
            self.hold(k, Slot.STOP, parts.now + parts.rules.session.timer_ms)

    def _miss(self, order: WorkingOrder) -> None:
        """An order turned out not to be there."""
        parts, request = self._parts, order.request
        if request.stream == STRAY_STREAM:
            return
        is_held = parts.desk.held.item(request.stream) > 0.0
        if request.slot is Slot.STOP and order.phase is OrderPhase.REJECTED and is_held:
            self._tell_missing(request)
        elif request.slot is Slot.ENTRY:
            minute.withdraw_entry(
                parts.desk.account, parts.stream(request.stream), int(Refusal.ENTRY_REFUSED)
            )
            parts.recorder.refusal(request.stream, parts.now, request.side, Refusal.ENTRY_REFUSED)

    @staticmethod
    def _told(request: OrderRequest, answer: Answer) -> str:
        number = f" ({answer.code})" if answer.code else ""
        return f"{request.symbol} {request.slot.name.lower()}: refused: {answer.text}{number}"

    def _after(self, order: WorkingOrder, answer: Answer | None = None) -> None:
        """Whatever happened to an order: note it, see whether its entry is over, and sync."""
        parts = self._parts
        k = order.request.stream
        if order.phase.is_over and order.over_ms == 0:
            order.over_ms = parts.now
            if k == STRAY_STREAM:
                self._strays.end(order)
            else:
                self._look_for_stop(order)
                self._look_for_end(order)
        parts.recorder.order(parts.now, order, answer)
        parts.changed = True
        if k == STRAY_STREAM:
            return
        self._end_entry(order)
        self.sync(k)

    def _look_for_stop(self, order: WorkingOrder) -> None:
        """Tell of a stop that should rest and was taken away, though nobody here asked for it."""
        parts, request = self._parts, order.request
        is_gone = order.phase in (OrderPhase.CANCELLED, OrderPhase.EXPIRED)
        if request.slot is not Slot.STOP or not is_gone or order.cancel_ms:
            return
        k, desk = request.stream, parts.desk
        is_wanted = desk.statuses.item(k, Slot.STOP) == OrderStatus.RESTING
        is_there = bool(parts.orders.of(k, Slot.STOP))
        if is_wanted and desk.held.item(k) > 0.0 and not is_there:
            self._tell_missing(request)

    def _look_for_end(self, order: WorkingOrder) -> None:
        """One that rests and that the venue ends by itself: an entry waits for the next bar, since
        at once the next one would end in the same way; an exit is replaced, but not twice in a row.
        """
        parts, request = self._parts, order.request
        is_gone = order.phase in (OrderPhase.CANCELLED, OrderPhase.EXPIRED)
        if request.kind == OrderKind.MARKET or not is_gone or order.cancel_ms:
            return
        key = (request.stream, request.slot)
        if request.slot is Slot.ENTRY:
            self.hold(*key, parts.now + parts.plan.bar_ms)
            return
        query_ms = parts.rules.session.query_ms
        before_ms = self._ended.get(key, -query_ms)
        self._ended[key] = parts.now
        if parts.now - before_ms < query_ms:
            is_protection = request.slot in (Slot.STOP, Slot.TRAIL)
            self.hold(*key, parts.now + (query_ms if is_protection else parts.plan.bar_ms))

    def _tell_missing(self, request: OrderRequest) -> None:
        self._parts.alert(
            Level.CRITICAL,
            AlertCode.STOP_ORDER_MISSING,
            f"{request.symbol}: {request.client_id} is not at the venue; placing it again",
            request.stream,
        )

    def settle(self, order: WorkingOrder) -> None:
        """Fills that were told of it are booked elsewhere, or never come: nobody waits for them."""
        order.told_filled = order.booked
        if order.request.slot is Slot.ENTRY and order.request.stream != STRAY_STREAM:
            self._leave_rest(order)  # whatever its kind: it is not entered a second time
        self._after(order)

    def _end_entry(self, order: WorkingOrder) -> None:
        """A market entry that is over leaves what it did not find."""
        request = order.request
        if request.slot is Slot.ENTRY and request.kind == OrderKind.MARKET and not order.is_live:
            self._leave_rest(order)

    def _leave_rest(self, order: WorkingOrder) -> None:
        """Nothing more of an entry is asked for."""
        parts, k = self._parts, order.request.stream
        is_asked = parts.desk.statuses.item(k, Slot.ENTRY) != EMPTY
        if is_asked and not parts.orders.of(k, Slot.ENTRY):
            minute.withdraw_entry(parts.desk.account, parts.stream(k), int(Refusal.NO_LIQUIDITY))
            parts.desk.touch(k)

    # --- fills -----------------------------------------------------------------------------------

    def book(self, order: WorkingOrder, fill: VenueFill) -> None:
        """Book a fill of one of our orders."""
        parts, request = self._parts, order.request
        order.left = max(order.left - fill.quantity, 0.0)
        order.told_filled = max(order.told_filled, order.booked)
        order.missed = 0
        if request.stream == STRAY_STREAM:
            self.booking.book_stray(fill)
            if order.over_ms == 0:
                self._strays.tell_filled(order, fill.quantity)  # else it was told at its end
            order.move(OrderPhase.FILLED if order.left == 0.0 else OrderPhase.PARTLY_FILLED)
            return
        k, slot = request.stream, request.slot
        half_lot = 0.5 * parts.lot_of(k)
        done = order.left <= half_lot
        if done and not parts.rules.is_exact:
            order.left = 0.0
        order.move(OrderPhase.FILLED if done else OrderPhase.PARTLY_FILLED)
        self.booking.book_for(k, slot, fill, order)
        self._after(order)
