"""The plan of a trade as its author writes it, and as kernels read it."""

from __future__ import annotations

from typing import Any

import pytest
from tests.desk import THREE_R

from tercel.core.codes import OrderKind
from tercel.core.plan import TradePlan


def test_a_plan_as_a_record() -> None:
    record = THREE_R.record()
    assert record.leg_count == 2
    assert record.leg_r.tolist() == [2.0, 3.0, 0.0, 0.0]
    assert record.leg_fraction.tolist() == [0.5, 0.25, 0.0, 0.0]
    assert (record.trail_fraction, record.trail_arm_r, record.trail_offset_r) == (0.25, 1.0, 0.5)
    assert record.entry_kind == OrderKind.MARKET
    timed = TradePlan(hold_minutes_max=1.5, entry="post_only", chase_max=2, entry_wait_bars=3)
    record = timed.record()
    assert (record.hold_ms_max, record.entry_kind) == (90_000, OrderKind.POST_ONLY)
    assert (record.chase_max, record.entry_wait_bars) == (2, 3)


def test_the_default_is_one_target_at_2r() -> None:
    assert TradePlan().problems() == []
    assert TradePlan().legs == ((2.0, 1.0),)


@pytest.mark.parametrize(
    ("plan", "problem"),
    [
        ({"legs": ((1.0, 0.2),) * 5}, "legs: at most 4, got 5"),
        ({"legs": ((2.0, 0.5),)}, "legs and trail_fraction: fractions must sum to 1, got 0.5"),
        ({"legs": ((0.0, 1.0),)}, "legs: every R multiple and fraction must be above 0"),
        (
            {"legs": ((1.0, 1.5), (2.0, -0.5))},
            "legs: every R multiple and fraction must be above 0",
        ),
        (
            {"legs": ((2.0, 0.5),), "trail_fraction": 0.5},
            "trail_fraction needs trail_offset_r or trail_offset_atr above 0",
        ),
        ({"entry": "soon"}, "entry: expected market, limit or post_only, got 'soon'"),
        ({"entry": "stop"}, "entry: expected market, limit or post_only, got 'stop'"),
        ({"entry": "STOP"}, "entry: expected market, limit or post_only, got 'STOP'"),
    ],
)
def test_impossible_plans(plan: dict[str, Any], problem: str) -> None:
    made = TradePlan(**plan)
    assert made.problems() == [problem]
    with pytest.raises(ValueError, match=r"expected|must|at most|needs"):
        made.record()


def test_every_problem_is_told() -> None:
    with pytest.raises(ValueError, match=r"sum to 1, got 0.5; entry: expected") as error:
        TradePlan(legs=((2.0, 0.5),), entry="soon").record()
    assert str(error.value).count(";") == 1
