"""What faults do at the exchange itself: fills, expiries, liquidations, prices, rules."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from tests.simulation.world import CARRIED_OUT, Request, Verdict

from tercel.adapters.simulator.exchange.amounts import whole_steps
from tercel.adapters.simulator.exchange.errors import ExchangeError
from tercel.adapters.simulator.exchange.quotes import BOTTOMLESS
from tercel.adapters.simulator.exchange.records import AlgoStatus, OrderStatus
from tercel.adapters.simulator.faults import Fault, FaultCode

if TYPE_CHECKING:
    from tests.simulation.world import World

C = FaultCode
D = Decimal
ALWAYS = (C.C4, C.C6, C.C7, C.C8, C.K1, C.K2, C.K4, C.M8, C.M9, C.M13, C.R1, C.U10)
HELD = (C.C1, C.C2, C.C3, C.C5)
"""With a position."""
RESTING = (C.O11, C.O17, C.O19)
"""With a limit order at rest."""
WAITING = (C.A3, C.A5, C.A7)
"""With a stop that waits."""
FIRING = (C.A4, C.A13)
"""With a stop that the next price triggers."""
TICK_DEEDS = (*ALWAYS, *HELD, *RESTING, *WAITING, *FIRING)
HAND_MS = 20_000
"""After so long a person undoes what he did by hand."""
READ_LATE_MS = 70_000
"""Until readings have shown what a hand did."""
EMPTY_MS = 25_000
"""An empty book stays empty until the next price."""


class Deeds:
    """Hands on the exchange of a world."""

    def __init__(
        self, world: World, excuse: Callable[[int], None], deafen: Callable[..., None]
    ) -> None:
        self._world = world
        self._exchange = world.exchange
        self._excuse = excuse
        self._deafen = deafen
        self.until_ms = 0
        """When the last of what goes on ends."""
        self.transferred = D(0)
        """Quote that came from outside."""
        self.hands: set[str] = set()
        """Symbols in which somebody else holds something for the moment."""
        self._ticks: dict[str, Decimal] = {}
        self._frozen: dict[str, tuple[int, Decimal]] = {}
        self._torn: dict[str, tuple[int, Decimal]] = {}

    def _lasts(self, ms: int) -> int:
        self.until_ms = max(self.until_ms, self._world.now + ms)
        return self._world.now + ms

    # --- around a request --------------------------------------------------------------------

    def lose_cancel(self, request: Request) -> Verdict:
        """Price reaches the order just before its cancel does."""
        self._excuse(5_000)
        symbol, now = request.symbol, self._world.venue_now
        if request.is_conditional:
            algo = self._exchange._conditionals.store.find(request.client_id)
            if algo is not None and algo.status is AlgoStatus.NEW and algo.trigger_price:
                self._exchange.on_price(symbol, algo.trigger_price, now)
            return CARRIED_OUT
        order = self._exchange._state.orders.find(symbol, request.client_id)
        if order is not None and order.is_open:
            self._exchange._engine.fill(order, order.price, order.remaining, now, is_maker=True)
        return CARRIED_OUT

    def fill_before_cancel(self, fault: Fault, request: Request) -> Verdict:
        """Part of a limit order is filled just before its cancel arrives."""
        order = self._exchange._state.orders.find(request.symbol, request.client_id)
        if order is not None and order.is_open:
            self._fill_part(order, fault.figure("fraction"))
        return CARRIED_OUT

    def _fill_part(self, order: Any, fraction: float) -> None:
        lot = self._exchange.instrument(order.symbol).lot_size
        part = max(lot, whole_steps(order.remaining * D(repr(fraction)), lot))
        now = self._world.venue_now
        self._exchange._engine.fill(order, order.price, part, now, is_maker=True)

    def thin_book(self, fault: Fault, request: Request) -> Verdict:
        """Less is offered than asked for."""
        self._set_book(request, [D(repr(fault.figure("fraction")))], ends=True)
        return CARRIED_OUT

    def steps_in_book(self, fault: Fault, request: Request) -> Verdict:
        """The book has little on each level."""
        pieces = max(1, round(fault.figure("pieces")))
        self._set_book(request, [D(1) / pieces] * pieces, ends=False)
        return CARRIED_OUT

    def _set_book(self, request: Request, shares: list[Decimal], *, ends: bool) -> None:
        order = request.order
        quotes = self._exchange._state.quotes[request.symbol]
        if order is None or quotes.last is None:
            return
        rules = self._exchange.instrument(request.symbol)
        quantity = D(repr(order.quantity))
        levels = []
        price = quotes.opposite(order.side)[0][0] if quotes.opposite(order.side) else quotes.last
        for share in shares:
            size = whole_steps(quantity * share, rules.lot_size)
            levels.append((price, max(rules.lot_size, size)))
            price += order.side * rules.tick_size
        if not ends:
            levels.append((price, BOTTOMLESS))
        if order.side > 0:
            quotes.set_book(quotes.bids, levels)
        else:
            quotes.set_book(levels, quotes.asks)

    # --- at a price --------------------------------------------------------------------------

    def possible(self, symbol: str, price: Decimal) -> tuple[FaultCode, ...]:
        """Which deeds have something to do now."""
        state = self._exchange._state
        codes: tuple[FaultCode, ...] = ALWAYS
        if state.account.positions[symbol].quantity and symbol not in self.hands:
            codes += HELD  # whose part a forced close takes beside a hand's, nobody can tell
        if state.orders.resting(symbol):
            codes += RESTING
        waiting = [a for a in self._waiting(symbol) if a.status is AlgoStatus.NEW]
        if waiting:
            codes += WAITING
            if any(algo.fires_at(price) for algo in waiting):
                codes += FIRING
        return codes

    def _waiting(self, symbol: str) -> list[Any]:
        return list(self._exchange._conditionals.store.waiting(symbol))

    def tick(self, fault: Fault | None, symbol: str, price: Decimal) -> Decimal | None:
        """Play `fault` at this price; the price that the exchange is told (None: told already)."""
        until, frozen = self._frozen.get(symbol, (0, price))
        if self._world.now < until:
            price = frozen
        if fault is not None:
            told = self._play(fault, symbol, price)
            if not isinstance(told, bool):
                return told
        until, factor = self._torn.get(symbol, (0, D(1)))
        if self._world.now < until:
            now = self._world.venue_now
            self._exchange.on_price(symbol, price, now)
            self._exchange.on_mark(symbol, price * factor, now)
            return None
        return price

    def _play(self, fault: Fault, symbol: str, price: Decimal) -> Decimal | bool | None:
        """True: go on with the price that was due."""
        deed: dict[FaultCode, Callable[[Fault, str, Decimal], Decimal | bool | None]] = {
            C.M8: self._freeze,
            C.M9: lambda f, _, p: self._on_grid(symbol, p * (1 + D(repr(f.figure("fraction"))))),
            C.M13: self._tear,
            C.O11: self._expire_resting,
            C.O17: self._expire_resting,
            C.O19: self._amend,
            C.A3: self._stick,
            C.A4: self._reject_trigger,
            C.A5: self._expire_stop,
            C.A7: self._trigger_unseen,
            C.A13: self._finish_unfilled,
            C.U10: self._by_hand,
            C.K1: self._skew,
            C.K2: self._skew,
            C.K4: self._skew,
        }
        return deed.get(fault.what, self._account)(fault, symbol, price)

    def _on_grid(self, symbol: str, price: Decimal) -> Decimal:
        tick = self._exchange.instrument(symbol).tick_size
        return whole_steps(price, tick)

    def _freeze(self, fault: Fault, symbol: str, price: Decimal) -> bool:
        self._frozen[symbol] = (self._lasts(fault.ms("duration_ms")), price)
        return True

    def _tear(self, fault: Fault, symbol: str, price: Decimal) -> bool:
        factor = 1 + D(repr(fault.figure("fraction")))
        self._torn[symbol] = (self._lasts(fault.ms("duration_ms")), factor)
        return True

    def _expire_resting(self, fault: Fault, symbol: str, price: Decimal) -> bool:
        order = self._exchange._state.orders.resting(symbol)[0]
        ends = OrderStatus.EXPIRED_IN_MATCH
        if fault.what is C.O11:
            ends = OrderStatus.EXPIRED
            self._fill_part(order, fault.figure("fraction"))
        if order.is_open:
            self._exchange._engine.end(order, ends, self._world.venue_now, "a fault")
        self._excuse(5_000)
        return True

    def _amend(self, fault: Fault, symbol: str, price: Decimal) -> bool:
        order = self._exchange._state.orders.resting(symbol)[0]
        rules = self._exchange.instrument(symbol)
        moved = order.price - order.side * rules.tick_size * round(fault.figure("ticks"))
        now = self._world.venue_now
        self._try(lambda: self._exchange.amend(symbol, order.order_id, order.quantity, moved, now))
        return True

    @staticmethod
    def _try(do: Callable[[], object]) -> None:
        """What the venue would not do does not happen."""
        try:
            do()
        except ExchangeError:
            return

    def _stick(self, fault: Fault, symbol: str, price: Decimal) -> bool:
        lasts = fault.ms("duration_ms")
        self._exchange.hold_triggers(symbol, True, self._world.venue_now)
        self._world.push(self._lasts(lasts), self._let_go, symbol)
        return True

    def _let_go(self, symbol: str) -> None:
        self._exchange.hold_triggers(symbol, False, self._world.venue_now)
        self._world.flush()

    def _reject_trigger(self, fault: Fault, symbol: str, price: Decimal) -> None:
        """Nobody is there when the stop fires: the engine refuses its order."""
        now = self._world.venue_now
        self._exchange.on_book(symbol, [], [], now)
        self._exchange.on_trade(symbol, price, D(1), now)
        self._excuse(EMPTY_MS)

    def _finish_unfilled(self, fault: Fault, symbol: str, price: Decimal) -> None:
        engine: Any = self._exchange._engine

        def give_up(order: Any, now_ms: int) -> None:
            engine.end(order, OrderStatus.CANCELED, now_ms, "a fault")

        engine.take = give_up
        try:
            self._exchange.on_price(symbol, price, self._world.venue_now)
        finally:
            del engine.take
        self._excuse(5_000)

    def _expire_stop(self, fault: Fault, symbol: str, price: Decimal) -> bool:
        algo = next(a for a in self._waiting(symbol) if a.status is AlgoStatus.NEW)
        self._exchange._conditionals._end(
            algo, AlgoStatus.EXPIRED, self._world.venue_now, "a fault"
        )
        self._excuse(5_000)
        return True

    def _trigger_unseen(self, fault: Fault, symbol: str, price: Decimal) -> Decimal:
        """The stream is down while price reaches a stop."""
        self._deafen(5_000, told_ms=1_000)
        algo = next(a for a in self._waiting(symbol) if a.status is AlgoStatus.NEW)
        return Decimal(algo.trigger_price)

    def _skew(self, fault: Fault, symbol: str, price: Decimal) -> bool:
        lasts = fault.ms("duration_ms") if fault.what is C.K4 else 5_000
        self._world.skew_ms = fault.ms("skew_ms")
        self._world.push(self._lasts(lasts), self._unskew)
        self._excuse(lasts + 5_000)
        return True

    def _unskew(self, _: object) -> None:
        self._world.skew_ms = 0

    def _by_hand(self, fault: Fault, symbol: str, price: Decimal) -> bool:
        """Somebody closes half of our position by hand, or opens one and closes it later."""
        position = self._exchange._state.account.positions[symbol]
        lot = self._exchange.instrument(symbol).lot_size
        now = self._world.venue_now
        if symbol in self.hands:
            return True
        if not position.quantity:
            try:
                bought = self._exchange.outside_fill(symbol, 1, 10 * lot, now).filled_quantity
            except ExchangeError:
                return True
            self.hands.add(symbol)
            throws = self._world.switch.throws
            self._world.push(self._lasts(HAND_MS), self._undo, (symbol, bought, throws))
        else:
            side, part = -position.side, max(lot, whole_steps(abs(position.quantity) / 2, lot))
            self._try(lambda: self._exchange.outside_fill(symbol, side, part, now))
        self._excuse(HAND_MS + READ_LATE_MS)
        return True

    def _undo(self, what: tuple[str, Decimal, int]) -> None:
        symbol, quantity, throws = what
        now = self._world.venue_now
        if self._world.switch.is_thrown or self._world.switch.throws != throws:
            # The kill switch has closed it, or (part of) it is still there.
            held = self._exchange._state.account.positions[symbol].quantity
            quantity = min(quantity, max(held, D(0)))
        if quantity:
            self._try(lambda: self._exchange.outside_fill(symbol, -1, quantity, now))
        self.hands.discard(symbol)
        self._world.flush()

    def _account(self, fault: Fault, symbol: str, price: Decimal) -> bool:
        exchange, now = self._exchange, self._world.venue_now
        what = fault.what
        self._excuse(5_000)
        if what is C.C1:
            exchange.liquidate(symbol, now, D(repr(fault.figure("fraction"))))
        elif what is C.C2:
            exchange.adl(symbol, now, D(repr(fault.figure("fraction"))))
        elif what is C.C3:
            exchange.settle_funding(symbol, D(repr(fault.figure("rate"))), now)
        elif what is C.C5:
            exchange.margin_call(symbol, now)
        elif what is C.C6:
            leverage = round(fault.figure("leverage"))
            self._try(lambda: exchange.set_leverage(symbol, leverage, now))
        elif what is C.C7:
            amount = D(round(fault.figure("amount_quote")))
            exchange.transfer(amount, now)
            self.transferred += amount
        elif what is C.C8:
            rate = D(repr(fault.figure("fee_rate")))
            exchange.change_fees(rate / 2, rate)
        elif what is C.C4:
            self._lower_brackets(symbol, round(fault.figure("leverage")))
        else:
            rules = exchange.instrument(symbol)
            is_wide = rules.tick_size > self._ticks.setdefault(symbol, rules.tick_size)
            tick = self._ticks[symbol] * (1 if is_wide else 10)
            exchange.change_instrument(replace(rules, tick_size=tick))
        return True

    def _lower_brackets(self, symbol: str, leverage: int) -> None:
        rules = self._exchange.instrument(symbol)
        lower = tuple(
            replace(each, leverage_max=min(each.leverage_max, leverage)) for each in rules.brackets
        )
        self._exchange.change_instrument(replace(rules, brackets=lower))
