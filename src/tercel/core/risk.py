"""Whether a signal may become an order, and how large.

`approve` runs the checks in a fixed order and stops at the first that objects; its answer is either
a quantity or a `Refusal`. Breakers (`breakers.TABLE`) come first, then the size: what is wanted,
times its factors, under every cap, rounded down to the lot.
"""

from __future__ import annotations

import math
from typing import Any

from tercel.core import breakers
from tercel.core.codes import OrderStatus, Refusal, SizeMode, SlippageModel, Slot
from tercel.core.fills import floor_to_lot
from tercel.core.jit import kernel
from tercel.core.margin import liquidation_price
from tercel.core.records import SCORE_STEPS


@kernel
def refused(refusal: int) -> tuple[int, float]:
    """The answer to a signal that becomes no order; a plain number, whatever kind the code was."""
    return refusal + 0, 0.0


@kernel
def cost_per_unit(stream: Any, price: float) -> float:
    """Expected cost of one round trip per unit of base, in price units: two taker fees and two mean
    slippages.
    """
    costs = stream.costs
    slip = 0.0
    if costs.slippage_model == SlippageModel.TICKS:
        ticks = 0.5 * (costs.slippage_ticks_min + costs.slippage_ticks_max)
        slip = ticks * stream.instrument.tick_size
    elif costs.slippage_model == SlippageModel.BPS:
        slip = price * costs.slippage_bps * 1e-4
    return 2.0 * (price * costs.taker_fee_rate + slip)


@kernel
def loss_per_unit(stream: Any, price: float, stop_distance: float) -> float:
    """What one unit of base loses when the stop is hit, price units: costs included if so set."""
    loss = stop_distance
    if stream.sizing.includes_costs:
        loss += cost_per_unit(stream, price)
    return loss


@kernel
def wanted_quantity(account: Any, stream: Any, price: float, stop_distance: float) -> float:
    """Quantity before caps.

    RISK: equity 10,000, risk_fraction 0.002, stop distance 40 without costs: 20 / 40 = 0.5 base.
    """
    sizing = stream.sizing
    if sizing.mode == SizeMode.QUANTITY:
        return sizing.quantity
    if sizing.mode == SizeMode.NOTIONAL:
        return sizing.notional_quote / price
    loss = loss_per_unit(stream, price, stop_distance)
    return sizing.risk_fraction * account.equity_quote / loss


@kernel
def score_factor(sizing: Any, score: float) -> float:
    """The share of the size that a signal of `score` gets: that of the highest step it reaches, of
    the lowest where it reaches none; all of it where nothing is scored.
    """
    factor = 1.0
    if math.isnan(score):
        return factor
    for step in range(SCORE_STEPS):
        if sizing.score_factor[step] > 0.0:
            factor = sizing.score_factor[step]
            if score >= sizing.score_from[step]:
                break
    return factor


@kernel
def kelly_fraction(track: Any) -> float:
    """The growth-optimal share of equity to risk, from a record of trades; at most 0 without an
    edge.

    p - (1 - p) / b with p the win rate and b the mean win over the mean loss (Kelly 1956). Of 30
    trades 18 won 1.5 R each and 12 lost 1 R: 0.6 - 0.4 / 1.5 = 0.33.
    """
    losses = track.trades - track.wins
    if losses == 0 or track.lost_r <= 0.0:
        return 1.0
    if track.wins == 0:
        return -1.0
    win_rate = track.wins / track.trades
    pay_off = (track.won_r / track.wins) / (track.lost_r / losses)
    return win_rate - (1.0 - win_rate) / pay_off


@kernel
def kelly_cap(account: Any, stream: Any) -> float:
    """Equity that Kelly lets the strategy risk, quote; inf where its record does not count yet."""
    sizing = stream.sizing
    track = stream.track
    if not sizing.kelly_fraction > 0.0 or track.trades < sizing.kelly_trades_min:
        return math.inf
    return sizing.kelly_fraction * kelly_fraction(track) * account.equity_quote


@kernel
def room(account: Any, stream: Any, price: float) -> tuple[int, float]:
    """(Refusal, quantity that leverage and free margin leave room for at `price`)."""
    leverage = stream.sizing.leverage_max
    if not leverage > 0.0:
        return 0, math.inf
    free = account.equity_quote - account.margin_quote
    if free <= 0.0:
        return refused(Refusal.NO_MARGIN)
    wanted = account.limits.free_margin_fraction_min
    if wanted > 0.0 and free < wanted * account.equity_quote:
        return refused(Refusal.FREE_MARGIN)
    return 0, free * leverage / price


@kernel
def capped(account: Any, stream: Any, price: float, loss: float) -> tuple[int, float]:
    """(Refusal, largest quantity that the caps allow) where a unit loses `loss` at its stop."""
    refusal, cap = room(account, stream, price)
    if refusal != Refusal.NONE:
        return refused(refusal)
    if stream.sizing.notional_max > 0.0:
        cap = min(cap, stream.sizing.notional_max / price)
    heat_max = account.limits.heat_fraction_max
    if heat_max > 0.0:
        heat_room = heat_max * account.equity_quote - account.heat_quote
        if heat_room <= 0.0:
            return refused(Refusal.HEAT)
        cap = min(cap, heat_room / loss)
    bet = kelly_cap(account, stream)
    if bet <= 0.0:
        return refused(Refusal.KELLY)
    return 0, min(cap, bet / loss)


@kernel
def size(account: Any, stream: Any, bar: Any, signal: Any) -> tuple[int, float]:
    """(Refusal, quantity) after factors, caps and rounding down to the lot."""
    instrument = stream.instrument
    price = bar.close
    loss = loss_per_unit(stream, price, signal.stop_distance)
    refusal, cap = capped(account, stream, price, loss)
    if refusal != Refusal.NONE:
        return refused(refusal)
    factor = score_factor(stream.sizing, signal.score)
    factor *= breakers.size_factor(account.pace, account.pace_state)
    factor *= breakers.size_factor(stream.pace, stream.pace_state)
    quantity = min(wanted_quantity(account, stream, price, signal.stop_distance) * factor, cap)
    quantity = floor_to_lot(quantity, instrument.lot_size)
    minimum = max(instrument.quantity_min, instrument.notional_min / price)
    if not (quantity > 0.0 and quantity >= minimum * (1.0 - 1e-9)):
        return refused(Refusal.BELOW_MINIMUM)
    liquidation = liquidation_price(account, stream, signal.side, quantity, price)
    if signal.side * (price - signal.side * signal.stop_distance - liquidation) <= 0.0:
        return refused(Refusal.STOP_BEYOND_LIQUIDATION)
    return 0, quantity


@kernel
def is_valid_stop(stream: Any, signal: Any) -> bool:
    """Whether the signal's stop distance is a finite one of at least a tick."""
    distance = signal.stop_distance
    at_least = stream.instrument.tick_size * (1.0 - 1e-9)
    return distance > 0.0 and distance >= at_least and math.isfinite(distance)


@kernel
def approve(account: Any, stream: Any, bar: Any, signal: Any) -> tuple[int, float]:
    """(Refusal, quantity) for a signal with a side, once `market.survey` has looked around."""
    if account.exhausted:
        return refused(Refusal.EQUITY_EXHAUSTED)
    if stream.position.quantity > 0.0 or stream.orders[Slot.ENTRY].status != OrderStatus.EMPTY:
        return refused(Refusal.POSITION_OPEN)
    if not is_valid_stop(stream, signal):
        return refused(Refusal.INVALID_STOP)
    if signal.veto != 0:
        return refused(signal.veto)
    time = bar.open_time + stream.bar_ms
    refusal = breakers.forbids(account, stream, time)
    if refusal != Refusal.NONE:
        return refused(refusal)
    if signal.score < max(
        breakers.score_wanted(account.pace, time), breakers.score_wanted(stream.pace, time)
    ):
        return refused(Refusal.LOW_SCORE)
    return size(account, stream, bar, signal)
