"""`tercel journal`: what sessions wrote down, as a user asks for it."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import math
from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.entry.conftest import Run
from tests.entry.running_session import Session, running
from tests.journal_rows import row, rows, step

from tercel import bootstrap
from tercel.domain.journal import (
    TABLES,
    AlertRow,
    BreakerRow,
    EvaluationRow,
    IntentRow,
    JournalRow,
    OrderRow,
    PositionRow,
    RefusalRow,
    SessionEndRow,
    SessionRow,
    SignalRow,
    TradeRow,
)
from tercel.domain.times import parse_time
from tercel.entry.cli.journal import COLUMNS, Kind

MOMENT = parse_time("2024-06-25 13:30") + 1_007


def written(folder: Path, given: Sequence[JournalRow]) -> None:
    """Add rows to the journal in the session folder below `folder`."""

    async def write() -> None:
        journal = bootstrap.open_journal("", folder / "session")
        await journal.write(given)
        await journal.close()

    asyncio.run(write())


def session(name: str, time_ms: int = MOMENT) -> SessionRow:
    return SessionRow(
        name, time_ms, "paper", "binance-usdm", "three_r", "BTCUSDT", "1m", "{}", b"\xff"
    )


def test_where_there_is_no_journal_it_says_so(run: Run, tmp_path: Path) -> None:
    code, out, err = run("journal trades")
    assert (code, out) == (2, "")
    assert err.startswith("error: session/journal.sqlite: there is no journal yet; ")
    assert err.count("\n") == 1
    assert not (tmp_path / "session").exists()


@pytest.mark.parametrize("kind", Kind)
def test_every_table_is_shown(run: Run, tmp_path: Path, kind: Kind) -> None:
    written(tmp_path, [session("s1"), *rows(2)])
    code, out, err = run("journal", str(kind), "s1")
    assert (code, err) == (0, "")
    assert " UTC" in out
    code, out, err = run("journal", str(kind), "--json")
    found = [json.loads(line) for line in out.splitlines()]
    assert len(found) == (2 if kind is Kind.SESSIONS else 1)
    assert set(COLUMNS[kind].split()) <= set(found[0])
    assert set(TABLES[kind.table].__dataclass_fields__) <= set(found[0])


def test_sessions_with_their_ends(run: Run, tmp_path: Path) -> None:
    end = SessionEndRow("s1", MOMENT + 60_000, 0, "asked to stop")
    written(tmp_path, [session("s1"), session("s2", MOMENT + 120_000), end])
    _, out, _ = run("journal sessions")
    first, second = [
        line.split() for line in out.splitlines() if line.split()[:1] in (["s1"], ["s2"])
    ]
    assert first[:4] == ["s1", "2024-06-25", "13:30:01.007", "paper"]
    assert first[-5:] == ["2024-06-25", "13:31:01.007", "asked", "to", "stop"]
    assert second[:3] == ["s2", "2024-06-25", "13:32:01.007"]
    assert " ".join(second).endswith("1m killed: wrote no end")
    _, out, _ = run("journal sessions --json")
    one, two = [json.loads(line) for line in out.splitlines()]
    assert (one["exit_code"], one["end_ms"], one["image"]) == (0, MOMENT + 60_000, "/w==")
    assert (two["exit_code"], two["end_ms"]) == (None, None)
    assert (one["is_running"], two["is_running"]) == (False, False)


def test_a_session_that_runs_is_told_from_a_killed_one(run: Run, tmp_path: Path) -> None:
    written(
        tmp_path,
        [session("s0"), session("s1a2b3"), dataclasses.replace(session("s2"), mode="replay")],
    )
    with running(tmp_path / "session", Session()):
        _, out, _ = run("journal sessions")
        told = [json.loads(line) for line in run("journal sessions --json")[1].splitlines()]
        shared = f"--set journal.url=sqlite:///{tmp_path}/session/journal.sqlite"
        elsewhere = [
            json.loads(line) for line in run(f"journal sessions --json {shared}")[1].splitlines()
        ]
    killed, lives, replay = [
        line.strip()
        for line in out.splitlines()
        if line.split()[:1] in (["s0"], ["s1a2b3"], ["s2"])
    ]
    assert killed.endswith("killed: wrote no end")
    assert lives.endswith(" running")
    assert replay.endswith("still plays, or stopped")
    assert [each["is_running"] for each in told] == [False, True, None]
    assert [each["is_running"] for each in elsewhere] == [None, True, None]
    assert elsewhere[0]["why"] == "killed, or runs elsewhere"


def test_the_latest_rows_of_every_session_or_of_one(run: Run, tmp_path: Path) -> None:
    written(tmp_path, [each for n in range(30) for each in step(n, f"s{n % 2}")])

    def numbers(words: str) -> list[int]:
        code, out, _ = run(f"journal orders {words} --json")
        assert code == 0
        return [json.loads(line)["time_ms"] for line in out.splitlines()]

    assert numbers("") == list(range(10, 30))
    assert numbers("--last 3") == [27, 28, 29]
    assert numbers("--last 0") == list(range(30))
    assert numbers("s1 --last 3") == [25, 27, 29]
    _, out, _ = run("journal orders --last 2")
    assert "Session" in out
    _, out, _ = run("journal orders s1 --last 2")
    assert "Session" not in out
    assert "planned" in out


def test_rows_of_a_symbol(run: Run, tmp_path: Path) -> None:
    """Few of many: more is read until there are enough."""
    given = [
        row(PositionRow, number, symbol="ETHUSDT" if number % 100 else "BTCUSDT")
        for number in range(1000)
    ]
    written(tmp_path, [session("s1"), *given, *step(7)])
    _, out, _ = run("journal positions --symbol BTCUSDT --last 3 --json")
    found = [json.loads(line)["time_ms"] % 1000 for line in out.splitlines()]
    assert found == [700, 800, 900]
    _, out, _ = run("journal positions --symbol BTCUSDT --last 0 --json")
    assert len(out.splitlines()) == 10
    _, out, _ = run("journal positions --symbol BTCUSDT --last 50 --json")
    assert len(out.splitlines()) == 10
    _, out, _ = run("journal orders --symbol BTCUSDT --json")
    assert len(out.splitlines()) == 1
    code, out, _ = run("journal orders --symbol ETHUSDT")
    assert (code, out.strip()) == (0, "no orders on ETHUSDT yet")
    code, _, err = run("journal equity --symbol BTCUSDT")
    assert code == 2
    assert err.startswith("error: equity --symbol BTCUSDT: they do not name a symbol")


def of_streams(name: str, *streams: tuple[str, str]) -> SessionRow:
    """A session whose streams are these (symbol, strategy)."""
    labels = [{"label": {"symbol": symbol, "strategy": strategy}} for symbol, strategy in streams]
    return dataclasses.replace(session(name), configuration=json.dumps({"streams": labels}))


def test_numbers_of_streams_are_shown_as_symbol_and_strategy(run: Run, tmp_path: Path) -> None:
    """An order of an earlier session works for a stream of that one; a stray one has its intent."""
    earlier = of_streams("s1", ("SOLUSDT", "momentum"))
    now = of_streams("s2", ("BTCUSDT", "three_r"), ("ETHUSDT", "vwap_rsi"))
    given = [
        row(kind, 2, "s2", stream=stream, side=1)
        for kind in (SignalRow, RefusalRow)
        for stream in (0, 1)
    ]
    orders = [
        row(OrderRow, number, "s2", client_id=client_id)
        for number, client_id in enumerate(("t-s2-1-0-1", "t-s1-0-1-7", "t-s2-999-2-3"))
    ]
    stray = row(IntentRow, 3, "s2", client_id="t-s2-999-2-3", symbol="XRPUSDT")
    written(tmp_path, [earlier, now, *given, stray, *orders])

    def told(words: str) -> list[tuple[str, str]]:
        code, out, _ = run(f"journal {words} --json")
        assert code == 0
        found = [json.loads(line) for line in out.splitlines()]
        return [(each["symbol"], each["strategy"]) for each in found]

    for kind in ("signals", "refusals"):
        assert told(kind) == [("BTCUSDT", "three_r"), ("ETHUSDT", "vwap_rsi")]
        assert told(f"{kind} --symbol ETHUSDT") == [("ETHUSDT", "vwap_rsi")]
        _, out, _ = run("journal", kind, "s2")
        assert "ETHUSDT" in out
        assert "vwap_rsi" in out
        assert "Stream" not in out
    assert told("orders") == [("ETHUSDT", "vwap_rsi"), ("SOLUSDT", "momentum"), ("XRPUSDT", "")]
    assert told("orders --symbol SOLUSDT") == [("SOLUSDT", "momentum")]
    assert told("orders --symbol XRPUSDT") == [("XRPUSDT", "")]


def test_nothing_yet_and_an_unknown_session(run: Run, tmp_path: Path) -> None:
    written(tmp_path, [session("s1"), session("s2")])
    assert run("journal trades s1")[:2] == (0, "no trades of session s1 yet\n")
    assert run("journal trades s1 --json") == (0, "", "")
    code, _, err = run("journal trades s3")
    assert code == 2
    assert err == "error: no session 's3' in the journal; the latest: s1, s2\n"


def test_values_as_people_read_them(run: Run, tmp_path: Path) -> None:
    trade = row(
        TradeRow, 2, side=-1, net_quote=-12.5, entry_price=math.nan, exit_time=MOMENT,
        strategy="three_r", symbol="BTCUSDT", desk="main", exit_reason="stop",
    )  # fmt: skip
    alert = AlertRow("s1", MOMENT, "critical", "X", "[red]not markup[/red]", -1)
    evaluation = row(EvaluationRow, 1, side=0, score=None, symbol="BTCUSDT")
    written(tmp_path, [session("s1"), trade, alert, evaluation])
    _, out, _ = run("journal trades s1")
    [line] = [line for line in out.splitlines() if "three_r" in line]
    assert line.split()[:6] == ["2024-06-25", "13:30:01.007", "main", "three_r", "BTCUSDT", "short"]
    assert line.split()[-2:] == ["-12.5", "stop"]
    assert "nan" not in out
    assert "[red]not markup[/red]" in run("journal alerts s1")[1]
    told = json.loads(run("journal trades --json")[1])
    assert told["entry_price"] is None
    assert told["record"].startswith("AAEC")
    assert run("journal evaluations --symbol BTCUSDT")[0] == 0


def test_an_order_that_was_answered(run: Run, tmp_path: Path) -> None:
    answered = OrderRow("s1", MOMENT, "t-s1-0-0-1", "77", "rejected", 0.0, -2010, "no margin", 4.25)
    written(tmp_path, [session("s1"), answered])
    _, out, _ = run("journal orders s1")
    for word in ("rejected", "-2010", "no margin", "4.25"):
        assert word in out


def test_the_journal_of_an_address(run: Run, tmp_path: Path) -> None:
    written(tmp_path, [session("s1")])
    elsewhere = f"journal.url=sqlite:///{tmp_path}/session/journal.sqlite"
    code, out, _ = run(f"journal sessions --set session.folder=nowhere --set {elsewhere}")
    assert code == 0
    assert "s1" in out
    code, _, err = run("journal sessions --set journal.url=postgresql://me:hunter2@127.0.0.1:1/db")
    assert code == 1
    assert "me:(hidden)@127.0.0.1:1/db: the journal cannot be opened" in err
    assert "hunter2" not in err


def test_what_there_is_no_table_for(run: Run) -> None:
    code, _, err = run("journal everything")
    assert code == 2
    assert "'everything' is not one of 'sessions', 'trades'" in err


def busy(kind: Kind) -> list[JournalRow]:
    """Rows of two sessions and two days as a trader's are: long names, prices of many digits."""
    made = []
    for number, name in enumerate(("tpaxvj", "tpay0r")):
        moment = MOMENT + number * 86_400_000
        values = {
            "session_id": name, "strategy": "trend_reversion", "symbol": "1000PEPEUSDT", "side": 1,
            "desk": ("main", "shadow")[number], "quantity": 1_234_567.0 + number,
            "entry_price": 0.01234567, "exit_price": 0.01234999 + number, "net_quote": -1234.56789,
            "exit_reason": "trailing", "exit_time": moment, "time_ms": moment,
            "client_id": f"t-{name}-12-3-{4567 + number}", "text": "not enough margin " * 4,
            "code": -2019 - number, "phase": "partly_filled", "venue_id": "8389765509876543",
            "reason": "trend exhausted", "level": "critical", "stream": "market 1000PEPEUSDT",
            "detail": "clock skew: quotes are dated -2669 ms against our clock", "action": "cancel",
            "kind": "market",
        }  # fmt: skip
        known = {field.name: field.type for field in dataclasses.fields(TABLES[kind.table])}
        fitting = {
            key: value
            for key, value in values.items()
            if key in known and (key != "stream" or known[key] == "str")
        }
        made.append(dataclasses.replace(row(TABLES[kind.table], number), **fitting))  # type: ignore[arg-type]
    return made


@pytest.mark.parametrize("kind", [kind for kind in Kind if kind is not Kind.SESSIONS])
def test_a_table_can_be_read_on_80_columns(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: Kind
) -> None:
    """Nothing is cut: what has no room is named, and a wide terminal has it."""
    given = busy(kind)
    written(tmp_path, [session("tpaxvj"), session("tpay0r"), *given])
    monkeypatch.setenv("COLUMNS", "80")
    _, out, _ = run("journal", str(kind))
    assert "\N{HORIZONTAL ELLIPSIS}" not in out
    assert max(map(len, out.splitlines())) <= 80
    if kind in (Kind.ORDERS, Kind.INTENTS):
        assert all(name in out for name in ("t-tpaxvj-12-3-4567", "t-tpay0r-12-3-4568"))
    monkeypatch.setenv("COLUMNS", "260")
    _, out, _ = run("journal", str(kind))
    assert "left out" not in out
    if "time_ms" in COLUMNS[kind].split():
        assert "2024-06-26 13:30:01.007" in out


def test_trades_of_desks_and_sessions_are_told_apart_on_80_columns(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each part says whose it is; its rows are in their order, and no price is lost."""
    first, _ = busy(Kind.TRADES)
    assert isinstance(first, TradeRow)
    plain = dataclasses.replace(
        first, strategy="three_r", symbol="BTCUSDT", quantity=0.011, net_quote=-12.5,
        entry_price=60150.1, exit_price=60040.2,
    )  # fmt: skip
    given = [
        dataclasses.replace(plain, session_id=name, desk=desk, net_quote=net)
        for name, desk, net in (
            ("s1", "main", 1.25), ("s1", "shadow", 2.25), ("s2", "main", 3.25), ("s1", "main", 4.25)
        )
    ]  # fmt: skip
    other = dataclasses.replace(
        plain, strategy="trend_reversion", exit_time=plain.exit_time + 86_400_000
    )
    written(
        tmp_path,
        [session("s1"), session("s2"), *given, dataclasses.replace(other, session_id="s2")],
    )
    monkeypatch.setenv("COLUMNS", "80")
    code, out, _ = run("journal trades")
    assert code == 0
    parts: dict[str, list[str]] = {}
    heading = ""
    for line in out.splitlines():
        if line.startswith("desk "):
            heading = line.strip()
        elif "60150.1" in line:
            parts.setdefault(heading, []).append(line)
    nets = {
        heading: [
            next(word for word in line.split() if word.endswith((".25", ".50"))) for line in lines
        ]
        for heading, lines in parts.items()
    }
    assert nets == {
        "desk main, session s1": ["1.25", "4.25"],
        "desk shadow, session s1": ["2.25"],
        "desk main, session s2": ["3.25", "-12.50"],
    }
    assert "three_r" in out
    assert "trend_reversion" in out
    assert out.count("60040.2") == 5


def test_a_cool_down_can_be_read_on_80_columns(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    until = "cools down trend_reversion 1000PEPEUSDT until 2024-06-25 14:15:01"
    given = [
        BreakerRow(name, MOMENT, breaker, action)
        for name, breaker, action in (("s1", "loss_streak", until), ("s2", "kill_24h", "halted"))
    ]
    written(tmp_path, [session("s1"), session("s2"), *given])
    monkeypatch.setenv("COLUMNS", "80")
    _, out, _ = run("journal breakers")
    assert max(map(len, out.splitlines())) <= 80
    for word in until.split():
        assert word in out
    assert "s1" in out


def test_what_every_row_has_is_said_once_where_room_is_short(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, _ = busy(Kind.TRADES)
    assert isinstance(first, TradeRow)
    second = dataclasses.replace(first, net_quote=2.5)
    written(tmp_path, [session("tpaxvj"), first, second])
    monkeypatch.setenv("COLUMNS", "80")
    _, out, _ = run("journal trades")
    said = out.splitlines()[0] + " " + out.splitlines()[1]
    for part in ("session tpaxvj", "strategy trend_reversion", "1000PEPEUSDT", "2024-06-25 UTC"):
        assert part in said
        assert out.count(part) == 1
    assert "13:30:01.007" in out
    assert "-1234.57" in out
