"""ports.ResearchLedger as a file of JSON lines.

Why lines and not a database: the file can be read, searched and compared by any tool, grows by
appending alone, and needs no library. A sweep of 243 combinations adds 0.16 MB.

An append:
1. takes the file's lock, and waits for whoever has it: a write takes milliseconds;
2. cuts off a last line that a crash left without an end (and says so);
3. writes all its lines at once and syncs them to the disk;
4. cuts them off again when the disk refuses: a trial is there whole or not at all.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from tercel.adapters.ledger.lines import (
    HEADER,
    HEADER_KEY,
    VERSION,
    from_line,
    mentions,
    to_line,
)
from tercel.domain.errors import DataError, StorageError
from tercel.domain.trials import TrialRecord

ELSEWHERE = "name another file with --set research.ledger=PATH"
TAIL_BYTES = 1 << 16
"""Read from the end at a time when its last line is looked for."""


class LedgerFile:
    """The research ledger at `path`; the file is made by the first trial."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._notices: list[str] = []

    def notices(self) -> tuple[str, ...]:
        """Repairs, a line each."""
        return tuple(dict.fromkeys(self._notices))

    def append(self, trials: Sequence[TrialRecord]) -> None:
        """Add `trials`, durably and all in one write. Raises StorageError, DataError."""
        if not trials:
            return
        lines = b"".join(to_line(trial) for trial in trials)
        try:
            with self._locked() as descriptor:
                size = self._repaired(descriptor)
                _write_or_undo(descriptor, size, lines if size else HEADER + lines)
                if not size:
                    _sync_folder(self.path.parent)
        except OSError as error:
            raise self._refused(error) from error

    def read(self, strategy: str, symbol: str) -> tuple[TrialRecord, ...]:
        """The trials of a strategy and symbol, oldest first. Raises DataError, StorageError."""
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise StorageError(
                f"{self.path}: the research ledger cannot be read: {error.strerror}; {ELSEWHERE}"
            ) from error
        *lines, torn = content.split(b"\n")
        if torn:
            self._notices.append(self._torn(len(torn)))
        if not lines:
            if not HEADER.startswith(torn):
                self._check_header(torn)
            return ()
        self._check_header(lines[0])
        return tuple(
            trial
            for number, line in enumerate(lines[1:], start=2)
            if mentions(line, strategy, symbol)
            for trial in [self._trial(line, number)]
            if trial.strategy == strategy and trial.series.symbol == symbol
        )

    def _trial(self, line: bytes, number: int) -> TrialRecord:
        try:
            return from_line(line)
        except ValueError as error:
            raise DataError(
                f"{self.path}:{number}: not a trial: {error}; put the line right or remove it, or "
                f"{ELSEWHERE}"
            ) from None

    @contextmanager
    def _locked(self) -> Iterator[int]:
        """The file, open and locked; closing it lets go of the lock."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        descriptor = os.open(self.path, flags, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield descriptor
        finally:
            os.close(descriptor)

    def _repaired(self, descriptor: int) -> int:
        """Cut off a torn last line, check the header; bytes that stay (0: a new file)."""
        size = os.fstat(descriptor).st_size
        whole = _end_of_last_line(descriptor, size)
        head = os.pread(descriptor, 256, 0)
        if whole:
            self._check_header(head.partition(b"\n")[0])
        elif not HEADER.startswith(head):  # a file without a line's end that is not ours
            self._check_header(head)
        if whole < size:
            os.ftruncate(descriptor, whole)
            self._notices.append(self._torn(size - whole))
        return whole

    def _torn(self, length: int) -> str:
        return (
            f"{self.path}: the last line was cut short by a crash while it was written "
            f"({length:,} bytes without an end): it counts as not written"
        )

    def _check_header(self, line: bytes) -> None:
        try:
            told = json.loads(line)
        except ValueError:
            told = None
        if not isinstance(told, dict) or HEADER_KEY not in told:
            raise DataError(f"{self.path}: is no research ledger of Tercel; {ELSEWHERE}")
        found = told[HEADER_KEY]
        if found != VERSION:
            raise DataError(
                f"{self.path}: is a research ledger of version {found}, and this Tercel writes "
                f"version {VERSION}; use the Tercel that wrote it, or {ELSEWHERE}"
            )

    def _refused(self, error: OSError) -> StorageError:
        why = error.strerror or str(error)
        if error.errno == errno.ENOSPC:
            why = "the disk is full"
        return StorageError(
            f"{self.path}: the trial cannot be added to the research ledger: {why}; free space "
            f"there or {ELSEWHERE}"
        )


def _end_of_last_line(descriptor: int, size: int) -> int:
    """Bytes up to and with the last line's end; 0 when there is none."""
    end = size
    while end > 0:
        begin = max(end - TAIL_BYTES, 0)
        at = os.pread(descriptor, end - begin, begin).rfind(b"\n")
        if at >= 0:
            return begin + at + 1
        end = begin
    return 0


def _write_or_undo(descriptor: int, size: int, data: bytes) -> None:
    """Write `data` at the end (`size`) and sync it; on an error the file is as it was."""
    try:
        left = memoryview(data)
        while left:
            left = left[os.write(descriptor, left) :]
        os.fsync(descriptor)
    except OSError:
        with suppress(OSError):  # what stays then is a torn line: the next append cuts it off
            os.ftruncate(descriptor, size)
        raise


def _sync_folder(folder: Path) -> None:
    """Make a new file's name survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
