"""Statuses of sessions as views and sockets carry them: every field has a value of its own."""

from __future__ import annotations

import dataclasses

from tercel.app.live.latency import Latency
from tercel.app.live.status_records import (
    AccountStatus,
    AlertStatus,
    BesideStatus,
    BreakersStatus,
    BreakerStatus,
    CoolDownStatus,
    DecisionStatus,
    FeedStatus,
    OrderStatusNow,
    OutageStatus,
    PositionStatus,
    RefusalCount,
    SessionStatus,
    TradeStatus,
)

NOW_MS = 1_719_322_207_000
"""2024-06-25 13:30:07 UTC."""


def a_position(symbol: str = "BTCUSDT") -> PositionStatus:
    return PositionStatus(
        strategy="three_r",
        symbol=symbol,
        direction="long",
        quantity=0.25,
        tick_size=0.1,
        entry_time_ms=NOW_MS - 600_000,
        entry_price=60_000.0,
        mark_price=60_150.0,
        stop_price=59_900.0,
        stop_rests=True,
        target_prices=(60_200.0, 60_300.0),
        trail_price=60_050.0,
        r_now=1.5,
        unrealised_quote=37.5,
        gross_quote=41.25,
        net_quote=29.75,
        liquidation_price=50_125.0,
        liquidation_fraction=0.1667,
    )


def a_decision(number: int = 1, decision: str = "refused", refusal: str = "heat") -> DecisionStatus:
    return DecisionStatus(
        number, NOW_MS - 7_000, "three_r", "BTCUSDT", "long", "breakout", 72.5, decision, refusal
    )


def a_trade(number: int = 1, net_quote: float = 12.5) -> TradeStatus:
    return TradeStatus(
        number=number,
        time_ms=NOW_MS - 30_000,
        strategy="three_r",
        symbol="ETHUSDT",
        direction="short",
        quantity=2.0,
        entry_price=3_400.0,
        exit_price=3_390.0,
        gross_quote=20.0,
        net_quote=net_quote,
        net_r=0.75,
        exit_reason="target_1",
    )


def an_alert(number: int = 1, level: str = "warning", text: str = "asked by cli") -> AlertStatus:
    return AlertStatus(number, NOW_MS - 5_000, level, "PAUSED", text)


def full_status() -> SessionStatus:
    """One with something of everything."""
    return SessionStatus(
        session_id="s1a2b3",
        mode="paper",
        venue="binance-usdm",
        strategies=("three_r", "swing"),
        symbols=("BTCUSDT", "ETHUSDT"),
        timeframe="1m",
        started_ms=NOW_MS - 3_723_000,
        now_ms=NOW_MS,
        up_ms=3_723_000,
        is_ready=True,
        automation=True,
        is_paused=False,
        is_stopping=False,
        journal_is_up=True,
        kill_latched="",
        kill_verified=False,
        blocked=(),
        mismatched=("ETHUSDT",),
        outages=(OutageStatus("user", NOW_MS - 65_000, "connection closed, code 1006"),),
        read_again_ms=2_000,
        account=AccountStatus(
            start_quote=10_000.0,
            cash_quote=10_050.5,
            equity_quote=10_088.0,
            gross_quote=75.25,
            fee_quote=20.5,
            slippage_quote=3.5,
            funding_quote=-0.75,
            realised_quote=50.5,
            unrealised_quote=37.5,
            net_quote=88.0,
            closed_net_quote=57.5,
            open_net_quote=30.5,
            day_net_quote=12.25,
            day_entries=4,
            drawdown_fraction_max=0.0125,
            exposure_quote=15_037.5,
            margin_quote=3_007.5,
            heat_quote=62.5,
            trades=9,
            wins=5,
        ),
        breakers=BreakersStatus(
            halted="",
            halted_ms=0,
            counters=(
                BreakerStatus("daily drawdown", "account", 0.012, 0.05, "fraction", False),
                BreakerStatus("24 h kill switch", "account", None, 0.02, "fraction", False),
                BreakerStatus("daily trade limit", "account", 10.0, 10.0, "count", True),
            ),
            cool_downs=(CoolDownStatus("revenge cool-down", "account BTCUSDT", NOW_MS + 300_000),),
        ),
        positions=(a_position(),),
        orders=(
            OrderStatusNow(
                client_id="t-s1a2b3-0-1-7",
                symbol="BTCUSDT",
                strategy="three_r",
                slot="stop",
                side="sell",
                kind="stop",
                phase="acked",
                quantity=0.25,
                left=0.25,
                tick_size=0.1,
                price=None,
                trigger_price=59_900.0,
                is_reduce_only=True,
                sent_ms=NOW_MS - 599_000,
            ),
        ),
        feeds=(
            FeedStatus("BTCUSDT", 60_150.0, NOW_MS - 7_000, 60_149.9, 60_150.1, ""),
            FeedStatus("ETHUSDT", None, 0, None, None, "stale: no quote for 9000 ms"),
        ),
        ghost=BesideStatus(-4.5, 3, 0.3333),
        shadow=BesideStatus(47.25, 9, None),
        evaluations=(a_decision(40, "none", ""),),
        decisions=(a_decision(1), a_decision(2, "entered", "")),
        refusals=(RefusalCount("heat", 4), RefusalCount("low_score", 2)),
        trades=(a_trade(1), a_trade(2, -8.5)),
        alerts=(an_alert(),),
        latencies=(Latency("order to answer", 12, 41.5, 88.25, 120.0),),
    )


def with_changes(status: SessionStatus, **changes: object) -> SessionStatus:
    """The same with some fields changed."""
    return dataclasses.replace(status, **changes)  # type: ignore[arg-type]
