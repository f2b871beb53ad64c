"""Every tunable of Tercel: its name, unit, range and meaning. The values live in `config/*.yaml`.

No field has a default here: the YAML tree that ships with the package is the one place where a
figure is looked up and changed. Only what a user may leave out (a strategy's overrides, figures of
slippage models that are not in use) falls back to nothing.

Types are strict, so that `risk_fraction: true` or `seed: "42"` is an error rather than a surprise.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from tercel.domain.addresses import without_password
from tercel.domain.arena_settings import AllocatorSettings, ArenaSettings
from tercel.domain.errors import ConfigError, UserError
from tercel.domain.gate_settings import DriftSettings, GateSettings, ValidationSettings
from tercel.domain.live_settings import (
    ContextRefreshSettings,
    ExecutionSettings,
    GhostSettings,
    GovernorSettings,
    HealthSettings,
    JournalSettings,
    ParitySettings,
    SessionSettings,
    ShadowSettings,
    StateSettings,
    VenueSettings,
)
from tercel.domain.research_settings import (
    Grids,
    OverfitSettings,
    ResearchSettings,
    WalkSettings,
)
from tercel.domain.simulator_settings import SimulatorSettings
from tercel.domain.times import HOUR_MS, parse_time
from tercel.domain.trading_settings import (
    Clusters,
    CostProfile,
    CostSettings,
    FillSettings,
    Group,
    InstrumentSettings,
    LimitSettings,
    PaceSettings,
    Scalar,
    SizingSettings,
    SlippageSettings,
    StrategySettings,
    Symbol,
    Tiers,
    Venue,
)

__all__ = [
    "ContextSettings",
    "CostProfile",
    "CostSettings",
    "DataSettings",
    "FetchSettings",
    "FillSettings",
    "InstrumentSettings",
    "LimitSettings",
    "LogSettings",
    "PaceSettings",
    "ReportSettings",
    "RunChoice",
    "RunSettings",
    "Scalar",
    "Settings",
    "SizingSettings",
    "SlippageSettings",
    "StrategySettings",
    "SyntheticSettings",
    "Venue",
    "WalkSettings",
    "redacted",
]


def _date(text: str) -> str:
    try:
        parse_time(text)
    except UserError:
        raise PydanticCustomError("setting", "expected a UTC date such as 2024-01-01") from None
    return text


def _address(url: str) -> str:
    if not re.match(r"https?://\S+$", url):
        raise PydanticCustomError("setting", "expected an address that begins with https://")
    return url.rstrip("/")


def _not_empty(names: tuple[str, ...]) -> tuple[str, ...]:
    if not names:
        raise PydanticCustomError("setting", "expected at least one name")
    return names


Folder = Annotated[Path, Field(strict=False), AfterValidator(Path.expanduser)]
Url = Annotated[str, AfterValidator(_address)]


class DataSettings(Group):
    """Where market data is kept and what counts as suspicious in it."""

    lake: Folder = Field(description="Folder of the data lake; relative to the working folder")
    gaps: Literal["warn", "refuse"] = Field(
        description="What reading a range with missing bars does"
    )
    outlier_window_bars: int = Field(
        ge=20, le=100_000, description="Bars around a bar that say which moves are usual"
    )
    outlier_move_ratio_min: float = Field(
        gt=1, description="`data check` lists moves of at least so many times the usual one"
    )
    outlier_move_fraction_min: float = Field(
        ge=0, le=1, description="... that are also at least this fraction of the price"
    )


Hours = Annotated[float, Field(gt=0, le=8784)]


class ContextSettings(Group):
    """How long a published value counts as what is known beside the bars."""

    funding_rate_hours_max: Hours = Field(
        description="Oldest settlement that still tells the funding rate, hours"
    )
    open_interest_hours_max: Hours = Field(
        description="Oldest open interest that still counts, hours"
    )
    long_short_ratio_hours_max: Hours = Field(
        description="Oldest long/short ratio that still counts, hours"
    )
    fear_greed_hours_max: Hours = Field(
        description="Oldest fear and greed index that still counts, hours"
    )
    exchange_netflow_hours_max: Hours = Field(
        description="Oldest exchange net flow that still counts, hours"
    )
    sp500_hours_max: float = Field(
        gt=0, le=1, description="Oldest S&P 500 level that a move over an hour is told by, hours"
    )
    dollar_index_hours_max: float = Field(
        gt=0, le=1, description="Oldest dollar index that a move over an hour is told by, hours"
    )

    def age_ms_max(self, kind: str) -> int:
        """The maximum age of a context kind (domain/context.py) in milliseconds."""
        return int(getattr(self, f"{kind}_hours_max") * HOUR_MS)


class FetchSettings(Group):
    """Downloads: where from, how hard to try, how polite to be."""

    archive_urls: dict[Venue, Url | None] = Field(
        description="Base address of each venue's bulk archive; null: the venue has none"
    )
    rest_urls: dict[Venue, Url | None] = Field(
        description="Base address of each venue's REST interface; null: the client's own"
    )
    retries: int = Field(ge=0, le=20, description="Tries after the first one, for each request")
    backoff_seconds_first: float = Field(
        gt=0, le=60, description="Wait before the first retry; it doubles each time"
    )
    backoff_seconds_max: float = Field(gt=0, le=600, description="Longest wait between retries")
    retry_after_seconds_max: float = Field(
        ge=0, le=3600, description="A venue that asks for a longer pause is not waited for"
    )
    requests_per_second: float = Field(gt=0, le=50, description="Requests to one venue, at most")
    downloads_max: int = Field(ge=1, le=32, description="Files downloaded side by side")
    timeout_seconds: float = Field(gt=0, le=600, description="Longest silence of a connection")


class SyntheticSettings(Group):
    """The synthetic market that `tercel data synth` makes when nothing else is said."""

    seed: int = Field(ge=0, description="The same seed makes the same market, bit for bit")
    days: int = Field(ge=1, le=3660, description="Length in days")
    symbols: Annotated[tuple[Symbol, ...], AfterValidator(_not_empty)] = Field(
        strict=False, description="Symbols to make; each has its own path"
    )
    start: Annotated[str, AfterValidator(_date)] = Field(description="First day, UTC")
    edge: float = Field(
        ge=-1, le=1, description="Strength of a planted, tradable edge; 0: there is none"
    )


class RunSettings(Group):
    """Backtests: where results go, what they start with, how they are computed."""

    folder: Folder = Field(description="Folder of run results; relative to the working folder")
    start_quote: float = Field(gt=0, description="Cash at the start of a run, quote currency")
    chunk_bars: int = Field(
        ge=64, le=1_000_000, description="Bars computed in one go; affects speed and memory alone"
    )
    seed: int = Field(ge=0, lt=2**63, description="Seed of everything drawn at random")


class RunChoice(Group):
    """What a backtest trades when the command line does not say."""

    strategies: tuple[str, ...] = Field(strict=False, description="Names, or paths of your own")
    symbols: tuple[Symbol, ...] = Field(strict=False, description="Symbols, as the lake has them")
    venue: Venue | None = Field(description="Needed where the lake has a symbol for several")
    timeframe: str | None = Field(description="1m 5m 15m ...; null: the shortest there is")
    start: Annotated[str, AfterValidator(_date)] | None = Field(description="First day, UTC")
    end: Annotated[str, AfterValidator(_date)] | None = Field(description="Last day, UTC, included")
    fills: Literal["pessimistic", "neutral", "optimistic", "all"] | None = Field(
        description="What came first inside a bar; all: the three side by side"
    )


class ReportSettings(Group):
    """What a run's report shows."""

    plot_dpi: int = Field(ge=40, le=600, description="Resolution of plots, dots per inch")
    worst_trades: int = Field(ge=0, le=100, description="Losing trades drawn one by one")
    compare_with: tuple[str, ...] = Field(
        strict=False, description="Strategies that --compare adds, beside buy-and-hold"
    )


class LogSettings(Group):
    """What is logged, and how it looks."""

    level: Literal["debug", "info", "warning", "error"] = Field(
        description="Least severe event that is logged"
    )
    format: Literal["auto", "human", "json"] = Field(
        description="auto: human on a terminal, JSON lines elsewhere"
    )


class Settings(Group):
    """All settings. `tercel config show --origin` says which file and line each came from."""

    data: DataSettings
    context: ContextSettings
    fetch: FetchSettings
    synthetic: SyntheticSettings
    runs: RunSettings
    run: RunChoice
    report: ReportSettings
    log: LogSettings
    costs: CostSettings
    fills: FillSettings
    sizing: SizingSettings
    limits: LimitSettings
    pace: PaceSettings
    clusters: Clusters = Field(description="Symbols that count as one bet, by cluster name")
    margin_tiers: dict[str, Tiers] = Field(
        description="Maintenance margin by symbol; `default` for every other"
    )
    instruments: dict[Venue, dict[Symbol, InstrumentSettings]] = Field(
        description="Trading rules by venue and symbol"
    )
    walk: WalkSettings
    research: ResearchSettings
    overfit: OverfitSettings
    grids: Grids = Field(description="Values to try, by grid, strategy and parameter")
    gate: GateSettings
    validation: ValidationSettings
    drift: DriftSettings
    arena: ArenaSettings
    allocator: AllocatorSettings
    simulator: SimulatorSettings
    session: SessionSettings
    ghost: GhostSettings
    shadow: ShadowSettings
    execution: ExecutionSettings
    governor: GovernorSettings
    health: HealthSettings
    venue: VenueSettings
    context_refresh: ContextRefreshSettings
    state: StateSettings
    journal: JournalSettings
    parity: ParitySettings
    strategies: dict[str, StrategySettings] = Field(description="Overrides by strategy")

    @model_validator(mode="after")
    def _names_are_known_and_overrides_fit(self) -> Self:
        known = ", ".join(sorted(self.costs.profiles))
        named = {f"costs.profile.{venue}": name for venue, name in self.costs.profile.items()}
        for strategy, own in self.strategies.items():
            if own.costs is not None:
                named[f"strategies.{strategy}.costs"] = own.costs
        for path, name in named.items():
            if name not in self.costs.profiles:
                raise _misfit(path, f"expected one of the cost profiles {known}, got {name!r}")
        if "default" not in self.margin_tiers:
            raise _misfit("margin_tiers", "expected tiers under `default` for symbols not listed")
        for strategy in self.strategies:
            self._check_overrides(strategy)
        return self

    def _check_overrides(self, strategy: str) -> None:
        resolvers = {
            "sizing": self.sizing_of,
            "fills": self.fills_of,
            "limits": self.limits_of,
            "pace": self.pace_of,
        }
        for group, resolve in resolvers.items():
            try:
                resolve(strategy)
            except ValidationError as error:
                # Each field was checked where it stands: what is left is a check of several.
                first = error.errors()[0]
                field = first.get("ctx", {}).get("because_of", "")
                path = f"strategies.{strategy}.{group}"
                raise _misfit(path, first["msg"], because_of=field) from None

    def with_lake(self, lake: Path | None) -> Self:
        """The same settings over the lake in folder `lake`; None keeps theirs."""
        if lake is None:
            return self
        data = self.data.model_copy(update={"lake": lake})
        return self.model_copy(update={"data": data})

    def strategy(self, name: str) -> StrategySettings:
        """What the settings say about strategy `name`: nothing, where they do not mention it."""
        return self.strategies.get(name) or StrategySettings()

    def sizing_of(self, strategy: str) -> SizingSettings:
        """Sizing with the strategy's overrides."""
        return self.sizing.with_overrides(self.strategy(strategy).sizing)

    def limits_of(self, strategy: str) -> LimitSettings:
        """Limits with the strategy's overrides."""
        return self.limits.with_overrides(self.strategy(strategy).limits)

    def pace_of(self, strategy: str) -> PaceSettings:
        """Pace with the strategy's overrides."""
        return self.pace.with_overrides(self.strategy(strategy).pace)

    def tiers_of(self, symbol: str) -> Tiers:
        """Maintenance margin tiers of a symbol."""
        return self.margin_tiers.get(symbol) or self.margin_tiers["default"]

    def fills_of(self, strategy: str) -> FillSettings:
        """Fill rules with the strategy's overrides."""
        return self.fills.with_overrides(self.strategy(strategy).fills)

    def cost_profile_name(self, strategy: str, venue: str) -> str:
        """The strategy's own cost profile, else that of the venue. Raises ConfigError."""
        own = self.strategy(strategy).costs
        return own if own is not None else self._profile_of_venue(venue)

    def _profile_of_venue(self, venue: str) -> str:
        profiles = {str(name): profile for name, profile in self.costs.profile.items()}
        if venue not in profiles:
            raise ConfigError(
                f"costs.profile.{venue}: expected a cost profile for the venue, got none; "
                f"use --set costs.profile.{venue}=NAME"
            )
        return profiles[venue]

    def cost_profile(self, name: str) -> CostProfile:
        """The cost profile called `name`. Raises ConfigError that lists the known ones."""
        if name not in self.costs.profiles:
            known = ", ".join(sorted(self.costs.profiles))
            raise ConfigError(f"no cost profile {name!r}; there are: {known}")
        return self.costs.profiles[name]

    def instrument(self, venue: str, symbol: str) -> InstrumentSettings | None:
        """The rules of a symbol, before a strategy's overrides; None where they are not known."""
        by_venue = {str(name): rules for name, rules in self.instruments.items()}
        return by_venue.get(venue, {}).get(symbol)


def _misfit(path: str, problem: str, because_of: str = "") -> PydanticCustomError:
    """An error about `path` from a check of several fields together; one of them decided it."""
    context = {"path": path, "problem": problem, "because_of": because_of}
    return PydanticCustomError("setting", "{problem}", context)


_SECRET = re.compile(r"(key|secret|token|password)$", re.IGNORECASE)


def redacted(value: Any, name: str = "") -> Any:
    """`value` without what sits under a name ending in key, secret, token or password, and without
    the passwords of addresses.

    An unset secret stays visible as unset, since that is what a user needs to see.
    """
    if _SECRET.search(name) and value not in (None, ""):
        return "(hidden)"
    if isinstance(value, dict):
        return {key: redacted(inner, str(key)) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [redacted(inner) for inner in value]
    return without_password(value) if isinstance(value, str) else value
