"""Strategies say the same bar by bar as in batch, and trade the same in chunks of any size.

Each is shown real bars twice: with nothing known beside them, and with contexts that change.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import pytest
from tests.desk import JIT
from tests.market_data import invented_bars, real_bars
from tests.parity.plain_python import (
    QUICK,
    known_contexts,
    needs_context,
    quick_values,
    signals_of,
    spec_of,
)

from tercel.app.backtest import AccountSpec, simulate
from tercel.app.signals import Market, quiet_signals, unknown_context
from tercel.app.strategies import Strategy, built_in_names, load_strategy
from tercel.core.jit import new
from tercel.core.records import LIMITS, Records

COUNT = 20_000 if JIT else 700
CHUNKS = (64, 1000, 16_384) if JIT else (64, COUNT)
NAMES = pytest.mark.parametrize("name", built_in_names())
CONTEXTS = pytest.mark.parametrize("known", [False, True], ids=["bars alone", "with contexts"])


def test_every_built_in_strategy_is_here() -> None:
    assert sorted(QUICK) == built_in_names()


@pytest.fixture(scope="module")
def bars() -> Records:
    return real_bars(COUNT)


def contexts_of(bars: Records, known: bool) -> Records:
    """A context for each bar, or a single one in which nothing is known."""
    return known_contexts(bars) if known else unknown_context()


def says_something(strategy: Strategy, signals: Records, known: bool) -> bool:
    """Whether there is what the strategy is for: scores of a filter, entries of any other.

    One that needs a context must be silent without, and name it at every bar.
    """
    entries = np.any(signals["side"] != 0)
    if strategy.is_filter:
        return bool(np.isfinite(signals["score"]).any() and not entries)
    if known or not needs_context(strategy):
        return bool(entries)
    reasons = {strategy.reasons[reason] for reason in np.unique(signals["reason"])}
    return not entries and reasons <= {f"missing_{name}" for name in strategy.needs}


@CONTEXTS
@NAMES
@pytest.mark.real_data
def test_batch_equals_stream(name: str, known: bool, bars: Records) -> None:
    strategy = load_strategy(name)
    market = Market(bars, contexts_of(bars, known))
    batch = signals_of(strategy, bars, market.contexts)
    params = strategy.parameters.record(quick_values(strategy), 60_000)
    state: Any = new(strategy.state_dtype(params))
    out = quiet_signals(len(bars))
    for i, bar in enumerate(bars):
        strategy.step(state, bar, market.context(i), params, out[i])
    assert batch.tobytes() == out.tobytes()
    assert says_something(strategy, batch, known)


@CONTEXTS
@NAMES
@pytest.mark.real_data
def test_signals_do_not_depend_on_chunks(name: str, known: bool, bars: Records) -> None:
    strategy = load_strategy(name)
    contexts = contexts_of(bars, known)
    whole = signals_of(strategy, bars, contexts)
    for chunk in CHUNKS[:-1]:
        assert signals_of(strategy, bars, contexts, chunk).tobytes() == whole.tobytes()


def trades(strategy: Strategy, known: bool) -> bool:
    """Whether it trades at all with what is known."""
    return not strategy.is_filter and (known or not needs_context(strategy))


@CONTEXTS
@NAMES
@pytest.mark.real_data
def test_chunks_do_not_matter(name: str, known: bool, bars: Records) -> None:
    strategy = load_strategy(name)
    if strategy.is_filter:
        return  # its scores are compared above; it trades nothing
    spec = spec_of(strategy, bars, contexts=contexts_of(bars, known))
    runs = [
        simulate((spec,), AccountSpec(10_000.0, new(LIMITS)), chunk_bars=chunk) for chunk in CHUNKS
    ]
    first = runs[0]
    assert (len(first.trades) > 0) == trades(strategy, known)
    for run in runs[1:]:
        assert run.trades.tobytes() == first.trades.tobytes()
        assert run.fills.tobytes() == first.fills.tobytes()
        assert run.equity.tobytes() == first.equity.tobytes()
        assert run.strategy_reasons == first.strategy_reasons


def test_two_symbols_in_chunks_of_any_size() -> None:
    """Two strategies on two series with gaps of their own, on one account."""
    count = 5_000 if JIT else 300
    one, two = invented_bars(count, seed=5), invented_bars(count, seed=6)
    two = two[np.arange(count) % 211 > 3][: count - 50]
    specs = (
        spec_of(load_strategy("three_r"), one),
        spec_of(load_strategy("swing"), two, number=1),
    )
    runs = [
        simulate(specs, AccountSpec(10_000.0, new(LIMITS)), chunk_bars=chunk) for chunk in CHUNKS
    ]
    assert {int(number) for number in runs[0].trades["stream"]} == {0, 1}
    for run in runs[1:]:
        assert run.trades.tobytes() == runs[0].trades.tobytes()
        assert run.equity.tobytes() == runs[0].equity.tobytes()


@CONTEXTS
@NAMES
def test_nothing_ahead_is_seen(name: str, known: bool) -> None:
    """What comes after a bar changes nothing that was said at it."""
    strategy = load_strategy(name)
    rows = invented_bars(1_000 if JIT else 300, seed=9)
    contexts = contexts_of(rows, known)
    whole = signals_of(strategy, rows, contexts)
    for end in (len(rows) - 1, len(rows) // 2):
        changed, later = rows.copy(), contexts.copy()
        for field in ("open", "high", "low", "close", "volume", "quote_volume"):
            changed[field][end:] *= 1.5
        for field in ("funding_rate", "open_interest", "long_short_ratio", "fear_greed"):
            later[field][end:] *= -1.5
        assert signals_of(strategy, changed, later)[:end].tobytes() == whole[:end].tobytes()
        before = Market(rows, contexts).part(0, end)
        cut = signals_of(strategy, before.bars.copy(), before.contexts.copy())
        assert cut.tobytes() == whole[:end].tobytes()


@pytest.mark.skipif(not JIT, reason="the JIT is off: nothing is compiled")
@NAMES
def test_one_signature_serves_batch_and_stream(name: str) -> None:
    """A module's kernels are compiled once, however they are called."""
    strategy = load_strategy(name)
    rows = invented_bars(100)
    signals_of(strategy, rows)
    signals_of(strategy, rows, known_contexts(rows))
    if not strategy.is_filter:
        simulate((spec_of(strategy, rows),), AccountSpec(10_000.0, new(LIMITS)), chunk_bars=64)
    params = strategy.parameters.record(quick_values(strategy), 60_000)
    state: Any = new(strategy.state_dtype(params))
    strategy.step(state, rows[0], unknown_context()[0], params, quiet_signals(1)[0])
    state_type = numba.typeof(state)  # type: ignore[no-untyped-call]
    for function in (strategy.step, strategy.signals):
        compiled = function.signatures  # type: ignore[attr-defined]
        # Windows of another capacity are another record, compiled for itself.
        assert len([one for one in compiled if one[0] == state_type]) == 1
