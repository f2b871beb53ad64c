"""Orders, trades, positions and balances in the vendor's form.

Amounts are texts, ids and times numbers, flags true and false: as the vendor documents them.
"""

from __future__ import annotations

from decimal import Decimal

from tercel.adapters.simulator.binance.market_rendering import price_text, quantity_text
from tercel.adapters.simulator.binance.wire import Json, fixed, plain, quote_text
from tercel.adapters.simulator.exchange.records import (
    BUY,
    ZERO,
    AlgoRow,
    BalanceRow,
    IncomeRow,
    Instrument,
    OrderRow,
    OrderStatus,
    PositionRow,
    TradeRow,
)

AVERAGE_DECIMALS_MIN = 5


def side_text(side: int) -> str:
    """BUY or SELL."""
    return "BUY" if side == BUY else "SELL"


def average_text(instrument: Instrument, value: Decimal) -> str:
    """An average price: finer than the tick."""
    return fixed(value, max(instrument.price_decimals, AVERAGE_DECIMALS_MIN))


def order_json(instrument: Instrument, row: OrderRow) -> Json:
    """The reply of new, cancel and amend. Queries add the time (`queried_order_json`)."""
    return {
        "orderId": row.order_id,
        "symbol": row.symbol,
        "status": str(row.status),
        "clientOrderId": row.client_id,
        "price": price_text(instrument, row.price),
        "avgPrice": average_text(instrument, row.average_price),
        "origQty": quantity_text(instrument, row.quantity),
        "executedQty": quantity_text(instrument, row.filled_quantity),
        "cumQty": quantity_text(instrument, row.filled_quantity),
        "cumQuote": plain(row.filled_quote),
        "timeInForce": str(row.time_in_force),
        "type": str(row.kind),
        "reduceOnly": row.reduce_only,
        "closePosition": row.close_position,
        "side": side_text(row.side),
        "positionSide": "BOTH",
        "stopPrice": price_text(instrument, row.trigger_price),
        "workingType": str(row.working_type),
        "priceProtect": row.price_protect,
        "origType": str(row.original_kind),
        "priceMatch": "NONE",
        "selfTradePreventionMode": "EXPIRE_MAKER",
        "goodTillDate": 0,
        "updateTime": row.updated_ms,
    }


def acknowledged_json(made: Json) -> Json:
    """The reply to newOrderRespType=ACK: accepted, and nothing of what became of it."""
    zero = {"executedQty": "0", "cumQty": "0", "cumQuote": "0", "avgPrice": "0.00"}
    return {**made, **zero, "status": str(OrderStatus.NEW)}


def without_fills(made: Json) -> Json:
    """The dialect whose replies do not tell the fill price."""
    return {name: value for name, value in made.items() if name not in ("avgPrice", "cumQuote")}


def queried_order_json(instrument: Instrument, row: OrderRow) -> Json:
    """An order in the answer to a query."""
    made = order_json(instrument, row)
    del made["cumQty"]
    made["time"] = row.created_ms
    return made


def algo_json(instrument: Instrument, row: AlgoRow) -> Json:
    """The reply to a new conditional order."""
    return {
        "algoId": row.algo_id,
        "clientAlgoId": row.client_id,
        "algoType": "CONDITIONAL",
        "orderType": str(row.kind),
        "symbol": row.symbol,
        "side": side_text(row.side),
        "positionSide": "BOTH",
        "timeInForce": str(row.time_in_force),
        "quantity": quantity_text(instrument, row.quantity),
        "algoStatus": str(row.status),
        "triggerPrice": price_text(instrument, row.trigger_price),
        "price": price_text(instrument, row.price),
        "icebergQuantity": None,
        "selfTradePreventionMode": "EXPIRE_MAKER",
        "workingType": str(row.working_type),
        "priceMatch": "NONE",
        "closePosition": row.close_position,
        "priceProtect": row.price_protect,
        "reduceOnly": row.reduce_only,
        "activatePrice": price_text(instrument, row.activation_price),
        "callbackRate": fixed(row.callback_rate, 1),
        "createTime": row.created_ms,
        "updateTime": row.updated_ms,
        "triggerTime": row.triggered_ms,
        "goodTillDate": 0,
    }


def queried_algo_json(instrument: Instrument, row: AlgoRow) -> Json:
    """A conditional order in the answer to a query: with what became of it in the engine."""
    return {
        **algo_json(instrument, row),
        "actualOrderId": "" if row.actual_order_id is None else str(row.actual_order_id),
        "actualPrice": average_text(instrument, row.actual_price),
        "actualType": "" if row.actual_kind is None else str(row.actual_kind),
        "actualQty": quantity_text(instrument, row.actual_quantity),
        "tpTriggerPrice": price_text(instrument, ZERO),
        "tpPrice": price_text(instrument, ZERO),
        "slTriggerPrice": price_text(instrument, ZERO),
        "slPrice": price_text(instrument, ZERO),
        "tpOrderType": "",
        "failReason": row.reason,
    }


def trade_json(instrument: Instrument, row: TradeRow) -> Json:
    """A fill in userTrades."""
    return {
        "symbol": row.symbol,
        "id": row.trade_id,
        "orderId": row.order_id,
        "side": side_text(row.side),
        "price": price_text(instrument, row.price),
        "qty": quantity_text(instrument, row.quantity),
        "realizedPnl": quote_text(row.realised_quote),
        "quoteQty": plain(row.quote),
        "commission": quote_text(row.fee_quote),
        "commissionAsset": row.fee_asset,
        "time": row.time_ms,
        "positionSide": "BOTH",
        "buyer": row.side == BUY,
        "maker": row.is_maker,
    }


def income_json(row: IncomeRow) -> Json:
    """A row of the income history."""
    return {
        "symbol": row.symbol,
        "incomeType": str(row.kind),
        "income": quote_text(row.amount_quote),
        "asset": row.asset,
        "info": str(row.kind),
        "time": row.time_ms,
        "tranId": row.income_id,
        "tradeId": "" if row.trade_id is None else str(row.trade_id),
    }


def position_risk_json(instrument: Instrument, row: PositionRow, told_ms: int) -> Json:
    """A row of positionRisk, version 3."""
    return {
        "symbol": row.symbol,
        "positionSide": "BOTH",
        "positionAmt": quantity_text(instrument, row.quantity),
        "entryPrice": plain(row.entry_price),
        "breakEvenPrice": plain(row.break_even_price),
        "markPrice": fixed(row.mark_price, 8),
        "unRealizedProfit": quote_text(row.unrealised_quote),
        "liquidationPrice": plain(row.liquidation_price),
        "isolatedMargin": quote_text(row.isolated_margin_quote),
        "notional": quote_text(row.notional_quote),
        "marginAsset": instrument.quote,
        "isolatedWallet": quote_text(row.isolated_wallet_quote),
        "initialMargin": quote_text(row.initial_margin_quote),
        "maintMargin": quote_text(row.maintenance_margin_quote),
        "positionInitialMargin": quote_text(row.position_margin_quote),
        "openOrderInitialMargin": quote_text(row.open_order_margin_quote),
        "adl": row.adl_quantile,
        "bidNotional": quote_text(row.bid_notional_quote),
        "askNotional": quote_text(row.ask_notional_quote),
        "updateTime": row.updated_ms or told_ms,
    }


def position_risk_v2_json(instrument: Instrument, row: PositionRow) -> Json:
    """A row of positionRisk, version 2: also flat symbols, with leverage and margin type."""
    return {
        "symbol": row.symbol,
        "positionAmt": quantity_text(instrument, row.quantity),
        "entryPrice": plain(row.entry_price),
        "breakEvenPrice": plain(row.break_even_price),
        "markPrice": fixed(row.mark_price, 8),
        "unRealizedProfit": quote_text(row.unrealised_quote),
        "liquidationPrice": plain(row.liquidation_price),
        "leverage": str(row.leverage),
        "maxNotionalValue": plain(row.notional_max_quote),
        "marginType": "isolated" if row.is_isolated else "cross",
        "isolatedMargin": quote_text(row.isolated_margin_quote),
        "isAutoAddMargin": "false",
        "positionSide": "BOTH",
        "notional": quote_text(row.notional_quote),
        "isolatedWallet": quote_text(row.isolated_wallet_quote),
        "updateTime": row.updated_ms,
        "isolated": row.is_isolated,
        "adlQuantile": row.adl_quantile,
    }


def account_position_json(instrument: Instrument, row: PositionRow) -> Json:
    """A position inside the account, version 3."""
    return {
        "symbol": row.symbol,
        "positionSide": "BOTH",
        "positionAmt": quantity_text(instrument, row.quantity),
        "unrealizedProfit": quote_text(row.unrealised_quote),
        "isolatedMargin": quote_text(row.isolated_margin_quote),
        "notional": quote_text(row.notional_quote),
        "isolatedWallet": quote_text(row.isolated_wallet_quote),
        "initialMargin": quote_text(row.initial_margin_quote),
        "maintMargin": quote_text(row.maintenance_margin_quote),
        "updateTime": row.updated_ms,
    }


def account_position_v2_json(instrument: Instrument, row: PositionRow) -> Json:
    """A position inside the account, version 2."""
    return {
        **account_position_json(instrument, row),
        "positionInitialMargin": quote_text(row.position_margin_quote),
        "openOrderInitialMargin": quote_text(row.open_order_margin_quote),
        "leverage": str(row.leverage),
        "isolated": row.is_isolated,
        "entryPrice": plain(row.entry_price),
        "breakEvenPrice": plain(row.break_even_price),
        "maxNotional": plain(row.notional_max_quote),
        "bidNotional": quote_text(row.bid_notional_quote),
        "askNotional": quote_text(row.ask_notional_quote),
    }


def asset_json(row: BalanceRow, opened_ms: int) -> Json:
    """An asset inside the account. Clients pass over one that was never updated, so an untouched
    wallet has the time at which the account was opened.
    """
    return {
        "asset": row.asset,
        "walletBalance": quote_text(row.wallet_quote),
        "unrealizedProfit": quote_text(row.unrealised_quote),
        "marginBalance": quote_text(row.margin_balance_quote),
        "maintMargin": quote_text(row.maintenance_margin_quote),
        "initialMargin": quote_text(row.initial_margin_quote),
        "positionInitialMargin": quote_text(row.position_margin_quote),
        "openOrderInitialMargin": quote_text(row.open_order_margin_quote),
        "crossWalletBalance": quote_text(row.cross_wallet_quote),
        "crossUnPnl": quote_text(row.cross_unrealised_quote),
        "availableBalance": quote_text(row.available_quote),
        "maxWithdrawAmount": quote_text(max(row.available_quote, ZERO)),
        "updateTime": row.updated_ms or opened_ms,
    }


def account_totals_json(row: BalanceRow) -> Json:
    """The sums at the head of the account: of its one asset."""
    return {
        "totalInitialMargin": quote_text(row.initial_margin_quote),
        "totalMaintMargin": quote_text(row.maintenance_margin_quote),
        "totalWalletBalance": quote_text(row.wallet_quote),
        "totalUnrealizedProfit": quote_text(row.unrealised_quote),
        "totalMarginBalance": quote_text(row.margin_balance_quote),
        "totalPositionInitialMargin": quote_text(row.position_margin_quote),
        "totalOpenOrderInitialMargin": quote_text(row.open_order_margin_quote),
        "totalCrossWalletBalance": quote_text(row.cross_wallet_quote),
        "totalCrossUnPnl": quote_text(row.cross_unrealised_quote),
        "availableBalance": quote_text(row.available_quote),
        "maxWithdrawAmount": quote_text(max(row.available_quote, ZERO)),
    }


def balance_json(row: BalanceRow, opened_ms: int) -> Json:
    """A row of the balances."""
    return {
        "accountAlias": "SgsR",
        "asset": row.asset,
        "balance": quote_text(row.wallet_quote),
        "crossWalletBalance": quote_text(row.cross_wallet_quote),
        "crossUnPnl": quote_text(row.cross_unrealised_quote),
        "availableBalance": quote_text(row.available_quote),
        "maxWithdrawAmount": quote_text(max(row.available_quote, ZERO)),
        "marginAvailable": True,
        "updateTime": row.updated_ms or opened_ms,
    }
