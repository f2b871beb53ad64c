"""Patterns as a trader draws them: candles, and at which of them what is seen, how surely.

Each table is `open high low close volume`. It is played as written for a long, and upside down
around 100 for a short. Levels and average volumes are of the 3 candles before; confidence is
40 + 20 for each of the three shares that the pattern's docstring names.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from tests.desk import NAN, candles, mirrored

from tercel.core.codes import Side
from tercel.core.indicators.fair_value_gap import fair_value_gap_dtype, fair_value_gap_step
from tercel.core.indicators.patterns import (
    breakout_dtype,
    breakout_step,
    close_position,
    ema_bounce_dtype,
    ema_bounce_step,
    fakeout_dtype,
    fakeout_step,
    ignition_dtype,
    ignition_step,
    share,
    volume_ratio_step,
    vwap_reclaim_dtype,
    vwap_reclaim_step,
)
from tercel.core.indicators.sma import sma_dtype
from tercel.core.jit import new
from tercel.core.records import Records

Step = Callable[[Any, Any, int], int]
Seen = tuple[int, int, float]
"""Candle number, direction as it is in the table, confidence."""


def breakout(s: Any, bar: Any, side: int) -> int:
    return breakout_step(s, bar, 3, 3, 2.0)


def fakeout(s: Any, bar: Any, side: int) -> int:
    return fakeout_step(s, bar, 3, 3, 2.0)


def bounce(s: Any, bar: Any, side: int) -> int:
    return ema_bounce_step(s, bar, side, 3, 3)


def bounce_without_trend(s: Any, bar: Any, side: int) -> int:
    return ema_bounce_step(s, bar, 0, 3, 3)


def bounce_against_trend(s: Any, bar: Any, side: int) -> int:
    return ema_bounce_step(s, bar, -side, 3, 3)


def reclaim(s: Any, bar: Any, side: int) -> int:
    """The VWAP stays at 100."""
    return vwap_reclaim_step(s, bar, 100.0, 3, 1.0)


def ignition(s: Any, bar: Any, side: int) -> int:
    return ignition_step(s, bar, 3, 3)


def gap(s: Any, bar: Any, side: int) -> int:
    return fair_value_gap_step(s, bar, 3, 0.5)


STATES: dict[Step, Any] = {
    breakout: breakout_dtype(4, 4),
    fakeout: fakeout_dtype(4, 4),
    bounce: ema_bounce_dtype(4),
    bounce_without_trend: ema_bounce_dtype(4),
    bounce_against_trend: ema_bounce_dtype(4),
    reclaim: vwap_reclaim_dtype(4),
    ignition: ignition_dtype(4),
    gap: fair_value_gap_dtype(4),
}


def play(step: Step, bars: Records, side: int) -> list[Seen]:
    """What `step` says at each bar, but for those where it sees nothing."""
    state: Any = new(STATES[step])
    seen = []
    for number, bar in enumerate(bars):
        direction = step(state, bar, side)
        assert state.detected == direction
        if direction:
            seen.append((number, direction * side, round(float(state.confidence), 9)))
        else:
            assert not state.confidence > 0.0
    return seen


@dataclass(frozen=True, slots=True)
class Drawing:
    """One caption, one pattern, one candle table, and what must be seen in it."""

    caption: str
    step: Step
    table: str
    seen: tuple[Seen, ...] = ()


RANGE = """
    100 102  98 100  100
    100 102  98 100  100
    100 102  98 100  100
"""
"""A range of 98 to 102 on a volume of 100."""

UP = """
    100 106  99 105  100
    105 107 103 106  100
    106 108 104 107  100
"""
"""Three closes whose EMA of 3 is 106; the next one counts half."""

BELOW_VWAP = """
    101 102 100 101  100
    101 101  97  98  100
     98  99  96  97  100
"""
"""Two closes below a VWAP of 100, at worst 4 below it."""

SKIPPED = """
    100 102  98 100  100
    100 102  98 100  100
    100 102  98 100  100
    100 109 100 108  100
    108 112 106 110  100  # 102 to 106 was skipped: as high as the mean range of 98-102 and 100-109
"""
"""A gap from 102 to 106; the mean range before it is (4 + 4 + 9) / 3 = 5.667, so a = 12 / 17."""

GAP_POINTS = 20.0 * 12.0 / 17.0

DRAWINGS = (
    Drawing(
        "a breakout on four times the volume, a tenth of the range beyond it, closed at its high",
        breakout,
        RANGE + "101 102.4 101 102.4 400",
        ((3, 1, 100.0),),
    ),
    Drawing(
        "a breakout on three times the volume, a twentieth beyond, in the middle of the candle",
        breakout,
        RANGE + "101 103.4 101 102.2 300",
        ((3, 1, 40.0 + 20.0 * (0.5 + 0.5 + 0.5)),),
    ),
    Drawing(
        "no breakout: twice the volume is not more than twice",
        breakout,
        RANGE + "101 103 101 103 200",
    ),
    Drawing(
        "no breakout: closed right at the level",
        breakout,
        RANGE + "101 103 101 102 400",
    ),
    Drawing(
        "no breakout: only three candles are known, a level needs four",
        breakout,
        "100 102 98 100 100\n 100 102 98 100 100\n 101 103 101 103 400",
    ),
    Drawing(
        "the level moves with the candles: the old high no longer counts",
        breakout,
        "100 110 98 100 100" + RANGE + "101 102.4 101 102.4 400",
        ((4, 1, 100.0),),
    ),
    Drawing(
        "a liquidity grab below the range: twice the volume, all wick, deep back inside",
        fakeout,
        RANGE + "100 100 96 100 200",
        ((3, 1, 100.0),),
    ),
    Drawing(
        "volume half above average, three quarters of the candle wick, half the way back inside",
        fakeout,
        RANGE + "102 102 94 100 150",
        ((3, 1, 40.0 + 20.0 * (0.5 + 6.0 / 8.0 + 0.5)),),
    ),
    Drawing(
        "a grab above the range is a reason to be short; without volume it counts less",
        fakeout,
        RANGE + "100 104 100 100 100",
        ((3, -1, 80.0),),
    ),
    Drawing(
        "no fakeout: the low is touched, not pierced",
        fakeout,
        RANGE + "100 100 98 100 200",
    ),
    Drawing(
        "no fakeout: the close stays outside",
        fakeout,
        RANGE + "100 100 96 97.9 200",
    ),
    Drawing(
        "closed right at the level is back inside, but not quickly rejected",
        fakeout,
        RANGE + "98 98 96 98 200",
        ((3, 1, 80.0),),
    ),
    Drawing(
        "no fakeout: both levels are pierced",
        fakeout,
        RANGE + "100 103 97 100 200",
    ),
    Drawing(
        "a bounce: the wick reaches 106.5, the EMA of 106 and 107 after this close, and no further",
        bounce,
        UP + "107 107 106.5 107 200",
        ((3, 1, 100.0),),
    ),
    Drawing(
        "half the wick went through the EMA, half the candle is wick, volume half above average",
        bounce,
        UP + "107 108 106 107 150",
        ((3, 1, 40.0 + 20.0 * (0.5 + 0.5 + 0.5)),),
    ),
    Drawing(
        "no bounce: the wick ends above the EMA",
        bounce,
        UP + "107 107 106.6 107 200",
    ),
    Drawing(
        "no bounce: the close is below the EMA (105.5 after it)",
        bounce,
        UP + "107 107 105 105 200",
    ),
    Drawing(
        "no bounce: it opened below the EMA, so the body did not stay above",
        bounce,
        UP + "106 107 106 107 200",
    ),
    Drawing(
        "no bounce: the body rests right on the EMA of 106.5",
        bounce,
        UP + "106.5 107 106 107 200",
    ),
    Drawing(
        "no bounce: the volume does not rise",
        bounce,
        UP + "107 107 106.5 107 100",
    ),
    Drawing(
        "no bounce without a trend",
        bounce_without_trend,
        UP + "107 107 106.5 107 200",
    ),
    Drawing(
        "no bounce against the trend",
        bounce_against_trend,
        UP + "107 107 106.5 107 200",
    ),
    Drawing(
        "the VWAP reclaimed on twice the volume, as far above as it had been below, at the high",
        reclaim,
        BELOW_VWAP + "98 104 98 104 200",
        ((3, 1, 100.0),),
    ),
    Drawing(
        "reclaimed on half more volume, a quarter of the way up, in the middle of the candle",
        reclaim,
        BELOW_VWAP + "98 104 98 101 150",
        ((3, 1, 40.0 + 20.0 * (0.5 + 0.25 + 0.5)),),
    ),
    Drawing(
        "the candle's own low counts for how far below it was",
        reclaim,
        BELOW_VWAP + "98 104 92 104 200",
        ((3, 1, 40.0 + 20.0 * (1.0 + 0.5 + 1.0)),),
    ),
    Drawing(
        "not reclaimed: closed right on the VWAP; the next candle does it",
        reclaim,
        BELOW_VWAP + "98 101 98 100 200\n" + "100 104 100 104 1000",
        ((4, 1, 100.0),),
    ),
    Drawing(
        "not reclaimed: average volume is not more than average, and later volume is too late",
        reclaim,
        BELOW_VWAP + "98 104 98 104 100\n" + "104 106 104 106 400",
    ),
    Drawing(
        "nothing to reclaim: a wick below the VWAP, no close",
        reclaim,
        RANGE.replace("98 100 ", "98 101 ") + "101 104 96 104 400",
    ),
    Drawing(
        "three rising candles on rising volume, all body: seen at the third, and at the fourth",
        ignition,
        """
        101 102  99 100  100
        100 102 100 102  100
        102 104 102 104  200
        104 106 104 106  400  # 3 times the average of 100, 100 and 200
        106 108 106 108  500
        """,
        ((3, 1, 100.0), (4, 1, round(40.0 + 20.0 * (0.5 * (1500.0 / 700.0 - 1.0) + 2.0), 9))),
    ),
    Drawing(
        "a third candle that closes in its middle, with half a body",
        ignition,
        """
        101 102  99 100  100
        100 102 100 102  100
        102 104 102 104  200
        103 107 103 105  400
        """,
        ((3, 1, 40.0 + 20.0 * (1.0 + (1.0 + 1.0 + 0.5) / 3.0 + 0.5)),),
    ),
    Drawing(
        "no ignition: the third candle has the same low",
        ignition,
        "101 102 99 100 100\n100 102 100 102 100\n102 104 102 104 200\n104 106 102 106 400",
    ),
    Drawing(
        "no ignition: the third candle has the same high",
        ignition,
        "101 102 99 100 100\n100 102 100 102 100\n102 104 102 103 200\n103 104 103 104 400",
    ),
    Drawing(
        "no ignition: the third candle has the same volume",
        ignition,
        "101 102 99 100 100\n100 102 100 102 100\n102 104 102 104 200\n104 106 104 106 200",
    ),
    Drawing(
        "no ignition: a doji in between",
        ignition,
        "101 102 99 100 100\n100 102 100 102 100\n103 104 102 103 200\n104 106 104 106 400",
    ),
    Drawing(
        "back to the middle of the gap, closed above it",
        gap,
        SKIPPED + "110 110 104 107 100",
        ((5, 1, round(40.0 + GAP_POINTS + 40.0, 9)),),
    ),
    Drawing(
        "back into the gap, closed in its middle; then deeper, when only half of it is left",
        gap,
        SKIPPED + "110 110 104 104 100\n104 104 103 103 100",
        (
            (5, 1, round(40.0 + GAP_POINTS + 20.0 * (1.0 + 0.5), 9)),
            (6, 1, round(40.0 + GAP_POINTS + 20.0 * (0.5 + 0.25), 9)),
        ),
    ),
    Drawing(
        "what has been traded is no longer gap: the same low again says nothing",
        gap,
        SKIPPED + "110 110 104 107 100\n107 108 104 106 100",
        ((5, 1, round(40.0 + GAP_POINTS + 40.0, 9)),),
    ),
    Drawing(
        "the near side is touched, not entered",
        gap,
        SKIPPED + "110 110 106 107 100",
    ),
    Drawing(
        "a gap that is filled at once says nothing, and is gone",
        gap,
        SKIPPED + "110 110 102 107 100\n107 107 104 106 100",
    ),
    Drawing(
        "no gap: the low meets the high of two candles ago",
        gap,
        SKIPPED.replace("108 112 106", "108 112 102") + "110 110 101 107 100",
    ),
    Drawing(
        "a gap just large enough: 3 where half the mean range is 2.833",
        gap,
        SKIPPED.replace("108 112 106", "108 112 105") + "110 110 103 107 100",
        ((5, 1, 40.0 + 20.0 * (9.0 / 17.0 + 1.0 + 1.0)),),
    ),
    Drawing(
        "too small a gap: 2 where half the mean range is 2.833",
        gap,
        SKIPPED.replace("108 112 106", "108 112 104") + "110 110 103 107 100",
    ),
)


@pytest.mark.parametrize("side", [Side.LONG, Side.SHORT], ids=lambda side: side.name.lower())
@pytest.mark.parametrize("drawing", DRAWINGS, ids=lambda drawing: drawing.caption)
def test_patterns(drawing: Drawing, side: Side) -> None:
    bars = candles(drawing.table)
    if side == Side.SHORT:
        bars = mirrored(bars)
    seen = play(drawing.step, bars, int(side))
    assert [row[:2] for row in seen] == [row[:2] for row in drawing.seen]
    assert [row[2] for row in seen] == pytest.approx([row[2] for row in drawing.seen])


@pytest.mark.parametrize("field", ["open", "high", "low", "close", "volume"])
@pytest.mark.parametrize("value", [NAN, float("inf"), -float("inf")])
@pytest.mark.parametrize("drawing", [d for d in DRAWINGS if d.seen], ids=lambda d: d.caption)
def test_an_unknown_number_detects_nothing(drawing: Drawing, field: str, value: float) -> None:
    """In the very candle that shows the pattern; a gap needs neither open nor volume."""
    bars = candles(drawing.table)
    [first, *_] = drawing.seen
    bars[first[0]][field] = value
    seen = play(drawing.step, bars, 1)
    if drawing.step is gap and field in ("open", "volume"):
        assert seen[0][0] == first[0]
    else:
        assert first[0] not in [number for number, *_ in seen]


def test_an_unknown_vwap_begins_anew() -> None:
    """Where the last close stood is not known: the crossing after it is not one."""
    bars = candles(BELOW_VWAP + "98 99 96 97 100\n98 104 98 104 200")
    vwaps = [100.0, 100.0, 100.0, NAN, 100.0]
    state: Any = new(vwap_reclaim_dtype(4))
    seen = [vwap_reclaim_step(state, bar, v, 3, 1.0) for bar, v in zip(bars, vwaps, strict=True)]
    assert seen == [0, 0, 0, 0, 0]
    assert state.side == 1


def test_the_run_of_an_ignition_is_told_with_its_sign() -> None:
    table = "100 101 99 100 100\n100 102 100 102 100\n102 104 102 104 200\n104 105 101 102 400"
    for side in (1, -1):
        state: Any = new(ignition_dtype(4))
        runs = []
        for bar in candles(table) if side > 0 else mirrored(candles(table)):
            ignition_step(state, bar, 3, 3)
            runs.append(side * int(state.run_bars))
        assert runs == [0, 1, 2, -1]


def test_shares_stay_within_0_and_1() -> None:
    assert [share(1.0, 4.0), share(4.0, 4.0), share(5.0, 4.0)] == [0.25, 1.0, 1.0]
    assert [share(-1.0, 4.0), share(0.0, 0.0), share(1.0, 0.0), share(NAN, 1.0)] == [0, 0, 1, 0]
    [bar, still] = candles("100 104 100 103\n100 100 100 100")
    assert (close_position(bar, 1), close_position(bar, -1)) == (0.75, 0.25)
    assert (close_position(still, 1), close_position(still, -1)) == (0.0, 0.0)


def test_the_volume_ratio_leaves_the_present_bar_out() -> None:
    state = new(sma_dtype(4))
    ours = [volume_ratio_step(state, v, 2) for v in (10.0, 30.0, 60.0, NAN, 90.0, 0.0, 0.0, 5.0)]
    np.testing.assert_array_equal(ours, [NAN, NAN, 3.0, NAN, NAN, NAN, 0.0, NAN])
