"""A world in virtual time: one session, one simulated exchange, and the distance between them.

One heap of timed things, one thread, no clock: requests arrive after a drawn latency and are
answered after another, the user stream has latencies of its own, prices come four a minute, bars
after their close. What goes wrong is `Trouble`'s business (`trouble.py`); without it nothing does.

A session's timer fires only while something is pending: at all other times a look at the deadlines
finds nothing due, and a quiet hour costs sixty bars.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np
from tests.simulation.market import MINUTE_MS, OFFSETS_MS, Market
from tests.simulation.scene import BALANCE, Scene, exchange_rules, session_plan, session_rules
from tests.simulation.switch import Switch
from tests.simulation.venue import SimulatedVenue

from tercel.adapters.simulator.exchange.exchange import Exchange
from tercel.app.live.recorder import Recorder
from tercel.app.live.session import Session, SessionMemory
from tercel.app.signals import unknown_context
from tercel.core.codes import Slot
from tercel.core.records import Records
from tercel.domain.commands import (
    Alert,
    CancelForeign,
    CancelOrder,
    Command,
    EndSession,
    PlaceOrder,
    QueryOrder,
    ReadVenue,
    SaveState,
)
from tercel.domain.events import (
    Answer,
    BarsClosed,
    CancelAnswered,
    Event,
    FeedNews,
    MarketView,
    Operation,
    OperatorAsked,
    OrderFound,
    Placed,
    TimerFired,
    VenueRead,
)
from tercel.domain.orders import OrderRequest, VenueSnapshot
from tercel.domain.session_state import SessionState

if TYPE_CHECKING:
    from tests.simulation.oracle import Oracle

START_MS = 1_704_067_200_000  # 2024-01-01 00:00 UTC
TIMEOUT_MS = 10_000
"""A request without an answer is given up."""
CLOSE = int(Slot.CLOSE)
DRAWS = 8_192
"""Latencies drawn at a time."""


class QuietRecorder(Recorder):
    """Writes nothing: what a run costs is the session's own work."""


def _nothing(self: Recorder, *_: Any, **__: Any) -> None:
    """No row."""


for _name in (
    *("input", "evaluation", "signal", "refusal", "intent", "order", "fill", "trades"),
    *("account", "positions", "breaker", "feed", "alert"),
):
    setattr(QuietRecorder, _name, _nothing)


@dataclass(slots=True, eq=False)
class Request:
    """One call on its way."""

    kind: str
    """place, cancel, query, read, or foreign: the cancel of an order that is not known."""
    life: int
    """Of the session that sent it."""
    symbol: str = ""
    client_id: str = ""
    is_conditional: bool = False
    order: OrderRequest | None = None
    since_ms: int = 0
    symbols: tuple[str, ...] = ()
    asked_ms: int = 0


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of a request at the venue."""

    processed: bool = True
    answer: Answer | None = None
    """Instead of the venue's own."""
    delay_ms: int = 0
    """Before the answer leaves."""


CARRIED_OUT = Verdict()


class Calm:
    """Nothing goes wrong. `Trouble` overrides what it disturbs."""

    is_calm = True

    @property
    def hands(self) -> set[str]:
        """Symbols in which somebody else holds something for the moment."""
        return set()

    @property
    def unheard_ms(self) -> int:
        """How much later than usual the session knows what happens, ms."""
        return 0

    def attach(self, world: World) -> None:
        """The world it may disturb."""

    def on_request(self, request: Request) -> Verdict:
        """A request has arrived at the venue."""
        return CARRIED_OUT

    def on_news(self, channel: str, event: Event) -> tuple[int, ...]:
        """Extra delays of an event of the user stream, ms: one for each time it is delivered."""
        return (0,)

    def on_tick(self, symbol: str, price: Decimal) -> Decimal | None:
        """A price is due; None: the exchange has been told already."""
        return price

    def on_bar(self) -> int | None:
        """How much later a bar comes, ms; None: never."""
        return 0

    def on_command(self, command: Command) -> None:
        """A command is about to be carried out."""

    def on_refusal(self) -> int | None:
        """A session has refused to start: when it is started again, ms; None: never."""
        return None


class World:
    """See the module's docstring."""

    def __init__(
        self,
        scene: Scene,
        trouble: Calm | None = None,
        oracle: Oracle | None = None,
        *,
        journals: bool = False,
    ) -> None:
        self.scene = scene
        self.plan = session_plan(scene)
        self.rules = session_rules(scene)
        self.now = self.began_ms = START_MS
        self.exchange = Exchange(exchange_rules(scene), balance_quote=BALANCE, seed=scene.seed)
        self.venue = SimulatedVenue(self.exchange)
        self.symbols = tuple(walk.symbol for walk in scene.walks)
        walks = [replace(walk, step=walk.step * scene.haste) for walk in scene.walks]
        self.markets = [Market(walk, START_MS, scene.seed) for walk in walks]
        for symbol in self.symbols if scene.is_isolated else ():
            self.exchange.set_margin_type(symbol, True, self.now)
        self.session: Session | None = None
        self._saved: SaveState | None = None
        self.life = 0
        self.started_ms = 0
        self.crashes = 0
        self.skew_ms = 0
        """Of the venue's clock against ours."""
        self.steps = 0
        """Places where a process can die: before each command, and before each event is taken."""
        self.dies_at: int | None = None
        self.downtime_ms = 5_000
        self.cuts_sent = False
        """Whether requests that have not arrived die with their process."""
        self.ended: EndSession | None = None
        self.alerts: list[Alert] = []
        self.in_flight = 0
        """Requests and news on their way."""
        self.held_until_ms = 0
        """Until then the adapter sends nothing: the venue asked for it."""
        self._journals = journals
        self._heap: list[tuple[int, int, Callable[[Any], None], Any]] = []
        self._number = 0
        self._minute_ms = START_MS
        self._news_ms = {"order": 0, "algo": 0, "account": 0}
        self._timer_is_set = False
        self._look_ms = 0
        """When the session's timer fires though nothing is pending; 0: it does not."""
        self._turn_waits = False
        """The next decision of a close waits for the store of the one before."""
        self._later: list[BarsClosed] = []
        """Bars that came meanwhile."""
        self._draw = np.random.default_rng([scene.seed, 2])
        self._latencies: list[int] = []
        self._context = unknown_context()
        self._carriers: dict[type[Any], Callable[[Any], None]] = {
            SaveState: self._save,
            PlaceOrder: self._place,
            CancelOrder: self._cancel,
            QueryOrder: self._query,
            CancelForeign: self._cancel_foreign,
            ReadVenue: self._read,
            EndSession: self._end,
            Alert: self._tell,
        }
        self.switch = Switch(self, scene.kill_chance)
        self.trouble = trouble or Calm()
        self.oracle = oracle
        self.trouble.attach(self)
        if oracle is not None:
            oracle.attach(self)
        self._start(None)

    # --- time --------------------------------------------------------------------------------

    def push(self, at_ms: int, do: Callable[[Any], None], what: Any = None) -> None:
        """`do(what)` at `at_ms`, in the order of pushing among equals."""
        self._number += 1
        heapq.heappush(self._heap, (max(at_ms, self.now), self._number, do, what))

    def latency(self) -> int:
        """One way, ms."""
        if not self._latencies:
            low, high = self.scene.latency_ms
            self._latencies = self._draw.integers(low, high + 1, DRAWS).tolist()
        return self._latencies.pop()

    def run_until(self, to_ms: int) -> None:
        """Everything that is due up to `to_ms`."""
        heap = self._heap
        while heap and heap[0][0] <= to_ms:
            at, _, do, what = heapq.heappop(heap)
            self.now = at
            do(what)
        self.now = to_ms

    def run_minutes(self, count: int) -> None:
        """`count` minutes of the market."""
        for _ in range(count):
            start = self._minute_ms
            minutes = [market.minute() for market in self.markets]
            for place, offset in enumerate(OFFSETS_MS):
                self.run_until(start + offset)
                for symbol, (prices, _) in zip(self.symbols, minutes, strict=True):
                    self._tick(symbol, prices[place])
            self._minute_ms = start + MINUTE_MS
            self._close_bars([bar for _, bar in minutes])
        self.run_until(self._minute_ms + OFFSETS_MS[0] - 1)

    def run_hours(self, hours: float) -> None:
        """The same in hours."""
        self.run_minutes(round(hours * 60))

    # --- the market --------------------------------------------------------------------------

    @property
    def venue_now(self) -> int:
        """The venue's clock."""
        return self.now + self.skew_ms

    def _tick(self, symbol: str, price: Decimal) -> None:
        due = self.trouble.on_tick(symbol, price)
        if due is not None:
            self.exchange.on_price(symbol, due, self.venue_now)
        self.flush()
        if self.oracle is not None:
            self.oracle.look_at(symbol)

    def _close_bars(self, bars: list[Records]) -> None:
        late = self.trouble.on_bar()
        if late is None:
            return
        series = tuple(range(len(bars)))
        every = bars[0] if len(bars) == 1 else np.concatenate(bars)
        contexts = self._context if len(bars) == 1 else np.repeat(self._context, len(bars))
        wait = self.latency() + late
        ticks = [float(market.walk.tick) for market in self.markets]
        views = tuple(
            MarketView(close - tick, close + tick, wait)
            for close, tick in zip(every["close"].tolist(), ticks, strict=True)
        )
        event = BarsClosed(self._minute_ms + wait, series, every, contexts, views)
        self.push(self._minute_ms + wait, self._bars_arrive, event)

    def _bars_arrive(self, event: BarsClosed) -> None:
        if self.session is not None:
            self.hand(event)

    @property
    def saved(self) -> SessionState:
        """What was kept last: all that a crash leaves."""
        return SessionState() if self._saved is None else self._saved.state

    # --- the session -------------------------------------------------------------------------

    def _start(self, _: Any) -> None:
        self.life += 1
        self.started_ms = self.now
        session_id = f"s{self.life}"
        self.session = Session(self.plan, self.rules, SessionMemory(self.saved, session_id))
        if not self._journals:
            self.session.parts.recorder = QuietRecorder(
                self.plan, session_id, every_evaluation=False
            )
        self._timer_is_set = self._turn_waits = False
        self._look_ms = 0
        self._later.clear()
        self.hand(TimerFired(self.now))
        self.push(self.now + self.latency(), self._stream_is_up, self.life)

    def _stream_is_up(self, life: int) -> None:
        if life == self.life:
            self.hand(FeedNews(self.now, "user", True, "connected"))

    def crash(self, downtime_ms: int) -> None:
        """The process dies here and now; another one starts later with what was saved."""
        self.crashes += 1
        self.session = None
        self.life += 1
        if self.oracle is not None:
            self.oracle.on_crash(downtime_ms)
        self.push(self.now + downtime_ms, self._start)

    def hand(self, event: Event) -> None:
        """Hand an event to the session, carry out what it asks for, and its own turns."""
        session = self.session
        if session is None:
            return
        if self._turn_waits and isinstance(event, BarsClosed):
            self._later.append(event)
            return
        self._take(session, event)
        if not self._turn_waits:
            self._decide(session)

    def _take(self, session: Session, event: Event) -> bool:
        """One event, carried out; whether an order was sent that waited for the store."""
        if self._dies():
            return False
        has_sent = False
        for command in session.handle(event):
            self.trouble.on_command(command)
            if self.session is not session or self._dies():
                return False
            self._carry_out(command)
            has_sent = has_sent or isinstance(command, PlaceOrder | CancelOrder)
        return has_sent

    def _decide(self, session: Session) -> None:
        """What the session asks itself, and whatever follows an event."""
        while self.session is session and (turn := session.next_turn()) is not None:
            # As of now, as the runner dates it.
            if self._take(session, replace(turn, time_ms=self.now)) and self.scene.store_ms:
                self._turn_waits = True
                wait = int(self._draw.integers(1, self.scene.store_ms + 1))
                self.push(self.now + wait, self._decide_on, self.life)
                break
        if self.session is not session:
            return
        if self.oracle is not None:
            self.oracle.look()
        if not self._timer_is_set and self._is_pending(session):
            self._timer_is_set = True
            self.push(self.now + self.rules.session.timer_ms, self._timer, self.life)
        self._look_later(session)

    def _look_later(self, session: Session) -> None:
        """A look at when a stream may have told nothing for too long, or a reading is overdue."""
        asked_ms, rules = session.parts.venue_asked_ms, self.rules.session
        due_ms = asked_ms + rules.silent_ms_max + 1 if asked_ms else session.hearing.due_ms()
        if due_ms and (self._look_ms == 0 or due_ms < self._look_ms):
            self._look_ms = max(due_ms, self.now + rules.timer_ms)
            self.push(self._look_ms, self._look_again, (self.life, self._look_ms))

    def _decide_on(self, life: int) -> None:
        """The store is done: the next decision of the close, and bars that waited for them all."""
        if life != self.life or self.session is None:
            return
        self._turn_waits = False
        self._decide(self.session)
        while self._later and not self._turn_waits:
            self.hand(self._later.pop(0))

    def ask(self, operation: Operation) -> None:
        """The operator speaks."""
        self.hand(OperatorAsked(self.now, operation, "test"))

    def _dies(self) -> bool:
        self.steps += 1
        if self.dies_at != self.steps:
            return False
        self.dies_at = None
        self.crash(self.downtime_ms)
        return True

    def _timer(self, life: int) -> None:
        if life == self.life and self.session is not None:
            self._timer_is_set = False
            self.hand(TimerFired(self.now))

    def _look_again(self, what: tuple[int, int]) -> None:
        """It is then: where something has come meanwhile, a later moment is."""
        if what != (self.life, self._look_ms) or self.session is None:
            return  # an earlier one took its place
        self._look_ms = 0
        parts, silent_ms = self.session.parts, self.rules.session.silent_ms_max
        is_due = 0 < self.session.hearing.due_ms() <= self.now
        if is_due or (parts.venue_asked_ms and self.now - parts.venue_asked_ms > silent_ms):
            self.hand(TimerFired(self.now))
        else:
            self._look_later(self.session)

    @staticmethod
    def _is_pending(session: Session) -> bool:
        parts, execution, operator = session.parts, session.execution, session.operator
        if (
            parts.wants_read
            or parts.flags.mismatched
            or not session.is_ready
            or session.hearing.is_down
            or session.hearing.untold
            or execution.naked_since
            or execution._held
            or operator._kill_is_open
            or operator._stop_ms
            or session.recovery.wallet.since_ms
        ):
            return True
        for order in parts.orders.live():
            if not order.rests or order.cancel_ms or order.unknown_ms or order.is_unsettled:
                return True
            if order.triggered_ms or order.beyond_ms:
                return True
        return any(parts.desk.statuses[:, CLOSE].tolist())

    # --- requests ----------------------------------------------------------------------------

    def _carry_out(self, command: Command) -> None:
        do = self._carriers.get(type(command))
        if do is not None:
            do(command)

    def _save(self, command: SaveState) -> None:
        self._saved = command

    def _place(self, command: PlaceOrder) -> None:
        order = command.request
        self.switch.on_order(order)
        self._send(
            Request("place", self.life, order.symbol, order.client_id, order.is_conditional, order)
        )

    def _cancel(self, command: CancelOrder) -> None:
        self._ask_about("cancel", command)

    def _query(self, command: QueryOrder) -> None:
        self._ask_about("query", command)

    def _cancel_foreign(self, command: CancelForeign) -> None:
        self._ask_about("foreign", command)

    def _ask_about(self, kind: str, command: CancelOrder | QueryOrder | CancelForeign) -> None:
        self._send(
            Request(kind, self.life, command.symbol, command.client_id, command.is_conditional)
        )

    def _read(self, command: ReadVenue) -> None:
        request = Request("read", self.life, symbols=command.symbols)
        request.since_ms, request.asked_ms = command.since_ms, command.asked_ms
        self._send(request)

    def _tell(self, command: Alert) -> None:
        self.alerts.append(command)
        self.switch.on_alert(command)
        if self.oracle is not None:
            self.oracle.on_alert(command)

    def _end(self, command: EndSession) -> None:
        self.ended = command
        self.session = None
        self.life += 1
        again_ms = self.trouble.on_refusal() if command.exit_code else None
        if again_ms is not None:
            self.push(self.now + again_ms, self._start)

    def _send(self, request: Request) -> None:
        if self.oracle is not None:
            self.oracle.on_sent(request)
        self.in_flight += 1
        wait = 0
        if self.held_until_ms > self.now:
            refusal = self.trouble.on_request(request)
            if refusal.answer is not None:
                self.push(self.now + 1, self._answer, (request, refusal.answer))
                return
            wait = self.held_until_ms - self.now
        self.push(self.now + wait + self.latency(), self._arrive, request)

    def _arrive(self, request: Request) -> None:
        if self.cuts_sent and request.life != self.life:
            self.in_flight -= 1
            return
        verdict = self.trouble.on_request(request)
        answer: Any = None
        if verdict.processed:
            if request.kind == "read" and verdict.answer is None:
                self._read_orders(request)
                return
            if request.kind != "read":
                answer = self._process(request)
        answer = verdict.answer or answer
        self.push(self.now + self.latency() + verdict.delay_ms, self._answer, (request, answer))
        self.flush()

    def _process(self, request: Request) -> Answer:
        now, venue = self.venue_now, self.venue
        if request.order is not None:
            return venue.place(request.order, now)
        act = venue.query if request.kind == "query" else venue.cancel
        return act(
            request.client_id, request.symbol, is_conditional=request.is_conditional, now_ms=now
        )

    def _read_orders(self, request: Request) -> None:
        resting = self.venue.open_orders(request.symbols, self.venue_now)
        gap = 0 if self.trouble.is_calm else 2 * self.latency()
        self.push(self.now + gap, self._read_positions, (request, resting))

    def _read_positions(self, what: tuple[Request, Any]) -> None:
        request, resting = what
        held = self.venue.positions(request.symbols)
        gap = 0 if self.trouble.is_calm else 2 * self.latency()
        self.push(self.now + gap, self._read_rest, (request, resting, held))

    def _read_rest(self, what: tuple[Request, Any, Any]) -> None:
        request, resting, held = what
        balance = self.exchange.balances()[0]
        snapshot = VenueSnapshot(
            time_ms=self.venue_now,
            wallet_quote=float(balance.wallet_quote),
            available_quote=float(balance.available_quote),
            positions=held,
            orders=resting,
            fills=self.venue.fills(request.symbols, request.since_ms),
        )
        self.push(self.now + self.latency(), self._answer, (request, snapshot))

    def _answer(self, what: tuple[Request, Any]) -> None:
        request, answer = what
        self.in_flight -= 1
        if request.life != self.life or self.session is None:
            return
        if self.oracle is not None:
            self.oracle.on_answer(request, answer)
        event: Event
        if request.kind == "place":
            event = Placed(self.now, request.client_id, answer)
        elif request.kind == "cancel":
            event = CancelAnswered(self.now, request.client_id, answer)
        elif request.kind == "query":
            event = OrderFound(self.now, request.client_id, answer)
        elif request.kind == "read":
            is_read = isinstance(answer, VenueSnapshot)
            snapshot, trouble = (answer, "") if is_read else (None, "lost")
            event = VenueRead(self.now, snapshot, trouble, request.asked_ms)
        else:
            return
        self.hand(event)

    # --- the user stream ---------------------------------------------------------------------

    def flush(self) -> None:
        """What the exchange has to tell goes on its way: in order within each channel."""
        for channel, event in self.venue.news():
            for extra in self.trouble.on_news(channel, event):
                at = max(self._news_ms[channel], self.now + self.latency())
                if extra == 0:
                    self._news_ms[channel] = at
                self.in_flight += 1
                self.push(at + extra, self.deliver, (self.now, event))

    def deliver(self, what: tuple[int, Event]) -> None:
        """An event of the user stream arrives; those of before the process began are lost."""
        sent_ms, event = what
        self.in_flight -= 1
        if sent_ms >= self.started_ms and self.session is not None:
            self.hand(replace(event, time_ms=self.now))
