"""Venue truth against stored truth: the same reading at the start, after a break, and at each bar.

In order:
1. fills that were missed are booked;
2. orders that the venue does not list (any more) are asked about, those it lists are taken as
   resting;
3. positions are compared, symbol by symbol;
4. at the start only: a kept position without its stop or target is closed (or protected again); one
   that the state does not know is a reason not to start (or is adopted);
5. orders that nobody here knows of are orphans and go, unless they are somebody else's.
"""

from __future__ import annotations

from tercel.app.live.alerts import AlertCode
from tercel.app.live.execution import Execution
from tercel.app.live.fills import Fills
from tercel.app.live.parts import LATE_FILLS_MS, SessionParts
from tercel.app.live.wallet import WalletWatch
from tercel.app.live.working import STRAY_STREAM, WorkingOrder
from tercel.core import minute
from tercel.core.codes import ExitReason, OrderKind, OrderStatus, Slot
from tercel.core.jit import new
from tercel.core.records import ENTRY_PLAN
from tercel.domain.commands import CancelForeign, Level
from tercel.domain.events import Answer, Outcome
from tercel.domain.orders import (
    OrderPhase,
    OrderRequest,
    OrderSnapshot,
    PositionSnapshot,
    VenueFill,
    VenueSnapshot,
    parse_client_id,
)

MISMATCHES_MIN = 2
"""Readings in a row that must disagree before it is believed: news may still be on its way."""
DOUBTS_MAX = 20
"""Readings of a start that may differ from each other; then the last one is judged: somebody trades
there all the time.
"""
MISSED_MIN = 3
"""Readings in a row without the fills of an order, though all else agrees, before they are given
up."""


class Recovery:
    """Compares a VenueSnapshot with what the session knows."""

    def __init__(self, parts: SessionParts, execution: Execution) -> None:
        self._parts = parts
        self._execution = execution
        self._mismatches: dict[str, int] = {}
        self.fills = Fills(parts, execution)
        self.wallet = WalletWatch(parts)
        self.refusal = ""
        """Why the session cannot start; empty: it can."""
        self._doubts: dict[str, float] = {}
        """What the last reading of the start held beyond what the session knew, by symbol."""
        self._doubted = 0
        """Readings of the start that were not judged."""

    def reconcile(self, snapshot: VenueSnapshot, *, asked_ms: int, is_start: bool) -> bool:
        """Bring the session in line with `snapshot`, asked for at `asked_ms`; False: it is asked
        for again, and nothing is judged by this one.
        """
        self.fills.is_start = is_start
        for fill in sorted(snapshot.fills, key=lambda each: (each.time_ms, each.trade_id)):
            self.fills.take(fill)
        self._compare_orders(snapshot, asked_ms)
        held = {each.symbol: each for each in snapshot.positions}
        if is_start and self._is_in_doubt(held):
            self._parts.read_venue()
            return False
        if is_start:
            self._meet(held, snapshot)
        else:
            self._compare_positions(held, asked_ms)
            self._give_up_fills(held, asked_ms)
        if not self.refusal:
            # Only now: an unknown position keeps the stop that it may have.
            self._judge_strangers(snapshot, asked_ms)
        self.wallet.compare(snapshot.wallet_quote)
        self.fills.is_start = False
        return True

    # --- orders ----------------------------------------------------------------------------------

    def _compare_orders(self, snapshot: VenueSnapshot, asked_ms: int) -> None:
        parts = self._parts
        listed = {each.client_id: each for each in snapshot.orders}
        for order in parts.orders.live():
            there = listed.get(order.request.client_id)
            if there is not None:
                answer = Answer(
                    Outcome.DONE,
                    there.venue_id,
                    there.phase,
                    there.filled_quantity,
                    quantity=there.quantity,
                )
                if order.phase in (OrderPhase.UNKNOWN, OrderPhase.SENT):
                    self._execution.on_found(order.request.client_id, answer)
            elif order.phase.is_over or max(order.sent_ms, order.acked_ms) >= asked_ms:
                continue
            else:
                # Filled, triggered, cancelled by somebody, or never there: the venue tells.
                parts.ask_about(order)

    def _judge_strangers(self, snapshot: VenueSnapshot, asked_ms: int) -> None:
        """Open orders that the session does not count on."""
        for each in snapshot.orders:
            known = self._parts.orders.find(each.client_id)
            if known is not None and known.over_ms >= asked_ms:
                continue  # the picture is older than what we know
            if each.reduce_only and not self._is_protected(each.symbol):
                # It may be all that protects the position until our stop rests.
                self._parts.wants_read = True
                continue
            if known is None or not known.is_live:
                self._judge_stranger(each, is_ours=known is not None)

    def _is_protected(self, symbol: str) -> bool:
        """Whether stops of ours rest for whatever is held in `symbol`."""
        parts = self._parts
        return all(
            parts.is_protected(k)
            for k in parts.plan.streams_of(symbol)
            if parts.desk.held.item(k) > 0.0
        )

    def _judge_stranger(self, each: OrderSnapshot, *, is_ours: bool) -> None:
        """An open order that the session does not count on."""
        parts = self._parts
        ours = is_ours or parse_client_id(each.client_id) is not None
        flat = not any(parts.desk.held.item(k) > 0.0 for k in parts.plan.streams_of(each.symbol))
        if ours or (each.reduce_only and flat):
            parts.asked.append(
                CancelForeign(each.client_id, each.venue_id, each.symbol, each.is_conditional)
            )
            parts.alert(
                Level.WARNING,
                AlertCode.ORPHAN_CANCELLED,
                f"{each.symbol}: {each.client_id or each.venue_id} "
                + ("belongs to no position" if flat else "is an order that nobody here counts on"),
            )
        else:
            parts.alert(
                Level.WARNING,
                AlertCode.FOREIGN_ORDER,
                f"{each.symbol}: order {each.client_id or each.venue_id} is not ours; left alone",
            )

    # --- positions -------------------------------------------------------------------------------

    def known_quantity(self, symbol: str) -> float:
        """What the session holds in `symbol`, base, longs positive."""
        desk = self._parts.desk
        return sum(
            desk.sides.item(k) * desk.held.item(k) for k in self._parts.plan.streams_of(symbol)
        )

    def _lot(self, symbol: str) -> float:
        return self._parts.lot_of(self._parts.plan.streams_of(symbol)[0])

    def _differs(self, symbol: str, held: dict[str, PositionSnapshot]) -> float:
        """What the venue holds beyond what the session knows; 0 within half a lot."""
        venue = held[symbol].quantity if symbol in held else 0.0
        difference = venue - self.known_quantity(symbol)
        slack = max(0.5 * self._lot(symbol), 1e-9 * abs(venue))
        return difference if abs(difference) > slack else 0.0

    def _compare_positions(self, held: dict[str, PositionSnapshot], asked_ms: int) -> None:
        parts = self._parts
        busy = {
            order.request.symbol
            for order in parts.orders.live()
            if order.is_unsettled
            or order.request.kind == OrderKind.MARKET
            or order.sent_ms >= asked_ms
        }
        foreign = self._execution.booking.foreign
        for symbol in parts.plan.symbols:
            difference = self._differs(symbol, held)
            if difference == 0.0:
                foreign.note(symbol, 0.0)
            unexplained = self._unexplained(symbol, held)
            if unexplained == 0.0:
                self._mismatches.pop(symbol, None)
                self._block(symbol, difference, held)
            elif symbol in busy:
                self._mismatches.pop(symbol, None)
            elif parts.booked_ms.get(symbol, 0) >= asked_ms:
                parts.read_venue()  # the picture is older than what we know
            else:
                self._mismatches[symbol] = self._mismatches.get(symbol, 0) + 1
                if self._mismatches[symbol] < MISMATCHES_MIN:
                    parts.read_venue()
                else:
                    del self._mismatches[symbol]
                    self._block(symbol, difference, held)
                    self._believe(symbol, unexplained, held)

    def _unexplained(self, symbol: str, held: dict[str, PositionSnapshot]) -> float:
        """What the venue holds that is neither ours nor known to be somebody else's; 0 within half
        a lot.
        """
        left = self._differs(symbol, held) - self._execution.booking.foreign.held(symbol)
        return left if abs(left) > 0.5 * self._lot(symbol) else 0.0

    def _give_up_fills(self, held: dict[str, PositionSnapshot], asked_ms: int) -> None:
        """An order is told to be filled, and no reading has its fills: once the venue holds what we
        hold all the same, they were booked as somebody else's, or never come. Nor do they after so
        long: what the venue holds is then judged as it is, and told.
        """
        parts = self._parts
        for order in parts.orders.unsettled():
            symbol = order.request.symbol
            if symbol not in parts.plan.symbols or not order.phase.is_over:
                continue
            if order.over_ms >= asked_ms:
                continue  # the picture is older than the news
            agrees = self._unexplained(symbol, held) == 0.0
            order.missed = order.missed + 1 if agrees else 0
            is_late = parts.now - order.over_ms > LATE_FILLS_MS
            if order.missed >= MISSED_MIN or is_late:
                self._execution.settle(order)

    def _block(self, symbol: str, difference: float, held: dict[str, PositionSnapshot]) -> None:
        """No entries in a symbol while the venue holds something else in it; told once."""
        parts, venue = self._parts, held[symbol].quantity if symbol in held else 0.0
        if difference != 0.0 and symbol not in parts.flags.mismatched:
            parts.flags.mismatched.add(symbol)
            known = self.known_quantity(symbol)
            parts.alert(
                Level.CRITICAL,
                AlertCode.POSITION_MISMATCH,
                f"{symbol}: the venue holds {venue:g}, the session {known:g}; no entries in it",
            )
        elif difference == 0.0 and symbol in parts.flags.mismatched:
            parts.flags.mismatched.discard(symbol)
            parts.alert(Level.INFO, AlertCode.POSITION_MATCHES, f"{symbol}: the venue agrees again")

    def _believe(self, symbol: str, unexplained: float, held: dict[str, PositionSnapshot]) -> None:
        """What is gone of ours is closed here too; the rest is somebody else's."""
        known = self.known_quantity(symbol)
        venue = held[symbol].quantity if symbol in held else 0.0
        if known * unexplained < 0.0 and venue * known >= 0.0:
            mark = held[symbol].mark_price if symbol in held else 0.0
            self._close_gone(symbol, abs(unexplained), mark)
        else:
            foreign = self._execution.booking.foreign
            foreign.note(symbol, foreign.held(symbol) + unexplained)

    def _close_gone(self, symbol: str, quantity: float, mark: float) -> None:
        """Somebody closed (part of) our position without a trade that we were told of."""
        parts = self._parts
        for k in parts.plan.streams_of(symbol):
            position = parts.stream(k).position
            if not position.quantity > 0.0 or not quantity > 0.0:
                continue
            part = min(quantity, float(position.quantity))
            quantity -= part
            fill = VenueFill(
                trade_id=f"gone-{parts.now}-{k}",
                client_id="",
                venue_order_id="",
                symbol=symbol,
                side=-int(position.side),
                price=mark if mark > 0.0 else float(position.mark_price),
                quantity=part,
                fee_quote=0.0,
                is_maker=False,
                time_ms=parts.now,
            )
            self._execution.booking.outside(fill, is_told=False)

    # --- the start -------------------------------------------------------------------------------

    def _is_in_doubt(self, held: dict[str, PositionSnapshot]) -> bool:
        """Whether the venue holds something else than at the last reading, and than we know.

        A reading is taken in parts: what fills between positions and fills makes them differ, and
        a position that is not there any more would be adopted, or one that is there closed here.
        """
        before, self._doubts = (
            self._doubts,
            {
                symbol: difference
                for symbol in self._parts.plan.symbols
                if (difference := self._differs(symbol, held)) != 0.0
            },
        )
        self._doubted += 1
        return self._doubted <= DOUBTS_MAX and any(
            abs(difference - before.get(symbol, 0.0)) > 0.5 * self._lot(symbol)
            for symbol, difference in self._doubts.items()
        )

    def _meet(self, held: dict[str, PositionSnapshot], snapshot: VenueSnapshot) -> None:
        parts = self._parts
        kept = [k for k, quantity in enumerate(parts.desk.held.tolist()) if quantity > 0.0]
        for symbol in parts.plan.symbols:
            difference = self._differs(symbol, held)
            if difference == 0.0:
                continue
            known = self.known_quantity(symbol)
            if known != 0.0 and known * difference < 0.0:
                mark = held[symbol].mark_price if symbol in held else 0.0
                self._close_gone(symbol, min(abs(difference), abs(known)), mark)
                difference = self._differs(symbol, held)  # it may have turned round
            if difference != 0.0 and symbol in held:
                self._meet_unknown(symbol, difference, held[symbol])
        # What is gone needs no stop any more.
        listed = {each.client_id for each in snapshot.orders}
        for k in kept:
            if parts.desk.held.item(k) > 0.0:
                self._check_kept(k, listed)

    def _check_kept(self, k: int, listed: set[str]) -> None:
        """A kept position: its stop and targets must rest."""
        parts = self._parts
        missing = []
        for slot in (Slot.STOP, *(Slot.TARGET_1, Slot.TARGET_2, Slot.TARGET_3, Slot.TARGET_4)):
            if parts.desk.statuses.item(k, slot) != OrderStatus.RESTING:
                continue
            orders = parts.orders.of(k, slot)
            if not any(order.request.client_id in listed for order in orders):
                missing.append(slot.name.lower())
        if not missing:
            return
        closes = parts.rules.session.on_unprotected == "close"
        if closes:
            self._execution.ask_close(k, ExitReason.UNPROTECTED)
        parts.alert(
            Level.CRITICAL,
            AlertCode.UNPROTECTED_POSITION_ON_STARTUP,
            f"{parts.symbol_of(k)}: {' and '.join(missing)} missing at the venue; "
            + ("closing at market" if closes else "placing again"),
            k,
        )

    def _meet_unknown(self, symbol: str, difference: float, held: PositionSnapshot) -> None:
        parts = self._parts
        what = f"{symbol}: the venue holds {held.quantity:g} at {held.entry_price:g}"
        free = [k for k in parts.plan.streams_of(symbol) if not parts.desk.held.item(k) > 0.0]
        if parts.rules.session.on_unknown_position == "adopt" and free:
            self._adopt(free[0], difference, held)
            parts.alert(Level.CRITICAL, AlertCode.POSITION_ADOPTED, f"{what}: adopted", free[0])
            return
        if parts.flags.kill_latched:
            parts.alert(
                Level.CRITICAL, AlertCode.UNKNOWN_POSITION, f"{what}: the kill switch closes it"
            )
            return
        self.refusal = (
            f"{what}, which the state does not know; close it, or adopt it with "
            "--set session.on_unknown_position=adopt"
        )
        parts.alert(Level.CRITICAL, AlertCode.UNKNOWN_POSITION, self.refusal)

    def _adopt(self, k: int, quantity: float, held: PositionSnapshot) -> None:
        """The position becomes a trade of stream `k`, with a stop at a fixed distance."""
        parts = self._parts
        side = 1 if quantity > 0.0 else -1
        plan = new(ENTRY_PLAN)
        plan.stop_distance = held.entry_price * parts.rules.session.adopt_stop_fraction
        plan.target_distance = plan.score = float("nan")
        plan.time, plan.price = parts.now, held.entry_price
        minute.readmit(parts.desk.account, parts.stream(k), plan, side, abs(quantity))
        fill = VenueFill(
            trade_id=f"adopted-{parts.now}",
            client_id="",
            venue_order_id="",
            symbol=held.symbol,
            side=side,
            price=held.entry_price,
            quantity=abs(quantity),
            fee_quote=0.0,
            is_maker=False,
            time_ms=parts.now,
            reference_price=held.entry_price,
        )
        request = OrderRequest(
            "", held.symbol, side, OrderKind.MARKET, abs(quantity), stream=k, slot=Slot.ENTRY
        )
        order = WorkingOrder(request, OrderPhase.FILLED, left=abs(quantity))
        self._execution.booking.book_for(k, Slot.ENTRY, fill, order)
        parts.changed = True
        self._execution.sync(k)

    # --- the kill switch -------------------------------------------------------------------------

    def flatten_strays(self, snapshot: VenueSnapshot) -> bool:
        """Close at the venue what no stream knows of; whether nothing is left there."""
        parts = self._parts
        clean = True
        for each in snapshot.positions:
            if each.symbol not in parts.plan.symbols:
                continue
            clean = False
            difference = self._differs(each.symbol, {each.symbol: each})
            if difference != 0.0 and not parts.orders.of(STRAY_STREAM, Slot.CLOSE):
                self.fills.close_stray(each.symbol, difference, ExitReason.KILL_SWITCH)
        for order in snapshot.orders:
            if order.symbol in parts.plan.symbols:
                clean = False
                parts.asked.append(
                    CancelForeign(
                        order.client_id, order.venue_id, order.symbol, order.is_conditional
                    )
                )
        return clean
