"""The settings of the simulated exchange: its account, its rules, its market."""

from __future__ import annotations

from pydantic import Field

from tercel.domain.setting_groups import Group


class SimulatorSettings(Group):
    """One account on the simulated exchange, and what its market looks like inside a bar."""

    balance_quote: float = Field(gt=0, description="Wallet of the account at the start, quote")
    costs: str = Field(description="Cost profile with the fee rates and the funding")
    leverage_initial: int = Field(
        ge=1, le=1_000, description="Leverage of every symbol until a client changes it"
    )
    leverage_margin_fraction: float = Field(
        gt=0,
        le=1,
        description="Share of the initial margin that a tier's maintenance margin is at the "
        "highest leverage it allows",
    )
    lots_max: int = Field(ge=1, description="Largest limit order, lots")
    market_lots_max: int = Field(ge=1, description="Largest market order, lots")
    percent_price_fraction: float = Field(
        gt=0, lt=1, description="Farthest that a limit may be beyond the mark price, fraction"
    )
    trigger_protect_fraction: float = Field(
        gt=0, lt=1, description="Mark and last price further apart void a protected trigger"
    )
    liquidation_fee_rate: float = Field(
        ge=0, le=0.1, description="Fee of a liquidation, fraction of its notional"
    )
    margin_call_ratio: float = Field(
        gt=0, le=1, description="Maintenance margin over margin balance that is warned of"
    )
    orders_max: int = Field(ge=1, le=10_000, description="Resting orders of one symbol")
    conditional_orders_max: int = Field(
        ge=1, le=10_000, description="Waiting conditional orders of the account"
    )
    history_max: int = Field(
        ge=1_000, le=10_000_000, description="Ended orders, trades and income rows kept, of each"
    )
    trades_per_bar: int = Field(
        ge=4, le=1_000, description="Trades that a bar with a volume is walked as"
    )
    book_levels: int = Field(ge=1, le=1_000, description="Price levels on each side of the book")
    spread_ticks: int = Field(
        ge=1, le=1_000, description="Spread where the bars do not know it, ticks"
    )
    level_quote: float = Field(
        gt=0, description="Notional of the best level where the bars do not know it, quote"
    )
    mark_lag: float = Field(
        gt=0, le=1, description="Share of the way to a trade's price that the mark price goes"
    )
