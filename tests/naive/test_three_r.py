"""three_r's signals against a slow twin written from its rules, on real bars.

The twin looks at whole arrays, sorts every window with numpy, and knows no state: it shares no line
with the strategy.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from tests.desk import JIT
from tests.market_data import Bars, real_bars
from tests.naive import twins

from tercel.app.signals import quiet_signals, unknown_context
from tercel.app.strategies import load_strategy
from tercel.core.jit import new
from tercel.core.strategies import three_r

Floats = npt.NDArray[np.float64]
COUNT = 40_000 if JIT else 2_500


def wilder_atr(bars: Bars, length: int) -> Floats:
    """Average true range; the first bar has none."""
    previous = bars["close"][:-1]
    high = np.maximum(bars["high"][1:], previous)
    low = np.minimum(bars["low"][1:], previous)
    out = np.full(len(bars), np.nan)
    value = np.mean((high - low)[:length])
    out[length] = value
    for i in range(length + 1, len(bars)):
        value = (value * (length - 1) + high[i - 1] - low[i - 1]) / length
        out[i] = value
    return out


def quantile_of(values: Floats, length: int, q: float) -> Floats:
    """numpy's quantile of each window; NaN before the first full one."""
    out = np.full(len(values), np.nan)
    windows = np.lib.stride_tricks.sliding_window_view(values, length)
    out[length - 1 :] = np.quantile(windows, q, axis=1)
    return out


def sizes(bars: Bars, pressure: str) -> tuple[Floats, Floats]:
    """Bid and ask sizes as the parameter asks for them."""
    volume = bars["volume"]
    if pressure == "bar":
        span = bars["high"] - bars["low"]
        share = np.zeros(len(bars))
        moved = span > 0
        reach = 2.0 * bars["close"] - bars["high"] - bars["low"]
        share[moved] = reach[moved] / span[moved]
        return 0.5 * volume * (1 + share), 0.5 * volume * (1 - share)
    return bars["taker_buy_volume"], volume - bars["taker_buy_volume"]


def twin(bars: Bars, p: dict[str, Any]) -> tuple[list[str], Floats, npt.NDArray[np.bool_]]:
    """(reason of every bar, stop distance where it is an entry, bars that hang on a last digit).

    The same five returns in another order give the same deviation but for its last digit: where a
    value and the quantile it is compared with are such a pair, either answer is right.
    """
    close, open_ = bars["close"], bars["open"]
    returns = np.concatenate([[np.nan], np.diff(close) / close[:-1]])
    volatility = np.full(len(bars), np.nan)
    windows = np.lib.stride_tricks.sliding_window_view(returns, p["vol_len"])
    volatility[p["vol_len"] - 1 :] = np.std(windows, axis=1, ddof=1)
    trend = twins.ema((close - open_) / open_, p["ema_len"])
    muting = quantile_of(volatility, p["trend_vol_len"], p["trend_vol_quantile"])
    high = quantile_of(volatility, p["vol_window"], p["percentile_thr"] / 100)
    low = quantile_of(volatility, p["vol_window"], 1 - p["percentile_thr"] / 100)
    atr = wilder_atr(bars, p["atr_len"])
    loud = bars["volume"] > p["volume_mult"] * quantile_of(bars["volume"], p["volume_len"], 0.5)
    bid, ask = sizes(bars, p["pressure"])
    reasons = [
        reason_at(i, bars, p, trend, volatility, muting, high, low, atr, loud, bid, ask)
        for i in range(len(bars))
    ]
    entry = np.isin(reasons, ("long", "short"))
    ties = np.zeros(len(bars), dtype=bool)
    for threshold in (muting, high, low):
        ties |= np.abs(volatility - threshold) <= 1e-9 * volatility
    return reasons, np.where(entry, p["stop_atr"] * atr, np.nan), ties


def reason_at(
    i: int,
    bars: Bars,
    p: dict[str, Any],
    trend: Floats,
    volatility: Floats,
    muting: Floats,
    high: Floats,
    low: Floats,
    atr: Floats,
    loud: npt.NDArray[np.bool_],
    bid: Floats,
    ask: Floats,
) -> str:
    """The first of the rules that keeps bar `i` from being an entry, or the entry."""
    if i == 0 or not (loud[i] and loud[i - 1]):
        return "volume_gate"
    if np.isnan(high[i] + trend[i] + atr[i]):
        return "warming_up"
    if not volatility[i] < muting[i]:
        return "trend_neutral"
    if trend[i] > 0 and volatility[i] < low[i]:
        side = 1
    elif trend[i] < 0 and volatility[i] > high[i]:
        side = -1
    else:
        return "volatility_mismatch"
    if not bars["volume"][i] > 0:
        return "missing_vwap"
    vwap = bars["quote_volume"][i] / bars["volume"][i]
    if np.isnan(vwap):
        return "missing_vwap"
    close = bars["close"][i]
    if not side * (close - vwap) > 0:
        return "vwap_side"
    if np.isnan(bid[i] + ask[i]):
        return "missing_pressure"
    ours, theirs = (bid[i], ask[i]) if side > 0 else (ask[i], bid[i])
    if not ours > p["bid_ask_ratio"] * theirs:
        return "pressure_weak"
    top, bottom = bars["high"][i - 1], bars["low"][i - 1]
    near, far = (top, bottom) if side > 0 else (bottom, top)
    origin = near if p["anti_chase_from"] == "near" else far
    if side * close > side * origin + p["range_pct"] * (top - bottom):
        return "chasing"
    return "long" if side > 0 else "short"


@pytest.mark.real_data
@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"anti_chase_from": "far", "percentile_thr": 55, "bid_ask_ratio": 1.2},
        {"pressure": "bar", "ema_len": 9, "volume_mult": 0.8, "vol_window": 100, "stop_atr": 2.5},
    ],
    ids=["defaults", "from the far extreme", "pressure of the bar"],
)
def test_signals_equal_the_twins(changed: dict[str, object]) -> None:
    bars = real_bars(COUNT)
    bars["quote_volume"][1000:1050] = np.nan
    bars["taker_buy_volume"][1500:1600] = np.nan
    strategy = load_strategy("three_r")
    values = strategy.parameters.values(changed)
    params = strategy.parameters.record(values, 60_000)
    out = quiet_signals(len(bars))
    strategy.signals(new(strategy.state_dtype(params)), bars, unknown_context(), params, out)
    reasons, stops, ties = twin(bars, values)
    ours = np.array([three_r.REASONS[reason] for reason in out["reason"]])
    np.testing.assert_array_equal(ours[~ties], np.array(reasons)[~ties])
    assert np.count_nonzero(ties) < len(bars) // 100
    side = np.array([{"long": 1, "short": -1}.get(reason, 0) for reason in reasons])
    np.testing.assert_array_equal(out["side"][~ties], side[~ties])
    np.testing.assert_allclose(out["stop_distance"][~ties], stops[~ties], rtol=1e-12)
    assert np.count_nonzero(side) > (20 if JIT else 0)
