"""The settings of the gates: go-live thresholds, the validation of chosen days, and drift.

Sources of the shipped figures: source 2, section 12.3 (preset `source2`); source 1, section 8
(preset `source1`); source 5, "Backtest validation gate" (`validation`).
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, ConfigDict, Field, model_validator, with_config
from pydantic_core import PydanticCustomError
from typing_extensions import TypedDict

from tercel.domain.errors import UserError
from tercel.domain.times import DAY_MS, parse_time
from tercel.domain.trading_settings import Group

GateFigure = Literal[
    "trades",
    "win_rate",
    "profit_factor",
    "drawdown",
    "sharpe",
    "pay_off",
    "losing_streak",
    "average_winner_r",
    "trades_a_day",
    "monthly_return",
    "probabilistic_sharpe",
    "deflated_sharpe",
]
"""What a threshold may be about: app/gate.py says how each is measured."""


@with_config(ConfigDict(strict=True, extra="forbid", allow_inf_nan=False))
class Bound(TypedDict, total=False):
    """One end of a threshold: exactly one of the four."""

    above: Annotated[float, Field(description="Passes above it, not at it")]
    at_least: Annotated[float, Field(description="Passes at it and above")]
    below: Annotated[float, Field(description="Passes below it, not at it")]
    at_most: Annotated[float, Field(description="Passes at it and below")]


def _one_end(bound: Bound) -> Bound:
    if len(bound) != 1:
        raise PydanticCustomError(
            "setting", "expected exactly one of above, at_least, below, at_most"
        )
    return bound


Threshold = Annotated[Bound, AfterValidator(_one_end)]
Thresholds = dict[GateFigure, Threshold]


class GateSettings(Group):
    """Go-live thresholds: what a backtest must reach before `tercel gate` lets it pass."""

    preset: str = Field(description="The preset that counts when --preset names none")
    presets: dict[str, Thresholds] = Field(description="Threshold by preset and figure")

    @model_validator(mode="after")
    def _preset_is_known_and_none_is_empty(self) -> Self:
        if self.preset not in self.presets:
            known = ", ".join(sorted(self.presets))
            raise PydanticCustomError(
                "setting",
                "expected the preset to be one of {known}, got {preset}",
                {"known": known, "preset": self.preset},
            )
        empty = [name for name, thresholds in self.presets.items() if not thresholds]
        if empty:
            raise PydanticCustomError(
                "setting",
                "expected at least one threshold in preset {preset}",
                {"preset": empty[0]},
            )
        return self


def _days(days: tuple[str, ...]) -> tuple[str, ...]:
    try:
        whole = days and all(parse_time(day) % DAY_MS == 0 for day in days)
    except UserError:
        whole = False
    if not whole or len(set(days)) < len(days):
        raise PydanticCustomError("setting", "expected different UTC dates such as [2026-02-09]")
    return days


class ValidationSettings(Group):
    """Source 5's gate: few trades and a profit on chosen days, before a strategy is promoted."""

    days: Annotated[tuple[str, ...], AfterValidator(_days)] = Field(
        strict=False, description="UTC days that are traded when --days names none"
    )
    trades_max: int = Field(ge=0, description="More trades than that on one day fail the gate")
    profit_factor_min: float = Field(
        ge=0, description="The net profit factor of all days must be above it"
    )
    warm_up_days: int = Field(
        ge=0, le=365, description="Days of bars before each day that indicators are shown, untraded"
    )
    folder: str = Field(
        min_length=1, description="Folder of promotion records; relative to the working folder"
    )


class DriftSettings(Group):
    """When recent trades no longer look like those of the backtest."""

    false_alarm: float = Field(
        gt=0,
        lt=0.5,
        description="Chance of saying drifting of unchanged trades, all tests together",
    )
    missed: float = Field(
        gt=0, lt=0.5, description="Chance of saying ok of a win rate that fell by win_rate_drop"
    )
    win_rate_drop: float = Field(
        gt=0, lt=1, description="Fall of the win rate that must be noticed: 0.10 is 60 % to 50 %"
    )
    shift_deviations: float = Field(
        gt=0, le=5, description="Shift of net R or slippage that should be noticed, deviations"
    )
    slippage_deviation_bps_min: float = Field(
        gt=0, description="Spread of slippage taken where the reference has less, bps"
    )
    horizon_trades: int = Field(ge=1, description="Trades that the watch is to last")
    histories: int = Field(
        ge=100, le=100_000, description="Drawn series of trades behind a resampled threshold"
    )
    reference_trades_min: int = Field(ge=2, description="Trades the reference must have")
    recent_trades_min: int = Field(ge=1, description="Recent trades without which none is judged")
