"""What a session does, one event at a time, where nothing has gone wrong and where a little has."""

from __future__ import annotations

import pytest
from tests.app.live.scenes import (
    FOR_EVER,
    MINUTE,
    QUIET,
    Cast,
    Scene,
    refused,
    settings,
)
from tests.desk import Ask

from tercel.app.live.alerts import AlertCode
from tercel.app.live.wire import decode_event, encode_event
from tercel.core.codes import OrderKind, Side, Slot
from tercel.core.plan import TradePlan
from tercel.domain.commands import (
    CancelOrder,
    PlaceOrder,
    QueryOrder,
    ReadVenue,
    SaveState,
    WriteJournal,
)
from tercel.domain.events import Fault, FeedNews, JournalNews, MarketView, TimerFired
from tercel.domain.journal import EvaluationRow, InputRow, OrderRow, RefusalRow, TradeRow

TWO_LEGS = TradePlan(legs=((1.0, 0.5), (2.0, 0.5)), breakeven_after_leg=1)


# --- order of things ------------------------------------------------------------------------------


def test_rows_and_state_come_before_what_is_sent() -> None:
    """In every answer of the session: journal, state, then orders and alerts."""
    scene = Scene()
    for event in (
        scene.bars_event(scene.minute, 100.0),
        TimerFired(scene.now + 10),
    ):
        kinds = [type(command) for command in scene.session.handle(event)]
        if kinds:
            assert kinds[0] is WriteJournal
            assert SaveState not in kinds[2:]
    scene.minute += MINUTE
    scene.enter()
    for place, command in enumerate(scene.log):
        if isinstance(command, PlaceOrder):
            before = scene.log[:place]
            last_save = max(k for k, each in enumerate(before) if isinstance(each, SaveState))
            last_rows = max(k for k, each in enumerate(before) if isinstance(each, WriteJournal))
            assert last_rows < last_save


def test_a_kept_state_is_of_its_own_moment() -> None:
    """The record is made when it is asked for; what the session did since does not show in it."""
    scene = Scene(Cast(plan=TWO_LEGS)).enter()
    early = scene.of(SaveState)
    made = [each.state for each in early]
    assert made[-1].active_position
    assert made[-1].orders
    assert made[-1].active_position[0].stop_order_id == scene.stop_id()
    scene.venue.trigger(scene.stop_id(), 90.0, now=scene.now)
    scene.settle()
    for _ in range(3):
        scene.bar()
    assert [each.state for each in early] == made
    assert scene.session.kept == scene.state != made[-1]
    assert not scene.state.active_position


def test_journaled_inputs_are_the_events_to_the_bit() -> None:
    """Everything that came in can be read back and encodes to the same bytes; NaN included."""
    scene = Scene(Cast(plan=TWO_LEGS))
    scene.venue.script("place", refused(), Slot.TARGET_1)
    scene.bar(ask=Ask(), view=MarketView())
    scene.bar(view=None)
    scene.hand(FeedNews(scene.now, "market", is_up=False, detail="x"))
    scene.venue.trigger(scene.stop_id(), 90.0, now=scene.now)
    scene.settle()
    rows = scene.rows(InputRow)
    kinds = {row.kind for row in rows}
    assert {"BarsClosed", "Decide", "MinuteEnded", "Placed", "Filled", "VenueRead"} <= kinds
    for row in rows:
        event = decode_event(row.kind, row.payload)
        assert encode_event(event) == row.payload
        assert event.time_ms == row.time_ms
    assert [row.number for row in rows] == list(range(1, len(rows) + 1))


def test_the_same_inputs_make_the_same_decisions() -> None:
    """A fresh session with the journaled inputs asks for the same, in the same order."""
    scene = Scene(Cast(plan=TWO_LEGS))
    scene.enter()
    scene.bar(ask=Ask(side=0, exit_long=True))
    scene.enter()
    scene.venue.trigger(scene.stop_id(), 90.0, now=scene.now)
    scene.settle()
    again = Scene(scene.cast, begin=False)
    again.script.asks = scene.script.asks
    made = []
    for row in scene.rows(InputRow):
        made += again.session.handle(decode_event(row.kind, row.payload))
        while again.session.next_turn() is not None:
            pass  # they are among the inputs
    requests = (PlaceOrder, CancelOrder, QueryOrder, ReadVenue)
    wanted = [each for each in scene.log if isinstance(each, requests)]
    assert [each for each in made if isinstance(each, requests)] == wanted
    assert again.session.image() == scene.session.image()


def test_a_look_that_finds_nothing_due_changes_nothing() -> None:
    scene = Scene().enter()
    assert scene.tick(100) == []
    assert scene.tick(100) == []


# --- trade management through a venue -------------------------------------------------------------


def test_the_stop_shrinks_and_moves_before_the_old_one_goes() -> None:
    """A leg fills: the smaller stop at break-even rests before the old one is cancelled."""
    scene = Scene(Cast(plan=TWO_LEGS, own={"quantity": 2.0})).enter()
    first = scene.stop_id()
    [target] = scene.venue.resting(Slot.TARGET_1)
    begun = len(scene.log)
    scene.venue.fill(target.request.client_id, 110.0, now=scene.now)
    scene.settle()
    log = scene.log[begun:]
    [placed] = scene.placed(Slot.STOP, log)
    assert (placed.quantity, placed.trigger_price) == (1.0, 100.0)
    [cancel] = scene.of(CancelOrder, log)
    assert cancel.client_id == first
    assert cancel.is_conditional
    places = [k for k, each in enumerate(log) if isinstance(each, PlaceOrder | CancelOrder)]
    assert isinstance(log[places[0]], PlaceOrder)
    assert scene.alerts(AlertCode.STOP_ORDER_MISSING) == []
    scene.check_agreement()


def test_a_new_stop_that_is_refused_leaves_the_old_one() -> None:
    """Until a better one rests the old one stays: it protects more than is held, never less."""
    scene = Scene(Cast(plan=TWO_LEGS, own={"quantity": 2.0})).enter()
    first = scene.stop_id()
    scene.venue.script("place", refused(Fault.BUSY, -1008), Slot.STOP, times=1)
    [target] = scene.venue.resting(Slot.TARGET_1)
    scene.venue.fill(target.request.client_id, 110.0, now=scene.now)
    scene.settle()
    assert [order.request.client_id for order in scene.venue.resting(Slot.STOP)] == [first]
    scene.wait(1_000)
    assert scene.stop_id() != first
    scene.check_agreement()


@pytest.mark.parametrize("side", [Side.LONG, Side.SHORT])
def test_a_whole_trade_to_its_last_leg(side: Side) -> None:
    scene = Scene(Cast(plan=TWO_LEGS, own={"quantity": 2.0}))
    scene.enter(Ask(side=side))
    for slot, price in ((Slot.TARGET_1, 100.0 + 10 * side), (Slot.TARGET_2, 100.0 + 20 * side)):
        [target] = scene.venue.resting(slot)
        assert target.request.price == price
        scene.venue.fill(target.request.client_id, price, now=scene.now)
        scene.settle()
        scene.check_agreement()
    [trade] = scene.rows(TradeRow)
    assert (trade.exit_reason, trade.gross_quote) == ("target_2", 30.0)
    assert scene.venue.resting() == []


def test_an_exit_by_signal_closes_and_withdraws() -> None:
    scene = Scene().enter()
    scene.bar(ask=Ask(side=0, exit_long=True))
    assert scene.at() == scene.held() == 0.0
    assert scene.venue.resting() == []
    [trade] = scene.rows(TradeRow)
    assert trade.exit_reason == "signal"


def test_a_refused_target_is_tried_again_at_the_next_bar() -> None:
    """The stop protects meanwhile: a target is not worth hammering the venue for."""
    scene = Scene()
    scene.venue.script("place", refused(), Slot.TARGET_1)
    scene.enter()
    scene.wait(5_000)
    assert len(scene.placed(Slot.TARGET_1)) == 1
    scene.bar()
    assert len(scene.placed(Slot.TARGET_1)) == 2
    scene.check_agreement()


def test_a_close_that_is_refused_is_sent_again_at_a_pace() -> None:
    scene = Scene().enter()
    scene.venue.script("place", refused(), Slot.CLOSE, times=3)
    scene.bar(ask=Ask(side=0, exit_long=True))
    scene.wait(10 * settings().session.query_ms)
    assert len(scene.placed(Slot.CLOSE)) == 4
    assert len(scene.alerts(AlertCode.CLOSE_FAILED)) == 1
    assert scene.at() == 0.0


def test_a_close_that_keeps_failing_is_told_once_a_minute_and_in_other_words_at_once() -> None:
    scene = Scene().enter()
    scene.venue.script("place", refused(), Slot.CLOSE, times=90)
    scene.bar(ask=Ask(side=0, exit_long=True))
    scene.wait(10_000)
    assert len(scene.alerts(AlertCode.CLOSE_FAILED)) == 1
    scene.wait(55_000)
    assert len(scene.alerts(AlertCode.CLOSE_FAILED)) == 2
    scene.venue._rules.clear()
    scene.venue.script("place", refused(Fault.BUSY, -1008), Slot.CLOSE)
    scene.wait(5_000)
    assert len(scene.alerts(AlertCode.CLOSE_FAILED)) == 3
    assert scene.at() == 0.0


def test_stops_that_would_trigger_do_not_pile_up() -> None:
    """The close is on its way and slow: the stop is tried at a pace, not in every answer."""
    scene = Scene()
    scene.venue.script("place", refused(Fault.WOULD_TRIGGER, -2021), Slot.STOP, FOR_EVER)
    scene.venue.script("place", None, Slot.CLOSE)
    scene.venue.script("query", None, Slot.CLOSE, FOR_EVER)
    scene.bar(ask=Ask())
    scene.wait(4_000)
    assert len(scene.placed(Slot.STOP)) <= 6
    assert scene.held() == 1.0


def test_a_stop_that_was_given_up_does_not_hold_back_the_next_trade_s() -> None:
    """Closed because the venue refused its stop; a new entry within the second is protected."""
    scene = Scene()
    scene.venue.script("place", refused(), Slot.STOP, times=settings().session.retries_max + 1)
    scene.bar(ask=Ask())
    assert scene.at() == 0.0
    assert (0, Slot.STOP) not in scene.session.execution._held
    scene.enter()
    scene.check_agreement()


def test_a_stop_that_waited_for_the_bar_waits_for_no_decision() -> None:
    """Decisions come one after the other, each with its writes: protection is not behind them."""
    scene = Scene().enter()
    scene.session.execution.hold(0, Slot.STOP, scene.now + 2 * MINUTE)
    scene.venue.lose(scene.stop_id(), tells=True)
    scene.settle()
    assert scene.venue.resting(Slot.STOP) == []
    event = scene.bars_event(scene.minute, 100.0, QUIET, None, is_late=False)
    asked = [each.request for each in scene.session.handle(event) if isinstance(each, PlaceOrder)]
    assert [request.slot for request in asked] == [Slot.STOP]


def test_a_post_only_entry_that_would_cross_waits_for_the_next_bar() -> None:
    plan = TradePlan(entry="post_only", entry_wait_bars=5)
    scene = Scene(Cast(plan=plan))
    scene.venue.script("place", refused(Fault.WOULD_CROSS, -5022), Slot.ENTRY)
    scene.bar(ask=Ask())
    assert [order.kind for order in scene.placed(Slot.ENTRY)] == [OrderKind.POST_ONLY]
    scene.wait(5_000)
    assert len(scene.placed(Slot.ENTRY)) == 1
    scene.bar()
    assert len(scene.placed(Slot.ENTRY)) == 2
    assert scene.rows(RefusalRow) == []


def test_a_refused_post_only_entry_is_sent_once_at_its_new_price() -> None:
    """Not at its old one first, only to be cancelled for the chase."""
    plan = TradePlan(entry="post_only", entry_wait_bars=1, chase_max=3)
    scene = Scene(Cast(plan=plan))
    scene.venue.script("place", refused(Fault.WOULD_CROSS, -5022), Slot.ENTRY)
    scene.bar(ask=Ask())
    scene.bar(close=100.5)
    first, again = scene.placed(Slot.ENTRY)
    assert (first.price, again.price) == (100.0, 100.5)
    assert scene.of(CancelOrder) == []


def test_a_market_entry_that_fills_in_part_is_what_there_is() -> None:
    """The rest is given up, and what filled is protected at its size."""
    scene = Scene()
    scene.venue.depth = 0.4
    scene.bar(ask=Ask())
    assert scene.held() == scene.at() == 0.4
    assert scene.session.parts.orders.of(0, Slot.ENTRY) == []
    scene.check_agreement()
    scene.venue.depth = 10.0
    scene.bar()
    assert len(scene.placed(Slot.ENTRY)) == 1


# --- feeds, journal -------------------------------------------------------------------------------


def test_trouble_of_a_feed_blocks_entries_and_is_journaled() -> None:
    scene = Scene()
    scene.bar(ask=Ask(), view=MarketView(99.9, 100.1, 10, "gap: 1 bars missing"))
    assert scene.placed() == []
    assert [row.refusal for row in scene.rows(RefusalRow)] == ["unhealthy_feed"]


def test_a_journal_that_is_down_blocks_entries_alone() -> None:
    scene = Scene().enter()
    scene.hand(JournalNews(scene.now, is_up=False, detail="disk full"))
    scene.bar(ask=Ask(side=0, exit_long=True))
    assert scene.at() == 0.0
    scene.bar(ask=Ask())
    assert [row.refusal for row in scene.rows(RefusalRow)] == ["journal_down"]
    scene.hand(JournalNews(scene.now, is_up=True))
    scene.bar(ask=Ask())
    assert scene.at() == 1.0
    assert len(scene.alerts(AlertCode.JOURNAL_DOWN)) == 1
    assert len(scene.alerts(AlertCode.JOURNAL_UP)) == 1


def test_a_user_stream_that_is_down_is_replaced_by_reading() -> None:
    """The venue is read at once and then every so often, until the stream is back."""
    scene = Scene()
    scene.hand(FeedNews(scene.now, "user", is_up=False, detail="gone"))
    before = len(scene.of(ReadVenue))
    scene.wait(20_000)
    while_down = len(scene.of(ReadVenue)) - before
    assert 3 <= while_down <= 5
    scene.hand(FeedNews(scene.now, "user", is_up=True))
    before = len(scene.of(ReadVenue))
    scene.wait(20_000)
    assert len(scene.of(ReadVenue)) == before


def test_one_symbol_s_feed_is_no_alert() -> None:
    scene = Scene()
    scene.hand(FeedNews(scene.now, "market BTCUSDT", is_up=False, detail="stale"))
    assert scene.alerts(AlertCode.FEED_DOWN) == []


def test_each_answer_is_a_row_with_its_time() -> None:
    scene = Scene().enter()
    timed = [row for row in scene.rows(OrderRow) if row.round_trip_ms is not None]
    assert {row.client_id for row in timed} == {each.client_id for each in scene.placed()}


def test_a_restart_has_not_waited_for_what_an_earlier_session_sent() -> None:
    """Orders taken over have no round trip until this session asks something of them."""
    scene = Scene().enter()
    scene.wait(60_000)
    again = scene.restart()
    kept = [row for row in again.rows(OrderRow) if row.client_id.startswith("t-s1-")]
    assert kept
    assert {row.round_trip_ms for row in kept} == {None}


def test_a_series_without_a_bar_decides_nothing() -> None:
    scene = Scene(Cast(("BTCUSDT", "ETHUSDT"), (0, 1)))
    log = scene.bar(ask={0: Ask(), 1: Ask()}, rows=(1,))
    assert [row.stream for row in scene.rows(EvaluationRow, log)] == [1]
    assert (scene.held(0), scene.held(1)) == (0.0, 1.0)
