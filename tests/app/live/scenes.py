"""A session and a venue that does what a test says: no clock, no task, one event after the other.

`Scene` hands events to a Session and carries its commands out at a `ScriptedVenue` at once: market
orders fill at the venue's price, others rest until a test fills them. `script` makes the venue
answer something else. Everything the session ever asked for is in `Scene.log`, in its order.

Unless told otherwise: one-minute bars around 100, a quantity of 1, a stop 10 away and one target
two stops away, no breakers, automation on.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from tests.desk import Ask, stream

from tercel.adapters.config import packaged_config_dir, read_settings
from tercel.app.backtest import AccountSpec
from tercel.app.live.alerts import AlertCode
from tercel.app.live.parts import BesideRules, SessionRules
from tercel.app.live.plan import LiveStream, SessionPlan
from tercel.app.live.session import Session, SessionMemory
from tercel.app.signals import unknown_context
from tercel.app.strategies import Strategy
from tercel.core.codes import OrderKind, Slot
from tercel.core.jit import new, rec
from tercel.core.parameters import parameters
from tercel.core.plan import TradePlan
from tercel.core.records import BAR, CONTEXT, LIMITS, PACE, Records
from tercel.domain.bars import SeriesKey
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
    WriteJournal,
)
from tercel.domain.events import (
    Answer,
    BarsClosed,
    CancelAnswered,
    Event,
    Fault,
    Filled,
    MarketView,
    Operation,
    OperatorAsked,
    OrderFound,
    OrderUpdate,
    Outcome,
    Placed,
    Quote,
    TimerFired,
    VenueRead,
)
from tercel.domain.journal import JournalRow
from tercel.domain.orders import (
    OrderPhase,
    OrderRequest,
    OrderSnapshot,
    PositionSnapshot,
    VenueFill,
    VenueSnapshot,
    parse_client_id,
)
from tercel.domain.results import StreamLabel
from tercel.domain.session_state import SessionState
from tercel.domain.settings import Settings

START = 1_704_067_200_000  # 2024-01-01 00:00 UTC
MINUTE = 60_000
FEE_RATE = 0.0005
FOR_EVER = 1_000_000
QUIET = MarketView(99.99, 100.01, 100)
"""A healthy feed: a narrow spread around the close, a bar 100 ms after it."""


@cache
def settings() -> Settings:
    """What Tercel ships."""
    return read_settings([packaged_config_dir()], environ={}).settings


# --- what is traded -------------------------------------------------------------------------------


class Script:
    """What the strategies of a session say, by stream and open time of the bar."""

    def __init__(self) -> None:
        self.asks: dict[tuple[int, int], Ask] = {}
        self.failing: set[int] = set()
        """Streams whose strategy raises."""
        self.seen: list[tuple[int, int]] = []

    def strategy(self, k: int) -> Strategy:
        """The strategy of stream `k`."""

        def step(state: Any, bar: Any, context: Any, params: Any, signal: Any) -> None:
            if k in self.failing:
                raise ZeroDivisionError("division by zero")
            self.seen.append((k, int(bar.open_time)))
            state.bars += 1
            ask = self.asks.get((k, int(bar.open_time)))
            if ask is None:
                return
            signal.side, signal.stop_distance = ask.side, ask.stop
            signal.target_distance, signal.atr = ask.target, ask.atr
            signal.score, signal.reason = ask.score, 1
            signal.exit_long, signal.exit_short = ask.exit_long, ask.exit_short

        return Strategy(
            name=f"told{k}",
            title="Says what it is told to.",
            path=Path(f"told{k}.py"),
            parameters=parameters(),
            reasons=("none", "told"),
            plan=TradePlan(),
            state_dtype=lambda _: rec(("bars", "i8")),
            step=step,
            signals=step,
            code_hash="",
        )


@dataclass(frozen=True, slots=True)
class Cast:
    """Who trades what, and under which limits."""

    symbols: tuple[str, ...] = ("BTCUSDT",)
    streams: tuple[int, ...] = (0,)
    """Row of `symbols` that each stream trades."""
    plan: TradePlan = field(default_factory=TradePlan)
    limits: Mapping[str, float] = field(default_factory=dict)
    pace: Mapping[str, float] = field(default_factory=dict)
    own: Mapping[str, Any] = field(default_factory=dict)
    """Settings of the streams, by name."""

    def session_plan(self, script: Script) -> SessionPlan:
        """As a session trades it."""
        keys = tuple(SeriesKey("binance-usdm", symbol, "1m") for symbol in self.symbols)
        streams = tuple(
            LiveStream(
                StreamLabel(k, f"told{k}", "binance-usdm", self.symbols[row], "1m"),
                script.strategy(k),
                {},
                stream(self.plan, taker_fee_rate=FEE_RATE, maker_fee_rate=FEE_RATE, **self.own),
                row,
            )
            for k, row in enumerate(self.streams)
        )
        limits, pace = new(LIMITS), new(PACE)
        for record, given in ((limits, self.limits), (pace, self.pace)):
            for name, value in given.items():
                record[name] = value
        return SessionPlan(streams, keys, AccountSpec(10_000.0, limits, pace))


def live_rules(**given: Any) -> SessionRules:
    """Those of a live session; fields of `session` are overridden by their names."""
    every = settings()
    names = set(type(every.session).model_fields)
    own = {name: given.pop(name) for name in list(given) if name in names}
    made = SessionRules(
        every.session.with_overrides(own),
        every.execution,
        BesideRules(every.ghost.fee_rate, False, every.shadow.alert_r),
        venue="scripted",
        mode="live",
        automation_at_start=True,
    )
    return replace(made, **given)


# --- the venue ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Carried:
    """The request is carried out; what is answered is `answer`."""

    answer: Answer | None


SILENT = None
"""The request is not carried out, and nobody answers."""
AMBIGUOUS = Answer(Outcome.AMBIGUOUS, text="timed out")
"""The request is not carried out, and nobody knows."""
LOST = Carried(AMBIGUOUS)
"""Carried out, but nobody knows."""
NOT_FOUND = Answer(Outcome.REFUSED, fault=Fault.NOT_FOUND, code=-2013, text="no such order")
Reply = Answer | Carried | None


def refused(fault: Fault = Fault.OTHER, code: int = -4000) -> Answer:
    """The venue says no."""
    return Answer(Outcome.REFUSED, fault=fault, code=code, text=f"no: {fault.value}")


@dataclass(slots=True)
class _Rule:
    kind: str
    slot: Slot | None
    reply: Reply
    left: int


@dataclass(slots=True)
class _Order:
    request: OrderRequest
    venue_id: str
    left: float
    phase: OrderPhase = OrderPhase.ACKED

    @property
    def filled(self) -> float:
        return self.request.quantity - self.left


class ScriptedVenue:
    """A venue of one account; prices move when a test says so."""

    def __init__(self, wallet_quote: float = 10_000.0) -> None:
        self.wallet_quote = wallet_quote
        self.prices: dict[str, float] = {}
        self.depth = math.inf
        """Base that a market order finds."""
        self.largest = math.inf
        """Base that an order that reduces may have: more is cut, and the answer says so."""
        self.positions: dict[str, tuple[float, float]] = {}
        """(base, entry price) by symbol."""
        self.orders: dict[str, _Order] = {}
        """Every order ever taken."""
        self.strangers: list[OrderSnapshot] = []
        """Open orders of somebody else."""
        self.fills: list[VenueFill] = []
        self.asked: list[Command] = []
        self.news: deque[Event] = deque()
        self.tells = True
        """Whether the user stream brings news."""
        self.hidden: set[str] = set()
        """Client ids that listings and questions do not know of."""
        self.stuck: set[str] = set()
        """Client ids of stops that are being triggered, and stay so."""
        self._rules: list[_Rule] = []
        self._trades = 0

    def script(self, kind: str, reply: Reply, slot: Slot | None = None, times: int = 1) -> None:
        """The next `times` requests of `kind` (place, cancel, query, read) get `reply`."""
        self._rules.append(_Rule(kind, slot, reply, times))

    def price(self, symbol: str) -> float:
        """What a market order gets."""
        return self.prices.get(symbol, 100.0)

    # --- requests ----------------------------------------------------------------------------

    def take(self, command: Command, now: int) -> Event | None:
        """Carry a command out; the answer as an event."""
        self.asked.append(command)
        if isinstance(command, PlaceOrder):
            client_id = command.request.client_id
            answer = self._reply("place", client_id, lambda: self._place(command.request, now))
            return None if answer is None else Placed(now, client_id, answer)
        if isinstance(command, CancelOrder):
            client_id = command.client_id
            answer = self._reply("cancel", client_id, lambda: self._cancel(client_id))
            return None if answer is None else CancelAnswered(now, client_id, answer)
        if isinstance(command, QueryOrder):
            client_id = command.client_id
            answer = self._reply("query", client_id, lambda: self._query(client_id))
            return None if answer is None else OrderFound(now, client_id, answer)
        if isinstance(command, CancelForeign):
            self._cancel(command.client_id)
            self.strangers = [s for s in self.strangers if s.client_id != command.client_id]
            return None
        if isinstance(command, ReadVenue):
            rule = self._rule("read", "")
            if rule is None:
                found = self.snapshot(command.since_ms, now)
                return VenueRead(now, found, asked_ms=command.asked_ms)
            if rule.reply is None:
                return None
            return VenueRead(now, None, "no connection", command.asked_ms)
        raise TypeError(command)

    def _rule(self, kind: str, client_id: str) -> _Rule | None:
        parts = parse_client_id(client_id)
        for rule in self._rules:
            fits = rule.slot is None or (parts is not None and parts.slot is rule.slot)
            if rule.kind == kind and rule.left > 0 and fits:
                rule.left -= 1
                return rule
        return None

    def _reply(self, kind: str, client_id: str, carry_out: Any) -> Answer | None:
        rule = self._rule(kind, client_id)
        if rule is None:
            done: Answer = carry_out()
            return done
        if isinstance(rule.reply, Carried):
            carry_out()
            return rule.reply.answer
        return rule.reply

    def _place(self, request: OrderRequest, now: int) -> Answer:
        if request.reduce_only:
            request = replace(request, quantity=min(request.quantity, self.largest))
        order = _Order(request, f"v{len(self.orders) + 1}", request.quantity)
        self.orders[request.client_id] = order
        if request.kind == OrderKind.MARKET:
            held = abs(self.positions.get(request.symbol, (0.0, 0.0))[0])
            wanted = min(request.quantity, held) if request.reduce_only else request.quantity
            quantity = min(wanted, self.depth)
            if not quantity > 0.0:
                del self.orders[request.client_id]
                return refused(Fault.REDUCE_ONLY, -2022)
            self.fill(request.client_id, self.price(request.symbol), quantity, now=now)
            if order.left > 0.0:
                order.phase = OrderPhase.EXPIRED
        return self._told(order)

    def _cancel(self, client_id: str) -> Answer:
        order = self.orders.get(client_id)
        if order is None or order.phase.is_over:
            return refused(Fault.NOT_FOUND, -2011)
        order.phase = OrderPhase.CANCELLED
        return Answer(Outcome.DONE, order.venue_id, order.phase, order.filled)

    def _query(self, client_id: str) -> Answer:
        order = self.orders.get(client_id)
        if order is None or client_id in self.hidden:
            return NOT_FOUND
        return self._told(order)

    def _told(self, order: _Order) -> Answer:
        request = order.request
        return Answer(
            Outcome.DONE,
            order.venue_id,
            order.phase,
            order.filled,
            quantity=request.quantity,
            is_triggered=request.client_id in self.stuck,
        )

    def snapshot(self, since_ms: int = 0, now: int = 0) -> VenueSnapshot:
        """Everything there is."""
        return VenueSnapshot(
            now,
            self.wallet_quote,
            self.wallet_quote,
            tuple(
                PositionSnapshot(symbol, quantity, entry, self.price(symbol), 0.0, 0.0)
                for symbol, (quantity, entry) in self.positions.items()
                if quantity != 0.0
            ),
            (*(self._listed(order) for order in self.resting()), *self.strangers),
            tuple(fill for fill in self.fills if fill.time_ms >= since_ms),
        )

    def _listed(self, order: _Order) -> OrderSnapshot:
        request = order.request
        return OrderSnapshot(
            request.client_id,
            order.venue_id,
            request.symbol,
            request.side,
            request.kind,
            order.phase,
            request.quantity,
            order.filled,
            request.price,
            request.trigger_price,
            request.reduce_only,
            request.is_conditional,
            0,
            request.client_id in self.stuck,
        )

    # --- the market ------------------------------------------------------------------------------

    def resting(self, slot: Slot | None = None) -> list[_Order]:
        """Orders at rest, of one slot or of all."""
        found = []
        for client_id, order in self.orders.items():
            if order.phase.is_over or client_id in self.hidden:
                continue
            if slot is None or order.request.slot is slot:
                found.append(order)
        return found

    def fill(
        self, client_id: str, price: float, quantity: float | None = None, *, now: int
    ) -> VenueFill:
        """An order of ours trades; the user stream tells."""
        order = self.orders[client_id]
        amount = order.left if quantity is None else quantity
        order.left -= amount
        done = order.left <= 1e-9
        order.phase = OrderPhase.FILLED if done else OrderPhase.PARTLY_FILLED
        made = self._trade(order.request.symbol, order.request.side, amount, price, now)
        fill = replace(made, client_id=client_id, venue_order_id=order.venue_id)
        self.fills.append(fill)
        self.tell(
            Filled(now, fill),
            OrderUpdate(now, client_id, order.venue_id, order.phase, order.filled),
        )
        return fill

    def outside(
        self, symbol: str, side: int, quantity: float, *, now: int, kind: str = "trade"
    ) -> None:
        """Somebody else, or the venue itself, trades on our account."""
        fill = replace(self._trade(symbol, side, quantity, self.price(symbol), now), kind=kind)
        self.fills.append(fill)
        self.tell(Filled(now, fill))

    def _trade(self, symbol: str, side: int, quantity: float, price: float, now: int) -> VenueFill:
        held, entry = self.positions.get(symbol, (0.0, 0.0))
        left = held + side * quantity
        fee_quote = price * quantity * FEE_RATE
        self.wallet_quote -= fee_quote
        if held * side < 0.0:
            closed = min(abs(held), quantity)
            self.wallet_quote += math.copysign(1.0, held) * (price - entry) * closed
        else:
            entry = (abs(held) * entry + quantity * price) / (abs(held) + quantity)
        if abs(left) < 1e-9:
            left = entry = 0.0
        self.positions[symbol] = (left, entry)
        self._trades += 1
        number = str(self._trades)
        return VenueFill(number, "", "", symbol, side, price, quantity, fee_quote, False, now)

    def trigger(self, client_id: str, price: float, *, now: int) -> None:
        """A stop is reached and fills at `price`."""
        order = self.orders[client_id]
        self.tell(
            OrderUpdate(now, client_id, order.venue_id, OrderPhase.ACKED, 0.0, is_triggered=True)
        )
        self.fill(client_id, price, now=now)

    def lose(self, client_id: str, *, tells: bool) -> None:
        """An order of ours is cancelled by somebody else."""
        order = self.orders[client_id]
        order.phase = OrderPhase.CANCELLED
        if tells:
            self.tell(OrderUpdate(0, client_id, order.venue_id, order.phase, order.filled))

    def tell(self, *events: Event) -> None:
        """News of the user stream."""
        if self.tells:
            self.news.extend(events)


# --- the scene ------------------------------------------------------------------------------------

Row = TypeVar("Row", bound=JournalRow)
Kind = TypeVar("Kind", bound=Command)
REQUESTS = (PlaceOrder, CancelOrder, QueryOrder, CancelForeign, ReadVenue)


class Scene:
    """A session in front of a venue."""

    def __init__(
        self,
        cast: Cast | None = None,
        venue: ScriptedVenue | None = None,
        state: SessionState | None = None,
        *,
        begin: bool = True,
        now: int = START,
        **rules: Any,
    ) -> None:
        self.cast = cast or Cast()
        self.script = Script()
        self.venue = venue or ScriptedVenue()
        self.plan = self.cast.session_plan(self.script)
        self.rules = live_rules(**rules)
        memory = SessionMemory(state or SessionState(), "s1" if state is None else "s2")
        self.session = Session(self.plan, self.rules, memory)
        self.log: list[Command] = []
        self.now = now
        self.minute = now - now % MINUTE
        """Open time of the next bar."""
        self.is_apart = False
        """Commands are kept in `outbox` instead of being carried out."""
        self.outbox: deque[Command] = deque()
        if begin:
            self.tick(1)

    # --- driving -----------------------------------------------------------------------------

    def hand(self, event: Event) -> list[Command]:
        """One event and what the session asks itself after it, carried out; what was asked for."""
        first = len(self.log)
        self._take(event)
        self.settle()
        return self.log[first:]

    def _take(self, event: Event) -> None:
        turn: Event | None = event
        while turn is not None:
            for command in self.session.handle(turn):
                self.log.append(command)
                if isinstance(command, REQUESTS):
                    self.outbox.append(command)
            turn = self.session.next_turn()

    def settle(self) -> None:
        """Carry out what waits, and deliver answers and news until nothing is left."""
        for _ in range(2_000):
            if self.outbox and not self.is_apart:
                answer = self.venue.take(self.outbox.popleft(), self.now)
                if answer is not None:
                    self._take(answer)
            elif self.venue.news:
                news = self.venue.news.popleft()
                self._take(replace(news, time_ms=self.now))
            else:
                return
        raise AssertionError("session and venue talk without end")

    def tick(self, ms: int, *quotes: Quote) -> list[Command]:
        """Time passes, and the session looks at its deadlines."""
        self.now += ms
        return self.hand(TimerFired(self.now, quotes))

    def wait(self, ms: int, step_ms: int = 250) -> list[Command]:
        """The same, with a look every `step_ms`."""
        first = len(self.log)
        for _ in range(0, ms, step_ms):
            self.tick(step_ms)
        return self.log[first:]

    def bar(
        self,
        close: float = 100.0,
        ask: Ask | Mapping[int, Ask] | None = None,
        view: MarketView | None = QUIET,
        rows: Sequence[int] | None = None,
        *,
        is_late: bool = False,
    ) -> list[Command]:
        """The next minute closes at `close` for every series (or those in `rows`).

        `ask` is what stream 0 says, or each stream by number.
        """
        asks = {0: ask} if isinstance(ask, Ask) else dict(ask or {})
        for k, each in asks.items():
            self.script.asks[k, self.minute] = each
        event = self.bars_event(self.minute, close, view, rows, is_late=is_late)
        if not is_late:
            self.minute += MINUTE
        return self.hand(event)

    def bars_event(
        self,
        open_time: int,
        close: float,
        view: MarketView | None = QUIET,
        rows: Sequence[int] | None = None,
        *,
        is_late: bool = False,
    ) -> BarsClosed:
        """BarsClosed of the minute from `open_time` on, as it arrives."""
        series = tuple(range(len(self.plan.series))) if rows is None else tuple(rows)
        if view is QUIET:
            view = replace(view, bid=close - 0.01, ask=close + 0.01)
        late = 0 if view is None else view.late_ms
        self.now = max(self.now, open_time + MINUTE + late)
        bars = np.concatenate([bar_of(open_time, close) for _ in series])
        contexts: Records = np.zeros(len(series), CONTEXT)
        contexts[:] = unknown_context()
        views = () if view is None else (view,) * len(series)
        return BarsClosed(self.now, series, bars, contexts, views, is_late=is_late)

    def ask(self, operation: Operation) -> list[Command]:
        """The operator speaks."""
        return self.hand(OperatorAsked(self.now, operation, "test"))

    def enter(self, ask: Ask | None = None) -> Scene:
        """A bar on which stream 0 enters."""
        self.bar(ask=ask or Ask())
        assert self.held() != 0.0
        return self

    def restart(self, **rules: Any) -> Scene:
        """The process was killed: another one starts with what was kept, at the same venue."""
        self.venue.news.clear()
        return Scene(self.cast, self.venue, self.state, now=self.now + 1_000, **rules)

    # --- looking -----------------------------------------------------------------------------

    @property
    def state(self) -> SessionState:
        """What was kept last."""
        return self.of(SaveState)[-1].state

    @property
    def ended(self) -> EndSession | None:
        """How the session ended, if it has."""
        found = self.of(EndSession)
        return found[0] if found else None

    def of(self, kind: type[Kind], log: Sequence[Command] | None = None) -> list[Kind]:
        """Commands of a kind, in their order."""
        return [each for each in (self.log if log is None else log) if isinstance(each, kind)]

    def placed(
        self, slot: Slot | None = None, log: Sequence[Command] | None = None
    ) -> list[OrderRequest]:
        """Orders that were sent."""
        made = [each.request for each in self.of(PlaceOrder, log)]
        return [each for each in made if slot is None or each.slot is slot]

    def alerts(self, code: AlertCode, log: Sequence[Command] | None = None) -> list[Alert]:
        """What was told of that code."""
        return [each for each in self.of(Alert, log) if each.code == code.value]

    def rows(self, kind: type[Row], log: Sequence[Command] | None = None) -> list[Row]:
        """Journal rows of a kind."""
        return [
            row for each in self.of(WriteJournal, log) for row in each.rows if isinstance(row, kind)
        ]

    def held(self, k: int = 0) -> float:
        """What stream `k` holds, base, longs positive."""
        position = self.session.parts.stream(k).position
        return float(position.side * position.quantity)

    def at(self, symbol: str = "BTCUSDT") -> float:
        """What the venue holds, base, longs positive."""
        return self.venue.positions.get(symbol, (0.0, 0.0))[0]

    def stop_id(self, k: int = 0) -> str:
        """Client id of the stop at rest of stream `k`."""
        [order] = [o for o in self.venue.resting(Slot.STOP) if o.request.stream == k]
        return order.request.client_id

    @property
    def cash_quote(self) -> float:
        """Of the main account."""
        return float(self.session.parts.desk.account.cash_quote)

    def check_agreement(self) -> None:
        """Session and venue hold the same, owe the same, and everything held is protected."""
        for symbol in self.plan.symbols:
            known = sum(self.held(k) for k in self.plan.streams_of(symbol))
            assert math.isclose(known, self.at(symbol), abs_tol=1e-9)
        assert math.isclose(self.cash_quote, self.venue.wallet_quote, abs_tol=1e-6)
        for k in range(len(self.plan.streams)):
            stops = [o.left for o in self.venue.resting(Slot.STOP) if o.request.stream == k]
            assert math.isclose(sum(stops), abs(self.held(k)), abs_tol=1e-9)


def bar_of(open_time: int, close: float) -> Records:
    """One BAR that opens and closes at `close`."""
    made: Records = np.zeros(1, BAR)
    for name in BAR.names or ():
        made[name] = math.nan if BAR[name] == np.float64 else 0
    made["open_time"], made["volume"] = open_time, 1_000.0
    for name in ("open", "high", "low", "close"):
        made[name] = close
    return made


def place_of(log: Sequence[Command], kind: type[Command], **fields: Any) -> int:
    """Where in `log` the first command of that kind and with those fields is.

    Of PlaceOrder the fields are its request's.
    """
    for place, command in enumerate(log):
        if not isinstance(command, kind):
            continue
        looked_at = command.request if isinstance(command, PlaceOrder) else command
        if all(getattr(looked_at, name) == value for name, value in fields.items()):
            return place
    raise AssertionError(f"no {kind.__name__} with {fields}")
