"""Clocks: the only place where the machine's time is read or waited for."""

from __future__ import annotations

import asyncio
import time

from tercel.app.ports import Clock
from tercel.domain.errors import TercelError


def _since_boot_ns() -> int:
    """Nanoseconds that only go forward, through a sleep of the machine too where it counts that."""
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    return time.monotonic_ns()


class SystemClock:
    """The machine's clock as it was when this one was made, and what has passed since: it does not
    step when somebody sets the machine's, so that no deadline of a session waits an hour longer.
    """

    def __init__(self) -> None:
        self._boot_ns = time.time_ns() - _since_boot_ns()

    def now_ms(self) -> int:
        """Milliseconds UTC."""
        return (self._boot_ns + _since_boot_ns()) // 1_000_000

    async def sleep(self, seconds: float) -> None:
        """Wait in real time."""
        await asyncio.sleep(seconds)  # noqa: TID251 (this is the clock adapter)


class ScaledClock:
    """A clock that runs `speed` times as fast as another from the moment it is made: for a
    simulated exchange whose market does.
    """

    def __init__(self, clock: Clock, speed: float) -> None:
        self._clock = clock
        self._speed = speed
        self._begun_ms = clock.now_ms()

    def now_ms(self) -> int:
        """Milliseconds UTC, on the faster time."""
        return self._begun_ms + round((self._clock.now_ms() - self._begun_ms) * self._speed)

    async def sleep(self, seconds: float) -> None:
        """Return once `seconds` of the faster time have passed."""
        await self._clock.sleep(seconds / self._speed)


class VirtualClock:
    """A clock that stands still until someone sleeps on it: tests run hours in no time."""

    def __init__(self, now_ms: int = 1_700_000_000_000, *, slept_seconds_max: float = 1e7) -> None:
        self._now_ms = now_ms
        self._left_seconds = slept_seconds_max

    def now_ms(self) -> int:
        """Milliseconds UTC, as set or slept to."""
        return self._now_ms

    async def sleep(self, seconds: float) -> None:
        """Advance at once, and let other tasks run."""
        self._left_seconds -= seconds
        if self._left_seconds < 0:
            raise TercelError("virtual clock: slept beyond its bound; something waits for ever")
        self._now_ms += round(seconds * 1000)
        await asyncio.sleep(0)  # noqa: TID251
