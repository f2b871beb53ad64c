"""A position beyond the venue's largest order: one stop cannot protect it, so it is closed at
market; targets and trailing stops take what they are for, beside a stop that is whole.
"""

from __future__ import annotations

import pytest
from tests.app.live.scenes import (
    AMBIGUOUS,
    MINUTE,
    Carried,
    Cast,
    Scene,
    ScriptedVenue,
    refused,
    settings,
)
from tests.desk import Ask

from tercel.app.live.alerts import AlertCode
from tercel.core.codes import Side, Slot
from tercel.core.plan import TradePlan
from tercel.domain.commands import Command
from tercel.domain.events import Event
from tercel.domain.journal import TradeRow

QUERY_MS = settings().session.query_ms
PROTECT_MS = settings().session.protect_ms_max
TARGETS = Cast(plan=TradePlan(legs=((2.0, 0.5), (3.0, 0.5)), breakeven_after_leg=1))
TRAIL = Cast(plan=TradePlan(legs=(), trail_fraction=1.0, trail_arm_r=1.0, trail_offset_r=0.5))


class Watched(ScriptedVenue):
    """Notes what is held and what stops protect after each request."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[float, float]] = []

    def take(self, command: Command, now: int) -> Event | None:
        answer = super().take(command, now)
        held = abs(self.positions.get("BTCUSDT", (0.0, 0.0))[0])
        self.seen.append((held, sum(order.left for order in self.resting(Slot.STOP))))
        return answer

    @property
    def protected_min(self) -> float:
        """The least that stops ever protected while something was held, once one rested."""
        first = next(n for n, (_, protected) in enumerate(self.seen) if protected)
        return min(protected for held, protected in self.seen[first:] if held)


def quantities(scene: Scene, slot: Slot) -> list[float]:
    """What rests at the venue in a slot."""
    return sorted(round(order.left, 9) for order in scene.venue.resting(slot))


def held_by_somebody(largest: float) -> Watched:
    """A venue where a position of 1 is open that no session knows of."""
    venue = Watched()
    venue.positions["BTCUSDT"] = (1.0, 100.0)
    venue.largest = largest
    return venue


def check_closed(
    scene: Scene, text: str = "one stop protects 0.4 at most, of a position of 1;"
) -> None:
    """Flat in both books, nothing rests, and a person was told once."""
    scene.tick(250)
    assert scene.held() == scene.at() == 0.0
    assert scene.venue.resting() == []
    [alert] = scene.alerts(AlertCode.SL_PLACEMENT_FAILED)
    assert text in alert.text
    scene.check_agreement()


def test_a_stop_that_is_cut_closes_the_position() -> None:
    """In as many orders as it takes, and it rests until the last of them has filled."""
    venue = Watched()
    scene = Scene(venue=venue)
    venue.largest = 0.4
    scene.bar(ask=Ask())
    check_closed(scene)
    assert len(scene.placed(Slot.STOP)) == 1
    asked = [request.quantity for request in scene.placed(Slot.CLOSE)]
    assert asked == pytest.approx([1.0, 0.6, 0.2])
    assert venue.protected_min == 0.4
    [trade] = scene.rows(TradeRow)
    assert trade.exit_reason == "unprotected"


@pytest.mark.parametrize(("largest", "closes"), [(0.01, 100), (0.4, 3), (0.98, 2)])
def test_an_adopted_position_beyond_one_stop_is_closed(largest: float, closes: int) -> None:
    venue = held_by_somebody(largest)
    scene = Scene(venue=venue, on_unknown_position="adopt")
    check_closed(scene, f"one stop protects {largest:g} at most, of a position of 1;")
    assert len(scene.placed(Slot.CLOSE)) == closes
    assert len(scene.placed(Slot.STOP)) == 1
    assert venue.protected_min == largest


def test_a_stop_whose_answer_was_lost_is_no_full_protection() -> None:
    """The question about it tells what it protects."""
    scene = Scene(venue=held_by_somebody(0.4), begin=False, on_unknown_position="adopt")
    scene.venue.script("place", Carried(AMBIGUOUS), Slot.STOP)
    scene.tick(1)
    check_closed(scene)


def test_a_reading_after_a_restart_tells_it_too() -> None:
    """The process was killed before the answer came."""
    venue = Watched()
    scene = Scene(venue=venue)
    venue.largest = 0.4
    venue.script("place", Carried(None), Slot.STOP)
    scene.bar(ask=Ask())
    assert scene.held() == 1.0
    again = scene.restart()
    check_closed(again)
    assert again.placed(Slot.STOP) == []
    assert venue.protected_min == 0.4


def test_a_restart_during_the_close_goes_on_with_it() -> None:
    venue = Watched()
    scene = Scene(venue=venue)
    venue.largest = 0.4
    venue.script("place", refused(), Slot.CLOSE, times=50)
    scene.bar(ask=Ask())
    assert quantities(scene, Slot.STOP) == [0.4]
    venue._rules.clear()
    again = scene.restart()
    again.wait(2 * QUERY_MS)
    assert again.held() == again.at() == 0.0
    assert venue.resting() == []
    assert venue.protected_min == 0.4
    again.check_agreement()


def test_a_maximum_that_is_lowered_before_the_stop_moves_closes_the_rest() -> None:
    """The old stop, which is whole, stays beside the new one until the close has filled."""
    venue = Watched()
    scene = Scene(TARGETS, venue).enter()
    venue.largest = 0.3
    venue.seen.clear()
    [target] = venue.resting(Slot.TARGET_1)
    venue.fill(target.request.client_id, 120.0, now=scene.now)
    scene.settle()
    check_closed(scene, "one stop protects 0.3 at most, of a position of 0.5;")
    assert len(scene.placed(Slot.STOP)) == 2
    assert venue.protected_min >= 1.0


def test_a_close_that_does_not_fill_leaves_one_stop_alone() -> None:
    """However long it takes: no second one beside it, and no other in its place."""
    scene = Scene(venue=Watched())
    scene.venue.largest = 0.4
    scene.venue.script("place", refused(), Slot.CLOSE, times=200)
    scene.bar(ask=Ask())
    scene.wait(10 * QUERY_MS)
    scene.bar()
    scene.bar()
    assert len(scene.placed(Slot.STOP)) == 1
    assert quantities(scene, Slot.STOP) == [0.4]
    assert len(scene.placed(Slot.CLOSE)) > 5
    scene.venue._rules.clear()
    scene.wait(2 * QUERY_MS)
    check_closed(scene)


def test_a_cut_stop_that_fires_meanwhile_is_booked_once() -> None:
    scene = Scene(venue=Watched())
    scene.venue.largest = 0.4
    scene.venue.script("place", refused(), Slot.CLOSE, times=1)
    scene.bar(ask=Ask())
    scene.venue.trigger(scene.stop_id(), 90.0, now=scene.now)
    scene.settle()
    assert scene.held() == scene.at() == 0.6
    scene.wait(2 * QUERY_MS)
    check_closed(scene)


def test_a_cut_stop_of_all_that_is_left_is_protection() -> None:
    """Half was taken off before anybody knew what the stop is for: it moves, nothing is closed."""
    scene = Scene(TARGETS, protect_ms_max=60_000)
    scene.venue.largest = 0.6
    scene.venue.script("place", Carried(None), Slot.STOP)
    scene.bar(ask=Ask())
    [target] = scene.venue.resting(Slot.TARGET_1)
    scene.venue.fill(target.request.client_id, 120.0, now=scene.now)
    scene.wait(settings().session.answer_ms_max + 1_000)
    assert quantities(scene, Slot.STOP) == [0.5]
    assert scene.placed(Slot.CLOSE) == []
    assert scene.alerts(AlertCode.SL_PLACEMENT_FAILED) == []
    scene.check_agreement()


@pytest.mark.parametrize(("largest", "lot_size"), [(0.995, 0.001), (0.75, 0.25), (0.99, 0.001)])
def test_rounding_to_a_lot_at_market_is_no_cut(largest: float, lot_size: float) -> None:
    """By a hundredth or by a lot: that much of a position no venue protects."""
    scene = Scene(Cast(own={"lot_size": lot_size}))
    scene.venue.largest = largest
    scene.enter()
    scene.wait(PROTECT_MS + 1_000)
    assert scene.held() == 1.0
    assert len(scene.placed(Slot.STOP)) == 1
    assert scene.alerts(AlertCode.SL_PLACEMENT_FAILED) == []


class Targets(ScriptedVenue):
    """Cuts what rests at a limit, not stops: Binance's LOT_SIZE may be below MARKET_LOT_SIZE."""

    def __init__(self, slot: Slot = Slot.TARGET_1) -> None:
        super().__init__()
        self.slot = slot

    def take(self, command: Command, now: int) -> Event | None:
        request = getattr(command, "request", None)
        self.largest = 0.4 if request is not None and request.slot is self.slot else 10.0
        return super().take(command, now)


def test_a_target_that_is_cut_rests_beside_the_whole_stop() -> None:
    """It takes what it is for, the next one the rest; nothing is replaced for nothing."""
    scene = Scene(venue=Targets()).enter()
    assert quantities(scene, Slot.TARGET_1) == [0.4]
    scene.wait(MINUTE // 2)
    for _ in range(3):
        scene.bar()
    assert len(scene.placed(Slot.TARGET_1)) == 1
    assert quantities(scene, Slot.STOP) == [1.0]
    for left in (0.6, 0.2, 0.0):
        [order] = scene.venue.resting(Slot.TARGET_1)
        scene.venue.fill(order.request.client_id, 120.0, now=scene.now)
        scene.settle()
        assert scene.held() == scene.at() == pytest.approx(left)
        scene.tick(250)
        scene.check_agreement()
    assert len(scene.placed(Slot.TARGET_1)) == 3
    assert scene.venue.resting() == []
    assert scene.alerts(AlertCode.SL_PLACEMENT_FAILED) == []


def test_a_trailing_stop_that_is_cut_moves_once_a_bar() -> None:
    scene = Scene(TRAIL, Targets(Slot.TRAIL)).enter()
    for close, number in ((112.0, 1), (114.0, 2), (114.0, 2)):
        scene.bar(close)
        scene.wait(MINUTE // 4)
        assert len(scene.placed(Slot.TRAIL)) == number
        assert quantities(scene, Slot.TRAIL) == [0.4]
        assert quantities(scene, Slot.STOP) == [1.0]
    [order] = scene.venue.resting(Slot.TRAIL)
    scene.venue.trigger(order.request.client_id, 109.0, now=scene.now)
    scene.settle()
    assert scene.held() == scene.at() == pytest.approx(0.6)
    scene.tick(250)
    scene.check_agreement()


@pytest.mark.parametrize("side", [Side.LONG, Side.SHORT])
def test_the_next_trade_is_protected_by_one_stop_again(side: Side) -> None:
    """What one order may have may have become more."""
    scene = Scene()
    scene.venue.largest = 0.4
    scene.bar(ask=Ask())
    check_closed(scene)
    scene.venue.largest = 10.0
    scene.bar(ask=Ask(side=side))
    assert quantities(scene, Slot.STOP) == [1.0]
    assert scene.held() == side
