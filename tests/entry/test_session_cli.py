"""`tercel status`, `positions`, `pause`, `resume`, `automation`, `kill` against a real socket."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import sys
from pathlib import Path

import pytest
import structlog
from tests.entry.conftest import Run
from tests.entry.running_session import Session, running
from tests.live_status import full_status, with_changes
from tests.session_states import full_state

from tercel import bootstrap
from tercel.adapters.clock import VirtualClock
from tercel.adapters.control import KillFile
from tercel.app.ports import StateStore
from tercel.domain.events import Operation
from tercel.domain.session_state import SessionState


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where a session runs by default."""
    return tmp_path / "session"


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> VirtualClock:
    """No command waits in real time."""
    made = VirtualClock()
    monkeypatch.setattr(bootstrap, "system_clock", lambda: made)
    return made


def keep(folder: Path, state: SessionState) -> None:
    """What an earlier session kept."""

    async def write() -> None:
        store = bootstrap.open_state("", folder)
        await store.write(state)
        await store.close()

    asyncio.run(write())


killed = with_changes(full_status(), kill_latched="asked by cli", automation=False)
verified = with_changes(killed, kill_verified=True, positions=(), orders=())


# --- status and positions -------------------------------------------------------------------------


def test_status_of_a_running_session(run: Run, folder: Path) -> None:
    session = Session()
    with running(folder, session):
        code, out, err = run("status")
    assert (code, err) == (0, "")
    for part in ("paper at binance-usdm", "equity 10,088.00", "BTCUSDT long 0.25", "refused: heat"):
        assert part in out
    assert session.operations == ["status"]
    assert session.asked[0].origin == "cli"


def test_status_as_json_has_everything(run: Run, folder: Path) -> None:
    with running(folder, Session()):
        code, out, _ = run("status --json")
    told = json.loads(out)
    assert (code, told["is_running"]) == (0, True)
    assert told["status"] == json.loads(json.dumps(dataclasses.asdict(full_status())))


def test_positions_of_a_running_session(run: Run, folder: Path) -> None:
    with running(folder, Session(full_status(), full_status(), verified)):
        code, out, _ = run("positions")
        assert code == 0
        assert "stop 59900  targets 60200 60300" in out
        code, out, _ = run("positions --json")
        told = json.loads(out)
        assert (code, told["is_running"], len(told["positions"])) == (0, True, 1)
        assert told["positions"][0]["net_quote"] == 29.75
        code, out, _ = run("positions")
        assert (code, out) == (0, "no open positions\n")


def test_another_folder_is_asked(run: Run, tmp_path: Path) -> None:
    session = Session()
    with running(tmp_path / "other", session):
        assert run("status")[0] == 1
        assert run("status --folder other")[0] == 0
        assert run("status --set session.folder=other")[0] == 0
    assert len(session.asked) == 2


@pytest.mark.parametrize("command", ["status", "positions"])
def test_what_was_kept_is_shown_and_marked(run: Run, folder: Path, command: str) -> None:
    keep(folder, full_state(7))
    code, out, err = run(command)
    assert code == 1
    assert err == (
        "no session runs in session; what is shown is what its state store kept last; "
        "`tercel run` starts one, --folder names another place\n"
    )
    assert "BTCUSDT long 0.003 three_r" in out
    assert "nobody watches them now" in out
    assert "t-s1-0-1-7" in out
    if command == "status":
        assert out.startswith("NOT RUNNING. Kept at 2023-11-14 22:13:20 UTC by session s7, paper7")
        assert "KILLED: by hand" in out
        assert "automation on, paused" in out
        assert "balance 10,007.25  24 h -19.50" in out
        assert "orders that may rest at the venue: 2" in out
        keep(folder, dataclasses.replace(full_state(7), mode="paper"))
        assert "orders of its simulated exchange: 2" in run(command)[1]


def test_what_was_kept_as_json(run: Run, folder: Path) -> None:
    keep(folder, full_state(7))
    code, out, _ = run("status --json")
    told = json.loads(out)
    assert (code, told["is_running"]) == (1, False)
    assert told["kept"]["kill_latched"] == full_state(7).kill_latched
    assert [each["symbol"] for each in told["kept"]["positions"]] == ["BTCUSDT", "ETHUSDT"]
    code, out, _ = run("positions --json")
    told = json.loads(out)
    assert (code, told["is_running"], len(told["positions"])) == (1, False, 2)


def test_where_nothing_was_kept_nothing_is_made(run: Run, tmp_path: Path) -> None:
    for command in ("status", "positions", "pause", "resume", "automation on", "kill --rearm"):
        code, out, err = run(command)
        assert (code, out) == (1, "")
        assert "no session runs in session" in err
        assert err.count("\n") == 1
    assert run("status --json")[1] == '{"is_running":false,"kept":null}\n'
    assert run("positions --json")[1] == '{"is_running": false, "positions": null}\n'
    elsewhere = f"sqlite:///{tmp_path / 'none.sqlite'}"
    assert run("status", "--set", f"state.url={elsewhere}")[0] == 1
    assert list(tmp_path.iterdir()) == []


def test_watching_until_the_session_ends(run: Run, folder: Path, clock: VirtualClock) -> None:
    session = Session()
    session.after = 3
    began_ms = clock.now_ms()
    with running(folder, session):
        code, out, err = run("status --watch --every 0.5")
    assert (code, err) == (0, "the session has ended\n")
    assert out.count("opened long 0.25 BTCUSDT") == 1
    assert clock.now_ms() - began_ms == 1_500


def test_watching_as_json(run: Run, folder: Path) -> None:
    session = Session()
    session.after = 2
    with running(folder, session):
        _, out, _ = run("status --watch --json")
    assert [json.loads(line)["is_running"] for line in out.splitlines()] == [True, True]


def test_looks_that_follow_too_closely_are_refused(run: Run) -> None:
    code, _, err = run("status --watch --every 0")
    assert code == 2
    assert "--every 0: use at least 0.1" in err


# --- operations -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "operation"),
    [
        ("pause", Operation.PAUSE),
        ("resume", Operation.RESUME),
        ("automation on", Operation.AUTOMATION_ON),
        ("automation off", Operation.AUTOMATION_OFF),
    ],
)
def test_an_operation_is_asked_and_its_result_told(
    run: Run, folder: Path, command: str, operation: Operation
) -> None:
    session = Session(with_changes(full_status(), blocked=("paused",)))
    with running(folder, session):
        assert run(command) == (0, "no entries: paused (`tercel resume` ends it)\n", "")
        session.refusal = "REFUSED_OPERATION the kill switch is latched"
        code, out, err = run(command)
    assert (code, out) == (1, "")
    assert err == "refused: REFUSED_OPERATION the kill switch is latched\n"
    assert session.operations == [operation, operation]


def test_automation_is_on_or_off(run: Run) -> None:
    code, _, err = run("automation maybe")
    assert code == 2
    assert "'on', 'off'" in err


# --- kill -----------------------------------------------------------------------------------------


def test_kill_waits_until_it_is_verified(run: Run, folder: Path) -> None:
    session = Session(killed, killed, killed, verified)
    with running(folder, session):
        code, out, err = run("kill")
    assert (code, err) == (0, "")
    assert out.startswith("killed: the venue was asked, no position and no order is open")
    assert session.operations == ["kill", "status", "status", "status"]
    assert not KillFile(folder).is_there()


def test_kill_says_when_it_is_not_verified_in_time(run: Run, folder: Path) -> None:
    with running(folder, Session(killed)):
        code, out, err = run("kill --wait 2")
    assert (code, out) == (1, "")
    assert err.startswith(
        "killed, but not verified within 2 s: by what is known here 1 positions and 1 orders are "
        "left, which the venue has not confirmed"
    )


def test_rearm_says_that_it_rearmed(run: Run, folder: Path) -> None:
    rearmed = with_changes(full_status(), blocked=("automation_off",), automation=False)
    session = Session(verified, rearmed)
    with running(folder, session):
        code, out, err = run("kill --rearm")
    assert (code, err) == (0, "")
    assert out.startswith("re-armed; it was latched: asked by cli\n")
    assert "no entries: automation_off" in out
    assert session.operations == ["status", "rearm"]


def test_rearm_lifts_what_stopped_the_account(run: Run, folder: Path) -> None:
    halted = dataclasses.replace(full_status().breakers, halted="kill_24h")
    session = Session(with_changes(full_status(), breakers=halted), full_status())
    with running(folder, session):
        code, out, _ = run("kill --rearm")
    assert code == 0
    assert out.startswith("re-armed; it was latched: kill_24h\n")
    assert session.operations == ["status", "rearm"]


def test_a_refused_rearm_says_why(run: Run, folder: Path) -> None:
    session = Session(verified)
    session.refusal = "REFUSED_OPERATION the kill switch still closes"
    with running(folder, session):
        code, out, err = run("kill --rearm")
    assert (code, out) == (1, "")
    assert err == "refused: REFUSED_OPERATION the kill switch still closes\n"


def test_rearm_says_when_nothing_is_latched(run: Run, folder: Path) -> None:
    session = Session()
    with running(folder, session):
        code, out, err = run("kill --rearm")
    assert (code, err) == (0, "")
    assert out.startswith("nothing is latched: the kill switch is armed; automation on, but ")
    assert session.operations == ["status"]


def test_kill_says_when_the_session_ends_before(run: Run, folder: Path) -> None:
    session = Session(killed)
    session.after = 1
    with running(folder, session):
        code, out, err = run("kill")
    assert (code, out) == (1, "")
    assert err.startswith("killed, but not verified: ")


def test_kill_without_a_session_leaves_the_file(run: Run, folder: Path) -> None:
    folder.mkdir()
    code, out, err = run("kill")
    assert (code, out) == (1, "")
    assert err.startswith("no session runs in session; ")
    assert f"Wrote {folder / 'KILL'}" in err
    assert "Nothing is verified" in err
    assert KillFile(folder).is_there()
    code, _, err = run("kill --rearm")
    assert code == 1
    assert "the file KILL in session was removed" in err
    assert not KillFile(folder).is_there()


def test_kill_of_a_session_that_cannot_answer_leaves_the_file(run: Run, folder: Path) -> None:
    session = Session()
    session.after = 0
    with running(folder, session):
        code, _, err = run("kill")
    assert code == 1
    assert "ended while it was asked" in err
    assert KillFile(folder).is_there()


def test_a_refused_kill_leaves_the_file(run: Run, folder: Path) -> None:
    session = Session()
    session.refusal = "internal error"
    with running(folder, session):
        code, _, err = run("kill")
    assert code == 1
    assert "the session refused: internal error" in err
    assert KillFile(folder).is_there()


def test_kill_in_the_wrong_place_says_that_nothing_was_killed(run: Run, tmp_path: Path) -> None:
    code, _, err = run("kill")
    assert code == 1
    assert "there is no such folder, and nothing was killed" in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("typed", "options", "is_asked"),
    [("y\n", "", True), ("n\n", "", False), ("", "", False), ("", " --yes", True)],
)
def test_on_a_terminal_kill_asks_first(
    run: Run,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    typed: str,
    options: str,
    is_asked: bool,
) -> None:
    class Keyboard:
        """Standard input of a terminal."""

        def __init__(self) -> None:
            self._lines = iter(typed.splitlines(keepends=True))

        def isatty(self) -> bool:
            return True

        def readline(self, *_: int) -> str:
            return next(self._lines, "")

    monkeypatch.setattr(sys, "stdin", Keyboard())
    session = Session(verified)
    with running(folder, session):
        code, _, err = run(f"kill{options}")
    assert session.operations == (["kill"] if is_asked else [])
    assert code == (0 if is_asked else 1)
    assert ("close all positions" in err) is not bool(options)


def test_what_a_store_logs_is_not_between_the_json(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`tercel status --json | jq`: a store that is opened may warn."""
    keep(folder, full_state(7))
    open_state = bootstrap.open_state

    def warning(url: str, place: Path) -> StateStore:
        structlog.get_logger("tercel.store").warning("state_not_durable")
        return open_state(url, place)

    monkeypatch.setattr(bootstrap, "open_state", warning)
    _, out, err = run("status --json")
    assert json.loads(out)["kept"]["session_id"] == full_state(7).session_id
    assert "state_not_durable" in err
