"""order_flow: each of its parts by hand, and the score they make. As written and in the mirror.

A row is one closed bar: close, bid size, ask size, volume, of which bought by takers, trades, and
what is expected of it. The range of every bar is 1, so that ATR(2) is 1 while the close moves less.
In the mirror prices are turned around 100, bids are asks and what was bought was sold: every score
changes its sign and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from tests.desk import MINUTE_MS, NAN, candles, unknown_contexts

from tercel.app.signals import quiet_signals
from tercel.app.strategies import load_strategy
from tercel.core.jit import new
from tercel.core.records import Records
from tercel.domain.errors import UserError

SHORT_WINDOWS = {"touch_len": 2, "delta_len": 2, "atr_len": 2, "large_len": 2}
PARTS = ("book", "touch", "delta", "absorption", "large")


def only(*parts: str) -> dict[str, object]:
    """Settings in which only `parts` count."""
    return {f"weight_{part}": float(part in parts) for part in PARTS}


def read(table: str) -> tuple[Records, list[list[str]]]:
    """(bars, what is expected of each)."""
    lines = [line.split("#")[0].split() for line in table.strip().splitlines()]
    numbers = [[NAN if word == "?" else float(word) for word in line[:6]] for line in lines]
    bars = candles([(row[0], row[0] + 0.5, row[0] - 0.5, row[0]) for row in numbers])
    for bar, row in zip(bars, numbers, strict=True):
        _, bar["bid_size"], bar["ask_size"] = row[:3]
        bar["volume"], bar["taker_buy_volume"], bar["count"] = row[3:]
    return bars, [line[6:] for line in lines]


def turned(bars: Records) -> Records:
    """The same market in the mirror."""
    made = bars.copy()
    for one, other in (("close", "close"), ("open", "open"), ("high", "low"), ("low", "high")):
        made[one] = 200.0 - bars[other]
    made["bid_size"], made["ask_size"] = bars["ask_size"], bars["bid_size"]
    made["taker_buy_volume"] = bars["volume"] - bars["taker_buy_volume"]
    return made


def scored(bars: Records, settings: Mapping[str, object]) -> tuple[list[str], Records, Any]:
    """(reasons, signals, state after the last bar)."""
    strategy = load_strategy("order_flow")
    values = strategy.values({**SHORT_WINDOWS, **settings}, MINUTE_MS)
    params = strategy.parameters.record(values, MINUTE_MS)
    out = quiet_signals(len(bars))
    state = new(strategy.state_dtype(params))
    strategy.signals(state, bars, unknown_contexts(1), params, out)
    return [strategy.reasons[reason] for reason in out["reason"]], out, state


@dataclass(frozen=True, slots=True)
class Scene:
    """One caption, one table that ends in `score reason`, and settings."""

    caption: str
    table: str
    settings: Mapping[str, object] = field(default_factory=dict)


SCENES = (
    Scene(
        "book: (bid - ask) / (bid + ask) at the touch",
        """
        100  3  1  ?  ?  ?   0.5  book_only
        100  1  3  ?  ?  ?  -0.5  book_only
        100  2  2  ?  ?  ?   0    book_only
        100  0  0  ?  ?  ?   ?    missing
        100  ?  1  ?  ?  ?   ?    missing
        """,
        only("book"),
    ),
    Scene(
        "touch: what the bid gained and the ask lost in two steps, over all that came and went",
        """
        100    3  1  ?  ?  ?   ?      missing    # nothing to compare with
        100    5  2  ?  ?  ?   ?      missing    # +2 bid, +1 ask: +1. One step
        100.1  4  2  ?  ?  ?   1      book_only  # up: new bid 4, old ask 2: +6
        100    1  1  ?  ?  ?   0.091  book_only  # down: -(new ask 1 + old bid 4): (6 - 5) / 11
        100    1  1  ?  ?  ?  -1      book_only  # nothing: -5 / 5
        100    1  1  ?  ?  ?   0      book_only  # nothing twice
        """,
        only("touch"),
    ),
    Scene(
        "delta: bought less sold, over the volume of two bars",
        """
        100  ?  ?  10  9  ?   ?    missing
        100  ?  ?  30  9  ?  -0.1  flow_only  # 8 - 12 of 40
        100  ?  ?   0  0  ?  -0.4  flow_only
        100  ?  ?   0  0  ?   ?    missing    # no volume at all
        100  ?  ?  10  ?  ?   ?    missing
        100  ?  ?  10 10  ?   ?    missing
        100  ?  ?  10 10  ?   1    flow_only  # the unknown has left the window
        """,
        only("delta"),
    ),
    Scene(
        "absorption: minus the delta where price does not follow it",
        """
        100    ?  ?  10  8  ?   ?     missing
        100    ?  ?  10  8  ?   ?     missing
        100    ?  ?  10  8  ?  -0.6   flow_only  # delta 0.6, price where it was two bars ago
        100.25 ?  ?  10  8  ?  -0.45  flow_only  # a quarter of an ATR on the way
        101.25 ?  ?  10  8  ?   0     flow_only  # more than one ATR: nothing is absorbed
        99.5   ?  ?  10  8  ?  -0.6   flow_only  # it fell instead: no more than all of it
        99.5   ?  ?  10  3  ?   0     flow_only  # delta 0.1: not large
        """,
        only("absorption"),
    ),
    Scene(
        "large trades: twice the usual size scores 1, with the sign of the bar's delta",
        """
        100  ?  ?  10  6  10   ?      missing    # 1 a trade
        100  ?  ?  10  6  10   0      flow_only  # 1, the mean of 1 and 1
        100  ?  ?  30  20 10   0.5    flow_only  # 3 a trade, the mean of 1 and 3 is 2
        100  ?  ?   0  0   0   ?      missing    # no trades: the mean is left as it is
        100  ?  ?  50  10 10  -0.25   flow_only  # 5, the mean of 3 and 5 is 4, takers sold
        100  ?  ?  10  5   1   0      flow_only  # 10 against 7.5, but nobody pressed
        100  ?  ?  10  ?   1   ?      missing
        100  ?  ?  10  6   ?   ?      missing
        """,
        only("large"),
    ),
    Scene(
        "large trades: beyond twice it is still 1",
        """
        100  ?  ?  10  6 10   ?  missing
        100  ?  ?  90  46 1   1  flow_only  # 90, the mean of 1 and 90 is 45.5
        """,
        {**only("large"), "large_mult": 1.5},
    ),
    Scene(
        "the score is the weighted mean of what is known: (3 * 0.5 + 1 * -0.1) / 4",
        """
        100  1  1  10  9  ?   0     book_only
        100  3  1  30  9  ?   0.35  book_and_flow
        100  ?  ?  30  9  ?  -0.4   flow_only
        100  3  1   ?  ?  ?   0.5   book_only
        100  ?  ?   ?  ?  ?   ?     missing
        """,
        {**only("book", "delta"), "weight_book": 3.0},
    ),
)


@pytest.mark.parametrize("is_mirrored", [False, True], ids=["as written", "mirrored"])
@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.caption)
def test_parts(scene: Scene, is_mirrored: bool) -> None:
    bars, expected = read(scene.table)
    if is_mirrored:
        bars = turned(bars)
    reasons, out, _ = scored(bars, scene.settings)
    scores = np.array([NAN if score == "?" else float(score) for score, _ in expected])
    np.testing.assert_allclose(out["score"], -scores if is_mirrored else scores, atol=0.0005)
    assert reasons == [reason for _, reason in expected]


def test_it_never_trades() -> None:
    bars, _ = read("100 3 1 10 9 5\n" * 5)
    _, out, state = scored(bars, {})
    assert not out["side"].any()
    assert not out["exit_long"].any()
    assert not out["exit_short"].any()
    assert np.isnan(out["stop_distance"]).all()
    seen = {part: float(state["seen"][part]) for part in PARTS}
    assert seen == pytest.approx(
        {"book": 0.5, "touch": 0.0, "delta": 0.8, "absorption": -0.8, "large": 0.0}
    )
    assert out["score"][-1] == pytest.approx((0.5 + 0.8 - 0.8) / 5)


def test_it_is_a_filter_that_can_do_without_any_input() -> None:
    strategy = load_strategy("order_flow")
    assert strategy.is_filter
    assert strategy.needs == ()
    assert set(strategy.uses) == {"bid_size", "ask_size", "taker_buy_volume", "count"}


def test_no_weight_at_all_is_refused() -> None:
    with pytest.raises(UserError, match="at least one weight must be above 0"):
        load_strategy("order_flow").values(only(), MINUTE_MS)
