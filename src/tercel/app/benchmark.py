"""Buy-and-hold of the same bars, of one series or of several, as a result like any other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from tercel.app.equity_path import closing_values
from tercel.core.codes import ExitReason, Side, Slot
from tercel.core.records import EQUITY, FILL, TRADE, Records
from tercel.domain.errors import DataError
from tercel.domain.results import BacktestResult, StreamLabel

BUY_AND_HOLD = "buy-and-hold"


def buy_and_hold(
    bars: Records, bar_ms: int, start_quote: float, taker_fee_rate: float
) -> BacktestResult:
    """All capital into the market at the first open, out of it at the last close.

    A taker fee is paid on both sides; no slippage, no leverage, no funding (as a spot holder). With
    1,000 quote, a fee rate of 0.001 and a price of 100: 1,000 / 100.1 = 9.990 units for 999.00 and
    a fee of 1.00.
    Raises DataError without bars.
    """
    if len(bars) == 0:
        raise DataError("buy-and-hold: there are no bars to hold")
    entry_price, exit_price = float(bars["open"][0]), float(bars["close"][-1])
    quantity = start_quote / (entry_price * (1.0 + taker_fee_rate))
    entry_fee = quantity * entry_price * taker_fee_rate
    exit_fee = quantity * exit_price * taker_fee_rate
    gross = quantity * (exit_price - entry_price)
    net = gross - entry_fee - exit_fee
    start_time, end_time = int(bars["open_time"][0]), int(bars["open_time"][-1]) + bar_ms

    equity = np.zeros(len(bars), EQUITY)
    equity["time"] = bars["open_time"] + bar_ms
    equity["exposure"] = quantity * bars["close"]
    equity["equity"] = equity["exposure"]
    equity["equity"][-1] = start_quote + net
    equity["exposure"][-1] = 0.0

    trade = np.zeros(1, TRADE)
    trade["side"] = Side.LONG
    trade["entry_time"], trade["exit_time"] = start_time, end_time
    trade["quantity"] = quantity
    trade["entry_price"], trade["exit_price"] = entry_price, exit_price
    trade["gross_quote"], trade["net_quote"] = gross, net
    trade["fee_quote"] = entry_fee + exit_fee
    for unknown in ("stop_distance", "risk_quote", "favourable_r", "adverse_r", "score"):
        trade[unknown] = np.nan
    trade["exit_reason"] = ExitReason.END_OF_DATA

    return BacktestResult(
        labels=(StreamLabel(0, BUY_AND_HOLD, "", "", ""),),
        trades=trade,
        fills=_fills(trade[0], entry_fee, exit_fee),
        equity=equity,
        start_quote=start_quote,
        start_time=start_time,
        end_time=end_time,
        signals=1,
        cash_quote=start_quote + net,
        equity_quote=start_quote + net,
        gross_quote=gross,
        fee_quote=entry_fee + exit_fee,
        slippage_quote=0.0,
        funding_quote=0.0,
        reasons=(("hold",),),
    )


def together(holdings: Sequence[BacktestResult]) -> BacktestResult:
    """Several holdings side by side on one account, as one result.

    Equity has a row at every time that one of them has; one that has not begun counts as the cash
    it starts with, one that is over as what it ended with. Of 1,000 quote in two series, the first
    up by 10 % before the second begins, 550 + 500 = 1,050 remain.
    """
    if len(holdings) == 1:
        return holdings[0]
    times = np.unique(np.concatenate([held.equity["time"] for held in holdings]))
    equity = np.zeros(len(times), EQUITY)
    equity["time"] = times
    for held in holdings:
        own, own_times = held.equity, np.ascontiguousarray(held.equity["time"])
        equity["equity"] += closing_values(own_times, own["equity"], times, held.start_quote)
        equity["exposure"] += closing_values(own_times, own["exposure"], times, 0.0)
    return BacktestResult(
        labels=tuple(replace(held.labels[0], number=n) for n, held in enumerate(holdings)),
        trades=_numbered([held.trades for held in holdings], "exit_time"),
        fills=_numbered([held.fills for held in holdings], "time"),
        equity=equity,
        start_quote=sum(held.start_quote for held in holdings),
        start_time=min(held.start_time for held in holdings),
        end_time=max(held.end_time for held in holdings),
        signals=sum(held.signals for held in holdings),
        cash_quote=sum(held.cash_quote for held in holdings),
        equity_quote=sum(held.equity_quote for held in holdings),
        gross_quote=sum(held.gross_quote for held in holdings),
        fee_quote=sum(held.fee_quote for held in holdings),
        slippage_quote=0.0,
        funding_quote=0.0,
        reasons=tuple(held.reasons[0] for held in holdings),
    )


def _numbered(parts: Sequence[Records], time_field: str) -> Records:
    """The rows of all parts by time, each with the number of its part as its stream."""
    rows: Records = np.concatenate(parts)
    rows["stream"] = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
    return rows[np.argsort(rows[time_field], kind="stable")]


def _fills(trade: np.void, entry_fee: float, exit_fee: float) -> Records:
    """The two fills of the one trade."""
    fills = np.zeros(2, FILL)
    fills["slot"] = Slot.ENTRY, Slot.CLOSE
    fills["time"] = trade["entry_time"], trade["exit_time"]
    fills["side"] = Side.LONG, Side.SHORT
    fills["quantity"] = trade["quantity"]
    fills["price"] = fills["reference_price"] = trade["entry_price"], trade["exit_price"]
    fills["fee_quote"] = entry_fee, exit_fee
    fills["reason"] = ExitReason.NONE, ExitReason.END_OF_DATA
    return fills
