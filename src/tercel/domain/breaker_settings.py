"""The settings of the breakers: what stops an account (`limits`), and how often, after what and
when it may enter (`pace`).

The defaults and their meaning are one table in `core/breakers.py`; a test holds the two together. A
figure of 0 switches its breaker off.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, ConfigDict, Field, with_config
from pydantic_core import PydanticCustomError
from typing_extensions import TypedDict

from tercel.domain.setting_groups import Group, Symbol


def _hours(hours: tuple[int, ...]) -> tuple[int, ...]:
    if any(not 0 <= hour <= 23 for hour in hours):
        raise PydanticCustomError("setting", "expected UTC hours from 0 to 23, such as [4, 5]")
    return tuple(sorted(set(hours)))


# fmt: off
Fraction = Annotated[float, Field(ge=0, le=1)]

PositionsMax = Annotated[int, Field(ge=0,
    description="Open positions and working entries at one time; 0: no limit")]
DailyLossFractionMax = Annotated[Fraction, Field(
    description="Loss since 00:00 UTC that pauses the account, fraction of that day's equity")]
Loss24hFractionMax = Annotated[Fraction, Field(
    description="Loss over 24 hours that closes everything and stops the account, fraction")]
SessionLossFractionMax = Annotated[Fraction, Field(
    description="Loss since the session began that closes everything and stops the account")]
ResumeAfterHours = Annotated[float, Field(ge=0,
    description="In a backtest: hours after which a stopped account goes on; 0: never")]
HeatFractionMax = Annotated[Fraction, Field(
    description="Sum of open risk (what all stops would lose now), fraction of equity")]
FreeMarginFractionMin = Annotated[Fraction, Field(
    description="Below this free margin, as a fraction of equity, nothing is opened")]
CorrelationMax = Annotated[Fraction, Field(
    description="Correlation (30 days of hours) with a position on the same side that blocks")]
ClusterPositionsMax = Annotated[int, Field(ge=0,
    description="Positions on one side in one cluster of symbols that block another")]
BtcMoveFractionMax = Annotated[Fraction, Field(
    description="Move of Bitcoin within an hour beyond which nothing is opened")]
Sp500FallFractionMax = Annotated[Fraction, Field(
    description="Fall of the S&P 500 within an hour beyond which nothing is opened")]
DollarRiseFractionMax = Annotated[Fraction, Field(
    description="Rise of the dollar within an hour beyond which nothing is opened")]

DailyTradesMax = Annotated[int, Field(ge=0, description="Entries in one UTC day")]
HourlySignalsMax = Annotated[int, Field(ge=0, le=64,
    description="Entries within 60 minutes, at most 64")]
LossStreakMax = Annotated[int, Field(ge=0, description="Losses in a row that begin a pause")]
LossStreakPauseMinutes = Annotated[float, Field(ge=0, description="Length of that pause")]
RevengePauseMinutes = Annotated[float, Field(ge=0,
    description="No entry in a symbol for so long after a losing stop there")]
WinStreakMin = Annotated[int, Field(ge=0, description="Wins in a row from which size is cut")]
WinStreakFactor = Annotated[float, Field(gt=0, le=1, description="What is left of the size then")]
ScoreMin = Annotated[float, Field(ge=0, le=100,
    description="A signal that has a score below it is refused")]
ThinHours = Annotated[tuple[int, ...], Field(strict=False,
    description="UTC hours of thin markets, each named by its beginning"), AfterValidator(_hours)]
ThinHoursScoreAdd = Annotated[float, Field(ge=0, le=100,
    description="Added to score_min in thin hours")]
AtrRatioMax = Annotated[float, Field(ge=0,
    description="ATR over its own 20-bar mean beyond which nothing is opened")]
FlowMin = Annotated[Fraction, Field(
    description="Order-flow score that must confirm a signal on its side, 0..1")]
# fmt: on


class LimitSettings(Group):
    """What stops the account, or keeps it from opening more. 0 switches a figure off."""

    positions_max: PositionsMax
    daily_loss_fraction_max: DailyLossFractionMax
    loss_24h_fraction_max: Loss24hFractionMax
    session_loss_fraction_max: SessionLossFractionMax
    resume_after_hours: ResumeAfterHours
    heat_fraction_max: HeatFractionMax
    free_margin_fraction_min: FreeMarginFractionMin
    correlation_max: CorrelationMax
    cluster_positions_max: ClusterPositionsMax
    btc_move_fraction_max: BtcMoveFractionMax
    sp500_fall_fraction_max: Sp500FallFractionMax
    dollar_rise_fraction_max: DollarRiseFractionMax


class PaceSettings(Group):
    """How often, after what, and when entries are allowed. 0 switches a figure off."""

    daily_trades_max: DailyTradesMax
    hourly_signals_max: HourlySignalsMax
    loss_streak_max: LossStreakMax
    loss_streak_pause_minutes: LossStreakPauseMinutes
    revenge_pause_minutes: RevengePauseMinutes
    win_streak_min: WinStreakMin
    win_streak_factor: WinStreakFactor
    score_min: ScoreMin
    thin_hours: ThinHours
    thin_hours_score_add: ThinHoursScoreAdd
    atr_ratio_max: AtrRatioMax
    flow_min: FlowMin


_overrides = with_config(ConfigDict(extra="forbid", strict=True, allow_inf_nan=False))


@_overrides
class LimitOverrides(TypedDict, total=False):
    """Some of LimitSettings."""

    positions_max: PositionsMax
    daily_loss_fraction_max: DailyLossFractionMax
    loss_24h_fraction_max: Loss24hFractionMax
    session_loss_fraction_max: SessionLossFractionMax
    resume_after_hours: ResumeAfterHours
    heat_fraction_max: HeatFractionMax
    free_margin_fraction_min: FreeMarginFractionMin
    correlation_max: CorrelationMax
    cluster_positions_max: ClusterPositionsMax
    btc_move_fraction_max: BtcMoveFractionMax
    sp500_fall_fraction_max: Sp500FallFractionMax
    dollar_rise_fraction_max: DollarRiseFractionMax


@_overrides
class PaceOverrides(TypedDict, total=False):
    """Some of PaceSettings."""

    daily_trades_max: DailyTradesMax
    hourly_signals_max: HourlySignalsMax
    loss_streak_max: LossStreakMax
    loss_streak_pause_minutes: LossStreakPauseMinutes
    revenge_pause_minutes: RevengePauseMinutes
    win_streak_min: WinStreakMin
    win_streak_factor: WinStreakFactor
    score_min: ScoreMin
    thin_hours: ThinHours
    thin_hours_score_add: ThinHoursScoreAdd
    atr_ratio_max: AtrRatioMax
    flow_min: FlowMin


Clusters = dict[str, Annotated[tuple[Symbol, ...], Field(strict=False)]]
"""Cluster name -> the symbols that count as one bet."""
