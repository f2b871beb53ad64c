"""Fair value gaps, many at once: which are given up, filled, entered, and which one counts.

What one gap does is drawn in `test_patterns.py`.
"""

from __future__ import annotations

from typing import Any

from tests.desk import NAN, candles

from tercel.core.indicators.fair_value_gap import (
    OPEN_GAPS_MAX,
    fair_value_gap_dtype,
    fair_value_gap_step,
)
from tercel.core.jit import new
from tercel.core.records import Records

SKIPPED = """
    100 102  98 100  100
    100 102  98 100  100
    100 102  98 100  100
    100 109 100 108  100
    108 112 106 110  100  # 102 to 106 was skipped: as high as the mean range of 98-102 and 100-109
"""


def staircase(steps: int) -> Records:
    """Each candle 2 high, each 3 above the last: a gap of 4 arises with each from the third on."""
    return candles([(100 + 3 * i, 102 + 3 * i, 100 + 3 * i, 102 + 3 * i) for i in range(steps)])


def test_of_many_gaps_the_oldest_are_given_up() -> None:
    state: Any = new(fair_value_gap_dtype(4))
    for bar in staircase(30):
        fair_value_gap_step(state, bar, 3, 0.0)
    assert (state.rising.held, state.falling.held) == (OPEN_GAPS_MAX, 0)
    lows = [100.0 + 3 * i for i in range(22, 30)]
    assert state.rising.near.tolist() == lows
    assert state.rising.far.tolist() == [low - 4.0 for low in lows]


def test_one_candle_through_several_gaps_fills_some_and_enters_others() -> None:
    """Their near sides are 166, 169 ... 187, their far sides 4 below each. A low of 178 fills the
    two highest, comes into the one of 181, and only touches the one of 178.
    """
    state: Any = new(fair_value_gap_dtype(4))
    for bar in staircase(30):
        fair_value_gap_step(state, bar, 3, 0.0)
    [back] = candles("188 188 178 179")
    assert fair_value_gap_step(state, back, 3, 0.0) == 1
    # Near 181, far 177: high 1 (as large as two ranges), untouched 1, held (179 - 177) / 4.
    assert state.confidence == 40.0 + 20.0 * (1.0 + 1.0 + 0.5)
    assert state.rising.near[: state.rising.held].tolist() == [
        166.0,
        169.0,
        172.0,
        175.0,
        178.0,
        181.0,
    ]
    assert state.rising.edge[state.rising.held - 1] == 178.0


def test_of_several_gaps_entered_the_surest_counts() -> None:
    """180.5 is in the gap of 177 to 181 and in that of 180 to 184; a close of 181 holds all of the
    first, a quarter of the second.
    """
    state: Any = new(fair_value_gap_dtype(4))
    for bar in staircase(30):
        fair_value_gap_step(state, bar, 3, 0.0)
    [back] = candles("188 188 180.5 181")
    assert fair_value_gap_step(state, back, 3, 0.0) == 1
    assert state.confidence == 100.0


def test_gaps_of_both_sides_entered_at_once_say_nothing() -> None:
    table = (
        SKIPPED
        + """
        110 112 108 111 100
        111 112 104 104 100
        104 104 103 103 100
        103 104 103 103 100  # 104 to 108 was skipped on the way down
        103 104 103 103 100
    """
    )
    state: Any = new(fair_value_gap_dtype(4))
    for bar in candles(table):
        fair_value_gap_step(state, bar, 3, 0.5)
    assert (state.rising.held, state.falling.held) == (1, 1)
    [wide] = candles("103 106 102.5 104")
    assert fair_value_gap_step(state, wide, 3, 0.5) == 0
    assert state.confidence == 0.0
    assert state.falling.edge[0] == -106.0
    assert state.rising.edge[0] == 102.5


def test_no_gap_is_seen_across_an_unknown_candle() -> None:
    bars = candles(SKIPPED + "110 110 104 107 100")
    bars["close"][3] = NAN
    state: Any = new(fair_value_gap_dtype(4))
    assert [fair_value_gap_step(state, bar, 3, 0.5) for bar in bars] == [0] * 6
    assert state.rising.held == 0
