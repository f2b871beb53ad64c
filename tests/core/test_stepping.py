"""Many streams of one strategy in one call: the same states and signals as one call each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.desk import JIT
from tests.market_data import invented_bars

from tercel.app.arena import default_strategies
from tercel.app.signals import quiet_signals, unknown_context
from tercel.app.strategies import Strategy, load_strategy
from tercel.core.jit import address_of, kernel, new
from tercel.core.records import BAR, CONTEXT, MINUTE, SIGNAL, Records
from tercel.core.stepping import Crew, step_each, step_each_of

BARS = 400 if JIT else 60
STREAMS = 3
FAULTY = '''"""faulty: fails or says nonsense when it is told to."""
from tercel.strategy import Param, TradePlan, kernel, no_signal, parameters, rec
PARAMS = parameters(Param("how", 0, 0, 9, "", "what goes wrong"))
REASONS = ("none", "some")
PLAN = TradePlan(legs=((1.0, 1.0),))
def state_dtype(params):
    return rec(("bars", "i8"))
@kernel
def step(state, bar, context, params, signal):
    state.bars += 1
    no_signal(signal, 0)
    if state.bars == 2:
        if params.how == 1:
            signal.stop_distance = 1.0 / (bar.volume - bar.volume)
        if params.how == 2:
            signal.side = 2
        if params.how == 3:
            signal.reason = 2
        if params.how == 4:
            signal.reason = -1
@kernel
def signals(state, bars, contexts, params, out):
    for i in range(len(bars)):
        step(state, bars[i], contexts[min(i, len(contexts) - 1)], params, out[i])
'''


def crew_of(strategy: Strategy, hows: tuple[int, ...] = ()) -> Crew:
    """STREAMS streams on as many series, their places the other way round."""
    values = strategy.values({}, 60_000)
    params = strategy.parameters.record(values, 60_000)
    rows = np.zeros(STREAMS, params.dtype)
    for row in range(STREAMS):
        rows[row] = params
    if hows:
        rows["how"] = hows
    numbers = np.arange(STREAMS, dtype=np.int64)
    states = np.zeros(STREAMS, strategy.state_dtype(params))
    return Crew(states, rows, numbers, numbers[::-1].copy())


def minutes(count: int = BARS) -> list[Records]:
    """MINUTE rows of STREAMS series; the second has no bar in every third minute."""
    series = [invented_bars(count, seed=number + 1) for number in range(STREAMS)]
    context = unknown_context()[0]
    made: list[Records] = []
    for at in range(count):
        minute = np.zeros(STREAMS, MINUTE)
        for row in range(STREAMS):
            minute[row]["present"] = row != 1 or at % 3 != 2
            minute[row]["bar"], minute[row]["context"] = series[row][at], context
        made.append(minute)
    return made


@pytest.mark.parametrize("strategy", default_strategies(), ids=lambda each: str(each.name))
def test_every_strategy_says_the_same_alone_and_beside_others(strategy: Strategy) -> None:
    crew = crew_of(strategy)
    each = step_each_of(strategy.step, crew)
    alone = [new(crew.states.dtype) for _ in range(STREAMS)]
    for minute in minutes():
        together, single = quiet_signals(STREAMS), quiet_signals(STREAMS)
        assert each(minute, together, len(strategy.reasons)) == -1
        for row in range(STREAMS):
            here = minute[row]
            if here.present:
                signal = single[STREAMS - 1 - row]
                strategy.step(alone[row], here.bar, here.context, crew.params[row], signal)
        assert together.tobytes() == single.tobytes()
    for row in range(STREAMS):
        assert crew.states[row].tobytes() == alone[row].tobytes()


def test_a_series_without_a_bar_leaves_its_stream_alone() -> None:
    strategy = load_strategy("three_r")
    crew = crew_of(strategy)
    minute = minutes(1)[0]
    minute["present"] = False
    said = quiet_signals(STREAMS)
    assert step_each_of(strategy.step, crew)(minute, said, len(strategy.reasons)) == -1
    assert said.tobytes() == quiet_signals(STREAMS).tobytes()
    assert not crew.states["bars"].any()


@pytest.fixture
def faulty(tmp_path: Path) -> Strategy:
    """A strategy that goes wrong at its second bar, by its parameter."""
    path = tmp_path / "faulty.py"
    path.write_text(FAULTY, encoding="utf-8")
    return load_strategy(str(path))


@pytest.mark.parametrize("how", [2, 3, 4])
def test_a_signal_that_cannot_be_names_its_stream(faulty: Strategy, how: int) -> None:
    crew = crew_of(faulty, (0, how, 0))
    each, minute = step_each_of(faulty.step, crew), minutes(1)[0]
    assert each(minute, quiet_signals(STREAMS), 2) == -1
    assert each(minute, quiet_signals(STREAMS), 2) == 1


@pytest.mark.skipif(not JIT, reason="numpy divides by zero without an error")
def test_what_a_step_raises_comes_out(faulty: Strategy) -> None:
    crew = crew_of(faulty, (0, 0, 1))
    each, minute = step_each_of(faulty.step, crew), minutes(1)[0]
    each(minute, quiet_signals(STREAMS), 2)
    with pytest.raises(ZeroDivisionError):
        each(minute, quiet_signals(STREAMS), 2)


def test_a_step_in_plain_python_is_looped_over_in_plain_python() -> None:
    def step(state: Any, bar: Any, context: Any, params: Any, signal: Any) -> None:
        state.bars += 1
        signal.reason = 1

    crew, said = crew_of(load_strategy("three_r")), quiet_signals(STREAMS)
    assert step_each_of(step, crew)(minutes(1)[0], said, 2) == -1
    assert crew.states["bars"].tolist() == [1] * STREAMS
    assert said["reason"].tolist() == [1] * STREAMS


@pytest.mark.skipif(not JIT, reason="the JIT is off: nothing is compiled")
def test_the_loop_is_found_in_the_cache() -> None:
    """A plain function as an argument would be compiled anew in every process."""
    strategy = load_strategy("three_r")
    crew, minute, said = crew_of(strategy), minutes(1)[0], quiet_signals(STREAMS)
    records = crew.states.dtype, BAR, CONTEXT, crew.params.dtype, SIGNAL
    for _ in range(2):  # the first one leaves it there
        again: Any = kernel(step_each)
        again(address_of(strategy.step, *records), crew, minute, said, len(strategy.reasons))
    assert sum(again.stats.cache_hits.values()) == 1
    assert not again.stats.cache_misses
