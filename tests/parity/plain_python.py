"""Digests of a backtest over real bars: the same with and without the JIT.

`python -m tests.parity.plain_python` prints them, one strategy a line.
"""

from __future__ import annotations

import hashlib
from typing import Any

from tests.desk import stream
from tests.market_data import real_bars

from tercel.app.backtest import AccountSpec, StreamSpec, simulate
from tercel.app.signals import quiet_signals, unknown_context
from tercel.app.strategies import Strategy, load_strategy
from tercel.core.codes import SizeMode, SlippageModel
from tercel.core.jit import new
from tercel.core.records import LIMITS, Records
from tercel.domain.bars import BarSeries, SeriesKey
from tercel.domain.results import StreamLabel

BARS = 3_000
QUICK = {
    "three_r": {},
    "swing": {"decide_minutes": 5, "fast_len": 5, "slow_len": 12, "adx_min": 0.0},
}
"""Parameters under which each strategy trades now and then within a day or two."""


def spec_of(strategy: Strategy, bars: Records, number: int = 0, **settings: Any) -> StreamSpec:
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
        strategy.parameters.values(QUICK[strategy.name]),
        BarSeries(SeriesKey("binance-spot", "BTCUSDT", "1m"), bars, (), ""),
        stream(strategy.plan, **given),
    )


def signals_of(strategy: Strategy, bars: Records) -> Records:
    """The strategy's signals in batch."""
    params = strategy.parameters.record(strategy.parameters.values(QUICK[strategy.name]), 60_000)
    out = quiet_signals(len(bars))
    state: Any = new(strategy.state_dtype(params))
    strategy.signals(state, bars, unknown_context(), params, out)
    return out


def digest_of_run(count: int) -> list[str]:
    """SHA-256 over signals, trades, fills and equity, for each strategy."""
    bars = real_bars(count)
    digests = []
    for name in QUICK:
        strategy = load_strategy(name)
        result = simulate((spec_of(strategy, bars),), AccountSpec(10_000.0, new(LIMITS)))
        signals = signals_of(strategy, bars)
        digest = hashlib.sha256()
        for part in (signals, result.trades, result.fills, result.equity):
            digest.update(part.tobytes())
        assert len(result.trades) > 0, name
        digests.append(digest.hexdigest())
    return digests


if __name__ == "__main__":
    print("\n".join(digest_of_run(BARS)))  # noqa: T201 (what the program is for)
