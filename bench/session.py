"""The session alone: hours of the simulated world, and a closed bar to the order it leads to.

The world is that of `tests/simulation` without faults: one symbol, one strategy that is in a trade
for most of the day, the exchange in the same process, nothing written to a disk.
"""

from __future__ import annotations

import gc
import time
from typing import TYPE_CHECKING

from bench.measurement import MS_PER_S, Measurement
from tercel.app.live.session import Session
from tercel.core.codes import Slot
from tercel.domain.commands import PlaceOrder, SaveState
from tercel.domain.events import BarsClosed, Event

if TYPE_CHECKING:
    from bench.bars import Desk

WARM_UP_HOURS = 2.0
HOURS = 6.0
RUNS = 5
ENTRY_HOURS = 24.0
HOUR_MS_MAX = 30.0
"""2,000 simulated hours a minute."""
EAGER, SELDOM = 0.35, 0.01
"""Chance of a signal at a close: in a trade most of the day, or now and then."""
US_PER_S = 1e6


def session(_: Desk) -> list[Measurement]:
    """Both figures."""
    return [
        simulated_hours("in a trade most of the time", EAGER),
        simulated_hours("a signal every two hours", SELDOM),
        bar_to_order(),
    ]


def simulated_hours(note: str, eagerness: float) -> Measurement:
    """What an hour of the world costs: sixty bars, 240 prices, every order and its news."""
    from tests.simulation.scene import Scene
    from tests.simulation.world import World

    world = World(Scene(1, ((0, 0),), eagerness=eagerness))
    world.run_hours(WARM_UP_HOURS)
    gc.collect()
    gc.freeze()  # as a live session does before its loop
    samples = []
    for _ in range(RUNS):
        began = time.perf_counter()
        world.run_hours(HOURS)
        samples.append((time.perf_counter() - began) * MS_PER_S / HOURS)
    return Measurement("a simulated hour of a session", "ms", tuple(samples), HOUR_MS_MAX, note)


def bar_to_order() -> Measurement:
    """From a closed bar to the command that sends its entry, journal rows and state included."""
    from tests.simulation.scene import Scene
    from tests.simulation.world import World

    world = World(Scene(1, ((0, 0),), eagerness=EAGER), journals=True)
    running = world.session
    assert running is not None
    handle = Session.handle
    samples: list[float] = []
    began = 0.0

    def timed(event: Event) -> list[object]:
        nonlocal began
        if isinstance(event, BarsClosed):
            began = time.perf_counter()
        made = handle(running, event)
        for saving in [each for each in made if isinstance(each, SaveState)]:
            assert saving.state.saved_ms  # whoever drives a session writes it before an order
        if any(isinstance(each, PlaceOrder) and each.request.slot is Slot.ENTRY for each in made):
            samples.append((time.perf_counter() - began) * US_PER_S)
        return list(made)

    running.handle = timed  # type: ignore[method-assign,assignment]
    world.run_hours(ENTRY_HOURS)
    return Measurement("a closed bar to the command of its entry", "us", tuple(samples[5:]))
