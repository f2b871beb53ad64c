"""From a session to what an operator is told of it: `status_of`, pure.

`SessionStatus` and its records are in `status_records`; what a session does not remember itself
(the latest decisions, trades, alerts, prices) comes from `Recent`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from tercel.app.live.breaker_status import breakers_of
from tercel.app.live.desk import Desk
from tercel.app.live.health import FeedHealth
from tercel.app.live.keeping import kept_ticks
from tercel.app.live.latency import Latency
from tercel.app.live.recent import Recent
from tercel.app.live.session import Session
from tercel.app.live.status_records import (
    AccountStatus,
    BesideStatus,
    BreakersStatus,
    FeedStatus,
    KeptPosition,
    KeptStatus,
    OrderStatusNow,
    PositionStatus,
    RefusalCount,
    SessionStatus,
    plain_quantity,
)
from tercel.app.live.working import STRAY_STREAM, WorkingOrder
from tercel.core import breakers as core_breakers
from tercel.core.codes import LEGS_MAX, OrderKind, OrderStatus, Refusal, Slot
from tercel.domain.session_state import SessionState


def status_of(
    session: Session,
    recent: Recent,
    *,
    now_ms: int,
    started_ms: int,
    health: FeedHealth | None = None,
    latencies: Sequence[Latency] = (),
) -> SessionStatus:
    """The picture at `now_ms`. Without `health` (a replay) feeds are as the last bars told. Our own
    clock is taken to run as the venue's: whoever knows better puts `up_ms` right.
    """
    parts, beside = session.parts, session.beside
    flags, plan, desk = parts.flags, parts.plan, parts.desk
    breakers = breakers_of(plan, desk, now_ms)
    shadow = BesideStatus(beside.shadow_pnl, beside.shadow_trades, None)
    positions = tuple(positions_of(session))
    return SessionStatus(
        session_id=session.session_id,
        mode=parts.rules.mode,
        venue=parts.rules.venue,
        strategies=tuple(dict.fromkeys(stream.label.strategy for stream in plan.streams)),
        symbols=plan.symbols,
        timeframe=plan.series[0].timeframe,
        started_ms=started_ms,
        now_ms=now_ms,
        up_ms=now_ms - started_ms,
        is_ready=session.is_ready,
        automation=flags.automation,
        is_paused=flags.is_paused,
        is_stopping=flags.is_stopping,
        journal_is_up=flags.journal_is_up,
        kill_latched=flags.kill_latched,
        kill_verified=_kill_is_verified(session, recent),
        blocked=tuple(_blocked(session, breakers)),
        mismatched=tuple(sorted(flags.mismatched)),
        outages=recent.outages(),
        read_again_ms=parts.rules.session.query_ms,
        account=_account(desk, now_ms),
        breakers=breakers,
        positions=positions,
        orders=tuple(_order(session, order) for order in parts.orders.live()),
        feeds=tuple(_feeds(session, recent, health, now_ms)),
        ghost=BesideStatus(beside.ghost_pnl, beside.ghost_trades, beside.ghost_win_rate),
        shadow=shadow if parts.rules.beside.shadow else None,
        evaluations=tuple(recent.evaluations[k] for k in sorted(recent.evaluations)),
        decisions=tuple(recent.decisions),
        refusals=_refusals(desk.streams),
        trades=tuple(recent.trades),
        alerts=tuple(recent.alerts),
        latencies=tuple(latencies),
    )


def _kill_is_verified(session: Session, recent: Recent) -> bool:
    """Latched, and nothing is left of it: after a restart recovery has asked the venue."""
    parts = session.parts
    return (
        bool(parts.flags.kill_latched)
        and session.is_ready
        and not recent.kill_is_open
        and parts.is_at_rest
    )


def _blocked(session: Session, breakers: BreakersStatus) -> Iterator[str]:
    flags = session.parts.flags
    for is_so, refusal in (
        (bool(flags.kill_latched), Refusal.KILLED),
        (not flags.automation, Refusal.AUTOMATION_OFF),
        (flags.is_paused or flags.is_stopping, Refusal.PAUSED),
        (not flags.journal_is_up, Refusal.JOURNAL_DOWN),
        (session.parts.unreadable_ms > 0, Refusal.UNHEALTHY_FEED),
    ):
        if is_so:
            yield refusal.name.lower()
    if breakers.halted:
        yield breakers.halted


def _account(desk: Desk, now_ms: int) -> AccountStatus:
    """The account now: the core marks its equity at bars, a position may have closed since."""
    account, streams = desk.account, desk.streams
    cash, start = float(account.cash_quote), float(account.start_quote)
    held = streams["position"][streams["position"]["quantity"] > 0.0]
    unrealised = float(_unrealised(held).sum())
    costs = held["fee_quote"] + held["slippage_quote"] - held["funding_quote"]
    open_net = float((held["gross_quote"] + _unrealised(held) - costs).sum())
    equity = cash + unrealised
    day_start = float(account.day_start_equity)
    return AccountStatus(
        start_quote=start,
        cash_quote=cash,
        equity_quote=equity,
        gross_quote=float(account.gross_quote),
        fee_quote=float(account.fee_quote),
        slippage_quote=float(account.slippage_quote),
        funding_quote=float(account.funding_quote),
        realised_quote=cash - start,
        unrealised_quote=unrealised,
        net_quote=equity - start,
        closed_net_quote=equity - start - open_net,
        open_net_quote=open_net,
        day_net_quote=equity - day_start if account.hours > 0 and day_start > 0.0 else None,
        day_entries=int(core_breakers.trades_today(account.pace_state, now_ms)),
        drawdown_fraction_max=float(account.drawdown_max),
        exposure_quote=float(account.exposure_quote),
        margin_quote=float(account.margin_quote),
        heat_quote=float(account.heat_quote),
        trades=int(streams["track"]["trades"].sum()),
        wins=int(streams["track"]["wins"].sum()),
    )


def _unrealised(held: Any) -> Any:
    """What is open at the marks, quote, of POSITION records."""
    return held["side"] * (held["mark_price"] - held["entry_price"]) * held["quantity"]


def positions_of(session: Session) -> Iterator[PositionStatus]:
    """Every open position, by stream."""
    parts = session.parts
    for k in map(int, np.flatnonzero(parts.desk.streams["position"]["quantity"] > 0.0)):
        stream = parts.stream(k)
        position, side = stream.position, int(stream.position.side)
        quantity, mark = float(position.quantity), float(position.mark_price)
        move = side * (mark - float(position.entry_price))
        unrealised = move * quantity
        gross = float(position.gross_quote) + unrealised
        costs = float(position.fee_quote + position.slippage_quote - position.funding_quote)
        closing = quantity * mark * float(stream.costs.taker_fee_rate)
        liquidation = _price(position.liquidation_price)
        targets = [_resting(stream, Slot(Slot.TARGET_1 + leg)) for leg in range(LEGS_MAX)]
        yield PositionStatus(
            strategy=parts.plan.streams[k].label.strategy,
            symbol=parts.symbol_of(k),
            direction="long" if side > 0 else "short",
            quantity=plain_quantity(quantity),
            tick_size=float(stream.instrument.tick_size),
            entry_time_ms=int(position.filled_time),
            entry_price=float(position.entry_price),
            mark_price=mark,
            stop_price=_resting(stream, Slot.STOP),
            stop_rests=parts.is_protected(k),
            target_prices=tuple(price for price in targets if price is not None),
            trail_price=_resting(stream, Slot.TRAIL),
            r_now=_known(move / float(position.stop_distance))
            if position.stop_distance > 0.0
            else None,
            unrealised_quote=unrealised,
            gross_quote=gross,
            net_quote=gross - costs - closing,
            liquidation_price=liquidation,
            liquidation_fraction=None if liquidation is None else abs(mark - liquidation) / mark,
        )


def _resting(stream: Any, slot: Slot) -> float | None:
    """Price of what the order table has in a slot; None: nothing."""
    order = stream.orders[slot]
    return _price(order.price) if order.status != OrderStatus.EMPTY else None


def _price(value: Any) -> float | None:
    """A price; None where it is none (0, NaN, infinite)."""
    found = _known(value)
    return found if found else None


def _known(value: Any) -> float | None:
    number = float(value)
    return number if math.isfinite(number) else None


def _order(session: Session, order: WorkingOrder) -> OrderStatusNow:
    request, streams = order.request, session.parts.plan.streams
    is_ours = request.stream != STRAY_STREAM and request.stream < len(streams)
    traded_by = session.parts.plan.streams_of(request.symbol)
    return OrderStatusNow(
        client_id=request.client_id,
        symbol=request.symbol,
        strategy=streams[request.stream].label.strategy if is_ours else "",
        slot=Slot(request.slot).name.lower(),
        side="buy" if request.side > 0 else "sell",
        kind=OrderKind(request.kind).name.lower(),
        phase=order.phase.value,
        quantity=plain_quantity(request.quantity),
        left=plain_quantity(order.left),
        tick_size=session.parts.desk.ticks[traded_by[0]] if traded_by else 0.0,
        price=request.price,
        trigger_price=request.trigger_price,
        is_reduce_only=request.reduce_only,
        sent_ms=order.sent_ms,
    )


def _feeds(
    session: Session, recent: Recent, health: FeedHealth | None, now_ms: int
) -> Iterator[FeedStatus]:
    for key, last in zip(session.parts.plan.series, recent.bars, strict=True):
        view = last.view if health is None else health.view(key.symbol, now_ms)
        yield FeedStatus(
            symbol=key.symbol,
            price=last.price,
            bar_close_ms=last.close_ms,
            bid=_price(view.bid),
            ask=_price(view.ask),
            trouble=view.trouble if health is None else health.trouble(key.symbol, now_ms),
        )


def _refusals(streams: Any) -> tuple[RefusalCount, ...]:
    counts = streams["refusals"].sum(axis=0)
    found = [RefusalCount(each.name.lower(), int(counts[each])) for each in Refusal if counts[each]]
    return tuple(sorted(found, key=lambda each: -each.count))


def kept_status_of(state: SessionState) -> KeptStatus:
    """What a state store tells while no session runs."""
    ticks = kept_ticks(state.kernel)
    return KeptStatus(
        session_id=state.session_id,
        mode=state.mode,
        saved_ms=state.saved_ms,
        automation=state.automation_enabled,
        is_paused=state.is_paused,
        kill_latched=state.kill_latched,
        balance_quote=state.account_balance,
        net_24h_quote=state.rolling_24h_pnl,
        trades_today=state.daily_trade_count,
        trades_date=state.daily_trade_date,
        losses_in_a_row=state.consecutive_losses,
        cool_down_until_ms=state.cooldown_until,
        ghost=BesideStatus(state.ghost_pnl, state.ghost_trade_count, state.ghost_win_rate),
        shadow=BesideStatus(state.shadow_pnl, state.shadow_trade_count, None),
        positions=tuple(
            KeptPosition(
                symbol=each.symbol,
                strategy=each.strategy,
                direction=each.direction,
                quantity=plain_quantity(each.position_size),
                tick_size=ticks.get((each.strategy, each.symbol), 0.0),
                entry_time_ms=each.entry_time_utc,
                entry_price=each.entry_price,
                stop_price=_price(each.stop_price),
                target_price=_price(each.target_price),
                stop_order_id=each.stop_order_id,
            )
            for each in state.active_position
        ),
        orders=len(state.orders),
    )
