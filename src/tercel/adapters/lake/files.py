"""Files of the lake: whole or absent, never half-written; one writer to a folder.

- `write_whole` writes a temporary file beside the target, syncs it, renames it over the target and
  syncs the folder. A crash leaves the old file or the new one.
- `folder_lock` is an advisory lock that the kernel drops when its process ends, however it ends.
  Who holds it also clears what a crashed writer left behind.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tercel.domain.errors import LakeBusyError, StorageError

LOCK_NAME = ".lock"
TEMPORARY_SUFFIX = ".tmp"

_ADVICE = {
    errno.ENOSPC: "the disk is full; free some space and run it again",
    errno.EDQUOT: "the disk quota is used up; free some space and run it again",
    errno.EROFS: "the file system is read-only; name another lake folder",
    errno.EACCES: "no permission to write there; change it or name another lake folder",
    errno.EPERM: "no permission to write there; change it or name another lake folder",
    errno.ENOTDIR: "a file is in the way of a folder; move it or name another lake folder",
}


def storage_error(path: Path, error: OSError) -> StorageError:
    """`error` in words that name the path and say what to do."""
    advice = _ADVICE.get(error.errno or 0, f"the disk answered: {error.strerror or error}")
    return StorageError(f"{path}: cannot be written: {advice} (nothing was left half-written)")


def write_whole(path: Path, content: bytes | memoryview) -> None:
    """Replace `path` by `content`, durably and at once. Raises StorageError."""
    temporary = path.with_name(f".{path.name}{TEMPORARY_SUFFIX}")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        _sync_folder(path.parent)
    except OSError as error:
        raise storage_error(path, error) from error
    finally:
        # After the rename there is nothing to remove; after an error or Ctrl-C there is.
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def make_folder(folder: Path) -> None:
    """Create `folder` and what is missing above it, durably. Raises StorageError."""
    if folder.is_dir():
        return
    made = [folder, *(above for above in folder.parents if not above.exists())]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for each in reversed(made):
            _sync_folder(each.parent)
    except OSError as error:
        raise storage_error(folder, error) from error


def _sync_folder(folder: Path) -> None:
    """Make renames inside `folder` survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def folder_lock(folder: Path) -> Iterator[None]:
    """Hold the right to write into `folder`; clear a crash's leftovers. Raises LakeBusyError."""
    path = folder / LOCK_NAME
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise storage_error(folder, error) from error
    try:
        _take(descriptor, folder)
        for left_behind in folder.glob(f".*{TEMPORARY_SUFFIX}"):
            left_behind.unlink(missing_ok=True)
        yield
    finally:
        os.close(descriptor)


def _take(descriptor: int, folder: Path) -> None:
    """Lock `descriptor` and write this process's number into it, for the one who comes second."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip() or "unknown"
        raise LakeBusyError(
            f"{folder}: process {holder} is writing here; wait until it has finished, or stop it "
            f"(`ps -p {holder}` shows what it is), and run this again"
        ) from None
    except OSError as error:
        raise storage_error(folder, error) from error
    with suppress(OSError):  # The number is a courtesy; the lock holds without it.
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
