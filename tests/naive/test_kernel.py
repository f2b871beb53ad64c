"""The kernel against a slow twin that knows only brackets: one stop, one target, one position.

The twin keeps its trades in dicts and its rules in plain sentences; slippage is in basis points, so
that it needs no draw.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from tests.desk import JIT, Ask, account, asked, stream, trade
from tests.market_data import Bars, invented_bars, real_bars

from tercel.core.codes import EntryTiming, ExitReason, IntrabarMode, SizeMode, SlippageModel
from tercel.core.plan import TradePlan

COUNT = 12_000 if JIT else 1_000
TICK, LOT = 0.1, 0.001
TAKER, MAKER, SLIP = 0.0005, 0.0002, 0.0002
FUNDING_RATE, EIGHT_HOURS = 0.0001, 8 * 3_600_000
RISK = 0.01


class Twin:
    """An account with at most one position."""

    def __init__(self, mode: str, timing: str, target_r: float) -> None:
        self.mode = mode
        self.timing = timing
        self.target_r = target_r
        self.cash = 10_000.0
        self.equity = [10_000.0]
        self.open: dict[str, Any] | None = None
        self.wanted: dict[str, Any] | None = None
        self.trades: list[dict[str, Any]] = []

    def enter(self, price: float, wanted: dict[str, Any], time: int) -> None:
        side = wanted["side"]
        paid = price * (1 + side * SLIP)
        self.cash -= paid * wanted["quantity"] * TAKER
        self.open = {
            "side": side,
            "quantity": wanted["quantity"],
            "entry_time": time,
            "entry_price": paid,
            "stop": paid - side * wanted["stop"],
            "target": paid + side * self.target_r * wanted["stop"],
            "fees": paid * wanted["quantity"] * TAKER,
            "funding": 0.0,
        }
        self.wanted = None

    def leave(self, price: float, reason: ExitReason, time: int) -> None:
        made = self.open
        assert made is not None
        side, quantity = made["side"], made["quantity"]
        fee = MAKER
        if reason != ExitReason.TARGET_1:
            price *= 1 - side * SLIP
            fee = TAKER
        profit = side * (price - made["entry_price"]) * quantity
        self.cash += profit - price * quantity * fee
        made["net"] = profit - made["fees"] - price * quantity * fee + made["funding"]
        made |= {"exit_price": price, "exit_time": time, "reason": reason}
        self.trades.append(made)
        self.open = None

    def stop_hit(self, bar: Any) -> float:
        """The price a stop got, or NaN."""
        made = self.open
        assert made is not None
        side, stop = made["side"], made["stop"]
        if side * (bar["open"] - stop) <= 0:
            return float(bar["open"])
        worst = bar["low"] if side > 0 else bar["high"]
        return float(stop) if side * (worst - stop) <= 0 else math.nan

    def target_hit(self, bar: Any) -> float:
        """The price a target got, or NaN: a tick through it is needed."""
        made = self.open
        assert made is not None
        best = bar["high"] if made["side"] > 0 else bar["low"]
        through = made["side"] * (best - made["target"]) >= TICK * (1 - 1e-9)
        return float(made["target"]) if through else math.nan

    def match(self, bar: Any, time: int) -> None:
        """The position against one bar."""
        if self.open is None:
            return
        stop_first = self.mode == "stop_first"
        if self.mode == "ohlc_path":
            rising = bar["close"] >= bar["open"]
            stop_first = rising == (self.open["side"] > 0)
        hits = [(self.stop_hit(bar), ExitReason.STOP), (self.target_hit(bar), ExitReason.TARGET_1)]
        for price, reason in hits if stop_first else reversed(hits):
            if not math.isnan(price):
                self.leave(price, reason, time)
                return

    def step(self, bar: Any, signal: Any) -> None:
        """One closed bar."""
        time = int(bar["open_time"]) + 60_000
        if self.wanted is not None:
            self.enter(float(bar["open"]), self.wanted, int(bar["open_time"]) + 60_000)
            self.open["since"] = int(bar["open_time"])  # type: ignore[index]
        self.match(bar, time)
        if self.open is not None and time % EIGHT_HOURS == 0 and self.open["since"] < time:
            paid = self.open["side"] * self.open["quantity"] * bar["close"] * FUNDING_RATE
            self.open["funding"] -= paid
            self.cash -= paid
        if signal["side"] and self.open is None:
            quantity = math.floor(RISK * self.cash / signal["stop_distance"] / LOT * (1 + 1e-9))
            self.wanted = {
                "side": int(signal["side"]),
                "stop": float(signal["stop_distance"]),
                "quantity": quantity * LOT,
            }
            if self.timing == "close":
                self.enter(float(bar["close"]), self.wanted, time)
                self.open["since"] = time  # type: ignore[index]
        unrealised = 0.0
        if self.open is not None:
            move = bar["close"] - self.open["entry_price"]
            unrealised = self.open["side"] * self.open["quantity"] * move
        self.equity.append(self.cash + unrealised)


def bars_of(source: str) -> Bars:
    """Invented or real bars."""
    return invented_bars(COUNT, seed=21) if source == "invented" else real_bars(COUNT)


@pytest.mark.real_data
@pytest.mark.parametrize("source", ["invented", "real"])
@pytest.mark.parametrize("mode", ["stop_first", "ohlc_path", "optimistic"])
@pytest.mark.parametrize("timing", ["close", "next_open"])
def test_brackets_equal_the_twins(source: str, mode: str, timing: str) -> None:
    bars = bars_of(source)
    rng = np.random.default_rng(4)
    at = np.flatnonzero(rng.uniform(size=len(bars)) < 0.05)
    asks = {int(i): Ask(int(rng.choice([-1, 1])), stop=float(rng.uniform(10, 60))) for i in at}
    signals = asked(len(bars), asks)
    twin = Twin(mode, timing, target_r=1.5)
    for bar, signal in zip(bars, signals, strict=True):
        twin.step(bar, signal)
    run = trade(
        stream(
            TradePlan(legs=((1.5, 1.0),)),
            intrabar=IntrabarMode[mode.upper()],
            entry_timing=EntryTiming[timing.upper()],
            mode=SizeMode.RISK,
            risk_fraction=RISK,
            taker_fee_rate=TAKER,
            maker_fee_rate=MAKER,
            slippage_model=SlippageModel.BPS,
            slippage_bps=SLIP * 1e4,
            funding_rate=FUNDING_RATE,
            funding_interval_ms=EIGHT_HOURS,
        ),
        bars,
        signals,
        on=account(),
    )
    assert len(run.trades) == len(twin.trades) > (20 if JIT else 10)
    for ours, theirs in zip(run.trades, twin.trades, strict=True):
        assert ours["side"] == theirs["side"]
        assert (ours["entry_time"], ours["exit_time"]) == (
            theirs["entry_time"],
            theirs["exit_time"],
        )
        assert ours["exit_reason"] == theirs["reason"]
        for field, name in (
            ("quantity", "quantity"),
            ("entry_price", "entry_price"),
            ("exit_price", "exit_price"),
            ("net_quote", "net"),
            ("funding_quote", "funding"),
        ):
            assert ours[field] == pytest.approx(theirs[name], rel=1e-9, abs=1e-9), field
    np.testing.assert_allclose(run.equity["equity"], twin.equity[1:], rtol=1e-10)
