"""Plans that once broke a session, shrunk, each with what was wrong."""

from __future__ import annotations

from decimal import Decimal

import pytest
from tests.simulation.oracle import Oracle
from tests.simulation.runs import come_to_rest, play
from tests.simulation.scene import Scene, plain_scene
from tests.simulation.world import Request, World

from tercel.adapters.simulator.fault_files import parse_plan
from tercel.core.codes import OrderKind, Slot
from tercel.domain.orders import OrderRequest

BROKE: dict[str, tuple[Scene, str]] = {
    "the fee of a liquidation never reached the ledger": (
        plain_scene(44, 4),
        "faults: [{what: C1, when: {after_ms: 1120460}, figures: {fraction: 0.87}}]",
    ),
    "a late fill of a replaced entry was booked on the other side": (
        Scene(150, ((1, 3), (0, 4)), (10, 60), is_isolated=False, eagerness=0.8),
        "faults: [{what: O9, when: {after_ms: 4229048}}]",
    ),
    "the hand that closed its own position was taken for one that closed ours": (
        Scene(2045, ((0, 3),), (10, 400), eagerness=0.8),
        "faults: [{what: U10, when: {probability: 0.5, times: 8}, where: {stream: entering}}]",
    ),
    "what a hand held against us was taken for ours that is gone": (
        Scene(1073, ((0, 0),), (10, 400), eagerness=0.8),
        "faults: [{what: U10, when: {probability: 0.5, times: 8}, where: {stream: flat}}]",
    ),
    "a symbol that was blocked while flat stayed blocked": (
        Scene(1133, ((0, 0),), (10, 400), eagerness=0.1),
        "faults: [{what: U10, when: {probability: 0.9, times: 4}, where: {stream: flat}}]",
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
    outcome = play(scene.seed, parse_plan(plan), scene, hours=1.5)
    assert not outcome.failure, f"{outcome.failure}\n" + "\n".join(outcome.trail)
    assert outcome.hits, "no fault has struck: the test shows nothing"


def test_a_trailing_stop_that_price_is_beyond_takes_the_market() -> None:
    """The venue refuses it (-2021); its share used to wait for the next bar without it."""
    world = World(plain_scene(1))
    sent: list[OrderRequest] = []
    send = world._send

    def listen(request: Request) -> None:
        if request.order is not None:
            sent.append(request.order)
        send(request)

    world._send = listen  # type: ignore[method-assign]
    world.run_hours(12)
    taken = [each for each in sent if each.slot is Slot.TRAIL and each.kind is OrderKind.MARKET]
    assert taken
    assert not [alert for alert in world.alerts if "trail" in alert.text]


def test_a_session_without_a_past_leaves_earlier_fills_alone() -> None:
    """They are in the wallet that it begins with, and no order of its own made them."""
    world = World(plain_scene(3))
    for side in (1, -1):
        world.exchange.on_price("BTCUSDT", Decimal(30_000), world.now)
        world.exchange.outside_fill("BTCUSDT", side, Decimal("0.05"), world.now)
    world.run_minutes(2)
    assert world.session is not None
    assert world.session.is_ready
    cash = float(world.session.parts.desk.account.cash_quote)
    assert cash == float(world.exchange.balances()[0].wallet_quote)
    assert not [alert for alert in world.alerts if alert.code == "FOREIGN_FILL"]


def test_fills_of_before_are_booked_once_however_often_it_restarts() -> None:
    """After a second restart the venue was asked for fills that nobody remembered any more."""
    world = World(Scene(26, ((0, 0),), eagerness=0.8, haste=2.5), oracle=Oracle())
    for _ in range(12):
        world.run_minutes(3)
        world.crash(1_000)
    world.run_minutes(2)
    come_to_rest(world)
    assert not [alert for alert in world.alerts if alert.code == "FOREIGN_FILL"]
