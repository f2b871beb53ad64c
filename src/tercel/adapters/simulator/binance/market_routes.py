"""Requests for market data and for the exchange's rules."""

# ruff: noqa: ARG001 (every handler takes the venue and its parameters, needed or not)

from __future__ import annotations

from collections.abc import Callable, Sequence

from tercel.adapters.simulator.binance.market_rendering import (
    FUNDING_INTERVAL_MS,
    agg_trade_json,
    best_json,
    day_json,
    kline_json,
    levels_json,
    premium_json,
    price_text,
    quantity_text,
    symbol_json,
    trade_json,
)
from tercel.adapters.simulator.binance.parameters import INTERVALS_MS, Given
from tercel.adapters.simulator.binance.routes import Route, each_or, public
from tercel.adapters.simulator.binance.state import VenueState
from tercel.adapters.simulator.binance.tape import SymbolTape
from tercel.adapters.simulator.binance.wire import Json, RefusalError, fixed
from tercel.adapters.simulator.faults import FaultCode, Where
from tercel.adapters.simulator.market.ticks import TradeTick

KLINES_MAX = 1_500
KLINE_WEIGHTS = ((100, 1), (500, 2), (1_000, 5), (KLINES_MAX, 10))
DEPTH_WEIGHTS = {5: 2, 10: 2, 20: 2, 50: 2, 100: 5, 500: 10, 1_000: 20}
HOUR_MS = 3_600_000
PERIODS_MS = {
    name: INTERVALS_MS[name] for name in ("5m", "15m", "30m", "1h", "2h", "4h", "6h", "12h", "1d")
}


def _limit(given: Given, default: int, most: int) -> int:
    """The number of rows asked for. Raises RefusalError."""
    asked = given.whole("limit", default)
    if not 1 <= asked <= most:
        raise RefusalError(-1130, "Data sent for parameter 'limit' is not valid.")
    return asked


def _kline_weight(given: Given) -> int:
    asked = given.whole("limit", 500)
    return next((weight for most, weight in KLINE_WEIGHTS if asked < most), 10)


def _depth_weight(given: Given) -> int:
    return DEPTH_WEIGHTS.get(given.whole("limit", 500), 20)


def _ping(venue: VenueState, given: Given) -> Json:
    return {}


def _time(venue: VenueState, given: Given) -> Json:
    return {"serverTime": venue.told_ms}


def _exchange_info(venue: VenueState, given: Given) -> Json:
    limits = venue.settings.limits
    shown = [
        instrument
        for instrument in venue.exchange.instruments()
        if venue.overlay.hidden_symbols.get(instrument.symbol, 0) <= venue.now_ms
    ]
    assets = sorted({instrument.quote for instrument in shown})
    return {
        "timezone": "UTC",
        "serverTime": venue.told_ms,
        "futuresType": "U_MARGINED",
        "rateLimits": [
            _rate_limit("REQUEST_WEIGHT", "MINUTE", 1, limits.weight_minute_max),
            _rate_limit("ORDERS", "MINUTE", 1, limits.orders_minute_max),
            _rate_limit("ORDERS", "SECOND", 10, limits.orders_ten_seconds_max),
        ],
        "exchangeFilters": [],
        "assets": [
            {"asset": asset, "marginAvailable": True, "autoAssetExchange": "-10000"}
            for asset in assets
        ],
        "symbols": [symbol_json(instrument) for instrument in shown],
    }


def _rate_limit(kind: str, interval: str, number: int, limit: int) -> Json:
    return {
        "rateLimitType": kind,
        "interval": interval,
        "intervalNum": number,
        "limit": limit,
    }


def _depth(venue: VenueState, given: Given) -> Json:
    limit = given.whole("limit", 500)
    if limit not in DEPTH_WEIGHTS:
        raise RefusalError(-4021, "Param 'limit' is not a valid depth limit.")
    tape = venue.tape[given.symbol]
    made = {
        "lastUpdateId": tape.update_id,
        "E": venue.told_ms,
        "T": tape.book_time_ms,
        "bids": levels_json(tape.instrument, tape.bids[:limit]),
        "asks": levels_json(tape.instrument, tape.asks[:limit]),
    }
    where = Where(endpoint="GET /fapi/v1/depth", symbol=given.symbol)
    if venue.watch.due(FaultCode.M2, where, venue.now_ms):
        return venue.overlay.old_books.get(given.symbol, made)
    if venue.watch.plans(FaultCode.M2):
        venue.overlay.old_books.setdefault(given.symbol, made)
    return made


def _trades(venue: VenueState, given: Given) -> Json:
    tape = venue.tape[given.symbol]
    latest = list(tape.trades)[-_limit(given, 500, 1_000) :]
    return [trade_json(tape.instrument, tick) for tick in latest]


def _agg_trades(venue: VenueState, given: Given) -> Json:
    tape = venue.tape[given.symbol]
    limit = _limit(given, 500, 1_000)
    start, end, first = given.moment("startTime"), given.moment("endTime"), given.moment("fromId")
    if start is not None and end is not None and end - start >= HOUR_MS:
        raise RefusalError(-4021, "startTime and endTime must be within one hour.")

    def is_meant(tick: TradeTick) -> bool:
        return (
            (start is None or tick.time_ms >= start)
            and (end is None or tick.time_ms <= end)
            and (first is None or tick.trade_id >= first)
        )

    found = [tick for tick in tape.trades if is_meant(tick)]
    found = found[-limit:] if start is None and first is None else found[:limit]
    return [agg_trade_json(tape.instrument, tick) for tick in found]


def _klines(venue: VenueState, given: Given) -> Json:
    symbol = given.symbol or given.text("pair")
    tape = venue.tape[symbol]
    length_ms = INTERVALS_MS[given.text("interval")]
    limit = _limit(given, 500, KLINES_MAX)
    start, end = given.moment("startTime"), given.moment("endTime")
    if start is not None and end is not None and start > end:
        raise RefusalError(-4195, "Search window is restricted: startTime is after endTime.")
    tape.candles.minute_at(venue.now_ms, tape.last_price)
    found = tape.candles.klines(length_ms, start, end, limit)
    return [kline_json(tape.instrument, candle, length_ms) for candle in found]


def _price_klines(venue: VenueState, given: Given) -> Json:
    """Klines of the mark or index price: those of the last price, without volumes."""
    rows = _klines(venue, given)
    return [[*row[:5], "0", row[6], "0", 60, "0", "0", "0"] for row in rows]


def _one_or_all(make: Callable[[VenueState, SymbolTape], Json]) -> Callable[..., Json]:
    """An object for the symbol asked for, or a list of all."""

    def handle(venue: VenueState, given: Given) -> Json:
        if given.has("symbol"):
            return make(venue, venue.tape[given.symbol])
        return [make(venue, venue.tape[symbol]) for symbol in venue.symbols]

    return handle


def _day(venue: VenueState, tape: SymbolTape) -> Json:
    where = Where(endpoint="GET /fapi/v1/ticker/24hr", symbol=tape.instrument.symbol)
    if venue.watch.due(FaultCode.M12, where, venue.now_ms):
        others = [name for name in venue.symbols if name != tape.instrument.symbol]
        tape = venue.tape[others[0]] if others else tape
    return day_json(tape, venue.told_ms)


def _price(venue: VenueState, tape: SymbolTape) -> Json:
    return {
        "symbol": tape.instrument.symbol,
        "price": price_text(tape.instrument, tape.last_price),
        "time": venue.told_ms,
    }


def _best(venue: VenueState, tape: SymbolTape) -> Json:
    return best_json(tape)


def _premium(venue: VenueState, tape: SymbolTape) -> Json:
    return premium_json(tape, venue.told_ms)


def _funding_rates(venue: VenueState, given: Given) -> Json:
    start, end = given.moment("startTime"), given.moment("endTime")
    limit = _limit(given, 100, 1_000)
    names: Sequence[str] = (given.symbol,) if given.has("symbol") else venue.symbols
    rows = [
        {
            "symbol": name,
            "fundingRate": fixed(row.rate, 8),
            "fundingTime": row.time_ms,
            "markPrice": fixed(row.mark_price, 8),
        }
        for name in names
        for row in venue.tape[name].funding
        if (start is None or row.time_ms >= start) and (end is None or row.time_ms <= end)
    ]
    rows.sort(key=lambda row: int(str(row["fundingTime"])))
    return rows[-limit:] if start is None else rows[:limit]


def _funding_info(venue: VenueState, given: Given) -> Json:
    return [
        {
            "symbol": name,
            "adjustedFundingRateCap": "0.02000000",
            "adjustedFundingRateFloor": "-0.02000000",
            "fundingIntervalHours": FUNDING_INTERVAL_MS // HOUR_MS,
            "disclaimer": False,
        }
        for name in venue.symbols
    ]


def _open_interest(venue: VenueState, given: Given) -> Json:
    tape = venue.tape[given.symbol]
    amount = quantity_text(tape.instrument, tape.open_interest)
    return {"symbol": given.symbol, "openInterest": amount, "time": venue.told_ms}


def _periods(venue: VenueState, given: Given) -> list[int]:
    """Ends of the periods that a history asks for. Raises RefusalError."""
    length_ms = PERIODS_MS.get(given.text("period"))
    if length_ms is None:
        raise RefusalError(-1130, "Data sent for parameter 'period' is not valid.")
    limit = _limit(given, 30, 500)
    end = min(given.moment("endTime") or venue.now_ms, venue.now_ms)
    last = end - end % length_ms
    first = max(given.moment("startTime") or 0, last - (limit - 1) * length_ms)
    return list(range(first - first % length_ms, last + 1, length_ms))[-limit:]


def _open_interest_history(venue: VenueState, given: Given) -> Json:
    tape = venue.tape[given.symbol]
    amount = quantity_text(tape.instrument, tape.open_interest)
    value = fixed(tape.open_interest * tape.last_price, 8)
    return [
        {
            "symbol": given.symbol,
            "sumOpenInterest": amount,
            "sumOpenInterestValue": value,
            "CMCCirculatingSupply": "0",
            "timestamp": time_ms,
        }
        for time_ms in _periods(venue, given)
    ]


def _long_short(venue: VenueState, given: Given) -> Json:
    """As many long as short: no data source tells it."""
    return [
        {
            "symbol": given.symbol,
            "longShortRatio": "1.0000",
            "longAccount": "0.5000",
            "shortAccount": "0.5000",
            "timestamp": time_ms,
        }
        for time_ms in _periods(venue, given)
    ]


def _taker_ratio(venue: VenueState, given: Given) -> Json:
    tape = venue.tape[given.symbol]
    length_ms = PERIODS_MS.get(given.text("period"), 0)
    rows = []
    for time_ms in _periods(venue, given):
        candle = tape.candles.closed_kline(length_ms, time_ms - length_ms)
        if candle is not None:
            sold = candle.volume - candle.taker_buy_volume
            ratio = candle.taker_buy_volume / sold if sold else candle.taker_buy_volume
            rows.append(
                {
                    "buySellRatio": fixed(ratio, 4),
                    "buyVol": quantity_text(tape.instrument, candle.taker_buy_volume),
                    "sellVol": quantity_text(tape.instrument, sold),
                    "timestamp": time_ms,
                }
            )
    return rows


def _none(venue: VenueState, given: Given) -> Json:
    return []


_RANGE = "startTime endTime limit"
_V1 = "/fapi/v1"
MARKET_ROUTES: tuple[Route, ...] = (
    public(f"{_V1}/ping", _ping),
    public(f"{_V1}/time", _time),
    public(f"{_V1}/exchangeInfo", _exchange_info),
    public(f"{_V1}/depth", _depth, "symbol", "limit", weight=_depth_weight),
    public(f"{_V1}/trades", _trades, "symbol", "limit", weight=5),
    public(f"{_V1}/aggTrades", _agg_trades, "symbol", f"fromId {_RANGE}", weight=20),
    public(f"{_V1}/klines", _klines, "symbol interval", _RANGE, weight=_kline_weight),
    public(
        f"{_V1}/continuousKlines", _klines, "pair contractType interval", _RANGE,
        weight=_kline_weight,
    ),
    public(f"{_V1}/markPriceKlines", _price_klines, "symbol interval", _RANGE,
           weight=_kline_weight),
    public(f"{_V1}/indexPriceKlines", _price_klines, "pair interval", _RANGE,
           weight=_kline_weight),
    public(f"{_V1}/ticker/24hr", _one_or_all(_day), "", "symbol", weight=each_or(1, 40)),
    public(f"{_V1}/ticker/price", _one_or_all(_price), "", "symbol", weight=each_or(1, 2)),
    public("/fapi/v2/ticker/price", _one_or_all(_price), "", "symbol", weight=each_or(1, 2)),
    public(f"{_V1}/ticker/bookTicker", _one_or_all(_best), "", "symbol", weight=each_or(2, 5)),
    public(f"{_V1}/premiumIndex", _one_or_all(_premium), "", "symbol", weight=each_or(1, 10)),
    public(f"{_V1}/fundingRate", _funding_rates, "", f"symbol {_RANGE}", weight=0),
    public(f"{_V1}/fundingInfo", _funding_info, weight=0),
    public(f"{_V1}/openInterest", _open_interest, "symbol"),
    public("/futures/data/openInterestHist", _open_interest_history, "symbol period", _RANGE,
           weight=0),
    public("/futures/data/globalLongShortAccountRatio", _long_short, "symbol period", _RANGE,
           weight=0),
    public("/futures/data/topLongShortAccountRatio", _long_short, "symbol period", _RANGE,
           weight=0),
    public("/futures/data/topLongShortPositionRatio", _long_short, "symbol period", _RANGE,
           weight=0),
    public("/futures/data/takerlongshortRatio", _taker_ratio, "symbol period", _RANGE, weight=0),
    public(f"{_V1}/indexInfo", _none, "", "symbol"),
)  # fmt: skip
