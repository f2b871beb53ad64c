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
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiohttp.client_proto import ResponseHandler

from bench.child import run_child
from bench.stepped_venue import MINUTE_MS, Stepped, SteppedClock
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
from tercel.domain.events import Operation
from tercel.domain.orders import OrderPhase, parse_client_id

if TYPE_CHECKING:
    from tercel.domain.settings import Settings

FOLDER = Path(__file__).resolve().parent
OFTEN = FOLDER / "strategies" / "often.py"
SYMBOL = "BTCUSDT"
ENTRIES = 320
WARM_UP_ENTRIES = 20
PAUSE_SECONDS = 0.02
QUIET_SECONDS = 0.06
"""A minute is played once nothing has been on its way for so long: each bar meets an idle session,
as once a minute."""
STUCK_SECONDS = 20.0
MINUTES_AN_ENTRY = 6
FINAL_CANDLE = b'"x":true'
ORDER_LINE = b"POST /fapi/v1/order"
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


class Wire:
    """When bytes came in and went out, by the machine's monotonic clock, ns."""

    def __init__(self) -> None:
        self.candle_ns = 0
        """When the latest final candle was received."""
        self.entries: list[float] = []
        """From the final candle to the entry's bytes on the socket, ms."""

    def received(self, data: bytes) -> None:
        """Bytes have come from the venue."""
        if FINAL_CANDLE in data:
            self.candle_ns = time.monotonic_ns()

    def wrote(self, data: bytes) -> None:
        """Bytes were given to the socket."""
        if self.candle_ns and data.startswith(ORDER_LINE) and _is_entry(data):
            self.entries.append((time.monotonic_ns() - self.candle_ns) / 1e6)
            self.candle_ns = 0


def _is_entry(data: bytes) -> bool:
    text = data.decode("latin-1")
    at = text.find("newClientOrderId=")
    parsed = parse_client_id(text[at + 17 :].split("&")[0].split(" ")[0]) if at >= 0 else None
    return parsed is not None and parsed.slot is Slot.ENTRY


@contextmanager
def watched_wire() -> Iterator[Wire]:
    """Every socket of this process is watched meanwhile."""
    wire = Wire()
    read, write = ResponseHandler.data_received, _SelectorSocketTransport.write

    def data_received(self: ResponseHandler, data: bytes) -> None:
        wire.received(data)
        read(self, data)

    def written(self: Any, data: Any) -> None:
        write(self, data)
        wire.wrote(bytes(data[:1_000]))

    ResponseHandler.data_received = data_received  # type: ignore[method-assign]
    _SelectorSocketTransport.write = written
    try:
        yield wire
    finally:
        ResponseHandler.data_received = read  # type: ignore[method-assign]
        _SelectorSocketTransport.write = write


@dataclass
class SteppedVenue:
    """The exchange's process, and the time that it and a session share."""

    process: subprocess.Popen[str]
    about: Stepped
    clock: SteppedClock
    minutes: int = field(default=0)

    def next_minute(self) -> None:
        """Time goes on to the end of the minute, and its market is played."""
        self.minutes += 1
        now_ms, at_ns = self.about.start_ms + self.minutes * MINUTE_MS, time.monotonic_ns()
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
    """Play minutes until so many entries were written; what they took, and the runner's table."""
    settings = with_folder(load_settings(None, OPEN).with_lake(scratch / "lake"), scratch)
    live = await open_session(venue.about, settings, asked_for(str(OFTEN)), clock=venue.clock)
    with watched_wire() as wire:
        running = asyncio.create_task(live.runner.run((live.row,)))
        while not live.runner.session.is_ready and not running.done():
            await venue.clock.sleep(PAUSE_SECONDS)
        await venue.clock.sleep(1.0)
        while len(wire.entries) < entries and not running.done():
            if venue.minutes > MINUTES_AN_ENTRY * entries:
                raise RuntimeError(f"{len(wire.entries)} entries in {venue.minutes} minutes")
            venue.next_minute()
            await _until_quiet(live.runner, venue.clock)
        if not running.done():
            await live.runner.submit(Operation.STOP, "bench")
        code = await running
    if code != 0:
        raise RuntimeError(f"the session ended with {code}")
    return {
        "entry_ms": wire.entries[WARM_UP_ENTRIES:],
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
        busy = on_its_way or bool(runner.session.parts.venue_asked_ms)
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
