"""The acceptance checks of the fifth source and the rules of behaviour above them, one test each.

What the source says of its own files is read as what it protects: the stores alone speak to their
servers, strategies are pure, positions are never naked, and everything is told once.
"""

from __future__ import annotations

import ast
import dataclasses
from pathlib import Path

import pytest
from structlog.testing import capture_logs
from tests.app.live.scenes import (
    AMBIGUOUS,
    FOR_EVER,
    MINUTE,
    QUIET,
    START,
    Cast,
    Scene,
    ScriptedVenue,
    place_of,
    refused,
    settings,
)
from tests.desk import Ask

import tercel
from tercel.adapters.clock import VirtualClock
from tercel.app.live.alerts import AlertCode
from tercel.app.live.governor import Governor, Priority
from tercel.bootstrap import open_state
from tercel.core.codes import ExitReason, OrderKind, Refusal, Side, Slot
from tercel.core.plan import TradePlan
from tercel.domain.commands import (
    Alert,
    CancelOrder,
    Level,
    PlaceOrder,
    QueryOrder,
    ReadVenue,
)
from tercel.domain.events import Fault, MarketView, Operation
from tercel.domain.journal import EvaluationRow, RefusalRow, SignalRow, TradeRow
from tercel.domain.session_state import SessionState
from tercel.domain.times import DAY_MS, HOUR_MS

ROOT = Path(tercel.__file__).parent
HOLD = Ask(stop=30.0)
"""An entry whose stop is far away."""


def imports_of(path: Path) -> set[str]:
    """Every module that a file imports, whole names."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module or "")
    return found


# --- state ----------------------------------------------------------------------------------------

SOURCE_KEYS = (
    *("automation_enabled", "active_position", "account_balance", "rolling_24h_pnl", "mode"),
    *("daily_trade_count", "daily_trade_date", "consecutive_losses", "cooldown_until"),
    *("funding_rate_cache", "oi_cache", "ls_ratio_cache", "fear_greed_cache"),
    *("onchain_flow_cache", "backtest_validated", "backtest_validated_config_hash"),
    *("ghost_pnl", "ghost_trade_count", "ghost_win_rate"),
)
POSITION_KEYS = (
    *("symbol", "direction", "entry_price", "stop_price", "target_price", "entry_time_utc"),
    *("stop_order_id", "target_order_id"),
)


async def test_read_full_snapshot_populates_every_key_in_the_schema(tmp_path: Path) -> None:
    """ "A full snapshot has every key of the schema; no automation flag means off, with a warning."

    A new store answers with all of them and names what it did not have; the session starts with
    automation off and says AUTOMATION_DEFAULTED_OFF before anything else.
    """
    store = open_state("", tmp_path)
    read = await store.read_full_snapshot()
    await store.close()
    fields = {field.name for field in dataclasses.fields(SessionState)}
    assert set(SOURCE_KEYS) <= fields
    assert set(SOURCE_KEYS) <= set(read.missing)
    scene = Scene(state=read.state, automation_at_start=None)
    assert scene.of(Alert)[0].code == AlertCode.AUTOMATION_DEFAULTED_OFF
    assert scene.of(Alert)[0].level is Level.WARNING
    assert scene.state.automation_enabled is False
    scene.bar(ask=Ask())
    assert scene.placed() == []


async def test_what_a_session_keeps_comes_back_with_every_key(tmp_path: Path) -> None:
    """Every key of the schema holds its value after a write and a read, the position's too."""
    scene = Scene().enter()
    store = open_state("", tmp_path)
    await store.write(scene.state)
    await store.close()
    again = open_state("", tmp_path)
    read = await again.read_full_snapshot()
    await again.close()
    assert read.state == scene.state
    [position] = read.state.active_position
    assert all(hasattr(position, name) for name in POSITION_KEYS)
    assert (position.direction, position.entry_price) == ("long", 100.0)
    assert (position.stop_price, position.target_price) == (90.0, 120.0)
    assert position.stop_order_id == scene.stop_id()
    assert position.target_order_id
    assert position.position_size == 1.0


def test_a_missing_flag_is_told_once_and_a_known_one_not_at_all() -> None:
    """AUTOMATION_DEFAULTED_OFF belongs to a missing flag alone."""
    scene = Scene(state=SessionState(), automation_at_start=None)
    scene.bar()
    assert len(scene.alerts(AlertCode.AUTOMATION_DEFAULTED_OFF)) == 1
    for flag in (True, False):
        known = Scene(state=SessionState(automation_enabled=flag), automation_at_start=None)
        assert known.alerts(AlertCode.AUTOMATION_DEFAULTED_OFF) == []
        assert known.session.parts.flags.automation is flag


STORES = {
    "redis": ("adapters/redis_state/",),
    "sqlite3": ("adapters/sqlite_state/", "adapters/sql_journal/"),
    "sqlalchemy": ("adapters/sql_journal/",),
}


@pytest.mark.parametrize("library", STORES)
def test_no_file_other_than_the_stores_contains_any_redis_call(library: str) -> None:
    """ "One file alone calls Redis; a search through all others finds nothing." SQL likewise."""
    speakers = {
        path.relative_to(ROOT).as_posix()
        for path in ROOT.rglob("*.py")
        if any(name.split(".")[0] == library for name in imports_of(path))
    }
    assert speakers
    assert all(name.startswith(STORES[library]) for name in speakers)
    if library == "redis":
        texts = {
            path.relative_to(ROOT).as_posix()
            for path in ROOT.rglob("*.py")
            if "redis.get(" in (text := path.read_text(encoding="utf-8")) or "redis.set(" in text
        }
        assert all(name.startswith("adapters/redis_state/") for name in texts)


def test_strategies_know_nothing_but_what_they_are_given() -> None:
    """ "ensure_fresh is never called inside the strategy", nor can it reach exchange, feeds, state.

    A strategy's file imports the core alone: freshness is the session's business.
    """
    for path in (ROOT / "core" / "strategies").glob("*.py"):
        for name in imports_of(path):
            assert name.split(".")[0] in {"__future__", "typing", "math", "numpy", "tercel"}
            assert not name.startswith("tercel") or name.startswith("tercel.core")
        assert "ensure_fresh" not in path.read_text(encoding="utf-8")


def test_precision_is_the_venue_boundary_s_business_alone() -> None:
    """ "Every size and price is brought to the venue's precision before it is sent": once, there.

    The session asks for what the core wants, to the last bit of a float; nothing above the
    adapters rounds to a grid.
    """
    scene = Scene(Cast(own={"quantity": 0.123}))
    scene.venue.prices["BTCUSDT"] = 100.037
    scene.enter(Ask(stop=3.3337))
    [stop] = scene.placed(Slot.STOP)
    assert stop.trigger_price == 100.037 - 3.3337
    for layer in ("app/live", "domain"):
        for path in (ROOT / layer).glob("*.py"):
            text = path.read_text(encoding="utf-8")
            assert "quantize(" not in text
            assert "ROUND_HALF" not in text
            assert "to_precision" not in text


# --- evaluation -----------------------------------------------------------------------------------


def test_evaluation_suspended_and_resumed_exactly_once_per_position() -> None:
    """ "EVALUATION_SUSPENDED and _RESUMED are logged once for each position, never per candle." """
    scene = Scene()
    for life in (1, 2):
        scene.enter()
        for _ in range(5):
            scene.bar(ask=Ask())
        assert len(scene.alerts(AlertCode.EVALUATION_SUSPENDED)) == life
        assert len(scene.alerts(AlertCode.EVALUATION_RESUMED)) == life - 1
        scene.venue.trigger(scene.stop_id(), 90.0, now=scene.now)
        scene.settle()
        for _ in range(3):
            scene.bar()
        assert len(scene.alerts(AlertCode.EVALUATION_RESUMED)) == life
    texts = [alert.text for alert in scene.alerts(AlertCode.EVALUATION_SUSPENDED)]
    assert texts == ["BTCUSDT: active_position_open"] * 2


def test_no_false_evaluation_resumed_after_a_restart() -> None:
    """ "The flag is set at the start if a position is kept": the first candle says nothing."""
    again = Scene().enter().restart()
    for _ in range(3):
        again.bar()
    assert again.alerts(AlertCode.EVALUATION_SUSPENDED) == []
    assert again.alerts(AlertCode.EVALUATION_RESUMED) == []
    again.venue.trigger(again.stop_id(), 90.0, now=again.now)
    again.settle()
    assert len(again.alerts(AlertCode.EVALUATION_RESUMED)) == 1


def test_a_restart_after_the_position_closed_meanwhile_resumes_once() -> None:
    """The stop was hit while the session was down: it is booked, and told as resumed once."""
    scene = Scene().enter()
    scene.venue.tells = False
    scene.venue.trigger(scene.stop_id(), 90.0, now=scene.now + 10)
    again = scene.restart()
    again.venue.tells = True
    again.bar()
    again.bar()
    assert len(again.alerts(AlertCode.EVALUATION_RESUMED)) == 1
    assert again.held() == 0.0
    again.check_agreement()


def test_one_position_rule() -> None:
    """ "A position is open: no action", whatever the strategy says."""
    scene = Scene().enter()
    log = scene.bar(ask=Ask(side=Side.SHORT))
    assert scene.placed(log=log) == []
    [row] = scene.rows(EvaluationRow, log)
    assert row.refusal == "position_open"


def test_every_evaluation_is_journaled() -> None:
    """ "Structured record of every evaluation: time, side, scores, decision, reason." """
    scene = Scene()
    scene.bar()
    scene.bar(ask=Ask(side=Side.SHORT, score=70.0))
    scene.bar()
    rows = scene.rows(EvaluationRow)
    assert [row.decision for row in rows] == ["none", "entered", "suspended"]
    assert [row.reason for row in rows] == ["none", "told", "none"]
    assert [row.time_ms for row in rows] == [START + MINUTE * (k + 1) for k in range(3)]
    assert rows[1].score == 70.0
    [signal] = scene.rows(SignalRow)
    assert (signal.side, signal.price) == (Side.SHORT, 100.0)


def test_websocket_stale_skips_evaluation_and_keeps_exits() -> None:
    """ "A stale feed: CRITICAL WEBSOCKET_STALE, and no evaluation." Exits go on."""
    limit_ms = settings().session.fresh_ms_max
    assert limit_ms == 3_000
    late = MarketView(99.99, 100.01, limit_ms + 1)
    scene = Scene()
    log = scene.bar(ask=Ask(), view=late)
    [alert] = scene.alerts(AlertCode.WEBSOCKET_STALE, log)
    assert alert.level is Level.CRITICAL
    assert scene.placed() == []
    [row] = scene.rows(RefusalRow, log)
    assert row.refusal == "stale_data"
    on_time = MarketView(99.99, 100.01, limit_ms)
    log = scene.bar(ask=HOLD, view=on_time)
    assert scene.alerts(AlertCode.WEBSOCKET_STALE, log) == []
    assert scene.held() == 1.0
    scene.bar(ask=Ask(side=Side.NONE, exit_long=True), view=late)
    assert scene.held() == 0.0, "an exit is carried out on a stale bar too"
    scene.check_agreement()


def test_spread_guard() -> None:
    """ "A bid-ask spread above 0.08 % of mid: suppressed." At the limit it is not."""
    scene = Scene()
    wide = MarketView(99.95, 100.05, 100)
    log = scene.bar(ask=Ask(), view=wide)
    [row] = scene.rows(RefusalRow, log)
    assert row.refusal == "wide_spread"
    assert scene.placed() == []
    scene.bar(ask=Ask(), view=MarketView(99.97, 100.03, 100))
    assert scene.held() == 1.0


# --- protection -----------------------------------------------------------------------------------


def test_sl_failure_triggers_immediate_market_close_before_any_other_action() -> None:
    """ "The stop cannot be placed after an entry fill: market-close at once, before anything else."

    The closing order is asked for before the alert, and the stop is tried a bounded number of
    times before.
    """
    scene = Scene()
    scene.venue.script("place", refused(), Slot.STOP, FOR_EVER)
    log = scene.bar(ask=Ask())
    [close] = scene.placed(Slot.CLOSE)
    assert (close.side, close.kind, close.quantity) == (Side.SHORT, OrderKind.MARKET, 1.0)
    assert close.reduce_only
    assert close.reason == ExitReason.UNPROTECTED
    closed = place_of(log, PlaceOrder, slot=Slot.CLOSE)
    told = place_of(log, Alert, code=AlertCode.SL_PLACEMENT_FAILED)
    assert closed < told
    [alert] = scene.alerts(AlertCode.SL_PLACEMENT_FAILED)
    assert alert.level is Level.CRITICAL
    assert len(scene.placed(Slot.STOP)) == settings().session.retries_max + 1
    assert scene.held() == scene.at() == 0.0
    scene.check_agreement()


def test_a_stop_that_nobody_answers_for_closes_in_time() -> None:
    """ "Never an unprotected position under any circumstances": silence is no protection."""
    scene = Scene()
    scene.venue.script("place", None, Slot.STOP, FOR_EVER)
    scene.venue.script("query", AMBIGUOUS, Slot.STOP, FOR_EVER)
    scene.enter()
    limit_ms = settings().session.protect_ms_max
    log = scene.wait(limit_ms)
    [close] = scene.placed(Slot.CLOSE, log)
    assert close.reason == ExitReason.UNPROTECTED
    assert place_of(log, PlaceOrder, slot=Slot.CLOSE) < place_of(
        log, Alert, code=AlertCode.SL_PLACEMENT_FAILED
    )
    assert scene.at() == 0.0


def test_stop_and_target_are_sent_with_the_entry_fill() -> None:
    """ "Stop and target are submitted with the entry": in the answer to its fill, stop first."""
    scene = Scene()
    scene.is_apart = True
    scene.bar(ask=Ask(stop=1.5, target=3.0))
    scene.is_apart = False
    scene.settle()
    slots = [order.slot for order in scene.placed()]
    assert slots == [Slot.ENTRY, Slot.STOP, Slot.TARGET_1]
    _, stop, target = scene.placed()
    assert (stop.trigger_price, target.price) == (98.5, 103.0)
    assert stop.reduce_only
    assert target.reduce_only


@pytest.mark.parametrize("slot", [Slot.STOP, Slot.TARGET_1])
def test_per_candle_integrity_check_replaces_what_is_missing(slot: Slot) -> None:
    """ "At every 1m close with an open position both orders are looked up at the venue; a missing
    one is placed again."
    """
    scene = Scene().enter()
    log = scene.bar()
    assert scene.of(ReadVenue, log), "the venue is asked at each close"
    [order] = scene.venue.resting(slot)
    missing = order.request.client_id
    scene.venue.hidden.add(missing)
    log = scene.bar()
    assert missing in [query.client_id for query in scene.of(QueryOrder, log)]
    log = scene.wait(settings().session.unknown_ms_max + 2_000)
    [again] = scene.placed(slot, log)
    assert again.client_id != missing
    assert (again.quantity, again.side) == (1.0, Side.SHORT)
    told = [alert.level for alert in scene.alerts(AlertCode.STOP_ORDER_MISSING, log)]
    assert told == ([Level.CRITICAL] if slot is Slot.STOP else [])
    assert scene.held() == 1.0
    assert [each.request.client_id for each in scene.venue.resting(slot)] == [again.client_id]


def test_a_flat_session_asks_nothing_at_a_close() -> None:
    """The integrity check is for open positions: a flat session leaves the venue alone."""
    scene = Scene()
    assert scene.of(ReadVenue, scene.bar()) == []


@pytest.mark.parametrize("tells", [True, False])
def test_a_stop_cancelled_by_somebody_else_is_placed_again_and_told(tells: bool) -> None:
    """A stop that the venue says is cancelled, though nobody here asked: the same as missing."""
    scene = Scene().enter()
    gone = scene.stop_id()
    scene.venue.lose(gone, tells=tells)
    scene.settle()
    if not tells:
        scene.bar()
    [stop, again] = scene.placed(Slot.STOP)
    assert stop.client_id == gone
    assert again.trigger_price == stop.trigger_price
    assert len(scene.alerts(AlertCode.STOP_ORDER_MISSING)) == 1
    scene.check_agreement()


def test_stop_order_missing_and_not_replaceable_closes() -> None:
    """ "If re-placement fails: market-close, and CRITICAL STOP_ORDER_MISSING." """
    scene = Scene().enter()
    scene.venue.script("place", refused(), Slot.STOP, FOR_EVER)
    scene.venue.lose(scene.stop_id(), tells=True)
    scene.settle()
    assert scene.alerts(AlertCode.STOP_ORDER_MISSING)
    assert len(scene.placed(Slot.CLOSE)) == 1
    assert scene.held() == scene.at() == 0.0
    scene.check_agreement()


@pytest.mark.parametrize("slot", [Slot.STOP, Slot.TARGET_1])
def test_unprotected_position_on_startup_is_closed_first(slot: Slot) -> None:
    """ "A kept position whose stop or target is gone at the venue: UNPROTECTED_POSITION_ON_STARTUP
    and a market-close, before the strategy loop starts."
    """
    scene = Scene().enter()
    [order] = scene.venue.resting(slot)
    scene.venue.lose(order.request.client_id, tells=False)
    again = scene.restart()
    [alert] = again.alerts(AlertCode.UNPROTECTED_POSITION_ON_STARTUP)
    assert alert.level is Level.CRITICAL
    [close] = again.placed(Slot.CLOSE)
    assert close.reason == ExitReason.UNPROTECTED
    closed = place_of(again.log, PlaceOrder, slot=Slot.CLOSE)
    assert closed < place_of(again.log, Alert, code=AlertCode.UNPROTECTED_POSITION_ON_STARTUP)
    assert again.script.seen == [], "no bar was evaluated before"
    assert again.at() == again.held() == 0.0
    again.check_agreement()
    assert again.venue.resting() == []


def test_a_kept_position_with_its_orders_is_kept() -> None:
    """Both ids are still open at the venue: nothing is closed and nothing placed again."""
    again = Scene().enter().restart()
    assert again.placed() == []
    assert again.alerts(AlertCode.UNPROTECTED_POSITION_ON_STARTUP) == []
    assert again.held() == again.at() == 1.0
    again.check_agreement()


def test_nothing_is_evaluated_before_the_venue_was_asked() -> None:
    """ "The venue is queried before the strategy loop starts": bars before are only watched."""
    scene = Scene(begin=False)
    log = scene.bar(ask=Ask())
    assert scene.rows(EvaluationRow, log) == []
    assert scene.placed() == []
    scene.tick(10)
    scene.bar(ask=Ask())
    assert scene.held() == 1.0


# --- breakers -------------------------------------------------------------------------------------


def stopped_out(scene: Scene) -> None:
    """A losing trade of one minute."""
    scene.enter()
    scene.venue.trigger(scene.stop_id(), 90.0, now=scene.now + 500)
    scene.now += 500
    scene.settle()


def test_kill_switch_cancels_closes_and_switches_automation_off() -> None:
    """ "24 hours down by more than 2 % of the balance: cancel all orders, close all positions,
    automation off, halt, CRITICAL CIRCUIT_BREAKER_TRIGGERED."
    """
    cast = Cast(
        ("BTCUSDT", "ETHUSDT"),
        (0, 1),
        limits={"loss_24h_fraction_max": 0.02},
        own={"quantity": 5.0},
    )
    scene = Scene(cast)
    scene.bar(ask={0: HOLD, 1: HOLD})
    assert (scene.held(0), scene.held(1)) == (5.0, 5.0)
    scene.venue.prices = {"BTCUSDT": 80.5, "ETHUSDT": 80.5}
    scene.bar(80.5)
    assert scene.alerts(AlertCode.CIRCUIT_BREAKER_TRIGGERED) == []
    scene.venue.prices = {"BTCUSDT": 79.0, "ETHUSDT": 79.0}
    log = scene.bar(79.0)
    [alert] = scene.alerts(AlertCode.CIRCUIT_BREAKER_TRIGGERED, log)
    assert alert.level is Level.CRITICAL
    closes = scene.placed(Slot.CLOSE, log)
    assert [order.reason for order in closes] == [ExitReason.KILL_SWITCH] * 2
    assert (scene.at("BTCUSDT"), scene.at("ETHUSDT")) == (0.0, 0.0)
    assert len(scene.of(CancelOrder, log)) == 4
    assert scene.venue.resting() == []
    assert scene.state.automation_enabled is False
    assert scene.state.rolling_24h_pnl == pytest.approx(-0.02 * 10_000, rel=0.1)
    scene.check_agreement()
    scene.bar(ask={0: HOLD, 1: HOLD})
    scene.ask(Operation.AUTOMATION_ON)
    assert scene.state.automation_enabled is False
    assert len(scene.alerts(AlertCode.REFUSED_OPERATION)) == 1
    scene.bar(ask={0: HOLD, 1: HOLD})
    assert scene.at("BTCUSDT") == 0.0


def test_rolling_24h_pnl_is_kept_whether_its_kill_switch_is_on_or_not() -> None:
    """ "rolling_24h_pnl" is a key of the state of its own."""
    for limits in ({}, {"loss_24h_fraction_max": 0.5}):
        scene = Scene(Cast(limits=limits)).enter()
        assert scene.state.rolling_24h_pnl == pytest.approx(0.0, abs=0.1)
        stopped_out(Scene(Cast(limits=limits)))
        scene.venue.trigger(scene.stop_id(), 90.0, now=scene.now)
        scene.settle()
        scene.bar()
        assert scene.state.rolling_24h_pnl == pytest.approx(scene.cash_quote - 10_000.0)


def test_daily_limit_counts_by_the_venue_s_day() -> None:
    """ "Ten trades a UTC day of the venue; a new date counts from nothing." """
    begin = START + DAY_MS - 4 * MINUTE
    scene = Scene(Cast(pace={"daily_trades_max": 2}), now=begin)
    for trade in (1, 2):
        stopped_out(scene)
        assert scene.state.daily_trade_count == trade
    log = scene.bar(ask=Ask())
    assert scene.session.parts.stream(0).refusals[Refusal.DAILY_TRADES] == 1
    assert [row.refusal for row in scene.rows(RefusalRow, log)] == ["daily_trades"]
    assert scene.state.daily_trade_date == "2024-01-01"
    log = scene.bar(ask=Ask())
    assert scene.minute == START + DAY_MS
    assert scene.held() == 1.0, "this bar closes at midnight: the new day has begun"
    assert scene.state.daily_trade_date == "2024-01-02"
    assert scene.state.daily_trade_count == 1


def test_cooldown_after_three_losses_on_venue_time() -> None:
    """ "Three losses in a row: 45 minutes without entries; a winning close resets the count." """
    pause_ms = 45 * MINUTE
    scene = Scene(Cast(pace={"loss_streak_max": 3, "loss_streak_pause_ms": pause_ms}))
    for losses in (1, 2):
        stopped_out(scene)
        assert scene.state.consecutive_losses == losses
    scene.enter()
    [target] = scene.venue.resting(Slot.TARGET_1)
    scene.venue.fill(target.request.client_id, 120.0, now=scene.now)
    scene.settle()
    assert scene.state.consecutive_losses == 0
    assert scene.state.cooldown_until == 0
    for _ in range(3):
        stopped_out(scene)
    closed_ms = scene.now
    assert scene.state.consecutive_losses == 3
    # Told to the close: no bar closes between the two.
    closes = scene.minute + MINUTE
    assert scene.minute < closed_ms < closes
    assert scene.state.cooldown_until == closes + pause_ms
    while scene.minute + MINUTE < closed_ms + pause_ms:
        scene.bar(ask=Ask())
        assert scene.held() == 0.0
    assert {row.refusal for row in scene.rows(RefusalRow)} == {"loss_streak"}
    scene.bar(ask=Ask())
    assert scene.held() == 1.0


def test_max_hold_time() -> None:
    """ "A position older than 90 minutes of the venue's time is closed at market." """
    scene = Scene(Cast(plan=TradePlan(hold_minutes_max=90.0)))
    scene.enter(HOLD)
    entered_ms = int(scene.session.parts.stream(0).position.entry_time)
    while scene.minute + MINUTE - entered_ms < 90 * MINUTE:
        scene.bar()
        assert scene.held() == 1.0
    scene.bar()
    assert scene.held() == scene.at() == 0.0
    [trade] = scene.rows(TradeRow)
    assert trade.exit_reason == "time"
    assert trade.exit_time - trade.entry_time >= 90 * MINUTE


# --- ghost ----------------------------------------------------------------------------------------


def ghost_trade(scene: Scene, out: float = 120.0) -> None:
    """The ghost enters at 100 and leaves at `out` by signal."""
    scene.bar(100.0, ask=HOLD, view=None)
    scene.bar(out, ask=Ask(side=Side.NONE, exit_long=True), view=None)


def test_ghost_mode_places_nothing_and_keeps_its_figures() -> None:
    """ "Automation off: no order at all; fills at mid with 0.04 %, and three figures kept." """
    scene = Scene(automation_at_start=False)
    ghost_trade(scene)
    assert scene.placed() == []
    assert scene.venue.fills == []
    state = scene.state
    assert (state.ghost_trade_count, state.ghost_win_rate) == (1, 1.0)
    assert state.ghost_pnl == pytest.approx(20.0 - 0.0004 * (100.0 + 120.0))
    ghost_trade(scene, 95.0)
    assert scene.state.ghost_trade_count == 2
    assert scene.state.ghost_win_rate == 0.5
    assert [row.desk for row in scene.rows(TradeRow)] == ["ghost", "ghost"]
    assert {row.refusal for row in scene.rows(RefusalRow)} == {"automation_off"}


def test_the_ghost_begins_with_the_bar_after_the_one_that_switched_automation_off() -> None:
    """The close at which a breaker stops the account was the session's own."""
    scene = Scene(Cast(limits={"loss_24h_fraction_max": 0.02}, own={"quantity": 10.0}))
    scene.bar(ask=HOLD)
    scene.venue.prices = {"BTCUSDT": 79.0}
    scene.bar(79.0, ask=HOLD)
    assert scene.state.automation_enabled is False
    scene.bar(90.0, ask=Ask(side=Side.NONE, exit_long=True))
    assert scene.state.ghost_trade_count == 0
    ghost_trade(scene)
    assert scene.state.ghost_trade_count == 1


def test_the_ghost_fills_at_the_mid() -> None:
    """ "Fill at mid-price": of the quotes at the close, not at the last price."""
    scene = Scene(automation_at_start=False)
    scene.bar(100.0, ask=HOLD, view=MarketView(101.0, 101.02, 100))
    scene.bar(100.0, ask=Ask(side=Side.NONE, exit_long=True), view=MarketView(103.0, 103.02, 100))
    assert scene.state.ghost_pnl == pytest.approx(2.0 - 0.0004 * (101.01 + 103.01))


def test_the_ghost_s_size_comes_from_the_balance_at_the_start() -> None:
    """ "The ghost's base balance is read once at the start and never updated." """
    by_risk = {"mode": 0, "risk_fraction": 0.01, "notional_max": 0.0}
    scene = Scene(Cast(own=by_risk), automation_at_start=False)
    sizes = []
    for out in (150.0, 150.0, 60.0, 150.0):
        ghost_trade(scene, out)
        sizes.append(scene.rows(TradeRow)[-1].quantity)
    assert len(set(sizes)) == 1


def test_automation_off_to_on_resets_all_three_ghost_figures() -> None:
    """ "Off to on: ghost profit, count and win rate are 0 before anything is evaluated." """
    scene = Scene(automation_at_start=False)
    ghost_trade(scene)
    assert scene.state.ghost_trade_count == 1
    log = scene.ask(Operation.AUTOMATION_ON)
    state = scene.state
    assert (state.ghost_pnl, state.ghost_trade_count, state.ghost_win_rate) == (0.0, 0, 0.0)
    assert state.automation_enabled is True
    assert scene.alerts(AlertCode.AUTOMATION_ON, log)
    scene.enter()
    scene.check_agreement()


@pytest.mark.parametrize("operation", [Operation.AUTOMATION_OFF, Operation.PAUSE, Operation.RESUME])
def test_nothing_else_resets_the_ghost(operation: Operation) -> None:
    """Off to off, pausing and resuming leave the figures alone; so does on to on."""
    scene = Scene(automation_at_start=False)
    ghost_trade(scene)
    scene.ask(operation)
    assert scene.state.ghost_trade_count == 1
    scene.ask(Operation.AUTOMATION_ON)
    ghost_figures = scene.session.beside
    ghost_figures.ghost_trades = 5
    scene.ask(Operation.AUTOMATION_ON)
    assert scene.state.ghost_trade_count == 5


def test_the_ghost_figures_outlive_a_restart_while_automation_is_off() -> None:
    """The three figures are kept in the state: a restart goes on with them."""
    scene = Scene(automation_at_start=False)
    ghost_trade(scene)
    again = Scene(state=scene.state, automation_at_start=None, now=scene.now)
    again.bar()
    ghost_trade(again, 95.0)
    assert again.state.ghost_trade_count == 2
    assert again.state.ghost_win_rate == 0.5
    assert again.state.ghost_pnl == pytest.approx(15.0 - 0.0004 * (100.0 + 120.0 + 100.0 + 95.0))


# --- venue time -----------------------------------------------------------------------------------


def test_everything_kept_and_journaled_is_dated_by_the_events() -> None:
    """ "All times in logs and state are the venue's": a session has no clock of its own.

    It takes the time of each event, which the runner stamps by the venue's clock.
    """
    far = START + 1_000 * DAY_MS + 7 * HOUR_MS
    scene = Scene(now=far).enter()
    state = scene.state
    assert far <= state.saved_ms <= scene.now
    [position] = state.active_position
    assert far <= position.entry_time_utc <= scene.now
    assert state.daily_trade_date == "2026-09-27"
    for row in scene.rows(EvaluationRow):
        assert far <= row.time_ms <= scene.now
    for path in (ROOT / "app" / "live").glob("*.py"):
        if path.name != "latency.py":  # measures how long something takes, and dates nothing
            assert not {"time", "datetime"} & {name.split(".")[0] for name in imports_of(path)}


# --- small print ----------------------------------------------------------------------------------


def test_a_stop_that_would_trigger_at_once_is_the_stop() -> None:
    """Price is beyond the stop before it rests: the position is closed as stopped, at once."""
    scene = Scene()
    scene.venue.script("place", refused(Fault.WOULD_TRIGGER, -2021), Slot.STOP)
    scene.bar(ask=Ask())
    [close] = scene.placed(Slot.CLOSE)
    assert close.reason == ExitReason.STOP
    assert scene.at() == 0.0
    scene.check_agreement()


def test_a_new_venue_account_is_what_there_is() -> None:
    """ "account_balance" at the first start is the venue's wallet."""
    scene = Scene(venue=ScriptedVenue(1_234.5))
    assert scene.state.account_balance == 1_234.5
    scene.bar(view=QUIET)
    assert scene.cash_quote == 1_234.5


# --- checks whose own tests live elsewhere --------------------------------------------------------


async def test_the_token_bucket_names_its_caller_at_every_throttle() -> None:
    """ "A throttle logs a warning with the name of the calling function": more of it in
    test_governor.py.
    """
    clock = VirtualClock(START)
    turns = Governor(settings().governor, clock)
    limit = settings().governor.calls_max
    assert (limit, settings().governor.window_seconds) == (10, 10.0)
    with capture_logs() as logs:
        for _ in range(limit):
            await turns.turn("create_order", priority=Priority.ORDER)
        assert logs == []
        await turns.turn("fetch_order", priority=Priority.ORDER)
    assert [(each["log_level"], each["caller"]) for each in logs] == [("warning", "fetch_order")]


def test_a_validation_day_above_eight_trades_fails() -> None:
    """ "More than 8 trades on a validated day: exit 1, nothing written": eight is what ships, and
    the command's exit code is test_too_many_trades_write_nothing of test_gates_cli.py.
    """
    assert settings().validation.trades_max == 8
    gates = Path(__file__).parents[2] / "entry" / "test_gates_cli.py"
    assert "def test_too_many_trades_write_nothing" in gates.read_text(encoding="utf-8")
