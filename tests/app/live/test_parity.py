"""A journaled session decided again: equal to the last field, and every difference is found."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.app.live.journals import Played, Watched, played
from tests.market_data import invented_bars
from tests.parity.busy_streams import FUNDED, RISKED, THIN, account_spec, busy
from tests.parity.plain_python import quick_values

from tercel.app.backtest import StreamSpec
from tercel.app.live.parity import (
    COMPARED,
    DecisionParity,
    SessionRecord,
    check_readable,
    decide_again,
    read_session,
)
from tercel.app.live.session_row import (
    account_at_start,
    changes_since,
    plan_from_row,
    session_from_row,
)
from tercel.app.strategies import load_strategy
from tercel.core.codes import Refusal
from tercel.domain.bars import BarSeries
from tercel.domain.errors import DataError, UserError
from tercel.domain.events import (
    FeedNews,
    JournalNews,
    MarketView,
    Operation,
    OperatorAsked,
    TimerFired,
    VenueRead,
)
from tercel.domain.journal import (
    EvaluationRow,
    InputRow,
    IntentRow,
    JournalRow,
    SessionRow,
    TradeRow,
)
from tercel.domain.orders import VenueSnapshot

BARS = 150
ACCOUNT = account_spec(1e6, loss_24h_fraction_max=0.3, hourly_signals_max=30)


def specs() -> list[StreamSpec]:
    """Two busy streams, one of them with limits in a thin market."""
    return [
        busy(0, "three_r", invented_bars(BARS, seed=3), **RISKED, **FUNDED),
        busy(1, "chased", invented_bars(BARS, seed=4), **RISKED, **THIN),
    ]


def again(session: Played, *, ended: bool = True) -> DecisionParity:
    """The session decided again, by its plan: its strategies are no files."""
    return decide_again(session.record(ended=ended), session.plan)


@pytest.fixture(scope="module")
def session() -> Played:
    """A replay from its first bar to its last."""
    return played(specs(), ACCOUNT)


def test_a_replay_is_decided_again(session: Played) -> None:
    found = again(session)
    assert found.is_equal, found.difference
    assert found.inputs == len(session.record().inputs) > BARS
    assert set(found.compared) >= {
        "input", "evaluation", "signal", "refusal", "intent", "fill", "trade", "equity",
    }  # fmt: skip
    for name, rows in session.record().tables.items():
        assert found.compared.get(name, 0) == len(rows)


def tampered(
    session: Played, table: str, at: int, change: Callable[[Any], JournalRow | None]
) -> DecisionParity:
    """Decided again with one row of the journal changed or (None) taken away."""
    record = session.record()
    rows = list(record.tables[table])
    changed = change(rows[at])
    rows[at : at + 1] = [] if changed is None else [changed]
    return decide_again(replace(record, tables={**record.tables, table: tuple(rows)}), session.plan)


CHANGES: dict[str, Callable[[Any], JournalRow]] = {
    "evaluation": lambda row: replace(row, digest="0" * 16),
    "signal": lambda row: replace(row, stop_distance=row.stop_distance * 1.5),
    "refusal": lambda row: replace(row, refusal="heat"),
    "intent": lambda row: replace(row, quantity=row.quantity + 1.0),
    "order": lambda row: replace(row, filled_quantity=row.filled_quantity + 1.0),
    "fill": lambda row: replace(row, price=row.price + 0.1),
    "trade": lambda row: replace(row, record=bytes(len(row.record))),
    "position": lambda row: replace(row, stop_price=row.stop_price - 1.0),
    "equity": lambda row: replace(row, cash_quote=row.cash_quote - 1e-9 * row.cash_quote),
}


@pytest.mark.parametrize("table", CHANGES)
def test_one_field_that_differs_is_found_and_told(session: Played, table: str) -> None:
    before, after = session.record().tables[table][2], CHANGES[table]
    changed = [name for name in before.__dataclass_fields__
               if getattr(before, name) != getattr(after(before), name)]  # fmt: skip
    found = tampered(session, table, 2, after)
    assert found.difference is not None
    assert not found.is_equal
    assert found.difference.table == table
    assert f"journaled {changed[0]} " in found.difference.what
    assert f"input {found.difference.number} ({found.difference.kind}), {table}" in str(
        found.difference
    )


def test_the_first_difference_is_the_one_that_is_told(session: Played) -> None:
    """It names the input that led to it: the row that was journaled right after it."""
    rows = session.kept.rows
    trade = next(row for row in rows if isinstance(row, TradeRow))
    inputs = [row for row in rows[: rows.index(trade)] if isinstance(row, InputRow)]
    found = tampered(session, "trade", 0, lambda row: replace(row, net_quote=0.0))
    assert found.difference is not None
    assert (found.difference.number, found.difference.kind) == (inputs[-1].number, "Filled")


def test_a_row_that_is_gone_is_found(session: Played) -> None:
    last = len(session.record().tables["trade"]) - 1
    found = tampered(session, "trade", last, lambda row: None)
    assert found.difference is not None
    assert found.difference.what.startswith("decided again, not journaled: ")
    extra = session.record()
    rows = extra.tables["intent"]
    more = replace(extra, tables={**extra.tables, "intent": (*rows, rows[-1])})
    left = decide_again(more, session.plan).difference
    assert left is not None
    assert left.what.startswith("journaled, not decided again: ")


def test_an_input_that_is_gone_is_found(session: Played) -> None:
    found = tampered(session, "input", 40, lambda row: None)
    assert found.difference is not None
    assert (found.difference.number, found.difference.table) == (42, "input")
    assert found.difference.what == "input 41 is not in the journal"


def test_what_a_session_asks_itself_is_checked(session: Played) -> None:
    inputs = session.record().inputs
    at = next(place for place, row in enumerate(inputs) if row.kind == "Decide")
    other = json.dumps({"time_ms": inputs[at].time_ms, "stream": 1}).encode()
    found = tampered(session, "input", at, lambda row: replace(row, payload=other))
    assert found.difference is not None
    assert "the session asks itself Decide(" in found.difference.what


def test_a_killed_session_may_lack_the_rows_of_its_last_input(session: Played) -> None:
    record = session.record(ended=False)
    rows = [session.first, *session.kept.rows]
    at = max(place for place, row in enumerate(rows) if isinstance(row, IntentRow))
    begun = max(place for place in range(at) if isinstance(rows[place], InputRow))
    cut: dict[str, tuple[JournalRow, ...]] = {
        name: tuple(row for row in rows[: begun + 1] if row in set(record.tables[name]))
        for name in COMPARED
    }
    found = decide_again(SessionRecord(record.row, cut, None), session.plan)
    assert found.is_equal, found.difference
    assert found.unwritten > 0
    ended = decide_again(SessionRecord(record.row, cut, session.record().end), session.plan)
    assert ended.difference is not None


def test_only_evaluations_with_a_signal_may_be_kept(session: Played) -> None:
    record = session.record()
    told = json.loads(record.row.configuration)
    told["evaluations"] = "signals"
    row = replace(record.row, configuration=json.dumps(told))
    kept = tuple(
        each
        for each in record.tables["evaluation"]
        if isinstance(each, EvaluationRow) and each.side != 0
    )
    found = decide_again(
        SessionRecord(row, {**record.tables, "evaluation": kept}, record.end), session.plan
    )
    assert found.is_equal, found.difference
    assert found.compared["evaluation"] == len(kept) > 0


# --- everything that reaches a session ------------------------------------------------------------


def test_operators_feeds_late_bars_and_a_stale_view() -> None:
    """Whatever came in is in the journal, and leads to the same again."""
    said: dict[int, Any] = {
        20: lambda t: OperatorAsked(t, Operation.PAUSE, "cli"),
        38: lambda t: OperatorAsked(t, Operation.RESUME, "cli"),
        40: lambda t: JournalNews(t, is_up=False, detail="disk full"),
        45: lambda t: JournalNews(t, is_up=True),
        50: lambda t: FeedNews(t, "market", is_up=False, detail="silent"),
        55: TimerFired,
        80: lambda t: OperatorAsked(t, Operation.AUTOMATION_OFF, "cli"),
        100: lambda t: OperatorAsked(t, Operation.AUTOMATION_ON, "cli"),
        120: lambda t: OperatorAsked(t, Operation.KILL, "file"),
        130: lambda t: OperatorAsked(t, Operation.REARM, "cli"),
    }

    def at(replay: Watched, minute: int) -> None:
        if minute in said:
            replay.deliver(said[minute](replay.session.parts.now + 500))

    stale = MarketView(bid=30_000.0, ask=30_001.0, late_ms=9_000)
    crossed = MarketView(bid=30_000.0, ask=30_001.0, trouble="crossed book")
    views = {**dict.fromkeys(range(5, 20), stale), **dict.fromkeys(range(56, 70), crossed)}
    session = played(specs(), ACCOUNT, at=at, views=views, late=(70, 71))
    found = again(session)
    assert found.is_equal, found.difference
    refused = {getattr(row, "refusal", "") for row in session.record().tables["refusal"]}
    wanted = (Refusal.PAUSED, Refusal.STALE_DATA, Refusal.UNHEALTHY_FEED, Refusal.AUTOMATION_OFF)
    assert refused >= {each.name.lower() for each in wanted}


def test_a_session_that_reads_its_venue() -> None:
    """The wallet it is told is what it begins with."""

    def at(replay: Watched, minute: int) -> None:
        now = replay.session.parts.now + 1_000
        if minute == 9:
            replay.deliver(TimerFired(now))
            snapshot = VenueSnapshot(now, 50_000.0, 50_000.0, (), (), ())
            replay.deliver(VenueRead(now, None, "no route"))
            replay.deliver(TimerFired(now))
            replay.deliver(VenueRead(now, snapshot))

    session = played(specs(), ACCOUNT, at=at, reads_venue=True)
    assert session.replay.session.is_ready
    found = again(session)
    assert found.is_equal, found.difference
    assert found.compared["intent"] > 0


def test_a_session_that_went_on_from_a_kept_state() -> None:
    """Account, orders, fills already booked: all of it is in the row."""
    first = played(specs(), ACCOUNT)
    state = replace(first.kept.state, orders=(), active_position=())
    whole = [
        replace(each, series=BarSeries(each.series.key, each.series.bars, (), ""))
        for each in specs()
    ]
    session = played(whole, ACCOUNT, state=state)
    assert account_at_start(session.first) == pytest.approx(state.account_balance)
    assert state.account_balance != 1e6
    found = again(session)
    assert found.is_equal, found.difference


# --- the row --------------------------------------------------------------------------------------


def test_the_plan_is_in_the_row(real_session: Played) -> None:
    row = real_session.first
    plan = plan_from_row(row)
    assert plan.series == real_session.plan.series
    for made, wanted in zip(plan.streams, real_session.plan.streams, strict=True):
        assert made.label == wanted.label
        assert made.values == wanted.values
        assert made.settings.tobytes() == wanted.settings.tobytes()
        assert made.strategy.path == wanted.strategy.path
    assert plan.account.limits.tobytes() == real_session.plan.account.limits.tobytes()
    assert plan.account.pace.tobytes() == real_session.plan.account.pace.tobytes()
    assert changes_since(row, plan) == []
    assert session_from_row(row).image() == row.image
    assert decide_again(real_session.record()).is_equal


@pytest.fixture(scope="module")
def real_session() -> Played:
    """A built-in strategy: its row alone is enough."""
    made = busy(0, "three_r", invented_bars(120, seed=3), **RISKED)
    strategy = load_strategy("vwap_rsi")
    values = quick_values(strategy)
    label = replace(made.label, strategy=strategy.name)
    return played([replace(made, strategy=strategy, values=values, label=label)], ACCOUNT)


def test_changed_code_and_versions_are_told(real_session: Played) -> None:
    told = json.loads(real_session.first.configuration)
    told["streams"][0]["code_hash"] = "of another day"
    told["versions"]["numba"] = "0.1"
    row = replace(real_session.first, configuration=json.dumps(told))
    code, version = changes_since(row, plan_from_row(row))
    assert code == "the code of vwap_rsi has changed since the session"
    assert version.startswith("numba was 0.1, now it is ")


def test_other_parameters_are_another_session(real_session: Played) -> None:
    told = json.loads(real_session.first.configuration)
    told["streams"][0]["values"]["rsi_low"] = 20.0
    record = real_session.record()
    row = replace(record.row, configuration=json.dumps(told))
    assert not decide_again(replace(record, row=row)).is_equal


def test_a_users_file_is_found_by_its_path(tmp_path: Path, real_session: Played) -> None:
    file = tmp_path / "my_idea.py"
    file.write_text(load_strategy("three_r").path.read_text("utf-8"), "utf-8")
    own = load_strategy(str(file))
    spec = busy(0, "three_r", invented_bars(30, seed=3), **RISKED)
    values = own.values({}, 60_000)
    session = played([replace(spec, strategy=own, values=values)], ACCOUNT)
    assert plan_from_row(session.first).streams[0].strategy.path == file
    file.unlink()
    with pytest.raises(UserError, match="no strategy file"):
        plan_from_row(session.first)


@pytest.mark.parametrize(
    "configuration",
    ["{", "[]", "{}", '{"streams": 1}', '{"streams": [], "series": [], "account": {}}'],
)
def test_a_row_of_another_version_is_one_clear_line(
    real_session: Played, configuration: str
) -> None:
    row = replace(real_session.first, configuration=configuration)
    with pytest.raises(DataError, match=r"^session s1: its row "):
        plan_from_row(row)


def test_an_image_of_another_version_is_one_clear_line(real_session: Played) -> None:
    for image in (b"", b"{}", b'{"account": "AAAA"}'):
        row = replace(real_session.first, image=image)
        with pytest.raises(DataError):
            session_from_row(row)
        with pytest.raises(DataError, match="session s1: its row cannot be read"):
            account_at_start(row)


def test_a_session_without_inputs_cannot_be_decided(real_session: Played) -> None:
    record = real_session.record()
    check_readable(record)
    empty: dict[str, tuple[JournalRow, ...]] = dict.fromkeys(COMPARED, ())
    with pytest.raises(DataError, match="the journal has no input of it"):
        check_readable(replace(record, tables=empty))


# --- reading --------------------------------------------------------------------------------------


class MemoryJournal:
    """ports.Journal over rows in memory, to be read."""

    def __init__(self, rows: list[JournalRow]) -> None:
        self.rows = rows

    async def write(self, rows: Any) -> None:
        self.rows.extend(rows)

    async def read(
        self, table: str, session_id: str | None = None, *, limit: int | None = None
    ) -> tuple[JournalRow, ...]:
        from tercel.domain.journal import TABLES

        found = [row for row in self.rows if type(row) is TABLES[table]]
        wanted = [row for row in found if session_id in (None, row.session_id)]
        return tuple(wanted[-limit:] if limit else wanted)

    async def close(self) -> None:
        return


async def test_a_session_is_read_by_its_id_or_as_the_last(real_session: Played) -> None:
    older = SessionRow("s0", 1, "paper", "v", "three_r", "BTCUSDT", "1m", "{}", b"")
    journal = MemoryJournal([older, real_session.first, *real_session.kept.rows])
    last = await read_session(journal, "last")
    assert last.row == real_session.first
    assert last.end is None
    assert last.tables == real_session.record().tables
    assert (await read_session(journal, "s0")).row == older
    with pytest.raises(UserError, match="no session 's7' in the journal; the latest: s0, s1"):
        await read_session(journal, "s7")
    with pytest.raises(UserError, match="none yet"):
        await read_session(MemoryJournal([]), "last")
