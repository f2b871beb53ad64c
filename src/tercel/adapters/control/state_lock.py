"""app.ports.StateLease of a state in a file: a lock beside it, `<file>.lock`.

The system drops the lock with the process, however that ends: nothing has to be renewed, and a
start after a crash waits for nothing. The file itself is never locked: SQLite's own locks on it
would go with the first descriptor that is closed.
"""

from __future__ import annotations

import fcntl
import json
import os
from dataclasses import asdict
from pathlib import Path

from tercel.app.live.private_files import OWNER_ONLY, make_private
from tercel.domain.errors import LeaseLostError, StorageError, UserError
from tercel.domain.lease import LeaseHolder


class FileLease:
    """The right to keep a session's state in the file at `path`, whichever way it is reached."""

    def __init__(self, path: Path) -> None:
        self._path = path.resolve()
        self._lock = self._path.with_name(f"{self._path.name}.lock")
        self._held: int | None = None

    async def claim(self, holder: LeaseHolder) -> None:
        """Take it for `holder`. Raises UserError where a running session has it, StorageError."""
        make_private(self._lock)
        opened = self._open()
        try:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(opened, 0)
            os.pwrite(opened, json.dumps(asdict(holder)).encode(), 0)
        except BlockingIOError:
            os.close(opened)
            raise UserError(
                f"{self._path} holds the state of {self._other()}; give each session a file of its "
                "own (state.url)"
            ) from None
        except OSError as error:
            os.close(opened)
            raise self._failed(error) from error
        self._held = opened

    async def renew(self) -> None:
        """It lasts as long as the process and the lock's file: without that one nobody else would
        be kept away. Raises LeaseLostError.
        """
        if self._held is None or os.fstat(self._held).st_nlink == 0:
            raise LeaseLostError(
                f"{self._lock} is gone: another session may keep its state in {self._path} now"
            )

    async def release(self) -> None:
        """Give it back; the lock's file stays, since another one may wait at it. May be called
        twice.
        """
        held, self._held = self._held, None
        if held is not None:
            os.close(held)

    def _open(self) -> int:
        try:
            return os.open(self._lock, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW, OWNER_ONLY)
        except OSError as error:
            raise self._failed(error) from error

    def _failed(self, error: OSError) -> StorageError:
        return StorageError(
            f"{self._lock}: cannot be locked: {error.strerror}; name another place with "
            "--set state.url=sqlite:///PATH"
        )

    def _other(self) -> str:
        """Who has it, in words."""
        try:
            other = LeaseHolder(**json.loads(self._lock.read_bytes()))
        except (OSError, ValueError, TypeError):
            return "a running session"
        return f"session {other.session}, which runs in {other.folder} (pid {other.pid})"
