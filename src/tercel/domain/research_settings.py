"""The settings of research: parameter sweeps and walk-forward, the ledger of trials, and the
statistics against overfitting.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from tercel.domain.trading_settings import Group, Param, Scalar

HOURS_MAX = 100_000
"""Longest window, a bit over 11 years."""


def _not_empty(values: tuple[Scalar, ...]) -> tuple[Scalar, ...]:
    if not values:
        raise PydanticCustomError("setting", "expected at least one value")
    return values


Values = Annotated[tuple[Param, ...], Field(strict=False), AfterValidator(_not_empty)]
Grids = dict[str, dict[str, dict[str, Values]]]
"""Grid name -> strategy name -> parameter name -> the values to try."""


class WalkSettings(Group):
    """Walk-forward: choose on train and validation, report test, move on by one test, again."""

    grid: str = Field(min_length=1, description="The grid tried when --grid names none")
    train_hours: int = Field(ge=1, le=HOURS_MAX, description="Every combination is ranked on it")
    validate_hours: int = Field(
        ge=1, le=HOURS_MAX, description="The best of train are ranked again on it"
    )
    test_hours: int = Field(
        ge=1, le=HOURS_MAX, description="The one chosen is reported on it; folds move by it"
    )
    scheme: Literal["rolling", "anchored"] = Field(
        description="rolling: train has its length; anchored: it begins with the first bar"
    )
    purge_hours: int = Field(
        ge=0, le=HOURS_MAX, description="Left out between windows: longer than a position is held"
    )
    embargo_hours: int = Field(
        ge=0, le=HOURS_MAX, description="Left out beside the purge: what indicators remember"
    )
    rank_by: Literal["sharpe", "sortino", "net"] = Field(
        description="Figure of the train window that ranks combinations"
    )
    trades_min: int = Field(
        ge=1, description="Trades on train without which a combination is not ranked"
    )
    candidates: int = Field(
        ge=1, description="Best of train that are ranked by deflated Sharpe ratio on validation"
    )
    validate_trades_min: int = Field(
        ge=1, description="Trades on validation without which a candidate is not ranked"
    )
    validate_probability_min: float = Field(
        ge=0,
        le=1,
        description="Deflated Sharpe ratio below which a fold stays in cash; 0: the best is traded",
    )
    combinations_max: int = Field(ge=1, description="Largest grid that is accepted")
    workers: int = Field(
        ge=0, le=1024, description="Threads that try combinations; 0: one for each core"
    )
    ray_wait_seconds: float = Field(
        gt=0, le=600, description="Longest wait for an answer of the cluster given as --ray"
    )


LedgerPath = Annotated[Path, Field(strict=False), AfterValidator(Path.expanduser)]
HOW_MANY_MAX = 1_000_000
"""Most histories or permutations that are drawn."""


class ResearchSettings(Group):
    """What research leaves behind for good."""

    ledger: LedgerPath = Field(
        description="File that counts every trial ever run; relative to the working folder"
    )


class OverfitSettings(Group):
    """`tercel overfit`: how far a result can be believed after many have been tried."""

    returns_min: int = Field(
        ge=2, le=10_000, description="Daily returns without which nothing is computed"
    )
    blocks: int = Field(
        ge=2, le=20, description="Blocks of the probability of overfitting, an even number"
    )
    groups: int = Field(ge=2, le=40, description="Groups of days of combinatorial cross-validation")
    test_groups: int = Field(ge=1, le=39, description="Of them, tested in each split")
    purge_days: int = Field(
        ge=0, le=1000, description="Left out beside a test: longer than a position is held"
    )
    embargo_days: int = Field(ge=0, le=1000, description="Left out after a test on top of that")
    histories: int = Field(
        ge=100, le=HOW_MANY_MAX, description="Histories drawn by the block bootstrap"
    )
    confidence: float = Field(
        gt=0, lt=1, description="Share of the drawn values inside a bootstrap interval"
    )
    permutations: int = Field(
        ge=1, le=HOW_MANY_MAX, description="Random placements of the trades in time"
    )
    seed: int = Field(ge=0, lt=2**63, description="Seed of everything drawn at random")

    @model_validator(mode="after")
    def _numbers_fit(self) -> Self:
        if self.blocks % 2:
            problem = f"expected an even number, got {self.blocks}"
            raise _misfit("overfit.blocks", problem, "blocks")
        if self.test_groups >= self.groups:
            problem = f"expected fewer than overfit.groups ({self.groups}), got {self.test_groups}"
            raise _misfit("overfit.test_groups", problem, "test_groups")
        return self


def _misfit(path: str, problem: str, because_of: str) -> PydanticCustomError:
    """An error about `path` that the settings reader can place."""
    context = {"path": path, "problem": problem, "because_of": because_of}
    return PydanticCustomError("setting", "{problem}", context)
