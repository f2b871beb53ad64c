"""The steps of one strategy on many streams, in one compiled call.

A call from Python into compiled code costs some 3 us for each record among its arguments, more than
most steps have to do: a session of forty symbols would spend the first milliseconds of each minute
on nothing else. Here the loop over the streams is compiled too. It takes the address of the step,
so that there is one version for each layout of state and parameters, in the kernel cache.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, cast

import numpy as np
import numpy.typing as npt

from tercel.core.jit import address_of, call, is_compiled, kernel
from tercel.core.records import BAR, CONTEXT, SIGNAL, Records

Step = Callable[..., None]
"""(state, bar, context, params, signal): a strategy's step."""


class Crew(NamedTuple):
    """Streams of one strategy, a row each."""

    states: Records
    params: Records
    series: npt.NDArray[np.int64]
    """The row of its series in a minute."""
    places: npt.NDArray[np.int64]
    """Its row among the signals."""


def step_each(step: Any, crew: Crew, minute: Records, signals: Records, reasons: int) -> int:
    """One closed bar of each: the first whose SIGNAL has an impossible side or reason, or -1.

    `minute` is MINUTE, one row a series, and a stream whose series has no bar stays as it is.
    `signals` are SIGNAL rows, quiet ones; `reasons` is how many reasons the strategy has. `step` is
    as `jit.call` takes it.
    """
    for i in range(len(crew.places)):
        # By key: the same once compiled, and uncompiled a tenth of the cost of an attribute.
        here = minute[crew.series[i]]
        if not here["present"]:
            continue
        signal = signals[crew.places[i]]
        call(step, crew.states[i], here["bar"], here["context"], crew.params[i], signal)
        side, reason = signal["side"], signal["reason"]
        if side < -1 or side > 1 or reason < 0 or reason >= reasons:
            return i
    return -1


compiled_each = kernel(step_each)
"""`step_each` of a compiled step."""


def step_each_of(step: Step, crew: Crew) -> Callable[[Records, Records, int], int]:
    """`step_each` for one strategy's step and these streams, compiled where the step is.

    The crew is bound to it: the step's machine code fits records of its layout and no others.
    """
    each: Callable[..., int] = step_each
    passed: Any = step
    if is_compiled(step):
        each = compiled_each
        passed = address_of(step, crew.states.dtype, BAR, CONTEXT, crew.params.dtype, SIGNAL)

    def stepped(minute: Records, signals: Records, reasons: int) -> int:
        return each(passed, crew, minute, signals, reasons)

    cast("Any", stepped).step = step  # the address holds as long as the step is kept
    return stepped
