"""Whether a signal may become an order, and how large.

`approve` runs the checks in a fixed order and stops at the first that objects; its answer is either
a quantity or a `Refusal`. Breakers compare the account as it stood at the last closed bar.
"""

from __future__ import annotations

import math
from typing import Any

from tercel.core.codes import OrderStatus, Refusal, SizeMode, SlippageModel, Slot
from tercel.core.fills import floor_to_lot
from tercel.core.jit import kernel


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
def wanted_quantity(account: Any, stream: Any, price: float, stop_distance: float) -> float:
    """Quantity before caps.

    RISK: equity 10,000, risk_fraction 0.002, stop distance 40 without costs: 20 / 40 = 0.5 base.
    """
    sizing = stream.sizing
    if sizing.mode == SizeMode.QUANTITY:
        return sizing.quantity
    if sizing.mode == SizeMode.NOTIONAL:
        return sizing.notional_quote / price
    loss_per_unit = stop_distance
    if sizing.includes_costs:
        loss_per_unit += cost_per_unit(stream, price)
    return sizing.risk_fraction * account.equity_quote / loss_per_unit


@kernel
def size(account: Any, stream: Any, price: float, stop_distance: float) -> tuple[int, float]:
    """(Refusal, quantity) after caps and rounding down to the lot."""
    sizing = stream.sizing
    instrument = stream.instrument
    quantity = wanted_quantity(account, stream, price, stop_distance)
    if sizing.notional_max > 0.0:
        quantity = min(quantity, sizing.notional_max / price)
    if sizing.leverage_max > 0.0:
        taken = account.exposure_quote + account.working_quote
        room = account.equity_quote * sizing.leverage_max - taken
        if room <= 0.0:
            return Refusal.NO_MARGIN, 0.0
        quantity = min(quantity, room / price)
    quantity = floor_to_lot(quantity, instrument.lot_size)
    minimum = max(instrument.quantity_min, instrument.notional_min / price)
    if not (quantity > 0.0 and quantity >= minimum * (1.0 - 1e-9)):
        return Refusal.BELOW_MINIMUM, 0.0
    return Refusal.NONE, quantity


@kernel
def daily_loss_fraction(account: Any) -> float:
    """Loss since the day's first equity, realised and unrealised, as a positive fraction of it."""
    if not account.day_start_equity > 0.0:
        return 1.0
    return 1.0 - account.equity_quote / account.day_start_equity


@kernel
def approve(account: Any, stream: Any, bar: Any, signal: Any) -> tuple[int, float]:
    """(Refusal, quantity) for a signal with a side. The order of the checks is the order of the
    table in the docs.
    """
    limits = account.limits
    if account.exhausted:
        return Refusal.EQUITY_EXHAUSTED, 0.0
    if stream.position.quantity > 0.0 or stream.orders[Slot.ENTRY].status != OrderStatus.EMPTY:
        return Refusal.POSITION_OPEN, 0.0
    tick_size = stream.instrument.tick_size
    if not (
        signal.stop_distance > 0.0
        and signal.stop_distance >= tick_size * (1.0 - 1e-9)
        and math.isfinite(signal.stop_distance)
    ):
        return Refusal.INVALID_STOP, 0.0
    if limits.positions_max > 0 and account.open_positions >= limits.positions_max:
        return Refusal.MAX_POSITIONS, 0.0
    if (
        limits.daily_loss_fraction_max > 0.0
        and daily_loss_fraction(account) >= limits.daily_loss_fraction_max
    ):
        return Refusal.DAILY_LOSS, 0.0
    return size(account, stream, bar.close, signal.stop_distance)
