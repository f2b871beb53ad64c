"""What an account can switch: leverage and margin type of a symbol; hedge mode stays off."""

from __future__ import annotations

from tercel.adapters.simulator.exchange.algos import AlgoStore
from tercel.adapters.simulator.exchange.errors import refusal
from tercel.adapters.simulator.exchange.events import (
    AccountChanged,
    AccountReason,
    ConfigChanged,
)
from tercel.adapters.simulator.exchange.margin import (
    balance_row,
    exposure,
    notional_max_of,
    position_row,
    symbol_margin,
)
from tercel.adapters.simulator.exchange.records import LeverageRow
from tercel.adapters.simulator.exchange.state import State


class Switches:
    """Settings of the account, with the venue's conditions for changing them."""

    def __init__(self, state: State, algos: AlgoStore) -> None:
        self._state = state
        self._algos = algos

    def set_leverage(self, symbol: str, leverage: int, now_ms: int) -> LeverageRow:
        """Raises ExchangeError: -4028, -2027, -2028, -4161."""
        state = self._state
        rules = state.instrument(symbol)
        if not 1 <= leverage <= rules.brackets[0].leverage_max:
            raise refusal(-4028, leverage)
        position = state.account.positions[symbol]
        if position.is_isolated and position.quantity and leverage < position.leverage:
            raise refusal(-4161)
        margin = symbol_margin(state, position)
        notional_max = notional_max_of(rules, leverage)
        held = exposure(margin.notional, margin.bids, margin.asks)
        if held > notional_max:
            raise refusal(-2027)
        more = held / leverage - held / position.leverage
        if more > 0 and more > balance_row(state).available_quote:
            raise refusal(-2028)
        position.leverage = leverage
        state.log.emit(ConfigChanged(now_ms, symbol, leverage))
        return LeverageRow(symbol, leverage, notional_max)

    def set_margin_type(self, symbol: str, is_isolated: bool, now_ms: int) -> None:
        """Raises ExchangeError: -4046 (no change), -4047, -4048."""
        self._state.instrument(symbol)
        position = self._state.account.positions[symbol]
        if position.is_isolated == is_isolated:
            raise refusal(-4046)
        if self._state.orders.resting(symbol) or self._algos.waiting(symbol):
            raise refusal(-4047)
        if position.quantity:
            raise refusal(-4048)
        position.is_isolated = is_isolated
        position.updated_ms = now_ms
        row = position_row(self._state, position)
        reason = AccountReason.MARGIN_TYPE_CHANGE
        self._state.log.emit(AccountChanged(now_ms, reason, (), (row,)))

    def set_dual_side(self, is_dual: bool) -> None:
        """Raises ExchangeError: -4059 (no change), -4067, -4068, -4084."""
        if not is_dual:
            raise refusal(-4059)
        if self._state.orders.all_resting() or self._algos.all_waiting():
            raise refusal(-4067)
        if self._state.account.open_positions():
            raise refusal(-4068)
        raise refusal(-4084)
