"""Venue time: our clock plus the offset that the venue's own clock was last seen at.

Everything that is dated in a live session (days, cool-downs, entries, requests) is dated by this
clock. A venue that does not tell the time never stops a start: the session then runs on local time
and says so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog

from tercel.app.live.alerts import AlertCode
from tercel.app.ports import Clock
from tercel.domain.errors import VenueError

log = structlog.get_logger(__name__)

SAMPLES_MAX = 3
ROUND_TRIP_MS_GOOD = 200
"""An answer this quick is taken at once; half of its time is how wrong the offset can be."""
ROUND_TRIP_MS_MAX = 2_000
"""An answer slower than this says too little about the venue's clock: it counts as none."""

ELAPSED_MS_MIN = 1_000
"""Between two looks at the venue's clock before their difference says how fast it runs."""
RATE_BOUNDS = (0.5, 2.0)
"""A clock that runs slower or faster than this is no clock that has stepped."""

Warn = Callable[[AlertCode, str], None]
"""Told a code and a text."""


@dataclass(frozen=True, slots=True)
class _Sample:
    sent_ms: int
    offset_ms: int
    round_trip_ms: int


def _quiet(_code: AlertCode, _text: str) -> None:
    """Nobody wants to be told."""


class VenueClock:
    """ports.Clock on venue time. `offset_ms` is venue minus local."""

    def __init__(
        self,
        clock: Clock,
        ask: Callable[[], Awaitable[int]],
        minutes: float,
        warn: Warn = _quiet,
    ) -> None:
        self._clock = clock
        self._ask = ask
        self._seconds = minutes * 60.0
        self._warn = warn
        self.offset_ms = 0
        self._nudged: asyncio.Task[bool] | None = None
        self._last: _Sample | None = None
        self._rate = 1.0
        """How many times as fast as ours the venue's clock ran between the last two looks."""
        self._is_told = False

    def now_ms(self) -> int:
        """Milliseconds UTC, venue time."""
        return self._clock.now_ms() + self.offset_ms

    async def sleep(self, seconds: float) -> None:
        """As the underlying clock waits."""
        await self._clock.sleep(seconds)

    async def start(self) -> bool:
        """Take the first offset; without an answer local time is used, with a warning."""
        trouble = await self._measure()
        if trouble:
            self.offset_ms = 0
            self._complain(AlertCode.BINANCE_TIME_SYNC_UNAVAILABLE_USING_LOCAL, trouble)
        return not trouble

    async def refresh(self) -> bool:
        """Take a new offset; without an answer the old one stays, with a warning."""
        trouble = await self._measure()
        if trouble:
            self._complain(AlertCode.BINANCE_TIME_SYNC_FAILED, trouble)
        return not trouble

    async def keep(self) -> None:
        """Refresh for ever, at the set interval: a task of the runner's, ended by cancelling it."""
        while True:
            await self._clock.sleep(self._seconds)
            await self.refresh()

    def nudge(self) -> None:
        """The venue refused a request for its time: one of both clocks has stepped. Refresh now,
        unless that is under way.
        """
        if self._nudged is None or self._nudged.done():
            self._nudged = asyncio.create_task(self.refresh())

    async def _measure(self) -> str:
        """Set the offset from the quickest of a few answers. Returns what went wrong, or ''."""
        best: _Sample | None = None
        trouble = ""
        for _ in range(SAMPLES_MAX):
            sent_ms = self._clock.now_ms()
            try:
                venue_ms = await self._ask()
            except VenueError as error:
                trouble = str(error)
                break
            got_ms = self._clock.now_ms()
            offset_ms = venue_ms - (sent_ms + got_ms) // 2
            sample = _Sample(sent_ms, offset_ms, max(0, got_ms - sent_ms))
            if best is None or sample.round_trip_ms < best.round_trip_ms:
                best = sample
            if sample.round_trip_ms <= ROUND_TRIP_MS_GOOD:
                break
        if best is None:
            return trouble
        if best.round_trip_ms > ROUND_TRIP_MS_MAX:
            return f"the venue took {best.round_trip_ms} ms to tell the time"
        self.offset_ms = best.offset_ms
        self._look_at_rate(best)
        return ""

    def _look_at_rate(self, sample: _Sample) -> None:
        """Tell once of a clock that runs at another speed: a simulated exchange in fast motion, and
        a session that was not told so. One that has stepped shows it once, not twice in a row.
        """
        last, before = self._last, self._rate
        if last is not None and sample.sent_ms - last.sent_ms < ELAPSED_MS_MIN:
            return
        self._last = sample
        if last is None:
            return
        ahead_ms = sample.offset_ms - last.offset_ms
        self._rate = 1.0 + ahead_ms / (sample.sent_ms - last.sent_ms)
        slow, fast = RATE_BOUNDS
        is_off = all(not slow < rate < fast for rate in (before, self._rate))
        if is_off and not self._is_told:
            self._is_told = True
            self._complain(
                AlertCode.BINANCE_TIME_SYNC_FAILED,
                f"the venue's clock runs {self._rate:.3g} times as fast as this session's: a "
                "simulated exchange wants its own --speed here, too",
            )

    def _complain(self, code: AlertCode, trouble: str) -> None:
        log.warning(code.value, reason=trouble, offset_ms=self.offset_ms)
        self._warn(code, trouble)


class FollowingClock:
    """A Clock that tells local time until it follows another."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self._followed: Clock = clock

    def follow(self, clock: Clock) -> None:
        """Tell the time of `clock` from now on."""
        self._followed = clock

    def now_ms(self) -> int:
        """Milliseconds UTC."""
        return self._followed.now_ms()

    async def sleep(self, seconds: float) -> None:
        """As the clock waits."""
        await self.clock.sleep(seconds)
