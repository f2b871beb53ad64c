"""The asking end of the control socket."""

from __future__ import annotations

import asyncio
from pathlib import Path
from socket import AF_UNIX, SOCK_STREAM, socket

from tercel.adapters.control.errors import NoSessionError, SilentSessionError
from tercel.adapters.control.place import check_peer, process_of, socket_address
from tercel.app.live.control import REPLIES, REQUESTS, Reply, Request
from tercel.domain.errors import DataError

REPLY_BYTES_MAX = 16 * 1024 * 1024
ANSWER_SECONDS_MAX = 10.0


class ControlClient:
    """Asks the session that runs in `folder`."""

    def __init__(self, folder: Path, answer_seconds_max: float = ANSWER_SECONDS_MAX) -> None:
        self.folder = folder
        self._seconds = answer_seconds_max

    async def ask(self, request: Request) -> Reply:
        """Its reply.

        Raises NoSessionError where none runs, or it ends meanwhile; SilentSessionError where it
        does not answer in time or something else answers; ConfigError for too long a path.
        """
        try:
            async with asyncio.timeout(self._seconds):
                line = await self._exchange(REQUESTS.encode(request) + b"\n")
        except TimeoutError:
            raise SilentSessionError(
                f"{self.folder}: the session{process_of(self.folder)} has not answered for "
                f"{self._seconds:g} s"
            ) from None
        except (FileNotFoundError, NotADirectoryError, ConnectionRefusedError):
            raise NoSessionError(
                f"no session runs in {self.folder}; --folder names another place"
            ) from None
        except (ConnectionResetError, BrokenPipeError):
            line = b""
        except ValueError:
            raise SilentSessionError(
                f"{self.folder}: the session's reply is longer than {REPLY_BYTES_MAX} bytes"
            ) from None
        except OSError as error:
            raise SilentSessionError(
                f"{self.folder}: the session{process_of(self.folder)} cannot be asked: "
                f"{error.strerror or error}"
            ) from error
        if not line.endswith(b"\n"):
            raise NoSessionError(f"{self.folder}: the session ended while it was asked")
        try:
            return REPLIES.decode(line)
        except DataError as error:
            raise SilentSessionError(
                f"{self.folder}: the session's reply cannot be read ({error}); is it of another "
                "version?"
            ) from None

    async def _exchange(self, line: bytes) -> bytes:
        connected = socket(AF_UNIX, SOCK_STREAM)
        try:
            connected.setblocking(False)
            with socket_address(self.folder) as address:
                await asyncio.get_running_loop().sock_connect(connected, address)
            check_peer(connected, self.folder)
        except BaseException:
            connected.close()
            raise
        reader, writer = await asyncio.open_unix_connection(sock=connected, limit=REPLY_BYTES_MAX)
        try:
            writer.write(line)
            await writer.drain()
            return await reader.readline()
        finally:
            writer.close()
