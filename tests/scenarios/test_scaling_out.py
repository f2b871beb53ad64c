"""Legs, trailing stops, break-even: how an open trade is managed from candle to candle."""

from __future__ import annotations

import pytest
from tests.desk import THREE_R, Ask, asked, candles, mirrored, stream, trade
from tests.scenarios.scenario import Scenario

from tercel.core.codes import IntrabarMode, OrderKind, Side, Slot
from tercel.core.plan import TradePlan

TRAIL_ALL = TradePlan(legs=(), trail_fraction=1.0, trail_arm_r=1.0, trail_offset_r=0.5)
TRAIL_ATR = TradePlan(legs=(), trail_fraction=1.0, trail_arm_r=1.0, trail_offset_atr=2.0)
QUIET = Side.NONE
ARMED = """
    100 100 100 100
    100 111 107 108   # +1.1 R: the trailing stop stands at 106
    108 131 105 109   # 2R, 3R and the trailing stop
"""

SCENARIOS = (
    Scenario(
        "half at 2R, a quarter at 3R, a quarter trails half an R behind the best price",
        """
        100 100 100 100
        100 121 100 120   # 2R; best 121: trailing stop at 116
        120 131 119 130   # 3R; best 131: trailing stop at 126
        130 130 125 126
        """,
        plan=THREE_R,
        exits=(
            (1, "target_1", 120.0, 0.5),
            (2, "target_2", 130.0, 0.25),
            (3, "trail", 126.0, 0.25),
        ),
    ),
    Scenario(
        "everything in one candle: the stop takes it all",
        """
        100 100 100 100
        100 131  89 100
        """,
        plan=THREE_R,
        exits=((1, "stop", 90.0, 1.0),),
    ),
    Scenario(
        "targets and trailing stop in one candle, stop first: 2R, 3R, then the trailing stop",
        ARMED,
        plan=THREE_R,
        exits=(
            (2, "target_1", 120.0, 0.5),
            (2, "target_2", 130.0, 0.25),
            (2, "trail", 106.0, 0.25),
        ),
    ),
    Scenario(
        "the same by the path of a rising candle: its low, with the trailing stop, came first",
        ARMED,
        plan=THREE_R,
        settings={"intrabar": IntrabarMode.OHLC_PATH},
        exits=(
            (2, "trail", 106.0, 0.25),
            (2, "target_1", 120.0, 0.5),
            (2, "target_2", 130.0, 0.25),
        ),
    ),
    Scenario(
        "half at 2R, then the stop for the rest",
        """
        100 100 100 100
        100 121 100 101
        101 101  89  90
        """,
        plan=TradePlan(legs=((2.0, 0.5), (3.0, 0.5))),
        exits=((1, "target_1", 120.0, 0.5), (2, "stop", 90.0, 0.5)),
    ),
    Scenario(
        "the trailing stop is not there before price was 1 R in favour",
        """
        100 100   100 100
        100 109.9 100 105
        105 105    91 100
        """,
        plan=TRAIL_ALL,
    ),
    Scenario(
        "exactly 1 R arms the trailing stop, half an R behind",
        """
        100 100 100 100
        100 110 100 108
        108 108 104 105
        """,
        plan=TRAIL_ALL,
        exits=((2, "trail", 105.0, 1.0),),
    ),
    Scenario(
        "the trailing stop is set at a close: the candle that armed it cannot hit it",
        """
        100 100 100 100
        100 112 101 111
        111 112 110 111
        """,
        plan=TRAIL_ALL,
    ),
    Scenario(
        "a spike that ends far below its trailing stop is sold at the next open",
        """
        100 100 100 100
        100 140 100 101   # best 140: the trailing stop stands at 135, price at 101
        102 103 101 102
        """,
        plan=TRAIL_ALL,
        exits=((2, "trail", 102.0, 1.0),),
    ),
    Scenario(
        "trailing by 2 ATR; an ATR that grows does not loosen the stop",
        """
        100 100 100 100
        100 115 100 114   # best 115, ATR 3: 109
        114 114 110 112   # ATR 10 would put it at 95
        112 112 108 110
        """,
        plan=TRAIL_ATR,
        asks={0: Ask(), 1: Ask(QUIET, atr=3.0), 2: Ask(QUIET, atr=10.0), 3: Ask(QUIET, atr=10.0)},
        exits=((3, "trail", 109.0, 1.0),),
    ),
    Scenario(
        "trailing by an ATR nobody knows: the stop alone protects",
        """
        100 100 100 100
        100 115 100 114
        114 114 100 101
        """,
        plan=TRAIL_ATR,
    ),
    Scenario(
        "after the first leg the stop stands at the entry",
        """
        100 100 100 100
        101 111 101 108
        108 108  99 100
        """,
        plan=TradePlan(legs=((1.0, 0.5), (3.0, 0.5)), breakeven_after_leg=1),
        exits=((1, "target_1", 110.0, 0.5), (2, "stop", 100.0, 0.5)),
    ),
    Scenario(
        "after the second leg the stop stands at the first target",
        """
        100 100 100 100
        100 121 100 118
        118 118 109 110
        """,
        plan=TradePlan(legs=((1.0, 0.4), (2.0, 0.3), (4.0, 0.3)), stop_follows_legs=True),
        settings={"intrabar": IntrabarMode.OPTIMISTIC},
        exits=(
            (1, "target_1", 110.0, 0.4),
            (1, "target_2", 120.0, 0.3),
            (2, "stop", 110.0, 0.3),
        ),
    ),
    Scenario(
        "stop first: price is assumed to come back to a stop that has just moved",
        """
        100 100 100 100
        100 121 100 118   # both legs; the stop moves to 110, and the low may have come after
        """,
        plan=TradePlan(legs=((1.0, 0.4), (2.0, 0.3), (4.0, 0.3)), stop_follows_legs=True),
        exits=(
            (1, "target_1", 110.0, 0.4),
            (1, "target_2", 120.0, 0.3),
            (1, "stop", 110.0, 0.3),
        ),
    ),
    Scenario(
        "on the path low, high, close: a close beyond the stop that moved met it on the way",
        """
        100 100 100 100
        100 121  99 105   # a rising candle; the stop moves to 110, the close is 105
        """,
        plan=TradePlan(legs=((1.0, 0.4), (2.0, 0.3), (4.0, 0.3)), stop_follows_legs=True),
        settings={"intrabar": IntrabarMode.OHLC_PATH},
        exits=(
            (1, "target_1", 110.0, 0.4),
            (1, "target_2", 120.0, 0.3),
            (1, "stop", 110.0, 0.3),
        ),
    ),
    Scenario(
        "on the path high, low, close: price comes back through the stop that moved",
        """
        100 100 100 100
        104 111  99 103   # a falling candle
        """,
        plan=TradePlan(legs=((1.0, 0.5), (3.0, 0.5)), breakeven_after_leg=1),
        settings={"intrabar": IntrabarMode.OHLC_PATH},
        exits=((1, "target_1", 110.0, 0.5), (1, "stop", 100.0, 0.5)),
    ),
    Scenario(
        "optimistic: a stop that has just moved is met only by a close beyond it",
        """
        100 100 100 100
        100 111  99 101
        101 112 101 112
        """,
        plan=TradePlan(legs=((1.0, 0.5), (1.2, 0.5)), breakeven_after_leg=1),
        settings={"intrabar": IntrabarMode.OPTIMISTIC, "limit_through_ticks": 0.0},
        exits=((1, "target_1", 110.0, 0.5), (2, "target_2", 112.0, 0.5)),
    ),
    Scenario(
        "a stop that moved inside a candle fills where it then stood, not at the open below it",
        """
        100 100 100 100
         99 111  99  99   # up to the first leg, the stop to 100, and back through it
        """,
        plan=TradePlan(legs=((1.0, 0.5), (3.0, 0.5)), breakeven_after_leg=1),
        settings={"intrabar": IntrabarMode.OPTIMISTIC},
        exits=((1, "target_1", 110.0, 0.5), (1, "stop", 100.0, 0.5)),
    ),
    Scenario(
        "four legs, the last takes what is left",
        """
        100 100 100 100
        100 141 100 140
        """,
        plan=TradePlan(legs=((1.0, 0.3), (2.0, 0.3), (3.0, 0.3), (4.0, 0.1))),
        exits=(
            (1, "target_1", 110.0, 0.3),
            (1, "target_2", 120.0, 0.3),
            (1, "target_3", 130.0, 0.3),
            (1, "target_4", 140.0, 0.1),
        ),
    ),
    Scenario(
        "five lots in legs of 50 % and 25 %: two, one, and two for the trailing stop",
        """
        100 100 100 100
        100 131 100 130   # best 131: trailing stop at 126
        130 130 125 126
        """,
        plan=THREE_R,
        settings={"quantity": 0.005},
        entries=((0, 100.0, 0.005),),
        exits=(
            (1, "target_1", 120.0, 0.002),
            (1, "target_2", 130.0, 0.001),
            (2, "trail", 126.0, 0.002),
        ),
    ),
    Scenario(
        "a single lot cannot be split: it trails",
        """
        100 100 100 100
        100 131 100 130
        130 130 125 126
        """,
        plan=THREE_R,
        settings={"quantity": 0.001},
        entries=((0, 100.0, 0.001),),
        exits=((2, "trail", 126.0, 0.001),),
    ),
    Scenario(
        "a single lot without a trailing share goes with the last leg",
        """
        100 100 100 100
        100 131 100 130
        """,
        plan=TradePlan(legs=((2.0, 0.5), (3.0, 0.5))),
        settings={"quantity": 0.001},
        entries=((0, 100.0, 0.001),),
        exits=((1, "target_2", 130.0, 0.001),),
    ),
    Scenario(
        "without a lot size any fraction is traded",
        """
        100 100 100 100
        100 131 100 130
        """,
        plan=TradePlan(legs=((2.0, 0.5), (3.0, 0.5))),
        settings={"quantity": 0.0015, "lot_size": 0.0},
        entries=((0, 100.0, 0.0015),),
        exits=((1, "target_1", 120.0, 0.00075), (1, "target_2", 130.0, 0.00075)),
    ),
)


BOTH_SIDES = pytest.mark.parametrize("side", [Side.LONG, Side.SHORT], ids=["long", "short"])


@BOTH_SIDES
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.caption)
def test_scaling_out(scenario: Scenario, side: Side) -> None:
    scenario.check(side)


def test_orders_at_rest_after_each_candle() -> None:
    """What would stand at the venue while three_r's trade goes its way."""
    table = """
        100 100 100 100
        100 112 107 111
        111 121 108 110
    """
    after = [
        trade(stream(THREE_R), bars, asked(len(bars), {0: Ask()}))
        for bars in (candles(table)[: n + 1] for n in range(3))
    ]
    assert [o.resting(Slot.STOP) for o in after] == [(90.0, 1.0), (90.0, 1.0), (90.0, 0.5)]
    assert [o.resting(Slot.TARGET_1) for o in after] == [(120.0, 0.5), (120.0, 0.5), None]
    assert [o.resting(Slot.TARGET_2) for o in after] == [(130.0, 0.25)] * 3
    assert [o.resting(Slot.TRAIL) for o in after] == [None, (107.0, 0.25), (116.0, 0.25)]


def test_what_rests_says_what_kind_it_is() -> None:
    """A live venue is sent these: stops on the other side, targets as limits."""
    bars = candles("100 100 100 100\n100 112 107 111")
    orders = trade(stream(THREE_R), bars, asked(2, {0: Ask()})).streams[0]["orders"]
    for slot in (Slot.STOP, Slot.TRAIL):
        assert (orders[slot]["kind"], orders[slot]["side"]) == (OrderKind.STOP, Side.SHORT)
    for slot in (Slot.TARGET_1, Slot.TARGET_2):
        assert (orders[slot]["kind"], orders[slot]["side"]) == (OrderKind.LIMIT, Side.SHORT)


@BOTH_SIDES
def test_the_trade_tells_how_far_it_went(side: Side) -> None:
    """Best 115 and worst 94, while 10 is 1 R; then the strategy leaves at 100."""
    bars = candles("100 100 100 100\n100 115 94 100\n100 101 99 100")
    asks = {0: Ask(score=70.0), 2: Ask(QUIET, exit_long=True)}
    if side == Side.SHORT:
        bars, asks = mirrored(bars), {at: ask.mirror for at, ask in asks.items()}
    (made,) = trade(stream(quantity=2.0), bars, asked(3, asks)).trades
    assert made["favourable_r"] == pytest.approx(1.5)
    assert made["adverse_r"] == pytest.approx(-0.6)
    assert (made["risk_quote"], made["score"], made["reason"]) == (20.0, 70.0, 1)
    assert (made["gross_quote"], made["net_quote"]) == (0.0, 0.0)


def test_an_exit_counts_as_far_as_price_went() -> None:
    """Stopped in the first candle: -1 R was seen. Taken at 2R in the first candle: so was that."""
    signals = asked(2, {0: Ask()})
    (stopped,) = trade(stream(), candles("100 100 100 100\n100 100 89 90"), signals).trades
    (taken,) = trade(stream(), candles("100 100 100 100\n100 125 100 121"), signals).trades
    assert (stopped["favourable_r"], stopped["adverse_r"]) == (0.0, pytest.approx(-1.0))
    assert (taken["favourable_r"], taken["adverse_r"]) == (pytest.approx(2.0), 0.0)


def test_a_trade_knows_nothing_of_the_one_before() -> None:
    """The first went through both its legs; the second was stopped with none."""
    bars = candles("100 100 100 100\n100 121 100 120\n120 121 109 110")
    plan = TradePlan(legs=((1.0, 0.5), (2.0, 0.5)), breakeven_after_leg=1)
    first, second = trade(stream(plan), bars, asked(3, {0: Ask(), 1: Ask()})).trades
    assert (first["legs_filled"], second["legs_filled"]) == (2, 0)
    assert (first["net_quote"], second["net_quote"]) == (15.0, -10.0)
    assert second["exit_price"] == 110.0
