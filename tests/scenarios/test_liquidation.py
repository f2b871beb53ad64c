"""liquidation: zones, what empties and outweighs them, and how it trades towards them.

A row is one closed bar: the minute it closes, high, low, close, the open interest known then, and
what the strategy says. Unless told otherwise every position has 10x, so that a rise at 100 puts as
much at 90.4 (longs) as at 109.6 (shorts), and there is no warm-up; a zone in reach is within 1.5 %.
Tables are played as written and upside down around 100: 90.4 is then 109.6, and a short a long.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from tests.desk import MINUTE_MS, NAN, START, candles, mirrored, stream, trade, unknown_contexts

from tercel.app.signals import quiet_signals
from tercel.app.strategies import load_strategy
from tercel.core.jit import new
from tercel.core.records import Records
from tercel.domain.errors import UserError

SWAPPED = {"long": "short", "short": "long"}
ALL_AT_10 = {"weight_low": 1.0, "weight_mid": 0.0, "weight_high": 0.0, "warm_up_hours": 0.0}


def said(
    bars: Records, contexts: Records, settings: Mapping[str, object]
) -> tuple[list[str], Records, Any]:
    """(reason of every bar, the signals, the state after the last)."""
    strategy = load_strategy("liquidation")
    values = strategy.values({**ALL_AT_10, **settings}, MINUTE_MS)
    params = strategy.parameters.record(values, MINUTE_MS)
    out = quiet_signals(len(bars))
    state = new(strategy.state_dtype(params))
    strategy.signals(state, bars, contexts, params, out)
    return [strategy.reasons[reason] for reason in out["reason"]], out, state


def read(table: str) -> tuple[Records, Records, list[str]]:
    """(bars, contexts, expected reasons) of a table."""
    lines = [line.split() for line in table.strip().splitlines()]
    bars = candles([[float(close), float(high), float(low), float(close)]
                    for _, high, low, close, *_ in lines])  # fmt: skip
    contexts = unknown_contexts(len(lines))
    for bar, context, (closes, _, _, _, interest, *_) in zip(bars, contexts, lines, strict=True):
        hours, minutes = closes.split(":")
        bar["open_time"] = START + (int(hours) * 60 + int(minutes) - 1) * MINUTE_MS
        context["open_interest"] = NAN if interest == "?" else float(interest)
    return bars, contexts, [line[5] for line in lines]


@dataclass(frozen=True, slots=True)
class Scene:
    """One caption, one table, and settings other than those above."""

    caption: str
    table: str
    settings: Mapping[str, object] = field(default_factory=dict)


SCENES = (
    Scene(
        "price comes within reach of the longs of a rise: short, once",
        """
        00:01  100   100   100    1000  no_zone_in_reach
        00:02  100   100   100    1100  no_zone_in_reach
        00:03  100    93    93    1100  no_zone_in_reach
        00:04   93    91.5  91.5  1100  short
        00:05   91.5  91.4  91.4  1100  zone_already_in_reach
        """,
    ),
    Scene(
        "it leaves and comes back: the zone is new again",
        """
        00:01  100   100   100    1000  no_zone_in_reach
        00:02  100   100   100    1100  no_zone_in_reach
        00:03  100    91.5  91.5  1100  short
        00:04   93    91.5  93    1100  no_zone_in_reach
        00:05   93    91.5  91.5  1100  short
        """,
    ),
    Scene(
        "a buffer of 3 % reaches farther",
        """
        00:01  100   100   100    1000  no_zone_in_reach
        00:02  100   100   100    1100  no_zone_in_reach
        00:03  100    93    93    1100  short
        """,
        {"zone_buffer_pct": 3.0},
    ),
    Scene(
        "open interest that falls or stays adds nothing",
        """
        00:01  100   100   100    1000  no_zone_in_reach
        00:02  100   100   100    1000  no_zone_in_reach
        00:03  100   100   100     900  no_zone_in_reach
        00:04  100    91.5  91.5   900  no_zone_in_reach
        """,
    ),
    Scene(
        "after a fall, a rise counts from there",
        """
        00:01  100   100   100    1000  no_zone_in_reach
        00:02  100   100   100     900  no_zone_in_reach
        00:03  100   100   100     950  no_zone_in_reach
        00:04  100    91.5  91.5   950  short
        """,
    ),
    Scene(
        "a wick through the level takes its positions away",
        """
        00:01  100   100   100    1000  no_zone_in_reach
        00:02  100   100   100    1100  no_zone_in_reach
        00:03  100    90.3  95    1100  no_zone_in_reach
        00:04   95    91.5  91.5  1100  no_zone_in_reach
        """,
    ),
    Scene(
        "so does a jump over it from one bar to the next",
        """
        00:01  100   100   100    1000  no_zone_in_reach
        00:02  100   100   100    1100  no_zone_in_reach
        00:03   85    85    85    1100  no_zone_in_reach
        00:04   89.5  85    89.5  1100  no_zone_in_reach
        """,
    ),
    Scene(
        "one that stops short of it does not",
        """
        00:01  100   100   100    1000  no_zone_in_reach
        00:02  100   100   100    1100  no_zone_in_reach
        00:03  100    90.6  95    1100  no_zone_in_reach
        00:04   95    91.5  91.5  1100  short
        """,
    ),
    Scene(
        "100 of 1000 longs and as many shorts are 5 % of the total: no zone",
        """
        00:01  100   100   100    1000  no_zone_in_reach
        00:02  100   100   100    1100  no_zone_in_reach
        00:03  100    97    97    2000  no_zone_in_reach
        00:04   97    91.5  91.5  2000  no_zone_in_reach
        """,
    ),
    Scene(
        "they are a zone where the user says that 4 % is enough",
        """
        00:01  100   100   100    1000  no_zone_in_reach
        00:02  100   100   100    1100  no_zone_in_reach
        00:03  100    97    97    2000  no_zone_in_reach
        00:04   97    91.5  91.5  2000  short
        """,
        {"zone_share": 0.04},
    ),
    Scene(
        "two levels 0.2 % apart are one zone: 12.5 % each, 25 % together, wanted 20 %",
        """
        00:01  100   100   100    1000  no_zone_in_reach
        00:02  100   100   100    1100  no_zone_in_reach
        00:03  100.2 100   100.2  1200  no_zone_in_reach
        00:04  100.2  97    97    1400  no_zone_in_reach
        00:05   97    91.6  91.6  1400  short
        """,
        {"zone_share": 0.20},
    ),
    Scene(
        "they are not where a zone is one bin of 0.1 %",
        """
        00:01  100   100   100    1000  no_zone_in_reach
        00:02  100   100   100    1100  no_zone_in_reach
        00:03  100.2 100   100.2  1200  no_zone_in_reach
        00:04  100.2  97    97    1400  no_zone_in_reach
        00:05   97    91.6  91.6  1400  no_zone_in_reach
        """,
        {"zone_share": 0.20, "zone_bps": 10.0},
    ),
    Scene(
        "a day old, a rise counts half: 50 beside 100, 16.7 % of the total below, wanted 20 %",
        """
        00:01  100   100   100    1000  no_zone_in_reach
        00:02  100   100   100    1100  no_zone_in_reach
        24:02  100    97    97    1200  no_zone_in_reach
        24:03   97    91.5  91.5  1200  no_zone_in_reach
        """,
        {"zone_share": 0.20},
    ),
    Scene(
        "with a half-life of a year it counts in full: 25 %",
        """
        00:01  100   100   100    1000  no_zone_in_reach
        00:02  100   100   100    1100  no_zone_in_reach
        24:02  100    97    97    1200  no_zone_in_reach
        24:03   97    91.5  91.5  1200  short
        """,
        {"zone_share": 0.20, "half_life_hours": 8760.0},
    ),
    Scene(
        "zones on both sides come within reach: towards the nearer, and once",
        """
        00:01   90    90    90    1000  no_zone_in_reach
        00:02   90    90    90    1100  either
        00:03   99.8  90    99.8  1130  no_zone_in_reach       # 30 of 160 on either side
        00:04  100    99.8 100    1160  long                   # 60 of 220 around 98.3 and 101.5
        00:05  100    99.85 99.85 1160  zone_already_in_reach
        """,
        {"leverage_low": 50.0, "zone_buffer_pct": 2.5, "zone_share": 0.25},
    ),
    Scene(
        "the first day of open interest is for looking",
        """
        00:01  100   100   100    1000  warming_up
        00:02  100   100   100    1100  warming_up
        24:00  100    91.5  95    1100  warming_up
        24:01   95    93    93    1100  no_zone_in_reach
        24:02   93    91.5  91.5  1100  short
        """,
        {"warm_up_hours": 24.0},
    ),
    Scene(
        "open interest is unknown: no signal, but what price passes is still gone",
        """
        00:01  100   100   100    ?     missing_open_interest
        00:02  100   100   100    1000  no_zone_in_reach
        00:03  100   100   100    1100  no_zone_in_reach
        00:04  100    91.5  91.5  ?     missing_open_interest
        00:05   91.5  90.3  91.5  ?     missing_open_interest
        00:06   91.5  91.5  91.5  1100  no_zone_in_reach
        """,
    ),
    Scene(
        "known again, in reach: the signal comes now",
        """
        00:01  100   100   100    1000  no_zone_in_reach
        00:02  100   100   100    1100  no_zone_in_reach
        00:03  100    91.5  91.5  ?     missing_open_interest
        00:04   91.5  91.5  91.5  1100  short
        """,
    ),
    Scene(
        "a rise while it was unknown counts where it is known again",
        """
        00:01  100   100   100    1000  no_zone_in_reach
        00:02  103   100   103    ?     missing_open_interest
        00:03  103   103   103    1100  no_zone_in_reach
        00:04  103    94    94    1100  short
        """,
    ),
    Scene(
        "a bar without prices is passed over",
        """
        00:01  100   100   100    1000  no_zone_in_reach
        00:02  100   100   100    1100  no_zone_in_reach
        00:03  nan   100   100    1300  missing_price
        00:04  100    91.5  91.5  1300  short
        """,
    ),
)


@pytest.mark.parametrize("is_mirrored", [False, True], ids=["as written", "mirrored"])
@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.caption)
def test_gates(scene: Scene, is_mirrored: bool) -> None:
    bars, contexts, expected = read(scene.table)
    if is_mirrored:
        bars = mirrored(bars)
        expected = [SWAPPED.get(reason, reason) for reason in expected]
    reasons, out, _ = said(bars, contexts, scene.settings)
    for at, reason in enumerate(expected):
        if reason == "either":  # a rise puts its zones equally far away on both sides
            assert reasons[at] in SWAPPED
            expected[at] = reasons[at]
    assert reasons == expected
    sides = [{"long": 1, "short": -1}.get(reason, 0) for reason in expected]
    assert out["side"].tolist() == sides


TO_91_5 = """
    00:01  100   100   100    1000  no_zone_in_reach
    00:02  100   100   100    1100  no_zone_in_reach
    00:03  100    91.5  91.5  1100  short
"""


@pytest.mark.parametrize("is_mirrored", [False, True], ids=["short", "long"])
@pytest.mark.parametrize(
    ("high", "low", "ends"),
    [
        (91.5 * 1.004, 91.5, "stop"),
        (91.8, 90.2, "target_1"),
        (91.8, 90.6, None),
    ],
)
def test_how_trades_end(is_mirrored: bool, high: float, low: float, ends: str | None) -> None:
    """Entered at 91.5: the stop is 0.4 % away, the target at 90.4, to half a bin."""
    table = f"{TO_91_5}00:04  {high} {low} 91.0 1100 zone_already_in_reach"
    bars, contexts, _ = read(table)
    side = 1 if is_mirrored else -1
    entry = 108.5 if is_mirrored else 91.5
    signals = said(mirrored(bars) if is_mirrored else bars, contexts, {})[1]
    stop = 0.004 * entry
    assert signals[2]["stop_distance"] == pytest.approx(stop)
    target = float(signals[2]["target_distance"])
    assert target == pytest.approx(1.1, abs=0.0005 * entry)
    plan = load_strategy("liquidation").plan
    if is_mirrored:
        bars = mirrored(bars)
        bars["high"][3] = max(bars["high"][3], 109.8) if ends == "target_1" else bars["high"][3]
        bars["low"][3] = entry - stop if ends == "stop" else bars["low"][3]
    outcome = trade(stream(plan), bars, signals)
    assert outcome.entries == [(2, entry, 1.0)]
    prices = {"stop": entry - side * stop, "target_1": entry + side * target}
    expected: list[Any] = [] if ends is None else [(3, ends, pytest.approx(prices[ends]), 1.0)]
    assert outcome.exits == expected


def test_levels_by_hand() -> None:
    """A rise of 200 at 100: 100, 60 and 40 at 10x, 25x and 50x, either way; bins of 0.1 %."""
    bars, contexts, _ = read(
        """
        00:01  100   100   100    1000  no_zone_in_reach
        00:02  100   100   100    1200  no_zone_in_reach
        """
    )
    shares = {"weight_low": 0.5, "weight_mid": 0.3, "weight_high": 0.2}
    state = said(bars, contexts, shares)[2]
    held = {int(k): float(mass) for k, mass in enumerate(state["bins"]) if mass > 0.0}
    # ln 90.4 = 4.50424, ln 96.4 = 4.56851, ln 98.4 = 4.58904; above 101.6, 103.6, 109.6.
    expected = {4504: 100, 4568: 60, 4589: 40, 4621: 40, 4640: 60, 4696: 100}
    expected_slots = {k % 1024: mass for k, mass in expected.items()}
    one_minute = 0.5 ** (-1 / 1440)  # new mass grows from the first known open interest on
    assert held.keys() == expected_slots.keys()
    for slot, mass in expected_slots.items():
        assert held[slot] == pytest.approx(mass * one_minute)
    assert state["total"] == pytest.approx(400 * one_minute)


@pytest.mark.parametrize("is_mirrored", [False, True], ids=["up and back", "down and back"])
def test_what_falls_out_of_the_histogram_is_forgotten(is_mirrored: bool) -> None:
    """With bins of 2 bps it reaches 10.8 % up: levels of 10x, and not those of a moved price."""
    bars, contexts, _ = read(
        """
        00:01  100   100   100    1000  no_zone_in_reach
        00:02  100   100   100    1100  no_zone_in_reach
        00:03  103   100   103    1100  no_zone_in_reach
        00:04  103   100   100    1100  no_zone_in_reach
        """
    )
    if is_mirrored:
        bars = mirrored(bars)
    masses = [
        said(bars[:count], contexts[:count], {"bin_bps": 2.0})[2]["bins"] for count in (2, 3, 4)
    ]
    assert [int((bins > 0.0).sum()) for bins in masses] == [2, 1, 1]


def test_what_is_left_of_a_great_mass_is_counted_to_the_last_digit() -> None:
    """1 below the price, after 10^18 on either side of it came and went: 2e18 + 2 - 2e18 is 0."""
    bars, contexts, _ = read(
        """
        00:01   97    97    97    1          no_zone_in_reach
        00:02   97    97    97    2          no_zone_in_reach
        00:03  100    97   100    1e18       no_zone_in_reach
        00:04  109.7  90.3  95    1e18       no_zone_in_reach
        00:05   95    88.8  88.8  1e18       short
        """
    )
    reasons, _, state = said(bars, contexts, {})
    assert reasons[-1] == "short"
    assert state["total"] == state["bins"].sum() == pytest.approx(1.0, rel=0.001)


def test_mass_that_has_grown_for_months_begins_again() -> None:
    """Shares are what they were: two rises, a day apart, in the hundredth half-life and later."""
    table = """
        00:01  100   100   100    1000  no_zone_in_reach
        00:02  100   100   100    1100  no_zone_in_reach
        {late}  103   100   103    1200  no_zone_in_reach
        {later}  104   103   104    1300  no_zone_in_reach
        {later}  104   103   104    1300  no_zone_in_reach
    """
    for days in (10, 100, 1000):
        bars, contexts, _ = read(table.format(late=f"{24 * days}:00", later=f"{24 * days + 24}:00"))
        state = said(bars, contexts, {})[2]
        held = sorted(float(mass) for mass in state["bins"] if mass > 0.0)
        assert held[-1] / held[-3] == pytest.approx(2.0)
        assert state["total"] == pytest.approx(sum(held))
        assert held[-1] < 100.0 * 2.0**65


@pytest.mark.parametrize(
    ("settings", "said_so"),
    [
        ({"weight_low": 0.0}, "at least one weight must be above 0"),
        ({"leverage_high": 125.0, "bin_bps": 30.0}, "leverage_high 125 leaves 0.40%"),
        ({"leverage_mid": 100.0, "maintenance_rate": 0.02}, "leverage_mid 100 leaves -1.00%"),
        ({"leverage_low": 2.0}, "leverage_low 2 is liquidated 50% away, 1024 bins reach 40%"),
    ],
)
def test_what_the_histogram_cannot_hold_is_refused(
    settings: dict[str, object], said_so: str
) -> None:
    strategy = load_strategy("liquidation")
    with pytest.raises(UserError, match=said_so):
        strategy.values({**ALL_AT_10, **settings}, MINUTE_MS)
