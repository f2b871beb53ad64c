"""The settings of parameter sweeps and walk-forward: how long each window is, how one is chosen."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field
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
    combinations_max: int = Field(ge=1, description="Largest grid that is accepted")
    workers: int = Field(
        ge=0, le=1024, description="Threads that try combinations; 0: one for each core"
    )
    ray_wait_seconds: float = Field(
        gt=0, le=600, description="Longest wait for an answer of the cluster given as --ray"
    )
