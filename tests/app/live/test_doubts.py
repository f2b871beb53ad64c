"""What a session does not know for sure: whose a fill is, which were told, how late it is."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.app.live.scenes import (
    AMBIGUOUS,
    FOR_EVER,
    LOST,
    MINUTE,
    Cast,
    Scene,
    refused,
    settings,
)
from tests.desk import Ask

from tercel.app.live.alerts import AlertCode
from tercel.core.codes import ExitReason, OrderStatus, Side, Slot
from tercel.core.plan import TradePlan
from tercel.domain.commands import CancelForeign, ReadVenue
from tercel.domain.events import Event, Fault, FeedNews, Filled, TimerFired, VenueRead
from tercel.domain.journal import RefusalRow, TradeRow
from tercel.domain.orders import OrderPhase, VenueSnapshot

LIMIT = TradePlan(entry="limit", entry_wait_bars=30)
TWO = Cast(("BTCUSDT", "ETHUSDT"), (0, 1))


def heard(cast: Cast | None = None) -> Scene:
    """A session whose user stream is up, and that has nothing to ask."""
    scene = Scene(cast)
    scene.hand(FeedNews(scene.now, "user", is_up=True))
    scene.wait(3_000)
    return scene


def one(scene: Scene, event: Event) -> None:
    """One event alone, without the turns behind it."""
    scene.log.extend(scene.session.handle(event))


# --- whose a fill is ------------------------------------------------------------------------------


def test_a_fill_without_a_name_waits_while_an_order_of_ours_is_unknown() -> None:
    """The entry's answer is lost, and the venue cannot say yet whose the trade was."""
    scene = heard()
    scene.venue.tells = False
    scene.venue.script("place", LOST, Slot.ENTRY)
    scene.venue.script("query", AMBIGUOUS, Slot.ENTRY, times=3)
    whole = scene.venue.snapshot

    def nameless(since_ms: int = 0, now: int = 0) -> VenueSnapshot:
        told = whole(since_ms, now)
        return replace(told, fills=tuple(replace(fill, client_id="") for fill in told.fills))

    scene.venue.snapshot = nameless  # type: ignore[method-assign]
    scene.bar(ask=Ask())
    scene.wait(5_000)
    scene.venue.snapshot = whole  # type: ignore[method-assign]
    scene.wait(20_000)
    assert scene.held() == 1.0
    assert scene.alerts(AlertCode.FOREIGN_FILL) == []
    scene.check_agreement()


def test_a_fill_is_booked_for_an_order_of_its_own_symbol_alone() -> None:
    """Venues number orders symbol by symbol: two may have one number."""
    scene = heard(TWO)
    scene.bar(ask={0: Ask()})
    stop = scene.venue.orders[scene.stop_id(0)]
    before = scene.cash_quote
    scene.venue.outside("ETHUSDT", -1, 3.0, now=scene.now)
    news = scene.venue.news.pop()
    assert isinstance(news, Filled)
    named = replace(news.fill, client_id=stop.request.client_id)
    scene.hand(replace(news, fill=named))
    assert scene.held(0) == 1.0
    assert scene.cash_quote == pytest.approx(before, abs=1.0)


def test_an_entry_of_a_lost_state_that_fills_after_the_start_is_closed() -> None:
    """It rested while the session began, and its cancel lost the race."""
    first = Scene(Cast(plan=LIMIT))
    older = first.state
    first.bar(ask=Ask())
    [entry] = first.venue.resting(Slot.ENTRY)
    first.venue.news.clear()
    scene = Scene(first.cast, first.venue, older, begin=False, now=first.now + 1_000)
    scene.is_apart = True
    scene.tick(1)
    while scene.outbox:
        command = scene.outbox.popleft()
        if isinstance(command, CancelForeign):
            scene.venue.fill(entry.request.client_id, 100.0, now=scene.now)
        elif (answer := scene.venue.take(command, scene.now)) is not None:
            scene.hand(answer)
    scene.is_apart = False
    scene.settle()
    scene.wait(10_000)
    assert (scene.ended, scene.held(), scene.at()) == (None, 0.0, 0.0)
    [close] = scene.placed(Slot.CLOSE)
    assert (close.reason, close.reduce_only) == (ExitReason.UNPROTECTED, True)


def test_a_position_that_has_turned_round_is_an_unknown_one() -> None:
    first = Scene().enter()
    for order in first.venue.resting():
        order.phase = OrderPhase.CANCELLED
    first.venue.positions["BTCUSDT"] = (-1.0, 100.0)
    again = Scene(first.cast, first.venue, first.state, now=first.now + 1_000)
    again.wait(3_000)
    assert again.ended is not None
    assert "the venue holds -1" in again.ended.why


# --- which fills were told ------------------------------------------------------------------------


def test_a_fill_of_an_outage_is_read_though_a_later_one_was_told() -> None:
    """The network is back, a fill comes by the stream, and the reading that was under way fails."""
    scene = heard(Cast(plan=LIMIT))
    scene.bar(ask=Ask())
    [entry] = scene.placed(Slot.ENTRY)
    scene.venue.tells = False
    for kind in ("read", "query"):
        scene.venue.script(kind, AMBIGUOUS, times=FOR_EVER)
    scene.hand(FeedNews(scene.now, "user", is_up=False, detail="network"))
    scene.wait(20_000)
    scene.venue.fill(entry.client_id, 100.0, 0.4, now=scene.now)
    scene.wait(200_000)
    scene.is_apart = True
    while not any(isinstance(each, ReadVenue) for each in scene.outbox):
        scene.tick(250)
    asked = next(each for each in scene.outbox if isinstance(each, ReadVenue))
    scene.outbox.clear()
    scene.venue.tells = True
    scene.venue._rules.clear()
    scene.hand(FeedNews(scene.now, "user", is_up=True))
    scene.venue.fill(entry.client_id, 100.0, 0.6, now=scene.now)
    scene.settle()
    scene.hand(VenueRead(scene.now, None, "timed out", asked.asked_ms))
    scene.is_apart = False
    scene.settle()
    scene.wait(20_000)
    assert scene.held() == 1.0
    scene.check_agreement()


def test_what_is_forgotten_of_the_fills_is_not_read_again() -> None:
    """Else it would be booked twice."""
    scene = heard()
    scene.session.parts.rules = replace(
        scene.rules, session=scene.rules.session.with_overrides({"seen_fills_max": 100})
    )
    scene.hand(FeedNews(scene.now, "user", is_up=False, detail="no reading moves it on"))
    for _ in range(60):
        scene.bar(ask=Ask())
        scene.bar(ask=Ask(side=Side.NONE, exit_long=True))
    parts = scene.session.parts
    assert len(parts.seen) == 100
    forgotten = [
        fill for fill in scene.venue.fills if f"{fill.symbol}:{fill.trade_id}" not in parts.seen
    ]
    assert len(forgotten) == 20
    assert all(fill.time_ms < parts.since_ms for fill in forgotten)
    scene.check_agreement()


# --- how late it is -------------------------------------------------------------------------------


def test_a_stop_of_this_trade_is_booked_whatever_the_venue_s_clock_says() -> None:
    """Its trades are dated three seconds ahead of ours: the stop was sent *before* the entry."""
    scene = heard()
    trade: Any = scene.venue._trade
    scene.venue._trade = lambda *what: trade(*what[:-1], what[-1] + 3_000)  # type: ignore[method-assign]
    scene.enter()
    scene.wait(5_000)
    scene.venue.trigger(scene.stop_id(), 90.0, now=scene.now)
    scene.settle()
    scene.wait(3_000)
    [row] = scene.rows(TradeRow)
    assert row.exit_price == 90.0
    assert scene.alerts(AlertCode.LEDGER_CORRECTED) == []
    scene.check_agreement()


def test_a_decision_that_waited_too_long_enters_nothing() -> None:
    """Twenty seconds went by between the decisions of two streams at one close."""
    scene = heard(TWO)
    for k in (0, 1):
        scene.script.asks[k, scene.minute] = Ask()
    one(scene, scene.bars_event(scene.minute, 100.0))
    for waited_ms in (0, settings().session.fresh_ms_max + 1):
        scene.now += waited_ms
        turn = scene.session.next_turn()
        assert turn is not None
        one(scene, replace(turn, time_ms=scene.now))
    assert {order.stream for order in scene.placed(Slot.ENTRY)} == {0}
    assert [(row.stream, row.refusal) for row in scene.rows(RefusalRow)] == [(1, "stale_data")]


def test_a_timer_between_two_decisions_sends_no_entry_that_is_about_to_be_given_up() -> None:
    """A post-only entry was refused as crossing; its stream decides on it after another one."""
    plan = TradePlan(entry="post_only", entry_wait_bars=1)
    scene = heard(replace(TWO, plan=plan))
    scene.venue.script("place", refused(Fault.WOULD_CROSS), Slot.ENTRY)
    scene.bar(ask={1: Ask()})
    scene.script.asks[0, scene.minute] = Ask()
    first = len(scene.log)
    one(scene, scene.bars_event(scene.minute, 103.0))
    turn = scene.session.next_turn()
    assert turn is not None
    one(scene, turn)
    one(scene, TimerFired(scene.now + 250))
    assert [order.stream for order in scene.placed(Slot.ENTRY, scene.log[first:])] == [0]
    turn = scene.session.next_turn()
    assert turn is not None
    one(scene, turn)
    status = scene.session.parts.stream(1).orders[Slot.ENTRY].status
    assert status == OrderStatus.EMPTY
    assert scene.minute % MINUTE == 0
