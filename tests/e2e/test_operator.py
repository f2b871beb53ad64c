"""A session on the simulated exchange, and a second terminal that tells it what to do."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest
from tests.e2e.audit import check_fills, check_wallet, intents_of, scores_of, state_of
from tests.e2e.programs import Session, Venue, tercel, until, venue

pytestmark = pytest.mark.slow
END_SECONDS = 10.0
"""Within this SIGTERM ends a session."""


def told(session: Session, *arguments: str) -> str:
    """What a command of a second terminal printed; it must succeed."""
    code, printed = tercel(session.folder.parent, *arguments, "--folder", str(session.folder))
    assert code == 0, printed
    return printed


def has_stop(where: Venue) -> bool:
    """Whether the venue's position has a stop of its size."""
    held = where.position()
    stops = sum(float(row["quantity"]) for row in where.open_stops())
    return held != 0.0 and stops == pytest.approx(abs(held))


def is_empty(where: Venue) -> bool:
    """Whether the venue has no position and no order of ours."""
    return where.position() == 0.0 and not where.open_stops() and not where.open_orders()


def test_a_second_terminal_steers_a_session(tmp_path: Path) -> None:
    """Trade, pause, resume, automation off and on; SIGTERM leaves the stop at the venue; the next
    session takes the position up; kill, re-arm, SIGUSR1.
    """
    with venue(tmp_path) as where:
        session = Session(where, tmp_path, "--automation")
        try:
            session.until_ready()
            session.until(lambda it: it.account.trades > 0, "a first trade")
            _steer(session)
            _stop(session, where)
            session = Session(where, tmp_path)
            _kill(session, where)
            assert session.program.end(signal.SIGTERM, END_SECONDS) == 0, session.program.said
            assert check_fills(where, session.folder) >= 6
            check_wallet(where, session.folder)
        finally:
            session.program.kill()
    _check_scores(session.folder)
    slots = {row.slot for row in intents_of(session.folder)}
    assert {"entry", "stop", "target_1", "target_2", "close"} <= slots


def _steer(session: Session) -> None:
    shown = json.loads(told(session, "status", "--json"))
    assert shown["is_running"]
    told(session, "pause")
    session.until(lambda it: it.is_paused and not it.positions, "paused, and flat in the end")
    told(session, "resume")
    told(session, "automation", "off")
    session.until(lambda it: not it.automation and not it.is_paused, "automation is off")
    told(session, "automation", "on")
    session.until(lambda it: it.automation, "automation is on")


def _stop(session: Session, where: Venue) -> None:
    """SIGTERM while a position is open: the process ends in order, its protection stays."""
    session.until(lambda it: any(each.stop_rests for each in it.positions), "a protected position")
    assert session.program.end(signal.SIGTERM, END_SECONDS) == 0, session.program.said
    assert has_stop(where)


def _check_scores(folder: Path) -> None:
    """Fetched afresh by each session; what a simulated exchange says is not put into the lake."""
    rows = [row for row in scores_of(folder) if row.name.startswith("open_interest ")]
    assert {row.session_id for row in rows} >= {row.session_id for row in intents_of(folder)}
    state = state_of(folder)
    assert state.oi_cache is not None
    assert state.ls_ratio_cache is not None
    assert state.ls_ratio_cache.value == 1.0
    assert not list(folder.parent.rglob("rest-5m.parquet"))


def _kill(session: Session, where: Venue) -> None:
    """The next session takes the position up; the kill switch, twice."""
    session.until_ready()
    printed = told(session, "kill", "--yes")
    assert "stays latched" in printed
    assert is_empty(where)
    told(session, "kill", "--rearm")
    told(session, "automation", "on")
    session.until(lambda it: any(each.stop_rests for each in it.positions), "trading again")
    session.program.process.send_signal(signal.SIGUSR1)
    found = session.until(lambda it: it.kill_verified, "SIGUSR1 kills")
    assert found.kill_latched
    until(lambda: is_empty(where), "the venue is empty")
