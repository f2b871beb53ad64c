"""The settings of trading: costs, fills, sizes, instruments, and a strategy's overrides.

Each `...Overrides` is its group with every field optional: what a strategy may say differently. The
annotated names give both of them the same range and meaning; a test holds the two lists equal.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, ConfigDict, Field, model_validator, with_config
from pydantic_core import PydanticCustomError
from typing_extensions import TypedDict

from tercel.domain.breaker_settings import (
    Clusters,
    LimitOverrides,
    LimitSettings,
    PaceOverrides,
    PaceSettings,
)
from tercel.domain.setting_groups import Group, Symbol

__all__ = [
    "Clusters",
    "CostProfile",
    "CostSettings",
    "FillSettings",
    "Group",
    "InstrumentSettings",
    "LimitSettings",
    "PaceSettings",
    "Param",
    "Scalar",
    "SizingSettings",
    "SlippageSettings",
    "StrategySettings",
    "Symbol",
    "Tiers",
    "Venue",
]

Scalar = bool | int | float | str
Venue = Literal["binance-usdm", "binance-spot", "bybit-linear", "bitget-usdtm", "synthetic"]


def _scalar(value: object) -> object:
    if isinstance(value, bool | int | float | str):
        return value
    raise PydanticCustomError("setting", "expected a number, a text, true or false")


def _expected(problem: str, because_of: str) -> PydanticCustomError:
    """An error of a whole group, and the field of it whose value decided."""
    return PydanticCustomError(
        "setting", "{problem}", {"problem": problem, "because_of": because_of}
    )


def _nothing_as_empty(value: object) -> object:
    """A section whose lines are all commented out is null in YAML and means: nothing set here."""
    return {} if value is None else value


# fmt: off
Param = Annotated[Scalar, BeforeValidator(_scalar)]
Step = Annotated[Decimal, Field(strict=False, gt=0)]
Minimum = Annotated[Decimal, Field(strict=False, ge=0)]

Intrabar = Annotated[Literal["stop_first", "ohlc_path", "optimistic"], Field(
    description="What happened first inside one bar: the stop, the OHLC path, or the targets")]
EntryTimingName = Annotated[Literal["close", "next_open"], Field(
    description="Where a market entry fills: at the signal bar's close or the next bar's open")]
LimitThroughTicks = Annotated[float, Field(ge=0, le=100,
    description="A limit fills once price trades through it by so many ticks")]
LimitFillProbability = Annotated[float, Field(ge=0, le=1,
    description="Chance that a limit fills when price only touches it, 0..1")]
LimitGapAtOpen = Annotated[bool, Field(
    description="A bar that opens beyond a limit fills it at the open, not at the limit")]
ParticipationMax = Annotated[float, Field(ge=0, le=1,
    description="Share of a bar's volume that one order may take, 0..1; 0: no cap")]

Score = Annotated[float, Field(ge=0, le=100)]
Share = Annotated[float, Field(gt=0, le=1)]
SizeModeName = Annotated[Literal["risk", "notional", "quantity"], Field(
    description="How an entry is sized: by risk, by a fixed notional or by a fixed quantity")]
RiskFraction = Annotated[float, Field(gt=0, le=1,
    description="Fraction of equity lost when the stop is hit (mode risk)")]
NotionalQuote = Annotated[float, Field(ge=0,
    description="Size of each entry in quote currency (mode notional)")]
Quantity = Annotated[float, Field(ge=0, description="Size of each entry in base (mode quantity)")]
IncludesCosts = Annotated[bool, Field(
    description="The round trip's fees and slippage count as part of the risk")]
NotionalMaxQuote = Annotated[float | None, Field(gt=0,
    description="Largest entry in quote currency; null: no cap")]
LeverageMax = Annotated[float, Field(gt=0, le=125,
    description="Leverage set at the venue: bounds the account's exposure over its equity")]
CrossMargin = Annotated[bool, Field(
    description="All equity backs each position; false: each has its own (isolated) margin")]
KellyFraction = Annotated[float, Field(ge=0, le=1,
    description="Risk at most this part of the Kelly bet of the strategy's own record; 0: no cap")]
KellyTradesMin = Annotated[int, Field(ge=1,
    description="Trades before that record counts")]
ScoreSteps = Annotated[
    tuple[Annotated[tuple[Score, Share], Field(strict=False)], ...],
    Field(strict=False, max_length=4,
    description="[score, share of the size] for scored signals, highest score first")]

LegR = Annotated[float, Field(gt=0)]
LegFraction = Annotated[float, Field(gt=0, le=1)]

TickSize = Annotated[Step, Field(description="Smallest price step, quote")]
LotSize = Annotated[Step, Field(description="Smallest quantity step, base")]
QuantityMin = Annotated[Minimum, Field(description="Smallest order, base")]
NotionalMinQuote = Annotated[Minimum, Field(description="Smallest order, quote")]
# fmt: on


_overrides = with_config(ConfigDict(extra="forbid", strict=True, allow_inf_nan=False))


class SlippageSettings(Group):
    """How much worse than the reference price a taker fills."""

    model: Literal["none", "ticks", "bps", "depth"] = Field(
        description="ticks: uniform number of ticks; bps: share of price; depth: spread and impact"
    )
    ticks_min: int = Field(default=0, ge=0, le=1000, description="Model ticks: fewest ticks")
    ticks_max: int = Field(default=0, ge=0, le=1000, description="Model ticks: most ticks")
    bps: float = Field(
        default=0.0, ge=0, le=500, description="Model bps: basis points of the price"
    )
    impact_bps: float = Field(
        default=0.0,
        ge=0,
        le=5000,
        description="Model depth: cost of taking a whole bar's volume, bps",
    )

    @model_validator(mode="after")
    def _figures_fit_the_model(self) -> Self:
        if self.ticks_max < self.ticks_min:
            raise _expected("expected ticks_max of at least ticks_min", because_of="ticks_max")
        needs = {"ticks": "ticks_max", "bps": "bps", "depth": "impact_bps"}.get(self.model)
        if needs and not getattr(self, needs):
            raise _expected(f"expected {needs} above 0 for model {self.model}", because_of="model")
        return self


class CostProfile(Group):
    """What trading costs at one venue, or as one source assumed it. Rates are fractions."""

    maker_fee_rate: float = Field(
        ge=-0.005, le=0.05, description="Fee of a resting order's fill; negative: a rebate"
    )
    taker_fee_rate: float = Field(ge=0, le=0.05, description="Fee of an order that takes")
    slippage: SlippageSettings = Field(description="How takers fill worse than the reference price")
    funding_rate: float = Field(
        ge=-0.05, le=0.05, description="Paid by longs at each settlement whose true rate is unknown"
    )
    funding_interval_hours: int = Field(
        ge=0, le=24, description="Hours between settlements; 0: there is no funding"
    )


class CostSettings(Group):
    """The cost profiles, and which of them a venue uses when a strategy names none."""

    profiles: dict[str, CostProfile] = Field(description="Each profile by its name")
    profile: dict[Venue, str] = Field(description="The profile of each venue")


class FillSettings(Group):
    """How the simulated exchange fills orders."""

    intrabar: Intrabar
    entry_timing: EntryTimingName
    limit_through_ticks: LimitThroughTicks
    limit_fill_probability: LimitFillProbability
    limit_gap_at_open: LimitGapAtOpen
    participation_max: ParticipationMax


@_overrides
class FillOverrides(TypedDict, total=False):
    """Some of FillSettings."""

    intrabar: Intrabar
    entry_timing: EntryTimingName
    limit_through_ticks: LimitThroughTicks
    limit_fill_probability: LimitFillProbability
    limit_gap_at_open: LimitGapAtOpen
    participation_max: ParticipationMax


class SizingSettings(Group):
    """How large an entry is."""

    mode: SizeModeName
    risk_fraction: RiskFraction
    notional_quote: NotionalQuote
    quantity: Quantity
    includes_costs: IncludesCosts
    notional_max_quote: NotionalMaxQuote
    leverage_max: LeverageMax
    cross_margin: CrossMargin
    kelly_fraction: KellyFraction
    kelly_trades_min: KellyTradesMin
    score_steps: ScoreSteps

    @model_validator(mode="after")
    def _mode_has_its_figure(self) -> Self:
        needs = {"notional": "notional_quote", "quantity": "quantity"}.get(self.mode)
        if needs and not getattr(self, needs):
            raise _expected(f"expected {needs} above 0 for mode {self.mode}", because_of="mode")
        return self


@_overrides
class SizingOverrides(TypedDict, total=False):
    """Some of SizingSettings."""

    mode: SizeModeName
    risk_fraction: RiskFraction
    notional_quote: NotionalQuote
    quantity: Quantity
    includes_costs: IncludesCosts
    notional_max_quote: NotionalMaxQuote
    leverage_max: LeverageMax
    cross_margin: CrossMargin
    kelly_fraction: KellyFraction
    kelly_trades_min: KellyTradesMin
    score_steps: ScoreSteps


TierNotional = Annotated[float, Field(gt=0)]
TierRate = Annotated[float, Field(gt=0, lt=1)]
Tiers = Annotated[
    tuple[Annotated[tuple[TierNotional, TierRate], Field(strict=False)], ...],
    Field(strict=False, min_length=1, max_length=10),
]
"""[largest notional, maintenance margin rate] of each tier, smallest first."""


class InstrumentSettings(Group):
    """A venue's rules for one symbol, exact: rounding to tick and lot is decimal arithmetic."""

    tick_size: TickSize
    lot_size: LotSize
    quantity_min: QuantityMin
    notional_min_quote: NotionalMinQuote


@_overrides
class InstrumentOverrides(TypedDict, total=False):
    """Some of InstrumentSettings."""

    tick_size: TickSize
    lot_size: LotSize
    quantity_min: QuantityMin
    notional_min_quote: NotionalMinQuote


@_overrides
class PlanOverrides(TypedDict, total=False):
    """What a user changes in a strategy's own trade plan (core/plan.TradePlan, same names)."""

    legs: Annotated[
        tuple[Annotated[tuple[LegR, LegFraction], Field(strict=False)], ...],
        Field(
            strict=False,
            max_length=4,
            description="Targets as [distance in R, share of the entry that it takes off]",
        ),
    ]
    trail_fraction: Annotated[
        float, Field(ge=0, le=1, description="Share left to the trailing stop; 0: none")
    ]
    trail_arm_r: Annotated[
        float,
        Field(ge=0, description="The trailing stop appears once price was this far in favour, R"),
    ]
    trail_offset_r: Annotated[float, Field(ge=0, description="Distance behind the best price, R")]
    trail_offset_atr: Annotated[
        float, Field(ge=0, description="The same in ATR; 0: use trail_offset_r")
    ]
    breakeven_after_leg: Annotated[
        int, Field(ge=0, le=4, description="Stop to the entry price after this target; 0: never")
    ]
    stop_follows_legs: Annotated[bool, Field(description="Stop to target k-1 after target k")]
    hold_minutes_max: Annotated[
        float, Field(ge=0, description="Longest hold in minutes; 0: no limit")
    ]
    entry: Annotated[
        Literal["market", "limit", "post_only"], Field(description="How the entry is placed")
    ]
    entry_wait_bars: Annotated[
        int, Field(ge=0, description="A limit entry is given up, or chased, after so many bars")
    ]
    chase_max: Annotated[
        int, Field(ge=0, le=100, description="Re-posts of an unfilled limit entry before giving up")
    ]


class StrategySettings(Group):
    """What one strategy does differently from the groups above."""

    params: Annotated[dict[str, Param], BeforeValidator(_nothing_as_empty)] = Field(
        default_factory=dict,
        description="Values of the strategy's own parameters; the rest keep its defaults",
    )
    costs: str | None = Field(
        default=None, description="Cost profile; null: the profile of the venue"
    )
    sizing: Annotated[SizingOverrides, BeforeValidator(_nothing_as_empty)] = Field(
        default_factory=SizingOverrides, description="Fields of `sizing` that differ"
    )
    limits: Annotated[LimitOverrides, BeforeValidator(_nothing_as_empty)] = Field(
        default_factory=LimitOverrides,
        description="Fields of `limits` that differ where it trades alone",
    )
    pace: Annotated[PaceOverrides, BeforeValidator(_nothing_as_empty)] = Field(
        default_factory=PaceOverrides,
        description="Fields of `pace` that differ; beside others: its own, on top of the account's",
    )
    fills: Annotated[FillOverrides, BeforeValidator(_nothing_as_empty)] = Field(
        default_factory=FillOverrides, description="Fields of `fills` that differ"
    )
    plan: Annotated[PlanOverrides, BeforeValidator(_nothing_as_empty)] = Field(
        default_factory=PlanOverrides, description="Fields of the strategy's trade plan that differ"
    )
    instrument: Annotated[InstrumentOverrides, BeforeValidator(_nothing_as_empty)] = Field(
        default_factory=InstrumentOverrides,
        description="Fields of the instrument that differ, whatever the symbol",
    )
