"""Tick, lot and minimums of a symbol: from the settings, else inferred from its bars."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tercel.core.jit import new
from tercel.core.records import INSTRUMENT, Records

DECIMALS_MAX = 8
SAMPLE_BARS = 5_000


@dataclass(frozen=True, slots=True)
class Instrument:
    """A venue's rules for one symbol."""

    tick_size: float
    """Smallest price step, quote."""
    lot_size: float
    """Smallest quantity step, base."""
    quantity_min: float = 0.0
    """Smallest order, base."""
    notional_min: float = 0.0
    """Smallest order, quote."""
    tiers: tuple[tuple[float, float], ...] = ()
    """(largest notional, maintenance margin rate) of each tier, smallest first; quote."""
    inferred: bool = False
    """Whether tick and lot were read off the data rather than known."""

    def record(self) -> Any:
        """The INSTRUMENT record that kernels read."""
        made = new(INSTRUMENT)
        made.tick_size = self.tick_size
        made.lot_size = self.lot_size
        made.quantity_min = self.quantity_min
        made.notional_min = self.notional_min
        amount, lower, lower_rate = 0.0, 0.0, 0.0
        for place, (notional, rate) in enumerate(self.tiers):
            amount += lower * (rate - lower_rate)
            lower, lower_rate = notional, rate
            # Beyond the last tier the venue takes no more: its rate goes on.
            is_last = place == len(self.tiers) - 1
            made.tier_notional[place] = math.inf if is_last else notional
            made.tier_rate[place] = rate
            made.tier_amount[place] = amount
        return made


def decimals_of(values: npt.NDArray[np.float64]) -> int:
    """The fewest decimals, at most DECIMALS_MAX, that write every value exactly; that many, too,
    where there is no value to tell.
    """
    if len(values) == 0:
        return DECIMALS_MAX
    for decimals in range(DECIMALS_MAX):
        scaled = values * 10.0**decimals
        if np.all(np.abs(scaled - np.rint(scaled)) < 1e-6 * np.maximum(1.0, np.abs(scaled) * 1e-6)):
            return decimals
    return DECIMALS_MAX


def infer_instrument(bars: Records) -> Instrument:
    """Tick and lot as the decimals that prices and volumes are quoted with.

    An estimate: a venue's lot can be coarser than the decimals of its volumes.
    """
    sample = bars[:: max(1, math.ceil(len(bars) / SAMPLE_BARS))]
    volume = sample["volume"][np.isfinite(sample["volume"])]
    return Instrument(
        tick_size=10.0 ** -decimals_of(np.concatenate([sample["close"], sample["high"]])),
        lot_size=10.0 ** -decimals_of(volume),
        inferred=True,
    )
