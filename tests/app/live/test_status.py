"""What is told of a session: a real one, in front of a scripted venue."""

from __future__ import annotations

import dataclasses
import math
import typing

import pytest
from tests.app.live.scenes import MINUTE, START, Cast, Scene, settings
from tests.desk import Ask
from tests.live_status import full_status
from tests.session_states import full_state

from tercel.app.live.control import REPLIES, REQUESTS, STATUS, ControlDesk, Reply, Request
from tercel.app.live.health import FeedHealth
from tercel.app.live.keeping import kept_ticks
from tercel.app.live.latency import Latency
from tercel.app.live.recent import Recent
from tercel.app.live.status import kept_status_of, status_of
from tercel.app.live.status_records import Codec, KeptStatus, PositionStatus, SessionStatus
from tercel.core.breakers import TABLE
from tercel.core.codes import Slot
from tercel.domain.commands import Command
from tercel.domain.errors import DataError
from tercel.domain.events import Event, JournalNews, MarketView, Operation
from tercel.domain.session_state import SessionState


class Watched(Scene):
    """A scene that remembers as a runner does."""

    recent: Recent

    def _take(self, event: Event) -> None:
        if not hasattr(self, "recent"):
            self.recent = Recent(self.plan, kept=5)
        first = len(self.log)
        super()._take(event)
        for each in self.log[first:]:
            self.recent.see(each)
        self.recent.see(event)

    def look(self, health: FeedHealth | None = None, **given: typing.Any) -> SessionStatus:
        return status_of(
            self.session,
            self.recent,
            now_ms=self.now,
            started_ms=START,
            health=health,
            **given,
        )

    def position(self) -> PositionStatus:
        [found] = self.look().positions
        return found


def test_a_flat_session() -> None:
    scene = Watched()
    scene.bar(101.5)
    told = scene.look(latencies=(Latency("order to answer", 1, 1.0, 1.0, 1.0),))
    assert (told.session_id, told.mode, told.venue) == ("s1", "live", "scripted")
    assert (told.strategies, told.symbols, told.timeframe) == (("told0",), ("BTCUSDT",), "1m")
    assert (told.started_ms, told.now_ms) == (START, scene.now)
    assert (told.is_ready, told.automation, told.journal_is_up) == (True, True, True)
    assert (told.is_paused, told.is_stopping, told.kill_latched) == (False, False, "")
    assert (told.blocked, told.mismatched, told.positions, told.orders) == ((), (), (), ())
    assert told.account.equity_quote == told.account.start_quote == 10_000.0
    assert told.account.net_quote == 0.0
    [feed] = told.feeds
    assert (feed.symbol, feed.price, feed.bar_close_ms) == ("BTCUSDT", 101.5, START + MINUTE)
    assert (feed.bid, feed.ask, feed.trouble) == (101.49, 101.51, "")
    [evaluation] = told.evaluations
    assert (evaluation.side, evaluation.decision, told.decisions) == ("none", "none", ())
    assert [each.name for each in told.latencies] == ["order to answer"]


def test_before_the_venue_is_read_it_is_not_ready() -> None:
    scene = Watched(begin=False)
    scene.recent = Recent(scene.plan)
    assert not scene.look().is_ready


def test_an_open_position() -> None:
    scene = Watched()
    scene.enter()
    scene.bar(105.0)
    told = scene.position()
    assert (told.strategy, told.symbol, told.direction) == ("told0", "BTCUSDT", "long")
    assert (told.quantity, told.entry_price, told.mark_price) == (1.0, 100.0, 105.0)
    assert (told.tick_size, scene.look().orders[0].tick_size) == (0.1, 0.1)
    assert kept_status_of(scene.session.kept).positions[0].tick_size == 0.1
    assert (told.stop_price, told.stop_rests) == (90.0, True)
    assert told.target_prices == (120.0,)
    assert told.trail_price is None
    assert told.r_now == pytest.approx(0.5)
    assert told.unrealised_quote == told.gross_quote == pytest.approx(5.0)
    entry_fee, closing_fee = 0.05, 0.0525
    assert told.net_quote == pytest.approx(5.0 - entry_fee - closing_fee)
    account = scene.look().account
    assert account.unrealised_quote == pytest.approx(5.0)
    assert account.fee_quote == pytest.approx(entry_fee)
    assert account.net_quote == pytest.approx(5.0 - entry_fee)


def test_quantities_are_told_without_the_dust_of_adding_fills() -> None:
    """0.1 + 0.2 is 0.30000000000000004 to a computer."""
    scene = Watched()
    scene.enter()
    sum_of_fills = 0.1 + 0.2
    scene.session.parts.desk.streams["position"]["quantity"] = sum_of_fills
    scene.session.parts.orders.live()[0].left = sum_of_fills
    told = scene.look()
    assert sum_of_fills != told.positions[0].quantity == told.orders[0].left == 0.3
    held = dataclasses.replace(full_state(8).active_position[0], position_size=sum_of_fills)
    [kept] = kept_status_of(SessionState(active_position=(held,))).positions
    assert kept.quantity == 0.3


def test_closed_and_open_trades_add_up_to_the_net() -> None:
    scene = Watched()
    scene.enter()
    scene.bar(105.0)
    account, entry_fee = scene.look().account, 0.05
    assert account.open_net_quote == pytest.approx(5.0 - entry_fee)
    assert account.closed_net_quote == pytest.approx(0.0)
    assert account.day_entries == 1


def test_equity_is_that_of_now_not_of_the_last_bar() -> None:
    """A position that was closed between two bars is no longer open in any figure."""
    scene = Watched()
    scene.enter()
    scene.bar(105.0)
    scene.venue.trigger(scene.stop_id(), 90.0, now=scene.now)
    scene.tick(1)
    told = scene.look()
    account = told.account
    assert told.positions == ()
    assert account.unrealised_quote == account.open_net_quote == 0.0
    assert account.equity_quote == account.cash_quote
    assert account.net_quote == pytest.approx(account.closed_net_quote)
    assert account.closed_net_quote == pytest.approx(sum(each.net_quote for each in told.trades))


def test_how_long_it_runs_is_told() -> None:
    scene = Watched()
    assert scene.look().up_ms == scene.now - START


def test_a_short_position_is_told_as_such() -> None:
    scene = Watched()
    scene.enter(Ask(side=-1))
    scene.bar(105.0)
    told = scene.position()
    assert (told.direction, told.stop_price, told.target_prices) == ("short", 110.0, (80.0,))
    assert told.r_now == pytest.approx(-0.5)
    assert told.gross_quote == pytest.approx(-5.0)


def test_the_distance_to_the_liquidation_is_of_the_mark() -> None:
    scene = Watched()
    scene.enter()
    scene.session.parts.stream(0).position.liquidation_price = 80.0
    told = scene.position()
    assert told.liquidation_price == 80.0
    assert told.liquidation_fraction == pytest.approx(0.2)
    for nowhere in (0.0, math.inf):
        scene.session.parts.stream(0).position.liquidation_price = nowhere
        assert scene.position().liquidation_price is None
        assert scene.position().liquidation_fraction is None


def test_orders_at_work() -> None:
    scene = Watched()
    scene.enter()
    told = {each.slot: each for each in scene.look().orders}
    assert set(told) == {"stop", "target_1"}
    stop, target = told["stop"], told["target_1"]
    assert (stop.side, stop.kind, stop.phase, stop.trigger_price) == ("sell", "stop", "acked", 90.0)
    assert (stop.client_id, stop.left, stop.is_reduce_only) == (scene.stop_id(), 1.0, True)
    assert (target.price, target.trigger_price, target.strategy) == (120.0, None, "told0")


def test_a_stop_on_its_way_does_not_rest_yet() -> None:
    scene = Watched()
    scene.venue.script("place", None, Slot.STOP, times=99)
    scene.bar(ask=Ask())
    assert scene.position().stop_price == 90.0
    assert not scene.position().stop_rests


def test_a_finished_trade() -> None:
    scene = Watched()
    scene.enter()
    scene.venue.trigger(scene.stop_id(), 90.0, now=scene.now)
    scene.tick(1)
    told = scene.look()
    assert told.positions == ()
    [trade] = told.trades
    assert (trade.number, trade.direction, trade.exit_reason) == (1, "long", "stop")
    assert trade.net_quote == pytest.approx(-10.095)
    assert trade.net_r == pytest.approx(-1.0095)
    assert (told.account.trades, told.account.wins) == (1, 0)
    assert told.account.realised_quote == pytest.approx(-10.095)


def test_decisions_have_their_reasons_and_refusals_are_counted() -> None:
    scene = Watched()
    scene.ask(Operation.PAUSE)
    for _ in range(7):
        scene.bar(ask=Ask(score=70.0))
    told = scene.look()
    assert told.is_paused
    assert [each.number for each in told.decisions] == [3, 4, 5, 6, 7], "the latest five are kept"
    last = told.decisions[-1]
    assert (last.side, last.reason, last.score) == ("long", "told", 70.0)
    assert (last.decision, last.refusal) == ("refused", "paused")
    assert [(each.refusal, each.count) for each in told.refusals] == [("paused", 7)]
    [alert] = [each for each in told.alerts if each.code == "PAUSED"]
    assert (alert.level, alert.text) == ("warning", "asked by test")
    scene.ask(Operation.RESUME)
    scene.bar(ask=Ask())
    assert scene.look().decisions[-1].decision == "entered"


def test_why_nothing_is_entered() -> None:
    scene = Watched()
    scene.ask(Operation.PAUSE)
    assert scene.look().blocked == ("paused",)
    scene.ask(Operation.AUTOMATION_OFF)
    scene.hand(JournalNews(scene.now, is_up=False, detail="disk full"))
    told = scene.look()
    assert told.blocked == ("automation_off", "paused", "journal_down")
    assert not told.journal_is_up
    scene.ask(Operation.KILL)
    assert scene.look().blocked[0] == "killed"


def test_a_kill_is_verified_once_the_venue_said_so() -> None:
    scene = Watched()
    scene.enter()
    scene.is_apart = True
    scene.ask(Operation.KILL)
    told = scene.look()
    assert told.kill_latched == "asked by test"
    assert (told.kill_verified, len(told.positions)) == (False, 1)
    scene.is_apart = False
    scene.settle()
    scene.wait(2_000)
    told = scene.look()
    assert (told.kill_verified, told.positions, told.orders) == (True, (), ())
    again = Watched(scene.cast, scene.venue, scene.state, now=scene.now + 1_000)
    assert again.look().kill_verified, "recovery has asked the venue"
    again.ask(Operation.REARM)
    assert (again.look().kill_latched, again.look().kill_verified) == ("", False)


def test_a_flat_session_is_not_verified_before_the_venue_was_asked() -> None:
    scene = Watched()
    scene.is_apart = True
    scene.ask(Operation.KILL)
    told = scene.look()
    assert (told.positions, told.orders, told.kill_verified) == ((), (), False)
    scene.is_apart = False
    scene.wait(2_000)
    assert scene.look().kill_verified


def test_ghost_and_shadow() -> None:
    scene = Watched()
    assert scene.look().shadow is None
    beside = dataclasses.replace(scene.rules.beside, shadow=True)
    scene = Watched(beside=beside, automation_at_start=False)
    scene.session.beside.ghost_pnl, scene.session.beside.ghost_trades = 4.5, 3
    scene.session.beside.ghost_wins, scene.session.beside.shadow_pnl = 1, -2.5
    told = scene.look()
    assert told.shadow is not None
    assert (told.ghost.net_quote, told.ghost.trades) == (4.5, 3)
    assert told.ghost.win_rate == pytest.approx(1 / 3)
    assert (told.shadow.net_quote, told.shadow.trades, told.shadow.win_rate) == (-2.5, 0, None)


def test_feeds_with_their_health() -> None:
    scene = Watched(Cast(symbols=("BTCUSDT", "ETHUSDT"), streams=(0, 1)))
    scene.bar(rows=(0,), view=MarketView(99.0, 101.0, 10, "crossed book"))
    first, second = scene.look().feeds
    assert (first.price, first.trouble, second.price) == (100.0, "crossed book", None)
    assert (second.bid, second.bar_close_ms) == (None, 0)
    health = FeedHealth(scene.plan.symbols, MINUTE, settings().health, 3_000, scene.now)
    first, second = scene.look(health).feeds
    assert first.trouble == second.trouble == "no quote yet"
    assert (first.price, first.bid) == (100.0, None)


def test_the_breakers_that_are_on() -> None:
    limits = {"daily_loss_fraction_max": 0.05, "positions_max": 2, "heat_fraction_max": 0.06}
    pace = {
        "daily_trades_max": 3,
        "hourly_signals_max": 2,
        "loss_streak_max": 1,
        "loss_streak_pause_ms": 2_700_000,
        "revenge_pause_ms": 900_000,
    }
    scene = Watched(Cast(limits={**limits, "free_margin_fraction_min": 0.2}, pace=pace))
    scene.bar()
    scene.enter()
    told = {each.name: each for each in scene.look().breakers.counters}
    assert set(told) == {
        "daily drawdown", "max open positions", "portfolio heat", "free margin",
        "daily trade limit", "signals per hour", "loss streak cool-down",
    }  # fmt: skip
    assert set(told) < {each.name for each in TABLE}
    assert (told["max open positions"].stands_at, told["max open positions"].limit) == (1.0, 2.0)
    assert told["portfolio heat"].stands_at == pytest.approx(10.0 / 10_000, rel=0.01)
    assert told["daily trade limit"].stands_at == 1.0
    assert not any(each.is_reached for each in told.values())
    scene.venue.trigger(scene.stop_id(), 90.0, now=scene.now)
    scene.tick(1)
    scene.bar(90.0)
    found = scene.look().breakers
    told = {each.name: each for each in found.counters}
    assert told["daily drawdown"].stands_at == pytest.approx(0.0010095, rel=1e-3)
    assert told["loss streak cool-down"].is_reached
    stopped_ms = int(scene.session.parts.desk.account.stop_times[0])
    assert [(each.name, each.of, each.until_ms) for each in found.cool_downs] == [
        ("loss streak cool-down", "account", stopped_ms + 2_700_000),
        ("revenge cool-down", "account BTCUSDT", stopped_ms + 900_000),
    ]
    assert found.halted == ""


def test_a_streams_own_pace_is_told_once_it_counted() -> None:
    scene = Watched(Cast(own={"daily_trades_max": 4}))
    assert scene.look().breakers.counters == ()
    scene.enter()
    [counter] = scene.look().breakers.counters
    assert (counter.of, counter.stands_at, counter.limit) == ("told0 BTCUSDT", 1.0, 4.0)


def test_every_counter_of_a_streams_own_pace_is_found() -> None:
    own = {
        "hourly_signals_max": 3,
        "loss_streak_max": 2,
        "win_streak_min": 2,
        "loss_streak_pause_ms": 60_000,
        "revenge_pause_ms": 900_000,
    }
    cast = Cast(symbols=("BTCUSDT", "ETHUSDT"), streams=(0, 1), own=own)
    scene = Watched(cast)
    state = scene.session.parts.stream(1).pace_state

    def told() -> list[tuple[str, str]]:
        found = scene.look().breakers
        counters = [(each.name, each.of) for each in found.counters]
        return counters + [(each.name, each.of) for each in found.cool_downs]

    assert told() == []
    state.wins = 1
    assert told() == [("win streak", "told1 ETHUSDT")]
    state.wins, state.losses = 0, 1
    assert told() == [("loss streak cool-down", "told1 ETHUSDT")]
    state.losses, state.pause_until = 0, scene.now + 1
    assert told() == [("loss streak cool-down", "told1 ETHUSDT")]
    state.pause_until, state.entry_times[0], state.entries = 0, scene.now - 1, 1
    assert told() == [("signals per hour", "told1 ETHUSDT")]
    state.entries = state.entry_times[0] = 0
    scene.session.parts.desk.account.stop_times[1] = scene.now - 1
    assert told() == [("revenge cool-down", "told1 ETHUSDT")]


def test_a_stopped_account_says_by_what() -> None:
    scene = Watched(Cast(limits={"daily_loss_fraction_max": 0.0005}))
    scene.bar()
    scene.enter()
    scene.bar(92.0)
    told = scene.look()
    assert (told.breakers.halted, told.blocked) == ("daily_loss", ("daily_loss",))
    assert told.breakers.halted_ms == scene.minute
    [counter] = told.breakers.counters
    assert counter.is_reached


def test_looking_changes_nothing() -> None:
    scene = Watched()
    scene.enter()
    before, log = scene.session.image(), len(scene.log)
    scene.look()
    assert (scene.session.image(), len(scene.log)) == (before, log)


# --- JSON -----------------------------------------------------------------------------------------


def test_every_status_survives_its_journey() -> None:
    scene = Watched()
    scene.enter()
    codec = Codec(SessionStatus)
    for told in (full_status(), scene.look()):
        line = codec.encode(told)
        assert b"\n" not in line
        assert codec.decode(line) == told
    reply = Reply(is_done=False, text="no\n\N{EM DASH}", status=None)
    assert REPLIES.decode(REPLIES.encode(reply)) == reply
    for operation in (*Operation, STATUS):
        request = Request(operation, "cli")
        assert REQUESTS.decode(REQUESTS.encode(request)) == request


def test_a_damaged_line_names_its_first_wrong_field() -> None:
    line = Codec(SessionStatus).encode(full_status())
    with pytest.raises(DataError, match="account"):
        Codec(SessionStatus).decode(line.replace(b'"equity_quote":10088.0', b'"equity_quote":"x"'))
    with pytest.raises(DataError, match="JSON"):
        Codec(SessionStatus).decode(line[:-1])


def test_ticks_are_kept_for_a_strategy_with_spaces_in_its_name() -> None:
    image = Watched().session.kept.kernel
    assert image is not None
    image = dataclasses.replace(image, labels=("my own idea binance-usdm BTCUSDT 1m",))
    assert kept_ticks(image) == {("my own idea", "BTCUSDT"): 0.1}


def test_what_a_store_kept() -> None:
    kept = kept_status_of(full_state(8))
    [first, second] = kept.positions
    assert (first.symbol, second.symbol, first.stop_order_id) == (
        "BTCUSDT",
        "ETHUSDT",
        "t-s1-0-1-8",
    )
    assert (kept.automation, kept.is_paused, kept.orders) == (False, False, 2)
    assert (kept.balance_quote, kept.losses_in_a_row, kept.trades_today) == (10_008.25, 8, 8)
    empty = kept_status_of(SessionState())
    assert (empty.automation, empty.saved_ms, empty.positions) == (None, 0, ())
    odd = dataclasses.replace(full_state(8).active_position[0], target_price=math.nan)
    [told] = kept_status_of(SessionState(active_position=(odd,))).positions
    assert told.target_price is None
    assert Codec(KeptStatus).decode(Codec(KeptStatus).encode(kept)) == kept


# --- answers --------------------------------------------------------------------------------------


def desk_of(scene: Watched) -> ControlDesk:
    """The desk of a session that handles what is submitted at once."""

    async def submit(operation: Operation, origin: str) -> None:
        assert origin == "cli"
        scene.ask(operation)

    return ControlDesk(submit, scene.look, scene.recent)


async def test_the_sessions_own_alerts_are_the_answer() -> None:
    scene = Watched()
    scene.enter()
    desk = desk_of(scene)
    reply = await desk.ask(Request(STATUS, "cli"))
    assert (reply.is_done, reply.text, reply.status) == (True, "", scene.look())
    reply = await desk.ask(Request(Operation.PAUSE, "cli"))
    assert (reply.is_done, reply.text) == (True, "PAUSED asked by test")
    assert reply.status is not None
    assert reply.status.is_paused
    reply = await desk.ask(Request(Operation.RESUME, "cli"))
    assert (reply.is_done, reply.text) == (True, "RESUMED asked by test")


async def test_what_the_session_refuses_is_refused_with_its_reason() -> None:
    scene = Watched()
    desk = desk_of(scene)
    assert (await desk.ask(Request(Operation.KILL, "cli"))).is_done
    scene.wait(2_000)
    reply = await desk.ask(Request(Operation.AUTOMATION_ON, "cli"))
    assert not reply.is_done
    assert reply.text.startswith("REFUSED_OPERATION automation stays off")
    assert (await desk.ask(Request(Operation.REARM, "cli"))).is_done
    reply = await desk.ask(Request(Operation.AUTOMATION_ON, "cli"))
    assert (reply.is_done, reply.text) == (True, "AUTOMATION_ON asked by test")


def test_commands_that_tell_nothing_are_let_through() -> None:
    scene = Watched()
    commands: list[Command] = [each for each in scene.log if type(each).__name__ == "SaveState"]
    told = scene.recent.alerts_told
    for each in commands:
        scene.recent.see(each)
    assert commands
    assert scene.recent.alerts_told == told
