"""The venue's time, and the market played on it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from tercel.adapters.simulator.market.ticks import MarketTick

if TYPE_CHECKING:
    from tercel.adapters.simulator.binance.facade import BinanceFacade
    from tercel.app.ports import Clock

TICKS_AT_ONCE = 50
"""Ticks that may be due together before others get their turn."""


class PacedClock:
    """The Clock port: begins at `start_ms` and runs `speed` times as fast as another clock."""

    def __init__(self, clock: Clock, start_ms: int, speed: float) -> None:
        self._clock = clock
        self._start_ms = start_ms
        self._speed = speed
        self._began_ms = clock.now_ms()

    def now_ms(self) -> int:
        """Milliseconds UTC at the venue."""
        return self._start_ms + int((self._clock.now_ms() - self._began_ms) * self._speed)

    async def sleep(self, seconds: float) -> None:
        """Return once so much of the venue's time has passed."""
        await self._clock.sleep(seconds / self._speed)


async def play(
    ticks: Iterable[MarketTick],
    facade: BinanceFacade,
    clock: Clock,
    on_tick: Callable[[MarketTick], None] = lambda _: None,
    early_ms: int = 0,
) -> None:
    """Bring each tick to the façade at its time; returns when there are no more.

    Ticks at most `early_ms` ahead come together with those that are due: on a fast clock waits are
    too short to be waited for one by one.
    """
    since_pause = 0
    for tick in ticks:
        wait_ms = tick.time_ms - clock.now_ms()
        if wait_ms > early_ms or since_pause >= TICKS_AT_ONCE:
            since_pause = 0
            await clock.sleep(max(wait_ms, 0) / 1_000)
        since_pause += 1
        facade.on_tick(tick, max(tick.time_ms, clock.now_ms()))
        on_tick(tick)
