"""Market data in the vendor's form: one function for each object, for replies and streams alike."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from functools import lru_cache

from tercel.adapters.simulator.binance.candles import Candle
from tercel.adapters.simulator.binance.tape import Level, SymbolTape
from tercel.adapters.simulator.binance.wire import Json, fixed
from tercel.adapters.simulator.exchange.records import ZERO, Instrument, decimals_of
from tercel.adapters.simulator.market.ticks import TradeTick

FUNDING_INTERVAL_MS = 28_800_000
INTEREST_RATE = "0.00010000"
PERPETUAL_DELIVERY_MS = 4_133_404_800_000
ONBOARD_MS = 1_569_398_400_000
ORDER_TYPES = [
    "LIMIT", "MARKET", "STOP", "STOP_MARKET", "TAKE_PROFIT", "TAKE_PROFIT_MARKET",
    "TRAILING_STOP_MARKET",
]  # fmt: skip


_decimals = lru_cache(1_024)(decimals_of)
"""Asked for each number of each frame."""


def price_text(instrument: Instrument, value: Decimal) -> str:
    """A price with the decimals of the symbol's tick."""
    return f"{value:.{_decimals(instrument.tick_size)}f}"


def quantity_text(instrument: Instrument, value: Decimal) -> str:
    """A quantity with the decimals of the symbol's lot."""
    return f"{value:.{_decimals(instrument.lot_size)}f}"


def levels_json(instrument: Instrument, levels: Iterable[Level]) -> list[list[str]]:
    """`[["42000.1", "0.250"], ...]`, best first."""
    return [
        [price_text(instrument, price), quantity_text(instrument, quantity)]
        for price, quantity in levels
    ]


def symbol_json(instrument: Instrument) -> Json:
    """An entry of exchangeInfo's `symbols`."""
    price, quantity = instrument.price_decimals, instrument.quantity_decimals
    return {
        "symbol": instrument.symbol,
        "pair": instrument.symbol,
        "contractType": "PERPETUAL",
        "deliveryDate": PERPETUAL_DELIVERY_MS,
        "onboardDate": ONBOARD_MS,
        "status": str(instrument.status),
        "maintMarginPercent": "2.5000",
        "requiredMarginPercent": "5.0000",
        "baseAsset": instrument.base,
        "quoteAsset": instrument.quote,
        "marginAsset": instrument.quote,
        "pricePrecision": price,
        "quantityPrecision": quantity,
        "baseAssetPrecision": 8,
        "quotePrecision": 8,
        "underlyingType": "COIN",
        "underlyingSubType": [],
        "settlePlan": 0,
        "triggerProtect": fixed(instrument.trigger_protect_rate, 4),
        "liquidationFee": fixed(instrument.liquidation_fee_rate, 6),
        "marketTakeBound": "0.05",
        "maxMoveOrderLimit": 10_000,
        "filters": filters_json(instrument),
        "orderTypes": ORDER_TYPES,
        "timeInForce": ["GTC", "IOC", "FOK", "GTX"],
        "permissionSets": [],
    }


def filters_json(instrument: Instrument) -> Json:
    """The symbol's filters."""
    price, quantity = instrument.price_decimals, instrument.quantity_decimals
    lots = {
        "stepSize": fixed(instrument.lot_size, quantity),
        "minQty": fixed(instrument.quantity_min, quantity),
    }
    return [
        {
            "filterType": "PRICE_FILTER",
            "minPrice": fixed(instrument.price_min, price),
            "maxPrice": fixed(instrument.price_max, price),
            "tickSize": fixed(instrument.tick_size, price),
        },
        {"filterType": "LOT_SIZE", **lots, "maxQty": fixed(instrument.quantity_max, quantity)},
        {
            "filterType": "MARKET_LOT_SIZE",
            **lots,
            "maxQty": fixed(instrument.market_quantity_max, quantity),
        },
        {"filterType": "MAX_NUM_ORDERS", "limit": instrument.orders_max},
        {"filterType": "MIN_NOTIONAL", "notional": f"{instrument.notional_min_quote:f}"},
        {
            "filterType": "PERCENT_PRICE",
            "multiplierUp": fixed(instrument.percent_price_up, 4),
            "multiplierDown": fixed(instrument.percent_price_down, 4),
            "multiplierDecimal": "4",
        },
        {"filterType": "POSITION_RISK_CONTROL", "positionControlSide": "NONE"},
    ]


def kline_json(instrument: Instrument, candle: Candle, length_ms: int) -> Json:
    """The twelve items of a kline in a reply."""
    quantity = instrument.quantity_decimals
    return [
        candle.open_time_ms,
        *(price_text(instrument, each) for each in ohlc(candle)),
        fixed(candle.volume, quantity),
        candle.open_time_ms + length_ms - 1,
        fixed(candle.quote_volume, 8),
        candle.count,
        fixed(candle.taker_buy_volume, quantity),
        fixed(candle.taker_buy_quote_volume, 8),
        "0",
    ]


def ohlc(candle: Candle) -> tuple[Decimal, Decimal, Decimal, Decimal]:
    """Open, high, low, close."""
    return candle.open, candle.high, candle.low, candle.close


def kline_event(
    instrument: Instrument, candle: Candle, interval: tuple[str, int], *, is_closed: bool
) -> Json:
    """The `k` of a kline event. `interval` is its name and its length in ms."""
    name, length_ms = interval
    quantity = instrument.quantity_decimals
    opened, high, low, close = (price_text(instrument, each) for each in ohlc(candle))
    return {
        "t": candle.open_time_ms,
        "T": candle.open_time_ms + length_ms - 1,
        "s": instrument.symbol,
        "i": name,
        "f": candle.first_trade_id,
        "L": candle.last_trade_id,
        "o": opened,
        "c": close,
        "h": high,
        "l": low,
        "v": fixed(candle.volume, quantity),
        "n": candle.count,
        "x": is_closed,
        "q": fixed(candle.quote_volume, 8),
        "V": fixed(candle.taker_buy_volume, quantity),
        "Q": fixed(candle.taker_buy_quote_volume, 8),
        "B": "0",
    }


def agg_trade_json(instrument: Instrument, tick: TradeTick) -> Json:
    """A trade of aggTrades; each of ours is an aggregate of one."""
    quantity = quantity_text(instrument, tick.quantity)
    return {
        "a": tick.trade_id,
        "p": price_text(instrument, tick.price),
        "q": quantity,
        "nq": quantity,
        "f": tick.trade_id,
        "l": tick.trade_id,
        "T": tick.time_ms,
        "m": tick.taker_side < 0,
    }


def trade_json(instrument: Instrument, tick: TradeTick) -> Json:
    """A trade of the list of recent trades."""
    return {
        "id": tick.trade_id,
        "price": price_text(instrument, tick.price),
        "qty": quantity_text(instrument, tick.quantity),
        "quoteQty": fixed(tick.price * tick.quantity, 8),
        "time": tick.time_ms,
        "isBuyerMaker": tick.taker_side < 0,
        "isRPITrade": False,
    }


def day_json(tape: SymbolTape, now_ms: int) -> Json:
    """An entry of ticker/24hr."""
    one, day = tape.instrument, tape.day(now_ms)
    change = tape.last_price - day.open
    percent = change / day.open * 100 if day.open else ZERO
    average = day.quote_volume / day.volume if day.volume else tape.last_price
    return {
        "symbol": one.symbol,
        "priceChange": price_text(one, change),
        "priceChangePercent": fixed(percent, 3),
        "weightedAvgPrice": price_text(one, average),
        "lastPrice": price_text(one, tape.last_price),
        "lastQty": quantity_text(one, tape.last_quantity),
        "openPrice": price_text(one, day.open),
        "highPrice": price_text(one, day.high),
        "lowPrice": price_text(one, day.low),
        "volume": quantity_text(one, day.volume),
        "quoteVolume": fixed(day.quote_volume, 8),
        "openTime": day.open_time_ms,
        "closeTime": now_ms,
        "firstId": max(day.first_trade_id, 0),
        "lastId": max(day.last_trade_id, 0),
        "count": day.count,
    }


def best_json(tape: SymbolTape) -> Json:
    """An entry of ticker/bookTicker."""
    bid, ask = best(tape)
    one = tape.instrument
    return {
        "symbol": one.symbol,
        "bidPrice": price_text(one, bid[0]),
        "bidQty": quantity_text(one, bid[1]),
        "askPrice": price_text(one, ask[0]),
        "askQty": quantity_text(one, ask[1]),
        "time": tape.book_time_ms,
        "lastUpdateId": tape.update_id,
    }


def best(tape: SymbolTape) -> tuple[Level, Level]:
    """Best bid and ask; zeros where a side is empty."""
    nothing = (ZERO, ZERO)
    return (tape.bids or (nothing,))[0], (tape.asks or (nothing,))[0]


def premium_json(tape: SymbolTape, now_ms: int) -> Json:
    """An entry of premiumIndex."""
    one = tape.instrument
    return {
        "symbol": one.symbol,
        "markPrice": fixed(tape.mark_price, 8),
        "indexPrice": fixed(tape.index_price, 8),
        "estimatedSettlePrice": fixed(tape.index_price, 8),
        "lastFundingRate": fixed(tape.funding_rate, 8),
        "interestRate": INTEREST_RATE,
        "nextFundingTime": next_funding_ms(now_ms),
        "time": now_ms,
    }


def next_funding_ms(now_ms: int) -> int:
    """The next settlement."""
    return now_ms - now_ms % FUNDING_INTERVAL_MS + FUNDING_INTERVAL_MS
