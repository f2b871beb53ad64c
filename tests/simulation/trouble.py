"""Faults played in process: what a plan says goes wrong in the world, as its session would see it.

Codes and figures are those of `adapters/simulator/faults.py`. Each has its occasions: requests that
arrive, news of the user stream, prices, bars, commands. A fault that needs something (a position, a
waiting stop) has an occasion only where that is there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from tests.simulation.deeds import HAND_MS, TICK_DEEDS, Deeds
from tests.simulation.world import CARRIED_OUT, TIMEOUT_MS, Calm, Request, Verdict

from tercel.adapters.simulator.faults import Fault, FaultCode, FaultPlan, FaultWatch, Where
from tercel.core.codes import OrderStatus, Slot
from tercel.domain.commands import Command, PlaceOrder
from tercel.domain.events import Answer, Event, FeedNews, Outcome
from tercel.domain.events import Fault as Refused

if TYPE_CHECKING:
    from tests.simulation.world import World

C = FaultCode
TRANSPORT = (C.T1, C.T2, C.T3, C.T4, C.T5, C.T6)
REQUESTS: dict[str, tuple[FaultCode, ...]] = {
    "place": (
        *(C.O1, C.O2, C.O3, C.O4, C.O6, C.O8, C.O14, C.O18, C.L1, C.L2, C.L4, C.C10, C.R3),
        *TRANSPORT,
    ),
    "cancel": (C.O9, C.O10, C.L1, *TRANSPORT),
    "foreign": TRANSPORT,
    "query": TRANSPORT,
    "read": TRANSPORT,
}
ENTRIES = (C.O5, C.C11, C.O12, C.O13)
NEWS = (
    *(C.U1, C.U2, C.U3, C.U4, C.U5, C.U6, C.U7, C.U8, C.U9, C.U11, C.U12, C.O7),
    *(C.T7, C.T8, C.T9, C.T10, C.T11, C.T12, C.T13),
)
BARS = (C.M4, C.M5)
DEATHS = (C.P1, C.P2)
PLAYED: tuple[FaultCode, ...] = tuple(
    dict.fromkeys(
        (
            *(code for codes in REQUESTS.values() for code in codes),
            *ENTRIES,
            *(C.O15, C.O16, C.A1, C.A8, C.A11),
            *NEWS,
            *TICK_DEEDS,
            *BARS,
            *DEATHS,
        )
    )
)
"""Every code that means something without a protocol in between."""
STATES = ("flat", "entering", "open", "exiting", "recovering")
SILENCE_MS = 60_000
"""A stream without a sign of life is taken for dead after so long."""
BAR_MS = 65_000
"""Until the next bar has had the venue read."""
QUIET_MS = 40_000
"""What happens on a stream that tells nothing is read so much later: thrice the pace of two
symbols, and latencies.
"""
RESEND_MS = 5_000
RECOVERING_MS = 20_000
"""A session that goes on from what was kept recovers for so long: what it found is put in order."""


class Trouble(Calm):
    """Plays a plan."""

    is_calm = False

    def __init__(self, plan: FaultPlan) -> None:
        self.plan = plan
        self.hits: Counter[tuple[FaultCode, str]] = Counter()
        """How often each fault struck, by the state it met."""
        self.trail: list[str] = []
        """What struck, and when."""
        self._aims = any(fault.where.stream in STATES for fault in plan.faults)
        """Whether faults name a state of the session as the stream where they strike."""
        self._deaf_ms = (0, 0)
        """(life, until): the user stream of that process brings nothing."""
        self._stall_ms = self._lag_ms = self._lag_until = 0
        self._denied_ms = 0
        self._denial = Answer(Outcome.REFUSED, fault=Refused.DENIED, code=-2015, text="-2015")
        self._old: Event | None = None

    def attach(self, world: World) -> None:
        """The world it disturbs."""
        self._world = world
        self.deeds = Deeds(world, self.excuse, self.deafen)
        self._watch = FaultWatch(self.plan, world.began_ms, self._note)

    @property
    def hands(self) -> set[str]:
        """Symbols in which somebody else holds something for the moment."""
        return self.deeds.hands

    @property
    def unheard_ms(self) -> int:
        """How much later the session knows what happens or has just happened: nobody tells it."""
        return QUIET_MS if self._world.now < self._deaf_ms[1] + QUIET_MS else 0

    @property
    def is_over(self) -> bool:
        """Whether no fault goes on."""
        now = self._world.now
        lasts = (self._denied_ms, self._stall_ms, self._lag_until, self._world.held_until_ms)
        return now >= max(*lasts, self._deaf_ms[1], self.deeds.until_ms)

    def stop(self) -> None:
        """No new fault from now on."""
        self._watch = FaultWatch(FaultPlan((), self.plan.seed), self._world.now, self._note)

    def excuse(self, ms: int) -> None:
        """The session cannot be expected to protect for so long."""
        if self._world.oracle is not None:
            self._world.oracle.excuse(ms)

    def _due(
        self, codes: Iterable[FaultCode], *, endpoint: str = "", stream: str = "", symbol: str = ""
    ) -> Fault | None:
        if not self.plan.faults:
            return None
        if self._aims:
            stream = f"{stream} {self.state()}"
        return self._watch.first_due(codes, Where(endpoint, stream, symbol), self._world.now)

    def _note(self, fault: Fault, now_ms: int) -> None:
        state = self.state()
        self.hits[fault.what, state] += 1
        self.trail.append(f"{(now_ms - self._world.began_ms) / 1000:10.1f} s  {state:10} {fault}")

    def state(self) -> str:
        """What the session is doing."""
        world, session = self._world, self._world.session
        is_fresh = world.crashes > 0 and world.now - world.started_ms < RECOVERING_MS
        if session is None or not session.is_ready or is_fresh:
            return "recovering"
        streams = session.parts.desk.streams
        status = streams["orders"]["status"]
        leaves = status[:, Slot.CLOSE] != OrderStatus.EMPTY
        leaves |= status[:, Slot.STOP] == OrderStatus.TRIGGERED
        leaves |= status[:, Slot.TRAIL] == OrderStatus.TRIGGERED
        if leaves.any() or session.parts.flags.mismatched:
            return "exiting"
        if (status[:, Slot.ENTRY] != OrderStatus.EMPTY).any():
            return "entering"
        held = (streams["position"]["quantity"] > 0.0).any()
        return "open" if held else "flat"

    def on_refusal(self) -> int | None:
        """A session does not start on somebody else's position: a person sees to it, starts it."""
        return 2 * HAND_MS if self.deeds.hands else None

    # --- requests ----------------------------------------------------------------------------

    def on_request(self, request: Request) -> Verdict:
        """A request arrives; while the venue wants to be left alone it does not even leave."""
        now = self._world.now
        if now < self._world.held_until_ms:
            answer = Answer(Outcome.REFUSED, fault=Refused.BUSY, text="left alone")
            return Verdict(processed=False, answer=answer)
        if now < self._denied_ms:
            return Verdict(processed=False, answer=self._denial)
        skew = self._world.skew_ms
        if not -1_000 <= skew <= 5_000:
            answer = Answer(Outcome.REFUSED, fault=Refused.CLOCK, code=-1021, text="-1021")
            return Verdict(processed=False, answer=answer)
        codes = self._codes_of(request)
        fault = self._due(codes, endpoint=request.kind, symbol=request.symbol)
        if fault is None:
            return CARRIED_OUT
        if fault.what in TRANSPORT:
            return self._transport(fault)
        return self._order_fault(fault, request)

    @staticmethod
    def _codes_of(request: Request) -> tuple[FaultCode, ...]:
        codes = REQUESTS[request.kind]
        order = request.order
        if request.kind == "cancel" and request.is_conditional:
            return (*codes, C.A8)
        if order is None:
            return codes
        if not order.reduce_only:
            post_only = (C.O15,) if order.kind == 2 else ()
            return (*codes, *ENTRIES, *post_only)
        return (*codes, C.O16, *((C.A1, C.A11) if order.is_conditional else ()))

    def _transport(self, fault: Fault) -> Verdict:
        what = fault.what
        self.excuse(RESEND_MS + TIMEOUT_MS)
        if what is C.T1:
            return _refused(Refused.BUSY, 0)
        if what in (C.T3, C.T6):
            delay = fault.ms("delay_ms")
            if delay >= TIMEOUT_MS:
                return Verdict(answer=_lost("timeout"), delay_ms=TIMEOUT_MS)
            return Verdict(delay_ms=delay)
        processed = what is C.T5 or fault.figure("processed") > 0.5
        return Verdict(processed, _lost(f"{what}"))

    def _order_fault(self, fault: Fault, request: Request) -> Verdict:
        play: dict[FaultCode, Callable[[], Verdict]] = {
            C.O1: lambda: self._silent(fault, processed=True),
            C.O2: lambda: self._silent(fault, processed=False),
            C.O3: lambda: Verdict(fault.figure("processed") > 0.5, _lost("503")),
            C.O4: lambda: Verdict(fault.figure("processed") > 0.5, _lost("-1007")),
            C.O5: lambda: _refused(Refused.BUSY, -1008),
            C.O6: lambda: Verdict(delay_ms=fault.ms("delay_ms")),
            C.O8: lambda: self._hide(fault, request),
            C.O9: lambda: self.deeds.lose_cancel(request),
            C.O10: lambda: self.deeds.fill_before_cancel(fault, request),
            C.O12: lambda: self.deeds.thin_book(fault, request),
            C.O13: lambda: self.deeds.steps_in_book(fault, request),
            C.O14: lambda: Verdict(answer=_refused(Refused.DUPLICATE, -4116).answer),
            C.O15: lambda: _refused(Refused.WOULD_CROSS, -5022),
            C.O16: lambda: _refused(Refused.REDUCE_ONLY, -2022),
            C.O18: lambda: _refused(Refused.FILTER, -4131),
            C.A1: lambda: _refused(Refused.WOULD_TRIGGER, -2021),
            C.A8: lambda: _refused(Refused.TRIGGERING, -4117),
            C.A11: lambda: _refused(Refused.OTHER, -4045),
            C.C10: lambda: self._deny(30_000, Refused.DENIED, -2015),
            C.C11: lambda: _refused(Refused.MARGIN, -2019),
            C.R3: lambda: self._deny(fault.ms("duration_ms"), Refused.BUSY, -1016),
            C.L1: lambda: self._leave_alone(fault),
            C.L2: lambda: self._leave_alone(fault),
            C.L4: lambda: _refused(Refused.BUSY, -1015),
        }
        self.excuse(RESEND_MS)
        return play[fault.what]()

    def _silent(self, fault: Fault, *, processed: bool) -> Verdict:
        """The client waits for its answer until it gives up."""
        delay = max(fault.ms("delay_ms"), 1_000)
        self.excuse(TIMEOUT_MS + RESEND_MS)
        return Verdict(processed, _lost("no answer"), min(delay, TIMEOUT_MS))

    def _hide(self, fault: Fault, request: Request) -> Verdict:
        self._world.venue.hidden[request.client_id] = self._world.now + fault.ms("duration_ms")
        return CARRIED_OUT

    def _deny(self, duration_ms: int, refused: Refused, code: int) -> Verdict:
        self._denied_ms = self._world.now + duration_ms
        self._denial = Answer(Outcome.REFUSED, fault=refused, code=code, text=str(code))
        self.excuse(duration_ms + BAR_MS)
        return Verdict(processed=False, answer=self._denial)

    def _leave_alone(self, fault: Fault) -> Verdict:
        wait_ms = round(fault.figure("retry_after_seconds") * 1000)
        self._world.held_until_ms = self._world.now + wait_ms
        self.excuse(wait_ms + RESEND_MS)
        return _refused(Refused.BUSY, -1003)

    # --- the user stream ---------------------------------------------------------------------

    def on_news(self, channel: str, event: Event) -> tuple[int, ...]:
        """An event leaves the venue."""
        now = self._world.now
        life, until = self._deaf_ms
        if life == self._world.life and now < until:
            return ()
        fault = self._due(NEWS, stream=channel)
        lag = self._lag_ms if now < self._lag_until else 0
        if now < self._stall_ms:
            lag = self._stall_ms - now
        old, self._old = self._old, event
        if fault is None:
            return (lag,)
        what = fault.what
        if what is C.U1:
            return (lag, lag + 40)
        if what in (C.U2, C.U11):
            self.excuse(BAR_MS)
            return ()
        if what is C.U3:
            self.excuse(BAR_MS)
            return (lag + 1_500,)
        if what is C.U4 and old is not None:
            self._world.in_flight += 1
            self._world.push(now + 200, self._world.deliver, (now, old))
            return (lag,)
        if what is C.O7:
            self.excuse(BAR_MS)
            return (fault.ms("delay_ms"),)
        if what is C.T11:
            self._stall_ms = now + fault.ms("duration_ms")
            self.excuse(fault.ms("duration_ms") + RESEND_MS)
            return (self._stall_ms - now,)
        if what is C.T12:
            self._lag_ms, self._lag_until = fault.ms("delay_ms"), now + 60_000
            self.excuse(60_000 + RESEND_MS)
            return (self._lag_ms,)
        if what is C.U9:
            self.deafen(0, told_ms=1)
            return ()
        self._cut(fault)
        return ()

    def _cut(self, fault: Fault) -> None:
        """The stream dies: at once and said so, or without a word until somebody notices."""
        if fault.what in (C.T8, C.U12):
            lasts = min(fault.ms("duration_ms"), SILENCE_MS)
            self.deafen(lasts, told_ms=SILENCE_MS if lasts == SILENCE_MS else -1)
        elif fault.what in (C.U6, C.U8):
            self.deafen(SILENCE_MS, told_ms=SILENCE_MS)
        else:
            self.deafen(3_000, told_ms=500)

    def deafen(self, lasts_ms: int, *, told_ms: int) -> None:
        """The user stream brings nothing for `lasts_ms`; the session is told after `told_ms` (-1:
        never), and again when it is back.
        """
        world = self._world
        until = world.now + lasts_ms
        self._deaf_ms = (world.life, until)
        if told_ms >= 0:
            world.push(world.now + told_ms, self._tell, (world.life, False))
            world.push(max(until, world.now + told_ms) + 500, self._tell, (world.life, True))

    def _tell(self, what: tuple[int, bool]) -> None:
        life, is_up = what
        if life == self._world.life:
            self._world.hand(FeedNews(self._world.now, "user", is_up, "a fault"))

    # --- the market, and the process ---------------------------------------------------------

    def on_tick(self, symbol: str, price: Decimal) -> Decimal | None:
        """A price is due."""
        codes = self.deeds.possible(symbol, price)
        fault = self._due(codes, symbol=symbol)
        return self.deeds.tick(fault, symbol, price)

    def on_bar(self) -> int | None:
        """A bar has closed."""
        fault = self._due(BARS, stream="market")
        if fault is None:
            return 0
        self.excuse(BAR_MS)
        return fault.ms("delay_ms") if fault.what is C.M4 else None

    def on_command(self, command: Command) -> None:
        """A command is about to be carried out: here the process may die."""
        if self._world.session is None:
            return
        fault = self._due(DEATHS, endpoint=type(command).__name__)
        if fault is not None:
            is_send = isinstance(command, PlaceOrder)
            short = 1_000 + 4_000 * int(is_send)
            self._world.crash(short if fault.what is C.P1 else 180_000)


def _lost(why: str) -> Answer:
    return Answer(Outcome.AMBIGUOUS, text=why)


def _refused(fault: Refused, code: int) -> Verdict:
    answer: Any = Answer(Outcome.REFUSED, fault=fault, code=code, text=str(code))
    return Verdict(processed=False, answer=answer)
