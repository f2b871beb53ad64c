"""An asyncio loop on virtual time: whenever nothing is ready, the clock jumps to the next timer.

Hours pass in seconds, and two runs of one program do the same things in the same order: there are
no sockets and no threads, work for an executor is done at once, and timers with equal deadlines
fire in the order in which they were set (the standard heap compares deadlines alone). Time begins
at 0 and is counted in whole nanoseconds: with seconds since 1970 a float's grain is coarse enough
for a timer to lie in the past and never fire.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable
from concurrent.futures import Executor
from contextvars import Context
from typing import Any, TypeVar, TypeVarTuple

from tercel.domain.errors import TercelError

_Result = TypeVar("_Result")
_Arguments = TypeVarTuple("_Arguments")

NANOSECONDS = 1_000_000_000


class DeadlockError(TercelError):
    """Nothing is ready and nothing is scheduled: what is awaited can never happen."""


class _Timer(asyncio.TimerHandle):
    """A timer that knows when it was set."""

    __slots__ = ("sequence",)

    sequence: int

    def enter(self, heap: list[Any], sequence: int) -> None:
        """Take its place among the timers."""
        self.sequence = sequence
        heapq.heappush(heap, self)
        self._scheduled = True

    def __lt__(self, other: object) -> bool:
        if not isinstance(other, _Timer):
            return NotImplemented
        return (self.when(), self.sequence) < (other.when(), other.sequence)


class _Jump:
    """What the loop takes for its selector: it never waits, it moves the clock."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop

    def select(self, timeout: float | None) -> list[Any]:
        """No socket is ever ready; `timeout` seconds are over at once."""
        if timeout is None:
            raise DeadlockError(
                "virtual loop: everything waits and no timer is set, so nothing can go on"
            )
        if timeout > 0:
            # At least one nanosecond, or a rest too small to be counted would be awaited for ever.
            self._loop.now_ns += max(1, round(timeout * NANOSECONDS))
        return []

    def close(self) -> None:
        """Nothing is held."""


class VirtualLoop(asyncio.BaseEventLoop):
    """The loop. `now_ns` is the time since its beginning."""

    _scheduled: list[Any]

    def __init__(self) -> None:
        super().__init__()
        self.now_ns = 0
        self._selector = _Jump(self)
        self._clock_resolution = 1e-9
        self._timers_set = 0

    def time(self) -> float:
        """Seconds since the loop's beginning."""
        return self.now_ns / NANOSECONDS

    def call_at(
        self,
        when: float,
        callback: Callable[[*_Arguments], object],
        *args: *_Arguments,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """Call at `when` seconds; timers of one moment keep the order in which they were set."""
        if self.is_closed():
            raise RuntimeError("the loop is closed")
        timer = _Timer(when, callback, args, self, context)
        self._timers_set += 1
        timer.enter(self._scheduled, self._timers_set)
        return timer

    def run_in_executor(
        self,
        executor: Executor | None,  # noqa: ARG002 (the signature is asyncio's)
        func: Callable[[*_Arguments], _Result],
        *args: *_Arguments,
    ) -> asyncio.Future[_Result]:
        """Call `func` here and now: a thread would bring the machine's own order of things in."""
        done: asyncio.Future[_Result] = self.create_future()
        try:
            done.set_result(func(*args))
        except Exception as error:
            done.set_exception(error)
        return done

    def close(self) -> None:
        """Drop what is left."""
        super().close()
        self._selector.close()

    def _process_events(self, event_list: list[Any]) -> None:
        """There are none: no sockets."""

    def _write_to_self(self) -> None:
        """Nobody sleeps that had to be woken."""


class LoopClock:
    """The Clock port on a VirtualLoop, which begins at `epoch_ms` (UTC)."""

    def __init__(self, loop: VirtualLoop, epoch_ms: int) -> None:
        self._loop = loop
        self._epoch_ms = epoch_ms

    def now_ms(self) -> int:
        """Milliseconds UTC on the loop's time."""
        return self._epoch_ms + self._loop.now_ns // 1_000_000

    async def sleep(self, seconds: float) -> None:
        """Return once the loop is `seconds` further."""
        over = self._loop.create_future()
        timer = self._loop.call_later(seconds, _wake, over)
        try:
            await over
        finally:
            timer.cancel()


def run_virtually(main: Callable[[LoopClock], Any], *, epoch_ms: int = 1_700_000_000_000) -> Any:
    """Run the coroutine that `main` makes from its clock to its end, on a loop of its own."""
    loop = VirtualLoop()

    async def work() -> Any:
        return await main(LoopClock(loop, epoch_ms))

    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        return runner.run(work())


def _wake(over: asyncio.Future[None]) -> None:
    if not over.done():
        over.set_result(None)
