"""A live session on loopback, measured from inside: the real runner, SQLite state and journal, the
ccxt adapter, and the simulated exchange in another process (`stepped_venue.py`).

Run as a script, in a process of its own: it writes what it measured as JSON into a file.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from asyncio.selector_events import _SelectorSocketTransport  # type: ignore[attr-defined]
from bisect import bisect_left
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiohttp.client_proto import ResponseHandler

from bench.child import run_child
from bench.stepped_venue import MINUTE_MS, Stepped, SteppedClock, client_id_of
from tercel.app.live.runner import Runner, Told
from tercel.app.prepare import RunRequest
from tercel.app.strategies import load_strategy
from tercel.bootstrap import load_settings
from tercel.bootstrap.live import (
    LiveChoice,
    LiveSession,
    live_session,
    with_folder,
    with_venue_url,
)
from tercel.core.codes import Slot
from tercel.domain.events import Event, Operation, Placed
from tercel.domain.orders import OrderPhase, parse_client_id

if TYPE_CHECKING:
    from tercel.domain.commands import Command
    from tercel.domain.settings import Settings

FOLDER = Path(__file__).resolve().parent
OFTEN = FOLDER / "strategies" / "often.py"
SYMBOL = "BTCUSDT"
ENTRIES = 220
WARM_UP_ENTRIES = 20
PAUSE_SECONDS = 0.02
QUIET_SECONDS = 0.06
"""A minute is closed once nothing has been on its way for so long: each bar meets an idle session,
as once a minute. Its quotes, which are played at once, came before."""
NEAR_MS = 500
"""Before the end of a minute; its last quotes come with the candle."""
STUCK_SECONDS = 20.0
MINUTES_AN_ENTRY = 6
FINAL_CANDLE = b'"x":true'
OPEN = (
    # Paces and breakers would stop hundreds of entries in a row; the stepped clock leaves quotes
    # behind by a minute.
    "pace.daily_trades_max=0",
    "pace.loss_streak_max=0",
    "pace.hourly_signals_max=0",
    "pace.revenge_pause_minutes=0",
    "limits.loss_24h_fraction_max=0",
    "limits.session_loss_fraction_max=0",
    "health.quote_age_ms_max=600000",
    "health.bar_overdue_ms_max=3600000",
    "health.skew_ms_max=600000",
    "health.recover_ms=0",
    "health.bar_quote_bps_max=10000",
    "session.spread_fraction_max=0",
    "sizing.risk_fraction=0.001",
    "limits.daily_loss_fraction_max=0",
    "session.warmup_bars=100",
    "governor.calls_max=10000",
)


@dataclass
class Wire:
    """What came in and went out, by the machine's monotonic clock, ns."""

    candles: list[int] = field(default_factory=list)
    """When each final candle was received."""
    orders: dict[str, int] = field(default_factory=dict)
    """When the bytes of each order, by client id, were handed to its socket: before, not after, for
    on loopback the other process may be given the CPU at once.
    """


@contextmanager
def watched_wire() -> Iterator[Wire]:
    """Every socket of this process is watched meanwhile."""
    wire = Wire()
    read, write = ResponseHandler.data_received, _SelectorSocketTransport.write

    def data_received(self: ResponseHandler, data: bytes) -> None:
        if FINAL_CANDLE in data:
            wire.candles.append(time.monotonic_ns())
        read(self, data)

    def written(self: Any, data: Any) -> None:
        if (client_id := client_id_of(data)) is not None:
            wire.orders.setdefault(client_id, time.monotonic_ns())
        write(self, data)

    ResponseHandler.data_received = data_received  # type: ignore[method-assign]
    _SelectorSocketTransport.write = written
    try:
        yield wire
    finally:
        ResponseHandler.data_received = read  # type: ignore[method-assign]
        _SelectorSocketTransport.write = write


def entry_ms(candles: list[int], orders: dict[str, int]) -> list[float]:
    """From each candle to the first entry behind it, ms; `orders` are moments by client id."""
    entries = sorted(at for name, at in orders.items() if is_entry(name))
    made = []
    for candle, following in zip(candles, [*candles[1:], sys.maxsize], strict=True):
        behind = bisect_left(entries, candle)
        if behind < len(entries) and entries[behind] < following:
            made.append((entries[behind] - candle) / 1e6)
    return made


def check_candles(candles: list[int], minutes: int) -> None:
    """Raise RuntimeError where a final candle was missed: an entry would be another one's."""
    if len(candles) != minutes:
        raise RuntimeError(f"{len(candles)} final candles were seen in {minutes} minutes")


def is_entry(client_id: str) -> bool:
    """Whether an order of that id is an entry of ours."""
    parsed = parse_client_id(client_id)
    return parsed is not None and parsed.slot is Slot.ENTRY


@dataclass
class SteppedVenue:
    """The exchange's process, and the time that it and a session share."""

    process: subprocess.Popen[str]
    about: Stepped
    clock: SteppedClock
    minutes: int = field(default=0)

    def near_the_close(self) -> None:
        """Time goes on to just before the end of the minute, and its market is played."""
        self._go_on(self.about.start_ms + (self.minutes + 1) * MINUTE_MS - NEAR_MS)

    def close(self) -> None:
        """Time goes on to the end of the minute: its final candle goes out."""
        self.minutes += 1
        self._go_on(self.about.start_ms + self.minutes * MINUTE_MS)

    def orders(self) -> dict[str, int]:
        """It ends; when it received each order, by client id, ns."""
        told, _ = self.process.communicate(timeout=STUCK_SECONDS)
        received: dict[str, int] = json.loads(told.splitlines()[-1])
        return received

    def _go_on(self, now_ms: int) -> None:
        at_ns = time.monotonic_ns()
        self.clock.set(now_ms, at_ns)
        assert self.process.stdin is not None
        self.process.stdin.write(f"{now_ms} {at_ns}\n")
        self.process.stdin.flush()


@contextmanager
def stepped_venue(symbols: tuple[str, ...] = (SYMBOL,)) -> Iterator[SteppedVenue]:
    """The exchange in another process, which ends with the context."""
    command = [sys.executable, "-m", "bench.stepped_venue", ",".join(symbols)]
    with subprocess.Popen(
        command, cwd=FOLDER.parent, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            about = Stepped(**json.loads(process.stdout.readline()))
            yield SteppedVenue(process, about, SteppedClock(about.start_ms))
        finally:
            process.kill()


async def open_session(
    about: Stepped,
    settings: Settings,
    choice: LiveChoice,
    told: Told | None = None,
    *,
    clock: SteppedClock | None = None,
) -> LiveSession:
    """A live session on the stepped venue; its folder is in `settings`."""
    settings = with_venue_url(settings, "binance-usdm", f"http://{about.address}")
    os.environ["TERCEL_BINANCE_API_KEY"] = about.key
    os.environ["TERCEL_BINANCE_API_SECRET"] = about.secret
    return await live_session(settings, choice, clock or SteppedClock(about.start_ms), told)


def asked_for(strategy: str) -> LiveChoice:
    """A fresh live session of one strategy on one symbol."""
    request = RunRequest((load_strategy(strategy),), (SYMBOL,), venue="binance-usdm")
    return LiveChoice("live", request, automation=True, is_fresh=True)


async def measure_entries(venue: SteppedVenue, scratch: Path, entries: int) -> dict[str, Any]:
    """Play minutes until so many entries were placed; what they took, and the runner's table."""
    settings = with_folder(load_settings(None, OPEN).with_lake(scratch / "lake"), scratch)
    placed: list[str] = []

    def told(what: Command | Event) -> None:
        if isinstance(what, Placed) and is_entry(what.client_id):
            placed.append(what.client_id)

    live = await open_session(venue.about, settings, asked_for(str(OFTEN)), told, clock=venue.clock)
    with watched_wire() as wire:
        running = asyncio.create_task(live.runner.run((live.row,)))
        while not live.runner.session.is_ready and not running.done():
            await venue.clock.sleep(PAUSE_SECONDS)
        await venue.clock.sleep(1.0)
        while len(placed) < entries and not running.done():
            if venue.minutes > MINUTES_AN_ENTRY * entries:
                raise RuntimeError(f"{len(placed)} entries in {venue.minutes} minutes")
            venue.near_the_close()
            await _until_quiet(live.runner, venue.clock)
            venue.close()
            await _until_quiet(live.runner, venue.clock)
        if not running.done():
            await live.runner.submit(Operation.STOP, "bench")
        code = await running
    if code != 0:
        raise RuntimeError(f"the session ended with {code}")
    check_candles(wire.candles, venue.minutes)
    return {
        "entry_ms": entry_ms(wire.candles, wire.orders)[WARM_UP_ENTRIES:],
        "received_ms": entry_ms(wire.candles, venue.orders())[WARM_UP_ENTRIES:],
        "bars": venue.minutes,
        "table": [
            (each.name, each.samples, each.median_ms, each.p99_ms, each.worst_ms)
            for each in live.runner.latencies.table()
        ],
    }


async def _until_quiet(runner: Runner, clock: SteppedClock) -> None:
    """Until the session has had nothing on its way for a while. Raises RuntimeError if never."""
    pauses = round(QUIET_SECONDS / PAUSE_SECONDS)
    quiet = 0
    for _ in range(round(STUCK_SECONDS / PAUSE_SECONDS)):
        await clock.sleep(PAUSE_SECONDS)
        orders = runner.session.parts.orders.live()
        on_its_way = any(
            order.phase in (OrderPhase.SENT, OrderPhase.UNKNOWN) or order.is_unsettled
            for order in orders
        )
        parts = runner.session.parts
        busy = on_its_way or parts.wants_read or bool(parts.venue_asked_ms)
        quiet = 0 if busy else quiet + 1
        if quiet > pauses:
            return
    raise RuntimeError("the session does not come to rest")


def measure_start(about: Stepped, scratch: Path, overrides: list[str]) -> dict[str, float]:
    """A session in a fresh process, timed from before the process is there."""
    words = [json.dumps(asdict(about)), str(scratch), str(time.monotonic_ns())]
    command = [sys.executable, "-m", "bench.live_start", *words, *overrides]
    # Compiled modules are one of the caches that are warm, wherever the bench was told otherwise.
    kept = {"PYTHONDONTWRITEBYTECODE": ""}
    told = run_child(
        command, timeout_s=STUCK_SECONDS * 3, folder=FOLDER.parent, environment=kept
    ).told
    line = next(line for line in told.splitlines() if line.startswith("started "))
    return {"start_s": float(line.split()[1])}


def main(words: list[str]) -> None:
    """`entries FILE.json FOLDER COUNT`, or `start FILE.json FOLDER [SETTING ...]`, which starts
    `live_start.py` as a fresh process.
    """
    told: dict[str, Any]
    with stepped_venue() as venue:
        if words[0] == "entries":
            told = asyncio.run(measure_entries(venue, Path(words[2]), int(words[3])))
        else:
            told = measure_start(venue.about, Path(words[2]), words[3:])
    Path(words[1]).write_text(json.dumps(told), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
