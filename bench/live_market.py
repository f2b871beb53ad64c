"""Every built-in strategy on forty symbols in one session, without a venue: minutes of bars through
`Session.handle`, orders filled by the bar exchange of replays.

Run as a script it plays a day and tells what the memory did, as JSON into a file.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import time
import tracemalloc
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np

from tercel.adapters.simulator.bars import BarExchange
from tercel.app.arena import default_strategies
from tercel.app.live.parts import BesideRules, SessionRules
from tercel.app.live.prepare_live import live_plan
from tercel.app.live.replay import Replay, ReplaySeries, stream_settings
from tercel.app.live.session import Session, SessionMemory
from tercel.app.prepare import RunRequest
from tercel.bootstrap import load_settings
from tercel.core.records import CONTEXT, Records
from tercel.domain.events import BarsClosed, Decide, Event, MinuteEnded
from tercel.domain.session_state import SessionState
from tercel.domain.settings import InstrumentSettings

SYMBOLS = tuple(f"S{number:02d}USDT" for number in range(40))
HOUR = 60
DAY = 24 * HOUR
WARM_UP_MINUTES = 500
MINUTE_MS = 60_000
MIB = 1024 * 1024
RULES = InstrumentSettings(
    tick_size=Decimal("0.1"),
    lot_size=Decimal("0.001"),
    quantity_min=Decimal("0.001"),
    notional_min_quote=Decimal(5),
)
OF_A_BAR = (BarsClosed, Decide, MinuteEnded)


class TimedSession(Session):
    """A session that knows how long a minute's bars and decisions have kept it."""

    spent_ns = 0
    clock = staticmethod(time.perf_counter_ns)

    def handle(self, event: Event) -> list[Any]:
        """As the session does."""
        if not isinstance(event, OF_A_BAR):
            return super().handle(event)
        began = self.clock()
        made = super().handle(event)
        self.spent_ns += self.clock() - began
        return made


def series_of(bars: Records, minutes: int) -> list[ReplaySeries]:
    """A stretch of the market for each symbol, all dated alike, with all context known."""
    apart = (len(bars) - minutes) // len(SYMBOLS)
    times = bars["open_time"][0] + MINUTE_MS * np.arange(minutes)
    made = []
    for number in range(len(SYMBOLS)):
        own = bars[number * apart : number * apart + minutes].copy()
        own["open_time"] = times
        made.append(ReplaySeries(own, _context(number)))
    return made


def _context(number: int) -> Records:
    """One CONTEXT row in which nothing is unknown."""
    row = np.zeros(1, CONTEXT)
    row["funding_rate"] = 0.0001 * (number % 5 - 2)
    row["open_interest"], row["long_short_ratio"], row["fear_greed"] = 1e6, 1.2, 50.0
    return row


def open_market(bars: Records, minutes: int, session: type[Session] = Session) -> Replay:
    """A session of all strategies on all symbols, and what plays `minutes` of bars to it."""
    settings = load_settings()
    request = RunRequest(default_strategies(), SYMBOLS, venue="binance-usdm")
    plan = live_plan(settings, request, dict.fromkeys(SYMBOLS, RULES))
    rules = SessionRules(
        session=settings.session,
        execution=settings.execution,
        beside=BesideRules(settings.ghost.fee_rate, True, settings.shadow.alert_r),
        venue="bench",
        mode="bench",
        reads_venue=False,
        automation_at_start=True,
    )
    made = session(plan, rules, SessionMemory(SessionState(), "bench"))
    return Replay(made, BarExchange(stream_settings(plan)), series_of(bars, minutes))


def bar_ms(bars: Records, minutes: int) -> tuple[float, ...]:
    """Milliseconds that each of `minutes` bars keeps a warm session: signals, settling, decisions,
    journal rows and the state to keep.
    """
    replay = open_market(bars, WARM_UP_MINUTES + minutes, TimedSession)
    session = replay.session
    assert isinstance(session, TimedSession)
    samples = []
    gc.collect()
    gc.disable()
    try:
        for number, _ in enumerate(replay.minutes()):
            if number >= WARM_UP_MINUTES:
                samples.append(session.spent_ns / 1e6)
            session.spent_ns = 0
    finally:
        gc.enable()
    return tuple(samples)


def play_a_day(bars: Records, *, traced: bool) -> dict[str, float]:
    """Memory that a day of minutes has left behind, MiB: since its first hour, and since noon."""
    began = time.perf_counter()
    taken: list[float] = []
    for number, _ in enumerate(open_market(bars, DAY).minutes(), start=1):
        if number in (HOUR, DAY // 2, DAY):
            if traced and not tracemalloc.is_tracing():
                tracemalloc.start()
            gc.collect()
            taken.append(tracemalloc.get_traced_memory()[0] if traced else _resident_bytes())
    first, noon, last = taken
    return {
        "since_first_hour": (last - first) / MIB,
        "since_noon": (last - noon) / MIB,
        "resident": last / MIB,
        "wall_s": time.perf_counter() - began,
    }


def _resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGESIZE")


def main(words: list[str]) -> None:
    """`BARS.npy OUT.json`: the day twice, for the process's memory and for Python's own."""
    bars = np.load(words[0])
    told = {"resident": play_a_day(bars, traced=False), "traced": play_a_day(bars, traced=True)}
    Path(words[1]).write_text(json.dumps(told), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
