"""vwap_rsi, candle by candle: each gate, both exits, both sides.

Small windows keep the tables short: a VWAP of five candles, RSI of two, ADX of four, and everything
is decided on the one-minute candles themselves. A see-saw around 100 is the ranging market.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest
from tests.desk import stream, trade
from tests.scenarios.strategy_desk import ask, bars_of, see_saw, table_of

from tercel.app.strategies import load_strategy
from tercel.core.codes import Side
from tercel.domain.errors import UserError

SMALL: dict[str, object] = {
    "decide_minutes": 1, "vwap_minutes": 5, "rsi_len": 2, "volume_len": 3, "volume_mult": 1.5,
    "adx_len": 4, "trend_minutes": 1, "trend_fast_len": 2, "trend_slow_len": 4, "trend_adx_len": 4,
}  # fmt: skip
EACH_SIDE = pytest.mark.parametrize("side", [Side.LONG, Side.SHORT], ids=["long", "short"])
DIP = "100 101 98.4 98.6 30"
"""The see-saw's reach downwards, on three times its volume, that stays down."""


@dataclass(frozen=True, slots=True)
class Case:
    """One caption, the candle after twelve of the see-saw, and what is said at it."""

    caption: str
    last: str
    reason: str
    values: dict[str, object] = field(default_factory=dict)


CASES = (
    Case("RSI 7.8, ADX 15.7, a low of 98.4 below VWAP 99.87, 1.8 times the volume", DIP, "long"),
    Case("a fall of eight points is a trend: ADX 31", "100 100 92 93 30", "regime_trending"),
    Case("back at 100 by the close: RSI 44", "100 101 98.4 100 30", "rsi_neutral"),
    Case("5 % below VWAP is 94.9", DIP, "vwap_not_reached", {"vwap_band_pct": 5.0}),
    Case("18 is 1.42 times the mean of 10, 10 and 18", "100 101 98.4 98.6 18", "volume_low"),
    Case("larger bars that lean down", DIP, "trend_against", {"trend_adx_min": 0.0}),
    Case("a volume that is unknown", "100 101 98.4 98.6 nan", "missing_volume"),
    Case("thirteen candles are no VWAP of fourteen", DIP, "warming_up", {"vwap_minutes": 14}),
    Case("nor the slow EMA of the larger bars", DIP, "warming_up", {"trend_slow_len": 14}),
)  # fmt: skip


@EACH_SIDE
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.caption)
def test_what_is_said_at_the_last_candle(case: Case, side: Side) -> None:
    bars = bars_of(table_of(see_saw(12), case.last), side)
    said = ask("vwap_rsi", bars, {**SMALL, **case.values})
    expected = "short" if case.reason == "long" and side == Side.SHORT else case.reason
    assert said.reasons[-1] == expected
    assert said.signals[-1]["side"] == (side if case.reason == "long" else Side.NONE)


@EACH_SIDE
def test_stop_and_target_are_shares_of_the_close(side: Side) -> None:
    """0.3 % and 0.6 % of 98.6; of 101.4 for the short."""
    said = ask("vwap_rsi", bars_of(table_of(see_saw(12), DIP), side), SMALL)
    stop, target = (0.2958, 0.5916) if side == Side.LONG else (0.3042, 0.6084)
    assert said.entry == pytest.approx((side, stop, target))


def test_the_vwap_is_that_of_all_trades_and_includes_the_last_candle() -> None:
    """Middles 100.25 and 99.75 by turns, ten of each, and thirty at 99.7: 6991 / 70 = 99.871."""
    said = ask("vwap_rsi", bars_of(table_of(see_saw(12), DIP), Side.LONG), SMALL)
    traded = 10 * (99.75 + 100.25 + 99.75 + 100.25) + 30 * 99.7
    assert said.seen["vwap"] == pytest.approx(traded / 70)
    assert said.seen["band"] == pytest.approx(traded / 70 * 0.999)


@EACH_SIDE
def test_the_low_touches_the_band(side: Side) -> None:
    """A band that starts exactly at the low is touched."""
    bars = bars_of(table_of(see_saw(12), DIP), side)
    vwap = float(ask("vwap_rsi", bars, SMALL).seen["vwap"])
    reach = abs(1.0 - (98.4 if side == Side.LONG else 101.6) / vwap) * 100.0
    for share, entered in ((reach * (1 - 1e-9), True), (reach * (1 + 1e-9), False)):
        said = ask("vwap_rsi", bars, {**SMALL, "vwap_band_pct": share})
        assert (said.reasons[-1] in ("long", "short")) is entered


@EACH_SIDE
def test_a_touch_of_the_vwap_itself_is_enough_without_a_band(side: Side) -> None:
    """Everything traded at 98.5 (101.5 for the short), which is as far as the last candle went."""
    bars = bars_of(table_of(see_saw(12), "100 101 98.5 98.6 30"), side)
    price = 98.5 if side == Side.LONG else 101.5
    for traded, entered in ((price, True), (price - side * 0.25, False)):
        bars["quote_volume"] = bars["volume"] * traded
        said = ask("vwap_rsi", bars, {**SMALL, "vwap_band_pct": 0.0})
        assert said.seen["vwap"] == traded
        assert said.reasons[-1] == (side.name.lower() if entered else "vwap_not_reached")


@EACH_SIDE
def test_without_quote_volume_an_estimate_has_to_be_asked_for(side: Side) -> None:
    bars = bars_of(table_of(see_saw(12), DIP), side)
    bars["quote_volume"] = np.nan
    assert ask("vwap_rsi", bars, SMALL).reasons[-1] == "missing_vwap"
    said = ask("vwap_rsi", bars, {**SMALL, "vwap_from": "typical"})
    assert said.signals[-1]["side"] == side
    down, up, last = 298.4 / 3, 301.6 / 3, 298.0 / 3
    mean = (10 * (2 * down + 2 * up) + 30 * last) / 70
    expected = mean if side == Side.LONG else 200.0 - mean
    assert said.seen["vwap"] == pytest.approx(expected)


@EACH_SIDE
def test_out_when_the_mean_is_reached(side: Side) -> None:
    """RSI is below 50 at the second candle after the entry, and above it at the third."""
    bars = bars_of(
        table_of(
            see_saw(12),
            DIP,
            """
            98.6 98.8 98.4 98.7  10
            98.7 99   98.5 98.65 10
            98.65 99.6 98.6 99.5 10
            """,
        ),
        side,
    )
    said = ask("vwap_rsi", bars, {**SMALL, "stop_pct": 5.0, "target_pct": 5.0})
    assert said.signals[12]["side"] == side
    assert [at for at in said.exits(side) if at >= 12] == [15]
    assert [at for at in said.exits(-side) if at >= 12] == [12, 13, 14]
    outcome = trade(stream(load_strategy("vwap_rsi").plan), bars, said.signals)
    assert [at for at, _, _ in outcome.entries] == [12]
    assert [(at, why) for at, why, _, _ in outcome.exits] == [(15, "signal")]


@EACH_SIDE
def test_out_of_either_side_when_the_market_begins_to_trend(side: Side) -> None:
    """Further down, without a word of RSI: ADX rises above 20."""
    bars = bars_of(table_of(see_saw(12), DIP, "98.6 98.7 95 95.5 10", "95.5 95.6 92 92.5 10"), side)
    said = ask("vwap_rsi", bars, SMALL)
    assert said.reasons[12] == ("long" if side == Side.LONG else "short")
    assert said.reasons[13:] == ("regime_trending", "regime_trending")
    assert [at for at in said.exits(side) if at >= 12] == [13, 14]
    assert said.seen["rsi"] < 50.0 if side == Side.LONG else said.seen["rsi"] > 50.0


@pytest.mark.parametrize(
    ("minutes", "values", "problem"),
    [
        (15, {}, "decide_minutes must be a multiple of the bars' length, 15 minutes; got 5"),
        (5, {"decide_minutes": 1}, "decide_minutes must be .* 5 minutes; got 1"),
        (5, {"trend_minutes": 12}, "trend_minutes must be a multiple of the bars' length, 5"),
        (1, {"vwap_minutes": 1441}, "vwap_minutes must be a multiple of .*, 5; got 1441"),
        (1, {"rsi_exit": 20.0}, "rsi_exit must be between rsi_low, 25, and rsi_high, 75.* got 20"),
    ],
)  # fmt: skip
def test_what_is_impossible(minutes: int, values: dict[str, object], problem: str) -> None:
    with pytest.raises(UserError, match=problem):
        load_strategy("vwap_rsi").values(values, minutes * 60_000)


@pytest.mark.parametrize(("minutes", "decide"), [(1, 1), (1, 5), (5, 5)])
def test_bar_lengths_that_work(minutes: int, decide: int) -> None:
    load_strategy("vwap_rsi").values({"decide_minutes": decide}, minutes * 60_000)
