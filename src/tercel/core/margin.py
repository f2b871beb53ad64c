"""Where the venue would close a position by itself.

Linear (USDT-margined) contracts, one-way mode. A position is liquidated at the price P at which
what backs it is down to its maintenance margin:

    backing + side * q * (P - entry) = q * P * rate - amount

with the rate and amount of the tier that its notional falls into. Isolated margin: the backing is
`entry * q / leverage`; cross margin: all equity. Source: Binance, "How to Calculate Liquidation
Price of USD-M Futures Contracts".
"""

from __future__ import annotations

import math
from typing import Any

from tercel.core.codes import Side
from tercel.core.jit import kernel
from tercel.core.records import TIERS_MAX


@kernel
def tier_of(instrument: Any, notional: float) -> int:
    """The tier that holds `notional` (quote); the last one where none does."""
    for tier in range(TIERS_MAX):
        if notional <= instrument.tier_notional[tier]:
            return tier
    return TIERS_MAX - 1


@kernel
def liquidation_price(account: Any, stream: Any, side: int, quantity: float, price: float) -> float:
    """Price at which a position of `quantity` from `price` would be liquidated; 0 for a long, inf
    for a short that cannot be. NaN where leverage is not set.
    """
    notional = price * quantity
    leverage = stream.sizing.leverage_max
    if not (leverage > 0.0 and notional > 0.0):
        return math.nan
    backing = notional / leverage
    if stream.sizing.cross_margin:
        backing = max(account.equity_quote, 0.0)
    tier = tier_of(stream.instrument, notional)
    rate = stream.instrument.tier_rate[tier]
    amount = stream.instrument.tier_amount[tier]
    if side == Side.LONG:
        found = (notional - backing - amount) / (quantity * (1.0 - rate))
        return max(found, 0.0)
    return (notional + backing + amount) / (quantity * (1.0 + rate))
