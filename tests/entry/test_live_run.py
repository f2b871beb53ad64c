"""How a running session is seen by its view."""

from __future__ import annotations

import asyncio
import dataclasses
from types import SimpleNamespace
from typing import Any, cast

import pytest
from tests.app.live.scenes import START, Scene
from tests.live_status import NOW_MS, a_position, full_status, with_changes

from tercel.adapters.clock import VirtualClock
from tercel.app.live.latency import Latencies
from tercel.app.live.status_records import AlertStatus
from tercel.entry.cli.live_run import _Watched, tell_end
from tercel.entry.cli.live_view import View


def test_up_is_told_on_our_own_clock_where_the_venue_s_runs_faster() -> None:
    """A minute of ours on a venue of twenty minutes a minute, which began long ago."""
    clock = VirtualClock(START)
    watched = _Watched(cast("View", None), clock, 20.0)
    venue_ms = clock.now_ms() + 99 * 3_600_000
    around = SimpleNamespace(clock=SimpleNamespace(now_ms=lambda: venue_ms), health=None)
    runner = SimpleNamespace(session=Scene().session, latencies=Latencies(), submit=None)
    watched.meet(cast("Any", SimpleNamespace(runner=runner, around=around)))
    asyncio.run(clock.sleep(60.0))
    venue_ms += 20 * 60_000
    told = watched.status()
    assert told.up_ms == 60_000
    assert told.now_ms - told.started_ms == 20 * 60_000
    assert told.now_ms == venue_ms > START


class Told:
    """A view that remembers its lines."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def tell(self, line: str) -> None:
        self.lines.append(line)


ENDED = AlertStatus(
    9, NOW_MS, "info", "SESSION_ENDED", "asked by SIGINT; left open: long 0.25 BTCUSDT"
)


def end_of(code: int = 0, **changes: object) -> list[str]:
    view = Told()
    status = with_changes(full_status(), alerts=(ENDED,), is_stopping=True, **changes)
    tell_end(cast("View", view), status, code)
    return view.lines


def test_the_end_says_why_and_what_is_left_open() -> None:
    assert end_of(mode="live") == [
        "ended: asked by SIGINT; left open:",
        "  BTCUSDT long 0.25 [three_r]: its stop rests at the venue at 59900",
    ]
    assert end_of(mode="paper")[1:] == [
        "  BTCUSDT long 0.25 [three_r]: on paper, closed at its last price at the next start"
    ]
    naked = dataclasses.replace(a_position(), stop_rests=False)
    assert "NO STOP IS KNOWN TO REST" in end_of(mode="live", positions=(naked,))[1]
    assert end_of(positions=()) == ["ended: asked by SIGINT; no position is open"]


def test_a_refused_start_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    refused = AlertStatus(
        1, NOW_MS, "critical", "UNKNOWN_POSITION", "BTCUSDT: the venue holds 0.5 at 60000"
    )
    view = Told()
    status = with_changes(full_status(), is_ready=False, alerts=(refused,))
    tell_end(cast("View", view), status, 1)
    assert view.lines == []
    assert capsys.readouterr().err == "error: BTCUSDT: the venue holds 0.5 at 60000\n"
