"""Stops that ought to have filled and do not: the venue keeps them, and price is beyond them.

A long of 1 entered at 100, its stop at 90; a short the other way round.
"""

from __future__ import annotations

import pytest
from tests.app.live.scenes import Scene, refused, settings
from tests.desk import Ask

from tercel.app.live.alerts import AlertCode
from tercel.core.codes import ExitReason, Side, Slot
from tercel.domain.commands import CancelOrder, Command, Level, PlaceOrder, QueryOrder
from tercel.domain.events import Fault, FeedNews, Filled, MarketView, OrderUpdate, Quote
from tercel.domain.orders import OrderPhase

RULES = settings().session
LATE_MS = RULES.trigger_ms_max
BEYOND = Quote("BTCUSDT", 84.99, 85.01)
BEFORE = Quote("BTCUSDT", 95.0, 95.02)
ASTRIDE = Quote("BTCUSDT", 89.99, 90.01)


def held(side: Side = Side.LONG) -> Scene:
    """A position whose stop rests, the user stream up, half a minute later."""
    scene = Scene()
    scene.hand(FeedNews(scene.now, "user", is_up=True))
    scene.enter(Ask(side))
    scene.wait(30_000)
    return scene


def closes(scene: Scene) -> list[PlaceOrder]:
    """Closes at market that were sent."""
    return [each for each in scene.of(PlaceOrder) if each.request.slot is Slot.CLOSE]


def questions(log: list[Command]) -> int:
    """How often the venue was asked about an order."""
    return len([each for each in log if isinstance(each, QueryOrder)])


# --- price is beyond it ---------------------------------------------------------------------------


@pytest.mark.parametrize(("side", "close"), [(Side.LONG, 85.0), (Side.SHORT, 115.0)])
def test_a_position_is_closed_whose_stop_rests_untouched(side: Side, close: float) -> None:
    scene = held(side)
    scene.venue.prices["BTCUSDT"] = close
    scene.bar(close)
    closed_ms = scene.minute
    scene.wait(LATE_MS - 500)
    assert not closes(scene)
    log = scene.wait(1_000)
    [close_order] = closes(scene)
    assert close_order.request.reduce_only
    assert close_order.request.reason == ExitReason.STOP
    assert LATE_MS <= scene.now - 500 - closed_ms <= LATE_MS + 500
    [alert] = scene.alerts(AlertCode.STOP_NOT_FILLED, log)
    assert alert.level is Level.CRITICAL
    assert log.index(close_order) < log.index(alert)
    assert scene.held() == scene.at() == 0.0
    assert not scene.venue.resting()


def test_the_stop_rests_until_the_close_has_filled_and_nothing_is_closed_twice() -> None:
    scene = held()
    scene.bar(85.0)
    scene.wait(LATE_MS - 500)
    scene.is_apart = True
    log = scene.wait(3_000)
    assert len(closes(scene)) == 1
    assert not scene.of(CancelOrder, log)
    assert scene.venue.resting(Slot.STOP)
    scene.is_apart = False
    scene.settle()
    for close in (84.0, 83.0):
        scene.bar(close)
        scene.wait(20_000)
    assert len(closes(scene)) == len(scene.alerts(AlertCode.STOP_NOT_FILLED)) == 1
    assert scene.held() == scene.at() == 0.0
    assert not scene.venue.resting()


def test_a_close_that_is_refused_is_tried_again_and_told_as_such() -> None:
    scene = held()
    scene.venue.script("place", refused(Fault.OTHER), Slot.CLOSE)
    scene.bar(85.0)
    scene.wait(LATE_MS + 5_000)
    assert len(scene.alerts(AlertCode.CLOSE_FAILED)) == 1
    assert len(scene.alerts(AlertCode.STOP_NOT_FILLED)) == 1
    assert scene.held() == scene.at() == 0.0


def test_quotes_count_between_two_bars() -> None:
    scene = held()
    assert scene.session.waiting_symbols() == ("BTCUSDT",)
    since_ms = scene.now + 250
    while not closes(scene):
        scene.tick(250, BEYOND)
    assert LATE_MS <= scene.now - since_ms <= LATE_MS + 250
    assert scene.session.waiting_symbols() == ()


def test_price_that_comes_back_is_no_longer_beyond() -> None:
    scene = held()
    scene.tick(250, BEYOND)
    scene.tick(LATE_MS - 500, BEYOND)
    scene.tick(250, BEFORE)
    scene.tick(250, BEYOND)
    scene.wait(LATE_MS - 500)
    assert not closes(scene)
    scene.tick(250, ASTRIDE)  # neither: the stop may be at it
    scene.wait(1_000)
    assert closes(scene)


@pytest.mark.parametrize(
    "view",
    [
        MarketView(99.99, 100.01, 100, "bar against quote"),
        MarketView(89.99, 90.01, 100),
    ],
)
def test_a_close_that_its_quotes_contradict_is_not_believed(view: MarketView) -> None:
    scene = held()
    scene.bar(85.0, view=view)
    scene.wait(2 * LATE_MS)
    assert not closes(scene)


def test_a_close_of_which_no_quote_is_known_is_believed() -> None:
    scene = held()
    scene.bar(85.0, view=None)
    scene.wait(LATE_MS + 500)
    assert closes(scene)


def test_a_bar_that_comes_late_is_asked_about_before_anything_is_closed() -> None:
    scene = held()
    scene.now = scene.minute + 60_000 + LATE_MS + 10_000
    scene.bar(85.0)
    assert questions(scene.tick(250)) == 1
    assert not closes(scene)
    scene.wait(RULES.query_ms)
    assert closes(scene)


# --- the stop fills as it should ------------------------------------------------------------------


@pytest.mark.parametrize("after_ms", [250, 750])
def test_a_stop_that_fills_is_left_alone(after_ms: int) -> None:
    scene = held()
    scene.bar(85.0)
    log = scene.wait(after_ms)
    scene.venue.trigger(scene.stop_id(), 89.0, now=scene.now)
    scene.settle()
    log += scene.wait(3 * LATE_MS)
    assert not closes(scene)
    assert questions(log) == 0
    assert not scene.alerts(AlertCode.STOP_NOT_FILLED)


def test_a_fill_that_nobody_told_of_is_asked_for_and_nothing_is_closed() -> None:
    scene = held()
    stop = scene.stop_id()
    scene.venue.tells = False
    scene.venue.fill(stop, 90.0, now=scene.now)
    scene.bar(85.0)
    scene.venue.tells = True
    scene.wait(LATE_MS + 1_000)
    assert scene.held() == 0.0
    assert not closes(scene)
    assert not scene.alerts(AlertCode.STOP_NOT_FILLED)


def test_a_replay_has_no_watchdog() -> None:
    """There a stop fills at the bar that passes it, which the session has seen first."""
    scene = Scene(is_exact=True, reads_venue=False).enter()
    scene.bar(85.0)
    scene.wait(LATE_MS + 1_000)
    assert not closes(scene)
    assert scene.session.waiting_symbols() == ()


# --- the venue is at it, and stays so -------------------------------------------------------------


@pytest.mark.parametrize("way", ["told", "asked", "listed"])
def test_a_stop_that_stays_triggering_protects_nothing_wherever_price_is(way: str) -> None:
    """Price is back at 95, and the stop will never rest again."""
    scene = held()
    stop = scene.stop_id()
    scene.venue.stuck.add(stop)
    if way == "told":
        triggering = OrderUpdate(scene.now, stop, "v2", OrderPhase.ACKED, 0.0, is_triggered=True)
        scene.hand(triggering)
    elif way == "asked":
        scene.tick(250, BEYOND)
        scene.tick(RULES.query_ms, BEYOND)
    else:
        scene.bar(95.0)  # with a position the venue is read
    scene.tick(250, BEFORE)
    scene.wait(LATE_MS + 1_500)
    assert len(closes(scene)) == 1
    [alert] = scene.alerts(AlertCode.STOP_NOT_FILLED)
    assert "was triggered" in alert.text
    assert scene.held() == scene.at() == 0.0


def test_after_a_restart_the_venue_tells_again_that_it_is_stuck() -> None:
    scene = held()
    scene.venue.stuck.add(scene.stop_id())
    again = scene.restart()
    again.hand(FeedNews(again.now, "user", is_up=True))
    again.wait(LATE_MS + 2_000)
    assert len(again.alerts(AlertCode.STOP_NOT_FILLED)) == 1
    assert again.held() == again.at() == 0.0


def test_what_a_timer_saw_is_journaled() -> None:
    """A session that is decided again from its journal has seen the same prices."""
    scene = held()
    assert not scene.tick(250, BEFORE)
    assert scene.tick(250, BEYOND)
    assert not scene.tick(250, BEYOND)
    assert scene.tick(250, BEFORE)


def test_a_stop_that_was_sent_after_the_close_did_not_see_it() -> None:
    """The bar is on its way while the stop is placed anew: price was there before it."""
    scene = held()
    scene.now = scene.minute + 60_050
    scene.venue.lose(scene.stop_id(), tells=True)
    scene.settle()
    scene.bar(85.0)
    scene.wait(LATE_MS + 1_000)
    assert not closes(scene)


def test_a_fill_that_comes_while_it_is_closed_is_booked_once() -> None:
    scene = held()
    stop = scene.stop_id()
    scene.bar(85.0)
    scene.wait(LATE_MS - 500)
    scene.is_apart = True
    scene.wait(1_000)
    [close] = closes(scene)
    fill = scene.venue.fill(stop, 89.0, now=scene.now)
    scene.settle()
    scene.is_apart = False
    scene.settle()
    scene.hand(Filled(scene.now, fill))
    scene.wait(10_000)
    assert close.request.client_id not in scene.venue.orders
    assert scene.held() == scene.at() == 0.0
    scene.check_agreement()
