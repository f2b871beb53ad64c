"""The settings of `tercel run`: the session, its protection, its feeds, its venue, its memory."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from tercel.domain.setting_groups import Group


class SessionSettings(Group):
    """How a session waits, protects and gives up."""

    fresh_ms_max: int = Field(
        ge=100,
        le=600_000,
        description="Age of a closed bar beyond which no entry is made, ms",
    )
    bar_wait_ms: int = Field(
        ge=0, le=60_000, description="How long bars of the other symbols are waited for, ms"
    )
    protect_ms_max: int = Field(
        ge=100,
        le=60_000,
        description="From an entry fill until its stop must rest, else it is closed, ms",
    )
    trigger_ms_max: int = Field(
        ge=500,
        le=600_000,
        description="A stop that price has passed must have filled by then, else it is closed, ms",
    )
    answer_ms_max: int = Field(
        ge=100, le=120_000, description="An order without an answer for so long is asked about, ms"
    )
    query_ms: int = Field(
        ge=50, le=60_000, description="Between two questions about the same order, ms"
    )
    unknown_ms_max: int = Field(
        ge=500,
        le=600_000,
        description="An order that the venue does not know for so long was never there, ms",
    )
    timer_ms: int = Field(ge=10, le=10_000, description="Between two looks at the deadlines, ms")
    retries_max: int = Field(
        ge=0, le=100, description="How often a protective order is sent again before the close"
    )
    on_unprotected: Literal["close", "protect"] = Field(
        description="A position found at start without its stop: close it, or place the stop again"
    )
    on_unknown_position: Literal["refuse", "adopt"] = Field(
        description="A position that the state does not know: refuse to start, or adopt it"
    )
    adopt_stop_fraction: float = Field(
        gt=0, lt=1, description="Distance of the stop of an adopted position, fraction of price"
    )
    spread_fraction_max: float = Field(
        ge=0, le=1, description="Bid-ask spread over mid beyond which no entry is made; 0: off"
    )
    reprice_ticks_min: float = Field(
        ge=0,
        le=1_000,
        description="A resting order is moved once it is off by so many ticks",
    )
    stop_ms_max: int = Field(
        ge=100, le=120_000, description="SIGTERM: the session has ended after so long, ms"
    )
    silent_ms_max: int = Field(
        ge=1_000,
        le=3_600_000,
        description="A reading of the venue that is not answered for so long is asked again, ms",
    )
    quiet_read_ms: int = Field(
        ge=1_000,
        le=3_600_000,
        description="The user stream tells nothing for so long while something of ours is open: "
        "the venue is read, ms",
    )
    warmup_bars: int = Field(
        ge=0,
        le=1_000_000,
        description="Bars of history that strategies see before the first one",
    )
    seen_fills_max: int = Field(
        ge=100, le=1_000_000, description="Latest fills remembered, so that none is booked twice"
    )
    queue_max: int = Field(
        ge=100,
        le=10_000_000,
        description="Events that may wait; beyond it entries are blocked",
    )
    folder: str = Field(description="Where sockets, kill file and the embedded stores live")


class GhostSettings(Group):
    """What would have happened while automation is off."""

    fee_rate: float = Field(ge=0, le=0.1, description="Fee of each ghost fill, fraction")


class ShadowSettings(Group):
    """The same signals filled by the simulator, beside the venue."""

    enabled: bool = Field(description="Keep a shadow account and compare each trade with it")
    alert_r: float = Field(
        gt=0, le=1_000, description="Difference of a trade's net result that raises an alert, R"
    )


class ExecutionSettings(Group):
    """How an entry is sent: market, limit or post-only, and how long a limit is chased."""

    entry: Literal["plan", "smart"] = Field(
        description="plan: as the strategy's plan says; smart: by signal, spread and volatility"
    )
    chase_seconds: float = Field(
        gt=0, le=3_600, description="A resting entry is re-posted after so many seconds"
    )
    reposts_max: int = Field(ge=0, le=100, description="Re-posts before giving up or taking")
    urgent_score: float = Field(
        ge=0, le=100, description="Signals from this score take the market when the chase is over"
    )
    market_spread_bps_max: float = Field(
        ge=0,
        le=1_000,
        description="Spread up to which a strong signal takes the market, bps",
    )
    post_only_atr_ratio_max: float = Field(
        ge=0, le=100, description="ATR over its mean up to which an entry may wait as a maker"
    )


class GovernorSettings(Group):
    """How often the venue is called."""

    calls_max: int = Field(ge=1, le=10_000, description="Private calls in each window")
    window_seconds: float = Field(gt=0, le=3_600, description="Length of that window")
    weight_fraction_max: float = Field(
        gt=0, le=1, description="Share of the venue's own request weight that is used"
    )
    entry_wait_ms_max: int = Field(
        ge=1, le=600_000, description="An entry whose turn does not come in time is not sent, ms"
    )


class HealthSettings(Group):
    """When a feed counts as unhealthy: entries are blocked, exits are not."""

    quote_age_ms_max: int = Field(ge=100, le=600_000, description="Age of the best bid and ask, ms")
    bar_overdue_ms_max: int = Field(
        ge=1_000, le=3_600_000, description="A closed bar that is overdue by so long, ms"
    )
    skew_ms_max: int = Field(
        ge=10, le=600_000, description="Venue time of a message against ours, either way, ms"
    )
    bar_quote_bps_max: float = Field(
        gt=0, le=10_000, description="A bar's close against the last mid, bps"
    )
    recover_ms: int = Field(
        ge=0, le=600_000, description="An unhealthy feed is trusted again after so long, ms"
    )


class VenueSettings(Group):
    """How the account at the venue is set up, and how the connection is kept."""

    leverage: int = Field(ge=1, le=125, description="Set for every symbol at start")
    margin_mode: Literal["isolated", "cross"] = Field(description="Set for every symbol at start")
    recv_window_ms: int = Field(
        ge=100, le=60_000, description="How old a request may be when the venue gets it, ms"
    )
    timeout_ms: int = Field(ge=100, le=120_000, description="A request without an answer, ms")
    listen_key_minutes: float = Field(
        gt=0, lt=60, description="Between two renewals of the user stream's key"
    )
    clock_minutes: float = Field(gt=0, le=1_440, description="Between two looks at venue time")
    backoff_seconds_max: float = Field(
        gt=0, le=3_600, description="Longest pause before connecting again"
    )
    rest_urls: dict[str, str] = Field(
        description="Other REST address by venue (a simulated exchange); default: the venue's own"
    )
    stream_urls: dict[str, str] = Field(
        description="Other WebSocket address by venue; default: the venue's own"
    )


class ContextRefreshSettings(Group):
    """How often what the venue publishes beside its bars is fetched while a session runs."""

    funding_rate_minutes: float = Field(
        ge=0.5, le=1_440, description="Between two looks for a new funding settlement"
    )
    open_interest_minutes: float = Field(
        ge=0.5, le=1_440, description="Between two looks for new open interest"
    )
    long_short_ratio_minutes: float = Field(
        ge=0.5, le=1_440, description="Between two looks for a new long/short ratio"
    )
    lake_minutes: float = Field(
        ge=1, le=1_440, description="Between two looks at the lake for what was imported meanwhile"
    )
    start_seconds_max: float = Field(
        gt=0, le=600, description="A start waits so long for what the venue publishes, no longer"
    )
    store: bool = Field(
        description="Keep what was fetched in the lake too, at every look at it; never what a "
        "simulated exchange told"
    )

    def minutes(self, kind: str) -> float:
        """Between two looks for a kind of context (domain/context.py)."""
        return float(getattr(self, f"{kind}_minutes"))


class StateSettings(Group):
    """Where the state is kept."""

    url: str = Field(description="redis://HOST:PORT/N, or empty: a SQLite file in session.folder")


class JournalSettings(Group):
    """Where the journal is kept."""

    url: str = Field(
        description="postgresql+asyncpg://USER@HOST/DB or sqlite:///PATH; "
        "empty: a SQLite file in session.folder"
    )
    evaluations: Literal["all", "signals"] = Field(
        description="Rows of evaluations kept: of every bar, or of those with a signal"
    )


class ParitySettings(Group):
    """How far the trades of a session may be from those of a backtest on the same bars."""

    tolerance_r: float = Field(
        gt=0, le=1_000, description="Difference of a trade's net result that is tolerated, R"
    )
    missed_fraction_max: float = Field(
        ge=0, le=1, description="Share of trades that only one of them made"
    )
