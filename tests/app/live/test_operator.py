"""What an operator asks: pause, automation, kill, rearm, stop; and what a kill sees through."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.app.live.scenes import (
    FOR_EVER,
    LOST,
    MINUTE,
    Cast,
    Scene,
    place_of,
    refused,
    settings,
)
from tests.desk import Ask

from tercel.app.live.alerts import AlertCode
from tercel.app.live.operator import positions_told
from tercel.core.codes import ExitReason, OrderKind, Refusal, Slot
from tercel.core.plan import TradePlan
from tercel.domain.commands import Alert, CancelForeign, CancelOrder, EndSession, ReadVenue
from tercel.domain.events import Fault, FundingPaid, Operation
from tercel.domain.journal import BreakerRow, RefusalRow
from tercel.domain.orders import OrderPhase, OrderSnapshot

LIMIT = Cast(plan=TradePlan(entry="limit", entry_wait_bars=10))
HOLD = Ask(stop=30.0)


def refusals(scene: Scene) -> list[str]:
    return [row.refusal for row in scene.rows(RefusalRow)]


# --- pause and automation -------------------------------------------------------------------------


def test_a_paused_session_makes_no_entries_and_goes_on_with_exits() -> None:
    scene = Scene().enter()
    scene.ask(Operation.PAUSE)
    assert scene.state.is_paused
    scene.bar(ask=Ask(side=0, exit_long=True))
    assert scene.at() == 0.0
    scene.bar(ask=Ask())
    assert scene.at() == 0.0
    assert refusals(scene) == ["paused"]
    scene.ask(Operation.RESUME)
    scene.bar(ask=Ask())
    assert scene.at() == 1.0
    assert not scene.state.is_paused


def test_a_pause_outlives_a_restart() -> None:
    scene = Scene()
    scene.ask(Operation.PAUSE)
    again = scene.restart()
    again.bar(ask=Ask())
    assert refusals(again) == ["paused"]


@pytest.mark.parametrize(
    "operation", [Operation.PAUSE, Operation.AUTOMATION_OFF, Operation.KILL, Operation.STOP]
)
def test_a_waiting_entry_is_withdrawn(operation: Operation) -> None:
    """A limit entry at rest is cancelled; the day may have another trade for it."""
    scene = Scene(LIMIT)
    scene.bar(ask=Ask())
    [entry] = scene.venue.resting(Slot.ENTRY)
    assert entry.request.kind == OrderKind.LIMIT
    log = scene.ask(operation)
    assert [each.client_id for each in scene.of(CancelOrder, log)] == [entry.request.client_id]
    assert scene.venue.resting() == []
    assert scene.state.daily_trade_count == 0


def test_a_withdrawn_entry_that_fills_all_the_same_is_protected() -> None:
    """The cancel lost the race: what filled is a position like any other."""
    scene = Scene(LIMIT)
    scene.bar(ask=Ask())
    [entry] = scene.venue.resting(Slot.ENTRY)
    client_id = entry.request.client_id
    scene.is_apart = True
    scene.ask(Operation.PAUSE)
    scene.venue.fill(client_id, 100.0, now=scene.now)
    scene.is_apart = False
    scene.settle()
    assert scene.held() == 1.0
    [stop] = scene.venue.resting(Slot.STOP)
    assert stop.request.trigger_price == 90.0
    scene.check_agreement()


def test_automation_off_keeps_the_open_position_managed() -> None:
    scene = Scene().enter()
    scene.ask(Operation.AUTOMATION_OFF)
    assert scene.state.automation_enabled is False
    [target] = scene.venue.resting(Slot.TARGET_1)
    scene.venue.fill(target.request.client_id, 120.0, now=scene.now)
    scene.settle()
    assert scene.held() == 0.0
    assert scene.venue.resting() == []
    scene.check_agreement()


# --- kill -----------------------------------------------------------------------------------------


def test_kill_cancels_flattens_verifies_and_latches() -> None:
    scene = Scene(Cast(("BTCUSDT", "ETHUSDT"), (0, 1)))
    scene.bar(ask={0: Ask(), 1: Ask(side=-1)})
    assert (scene.at("BTCUSDT"), scene.at("ETHUSDT")) == (1.0, -1.0)
    log = scene.ask(Operation.KILL)
    log += scene.wait(2_000)
    closes = scene.placed(Slot.CLOSE, log)
    assert {order.reason for order in closes} == {ExitReason.KILL_SWITCH}
    assert (scene.at("BTCUSDT"), scene.at("ETHUSDT")) == (0.0, 0.0)
    assert scene.venue.resting() == []
    [verified] = scene.alerts(AlertCode.KILL_VERIFIED, log)
    last_read = max(place for place, each in enumerate(log) if isinstance(each, ReadVenue))
    assert last_read < log.index(verified), "verified by asking, not by belief"
    assert scene.state.kill_latched == "asked by test"
    assert scene.state.automation_enabled is False
    scene.check_agreement()


def test_a_kill_is_not_verified_while_the_venue_cannot_be_read() -> None:
    scene = Scene().enter()
    scene.venue.script("read", refused(), times=6)
    scene.ask(Operation.KILL)
    scene.wait(3_000)
    assert scene.alerts(AlertCode.KILL_VERIFIED) == []
    scene.wait(15_000)
    assert len(scene.alerts(AlertCode.KILL_VERIFIED)) == 1


def test_a_kill_closes_what_no_stream_knows_of() -> None:
    """Somebody opened more by hand, and left an order: both go, then it is verified."""
    scene = Scene().enter()
    scene.venue.tells = False
    scene.venue.outside("BTCUSDT", 1, 2.0, now=scene.now)
    scene.venue.fills.clear()
    scene.venue.tells = True
    scene.venue.strangers.append(
        OrderSnapshot(
            "web_1", "9", "BTCUSDT", 1, OrderKind.LIMIT, OrderPhase.ACKED, 1.0, 0.0, 50.0, None,
            False, False, 0,
        )
    )  # fmt: skip
    scene.ask(Operation.KILL)
    scene.wait(20_000)
    assert scene.at() == 0.0
    assert scene.venue.strangers == []
    assert scene.of(CancelForeign)
    assert len(scene.alerts(AlertCode.KILL_VERIFIED)) == 1


def test_a_kill_goes_on_until_the_close_is_taken() -> None:
    """The venue is overloaded: the closing order is sent again and again, at a pace."""
    scene = Scene().enter()
    scene.venue.script("place", refused(Fault.BUSY, -1008), Slot.CLOSE, times=3)
    scene.ask(Operation.KILL)
    begun = len(scene.log)
    scene.wait(5_000)
    assert scene.at() == 0.0
    assert len(scene.placed(Slot.CLOSE)) == 4
    assert len(scene.alerts(AlertCode.CLOSE_FAILED)) == 1
    assert place_of(scene.log[begun:], Alert, code=AlertCode.KILL_VERIFIED)
    scene.check_agreement()


def test_a_kill_latch_outlives_a_restart_and_is_finished_there() -> None:
    """Killed in the middle of a kill: the next start still wants everything closed, and latched."""
    scene = Scene().enter()
    scene.is_apart = True
    scene.ask(Operation.KILL)
    again = scene.restart(automation_at_start=None)
    again.wait(settings().session.unknown_ms_max + 3_000)
    assert len(again.alerts(AlertCode.KILL_VERIFIED)) == 1
    assert again.at() == again.held() == 0.0
    assert again.venue.resting() == []
    again.bar(ask=Ask())
    assert again.at() == 0.0
    assert again.state.kill_latched
    again.ask(Operation.AUTOMATION_ON)
    assert len(again.alerts(AlertCode.REFUSED_OPERATION)) == 1
    again.check_agreement()


def test_a_latched_session_started_with_automation_on_still_makes_no_entry() -> None:
    scene = Scene()
    scene.ask(Operation.KILL)
    scene.wait(2_000)
    again = scene.restart(automation_at_start=True)
    again.bar(ask=Ask())
    assert refusals(again) == ["killed"]


def test_rearm_unlatches_and_leaves_automation_off() -> None:
    scene = Scene().enter()
    scene.ask(Operation.KILL)
    scene.wait(2_000)
    scene.ask(Operation.REARM)
    assert scene.state.kill_latched == ""
    assert scene.state.automation_enabled is False
    scene.bar(ask=Ask())
    assert scene.at() == 0.0
    scene.ask(Operation.AUTOMATION_ON)
    scene.bar(ask=Ask())
    assert scene.at() == 1.0


def test_a_latched_session_that_is_started_with_automation_stays_off_after_rearm() -> None:
    """What was said before anybody knew of the latch switches nothing on."""
    scene = Scene().enter()
    scene.ask(Operation.KILL)
    scene.wait(3_000)
    again = scene.restart(automation_at_start=True)
    again.ask(Operation.REARM)
    again.bar(ask=Ask())
    assert again.placed() == []
    assert not again.session.parts.flags.automation
    again.ask(Operation.AUTOMATION_ON)
    again.enter()


def test_a_start_says_why_nothing_is_entered() -> None:
    """Nobody looks at a log for what does not happen."""
    scene = Scene()
    said = [
        scene.restart().alerts(AlertCode.SESSION_STARTED)[0].text,
        scene.restart(automation_at_start=False).alerts(AlertCode.SESSION_STARTED)[0].text,
    ]
    scene.ask(Operation.PAUSE)
    said.append(scene.restart().alerts(AlertCode.SESSION_STARTED)[0].text)
    scene.ask(Operation.KILL)
    said.append(scene.restart().alerts(AlertCode.SESSION_STARTED)[0].text)
    assert [text.partition("no entries: ")[2].partition(";")[0] for text in said] == [
        "",
        "signals are only watched",
        "paused",
        "the kill switch is latched (asked by test)",
    ]


def test_a_start_without_capital_says_that_no_rearm_helps() -> None:
    scene = Scene(Cast(own={"quantity": 1_100.0}), automation_at_start=True).enter(HOLD)
    scene.venue.prices["BTCUSDT"] = 90.0
    scene.bar(close=90.0)
    scene.wait(3_000)
    assert bool(scene.session.parts.desk.account.exhausted)
    assert (scene.held(), scene.at()) == (0.0, 0.0)
    [told] = scene.restart().alerts(AlertCode.SESSION_STARTED)
    assert told.text.endswith("no entries: nothing is left of the capital")


def test_rearm_lifts_a_breaker_too_and_says_so() -> None:
    limits = {"loss_24h_fraction_max": 0.02}
    scene = Scene(Cast(limits=limits, own={"quantity": 100.0})).enter(HOLD)
    scene.bar(close=95.0)
    scene.wait(3_000)
    assert int(scene.session.parts.desk.account.halted) == Refusal.KILL_24H
    again = scene.restart()
    assert "kill_24h has stopped the account" in again.alerts(AlertCode.SESSION_STARTED)[0].text
    again.ask(Operation.KILL)
    again.wait(3_000)
    again.ask(Operation.REARM)
    [told] = again.alerts(AlertCode.KILL_REARMED)
    assert "kill_24h is lifted" in told.text
    assert [row.action for row in again.rows(BreakerRow)][-1] == "resumed"


def test_rearm_is_refused_while_positions_are_still_being_closed() -> None:
    scene = Scene().enter()
    scene.is_apart = True
    scene.ask(Operation.KILL)
    scene.ask(Operation.REARM)
    assert scene.session.parts.flags.kill_latched
    assert len(scene.alerts(AlertCode.REFUSED_OPERATION)) == 1


def test_a_second_kill_changes_nothing() -> None:
    scene = Scene().enter()
    scene.ask(Operation.KILL)
    scene.ask(Operation.KILL)
    scene.wait(2_000)
    assert len(scene.placed(Slot.CLOSE)) == 1
    assert scene.at() == 0.0


def test_a_kill_whose_close_is_lost_is_asked_about_and_not_sent_twice() -> None:
    scene = Scene().enter()
    scene.venue.script("place", LOST, Slot.CLOSE)
    scene.ask(Operation.KILL)
    scene.wait(3_000)
    assert len(scene.placed(Slot.CLOSE)) == 1
    assert len(scene.alerts(AlertCode.ORDER_UNKNOWN)) == 1
    assert scene.at() == scene.held() == 0.0
    scene.check_agreement()


def test_resume_lifts_a_daily_pause_but_no_kill_switch() -> None:
    """A daily loss pauses until its operator says so; a kill switch needs `rearm`."""
    for limit, refusal in (
        ("daily_loss_fraction_max", Refusal.DAILY_LOSS),
        ("session_loss_fraction_max", Refusal.KILL_SESSION),
    ):
        scene = Scene(Cast(limits={limit: 0.02}, own={"quantity": 10.0}))
        scene.bar(ask=Ask(stop=40.0))
        scene.venue.prices["BTCUSDT"] = 75.0
        scene.bar(75.0)
        assert Refusal(int(scene.session.parts.desk.account.halted)) is refusal
        scene.ask(Operation.RESUME)
        lifted = int(scene.session.parts.desk.account.halted) == 0
        assert lifted is (refusal is Refusal.DAILY_LOSS)
        actions = [(row.breaker, row.action) for row in scene.rows(BreakerRow)]
        assert actions[0] == (refusal.name.lower(), "halted")
        assert (len(actions) == 2) is lifted


# --- stop -----------------------------------------------------------------------------------------


def test_stop_ends_with_protection_at_rest() -> None:
    scene = Scene().enter()
    log = scene.ask(Operation.STOP)
    assert scene.ended == EndSession(0, "asked by test")
    assert scene.of(CancelOrder, log) == []
    assert {order.request.slot for order in scene.venue.resting()} == {Slot.STOP, Slot.TARGET_1}


def test_stop_is_told_once() -> None:
    scene = Scene()
    scene.ask(Operation.STOP)
    scene.ask(Operation.STOP)
    scene.tick(1_000)
    assert len(scene.of(EndSession)) == 1


def test_stop_waits_for_what_was_sent() -> None:
    """Stop and target are on their way: the session ends once both are answered for."""
    scene = Scene()
    scene.venue.script("place", None, Slot.TARGET_1)
    scene.enter()
    scene.ask(Operation.STOP)
    assert scene.ended is None, "nobody knows about the target yet"
    scene.wait(settings().session.stop_ms_max)
    assert scene.ended is not None


def test_stop_does_not_wait_longer_than_half_its_time() -> None:
    scene = Scene()
    scene.venue.script("place", None, Slot.STOP, FOR_EVER)
    scene.venue.script("query", None, times=FOR_EVER)
    scene.venue.script("place", None, Slot.CLOSE, FOR_EVER)
    scene.enter()
    begun = scene.now
    scene.ask(Operation.STOP)
    while scene.ended is None:
        scene.tick(250)
    assert scene.now - begun <= settings().session.stop_ms_max // 2 + 250


def test_a_failing_strategy_stops_the_session_and_keeps_protection() -> None:
    scene = Scene().enter()
    scene.script.failing.add(0)
    scene.bar()
    assert scene.ended is not None
    assert scene.ended.exit_code == 1
    [alert] = scene.alerts(AlertCode.STRATEGY_FAILED)
    assert "told0.py: ZeroDivisionError" in alert.text
    assert {order.request.slot for order in scene.venue.resting()} == {Slot.STOP, Slot.TARGET_1}


# --- funding --------------------------------------------------------------------------------------


def test_funding_goes_to_the_position_and_without_one_to_the_account() -> None:
    scene = Scene().enter()
    scene.venue.wallet_quote -= 1.5
    scene.hand(FundingPaid(scene.now, "BTCUSDT", -1.5))
    assert float(scene.session.parts.stream(0).position.funding_quote) == -1.5
    scene.check_agreement()
    scene.bar(ask=Ask(side=0, exit_long=True))
    scene.venue.wallet_quote += 0.25
    scene.hand(FundingPaid(scene.now, "BTCUSDT", 0.25))
    scene.check_agreement()
    assert float(scene.session.parts.desk.account.funding_quote) == -1.25


def test_a_minute_apart() -> None:
    """Scenes keep time: a bar a minute, `now` behind its close."""
    scene = Scene()
    first = scene.minute
    scene.bar()
    assert scene.minute == first + MINUTE
    assert scene.now > first + MINUTE
    assert replace(scene.rules, mode="x").mode == "x"


@pytest.mark.parametrize(
    ("mode", "rests", "not_yet"),
    [
        ("live", "stop 70 rests", "stop 70 is not known to rest"),
        ("paper", "stop 70 simulated in this process", "stop 70 not simulated yet"),
    ],
)
def test_the_end_says_where_stops_are(mode: str, rests: str, not_yet: str) -> None:
    """On paper nothing rests at a venue: a stop ends with the process."""
    scene = Scene(mode=mode).enter(HOLD)
    scene.ask(Operation.STOP)
    [ended] = scene.alerts(AlertCode.SESSION_ENDED)
    assert f"left open: BTCUSDT long 1, {rests}" in ended.text
    scene = Scene(mode=mode).enter(HOLD)
    for order in scene.session.parts.orders.live():
        order.phase = OrderPhase.SENT
    assert not_yet in positions_told(scene.session.parts)


# --- cool-downs -----------------------------------------------------------------------------------


def test_cool_downs_are_journaled_when_they_begin() -> None:
    """Two losses by the stop: each begins a revenge pause of its symbol, the second a streak's."""
    pace = {"loss_streak_max": 2, "loss_streak_pause_ms": 45 * MINUTE, "revenge_pause_ms": MINUTE}
    scene = Scene(Cast(pace=pace))
    for _ in range(2):
        scene.enter()
        scene.venue.trigger(scene.stop_id(), 90.0, now=scene.now)
        scene.tick(1)
        scene.bar()
        scene.bar()
    rows = scene.rows(BreakerRow)
    assert [row.breaker for row in rows] == ["revenge", "loss_streak", "revenge"]
    told = [row.action for row in rows]
    first, streak, second = told
    assert first.startswith("cools down account BTCUSDT until 20")
    assert second.startswith("cools down account BTCUSDT until 20")
    assert streak.startswith("cools down account until 20")
    assert first != second
    # A restart goes on with the streak's pause: it began once.
    again = scene.restart()
    again.bar(ask=Ask())
    assert refusals(again) == ["loss_streak"]
    assert again.rows(BreakerRow) == []
