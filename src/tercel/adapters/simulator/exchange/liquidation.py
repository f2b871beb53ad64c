"""Where the venue takes over: liquidation by margin, and what faults do by hand.

A position whose backing is down to its maintenance margin is taken over at the mark price, or at
its bankruptcy price where the mark has jumped beyond: the account loses what it has and no more.
One in a higher bracket is first reduced to the cap of the bracket below. Long 1 from 100 with 10
behind it: bankrupt at 90; a mark of 85 closes it at 90, and nothing is left.
"""

from __future__ import annotations

from decimal import Decimal

from tercel.adapters.simulator.exchange.account import Fill, Position
from tercel.adapters.simulator.exchange.amounts import (
    in_units,
    step_above,
    step_below,
    whole_steps,
)
from tercel.adapters.simulator.exchange.engine import Engine
from tercel.adapters.simulator.exchange.events import (
    AccountReason,
    Execution,
    MarginCall,
    OrderChanged,
)
from tercel.adapters.simulator.exchange.margin import (
    backing,
    bracket_of,
    maintenance_of,
    position_row,
)
from tercel.adapters.simulator.exchange.orders import WorkingOrder
from tercel.adapters.simulator.exchange.records import (
    ZERO,
    IncomeKind,
    NewOrder,
    OrderStatus,
    OrderType,
    TimeInForce,
)
from tercel.adapters.simulator.exchange.state import State


class Liquidator:
    """Watches margin at every mark price."""

    def __init__(self, state: State, engine: Engine) -> None:
        self._state = state
        self._engine = engine
        self._warned: set[str] = set()

    def check(self, symbol: str, now_ms: int) -> None:
        """The mark of `symbol` moved: warn of its position, or take it over."""
        position = self._state.account.positions[symbol]
        if not position.quantity:
            self._warned.discard(symbol)
            return
        left, maintenance = self._margin(position)
        if left > maintenance:
            self._warn(position, maintenance, left, now_ms)
            return
        self._cancel_orders(position, now_ms)
        for each in self._in_order(position):
            while each.quantity:
                left, maintenance = self._margin(each)
                if left > maintenance:
                    return
                self._reduce(each, left, now_ms)

    def liquidate(self, symbol: str, fraction: Decimal, now_ms: int) -> None:
        """Take over that part of the position now."""
        position = self._state.account.positions[symbol]
        if position.quantity:
            left, _ = self._margin(position)
            size = abs(position.quantity)
            self._take_over(position, self._part(position, fraction * size), left, now_ms)

    def adl(self, symbol: str, fraction: Decimal, now_ms: int) -> None:
        """Auto-deleveraging of that part of the position: at the mark price, without a fee."""
        position = self._state.account.positions[symbol]
        if position.quantity:
            quantity = self._part(position, fraction * abs(position.quantity))
            price = self._on_grid(position, self._state.mark(symbol))
            self._close(position, quantity, price, "adl_autoclose", now_ms)

    def call(self, position: Position, now_ms: int) -> None:
        """Tell of a margin call."""
        row = position_row(self._state, position)
        wallet = self._state.account.cross_wallet_quote
        self._state.log.emit(MarginCall(now_ms, wallet, (row,)))

    # --- inside ---

    def _margin(self, position: Position) -> tuple[Decimal, Decimal]:
        """Margin balance behind the position, and the maintenance margin asked of it, quote."""
        state = self._state
        mark = state.mark(position.symbol)
        wallet, others = backing(state, position)
        own = maintenance_of(state.instruments[position.symbol], abs(position.quantity * mark))
        return wallet + position.unrealised(mark), own + others

    def _warn(self, position: Position, maintenance: Decimal, left: Decimal, now_ms: int) -> None:
        if maintenance < left * self._state.rules.margin_call_ratio:
            self._warned.discard(position.symbol)
        elif position.symbol not in self._warned:
            self._warned.add(position.symbol)
            self.call(position, now_ms)

    def _cancel_orders(self, position: Position, now_ms: int) -> None:
        """Before anything is taken over, the orders that tie up its margin go."""
        orders = self._state.orders
        resting = orders.resting(position.symbol) if position.is_isolated else orders.all_resting()
        for order in resting:
            if order.is_open:
                self._engine.end(order, OrderStatus.CANCELED, now_ms, "liquidation")

    def _in_order(self, position: Position) -> list[Position]:
        """What is taken over: an isolated position alone, else cross positions, worst first."""
        if position.is_isolated:
            return [position]
        state = self._state
        found = [p for p in state.account.open_positions() if not p.is_isolated]
        return sorted(found, key=lambda p: (p.unrealised(state.mark(p.symbol)), p.symbol))

    def _reduce(self, position: Position, left: Decimal, now_ms: int) -> None:
        """One step down: to the cap of the bracket below, else everything."""
        state = self._state
        rules = state.instruments[position.symbol]
        mark = state.mark(position.symbol)
        size = abs(position.quantity)
        bracket = bracket_of(rules, size * mark)
        quantity = size
        if bracket.number > rules.brackets[0].number and left > ZERO:
            kept = whole_steps(bracket.notional_floor_quote / mark, rules.lot_size)
            quantity = size - kept if ZERO < kept < size else size
        self._take_over(position, quantity, left, now_ms)

    def _take_over(self, position: Position, quantity: Decimal, left: Decimal, now_ms: int) -> None:
        state = self._state
        mark = state.mark(position.symbol)
        price = mark
        if left < ZERO:
            price = mark - left / quantity * position.side
        price = self._on_grid(position, price)
        self._close(position, quantity, price, state.ids.client("autoclose-"), now_ms)
        rate = state.instruments[position.symbol].liquidation_fee_rate
        # Closing at the mark leaves what backs the position as it was: the fee comes out of that.
        fee = min(in_units(quantity * price * rate), max(ZERO, left))
        if fee:
            state.account.pay(IncomeKind.INSURANCE_CLEAR, -fee, position.symbol, now_ms)
            if position.is_isolated:
                position.isolated_wallet_quote -= min(fee, position.isolated_wallet_quote)
            self._engine.tell_account(position.symbol, now_ms, AccountReason.INSURANCE_CLEAR)

    def _close(
        self, position: Position, quantity: Decimal, price: Decimal, client_id: str, now_ms: int
    ) -> None:
        """The venue's own order closes `quantity` of the position at `price`."""
        state = self._state
        request = NewOrder(
            symbol=position.symbol,
            side=-position.side,
            kind=OrderType.LIQUIDATION,
            quantity=quantity,
            price=price,
            time_in_force=TimeInForce.IOC,
        )
        order = WorkingOrder(
            order_id=state.ids.order(position.symbol),
            client_id=client_id,
            request=request,
            kind=OrderType.LIQUIDATION,
            quantity=quantity,
            price=price,
            created_ms=now_ms,
            updated_ms=now_ms,
        )
        state.orders.add(order)
        state.log.emit(OrderChanged(now_ms, order.row(), Execution.NEW))
        self._engine.fill_by_venue(order, Fill(price, quantity, ZERO, is_maker=False), now_ms)

    def _part(self, position: Position, quantity: Decimal) -> Decimal:
        """A part of the position in whole lots, at least one and at most all of it."""
        size = abs(position.quantity)
        lot = self._state.instruments[position.symbol].lot_size
        return min(size, max(lot, whole_steps(quantity, lot)))

    def _on_grid(self, position: Position, price: Decimal) -> Decimal:
        """The next price on the grid that is no worse for the account."""
        tick = self._state.instruments[position.symbol].tick_size
        return step_above(price, tick) if position.side > 0 else step_below(price, tick)
