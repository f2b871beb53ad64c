"""Streams that ask for something all the time, on invented bars: every branch in a few hundred."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from tests.desk import JIT, THREE_R, Ask, asked, stream, unknown_contexts
from tests.market_data import Bars, invented_bars

from tercel.app.backtest import AccountSpec, StreamSpec
from tercel.app.strategies import Strategy
from tercel.core.codes import SizeMode, SlippageModel
from tercel.core.jit import new, rec
from tercel.core.parameters import parameters
from tercel.core.plan import TradePlan
from tercel.core.records import LIMITS, PACE, Records
from tercel.domain.bars import BarSeries, SeriesKey
from tercel.domain.results import StreamLabel

BUSY_BARS = 800 if JIT else 200
HOUR_MS = 3_600_000
SCRIPT_STATE = rec(("bars", "i8"))

PLANS = {
    "three_r": THREE_R,
    "one_target": TradePlan(legs=((1.0, 1.0),)),
    "four_legs": TradePlan(
        legs=((0.5, 0.25), (1.0, 0.25), (1.5, 0.25), (2.0, 0.25)),
        breakeven_after_leg=1,
        stop_follows_legs=True,
    ),
    "trail_atr": TradePlan(
        legs=((1.0, 0.5),), trail_fraction=0.5, trail_arm_r=0.5, trail_offset_atr=1.5
    ),
    "timed": TradePlan(legs=((3.0, 1.0),), hold_minutes_max=7),
    "chased": TradePlan(
        legs=((1.0, 0.5), (2.0, 0.5)), entry="limit", chase_max=2, breakeven_after_leg=1
    ),
    "patient": TradePlan(
        legs=((0.7, 1.0),), entry="post_only", entry_wait_bars=3, hold_minutes_max=20
    ),
}
RISKED: dict[str, Any] = {
    "mode": SizeMode.RISK,
    "risk_fraction": 0.01,
    "taker_fee_rate": 0.0005,
    "maker_fee_rate": 0.0002,
    "slippage_model": SlippageModel.TICKS,
    "slippage_ticks_min": 1,
    "slippage_ticks_max": 3,
}
FUNDED: dict[str, Any] = {"funding_interval_ms": HOUR_MS, "funding_rate": 0.0004}
THIN: dict[str, Any] = {"participation_max": 0.05, "limit_fill_probability": 0.5}


def account_spec(start: float = 100_000.0, **figures: Any) -> AccountSpec:
    """Limits and pace by their own names; `clusters` of the first two symbols where asked."""
    limits, pace = new(LIMITS), new(PACE)
    clusters = {"C0USDT": 1, "C1USDT": 1} if figures.get("cluster_positions_max") else {}
    for name, value in figures.items():
        record = limits if name in (LIMITS.names or ()) else pace
        record[name] = value
    return AccountSpec(start, limits, pace, clusters)


def busy_signals(bars: Bars, seed: int, stops: tuple[float, float] = (5.0, 60.0)) -> Records:
    """A signal every eight bars or so, some of them to leave, some with a target or a score."""
    rng = np.random.default_rng(seed)
    asks = {}
    for at in np.flatnonzero(rng.uniform(size=len(bars)) < 0.12):
        stop = float(rng.uniform(*stops))
        leave = bool(rng.uniform() < 0.2)
        asks[int(at)] = Ask(
            int(rng.integers(-1, 2)),
            stop=stop,
            target=stop * 1.3 if rng.uniform() < 0.3 else float("nan"),
            atr=20.0,
            exit_long=leave,
            exit_short=leave,
            score=float(rng.uniform(0, 100)),
        )
    return asked(len(bars), asks)


def busy(number: int, plan: str, bars: Bars | None = None, **given: Any) -> StreamSpec:
    """A stream that asks for something all the time."""
    made = invented_bars(BUSY_BARS, seed=number + 3) if bars is None else bars
    known = unknown_contexts(len(made))
    known["funding_rate"] = np.where(np.arange(len(made)) % 300 < 150, 0.0003, np.nan)
    signals = busy_signals(made, number)
    return scripted_spec(number, made, signals, stream(PLANS[plan], **given), known)


def scripted(bars: Records, signals: Records, name: str = "scripted") -> Strategy:
    """A strategy that says `signals` at these bars, one each."""
    row_of = {int(time): row for row, time in enumerate(bars["open_time"])}

    def step(state: Any, bar: Any, context: Any, params: Any, signal: Any) -> None:
        state.bars += 1
        made = signals[row_of[int(bar["open_time"])]]
        for field in made.dtype.names:
            signal[field] = made[field]

    def whole(state: Any, bars: Any, contexts: Any, params: Any, out: Any) -> None:
        first = row_of[int(bars["open_time"][0])]
        state.bars += len(bars)
        out[:] = signals[first : first + len(bars)]

    return Strategy(
        name=name,
        title="Says what it is told to",
        path=Path(f"{name}.py"),
        parameters=parameters(),
        reasons=("none", "told"),
        plan=TradePlan(),
        state_dtype=lambda params: SCRIPT_STATE,
        step=step,
        signals=whole,
        code_hash="",
    )


def key_of(symbol: str = "BTCUSDT") -> SeriesKey:
    """One-minute bars of a symbol."""
    return SeriesKey("binance-spot", symbol, "1m")


def scripted_spec(
    number: int, bars: Records, signals: Records, settings: Any, contexts: Records | None = None
) -> StreamSpec:
    """A stream of its own symbol that trades `signals`."""
    key = key_of(f"C{number}USDT")
    strategy = scripted(bars, signals, f"scripted{number}")
    return StreamSpec(
        StreamLabel(number, strategy.name, key.venue, key.symbol, key.timeframe),
        strategy,
        {},
        BarSeries(key, bars, (), ""),
        settings,
        contexts,
    )
