"""Limit entries that wait, chase and give up; volume that is not enough for what was asked."""

from __future__ import annotations

import pytest
from tests.desk import Ask, asked, candles, stream, trade
from tests.scenarios.scenario import Scenario

from tercel.core.codes import EntryTiming, IntrabarMode, OrderStatus, Side, Slot
from tercel.core.plan import TradePlan

LIMIT = TradePlan(entry="limit", entry_wait_bars=2, chase_max=0)
CHASED = TradePlan(entry="limit", entry_wait_bars=2, chase_max=1)
ONE_TENTH = {"participation_max": 0.1}
BREAK_EVEN = TradePlan(
    legs=((1.0, 0.5), (3.0, 0.5)), breakeven_after_leg=1, entry="limit", entry_wait_bars=9
)

LIMIT_ENTRIES = (
    Scenario(
        "a limit entry stands at the signal's close and fills once price trades through it",
        """
        100 100  100  100
        101 102  100  101    # a touch
        101 102   99.9 101
        101 121  101  120
        """,
        plan=LIMIT,
        entries=((2, 100.0, 1.0),),
        exits=((3, "target_1", 120.0, 1.0),),
    ),
    Scenario(
        "post-only does the same",
        """
        100 100  100  100
        101 102   99  101
        101 121  101  120
        """,
        plan=TradePlan(entry="post_only"),
        entries=((1, 100.0, 1.0),),
        exits=((2, "target_1", 120.0, 1.0),),
    ),
    Scenario(
        "nobody trades through it in two candles: given up",
        """
        100 100 100 100
        101 103 101 102
        102 104 102 103
        101 102  95 100
        """,
        plan=LIMIT,
        entries=(),
        refused={"no_liquidity": 1},
    ),
    Scenario(
        "chased once: it stands at the new close, and fills there",
        """
        100 100 100 100
        101 103 101 102
        102 104 102 103   # waited two candles: now at 103
        104 105 102 104
        104 124 104 123
        """,
        plan=CHASED,
        entries=((3, 103.0, 1.0),),
        exits=((4, "target_1", 123.0, 1.0),),
    ),
    Scenario(
        "chased once and then given up",
        """
        100 100 100 100
        101 103 101 102
        102 104 102 103
        104 105 104 105
        105 106 105 106
        105 105  90  91
        """,
        plan=CHASED,
        entries=(),
        refused={"no_liquidity": 1},
    ),
    Scenario(
        "every entry may be chased anew",
        """
        100 100 100 100
        101 103 101 102
        102 104 102 103   # chased to 103
        104 105 104 105
        104 104 104 100   # given up; the next signal, at 100
        101 103 101 102
        102 104 102 103   # chased to 103 again
        104 105 102 104
        """,
        plan=CHASED,
        asks={0: Ask(), 4: Ask()},
        entries=((7, 103.0, 1.0),),
        refused={"no_liquidity": 1},
    ),
    Scenario(
        "a working entry takes no second signal",
        """
        100 100 100 100
        101 103 101 102
        102 102  99 100
        """,
        plan=LIMIT,
        asks={0: Ask(), 1: Ask()},
        entries=((2, 100.0, 1.0),),
        refused={"position_open": 1},
    ),
    Scenario(
        "the candle that fills the entry may stop it out",
        """
        100 100 100 100
        101 102  89  91
        """,
        plan=LIMIT,
        entries=((1, 100.0, 1.0),),
        exits=((1, "stop", 90.0, 1.0),),
    ),
    Scenario(
        "its high may have come before the fill: no target in the same candle",
        """
        100 100 100 100
        101 125  99 101
        """,
        plan=LIMIT,
        entries=((1, 100.0, 1.0),),
    ),
    Scenario(
        "an optimist counts the high",
        """
        100 100 100 100
        101 125  99 101
        """,
        plan=LIMIT,
        settings={"intrabar": IntrabarMode.OPTIMISTIC},
        entries=((1, 100.0, 1.0),),
        exits=((1, "target_1", 120.0, 1.0),),
    ),
    Scenario(
        "nor does a high that may have come before the fill arm the trailing stop",
        """
        100 100 100 100
        101 115  99 101
        101 102  96  97
        """,
        plan=TradePlan(legs=(), trail_fraction=1.0, trail_offset_r=0.5, entry="limit"),
        entries=((1, 100.0, 1.0),),
    ),
    Scenario(
        "for an optimist it does",
        """
        100 100 100 100
        101 115  99 101
        112 112  96  97
        """,
        plan=TradePlan(legs=(), trail_fraction=1.0, trail_offset_r=0.5, entry="limit"),
        settings={"intrabar": IntrabarMode.OPTIMISTIC},
        entries=((1, 100.0, 1.0),),
        exits=((2, "trail", 110.0, 1.0),),
    ),
    Scenario(
        "price opens below a buy limit: filled at the limit",
        """
        100 100 100 100
         98  99  97  98
        """,
        plan=LIMIT,
        entries=((1, 100.0, 1.0),),
    ),
    Scenario(
        "price opens below a buy limit: filled at the open where allowed, its stop 10 below that",
        """
        100 100 100 100
         98  99  97  98
         98  98  87  88
        """,
        plan=LIMIT,
        settings={"limit_gap_at_open": True},
        entries=((1, 98.0, 1.0),),
        exits=((2, "stop", 88.0, 1.0),),
    ),
)

VOLUME = (
    Scenario(
        "a tenth of the volume is ours: the rest of a market entry is dropped, the stop fits",
        """
        100 100 100 100 4
        100 101  89  90
        """,
        settings=ONE_TENTH,
        entries=((0, 100.0, 0.4),),
        exits=((1, "stop", 90.0, 0.4),),
    ),
    Scenario(
        "the same at the next open",
        """
        100 100 100 100
        100 101  99 100 4
        100 121 100 120
        """,
        settings={**ONE_TENTH, "entry_timing": EntryTiming.NEXT_OPEN},
        entries=((1, 100.0, 0.4),),
        exits=((2, "target_1", 120.0, 0.4),),
    ),
    Scenario(
        "shares of the volume are whole lots",
        """
        100 100 100 100 0.0059
        """,
        settings={**ONE_TENTH, "lot_size": 0.0002},
        entries=((0, 100.0, 0.0004),),
    ),
    Scenario(
        "a stop that finds too little volume sells the rest at the next opens",
        """
        100 100 100 100
        100 101  89  90 3
         88  88  85  86 3
         87  87  84  85
        """,
        settings=ONE_TENTH,
        exits=((1, "stop", 90.0, 0.3), (2, "stop", 88.0, 0.3), (3, "stop", 87.0, 0.4)),
    ),
    Scenario(
        "a target that finds too little volume keeps resting",
        """
        100 100 100 100
        100 121 100 119 3
        119 121 118 120
        """,
        settings=ONE_TENTH,
        exits=((1, "target_1", 120.0, 0.3), (2, "target_1", 120.0, 0.7)),
    ),
    Scenario(
        "leaving at the close with too little volume: the rest at the next open",
        """
        100 100 100 100
        100 101  99 100 3
        101 102 100 101
        """,
        settings=ONE_TENTH,
        asks={0: Ask(), 1: Ask(Side.NONE, exit_long=True)},
        exits=((1, "signal", 100.0, 0.3), (2, "signal", 101.0, 0.7)),
    ),
    Scenario(
        "leaving is asked for once: a second call while the first is at work changes nothing",
        """
        100 100 100 100
        100 101  99 100 3
        101 102 100 101 3
        101 102 100 102
        """,
        asks={n: Ask(Side.NONE, exit_long=True) if n else Ask() for n in range(4)},
        settings=ONE_TENTH,
        exits=(
            (1, "signal", 100.0, 0.3),
            (2, "signal", 101.0, 0.3),
            (3, "signal", 101.0, 0.4),
        ),
    ),
    Scenario(
        "a trailing stop that finds too little volume",
        """
        100 100 100 100
        100 112 107 111
        111 111 106 107 3
        105 106 104 105
        """,
        plan=TradePlan(legs=(), trail_fraction=1.0, trail_offset_r=0.5),
        settings=ONE_TENTH,
        exits=((2, "trail", 107.0, 0.3), (3, "trail", 105.0, 0.7)),
    ),
    Scenario(
        "one candle's volume is shared by all that fills in it",
        """
        100 100 100 100
        100 121 100 100 4
        100 121 100 120
        """,
        plan=TradePlan(legs=((1.0, 0.3), (2.0, 0.7))),
        settings=ONE_TENTH,
        exits=(
            (1, "target_1", 110.0, 0.3),
            (1, "target_2", 120.0, 0.1),
            (2, "target_2", 120.0, 0.6),
        ),
    ),
    Scenario(
        "a candle without volume fills no entry",
        """
        100 100 100 100 0
        100 100 100 100 0
        """,
        settings=ONE_TENTH,
        entries=(),
        refused={"no_liquidity": 1},
    ),
    Scenario(
        "a candle without volume triggers a stop, which sells at the next open that has some",
        """
        100 100 100 100
        100 100  90  90 0
         89  89  89  89 0
         88  88  88  88
        """,
        settings=ONE_TENTH,
        exits=((3, "stop", 88.0, 1.0),),
    ),
    Scenario(
        "a candle without volume does not fill a target",
        """
        100 100 100 100
        100 125 100 100 0
        """,
        settings=ONE_TENTH,
    ),
    Scenario(
        "volume that is not known caps nothing",
        """
        100 100 100 100 nan
        100 121 100 120 nan
        """,
        settings=ONE_TENTH,
        exits=((1, "target_1", 120.0, 1.0),),
    ),
    Scenario(
        "a limit entry fills piece by piece; stop and target grow with it",
        """
        100 100 100 100
        101 102  99 101 4
        101 102  99 101 5
        101 121 101 120
        """,
        plan=LIMIT,
        settings=ONE_TENTH,
        entries=((1, 100.0, 0.4), (2, 100.0, 0.5)),
        exits=((3, "target_1", 120.0, 0.9),),
    ),
    Scenario(
        "once a leg is sold the rest of the entry is given up, and the stop stays at break-even",
        """
        100 100 100 100
        101 102  99 101 4     # 0.4 of 1.0
        101 111 101 105       # first leg; the stop stands at 100
        105 105  99.8 101     # through the entry price, which no order waits at any more
        """,
        plan=BREAK_EVEN,
        settings=ONE_TENTH,
        entries=((1, 100.0, 0.4),),
        exits=((2, "target_1", 110.0, 0.2), (3, "stop", 100.0, 0.2)),
    ),
    Scenario(
        "the strategy leaves while part of its entry still waits: that part is given up",
        """
        100 100 100 100
        101 102  99 101 4
        101 101  98 100
        """,
        plan=LIMIT,
        settings={**ONE_TENTH, "entry_timing": EntryTiming.NEXT_OPEN},
        asks={0: Ask(), 1: Ask(Side.NONE, exit_long=True)},
        entries=((1, 100.0, 0.4),),
        exits=((2, "signal", 101.0, 0.4),),
    ),
    Scenario(
        "a triggered stop ends the entry too, even where it found no volume",
        """
        100 100 100 100
        101 102  99 101 4
        100 100  90  90 0
        100 101  98  99
        """,
        plan=TradePlan(entry="limit", entry_wait_bars=9),
        settings=ONE_TENTH,
        entries=((1, 100.0, 0.4),),
        exits=((3, "stop", 100.0, 0.4),),
    ),
)

SIDES = pytest.mark.parametrize("side", [Side.LONG, Side.SHORT], ids=["long", "short"])


@SIDES
@pytest.mark.parametrize("scenario", LIMIT_ENTRIES, ids=lambda scenario: scenario.caption)
def test_limit_entries(scenario: Scenario, side: Side) -> None:
    scenario.check(side)


@SIDES
@pytest.mark.parametrize("scenario", VOLUME, ids=lambda scenario: scenario.caption)
def test_volume(scenario: Scenario, side: Side) -> None:
    scenario.check(side)


def test_a_chased_entry_averages_its_price() -> None:
    """0.5 at 100, then 0.5 at 104: entered at 102, its stop at 92."""
    table = """
        100 100  100 100
        100 101   99 103 5
        103 105  103 104
        104 105  103 104
    """
    plan = TradePlan(entry="limit", entry_wait_bars=2, chase_max=1)
    run = trade(stream(plan, participation_max=0.1), candles(table), asked(4, {0: Ask()}))
    assert run.entries == [(1, 100.0, 0.5), (3, 104.0, 0.5)]
    assert run.resting(Slot.STOP) == (92.0, 1.0)
    assert run.resting(Slot.TARGET_1) == (122.0, 1.0)


def test_an_entry_still_at_work_when_the_data_ends_is_counted() -> None:
    bars = candles("100 100 100 100\n101 102 101 102")
    run = trade(stream(LIMIT), bars, asked(2, {0: Ask()}), finish=True)
    assert run.refusals() == {"no_liquidity": 1}
    assert run.account["open_positions"] == 0
    assert run.streams[0]["orders"][Slot.ENTRY]["status"] == OrderStatus.EMPTY


def test_what_is_open_when_the_data_ends_is_closed_at_its_last_price() -> None:
    """Whatever the volume: nobody would want to be told of a profit that could not be taken."""
    bars = candles("100 100 100 100\n101 105 100 104 0")
    run = trade(stream(participation_max=0.1), bars, asked(2, {0: Ask()}), finish=True)
    assert run.exits == [(1, "end_of_data", 104.0, 1.0)]
    assert run.account["cash_quote"] == run.account["equity_quote"] == 10_004.0
