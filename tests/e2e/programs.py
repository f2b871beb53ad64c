"""Tercel's own programs as processes on loopback: the simulated exchange, a session that trades on
it, commands from a second terminal; and the exchange's REST, asked as any client would.

Nothing here sleeps for a fixed time: `until` looks again and again, and fails at its deadline with
what was seen last.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from tercel.adapters.control import ControlClient, NoSessionError, SilentSessionError
from tercel.app.live.control import Request
from tercel.app.live.status_records import SessionStatus

SPEED = 60
"""Minutes of the venue in a minute: a bar a second."""
SYMBOL = "BTCUSDT"
STRATEGY = Path(__file__).with_name("often.py")
LOOK_SECONDS = 0.02
START_SECONDS = 40.0
"""Within this a program must be up: kernels may have to be compiled first."""
WAIT_SECONDS = 20.0
TERCEL = (sys.executable, "-c", "from tercel.entry.cli.main import main; main()")
PROTECT_MS_MAX = 60_000
SETTINGS = (
    "every=1",
    # Waits are counted in the venue's time, which runs sixty times as fast as this machine.
    f"session.protect_ms_max={PROTECT_MS_MAX}",
    f"session.trigger_ms_max={5 * PROTECT_MS_MAX}",
    "session.answer_ms_max=60000",
    "session.query_ms=15000",
    "session.unknown_ms_max=120000",
    "session.timer_ms=3000",
    "session.fresh_ms_max=60000",
    "session.silent_ms_max=600000",
    "session.quiet_read_ms=600000",
    "session.stop_ms_max=120000",
    "session.warmup_bars=60",
    "session.spread_fraction_max=0",
    "health.quote_age_ms_max=600000",
    "health.bar_overdue_ms_max=600000",
    "health.skew_ms_max=600000",
    "health.recover_ms=0",
    "venue.recv_window_ms=60000",
    "governor.calls_max=10000",
    "pace.daily_trades_max=0",
    "pace.loss_streak_max=0",
    "pace.hourly_signals_max=0",
    "pace.revenge_pause_minutes=0",
    "limits.loss_24h_fraction_max=0",
    "limits.session_loss_fraction_max=0",
)

Found = TypeVar("Found")


def until(look: Callable[[], Found | None], what: str, seconds: float = WAIT_SECONDS) -> Found:
    """What `look` finds once it is not None (or False); AssertionError at the deadline."""
    deadline = time.monotonic() + seconds
    pause = threading.Event()
    while True:
        found = look()
        if found is not None and found is not False:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {seconds:g} s")
        pause.wait(LOOK_SECONDS)


class Program:
    """A process of Tercel's, and what it has said so far."""

    def __init__(self, arguments: Sequence[str], folder: Path, **environment: str) -> None:
        self.output = folder / f"{arguments[0]}-{time.monotonic_ns()}.log"
        with self.output.open("w", encoding="utf-8") as log:
            self.process = subprocess.Popen(
                [*TERCEL, *arguments],
                cwd=folder,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                env={**os.environ, "PYTHONUNBUFFERED": "1", "NO_COLOR": "1", **environment},
            )

    @property
    def said(self) -> str:
        """Everything it has written."""
        return self.output.read_text(encoding="utf-8")

    def check_runs(self) -> None:
        """Raise AssertionError, with what it said, where it has ended."""
        assert self.process.poll() is None, f"ended with {self.process.returncode}:\n{self.said}"

    def end(self, number: signal.Signals, seconds: float) -> int:
        """Send a signal and wait for the end; the exit code."""
        self.process.send_signal(number)
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still there after {seconds:g} s:\n{self.said}") from None

    def kill(self) -> None:
        """`kill -9`, if it still runs."""
        self.process.kill()
        self.process.wait()


class Venue:
    """A simulated exchange that listens."""

    def __init__(self, program: Program, said: str) -> None:
        self.program = program
        address = re.search(r"http://(127\.0\.0\.1:\d+)/", said)
        keys = re.search(r"API key\s+(\w+)\s+API secret\s+(\w+)", said)
        assert address, said
        assert keys, said
        self.url = f"http://{address[1]}"
        self.key, self.secret = keys[1], keys[2]

    def now_ms(self) -> int:
        """Its clock."""
        return int(self._get("/fapi/v1/time", "")["serverTime"])

    def ask(self, path: str, **values: str | int) -> Any:
        """A signed GET."""
        query = urllib.parse.urlencode({**values, "timestamp": self.now_ms(), "recvWindow": 60_000})
        digest = hmac.new(self.secret.encode(), query.encode(), hashlib.sha256).hexdigest()
        return self._get(path, f"?{query}&signature={digest}")

    def _get(self, path: str, query: str) -> Any:
        self.program.check_runs()
        asked = urllib.request.Request(  # noqa: S310 (a loopback address of our own)
            f"{self.url}{path}{query}", headers={"X-MBX-APIKEY": self.key}
        )
        with urllib.request.urlopen(asked, timeout=10.0) as reply:  # noqa: S310
            return json.load(reply)

    def position(self) -> float:
        """Base held, signed."""
        rows = self.ask("/fapi/v3/positionRisk", symbol=SYMBOL)
        return sum(float(row["positionAmt"]) for row in rows)

    def open_stops(self) -> list[Any]:
        """Conditional orders that rest."""
        found: list[Any] = self.ask("/fapi/v1/openAlgoOrders", symbol=SYMBOL)
        return found

    def open_orders(self) -> list[Any]:
        """All other orders that rest."""
        found: list[Any] = self.ask("/fapi/v1/openOrders", symbol=SYMBOL)
        return found


@contextmanager
def venue(folder: Path, *arguments: str) -> Iterator[Venue]:
    """`tercel venue` on a free port while the context lasts."""
    program = Program(["venue", "--port", "0", "--speed", str(SPEED), *arguments], folder)

    def is_up() -> str | None:
        program.check_runs()
        return program.said if "Ctrl-C" in program.said else None

    try:
        yield Venue(program, until(is_up, "the venue listens", START_SECONDS))
    finally:
        program.kill()


class Session:
    """`tercel run --mode live` on a simulated exchange."""

    def __init__(self, where: Venue, folder: Path, *arguments: str) -> None:
        self.folder = folder / "session"
        sets = [word for each in SETTINGS for word in ("--set", each)]
        self.program = Program(
            ["run", "--mode", "live", "--venue-url", where.url, "--speed", str(SPEED),
             "--strategy", str(STRATEGY), "--symbols", SYMBOL, "--folder", str(self.folder),
             "--lake", str(folder / "lake"), *sets, *arguments],
            folder,
            TERCEL_BINANCE_API_KEY=where.key,
            TERCEL_BINANCE_API_SECRET=where.secret,
        )  # fmt: skip

    def status(self) -> SessionStatus | None:
        """What it says of itself; None: it does not answer (yet)."""
        self.program.check_runs()
        try:
            reply = asyncio.run(ControlClient(self.folder, 5.0).ask(Request()))
        except (NoSessionError, SilentSessionError):
            return None
        return reply.status

    def until(
        self, holds: Callable[[SessionStatus], bool], what: str, seconds: float = WAIT_SECONDS
    ) -> SessionStatus:
        """Its status once `holds`; AssertionError with the last one at the deadline."""
        last: list[SessionStatus] = []

        def look() -> SessionStatus | None:
            found = self.status()
            if found is None:
                return None
            last[:] = [found]
            return found if holds(found) else None

        try:
            return until(look, what, seconds)
        except AssertionError as error:
            seen = last[0] if last else "no answer"
            raise AssertionError(f"{error}\n{seen}\n{self.program.said}") from None

    def until_ready(self) -> SessionStatus:
        """Its status once venue and state agree."""
        return self.until(lambda it: it.is_ready, "the session is ready", START_SECONDS)


def tercel(folder: Path, *arguments: str) -> tuple[int, str]:
    """A command in a second terminal: (exit code, what it printed)."""
    done = subprocess.run(
        [*TERCEL, *arguments], cwd=folder, capture_output=True, text=True, timeout=60.0,
        check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr
