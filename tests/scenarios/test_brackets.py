"""A stop and a target: where each fills, and which one counts when a bar reaches both."""

from __future__ import annotations

import pytest
from tests.desk import Ask
from tests.scenarios.scenario import Scenario

from tercel.core.codes import EntryTiming, IntrabarMode, Side
from tercel.core.plan import TradePlan

STOP_FIRST, OHLC_PATH, OPTIMISTIC = IntrabarMode
RISING = """
    100 100 100 100
    100 121  89 105
"""
FALLING = """
    100 100 100 100
    100 121  89  95
"""

SCENARIOS = (
    Scenario(
        "entry at the close of the signal's candle; the target is a limit at 2R",
        """
        100 100 100 100
        100 104  96 102
        102 121 101 118
        """,
        exits=((2, "target_1", 120.0, 1.0),),
    ),
    Scenario(
        "entry at the next open: stop and target are measured from there",
        """
        100 100 100 100
        103 104 102 103
        103 103  92  95
        """,
        settings={"entry_timing": EntryTiming.NEXT_OPEN},
        entries=((1, 103.0, 1.0),),
        exits=((2, "stop", 93.0, 1.0),),
    ),
    Scenario(
        "entry at the next open, stopped out in that same candle",
        """
        100 100 100 100
        100 101  90  92
        """,
        settings={"entry_timing": EntryTiming.NEXT_OPEN},
        entries=((1, 100.0, 1.0),),
        exits=((1, "stop", 90.0, 1.0),),
    ),
    Scenario(
        "a stop fills at its price when price comes to it",
        """
        100 100 100 100
        100 101  90  95   # touching is enough
        """,
        exits=((1, "stop", 90.0, 1.0),),
    ),
    Scenario(
        "a candle that opens beyond the stop fills it at the open",
        """
        100 100 100 100
         85  88  84  86
        """,
        exits=((1, "stop", 85.0, 1.0),),
    ),
    Scenario(
        "a target that is only touched does not fill",
        """
        100 100 100 100
        100 120 100 110
        """,
    ),
    Scenario(
        "a target fills once price trades one tick through it",
        """
        100 100   100 100
        100 120.1 100 110
        """,
        exits=((1, "target_1", 120.0, 1.0),),
    ),
    Scenario(
        "a touched target fills when the user says that touching is enough",
        """
        100 100 100 100
        100 120 100 110
        """,
        settings={"limit_fill_probability": 1.0},
        exits=((1, "target_1", 120.0, 1.0),),
    ),
    Scenario(
        "a touched target fills when no tick through is asked for",
        """
        100 100 100 100
        100 120 100 110
        """,
        settings={"limit_through_ticks": 0.0},
        exits=((1, "target_1", 120.0, 1.0),),
    ),
    Scenario(
        "a candle that opens beyond the target fills it at the target",
        """
        100 100 100 100
        125 126 124 125
        """,
        exits=((1, "target_1", 120.0, 1.0),),
    ),
    Scenario(
        "a candle that opens beyond the target fills it at the open, where the user allows it",
        """
        100 100 100 100
        125 126 124 125
        """,
        settings={"limit_gap_at_open": True},
        exits=((1, "target_1", 125.0, 1.0),),
    ),
    Scenario(
        "both in one candle, stop first: the stop",
        RISING,
        settings={"intrabar": STOP_FIRST},
        exits=((1, "stop", 90.0, 1.0),),
    ),
    Scenario(
        "both in one rising candle, by its path: the low came first, the stop",
        RISING,
        settings={"intrabar": OHLC_PATH},
        exits=((1, "stop", 90.0, 1.0),),
    ),
    Scenario(
        "both in one falling candle, by its path: the high came first, the target",
        FALLING,
        settings={"intrabar": OHLC_PATH},
        exits=((1, "target_1", 120.0, 1.0),),
    ),
    Scenario(
        "both in one candle, optimistic: the target",
        RISING,
        settings={"intrabar": OPTIMISTIC},
        exits=((1, "target_1", 120.0, 1.0),),
    ),
    Scenario(
        "the signal's own target distance goes before the plan's 2R",
        """
        100 100 100 100
        100 116 100 110
        """,
        asks={0: Ask(target=15.0)},
        exits=((1, "target_1", 115.0, 1.0),),
    ),
    Scenario(
        "time is up at the close of the candle in which the position gets two minutes old",
        """
        100 100 100 100
        100 101  99 100
        100 101  99 101
        """,
        plan=TradePlan(hold_minutes_max=2.0),
        exits=((2, "time", 101.0, 1.0),),
    ),
    Scenario(
        "time is up, and market orders meet the next open",
        """
        100 100 100 100
        100 101  99 100
        103 104 102 103
        105 106 104 105
        """,
        plan=TradePlan(hold_minutes_max=1.0),
        settings={"entry_timing": EntryTiming.NEXT_OPEN},
        entries=((1, 100.0, 1.0),),
        exits=((3, "time", 105.0, 1.0),),
    ),
    Scenario(
        "the strategy leaves: at the close of the candle where it says so",
        """
        100 100 100 100
        100 101  99 100
        100 104  99 103
        """,
        asks={0: Ask(), 2: Ask(side=Side.NONE, exit_long=True)},
        exits=((2, "signal", 103.0, 1.0),),
    ),
    Scenario(
        "the strategy leaves at the next open",
        """
        100 100 100 100
        100 101  99 100
        100 104  99 103
        104 105 103 104
        """,
        settings={"entry_timing": EntryTiming.NEXT_OPEN},
        asks={0: Ask(), 2: Ask(side=Side.NONE, exit_long=True)},
        entries=((1, 100.0, 1.0),),
        exits=((3, "signal", 104.0, 1.0),),
    ),
    Scenario(
        "a call to leave the other side changes nothing",
        """
        100 100 100 100
        100 101  99 100
        100 104  99 103
        """,
        asks={0: Ask(), 1: Ask(side=Side.NONE, exit_short=True)},
    ),
    Scenario(
        "one position at a time: a second signal is refused",
        """
        100 100 100 100
        100 101  99 100
        100 101  99 100
        """,
        asks={0: Ask(), 1: Ask(), 2: Ask(side=Side.SHORT)},
        refused={"position_open": 2},
    ),
    Scenario(
        "flat again: the signal of the stop's own candle is traded at its close",
        """
        100 100 100 100
        100 101  89 100
        100 121 100 120
        """,
        asks={0: Ask(), 1: Ask()},
        entries=((0, 100.0, 1.0), (1, 100.0, 1.0)),
        exits=((1, "stop", 90.0, 1.0), (2, "target_1", 120.0, 1.0)),
    ),
)


@pytest.mark.parametrize("side", [Side.LONG, Side.SHORT], ids=["long", "short"])
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.caption)
def test_brackets(scenario: Scenario, side: Side) -> None:
    scenario.check(side)
