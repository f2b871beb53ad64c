"""A session that answers on its control socket, without trading anything."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.live_status import full_status

from tercel.adapters.control import ControlServer
from tercel.app.live.control import Reply, Request
from tercel.app.live.status_records import SessionStatus


class Session:
    """Whoever is asked, in a thread of its own: a script of statuses, the last one for ever."""

    def __init__(self, *statuses: SessionStatus) -> None:
        self.statuses = list(statuses) or [full_status()]
        self.asked: list[Request] = []
        self.refusal = ""
        self.after: int | None = None
        """Requests after which it is gone; None: it stays."""
        self.server: ControlServer | None = None

    async def ask(self, request: Request) -> Reply:
        self.asked.append(request)
        if self.after is not None and len(self.asked) > self.after and self.server is not None:
            asyncio.get_running_loop().create_task(self.server.close())
            await asyncio.Event().wait()
        status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        return Reply(not self.refusal, self.refusal, status)

    @property
    def operations(self) -> list[str]:
        return [str(each.operation) for each in self.asked]


@contextmanager
def running(folder: Path, session: Session) -> Iterator[None]:
    """A session that answers in `folder`."""
    ready, done = threading.Event(), asyncio.Event()
    loops: list[asyncio.AbstractEventLoop] = []

    async def serve() -> None:
        session.server = ControlServer(folder, session.ask)
        await session.server.open()
        loops.append(asyncio.get_running_loop())
        ready.set()
        await done.wait()
        await session.server.close()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    assert ready.wait(30)
    try:
        yield
    finally:
        loops[0].call_soon_threadsafe(done.set)
        thread.join(30)
