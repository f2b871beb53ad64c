"""The look-ahead proof on real bars, for every strategy that comes with Tercel.

History is cut off and bent at every bar of the stretch, as `tercel lookahead` does: once with
nothing known beside the bars, once with contexts that change. Without the JIT the stretch is short,
and so are the windows: a proof without a single signal would prove little.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from tests.market_data import JIT, MINUTE_MS, invented_bars, real_bars
from tests.parity.plain_python import QUICK, known_contexts, needs_context

from tercel.app.lookahead import LookaheadReport, check_lookahead, signals_of
from tercel.app.signals import Market, unknown_context
from tercel.app.strategies import Strategy, built_in_names, load_strategy
from tercel.core.records import Records

BARS = 1500 if JIT else 50
SHORTER: dict[str, dict[str, object]] = {
    **QUICK,
    # Crosses of hourly bars are days apart, so it decides on 5-minute bars, by quicker averages.
    "swing": {"decide_minutes": 5, "fast_len": 5, "slow_len": 12, "adx_len": 7, "atr_len": 7},
}
SHORTEST: dict[str, dict[str, object]] = {
    **QUICK,
    "momentum": {
        "decide_minutes": 1, "breakout_len": 2, "volume_len": 2, "volume_mult": 0.5, "adx_len": 2,
        "adx_min": 0.0, "adx_exit": 0.0, "atr_len": 2, "trend_minutes": 1, "trend_fast_len": 2,
        "trend_slow_len": 4, "trend_adx_len": 2, "trend_adx_min": 0.0,
    },
    "order_flow": {"atr_len": 2, "large_len": 5},
    "swing": {
        "decide_minutes": 1, "fast_len": 2, "slow_len": 4, "adx_len": 2, "adx_min": 0.0,
        "atr_len": 2,
    },
    "three_r": {
        "vol_window": 30, "ema_len": 2, "volume_mult": 0.0, "bid_ask_ratio": 1.0,
        "range_pct": 5.0, "percentile_thr": 50, "trend_vol_quantile": 1.0, "volume_len": 3,
        "atr_len": 2,
    },
    "vwap_rsi": {
        "decide_minutes": 1, "vwap_minutes": 10, "rsi_len": 2, "rsi_low": 50.0, "rsi_high": 50.0,
        "volume_len": 2, "volume_mult": 0.0, "adx_len": 2, "adx_max": 100.0, "trend_minutes": 1,
        "trend_fast_len": 2, "trend_slow_len": 4, "trend_adx_len": 2, "trend_adx_min": 100.0,
    },
}  # fmt: skip


def proof(strategy: Strategy, contexts: Records | None) -> tuple[LookaheadReport, Records]:
    """What the proof found over real bars, and the signals it was about."""
    values = strategy.values((SHORTER if JIT else SHORTEST)[strategy.name], MINUTE_MS)
    bars = real_bars(BARS)
    report = check_lookahead(strategy, bars, MINUTE_MS, values, contexts=contexts)
    market = Market(bars, unknown_context() if contexts is None else contexts)
    said = signals_of(strategy, market, strategy.parameters.record(values, MINUTE_MS))
    assert report.is_clean, report
    assert report.bars == BARS
    return report, said


@pytest.mark.real_data
@pytest.mark.slow
@pytest.mark.parametrize("name", built_in_names())
def test_no_strategy_looks_ahead(name: str) -> None:
    """With nothing known beside the bars: where that is needed, there is no signal."""
    strategy = load_strategy(name)
    report, said = proof(strategy, None)
    silent = strategy.is_filter or needs_context(strategy)
    assert (report.signals > 0) != silent
    assert not strategy.is_filter or np.isfinite(said["score"]).any()


@pytest.mark.skipif(not JIT, reason="plain Python signals the same (test_kernel.py)")
@pytest.mark.real_data
@pytest.mark.slow
@pytest.mark.parametrize("name", built_in_names())
def test_no_strategy_looks_ahead_in_what_is_known_beside_the_bars(name: str) -> None:
    strategy = load_strategy(name)
    report, said = proof(strategy, known_contexts(real_bars(BARS)))
    assert (report.signals > 0) != strategy.is_filter
    assert not strategy.is_filter or np.isfinite(said["score"]).any()


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


def test_a_peek_at_a_later_context_is_a_leak_too() -> None:
    """Bar 20 knows the rate of bar 21: nothing but contexts gives it away."""
    strategy = load_strategy("funding")

    def peeking(state: Any, bars: Any, contexts: Any, params: Any, out: Any) -> None:
        strategy.signals(state, bars, contexts, params, out)
        out["score"][20:-1] = contexts["funding_rate"][21:]

    bars = invented_bars(60)
    values = strategy.values({}, MINUTE_MS)
    report = check_lookahead(
        replace(strategy, signals=peeking), bars, MINUTE_MS, values, contexts=known_contexts(bars)
    )
    assert report.bars == 21
    assert report.first_leak == bars["open_time"][20]
