"""No sequence of events opens a position that a breaker forbids.

Wild markets, random signals and random limits are traded; then the list of fills and trades is
gone through again, slowly and knowing nothing of the kernel, and every entry is held against every
breaker as its text in docs/breakers.md says.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.desk import (
    JIT,
    MINUTE_MS,
    NAN,
    START,
    Ask,
    Outcome,
    account,
    asked,
    candles,
    stream,
    trade,
)

from tercel.core.codes import ExitReason, Slot
from tercel.core.plan import TradePlan
from tercel.core.records import Records

BARS = 3_000 if JIT else 300
DAY_MS, HOUR_MS = 86_400_000, 3_600_000
EXAMPLES = settings(max_examples=60 if JIT else 8, deadline=None, derandomize=True)


def wild_bars(seed: int) -> Records:
    """A walk with fat steps, in candles that touch a little more than they close."""
    rng = np.random.default_rng(seed)
    close = 100.0 * np.exp(np.cumsum(rng.standard_t(3, BARS) * 0.002))
    opened = np.concatenate(([100.0], close[:-1]))
    high = np.maximum(opened, close) * (1 + rng.exponential(0.001, BARS))
    low = np.minimum(opened, close) * (1 - rng.exponential(0.001, BARS))
    rows = np.round(np.column_stack([opened, high, low, close]), 4)
    return candles(rows.tolist())


def random_signals(seed: int) -> Records:
    """An entry every ten bars or so, either way, some with a far stop."""
    rng = np.random.default_rng(seed)
    asks = {
        int(at): Ask(int(rng.choice([-1, 1])), stop=float(rng.uniform(0.1, 1.0)), target=NAN)
        for at in np.flatnonzero(rng.uniform(size=BARS) < 0.1)
    }
    return asked(BARS, asks)


LIMITS = st.fixed_dictionaries(
    {
        "positions_max": st.sampled_from([0, 1, 2]),
        "daily_trades_max": st.sampled_from([0, 3, 10]),
        "hourly_signals_max": st.sampled_from([0, 1, 4]),
        "loss_streak_max": st.sampled_from([0, 1, 3]),
        "loss_streak_pause_ms": st.sampled_from([5, 45]).map(lambda minutes: minutes * MINUTE_MS),
        "revenge_pause_ms": st.sampled_from([0, 15]).map(lambda minutes: minutes * MINUTE_MS),
        "loss_24h_fraction_max": st.sampled_from([0.0, 0.01]),
        "session_loss_fraction_max": st.sampled_from([0.0, 0.02]),
        "daily_loss_fraction_max": st.sampled_from([0.0, 0.01]),
        "resume_after_ms": st.sampled_from([0, 2]).map(lambda hours: hours * HOUR_MS),
        "heat_fraction_max": st.sampled_from([0.0, 0.01]),
        "cluster_positions_max": st.just(0),
    }
)
PLANS = st.sampled_from(
    [
        TradePlan(),
        TradePlan(legs=((1.0, 0.5), (2.0, 0.5)), breakeven_after_leg=1),
        TradePlan(entry="limit", entry_wait_bars=3, chase_max=1),
    ]
)


@EXAMPLES
@given(limits=LIMITS, plan=PLANS, seed=st.integers(0, 10_000))
def test_no_sequence_of_events_opens_what_is_forbidden(
    limits: dict[str, Any], plan: TradePlan, seed: int
) -> None:
    count = 3
    purse = account(1_000.0, **limits)
    streams = [stream(plan, quantity=2.0, taker_fee_rate=0.0002) for _ in range(count)]
    bars = [wild_bars(seed + k) for k in range(count)]
    signals = [random_signals(seed + 100 + k) for k in range(count)]
    run = trade(streams, bars, signals, on=purse)
    is_market = plan.entry == "market"
    check_counts(run, limits, is_market=is_market)
    check_pauses(run, limits, is_market=is_market)
    check_stops_of_the_account(run, limits)
    if is_market:
        check_open_risk(run, limits)


def entries(run: Outcome) -> list[tuple[int, int]]:
    """(time, stream) of the first fill of every trade, in order; open ones included."""
    found = [(int(trade["entry_time"]), int(trade["stream"])) for trade in run.trades]
    for number, made in enumerate(run.streams):
        if made["position"]["quantity"] > 0:
            found.append((int(made["position"]["entry_time"]), number))
    return sorted(found)


def check_counts(run: Outcome, limits: dict[str, Any], *, is_market: bool) -> None:
    """Trades a day, entries an hour, positions at one time."""
    times = [time for time, _ in entries(run)]
    if is_market and limits["daily_trades_max"]:
        days = [time // DAY_MS for time in times]
        assert max((days.count(day) for day in days), default=0) <= limits["daily_trades_max"]
    if is_market and limits["hourly_signals_max"]:
        for time in times:
            within = [other for other in times if time - HOUR_MS < other <= time]
            assert len(within) <= limits["hourly_signals_max"]
    if limits["positions_max"]:
        changes = [(time, 1) for time in times]
        changes += [(int(trade["exit_time"]), -1) for trade in run.trades]
        held = 0
        for _, change in sorted(changes, key=lambda item: (item[0], item[1])):
            held += change
            assert held <= limits["positions_max"]


def check_pauses(run: Outcome, limits: dict[str, Any], *, is_market: bool) -> None:
    """Nothing within a loss-streak pause, nor soon after a losing stop in the same symbol.

    A limit entry is withdrawn at the close of the bar in which the loss happened; within that bar
    it may have filled.
    """
    slack = 0 if is_market else MINUTE_MS
    finished = [(int(t["exit_time"]), int(t["stream"]), t) for t in run.trades]
    for time, number in entries(run):
        before = [item for item in finished if item[0] < time - slack]
        if limits["loss_streak_max"]:
            losses, until = 0, 0
            for exit_time, _, made in before:
                if made["net_quote"] > 0:
                    losses = 0
                elif made["net_quote"] < 0:
                    losses += 1
                    if losses >= limits["loss_streak_max"]:
                        until = exit_time + limits["loss_streak_pause_ms"]
            assert time >= until
        for exit_time, stream_number, made in before:
            is_losing_stop = made["exit_reason"] == ExitReason.STOP and made["net_quote"] < 0
            if is_losing_stop and stream_number == number:
                assert time - exit_time >= limits["revenge_pause_ms"]


def check_stops_of_the_account(run: Outcome, limits: dict[str, Any]) -> None:
    """After the equity curve fell too far, no entry until somebody resumed; all is closed if so."""
    times, equity = run.equity["time"], run.equity["equity"]
    entry_times = [time for time, _ in entries(run)]
    day_start, session, halted_at, must_close = 1_000.0, 1_000.0, 0, False
    marks: list[tuple[int, float]] = [(START, 1_000.0)]
    before = 1_000.0
    for time, value in zip(times.tolist(), equity.tolist(), strict=True):
        opened = time - MINUTE_MS
        if opened % HOUR_MS == 0 and opened > START:
            marks.append((opened, before))
        if opened % DAY_MS == 0:
            day_start = before
        resumes = halted_at and limits["resume_after_ms"] and opened % HOUR_MS == 0
        if resumes and opened >= halted_at + limits["resume_after_ms"]:
            halted_at, must_close = 0, False
            day_start = session = before
            marks = [(when, before) for when, _ in marks]
        if halted_at:
            assert time not in entry_times
            if must_close:
                assert not any(
                    trade["entry_time"] <= halted_at and trade["exit_time"] > halted_at
                    for trade in run.trades
                )
        day_ago = equity_a_day_ago(marks, opened // HOUR_MS * HOUR_MS)
        fell = value_fell(value, day_ago, session, day_start, limits)
        if fell == "kill" and not must_close:
            halted_at, must_close = time, True
        elif fell == "pause" and not halted_at:
            halted_at = time
        before = value


def equity_a_day_ago(marks: list[tuple[int, float]], hour: int) -> float:
    """The newest hourly mark at least 24 hours before `hour`, else the first."""
    old = [value for when, value in marks if when <= hour - DAY_MS]
    return old[-1] if old else marks[0][1]


def value_fell(
    value: float, day_ago: float, session: float, day_start: float, limits: dict[str, Any]
) -> str:
    """`kill`, `pause` or nothing."""
    slack = 1e-9
    for base, fraction, effect in (
        (day_ago, limits["loss_24h_fraction_max"], "kill"),
        (session, limits["session_loss_fraction_max"], "kill"),
        (day_start, limits["daily_loss_fraction_max"], "pause"),
    ):
        if fraction and value <= base * (1 - fraction) - slack:
            return effect
    return ""


def check_open_risk(run: Outcome, limits: dict[str, Any]) -> None:
    """What an entry may lose at its stop never exceeds the heat allowed on equity then."""
    if not limits["heat_fraction_max"]:
        return
    at = dict(zip(run.equity["time"].tolist(), run.equity["equity"].tolist(), strict=True))
    firsts = run.fills[run.fills["slot"] == Slot.ENTRY]
    stops = {
        (int(t["stream"]), int(t["entry_time"])): float(t["stop_distance"]) for t in run.trades
    }
    for fill in firsts:
        distance = stops.get((int(fill["stream"]), int(fill["time"])))
        if distance is not None:
            allowed = limits["heat_fraction_max"] * at[int(fill["time"])]
            assert fill["quantity"] * distance <= allowed * 1.01 + 0.1
