"""Which series of the lake is meant: a symbol, and a venue or timeframe where it does not tell."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches

from tercel.domain.bars import SeriesKey
from tercel.domain.errors import UserError

NEAREST_MAX = 5


def matching(
    keys: Sequence[SeriesKey], symbol: str, venue: str | None = None, timeframe: str | None = None
) -> list[SeriesKey]:
    """Every series of `symbol`, `venue` and `timeframe`; at least one, else UserError."""
    symbol = symbol.upper()
    of_symbol = [key for key in keys if key.symbol == symbol]
    if not of_symbol:
        raise UserError(_unknown(keys, symbol))
    found = [
        key
        for key in of_symbol
        if venue in (None, key.venue) and timeframe in (None, key.timeframe)
    ]
    if not found:
        wanted = " ".join(part for part in (venue, symbol, timeframe) if part)
        there = ", ".join(str(key) for key in of_symbol)
        raise UserError(f"the lake has no {wanted}; of {symbol} it has {there}")
    return found


def choose(
    keys: Sequence[SeriesKey], symbol: str, venue: str | None = None, timeframe: str | None = None
) -> SeriesKey:
    """The one series meant: of several timeframes the shortest; of several venues, UserError."""
    found = matching(keys, symbol, venue, timeframe)
    venues = sorted({key.venue for key in found})
    if len(venues) > 1:
        raise UserError(
            f"{symbol.upper()} is in the lake for {' and '.join(venues)}; say which with --venue"
        )
    return min(found, key=lambda key: key.bar_ms)


def _unknown(keys: Sequence[SeriesKey], symbol: str) -> str:
    get_it = (
        f"get it with `tercel data fetch {symbol} --since 2025-01-01` or `tercel data import PATH`"
    )
    if "," in symbol:
        return f"no symbol has a comma: write {symbol.replace(',', ' ')}"
    if not keys:
        return f"the lake is empty; {get_it}"
    symbols = sorted({key.symbol for key in keys})
    meant = ", ".join(nearest_symbols(symbol, symbols))
    if meant:
        return f"the lake has no {symbol}; did you mean {meant}? Otherwise {get_it}"
    shown = ", ".join(symbols[:NEAREST_MAX]) + (", ..." if len(symbols) > NEAREST_MAX else "")
    return f"the lake has no {symbol}; it has {shown}; {get_it}"


def nearest_symbols(symbol: str, known: Sequence[str]) -> list[str]:
    """The few of `known` that may be meant by `symbol`, which is none of them."""
    begun = [each for each in known if each.startswith(symbol)]
    alike = get_close_matches(symbol, known, NEAREST_MAX, cutoff=0.75)
    return list(dict.fromkeys(begun + alike))[:NEAREST_MAX]
