"""trend_reversion, candle by candle: each gate in its order, both sides.

Price rises from 70 to 100 in 150 candles, rests around 100 for 20, falls to 96 and comes back in
three rising closes, on buying: a dip in an uptrend that a long is made of. EMAs of 50 and 100
candles stand for those of the larger bars; everything else is as it comes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from tests.desk import MINUTE_MS, stream, trade
from tests.scenarios.strategy_desk import Said, ask, bars_of, see_saw, steady, table_of

from tercel.app.strategies import load_strategy
from tercel.core.codes import Side
from tercel.domain.errors import UserError

SMALL: dict[str, object] = {"trend_minutes": 1, "trend_fast_len": 50, "trend_slow_len": 100}
EACH_SIDE = pytest.mark.parametrize("side", [Side.LONG, Side.SHORT], ids=["long", "short"])

UPTREND = table_of(steady(150, 70, 0.2), see_saw(20))
DIP = """
100  100.2 97   97.2 10 4
97.2  97.4 96   96.2 10 4   # the z-score of this close is -3.4
"""
BACK = """
96.2  96.8 96.1 96.7 10 9
96.7  97.3 96.6 97.2 10 9
97.2  97.8 97.1 97.7 10 9   # a third rising close, below the one of five candles ago; bought
"""
FURTHER_BACK = """
96.2  97.8 96.1 97.6 10 9
97.6  98.8 97.5 98.7 10 9
98.7  99.9 98.6 99.7 10 9   # 3.7 above the low of 96: over 1.5 ATR
"""
SOLD = BACK.replace("10 9", "10 1")
TWO_BACK = """
96.2  96.3 96   96.1 10 9
96.1  97.1 96.1 97   10 9
97    97.8 96.9 97.7 10 9
"""
EVEN = """
97.8  98   97.6 97.8 10 1
97.8  98.1 97.7 98   10 1
"""
LATE = """
97.7 98.2 97.6 98   10 1
98   98.1 97.8 97.9 10 1
97.9 98.2 97.8 98.1 10 1
98.1 98.4 98   98.3 10 1
98.3 98.6 98.2 98.5 10 1   # three rising closes; the last z-score below -1.8 was 7 candles ago
"""


def said_at_the_end(
    side: Side,
    *tables: Any,
    values: Mapping[str, object] | None = None,
    context: Mapping[str, Any] | None = None,
    spread_bps: float = np.nan,
) -> Said:
    """The strategy over the uptrend and what follows it."""
    bars = bars_of(table_of(UPTREND, *tables), side)
    bars["spread_bps"] = spread_bps
    return ask("trend_reversion", bars, {**SMALL, **(values or {})}, context)


@dataclass(frozen=True, slots=True)
class Case:
    """One caption, the candles after the uptrend, and what is said at the last one.

    `mirror` is said in the mirror where that is not the same: a short needs less than a long.
    """

    caption: str
    tables: tuple[str, ...]
    reason: str
    mirror: str = ""
    values: dict[str, object] = field(default_factory=dict)
    spread_bps: float = np.nan


CASES = (
    Case("all three scores agree", (DIP, BACK), "long", "short"),
    Case("no slow EMA yet", (DIP, BACK), "warming_up", values={"trend_slow_len": 200}),
    Case(
        "below both EMAs, but the fast one is above the slow one",
        ("100 100.2 90 91 10 4\n91 91.3 90.5 91.1 10 9",),
        "trend_neutral",
    ),
    Case("no reversion: two rising closes", (DIP, TWO_BACK), "asymmetry_gate_failed", "short"),
    Case("no divergence: sold on the way back", (DIP, SOLD), "asymmetry_gate_failed", "short"),
    Case("stretched and back in one candle", (DIP, BACK), "asymmetry_gate_failed",
         "short", {"zscore_memory": 0}),
    Case("neither", (), "asymmetry_gate_failed"),
    Case("already too far from the pivot", (DIP, FURTHER_BACK), "extended_move"),
    Case("too old a pivot", (DIP, FURTHER_BACK), "long", "short", {"pivot_window": 3}),
    Case("a spread of 9 bps", (DIP, BACK), "spread_guard", spread_bps=9.0),
    Case("8 bps is not above 8", (DIP, BACK), "long", "short", spread_bps=8.0),
)  # fmt: skip


@EACH_SIDE
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.caption)
def test_what_is_said_at_the_last_candle(case: Case, side: Side) -> None:
    said = said_at_the_end(side, *case.tables, values=case.values, spread_bps=case.spread_bps)
    expected = (case.mirror or case.reason) if side == Side.SHORT else case.reason
    assert said.reasons[-1] == expected
    entered = {"long": Side.LONG, "short": Side.SHORT}.get(expected, Side.NONE)
    assert said.signals[-1]["side"] == entered


@EACH_SIDE
def test_what_an_entry_asks_for(side: Side) -> None:
    """1.5 ATR and 3 ATR; the composite is no score that a size could follow."""
    said = said_at_the_end(side, DIP, BACK)
    atr = float(said.signals[-1]["atr"])
    assert 1.0 < atr < 3.0
    assert said.entry == pytest.approx((side, 1.5 * atr, 3.0 * atr))
    assert np.isnan(said.signals[-1]["score"])
    scores = [said.seen[name] for name in ("trend_score", "reversion_score", "volume_score")]
    assert scores == [side, side, side]
    assert said.seen["composite"] == 3 * side
    assert not np.any(said.signals["exit_long"] | said.signals["exit_short"])


def test_what_comes_after_a_shut_gate_is_not_looked_at() -> None:
    seen = said_at_the_end(Side.LONG, DIP, BACK, spread_bps=9.0).seen
    assert seen["spread_bps"] == 9.0
    assert np.isnan([seen["funding_score"], seen["composite"]]).all()
    seen = said_at_the_end(Side.LONG, DIP, SOLD, spread_bps=9.0).seen
    assert (seen["trend_score"], seen["reversion_score"], seen["volume_score"]) == (1, 1, 0)
    assert np.isnan([seen["pivot_price"], seen["spread_bps"], seen["composite"]]).all()


@EACH_SIDE
def test_a_pivot_is_known_two_candles_later(side: Side) -> None:
    """The low of 96 is strictly below two on each side only once two have closed after it."""
    low = 96.0 if side == Side.LONG else 104.0
    values = {"streak_len": 1, "zscore_memory": 20}
    early = said_at_the_end(side, DIP, FURTHER_BACK.splitlines()[1], values=values)
    later = said_at_the_end(side, DIP, FURTHER_BACK, values=values)
    assert early.state["pivots"]["low_price" if side == Side.LONG else "high_price"] != low
    assert later.seen["pivot_price"] == low
    assert later.reasons[-1] == "extended_move"


@EACH_SIDE
@pytest.mark.parametrize(("memory", "score"), [(5, 0), (6, 0), (7, 1), (20, 1)])
def test_how_long_a_stretch_is_remembered(memory: int, score: int, side: Side) -> None:
    said = said_at_the_end(side, DIP, BACK, LATE, values={"zscore_memory": memory})
    assert said.seen["reversion_score"] == score * side


@EACH_SIDE
def test_an_unchanged_close_is_neither_a_rise_nor_a_fall(side: Side) -> None:
    """Rising, rising, 97.8, 97.8, 98: one rise in a row."""
    lifted = BACK.replace("97.2  97.8 97.1 97.7 10 9", "97.2  98 97.1 97.8 10 9")
    said = said_at_the_end(side, DIP, lifted, EVEN)
    assert (said.seen["trend_score"], said.seen["reversion_score"]) == (side, 0)


@EACH_SIDE
def test_without_taker_volume_there_is_no_signal_unless_an_estimate_is_allowed(side: Side) -> None:
    bars = bars_of(table_of(UPTREND, DIP, BACK), side)
    bars["taker_buy_volume"] = np.nan
    assert ask("trend_reversion", bars, SMALL).reasons[-1] == "missing_pressure"
    said = ask("trend_reversion", bars, {**SMALL, "pressure": "bar"})
    assert said.signals[-1]["side"] == side
    bars["bid_size"], bars["ask_size"] = np.where(bars["close"] > bars["open"], 6, 5), 5.0
    assert ask("trend_reversion", bars, {**SMALL, "pressure": "book"}).reasons[-1] != "warming_up"


def test_one_unknown_candle_of_the_window_is_a_missing_input() -> None:
    bars = bars_of(table_of(UPTREND, DIP, BACK), Side.LONG)
    for ago, reason in ((1, "missing_pressure"), (10, "missing_pressure"), (11, "long")):
        gap = bars.copy()
        gap["taker_buy_volume"][-ago] = np.nan
        assert ask("trend_reversion", gap, SMALL).reasons[-1] == reason, ago


@EACH_SIDE
@pytest.mark.parametrize(
    ("last", "older_taker", "score"),
    [
        (SOLD, 0.0, 0),  # last five -2 -2 -8 -8 -8: sold, however much was sold before that
        (BACK, 10.0, 1),  # last five -2 -2 +8 +8 +8: bought, however much was bought before that
    ],
    ids=["sold", "bought"],
)
def test_the_delta_is_compared_over_the_same_five_candles_as_the_close(
    last: str, older_taker: float, score: int, side: Side
) -> None:
    """Five candles of 10, all sold or all bought, 11 to 15 candles ago: no part of the change."""
    bars = bars_of(table_of(UPTREND, DIP, last), side)
    bars["taker_buy_volume"][-15:-10] = older_taker if side == Side.LONG else 10.0 - older_taker
    said = ask("trend_reversion", bars, SMALL)
    assert said.state["close_change"] * side < 0.0
    assert said.state["delta_change"] == side * (20.0 if score else -28.0)
    assert said.seen["volume_score"] == score * side


@EACH_SIDE
@pytest.mark.parametrize(("length", "change"), [(3, 24.0), (5, 20.0), (6, 30.0), (10, 70.0)])
def test_the_delta_line_changes_by_the_volume_of_the_bars_compared(
    length: int, change: float, side: Side
) -> None:
    """Deltas of the last ten: +10 +10 +10 +10 +10, -2 -2 of the dip, +8 +8 +8 of the way back."""
    bars = bars_of(table_of(UPTREND, DIP, BACK), side)
    bars["taker_buy_volume"][-20:-5] = 10.0 if side == Side.LONG else 0.0
    said = ask("trend_reversion", bars, {**SMALL, "divergence_len": length})
    assert said.state["delta_change"] == side * change


EXTERNAL = (
    # (field, value, score) at the default limits, and either side of them
    ("funding_rate", 0.0006, -1), ("funding_rate", 0.0005, 0), ("funding_rate", -0.0006, 1),
    ("long_short_ratio", 1.81, -1), ("long_short_ratio", 1.8, 0), ("long_short_ratio", 0.59, 1),
    ("long_short_ratio", 0.6, 0),
    ("fear_greed", 76.0, -1), ("fear_greed", 75.0, 0), ("fear_greed", 25.0, 0),
    ("fear_greed", 24.0, 1), ("exchange_netflow", 1001.0, -1), ("exchange_netflow", 1000.0, 0),
    ("exchange_netflow", -1001.0, 1),
    ("funding_rate", np.nan, 0), ("exchange_netflow", np.nan, 0),
)  # fmt: skip


@EACH_SIDE
@pytest.mark.parametrize(("name", "value", "score"), EXTERNAL)
def test_each_external_score(name: str, value: float, score: int, side: Side) -> None:
    """A long starts with +3 and needs it all; a short starts with -3 and needs -2."""
    said = said_at_the_end(side, DIP, BACK, context={name: value})
    assert said.seen["composite"] == 3 * side + score
    enters = 3 + score >= 3 if side == Side.LONG else -3 + score <= -2
    entered = "long" if side == Side.LONG else "short"
    assert said.reasons[-1] == (entered if enters else "composite_weak")


@EACH_SIDE
@pytest.mark.parametrize(
    ("name", "score", "values"),
    [
        ("more of it while price came back", 1, {"oi_minutes": 2}),
        ("more of it since before the dip, while price fell", 0, {"oi_minutes": 6}),
        ("its last step is further back than that", 0, {"oi_minutes": 1}),
    ],
)
def test_open_interest_confirms_and_never_objects(
    name: str, score: int, values: dict[str, object], side: Side
) -> None:
    interest = np.full(175, 1000.0)
    interest[-2:] = 1100.0
    said = said_at_the_end(side, DIP, BACK, context={"open_interest": interest}, values=values)
    assert said.seen["open_interest_score"] == score * side, name
    fell = said_at_the_end(side, DIP, BACK, context={"open_interest": -interest}, values=values)
    assert fell.seen["open_interest_score"] == 0


def test_a_short_needs_two_points_against_it_to_be_refused() -> None:
    context = {"funding_rate": -0.001, "fear_greed": 10.0}
    said = said_at_the_end(Side.SHORT, DIP, BACK, context=context)
    assert (said.seen["composite"], said.reasons[-1]) == (-1, "composite_weak")
    assert (
        said_at_the_end(
            Side.SHORT, DIP, BACK, context=context, values={"composite_short_max": -1}
        ).reasons[-1]
        == "short"
    )


@EACH_SIDE
def test_ninety_minutes_are_the_longest_hold(side: Side) -> None:
    """Entered at candle 174; at the close of candle 264 it has been held for 90 minutes."""
    bars = bars_of(table_of(UPTREND, DIP, BACK, see_saw(95, 97.7)), side)
    said = ask("trend_reversion", bars, {**SMALL, "stop_atr": 5.0, "target_atr": 10.0})
    outcome = trade(stream(load_strategy("trend_reversion").plan), bars, said.signals)
    assert outcome.entries[0][0] == 174
    assert [(at, why) for at, why, _, _ in outcome.exits][:1] == [(264, "time")]


@pytest.mark.parametrize(
    ("minutes", "values", "problem"),
    [
        (30, {}, "trend_minutes must be a multiple of the bars' length, 30 minutes; got 15"),
        (5, {"oi_minutes": 12}, "oi_minutes must be a multiple of the bars' length, 5 .* got 12"),
        (1, {"divergence_len": 11}, "divergence_len must be at most cvd_len, 10: .* got 11"),
    ],
)
def test_what_is_impossible(minutes: int, values: dict[str, object], problem: str) -> None:
    with pytest.raises(UserError, match=problem):
        load_strategy("trend_reversion").values(values, minutes * MINUTE_MS)


@pytest.mark.parametrize("minutes", [1, 5, 15])
def test_bar_lengths_that_work(minutes: int) -> None:
    load_strategy("trend_reversion").values({}, minutes * MINUTE_MS)
