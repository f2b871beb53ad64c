"""momentum, candle by candle: each gate, both exits, both sides.

Small windows keep the tables short: the channel and the mean volume are of three candles, EMAs of
two and four, everything is decided on the one-minute candles themselves.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest
from tests.desk import stream, trade
from tests.scenarios.strategy_desk import Table, ask, bars_of, see_saw, steady, table_of

from tercel.app.strategies import load_strategy
from tercel.core.codes import Side
from tercel.domain.errors import UserError

SMALL: dict[str, object] = {
    "decide_minutes": 1, "breakout_len": 3, "volume_len": 3, "volume_mult": 1.5, "adx_len": 2,
    "atr_len": 2, "trend_minutes": 1, "trend_fast_len": 2, "trend_slow_len": 4, "trend_adx_len": 2,
}  # fmt: skip
EACH_SIDE = pytest.mark.parametrize("side", [Side.LONG, Side.SHORT], ids=["long", "short"])

RISING = """
100 101  99 100 10
100 102 100 101 10
101 103 101 102 10
102 104 102 103 10
103 105 103 104 10   # the channel of the last three: 101 to 105
"""
BREAKOUT = "104 107 104 106 30"


@dataclass(frozen=True, slots=True)
class Case:
    """One caption, one table, and what is said at its last candle."""

    caption: str
    table: Table
    reason: str
    values: dict[str, object] = field(default_factory=dict)


CASES = (
    Case(
        "above the channel, on 1.8 times the mean volume, in a rising market: an entry",
        RISING + BREAKOUT,
        "long",
    ),
    Case("a wick is no close", RISING + "104 107 104 105 30", "no_breakout"),
    Case("18 is 1.42 times the mean of 10, 10 and 18", RISING + "104 107 104 106 18", "volume_low"),
    Case("a volume that is unknown", RISING + "104 107 104 106 nan", "missing_volume"),
    Case(
        "up and down by turns, then a breakout: ADX has hardly risen yet",
        table_of(see_saw(11), "100 102.5 99.9 101.6 30"),
        "no_trend",
        {"adx_len": 4},
    ),
    Case(
        "a breakout from a pause in a fall: -DI is still above +DI",
        table_of(
            steady(12, 130, -2),
            """
            106 106.5 105 106 10
            106 106.5 105 106 10
            106 106.5 105 106 10
            106 107.2 106 107 30
            """,
        ),
        "direction_against",
        {"adx_len": 5, "trend_slow_len": 3},
    ),
    Case(
        "a rally in a fall: the larger bars still fall",
        table_of(
            steady(12, 130, -2),
            """
            106 108 105 108 10
            108 110 108 110 10
            110 113 110 113 30
            """,
        ),
        "trend_against",
        {"trend_fast_len": 4, "trend_slow_len": 12},
    ),
    Case(
        "the larger bars lean upwards, but without a trend (ADX 100 is the most there is)",
        RISING + BREAKOUT,
        "trend_against",
        {"trend_adx_min": 100.0},
    ),
    Case("six volumes are a mean of six", RISING + BREAKOUT, "long", {"volume_len": 6}),
    Case("and none of seven", RISING + BREAKOUT, "warming_up", {"volume_len": 7}),
    Case("no slow EMA of the larger bars yet", RISING, "warming_up", {"trend_slow_len": 6}),
)  # fmt: skip


@EACH_SIDE
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.caption)
def test_what_is_said_at_the_last_candle(case: Case, side: Side) -> None:
    said = ask("momentum", bars_of(case.table, side), {**SMALL, **case.values})
    expected = "short" if case.reason == "long" and side == Side.SHORT else case.reason
    assert said.reasons[-1] == expected
    assert said.signals[-1]["side"] == (side if case.reason == "long" else Side.NONE)
    if case.reason != "long":
        assert np.isnan(said.signals[-1]["stop_distance"])


@EACH_SIDE
def test_the_stop_is_an_atr_away_and_the_target_two(side: Side) -> None:
    """True ranges 2, 2, 2, 2 and 3: ATR(2) = (2 * 1 + 3) / 2 = 2.5."""
    said = ask("momentum", bars_of(RISING + BREAKOUT, side), SMALL)
    assert said.entry == (side, 2.5, 5.0)
    assert said.signals[-1]["atr"] == 2.5
    assert said.seen["volume_ratio"] == pytest.approx(1.8)
    channel = (101.0, 105.0) if side == Side.LONG else (95.0, 99.0)
    assert (said.seen["lower"], said.seen["upper"]) == channel


@EACH_SIDE
def test_out_when_the_momentum_is_gone(side: Side) -> None:
    """ADX is 100 in the rise, and falls towards 14.3 in the see-saw after the breakout."""
    values = {**SMALL, "adx_len": 4, "stop_atr": 20.0, "target_atr": 20.0}
    bars = bars_of(table_of(steady(8, 92, 1), "100 103 99 102 30", see_saw(24, 102)), side)
    said = ask("momentum", bars, values)
    assert said.reasons.count("long" if side == Side.LONG else "short") == 1
    assert said.signals[8]["side"] == side
    assert said.exits(Side.LONG) == said.exits(Side.SHORT)
    first = said.exits(side)[0]
    assert 12 < first < len(bars) - 1
    assert said.exits(side) == list(range(first, len(bars)))
    before = ask("momentum", bars[:first], values)
    assert before.seen["adx"] >= 20.0 > ask("momentum", bars[: first + 1], values).seen["adx"]
    outcome = trade(stream(load_strategy("momentum").plan), bars, said.signals)
    assert [at for at, _, _ in outcome.entries] == [8]
    assert [(at, why) for at, why, _, _ in outcome.exits] == [(first, "signal")]


@EACH_SIDE
def test_five_minute_decisions_are_the_same_from_larger_bars(side: Side) -> None:
    """One-minute candles, and the same five at a time: every fifth says what the other says."""
    values = {**SMALL, "decide_minutes": 5, "trend_minutes": 15, "volume_mult": 0.8}
    rng = np.random.default_rng(4)
    walk = 100 + np.cumsum(rng.normal(0.0, 0.1, 1501))
    rows = [
        [a, max(a, b) + 0.1, min(a, b) - 0.1, b, v]
        for a, b, v in zip(walk, walk[1:], rng.gamma(2.0, 5.0, 1500), strict=False)
    ]
    small = bars_of(rows, side)
    larger = small[::5].copy()
    larger["close"] = small["close"][4::5]
    for name, extreme in (("high", np.max), ("low", np.min)):
        larger[name] = extreme(small[name].reshape(-1, 5), axis=1)
    for name in ("volume", "quote_volume", "taker_buy_volume"):
        larger[name] = np.cumsum(small[name].reshape(-1, 5), axis=1)[:, -1]
    one, five = ask("momentum", small, values), ask("momentum", larger, values)
    assert one.signals[4::5].tobytes() == five.signals.tobytes()
    assert {"long", "short"} <= set(five.reasons)
    assert {reason for i, reason in enumerate(one.reasons) if i % 5 != 4} == {"between_closes"}


@pytest.mark.parametrize(
    ("minutes", "values", "problem"),
    [
        (15, {}, "decide_minutes must be a multiple of the bars' length, 15 minutes; got 5"),
        (5, {"trend_minutes": 12}, "trend_minutes must be a multiple of the bars' length, 5"),
        (1, {"adx_exit": 30.0}, "adx_exit must be at most adx_min, 25: .* got 30"),
    ],
)
def test_what_is_impossible(minutes: int, values: dict[str, object], problem: str) -> None:
    with pytest.raises(UserError, match=problem):
        load_strategy("momentum").values(values, minutes * 60_000)
