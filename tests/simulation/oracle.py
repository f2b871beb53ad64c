"""What must hold, looked at after every step from the venue's side, which knows the truth.

`look` after every event: protection, one entry a stream, nothing sent twice. `settle` once nothing
is on its way any more: position, fills, ledger, orders at rest. A broken rule raises `BrokenError`
with the moment and what was found.
"""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.simulation.scene import LOTS

from tercel.adapters.simulator.exchange.records import OPEN_ALGO_STATUSES, AlgoStatus
from tercel.app.live.alerts import AlertCode
from tercel.app.live.working import STRAY_STREAM
from tercel.core.codes import Slot
from tercel.domain.commands import Alert
from tercel.domain.events import Outcome
from tercel.domain.orders import OrderRequest, parse_client_id

if TYPE_CHECKING:
    from tests.simulation.world import Request, World

CLOSE_MS_MAX = 25_000
"""How long a market close may be on its way, its answer lost and asked for."""
DIFFERS_MS_MAX = 100_000
"""How long the session may hold something else than the venue: the reading at a bar, and as many
more as it takes to believe it."""
ROOM_MS = 1_500
"""Latencies that a protected position may cost beyond its limit and one timer."""
WAITING = frozenset({AlgoStatus.NEW})
"""States of a stop that protects: one that is being triggered fills at once, or never may."""
CASH_SLACK = 1e-5
"""Quote: the venue rounds each amount to 1e-8, the session adds floats."""


class BrokenError(AssertionError):
    """An invariant does not hold."""


@dataclass(slots=True)
class _Doubt:
    """An order whose answer was lost, until the venue was asked."""

    request: OrderRequest


@dataclass(slots=True)
class Oracle:
    """The rules of one world."""

    naked_ms: dict[str, int] = field(default_factory=dict)
    """Since when a position has had no stop of its size, by symbol."""
    held_ms: dict[str, int] = field(default_factory=dict)
    """Since when a position has been held though the kill switch is thrown, by symbol."""
    differs_ms: dict[str, int] = field(default_factory=dict)
    """Since when the session holds something else than the venue, by symbol."""
    excused_ms: int = 0
    """Until when nothing can be asked of the session: what went wrong is in its way."""
    checks: int = 0
    _world: World = field(init=False)
    _sent: set[str] = field(default_factory=set)
    _doubts: dict[tuple[int, Slot], _Doubt] = field(default_factory=dict)

    def attach(self, world: World) -> None:
        """The world it watches."""
        self._world = world

    def excuse(self, ms: int) -> None:
        """Something keeps the session from protecting: not for longer than `ms`."""
        self.excused_ms = max(self.excused_ms, self._world.now + ms)

    def on_crash(self, downtime_ms: int) -> None:
        """The process is dead: it starts again, reads the venue, and goes on."""
        self._doubts.clear()
        self.excuse(downtime_ms + 5_000)

    # --- requests ----------------------------------------------------------------------------

    def on_sent(self, request: Request) -> None:
        """A request leaves."""
        if request.kind in ("query", "read"):
            self._asked(request)
        order = request.order
        if order is None:
            return
        if request.client_id in self._sent:
            self._fail(f"{request.client_id} was sent twice")
        self._sent.add(request.client_id)
        key = (order.stream, order.slot)
        doubt = self._doubts.get(key)
        if doubt is not None and _same(doubt.request, order):
            self._fail(
                f"{order.client_id} repeats {doubt.request.client_id}, whose answer was lost, "
                "without a question in between"
            )

    def _asked(self, request: Request) -> None:
        for key, doubt in list(self._doubts.items()):
            if request.kind == "read" or doubt.request.client_id == request.client_id:
                del self._doubts[key]

    def on_answer(self, request: Request, answer: Any) -> None:
        """An answer reaches the session."""
        order = request.order
        if order is not None and answer.outcome is Outcome.AMBIGUOUS:
            self._doubts[order.stream, order.slot] = _Doubt(order)

    def on_alert(self, alert: Alert) -> None:
        """A kill is verified: then nothing is held, and nothing rests that could be."""
        if alert.code != AlertCode.KILL_VERIFIED:
            return
        exchange = self._world.exchange
        for symbol in self._world.symbols:
            if symbol in self._world.trouble.hands:
                continue
            held = exchange.positions(symbol)[0].quantity
            if held:
                self._fail(f"the kill is told to be verified, and {symbol} holds {held}")
            resting = [row.client_id for row in exchange.open_orders(symbol)]
            resting += [row.client_id for row in exchange.open_conditionals(symbol)]
            if resting:
                self._fail(f"the kill is told to be verified, and {', '.join(resting)} rests")

    # --- after every step --------------------------------------------------------------------

    def look(self) -> None:
        """After an event."""
        self.checks += 1
        self._look_at_entries()
        for symbol in self._world.symbols:
            self.look_at(symbol)

    def _look_at_entries(self) -> None:
        session = self._world.session
        if session is None:
            return
        orders = session.parts.orders
        for k in range(len(session.parts.desk.rows)):
            if (k, Slot.ENTRY) in orders._slots and len(orders.of(k, Slot.ENTRY)) > 1:
                self._fail(f"stream {k} has more than one entry at work")

    def look_at(self, symbol: str) -> None:
        """Is its position protected; is none held while the kill switch is thrown?"""
        world = self._world
        position = world.exchange._state.account.positions[symbol].quantity
        self._look_at_switch(symbol, is_held=bool(position))
        self._look_at_books(symbol, float(position))
        if not position or self._stops(symbol, position) >= abs(position):
            self.naked_ms.pop(symbol, None)
            return
        now = world.now
        since = self.naked_ms.setdefault(symbol, now)
        since = max(since, min(self.excused_ms, now))
        rules = world.rules.session
        limit = rules.protect_ms_max + rules.timer_ms + ROOM_MS
        if self._stops(symbol, position, OPEN_ALGO_STATUSES) >= abs(position):
            # One of them is being triggered, and nothing comes of it.
            limit = rules.trigger_ms_max + rules.timer_ms + ROOM_MS
        if self._is_closing(symbol):
            limit = CLOSE_MS_MAX
        if now - since > limit + world.trouble.unheard_ms:
            self._fail(
                f"{symbol}: {position} has had no stop of its size for {now - since} ms, and "
                "nothing closes it"
            )

    def _look_at_switch(self, symbol: str, *, is_held: bool) -> None:
        world, now = self._world, self._world.now
        if not is_held or not world.switch.is_thrown or symbol in world.trouble.hands:
            self.held_ms.pop(symbol, None)
            return
        since = max(self.held_ms.setdefault(symbol, now), min(self.excused_ms, now))
        if now - since > CLOSE_MS_MAX:
            self._fail(f"{symbol}: held {now - since} ms after the kill switch was thrown")

    def _look_at_books(self, symbol: str, held: float) -> None:
        world, session = self._world, self._world.session
        if session is None or not session.is_ready or symbol in world.trouble.hands:
            self.differs_ms.pop(symbol, None)
            return
        known = session.recovery.known_quantity(symbol)
        foreign = session.execution.booking.foreign.held(symbol)
        if abs(held - known - foreign) <= 0.5 * float(LOTS[symbol]):
            self.differs_ms.pop(symbol, None)
            return
        now = world.now
        since = max(self.differs_ms.setdefault(symbol, now), min(self.excused_ms, now))
        if now - since > DIFFERS_MS_MAX:
            self._fail(
                f"{symbol}: for {now - since} ms the venue holds {held:g}, the session {known:g}"
            )

    def _stops(self, symbol: str, position: Any, states: Set[AlgoStatus] = WAITING) -> Any:
        """What stops in one of `states` would close."""
        side = -1 if position > 0 else 1
        there = self._world.exchange._conditionals.store.waiting(symbol)
        return sum(
            algo.request.quantity
            for algo in there
            if algo.request.side == side and algo.status in states
        )

    def _is_closing(self, symbol: str) -> bool:
        session = self._world.session
        if session is None:
            return False
        orders = session.parts.orders
        streams = [*session.parts.plan.streams_of(symbol), STRAY_STREAM]
        return any(orders.of(k, Slot.CLOSE) for k in streams)

    # --- when nothing is on its way ----------------------------------------------------------

    def settle(self, *, is_last: bool = False) -> None:
        """Both sides know the same."""
        session = self._world.session
        if session is None or not session.is_ready:
            self._fail("no session is at work")
            return
        if self._world.switch.is_thrown:
            self._fail("a kill was never verified, or the switch could not be armed again")
        for symbol in self._world.symbols:
            self._settle_symbol(symbol)
        cash = float(session.parts.desk.account.cash_quote)
        wallet = float(self._world.exchange.balances()[0].wallet_quote)
        if abs(cash - wallet) > CASH_SLACK:
            self._fail(f"our ledger says {cash:.8f}, the wallet {wallet:.8f}")
        if is_last:
            self._look_at_the_end()

    def _look_at_the_end(self) -> None:
        """Paused and flattened: nothing is held, rests or is waited for."""
        exchange, session = self._world.exchange, self._world.session
        assert session is not None
        if exchange._state.account.open_positions():
            self._fail("something is still held")
        resting = [row.client_id for row in exchange.open_orders()]
        resting += [row.client_id for row in exchange.open_conditionals()]
        if resting:
            self._fail(f"orders still rest: {', '.join(resting)}")
        live = [f"{each.request.client_id} {each.phase}" for each in session.parts.orders.live()]
        if live:
            self._fail(f"the session still waits for {', '.join(live)}")

    def _settle_symbol(self, symbol: str) -> None:
        world = self._world
        session = world.session
        assert session is not None
        held = float(world.exchange.positions(symbol)[0].quantity)
        known = session.recovery.known_quantity(symbol)
        if abs(held - known) > 0.5 * float(LOTS[symbol]):
            self._fail(f"{symbol}: the venue holds {held:g}, the session {known:g}")
        if symbol in session.parts.flags.mismatched:
            self._fail(f"{symbol}: the session still blocks it as mismatched")
        seen, since = session.parts.seen, session.parts.since_ms
        for trade in world.exchange.trades(symbol):
            if trade.time_ms >= since and f"{symbol}:{trade.trade_id}" not in seen:
                self._fail(f"{symbol}: trade {trade.trade_id} of {trade.client_id} is not booked")
        live = {order.request.client_id for order in session.parts.orders.live()}
        resting = [row.client_id for row in world.exchange.open_orders(symbol)]
        resting += [row.client_id for row in world.exchange.open_conditionals(symbol)]
        for client_id in resting:
            if client_id not in live:
                self._fail(f"{symbol}: {client_id} rests and the session does not know it")
        entries: dict[int, int] = {}
        for client_id in resting:
            parsed = parse_client_id(client_id)
            if parsed is not None and parsed.slot is Slot.ENTRY:
                entries[parsed.stream] = entries.get(parsed.stream, 0) + 1
        if any(count > 1 for count in entries.values()):
            self._fail(f"{symbol}: two entries of one stream rest at the venue")

    def _fail(self, why: str) -> None:
        world = self._world
        at_ms = world.now - world.began_ms
        raise BrokenError(f"after {at_ms / 3_600_000:.4f} h (life {world.life}): {why}")


def _same(one: OrderRequest, other: OrderRequest) -> bool:
    return (
        one.slot is not Slot.STOP or one.trigger_price == other.trigger_price
    ) and one.quantity == other.quantity
