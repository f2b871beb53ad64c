"""The look-ahead proof on real bars, for every strategy that comes with Tercel.

History is cut off and bent at every bar of the stretch, as `tercel lookahead` does. Without the JIT
the stretch is short, and so are the windows: a proof without a single signal would prove little.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.market_data import JIT, MINUTE_MS, invented_bars, real_bars

from tercel.app.lookahead import check_lookahead
from tercel.app.strategies import built_in_names, load_strategy

BARS = 1500 if JIT else 60
SHORTER: dict[str, dict[str, object]] = {
    # Crosses of hourly bars are days apart, so it decides on 5-minute bars, by quicker averages.
    "swing": {"decide_minutes": 5, "fast_len": 5, "slow_len": 12, "adx_len": 7, "atr_len": 7},
}
SHORTEST: dict[str, dict[str, object]] = {
    "swing": {
        "decide_minutes": 1, "fast_len": 2, "slow_len": 4, "adx_len": 2, "adx_min": 0.0,
        "atr_len": 2,
    },
    "three_r": {
        "vol_window": 30, "ema_len": 2, "volume_mult": 0.0, "bid_ask_ratio": 1.0,
        "range_pct": 5.0, "percentile_thr": 50, "trend_vol_quantile": 1.0, "volume_len": 3,
        "atr_len": 2,
    },
}  # fmt: skip


@pytest.mark.real_data
@pytest.mark.slow
@pytest.mark.parametrize("name", built_in_names())
def test_no_strategy_looks_ahead(name: str) -> None:
    strategy = load_strategy(name)
    values = strategy.values((SHORTER if JIT else SHORTEST).get(name, {}), MINUTE_MS)
    report = check_lookahead(strategy, real_bars(BARS), MINUTE_MS, values)
    assert report.signals > 0
    assert report.is_clean, report
    assert report.bars == BARS


def test_a_leak_ends_the_proof_and_says_how_far_it_came() -> None:
    """Bar 20 knows the close of bar 21, which the history cut off before bar 21 has not got."""
    strategy = load_strategy("three_r")

    def peeking(state: Any, bars: Any, contexts: Any, params: Any, out: Any) -> None:
        strategy.signals(state, bars, contexts, params, out)
        out["atr"][20:-1] = bars["close"][21:]

    bars = invented_bars(60)
    values = strategy.values({}, MINUTE_MS)
    report = check_lookahead(replace(strategy, signals=peeking), bars, MINUTE_MS, values)
    assert not report.is_clean
    assert report.bars == 21
    assert report.first_leak == bars["open_time"][20]
    assert report.first_difference == bars["open_time"][20]
