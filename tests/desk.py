"""A trading desk for tests: candles, signals and settings in a few words, traded by the kernel.

`candles` reads a table a trader would draw, `asked` makes the signal rows, `stream` and `account`
the settings, `trade` runs it all through `kernel.run` and checks that no cent was lost on the way.

Unless told otherwise: one-minute bars from 2024-01-01 00:00 UTC, a tick of 0.1, a lot of 0.001, a
fixed quantity of 1, no costs, no volume cap, and limits that need one tick through.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np

from tercel.app.signals import quiet_signals, unknown_context
from tercel.core import kernel
from tercel.core.codes import ExitReason, Refusal, Side, SizeMode, Slot
from tercel.core.jit import new
from tercel.core.plan import TradePlan
from tercel.core.records import (
    ACCOUNT,
    BAR,
    EQUITY,
    FILL,
    FILLS_PER_BAR,
    MARKET,
    STREAM,
    TRADE,
    Feed,
    Records,
    Tape,
)

JIT = not numba.config.DISABLE_JIT  # type: ignore[attr-defined]
"""False in the run that measures coverage: plain Python, so tests take fewer bars."""

MINUTE_MS = 60_000
START = 1_704_067_200_000  # 2024-01-01 00:00 UTC
NAN = math.nan
CENT = 1e-6
"""Slack for sums of quote currency: far below a cent, far above rounding of doubles."""

THREE_R = TradePlan(
    legs=((2.0, 0.50), (3.0, 0.25)), trail_fraction=0.25, trail_arm_r=1.0, trail_offset_r=0.5
)


def rows(table: str) -> list[list[float]]:
    """Lines of `open high low close [volume]`; what follows a # is for the reader."""
    lines = (line.split("#")[0].split() for line in table.splitlines())
    return [[float(word) for word in words] for words in lines if words]


def candles(table: str | Sequence[Sequence[float]], start: int = START) -> Records:
    """BAR records of a table; the volume is 1,000 where it is not given."""
    given = rows(table) if isinstance(table, str) else table
    bars = np.zeros(len(given), BAR)
    for name in BAR.names or ():
        bars[name] = NAN if BAR[name] == np.float64 else 0
    bars["open_time"] = start + MINUTE_MS * np.arange(len(given))
    bars["volume"] = 1000.0
    for bar, row in zip(bars, given, strict=True):
        for name, value in zip(("open", "high", "low", "close", "volume"), row, strict=False):
            bar[name] = value
    return bars


def mirrored(bars: Records) -> Records:
    """The same bars upside down around 100: what a long lived through, a short does."""
    turned = bars.copy()
    turned["open"], turned["close"] = 200.0 - bars["open"], 200.0 - bars["close"]
    turned["high"], turned["low"] = 200.0 - bars["low"], 200.0 - bars["high"]
    return turned


@dataclass(frozen=True, slots=True)
class Ask:
    """What the strategy says at one close."""

    side: int = Side.LONG
    stop: float = 10.0
    """Stop distance, price."""
    target: float = NAN
    """Target distance, price; NaN: the plan's R multiples."""
    atr: float = NAN
    exit_long: bool = False
    exit_short: bool = False
    score: float = NAN

    @property
    def mirror(self) -> Ask:
        """The same for the other side."""
        return Ask(
            -self.side,
            self.stop,
            self.target,
            self.atr,
            exit_long=self.exit_short,
            exit_short=self.exit_long,
            score=self.score,
        )


def asked(count: int, asks: Mapping[int, Ask]) -> Records:
    """`count` SIGNAL records, quiet but for `asks` by bar number."""
    made = quiet_signals(count)
    for at, ask in asks.items():
        row = made[at]
        row["side"], row["stop_distance"], row["target_distance"] = ask.side, ask.stop, ask.target
        row["atr"], row["score"], row["reason"] = ask.atr, ask.score, 1
        row["exit_long"], row["exit_short"] = ask.exit_long, ask.exit_short
    return made


DEFAULTS: dict[str, float] = {
    "tick_size": 0.1,
    "lot_size": 0.001,
    "mode": SizeMode.QUANTITY,
    "quantity": 1.0,
    "limit_through_ticks": 1.0,
    "seed": 42,
}


def stream(plan: TradePlan | None = None, /, **settings: Any) -> Any:
    """A STREAM record; every setting of its instrument, costs, rules and sizing by its own name."""
    made = new(STREAM)
    made.bar_ms = MINUTE_MS
    made.plan = (plan or TradePlan()).record()
    for name, value in {**DEFAULTS, **settings}.items():
        groups = ("instrument", "costs", "rules", "sizing", "pace")
        (group,) = (group for group in groups if name in (STREAM[group].names or ()))
        made[group][name] = value
    return made


def account(start: float = 10_000.0, **limits: Any) -> Any:
    """A fresh ACCOUNT record; every figure of its limits and pace by its own name."""
    made = new(ACCOUNT)
    made.start_quote = made.cash_quote = made.equity_quote = made.peak_equity = start
    for name, value in limits.items():
        group = "limits" if name in (made.limits.dtype.names or ()) else "pace"
        made[group][name] = value
    return made


@dataclass(slots=True)
class Outcome:
    """Everything a run left behind."""

    account: Any
    streams: Records
    fills: Records
    trades: Records
    equity: Records

    def refusals(self, number: int = 0) -> dict[str, int]:
        """How often each reason kept a signal of the stream from becoming a position."""
        counts = self.streams[number]["refusals"]
        return {r.name.lower(): int(counts[r]) for r in Refusal if counts[r]}

    @property
    def entries(self) -> list[tuple[int, float, float]]:
        """(bar number, price, quantity) of each entry fill."""
        return [
            (_bar_number(fill), round(float(fill["price"]), 9), round(float(fill["quantity"]), 9))
            for fill in self.fills
            if fill["slot"] == Slot.ENTRY
        ]

    @property
    def exits(self) -> list[tuple[int, str, float, float]]:
        """(bar number, reason, price, quantity) of each exit fill."""
        return [
            (
                _bar_number(fill),
                ExitReason(fill["reason"]).name.lower(),
                round(float(fill["price"]), 9),
                round(float(fill["quantity"]), 9),
            )
            for fill in self.fills
            if fill["slot"] != Slot.ENTRY
        ]

    def resting(self, slot: Slot, number: int = 0) -> tuple[float, float] | None:
        """(price, quantity) of what stands in a slot; None when it is empty."""
        order = self.streams[number]["orders"][slot]
        return (float(order["price"]), float(order["quantity"])) if order["status"] else None


def _bar_number(fill: Any) -> int:
    return int((fill["time"] - START) // MINUTE_MS) - 1


def stacked(parts: Sequence[Records], count: int) -> Records:
    """The parts as rows of one array, padded with zeros."""
    made = np.zeros((len(parts), count), parts[0].dtype)
    for row, part in zip(made, parts, strict=True):
        row[: len(part)] = part
    return made


def tape_for(streams: int, bars: int) -> Tape:
    """Room for everything that `bars` bars of each stream can produce."""
    room = streams * bars * FILLS_PER_BAR + streams
    return Tape(
        np.zeros(streams * bars, EQUITY),
        np.zeros(room, FILL),
        np.zeros(room, TRADE),
        np.zeros(3, np.int64),
    )


def funding_known(bars: Records, rate: float) -> Records:
    """A CONTEXT row for each bar, in which only the funding rate is known."""
    made = np.repeat(unknown_context(), len(bars))
    made["funding_rate"] = rate
    return made


def trade(
    streams: Any,
    bars: Records | Sequence[Records],
    signals: Records | Sequence[Records],
    *,
    on: Any = None,
    contexts: Records | Sequence[Records] | None = None,
    finish: bool = False,
    watched: Records | None = None,
) -> Outcome:
    """Run streams over their bars on one account (`on`); with `finish`, close what stays open.

    A single stream may come with its bars and signals bare; several come as lists, each a series of
    its own. `watched` are their MARKET records, where they know something already.
    """
    alone = isinstance(bars, np.ndarray)
    settings = [streams] if alone else list(streams)
    series: list[Records] = [bars] if alone else list(bars)  # type: ignore[list-item]
    rows_of_signals: list[Records] = [signals] if alone else list(signals)  # type: ignore[list-item]
    known: list[Records] = (
        [np.repeat(unknown_context(), 1)] * len(settings)
        if contexts is None
        else ([contexts] if alone else list(contexts))  # type: ignore[list-item]
    )
    desk = np.zeros(len(settings), STREAM)
    for number, made in enumerate(settings):
        desk[number] = made
        desk[number]["number"] = desk[number]["series"] = number
        desk[number]["leads"] = True
    purse = account() if on is None else on
    purse.series_count = len(settings)
    purse.watches = True
    markets = np.zeros(len(settings), MARKET) if watched is None else watched
    longest = max(len(part) for part in series)
    feed = Feed(
        stacked(series, longest),
        stacked(known, max(len(part) for part in known)),
        stacked(rows_of_signals, longest),
        np.array([len(part) for part in series]),
    )
    tape = tape_for(len(settings), longest)
    kernel.run(purse, desk, markets, feed, tape)
    if finish:
        kernel.finish(purse, desk, np.concatenate([part[-1:] for part in series]), tape)
    made_rows, fills, trades = (int(count) for count in tape.counts)
    outcome = Outcome(
        purse, desk, tape.fills[:fills], tape.trades[:trades], tape.equity[:made_rows]
    )
    check_conservation(outcome)
    return outcome


def check_conservation(outcome: Outcome) -> None:
    """Cash is where it came from, and equity is cash plus what is open. To the cent."""
    purse, streams = outcome.account, outcome.streams
    expected = (
        purse["start_quote"]
        + purse["gross_quote"]
        - purse["fee_quote"]
        - purse["slippage_quote"]
        + purse["funding_quote"]
    )
    slack = CENT * max(1.0, abs(float(expected)) * 1e-3)
    assert abs(purse["cash_quote"] - expected) < slack
    unrealised = 0.0
    for position in streams["position"]:
        if position["quantity"] > 0:
            move = position["mark_price"] - position["entry_price"]
            unrealised += position["side"] * position["quantity"] * move
    assert abs(purse["equity_quote"] - purse["cash_quote"] - unrealised) < slack
    net = float(np.sum(outcome.trades["net_quote"]))
    open_net = sum(
        float(p["gross_quote"] - p["fee_quote"] - p["slippage_quote"] + p["funding_quote"])
        for p in streams["position"]
        if p["side"]
    )
    assert abs(purse["cash_quote"] - purse["start_quote"] - net - open_net) < slack


def unknown_contexts(count: int) -> Records:
    """`count` CONTEXT rows in which nothing is known."""
    return np.repeat(unknown_context(), count)
