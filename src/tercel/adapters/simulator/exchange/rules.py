"""From settings to the rules of an exchange: instruments, leverage brackets, fees.

Brackets come from the maintenance margin tiers: a tier of rate r allows the leverage at which r is
`leverage_margin_fraction` of the initial margin (0.4 % and a half: 0.5 / 0.004 = 125), and its
amount is what the tiers below it ask less.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import ROUND_HALF_EVEN, Decimal

from tercel.adapters.simulator.exchange.amounts import decimal_of
from tercel.adapters.simulator.exchange.records import ZERO, Bracket, ExchangeRules, Instrument
from tercel.domain.errors import UserError
from tercel.domain.settings import InstrumentSettings, Settings
from tercel.domain.times import HOUR_MS
from tercel.domain.venue_instrument import NO_LIMIT, LargestOrder, VenueInstrument

QUOTES = ("USDT", "USDC", "FDUSD", "BUSD", "USD")
"""Quote currencies that a symbol may end with, longest match first."""

PRICE_TICKS_MAX = 100_000_000
"""Highest price, ticks."""


def exchange_rules(
    settings: Settings,
    venue: str,
    symbols: Sequence[str],
    inferred: Mapping[str, InstrumentSettings] | None = None,
    told: Mapping[str, VenueInstrument] | None = None,
) -> ExchangeRules:
    """The rules of `venue` for `symbols`: as the venue itself has `told` them, as settings list
    them, or as they were `inferred`.

    Raises UserError for a symbol whose rules are not known, or a quote currency that is not; and
    ConfigError for an unknown cost profile.
    """
    known = inferred or {}
    instruments = []
    for symbol in symbols:
        if told is not None and symbol in told:
            own = told[symbol]
            instruments.append(instrument_of(settings, symbol, own.rules, own.largest))
            continue
        listed = settings.instrument(venue, symbol) or known.get(symbol)
        if listed is None:
            raise UserError(
                f"no trading rules for {symbol} at {venue}; "
                f"add instruments.{venue}.{symbol} to the settings"
            )
        instruments.append(instrument_of(settings, symbol, listed))
    costs = settings.cost_profile(settings.simulator.costs)
    return ExchangeRules(
        instruments=tuple(instruments),
        maker_fee_rate=decimal_of(costs.maker_fee_rate),
        taker_fee_rate=decimal_of(costs.taker_fee_rate),
        funding_interval_ms=costs.funding_interval_hours * HOUR_MS,
        leverage_initial=settings.simulator.leverage_initial,
        conditional_orders_max=settings.simulator.conditional_orders_max,
        history_max=settings.simulator.history_max,
        margin_call_ratio=decimal_of(settings.simulator.margin_call_ratio),
    )


def instrument_of(
    settings: Settings,
    symbol: str,
    listed: InstrumentSettings,
    largest: LargestOrder = NO_LIMIT,
) -> Instrument:
    """A symbol's filters; without a `largest` order of its own that of the settings counts. Raises
    UserError where its quote currency is not known.
    """
    own = settings.simulator
    base, quote = parts_of(symbol)
    band = decimal_of(own.percent_price_fraction)
    return Instrument(
        symbol=symbol,
        base=base,
        quote=quote,
        tick_size=listed.tick_size,
        lot_size=listed.lot_size,
        quantity_min=max(listed.quantity_min, listed.lot_size),
        quantity_max=largest.quantity_max or own.lots_max * listed.lot_size,
        market_quantity_max=largest.market_quantity_max or own.market_lots_max * listed.lot_size,
        notional_min_quote=listed.notional_min_quote,
        brackets=brackets_of(settings.tiers_of(symbol), own.leverage_margin_fraction),
        price_min=listed.tick_size,
        price_max=listed.tick_size * PRICE_TICKS_MAX,
        percent_price_up=1 + band,
        percent_price_down=1 - band,
        trigger_protect_rate=decimal_of(own.trigger_protect_fraction),
        liquidation_fee_rate=decimal_of(own.liquidation_fee_rate),
        orders_max=own.orders_max,
    )


def brackets_of(
    tiers: Sequence[tuple[float, float]], margin_fraction: float
) -> tuple[Bracket, ...]:
    """Brackets of (largest notional, maintenance rate) tiers, smallest first."""
    brackets: list[Bracket] = []
    floor = amount = rate_below = ZERO
    for number, (cap_quote, rate_float) in enumerate(tiers, start=1):
        rate = decimal_of(rate_float)
        amount += floor * (rate - rate_below)
        allowed = decimal_of(margin_fraction) / rate
        brackets.append(
            Bracket(
                number=number,
                leverage_max=max(1, int(allowed.quantize(Decimal(1), ROUND_HALF_EVEN))),
                notional_floor_quote=floor,
                notional_cap_quote=decimal_of(cap_quote),
                maintenance_rate=rate,
                maintenance_amount_quote=amount,
            )
        )
        floor, rate_below = decimal_of(cap_quote), rate
    return tuple(brackets)


def parts_of(symbol: str) -> tuple[str, str]:
    """BTCUSDT is BTC and USDT. Raises UserError where no known quote currency ends it."""
    for quote in QUOTES:
        if symbol.endswith(quote) and symbol != quote:
            return symbol.removesuffix(quote), quote
    raise UserError(f"{symbol}: expected a symbol that ends in one of {', '.join(QUOTES)}")
