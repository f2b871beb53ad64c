"""What is finished of a walk-forward, in one hidden file beside the run folders.

A record for each combination: number, length, CRC of the content, content. Records are only ever
added; a record that a kill cut short is found by its length or CRC and written over. One process at
a time: the file is locked. It is removed when the run folder is written.
"""

from __future__ import annotations

import fcntl
import os
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from tercel.domain.errors import LakeBusyError, StorageError

HEAD = struct.Struct("<QQI")
"""Number, length of the content in bytes, CRC-32 of the content."""


class WalkBusyError(LakeBusyError):
    """Another process walks the same thing."""


class TrialFile:
    """ports.TrialLog in `folder`, named by the fingerprint of what is walked; a context manager."""

    def __init__(self, folder: Path, fingerprint: str, *, fresh: bool = False) -> None:
        self.path = folder / f".walk-{fingerprint[:16]}.partial"
        self._fresh = fresh
        self._descriptor = -1

    def __enter__(self) -> TrialFile:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if self._fresh:
                os.ftruncate(self._descriptor, 0)
        except BlockingIOError:
            os.close(self._descriptor)
            raise WalkBusyError(
                f"{self.path}: the same walk-forward is running; wait for it, or stop it"
            ) from None
        except OSError as error:
            raise StorageError(f"{self.path}: cannot be written: {error.strerror}") from error
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if os.fstat(self._descriptor).st_size == 0:
            self.path.unlink(missing_ok=True)
        os.close(self._descriptor)

    def finished(self) -> Mapping[int, bytes]:
        """Every whole record; what follows the last of them is cut off. Raises StorageError."""
        try:
            content = self.path.read_bytes()
            found, end = _whole_records(content)
            if end < len(content):
                os.ftruncate(self._descriptor, end)
            os.lseek(self._descriptor, 0, os.SEEK_END)
        except OSError as error:
            raise StorageError(f"{self.path}: cannot be read: {error.strerror}") from error
        return found

    def save(self, number: int, data: bytes) -> None:
        """Add one record. Raises StorageError."""
        record = HEAD.pack(number, len(data), zlib.crc32(data)) + data
        try:
            while record:
                record = record[os.write(self._descriptor, record) :]
        except OSError as error:
            raise StorageError(f"{self.path}: cannot be written: {error.strerror}") from error

    def discard(self) -> None:
        """Empty it: leaving the context then removes it."""
        os.ftruncate(self._descriptor, 0)


def _whole_records(content: bytes) -> tuple[dict[int, bytes], int]:
    """(content by number, where the last whole record ends)."""
    found: dict[int, bytes] = {}
    at = 0
    while at + HEAD.size <= len(content):
        number, length, crc = HEAD.unpack_from(content, at)
        end = at + HEAD.size + length
        data = content[at + HEAD.size : end]
        if len(data) < length or zlib.crc32(data) != crc:
            break
        found[number] = data
        at = end
    return found, at
