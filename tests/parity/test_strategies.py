"""Strategies say the same bar by bar as in batch, and trade the same in chunks of any size."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import pytest
from tests.desk import JIT
from tests.market_data import invented_bars, real_bars
from tests.parity.plain_python import QUICK, signals_of, spec_of

from tercel.app.backtest import AccountSpec, simulate
from tercel.app.signals import quiet_signals, unknown_context
from tercel.app.strategies import built_in_names, load_strategy
from tercel.core.jit import new
from tercel.core.records import LIMITS, Records

COUNT = 20_000 if JIT else 1_200
NAMES = pytest.mark.parametrize("name", sorted(QUICK))


def test_every_built_in_strategy_is_here() -> None:
    assert sorted(QUICK) == built_in_names()


@pytest.fixture(scope="module")
def bars() -> Records:
    return real_bars(COUNT)


@NAMES
@pytest.mark.real_data
def test_batch_equals_stream(name: str, bars: Records) -> None:
    strategy = load_strategy(name)
    batch = signals_of(strategy, bars)
    params = strategy.parameters.record(strategy.parameters.values(QUICK[name]), 60_000)
    state: Any = new(strategy.state_dtype(params))
    context, out = unknown_context()[0], quiet_signals(len(bars))
    for bar, signal in zip(bars, out, strict=True):
        strategy.step(state, bar, context, params, signal)
    assert batch.tobytes() == out.tobytes()
    assert np.any(batch["side"] != 0)


@NAMES
@pytest.mark.real_data
def test_chunks_do_not_matter(name: str, bars: Records) -> None:
    spec = spec_of(load_strategy(name), bars)
    runs = [
        simulate((spec,), AccountSpec(10_000.0, new(LIMITS)), chunk_bars=chunk)
        for chunk in (64, 1000, 16_384)
    ]
    first = runs[0]
    assert len(first.trades) > 0
    for run in runs[1:]:
        assert run.trades.tobytes() == first.trades.tobytes()
        assert run.fills.tobytes() == first.fills.tobytes()
        assert run.equity.tobytes() == first.equity.tobytes()
        assert run.strategy_reasons == first.strategy_reasons


def test_two_symbols_in_chunks_of_any_size() -> None:
    """Two strategies on two series with gaps of their own, on one account."""
    count = COUNT // 4
    one, two = invented_bars(count, seed=5), invented_bars(count, seed=6)
    two = two[np.arange(count) % 211 > 3][: count - 50]
    specs = (
        spec_of(load_strategy("three_r"), one),
        spec_of(load_strategy("swing"), two, number=1),
    )
    runs = [
        simulate(specs, AccountSpec(10_000.0, new(LIMITS)), chunk_bars=chunk)
        for chunk in (64, 1000, 16_384)
    ]
    assert {int(number) for number in runs[0].trades["stream"]} == {0, 1}
    for run in runs[1:]:
        assert run.trades.tobytes() == runs[0].trades.tobytes()
        assert run.equity.tobytes() == runs[0].equity.tobytes()


@NAMES
def test_nothing_ahead_is_seen(name: str) -> None:
    """What comes after a bar changes nothing that was said at it."""
    strategy = load_strategy(name)
    rows = invented_bars(1_000 if JIT else 500, seed=9)
    whole = signals_of(strategy, rows)
    for end in (len(rows) - 1, len(rows) // 2):
        changed = rows.copy()
        for field in ("open", "high", "low", "close", "volume", "quote_volume"):
            changed[field][end:] *= 1.5
        assert signals_of(strategy, changed)[:end].tobytes() == whole[:end].tobytes()
        assert signals_of(strategy, rows[:end].copy()).tobytes() == whole[:end].tobytes()


@pytest.mark.skipif(not JIT, reason="the JIT is off: nothing is compiled")
@NAMES
def test_one_signature_serves_batch_and_stream(name: str) -> None:
    """A module's kernels are compiled once, however they are called."""
    strategy = load_strategy(name)
    rows = invented_bars(100)
    signals_of(strategy, rows)
    simulate((spec_of(strategy, rows),), AccountSpec(10_000.0, new(LIMITS)), chunk_bars=64)
    params = strategy.parameters.record(strategy.parameters.values(), 60_000)
    state: Any = new(strategy.state_dtype(params))
    strategy.step(state, rows[0], unknown_context()[0], params, quiet_signals(1)[0])
    state_type = numba.typeof(state)  # type: ignore[no-untyped-call]
    for function in (strategy.step, strategy.signals):
        compiled = function.signatures  # type: ignore[attr-defined]
        # Windows of another capacity are another record, compiled for itself.
        assert len([one for one in compiled if one[0] == state_type]) == 1
