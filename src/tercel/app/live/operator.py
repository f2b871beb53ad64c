"""What an operator asks of a session, and what its own kill switches do: pause, automation, kill,
stop.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tercel.app.live.alerts import AlertCode
from tercel.app.live.breaker_status import COOL_DOWNS, cool_downs_of
from tercel.app.live.execution import Execution
from tercel.app.live.parts import SessionParts
from tercel.app.live.recovery import Recovery
from tercel.core import breakers, minute
from tercel.core.codes import ExitReason, OrderStatus, Refusal, Slot
from tercel.domain.commands import EndSession, Level
from tercel.domain.events import FundingPaid, Operation, OperatorAsked
from tercel.domain.orders import VenueSnapshot
from tercel.domain.times import to_datetime

if TYPE_CHECKING:
    from tercel.app.live.ghost import Beside

KILL_HALTS = (Refusal.KILL_24H, Refusal.KILL_SESSION, Refusal.EQUITY_EXHAUSTED)
REARM = "`tercel kill --rearm` ends it, then `tercel automation on`"


def kill_halt(parts: SessionParts) -> Refusal:
    """Which kill switch of its own has stopped the account, NONE: none has.

    One that goes on by itself is that of a backtest, and so is a replay's: there the core closes at
    each stream's next bar, and nothing here may be ahead of it.
    """
    if not parts.desk.is_stopped:
        return Refusal.NONE
    account = parts.desk.account
    halted = Refusal.EQUITY_EXHAUSTED if account.exhausted else Refusal(int(account.halted))
    if halted not in KILL_HALTS or parts.rules.is_exact:
        return Refusal.NONE
    return Refusal.NONE if int(account.limits.resume_after_ms) > 0 else halted


def positions_told(parts: SessionParts) -> str:
    """Every open position and whether its stop rests, in words; empty: there is none.

    Where the venue is simulated nothing rests anywhere: a stop lives and ends with this process.
    """
    is_simulated = parts.rules.mode != "live"
    told = []
    for k in parts.desk.busy():
        position = parts.stream(k).position
        if not position.quantity > 0.0:
            continue
        stop = parts.stream(k).orders[Slot.STOP]
        rests = parts.is_protected(k)
        where = "rests" if rests else "is not known to rest"
        if is_simulated:
            where = "simulated in this process" if rests else "not simulated yet"
        side = "long" if position.side > 0 else "short"
        told.append(
            f"{parts.symbol_of(k)} {side} {float(position.quantity):g}, stop "
            f"{float(stop.price):.10g} {where}"
        )
    return "; ".join(told)


def entries_told(parts: SessionParts) -> str:
    """Why the whole session makes no entries, and what ends that; empty: it makes them."""
    flags, halted = parts.flags, Refusal(int(parts.desk.account.halted))
    if flags.kill_latched:
        return f"no entries: the kill switch is latched ({flags.kill_latched}); {REARM}"
    if parts.desk.account.exhausted:
        return "no entries: nothing is left of the capital"
    if halted in KILL_HALTS:
        return f"no entries: {halted.name.lower()} has stopped the account; {REARM}"
    if halted or flags.is_paused:
        what = halted.name.lower() if halted else "paused"
        return f"no entries: {what}; `tercel resume` ends it"
    if not flags.automation:
        return "no entries: signals are only watched; `tercel automation on` trades them"
    return ""


class Operator:
    """Moves the flags, and sees kill and stop through to their end."""

    def __init__(
        self, parts: SessionParts, execution: Execution, recovery: Recovery, beside: Beside
    ) -> None:
        self._parts = parts
        self._execution = execution
        self._recovery = recovery
        self._beside = beside
        self._kill_is_open = False
        """A kill is under way: not everything is verified to be closed."""
        self._kill_is_verified = False
        """One was seen through, and the switch has been latched since."""
        self._is_met = not parts.rules.reads_venue
        """Whether the venue has said what is open: before, nothing is closed."""
        self._at_rest_ms = 0
        """Since when nothing is held and no order rests or is on its way, while the switch is
        latched; 0: something is.
        """
        self._cooling: dict[tuple[str, str], int] | None = None
        """Until when each cool-down lasts that is journaled, or was there at the first event; None:
        no event has come yet.
        """
        self._stop_ms = 0
        self._exit = (0, "")
        self._ended = False

    def on_asked(self, event: OperatorAsked) -> None:
        """Carry out a command of the operator."""
        operations = {
            Operation.PAUSE: self._pause,
            Operation.RESUME: self._resume,
            Operation.AUTOMATION_ON: self._automation_on,
            Operation.AUTOMATION_OFF: self._automation_off,
            Operation.REARM: self._rearm,
        }
        origin = event.origin or "operator"
        if event.operation is Operation.KILL:
            self.kill(f"asked by {origin}")
        elif event.operation is Operation.STOP:
            self.stop(f"asked by {origin}")
        elif event.operation is Operation.FLATTEN:
            self._flatten()
        else:
            operations[event.operation](origin)
        self._parts.changed = True

    # --- entries ---------------------------------------------------------------------------------

    def _pause(self, origin: str) -> None:
        self._parts.flags.is_paused = True
        self._withdraw_entries(Refusal.PAUSED)
        self._parts.alert(Level.WARNING, AlertCode.PAUSED, f"asked by {origin}")

    def _resume(self, origin: str) -> None:
        parts = self._parts
        if parts.flags.kill_latched:
            parts.alert(
                Level.WARNING,
                AlertCode.REFUSED_OPERATION,
                "the kill switch is latched (tercel kill --rearm)",
            )
            return
        parts.flags.is_paused = False
        halted = int(parts.desk.account.halted)
        if halted and Refusal(halted) not in KILL_HALTS:
            breakers.resume(parts.desk.account)
            parts.recorder.breaker(parts.now, Refusal(halted), "resumed")
            parts.alert(Level.INFO, AlertCode.BREAKER_RESUMED, Refusal(halted).name.lower())
        parts.alert(Level.INFO, AlertCode.RESUMED, f"asked by {origin}")

    def _automation_on(self, origin: str) -> None:
        parts = self._parts
        if parts.flags.kill_latched or int(parts.desk.account.halted) in KILL_HALTS:
            parts.alert(
                Level.WARNING,
                AlertCode.REFUSED_OPERATION,
                "automation stays off: the kill switch is latched (tercel kill --rearm)",
            )
            return
        if not parts.flags.automation:
            parts.flags.automation = True
            self._beside.reset_ghost()
        parts.alert(Level.INFO, AlertCode.AUTOMATION_ON, f"asked by {origin}")

    def _automation_off(self, origin: str) -> None:
        self._parts.flags.automation = False
        self._withdraw_entries(Refusal.AUTOMATION_OFF)
        self._parts.alert(Level.WARNING, AlertCode.AUTOMATION_OFF, f"asked by {origin}")

    def _withdraw_entries(self, refusal: Refusal) -> None:
        parts = self._parts
        for k in range(len(parts.desk.rows)):
            stream = parts.stream(k)
            if stream.orders[Slot.ENTRY].status != OrderStatus.EMPTY:
                minute.withdraw_entry(parts.desk.account, stream, int(refusal))
                parts.desk.touch(k)
                self._execution.sync(k)

    def _close_all(self, reason: ExitReason, refusal: Refusal) -> None:
        self._withdraw_entries(refusal)
        for k in range(len(self._parts.desk.rows)):
            stream = self._parts.stream(k)
            closing = stream.orders[Slot.CLOSE].status != OrderStatus.EMPTY
            if stream.position.quantity > 0.0 and not closing:
                self._execution.ask_close(k, reason)
                self._parts.changed = True

    def _flatten(self) -> None:
        """The data ends: what is still being closed is closed by that, whatever it was asked for
        before.
        """
        for k in range(len(self._parts.desk.rows)):
            self._parts.stream(k).orders[Slot.CLOSE].status = OrderStatus.EMPTY
        self._close_all(ExitReason.END_OF_DATA, Refusal.NO_LIQUIDITY)

    # --- kill ------------------------------------------------------------------------------------

    def kill(self, why: str) -> None:
        """Cancel everything, flatten, verify by asking the venue, latch."""
        parts = self._parts
        parts.flags.kill_latched = why
        parts.flags.automation = False
        self._begin_kill()
        parts.alert(Level.CRITICAL, AlertCode.KILL_SWITCH, why)

    def see_kill_through(self) -> None:
        """A restart with the switch latched: whatever cut it short, it is finished and verified."""
        self._begin_kill()

    def _begin_kill(self) -> None:
        self._kill_is_open, self._kill_is_verified = True, False
        self._close_all(ExitReason.KILL_SWITCH, Refusal.KILLED)

    def _go_on_with_kill(self) -> None:
        """Close what is there, and ask the venue once nothing is known to be."""
        parts = self._parts
        if not (self._kill_is_open or self._kill_is_verified or parts.rules.reads_venue):
            self.see_kill_through()  # no reading of a start does
        if self._kill_is_verified and not parts.desk.is_flat():
            self._begin_kill()
            told = "something filled after the kill was verified: it is closed, too"
            parts.alert(Level.CRITICAL, AlertCode.KILL_SWITCH, told)
        if self._kill_is_open and not parts.desk.is_flat():
            # An entry may have filled after the switch: it is closed as well.
            self._close_all(ExitReason.KILL_SWITCH, Refusal.KILLED)
        if not parts.is_at_rest:
            self._at_rest_ms = 0
            return
        self._at_rest_ms = self._at_rest_ms or parts.now
        if not self._kill_is_open:
            return
        if not parts.rules.reads_venue:
            self._verified("nothing is open")
        elif self._may_read():
            parts.read_venue()

    def on_halt(self, refusal: Refusal) -> None:
        """A breaker of the account has just stopped it."""
        parts = self._parts
        parts.recorder.breaker(parts.now, refusal, "halted")
        parts.changed = True
        self._close_halted()
        self._execution.sync_busy()
        if refusal in KILL_HALTS and int(parts.desk.account.limits.resume_after_ms) == 0:
            parts.flags.automation = False
        level = Level.CRITICAL if refusal in KILL_HALTS else Level.WARNING
        parts.alert(level, AlertCode.CIRCUIT_BREAKER_TRIGGERED, refusal.name.lower())

    def _close_halted(self) -> None:
        """A kill switch of the account's own closes at once, also what has no bar: a feed that is
        gone must not keep a position open. What fills after it is closed as well.
        """
        if not self._is_met or self._parts.desk.is_flat():
            return
        if halted := kill_halt(self._parts):
            is_ruin = halted is Refusal.EQUITY_EXHAUSTED
            reason = ExitReason.EQUITY_EXHAUSTED if is_ruin else ExitReason.KILL_SWITCH
            self._close_all(reason, halted)

    def _rearm(self, origin: str) -> None:
        parts = self._parts
        if why := self._unfinished():
            parts.alert(Level.WARNING, AlertCode.REFUSED_OPERATION, why)
            return
        parts.flags.kill_latched = ""
        parts.flags.automation = False
        self._withdraw_entries(Refusal.AUTOMATION_OFF)
        self._kill_is_verified, self._at_rest_ms = False, 0
        lifted = ""
        if halted := int(parts.desk.account.halted):
            breakers.resume(parts.desk.account)
            parts.recorder.breaker(parts.now, Refusal(halted), "resumed")
            lifted = f"{Refusal(halted).name.lower()} is lifted, its losses count from now; "
        parts.alert(
            Level.WARNING, AlertCode.KILL_REARMED, f"asked by {origin}; {lifted}automation is off"
        )

    def _unfinished(self) -> str:
        """What of a kill is not done, in words; empty: there is none, or it is."""
        parts = self._parts
        if parts.flags.kill_latched and not self._kill_is_verified:
            if self._kill_is_open and not parts.is_at_rest:
                return "the kill switch is still closing positions"
            return "the kill is not verified: the venue has not said yet that nothing is open"
        if halted := kill_halt(parts):
            if not self._is_met:
                return f"{halted.name.lower()}: the venue has not said yet what is open"
            if not parts.is_at_rest:
                return f"{halted.name.lower()} is still closing positions"
        return ""

    def on_snapshot(self, snapshot: VenueSnapshot, asked_ms: int) -> None:
        """The venue was read: it verifies a kill under way, unless it was asked while an order was
        on its way, which such a picture may not have yet.
        """
        self._is_met = self._is_met or not self._recovery.refusal
        if not self._kill_is_open or not self._parts.desk.is_flat():
            return
        is_clean = self._recovery.flatten_strays(snapshot)
        if is_clean and 0 < self._at_rest_ms <= asked_ms and not self._parts.orders.live():
            self._verified("the venue was asked: flat, no orders")

    def _verified(self, text: str) -> None:
        self._kill_is_open, self._kill_is_verified = False, True
        self._parts.changed = True
        self._parts.alert(Level.CRITICAL, AlertCode.KILL_VERIFIED, text)

    # --- stop ------------------------------------------------------------------------------------

    def stop(self, why: str, exit_code: int = 0) -> None:
        """End the session: entries are withdrawn, protection stays at rest."""
        parts = self._parts
        if self._stop_ms:
            return
        self._stop_ms = parts.now
        self._exit = (exit_code, why)
        parts.flags.is_stopping = True
        self._withdraw_entries(Refusal.PAUSED)

    def go_on(self) -> None:
        """After every event: see a kill and a stop through, and cool-downs begin."""
        parts = self._parts
        if self._cooling is None or self._execution.booking.trades:
            self._note_cool_downs()
        if parts.flags.kill_latched:
            self._go_on_with_kill()
        self._close_halted()
        if self._recovery.wallet.is_due() and self._may_read():
            parts.read_venue()
        if not self._stop_ms or self._ended:
            return
        # What was sent is waited for, so that a target on its way is not missing at the next start.
        # So is a kill, and a close that is held back until it is sent again.
        unfinished = self._unfinished()
        waits = (
            bool(parts.doubted_ms)
            or bool(self._execution.naked_since)
            or bool(unfinished)
            or any(parts.desk.statuses[:, Slot.CLOSE].tolist())
            or any(
                order.request.slot is Slot.ENTRY or not order.rests or order.cancel_ms
                for order in parts.orders.live()
            )
        )
        if waits and parts.now - self._stop_ms < parts.rules.session.stop_ms_max // 2:
            return
        self._ended = True
        code, why = self._exit
        if unfinished:
            code, why = code or 1, f"{why}; {unfinished}: look at the venue"
        parts.changed = True
        left = positions_told(parts)
        parts.alert(
            Level.INFO, AlertCode.SESSION_ENDED, f"{why}; left open: {left}" if left else why
        )
        parts.asked.append(EndSession(code, why))

    def _note_cool_downs(self) -> None:
        """Finished trades may have begun some."""
        parts, known = self._parts, self._cooling
        found = {
            (each.name, each.of): each.until_ms
            for each in cool_downs_of(parts.plan, parts.desk, parts.now)
        }
        for (name, of), until_ms in found.items():
            if known is not None and known.get((name, of), 0) < until_ms:
                until = f"{to_datetime(until_ms):%Y-%m-%d %H:%M:%S}"
                parts.recorder.breaker(
                    parts.now, COOL_DOWNS[name], f"cools down {of} until {until}"
                )
        self._cooling = found

    def _may_read(self) -> bool:
        """Not at the pace at which a venue that cannot be read says so."""
        parts = self._parts
        return parts.now - parts.venue_read_ms >= parts.rules.session.query_ms

    # --- funding ---------------------------------------------------------------------------------

    def book_funding(self, event: FundingPaid) -> None:
        """A settlement goes to the streams that hold the symbol, by their share."""
        parts = self._parts
        parts.changed = True
        account = parts.desk.account
        if event.stream >= 0:
            minute.book_funding(account, parts.stream(event.stream), event.amount_quote)
            parts.desk.touch(event.stream)
            return
        holders = [
            k
            for k in parts.plan.streams_of(event.symbol)
            if parts.stream(k).position.quantity > 0.0
        ]
        held = sum(float(parts.stream(k).position.quantity) for k in holders)
        for k in holders:
            share = float(parts.stream(k).position.quantity) / held
            minute.book_funding(account, parts.stream(k), event.amount_quote * share)
            parts.desk.touch(k)
        if not holders:
            account.funding_quote += event.amount_quote
            account.cash_quote += event.amount_quote
