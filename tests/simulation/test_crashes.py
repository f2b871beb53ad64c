"""A process may die anywhere: before, between and after everything that it is about to carry out.

One whole trade, from the first reading of the venue to flat, is played once for every such place:
the process dies there, another one starts from what was saved last, and in the end session and
venue must know the same.
"""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from tests.desk import JIT
from tests.simulation.oracle import BrokenError, Oracle
from tests.simulation.runs import come_to_rest
from tests.simulation.scene import Scene
from tests.simulation.world import World

LIVES = {
    "market entry, targets and a trailing stop": (Scene(5, ((0, 0),), haste=2.5), 1),
    "limit entry that is chased": (Scene(3, ((0, 2),), haste=2.5), 5),
    "post-only entry that is refused": (Scene(1, ((0, 3),), haste=2.5), 11),
}
"""Each with the step from one place that is tried to the next."""
EVERY = 1 if JIT else 12
"""In plain Python fewer places."""
TRADES_MIN = 2
MINUTES_MAX = 60


@dataclass(frozen=True, slots=True)
class Life:
    """A trade from its first step to its last."""

    minutes: int
    first: int
    steps: int


def whole_life(scene: Scene) -> Life:
    """How long the first trade takes, in minutes and in places where a process can die."""
    world = World(scene, oracle=Oracle())
    first = world.steps + 1
    for minutes in range(1, MINUTES_MAX):
        world.run_minutes(1)
        session = world.session
        assert session is not None
        account = world.exchange._state.account
        is_over = session.parts.desk.is_flat() and not any(session.parts.orders.live())
        if len(account.trades) >= TRADES_MIN and is_over and not account.open_positions():
            return Life(minutes, first, world.steps)
    raise AssertionError("no trade was finished: choose another seed")


def die_at(scene: Scene, life: Life, step: int, *, cuts_sent: bool, downtime_ms: int) -> None:
    """Play the life with a death at `step`, and all that follows."""
    world = World(scene, oracle=Oracle())
    world.dies_at, world.cuts_sent, world.downtime_ms = step, cuts_sent, downtime_ms
    world.run_minutes(life.minutes + 2 + downtime_ms // 60_000)
    assert world.crashes == 1
    come_to_rest(world)


@pytest.mark.slow
@pytest.mark.parametrize("cuts_sent", [False, True], ids=["sent arrives", "sent is lost"])
@pytest.mark.parametrize("what", LIVES)
def test_no_place_to_die_loses_anything(what: str, cuts_sent: bool) -> None:
    scene, stride = LIVES[what]
    life = whole_life(scene)
    assert life.steps > 60, "hardly anything happens in this life"
    broken = []
    for step in range(life.first, life.steps + 1, stride * EVERY):
        downtime_ms = 400 if step // stride % 2 else 95_000
        try:
            die_at(scene, life, step, cuts_sent=cuts_sent, downtime_ms=downtime_ms)
        except BrokenError as error:
            broken.append(f"step {step} of {life.steps}, down {downtime_ms} ms: {error}")
    assert not broken, "\n".join(broken[:12]) + f"\n{len(broken)} places in all"
