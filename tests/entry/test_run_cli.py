"""`tercel run` as a user types it, as far as no network is needed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.entry.conftest import Run
from tests.entry.running_session import Session, running

from tercel.adapters.control import ControlServer, SessionRunsError
from tercel.app.backtest import simulate
from tercel.domain.results import BacktestResult

REPLAY = "run --replay --strategy swing --symbols BTCUSDT --venue synthetic"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("run --mode real", "not one of paper, live"),
        ("run --replay --mode live", "a replay sends no order anywhere"),
        ("run --replay --venue-url http://127.0.0.1:1", "a replay plays bars of the lake"),
        ("run --speed 5", "--speed is for a replay, or for a simulated exchange"),
        ("run --replay --speed -1", "use more than 0"),
        ("run --from 2024-01-01", "--from is for a replay"),
        ("run --replay --symbols ,", "name at least one --strategy"),
        ("run --replay --strategy nobody", "no strategy 'nobody'"),
        ("venue --port 99999", "--port 99999: use 0 to 65535"),
    ],
)
def test_a_mistake_is_one_line(run: Run, words: str, told: str) -> None:
    code, _, text = run(words)
    assert code == 2
    assert told in " ".join(text.split())


def test_trading_without_ccxt_says_how_to_get_it(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(_name: str) -> None:
        raise ImportError

    monkeypatch.setattr("tercel.adapters.ccxt.link.exchange_class", missing)
    code, _, err = run("run --mode paper --folder session")
    assert code == 2
    assert err.startswith("error: trading needs the ccxt package; install it: `make live`")
    assert err.count("\n") == 1


def test_a_replay_equals_the_backtest_and_names_its_session(run: Run, tmp_path: Path) -> None:
    code, text, _ = run(f"{REPLAY} --folder {tmp_path / 'session'}")
    told = " ".join(text.split())
    assert code == 0
    assert "the same trades as a backtest of these bars, to the last bit" in told
    number = told.split("session ")[-1].split(":")[0]
    code, shown, _ = run(f"journal sessions --folder {tmp_path / 'session'} --json")
    assert code == 0
    row = json.loads(shown)
    assert row["session_id"] == number
    # Both are dated by the bars: from the open of the first to the close of the last.
    bars = int(told.split(" bars,")[0].split()[-1].replace(",", ""))
    assert row["end_ms"] - row["time_ms"] == bars * 60_000


def test_a_replay_without_a_journal_leaves_nothing(run: Run, tmp_path: Path) -> None:
    code, text, _ = run(f"{REPLAY} --no-journal --folder {tmp_path / 'session'}")
    assert code == 0
    assert "tercel parity" not in text
    assert not (tmp_path / "session" / "journal.sqlite").exists()


def test_a_folder_that_cannot_be_made_is_told_before_anything_is_played(
    run: Run, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("no folder")
    for place in ("--folder file", "--set journal.url=sqlite:///file/journal.sqlite"):
        code, out, err = run(f"run --replay --strategy three_r --venue synthetic {place}")
        assert (code, out) == (1, "")
        assert "cannot be made" in err


def test_a_replay_writes_nothing_beside_a_session(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "session"
    with running(folder, Session()):
        code, out, err = run(f"{REPLAY} --folder session")
        assert (code, out) == (2, "")
        for part in ("already running here (pid", "--folder", "--no-journal"):
            assert part in err
        assert err.count("\n") == 1
        assert not (folder / "journal.sqlite").exists()
        assert run(f"{REPLAY} --folder session --no-journal")[0] == 0
        assert run(f"{REPLAY} --folder session --set journal.url=sqlite:///other.sqlite")[0] == 0
        assert run(f"{REPLAY} --folder another")[0] == 0


def test_a_replay_holds_its_folder_while_it_plays(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = []

    def simulated(*given: Any) -> BacktestResult:
        with pytest.raises(SessionRunsError):
            ControlServer(Path("session"), Session().ask).claim()
        held.append(True)
        return simulate(*given)

    monkeypatch.setattr("tercel.app.live.rehearsal.simulate", simulated)
    assert run(f"{REPLAY} --folder session")[0] == 0
    assert run(f"{REPLAY} --folder session")[0] == 0
    assert held == [True, True]


def test_a_folder_that_cannot_be_locked_is_told(run: Run, tmp_path: Path) -> None:
    (tmp_path / "session").mkdir()
    (tmp_path / "session" / "control.lock").symlink_to(tmp_path / "elsewhere.lock")
    code, out, err = run(f"{REPLAY} --folder session")
    assert (code, out) == (1, "")
    assert "control.lock: cannot be locked" in err


@pytest.mark.parametrize(
    ("option", "told"),
    [("", "what was finished is kept"), (" --no-journal", "--no-journal keeps nothing")],
)
def test_ctrl_c_says_what_is_kept_of_a_replay(
    run: Run, monkeypatch: pytest.MonkeyPatch, option: str, told: str
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("tercel.app.live.rehearsal.simulate", interrupted)
    code, _, err = run(f"{REPLAY}{option}")
    assert (code, told in err) == (130, True)
    assert err.count("interrupted") == 1
