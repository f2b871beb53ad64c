"""The breakers: everything that keeps an account from trading, as one table and one function each.

TABLE says for each breaker what it is called, its defaults, the reason that a refused signal gets,
what it does, and where its state lives. All state is in records (ACCOUNT, STREAM, MARKET), so that
it survives a restart, and the same functions run in a backtest and live:

- `forbids`: may this stream open a position now? `stopped` asks again, at every bar, for an entry
  that still waits;
- `note_entry`, `note_flat` and `note_trade` keep count;
- `roll` and `judge_account` look at the account once it is marked: they stop it and let it go on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tercel.core.codes import ExitReason, Refusal
from tercel.core.jit import kernel
from tercel.core.records import ENTRIES_REMEMBERED, HOURS_MARKED

DAY_MS = 86_400_000
HOUR_MS = 3_600_000


@dataclass(frozen=True, slots=True)
class Breaker:
    """One row of the table."""

    name: str
    settings: dict[str, float | int | bool | str | tuple[int, ...] | None]
    """Path of each setting and its default; empty: built in."""
    refusals: tuple[Refusal, ...]
    effect: str
    state: str
    """Where what it remembers is kept; empty: it looks at the present alone."""


TABLE: tuple[Breaker, ...] = (
    Breaker("ruin", {}, (Refusal.EQUITY_EXHAUSTED,), "close all, for good", "ACCOUNT.exhausted"),
    Breaker(
        "one position per symbol and strategy",
        {},
        (Refusal.POSITION_OPEN,),
        "block",
        "STREAM.position",
    ),
    Breaker("order flow filter", {"pace.flow_min": 0.0}, (Refusal.FLOW_AGAINST,), "block", ""),
    Breaker(
        "24 h kill switch",
        {"limits.loss_24h_fraction_max": 0.02},
        (Refusal.KILL_24H,),
        "close all, latch",
        "ACCOUNT.hour_equity, hour_time, halted",
    ),
    Breaker(
        "session kill switch",
        {"limits.session_loss_fraction_max": 0.05},
        (Refusal.KILL_SESSION,),
        "close all, latch",
        "ACCOUNT.session_equity, halted",
    ),
    Breaker(
        "daily drawdown",
        {"limits.daily_loss_fraction_max": 0.05},
        (Refusal.DAILY_LOSS,),
        "pause, latch",
        "ACCOUNT.day_start_equity, halted",
    ),
    Breaker(
        "loss streak cool-down",
        {"pace.loss_streak_max": 3, "pace.loss_streak_pause_minutes": 45.0},
        (Refusal.LOSS_STREAK,),
        "block",
        "PACE_STATE.losses, pause_until",
    ),
    Breaker(
        "revenge cool-down",
        {"pace.revenge_pause_minutes": 15.0},
        (Refusal.REVENGE,),
        "block",
        "ACCOUNT.stop_times",
    ),
    Breaker(
        "extreme volatility",
        {"pace.atr_ratio_max": 3.0},
        (Refusal.EXTREME_VOLATILITY,),
        "block",
        "MARKET.atr, atr_average",
    ),
    Breaker(
        "market danger",
        {
            "limits.btc_move_fraction_max": 0.05,
            "limits.sp500_fall_fraction_max": 0.02,
            "limits.dollar_rise_fraction_max": 0.01,
        },
        (Refusal.MARKET_DANGER,),
        "block while it lasts",
        "",
    ),
    Breaker(
        "max open positions",
        {"limits.positions_max": 5},
        (Refusal.MAX_POSITIONS,),
        "block",
        "ACCOUNT.open_positions",
    ),
    Breaker(
        "daily trade limit",
        {"pace.daily_trades_max": 10},
        (Refusal.DAILY_TRADES,),
        "block until the UTC day changes",
        "PACE_STATE.trades_today",
    ),
    Breaker(
        "signals per hour",
        {"pace.hourly_signals_max": 10},
        (Refusal.HOURLY_SIGNALS,),
        "block",
        "PACE_STATE.entry_times",
    ),
    Breaker(
        "correlation",
        {"limits.correlation_max": 0.85},
        (Refusal.CORRELATED,),
        "block",
        "MARKET.returns",
    ),
    Breaker(
        "cluster",
        {"limits.cluster_positions_max": 2},
        (Refusal.CLUSTER,),
        "block",
        "ACCOUNT.longs, shorts",
    ),
    Breaker(
        "score threshold",
        {"pace.score_min": 65.0},
        (Refusal.LOW_SCORE,),
        "block",
        "",
    ),
    Breaker(
        "time of day",
        {"pace.thin_hours": (4, 5, 6, 7, 20, 21, 22, 23), "pace.thin_hours_score_add": 5.0},
        (Refusal.LOW_SCORE,),
        "score threshold + 5",
        "",
    ),
    Breaker(
        "free margin",
        {"limits.free_margin_fraction_min": 0.20},
        (Refusal.FREE_MARGIN,),
        "block",
        "ACCOUNT.margin_quote",
    ),
    Breaker(
        "portfolio heat",
        {"limits.heat_fraction_max": 0.06},
        (Refusal.HEAT,),
        "cap the size, then block",
        "ACCOUNT.heat_quote",
    ),
    Breaker(
        "fractional Kelly",
        {"sizing.kelly_fraction": 0.0, "sizing.kelly_trades_min": 30},
        (Refusal.KELLY,),
        "cap the size, then block",
        "STREAM.track",
    ),
    Breaker(
        "win streak",
        {"pace.win_streak_min": 5, "pace.win_streak_factor": 0.5},
        (),
        "size x factor",
        "PACE_STATE.wins",
    ),
    Breaker(
        "liquidation distance",
        {"sizing.cross_margin": False},
        (Refusal.STOP_BEYOND_LIQUIDATION,),
        "block",
        "",
    ),
)
"""Every breaker of the specification, in the order in which they are asked."""


@kernel
def trades_today(state: Any, time: int) -> int:
    """Entries of the UTC day that `time` falls into."""
    return state.trades_today if state.day == time // DAY_MS else 0


@kernel
def entries_since(state: Any, since: int) -> int:
    """Remembered entries after `since`."""
    found = 0
    for k in range(min(state.entries, ENTRIES_REMEMBERED)):
        if state.entry_times[k] > since:
            found += 1
    return found


@kernel
def pace_forbids(pace: Any, state: Any, time: int) -> int:
    """Refusal of the counters of one PACE_STATE; NONE where it lets through."""
    if pace.daily_trades_max > 0 and trades_today(state, time) >= pace.daily_trades_max:
        return Refusal.DAILY_TRADES
    if (
        pace.hourly_signals_max > 0
        and entries_since(state, time - HOUR_MS) >= pace.hourly_signals_max
    ):
        return Refusal.HOURLY_SIGNALS
    if time < state.pause_until:
        return Refusal.LOSS_STREAK
    return Refusal.NONE


@kernel
def market_forbids(pace: Any, stream: Any) -> int:
    """Refusal of what `survey` saw of the market; NONE where it lets through."""
    if pace.atr_ratio_max > 0.0 and stream.survey.atr_ratio > pace.atr_ratio_max:
        return Refusal.EXTREME_VOLATILITY
    return Refusal.NONE


@kernel
def in_revenge(account: Any, stream: Any, pace: Any, time: int) -> bool:
    """Whether a losing stop in this stream's series is too recent."""
    stopped = account.stop_times[stream.series]
    return pace.revenge_pause_ms > 0 and stopped > 0 and time < stopped + pace.revenge_pause_ms


@kernel
def stopped(account: Any, stream: Any, time: int) -> int:
    """Refusal of everything but the counters that an entry itself moves: asked again while an entry
    waits.
    """
    if account.exhausted:
        return Refusal.EQUITY_EXHAUSTED
    if account.halted != 0:
        return account.halted
    if time < account.pace_state.pause_until or time < stream.pace_state.pause_until:
        return Refusal.LOSS_STREAK
    if in_revenge(account, stream, account.pace, time) or in_revenge(
        account, stream, stream.pace, time
    ):
        return Refusal.REVENGE
    refusal = market_forbids(account.pace, stream)
    if refusal == Refusal.NONE:
        refusal = market_forbids(stream.pace, stream)
    if refusal == Refusal.NONE and stream.survey.in_danger:
        refusal = Refusal.MARKET_DANGER
    return refusal


@kernel
def forbids(account: Any, stream: Any, time: int) -> int:
    """Refusal of the first breaker that forbids `stream` to open a position at `time`, else NONE.

    `survey` has looked at the market just before. What depends on the size is left to `risk.size`.
    """
    refusal = stopped(account, stream, time)
    if refusal != Refusal.NONE:
        return refusal
    limits = account.limits
    if limits.positions_max > 0 and account.open_positions >= limits.positions_max:
        return Refusal.MAX_POSITIONS
    refusal = pace_forbids(account.pace, account.pace_state, time)
    if refusal == Refusal.NONE:
        refusal = pace_forbids(stream.pace, stream.pace_state, time)
    if refusal != Refusal.NONE:
        return refusal
    if limits.correlation_max > 0.0 and stream.survey.correlation > limits.correlation_max:
        return Refusal.CORRELATED
    if (
        limits.cluster_positions_max > 0
        and stream.survey.cluster_positions >= limits.cluster_positions_max
    ):
        return Refusal.CLUSTER
    return Refusal.NONE


@kernel
def is_thin(pace: Any, time: int) -> bool:
    """Whether `time`, the close of the signal's bar, lies in one of the thin hours."""
    hour = (time // HOUR_MS) % 24
    return (pace.thin_hours >> hour) & 1 == 1


@kernel
def score_wanted(pace: Any, time: int) -> float:
    """The score a signal needs at `time`; 0 where scores do not matter."""
    if not pace.score_min > 0.0:
        return 0.0
    wanted: float = pace.score_min
    if is_thin(pace, time):
        wanted += pace.thin_hours_score_add
    return wanted


@kernel
def size_factor(pace: Any, state: Any) -> float:
    """What a win streak leaves of the size."""
    if pace.win_streak_min > 0 and state.wins >= pace.win_streak_min:
        factor: float = pace.win_streak_factor
        return factor
    return 1.0


@kernel
def count_entry(state: Any, time: int) -> None:
    """One more entry in a PACE_STATE."""
    day = time // DAY_MS
    if state.day != day:
        state.day = day
        state.trades_today = 0
    state.trades_today += 1
    state.entry_times[state.entries % ENTRIES_REMEMBERED] = time
    state.entries += 1


@kernel
def uncount_entry(state: Any, time: int) -> None:
    """An entry approved at `time` came to nothing: the day and the hour may have another."""
    if state.day == time // DAY_MS and state.trades_today > 0:
        state.trades_today -= 1
    for k in range(min(state.entries, ENTRIES_REMEMBERED)):
        if state.entry_times[k] == time:
            state.entry_times[k] = 0
            break


@kernel
def note_entry(account: Any, stream: Any, side: int, time: int) -> None:
    """An approved signal becomes a working entry."""
    count_entry(account.pace_state, time)
    count_entry(stream.pace_state, time)
    account.open_positions += 1
    if side > 0:
        account.longs[stream.series] += 1
    else:
        account.shorts[stream.series] += 1


@kernel
def note_flat(account: Any, stream: Any) -> None:
    """A position is closed, or its entry given up: one less at work."""
    account.open_positions -= 1
    if stream.position.side > 0:
        account.longs[stream.series] -= 1
    else:
        account.shorts[stream.series] -= 1


@kernel
def count_trade(pace: Any, state: Any, net_quote: float, time: int) -> None:
    """Streaks after a trade; a trade that made exactly nothing changes none.

    Every loss at or beyond the limit begins a new pause; only a win ends the streak.
    """
    if net_quote > 0.0:
        state.wins += 1
        state.losses = 0
    elif net_quote < 0.0:
        state.wins = 0
        state.losses += 1
        if pace.loss_streak_max > 0 and state.losses >= pace.loss_streak_max:
            state.pause_until = max(state.pause_until, time + pace.loss_streak_pause_ms)


@kernel
def note_trade(account: Any, stream: Any, trade: Any) -> None:
    """A trade is closed: streaks, the revenge clock, and the strategy's own record."""
    count_trade(account.pace, account.pace_state, trade.net_quote, trade.exit_time)
    count_trade(stream.pace, stream.pace_state, trade.net_quote, trade.exit_time)
    if trade.exit_reason == ExitReason.STOP and trade.net_quote < 0.0:
        account.stop_times[stream.series] = trade.exit_time
    track = stream.track
    track.trades += 1
    if trade.risk_quote > 0.0:
        net_r = trade.net_quote / trade.risk_quote
        if net_r > 0.0:
            track.wins += 1
            track.won_r += net_r
        else:
            track.lost_r -= net_r


@kernel
def fallen(equity: float, before: float, fraction: float) -> bool:
    """Whether `equity` is down by `fraction` or more from `before`; 0 switches it off."""
    return fraction > 0.0 and not equity > before * (1.0 - fraction)


@kernel
def must_close(account: Any) -> bool:
    """Whether every position has to go: a kill switch is latched."""
    return account.halted == Refusal.KILL_24H or account.halted == Refusal.KILL_SESSION


@kernel
def roll(account: Any, time: int) -> None:
    """Before the bar that opens at `time`: a new day and a new hour begin with the equity there is.

    A stopped account is let go on at the first full hour after `resume_after_ms`, and measured from
    there by every breaker: in a backtest that stands for its operator. After a kill switch it waits
    until everything is closed.
    """
    if time >= account.hour_end:
        account.hour_end = (time // HOUR_MS + 1) * HOUR_MS
        place = account.hours % HOURS_MARKED
        account.hour_equity[place] = account.equity_quote
        account.hour_time[place] = time
        account.hours += 1
        account.day_ago_equity = equity_at(account, time - DAY_MS)
        if account.hours == 1:
            account.session_equity = account.equity_quote
    if time >= account.day_end:
        account.day_end = (time // DAY_MS + 1) * DAY_MS
        account.day_start_equity = account.equity_quote
    resume_after = account.limits.resume_after_ms
    is_due = resume_after > 0 and time >= account.halted_time + resume_after
    if account.halted != 0 and is_due and (account.open_positions == 0 or not must_close(account)):
        begin_anew(account, Refusal.NONE)


@kernel
def equity_at(account: Any, time: int) -> float:
    """The newest mark at or before `time`, else the oldest there is."""
    kept = min(account.hours, HOURS_MARKED)
    found = account.hour_equity[(account.hours - kept) % HOURS_MARKED]
    for back in range(kept):
        place = (account.hours - kept + back) % HOURS_MARKED
        if account.hour_time[place] <= time:
            found = account.hour_equity[place]
    return found


@kernel
def resume(account: Any) -> None:
    """Trade on, as an operator decides: what stopped the account is measured from the equity there
    is now. The others go on from where they were: whoever lifts a daily loss of 5 again and again
    must still meet the kill switch of the session at 8.
    """
    begin_anew(account, account.halted)


@kernel
def begin_anew(account: Any, halted: int) -> None:
    """Trade on. `halted` is measured from the equity there is now; NONE: every breaker is."""
    account.halted = 0
    if halted == Refusal.NONE or halted == Refusal.KILL_SESSION:
        account.session_equity = account.equity_quote
    if halted == Refusal.NONE or halted == Refusal.DAILY_LOSS:
        account.day_start_equity = account.equity_quote
    if halted == Refusal.NONE or halted == Refusal.KILL_24H:
        account.day_ago_equity = account.equity_quote
        account.hour_equity[:] = account.equity_quote


@kernel
def judge_account(account: Any, time: int) -> bool:
    """Once the account is marked at `time`: True when a breaker has just stopped it.

    A paused account is still watched by the kill switches.
    """
    limits = account.limits
    watched = (
        limits.loss_24h_fraction_max
        + limits.session_loss_fraction_max
        + limits.daily_loss_fraction_max
    )
    if watched == 0.0 or account.hours == 0 or must_close(account):
        return False
    equity = account.equity_quote
    reason = 0
    if fallen(equity, account.day_ago_equity, limits.loss_24h_fraction_max):
        reason = Refusal.KILL_24H
    elif fallen(equity, account.session_equity, limits.session_loss_fraction_max):
        reason = Refusal.KILL_SESSION
    elif account.halted == 0 and fallen(
        equity, account.day_start_equity, limits.daily_loss_fraction_max
    ):
        reason = Refusal.DAILY_LOSS
    if reason == 0:
        return False
    account.halted = reason
    account.halted_time = time
    account.halts[reason] += 1
    return True
