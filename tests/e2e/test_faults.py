"""A session while its venue misbehaves: lost answers, unknown outcomes, a cut user stream, events
that come twice, late or never.
"""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from tests.e2e.audit import check_fills, check_wallet, naked
from tests.e2e.programs import PROTECT_MS_MAX, SPEED, Session, tercel, until, venue

pytestmark = pytest.mark.slow
PLAN = """
seed: 11
faults:
  - what: O1                     # the answer is lost, the order is live
    when: {nth: 2}
    where: {endpoint: POST /fapi/v1/order}
  - what: O3                     # 503: nobody knows
    when: {nth: 5}
    where: {endpoint: POST /fapi/v1/order}
  - what: O3
    when: {nth: 9}
    where: {endpoint: POST /fapi/v1/order}
    figures: {processed: 0}
  - what: O1
    when: {nth: 2}
    where: {endpoint: POST /fapi/v1/algoOrder}
  - what: O2                     # lost, and never placed
    when: {nth: 4}
    where: {endpoint: POST /fapi/v1/algoOrder}
  - what: U1                     # events come twice
    when: {probability: 0.3, times: 100}
  - what: U2                     # or never
    when: {probability: 0.1, times: 5}
  - what: T7                     # the user stream is cut, twice
    when: {after_ms: 300000, times: 1}
    where: {stream: private}
  - what: T7
    when: {after_ms: 900000, times: 1}
    where: {stream: private}
"""
STRUCK = ("O1", "O2", "O3", "T7", "U1")
TRADES = 5
SLACK_MS = 1_000 * SPEED
"""A second of this machine, in venue time."""


def test_the_books_agree_after_faults(tmp_path: Path) -> None:
    """Trade through the plan; once it is over, everything is known and nothing is left behind."""
    plan = tmp_path / "plan.yaml"
    plan.write_text(PLAN, encoding="utf-8")
    with venue(tmp_path, "--faults", str(plan)) as where:
        session = Session(where, tmp_path, "--automation", "--set", "stop_fraction=0.0005")
        try:
            session.until_ready()
            session.until(lambda it: it.account.trades >= TRADES, "trades through faults", 60.0)
            code, printed = tercel(tmp_path, "automation", "off", "--folder", str(session.folder))
            assert code == 0, printed
            session.until(lambda it: not it.positions and not it.orders, "flat in the end", 30.0)
            until(lambda: where.position() == 0.0, "the venue is flat")
            assert session.program.end(signal.SIGTERM, 10.0) == 0, session.program.said
        finally:
            session.program.kill()
        assert where.open_stops() == []
        assert where.open_orders() == []
        assert check_fills(where, session.folder) >= 2 * TRADES
        check_wallet(where, session.folder)
        for span in naked(where):
            assert span.length_ms <= PROTECT_MS_MAX + SLACK_MS, span
        where.program.end(signal.SIGTERM, 10.0)
        for code_of_fault in STRUCK:
            assert f"{code_of_fault} " in where.program.said.partition("faults that struck")[2]
