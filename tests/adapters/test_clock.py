"""Clocks: one that runs faster than another, and the machine's, which does not step."""

from __future__ import annotations

import time

import pytest

from tercel.adapters.clock import ScaledClock, SystemClock, VirtualClock

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


def test_the_machine_s_clock_does_not_step_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody sets it an hour back: a session that waits for a deadline does not wait longer."""
    now_ns = time.time_ns()
    monkeypatch.setattr(time, "time_ns", lambda: now_ns)
    clock = SystemClock()
    begun_ms = clock.now_ms()
    assert abs(begun_ms - now_ns // 1_000_000) < 1_000
    monkeypatch.setattr(time, "time_ns", lambda: now_ns - 3_600_000_000_000)
    assert 0 <= clock.now_ms() - begun_ms < 10_000


def test_without_a_clock_that_counts_sleep_the_one_without_it_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delattr(time, "CLOCK_BOOTTIME", raising=False)
    clock = SystemClock()
    assert 0 <= clock.now_ms() - time.time_ns() // 1_000_000 + 1_000 < 2_000
