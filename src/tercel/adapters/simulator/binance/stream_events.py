"""Events of public streams in the vendor's form."""

from __future__ import annotations

from decimal import Decimal

from tercel.adapters.simulator.binance.market_rendering import (
    best,
    levels_json,
    next_funding_ms,
    price_text,
    quantity_text,
)
from tercel.adapters.simulator.binance.tape import Level, SymbolTape
from tercel.adapters.simulator.binance.wire import Json, fixed
from tercel.adapters.simulator.market.ticks import TradeTick


def trade_event(tape: SymbolTape, tick: TradeTick, now_ms: int) -> Json:
    """{e, E, T, s, t, p, q, X, m}: undocumented for futures, and what ccxt asks for."""
    return {
        "e": "trade",
        "E": now_ms,
        "T": tick.time_ms,
        "s": tick.symbol,
        "t": tick.trade_id,
        "p": price_text(tape.instrument, tick.price),
        "q": quantity_text(tape.instrument, tick.quantity),
        "X": "MARKET",
        "m": tick.taker_side < 0,
    }


def agg_trade_event(tape: SymbolTape, tick: TradeTick, now_ms: int) -> Json:
    """{e, E, s, a, p, q, nq, f, l, T, m}."""
    quantity = quantity_text(tape.instrument, tick.quantity)
    return {
        "e": "aggTrade",
        "E": now_ms,
        "s": tick.symbol,
        "a": tick.trade_id,
        "p": price_text(tape.instrument, tick.price),
        "q": quantity,
        "nq": quantity,
        "f": tick.trade_id,
        "l": tick.trade_id,
        "T": tick.time_ms,
        "m": tick.taker_side < 0,
    }


def book_ticker_event(tape: SymbolTape, now_ms: int, lift: Decimal) -> Json:
    """{e, u, E, T, s, b, B, a, A}; `lift` is added to the best bid (a crossed book)."""
    bid, ask = best(tape)
    one = tape.instrument
    return {
        "e": "bookTicker",
        "u": tape.update_id,
        "E": now_ms,
        "T": tape.book_time_ms,
        "s": one.symbol,
        "b": price_text(one, bid[0] + lift),
        "B": quantity_text(one, bid[1]),
        "a": price_text(one, ask[0]),
        "A": quantity_text(one, ask[1]),
    }


def depth_event(
    tape: SymbolTape,
    ids: tuple[int, int, int],
    levels: tuple[list[Level], list[Level]],
    now_ms: int,
) -> Json:
    """{e, E, T, s, U, u, pu, b, a}. `ids` are U, u and pu; a level of quantity 0 is gone."""
    first, last, previous = ids
    return {
        "e": "depthUpdate",
        "E": now_ms,
        "T": tape.book_time_ms,
        "s": tape.instrument.symbol,
        "U": first,
        "u": last,
        "pu": previous,
        "b": levels_json(tape.instrument, levels[0]),
        "a": levels_json(tape.instrument, levels[1]),
    }


def mark_price_event(tape: SymbolTape, now_ms: int) -> Json:
    """{e, E, s, p, ap, i, P, r, T}."""
    return {
        "e": "markPriceUpdate",
        "E": now_ms,
        "s": tape.instrument.symbol,
        "p": fixed(tape.mark_price, 8),
        "ap": fixed(tape.mark_price, 8),
        "i": fixed(tape.index_price, 8),
        "P": fixed(tape.index_price, 8),
        "r": fixed(tape.funding_rate, 8),
        "T": next_funding_ms(now_ms),
    }


def mini_ticker_event(tape: SymbolTape, now_ms: int) -> Json:
    """{e, E, s, c, o, h, l, v, q}."""
    one, day = tape.instrument, tape.day(now_ms)
    return {
        "e": "24hrMiniTicker",
        "E": now_ms,
        "s": one.symbol,
        "c": price_text(one, tape.last_price),
        "o": price_text(one, day.open),
        "h": price_text(one, day.high),
        "l": price_text(one, day.low),
        "v": quantity_text(one, day.volume),
        "q": fixed(day.quote_volume, 8),
    }


def ticker_event(tape: SymbolTape, now_ms: int) -> Json:
    """The day's figures in full."""
    one, day = tape.instrument, tape.day(now_ms)
    change = tape.last_price - day.open
    return {
        "e": "24hrTicker",
        "E": now_ms,
        "s": one.symbol,
        "p": price_text(one, change),
        "P": fixed(change / day.open * 100 if day.open else change, 3),
        "w": price_text(one, day.quote_volume / day.volume if day.volume else tape.last_price),
        "c": price_text(one, tape.last_price),
        "Q": quantity_text(one, tape.last_quantity),
        "o": price_text(one, day.open),
        "h": price_text(one, day.high),
        "l": price_text(one, day.low),
        "v": quantity_text(one, day.volume),
        "q": fixed(day.quote_volume, 8),
        "O": day.open_time_ms,
        "C": now_ms,
        "F": max(day.first_trade_id, 0),
        "L": max(day.last_trade_id, 0),
        "n": day.count,
    }
