"""How a running session is seen by its view."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

from tests.app.live.scenes import START, Scene

from tercel.adapters.clock import VirtualClock
from tercel.app.live.latency import Latencies
from tercel.entry.cli.live_run import _Watched
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
