"""One run of one seed: faults for some hours, then quiet, then both sides must know the same."""

from __future__ import annotations

import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from tests.simulation.oracle import BrokenError, Oracle
from tests.simulation.scene import Scene, drawn_scene
from tests.simulation.trouble import PLAYED, STATES, Trouble
from tests.simulation.world import World

from tercel.adapters.simulator.faults import (
    Fault,
    FaultCode,
    FaultPlan,
    When,
    Where,
    drawn_plan,
    shrink,
)
from tercel.domain.events import Operation

HOUR_MS = 3_600_000
FAULT_HOURS = 4.0
QUIET_MINUTES = 45
"""Trading goes on without faults."""
SETTLE_MINUTES = 4
"""After the last close: consistent by then."""
FAULTS_MAX = 24
DEATHS_AIMED = 8
"""Deaths of a plan that aims at states: without them there is no recovery to aim at."""


@dataclass(slots=True)
class Outcome:
    """What became of a seed."""

    seed: int
    failure: str = ""
    hours: float = 0.0
    trades: int = 0
    crashes: int = 0
    kills: int = 0
    hits: Counter[tuple[FaultCode, str]] = field(default_factory=Counter)
    trail: list[str] = field(default_factory=list)


def plan_of(seed: int, codes: Sequence[FaultCode] = PLAYED) -> FaultPlan:
    """The faults of a seed. Every second one strikes as drawn, now and then over the hours; of the
    others one strikes in chosen states of the session, and one storms: few kinds, many times.
    """
    duration = round(FAULT_HOURS * HOUR_MS)
    plan = drawn_plan(seed, codes, duration_ms=duration, faults_max=FAULTS_MAX)
    draw = np.random.default_rng([seed, 3])
    if seed % 4 == 1:
        aimed = tuple(_aimed(fault, draw) for fault in plan.faults)
        moments = np.sort(draw.integers(duration, size=DEATHS_AIMED)).tolist()
        deaths = tuple(Fault(FaultCode.P1, When(after_ms=moment)) for moment in moments)
        return replace(plan, faults=(*aimed, *deaths))
    if seed % 4 == 3:
        few = plan.faults[: 1 + int(draw.integers(3))]
        return replace(plan, faults=tuple(_storming(fault, draw) for fault in few))
    return plan


def _aimed(fault: Fault, draw: np.random.Generator) -> Fault:
    state = STATES[int(draw.integers(len(STATES)))]
    chance = round(float(draw.uniform(0.1, 1.0)), 3)
    when = When(probability=chance, times=int(draw.integers(1, 9)))
    return replace(fault, when=when, where=Where(stream=state))


def _storming(fault: Fault, draw: np.random.Generator) -> Fault:
    chance = round(float(draw.uniform(0.01, 0.25)), 3)
    return replace(fault, when=When(probability=chance, times=int(draw.integers(10, 200))))


def play(
    seed: int,
    plan: FaultPlan | None = None,
    scene: Scene | None = None,
    *,
    prepare: Callable[[World], None] | None = None,
    hours: float = FAULT_HOURS,
) -> Outcome:
    """Run `seed`; what broke is in the outcome. Any error of the session counts as broken."""
    trouble = Trouble(plan_of(seed) if plan is None else plan)
    outcome = Outcome(seed, hits=trouble.hits, trail=trouble.trail)
    world: World | None = None
    try:
        world = World(scene or drawn_scene(seed), trouble, Oracle(), journals=seed % 4 == 0)
        if prepare is not None:
            prepare(world)
        world.run_hours(hours)
        trouble.stop()
        world.switch.stop()
        _calm_down(world, trouble)
    except BrokenError as error:
        outcome.failure = str(error)
    except Exception as error:  # a session that raises has failed whatever it was about
        outcome.failure = "".join(traceback.format_exception(error))
    if world is not None:
        outcome.hours = (world.now - world.began_ms) / HOUR_MS
        outcome.crashes = world.crashes
        outcome.kills = world.switch.throws
        outcome.trades = len(world.exchange._state.account.trades)
    return outcome


def _calm_down(world: World, trouble: Trouble) -> None:
    """Faults end, the session trades on for a while, then comes to rest."""
    while not trouble.is_over:
        world.run_minutes(1)
    world.run_minutes(QUIET_MINUTES)
    come_to_rest(world)


def come_to_rest(world: World) -> None:
    """Pause and flatten; then nothing may differ, and nothing may be left."""
    oracle = world.oracle
    assert oracle is not None
    world.ask(Operation.PAUSE)
    world.run_minutes(1)
    world.ask(Operation.FLATTEN)
    world.run_minutes(SETTLE_MINUTES)
    oracle.settle(is_last=True)


def shrunk(seed: int, plan: FaultPlan, scene: Scene | None = None) -> FaultPlan:
    """The smallest plan found that still breaks something."""
    return shrink(plan, lambda smaller: bool(play(seed, smaller, scene).failure))
