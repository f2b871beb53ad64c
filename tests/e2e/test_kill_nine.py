"""`kill -9` at any moment, start again, and be safe and consistent: by the venue's own books."""

from __future__ import annotations

import signal
import threading
from pathlib import Path

import numpy as np
import pytest
from tests.e2e.audit import Span, check_fills, check_wallet, naked
from tests.e2e.programs import PROTECT_MS_MAX, SPEED, Session, Venue, tercel, until, venue

pytestmark = pytest.mark.slow
SEED = 4
ROUNDS = 5
LIFE_SECONDS = 1.2
"""About as long as a trade lives, in seconds of this machine."""
SLACK_MS = 500 * SPEED
"""Half a second of this machine, in venue time: for requests on their way, on a busy machine."""


def wait(seconds: float) -> None:
    """A drawn moment: the only pause that no condition ends."""
    threading.Event().wait(seconds)


def entries_at(where: Venue) -> int:
    """Trades the venue knows."""
    return len(where.ask("/fapi/v1/userTrades", symbol="BTCUSDT", limit=1000))


def test_killed_at_random_moments(tmp_path: Path) -> None:
    """Five lives, each killed at a drawn moment after a fill, and a sixth that ends in order."""
    draws = np.random.default_rng(SEED)
    down: list[Span] = []
    with venue(tmp_path) as where:
        for _ in range(ROUNDS):
            session = Session(where, tmp_path, "--automation", "--set", "stop_fraction=0.0005")
            try:
                session.until_ready()
                if down:
                    down[-1] = Span(down[-1].begin_ms, where.now_ms())
                known = entries_at(where)
                until(lambda: entries_at(where) > known, "another fill")  # noqa: B023
                wait(float(draws.uniform(0.0, LIFE_SECONDS)))
            finally:
                down.append(Span(where.now_ms(), 0))
                session.program.kill()
        session = Session(where, tmp_path, "--automation")
        try:
            session.until_ready()
            down[-1] = Span(down[-1].begin_ms, where.now_ms())
            code, printed = tercel(tmp_path, "automation", "off", "--folder", str(session.folder))
            assert code == 0, printed
            session.until(lambda it: not it.positions and not it.orders, "flat in the end")
            assert session.program.end(signal.SIGTERM, 10.0) == 0, session.program.said
        finally:
            session.program.kill()
        _check(where, session.folder, down)


def _check(where: Venue, folder: Path, down: list[Span]) -> None:
    assert where.position() == 0.0
    assert where.open_stops() == []
    assert where.open_orders() == []
    assert check_fills(where, folder) > ROUNDS
    check_wallet(where, folder)
    for span in naked(where):
        # Nobody protects anything while no session runs: that time is not the session's.
        dead_ms = sum(
            max(0, min(span.end_ms, each.end_ms) - max(span.begin_ms, each.begin_ms))
            for each in down
        )
        assert span.length_ms - dead_ms <= PROTECT_MS_MAX + SLACK_MS, (span, down)
