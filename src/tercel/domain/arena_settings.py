"""The settings of `tercel arena`: how strategies are ranked, and how capital moves between them."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from tercel.domain.setting_groups import Group

RankBy = Literal["net", "profit_factor", "drawdown", "sharpe"]


class AllocatorSettings(Group):
    """How much capital each strategy is given: by the evidence of its own closed trades."""

    rebalance_days: int = Field(ge=1, le=365, description="UTC days between two rebalances")
    prior_trades: float = Field(
        ge=2, le=10_000, description="Imaginary trades without an edge that the prior is worth"
    )
    prior_deviation_r: float = Field(
        gt=0, le=100, description="Deviation of those imaginary trades, R"
    )
    trades_min: int = Field(
        ge=2, le=100_000, description="Closed trades before a strategy is judged, or given capital"
    )
    trades_max: int = Field(
        ge=2, le=1_000_000, description="Latest closed trades that count; older ones are forgotten"
    )
    pause_below: float = Field(
        ge=0, le=1, description="Probability of a positive expectancy below which it is paused"
    )
    resume_at: float = Field(
        ge=0, le=1, description="Probability at which a paused strategy is let in again"
    )
    floor_fraction: float = Field(
        ge=0, le=1, description="Smallest share of the capital of a judged strategy, unless paused"
    )
    cap_fraction: float = Field(
        gt=0, le=1, description="Largest share of the capital of one strategy"
    )

    @model_validator(mode="after")
    def _ends_fit(self) -> Self:
        pairs = (
            ("trades_max", "trades_min", self.trades_max >= self.trades_min),
            ("resume_at", "pause_below", self.resume_at >= self.pause_below),
            ("cap_fraction", "floor_fraction", self.cap_fraction >= self.floor_fraction),
        )
        for large, small, fits in pairs:
            if not fits:
                raise PydanticCustomError(
                    "setting",
                    "{problem}",
                    {
                        "path": f"allocator.{large}",
                        "problem": f"expected at least {small} ({getattr(self, small):g}), got "
                        f"{getattr(self, large):g}",
                        "because_of": large,
                    },
                )
        return self


class ArenaSettings(Group):
    """Every strategy on the same bars with the same capital, each alone on its account."""

    rank: RankBy = Field(
        description="What decides the order: drawdown, smallest first; others, largest"
    )
    workers: int = Field(
        ge=0, le=1024, description="Threads that trade strategies; 0: one for each core"
    )
