"""A clock that runs faster or slower than another, from the moment it is made."""

from __future__ import annotations

import pytest

from tercel.adapters.clock import ScaledClock, VirtualClock

BEGUN_MS = 1_700_000_000_000


@pytest.mark.parametrize("speed", [0.5, 1.0, 60.0, 1_000.0])
async def test_time_passes_at_its_speed(speed: float) -> None:
    """Ten seconds below are `speed` times as many above; both begin at the same moment."""
    below = VirtualClock(BEGUN_MS)
    above = ScaledClock(below, speed)
    assert above.now_ms() == BEGUN_MS
    await below.sleep(10.0)
    assert above.now_ms() == BEGUN_MS + round(10_000 * speed)


@pytest.mark.parametrize("speed", [0.5, 60.0])
async def test_sleeping_is_on_the_faster_time(speed: float) -> None:
    below = VirtualClock(BEGUN_MS)
    above = ScaledClock(below, speed)
    await above.sleep(120.0)
    assert above.now_ms() == BEGUN_MS + 120_000
    assert below.now_ms() == BEGUN_MS + round(120_000 / speed)


async def test_it_begins_when_it_is_made() -> None:
    """What passed before is not multiplied."""
    below = VirtualClock(BEGUN_MS)
    await below.sleep(50.0)
    above = ScaledClock(below, 10.0)
    assert above.now_ms() == BEGUN_MS + 50_000
    await below.sleep(1.0)
    assert above.now_ms() == BEGUN_MS + 60_000


async def test_clocks_may_be_stacked() -> None:
    below = VirtualClock(BEGUN_MS)
    above = ScaledClock(ScaledClock(below, 10.0), 6.0)
    await above.sleep(60.0)
    assert (above.now_ms() - BEGUN_MS, below.now_ms() - BEGUN_MS) == (60_000, 1_000)
