"""Money that comes and goes without a trade: funding and transfers."""

from __future__ import annotations

from decimal import Decimal

from tercel.adapters.simulator.exchange.amounts import in_units
from tercel.adapters.simulator.exchange.errors import refusal
from tercel.adapters.simulator.exchange.events import AccountChanged, AccountReason, BalanceChange
from tercel.adapters.simulator.exchange.margin import balance_row, position_row
from tercel.adapters.simulator.exchange.records import ZERO, IncomeKind, PositionRow
from tercel.adapters.simulator.exchange.state import State


def settle(state: State, symbol: str, rate: Decimal, now_ms: int) -> None:
    """A position of 2 at a mark of 50 and a rate of 0.01 % pays 0.01, a short one receives it.

    In cross margin the event names no position, as the venue has it.
    """
    position = state.account.positions[symbol]
    amount = in_units(-position.quantity * state.mark(symbol) * rate)
    if not amount:
        return
    state.account.pay(IncomeKind.FUNDING_FEE, amount, symbol, now_ms)
    positions: tuple[PositionRow, ...] = ()
    if position.is_isolated:
        position.isolated_wallet_quote += amount
        positions = (position_row(state, position),)
    state.log.emit(
        AccountChanged(
            now_ms, AccountReason.FUNDING_FEE, (_balance(state, amount),), positions, symbol
        )
    )


def transfer(state: State, amount_quote: Decimal, now_ms: int) -> None:
    """A deposit, or a withdrawal where negative. Raises ExchangeError -2018."""
    amount = in_units(amount_quote)
    if amount == ZERO:
        return
    if amount < ZERO and -amount > balance_row(state).available_quote:
        raise refusal(-2018)
    state.account.pay(IncomeKind.TRANSFER, amount, "", now_ms)
    reason = AccountReason.DEPOSIT if amount > ZERO else AccountReason.WITHDRAW
    state.log.emit(AccountChanged(now_ms, reason, (_balance(state, amount),), ()))


def _balance(state: State, change: Decimal) -> BalanceChange:
    account = state.account
    return BalanceChange(account.asset, account.wallet_quote, account.cross_wallet_quote, change)
