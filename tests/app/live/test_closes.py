"""What the moment of a fill counts as: all is measured from close to close, as in a backtest,
however long after a close the venue filled.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.app.live.scenes import FEE_RATE, MINUTE, START, Cast, Scene, settings
from tests.app.live.test_entries import enter as enter_smart
from tests.app.live.test_entries import smart_scene
from tests.desk import Ask, asked, candles, stream, trade

from tercel.app.live.alerts import AlertCode
from tercel.app.live.parts import BesideRules
from tercel.core.codes import EntryTiming, ExitReason, OrderKind, Slot
from tercel.core.plan import TradePlan
from tercel.core.records import TRADE
from tercel.domain.events import TimerFired
from tercel.domain.journal import FillRow, RefusalRow, TradeRow

SECOND = 1_000
DELAYS_MS = (0, 900, 59_800)
"""From the moment a bar has come (100 ms after its close) to the fill of what it asked for."""
FAR = ((2.0, 1.0),)


def held_for(minutes: float, **given: object) -> Cast:
    """A plan with a target and a stop out of reach, that leaves by time."""
    return Cast(plan=TradePlan(legs=FAR, hold_minutes_max=minutes, **given))  # type: ignore[arg-type]


def later(scene: Scene, ms: int) -> None:
    """Whatever was asked for reaches the venue so much later."""
    scene.now += ms
    scene.is_apart = False
    scene.settle()


def enter_after(scene: Scene, ms: int) -> Scene:
    """Stream 0 is told to enter at a close; the venue fills it so much later."""
    scene.is_apart = True
    scene.bar(ask=Ask())
    later(scene, ms)
    assert scene.held() == 1.0
    return scene


def fill_entry(scene: Scene, ms: int, quantity: float = 1.0) -> None:
    """The entry at rest trades `ms` after the last close."""
    [entry] = scene.venue.resting(Slot.ENTRY)
    scene.now = max(scene.now, scene.minute + ms)
    scene.venue.fill(entry.request.client_id, 100.0, quantity, now=scene.now)
    scene.settle()


def closes_until_left(scene: Scene, most: int = 6) -> int:
    """At which close, from now on, the position is asked to be closed."""
    for number in range(1, most + 1):
        if scene.placed(Slot.CLOSE, scene.bar()):
            assert scene.held() == 0.0
            return number
    raise AssertionError(f"still open after {most} closes")


def backtest_leaves(minutes: float, **rules: object) -> int:
    """The same for a market entry in a backtest."""
    plan = TradePlan(legs=FAR, hold_minutes_max=minutes)
    bars = candles([(100.0,) * 4] * 8)
    found = trade(stream(plan, **rules), bars, asked(8, {0: Ask()}))
    [made] = found.trades
    assert made["exit_reason"] == ExitReason.TIME
    return int(made["exit_time"] - bars["open_time"][0]) // MINUTE - 1


@pytest.mark.parametrize("delay_ms", DELAYS_MS)
@pytest.mark.parametrize("minutes", [0.5, 1.0, 1.5, 2.0])
def test_a_time_exit_is_at_the_close_of_the_backtest(minutes: float, delay_ms: int) -> None:
    scene = enter_after(Scene(held_for(minutes)), delay_ms)
    assert closes_until_left(scene) == backtest_leaves(minutes)


@pytest.mark.parametrize("delay_ms", DELAYS_MS)
def test_entries_that_a_backtest_fills_at_the_next_open(delay_ms: int) -> None:
    """There the entry counts in the bar that opens with it, and the exit fills a bar after it was
    asked for.
    """
    own = {"entry_timing": EntryTiming.NEXT_OPEN}
    cast = Cast(plan=TradePlan(legs=FAR, hold_minutes_max=1.0), own=own)
    scene = enter_after(Scene(cast), delay_ms)
    assert closes_until_left(scene) == backtest_leaves(1.0, **own) - 1 == 2


@pytest.mark.parametrize("minutes", [1.0, 2.0])
def test_a_restart_counts_on(minutes: float) -> None:
    """The close that a position counts from is kept with it."""
    scene = enter_after(Scene(held_for(minutes)), 900).restart()
    assert scene.held() == 1.0
    assert closes_until_left(scene) == minutes


@pytest.mark.parametrize("minutes", [1.0, 2.0])
def test_a_fill_missed_while_down(minutes: float) -> None:
    """It is booked at the start, and counts from the close that asked for it."""
    scene = Scene(held_for(minutes))
    scene.is_apart = True
    scene.bar(ask=Ask())
    scene.venue.tells = False
    later(scene, 900)
    assert scene.at() == 1.0
    scene.venue.tells = True
    again = scene.restart()
    assert again.held() == 1.0
    assert closes_until_left(again) == minutes


@pytest.mark.parametrize("fill_ms", [SECOND, 30 * SECOND, 59 * SECOND])
@pytest.mark.parametrize(("minutes", "closes"), [(1.0, 2), (1.5, 3), (2.0, 3)])
def test_a_limit_counts_from_the_end_of_the_bar_that_filled_it(
    minutes: float, closes: int, fill_ms: int
) -> None:
    scene = Scene(held_for(minutes, entry="limit", entry_wait_bars=3))
    scene.bar(ask=Ask())
    scene.bar()
    fill_entry(scene, fill_ms)
    assert closes_until_left(scene) == closes


def test_a_smart_entry_counts_as_the_plan_says() -> None:
    """A backtest takes the market at the close: so old is what was had cheaper, 20 s after it."""
    scene = smart_scene(held_for(1.0))
    assert enter_smart(scene).kind == OrderKind.POST_ONLY
    fill_entry(scene, 20 * SECOND)
    later(scene, SECOND)
    assert closes_until_left(scene) == 1


def test_the_first_part_of_an_entry_counts() -> None:
    """Filled in two bars: held since the first of them, also after a restart between them."""
    scene = Scene(held_for(2.0, entry="limit", entry_wait_bars=5))
    scene.bar(ask=Ask())
    fill_entry(scene, 20 * SECOND, 0.4)
    again = scene.restart()
    again.bar()
    fill_entry(again, 50 * SECOND, 0.6)
    assert again.held() == 1.0
    assert closes_until_left(again) == 2


def test_an_adopted_position_counts_as_if_entered_at_the_start() -> None:
    scene = Scene(held_for(2.0))
    scene.bar()
    scene.venue.outside("BTCUSDT", 1, 1.0, now=scene.now)
    scene.venue.news.clear()
    again = scene.restart(on_unknown_position="adopt")
    assert again.held() == 1.0
    assert closes_until_left(again) == 2


TRAILED = TradePlan(legs=(), trail_fraction=1.0, trail_arm_r=1.0, trail_offset_r=0.5, entry="limit")
ON_ITS_WAY_MS = MINUTE + 50
"""After the last close that a session has seen: a bar has ended, and comes 50 ms later."""


def show_rise(scene: Scene) -> None:
    """The next bar was at 115 and closes at 101."""
    event = scene.bars_event(scene.minute, 101.0)
    event.bars["high"] = 115.0
    scene.minute += MINUTE
    scene.hand(event)


def test_the_high_of_the_bar_that_filled_a_limit_is_nobodys() -> None:
    """It may have come before the fill: only the close counts, as in a backtest."""
    scene = Scene(Cast(plan=TRAILED))
    scene.bar(ask=Ask())
    fill_entry(scene, 20 * SECOND)
    show_rise(scene)
    assert scene.session.parts.stream(0).position.best_price == 101.0
    assert scene.placed(Slot.TRAIL) == []


def test_a_limit_that_fills_while_a_bar_is_on_its_way_has_not_seen_that_bar() -> None:
    scene = Scene(Cast(plan=TRAILED))
    scene.bar(ask=Ask())
    fill_entry(scene, ON_ITS_WAY_MS)
    show_rise(scene)
    position = scene.session.parts.stream(0).position
    assert (position.best_price, position.worst_price) == (100.0, 100.0)
    assert scene.placed(Slot.TRAIL) == []
    show_rise(scene)  # the bar that filled it: its close counts
    assert position.best_price == 101.0
    assert scene.placed(Slot.TRAIL) == []
    show_rise(scene)
    assert position.best_price == 115.0
    assert len(scene.placed(Slot.TRAIL)) == 1


def test_nor_has_a_market_entry_that_was_so_slow() -> None:
    scene = enter_after(Scene(Cast(plan=replace(TRAILED, entry="market"))), MINUTE - 50)
    assert scene.now == scene.minute + ON_ITS_WAY_MS
    show_rise(scene)
    assert scene.session.parts.stream(0).position.best_price == 100.0
    show_rise(scene)
    assert scene.session.parts.stream(0).position.best_price == 115.0


def test_a_signal_to_leave_from_before_the_fill_is_for_nobody() -> None:
    scene = Scene(held_for(5.0, entry="limit", entry_wait_bars=3))
    scene.bar(ask=Ask())
    fill_entry(scene, ON_ITS_WAY_MS)
    leave = Ask(side=0, exit_long=True)
    assert scene.placed(Slot.CLOSE, scene.bar(ask=leave)) == []
    assert scene.held() == 1.0
    assert len(scene.placed(Slot.CLOSE, scene.bar(ask=leave))) == 1


@pytest.mark.parametrize("minutes", [1.0, 2.0])
def test_the_time_of_a_limit_filled_while_a_bar_is_on_its_way(minutes: float) -> None:
    """The bar on its way, the bar that filled it, and as long as it is to be held."""
    scene = Scene(held_for(minutes, entry="limit", entry_wait_bars=3))
    scene.bar(ask=Ask())
    fill_entry(scene, ON_ITS_WAY_MS)
    assert closes_until_left(scene) == 2 + minutes


@pytest.mark.parametrize("slot", [Slot.STOP, Slot.TARGET_1])
def test_what_leaves_while_a_bar_is_on_its_way_keeps_that_close(slot: Slot) -> None:
    """A backtest is in the position at that close, and takes no signal there."""
    scene = Scene(Cast(plan=TradePlan(legs=FAR))).enter()
    [order] = scene.venue.resting(slot)
    scene.now = scene.minute + ON_ITS_WAY_MS
    price = 90.0 if slot is Slot.STOP else 120.0
    scene.venue.fill(order.request.client_id, price, now=scene.now)
    scene.settle()
    assert scene.held() == 0.0
    assert scene.placed(Slot.ENTRY, scene.bar(ask=Ask())) == []
    assert [row.refusal for row in scene.rows(RefusalRow)] == ["position_open"]
    scene.bar(ask=Ask())
    assert scene.held() == 1.0
    [made] = np.frombuffer(scene.rows(TradeRow)[0].record, TRADE)
    assert made["exit_time"] == START + 3 * MINUTE


def test_a_slow_exit_by_time_keeps_no_close() -> None:
    """It is of the close that asked for it, though it filled after the next."""
    scene = enter_after(Scene(held_for(1.0)), 900)
    scene.is_apart = True
    scene.bar()
    later(scene, MINUTE - 50)
    assert scene.now == scene.minute + ON_ITS_WAY_MS
    assert scene.held() == 0.0
    scene.bar(ask=Ask())
    assert scene.held() == 1.0


def stopped_at(scene: Scene, at: int) -> None:
    """The stop fills at 95, at that moment."""
    scene.now = at
    scene.venue.trigger(scene.stop_id(), 95.0, now=at)
    scene.settle()


ENTERED_QUOTE = 10_000.0 - 100.0 * FEE_RATE
LEFT_QUOTE = 10_000.0 - 5.0 - 195.0 * FEE_RATE


@pytest.mark.parametrize("hour", [1, 24])
def test_an_hour_and_a_day_begin_with_the_last_bar_before_them(hour: int) -> None:
    """Whatever fills first: the bar that was at 95 is still on its way."""
    scene = Scene(Cast()).enter()
    scene.minute = START + hour * 60 * MINUTE - 2 * MINUTE
    scene.bar()
    account = scene.session.parts.desk.account
    hours = int(account.hours)
    stopped_at(scene, scene.minute + ON_ITS_WAY_MS)
    assert account.hours == hours
    scene.bar(95.0)
    assert account.hours == hours
    scene.bar(95.0)
    assert account.hours == hours + 1
    assert account.hour_time[hours] == START + hour * 60 * MINUTE
    assert account.hour_equity[hours] == pytest.approx(LEFT_QUOTE)
    if hour == 24:
        assert account.day_start_equity == pytest.approx(LEFT_QUOTE)


def test_what_fills_after_the_last_bar_is_of_the_new_hour() -> None:
    scene = Scene(Cast()).enter()
    scene.minute = START + 59 * MINUTE
    scene.bar(96.0)
    stopped_at(scene, scene.minute + 30 * SECOND)
    account = scene.session.parts.desk.account
    assert account.hour_equity[1] == pytest.approx(ENTERED_QUOTE - 4.0)


def test_an_hour_does_not_wait_for_bars_that_do_not_come() -> None:
    """Several are missing: a loss of the new day is not put down to the old one."""
    scene = Scene(Cast()).enter()
    scene.minute = START + 24 * 60 * MINUTE - 5 * MINUTE
    scene.bar()
    stopped_at(scene, scene.minute + 5 * MINUTE + SECOND)
    account = scene.session.parts.desk.account
    assert account.day_start_equity == pytest.approx(ENTERED_QUOTE)


def test_a_pause_begins_with_the_close_that_left() -> None:
    """A loss at a time exit: two minutes later the next entry is made, not three."""
    cast = Cast(
        plan=TradePlan(legs=FAR, hold_minutes_max=1.0),
        pace={"loss_streak_max": 1, "loss_streak_pause_ms": 2 * MINUTE},
    )
    scene = enter_after(Scene(cast), 900)
    scene.is_apart = True
    scene.bar()
    later(scene, 900)
    assert scene.held() == 0.0
    scene.bar(ask=Ask())
    assert [row.refusal for row in scene.rows(RefusalRow)] == ["loss_streak"]
    scene.bar(ask=Ask())
    assert scene.held() == 1.0


def test_a_stop_pauses_from_the_end_of_its_bar() -> None:
    """A minute and a half after a stop early in a bar: two closes after it, as in a backtest."""
    scene = Scene(Cast(pace={"revenge_pause_ms": 3 * MINUTE // 2})).enter()
    scene.now = scene.minute + SECOND
    scene.venue.trigger(scene.stop_id(), 90.0, now=scene.now)
    scene.settle()
    for _ in range(2):
        scene.bar(ask=Ask())
        assert scene.held() == 0.0
    assert [row.refusal for row in scene.rows(RefusalRow)] == ["revenge", "revenge"]
    scene.bar(ask=Ask())
    assert scene.held() == 1.0


def test_an_hour_begins_with_what_the_entry_at_its_first_moment_has_cost() -> None:
    """In a backtest an entry at the close of an hour is paid for before the next begins."""
    scene = Scene(held_for(5.0))
    scene.bar()
    scene.minute = START + 59 * MINUTE
    enter_after(scene, 900)
    scene.bar()
    account = scene.session.parts.desk.account
    assert account.hours == 2
    assert account.hour_time[1] == START + 60 * MINUTE
    assert account.hour_equity[1] == pytest.approx(10_000.0 - 100.0 * FEE_RATE)


def test_the_shadow_finds_the_trade_of_a_limit() -> None:
    """Its fill counts at the end of the bar in both, and the results are compared."""
    every = settings()
    beside = BesideRules(every.ghost.fee_rate, True, every.shadow.alert_r)
    scene = Scene(held_for(1.0, entry="limit"), beside=beside)
    scene.bar(ask=Ask())
    fill_entry(scene, 20 * SECOND)
    event = scene.bars_event(scene.minute, 100.0)
    event.bars["low"] = 99.0
    scene.minute += MINUTE
    scene.hand(event)
    scene.venue.prices["BTCUSDT"] = 94.0
    assert closes_until_left(scene) == 1
    [alert] = scene.alerts(AlertCode.SHADOW_DIVERGED)
    assert "-0.61 R" in alert.text


def test_people_are_told_the_venues_moments() -> None:
    """Rows for people have the venue's times; the record that parity reads has the closes."""
    scene = enter_after(Scene(held_for(1.0)), 900)
    entered = scene.now
    [kept] = scene.state.active_position
    assert kept.entry_time_utc == entered
    again = scene.restart()
    again.is_apart = True
    again.bar()
    later(again, 900)
    [row] = again.rows(TradeRow)
    assert (row.entry_time, row.exit_time) == (entered, again.now)
    assert [fill.time_ms for fill in again.rows(FillRow)] == [again.now]
    [made] = np.frombuffer(row.record, TRADE)
    assert (made["entry_time"], made["exit_time"]) == (START + MINUTE, START + 2 * MINUTE)


def test_no_trade_is_left_before_it_is_entered() -> None:
    """The operator closes a limit entry in the very bar that filled it."""
    scene = Scene(held_for(5.0, entry="limit"))
    scene.bar(ask=Ask())
    fill_entry(scene, 20 * SECOND)
    scene.now += SECOND
    scene.hand(TimerFired(scene.now))
    scene.session.execution.ask_close(0, ExitReason.KILL_SWITCH)
    scene.tick(SECOND)
    scene.settle()
    assert scene.held() == 0.0
    [row] = scene.rows(TradeRow)
    [made] = np.frombuffer(row.record, TRADE)
    assert made["exit_time"] == made["entry_time"] == START + 2 * MINUTE
