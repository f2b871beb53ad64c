"""How often a venue is called: token buckets by category, the venue's own request weight, and
bans.

A call asks for its turn before it leaves. It goes at once while its bucket has a token and nobody
of its rank waits; otherwise it queues and says who it is. What closes a position at market goes
first, then cancels and protective orders, then entries and questions, then reads, which leave a few
tokens to those who may be in a hurry. A read waits for a few questions at most, however many there
are. An entry that would leave too late to be worth it is refused. While the venue asks to be left
alone, nobody goes; where it speaks of a pool of requests that has nothing to do with orders, nobody
of that category; where it has had too many new orders, no entry. Orders and cancels do not wait for
the end of it: they would be of another market by then, and are refused. Nothing else is ever
dropped. All waiting is done on the Clock port.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from enum import IntEnum

import structlog

from tercel.app.ports import Clock
from tercel.app.tasks import end_tasks
from tercel.domain.live_settings import GovernorSettings
from tercel.domain.times import MINUTE_MS

log = structlog.get_logger(__name__)

PRIVATE = "private"
PUBLIC = "public"
"""Categories: calls about the account, and calls that anybody may make."""
STATISTICS = "statistics"
"""Category of calls that the venue counts in pools of their own, apart from those of orders."""
ENTRIES = "entries"
UNHURRIED = "unhurried"
"""Whom a hold may be for, whatever their category: calls that may not be late, and all but those
that protect or close.
"""
READ_RESERVE_FRACTION = 0.3
"""Share of a bucket that reads leave to orders."""
WEIGHT_LIMIT = 2400
"""Request weight that a venue allows in a calendar minute, until it tells otherwise (Binance)."""
QUESTIONS_MAX = 3
"""Questions in a row that leave before a read that waits."""
HELD_MS_MAX = 500
"""An order or a cancel that would have to wait longer for the venue's leave is refused instead."""
SLEEP_SECONDS_MIN = 0.001


class TooLateError(Exception):
    """A call that may not leave late would have: it is not sent."""


class Priority(IntEnum):
    """Who goes first; smaller is sooner."""

    EXIT = 0
    """Orders that close a position at market: they wait for no stop, which they make needless."""
    URGENT = 1
    """Cancels, and orders that protect a position."""
    ORDER = 2
    READ = 3


@dataclass(slots=True, eq=False)
class _Caller:
    """Who asks for a turn."""

    category: str
    priority: Priority
    number: int
    """Of those of a rank the smallest is next."""
    weight: int
    until_ms: int | None
    """It may not leave after this moment; None: it waits for ever."""
    may_be_held: bool
    turn: asyncio.Future[None] = field(init=False)

    @property
    def names(self) -> tuple[str, ...]:
        """Whom a hold that concerns it may be for."""
        names = [self.category]
        if self.priority > Priority.URGENT:
            names.append(UNHURRIED)
        if self.until_ms is not None:
            names.append(ENTRIES)
        return tuple(names)

    @property
    def is_question(self) -> bool:
        """Whether it ranks with entries, but only asks."""
        return self.priority is Priority.ORDER and self.until_ms is None


class _Bucket:
    """Tokens that come back evenly: `calls_max` in each window."""

    def __init__(self, calls_max: int, window_seconds: float, now_ms: int) -> None:
        self.calls_max = calls_max
        self.tokens = float(calls_max)
        self.ms_per_token = window_seconds * 1000.0 / calls_max
        self._filled_ms = now_ms

    def fill(self, now_ms: int) -> None:
        """Add what has come back since the last look; a clock that steps back adds nothing."""
        passed = max(0, now_ms - self._filled_ms)
        self.tokens = min(float(self.calls_max), self.tokens + passed / self.ms_per_token)
        self._filled_ms = now_ms

    def wanted(self, priority: Priority) -> float:
        """Tokens that must be there for a call of that rank to take one."""
        reads_keep = round(self.calls_max * READ_RESERVE_FRACTION)
        return 1.0 + (reads_keep if priority is Priority.READ else 0)


class Governor:
    """The turns of everybody who calls one venue."""

    def __init__(self, settings: GovernorSettings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        now_ms = clock.now_ms()
        self._buckets = {PRIVATE: _Bucket(settings.calls_max, settings.window_seconds, now_ms)}
        self._queues: dict[str, list[_Caller]] = {}
        self._questions: dict[str, int] = {}
        """Questions that have left since the last read did, by category."""
        self._pumps: dict[str, asyncio.Task[None]] = {}
        self._number = 0
        self._weight_used = 0
        self._weight_minute = now_ms // MINUTE_MS
        self._weight_limit = WEIGHT_LIMIT
        self._held_until_ms: dict[str | None, int] = {}
        """Until when the venue wants none of a category, of ENTRIES, of UNHURRIED; None: nobody."""
        self.throttled = 0
        """Calls that had to wait, in all."""

    @property
    def waiting(self) -> int:
        """Calls that wait for their turn."""
        return sum(not each.turn.done() for queue in self._queues.values() for each in queue)

    def held_ms(self, *names: str | None) -> int:
        """How long the venue still wants to be left alone, by everybody or by those that go by any
        of `names` (a category, ENTRIES, UNHURRIED); 0: not at all.
        """
        until_ms = max(self._held_until_ms.get(name, 0) for name in (None, *names))
        return max(0, until_ms - self._clock.now_ms())

    def hold(self, seconds: float, name: str | None = None) -> None:
        """The venue asked everybody to wait (429, a ban), or those that go by `name`: nothing of
        theirs leaves before. Those that may not be held so long are told now: whoever asked decides
        anew.
        """
        until_ms = self._clock.now_ms() + round(seconds * 1000.0)
        self._held_until_ms[name] = max(self._held_until_ms.get(name, 0), until_ms)
        log.warning("venue_asks_to_wait", wait_seconds=round(seconds, 1), whom=name or "every")
        for each in (caller for queue in self._queues.values() for caller in queue):
            objection = self._objection(each)
            if objection is not None and not each.turn.done():
                each.turn.set_exception(objection)

    def note_weight(self, used: int, limit: int | None = None) -> None:
        """What the venue says it has counted in this minute."""
        self._roll_minute()
        self._weight_used = max(self._weight_used, used)
        if limit is not None:
            self._weight_limit = limit

    async def turn(
        self,
        caller: str,
        *,
        category: str = PRIVATE,
        priority: Priority = Priority.READ,
        weight: int = 1,
        may_be_late: bool = True,
        may_be_held: bool = True,
    ) -> None:
        """Return when the call named `caller` may leave. A call that waits is logged by name.

        Raises TooLateError after `entry_wait_ms_max`, unless it `may_be_late`; and at once when the
        venue wants to be left alone for longer than HELD_MS_MAX, unless it `may_be_held`.
        """
        wait_ms_max = self._settings.entry_wait_ms_max
        until_ms = None if may_be_late else self._clock.now_ms() + wait_ms_max
        self._number += 1
        me = _Caller(category, priority, self._number, weight, until_ms, may_be_held)
        queue = self._queues.setdefault(category, [])
        if (objection := self._objection(me)) is not None:
            raise objection
        others = (each for each in queue if not each.turn.done())
        if self._next([*others, me]) is me and self._wait_ms(me) <= 0:
            self._take(me)
            return
        self.throttled += 1
        log.warning("throttled", caller=caller, category=category, waiting=self.waiting + 1)
        while True:
            me.turn = asyncio.get_running_loop().create_future()
            queue.append(me)
            pump = self._pumps.get(category)
            if pump is None or pump.done():
                self._pumps[category] = asyncio.create_task(self._serve(category))
            await me.turn
            # Between its turn and this moment somebody may have heard that all have to wait.
            if self.held_ms(*me.names) == 0:
                return
            if (objection := self._objection(me)) is not None:
                raise objection

    async def _serve(self, category: str) -> None:
        """Let those who wait go, one after the other, until nobody waits."""
        queue = self._queues[category]
        while True:
            self._refuse_late(queue)
            # Without those whose callers gave up, or that were too late.
            queue[:] = [each for each in queue if not each.turn.done()]
            if not queue:
                return
            first = self._next(queue)
            wait_ms = self._wait_ms(first)
            if wait_ms <= 0:
                queue.remove(first)
                self._take(first)
                first.turn.set_result(None)
                continue
            # A read may wait for several tokens: an urgent call that comes meanwhile needs one.
            bucket = self._buckets.get(category)
            nap_ms = wait_ms if bucket is None else min(wait_ms, bucket.ms_per_token)
            now_ms = self._clock.now_ms()
            for each in queue:
                if each.until_ms is not None:
                    nap_ms = min(nap_ms, each.until_ms - now_ms)
                if (barred_ms := self._barred_ms(each)) > 0:
                    nap_ms = min(nap_ms, barred_ms)
            await self._clock.sleep(max(SLEEP_SECONDS_MIN, nap_ms / 1000.0))

    def _next(self, callers: list[_Caller]) -> _Caller:
        """Who of `callers` goes first: by rank, and of one rank as they came. But a read goes
        before questions once some have left since the last one: without end they would keep it for
        ever. Whoever may not go at all yet is passed over.
        """

        def place(caller: _Caller) -> tuple[bool, int, int]:
            asked = self._questions.get(caller.category, 0)
            steps_back = caller.is_question and asked >= QUESTIONS_MAX
            rank = Priority.READ + 1 if steps_back else caller.priority
            return self._barred_ms(caller) > 0, rank, caller.number

        return min(callers, key=place)

    def _refuse_late(self, queue: list[_Caller]) -> None:
        """Tell those whose time has passed that they are not sent."""
        now_ms = self._clock.now_ms()
        for each in queue:
            if each.until_ms is not None and now_ms >= each.until_ms and not each.turn.done():
                wait_ms_max = self._settings.entry_wait_ms_max
                each.turn.set_exception(
                    TooLateError(f"its turn did not come within {wait_ms_max} ms: it was not sent")
                )

    def _objection(self, caller: _Caller) -> TooLateError | None:
        """Why it is not sent, where the venue wants to be left alone for longer than it waits."""
        if caller.may_be_held or self.held_ms(*caller.names) <= HELD_MS_MAX:
            return None
        return TooLateError("the venue wants to be left alone: it was not sent")

    async def close(self) -> None:
        """Nobody is let go any more; those who wait are cancelled."""
        for queue in self._queues.values():
            for each in queue:
                each.turn.cancel()
        await end_tasks(self._pumps.values())

    def _wait_ms(self, caller: _Caller) -> float:
        """Until it may go, were it the first."""
        wait_ms = self._barred_ms(caller)
        bucket = self._buckets.get(caller.category)
        if bucket is not None:
            bucket.fill(self._clock.now_ms())
            missing = bucket.wanted(caller.priority) - bucket.tokens
            if missing > 1e-9:
                wait_ms = max(wait_ms, missing * bucket.ms_per_token)
        return wait_ms

    def _barred_ms(self, caller: _Caller) -> float:
        """How long it may not go for the venue's sake: a hold, or the weight of this minute."""
        now_ms = self._clock.now_ms()
        wait_ms = float(self.held_ms(*caller.names))
        self._roll_minute()
        share = 1.0 if caller.priority <= Priority.URGENT else self._settings.weight_fraction_max
        # Nothing used yet: a call heavier than the share must still be able to leave some time.
        if self._weight_used and self._weight_used + caller.weight > self._weight_limit * share:
            wait_ms = max(wait_ms, float(MINUTE_MS - now_ms % MINUTE_MS))
        return wait_ms

    def _take(self, caller: _Caller) -> None:
        category = caller.category
        bucket = self._buckets.get(category)
        if bucket is not None:
            bucket.tokens -= 1.0
        self._weight_used += caller.weight
        if caller.is_question:
            self._questions[category] = self._questions.get(category, 0) + 1
        elif caller.priority is Priority.READ:
            self._questions[category] = 0

    def _roll_minute(self) -> None:
        minute = self._clock.now_ms() // MINUTE_MS
        if minute != self._weight_minute:
            self._weight_minute = minute
            self._weight_used = 0
