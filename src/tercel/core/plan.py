"""How a strategy's trades are managed, as its author writes it down: legs, trailing, break-even,
time, entry.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tercel.core.codes import LEGS_MAX, OrderKind
from tercel.core.jit import new
from tercel.core.records import PLAN

FRACTION_TOLERANCE = 1e-9
ENTRY_KINDS = ("market", "limit", "post_only")


@dataclass(frozen=True, slots=True)
class TradePlan:
    """Scale-out legs as (R multiple, fraction of the entry quantity), and what moves the stops.

    Fractions of the legs and `trail_fraction` sum to one. Example, source 1's plan:
    `TradePlan(legs=((2.0, 0.5), (3.0, 0.25)), trail_fraction=0.25, trail_arm_r=1.0,
    trail_offset_r=0.5)`.
    """

    legs: tuple[tuple[float, float], ...] = ((2.0, 1.0),)
    trail_fraction: float = 0.0
    """Share left to the trailing stop."""
    trail_arm_r: float = 1.0
    """The trailing stop appears once price has been this many R in favour."""
    trail_offset_r: float = 0.0
    """Distance behind the best price in R."""
    trail_offset_atr: float = 0.0
    """Distance behind the best price in ATR of the signal; 0: use R."""
    breakeven_after_leg: int = 0
    """The stop goes to the entry price after this leg (1 to 4); 0: never."""
    stop_follows_legs: bool = False
    """The stop goes to target k-1 after leg k."""
    hold_minutes_max: float = 0.0
    """Close at market after this long; 0: no limit."""
    entry: str = "market"
    """market | limit | post_only."""
    entry_wait_bars: int = 1
    """A limit entry rests this many bars before it is chased or given up."""
    chase_max: int = 0
    """How often an unfilled limit entry is re-posted at the new close."""

    def problems(self) -> list[str]:
        """What is wrong with this plan, in words; empty when nothing is."""
        found = []
        if not 0 <= len(self.legs) <= LEGS_MAX:
            found.append(f"legs: at most {LEGS_MAX}, got {len(self.legs)}")
        total = sum(fraction for _, fraction in self.legs) + self.trail_fraction
        if abs(total - 1.0) > FRACTION_TOLERANCE:
            found.append(f"legs and trail_fraction: fractions must sum to 1, got {total:g}")
        if any(not r > 0 for r, _ in self.legs) or any(not f > 0 for _, f in self.legs):
            found.append("legs: every R multiple and fraction must be above 0")
        if self.trail_fraction > 0 and not (self.trail_offset_r > 0 or self.trail_offset_atr > 0):
            found.append("trail_fraction needs trail_offset_r or trail_offset_atr above 0")
        if self.entry not in ENTRY_KINDS:
            found.append(f"entry: expected market, limit or post_only, got {self.entry!r}")
        return found

    def record(self) -> Any:
        """The PLAN record that kernels read. Raises ValueError with every problem."""
        if found := self.problems():
            raise ValueError("; ".join(found))
        made = new(PLAN)
        made.leg_count = len(self.legs)
        for leg, (r, fraction) in enumerate(self.legs):
            made.leg_r[leg] = r
            made.leg_fraction[leg] = fraction
        made.trail_fraction = self.trail_fraction
        made.trail_arm_r = self.trail_arm_r
        made.trail_offset_r = self.trail_offset_r
        made.trail_offset_atr = self.trail_offset_atr
        made.breakeven_after_leg = self.breakeven_after_leg
        made.stop_follows_legs = self.stop_follows_legs
        made.hold_ms_max = round(self.hold_minutes_max * 60_000)
        made.entry_kind = OrderKind[self.entry.upper()]
        made.entry_wait_bars = self.entry_wait_bars
        made.chase_max = self.chase_max
        return made
