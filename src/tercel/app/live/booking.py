"""Booking what traded: fills of our orders, and of somebody else in a symbol of ours.

A position changes only here, through `kernel.on_fill`. A fill that no position is there for moves
cash alone; one that nobody here asked for comes off what somebody else is known to hold, then off
our positions.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from tercel.app.live.alerts import AlertCode
from tercel.app.live.foreign import Foreign
from tercel.app.live.parts import SessionParts
from tercel.app.live.working import WorkingOrder
from tercel.core import minute
from tercel.core.codes import ExitReason, OrderKind, OrderStatus, Refusal, Slot
from tercel.core.jit import new
from tercel.core.records import ENTRY_PLAN, Records
from tercel.domain.commands import Level
from tercel.domain.orders import OrderPhase, OrderRequest, VenueFill

CLOCKS_APART_MS = 2_000
"""How far our clock and the venue's may be apart, ms: an exit of before a restart, sent so long
before its position was entered, belongs to an earlier one.
"""


class Booking:
    """Fills into the records of the streams."""

    def __init__(self, parts: SessionParts, sync: Callable[[int], None]) -> None:
        """`sync` brings the orders of a stream in line after it has changed."""
        self._parts = parts
        self._sync = sync
        self.foreign = Foreign()
        self.trades: list[Records] = []
        """TRADE records finished since they were last taken."""

    def book_for(self, k: int, slot: Slot, fill: VenueFill, order: WorkingOrder) -> None:
        """Book a fill of stream `k`; what no position is there for moves cash alone."""
        parts, desk = self._parts, self._parts.desk
        if slot is Slot.ENTRY:
            if desk.held.item(k) > 0.0 and desk.sides.item(k) != fill.side:
                # Given up long ago, and the stream has turned round since: it takes that off first.
                left = self._reduce(fill, ExitReason.OUTSIDE)
                if left <= 0.5 * parts.lot_of(k):
                    return
                fill = _part_of(fill, left)
            self._readmit(k, fill, order)
        elif self._is_over(k, fill, order):
            # Of an exit whose trade is over: what it did at the venue, the venue tells.
            self.book_stray(fill)
            parts.read_venue(again=True)
            return
        else:
            desk.reasons[k, slot] = order.request.reason
        reference = self._reference(k, slot, fill, order.request)
        parts.recorder.fill(k, slot, fill, reference)
        trades = desk.fill(k, slot, fill, reference)
        if len(trades):
            self.trades.append(trades)
            moments = (desk.filled_times.item(k), fill.time_ms)
            parts.recorder.trades("main", trades, moments)

    def _is_over(self, k: int, fill: VenueFill, order: WorkingOrder) -> bool:
        """Whether an exit's fill belongs to a trade of before the one that stream `k` is in."""
        desk = self._parts.desk
        if not desk.held.item(k) > 0.0 or desk.sides.item(k) == fill.side:
            return True
        if order.trade_ms:
            return order.trade_ms != desk.filled_times.item(k)
        return 0 < order.sent_ms < desk.filled_times.item(k) - CLOCKS_APART_MS

    def _readmit(self, k: int, fill: VenueFill, order: WorkingOrder) -> None:
        """An entry that was given up has filled after all: the stream takes it back."""
        parts = self._parts
        desk, stream = parts.desk, parts.stream(k)
        status, _, side, _, quantity, *_ = desk.orders.item(k, Slot.ENTRY)
        is_same = status != OrderStatus.EMPTY and side == fill.side
        room = quantity if is_same else 0.0
        if room >= fill.quantity - 0.5 * parts.lot_of(k) - 1e-12 * fill.quantity:
            return
        if not is_same:
            # It was replaced by one on the other side, which cannot be had beside it.
            minute.withdraw_entry(desk.account, stream, int(Refusal.POSITION_OPEN))
        plan = new(ENTRY_PLAN)
        fields = ("stop_distance", "target_distance", "score", "reason", "time", "price")
        for name, value in zip(fields, order.plan, strict=True):
            plan[name] = value
        if not math.isfinite(float(plan.stop_distance)) or not plan.stop_distance > 0.0:
            plan.stop_distance = fill.price * parts.rules.session.adopt_stop_fraction
        minute.readmit(desk.account, stream, plan, fill.side, fill.quantity)

    def _reference(self, k: int, slot: Slot, fill: VenueFill, request: OrderRequest) -> float:
        """What the fill would have been without slippage."""
        if fill.reference_price is not None:
            return fill.reference_price
        if fill.is_maker:
            return fill.price
        if request.trigger_price is not None:
            return request.trigger_price
        if request.price is not None:
            return request.price
        desk = self._parts.desk
        is_entry = slot is Slot.ENTRY
        price = desk.placed_prices.item(k, slot) if is_entry else desk.mark_prices.item(k)
        return price if price > 0.0 and np.isfinite(price) else fill.price

    def book_stray(self, fill: VenueFill) -> None:
        """A fill that no stream has a position for: its fee is the account's."""
        account = self._parts.desk.account
        account.fee_quote += fill.fee_quote
        account.cash_quote -= fill.fee_quote

    def outside(self, fill: VenueFill, *, is_told: bool = True) -> None:
        """A trade that no order of ours made: liquidation, a hand, or (not told) what must be."""
        parts = self._parts
        forced = fill.kind != "trade"
        left = self.foreign.close(fill) if is_told and not forced else fill.quantity
        if left > 0.0:
            reason = ExitReason.LIQUIDATION if forced else ExitReason.OUTSIDE
            left = self._reduce(_part_of(fill, left), reason)
            self.foreign.open(fill, left if is_told else 0.0)
        level = Level.CRITICAL if forced else Level.WARNING
        code = AlertCode.LIQUIDATED if forced else AlertCode.FOREIGN_FILL
        what = f"{fill.kind} of {fill.quantity:g} at {fill.price:g}"
        if not is_told:
            what = f"{fill.quantity:g} of ours are not there any more; booked at {fill.price:g}"
        parts.alert(level, code, f"{fill.symbol}: {what}")
        if left > 0.0:
            parts.read_venue(again=True)

    def _reduce(self, fill: VenueFill, reason: ExitReason) -> float:
        """Take `fill` off the positions on its other side; what of it is left, base."""
        parts = self._parts
        left = fill.quantity
        held, sides = parts.desk.held, parts.desk.sides
        for k in parts.plan.streams_of(fill.symbol):
            if not held.item(k) > 0.0 or sides.item(k) == fill.side or not left > 0.0:
                continue
            part = min(left, held.item(k))
            left -= part
            self._book_outside(k, fill, part, reason)
        return left

    def _book_outside(self, k: int, fill: VenueFill, quantity: float, reason: ExitReason) -> None:
        part = replace(_part_of(fill, quantity), reference_price=fill.price)
        request = OrderRequest(
            "", fill.symbol, fill.side, OrderKind.MARKET, quantity, stream=k, slot=Slot.CLOSE,
            reason=int(reason),
        )  # fmt: skip
        self.book_for(k, Slot.CLOSE, part, WorkingOrder(request, OrderPhase.FILLED))
        self._parts.changed = True
        self._sync(k)


def _part_of(fill: VenueFill, quantity: float) -> VenueFill:
    """`quantity` of a fill, with its share of the fee."""
    share = quantity / fill.quantity
    return replace(fill, quantity=quantity, fee_quote=fill.fee_quote * share)
