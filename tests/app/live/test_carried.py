"""What a session was kept from by what it carried over is no miss; the same refusal later is."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from tests.app.live.journals import Played, played
from tests.app.live.test_trade_parity import BARS, TOLERANCES, trades_of
from tests.market_data import MINUTE_MS, invented_bars
from tests.parity.busy_streams import RISKED, account_spec, busy

from tercel.app.backtest import AccountSpec
from tercel.app.live.carried import BY_HALT, BY_POSITIONS, CARRIABLE
from tercel.app.live.keeping import fingerprint, labels_of
from tercel.app.live.parity import SessionRecord, decide_again
from tercel.app.live.trade_parity import TradeParity, compare_with_backtest
from tercel.core.codes import SESSION_REFUSALS, ExitReason, Refusal
from tercel.core.records import ACCOUNT, STREAM, TRADE
from tercel.domain.errors import DataError
from tercel.domain.journal import BreakerRow, JournalRow, RefusalRow
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
) -> TradeParity:
    """Parity where the trade `which` was refused instead, with these books at the start.

    `carried_until`: the first trade was carried over, and closed then.
    """
    record = session.record()
    rows = trades_of(session, 0)
    refused = RefusalRow("s1", rows[which].entry_time, 0, rows[which].side, reason.name.lower())
    kept = [row for row in rows if row is not rows[which]]
    if carried_until is not None:
        made = np.frombuffer(bytearray(rows[0].record), TRADE)
        made["entry_time"] = record.inputs[0].time_ms - 60 * MINUTE_MS
        made["exit_time"] = carried_until
        made["exit_reason"], made["net_quote"] = exit_reason, -1.0
        carried = replace(rows[0], record=made.tobytes())
        kept = [carried, *kept]
    tables = {**record.tables, "trade": tuple(kept), "refusal": (refused,), "breaker": breakers}
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


def test_a_position_whose_end_is_not_told_ends_with_the_next_entry(session: Played) -> None:
    why = Refusal.POSITION_OPEN
    check(told(session, why, holds, which=0), kept_out=True, why=why)
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

        check(told(session, why, streak, which=1), kept_out=kept_out, why=why)
    check(told(session, why, which=1), kept_out=False, why=why)


def test_an_image_that_cannot_be_read_is_one_clear_line(session: Played) -> None:
    record = session.record()
    parts = json.loads(record.row.image)
    for streams, match in (("", "it began with 0 streams, and traded 1"), ("AA==", "cannot be re")):
        image = json.dumps({**parts, "streams": streams}).encode()
        damaged = replace(record, row=replace(record.row, image=image))
        with pytest.raises(DataError, match=match):
            compare_with_backtest(damaged, session.plan, TOLERANCES)
