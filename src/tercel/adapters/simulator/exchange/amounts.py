"""Exact amounts: the wallet's smallest unit, and steps of a grid."""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_DOWN, ROUND_FLOOR, Decimal

from tercel.adapters.simulator.exchange.records import ZERO

UNIT = Decimal("1E-8")
"""The smallest part of a quote currency that a wallet counts."""


def decimal_of(value: float) -> Decimal:
    """The decimal number that a float was written as: 0.1 is a tenth."""
    return Decimal(repr(float(value)))


def in_units(amount: Decimal) -> Decimal:
    """`amount` rounded to the wallet's unit, half to even."""
    return amount.quantize(UNIT)


def whole_steps(quantity: Decimal, step: Decimal) -> Decimal:
    """The largest multiple of `step` that is not above `quantity`."""
    return (quantity / step).to_integral_value(rounding=ROUND_DOWN) * step


def step_above(price: Decimal, step: Decimal) -> Decimal:
    """The smallest multiple of `step` that is not below `price`."""
    return (price / step).to_integral_value(rounding=ROUND_CEILING) * step


def step_below(price: Decimal, step: Decimal) -> Decimal:
    """The largest multiple of `step` that is not above `price`."""
    return (price / step).to_integral_value(rounding=ROUND_FLOOR) * step


def is_on_grid(value: Decimal, step: Decimal) -> bool:
    """Whether `value` is a multiple of `step`."""
    return value % step == ZERO
