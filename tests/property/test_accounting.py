"""Whatever the market, signals, plan, rules and costs: no cent appears or is lost."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.desk import (
    CENT,
    JIT,
    Ask,
    Outcome,
    account,
    asked,
    candles,
    check_conservation,
    stream,
    tape_for,
    trade,
    unknown_contexts,
)

from tercel.core import fills, kernel, matching
from tercel.core.codes import (
    EntryTiming,
    IntrabarMode,
    OrderStatus,
    Refusal,
    Side,
    SizeMode,
    SlippageModel,
    Slot,
)
from tercel.core.plan import TradePlan
from tercel.core.records import FILLS_PER_BAR, STREAM, Records

EXAMPLES = settings(deadline=None, derandomize=True, max_examples=200 if JIT else 25)
BARS = 60


@st.composite
def plans(draw: st.DrawFn) -> TradePlan:
    """Any plan that a user may write."""
    shares = draw(st.lists(st.integers(1, 5), min_size=0, max_size=4))
    trail = draw(st.integers(0, 3)) if shares else 1
    total = sum(shares) + trail
    distances = sorted(
        draw(st.lists(st.floats(0.2, 4.0), min_size=len(shares), max_size=len(shares)))
    )
    return TradePlan(
        legs=tuple((r, s / total) for r, s in zip(distances, shares, strict=True)),
        trail_fraction=trail / total,
        trail_arm_r=draw(st.floats(0.0, 2.0)),
        trail_offset_r=draw(st.floats(0.05, 2.0)),
        trail_offset_atr=draw(st.sampled_from([0.0, 0.0, 1.5])),
        breakeven_after_leg=draw(st.integers(0, 4)),
        stop_follows_legs=draw(st.booleans()),
        hold_minutes_max=draw(st.sampled_from([0.0, 0.0, 3.0, 20.0])),
        entry=draw(st.sampled_from(["market", "limit", "post_only"])),
        entry_wait_bars=draw(st.integers(1, 3)),
        chase_max=draw(st.integers(0, 2)),
    )


@st.composite
def streams(draw: st.DrawFn) -> Any:
    """Any settings."""
    ticks = sorted([draw(st.integers(0, 3)), draw(st.integers(0, 3))])
    return stream(
        draw(plans()),
        intrabar=draw(st.sampled_from(list(IntrabarMode))),
        entry_timing=draw(st.sampled_from(list(EntryTiming))),
        limit_through_ticks=draw(st.sampled_from([0.0, 1.0])),
        limit_fill_probability=draw(st.sampled_from([0.0, 0.5, 1.0])),
        limit_gap_at_open=draw(st.booleans()),
        participation_max=draw(st.sampled_from([0.0, 0.1, 0.5])),
        lot_size=draw(st.sampled_from([0.001, 0.1, 0.0, 1.0])),
        maker_fee_rate=draw(st.sampled_from([0.0, 0.0002, -0.0001])),
        taker_fee_rate=draw(st.sampled_from([0.0, 0.0005])),
        slippage_model=draw(st.sampled_from(list(SlippageModel)[:3])),
        slippage_ticks_min=ticks[0],
        slippage_ticks_max=ticks[1],
        slippage_bps=draw(st.floats(0.0, 20.0)),
        funding_rate=draw(st.sampled_from([0.0001, -0.0005])),
        funding_interval_ms=draw(st.sampled_from([0, 300_000])),
        mode=draw(st.sampled_from(list(SizeMode))),
        risk_fraction=draw(st.sampled_from([0.01, 0.5])),
        quantity=draw(st.floats(0.0005, 30.0)),
        notional_quote=500.0,
        includes_costs=draw(st.booleans()),
        notional_max=draw(st.sampled_from([0.0, 300.0])),
        leverage_max=draw(st.sampled_from([0.0, 3.0])),
    )


def market(seed: int, wild: float) -> tuple[Records, Records]:
    """Bars around 100 with gaps, stillness and thin volume; a signal every third bar."""
    rng = np.random.default_rng(seed)
    close = 100 * np.exp(np.cumsum(rng.normal(0, wild, BARS)))
    first = np.concatenate([[100.0], close[:-1]]) * np.exp(rng.normal(0, wild / 3, BARS))
    reach = np.abs(rng.normal(0, wild, (2, BARS))) * 100
    high, low = np.maximum(first, close) + reach[0], np.minimum(first, close) - reach[1]
    volume = rng.choice([0.0, 3.0, 40.0, 1000.0, math.nan], BARS)
    table = np.round(np.column_stack([first, high, np.maximum(low, 0.1), close, volume]), 1)
    asks = {}
    for at in np.flatnonzero(rng.uniform(size=BARS) < 0.35):
        leave = bool(rng.uniform() < 0.15)
        asks[int(at)] = Ask(
            int(rng.integers(-1, 2)),
            stop=float(rng.choice([0.0, 0.5, 2.0, 8.0, math.nan])),
            target=float(rng.choice([math.nan, 3.0])),
            atr=float(rng.choice([math.nan, 1.0, 2.0])),
            exit_long=leave,
            exit_short=leave,
        )
    return candles([list(row) for row in table]), asked(BARS, asks)


SEEDS = st.integers(0, 2**32 - 1)
WILD = st.sampled_from([0.002, 0.01, 0.05])


def one_bar_at_a_time(settings_: Any, bars: Records, signals: Records) -> Iterator[Outcome]:
    """What the run looks like after each bar, at its open orders included."""
    desk = np.zeros(1, STREAM)
    desk[0] = settings_
    purse, tape = account(), tape_for(1, len(bars))
    context = unknown_contexts(1)[0]
    made = desk[0]
    for bar, signal in zip(bars, signals, strict=True):
        kernel.begin_minute(purse, int(bar["open_time"]))
        fills.begin_bar(made, bar)
        matching.match_bar(purse, made, bar, tape)
        kernel.settle_bar(purse, made, bar, context)
        kernel.mark(purse, desk, int(bar["open_time"]) + 60_000)
        kernel.on_bar(purse, made, bar, signal)
        matching.match_close(purse, made, bar, tape)
        kernel.mark(purse, desk, int(bar["open_time"]) + 60_000)
        _, fill_count, trade_count = (int(count) for count in tape.counts)
        yield Outcome(
            purse, desk, tape.fills[:fill_count], tape.trades[:trade_count], tape.equity[:0]
        )


@EXAMPLES
@given(settings_=streams(), seed=SEEDS, wild=WILD)
def test_nothing_is_lost_at_any_bar(settings_: Any, seed: int, wild: float) -> None:
    bars, signals = market(seed, wild)
    before = 0
    stop_price = math.nan
    for run in one_bar_at_a_time(settings_, bars, signals):
        check_conservation(run)
        assert len(run.fills) - before <= FILLS_PER_BAR
        check_orders(run)
        stop_price = check_stop(
            run, stop_price, entered=bool(np.any(run.fills[before:]["slot"] == 0))
        )
        before = len(run.fills)
    check_fills(run, settings_)


def check_orders(run: Outcome) -> None:
    """The order table fits the position."""
    made = run.streams[0]
    position, orders = made["position"], made["orders"]
    held = float(position["quantity"])
    lot = float(made["instrument"]["lot_size"])
    assert held >= 0.0
    assert run.account["open_positions"] == int(held > 0 or orders[Slot.ENTRY]["status"] != 0)
    if held == 0.0:
        resting = {Slot(i) for i, order in enumerate(orders) if order["status"]}
        assert resting <= {Slot.ENTRY}
        return
    assert orders[Slot.STOP]["status"] in (OrderStatus.RESTING, OrderStatus.TRIGGERED)
    assert orders[Slot.STOP]["quantity"] == held
    assert all(
        order["side"] == -position["side"] for order in orders[Slot.STOP :] if order["status"]
    )
    targets = sum(
        float(orders[slot]["quantity"]) for slot in range(Slot.TARGET_1, Slot.TARGET_4 + 1)
    )
    if orders[Slot.STOP]["status"] == orders[Slot.CLOSE]["status"] + 1 == OrderStatus.RESTING:
        trail = float(orders[Slot.TRAIL]["quantity"])
        assert targets + trail <= held + 0.5 * lot + 1e-9


def check_stop(run: Outcome, before: float, *, entered: bool) -> float:
    """A stop never loosens; a further entry fill alone may set it anew, at its mean price."""
    position = run.streams[0]["position"]
    if not position["quantity"] > 0:
        return math.nan
    price = float(run.streams[0]["orders"][Slot.STOP]["price"])
    if not math.isnan(before) and not entered:
        assert (price - before) * position["side"] >= 0.0
    return price


def check_fills(run: Outcome, settings_: Any) -> None:
    """Fill by fill: what was bought is what was sold; fees are rates; nobody enters twice."""
    held, side, entered = 0.0, 0, False
    lot = float(settings_["instrument"]["lot_size"])
    rates = settings_["costs"]["taker_fee_rate"], settings_["costs"]["maker_fee_rate"]
    for fill in run.fills:
        assert fill["quantity"] > 0.0
        assert (fill["price"] - fill["reference_price"]) * fill["side"] >= 0.0
        rate = rates[int(fill["is_maker"])]
        assert abs(fill["fee_quote"] - fill["price"] * fill["quantity"] * rate) < CENT
        if fill["slot"] == Slot.ENTRY:
            assert held == 0.0 or (fill["side"] == side and entered)
            side, entered = int(fill["side"]), True
            held += float(fill["quantity"])
        else:
            assert fill["side"] == -side
            held -= float(fill["quantity"])
            entered = False  # once something was sold nothing more is bought
        assert held > -1e-9
        if held <= 0.5 * lot or held < 1e-9:
            held = 0.0
    assert abs(held - float(run.streams[0]["position"]["quantity"])) < 1e-6


@EXAMPLES
@given(settings_=streams(), seed=SEEDS, wild=WILD)
def test_every_signal_is_accounted_for(settings_: Any, seed: int, wild: float) -> None:
    """Signals = trades + refusals, once the data ends; the trades add up to the cash."""
    bars, signals = market(seed, wild)
    run = trade(settings_, bars, signals, finish=True)
    made = run.streams[0]
    assert made["signals"] == np.count_nonzero(signals["side"])
    assert made["signals"] == len(run.trades) + sum(run.refusals().values())
    assert run.account["open_positions"] == 0
    assert abs(np.sum(run.trades["net_quote"]) - (run.account["cash_quote"] - 10_000)) < CENT
    assert run.account["cash_quote"] == run.account["equity_quote"]
    for name in ("gross_quote", "fee_quote", "slippage_quote", "funding_quote"):
        assert abs(np.sum(run.trades[name]) - run.account[name]) < CENT, name
    assert np.all(run.trades["favourable_r"] >= run.trades["adverse_r"])
    assert np.all(np.isfinite(run.trades["net_quote"]))
    assert np.all(run.trades["exit_time"] >= run.trades["entry_time"])


@EXAMPLES
@given(settings_=st.tuples(streams(), streams()), seed=SEEDS, limit=st.integers(0, 2))
def test_two_streams_on_one_account(settings_: Any, seed: int, limit: int) -> None:
    markets = [market(seed, 0.01), market(seed + 1, 0.02)]
    bars, signals = ([part[i] for part in markets] for i in (0, 1))
    purse = account(positions_max=limit, daily_loss_fraction_max=0.1)
    run = trade(list(settings_), bars, signals, on=purse, finish=True)
    check_conservation(run)
    assert run.account["open_positions"] == 0
    if limit == 1:
        spans = sorted((int(t["entry_time"]), int(t["exit_time"])) for t in run.trades)
        assert all(a[1] <= b[1] for a, b in itertools.pairwise(spans))
    assert sum(sum(run.refusals(n).values()) for n in (0, 1)) + len(run.trades) == np.sum(
        run.streams["signals"]
    )
    assert set(run.refusals(0)) <= {r.name.lower() for r in Refusal}
    assert set(np.unique(run.trades["side"])) <= {int(Side.LONG), int(Side.SHORT)}
