"""Sessions broken on purpose: the simulation must see each of them within a few seeds.

A check that nothing can break shows nothing. Each mutation is a mistake that order managers are
known for; the kinds of faults that bring it out are named, so that few seeds are enough.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from tests.market_data import once
from tests.simulation.runs import play
from tests.simulation.scene import Scene, plain_scene

from tercel.adapters.simulator.faults import Fault as Planned
from tercel.adapters.simulator.faults import FaultCode, FaultPlan, When, Where
from tercel.app.live.execution import Execution
from tercel.app.live.fills import Fills
from tercel.app.live.guard import Guard
from tercel.app.live.hearing import Hearing
from tercel.app.live.operator import Operator
from tercel.app.live.parts import SessionParts
from tercel.app.live.recovery import Recovery
from tercel.app.live.session import Session
from tercel.app.live.watchdog import Watchdog
from tercel.core.codes import Slot
from tercel.domain.commands import Command, SaveState
from tercel.domain.events import Answer, Event, Fault, OrderUpdate, Outcome
from tercel.domain.orders import OrderPhase, VenueFill

SEEDS = 5
HOURS = 1.2
LIMIT, POST_ONLY = 2, 3
"""Rows of PLANS: how entries are made."""
Patch = pytest.MonkeyPatch
C = FaultCode


def resend_after_a_timeout(patch: Patch) -> None:
    """An answer that was lost is taken for a no: the order is sent again."""
    place = Execution.on_placed

    def on_placed(self: Execution, client_id: str, answer: Answer) -> None:
        if answer.outcome is Outcome.AMBIGUOUS:
            answer = replace(answer, outcome=Outcome.REFUSED, fault=Fault.WOULD_CROSS)
            self._held.clear()
        place(self, client_id, answer)
        self._held.clear()

    patch.setattr(Execution, "on_placed", on_placed)


def never_place_the_stop(patch: Patch) -> None:
    """The stop is forgotten, and so is the look at whether it rests."""
    _without_slot(patch, Slot.STOP)
    patch.setattr(Guard, "_close_naked", lambda self: None)


def _without_slot(patch: Patch, left_out: Slot) -> None:
    sync = Execution._sync_slot

    def sync_slot(self: Execution, k: int, slot: Slot) -> None:
        if slot is not left_out:
            sync(self, k, slot)

    patch.setattr(Execution, "_sync_slot", sync_slot)


def ignore_that_an_order_is_not_there(patch: Patch) -> None:
    """The venue says that it has no such order, and it is waited for all the same."""
    found = Execution.on_found

    def on_found(self: Execution, client_id: str, answer: Answer) -> None:
        if answer.fault is not Fault.NOT_FOUND:
            found(self, client_id, answer)

    patch.setattr(Execution, "on_found", on_found)


def book_a_fill_as_often_as_it_is_told(patch: Patch) -> None:
    """Every fill is new, whoever tells it."""
    note = SessionParts.note_fill

    def always(self: SessionParts, key: str, time: int) -> bool:
        note(self, key, time)
        return True

    patch.setattr(SessionParts, "note_fill", always)


def leave_the_old_stop(patch: Patch) -> None:
    """A stop that was replaced, or whose position is closed, is not cancelled."""
    cancel = Execution._cancel

    def keep(self: Execution, order: Any) -> None:
        if order.request.slot is not Slot.STOP:
            cancel(self, order)

    patch.setattr(Execution, "_cancel", keep)


def take_a_finished_stop_for_a_filled_one(patch: Patch) -> None:
    """A triggered stop is booked as filled, whole and at its trigger, before any trade is told."""
    update = Execution.on_update

    def on_update(self: Execution, event: OrderUpdate) -> None:
        order = self._parts.orders.find(event.client_id)
        if order is not None and event.is_triggered and order.left > 0.0:
            request = order.request
            fill = VenueFill(
                "", request.client_id, "", request.symbol, request.side,
                request.trigger_price or 0.0, order.left, 0.0, False, event.time_ms,
            )  # fmt: skip
            self.book(order, fill)
        update(self, event)

    patch.setattr(Execution, "on_update", on_update)


def take_every_cancel_for_done(patch: Patch) -> None:
    """A cancel that found nothing is taken for done, and what was filled meanwhile is not heard."""
    cancelled, take = Execution.on_cancelled, Fills.take
    done: set[str] = set()

    def on_cancelled(self: Execution, client_id: str, answer: Answer) -> None:
        done.add(client_id)
        cancelled(self, client_id, Answer(Outcome.DONE, phase=OrderPhase.CANCELLED))

    def take_fill(self: Fills, fill: VenueFill) -> None:
        # Whoever tells it: a reading would put it right.
        if fill.client_id not in done:
            take(self, fill)

    patch.setattr(Execution, "on_cancelled", on_cancelled)
    patch.setattr(Fills, "take", take_fill)


def send_before_saving(patch: Patch) -> None:
    """State is kept after the orders have left."""
    handle = Session.handle

    def save_last(self: Session, event: Event) -> list[Command]:
        made = handle(self, event)
        return sorted(made, key=lambda command: isinstance(command, SaveState))

    patch.setattr(Session, "handle", save_last)


def trust_the_stream_alone(patch: Patch) -> None:
    """Fills that a reading of the venue brings are not booked."""

    def reconcile(self: Recovery, snapshot: Any, **more: Any) -> None:
        old(self, replace(snapshot, fills=()), **more)

    old = Recovery.reconcile
    patch.setattr(Recovery, "reconcile", reconcile)


def forget_fills_at_a_restart(patch: Patch) -> None:
    """What the run before has booked is booked again."""
    patch.setattr(SessionParts, "remember_fills", lambda self, keys, since_ms: None)


def believe_any_reading_about_a_kill(patch: Patch) -> None:
    """A kill is verified by a picture of before its entry arrived, and never looked at again."""

    def on_snapshot(self: Operator, snapshot: Any, asked_ms: int) -> None:
        if self._kill_is_open and self._parts.desk.is_flat():
            if self._recovery.flatten_strays(snapshot):
                self._verified("flat")
            self._kill_is_verified = False

    patch.setattr(Operator, "on_snapshot", on_snapshot)


def trust_a_stop_that_does_not_fill(patch: Patch) -> None:
    """A stop that the venue has counts as protection, whatever comes of it."""
    patch.setattr(Watchdog, "look", lambda self, quotes: None)


def trust_a_stream_that_says_nothing(patch: Patch) -> None:
    """As long as it is not told to be down, whatever it does not tell has not happened."""
    patch.setattr(Hearing, "due_ms", lambda self: 0)


MUTATIONS: dict[Callable[[Patch], None], tuple[FaultCode, ...]] = {
    resend_after_a_timeout: (C.O1, C.O3, C.O4),
    never_place_the_stop: (),
    ignore_that_an_order_is_not_there: (C.O2,),
    book_a_fill_as_often_as_it_is_told: (C.U1,),
    leave_the_old_stop: (),
    take_a_finished_stop_for_a_filled_one: (),
    take_every_cancel_for_done: (C.O9,),
    send_before_saving: (C.P1,),
    trust_the_stream_alone: (C.U2, C.T7),
    forget_fills_at_a_restart: (C.P1,),
    believe_any_reading_about_a_kill: (C.T7,),
    trust_a_stop_that_does_not_fill: (C.A3,),
    trust_a_stream_that_says_nothing: (C.U8, C.U12),
}


def plan_for(codes: tuple[FaultCode, ...], seed: int) -> FaultPlan:
    """The named faults, each often; deaths before the state is saved."""
    made = []
    for code in codes:
        where = Where(endpoint="SaveState") if code is C.P1 else Where()
        chance = {C.P1: 0.15, C.O9: 1.0}.get(code, 0.1)
        made.append(Planned(code, When(probability=chance, times=60), where))
    return FaultPlan(tuple(made), seed)


def scene_for(mutation: Callable[[Patch], None], seed: int) -> Scene:
    """Where it hurts: cancels are lost where entries are chased in a market that runs, kills while
    one of two streams has entered.
    """
    if mutation is take_every_cancel_for_done:
        return replace(plain_scene(seed, POST_ONLY), eagerness=0.8, haste=2.0)
    if mutation is believe_any_reading_about_a_kill:
        two = replace(plain_scene(seed), streams=((0, 0), (1, 0)), latency_ms=(10, 400))
        return replace(two, eagerness=0.8, store_ms=700, kill_chance=0.5)
    return plain_scene(seed, LIMIT)


@once
@pytest.mark.slow
@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda each: each.__name__)
def test_a_broken_session_is_seen(
    mutation: Callable[[Patch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    codes = MUTATIONS[mutation]
    sound = play(0, plan_for(codes, 0), scene_for(mutation, 0), hours=HOURS)
    assert not sound.failure, f"the sound session breaks too: {sound.failure}"
    mutation(monkeypatch)
    seen = (
        play(seed, plan_for(codes, seed), scene_for(mutation, seed), hours=HOURS).failure
        for seed in range(SEEDS)
    )
    assert any(seen), "nobody has noticed"
