"""Digests of backtests over real bars, without contexts and with them: the same with and without
the JIT.

`python -m tests.parity.plain_python` prints them, one strategy a line.
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from tests.desk import stream, unknown_contexts
from tests.market_data import MINUTE_MS, real_bars

from tercel.app.backtest import AccountSpec, StreamSpec, simulate
from tercel.app.signals import Market, quiet_signals, unknown_context
from tercel.app.strategies import Strategy, built_in_names, load_strategy
from tercel.core.codes import SizeMode, SlippageModel
from tercel.core.jit import new
from tercel.core.records import CONTEXT, LIMITS, Records
from tercel.domain.bars import BarSeries, SeriesKey
from tercel.domain.results import StreamLabel

BARS = 3_000
QUICK: dict[str, dict[str, object]] = {
    "funding": {},
    "liquidation": {
        "leverage_low": 40.0, "leverage_mid": 60.0, "leverage_high": 100.0, "warm_up_hours": 0.0,
        "half_life_hours": 2.0, "zone_bps": 30.0,
    },
    "momentum": {
        "adx_min": 10.0, "adx_exit": 5.0, "volume_mult": 1.0, "breakout_len": 5,
        "decide_minutes": 1, "trend_minutes": 1, "trend_slow_len": 30,
    },
    "order_flow": {},
    "swing": {"decide_minutes": 5, "fast_len": 5, "slow_len": 12, "adx_min": 0.0},
    "three_r": {},
    "trend_reversion": {
        "trend_minutes": 1, "trend_fast_len": 5, "trend_slow_len": 20, "zscore_min": 0.5,
        "composite_short_max": -1, "composite_long_min": 1, "extended_atr": 10.0,
    },
    "vwap_rsi": {
        "decide_minutes": 1, "vwap_minutes": 60, "rsi_low": 45.0, "rsi_high": 55.0,
        "volume_mult": 0.8, "adx_max": 40.0, "trend_minutes": 1, "trend_slow_len": 30,
    },
}  # fmt: skip
"""Parameters under which each strategy says something now and then within a day or two."""

FUNDING_RATES = (0.00005, -0.0006, 0.0002, 0.0007)
"""By the number of the settlement; every other one is extreme."""


def quick_values(strategy: Strategy) -> dict[str, int | float | str]:
    """Parameter values of QUICK for one-minute bars."""
    return strategy.values(QUICK[strategy.name], MINUTE_MS)


def needs_context(strategy: Strategy) -> bool:
    """Whether nothing is signalled where no context is known."""
    return any(name in (CONTEXT.names or ()) for name in strategy.needs)


def known_contexts(bars: Records, seed: int = 7) -> Records:
    """A CONTEXT row for each bar, all of it known at its close and changing.

    Funding settles every 8 hours, open interest is new every 5 minutes, the rest moves slowly. A
    row depends on the bars up to its own alone.
    """
    made = unknown_contexts(len(bars))
    closes = bars["open_time"] + MINUTE_MS
    settlements = closes // (8 * 60 * MINUTE_MS)
    made["funding_rate"] = np.array(FUNDING_RATES)[settlements % len(FUNDING_RATES)]
    made["funding_time"] = settlements * (8 * 60 * MINUTE_MS)
    fives = closes // (5 * MINUTE_MS)
    fives -= fives[0]
    steps = np.random.default_rng(seed).normal(0.0, 0.002, int(fives[-1]) + 1)
    made["open_interest"] = 80_000.0 * np.exp(np.cumsum(steps))[fives]
    days = (closes - closes[0]) / (24 * 60 * MINUTE_MS)
    waves = {
        "long_short_ratio": (1.2, 0.8), "fear_greed": (50.0, 45.0), "exchange_netflow": (0.0, 3e3),
        "btc_move_1h": (0.0, 0.02), "sp500_move_1h": (0.0, 0.01), "dollar_move_1h": (0.0, 0.004),
    }  # fmt: skip
    for number, (name, (middle, reach)) in enumerate(waves.items()):
        made[name] = middle + reach * np.sin(2.0 * np.pi * days * (number + 1) + number)
    return made


def spec_of(
    strategy: Strategy,
    bars: Records,
    number: int = 0,
    contexts: Records | None = None,
    **settings: Any,
) -> StreamSpec:
    """A stream on real bars: 0.2 % risk, source 1's costs, a tenth of the volume."""
    given = {
        "mode": SizeMode.RISK,
        "risk_fraction": 0.002,
        "taker_fee_rate": 0.00017,
        "maker_fee_rate": 0.00017,
        "slippage_model": SlippageModel.TICKS,
        "slippage_ticks_min": 1,
        "slippage_ticks_max": 3,
        "participation_max": 0.1,
        **settings,
    }
    return StreamSpec(
        StreamLabel(number, strategy.name, "binance-spot", "BTCUSDT", "1m"),
        strategy,
        quick_values(strategy),
        BarSeries(SeriesKey("binance-spot", "BTCUSDT", "1m"), bars, (), ""),
        stream(strategy.plan, **given),
        contexts,
    )


def signals_of(
    strategy: Strategy, bars: Records, contexts: Records | None = None, chunk: int = 0
) -> Records:
    """The strategy's signals in batch, `chunk` bars at a time (0: all at once)."""
    market = Market(bars, unknown_context() if contexts is None else contexts)
    params = strategy.parameters.record(quick_values(strategy), MINUTE_MS)
    out = quiet_signals(len(bars))
    state: Any = new(strategy.state_dtype(params))
    for first in range(0, len(bars), chunk or len(bars)):
        part = market.part(first, first + (chunk or len(bars)))
        strategy.signals(
            state, part.bars, part.contexts, params, out[first : first + len(part.bars)]
        )
    return out


def digest_of_run(count: int) -> list[str]:
    """SHA-256 for each strategy over signals, and trades, fills and equity of those that trade."""
    bars = real_bars(count)
    digests = []
    for name in built_in_names():
        strategy = load_strategy(name)
        digest = hashlib.sha256()
        for contexts in (None, known_contexts(bars)):
            digest.update(signals_of(strategy, bars, contexts).tobytes())
            if strategy.is_filter or (contexts is None and needs_context(strategy)):
                continue
            spec = spec_of(strategy, bars, contexts=contexts)
            result = simulate((spec,), AccountSpec(10_000.0, new(LIMITS)))
            assert len(result.trades) > 0, name
            for part in (result.trades, result.fills, result.equity):
                digest.update(part.tobytes())
        digests.append(digest.hexdigest())
    return digests


if __name__ == "__main__":
    print("\n".join(digest_of_run(BARS)))  # noqa: T201 (what the program is for)
