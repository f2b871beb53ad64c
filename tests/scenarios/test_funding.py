"""funding: when it enters, and why not; when a trade ends. Longs as written, shorts in the mirror.

A row is one closed bar: the minute it closes, the funding rate known then, the settlement that
published it (- unknown), and what the strategy says: a reason, then the sides it would leave. Rows
that are not there are bars that are missing. Extreme is beyond 0.03 %, neutral within 0.01 %.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pytest
from tests.desk import MINUTE_MS, NAN, START, Outcome, candles, stream, trade, unknown_contexts

from tercel.app.signals import quiet_signals
from tercel.app.strategies import load_strategy
from tercel.core.codes import Side
from tercel.core.jit import new
from tercel.core.records import Records
from tercel.domain.errors import UserError

SWAPPED = {"long": "short", "short": "long"}


def said(
    bars: Records, contexts: Records, settings: Mapping[str, object] | None = None
) -> tuple[list[str], Records]:
    """(reason of every bar, the signals)."""
    strategy = load_strategy("funding")
    values = strategy.values(settings or {}, MINUTE_MS)
    params = strategy.parameters.record(values, MINUTE_MS)
    out = quiet_signals(len(bars))
    strategy.signals(new(strategy.state_dtype(params)), bars, contexts, params, out)
    return [strategy.reasons[reason] for reason in out["reason"]], out


def moment(clock: str) -> int:
    """Milliseconds of hh:mm on the first day; of hh:mm:ss.mmm where written so."""
    hours, minutes, *seconds = clock.split(":")
    rest = round(float(seconds[0]) * 1000) if seconds else 0
    return START + (int(hours) * 60 + int(minutes)) * MINUTE_MS + rest


@dataclass(frozen=True, slots=True)
class Scene:
    """One caption, one table, and settings other than the defaults."""

    caption: str
    table: str
    settings: Mapping[str, object] = field(default_factory=dict)

    def check(self, side: int) -> None:
        """Show the strategy the bars of the table, and compare what it says with its last words."""
        lines = [line.split() for line in self.table.strip().splitlines()]
        bars = candles([(100.0, 100.0, 100.0, 100.0)] * len(lines))
        contexts = unknown_contexts(len(lines))
        for bar, context, (closes, rate, settled, *_) in zip(bars, contexts, lines, strict=True):
            bar["open_time"] = moment(closes) - MINUTE_MS
            if rate != "?":
                context["funding_rate"] = side * float(rate.removesuffix("%")) / 100.0
            context["funding_time"] = 0 if settled == "-" else moment(settled)
        reasons, out = said(bars, contexts, self.settings)
        for line, reason, signal in zip(lines, reasons, out, strict=True):
            expected, leaves = line[3], set(line[4:])
            if side == Side.SHORT:
                expected = SWAPPED.get(expected, expected)
                leaves = {f"leave_{SWAPPED[word.removeprefix('leave_')]}" for word in leaves}
            assert reason == expected, line
            left = {"leave_long": signal["exit_long"], "leave_short": signal["exit_short"]}
            assert {word for word, leave in left.items() if leave} == leaves, line
            assert signal["side"] == {"long": 1, "short": -1}.get(expected, 0)


SCENES = (
    Scene(
        "entered once, at the close five minutes after the settlement",
        """
        00:01  -0.05%  00:00  waiting_after_settlement  leave_short
        00:04  -0.05%  00:00  waiting_after_settlement  leave_short
        00:05  -0.05%  00:00  long                      leave_short
        00:06  -0.05%  00:00  already_entered           leave_short
        07:59  -0.05%  00:00  already_entered           leave_short
        """,
    ),
    Scene(
        "the rate is not extreme: at the threshold itself there is no trade",
        """
        00:05  -0.03%   00:00  rate_normal  leave_short
        08:05  -0.031%  08:00  long         leave_short
        16:05  -0.02%   16:00  rate_normal  leave_short
        24:05   0.01%   24:00  rate_normal  leave_long  leave_short
        """,
    ),
    Scene(
        "back to neutral: a long is left when the newer rate says so, and not before",
        """
        00:05  -0.05%   00:00  long             leave_short
        07:59  -0.05%   00:00  already_entered  leave_short
        08:00  -0.011%  08:00  rate_normal      leave_short
        16:00  -0.01%   16:00  rate_normal      leave_long  leave_short
        """,
    ),
    Scene(
        "past neutral, to the other extreme: the long is left, and the other side entered",
        """
        00:05  -0.05%  00:00  long                      leave_short
        08:00   0.05%  08:00  waiting_after_settlement  leave_long
        08:05   0.05%  08:00  short                     leave_long
        """,
    ),
    Scene(
        "extreme again: each settlement is entered on once",
        """
        00:05  -0.05%  00:00  long                      leave_short
        08:00  -0.05%  08:00  waiting_after_settlement  leave_short
        08:05  -0.05%  08:00  long                      leave_short
        08:06  -0.05%  08:00  already_entered           leave_short
        """,
    ),
    Scene(
        "two bars missing at the moment: the next one is still in time",
        """
        00:04  -0.05%  00:00  waiting_after_settlement  leave_short
        00:07  -0.05%  00:00  long                      leave_short
        """,
    ),
    Scene(
        "more bars missing: the moment is missed, and stays so",
        """
        00:04  -0.05%  00:00  waiting_after_settlement  leave_short
        00:08  -0.05%  00:00  too_late                  leave_short
        03:00  -0.05%  00:00  too_late                  leave_short
        """,
    ),
    Scene(
        "the user allows an hour's delay",
        """
        00:04  -0.05%  00:00  waiting_after_settlement  leave_short
        00:59  -0.05%  00:00  long                      leave_short
        """,
        {"late_minutes_max": 60},
    ),
    Scene(
        "no delay at all",
        """
        00:00  -0.05%  00:00  long             leave_short
        00:01  -0.05%  00:00  already_entered  leave_short
        """,
        {"delay_minutes": 0},
    ),
    Scene(
        "a settlement stamped some milliseconds late is the minute's",
        """
        00:04  -0.05%  00:00:00.009  waiting_after_settlement  leave_short
        00:05  -0.05%  00:00:00.009  long                      leave_short
        """,
    ),
    Scene(
        "the rate is unknown: nothing is entered and nothing left",
        """
        00:04  -0.05%  00:00  waiting_after_settlement  leave_short
        00:05  ?       00:00  missing_funding_rate
        00:06  -0.05%  00:00  long  leave_short
        00:07  ?       -      missing_funding_rate
        """,
    ),
    Scene(
        "no settlement times: a changed rate is a settlement at the close that shows it",
        """
        00:00   0.01%  -  rate_normal               leave_long  leave_short
        00:01  -0.05%  -  waiting_after_settlement  leave_short
        00:05  -0.05%  -  waiting_after_settlement  leave_short
        00:06  -0.05%  -  long                      leave_short
        00:07  -0.05%  -  already_entered           leave_short
        00:08  -0.06%  -  waiting_after_settlement  leave_short
        00:13  -0.06%  -  long                      leave_short
        """,
    ),
    Scene(
        "no settlement times: a rate that was there from the first bar on is of no known age",
        """
        00:01  -0.05%  -  settlement_unknown  leave_short
        00:06  -0.05%  -  settlement_unknown  leave_short
        """,
    ),
    Scene(
        "no settlement times: a rate that changed while bars were missing is of no known age",
        """
        00:00   0.01%  -  rate_normal         leave_long  leave_short
        01:00  -0.05%  -  settlement_unknown  leave_short
        01:05  -0.05%  -  settlement_unknown  leave_short
        """,
    ),
    Scene(
        "no settlement times: nor is one that comes after an unknown rate",
        """
        00:00   0.01%  -  rate_normal         leave_long  leave_short
        00:01  ?       -  missing_funding_rate
        00:02  -0.05%  -  settlement_unknown  leave_short
        00:07  -0.05%  -  settlement_unknown  leave_short
        """,
    ),
)


@pytest.mark.parametrize("side", [Side.LONG, Side.SHORT], ids=["long", "short"])
@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.caption)
def test_gates(scene: Scene, side: int) -> None:
    scene.check(side)


def test_a_bar_without_a_price_is_not_entered_on() -> None:
    bars = candles([(NAN, NAN, NAN, NAN)])
    contexts = unknown_contexts(1)
    contexts["funding_rate"], contexts["funding_time"] = -0.001, START - 4 * MINUTE_MS
    assert said(bars, contexts)[0] == ["missing_price"]


def test_what_it_looked_at() -> None:
    """Kept for whoever asks why: no settlement is shown for a rate that is not known."""
    strategy = load_strategy("funding")
    params = strategy.parameters.record(strategy.values({}, MINUTE_MS), MINUTE_MS)
    state = new(strategy.state_dtype(params))
    bars, contexts = candles([(100.0, 100.0, 100.0, 100.0)] * 3), unknown_contexts(3)
    contexts["funding_rate"][:2] = 0.0001, -0.001
    seen = []
    for i in range(3):
        strategy.step(state, bars[i], contexts[i], params, quiet_signals(1)[0])
        seen.append((int(state["seen"]["settlement_time"]), int(state["seen"]["waited_ms"])))
    assert seen == [(0, 0), (START + 2 * MINUTE_MS, 0), (0, 0)]


def test_a_neutral_rate_that_is_extreme_is_refused() -> None:
    strategy = load_strategy("funding")
    with pytest.raises(UserError, match=r"neutral_rate must be below extreme_rate, 0.0003"):
        strategy.values({"neutral_rate": 0.0003}, MINUTE_MS)


def traded(rates: Mapping[int, float], moves: Mapping[int, tuple[float, float]]) -> Outcome:
    """490 minutes at 100 with settlements at 00:00 and 08:00, traded by the kernel.

    `rates` by hour; `moves` are the high and the low of single bars.
    """
    bars = candles([(100.0, 100.0, 100.0, 100.0)] * 490)
    for at, (high, low) in moves.items():
        bars[at]["high"], bars[at]["low"] = high, low
    contexts = unknown_contexts(len(bars))
    closes = bars["open_time"] + MINUTE_MS
    for hour, rate in rates.items():
        settled = START + hour * 60 * MINUTE_MS
        contexts["funding_rate"] = np.where(closes >= settled, rate, contexts["funding_rate"])
        contexts["funding_time"] = np.where(closes >= settled, settled, contexts["funding_time"])
    return trade(stream(load_strategy("funding").plan), bars, said(bars, contexts)[1])


@pytest.mark.parametrize("side", [1, -1], ids=["long", "short"])
def test_how_trades_end(side: int) -> None:
    """Entered with bar 4, at 00:05: stop 0.6 % and target 0.8 % away, neutral at 08:00, 8 hours."""
    extreme, neutral = side * -0.0005, side * -0.0001
    entered = [(4, 100.0, 1.0)]

    def seen(adverse: float, favourable: float) -> tuple[float, float]:
        ends = (100.0 - side * adverse, 100.0 + side * favourable)
        return max(ends), min(ends)

    outcome = traded({0: extreme, 8: extreme}, {99: seen(0.6, 0.0)})
    assert outcome.entries[0] == entered[0]
    assert outcome.exits == [(99, "stop", 100.0 - side * 0.6, 1.0)]
    outcome = traded({0: extreme, 8: extreme}, {99: seen(0.59, 0.9)})
    assert outcome.exits == [(99, "target_1", 100.0 + side * 0.8, 1.0)]
    outcome = traded({0: extreme, 8: neutral}, {})
    assert outcome.entries == entered
    assert outcome.exits == [(479, "signal", 100.0, 1.0)]
    outcome = traded({0: extreme, 8: 1.5 * extreme}, {})
    assert outcome.entries == entered  # the next signal comes at 08:05, with the position open
    assert outcome.exits == [(484, "time", 100.0, 1.0)]
    assert outcome.refusals() == {"position_open": 1}
