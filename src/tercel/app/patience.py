"""How to keep asking a venue: evenly paced, backing off, and only so often.

In order, for each call: wait for the next free slot of the pace; try; when the answer is "not now",
wait as long as the venue asked, or ever longer; after the last try, one VenueError.
All waiting goes through the Clock, so tests need no real time.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import TypeVar

import numpy as np
import structlog

from tercel.app.ports import Clock
from tercel.domain.errors import VenueError
from tercel.domain.fetch_policy import FetchPolicy

T = TypeVar("T")

log = structlog.get_logger(__name__)


class TryAgainError(Exception):
    """One try failed in a way that may pass: too many requests, a lost line, a bad checksum."""

    def __init__(self, reason: str, after_seconds: float | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.after_seconds = after_seconds
        """How long the venue asked us to wait, if it said."""


class Patience:
    """The pace and the back-off towards one venue, shared by everything that asks it."""

    def __init__(self, policy: FetchPolicy, clock: Clock, *, seed: int = 0) -> None:
        self._policy = policy
        self._clock = clock
        self._draw = np.random.default_rng(seed)
        self._next_slot_ms = 0.0

    async def turn(self) -> None:
        """Return when the next request may leave."""
        now_ms = self._clock.now_ms()
        slot_ms = max(float(now_ms), self._next_slot_ms)
        self._next_slot_ms = slot_ms + 1000.0 / self._policy.requests_per_second
        if slot_ms > now_ms:
            await self._clock.sleep((slot_ms - now_ms) / 1000.0)

    async def keep_trying(self, what: str, attempt: Callable[[], Awaitable[T]]) -> T:
        """The answer of `attempt`, repeated on TryAgainError. Raises VenueError after the last."""
        tries_max = self._policy.retries + 1
        tried = 0
        while True:
            try:
                return await attempt()
            except TryAgainError as error:
                tried += 1
                self._check_wait(what, error)
                if tried == tries_max:
                    tries = "1 try" if tries_max == 1 else f"{tries_max} tries"
                    raise VenueError(f"{what}: gave up after {tries}: {error.reason}") from None
                wait_seconds = self._policy.backoff_seconds(tried, self._draw)
                if error.after_seconds is not None:
                    wait_seconds = max(wait_seconds, error.after_seconds)
                    self._hold(wait_seconds)
                log.warning(
                    "trying_again",
                    request=what,
                    reason=error.reason,
                    failed_tries=tried,
                    wait_seconds=round(wait_seconds, 1),
                )
                await self._clock.sleep(wait_seconds)

    def _check_wait(self, what: str, error: TryAgainError) -> None:
        asked = error.after_seconds
        if asked is not None and asked > self._policy.retry_after_seconds_max:
            raise VenueError(
                f"{what}: the venue asks to be left alone for {asked:.0f} s, longer than "
                f"fetch.retry_after_seconds_max ({self._policy.retry_after_seconds_max:.0f} s): "
                f"{error.reason}; run again after that"
            )

    def _hold(self, seconds: float) -> None:
        """The venue asked everyone to wait, not only this caller."""
        self._next_slot_ms = max(self._next_slot_ms, self._clock.now_ms() + seconds * 1000.0)


def parse_retry_after(header: str | None, now_ms: int) -> float | None:
    """Seconds of `Retry-After`: `120` or `Wed, 21 Oct 2026 07:28:00 GMT`. None: not said."""
    if header is None or not header.strip():
        return None
    text = header.strip()
    try:
        return max(0.0, float(text))
    except ValueError:
        pass
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, moment.timestamp() - now_ms / 1000.0)
