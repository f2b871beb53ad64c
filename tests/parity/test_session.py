"""A session over a replay trades as the backtest does: every decision, every trade, every minute,
to the last bit.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from tests.desk import JIT
from tests.market_data import BOUNDS_CHECKED, invented_bars, joined, real_bars
from tests.parity.busy_streams import (
    BUSY_BARS,
    FUNDED,
    PLANS,
    RISKED,
    THIN,
    account_spec,
    busy,
    key_of,
)
from tests.parity.live_cases import Twice, twice
from tests.parity.plain_python import known_contexts, needs_context, quick_values, spec_of

from tercel.app.backtest import AccountSpec, FlowFilter, StreamSpec
from tercel.app.strategies import built_in_names, load_strategy
from tercel.core.codes import EntryTiming, IntrabarMode
from tercel.core.jit import new
from tercel.core.records import LIMITS

BARS = 3_000 if JIT else 300
BTC = "klines/binance-spot/BTCUSDT/1m/2024-06.parquet"
ETH = "klines/binance-spot/ETHUSDT/1m/2024-06.parquet"
MONTHS = ("2023-07", "2023-08", "2023-09", "2023-10", "2023-11", "2023-12", "2024-01")
REAL_BARS_MIN = 300_000
NO_LIMITS = AccountSpec(100_000.0, new(LIMITS))


def traded(found: Twice, trades_min: int = 5) -> Twice:
    """A comparison of nothing would prove nothing."""
    assert len(found.trades) >= trades_min
    return found.check()


@pytest.mark.real_data
@pytest.mark.parametrize("name", [each for each in built_in_names() if each != "order_flow"])
def test_each_strategy_alone(name: str) -> None:
    strategy = load_strategy(name)
    bars = real_bars(BARS)
    contexts = known_contexts(bars) if needs_context(strategy) or JIT else None
    spec = spec_of(strategy, bars, contexts=contexts, **FUNDED)
    traded(twice([spec], NO_LIMITS), trades_min=1 if JIT else 0)


@pytest.mark.parametrize("intrabar", IntrabarMode)
@pytest.mark.parametrize("timing", EntryTiming)
@pytest.mark.parametrize("plan", PLANS)
def test_every_plan_under_every_fill_rule(
    plan: str, timing: EntryTiming, intrabar: IntrabarMode
) -> None:
    rules: dict[str, Any] = {"intrabar": intrabar, "entry_timing": timing}
    whole = busy(0, plan, **RISKED, **FUNDED, **rules)
    thin = busy(1, plan, **RISKED, **FUNDED, **THIN, **rules)
    traded(twice([whole, thin], account_spec(1e6)))


BREAKERS: dict[str, Any] = {
    "positions_max": 2,
    "daily_loss_fraction_max": 0.01,
    "loss_24h_fraction_max": 0.02,
    "session_loss_fraction_max": 0.03,
    "resume_after_ms": 30 * 60_000,
    "heat_fraction_max": 0.02,
    "free_margin_fraction_min": 0.2,
    "correlation_max": 0.5,
    "cluster_positions_max": 1,
    "btc_move_fraction_max": 0.015,
    "daily_trades_max": 60,
    "hourly_signals_max": 4,
    "loss_streak_max": 3,
    "loss_streak_pause_ms": 10 * 60_000,
    "revenge_pause_ms": 2 * 60_000,
    "win_streak_min": 2,
    "win_streak_factor": 0.5,
    "score_min": 5.0,
    "thin_hours": 0b1010,
    "thin_hours_score_add": 20.0,
    "atr_ratio_max": 1.4,
}


def test_many_streams_on_one_account_with_every_breaker() -> None:
    """Streams share symbols, bars have gaps of their own, a series ends early."""
    whole = [invented_bars(BUSY_BARS, seed=number + 3) for number in range(3)]
    whole[1] = whole[1][np.arange(BUSY_BARS) % 97 != 5]
    whole[2] = whole[2][: BUSY_BARS * 3 // 4]
    specs: list[StreamSpec] = []
    for number, (series, plan) in enumerate(
        [(0, "three_r"), (1, "chased"), (2, "trail_atr"), (0, "patient"), (1, "timed")]
    ):
        thin = THIN if number % 2 else {}
        made = busy(number, plan, whole[series], **RISKED, **FUNDED, **thin, leverage_max=5.0)
        key = key_of(f"C{series}USDT")
        shared = replace(made.series, key=key)
        label = replace(made.label, symbol=key.symbol)
        contexts = known_contexts(whole[series]) if number < 3 else specs[number - 3].contexts
        specs.append(replace(made, label=label, series=shared, contexts=contexts))
    found = traded(twice(specs, account_spec(20_000.0, **BREAKERS)))
    if JIT:
        refused = set(found.refusals())
        assert {"max_positions", "hourly_signals", "loss_streak", "position_open"} <= refused
        assert len(refused) >= 10, refused


@pytest.mark.real_data
def test_every_strategy_on_several_symbols() -> None:
    count = 1_000 if JIT else 100
    names = [name for name in built_in_names() if name != "order_flow"]
    specs: list[StreamSpec] = []
    for symbol, file in (("BTCUSDT", BTC), ("ETHUSDT", ETH)):
        bars = real_bars(count, file)
        contexts = known_contexts(bars)
        for name in names:
            spec = spec_of(load_strategy(name), bars, len(specs), contexts, **FUNDED)
            key = key_of(symbol)
            label = replace(spec.label, symbol=symbol)
            specs.append(replace(spec, label=label, series=replace(spec.series, key=key)))
    limits = account_spec(10_000.0, positions_max=5, heat_fraction_max=0.05, correlation_max=0.85)
    traded(twice(specs, limits), trades_min=20 if JIT else 0)


@pytest.mark.real_data
def test_a_filter_confirms_the_same_signals() -> None:
    bars = real_bars(BARS)
    flow = load_strategy("order_flow")
    made = spec_of(load_strategy("three_r"), bars)
    traded(
        twice([replace(made, flow=FlowFilter(flow, quick_values(flow), 0.1))], NO_LIMITS),
        trades_min=1 if JIT else 0,
    )


def test_an_account_that_loses_everything() -> None:
    """Ruin closes all: by its latch, in a session as in a backtest."""
    spec = busy(0, "one_target", quantity=40.0, taker_fee_rate=0.002)
    found = traded(twice([spec], account_spec(20_000.0)), trades_min=2)
    assert found.backtest.account.exhausted


def test_a_latched_kill_switch() -> None:
    """Everything is closed, and what is asked afterwards is refused for the same reason."""
    limits = account_spec(20_000.0, session_loss_fraction_max=0.02)
    found = traded(twice([busy(0, "three_r", **RISKED)], limits), trades_min=2)
    assert found.refusals()["kill_session"] > 2


def test_volume_at_the_end_is_no_matter() -> None:
    """What a thin market left open is closed whole, by the end of the data."""
    spec = busy(0, "timed", quantity=5.0, participation_max=0.01)
    traded(twice([spec], NO_LIMITS))


@pytest.mark.slow
@pytest.mark.real_data
@pytest.mark.skipif(not JIT, reason="hundreds of thousands of bars need the JIT")
@pytest.mark.skipif(BOUNDS_CHECKED, reason="the kernels of the other tests, on more bars")
def test_three_hundred_thousand_real_bars() -> None:
    """Every decision, trade and minute of seven months and more of bitcoin."""
    months = [f"klines/binance-spot/BTCUSDT/1m/{month}.parquet" for month in MONTHS]
    bars = joined(*(real_bars(50_000, month) for month in months))
    assert len(bars) >= REAL_BARS_MIN
    spec = spec_of(load_strategy("three_r"), bars, **FUNDED)
    traded(twice([spec], NO_LIMITS, chunk_bars=32_768), trades_min=500)
