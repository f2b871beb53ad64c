"""How near each breaker of a session is: its counter beside its limit."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from tercel.app.live.desk import Desk
from tercel.app.live.plan import SessionPlan
from tercel.app.live.status_records import BreakersStatus, BreakerStatus, CoolDownStatus
from tercel.core import breakers
from tercel.core.codes import Refusal
from tercel.domain.times import DAY_MS, HOUR_MS

ACCOUNT = "account"
STREAK, REVENGE = "loss streak cool-down", "revenge cool-down"
COOL_DOWNS = {STREAK: Refusal.LOSS_STREAK, REVENGE: Refusal.REVENGE}
"""What a signal meets while one of these lasts."""


def breakers_of(plan: SessionPlan, desk: Desk, now_ms: int) -> BreakersStatus:
    """Counters of the account, and those of each strategy's own pace that have counted anything."""
    account = desk.account
    counters = [*_of_account(account), *_of_pace(ACCOUNT, account.pace, account.pace_state, now_ms)]
    for k in _with_counts(desk, now_ms):
        stream = desk.rows[k]
        rows = _of_pace(_stream_words(plan, k), stream.pace, stream.pace_state, now_ms)
        counters += [row for row in rows if row.stands_at]
    halted = Refusal.EQUITY_EXHAUSTED if account.exhausted else Refusal(int(account.halted))
    return BreakersStatus(
        halted=halted.name.lower() if halted else "",
        halted_ms=int(account.halted_time) if halted else 0,
        counters=tuple(counters),
        cool_downs=tuple(cool_downs_of(plan, desk, now_ms)),
    )


def cool_downs_of(plan: SessionPlan, desk: Desk, now_ms: int) -> Iterator[CoolDownStatus]:
    """Every pause that is under way: of the account, then of each strategy's own pace."""
    account = desk.account
    yield from _streak(ACCOUNT, account.pace_state, now_ms)
    for series, key in enumerate(plan.series):
        yield from _revenge(ACCOUNT, key.symbol, account, (account.pace, series, now_ms))
    for k in _with_counts(desk, now_ms):
        stream, of = desk.rows[k], _stream_words(plan, k)
        when = (stream.pace, int(stream.series), now_ms)
        yield from _streak(of, stream.pace_state, now_ms)
        yield from _revenge(of, plan.streams[k].label.symbol, account, when)


def _stream_words(plan: SessionPlan, k: int) -> str:
    label = plan.streams[k].label
    return f"{label.strategy} {label.symbol}"


def _with_counts(desk: Desk, now_ms: int) -> list[int]:
    """Streams whose own pace has anything to tell: most have none, and a session may have
    hundreds.
    """
    pace, state = desk.streams["pace"], desk.streams["pace_state"]
    stopped_ms = desk.account.stop_times[desk.streams["series"]]
    traded_today = (state["day"] == now_ms // DAY_MS) & (state["trades_today"] > 0)
    within_hour = (state["entry_times"] > now_ms - HOUR_MS).any(axis=1)
    told = (
        ((pace["daily_trades_max"] > 0) & traded_today)
        | ((pace["hourly_signals_max"] > 0) & within_hour)
        | ((pace["loss_streak_max"] > 0) & (state["losses"] > 0))
        | ((pace["win_streak_min"] > 0) & (state["wins"] > 0))
        | (state["pause_until"] > now_ms)
        | ((stopped_ms > 0) & (stopped_ms + pace["revenge_pause_ms"] > now_ms))
    )
    return [int(k) for k in np.flatnonzero(told)]


def _of_account(account: Any) -> Iterator[BreakerStatus]:
    limits, equity = account.limits, float(account.equity_quote)
    losses = (
        ("24 h kill switch", account.day_ago_equity, limits.loss_24h_fraction_max),
        ("session kill switch", account.session_equity, limits.session_loss_fraction_max),
        ("daily drawdown", account.day_start_equity, limits.daily_loss_fraction_max),
    )
    for name, before, limit in losses:
        if limit > 0.0:
            known = account.hours > 0 and before > 0.0
            loss = 1.0 - equity / float(before) if known else None
            is_reached = loss is not None and loss >= float(limit)
            yield BreakerStatus(name, ACCOUNT, loss, float(limit), "fraction", is_reached)
    if limits.positions_max > 0:
        yield _count(
            "max open positions", ACCOUNT, int(account.open_positions), limits.positions_max
        )
    if limits.heat_fraction_max > 0.0 and equity > 0.0:
        heat, limit = float(account.heat_quote) / equity, float(limits.heat_fraction_max)
        yield BreakerStatus("portfolio heat", ACCOUNT, heat, limit, "fraction", heat >= limit)
    if limits.free_margin_fraction_min > 0.0 and equity > 0.0:
        free = (equity - float(account.margin_quote)) / equity
        least = float(limits.free_margin_fraction_min)
        yield BreakerStatus("free margin", ACCOUNT, free, least, "fraction", free <= least)


def _of_pace(of: str, pace: Any, state: Any, now_ms: int) -> Iterator[BreakerStatus]:
    counted = (
        ("daily trade limit", breakers.trades_today(state, now_ms), pace.daily_trades_max),
        (
            "signals per hour",
            breakers.entries_since(state, now_ms - HOUR_MS),
            pace.hourly_signals_max,
        ),
        (STREAK, state.losses, pace.loss_streak_max),
        ("win streak", state.wins, pace.win_streak_min),
    )
    for name, now, limit in counted:
        if limit > 0:
            yield _count(name, of, int(now), limit)


def _count(name: str, of: str, now: int, limit: Any) -> BreakerStatus:
    return BreakerStatus(name, of, float(now), float(limit), "count", now >= limit)


def _streak(of: str, state: Any, now_ms: int) -> Iterator[CoolDownStatus]:
    if state.pause_until > now_ms:
        yield CoolDownStatus(STREAK, of, int(state.pause_until))


def _revenge(
    of: str, symbol: str, account: Any, when: tuple[Any, int, int]
) -> Iterator[CoolDownStatus]:
    """`when` is (pace, series, now)."""
    pace, series, now_ms = when
    stopped_ms = int(account.stop_times[series])
    until_ms = stopped_ms + int(pace.revenge_pause_ms)
    if stopped_ms > 0 and pace.revenge_pause_ms > 0 and until_ms > now_ms:
        whose = f"{of} {symbol}" if of == ACCOUNT else of
        yield CoolDownStatus(REVENGE, whose, until_ms)
