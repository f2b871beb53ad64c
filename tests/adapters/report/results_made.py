"""Small results made by hand, for the tests of statistics and reports."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tercel.core.codes import ExitReason, Side
from tercel.core.records import EQUITY, FILL, TRADE, Records
from tercel.domain.results import BacktestResult, RunRecord, StreamLabel
from tercel.domain.times import DAY_MS, MINUTE_MS

START = 1_704_067_200_000  # 2024-01-01 00:00 UTC
LABEL = StreamLabel(0, "three_r", "binance-usdm", "BTCUSDT", "1m", "taker")


@dataclass(frozen=True)
class Row:
    """One line of a table of trades. Costs are what lies between gross and net: all fees."""

    net: float
    gross: float | None = None
    side: Side = Side.LONG
    entry_minute: int = 0
    exit_minute: int = 10
    risk: float = 10.0
    reason: int = 0
    exit_reason: ExitReason = ExitReason.STOP
    stream: int = 0


def make_trades(rows: Sequence[Row]) -> Records:
    """TRADE records of a table."""
    trades = np.zeros(len(rows), TRADE)
    for trade, row in zip(trades, rows, strict=True):
        gross = row.net if row.gross is None else row.gross
        trade["stream"], trade["side"] = row.stream, row.side
        trade["entry_time"] = START + row.entry_minute * MINUTE_MS
        trade["exit_time"] = START + row.exit_minute * MINUTE_MS
        trade["quantity"], trade["entry_price"] = 1.0, 100.0
        trade["exit_price"], trade["stop_distance"] = 100.0 + row.side * gross, row.risk
        trade["gross_quote"], trade["net_quote"] = gross, row.net
        trade["fee_quote"], trade["risk_quote"] = gross - row.net, row.risk
        trade["reason"], trade["exit_reason"] = row.reason, row.exit_reason
    return trades


def make_fills(trades: Records) -> Records:
    """An entry and an exit fill for each trade, half of its fee on each."""
    fills = np.zeros(2 * len(trades), FILL)
    for number, trade in enumerate(trades):
        for fill, time, price, sign, reason in (
            (fills[2 * number], trade["entry_time"], trade["entry_price"], 1, ExitReason.NONE),
            (
                fills[2 * number + 1],
                trade["exit_time"],
                trade["exit_price"],
                -1,
                trade["exit_reason"],
            ),
        ):
            fill["stream"], fill["time"], fill["quantity"] = trade["stream"], time, 1.0
            fill["side"], fill["reason"] = sign * trade["side"], reason
            fill["price"] = fill["reference_price"] = price
            fill["fee_quote"] = trade["fee_quote"] / 2.0
    return fills[np.argsort(fills["time"], kind="stable")]


def make_equity(points: Sequence[tuple[float, float]]) -> Records:
    """EQUITY records of (days after the start, equity)."""
    equity = np.zeros(len(points), EQUITY)
    for record, (days, value) in zip(equity, points, strict=True):
        record["time"], record["equity"] = START + round(days * DAY_MS), value
    return equity


def make_result(
    rows: Sequence[Row] = (), points: Sequence[tuple[float, float]] = (), **changes: Any
) -> BacktestResult:
    """A result of 100 quote that ends with the last point of equity (or 100)."""
    trades, equity = make_trades(rows), make_equity(points)
    end = float(equity["equity"][-1]) if len(equity) else 100.0
    fee = float(trades["fee_quote"].sum())
    given: dict[str, Any] = {
        "labels": (LABEL,),
        "trades": trades,
        "fills": make_fills(trades),
        "equity": equity,
        "start_quote": 100.0,
        "start_time": START,
        "end_time": int(equity["time"][-1]) if len(equity) else START,
        "signals": len(trades),
        "cash_quote": end,
        "equity_quote": end,
        "gross_quote": end - 100.0 + fee,
        "fee_quote": fee,
        "slippage_quote": 0.0,
        "funding_quote": 0.0,
        "reasons": (("breakout", "pullback"),),
    }
    return BacktestResult(**{**given, **changes})


def make_record() -> RunRecord:
    """A record of a run that never was."""
    return RunRecord(
        configuration={"strategy": {"ema_length": 25}, "note": "a < b & c"},
        versions={"tercel": "0.1.0"},
        hashes={"code": "ab" * 32, "parameters": "cd" * 32, "data": "ef" * 32},
        seed=7,
        command_line="tercel backtest three_r BTCUSDT",
        created_time=START,
    )
