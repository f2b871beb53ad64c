"""What a session was kept from by what it carried over is no miss; the same refusal later is."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from tests.app.live.journals import MOMENT, Played, played, record_of
from tests.app.live.scenes import Cast, Scene, settings
from tests.app.live.test_trade_parity import BARS, TOLERANCES, trades_of
from tests.desk import Ask
from tests.market_data import MINUTE_MS, invented_bars
from tests.parity.busy_streams import RISKED, account_spec, busy

from tercel.app.backtest import AccountSpec
from tercel.app.live.carried import BY_HALT, BY_POSITIONS, CARRIABLE, Carried
from tercel.app.live.keeping import fingerprint, labels_of
from tercel.app.live.parity import SessionRecord, decide_again
from tercel.app.live.session_row import session_row
from tercel.app.live.trade_parity import TradeParity, compare_with_backtest
from tercel.core.codes import SESSION_REFUSALS, ExitReason, OrderStatus, Refusal, Slot
from tercel.core.plan import TradePlan
from tercel.core.records import ACCOUNT, STREAM, TRADE
from tercel.domain.commands import WriteJournal
from tercel.domain.errors import DataError
from tercel.domain.events import BarsClosed
from tercel.domain.journal import (
    BreakerRow,
    EvaluationRow,
    JournalRow,
    RefusalRow,
    SessionRow,
    SignalRow,
    TradeRow,
)
from tercel.domain.session_state import KernelImage, SessionState

PAUSE_MS = 30 * MINUTE_MS
ACCOUNT_SPEC = account_spec(
    1e6,
    loss_streak_max=50,
    loss_streak_pause_ms=PAUSE_MS,
    revenge_pause_ms=1,
    daily_trades_max=400,
    hourly_signals_max=400,
)
Books = Callable[[Any, Any], None]
"""Changes the account and the streams that a session begins with."""


def play(account: AccountSpec = ACCOUNT_SPEC, state: SessionState | None = None) -> Played:
    return played([busy(0, "three_r", invented_bars(BARS, seed=3), **RISKED)], account, state=state)


@pytest.fixture(scope="module")
def session() -> Played:
    return play()


def books(image: bytes, change: Books) -> dict[str, Any]:
    """The parts of an image, with its books changed."""
    parts: dict[str, Any] = json.loads(image)
    account = np.frombuffer(bytearray(base64.b64decode(parts["account"])), ACCOUNT)
    streams = np.frombuffer(bytearray(base64.b64decode(parts["streams"])), STREAM)
    change(account[0], streams[0])
    for name, made in (("account", account), ("streams", streams)):
        parts[name] = base64.b64encode(made.tobytes()).decode()
    return parts


def restarted(session: Played, change: Books, account: AccountSpec = ACCOUNT_SPEC) -> Played:
    """The same bars, by a session that goes on from a kept state with these books."""
    parts = books(session.first.image, change)
    kernel = KernelImage(
        fingerprint(),
        labels_of(session.plan),
        base64.b64decode(parts["account"]),
        base64.b64decode(parts["streams"]),
        b"",
    )
    return play(account, SessionState(automation_enabled=True, kernel=kernel))


def told(
    session: Played,
    reason: Refusal,
    change: Books = lambda account, stream: None,
    *,
    which: int,
    carried_until: int | None = None,
    exit_reason: ExitReason = ExitReason.STOP,
    breakers: tuple[JournalRow, ...] = (),
    every_signal: bool = False,
) -> TradeParity:
    """Parity where the trade `which` was refused instead, with these books at the start.

    `carried_until`: the first trade was carried over, and closed then. `every_signal`: and so was
    every signal until the next trade began, as while something lasts.
    """
    record = session.record()
    rows = trades_of(session, 0)
    begun, next_ms = rows[which].entry_time, rows[which + 1].entry_time
    signals = [row for row in record.tables["signal"] if isinstance(row, SignalRow)]
    refused = tuple(
        RefusalRow("s1", row.time_ms, 0, row.side, reason.name.lower())
        for row in signals
        if begun <= row.time_ms < (next_ms if every_signal else begun + 1)
    )
    kept = [row for row in rows if row is not rows[which]]
    if carried_until is not None:
        made = np.frombuffer(bytearray(rows[0].record), TRADE)
        made["entry_time"] = record.inputs[0].time_ms - 60 * MINUTE_MS
        made["exit_time"] = carried_until
        made["exit_reason"], made["net_quote"] = exit_reason, -1.0
        carried = replace(rows[0], record=made.tobytes())
        kept = [carried, *kept]
    decided = tuple(
        row
        for row in record.tables["evaluation"]
        if not (isinstance(row, EvaluationRow) and row.time_ms == rows[which].entry_time)
    )
    tables = {
        **record.tables,
        "trade": tuple(kept),
        "evaluation": decided,
        "refusal": refused,
        "breaker": breakers,
    }
    image = json.dumps(books(record.row.image, change)).encode()
    changed: SessionRecord = replace(record, row=replace(record.row, image=image), tables=tables)
    return compare_with_backtest(changed, session.plan, TOLERANCES)


def holds(account: Any, stream: Any) -> None:
    stream["position"]["quantity"] = 1.0


def check(found: TradeParity, *, kept_out: bool, why: Refusal) -> None:
    [made] = [each for each in found.trades if each.session_quote is None]
    assert made.why == why.name.lower()
    assert made.is_kept_out is kept_out
    assert made.backtest_quote is not None
    assert set(made.quote) == {"carried" if kept_out else "missed"}
    assert found.kept_out == kept_out
    assert found.is_within is kept_out
    assert (found.missed_fraction > 0.0) is not kept_out


@pytest.mark.parametrize("why", [Refusal.POSITION_OPEN, Refusal.SYMBOL_TAKEN, *BY_POSITIONS])
def test_a_carried_position_until_it_is_closed(session: Played, why: Refusal) -> None:
    entry = trades_of(session, 0)[2].entry_time
    for closed, kept_out in ((entry + 1, True), (entry, False)):
        found = told(session, why, holds, which=2, carried_until=closed)
        assert found.carried == 1
        check(found, kept_out=kept_out, why=why)
    check(told(session, why, which=2), kept_out=False, why=why)


@pytest.mark.parametrize("reason", [ExitReason.SIGNAL, ExitReason.TIME])
def test_what_is_closed_at_a_close_is_open_to_its_signal(
    session: Played, reason: ExitReason
) -> None:
    """The position is told to leave, then the signal is answered: at the next close it is gone."""
    entry, why = trades_of(session, 0)[2].entry_time, Refusal.POSITION_OPEN
    for closed, kept_out in ((entry, True), (entry - MINUTE_MS, False)):
        found = told(session, why, holds, which=2, carried_until=closed, exit_reason=reason)
        check(found, kept_out=kept_out, why=why)


def test_a_trade_that_was_open_at_the_start_is_carried_whatever_its_entry_counts_as(
    session: Played,
) -> None:
    """A limit that filled in the bar that the session began in counts at the end of that bar."""
    first = trades_of(session, 0)[0]

    def held(account: Any, stream: Any) -> None:
        stream["position"]["quantity"] = 1.0
        stream["position"]["entry_time"] = first.entry_time

    record = session.record()
    image = json.dumps(books(record.row.image, held)).encode()
    found = compare_with_backtest(
        replace(record, row=replace(record.row, image=image)), session.plan, TOLERANCES
    )
    assert found.carried == 1
    assert found.matched == len(trades_of(session, 0)) - 1
    [alone] = [each for each in found.trades if not each.is_matched]
    assert (alone.session_quote, alone.entry_time) == (None, first.entry_time)


def missing_decision(record: SessionRecord, entered: int) -> SessionRecord:
    """The record of a session that was not there yet when the trade of that close was decided."""
    rows = record.tables["evaluation"]
    kept = tuple(r for r in rows if not (isinstance(r, EvaluationRow) and r.time_ms <= entered))
    assert len(kept) < len(rows)
    return replace(record, tables={**record.tables, "evaluation": kept})


def waits(account: Any, stream: Any) -> None:
    stream["orders"]["status"][Slot.ENTRY] = OrderStatus.RESTING


def test_what_comes_of_an_entry_that_waited_at_the_start_is_carried(session: Played) -> None:
    """It fills when the session has long begun, and keeps it out as any carried position."""
    first, second = trades_of(session, 0)[:2]
    record = missing_decision(session.record(), first.entry_time)
    image = json.dumps(books(record.row.image, waits)).encode()
    record = replace(record, row=replace(record.row, image=image))
    found = compare_with_backtest(record, session.plan, TOLERANCES)
    assert found.carried == 1
    assert found.matched == len(trades_of(session, 0)) - 1
    made = np.frombuffer(b"".join(row.record for row in trades_of(session, 0)), TRADE)
    carried = Carried(record, session.plan, made, record.inputs[0].time_ms)
    left = int(made["exit_time"][0])
    for time, kept_out in ((left - 1, True), (left, False), (second.entry_time, False)):
        row = RefusalRow("s1", time, 0, 1, Refusal.POSITION_OPEN.name.lower())
        assert carried.kept_out(row) is kept_out


def test_an_entry_that_waited_and_never_filled_keeps_out_until_the_next(session: Played) -> None:
    first, why = trades_of(session, 0)[0], Refusal.POSITION_OPEN
    record = session.record()
    image = json.dumps(books(record.row.image, waits)).encode()
    made = np.frombuffer(b"".join(row.record for row in trades_of(session, 0)), TRADE)
    begun = replace(record, row=replace(record.row, image=image))
    for start, is_carried in ((begun, True), (record, False)):
        carried = Carried(start, session.plan, made, record.inputs[0].time_ms)
        assert len(carried.own) == len(made)
        for time, kept_out in ((first.entry_time - 1, is_carried), (first.entry_time, False)):
            assert carried.kept_out(RefusalRow("s1", time, 0, 1, why.name.lower())) is kept_out


LIMIT = Cast(plan=TradePlan(legs=((2.0, 1.0),), entry="limit", entry_wait_bars=5))


def begun_again(scene: Scene, **rules: Any) -> tuple[Scene, SessionRow]:
    """Another process goes on; the row of its session."""
    again = scene.restart(begin=False, **rules)
    row = session_row(again.session, settings(), MOMENT)
    again.tick(1)
    return again, row


def carried_by(scene: Scene, row: SessionRow) -> tuple[Carried, Any]:
    """What a session carried, and the trades that it made."""
    rows = [row, *(each for command in scene.of(WriteJournal) for each in command.rows)]
    record = record_of(rows)
    data = b"".join(each.record for each in scene.rows(TradeRow))
    made = np.frombuffer(data, TRADE)
    [first, *_] = [each.time_ms for each in record.inputs if each.kind == BarsClosed.__name__]
    return Carried(record, scene.plan, made, first // MINUTE_MS * MINUTE_MS - MINUTE_MS), made


def leave_and_enter(scene: Scene) -> None:
    """The position is closed; then the session makes a trade of its own."""
    scene.now = scene.minute + 40_000
    for turn in range(2):
        scene.venue.trigger(scene.stop_id(), 90.0, now=scene.now)
        scene.settle()
        assert scene.held() == 0.0
        if turn == 0:
            scene.bar()
            scene.bar(ask=Ask())
            fill_waiting(scene)


def fill_waiting(scene: Scene) -> None:
    [entry] = scene.venue.resting(Slot.ENTRY)
    scene.now = scene.minute + 20_000
    scene.venue.fill(entry.request.client_id, 100.0, now=scene.now)
    scene.settle()
    assert scene.held() == 1.0


def check_carried(scene: Scene, row: SessionRow) -> None:
    """Of both trades the first; it kept the session out until it was over, and no longer."""
    carried, made = carried_by(scene, row)
    assert len(made) == 2
    assert carried.own["entry_time"].tolist() == made["entry_time"][1:].tolist()
    left = int(made["exit_time"][0])
    for time, kept_out in ((left - 1, True), (left, False)):
        refused = RefusalRow("s2", time, 0, 1, Refusal.POSITION_OPEN.name.lower())
        assert carried.kept_out(refused) is kept_out


def test_a_limit_that_a_restarted_session_found_waiting() -> None:
    scene = Scene(LIMIT)
    scene.bar(ask=Ask())
    again, row = begun_again(scene)
    again.bar()
    fill_waiting(again)
    leave_and_enter(again)
    check_carried(again, row)


def test_a_limit_that_filled_while_the_session_was_down() -> None:
    scene = Scene(LIMIT)
    scene.bar(ask=Ask())
    scene.venue.tells = False
    [entry] = scene.venue.resting(Slot.ENTRY)
    scene.now = scene.minute + 20_000
    scene.venue.fill(entry.request.client_id, 100.0, now=scene.now)
    scene.venue.tells = True
    again, row = begun_again(scene, on_unprotected="protect")
    assert again.held() == 1.0
    leave_and_enter(again)
    check_carried(again, row)


def adopted() -> tuple[Scene, SessionRow]:
    """A session that found a position at the venue and took it for its own; its row."""
    scene = Scene(LIMIT)
    scene.bar()
    scene.venue.outside("BTCUSDT", 1, 1.0, now=scene.now)
    return begun_again(scene, on_unknown_position="adopt")


def test_an_adopted_position_of_a_plan_that_waits() -> None:
    """Also where the bar that it was adopted in is not the first that was acted on."""
    again, row = adopted()
    assert again.held() == 1.0
    again.bar()
    leave_and_enter(again)
    check_carried(again, row)


def test_an_adopted_position_that_is_open_still_keeps_out() -> None:
    again, row = adopted()
    again.bar(ask=Ask())
    carried, made = carried_by(again, row)
    assert len(made) == 0
    [refused] = again.rows(RefusalRow)
    assert refused.refusal == "position_open"
    assert carried.kept_out(refused)


def test_a_position_whose_end_is_not_told_ends_with_the_next_entry(session: Played) -> None:
    why = Refusal.POSITION_OPEN
    check(told(session, why, holds, which=0, every_signal=True), kept_out=True, why=why)
    check(told(session, why, holds, which=2), kept_out=False, why=why)


def test_what_the_session_alone_refuses_is_never_carried(session: Played) -> None:
    assert set(SESSION_REFUSALS) & set(CARRIABLE) == {Refusal.SYMBOL_TAKEN}
    check(told(session, Refusal.STALE_DATA, holds, which=0), kept_out=False, why=Refusal.STALE_DATA)


@pytest.mark.parametrize("why", BY_HALT)
def test_a_stopped_account_until_it_goes_on(session: Played, why: Refusal) -> None:
    def halted(account: Any, stream: Any) -> None:
        account["halted"] = why

    entry = trades_of(session, 0)[2].entry_time
    check(told(session, why, halted, which=2), kept_out=True, why=why)
    check(told(session, why, which=2), kept_out=False, why=why)
    resumed = BreakerRow("s1", entry - 1, why.name.lower(), "resumed")
    check(told(session, why, halted, which=2, breakers=(resumed,)), kept_out=False, why=why)


def test_entries_of_the_day_and_of_the_hour(session: Played) -> None:
    entry = trades_of(session, 0)[2].entry_time

    def counted(account: Any, stream: Any, ago_ms: int = 0) -> None:
        state = account["pace_state"]
        state["day"], state["trades_today"] = (entry - ago_ms) // 86_400_000, 3
        state["entry_times"][0], state["entries"] = entry - ago_ms, 1

    def long_ago(account: Any, stream: Any) -> None:
        counted(account, stream, 86_400_000)

    for why in (Refusal.DAILY_TRADES, Refusal.HOURLY_SIGNALS):
        check(told(session, why, counted, which=2), kept_out=True, why=why)
        check(told(session, why, long_ago, which=2), kept_out=False, why=why)


def test_a_losing_stop_of_a_carried_position() -> None:
    """For as long as the pause after it."""
    spec = account_spec(1e6, revenge_pause_ms=MINUTE_MS)
    session = play(spec)
    why, entry = Refusal.REVENGE, trades_of(session, 0)[2].entry_time
    near = told(session, why, holds, which=2, carried_until=entry - 1)
    check(near, kept_out=True, why=why)
    far = told(session, why, holds, which=2, carried_until=entry - MINUTE_MS)
    check(far, kept_out=False, why=why)


@pytest.mark.parametrize("why", [Refusal.LOSS_STREAK, Refusal.REVENGE])
def test_a_session_that_goes_on_in_a_cool_down(session: Played, why: Refusal) -> None:
    """Played, not written by hand: it refuses for as long as the pause lasts, then trades."""
    start = session.record().inputs[0].time_ms
    spec = account_spec(
        1e6, loss_streak_max=50, loss_streak_pause_ms=PAUSE_MS, revenge_pause_ms=PAUSE_MS
    )

    def cooling(account: Any, stream: Any) -> None:
        if why == Refusal.LOSS_STREAK:
            account["pace_state"]["pause_until"] = start + PAUSE_MS
        else:
            account["stop_times"][0] = start

    of = spec if why == Refusal.REVENGE else ACCOUNT_SPEC
    went_on = restarted(session, cooling, of)
    record = went_on.record()
    assert decide_again(record, went_on.plan).is_equal
    found = compare_with_backtest(record, went_on.plan, TOLERANCES)
    kept = [each for each in found.trades if each.is_kept_out]
    assert kept
    assert {each.why for each in kept} == {why.name.lower()}
    assert all(each.entry_time < start + PAUSE_MS for each in kept)
    assert found.kept_out == len(kept)
    # What follows is in both: the backtest is not kept out of it by trades that it alone made.
    assert found.missed_fraction == 0.0
    assert found.matched == len(found.trades) - len(kept) > 0
    assert found.is_within
    flat = compare_with_backtest(
        replace(record, row=replace(record.row, image=session.first.image)),
        went_on.plan,
        TOLERANCES,
    )
    assert flat.kept_out == 0
    assert flat.missed_fraction > found.missed_fraction


def test_a_pause_that_its_own_losses_made_is_its_own(session: Played) -> None:
    """A carried streak makes one loss a pause; where its own loss alone makes it, it is its own."""
    why = Refusal.LOSS_STREAK
    assert trades_of(session, 0)[0].net_quote < 0.0
    for most, kept_out in ((2, True), (1, False)):

        def streak(account: Any, stream: Any, most: int = most) -> None:
            account["pace"]["loss_streak_max"] = most
            account["pace"]["loss_streak_pause_ms"] = 4 * PAUSE_MS
            account["pace_state"]["losses"] = 1

        found = told(session, why, streak, which=1, every_signal=True)
        check(found, kept_out=kept_out, why=why)
    check(told(session, why, which=1), kept_out=False, why=why)


def test_an_image_that_cannot_be_read_is_one_clear_line(session: Played) -> None:
    record = session.record()
    parts = json.loads(record.row.image)
    for streams, match in (("", "it began with 0 streams, and traded 1"), ("AA==", "cannot be re")):
        image = json.dumps({**parts, "streams": streams}).encode()
        damaged = replace(record, row=replace(record.row, image=image))
        with pytest.raises(DataError, match=match):
            compare_with_backtest(damaged, session.plan, TOLERANCES)
