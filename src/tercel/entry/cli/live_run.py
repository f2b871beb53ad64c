"""What `tercel run` does for paper and live: the session, its signals, its control socket, its
view.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tercel.app.tasks import end_tasks
from tercel.domain.events import Operation
from tercel.entry.cli import terminal

if TYPE_CHECKING:
    from tercel.adapters.control import ControlServer
    from tercel.app.live.control import ControlDesk, Reply, Request
    from tercel.app.live.recent import Recent
    from tercel.app.live.status_records import SessionStatus
    from tercel.app.ports import Clock
    from tercel.app.prepare import RunRequest
    from tercel.app.runs import Desk
    from tercel.bootstrap.live import LiveChoice, LiveSession
    from tercel.domain.commands import Command
    from tercel.domain.events import Event
    from tercel.entry.cli.live_view import View

LOG_FILE = "session.log"
"""In the session's folder; with log.format=json the log goes to standard error instead."""
VIEW_SECONDS = 0.5
"""Between two looks of the view."""


@dataclass(frozen=True, slots=True)
class LiveAsked:
    """What of the command line says how a session runs."""

    mode: str
    venue_url: str | None
    automation: bool | None
    is_fresh: bool
    speed: float
    """How many times as fast as ours the clock of the venue runs: of a simulated exchange."""


class _Watched:
    """A running session as its view and its control socket see it."""

    def __init__(self, view: View, clock: Clock, speed: float) -> None:
        """`clock` is ours; the venue's runs `speed` times as fast."""
        self.view = view
        self._clock = clock
        self._speed = speed
        self._started_ms = clock.now_ms()
        self._live: LiveSession | None = None
        self._recent: Recent | None = None
        self._desk: ControlDesk | None = None

    def meet(self, live: LiveSession) -> None:
        """The session is there; what it does is remembered from now on."""
        from tercel.app.live.control import ControlDesk
        from tercel.app.live.recent import Recent

        self._live = live
        self._recent = Recent(live.runner.session.parts.plan)
        self._desk = ControlDesk(live.runner.submit, self.status, self._recent)

    async def answer(self, request: Request) -> Reply:
        """Answer what was asked on the control socket."""
        if self._desk is None:
            raise RuntimeError("there is no session yet")
        return await self._desk.ask(request)

    def told(self, what: Command | Event) -> None:
        """A command that was carried out, or an event that was handled."""
        if self._recent is not None:
            self._recent.see(what)

    def status(self) -> SessionStatus:
        """The session as it is now."""
        from tercel.app.live.status import status_of

        live, recent = self._live, self._recent
        if live is None or recent is None:
            raise RuntimeError("there is no session yet")
        now_ms, up_ms = live.around.clock.now_ms(), self._clock.now_ms() - self._started_ms
        found = status_of(
            live.runner.session,
            recent,
            now_ms=now_ms,
            started_ms=now_ms - round(up_ms * self._speed),
            health=live.around.health,
            latencies=live.runner.latencies.table(),
        )
        return replace(found, up_ms=up_ms)

    async def keep_showing(self) -> None:
        """Bring the view up to date, for ever."""
        while True:
            self.view.update(self.status())
            await self._clock.sleep(VIEW_SECONDS)


async def trade_live(desk: Desk, request: RunRequest, asked: LiveAsked) -> int:
    """Run the session until it ends; the exit code. Raises TercelError where it cannot start."""
    from tercel.bootstrap import start_logs
    from tercel.bootstrap.live import control_server, live_session, scaled_clock, with_venue_url
    from tercel.entry.cli.live_view import open_view

    settings = with_venue_url(desk.settings, request.venue or "", asked.venue_url)
    clock = scaled_clock(desk.clock, asked.speed)
    view = open_view(terminal.console())
    watched = _Watched(view, desk.clock, asked.speed)
    control = control_server(settings, watched.answer)
    control.claim()
    # The view tells what a person should know; the log has it for programs.
    to_file = settings.log.format != "json"
    start_logs(settings, control.folder / LOG_FILE if to_file else None)
    try:
        live = await live_session(settings, _choice(request, asked), clock, watched.told)
        watched.meet(live)
        for notice in live.notices:
            view.tell(notice)
        return await _run(live, control, watched)
    finally:
        await control.close()
        view.close()


async def _run(live: LiveSession, control: ControlServer, watched: _Watched) -> int:
    """The session with everything around it that listens."""
    await control.open()
    _listen_to_signals(live.runner.submit)
    showing = asyncio.create_task(watched.keep_showing())
    try:
        code = await live.runner.run((live.row,))
    finally:
        await end_tasks([showing])
        watched.view.update(watched.status())
    watched.view.close()
    tell_end(watched.view, watched.status(), code)
    return code


def tell_end(view: View, status: SessionStatus, code: int) -> None:
    """Below the last picture, which looks as if the session went on."""
    from tercel.entry.cli.session_words import clean, end_lines, end_reason

    if code and not status.is_ready:
        why = end_reason(status) or f"the session could not start: see {LOG_FILE}"
        terminal.problem(clean(f"error: {why}"))
        return
    for line in end_lines(status):
        view.tell(line)


def _choice(request: RunRequest, asked: LiveAsked) -> LiveChoice:
    from tercel.bootstrap.live import LiveChoice

    return LiveChoice(asked.mode, request, asked.automation, is_fresh=asked.is_fresh)


def _listen_to_signals(submit: Callable[[Operation, str], asyncio.Future[None]]) -> None:
    """SIGTERM and Ctrl-C end the session in order, SIGUSR1 is the kill switch."""
    loop = asyncio.get_running_loop()
    for number, operation in (
        (signal.SIGTERM, Operation.STOP),
        (signal.SIGINT, Operation.STOP),
        (signal.SIGUSR1, Operation.KILL),
    ):
        loop.add_signal_handler(number, submit, operation, signal.Signals(number).name)
