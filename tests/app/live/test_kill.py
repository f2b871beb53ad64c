"""Kill switches, the operator's and the account's own: what they close, and who waits for it."""

from __future__ import annotations

from dataclasses import replace

from tests.app.live.scenes import FOR_EVER, MINUTE, Cast, Scene, refused, settings
from tests.desk import Ask

from tercel.app.live.alerts import AlertCode
from tercel.core.codes import ExitReason, Refusal, Slot
from tercel.core.plan import TradePlan
from tercel.domain.commands import EndSession, PlaceOrder
from tercel.domain.events import Event, Fault, Operation
from tercel.domain.journal import RefusalRow

LIMIT = Cast(plan=TradePlan(entry="limit", entry_wait_bars=10))
HOLD = Ask(stop=30.0)


# --- rearm ----------------------------------------------------------------------------------------


def test_rearm_is_refused_before_the_venue_was_met() -> None:
    """Whoever starts after a crash in the middle of a kill must not lose what is left of it."""
    scene = Scene().enter()
    scene.is_apart = True
    scene.ask(Operation.KILL)
    scene.venue.news.clear()
    again = Scene(scene.cast, scene.venue, scene.state, begin=False, now=scene.now + 1_000)
    again.ask(Operation.REARM)
    [told] = again.alerts(AlertCode.REFUSED_OPERATION)
    assert told.text.startswith("the kill is not verified")
    again.wait(settings().session.unknown_ms_max + 4_000)
    assert again.at() == again.held() == 0.0
    assert len(again.alerts(AlertCode.KILL_VERIFIED)) == 1
    again.ask(Operation.REARM)
    assert not again.session.parts.flags.kill_latched


def test_rearm_is_refused_while_the_venue_does_not_say_that_nothing_is_open() -> None:
    scene = Scene().enter()
    scene.ask(Operation.KILL)
    scene.venue.script("read", refused(), times=6)
    scene.wait(1_500)
    assert scene.held() == 0.0
    scene.ask(Operation.REARM)
    assert scene.session.parts.flags.kill_latched
    scene.wait(15_000)
    scene.ask(Operation.REARM)
    assert not scene.session.parts.flags.kill_latched


def test_a_latch_is_seen_through_where_no_venue_is_read() -> None:
    scene = Scene(reads_venue=False)
    scene.ask(Operation.KILL)
    again = scene.restart(reads_venue=False)
    assert len(again.alerts(AlertCode.KILL_VERIFIED)) == 1
    again.ask(Operation.REARM)
    assert not again.session.parts.flags.kill_latched


# --- the account's own kill switches --------------------------------------------------------------

KILLED_BY_24H = {"loss_24h_fraction_max": 0.0005}
"""Of 10,000: a loss of 5 quote."""
PAIR = Cast(("BTCUSDT", "ETHUSDT"), (0, 1), limits=KILLED_BY_24H)


def halted_by(scene: Scene) -> Refusal:
    return Refusal(int(scene.session.parts.desk.account.halted))


def pair(cast: Cast = PAIR) -> Scene:
    """A position in each of two symbols."""
    scene = Scene(cast)
    scene.bar()
    scene.bar(ask={0: HOLD, 1: HOLD})
    return scene


def test_a_kill_switch_of_the_account_closes_what_has_no_bar_too() -> None:
    """BTC's bar trips it while ETH's feed is dead: ETH would be held for ever."""
    scene = pair()
    scene.venue.prices["BTCUSDT"] = 94.0
    log = scene.bar(close=94.0, rows=[0])
    assert halted_by(scene) is Refusal.KILL_24H
    closes = scene.placed(Slot.CLOSE, log)
    assert [(order.symbol, order.reason) for order in closes] == [
        ("BTCUSDT", ExitReason.KILL_SWITCH),
        ("ETHUSDT", ExitReason.KILL_SWITCH),
    ]
    assert (scene.at("BTCUSDT"), scene.at("ETHUSDT")) == (0.0, 0.0)
    assert scene.venue.resting() == []
    scene.check_agreement()


def test_a_kill_switch_that_the_end_of_a_close_finds_waits_for_no_bar() -> None:
    """An entry is filled far from its bar, between two decisions: a whole bar is too long."""
    scene = Scene(Cast(limits=KILLED_BY_24H))
    scene.bar()
    scene.venue.prices["BTCUSDT"] = 108.0
    scene.script.asks[0, scene.minute] = HOLD
    found: Event | None = scene.bars_event(scene.minute, 100.0)
    while found is not None:
        for command in scene.session.handle(found):
            if isinstance(command, PlaceOrder):
                scene.venue.take(command, scene.now)
        news = scene.venue.news  # the fill, before the close ends
        found = news.popleft() if news else scene.session.next_turn()
    scene.settle()
    assert halted_by(scene) is Refusal.KILL_24H
    assert scene.at() == scene.held() == 0.0


def test_an_account_that_goes_on_by_itself_closes_as_a_backtest_does() -> None:
    """At each stream's next bar: a replay has to be equal to the backtest."""
    scene = pair(replace(PAIR, limits={**KILLED_BY_24H, "resume_after_ms": 60 * MINUTE}))
    scene.bar(close=94.0, rows=[0])
    assert (scene.held(0), scene.held(1)) == (0.0, 1.0)
    scene.bar()
    assert scene.held(1) == 0.0


def test_a_kill_switch_of_the_account_goes_on_after_a_restart_once_the_venue_was_met() -> None:
    scene = pair()
    scene.is_apart = True
    scene.bar(close=94.0, rows=[0])
    scene.venue.script("read", refused(), times=2)
    again = scene.restart()
    assert again.placed() == [], "nobody knows yet what is open"
    again.wait(settings().session.unknown_ms_max + 4_000)
    assert (again.at("BTCUSDT"), again.at("ETHUSDT")) == (0.0, 0.0)
    again.check_agreement()


def test_rearm_is_refused_while_the_account_is_still_being_closed() -> None:
    """It would lift what closes the positions, and leave them."""
    scene = pair()
    scene.venue.script("place", refused(Fault.BUSY, -1008), Slot.CLOSE, times=4)
    scene.bar(close=94.0)
    scene.ask(Operation.REARM)
    [told] = scene.alerts(AlertCode.REFUSED_OPERATION)
    assert told.text == "kill_24h is still closing positions"
    scene.wait(5_000)
    assert (scene.at("BTCUSDT"), scene.at("ETHUSDT")) == (0.0, 0.0)
    scene.ask(Operation.REARM)
    assert halted_by(scene) is Refusal.NONE


def test_a_stopped_account_that_is_started_with_automation_stays_off_after_rearm() -> None:
    """A rearm says that automation is off: so it has to be."""
    scene = pair()
    scene.bar(close=94.0)
    again = scene.restart(automation_at_start=True)
    assert not again.session.parts.flags.automation
    again.ask(Operation.REARM)
    [told] = again.alerts(AlertCode.KILL_REARMED)
    assert told.text.endswith("automation is off")
    again.bar(ask=Ask())
    assert again.placed(Slot.ENTRY) == []
    again.ask(Operation.AUTOMATION_ON)
    again.enter()


def test_a_rearm_of_nothing_switches_automation_off_as_it_says() -> None:
    scene = Scene(LIMIT)
    scene.bar(ask=Ask())
    scene.ask(Operation.REARM)
    assert not scene.session.parts.flags.automation
    assert scene.venue.resting() == []
    scene.bar(ask=Ask())
    assert [row.refusal for row in scene.rows(RefusalRow)] == ["automation_off"]


def test_a_pause_of_the_account_leaves_automation_as_it_is_said_at_the_start() -> None:
    scene = Scene(Cast(limits={"daily_loss_fraction_max": 0.0005})).enter(HOLD)
    scene.bar(close=94.0)
    assert halted_by(scene) is Refusal.DAILY_LOSS
    assert scene.restart(automation_at_start=True).session.parts.flags.automation


# --- what the operator's decision begins anew -----------------------------------------------------


def lose(scene: Scene) -> None:
    """6 quote and fees: in at 100, out at 94 by the stop."""
    scene.bar(ask=Ask(stop=6.0))
    scene.venue.trigger(scene.stop_id(), 94.0, now=scene.now)
    scene.settle()
    scene.bar()
    scene.bar()


def test_resumes_of_a_daily_loss_do_not_keep_the_kill_switch_away() -> None:
    """5 of a day are lost again and again, and 8 of the session are lost with the second."""
    limits = {"daily_loss_fraction_max": 0.0005, "session_loss_fraction_max": 0.0008}
    scene = Scene(Cast(limits=limits))
    scene.bar()
    lose(scene)
    assert halted_by(scene) is Refusal.DAILY_LOSS
    scene.ask(Operation.RESUME)
    scene.bar()
    assert halted_by(scene) is Refusal.NONE, "the day begins with what is left"
    lose(scene)
    assert halted_by(scene) is Refusal.KILL_SESSION


def arm_again(scene: Scene) -> None:
    """The operator lifts what stopped the account, and at the next bar nothing does."""
    scene.ask(Operation.REARM)
    scene.ask(Operation.AUTOMATION_ON)
    scene.bar()
    assert halted_by(scene) is Refusal.NONE


def test_rearms_of_24_hours_do_not_keep_that_of_the_session_away() -> None:
    scene = Scene(Cast(limits={**KILLED_BY_24H, "session_loss_fraction_max": 0.0008}))
    scene.bar()
    lose(scene)
    assert halted_by(scene) is Refusal.KILL_24H
    arm_again(scene)
    scene.session.parts.desk.account.limits.loss_24h_fraction_max = 0.0
    lose(scene)
    assert halted_by(scene) is Refusal.KILL_SESSION
    arm_again(scene)


# --- stop -----------------------------------------------------------------------------------------


def test_stop_waits_for_a_kill_that_is_under_way() -> None:
    """Its close was refused and is held back for a second: nothing is on its way meanwhile."""
    scene = Scene().enter()
    scene.venue.script("place", refused(Fault.BUSY, -1008), Slot.CLOSE)
    scene.ask(Operation.KILL)
    scene.ask(Operation.STOP)
    assert not scene.of(EndSession)
    scene.wait(settings().session.stop_ms_max // 2)
    assert scene.ended == EndSession(0, "asked by test")
    assert len(scene.alerts(AlertCode.KILL_VERIFIED)) == 1
    assert scene.at() == scene.held() == 0.0


def test_stop_waits_for_a_close_that_is_sent_again() -> None:
    scene = Scene().enter()
    scene.venue.script("place", refused(Fault.BUSY, -1008), Slot.CLOSE)
    scene.bar(ask=Ask(side=0, exit_long=True))
    scene.ask(Operation.STOP)
    scene.wait(settings().session.stop_ms_max // 2)
    assert scene.ended == EndSession(0, "asked by test")
    assert scene.at() == scene.held() == 0.0


def test_stop_with_a_kill_that_is_not_verified_says_so() -> None:
    """It waits no longer than for anything else; whoever looks at the exit code has to know."""
    scene = Scene().enter()
    scene.venue.script("place", refused(Fault.BUSY, -1008), Slot.CLOSE, FOR_EVER)
    scene.ask(Operation.KILL)
    scene.ask(Operation.STOP)
    scene.wait(settings().session.stop_ms_max // 2 + 250)
    assert scene.ended == EndSession(
        1, "asked by test; the kill switch is still closing positions: look at the venue"
    )
    [told] = scene.alerts(AlertCode.SESSION_ENDED)
    assert "left open: BTCUSDT long 1" in told.text


def test_stop_of_an_account_that_could_not_be_closed_says_so() -> None:
    scene = pair()
    scene.venue.script("place", refused(Fault.BUSY, -1008), Slot.CLOSE, FOR_EVER)
    scene.bar(close=94.0)
    scene.ask(Operation.STOP)
    scene.wait(settings().session.stop_ms_max // 2 + 250)
    assert scene.ended is not None
    assert scene.ended.exit_code == 1
    assert "kill_24h is still closing positions" in scene.ended.why
