"""A position beyond the venue's largest order: as many stops as protect all of it, and as many
targets and closes as take off all of it.
"""

from __future__ import annotations

import pytest
from tests.app.live.scenes import AMBIGUOUS, Carried, Cast, Scene, ScriptedVenue, refused, settings
from tests.desk import Ask

from tercel.app.live.alerts import AlertCode
from tercel.app.live.execution import PARTS_MAX
from tercel.app.live.operator import positions_told
from tercel.core.codes import Side, Slot
from tercel.core.plan import TradePlan
from tercel.domain.commands import Command
from tercel.domain.events import Answer, Event, Outcome
from tercel.domain.journal import TradeRow

PROTECT_MS = settings().session.protect_ms_max
TARGETS = Cast(plan=TradePlan(legs=((2.0, 0.5), (3.0, 0.5))))


def quantities(scene: Scene, slot: Slot) -> list[float]:
    """What rests at the venue in a slot."""
    return sorted(round(order.left, 9) for order in scene.venue.resting(slot))


def entered(largest: float, cast: Cast | None = None) -> Scene:
    """A position of 1 whose exits are cut to `largest`."""
    scene = Scene(cast)
    scene.venue.largest = largest
    scene.bar(ask=Ask())
    return scene


def test_several_stops_protect_what_one_cannot() -> None:
    scene = entered(0.4)
    assert quantities(scene, Slot.STOP) == [0.2, 0.4, 0.4]
    assert {order.request.trigger_price for order in scene.venue.resting(Slot.STOP)} == {90.0}
    scene.wait(PROTECT_MS + 1_000)
    scene.bar()
    assert scene.placed(Slot.CLOSE) == []
    assert scene.alerts(AlertCode.SL_PLACEMENT_FAILED) == []
    scene.check_agreement()


def test_stops_that_all_fire_close_the_trade_once() -> None:
    scene = entered(0.4)
    for order in scene.venue.resting(Slot.STOP):
        scene.venue.trigger(order.request.client_id, 90.0, now=scene.now)
    scene.settle()
    assert scene.held() == scene.at() == 0.0
    [trade] = scene.rows(TradeRow)
    assert trade.exit_reason == "stop"
    assert scene.venue.resting() == []
    scene.check_agreement()


def test_targets_are_taken_in_parts_and_the_stops_follow() -> None:
    """Two targets of 0.5, each of two orders; once the first is reached, half of it is protected:
    what fits stays, the rest is replaced before it goes.
    """
    scene = entered(0.4, TARGETS)
    assert quantities(scene, Slot.TARGET_1) == [0.1, 0.4]
    for order in scene.venue.resting(Slot.TARGET_1):
        scene.venue.fill(order.request.client_id, 120.0, now=scene.now)
    scene.settle()
    assert scene.held() == scene.at() == 0.5
    assert quantities(scene, Slot.STOP) == [0.1, 0.4]
    assert quantities(scene, Slot.TARGET_2) == [0.1, 0.4]
    scene.check_agreement()
    placed = len(scene.placed())
    scene.bar(120.0)
    scene.tick(250)
    assert len(scene.placed()) == placed, "nothing is moved for nothing"


def test_a_part_that_somebody_cancels_is_placed_again_and_told() -> None:
    scene = entered(0.4)
    lost = scene.venue.resting(Slot.STOP)[1].request.client_id
    scene.venue.lose(lost, tells=True)
    scene.settle()
    assert quantities(scene, Slot.STOP) == [0.2, 0.4, 0.4]
    assert len(scene.alerts(AlertCode.STOP_ORDER_MISSING)) == 1


def test_a_stop_whose_answer_was_lost_is_no_full_protection() -> None:
    """The question about it tells what it protects."""
    scene = Scene(venue=held_by_somebody(0.4), begin=False, on_unknown_position="adopt")
    scene.venue.script("place", Carried(AMBIGUOUS), Slot.STOP)
    scene.tick(1)
    scene.settle()
    assert quantities(scene, Slot.STOP) == [0.2, 0.4, 0.4]


def held_by_somebody(largest: float) -> ScriptedVenue:
    """A venue where a position of 1 is open that no session knows of."""
    venue = ScriptedVenue()
    venue.positions["BTCUSDT"] = (1.0, 100.0)
    venue.largest = largest
    return venue


def test_an_adopted_position_is_protected_whole() -> None:
    scene = Scene(venue=held_by_somebody(0.3), on_unknown_position="adopt")
    assert scene.held() == 1.0
    assert quantities(scene, Slot.STOP) == [0.1, 0.3, 0.3, 0.3]


def test_a_restart_keeps_all_of_it_protected() -> None:
    """Also where the state is of a session that believed one order to be the whole stop."""
    scene = entered(0.4, TARGETS)
    again = scene.restart()
    again.settle()
    again.wait(PROTECT_MS + 1_000)
    assert again.held() == again.at() == 1.0
    assert again.placed(Slot.CLOSE) == []
    assert quantities(again, Slot.STOP) == [0.2, 0.4, 0.4]
    assert quantities(again, Slot.TARGET_1) == [0.1, 0.4]
    again.check_agreement()


def test_what_would_need_too_many_stops_is_closed() -> None:
    """One order protects a hundredth: the position goes, in parts, and a person is told why."""
    scene = entered(0.01)
    assert scene.held() == scene.at() == 0.0
    [alert] = scene.alerts(AlertCode.SL_PLACEMENT_FAILED)
    assert "one stop protects 0.01 at most" in alert.text
    assert len(scene.placed(Slot.CLOSE)) == 100
    assert scene.venue.resting() == []
    assert PARTS_MAX < 100


def test_a_part_that_is_not_at_rest_in_time_closes_the_position() -> None:
    scene = Scene(venue=held_by_somebody(0.4), begin=False, on_unknown_position="adopt")
    scene.venue.script("place", Carried(Answer(Outcome.DONE, "v1", quantity=0.4)), Slot.STOP)
    scene.venue.script("place", None, Slot.STOP, times=50)
    scene.tick(1)
    scene.settle()
    assert "is not known to rest" in positions_told(scene.session.parts)
    scene.wait(PROTECT_MS + 1_000)
    assert scene.held() == scene.at() == 0.0
    [alert] = scene.alerts(AlertCode.SL_PLACEMENT_FAILED)
    assert "stops rest for 0.4 alone" in alert.text


def test_a_part_that_the_venue_refuses_closes_the_position() -> None:
    """As a whole stop that is refused does."""
    scene = Scene(venue=held_by_somebody(0.4), begin=False, on_unknown_position="adopt")
    scene.is_apart = True
    scene.tick(1)
    while not scene.placed(Slot.STOP):
        scene.hand(scene.venue.take(scene.outbox.popleft(), scene.now))  # type: ignore[arg-type]
    scene.hand(scene.venue.take(scene.outbox.popleft(), scene.now))  # type: ignore[arg-type]
    scene.venue.script("place", refused(), Slot.STOP, times=50)
    scene.is_apart = False
    scene.settle()
    assert scene.held() == scene.at() == 0.0
    assert len(scene.alerts(AlertCode.SL_PLACEMENT_FAILED)) == 1


@pytest.mark.parametrize("side", [Side.LONG, Side.SHORT])
def test_the_next_trade_asks_for_one_stop_again(side: Side) -> None:
    """What one order may have is learnt anew: it may have become more."""
    scene = entered(0.4)
    scene.bar(ask=Ask(side=0, exit_long=True))
    assert scene.held() == 0.0
    scene.venue.largest = 10.0
    scene.bar(ask=Ask(side=side))
    assert quantities(scene, Slot.STOP) == [1.0]


class Watched(ScriptedVenue):
    """Notes what stops protect after each request."""

    def __init__(self) -> None:
        super().__init__()
        self.protected: list[float] = []

    def take(self, command: Command, now: int) -> Event | None:
        answer = super().take(command, now)
        self.protected.append(sum(order.left for order in self.resting(Slot.STOP)))
        return answer


def test_parts_move_together() -> None:
    """The new ones rest before the old ones go."""
    plan = TradePlan(legs=((2.0, 0.5), (3.0, 0.5)), breakeven_after_leg=1)
    scene = Scene(Cast(plan=plan), Watched())
    scene.venue.largest = 0.4
    scene.enter()
    for order in scene.venue.resting(Slot.TARGET_1):
        scene.venue.fill(order.request.client_id, 120.0, now=scene.now)
    assert isinstance(scene.venue, Watched)
    scene.venue.protected.clear()
    scene.settle()
    assert quantities(scene, Slot.STOP) == [0.1, 0.4]
    assert {order.request.trigger_price for order in scene.venue.resting(Slot.STOP)} == {100.0}
    assert min(scene.venue.protected) >= 0.5 - 1e-9
    scene.check_agreement()
