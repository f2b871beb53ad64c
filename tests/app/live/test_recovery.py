"""Venue truth against stored truth: restarts, missing and foreign orders, positions that differ."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.app.live.scenes import (
    AMBIGUOUS,
    FOR_EVER,
    LOST,
    MINUTE,
    SILENT,
    Cast,
    Scene,
    ScriptedVenue,
    place_of,
    refused,
    settings,
)
from tests.desk import Ask

from tercel.app.live.alerts import AlertCode
from tercel.app.live.keeping import for_a_new_exchange
from tercel.app.live.parts import LATE_FILLS_MS
from tercel.core.codes import ExitReason, OrderKind, Refusal, Side, Slot
from tercel.core.plan import TradePlan
from tercel.domain.commands import (
    Alert,
    CancelForeign,
    CancelOrder,
    Level,
    PlaceOrder,
    QueryOrder,
    SaveState,
)
from tercel.domain.errors import DataError
from tercel.domain.events import (
    Answer,
    FeedNews,
    Filled,
    Operation,
    OrderFound,
    OrderUpdate,
    Outcome,
    Placed,
)
from tercel.domain.journal import FillRow, RefusalRow, TradeRow
from tercel.domain.orders import (
    ClientId,
    OrderPhase,
    OrderSnapshot,
    VenueFill,
    VenueSnapshot,
)
from tercel.domain.session_state import SessionState

UNKNOWN_MS = settings().session.unknown_ms_max


def stranger(
    client_id: str, *, reduce_only: bool = False, conditional: bool = False
) -> OrderSnapshot:
    """An open order that no session placed."""
    kind = OrderKind.STOP if conditional else OrderKind.LIMIT
    return OrderSnapshot(
        client_id, "77", "BTCUSDT", Side.SHORT, kind, OrderPhase.ACKED, 1.0, 0.0, 140.0, None,
        reduce_only, conditional, 0,
    )  # fmt: skip


# --- restarts -------------------------------------------------------------------------------------


def test_a_restart_goes_on_with_the_trade() -> None:
    """Books, orders and numbers are as they were; the trade ends as it would have."""
    scene = Scene().enter()
    again = scene.restart()
    assert again.held() == 1.0
    assert again.placed() == []
    again.venue.trigger(again.stop_id(), 90.0, now=again.now)
    again.settle()
    [trade] = again.rows(TradeRow)
    assert trade.exit_reason == "stop"
    assert trade.net_quote == pytest.approx(-10.0 - 0.0005 * (100.0 + 90.0))
    again.check_agreement()


def test_client_ids_are_never_used_twice_over_restarts() -> None:
    scene = Scene().enter()
    ids = [order.client_id for order in scene.placed()]
    scene.bar(ask=Ask(side=0, exit_long=True))
    for _ in range(2):
        scene = scene.restart()
        scene.enter()
        ids += [order.client_id for order in scene.placed()]
        scene.bar(ask=Ask(side=0, exit_long=True))
    assert len(set(ids)) == len(ids)


def test_fills_missed_while_down_are_booked_once() -> None:
    """From the venue's history at the start; the user stream may tell them again."""
    scene = Scene().enter()
    scene.venue.tells = False
    scene.now += 5_000
    fill = scene.venue.fill(scene.stop_id(), 89.5, now=scene.now)
    again = scene.restart()
    again.hand(Filled(again.now, fill))
    [row] = again.rows(FillRow)
    assert (row.price, row.slot) == (89.5, "stop")
    assert again.held() == 0.0
    again.check_agreement()


def test_the_target_s_order_is_cancelled_after_the_stop_filled_while_down() -> None:
    scene = Scene().enter()
    scene.venue.tells = False
    scene.venue.fill(scene.stop_id(), 89.5, now=scene.now)
    again = scene.restart()
    again.settle()
    assert again.venue.resting() == []
    assert len(again.of(CancelOrder)) + len(again.of(CancelForeign)) == 1


def test_killed_between_saving_and_sending_the_entry() -> None:
    """The intent is kept, the order never left: after the venue has not known it for long enough
    it is given up, and never sent again.
    """
    scene = Scene()
    scene.is_apart = True
    scene.bar(ask=Ask())
    assert len(scene.placed(Slot.ENTRY)) == 1
    again = scene.restart()
    again.wait(UNKNOWN_MS + 2_000)
    assert again.placed() == []
    assert {query.client_id for query in again.of(QueryOrder)} == {
        scene.placed(Slot.ENTRY)[0].client_id
    }
    assert [row.refusal for row in again.rows(RefusalRow)] == ["entry_refused"]
    again.bar(ask=Ask())
    assert again.at() == 1.0
    again.check_agreement()


@pytest.mark.parametrize("choice", ["close", "protect"])
def test_killed_between_sending_the_entry_and_its_answer(choice: str) -> None:
    """The order did arrive: its fill is found at the start. Nobody protected it meanwhile, so that
    it is closed, or protected where that is wanted; it is never sent again.
    """
    scene = Scene()
    scene.is_apart = True
    scene.bar(ask=Ask())
    [entry] = scene.placed(Slot.ENTRY)
    scene.venue.take(PlaceOrder(entry), scene.now)
    again = scene.restart(on_unprotected=choice)
    again.settle()
    assert again.placed(Slot.ENTRY) == []
    assert again.at() == again.held() == (0.0 if choice == "close" else 1.0)
    assert len(again.alerts(AlertCode.UNPROTECTED_POSITION_ON_STARTUP)) == 1
    again.wait(UNKNOWN_MS + 2_000)
    again.check_agreement()


@pytest.mark.parametrize("slot", [Slot.STOP, Slot.TARGET_1])
def test_a_kept_position_may_be_protected_again_instead(slot: Slot) -> None:
    """`session.on_unprotected=protect`: the missing order is placed again, nothing is closed."""
    scene = Scene().enter()
    [order] = scene.venue.resting(slot)
    scene.venue.lose(order.request.client_id, tells=False)
    again = scene.restart(on_unprotected="protect")
    again.settle()
    assert len(again.alerts(AlertCode.UNPROTECTED_POSITION_ON_STARTUP)) == 1
    assert again.placed(Slot.CLOSE) == []
    [placed] = again.placed(slot)
    assert placed.client_id != order.request.client_id
    assert again.held() == 1.0
    again.check_agreement()


def test_a_position_that_is_gone_needs_no_stop() -> None:
    """As after a restart on paper, whose exchange begins anew: closed at its last price, and no
    word of a stop that is missing.
    """
    first = Scene().enter()
    again = Scene(first.cast, ScriptedVenue(), for_a_new_exchange(first.state), now=first.now + 1)
    again.wait(UNKNOWN_MS + 2_000)
    again.bar()
    assert again.held() == again.at() == 0.0
    assert again.placed() == []
    assert [row.exit_reason for row in again.rows(TradeRow)] == ["outside"]
    critical = [each for each in again.of(Alert) if each.level is Level.CRITICAL]
    assert critical == []


def test_an_exchange_that_begins_anew_may_number_its_trades_as_before() -> None:
    """Fills of a second life are no fills of the first."""
    first = Scene().enter()
    first.bar(ask=Ask(side=0, exit_long=True))
    assert first.held() == 0.0
    again = Scene(first.cast, ScriptedVenue(), for_a_new_exchange(first.state), now=first.now + 1)
    again.enter()
    assert again.held() == again.at() == 1.0
    again.check_agreement()


def test_a_fill_that_is_never_told_is_given_up_and_what_the_venue_holds_is_told() -> None:
    scene = Scene()
    scene.is_apart = True
    scene.bar(ask=Ask())
    [entry] = scene.placed(Slot.ENTRY)
    scene.venue.take(PlaceOrder(entry), scene.now)
    scene.venue.news.clear()
    scene.venue.fills.clear()
    answer = Answer(Outcome.DONE, "1", OrderPhase.FILLED, filled_quantity=1.0)
    scene.hand(Placed(scene.now, entry.client_id, answer))
    scene.outbox.clear()
    scene.is_apart = False
    scene.wait(60_000)
    assert scene.alerts(AlertCode.POSITION_MISMATCH) == []
    scene.wait(LATE_FILLS_MS)
    assert len(scene.alerts(AlertCode.POSITION_MISMATCH)) == 1


def test_a_kept_position_of_a_stream_that_is_gone_refuses_to_start() -> None:
    scene = Scene(Cast(("ETHUSDT",))).enter()
    with pytest.raises(DataError, match="told0 binance-usdm ETHUSDT 1m"):
        Scene(Cast(("BTCUSDT",)), scene.venue, scene.state)


def test_strategies_may_be_added_and_taken_away_between_two_runs() -> None:
    """Streams are found by their label: the position stays with its own."""
    scene = Scene(Cast(("ETHUSDT",))).enter()
    wider = Scene(Cast(("BTCUSDT", "ETHUSDT"), (1, 0)), scene.venue, scene.state, now=scene.now)
    assert (wider.held(0), wider.held(1)) == (1.0, 0.0)
    wider.venue.trigger(wider.stop_id(0), 90.0, now=wider.now)
    wider.settle()
    wider.check_agreement()


def test_bytes_of_another_version_are_never_read() -> None:
    scene = Scene().enter()
    assert scene.state.kernel is not None
    other = replace(scene.state, kernel=replace(scene.state.kernel, fingerprint="other"))
    with pytest.raises(DataError, match="another version"):
        Scene(state=other)
    flat = Scene(state=replace(other.without_position(), kernel=other.kernel))
    assert flat.held() == 0.0


def of_another_version(scene: Scene, **rules: Any) -> Scene:
    """The process was killed, and one with other records starts."""
    state = scene.state
    assert state.kernel is not None
    state = replace(state, kernel=replace(state.kernel, fingerprint="other"))
    scene.venue.news.clear()
    return Scene(scene.cast, scene.venue, state, now=scene.now + 1_000, **rules)


def test_another_version_begins_with_the_wallet_and_waits_for_its_operator() -> None:
    """It cannot know that the account was stopped, nor what its losses are measured from."""
    cast = Cast(limits={"daily_loss_fraction_max": 0.0005})
    scene = Scene(cast, ScriptedVenue(500.0))
    scene.bar()
    scene.enter()
    scene.venue.trigger(scene.stop_id(), 90.0, now=scene.now)
    scene.settle()
    scene.bar(close=90.0)
    assert int(scene.session.parts.desk.account.halted) == Refusal.DAILY_LOSS
    again = of_another_version(scene)
    account = again.session.parts.desk.account
    wallet = scene.venue.wallet_quote
    assert (again.cash_quote, float(account.start_quote)) == (wallet, wallet)
    [told] = again.alerts(AlertCode.PAUSED)
    assert told.level is Level.CRITICAL
    again.bar(ask=Ask())
    assert again.placed() == []
    assert again.state.is_paused
    third = again.restart()
    third.bar(ask=Ask())
    assert third.placed() == []
    assert third.alerts(AlertCode.PAUSED) == []
    third.ask(Operation.RESUME)
    third.bar(ask=Ask())
    assert third.at() == 1.0
    third.wait(20_000)
    assert third.alerts(AlertCode.LEDGER_CORRECTED) == []
    third.check_agreement()


def test_what_stands_beside_the_bytes_counts_in_another_version() -> None:
    """The pause after losses and the trades of the day, and the operator's switch."""
    pace = {"loss_streak_max": 1, "loss_streak_pause_ms": 3_600_000, "daily_trades_max": 5}
    scene = Scene(Cast(pace=pace)).enter()
    scene.venue.trigger(scene.stop_id(), 90.0, now=scene.now)
    scene.settle()
    scene.bar()
    again = of_another_version(scene)
    again.ask(Operation.RESUME)
    again.bar(ask=Ask())
    assert [row.refusal for row in again.rows(RefusalRow)] == ["loss_streak"]
    assert again.state.daily_trade_count == again.state.consecutive_losses == 1
    scene.ask(Operation.KILL)
    killed = of_another_version(scene)
    killed.ask(Operation.RESUME)
    killed.bar(ask=Ask())
    assert killed.placed() == []
    assert killed.state.kill_latched == scene.state.kill_latched != ""


@pytest.mark.parametrize("fills", [False, True])
def test_an_entry_that_waits_is_seen_to_by_another_version(fills: bool) -> None:
    """It is cancelled; what has filled meanwhile is booked, and protected as any other."""
    scene = Scene(Cast(plan=TradePlan(entry="limit", entry_wait_bars=10)))
    scene.bar(ask=Ask(stop=7.0))
    [entry] = scene.venue.resting(Slot.ENTRY)
    if fills:
        scene.venue.fill(entry.request.client_id, 100.0, now=scene.now + 100)
    again = of_another_version(scene, on_unprotected="protect")
    again.wait(20_000)
    assert again.ended is None
    assert again.held() == again.at() == float(fills)
    assert again.venue.resting(Slot.ENTRY) == []
    assert [o.request.trigger_price for o in again.venue.resting(Slot.STOP)] == [93.0] * fills
    again.check_agreement()


# --- positions that differ ------------------------------------------------------------------------


def with_position(quantity: float) -> ScriptedVenue:
    venue = ScriptedVenue()
    venue.positions["BTCUSDT"] = (quantity, 100.0)
    return venue


def test_an_unknown_position_refuses_to_start() -> None:
    scene = Scene(venue=with_position(2.0))
    assert scene.ended is not None
    assert scene.ended.exit_code == 1
    assert "session.on_unknown_position=adopt" in scene.ended.why
    assert len(scene.alerts(AlertCode.UNKNOWN_POSITION)) == 1
    assert scene.placed() == []


@pytest.mark.parametrize("quantity", [2.0, -2.0])
def test_an_unknown_position_is_adopted_where_that_is_wanted(quantity: float) -> None:
    """It becomes a trade with a stop at a fixed distance, managed from now on."""
    scene = Scene(venue=with_position(quantity), on_unknown_position="adopt")
    assert scene.ended is None
    assert scene.held() == quantity
    [stop] = scene.venue.resting(Slot.STOP)
    side = 1 if quantity > 0 else -1
    distance = settings().session.adopt_stop_fraction * 100.0
    assert stop.request.trigger_price == pytest.approx(100.0 - side * distance)
    assert stop.request.quantity == 2.0
    assert len(scene.alerts(AlertCode.POSITION_ADOPTED)) == 1
    scene.venue.trigger(stop.request.client_id, 99.0, now=scene.now)
    scene.settle()
    assert scene.held() == scene.at() == 0.0
    assert scene.cash_quote == pytest.approx(scene.venue.wallet_quote)


class InParts(ScriptedVenue):
    """The first reading has the positions of `before`, and the fills of now."""

    def __init__(self, venue: ScriptedVenue, before: dict[str, tuple[float, float]]) -> None:
        super().__init__()
        vars(self).update(vars(venue))
        self.before = before
        self.readings = 0

    def snapshot(self, since_ms: int = 0, now: int = 0) -> VenueSnapshot:
        self.readings += 1
        if self.readings > 1:
            return super().snapshot(since_ms, now)
        there, self.positions = self.positions, self.before
        taken = super().snapshot(since_ms, now)
        self.positions = there
        return taken


def test_a_target_that_fills_while_a_start_reads_is_no_unknown_position() -> None:
    """The positions were read before it, the fills after it: nothing is judged by that reading."""
    scene = Scene().enter()
    before = dict(scene.venue.positions)
    [target] = scene.venue.resting(Slot.TARGET_1)
    scene.venue.fill(target.request.client_id, 120.0, now=scene.now)
    scene.venue = InParts(scene.venue, before)
    again = scene.restart()
    assert again.ended is None
    assert scene.venue.readings >= 2
    assert again.alerts(AlertCode.UNKNOWN_POSITION) == []
    assert again.held() == again.at() == 0.0


def test_an_entry_that_fills_while_a_start_reads_is_not_gone() -> None:
    """Else the session would close here what is open there, and leave it unprotected."""
    scene = Scene()
    scene.is_apart = True
    scene.bar(ask=Ask())
    [entry] = scene.placed(Slot.ENTRY)
    scene.venue.take(PlaceOrder(entry), scene.now)
    scene.venue = InParts(scene.venue, {})
    again = scene.restart(on_unprotected="protect")
    again.settle()
    assert again.held() == again.at() == 1.0
    assert again.rows(TradeRow) == []
    assert len(scene.venue.resting(Slot.STOP)) == 1


def test_a_start_does_not_wait_for_ever_for_a_venue_that_stands_still() -> None:
    scene = Scene(venue=Flickering())
    assert scene.ended is not None
    assert len(scene.alerts(AlertCode.UNKNOWN_POSITION)) == 1


class Flickering(ScriptedVenue):
    """Somebody else trades our symbol all the time."""

    def snapshot(self, since_ms: int = 0, now: int = 0) -> VenueSnapshot:
        quantity = self.positions.get("BTCUSDT", (0.0, 0.0))[0]
        self.positions["BTCUSDT"] = (quantity + 1.0, 100.0)
        return super().snapshot(since_ms, now)


def test_a_position_of_a_symbol_not_traded_is_nobody_s_business() -> None:
    venue = ScriptedVenue()
    venue.positions["DOGEUSDT"] = (5.0, 1.0)
    scene = Scene(venue=venue)
    assert scene.ended is None


def test_a_kept_position_that_the_venue_does_not_have_is_closed_here() -> None:
    """Nobody tells a trade: what is gone is gone, at the price there is."""
    scene = Scene().enter()
    scene.venue.positions["BTCUSDT"] = (0.0, 0.0)
    for order in scene.venue.resting():
        scene.venue.lose(order.request.client_id, tells=False)
    again = scene.restart()
    assert again.held() == 0.0
    assert again.at() == 0.0, "nothing was sent that would open another one"
    [trade] = again.rows(TradeRow)
    assert trade.exit_reason in ("outside", "unprotected")


def test_a_difference_is_believed_when_it_is_read_twice() -> None:
    """Once may be news on its way; then no entries in that symbol, and a person is told."""
    scene = Scene()
    scene.bar()
    scene.venue.tells = False
    scene.venue.outside("BTCUSDT", 1, 3.0, now=scene.now)
    scene.venue.fills.clear()
    scene.venue.tells = True
    scene.session.parts.read_venue()
    scene.tick(1)
    scene.wait(3_000)
    assert len(scene.alerts(AlertCode.POSITION_MISMATCH)) == 1
    scene.bar(ask=Ask())
    assert [row.refusal for row in scene.rows(RefusalRow)] == ["position_mismatch"]
    scene.venue.positions["BTCUSDT"] = (0.0, 0.0)
    scene.session.parts.read_venue()
    scene.tick(1)
    assert len(scene.alerts(AlertCode.POSITION_MATCHES)) == 1
    scene.bar(ask=Ask())
    assert scene.at() == 1.0


def test_a_liquidation_is_booked_and_told() -> None:
    scene = Scene().enter()
    scene.venue.prices["BTCUSDT"] = 80.0
    scene.venue.outside("BTCUSDT", -1, 1.0, now=scene.now, kind="liquidation")
    scene.settle()
    assert scene.held() == 0.0
    [trade] = scene.rows(TradeRow)
    assert trade.exit_reason == "liquidation"
    assert len(scene.alerts(AlertCode.LIQUIDATED)) == 1
    assert scene.venue.resting() == [], "stop and target are withdrawn"
    scene.check_agreement()


def test_a_hand_that_closes_part_of_it() -> None:
    """The stop follows the size of what is left."""
    scene = Scene(Cast(own={"quantity": 4.0})).enter()
    scene.venue.outside("BTCUSDT", -1, 1.0, now=scene.now)
    scene.settle()
    assert scene.held() == 3.0
    [stop] = scene.venue.resting(Slot.STOP)
    assert stop.left == 3.0
    assert len(scene.alerts(AlertCode.FOREIGN_FILL)) == 1
    scene.check_agreement()


# --- orders of others -----------------------------------------------------------------------------


@pytest.mark.parametrize("is_start", [True, False])
def test_an_orphan_of_an_earlier_session_is_cancelled(is_start: bool) -> None:
    orphan = stranger(str(ClientId("old", 0, Slot.STOP, 3)), reduce_only=True, conditional=True)
    scene = Scene(begin=False)
    if not is_start:
        scene.tick(1)
    scene.venue.strangers.append(orphan)
    if is_start:
        scene.tick(1)
    else:
        scene.session.parts.read_venue()
        scene.tick(1)
    [cancel] = scene.of(CancelForeign)
    assert (cancel.client_id, cancel.is_conditional) == (orphan.client_id, True)
    assert len(scene.alerts(AlertCode.ORPHAN_CANCELLED)) == 1
    assert scene.venue.strangers == []


def test_a_reduce_only_order_without_a_position_is_an_orphan() -> None:
    venue = ScriptedVenue()
    venue.strangers.append(stranger("web_5", reduce_only=True))
    scene = Scene(venue=venue)
    assert [each.client_id for each in scene.of(CancelForeign)] == ["web_5"]


def test_somebody_else_s_order_is_left_alone() -> None:
    venue = ScriptedVenue()
    venue.strangers.append(stranger("web_5"))
    scene = Scene(venue=venue)
    assert scene.of(CancelForeign) == []
    assert len(scene.alerts(AlertCode.FOREIGN_ORDER)) == 1


def test_our_own_orders_are_no_strangers() -> None:
    scene = Scene().enter()
    for _ in range(3):
        scene.bar()
    assert scene.of(CancelForeign) == []
    assert scene.alerts(AlertCode.ORPHAN_CANCELLED) == []


# --- answers that were lost -----------------------------------------------------------------------


@pytest.mark.parametrize("slot", [Slot.ENTRY, Slot.STOP, Slot.TARGET_1])
def test_an_answer_that_was_lost_is_asked_about_and_not_sent_again(slot: Slot) -> None:
    """The order did arrive: a question finds it, and there is one of it."""
    scene = Scene()
    scene.venue.script("place", LOST, slot)
    log = scene.bar(ask=Ask())
    log += scene.wait(UNKNOWN_MS + 2_000)
    [placed] = scene.placed(slot)
    asked = [query.client_id for query in scene.of(QueryOrder)]
    assert placed.client_id in asked
    assert place_of(log, PlaceOrder, slot=slot) < place_of(
        log, QueryOrder, client_id=placed.client_id
    )
    assert len(scene.alerts(AlertCode.ORDER_UNKNOWN)) == 1
    assert scene.held() == scene.at() == 1.0
    scene.check_agreement()


def test_one_question_about_an_order_is_under_way_at_most() -> None:
    """Nothing is answered for five minutes; then one answer comes, and the next is asked at once.

    One that is lost is asked again after `session.silent_ms_max`.
    """
    scene = Scene()
    scene.hand(FeedNews(scene.now, "user", is_up=True))
    scene.venue.script("place", AMBIGUOUS, Slot.ENTRY)
    scene.venue.script("query", SILENT, times=FOR_EVER)
    scene.bar(ask=Ask())
    [entry] = scene.placed(Slot.ENTRY)
    silent_ms = settings().session.silent_ms_max
    scene.wait(silent_ms - 5_000)
    assert len(scene.of(QueryOrder)) == 1
    log = scene.wait(4 * silent_ms)
    assert len(scene.of(QueryOrder, log)) == 4
    scene.hand(OrderFound(scene.now, entry.client_id, AMBIGUOUS))
    log = scene.wait(5_000)
    assert len(scene.of(QueryOrder, log)) == 1


def test_an_entry_that_never_arrived_is_given_up_after_asking_for_long_enough() -> None:
    scene = Scene()
    scene.venue.script("place", AMBIGUOUS, Slot.ENTRY)
    scene.bar(ask=Ask())
    scene.wait(UNKNOWN_MS - 1_000)
    assert scene.rows(RefusalRow) == []
    scene.wait(3_000)
    assert [row.refusal for row in scene.rows(RefusalRow)] == ["entry_refused"]
    assert len(scene.placed(Slot.ENTRY)) == 1
    assert scene.state.daily_trade_count == 0, "an entry that came to nothing is not counted"
    while scene.minute < scene.now:
        scene.minute += MINUTE
    scene.bar(ask=Ask())
    assert scene.at() == 1.0
    scene.check_agreement()


def test_an_entry_that_was_given_up_and_fills_all_the_same_is_taken_back() -> None:
    """The venue did not know its own order for a while: what fills late is protected."""
    scene = Scene()
    scene.venue.script("place", LOST, Slot.ENTRY)
    scene.venue.tells = False
    scene.bar(ask=Ask(stop=7.0))
    [entry] = scene.placed(Slot.ENTRY)
    fill = scene.venue.fills[-1]
    assert scene.held() in (0.0, 1.0)
    scene.hand(Filled(scene.now, fill))
    assert scene.held() == 1.0
    [stop] = scene.venue.resting(Slot.STOP)
    assert stop.request.trigger_price == 93.0
    assert fill.client_id == entry.client_id
    scene.venue.tells = True
    scene.check_agreement()


def test_news_told_twice_late_and_out_of_order_changes_nothing() -> None:
    """Fills are booked by trade id once; an old phase does not bring an order back."""
    scene = Scene().enter()
    fill = scene.venue.fills[-1]
    entry = scene.venue.orders[fill.client_id]
    cash_quote = scene.cash_quote
    for event in (
        Filled(scene.now, fill),
        OrderUpdate(scene.now, fill.client_id, entry.venue_id, OrderPhase.ACKED, 0.0),
        OrderUpdate(scene.now, fill.client_id, entry.venue_id, OrderPhase.PARTLY_FILLED, 0.4),
        Filled(scene.now, fill),
        OrderUpdate(scene.now, "t-s1-0-0-999", "v", OrderPhase.FILLED, 1.0),
    ):
        scene.hand(event)
    assert scene.cash_quote == cash_quote
    assert len(scene.rows(FillRow)) == 1
    assert scene.held() == 1.0
    scene.check_agreement()


def test_an_update_before_its_fill_waits_for_it() -> None:
    """Told of as filled, the trade on its way: nothing is booked before, and it is asked for."""
    scene = Scene().enter()
    client_id = scene.stop_id()
    scene.venue.tells = False
    fill = scene.venue.fill(client_id, 90.0, now=scene.now)
    scene.venue.tells = True
    order = scene.venue.orders[client_id]
    scene.hand(OrderUpdate(scene.now, client_id, order.venue_id, OrderPhase.FILLED, 1.0))
    assert scene.held() == 1.0, "fills come from trades alone"
    scene.wait(3_000)
    assert scene.held() == 0.0, "it was read from the venue"
    scene.hand(Filled(scene.now, fill))
    assert len([row for row in scene.rows(FillRow) if row.slot == "stop"]) == 1
    scene.check_agreement()


def test_a_partly_filled_entry_is_protected_at_its_size() -> None:
    """Stop size is position size after every partial fill; then the rest is given up."""
    scene = Scene(Cast(plan=TradePlan(entry="limit", entry_wait_bars=1), own={"quantity": 1.0}))
    scene.bar(ask=Ask())
    [entry] = scene.venue.resting(Slot.ENTRY)
    for part in (0.25, 0.5):
        scene.venue.fill(entry.request.client_id, 100.0, part, now=scene.now)
        scene.settle()
        scene.check_agreement()
    assert scene.held() == 0.75
    scene.bar()
    scene.bar()
    assert scene.venue.resting(Slot.ENTRY) == []
    scene.check_agreement()


def test_a_refused_entry_is_over_and_told() -> None:
    scene = Scene()
    scene.venue.script("place", refused(), Slot.ENTRY)
    scene.bar(ask=Ask())
    assert [row.refusal for row in scene.rows(RefusalRow)] == ["entry_refused"]
    assert len(scene.alerts(AlertCode.ORDER_REFUSED)) == 1
    assert scene.placed(Slot.STOP) == []
    scene.bar(ask=Ask())
    assert scene.at() == 1.0


def test_two_streams_never_share_a_symbol_s_position() -> None:
    """The venue nets: a symbol that is taken is refused to the other stream."""
    scene = Scene(Cast(("BTCUSDT",), (0, 0)))
    scene.bar(ask={0: Ask(), 1: Ask()})
    assert (scene.held(0), scene.held(1)) == (1.0, 0.0)
    assert [row.refusal for row in scene.rows(RefusalRow)] == ["symbol_taken"]
    scene.bar(ask={1: Ask(side=-1)})
    assert scene.held(1) == 0.0
    scene.check_agreement()


def test_late_bars_are_seen_by_strategies_and_acted_on_by_nobody() -> None:
    scene = Scene()
    scene.bar()
    late = scene.minute - MINUTE
    scene.script.asks[0, late] = Ask()
    scene.hand(scene.bars_event(late, 100.0, is_late=True))
    assert scene.script.seen.count((0, late)) == 2
    assert scene.placed() == []


def test_what_is_kept_is_what_was_asked() -> None:
    """Every order that is placed is in a state saved before it, in the same answer."""
    scene = Scene().enter()
    saved: set[str] = set()
    for command in scene.log:
        if isinstance(command, SaveState):
            saved = {order.request.client_id for order in command.state.orders}
        elif isinstance(command, PlaceOrder):
            assert command.request.client_id in saved


def test_an_outside_fill_without_a_position_moves_the_account_alone() -> None:
    """Somebody trades in our symbol while we hold nothing: told, read, no trade of ours."""
    scene = Scene()
    fill = VenueFill("x1", "web_1", "9", "BTCUSDT", 1, 100.0, 1.0, 0.0, False, scene.now)
    scene.hand(Filled(scene.now, fill))
    assert scene.held() == 0.0
    assert len(scene.alerts(AlertCode.FOREIGN_FILL)) == 1
    assert scene.rows(TradeRow) == []


def test_a_state_without_a_kernel_takes_the_wallet() -> None:
    scene = Scene(venue=ScriptedVenue(777.0), state=SessionState(automation_enabled=True))
    assert scene.cash_quote == 777.0
    assert ExitReason.OUTSIDE.name == "OUTSIDE"


def test_an_operator_who_comes_before_the_venue_s_answer_changes_no_capital() -> None:
    """What he asked is kept, and the account still begins with the wallet."""
    venue = ScriptedVenue(wallet_quote=777.0)
    venue.script("read", refused())
    scene = Scene(venue=venue)
    scene.ask(Operation.PAUSE)
    scene.wait(2_000)
    assert scene.cash_quote == 777.0
    assert float(scene.session.parts.desk.account.start_quote) == 777.0
    assert scene.alerts(AlertCode.LEDGER_CORRECTED) == []
