"""Some seeds of the simulation, and that a seed is one run; `make sim` plays hundreds."""

from __future__ import annotations

import pytest
from tests.desk import JIT
from tests.simulation.report import failure_text
from tests.simulation.runs import plan_of, play, shrunk
from tests.simulation.scene import Scene, drawn_scene, plain_scene
from tests.simulation.trouble import PLAYED, STATES, Trouble
from tests.simulation.world import World

from tercel.adapters.simulator.fault_files import parse_plan, plan_yaml
from tercel.adapters.simulator.faults import FaultPlan

SEEDS = range(12) if JIT else range(1, 3)
HOURS = 2.0 if JIT else 0.5


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_session_and_venue_know_the_same_whatever_goes_wrong(seed: int) -> None:
    plan = plan_of(seed)
    outcome = play(seed, plan, hours=HOURS)
    assert not outcome.failure, failure_text(outcome, plan)


@pytest.mark.parametrize("row", range(6))
def test_without_faults_every_kind_of_plan_trades_and_holds(row: int) -> None:
    outcome = play(row, FaultPlan(), Scene(row, ((0, row),), haste=2.0), hours=HOURS)
    assert not outcome.failure
    assert outcome.trades > 2
    assert not outcome.hits


def test_a_seed_is_one_run() -> None:
    first, second = (play(9, plan_of(9), hours=0.5) for _ in range(2))
    assert first == second


def test_what_is_drawn_can_be_written_and_read() -> None:
    for seed in range(8):
        plan = plan_of(seed)
        assert parse_plan(plan_yaml(plan)) == plan
        assert {fault.what for fault in plan.faults} <= set(PLAYED)


def test_a_failure_is_shrunk_to_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    """A world that breaks whenever a liquidation strikes: nothing else is left of the plan."""

    def break_at(self: Trouble, fault: object, now_ms: int) -> None:
        if "liquidation" in str(fault):
            raise RuntimeError("broken")

    monkeypatch.setattr(Trouble, "_note", break_at)
    monkeypatch.setattr("tests.simulation.runs.FAULT_HOURS", 0.3)
    lines = ("M8", "C1", "U1", "C8")
    entries = ", ".join(f"{{what: {code}, when: {{probability: 0.5, times: 3}}}}" for code in lines)
    plan = parse_plan(f"faults: [{entries}]")
    smaller = shrunk(1, plan, Scene(1, ((0, 0),), haste=2.0))
    assert [str(fault.what) for fault in smaller.faults] == ["C1"]


def test_faults_can_be_aimed_at_a_state() -> None:
    entries = ", ".join(
        f"{{what: T3, when: {{probability: 1.0, times: 5}}, where: {{stream: {state}}}}}"
        for state in STATES
    )
    outcome = play(3, parse_plan(f"faults: [{entries}]"), plain_scene(3), hours=1.0)
    struck = {state for _, state in outcome.hits}
    assert {"entering", "open", "exiting"} <= struck


def test_a_quiet_market_costs_no_timers() -> None:
    """Nothing is pending: an hour without signals is sixty bars."""
    scene = Scene(4, ((0, 0),), eagerness=0.0)
    world = World(scene)
    world.run_minutes(5)
    before = world.steps
    world.run_minutes(60)
    assert world.steps - before < 60 * 8
    assert drawn_scene(4) == drawn_scene(4)
