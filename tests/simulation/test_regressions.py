"""Plans that once broke a session, shrunk, each with what was wrong."""

from __future__ import annotations

import pytest
from tests.simulation.runs import play
from tests.simulation.scene import Scene, plain_scene

from tercel.adapters.simulator.fault_files import parse_plan

TWO_STREAMS = Scene(26, ((0, 0), (0, 4)), is_isolated=False, eagerness=0.8)
BROKE: dict[str, tuple[Scene, str]] = {
    "after two restarts fills of before were booked again": (
        TWO_STREAMS,
        "faults: [{what: P1, when: {nth: 250, times: 4}}]",
    ),
    "the fee of a liquidation never reached the ledger": (
        plain_scene(44, 4),
        "faults: [{what: C1, when: {after_ms: 1120460}, figures: {fraction: 0.87}}]",
    ),
    "a withdrawal never reached the ledger": (
        plain_scene(11, 4),
        "faults: [{what: C7, when: {after_ms: 1000000}, figures: {amount_quote: -400}}]",
    ),
    "funding told while the stream was down never reached the ledger": (
        plain_scene(47, 4),
        "faults: [{what: U2, when: {after_ms: 600000}, where: {stream: account}}, "
        "{what: C3, when: {after_ms: 600000}, figures: {rate: 0.002}}]",
    ),
}


@pytest.mark.parametrize("what", BROKE)
def test_what_once_broke_holds(what: str) -> None:
    scene, plan = BROKE[what]
    outcome = play(scene.seed, parse_plan(plan), scene, hours=1.0)
    assert not outcome.failure, f"{outcome.failure}\n" + "\n".join(outcome.trail)
    assert outcome.hits, "no fault has struck: the test shows nothing"
