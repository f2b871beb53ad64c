"""The session's end of the control socket.

`claim` takes the folder: from then on no other session starts there. `open` answers requests, in
tasks of its own, so that a busy session is heard as soon as its loop turns.
"""

from __future__ import annotations

import asyncio
from contextlib import ExitStack, suppress
from pathlib import Path
from socket import AF_UNIX, SOCK_STREAM, socket

import structlog

from tercel.adapters.control.place import (
    SOCKET_NAME,
    hold_folder,
    is_owner,
    lock_folder,
    owner_of_peer,
    socket_address,
)
from tercel.app.live.control import REPLIES, REQUESTS, Ask, Reply
from tercel.app.live.private_files import OWNER_ONLY
from tercel.app.tasks import end_tasks
from tercel.domain.errors import DataError, StorageError, TercelError

log = structlog.get_logger(__name__)

REQUEST_BYTES_MAX = 4_096
CONNECTIONS_MAX = 16
IDLE_SECONDS_MAX = 60.0
"""A connection that asks nothing, or does not take its reply, for so long is closed."""
BACKLOG = 8


class ControlServer:
    """Answers what is asked on the socket in `folder`, with `ask`."""

    def __init__(self, folder: Path, ask: Ask) -> None:
        self.folder = folder
        self._ask = ask
        self._held = ExitStack()
        self._listening: socket | None = None
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def claim(self) -> None:
        """Take the folder and listen; requests wait until `open`. May be called twice.

        Raises SessionRunsError where a session runs already; ConfigError, StorageError for a
        folder that cannot be used.
        """
        if self._listening is not None:
            return
        hold_folder(self.folder)
        try:
            self._held.enter_context(lock_folder(self.folder))
            self._listen()
        except OSError as error:
            self._held.close()
            raise StorageError(
                f"{self.folder}: no control socket can be made there: {error.strerror or error}; "
                "choose another folder with --folder"
            ) from error
        except TercelError:
            self._held.close()
            raise

    async def open(self) -> None:
        """Answer from now on. Raises as `claim`."""
        self.claim()
        if self._server is None:
            self._server = await asyncio.start_unix_server(
                self._meet, sock=self._listening, limit=REQUEST_BYTES_MAX
            )

    async def close(self) -> None:
        """Let the folder go. May be called twice."""
        if self._server is not None:
            self._server.close()
            self._server = None
        await end_tasks(self._tasks)
        self._held.close()
        self._listening = None

    def _listen(self) -> None:
        """The lock is ours: a socket file that is there belongs to nobody any more."""
        path = self.folder / SOCKET_NAME
        path.unlink(missing_ok=True)
        address = self._held.enter_context(socket_address(self.folder))
        listening = socket(AF_UNIX, SOCK_STREAM)
        self._held.callback(listening.close)
        listening.bind(address)
        self._held.callback(path.unlink, missing_ok=True)
        path.chmod(OWNER_ONLY)
        listening.setblocking(False)
        listening.listen(BACKLOG)
        self._listening = listening

    def _meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Somebody has connected."""
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._converse(reader, writer)
        except (ConnectionError, TimeoutError):
            pass  # whoever asked is gone
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        refusal = self._objection(writer)
        is_on = not refusal
        if refusal:
            await self._send(writer, Reply(is_done=False, text=refusal))
        while is_on:
            try:
                async with asyncio.timeout(IDLE_SECONDS_MAX):
                    line = await reader.readline()
            except ValueError:
                text = f"a request has at most {REQUEST_BYTES_MAX} bytes"
                await self._send(writer, Reply(is_done=False, text=text))
                return
            is_on = line.endswith(b"\n")
            if is_on:
                await self._send(writer, await self._answer(line))

    def _objection(self, writer: asyncio.StreamWriter) -> str:
        """Why whoever connected is not heard; empty: they are."""
        connected: socket = writer.get_extra_info("socket")
        if not is_owner(owner_of_peer(connected)):
            log.warning("control_refused", uid=owner_of_peer(connected))
            return "only the user who runs the session may ask"
        if len(self._tasks) > CONNECTIONS_MAX:
            return f"there are {CONNECTIONS_MAX} connections already"
        return ""

    async def _answer(self, line: bytes) -> Reply:
        try:
            request = REQUESTS.decode(line)
        except DataError as error:
            return Reply(is_done=False, text=f"not understood: {error}")
        try:
            return await self._ask(request)
        except TercelError as error:
            return Reply(is_done=False, text=str(error))
        except Exception as error:  # the session must not end because a question fails
            log.exception("control_failed", operation=str(request.operation))
            return Reply(is_done=False, text=f"internal error: {type(error).__name__}: {error}")

    @staticmethod
    async def _send(writer: asyncio.StreamWriter, reply: Reply) -> None:
        writer.write(REPLIES.encode(reply) + b"\n")
        async with asyncio.timeout(IDLE_SECONDS_MAX):
            await writer.drain()
