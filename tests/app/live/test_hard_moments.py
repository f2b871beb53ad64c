"""Events that meet at the worst moment: what fills after a kill, what is told twice, late or never.

Each test tells one sequence of events. The order of what comes is what is tested, so most of them
hold the session's commands back (`is_apart`) until the other event has come.
"""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from tests.app.live.scenes import FOR_EVER, Cast, Scene, place_of, refused, settings
from tests.desk import Ask

from tercel.app.live.alerts import AlertCode
from tercel.core.codes import Refusal, Slot
from tercel.core.plan import TradePlan
from tercel.domain.commands import (
    Alert,
    CancelForeign,
    CancelOrder,
    PlaceOrder,
    QueryOrder,
    ReadVenue,
)
from tercel.domain.events import (
    Answer,
    Event,
    Fault,
    FeedNews,
    Filled,
    MinuteEnded,
    Operation,
    OrderUpdate,
    Outcome,
    Placed,
    TimerFired,
    VenueRead,
)
from tercel.domain.journal import BreakerRow
from tercel.domain.orders import OrderPhase, VenueFill
from tercel.domain.session_state import SessionState

LIMIT = TradePlan(entry="limit", entry_wait_bars=10)
POST_ONLY = TradePlan(entry="post_only", entry_wait_bars=10)


def entry_id(scene: Scene) -> str:
    """Client id of the entry at rest."""
    [order] = scene.venue.resting(Slot.ENTRY)
    return order.request.client_id


def go_on(scene: Scene) -> None:
    """What was held back is carried out."""
    scene.is_apart = False
    scene.settle()


def with_news() -> Scene:
    """A session whose user stream is up: the venue is not polled."""
    scene = Scene()
    scene.hand(FeedNews(scene.now, "user", is_up=True))
    scene.wait(3_000)
    return scene


# --- the kill switch ------------------------------------------------------------------------------


@pytest.mark.parametrize("plan", [TradePlan(), LIMIT], ids=["market", "limit"])
def test_an_entry_that_fills_after_the_kill_is_closed(plan: TradePlan) -> None:
    """A market entry is on its way, or the cancel of a limit loses the race: KILL, then the fill.

    The position is closed once, that is verified at the venue, and the switch stays latched.
    """
    scene = Scene(Cast(plan=plan))
    scene.is_apart = plan is not LIMIT
    scene.bar(ask=Ask())
    scene.is_apart = True
    scene.ask(Operation.KILL)
    if plan is LIMIT:
        scene.venue.fill(entry_id(scene), 100.0, now=scene.now)
    go_on(scene)
    scene.wait(10_000)
    assert (scene.held(), scene.at(), scene.venue.resting()) == (0.0, 0.0, [])
    assert len(scene.placed(Slot.CLOSE)) == 1
    [verified] = scene.alerts(AlertCode.KILL_VERIFIED)
    assert scene.log.index(verified) > place_of(scene.log, PlaceOrder, slot=Slot.CLOSE)
    assert scene.session.parts.flags.kill_latched
    scene.bar(ask=Ask())
    assert len(scene.placed(Slot.ENTRY)) == 1


def entry_on_its_way(scene: Scene) -> PlaceOrder:
    """A market entry is asked for, and does not arrive."""
    scene.is_apart = True
    scene.bar(ask=Ask())
    return next(each for each in scene.outbox if isinstance(each, PlaceOrder))


def read_before(scene: Scene) -> Event:
    """The venue is asked now; the answer, which is on its way, does not have what comes later."""
    scene.hand(FeedNews(scene.now, "user", is_up=True, detail="connected"))
    asked = next(each for each in scene.outbox if isinstance(each, ReadVenue))
    answer = scene.venue.take(asked, scene.now)
    assert answer is not None
    scene.outbox.clear()
    return answer


def check_killed(scene: Scene) -> None:
    """Nothing is held anywhere, and the venue was asked after the last close."""
    assert (scene.held(), scene.at(), scene.venue.resting()) == (0.0, 0.0, [])
    at = dict.fromkeys(("close", "verified"), -1)
    for place, each in enumerate(scene.log):
        if isinstance(each, PlaceOrder) and each.request.slot is Slot.CLOSE:
            at["close"] = place
        elif isinstance(each, Alert) and each.code == AlertCode.KILL_VERIFIED:
            at["verified"] = place
    assert -1 < at["close"] < at["verified"]
    assert scene.session.parts.flags.kill_latched


def test_a_kill_is_not_verified_by_a_picture_of_before_the_entry_arrived() -> None:
    scene = with_news()
    entry = entry_on_its_way(scene)
    picture = read_before(scene)
    scene.ask(Operation.KILL)
    scene.now += 300
    scene.hand(picture)
    assert scene.alerts(AlertCode.KILL_VERIFIED) == []
    scene.outbox.clear()
    scene.now += 200
    answer = scene.venue.take(entry, scene.now)
    assert answer is not None
    scene.is_apart = False
    scene.hand(answer)
    scene.wait(20_000)
    check_killed(scene)
    assert len(scene.placed(Slot.CLOSE)) == 1
    assert len(scene.alerts(AlertCode.KILL_VERIFIED)) == 1


def test_a_kill_whose_entry_is_unknown_after_a_restart_is_not_verified_before_it_is_known() -> None:
    """The process died right after KILL, and the entry comes to the venue after the restart."""
    scene = Scene()
    entry = entry_on_its_way(scene)
    scene.ask(Operation.KILL)
    again = scene.restart()
    assert again.alerts(AlertCode.KILL_VERIFIED) == []
    again.now += 100
    again.venue.take(entry, again.now)
    again.settle()
    again.wait(20_000)
    check_killed(again)


def test_what_fills_after_a_kill_was_verified_is_closed_and_verified_again() -> None:
    """The venue did not know the entry for long enough, and has filled it all the same."""
    scene = with_news()
    entry = entry_on_its_way(scene)
    scene.ask(Operation.KILL)
    scene.outbox.remove(entry)
    go_on(scene)
    scene.wait(settings().session.answer_ms_max + settings().session.unknown_ms_max + 5_000)
    assert len(scene.alerts(AlertCode.KILL_VERIFIED)) == 1
    scene.venue.take(entry, scene.now)
    scene.settle()
    scene.wait(5_000)
    check_killed(scene)
    assert len(scene.alerts(AlertCode.KILL_SWITCH)) == 2
    assert len(scene.alerts(AlertCode.KILL_VERIFIED)) == 2
    scene.ask(Operation.REARM)
    assert not scene.session.parts.flags.kill_latched


def test_a_start_with_the_switch_latched_closes_what_it_does_not_know() -> None:
    """It is no reason to end: whoever latched it wants it closed, and that is seen through."""
    scene = Scene()
    scene.ask(Operation.KILL)
    scene.wait(3_000)
    scene.venue.positions["BTCUSDT"] = (1.0, 100.0)
    again = scene.restart()
    again.wait(10_000)
    assert again.ended is None
    check_killed(again)
    told = again.alerts(AlertCode.UNKNOWN_POSITION)
    assert len(told) == 1
    assert "the kill switch closes it" in told[0].text


# --- readings -------------------------------------------------------------------------------------


def test_an_answer_that_comes_late_is_judged_as_of_when_it_was_asked() -> None:
    """Two readings of before a position's end arrive after it: nobody else holds it now."""
    scene = with_news()
    scene.enter()
    scene.is_apart = True
    pictures = [read_before(scene)]
    scene.wait(settings().session.silent_ms_max + 500)
    asked = [each for each in scene.outbox if isinstance(each, ReadVenue)]
    answer = scene.venue.take(asked[-1], scene.now)
    assert answer is not None
    pictures.append(answer)
    scene.outbox.clear()
    scene.is_apart = False
    scene.bar(ask=Ask(side=0, exit_long=True))
    assert (scene.held(), scene.at()) == (0.0, 0.0)
    scene.is_apart = True
    for picture in pictures:
        scene.now += 100
        scene.hand(replace(picture, time_ms=scene.now))
    assert scene.session.execution.booking.foreign.held("BTCUSDT") == 0.0
    go_on(scene)
    scene.wait(3_000)
    assert scene.alerts(AlertCode.POSITION_MISMATCH) == []
    scene.enter()
    scene.check_agreement()


# --- the start ------------------------------------------------------------------------------------


def test_an_unknown_position_keeps_its_stop_when_the_start_is_refused() -> None:
    """The state is lost, the position and its stop are not: no start, and nothing is touched."""
    first = Scene().enter()
    stop = first.stop_id()
    again = Scene(first.cast, first.venue, SessionState(), now=first.now + 1_000)
    assert again.ended is not None
    assert again.of(CancelForeign) == []
    assert again.stop_id() == stop


def test_an_adopted_position_gets_its_stop_before_the_old_one_goes() -> None:
    """The same, adopted: at no moment is the position without a stop."""
    first = Scene().enter()
    stop = first.stop_id()
    again = Scene(
        first.cast,
        first.venue,
        replace(SessionState(), session_id="s0"),
        now=first.now + 1_000,
        on_unknown_position="adopt",
    )
    assert again.held() == 1.0
    assert again.of(CancelForeign) == [], "it may be all that protects the position"
    again.wait(3_000)
    asked = again.venue.asked
    [old] = [
        place
        for place, each in enumerate(asked)
        if isinstance(each, CancelForeign) and each.client_id == stop
    ]
    new = place_of(again.log, PlaceOrder, slot=Slot.STOP)
    assert new < again.log.index(asked[old])
    assert again.stop_id() != stop
    again.check_agreement()


# --- fills ----------------------------------------------------------------------------------------


def test_many_fills_of_an_entry_are_few_stops() -> None:
    """Twenty fills come before the venue has answered the first stop: one order is on its way.

    Once it is answered, the next one has the size of the whole position.
    """
    scene = Scene(Cast(plan=LIMIT))
    scene.bar(ask=Ask())
    entry = entry_id(scene)
    scene.is_apart = True
    for _ in range(20):
        scene.venue.fill(entry, 100.0, 0.05, now=scene.now)
        scene.settle()
    assert math.isclose(scene.held(), 1.0)
    assert len(scene.placed(Slot.STOP)) == 1
    go_on(scene)
    assert len(scene.placed(Slot.STOP)) <= 3
    assert math.isclose(scene.placed(Slot.STOP)[-1].quantity, 1.0)
    scene.check_agreement()


def test_a_late_fill_of_an_exit_leaves_the_next_trade_alone() -> None:
    """A long is gone at the venue, and nobody tells how. A short follows, then the fill of the old
    stop is told: it sold what the long was, not more of the short, and takes nothing off it.
    """
    scene = Scene().enter()
    stop = scene.venue.orders[scene.stop_id()]
    scene.venue.positions.clear()
    for order in scene.venue.resting():
        order.phase = OrderPhase.CANCELLED
    scene.bar()
    scene.wait(12_000)
    assert scene.held() == 0.0
    scene.bar()
    scene.bar(ask=Ask(side=-1))
    assert scene.held() == -1.0
    scene.hand(
        Filled(
            scene.now,
            VenueFill(
                "777", stop.request.client_id, stop.venue_id, "BTCUSDT", -1, 90.0, 1.0, 0.0, False,
                scene.now,
            ),
        )
    )  # fmt: skip
    scene.wait(3_000)
    assert (scene.held(), scene.at()) == (-1.0, -1.0)
    [left] = [order.left for order in scene.venue.resting(Slot.STOP)]
    assert left == 1.0


def waited_for(scene: Scene) -> list[str]:
    """Client ids of the orders whose fills are still to come."""
    return [order.request.client_id for order in scene.session.parts.orders.unsettled()]


def filled_elsewhere(scene: Scene) -> str:
    """The stop is filled, but its fill names ids that nobody here knows; the stop's client id."""
    stop = scene.stop_id()
    order = scene.venue.orders[stop]
    order.phase, order.left = OrderPhase.FILLED, 0.0
    scene.venue.positions.clear()
    fill = VenueFill("777", "its-own", "e9", "BTCUSDT", -1, 90.0, 1.0, 0.0, False, scene.now)
    scene.venue.fills.append(fill)
    scene.venue.wallet_quote -= 10.0
    scene.hand(Filled(scene.now, fill))
    scene.hand(OrderUpdate(scene.now, stop, order.venue_id, OrderPhase.FILLED, 1.0))
    return stop


def test_fills_that_were_booked_elsewhere_are_not_waited_for_without_end() -> None:
    """The stop's fill was taken for somebody else's trade, then the stop is told to be filled.

    The venue holds what the session holds: after three readings nobody waits any more.
    """
    scene = with_news()
    stop = filled_elsewhere(scene.enter())
    assert waited_for(scene) == [stop]
    log = scene.wait(10_000)
    assert waited_for(scene) == []
    assert 3 <= len(scene.of(ReadVenue, log)) <= 4
    assert scene.of(ReadVenue, scene.wait(10_000)) == []
    assert scene.held() == 0.0
    scene.bar()
    assert scene.enter().at() == 1.0


@pytest.mark.parametrize("plan", [TradePlan(), LIMIT], ids=["market", "limit"])
def test_an_entry_whose_fills_never_come_is_given_up_not_repeated(plan: TradePlan) -> None:
    """The venue says FILLED and holds nothing. No second entry is sent; one that fills after all is
    taken back and protected.
    """
    scene = Scene(Cast(plan=plan))
    scene.is_apart = True
    scene.bar(ask=Ask())
    [request] = scene.placed(Slot.ENTRY)
    assert isinstance(scene.outbox.popleft(), PlaceOrder)
    done = Answer(Outcome.DONE, "9", OrderPhase.FILLED, filled_quantity=request.quantity)
    scene.hand(Placed(scene.now, request.client_id, done))
    scene.is_apart = False
    scene.wait(10_000)
    assert list(scene.session.parts.orders.live()) == []
    scene.bar()
    assert scene.placed(Slot.ENTRY) == [request]
    scene.venue.positions["BTCUSDT"] = (1.0, 100.0)
    late = VenueFill(
        "88", request.client_id, "9", "BTCUSDT", 1, 100.0, 1.0, 0.0, False, scene.now
    )  # fmt: skip
    scene.hand(Filled(scene.now, late))
    assert scene.held() == 1.0
    assert [order.left for order in scene.venue.resting(Slot.STOP)] == [1.0]


def test_fills_are_waited_for_while_the_venue_holds_something_else() -> None:
    """The entry is told to be filled and the venue holds it, but its fills are not listed yet: they
    are waited for, however many readings it takes.
    """
    scene = Scene()
    scene.is_apart = True
    scene.bar(ask=Ask())
    [request] = scene.placed(Slot.ENTRY)
    assert isinstance(scene.outbox.popleft(), PlaceOrder)
    scene.is_apart = False
    scene.venue.positions["BTCUSDT"] = (1.0, 100.0)
    done = Answer(Outcome.DONE, "9", OrderPhase.FILLED, filled_quantity=request.quantity)
    scene.hand(Placed(scene.now, request.client_id, done))
    scene.wait(10_000)
    assert waited_for(scene) == [request.client_id]
    late = VenueFill(
        "88", request.client_id, "9", "BTCUSDT", 1, 100.0, 1.0, 0.0, False, scene.now
    )  # fmt: skip
    scene.venue.fills.append(late)
    scene.wait(2_000)
    assert scene.held() == 1.0
    assert waited_for(scene) == []


def test_an_order_that_is_filled_but_not_booked_outlives_a_restart() -> None:
    """The answer says FILLED, the process dies before the fills are told, and the next one starts
    before the venue lists them.

    It asks about the order and enters no second time; the fills are booked once they are listed.
    """
    first = Scene()
    first.is_apart = True
    first.bar(ask=Ask())
    [request] = first.placed(Slot.ENTRY)
    venue = first.venue
    answer = venue.take(first.outbox.popleft(), first.now)
    assert answer is not None
    first.venue.news.clear()
    first.hand(answer)
    assert [each.request.client_id for each in first.state.orders] == [request.client_id]
    fills, held = list(venue.fills), dict(venue.positions)
    venue.fills.clear()
    venue.positions.clear()
    again = first.restart()
    assert request.client_id in [each.client_id for each in again.of(QueryOrder)]
    assert waited_for(again) == [request.client_id]
    venue.fills.extend(fills)
    venue.positions.update(held)
    again.wait(3_000)
    assert again.ended is None
    assert again.placed(Slot.ENTRY) == []
    assert again.held() == 1.0
    again.check_agreement()


# --- readings -------------------------------------------------------------------------------------


def test_a_user_stream_that_returns_during_a_reading_is_read_after() -> None:
    """Down: the venue is being read. Up, before that is answered: what it looked at may be from
    before, so it is read once more, and no more than once.
    """
    scene = with_news()
    scene.is_apart = True
    first = len(scene.log)
    scene.hand(FeedNews(scene.now, "user", is_up=False))
    scene.now += 500
    scene.hand(FeedNews(scene.now, "user", is_up=True))
    assert len(scene.of(ReadVenue, scene.log[first:])) == 1
    go_on(scene)
    log = scene.wait(20_000)
    assert len(scene.of(ReadVenue, log)) == 1


def test_a_reading_that_fails_is_repeated() -> None:
    """The user stream is back, and the reading that should bring what it missed fails."""
    scene = with_news()
    scene.is_apart = True
    scene.hand(FeedNews(scene.now, "user", is_up=True))
    scene.outbox.clear()
    scene.hand(VenueRead(scene.now, None, "timed out"))
    go_on(scene)
    log = scene.wait(5_000)
    assert len(scene.of(ReadVenue, log)) == 1


def test_a_user_stream_that_never_came_up_is_replaced_by_reading() -> None:
    """Nobody says that it is down; it was never up. A limit entry fills, and gets its stop."""
    scene = Scene(Cast(plan=LIMIT))
    scene.venue.tells = False
    scene.bar(ask=Ask())
    scene.venue.fill(entry_id(scene), 100.0, now=scene.now)
    scene.wait(8_000)
    assert scene.held() == 1.0
    scene.check_agreement()


# --- what the venue does to orders ----------------------------------------------------------------


def test_a_cancel_that_the_venue_is_too_busy_for_is_repeated_at_a_pace() -> None:
    """BUSY for ever: one cancel at once, then one a look; the entry goes once the venue can."""
    scene = Scene(Cast(plan=LIMIT))
    scene.bar(ask=Ask())
    scene.venue.script("cancel", refused(Fault.BUSY, -1003), times=5)
    log = scene.ask(Operation.PAUSE)
    assert len(scene.of(CancelOrder, log)) == 1
    timer_ms = scene.rules.session.timer_ms
    log = scene.wait(20 * timer_ms, timer_ms)
    assert len(scene.of(CancelOrder, log)) == 5
    assert scene.venue.resting() == []


@pytest.mark.parametrize("plan", [POST_ONLY, LIMIT], ids=["post-only", "limit"])
@pytest.mark.parametrize("phase", [OrderPhase.EXPIRED, OrderPhase.CANCELLED])
def test_an_entry_that_the_venue_ends_by_itself_waits_for_the_next_bar(
    plan: TradePlan, phase: OrderPhase
) -> None:
    """Each one is ended in the answer that should take it: one entry a bar, not one after the
    other.
    """
    scene = Scene(Cast(plan=plan))
    scene.venue.script("place", Answer(Outcome.DONE, "9", phase), Slot.ENTRY, times=FOR_EVER)
    scene.bar(ask=Ask())
    scene.wait(5_000)
    assert len(scene.placed(Slot.ENTRY)) == 1
    scene.bar()
    assert len(scene.placed(Slot.ENTRY)) == 2


def test_an_entry_taken_away_at_rest_waits_for_the_next_bar() -> None:
    """It rests, has filled in part, and the venue cancels it: what filled is kept and protected."""
    scene = Scene(Cast(plan=LIMIT))
    scene.bar(ask=Ask())
    entry = entry_id(scene)
    scene.venue.fill(entry, 100.0, 0.4, now=scene.now)
    scene.settle()
    scene.venue.lose(entry, tells=True)
    scene.settle()
    scene.wait(5_000)
    assert len(scene.placed(Slot.ENTRY)) == 1
    scene.check_agreement()


def test_a_second_stream_waits_until_a_withdrawn_entry_is_over() -> None:
    """One symbol, two streams. The entry of the first is withdrawn, its cancel is on its way, and
    the second one is asked to go short: it does not, and the first one's fill is the only position.
    """
    scene = Scene(Cast(("BTCUSDT",), (0, 0), plan=LIMIT))
    scene.bar(ask={0: Ask()})
    entry = entry_id(scene)
    scene.is_apart = True
    scene.ask(Operation.PAUSE)
    scene.ask(Operation.RESUME)
    assert len(scene.of(CancelOrder)) == 1
    scene.bar(ask={1: Ask(side=-1)})
    assert [each.stream for each in scene.placed(Slot.ENTRY)] == [0]
    assert scene.session.parts.stream(1).refusals[Refusal.SYMBOL_TAKEN] == 1
    scene.venue.fill(entry, 100.0, now=scene.now)
    go_on(scene)
    scene.wait(3_000)
    assert (scene.held(0), scene.held(1), scene.at()) == (1.0, 0.0, 1.0)
    scene.check_agreement()


# --- the minute and the timer ---------------------------------------------------------------------


def test_a_breaker_that_trips_in_the_mark_after_the_decisions_is_told() -> None:
    """The entry fills far above the close, before the minute has ended: the mark at its end is what
    stops the account. Told and journaled once, not at the next bar.
    """
    scene = Scene(Cast(limits={"loss_24h_fraction_max": 0.002}))
    scene.bar()
    scene.venue.prices["BTCUSDT"] = 150.0
    scene.script.asks[0, scene.minute] = Ask()
    event = scene.bars_event(scene.minute, 100.0)
    scene.session.handle(event)
    log = []
    while (turn := scene.session.next_turn()) is not None:
        made = scene.session.handle(turn)
        log += made
        if isinstance(turn, MinuteEnded):
            break
        for command in scene.of(PlaceOrder, made):
            answer = scene.venue.take(command, scene.now)
            assert answer is not None
            log += scene.session.handle(answer)
        while scene.venue.news:
            log += scene.session.handle(replace(scene.venue.news.popleft(), time_ms=scene.now))
    assert scene.held() == 1.0
    assert int(scene.session.parts.desk.account.halted) == Refusal.KILL_24H
    assert len(scene.alerts(AlertCode.CIRCUIT_BREAKER_TRIGGERED, log)) == 1
    assert [row.action for row in scene.rows(BreakerRow, log)] == ["halted"]


def test_a_timer_that_asks_nothing_changes_nothing() -> None:
    """A limit entry is said to have filled in part, and the user stream is down: the venue is asked
    already. Looks meanwhile ask nothing, so they are not journaled, and leave everything as it was.
    """
    scene = Scene(Cast(plan=LIMIT))
    scene.bar(ask=Ask())
    entry = entry_id(scene)
    scene.is_apart = True
    scene.hand(OrderUpdate(scene.now, entry, "v1", OrderPhase.PARTLY_FILLED, 0.5))
    scene.hand(FeedNews(scene.now, "user", is_up=False))
    order = scene.session.parts.orders.find(entry)
    assert order is not None
    image, kept, asked_ms = scene.session.image(), scene.session.kept, order.asked_ms
    for _ in range(20):
        scene.now += 250
        assert scene.session.handle(TimerFired(scene.now)) == []
    assert scene.session.image() == image
    assert scene.session.kept == kept
    assert order.asked_ms == asked_ms
    assert scene.of(QueryOrder) == []


@pytest.mark.parametrize("slot", [Slot.TARGET_1, Slot.STOP])
def test_exits_that_the_venue_ends_at_once_are_not_sent_without_end(slot: Slot) -> None:
    """Each is taken and expires in the same answer: replaced once, then at a pace; a position that
    cannot be protected is closed.
    """
    scene = Scene()
    expired = Answer(Outcome.DONE, "9", OrderPhase.EXPIRED)
    scene.venue.script("place", expired, slot, times=FOR_EVER)
    scene.bar(ask=Ask())
    scene.wait(5_000)
    assert len(scene.placed(slot)) < 12
    assert scene.at() == (1.0 if slot is Slot.TARGET_1 else 0.0)


def test_a_late_stop_of_an_earlier_trade_does_not_close_the_next_one() -> None:
    """A long is closed by somebody and its stop's fill is told a trade later, when another long of
    the same stream is open: that one keeps its size and its stop.
    """
    scene = Scene().enter()
    old = scene.venue.orders[scene.stop_id()]
    scene.venue.positions.clear()
    for order in scene.venue.resting():
        order.phase = OrderPhase.CANCELLED
    scene.bar()
    scene.wait(12_000)
    scene.bar()
    scene.bar(ask=Ask())
    assert scene.held() == 1.0
    request = old.request
    fill = VenueFill("777", request.client_id, old.venue_id, "BTCUSDT", -1, 90.0, 1.0, 0.0, False,
                     scene.now)  # fmt: skip
    scene.hand(Filled(scene.now, fill))
    scene.wait(20_000)
    assert scene.held() == scene.at() == 1.0
    assert len(scene.venue.resting(Slot.STOP)) == 1


def test_a_venue_that_cannot_be_read_is_told_once_a_minute_and_blocks_entries() -> None:
    scene = Scene().enter()
    scene.venue.script("read", refused(), times=FOR_EVER)
    scene.hand(FeedNews(scene.now, "user", False, "gone"))
    scene.wait(50_000)
    assert len(scene.of(ReadVenue)) > 5
    assert len(scene.alerts(AlertCode.VENUE_UNREADABLE)) == 1
    assert scene.session.parts.unreadable_ms > 0


def test_resume_does_not_unlatch_a_kill() -> None:
    scene = Scene().enter()
    scene.ask(Operation.KILL)
    scene.wait(3_000)
    scene.ask(Operation.RESUME)
    assert len(scene.alerts(AlertCode.REFUSED_OPERATION)) == 1
    assert scene.alerts(AlertCode.RESUMED) == []
