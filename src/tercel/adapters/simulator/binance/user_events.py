"""Events of the user stream in the vendor's form."""

from __future__ import annotations

from tercel.adapters.simulator.binance.account_rendering import average_text, side_text
from tercel.adapters.simulator.binance.market_rendering import price_text, quantity_text
from tercel.adapters.simulator.binance.state import VenueState
from tercel.adapters.simulator.binance.wire import Json, fixed, plain, quote_text
from tercel.adapters.simulator.exchange.events import (
    AccountChanged,
    AlgoChanged,
    ConfigChanged,
    Event,
    Execution,
    MarginCall,
    OrderChanged,
)
from tercel.adapters.simulator.exchange.records import BUY, ZERO, OrderType, PositionRow

EXPIRED_BY_SELF_TRADE = "EXPIRED_IN_MATCH"


def user_events(venue: VenueState, event: Event) -> list[Json]:
    """What the user stream tells of `event`: a fill comes twice, the short form first."""
    match event:
        case OrderChanged():
            full = order_trade_update(venue, event)
            is_fill = event.execution is Execution.TRADE and event.trade is not None
            return [trade_lite(venue, event), full] if is_fill else [full]
        case AccountChanged():
            return [account_update(venue, event)]
        case AlgoChanged():
            return [algo_update(venue, event)]
        case MarginCall():
            return [margin_call(venue, event)]
        case ConfigChanged():
            return [config_update(venue, event)]


def order_trade_update(venue: VenueState, event: OrderChanged) -> Json:
    """An order has changed: x says what happened, X what it is now."""
    row, trade = venue.shown(event.order), event.trade
    one = venue.exchange.instrument(row.symbol)
    execution = str(event.execution)
    if str(row.status) == EXPIRED_BY_SELF_TRADE:
        execution = str(Execution.EXPIRED)
    told: Json = {
        "s": row.symbol,
        "c": row.client_id,
        "S": side_text(row.side),
        "o": str(row.kind),
        "f": str(row.time_in_force),
        "q": quantity_text(one, row.quantity),
        "p": price_text(one, row.price),
        "ap": average_text(one, row.average_price),
        "sp": price_text(one, row.trigger_price),
        "x": execution,
        "X": str(row.status),
        "i": row.order_id,
        "l": quantity_text(one, trade.quantity if trade else ZERO),
        "z": quantity_text(one, row.filled_quantity),
        "L": price_text(one, trade.price if trade else ZERO),
        "T": event.time_ms,
        "t": trade.trade_id if trade else 0,
        "b": quote_text(ZERO),
        "a": quote_text(ZERO),
        "m": trade.is_maker if trade else False,
        "R": row.reduce_only,
        "wt": str(row.working_type),
        "ot": str(row.original_kind),
        "ps": "BOTH",
        "cp": row.close_position,
        "rp": quote_text(trade.realised_quote if trade else ZERO),
        "pP": row.price_protect,
        "si": 0,
        "ss": 0,
        "V": "EXPIRE_MAKER",
        "pm": "NONE",
        "gtd": 0,
        "er": "0",
    }
    if trade is not None:
        told["n"] = quote_text(trade.fee_quote)
        told["N"] = trade.fee_asset
    if event.execution is Execution.AMENDMENT:
        told["M"] = "AMENDMENT"
    return {"e": "ORDER_TRADE_UPDATE", "E": venue.told_ms, "T": event.time_ms, "o": told}


def trade_lite(venue: VenueState, event: OrderChanged) -> Json:
    """A fill in short, without fee and position."""
    row, trade = event.order, event.trade
    one = venue.exchange.instrument(row.symbol)
    return {
        "e": "TRADE_LITE",
        "E": venue.told_ms,
        "T": event.time_ms,
        "s": row.symbol,
        "q": quantity_text(one, row.quantity),
        "p": price_text(one, row.price),
        "m": bool(trade and trade.is_maker),
        "c": row.client_id,
        "S": side_text(row.side),
        "L": price_text(one, trade.price if trade else ZERO),
        "l": quantity_text(one, trade.quantity if trade else ZERO),
        "t": trade.trade_id if trade else 0,
        "i": row.order_id,
    }


def account_update(venue: VenueState, event: AccountChanged) -> Json:
    """Balances and positions after a change."""
    changed: Json = {
        "m": str(event.reason),
        "B": [
            {
                "a": each.asset,
                "wb": quote_text(each.wallet_quote),
                "cw": quote_text(each.cross_wallet_quote),
                "bc": quote_text(each.change_quote),
            }
            for each in event.balances
        ],
        "P": [_position(venue, row) for row in event.positions],
    }
    if event.symbol:
        changed["S"] = event.symbol
    return {"e": "ACCOUNT_UPDATE", "E": venue.told_ms, "T": event.time_ms, "a": changed}


def _position(venue: VenueState, row: PositionRow) -> Json:
    one = venue.exchange.instrument(row.symbol)
    return {
        "s": row.symbol,
        "pa": quantity_text(one, row.quantity),
        "ep": plain(row.entry_price),
        "bep": plain(row.break_even_price),
        "cr": quote_text(row.accumulated_realised_quote),
        "up": quote_text(row.unrealised_quote),
        "mt": "isolated" if row.is_isolated else "cross",
        "iw": quote_text(row.isolated_wallet_quote),
        "ps": "BOTH",
        "ma": one.quote,
    }


def algo_update(venue: VenueState, event: AlgoChanged) -> Json:
    """A conditional order has changed."""
    row = event.algo
    one = venue.exchange.instrument(row.symbol)
    told: Json = {
        "caid": row.client_id,
        "aid": row.algo_id,
        "at": "CONDITIONAL",
        "o": str(row.kind),
        "s": row.symbol,
        "S": side_text(row.side),
        "ps": "BOTH",
        "f": str(row.time_in_force),
        "q": quantity_text(one, row.quantity),
        "X": str(row.status),
        "ai": "" if row.actual_order_id is None else str(row.actual_order_id),
        "ap": average_text(one, row.actual_price),
        "aq": quantity_text(one, row.actual_quantity),
        "act": "0" if row.actual_kind is None else str(row.actual_kind),
        "tp": price_text(one, row.trigger_price),
        "p": price_text(one, row.price),
        "V": "EXPIRE_MAKER",
        "wt": str(row.working_type),
        "pm": "NONE",
        "cp": row.close_position,
        "pP": row.price_protect,
        "R": row.reduce_only,
        "tt": row.triggered_ms,
        "gtd": 0,
        "rm": row.reason,
    }
    if row.kind is OrderType.TRAILING_STOP_MARKET:
        told["ia"] = row.is_activated
        told["AP"] = price_text(one, row.activation_price)
        told["cr"] = fixed(row.callback_rate, 1)
    return {"e": "ALGO_UPDATE", "T": event.time_ms, "E": venue.told_ms, "o": told}


def margin_call(venue: VenueState, event: MarginCall) -> Json:
    """Positions that are close to liquidation."""
    return {
        "e": "MARGIN_CALL",
        "E": venue.told_ms,
        "cw": quote_text(event.cross_wallet_quote),
        "p": [
            {
                "s": row.symbol,
                "ps": "LONG" if row.quantity > 0 else "SHORT",
                "pa": quantity_text(venue.exchange.instrument(row.symbol), row.quantity),
                "mt": "ISOLATED" if row.is_isolated else "CROSSED",
                "iw": quote_text(row.isolated_wallet_quote),
                "mp": fixed(row.mark_price, 8),
                "up": quote_text(row.unrealised_quote),
                "mm": quote_text(row.maintenance_margin_quote),
            }
            for row in event.positions
        ],
    }


def config_update(venue: VenueState, event: ConfigChanged) -> Json:
    """The leverage of a symbol has changed."""
    return {
        "e": "ACCOUNT_CONFIG_UPDATE",
        "E": venue.told_ms,
        "T": event.time_ms,
        "ac": {"s": event.symbol, "l": event.leverage},
    }


def listen_key_expired(venue: VenueState, listen_key: str) -> Json:
    """The hour of the key is over."""
    return {"e": "listenKeyExpired", "E": venue.told_ms, "listenKey": listen_key}


def force_order(venue: VenueState, event: OrderChanged) -> Json:
    """A liquidation on the public stream."""
    row = event.order
    one = venue.exchange.instrument(row.symbol)
    return {
        "e": "forceOrder",
        "E": venue.told_ms,
        "o": {
            "s": row.symbol,
            "S": "BUY" if row.side == BUY else "SELL",
            "o": "LIMIT",
            "f": "IOC",
            "q": quantity_text(one, row.quantity),
            "p": price_text(one, row.price),
            "ap": average_text(one, row.average_price),
            "X": str(row.status),
            "l": quantity_text(one, event.trade.quantity if event.trade else ZERO),
            "z": quantity_text(one, row.filled_quantity),
            "T": event.time_ms,
        },
    }
