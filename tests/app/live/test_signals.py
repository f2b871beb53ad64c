"""What strategies say and what they looked at, minute by minute."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from tests.app.live.scenes import MINUTE as MINUTE_MS
from tests.desk import JIT, stream
from tests.market_data import invented_bars

from tercel.app.backtest import AccountSpec, FlowFilter
from tercel.app.live.plan import LiveStream, SessionPlan
from tercel.app.live.signals import SignalMaker, Views
from tercel.app.signals import unknown_context
from tercel.app.strategies import load_strategy
from tercel.core.codes import Refusal
from tercel.core.jit import new, rec
from tercel.core.records import LIMITS, MINUTE, PACE, Records
from tercel.domain.bars import SeriesKey
from tercel.domain.results import StreamLabel

BARS = 300 if JIT else 60
FLOW_BARS = 3_000 if JIT else 600
NAMES = ("three_r", "swing")
SYMBOLS = ("BTCUSDT", "ETHUSDT")


def plan_of(score_min: float | None = None) -> SessionPlan:
    """Two strategies on two symbols; with `score_min` order flow has to confirm."""
    keys = tuple(SeriesKey("binance-spot", symbol, "1m") for symbol in SYMBOLS)
    flow = None
    if score_min is not None:
        filtering = load_strategy("order_flow")
        flow = FlowFilter(filtering, filtering.values({}, MINUTE_MS), score_min)
    streams = [
        LiveStream(
            StreamLabel(0, name, key.venue, key.symbol, "1m"),
            load_strategy(name),
            load_strategy(name).values({}, MINUTE_MS),
            stream(),
            row,
            flow,
        )
        for row, key in enumerate(keys)
        for name in NAMES
    ]
    return SessionPlan(tuple(streams), keys, AccountSpec(1e5, new(LIMITS), new(PACE)))


def minutes(count: int) -> list[Records]:
    """Bars of both symbols."""
    both = [invented_bars(count, seed=seed) for seed in (4, 5)]
    made = np.zeros((count, 2), MINUTE)
    made["present"] = True
    for row, bars in enumerate(both):
        made["bar"][:, row] = bars
    made["context"] = unknown_context()[0]
    return list(made)


def test_views_are_what_each_strategy_looked_at() -> None:
    maker = SignalMaker(plan_of())
    for minute in minutes(BARS):
        maker.step(minute)
    views = [json.loads(view) for view in maker.views()]
    assert maker.views() == [maker.view(k) for k in range(len(views))]
    for k, name in enumerate(NAMES * 2):
        strategy = load_strategy(name)
        params = strategy.parameters.record(strategy.values({}, MINUTE_MS), MINUTE_MS)
        state: Any = new(strategy.state_dtype(params))
        signal = maker.signals[k].copy()
        for minute in minutes(BARS):
            here = minute[k // 2]
            strategy.step(state, here.bar, here.context, params, signal)
        seen = dict(zip(state.seen.dtype.names, state.seen.item(), strict=True))
        assert views[k] == {n: None if math.isnan(v) else v for n, v in seen.items()}
    assert views[0]["trend"] is not None
    assert views[0] != views[2]


def test_views_are_of_the_minute_that_was_stepped_last() -> None:
    maker = SignalMaker(plan_of())
    told = []
    for minute in minutes(60):
        maker.step(minute)
        told.append(maker.views()[0])
    assert told[-1] != told[-2]


PLAIN = rec(("score", "f8"), ("bars", "i8"))
MIXED = rec(("score", "f8"), ("is_high", "?"), ("parts", "f8", (2,)))


@pytest.mark.parametrize(
    ("seen", "values", "told"),
    [
        (PLAIN, (0.1, 3), {"score": 0.1, "bars": 3}),
        (PLAIN, (math.nan, -1), {"score": None, "bars": -1}),
        (PLAIN, (-math.inf, 0), {"score": -math.inf, "bars": 0}),
        (
            MIXED,
            (math.nan, True, (math.nan, 2.0)),
            {"score": None, "is_high": True, "parts": [None, 2.0]},
        ),
    ],
)
def test_a_view_is_json(seen: Any, values: Any, told: dict[str, Any]) -> None:
    states = np.zeros(1, rec(("bars", "i8"), ("seen", seen)))
    states["seen"][0] = values
    assert [json.loads(view) for view in Views(states).told()] == [told]


def test_a_strategy_without_a_record_of_what_it_saw_says_nothing() -> None:
    assert Views(np.zeros(2, rec(("bars", "i8")))).told() == ["{}", "{}"]


def test_order_flow_vetoes_what_it_does_not_confirm() -> None:
    free, vetoed = SignalMaker(plan_of()), SignalMaker(plan_of(score_min=2.0))
    asked = 0
    for minute in minutes(FLOW_BARS):
        said, filtered = free.step(minute), vetoed.step(minute)
        assert said["side"].tolist() == filtered["side"].tolist()
        has_side = said["side"] != 0
        asked += int(has_side.sum())
        assert not said["veto"].any()
        assert (filtered["veto"][has_side] == Refusal.FLOW_AGAINST).all()
        assert not filtered["veto"][~has_side].any()
    assert asked > 0


def test_an_image_brings_every_state_back() -> None:
    maker, other = SignalMaker(plan_of(score_min=0.1)), SignalMaker(plan_of(score_min=0.1))
    played = minutes(90)
    for minute in played[:80]:
        maker.step(minute)
    image = maker.image()
    assert len(image) == 2 * len(NAMES) * len(SYMBOLS)
    other.restore(image)
    for minute in played[80:]:
        assert maker.step(minute).tobytes() == other.step(minute).tobytes()
    assert maker.image() == other.image()
    with pytest.raises(ValueError, match="another layout"):
        other.restore(image[1:])
