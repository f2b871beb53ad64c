"""Requests about the account: balances, positions, settings, history, the key itself."""

# ruff: noqa: ARG001 (every handler takes the venue and its parameters, needed or not)

from __future__ import annotations

from decimal import Decimal

from tercel.adapters.simulator.binance.account_rendering import (
    account_position_json,
    account_position_v2_json,
    account_totals_json,
    asset_json,
    balance_json,
    income_json,
    position_risk_json,
    position_risk_v2_json,
    trade_json,
)
from tercel.adapters.simulator.binance.listen_keys import unknown_listen_key
from tercel.adapters.simulator.binance.parameters import Given
from tercel.adapters.simulator.binance.routes import Route, Security, each_or, signed
from tercel.adapters.simulator.binance.state import VenueState
from tercel.adapters.simulator.binance.wire import Json, RefusalError, plain
from tercel.adapters.simulator.exchange.records import (
    Bracket,
    IncomeKind,
    Instrument,
    OrderType,
    PositionRow,
    Window,
)
from tercel.adapters.simulator.faults import FaultCode, Where

DONE = {"code": 200, "msg": "success"}
ROWS_MAX = 1_000
WEEK_MS = 604_800_000


def window(given: Given, default: int = 500, from_name: str = "fromId") -> Window:
    """Times, first id and number of rows of a history. Raises RefusalError."""
    limit = given.whole("limit", default)
    if not 1 <= limit <= ROWS_MAX:
        raise RefusalError(-1130, "Data sent for parameter 'limit' is not valid.")
    start, end = given.moment("startTime"), given.moment("endTime")
    if start is not None and end is not None:
        if start > end:
            raise RefusalError(-1023, "Start time is greater than end time.")
        if end - start > WEEK_MS:
            raise RefusalError(-4166, "Search window is restricted to recent 7 days only.")
    return Window(start, end, given.moment(from_name), limit)


def _is_live(row: PositionRow) -> bool:
    """Whether version 3 shows the symbol: it has a position or orders."""
    return bool(row.quantity or row.bid_notional_quote or row.ask_notional_quote)


def _symbols(given: Given) -> str | None:
    return given.symbol or None


def balance(venue: VenueState, given: Given) -> Json:
    """The balances."""
    return [balance_json(row, venue.opened_ms) for row in venue.exchange.balances()]


def account(venue: VenueState, given: Given) -> Json:
    """The account, version 3."""
    (row,) = venue.exchange.balances()
    positions = [
        account_position_json(venue.exchange.instrument(each.symbol), each)
        for each in venue.exchange.positions()
        if _is_live(each)
    ]
    return {
        **account_totals_json(row),
        "assets": [asset_json(row, venue.opened_ms)],
        "positions": positions,
    }


def account_v2(venue: VenueState, given: Given) -> Json:
    """The account, version 2: every symbol, and what the account may do."""
    (row,) = venue.exchange.balances()
    positions = [
        account_position_v2_json(venue.exchange.instrument(each.symbol), each)
        for each in venue.exchange.positions()
    ]
    return {
        **_permissions(venue),
        "updateTime": 0,
        **account_totals_json(row),
        "assets": [{**asset_json(row, venue.opened_ms), "marginAvailable": True}],
        "positions": positions,
    }


def _permissions(venue: VenueState) -> Json:
    return {
        "feeTier": 0,
        "feeBurn": False,
        "canTrade": True,
        "canDeposit": True,
        "canWithdraw": venue.settings.credentials.can_withdraw,
        "multiAssetsMargin": venue.overlay.is_multi_assets,
        "tradeGroupId": -1,
    }


def position_risk(venue: VenueState, given: Given) -> Json:
    """Positions, version 3: symbols with a position or orders."""
    return [
        position_risk_json(venue.exchange.instrument(row.symbol), row, venue.told_ms)
        for row in venue.exchange.positions(_symbols(given))
        if _is_live(row)
    ]


def position_risk_v2(venue: VenueState, given: Given) -> Json:
    """Positions, version 2: every symbol."""
    return [
        position_risk_v2_json(venue.exchange.instrument(row.symbol), row)
        for row in venue.exchange.positions(_symbols(given))
    ]


def _user_trades(venue: VenueState, given: Given) -> Json:
    instrument = venue.exchange.instrument(given.symbol)
    found = venue.exchange.trades(given.symbol, window(given), given.moment("orderId"))
    return [trade_json(instrument, row) for row in found]


def _income(venue: VenueState, given: Given) -> Json:
    kind = None
    if given.has("incomeType"):
        if given.text("incomeType") not in IncomeKind.__members__:
            return []
        kind = IncomeKind[given.text("incomeType")]
    page = max(given.whole("page", 1), 1)
    asked = window(given, 100)
    whole = Window(asked.start_ms, asked.end_ms, None, asked.limit * page)
    rows = venue.exchange.income(whole, _symbols(given), kind)
    return [income_json(row) for row in rows[(page - 1) * asked.limit :]]


def _set_leverage(venue: VenueState, given: Given) -> Json:
    row = venue.exchange.set_leverage(given.symbol, given.whole("leverage"), venue.now_ms)
    return {
        "leverage": row.leverage,
        "maxNotionalValue": plain(row.notional_max_quote),
        "symbol": row.symbol,
    }


def _set_margin_type(venue: VenueState, given: Given) -> Json:
    isolated = given.text("marginType") == "ISOLATED"
    venue.exchange.set_margin_type(given.symbol, isolated, venue.now_ms)
    return DONE


def _set_dual_side(venue: VenueState, given: Given) -> Json:
    venue.exchange.set_dual_side(given.flag("dualSidePosition"))
    return DONE


def _dual_side(venue: VenueState, given: Given) -> Json:
    return {"dualSidePosition": False}


def _multi_assets(venue: VenueState, given: Given) -> Json:
    return {"multiAssetsMargin": venue.overlay.is_multi_assets}


def _set_multi_assets(venue: VenueState, given: Given) -> Json:
    wanted = given.flag("multiAssetsMargin")
    if wanted == venue.overlay.is_multi_assets:
        raise RefusalError(-4171, "No need to change multi-assets mode.")
    if wanted:
        raise RefusalError(-4084, "Method is not allowed currently. Upcoming soon.")
    venue.overlay.is_multi_assets = wanted
    return DONE


def _brackets(venue: VenueState, given: Given) -> Json:
    chosen = [given.symbol] if given.has("symbol") else venue.symbols
    return [_bracket_json(venue, venue.exchange.instrument(symbol)) for symbol in chosen]


def _bracket_json(venue: VenueState, instrument: Instrument) -> Json:
    most = venue.overlay.brackets_max.get(instrument.symbol)

    def render(bracket: Bracket) -> Json:
        leverage = bracket.leverage_max if most is None else min(most, bracket.leverage_max)
        return {
            "bracket": bracket.number,
            "initialLeverage": leverage,
            "notionalCap": _number(bracket.notional_cap_quote),
            "notionalFloor": _number(bracket.notional_floor_quote),
            "maintMarginRatio": float(bracket.maintenance_rate),
            "cum": float(bracket.maintenance_amount_quote),
        }

    return {"symbol": instrument.symbol, "brackets": [render(each) for each in instrument.brackets]}


def _number(value: Decimal) -> float | int:
    return int(value) if value == int(value) else float(value)


def _commission_rate(venue: VenueState, given: Given) -> Json:
    return {
        "symbol": given.symbol,
        "makerCommissionRate": plain(venue.maker_fee_rate),
        "takerCommissionRate": plain(venue.taker_fee_rate),
        "rpiCommissionRate": plain(venue.maker_fee_rate),
    }


def _symbol_config(venue: VenueState, given: Given) -> Json:
    return [
        {
            "symbol": row.symbol,
            "marginType": "ISOLATED" if row.is_isolated else "CROSSED",
            "isAutoAddMargin": False,
            "leverage": row.leverage,
            "maxNotionalValue": plain(row.notional_max_quote),
        }
        for row in venue.exchange.positions(_symbols(given))
    ]


def _account_config(venue: VenueState, given: Given) -> Json:
    return {**_permissions(venue), "dualSidePosition": False, "updateTime": 0}


def _force_orders(venue: VenueState, given: Given) -> Json:
    from tercel.adapters.simulator.binance.account_rendering import queried_order_json

    chosen = [given.symbol] if given.has("symbol") else venue.symbols
    asked = window(given, 50)
    return [
        queried_order_json(venue.exchange.instrument(symbol), row)
        for symbol in chosen
        for row in venue.exchange.orders(symbol, asked)
        if row.kind is OrderType.LIQUIDATION
    ]


def _adl_quantile(venue: VenueState, given: Given) -> Json:
    return [
        {"symbol": row.symbol, "adlQuantile": {"BOTH": row.adl_quantile}}
        for row in venue.exchange.positions(_symbols(given))
    ]


def _order_limits(venue: VenueState, given: Given) -> Json:
    limits = venue.settings.limits
    return [
        {"rateLimitType": "ORDERS", "interval": "SECOND", "intervalNum": 10,
         "limit": limits.orders_ten_seconds_max},
        {"rateLimitType": "ORDERS", "interval": "MINUTE", "intervalNum": 1,
         "limit": limits.orders_minute_max},
    ]  # fmt: skip


def _restrictions(venue: VenueState, given: Given) -> Json:
    """What the key may do: a client that only trades refuses one that may withdraw."""
    return {
        "ipRestrict": True,
        "createTime": venue.now_ms - WEEK_MS,
        "enableInternalTransfer": False,
        "enableFutures": True,
        "enablePortfolioMarginTrading": False,
        "enableVanillaOptions": False,
        "permitsUniversalTransfer": False,
        "enableReading": True,
        "enableSpotAndMarginTrading": False,
        "enableWithdrawals": venue.settings.credentials.can_withdraw,
        "enableMargin": False,
        "enableFixApiTrade": False,
        "enableFixReadOnly": False,
    }


def new_listen_key(venue: VenueState, given: Given) -> Json:
    """A key for the user stream."""
    return {"listenKey": venue.keys.create(venue.now_ms)}


def keep_listen_key(venue: VenueState, given: Given) -> Json:
    """Another hour for it. Raises RefusalError -1125."""
    here = Where(endpoint="PUT /fapi/v1/listenKey", stream="private")
    if venue.watch.due(FaultCode.U7, here, venue.now_ms):
        venue.keys.delete()
        raise unknown_listen_key()
    return {"listenKey": venue.keys.extend(venue.now_ms)}


def end_listen_key(venue: VenueState, given: Given) -> Json:
    """The end of it."""
    venue.keys.delete()
    return {}


_V1, _V2, _V3 = "/fapi/v1", "/fapi/v2", "/fapi/v3"
_RANGE = "startTime endTime limit"
ACCOUNT_ROUTES: tuple[Route, ...] = (
    signed(f"GET {_V2}/balance", balance, weight=5),
    signed(f"GET {_V3}/balance", balance, weight=5),
    signed(f"GET {_V2}/account", account_v2, weight=5),
    signed(f"GET {_V3}/account", account, weight=5),
    signed(f"GET {_V2}/positionRisk", position_risk_v2, "", "symbol", weight=5),
    signed(f"GET {_V3}/positionRisk", position_risk, "", "symbol", weight=5),
    signed(
        f"GET {_V1}/userTrades", _user_trades, "symbol", f"orderId fromId {_RANGE}", weight=5
    ),
    signed(f"GET {_V1}/income", _income, "", f"symbol incomeType page {_RANGE}", weight=30),
    signed(f"POST {_V1}/leverage", _set_leverage, "symbol leverage"),
    signed(f"POST {_V1}/marginType", _set_margin_type, "symbol marginType"),
    signed(f"POST {_V1}/positionSide/dual", _set_dual_side, "dualSidePosition"),
    signed(f"GET {_V1}/positionSide/dual", _dual_side, weight=30),
    signed(f"GET {_V1}/multiAssetsMargin", _multi_assets, weight=30),
    signed(f"POST {_V1}/multiAssetsMargin", _set_multi_assets, "multiAssetsMargin"),
    signed(f"GET {_V1}/leverageBracket", _brackets, "", "symbol"),
    signed(f"GET {_V1}/commissionRate", _commission_rate, "symbol", weight=20),
    signed(f"GET {_V1}/symbolConfig", _symbol_config, "", "symbol", weight=5),
    signed(f"GET {_V1}/accountConfig", _account_config, weight=5),
    signed(
        f"GET {_V1}/forceOrders", _force_orders, "", f"symbol autoCloseType {_RANGE}",
        weight=each_or(20, 50),
    ),
    signed(f"GET {_V1}/adlQuantile", _adl_quantile, "", "symbol", weight=5),
    signed(f"GET {_V1}/rateLimit/order", _order_limits),
    signed("GET /sapi/v1/account/apiRestrictions", _restrictions),
    Route("POST", f"{_V1}/listenKey", new_listen_key, Security.KEY),
    Route("PUT", f"{_V1}/listenKey", keep_listen_key, Security.KEY, "", "listenKey"),
    Route("DELETE", f"{_V1}/listenKey", end_listen_key, Security.KEY),
)  # fmt: skip
