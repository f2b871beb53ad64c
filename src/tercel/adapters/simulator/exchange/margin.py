"""What positions and orders tie up, what must back them, and where the venue would step in.

Initial margin of a symbol is on the larger side it could end up with,

    max(|position + resting buys|, |position - resting sells|) / leverage,

notional at the mark price (orders at their own). Maintenance margin is `notional x rate - amount`
of the bracket that holds the notional. Source: Binance, "Leverage and Margin of USD-M Futures".
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from tercel.adapters.simulator.exchange.account import Position
from tercel.adapters.simulator.exchange.amounts import in_units
from tercel.adapters.simulator.exchange.records import (
    BUY,
    SELL,
    ZERO,
    BalanceRow,
    Bracket,
    Instrument,
    PositionRow,
)
from tercel.adapters.simulator.exchange.state import State


@dataclass(frozen=True, slots=True)
class SymbolMargin:
    """Margin of one symbol, quote."""

    notional: Decimal
    unrealised: Decimal
    position: Decimal
    orders: Decimal
    maintenance: Decimal
    bids: Decimal
    asks: Decimal


def bracket_of(rules: Instrument, notional: Decimal) -> Bracket:
    """The bracket that holds `notional`; the last one where none does."""
    for bracket in rules.brackets:
        if notional <= bracket.notional_cap_quote:
            return bracket
    return rules.brackets[-1]


def maintenance_of(rules: Instrument, notional: Decimal) -> Decimal:
    """What must back a position of `notional`, quote."""
    bracket = bracket_of(rules, notional)
    return in_units(notional * bracket.maintenance_rate - bracket.maintenance_amount_quote)


def notional_max_of(rules: Instrument, leverage: int) -> Decimal:
    """The largest position that brackets allow at `leverage`, quote; 0: that leverage is none."""
    caps = [b.notional_cap_quote for b in rules.brackets if b.leverage_max >= leverage]
    return max(caps, default=ZERO)


def exposure(position: Decimal, bids: Decimal, asks: Decimal) -> Decimal:
    """The larger side that a position and its resting orders could end up with, quote."""
    return max(abs(position + bids), abs(position - asks))


def symbol_margin(state: State, position: Position) -> SymbolMargin:
    """Margin of one symbol now."""
    symbol = position.symbol
    resting = {BUY: ZERO, SELL: ZERO}
    for order in state.orders.resting(symbol):
        if not order.only_reduces:
            resting[order.side] += order.remaining * order.price
    if not position.quantity and not resting[BUY] and not resting[SELL]:
        return SymbolMargin(ZERO, ZERO, ZERO, ZERO, ZERO, ZERO, ZERO)
    mark = state.mark(symbol)
    notional = position.quantity * mark
    whole = own = in_units(abs(notional) / position.leverage)
    if resting[BUY] or resting[SELL]:
        whole = in_units(exposure(notional, resting[BUY], resting[SELL]) / position.leverage)
    return SymbolMargin(
        notional=in_units(notional),
        unrealised=position.unrealised(mark),
        position=own,
        orders=max(ZERO, whole - own),
        maintenance=maintenance_of(state.instruments[symbol], abs(notional)),
        bids=in_units(resting[BUY]),
        asks=in_units(resting[SELL]),
    )


def balance_row(state: State) -> BalanceRow:
    """The account's one row. Isolated positions tie up their own wallets alone."""
    account = state.account
    unrealised = cross_unrealised = position_margin = order_margin = ZERO
    maintenance = locked = ZERO
    for position in account.positions.values():
        margin = symbol_margin(state, position)
        unrealised += margin.unrealised
        position_margin += margin.position
        order_margin += margin.orders
        maintenance += margin.maintenance
        locked += margin.orders
        if not position.is_isolated:
            cross_unrealised += margin.unrealised
            locked += margin.position
    cross = account.cross_wallet_quote
    return BalanceRow(
        asset=account.asset,
        wallet_quote=account.wallet_quote,
        cross_wallet_quote=cross,
        unrealised_quote=unrealised,
        cross_unrealised_quote=cross_unrealised,
        margin_balance_quote=account.wallet_quote + unrealised,
        initial_margin_quote=position_margin + order_margin,
        position_margin_quote=position_margin,
        open_order_margin_quote=order_margin,
        maintenance_margin_quote=maintenance,
        available_quote=max(ZERO, cross + cross_unrealised - locked),
        updated_ms=account.updated_ms,
    )


def position_row(state: State, position: Position) -> PositionRow:
    """One symbol's row."""
    margin = symbol_margin(state, position)
    isolated = position.is_isolated
    wallet = position.isolated_wallet_quote
    return PositionRow(
        symbol=position.symbol,
        quantity=position.quantity,
        entry_price=position.entry_price,
        break_even_price=position.break_even_price,
        mark_price=state.mark(position.symbol),
        unrealised_quote=margin.unrealised,
        liquidation_price=liquidation_price(state, position),
        notional_quote=margin.notional,
        leverage=position.leverage,
        is_isolated=isolated,
        isolated_wallet_quote=wallet,
        isolated_margin_quote=wallet + margin.unrealised if isolated else ZERO,
        initial_margin_quote=margin.position + margin.orders,
        position_margin_quote=margin.position,
        open_order_margin_quote=margin.orders,
        maintenance_margin_quote=margin.maintenance,
        notional_max_quote=notional_max_of(state.instruments[position.symbol], position.leverage),
        bid_notional_quote=margin.bids,
        ask_notional_quote=margin.asks,
        accumulated_realised_quote=position.realised_quote,
        adl_quantile=_adl_quantile(margin),
        updated_ms=position.updated_ms,
    )


def _adl_quantile(margin: SymbolMargin) -> int:
    """0 (flat or losing) to 4: how early it would be deleveraged, by return on its margin."""
    if margin.unrealised <= ZERO or not margin.position:
        return 0
    return min(4, int(margin.unrealised / margin.position * 4) + 1)


def backing(state: State, position: Position) -> tuple[Decimal, Decimal]:
    """What backs the position beside its own profit, and what other positions ask of it, quote."""
    if position.is_isolated:
        return position.isolated_wallet_quote, ZERO
    wallet = state.account.cross_wallet_quote
    maintenance = ZERO
    for other in state.account.positions.values():
        if other is position or other.is_isolated or not other.quantity:
            continue
        mark = state.mark(other.symbol)
        wallet += other.unrealised(mark)
        rules = state.instruments[other.symbol]
        maintenance += maintenance_of(rules, abs(other.quantity * mark))
    return wallet, maintenance


def liquidation_price(state: State, position: Position) -> Decimal:
    """The mark price at which what backs it is down to its maintenance margin; 0: there is none.

    backing - others + q P - cost = |q| P rate - amount, solved for P in the bracket it then is in.
    """
    if not position.quantity:
        return ZERO
    rules = state.instruments[position.symbol]
    wallet, others = backing(state, position)
    size = abs(position.quantity)
    price = ZERO
    for bracket in rules.brackets:
        slope = size * bracket.maintenance_rate - position.quantity
        if not slope:
            continue
        price = (wallet - others - position.cost_quote + bracket.maintenance_amount_quote) / slope
        if price * size <= bracket.notional_cap_quote:
            break
    return price.quantize(rules.tick_size) if price > ZERO else ZERO
